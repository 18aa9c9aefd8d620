"""An argument that ramps up has, at every step, the value of that moment of the whole training."""

from __future__ import annotations

import pytest
import torch

from sweeper.domains import Choice, Uniform
from sweeper.errors import LossError
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.ramp import arguments, ramp
from sweeper.training import trainer as module
from sweeper.training.schedule import progress
from sweeper.training.trainer import Trainer

SEEN: list[dict] = []


def recorded(logits, target, *, lam=0.1, gamma=2.0, mode="a", ignore_index=-100):
    SEEN.append({"lam": lam, "gamma": gamma, "mode": mode})
    return logits.square().mean()


FAMILY = Family(
    function=recorded,
    title="",
    level="boundary",
    overlap="mixed",
    tradeoff="symmetric",
    formula="",
    source="",
    hyperparameters={
        "lam": Hyperparameter(symbol="λ", legal=Uniform(0.0, 10.0), effect=""),
        "gamma": Hyperparameter(symbol="γ", legal=Uniform(0.0, 5.0), effect=""),
        "mode": Hyperparameter(symbol="mode", legal=Choice(("a", "b")), static=True, effect=""),
        **ramp("lam", symbol="λ", legal=Uniform(0.0, 10.0), start=0.01, share=0.5),
    },
)


@pytest.fixture(autouse=True)
def own(monkeypatch):
    monkeypatch.setattr(module, "family", lambda name: FAMILY)
    SEEN.clear()


@pytest.mark.parametrize(
    ("settings", "at", "expected"),
    [
        ({}, 0.0, 0.01),
        ({}, 0.25, 0.055),  # half the way from 0.01 to 0.1
        ({}, 0.5, 0.1),
        ({}, 1.0, 0.1),
        ({"lam": 2.0, "lam_start": 4.0}, 0.125, 3.5),  # it may fall as well
        ({"lam": 2.0, "lam_ramp": 1.0, "lam_start": 0.0}, 0.75, 1.5),
        ({"lam": 2.0, "lam_ramp": 0.0}, 0.0, 2.0),
    ],
)
def test_a_straight_line_from_the_start_to_the_arguments_own_value(settings, at, expected):
    values = arguments(FAMILY, settings, at)
    assert values["lam"] == pytest.approx(expected)
    assert not {"lam_start", "lam_ramp"} & set(values)


def test_the_end_of_a_ramp_is_the_value_itself():
    """0.3 + (0.9 − 0.3) is not 0.9 in floating point."""
    assert 0.3 + (0.9 - 0.3) != 0.9
    assert arguments(FAMILY, {"lam": 0.9, "lam_start": 0.3}, 0.5)["lam"] == 0.9


def test_what_is_not_ramped_is_passed_as_it_is():
    assert arguments(FAMILY, {"gamma": 1.5, "mode": "b"}, 0.25)["gamma"] == 1.5
    tensor = torch.tensor(0.3)
    assert arguments(FAMILY, {"lam": tensor}, 0.25)["lam"] is tensor  # type: ignore[dict-item]


def test_progress_runs_from_0_at_the_first_step_to_1_at_the_last():
    assert [progress(step, 5) for step in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert progress(0, 1) == 1, "a single step trains at full value"


def test_every_step_of_all_epochs_has_its_value(data, make_trial):
    trial = make_trial(hyperparameters={"lam": 1.0, "lam_start": 0.0, "lam_ramp": 0.6, "gamma": 3.0})
    list(Trainer(trial, data, device="cpu").epochs())
    # 2 epochs of 3 steps: progress is 0, 0.2, ... 1, and the ramp is over at 0.6.
    assert [seen["lam"] for seen in SEEN] == pytest.approx([0, 1 / 3, 2 / 3, 1, 1, 1])
    assert {(seen["gamma"], seen["mode"]) for seen in SEEN} == {(3.0, "a")}


def test_a_restored_trial_ramps_on(data, make_trial):
    trial = make_trial(hyperparameters={"lam": 1.0, "lam_start": 0.0, "lam_ramp": 1.0})
    first = Trainer(trial, data, device="cpu")
    next(first.epochs())
    restored = Trainer(trial, data, device="cpu")
    restored.restore(first.state())
    SEEN.clear()
    list(restored.epochs())
    assert [seen["lam"] for seen in SEEN] == pytest.approx([0.6, 0.8, 1.0])


def test_a_training_of_one_step_has_the_final_value(data, make_trial):
    trial = make_trial(hyperparameters={"lam": 1.0, "lam_ramp": 1.0}, epochs=1, steps_per_epoch=1)
    list(Trainer(trial, data, device="cpu").epochs())
    assert [seen["lam"] for seen in SEEN] == [1.0]


def test_an_unknown_ramp_is_refused(data, make_trial):
    with pytest.raises(LossError, match="no hyperparameter 'lam_rmp'; did you mean 'lam_ramp'"):
        Trainer(make_trial(hyperparameters={"lam_rmp": 0.5}), data, device="cpu")
