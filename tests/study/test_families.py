"""Losses are tried as the trainer calls them before a study starts: with what they need, at both ends of training."""

from __future__ import annotations

import pytest
import torch

from sweeper.domains import Choice, Fixed, Uniform
from sweeper.errors import StudyError
from sweeper.losses.companion import Companion
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.ramp import ramp
from sweeper.study import families as module
from sweeper.study.families import resolve_families

LEGAL = Uniform(0.0, 10.0)


def number(symbol: str = "λ") -> Hyperparameter:
    return Hyperparameter(symbol=symbol, legal=LEGAL, effect="")


def resolved(monkeypatch, function, body=None, **fields) -> tuple[dict, list[tuple]]:
    """Return the domains of one family in a study, and the problems reported."""
    family = Family(
        function=function,
        title="",
        level="boundary",
        overlap="mixed",
        tradeoff="symmetric",
        formula="",
        source="",
        **fields,
    )
    monkeypatch.setattr(module, "family", lambda name: family)
    problems: list[tuple] = []
    found = resolve_families({function.__name__: body or {}}, lambda *each: problems.append(each))
    return found.get(function.__name__, {}), problems


def test_ramps_are_set_and_searched_like_any_hyperparameter(monkeypatch):
    seen: list[float] = []

    def ramped(logits, target, *, lam=0.1, ignore_index=-100):
        seen.append(lam)
        return logits.square().mean()

    dials = {"lam": number(), **ramp("lam", symbol="λ", legal=LEGAL, start=0.01, share=0.5)}
    body = {"lam": 2, "lam_ramp": {"uniform": [0.0, 0.8]}}
    domains, problems = resolved(monkeypatch, ramped, body, hyperparameters=dials)
    assert problems == []
    assert domains == {"lam": Fixed(2.0), "lam_start": Fixed(0.01), "lam_ramp": Uniform(0.0, 0.8)}
    # At the start of training and at its end; without a ramp (0, an end of its domain) it is 2 from the start.
    assert set(seen) == {0.01, 2.0}
    _, problems = resolved(monkeypatch, ramped, {"lam_start": 11}, hyperparameters=dials)
    assert "11 is outside 0 to 10" in problems[0][1]
    _, problems = resolved(monkeypatch, ramped, {"lam_rmp": 0.5}, hyperparameters=dials)
    assert problems[0][1:] == ("ramped has no hyperparameter 'lam_rmp'", "did you mean 'lam_ramp'?")


def test_a_value_that_only_the_ramp_passes_through_is_tried(monkeypatch):
    def picky(logits, target, *, lam=1.0, ignore_index=-100):
        if lam == 0:
            raise ZeroDivisionError("λ is 0")
        return logits.square().mean()

    dials = {"lam": number(), **ramp("lam", symbol="λ", legal=LEGAL, start=0.0, share=0.5)}
    _, problems = resolved(monkeypatch, picky, hyperparameters=dials)
    assert problems[0][1] == "the loss raises ZeroDivisionError: λ is 0"


def test_a_loss_is_tried_with_all_it_needs(monkeypatch):
    seen: list[dict] = []

    def needy(logits, target, *, ignore_index=-100, **needed):
        seen.append(needed)
        return logits.square().mean()

    needs = ("class_frequencies", "signed_distance", "disk_response", "images", "features", "classifier", "step")
    _, problems = resolved(monkeypatch, needy, needs=needs)
    assert problems == []
    for needed in seen:
        assert set(needed) == set(needs)
        assert needed["signed_distance"].shape == (2, 2, 32, 32)
        assert needed["disk_response"].shape == (2, 2, 6, 32, 32)
        assert needed["classifier"](needed["features"].movedim(1, -1)).shape == (2, 32, 32, 2)
        assert needed["images"].shape[2:] == needed["features"].shape[2:] == (32, 32)
        assert needed["step"] == 0


def test_a_setting_is_tried_with_what_it_needs(monkeypatch):
    """Also one that needs a trained network: it gets an untrained one."""
    seen: list[tuple] = []
    setups: list = []

    def modal(logits, target, *, mode="map", ignore_index=-100, **needed):
        seen.append((mode, *needed))
        return logits.square().mean()

    _, problems = resolved(
        monkeypatch,
        modal,
        {"mode": {"choice": ["map", "none", "artefact"]}},
        needs=("outline", "mask_autoencoder"),
        companion=lambda setup: setups.append(setup),
        narrow=lambda settings: {"map": ("outline",), "none": (), "artefact": ("mask_autoencoder",)}[settings["mode"]],
        hyperparameters={
            "mode": Hyperparameter(symbol="", legal=Choice(("map", "none", "artefact")), static=True, effect="")
        },
    )
    assert problems == []
    assert set(seen) == {("map", "outline", "companion"), ("none", "companion"), ("artefact", "companion")}
    for setup in setups:
        assert set(setup.artefacts) == ({"mask_autoencoder"} if setup.settings["mode"] == "artefact" else set())


def test_a_loss_is_tried_with_its_companion(monkeypatch):
    setups: list = []

    class Twice(Companion):
        def __init__(self, setup) -> None:
            super().__init__()
            setups.append(setup)
            self.weight = torch.nn.Parameter(torch.rand(setup.classes))

    def accompanied(logits, target, *, lam=1.0, companion=None, ignore_index=-100):
        if lam > 5:
            raise ValueError("too much")
        assert (companion is None) == (lam == 0)
        return logits.square().mean()

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    dials = {"lam": number()}
    build = lambda setup: Twice(setup) if setup.settings["lam"] else None  # noqa: E731
    _, problems = resolved(
        monkeypatch, accompanied, {"lam": {"uniform": [0, 2]}}, companion=build, hyperparameters=dials
    )
    assert problems == []
    assert torch.equal(torch.rand(2), expected), "torch's generator is left alone"
    assert {setup.settings["lam"] for setup in setups} == {2.0}
    assert all((setup.classes, setup.channels) == (2, 3) for setup in setups)
    _, problems = resolved(monkeypatch, accompanied, {"lam": 6}, companion=build, hyperparameters=dials)
    assert problems[0][1] == "the loss raises ValueError: too much"


def test_a_loss_of_ones_own_that_needs_a_map_is_tried_with_it(tmp_path, monkeypatch):
    from sweeper.study.load import load_study

    (tmp_path / "losses_that_need.py").write_text(
        "def good(logits, target, *, signed_distance, weight=1.0, ignore_index=-100):\n"
        "    return weight * (logits.softmax(1) * signed_distance).mean()\n"
        "def bad(logits, target, *, signed_distance, ignore_index=-100):\n"
        "    return (logits * signed_distance[:, :5].reshape(3)).mean()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    study = load_study({"families": {"losses_that_need:good": {"weight": {"uniform": [0, 1]}}}})
    assert study.families["losses_that_need:good"] == {"weight": Uniform(0.0, 1.0)}
    with pytest.raises(StudyError, match="the loss raises RuntimeError: shape"):
        load_study({"families": ["losses_that_need:bad"]})


def complaints(body: dict) -> list[str]:
    from sweeper.study.load import load_study

    with pytest.raises(StudyError) as caught:
        load_study({"families": body})
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"perceptual": {"extractor": "vgg"}}, "extractor of perceptual may be one of filters, random, mask_autoenc"),
        ({"region_boundary": {"a_ramp": 2}}, "a_ramp of region_boundary may be 0 to 1"),
        ({"tversky": {"beta": -1}}, "beta of tversky may be 0 or more"),
        ({"hausdorff_er": {"erosions": 2.5}}, "erosions of hausdorff_er may be a whole number, 1 to 15"),
        (
            {"region_boundary": {"region": "tverski", "region_beta": 0.8}},
            "region of region_boundary may be one of dice",
        ),
    ],
)
def test_one_wrong_value_is_one_complaint_with_the_legal_ones(body, says):
    (line,) = complaints(body)
    assert says in line


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"region_boundary": {"region_beta": 0.8}},
            "does nothing: region_boundary uses it only with region tversky or focal_tversky; "
            "set region to tversky or focal_tversky, or leave region_beta out",
        ),
        ({"region_boundary": {"boundary_alpha": {"uniform": [1, 3]}}}, "only with boundary hausdorff_dt"),
        ({"region_boundary": {"region": {"choice": ["dice", "dice_ce"]}, "region_beta": 0.8}}, "only with region tv"),
        ({"distance_map_cross_entropy": {"sigma": 3.0}}, "only with mode exp"),
        ({"distance_map_cross_entropy": {"sigma": 3.0, "mode": "inverse"}}, "only with mode exp"),
        ({"boundary_aware": {"decay": 0.5, "levels": 1}}, "only with levels 2 to 8"),
        ({"hausdorff_er": {"alpha": 1.0, "erosions": 1}}, "only with erosions 2 to 15"),
        ({"topk_cross_entropy": {"k_start": 0.5}}, "does nothing: k_ramp is 0, which is no ramp; set k_ramp above 0"),
    ],
)
def test_a_dial_that_acts_in_no_reachable_setting_is_refused(body, says):
    (line,) = complaints(body)
    assert says in line
    ((family, dials),) = body.items()
    assert f"families.{family}.{next(key for key in dials if key not in ('region', 'mode'))}" in line


@pytest.mark.parametrize(
    "body",
    [
        {"region_boundary": {"region_beta": 0.8, "region": {"choice": ["dice", "tversky"]}}},
        {"region_boundary": {"boundary_alpha": {"uniform": [1, 3]}, "boundary": "hausdorff_dt"}},
        {"distance_map_cross_entropy": {"sigma": 3.0, "mode": "exp"}},
        {"boundary_aware": {"decay": 0.5, "levels": {"int": [1, 2]}}},
        {"topk_cross_entropy": {"k_start": 0.5, "k_ramp": {"uniform": [0, 1]}}},
    ],
)
def test_a_dial_that_acts_somewhere_is_taken(body):
    from sweeper.study.load import load_study

    load_study({"families": body})


def test_a_dial_that_does_nothing_is_not_searched_either():
    from sweeper.study.load import load_study

    study = load_study({"families": {"boundary_aware": {"levels": 1}, "hausdorff_er": {"erosions": 2}}})
    assert study.families["boundary_aware"]["decay"] == Fixed(1.0)
    assert study.families["hausdorff_er"]["alpha"] == Uniform(0.5, 3.0)


def test_a_loss_that_needs_a_trained_network_is_tried_too(monkeypatch):
    def failing(logits, target, *, companion=None, ignore_index=-100):
        raise ValueError("no good")

    _, problems = resolved(
        monkeypatch, failing, needs=("boundary_transform",), companion=lambda setup: setup.artefacts.clear()
    )
    assert [problem[1] for problem in problems] == ["the loss raises ValueError: no good"]
