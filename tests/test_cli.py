"""The command line as a newcomer meets it: answers to stdout, one message per mistake, exit code 2, nothing left."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeper import cli
from sweeper.cli import main

CLASSES = {
    "mask_format": "index",
    "classes": [
        {"index": 0, "name": "background", "color": "#000000"},
        {"index": 1, "name": "crack", "color": "#ffffff"},
    ],
    "ignore": [],
}


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run `sweeper` with these words in an empty folder; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sweeper", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        code = caught.value.code
        return (code if isinstance(code, int) else 0 if code is None else 1), out, err

    return run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(
        "families: [cross_entropy, dice]\n"
        "data: {patch: 32, limit: 16, scans: 10}\n"
        "imbalance: {levels: [0.95]}\n"
        "model: {depth: 3, decoder_channels: [8, 8, 8]}\n"
        "training: {epochs: 1, steps_per_epoch: 1, batch_size: 2}\n"
    )
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve noisy pictures with a thin line each."""
    folder = tmp_path / "pictures"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    draw = np.random.default_rng(0)
    for number in range(12):
        mask = np.zeros((64, 64), dtype=np.uint8)
        mask[:, 8 + 4 * number] = 1
        mask[:32] = 0
        image = draw.integers(100, 200, (64, 64, 3), dtype=np.uint8)
        image[mask == 1] = 20
        Image.fromarray(image).save(folder / "images" / f"{number:02}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:02}.png")
    (folder / "classes.json").write_text(json.dumps(CLASSES))
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def refused(answer: tuple[int, str, str], *words: str) -> None:
    code, out, err = answer
    assert code == 2, err
    assert out == ""
    lines = [line for line in err.splitlines() if line.strip() and not line.startswith("preparing")]
    assert len(lines) == 1, err
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in err


def test_help_names_every_command(call):
    code, out, _ = call("--help")
    assert code == 0
    for command in ("run", "plan", "report", "losses", "check-loss", "data", "browse", "sync"):
        assert command in out


def test_losses_lists_every_family_and_explains_one(call):
    code, out, _ = call("losses")
    assert code == 0
    assert "lovasz_softmax" in out
    code, out, _ = call("losses", "binary_cross_entropy")
    assert code == 0
    assert 'sweeper.loss("cross_entropy")' in out
    assert "passed  gradient: autograd's gradient is that of the value" in out
    code, out, _ = call("losses", "--json")
    assert {one["name"] for one in json.loads(out)} >= {"tversky", "combo"}
    code, out, _ = call("losses", "focal", "--json")
    assert {one["status"] for one in json.loads(out)["conformance"]} == {"passed"}
    refused(call("losses", "tverski"), "did you mean 'tversky'?")


def test_losses_can_be_narrowed(call):
    _, out, _ = call("losses", "--level", "region", "--tunable", "--json")
    assert "tversky" in {one["name"] for one in json.loads(out)}
    assert {(one["level"], one["tradeoff"]) for one in json.loads(out)} == {("region", "tunable")}
    refused(call("losses", "--level", "regional"), "no level 'regional'", "region")
    refused(call("losses", "tversky", "--tunable"), "leave them out to see one family")


def test_what_is_no_loss_is_explained(call):
    code, out, _ = call("losses", "contrastive")
    assert code == 0
    assert "no segmentation target" in out
    code, out, _ = call("losses", "contrastive", "--json")
    assert json.loads(out)["name"] == "contrastive"
    refused(call("check-loss", "contrastive"), "no segmentation target")


OWN_LOSSES = """
import torch
from sweeper.losses.primitives import IGNORE_INDEX, dial, masked_mean, prepare

def sound(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    pixels = prepare(logits, target, ignore_index)
    return dial(weight, pixels.prob) * masked_mean(pixels.cross_entropy, pixels.valid)

def deaf(logits, target, *, ignore_index=IGNORE_INDEX):
    return logits.float().logsumexp(1).mean()
"""


def test_a_loss_of_ones_own_is_tried_out(call, tmp_path):
    (tmp_path / "my_losses.py").write_text(OWN_LOSSES)
    code, out, err = call("check-loss", "my_losses:deaf")
    assert code == 1
    assert err == ""
    assert "failed  ignored: ignored pixels count for nothing" in out
    assert "Traceback" not in out
    code, out, _ = call("check-loss", "my_losses:deaf", "--json")
    assert code == 1
    assert "failed" in {one["status"] for one in json.loads(out)["conformance"]}
    refused(call("check-loss", "my_losses:loud"), "has no attribute 'loud'")
    refused(call("check-loss", "my_lossse:deaf"), "there is no module 'my_lossse'")
    refused(call("check-loss", "my_losses:IGNORE_INDEX"), "is a int")


def test_a_sound_loss_of_ones_own_passes(call, tmp_path):
    (tmp_path / "sound_losses.py").write_text(OWN_LOSSES)
    code, out, _ = call("check-loss", "sound_losses:sound")
    assert code == 0, out
    assert 'sweeper.loss("sound_losses:sound")' in out
    assert "failed" not in out


def test_plan_says_what_will_run(call, study):
    code, out, err = call("plan", str(study))
    assert code == 0, err
    assert "search:  2 trials" in out
    assert "confirm: at most 10 trials (5 seeds)" in out
    assert "disk:    at most " in out
    code, out, _ = call("plan", str(study), "--json")
    assert json.loads(out)["search_trials"] == 2
    disk = json.loads(out)["disk"]
    assert disk["fits"]
    assert 0 < disk["models"] < disk["needed"] < disk["free"]


def test_data_inspect_describes_and_draws(call, pictures, tmp_path):
    code, out, err = call("data", "inspect", "--data", str(pictures), "--set", "data.patch=32", "--preview", "look.png")
    assert code == 0, err
    assert "crack" in out
    assert pixels(tmp_path / "look.png").shape[1] > 100
    refused(call("data", "inspect", "--data", str(tmp_path / "nowhere")), "nowhere")


def test_mistakes_in_the_study_are_one_line_each(call, study):
    refused(call("run", "missing.yaml"), "missing.yaml", "no such file")
    refused(call("run", str(study), "--set", "families.dise={}"), "did you mean 'dice'?")
    refused(call("run", str(study), "--set", "trainin.epochs=3"), "did you mean 'training'?")
    refused(call("run", str(study), "--set", "families.dice.smooth=-1"), "-1 is outside")
    refused(call("run", str(study), "--set", "model.encoder=resnet81"), "resnet18")
    assert not Path("runs/study").exists()


def test_a_level_out_of_reach_is_refused_with_the_range(call, study):
    code, _, err = call("run", str(study), "--set", "imbalance.levels=[0.2]")
    assert code == 2
    lines = [line for line in err.splitlines() if not line.startswith("preparing")]
    assert len(lines) == 3, "one per split"
    assert all("0.2 cannot be reached" in line and "strictly between" in line for line in lines)
    assert not Path("runs/study").exists()


def test_tracking_addresses_are_tried_before_anything_runs(call, study):
    refused(call("run", str(study), "--tracking-uri", "http://user:hunter2@127.0.0.1:9"), "no MLflow server answers")
    refused(call("run", str(study), "--tracking-uri", "mlruns"), "sqlite:///")
    refused(call("run", str(study), "--tracking-uri", "htp://host"), "did you mean 'http'?")
    _, out, err = call("run", str(study), "--tracking-uri", "http://user:hunter2@127.0.0.1:9")
    assert "hunter2" not in out + err
    assert not Path("runs").exists()


def test_an_output_folder_that_cannot_be_made_is_refused(call, study, tmp_path):
    (tmp_path / "file").touch()
    refused(call("run", str(study), "--out", "file/runs"), "is a file", "--out")


def test_broken_pictures_are_named(call, study, pictures, tmp_path):
    def run_with(change) -> tuple[int, str, str]:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(pictures, tmp_path / "copy")
        change(tmp_path / "copy")
        return call("run", str(study), "--data", str(tmp_path / "copy"))

    def truncate(folder: Path) -> None:
        path = folder / "images" / "03.png"
        path.write_bytes(path.read_bytes()[:500])

    def resize(folder: Path) -> None:
        Image.fromarray(pixels(folder / "masks" / "03.png")[:, :32]).save(folder / "masks" / "03.png")

    def undeclared(folder: Path) -> None:
        mask = pixels(folder / "masks" / "03.png")
        mask[0, :7] = 9
        Image.fromarray(mask).save(folder / "masks" / "03.png")

    def one_class(folder: Path) -> None:
        for path in (folder / "masks").iterdir():
            Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(path)

    def empty(folder: Path) -> None:
        for path in (folder / "images").iterdir():
            path.unlink()

    def no_partner(folder: Path) -> None:
        (folder / "masks" / "03.png").unlink()

    for change, words in (
        (truncate, ["03.png"]),
        (resize, ["03.png", "64", "32"]),
        (undeclared, ["03.png", "9", "7"]),
        (one_class, ["one-class"]),
        (empty, ["images"]),
        (no_partner, ["03"]),
    ):
        code, out, err = run_with(change)
        assert code == 2, err
        assert out == ""
        assert "Traceback" not in err
        for word in words:
            assert word in err, change.__name__
        assert not Path("runs").exists()


def test_what_is_no_run_folder_is_refused(call, tmp_path):
    refused(call("sync", str(tmp_path)), "is no run folder")
    refused(call("browse", str(tmp_path)), "is no run folder")
    refused(call("report", str(tmp_path / "nothing")), "nothing")


def test_the_command_that_continues_is_the_one_typed(monkeypatch, tmp_path):
    def typed(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", [*words])
        return cli._typed()

    (program := tmp_path / "sweeper").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        typed(str(program), "run", "my study.yaml", "--set", "a=[1, 2]")
        == "sweeper run 'my study.yaml' --set 'a=[1, 2]'"
    )
    monkeypatch.setenv("PATH", "")
    assert typed(str(program), "run", "a.yaml") == f"{program} run a.yaml"
    assert typed("/somewhere/sweeper/cli.py", "run", "a.yaml") == f"{sys.executable} -m sweeper.cli run a.yaml"
    assert "hunter2" not in typed(str(program), "run", "a.yaml", "--tracking-uri", "http://ann:hunter2@host:5000")
