"""What a study needs before its first trial: that of every setting it can reach, and of no other."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from sweeper.data.prepare import load, prepare
from sweeper.data.settings import RasterLog
from sweeper.domains import Choice, Complement, Fixed, Int, Uniform
from sweeper.errors import LossError
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.needs import EVERY
from sweeper.maps.kinds import compute_map
from sweeper.orchestration import job as job_module
from sweeper.orchestration import needs as module
from sweeper.orchestration.events import Silent
from sweeper.orchestration.folder import RunFolder, data_cache
from sweeper.orchestration.job import Job, Work, outcome_path
from sweeper.orchestration.needs import (
    artefact_reports,
    keep_reports,
    kept_reports,
    reachable_needs,
    report_line,
    with_needs,
)
from sweeper.study.load import load_study
from sweeper.training.trial import ModelSettings, TrainingSettings, Trial


def make_family(name: str, needs: tuple[str, ...], **fields) -> Family:
    def function(logits, target, *, mode="near", side="in", weight=1.0, alpha=0.5, beta=0.5, size=3, ignore_index=-100):
        return logits.square().mean()

    function.__name__ = name
    static = {"mode": ("near", "far", "none"), "side": ("in", "out")}
    dials = {
        key: Hyperparameter(symbol="", legal=Choice(words), static=True, effect="") for key, words in static.items()
    }
    numbers = dict.fromkeys(("weight", "alpha", "beta"), Uniform(0.0, 10.0)) | {"size": Int(1, 9)}
    dials |= {key: Hyperparameter(symbol="", legal=legal, effect="") for key, legal in numbers.items()}
    return Family(
        function=function,
        title="",
        level="boundary",
        overlap="mixed",
        tradeoff="symmetric",
        formula="",
        source="",
        needs=needs,
        hyperparameters=dials,
        **fields,
    )


def narrowed(settings) -> tuple[str, ...]:
    assert set(settings) == {"mode", "side", "weight", "alpha", "beta", "size"}, "every hyperparameter is there"
    if settings["weight"] == 0 or settings["mode"] == "none":
        return ()
    return ("outline",) if (settings["mode"], settings["side"]) == ("near", "in") else ("holes", "images")


PLAIN = make_family("plain", ("signed_distance", "class_frequencies"))
NARROW = make_family("narrow", ("outline", "holes", "images", "mask_autoencoder"), narrow=narrowed)


@pytest.fixture
def study(monkeypatch):
    """Return a function that makes what of a study matters here, from the domains that differ from the default."""
    families = {"plain": PLAIN, "narrow": NARROW}
    monkeypatch.setattr(module, "family", families.__getitem__)

    def make(**given):
        domains = {
            name: {key: Fixed(value) for key, value in families[name].defaults.items()} | changed
            for name, changed in given.items()
        }
        return SimpleNamespace(families=domains)

    return make


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "outline"),
        ({"mode": Fixed("far")}, "holes images"),
        ({"mode": Fixed("none")}, ""),
        ({"mode": Choice(("near", "none"))}, "outline"),
        ({"side": Choice(("in", "out"))}, "outline holes images"),
        ({"weight": Fixed(0.0)}, ""),
        ({"weight": Uniform(0.0, 1.0)}, "outline"),
        ({"mode": Choice(("far", "none")), "weight": Uniform(0.0, 1.0)}, "holes images"),
        ({"weight": Complement("alpha"), "alpha": Fixed(1.0)}, ""),
        ({"weight": Complement("alpha"), "alpha": Uniform(0.5, 1.0)}, "outline"),
    ],
    ids=str,
)
def test_a_family_needs_what_its_reachable_settings_need(study, changed, expected):
    assert set(reachable_needs(study(narrow=changed))) == {*expected.split()}


def test_a_study_needs_what_any_of_its_families_needs_each_once_in_one_order(study):
    both = reachable_needs(study(narrow={"mode": Choice(("near", "far"))}, plain={}))
    assert both == ("class_frequencies", "signed_distance", "outline", "holes", "images")
    assert both == reachable_needs(study(plain={}, narrow={"mode": Choice(("far", "near"))}))


def test_of_more_settings_than_can_be_asked_everything_is_taken(study, monkeypatch):
    monkeypatch.setattr(module, "MOST_SETTINGS", 3)
    wide = {"weight": Uniform(0.5, 1.0), "alpha": Uniform(0.0, 1.0)}
    assert set(reachable_needs(study(narrow=wide))) == set(NARROW.needs)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    cache = tmp_path_factory.mktemp("data")
    data = prepare(RasterLog(patch=32, limit=16, scans=10), cache)
    return data, cache / data.fingerprint


def test_maps_are_attached_and_what_takes_no_work_is_left_to_the_trainer(prepared):
    data, folder = prepared
    found = with_needs(data, ("class_frequencies", "outline", "images", "step"), folder)
    assert set(found.splits["train"].maps) == {"outline"}
    assert not found.artefacts
    assert artefact_reports(("outline", "images"), folder) == {}


def test_an_artefact_is_trained_once_and_its_report_is_told(prepared, monkeypatch):
    from sweeper.training.artefacts import build, store

    data, folder = prepared
    built: list[str] = []
    short = lambda name, *rest, steps=None, **options: built.append(name) or build(name, *rest, steps=2, **options)  # noqa: E731
    monkeypatch.setattr(store, "build", short)
    monkeypatch.setattr(store, "STEPS", dict.fromkeys(store.STEPS, 2))
    # Two steps teach nothing, which would be refused.
    monkeypatch.setattr(sys.modules[build.__module__], "_judge", lambda *found: None)
    assert artefact_reports(("mask_autoencoder",), folder) == {}
    said: list[str] = []
    first = with_needs(data, ("mask_autoencoder",), folder, progress=lambda done, total, what: said.append(what))
    assert any("mask_autoencoder" in what for what in said)
    again = with_needs(load(folder), ("mask_autoencoder",), folder)
    assert built == ["mask_autoencoder"]
    for name, values in first.artefacts["mask_autoencoder"].items():
        np.testing.assert_array_equal(values, again.artefacts["mask_autoencoder"][name])
    (name, report), *none = artefact_reports(("outline", "mask_autoencoder"), folder).items()
    assert not none
    line = report_line(name, report)
    assert line.startswith("mask_autoencoder: ")
    assert f"{report['validation_error']:.3g} on held-out training masks" in line


def report(steps: int) -> dict[str, float | str]:
    return {"steps": steps, "error": "1 − Dice", "validation_error": 0.1, "chance_error": 0.9}


def test_reports_are_kept_per_data_set_and_given_back_for_what_is_needed(tmp_path):
    file = tmp_path / "artefacts.json"
    assert kept_reports(file, "one", ("mask_autoencoder",)) == {}
    keep_reports(file, "one", {})
    assert not file.exists()
    keep_reports(file, "one", {"mask_autoencoder": report(1)})
    keep_reports(file, "one", {"boundary_transform": report(2)})
    keep_reports(file, "two", {"mask_autoencoder": report(3)})
    keep_reports(file, "two", {"mask_autoencoder": report(4)})
    assert kept_reports(file, "one", ("outline", "mask_autoencoder")) == {"mask_autoencoder": report(1)}
    assert set(kept_reports(file, "one", EVERY)) == {"mask_autoencoder", "boundary_transform"}
    assert kept_reports(file, "two", EVERY) == {"mask_autoencoder": report(4)}
    for damaged in ("{", "[]", '{"one": {"mask_autoencoder": {"steps": 1}}}'):
        file.write_text(damaged)
        assert kept_reports(file, "one", EVERY) == {}


class Told(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.made: set[str] = set()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def preparing(self, done: int, total: int, what: str) -> None:
        self.made.add(what)


TWO_NEEDS = {
    "families": {
        "cross_entropy": {},
        "boundary": {},
        "perceptual": {"extractor": {"choice": ["filters", "mask_autoencoder"]}},
    },
    "data": {"patch": 32, "limit": 16, "scans": 10},
    "imbalance": {"levels": [0.97]},
    "model": {"depth": 3, "decoder_channels": [8, 8, 8]},
    "training": {"epochs": 2, "batch_size": 4, "steps_per_epoch": 1},
    "search": {"trials": 2},
}


def test_a_finished_study_keeps_its_reports_when_the_data_cache_is_cleared(tmp_path, monkeypatch):
    from sweeper.orchestration import run as run_module
    from sweeper.training.artefacts import build, store

    monkeypatch.setattr(store, "build", lambda name, *rest, steps=None, **more: build(name, *rest, steps=2, **more))
    monkeypatch.setattr(store, "STEPS", dict.fromkeys(store.STEPS, 2))
    monkeypatch.setattr(sys.modules[build.__module__], "_judge", lambda *found: None)
    study = load_study(TWO_NEEDS)

    def start(done: bool) -> tuple[dict, Told]:
        """Run up to where the record begins; return the reports that go into it."""
        given: list[dict] = []

        def record(sweep, data, artefacts, **more):
            given.append(artefacts)
            raise InterruptedError

        monkeypatch.setattr(run_module, "Sweep", lambda plan, _: SimpleNamespace(done=done, plan=plan))
        monkeypatch.setattr(run_module, "left_out", lambda sweep: None)
        monkeypatch.setattr(run_module, "build_meta", record)
        told = Told()
        with pytest.raises(InterruptedError):
            run_module.run(study, out=tmp_path, listener=told)
        return given[0], told

    first, told = start(done=False)
    assert set(first) == {"mask_autoencoder"}
    assert {"target map signed_distance", "mask_autoencoder"} <= told.made
    shutil.rmtree(data_cache(tmp_path))
    again, told = start(done=True)
    assert again == first
    assert any(note.startswith("mask_autoencoder: 1 − Dice") for note in told.notes)
    assert "mask_autoencoder" not in told.made, "nothing is trained for a report alone"


def test_a_plan_makes_what_every_family_needs_and_says_so(tmp_path, monkeypatch):
    from sweeper.orchestration import estimate as estimate_module
    from sweeper.orchestration.run import check

    asked: list[tuple] = []
    plain = with_needs

    def noting(data, needs, folder, *, progress):
        asked.append(needs)
        return plain(data, [name for name in needs if name != "mask_autoencoder"], folder, progress=progress)

    monkeypatch.setattr(estimate_module, "with_needs", noting)
    told = Told()
    checked = check(load_study(TWO_NEEDS), out=tmp_path, listener=told)
    assert estimate_module.estimate(checked, listener=told).estimate.family == "cross_entropy"
    assert asked == [("signed_distance", "mask_autoencoder")], "the first family needs neither"
    assert "target map signed_distance" in told.made

    def refused(*given, **more):
        raise LossError("mask_autoencoder has learned nothing")

    monkeypatch.setattr(estimate_module, "with_needs", refused)
    with pytest.raises(LossError, match="learned nothing"):
        estimate_module.estimate(checked)


# Workers


def test_a_worker_trains_with_the_maps_its_study_needs(prepared, tmp_path, monkeypatch):
    """By dotted path, through a job as Ray hands it on."""
    _data, folder = prepared
    (tmp_path / "losses_with_maps.py").write_text(
        "SEEN = []\n"
        "def near_edges(logits, target, *, edge_band=None, ignore_index=-100):\n"
        "    SEEN.append((target.clone(), edge_band.clone()))\n"
        "    return (logits.square().mean(1, keepdim=True) * (edge_band[:, 1:] < 3)).mean()\n"
    )
    trial = Trial(
        key="k",
        family="losses_with_maps:near_edges",
        hyperparameters={},
        level=0.96,
        seed=0,
        stage="search",
        model=ModelSettings(depth=3, decoder_channels=(8, 8, 8)),
        training=TrainingSettings(epochs=1, steps_per_epoch=2, batch_size=4, precision="fp32"),
    )
    job = Job(
        trial=trial.to_dict(),
        data=str(folder),
        folder=str(tmp_path),
        metric="minority_iou",
        threads=1,
        device="cpu",
        keep_model=False,
        keep_panels=False,
        driver="",
        needs=("edge_band",),
        import_paths=(str(tmp_path),),
    )
    monkeypatch.setattr(job_module, "_DATA", {})
    verified: list[bool] = []
    attach = module.with_maps
    monkeypatch.setattr(
        module, "with_maps", lambda *given, verify, **more: verified.append(verify) or attach(*given, **more)
    )
    work = Work(Job.from_dict(json.loads(json.dumps(job.to_dict()))))
    while not work.step().get("done"):
        pass
    assert json.loads(outcome_path(RunFolder(tmp_path), "k").read_text())["status"] == "completed"
    import losses_with_maps

    assert len(losses_with_maps.SEEN) == 2
    for target, band in losses_with_maps.SEEN:
        expected = np.stack([compute_map("edge_band", mask, 3) for mask in target.numpy()])
        np.testing.assert_array_equal(band.numpy(), expected)
    assert verified == [False], "the driver has read the maps through"
    assert set(job_module._prepared(str(folder), ("edge_band",)).splits["train"].maps) == {"edge_band"}
    assert set(job_module._prepared(str(folder), ()).splits["train"].maps) == set(), "another study, other maps"
    again = dataclasses.replace(job, needs=())
    work = Work(again)
    assert work.step()["done"]
    kept = json.loads(outcome_path(RunFolder(tmp_path), "k").read_text())
    assert (kept["status"], "needs the target map 'edge_band'" in kept["reason"]) == ("failed", True)
