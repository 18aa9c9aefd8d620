"""A study file becomes a Study, or one message with everything that is wrong with it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import yaml

from sweeper.data.settings import Folder, RasterLog
from sweeper.domains import Choice, Complement, Fixed, LogUniform, Uniform
from sweeper.errors import StudyError
from sweeper.study.load import load_study


@pytest.fixture
def write(tmp_path: Path):
    def write_file(text: str, name: str = "study.yaml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return write_file


def problems(path: Path, **options: object) -> list[str]:
    with pytest.raises(StudyError) as caught:
        load_study(path, **options)  # type: ignore[arg-type]
    return str(caught.value).splitlines()


def test_families_alone_are_a_study(write):
    study = load_study(write("families: [cross_entropy, tversky]", "mine.yaml"))
    assert study.name == "mine"
    assert list(study.families) == ["cross_entropy", "tversky"]
    assert study.families["tversky"]["alpha"] == Complement("beta")
    assert isinstance(study.data, RasterLog)
    assert study.reference == 0.97


def test_narrowed_fixed_and_coupled_domains(write):
    study = load_study(
        write(
            """
            families:
              focal: {gamma: 1.5}
              tversky: {alpha: {uniform: [0.1, 0.5]}, beta: {complement: alpha}}
            training: {lr: {log_uniform: [1e-4, 1e-2]}}
            """
        )
    )
    assert study.families["focal"]["gamma"] == Fixed(1.5)
    assert study.families["tversky"]["alpha"] == Uniform(0.1, 0.5)
    assert study.families["tversky"]["beta"] == Complement("alpha")
    assert study.training_search == {"lr": LogUniform(1e-4, 1e-2)}
    assert study.training.lr == 1e-3


def test_aliases_become_the_family_they_name(write):
    assert list(load_study(write("families: [binary_cross_entropy]")).families) == ["cross_entropy"]
    assert "once more" in problems(write("families: [cross_entropy, binary_cross_entropy]"))[0]


def test_the_resolved_study_loads_to_an_equal_one(write):
    study = load_study(write("families: {focal: {}, tversky: {}}\ntraining: {lr: {log_uniform: [1e-4, 1e-2]}}"))
    assert load_study(yaml.safe_load(study.to_yaml())) == study


def test_extends_overlays_key_by_key(write):
    write(
        """
        families: {dice: {smooth: 0.5}, focal: {gamma: {uniform: [0, 5]}}}
        training: {epochs: 7, lr: 0.01}
        """,
        "base.yaml",
    )
    study = load_study(
        write(
            """
            extends: base.yaml
            families: {focal: {gamma: {choice: [1, 2]}}}
            training: {epochs: 3}
            """,
            "child.yaml",
        )
    )
    assert study.families["focal"]["gamma"] == Choice((1, 2))
    assert study.families["dice"]["smooth"] == Fixed(0.5)
    assert (study.training.epochs, study.training.lr) == (3, 0.01)
    assert study.name == "child"


def test_a_slip_in_the_list_of_families_is_reported_and_not_a_traceback(write):
    write("families: {dice: {}}", "base.yaml")
    found = problems(write("extends: base.yaml\nfamilies: [dice, {focal: {gamma: 1}}]"))
    assert "is not a name" in found[0]


def test_losses_of_ones_own_are_tried_as_the_trainer_calls_them(write, tmp_path, monkeypatch):
    (tmp_path / "own_losses.py").write_text(
        "import torch.nn.functional as F\n"
        "def strict(logits, target, *, ignore_index):\n    return F.cross_entropy(logits, target)\n"
        "def pooled(logits, target, *, ignore_index=255):\n    return F.avg_pool2d(logits, 5).mean()\n"
        "def broken(logits, target, *, ignore_index=255):\n    return logits.no_such_thing()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    study = load_study(write("families: ['own_losses:strict', 'own_losses:pooled']"))
    assert list(study.families) == ["own_losses:strict", "own_losses:pooled"]
    assert "no_such_thing" in problems(write("families: ['own_losses:broken']"))[0]


def test_a_list_of_families_chooses_from_the_base(write):
    write("families: {dice: {smooth: 0.5}, focal: {}}", "base.yaml")
    study = load_study(write("extends: base.yaml\nfamilies: [dice, iou]"))
    assert list(study.families) == ["dice", "iou"]
    assert study.families["dice"]["smooth"] == Fixed(0.5)


def test_extending_in_a_circle_is_refused(write):
    write("extends: b.yaml\nfamilies: [dice]", "a.yaml")
    assert "extends itself" in problems(write("extends: a.yaml", "b.yaml"))[0]


def test_overrides_win_and_are_named_in_errors(write):
    path = write("families: [focal]\ntraining: {epochs: 5}")
    study = load_study(path, overrides=["training.epochs=2", "families.focal.gamma={uniform: [1, 2]}"])
    assert study.training.epochs == 2
    assert study.families["focal"]["gamma"] == Uniform(1, 2)
    assert problems(path, overrides=["training.epochs=none"])[0].startswith("--set: training.epochs: 'none'")
    assert "has no `=`" in problems(path, overrides=["training.epochs"])[0]


def test_data_replaces_the_section_and_keeps_the_cutting(write):
    path = write("families: [dice]\ndata: {source: raster_log, patch: 96, limit: 10, wear: 2}")
    folder = Folder(source="folder", images="/i", masks="/m", classes="/c.json")
    study = load_study(path, data=folder)
    assert isinstance(study.data, Folder)
    assert (study.data.patch, study.data.limit, study.data.images) == (96, 10, "/i")


def test_paths_are_meant_beside_the_file(write, tmp_path):
    text = "families: [dice]\ndata: {source: folder, images: pics, masks: ../m, classes: c.json}"
    study = load_study(write(text))
    assert isinstance(study.data, Folder)
    assert study.data.images == str(tmp_path / "pics")
    assert study.data.masks == str(tmp_path.parent / "m")


def test_every_problem_is_reported_with_its_line(write):
    found = problems(
        write(
            """\
            families:
              dise: {}
              focal: {gama: 1, gamma: {uniform: [5, 0]}}
              dice: {smooth: {unifrom: [0, 1]}}
            imbalanc: {}
            training:
              epochs: 0
              batch_size: {choice: [8, 16]}
              optimiser: adamw
            search: {metric: iou}
            confirm: {seeds: 0}
            """
        )
    )
    assert [line.split("study.yaml")[1] for line in found] == [
        ":2: families.dise: there is no loss family 'dise'; did you mean 'dice'?",
        ":3: families.focal.gama: focal has no hyperparameter 'gama'; did you mean 'gamma'?",
        ":3: families.focal.gamma: uniform [5, 0] is empty; the first bound must be below the second",
        ":4: families.dice.smooth: there is no domain 'unifrom'; did you mean 'uniform'?",
        ":5: imbalanc: unknown key; did you mean 'imbalance'?",
        ":7: training.epochs: 0 is out of range; it must be a whole number, 1 or more",
        ":8: training.batch_size: cannot be searched; give one value; lr, weight_decay, warmup can be searched",
        ":9: training.optimiser: unknown key; did you mean 'optimizer'?",
        ":10: search.metric: 'iou' is not on offer; choose from 'minority_iou', 'minority_f1', 'minority_precision', "
        "'minority_recall' or 'mean_iou'",
        ":11: confirm.seeds: 0: input should be greater than or equal to 1; correct the value",
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("families: {focal: {gamma: {uniform: [-1, 5]}}}", "-1 is outside"),
        ("families: {focal: {gamma: {log_uniform: [0, 5]}}}", "must start above 0"),
        ("families: {focal: {gamma: high}}", "'high' is not a number"),
        ("families: {dice: {classes: some}}", "'some' is not one of"),
        ("families: {tversky: {beta: {complement: gamma}}}", "complement of 'gamma'"),
        ("families: {tversky: {beta: {complement: alpha}}}", "complements of each other"),
        ("families: {tversky: {beta: {uniform: [0.5, 3]}, alpha: {complement: beta}}}", "-2 is outside"),
        ("families: [dice]\nimbalance: {levels: [0.9, 1.5]}", "1.5"),
        ("families: [dice]\nimbalance: {levels: [0.9, 0.9]}", "0.9 stands twice"),
        ("families: [dice]\nimbalance: {levels: [0.9], reference: 0.8}", "0.8 is not one of the levels"),
        ("families: [dice]\nsearch: {seed: 1000}", "one of the confirm seeds"),
        ("families: [dice]\ntraining: {epochs: true}", "True is not a whole number"),
        ("families: [dice]\ntraining: {lr: '0.1'}", "'0.1' is not a number"),
        ("families: [dice]\ntraining: {lr: {uniform: [-1, 1]}}", "reaches -1"),
        ("families: [dice]\ndata: {patch: 50}", "not a multiple of 32"),
        ("families: [dice]\ndata: {source: web}", "'web' is no data source"),
        ("families: [dice]\ndata: {source: folder, images: a, masks: b}", "classes: is missing"),
        ("families: [dice]\nmodel: {depth: 3, decoder_channels: [8, 8]}", "has 2 widths"),
        ("families: [dice]\nname: a/b", "cannot be a folder name"),
        ("families: {}", "is empty"),
        ("training: {epochs: 1}", "families: is missing"),
        ("families: [no_such_module:loss]", "no_such_module"),
    ],
)
def test_what_cannot_be_honored_is_refused(write, text, wrong):
    assert wrong in "\n".join(problems(write(text)))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is empty"),
        ("- a\n- b", "holds a tuple"),
        ("families: [dice]\nfamilies: [iou]", "stands twice"),
        ("families: !!python/object:os.system {}", "tag"),
        ("families:\n\t- dice", "\\t"),
    ],
)
def test_broken_yaml_is_one_line(write, text, wrong):
    found = problems(write(text))
    assert len(found) == 1
    assert "study.yaml" in found[0]
    assert wrong in found[0]


def test_numbers_are_read_as_people_write_them(write):
    study = load_study(write("families: [dice]\ntraining: {lr: 1e-3, epochs: 010}\ntracking: {experiment: no}"))
    assert study.training.lr == 0.001
    assert study.training.epochs == 10
    assert study.tracking.experiment == "no"


def test_an_alias_bomb_is_refused(write):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too many" in problems(write("\n".join(lines)))[0]


def test_a_missing_file_is_one_line(tmp_path):
    assert "no such file" in problems(tmp_path / "none.yaml")[0]
