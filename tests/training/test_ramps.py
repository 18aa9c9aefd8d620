"""An argument that ramps up has, at every step, the value of that moment of the whole training."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sweeper.domains import Choice, Uniform
from sweeper.errors import LossError, TrialFailure
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.ramp import arguments, ramp, settled
from sweeper.training import trainer as module
from sweeper.training.schedule import first_epoch_after, progress
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


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, 0.5),
        ({"lam_ramp": 1.0}, 1.0),
        ({"lam_ramp": 0.0}, 0.0),
        ({"lam": 2.0, "lam_start": 2.0}, 0.0),  # it stays where it is
        ({"lam": None}, 0.0),  # switched off
    ],
)
def test_a_setting_is_settled_when_its_ramp_is_over(settings, share):
    assert settled(FAMILY, settings) == share


def test_a_setting_with_several_ramps_is_settled_after_the_longest():
    gamma = ramp("gamma", symbol="γ", legal=Uniform(0.0, 5.0), start=0.0, share=0.25)
    both = dataclasses.replace(FAMILY, hyperparameters={**FAMILY.hyperparameters, **gamma})
    assert settled(both, {}) == 0.5
    assert settled(both, {"gamma_ramp": 0.75}) == 0.75
    assert settled(dataclasses.replace(FAMILY, hyperparameters={}), {}) == 0


@pytest.mark.parametrize(
    ("share", "epochs", "steps", "first"),
    [
        (0.0, 4, 3, 1),
        (0.2, 4, 3, 2),  # progress is k / 11 at step k: epochs begin at 0, 0.27, 0.55 and 0.82
        (3 / 11, 4, 3, 2),
        (0.3, 4, 3, 3),
        (0.82, 4, 3, None),
        (1.0, 4, 3, None),
        (1.0, 4, 1, 4),  # the last step alone is at its end
        (0.5, 1, 1, 1),
    ],
)
def test_the_first_epoch_that_is_whole_after_a_ramp(share, epochs, steps, first):
    assert first_epoch_after(share, epochs, steps) == first


def weighed(monkeypatch, make_trial, data, explode=lambda call: 1.0, **settings) -> Trainer:
    """Train with a constant beside the loss whose weight rises from 0 to 1; `explode` multiplies the loss of a call."""
    calls: list[float] = []

    def constant(logits, target, *, lam=1.0, ignore_index=-100):
        calls.append(lam)
        return (0 * logits.mean() + 0.01 + lam) * explode(len(calls))

    number = Hyperparameter(symbol="λ", legal=Uniform(0.0, 10.0), effect="")
    dials = {"lam": number, **ramp("lam", symbol="λ", legal=Uniform(0.0, 10.0), start=0.0, share=0.5)}
    monkeypatch.setattr(
        module, "family", lambda name: dataclasses.replace(FAMILY, function=constant, hyperparameters=dials)
    )
    trainer = Trainer(make_trial(epochs=5, steps_per_epoch=1, hyperparameters=settings), data, device="cpu")
    list(trainer.epochs())
    return trainer


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_loss_that_grows_with_its_ramp_has_not_diverged(data, make_trial, monkeypatch, share):
    means = [each.train_loss for each in weighed(monkeypatch, make_trial, data, lam_ramp=share).history]
    assert means[-1] > 10 * means[0] > 0, "the first epoch's would have failed it"
    assert len(means) == 5


def test_a_loss_that_grows_after_its_ramp_has_diverged(data, make_trial, monkeypatch):
    with pytest.raises(TrialFailure, match=r"mean at epoch 5 is 20\.2, at epoch 3 it was 1\.01"):
        weighed(monkeypatch, make_trial, data, explode=lambda call: 20.0 if call == 5 else 1.0)


def test_a_loss_that_grows_without_a_ramp_has_diverged(data, make_trial, monkeypatch):
    with pytest.raises(TrialFailure, match=r"mean at epoch 2 is 20\.2, at epoch 1 it was 1\.01"):
        weighed(monkeypatch, make_trial, data, explode=lambda call: 20.0 if call == 2 else 1.0, lam_ramp=0.0)
