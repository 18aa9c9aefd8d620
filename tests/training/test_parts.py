"""A batch run in parts trains what the whole batch trains, in less memory; where it would not, it stays whole."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from sweeper.training import trainer as module
from sweeper.training.model import build_model
from sweeper.training.parts import in_parts, tied_by
from sweeper.training.trainer import Trainer
from sweeper.training.trial import ModelSettings

FAMILIES = {
    "a pixel loss": "cross_entropy",
    "a region loss": "dice",
    "a sorted loss": "lovasz_softmax",
    "features": "losses_with_companions:FEATURES",
    "a joint companion": "losses_with_companions:JOINT",
    "a frozen companion": "losses_with_companions:FROZEN",
    "a rival": "losses_with_companions:RIVAL",
}


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """Make the losses beside this file importable by dotted path."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def untied(monkeypatch):
    """Build models whose normalization looks at one picture at a time."""

    def build(*arguments, **options) -> nn.Module:
        model = build_model(*arguments, **options)
        for name, layer in list(model.named_modules()):
            if isinstance(layer, nn.BatchNorm2d):
                parent, _, own = name.rpartition(".")
                setattr(model.get_submodule(parent), own, nn.GroupNorm(1, layer.num_features))
        return model

    monkeypatch.setattr(module, "build_model", build)


def gradients(trainer: Trainer) -> list[torch.Tensor]:
    """Return the gradients of every step of an epoch, those of the companion among them."""
    found = []
    step = trainer._optimizer.step

    def noted(*arguments, **options):
        found.extend(parameter.grad.clone() for parameter in trainer._parameters if parameter.grad is not None)
        return step(*arguments, **options)

    trainer._optimizer.step = noted
    trainer._train(1)
    return found


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_train_what_the_whole_batch_trains(family, parts, untied, data, make_trial):
    trial = make_trial(family, batch_size=5, steps_per_epoch=2, lr=1e-4)
    whole, cut = Trainer(trial, data, device="cpu"), Trainer(trial, data, device="cpu", parts=parts)
    assert cut.parts == parts
    expected = gradients(whole)
    assert any(gradient.abs().sum() > 0 for gradient in expected)
    found = gradients(cut)
    assert len(found) == len(expected)
    scale = max(float(gradient.abs().max()) for gradient in expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5 * scale)


def test_the_sum_of_the_parts_losses_would_be_another_loss(untied, data, make_trial):
    """What makes all this necessary: were Dice a mean over pictures, adding up would do."""
    trainer = Trainer(make_trial("dice"), data, device="cpu")
    trainer._model.train()
    fullest = np.argsort(data.splits["train"].counts[:, 0])
    batch = trainer._feed.take(fullest[[0, 1, -2, -1]])
    logits = trainer._forward(batch.images).detach()
    halves = [type(batch)(batch.images[part], batch.masks[part], {}) for part in (slice(0, 2), slice(2, 4))]
    losses = [trainer._loss(logits[part], half) for part, half in zip((slice(0, 2), slice(2, 4)), halves, strict=True)]
    assert abs(float(trainer._loss(logits, batch)) - float(sum(losses)) / 2) > 1e-4


def test_dropout_draws_the_same_numbers_on_the_way_back():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(0.5), nn.Conv2d(4, 2, 3)).double()
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64)

    def train(cut: bool) -> list[torch.Tensor]:
        model.zero_grad(set_to_none=True)
        torch.manual_seed(1)
        if cut:
            (logits,) = in_parts(lambda part: (model(part),), images, 2)
        else:
            logits = torch.cat([model(part) for part in images.tensor_split(2)])
        torch.rand(3)  # whatever the loss draws
        logits.square().mean().sqrt().backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    for one, other in zip(train(cut=True), train(cut=False), strict=True):
        assert torch.equal(one, other)


def test_a_trial_in_parts_is_the_same_every_time(data, make_trial):
    """A real model without batch normalization, and with dropout."""
    trial = make_trial("dice", model=ModelSettings(arch="fpn", encoder="mit_b0"), epochs=1, steps_per_epoch=2)
    first, second = (Trainer(trial, data, device="cpu", parts=2) for _ in range(2))
    assert (first.parts, first.tied) == (2, None)
    assert next(first.epochs()).train_loss == next(second.epochs()).train_loss
    for one, other in zip(first.state()["model"].values(), second.state()["model"].values(), strict=True):
        assert torch.equal(one, other)


def test_where_batch_normalization_ties_pictures_the_batch_stays_whole(data, make_trial):
    trial = make_trial("dice")
    whole, asked = Trainer(trial, data, device="cpu"), Trainer(trial, data, device="cpu", parts=2)
    assert (asked.parts, asked.tied) == (1, "encoder.bn1")
    assert next(asked.epochs()).train_loss == next(whole.epochs()).train_loss
    assert asked._scorer._batch_size == whole._scorer._batch_size // 2, "scoring may be cut all the same"
    assert tied_by(nn.Sequential(nn.GroupNorm(1, 2), nn.Dropout(0.1))) is None


def test_a_batch_has_no_more_parts_than_pictures(untied, data, make_trial):
    assert Trainer(make_trial(batch_size=1), data, device="cpu", parts=2).parts == 1


@pytest.mark.parametrize("family", ["dice", "losses_with_companions:FEATURES"])
def test_memory_falls_with_the_parts(family, untied, data, make_trial):
    peaks = {}
    for parts in (1, 2, 4):
        trial = make_trial(family, batch_size=48, steps_per_epoch=1)
        trainer = Trainer(trial, data, device="cpu", parts=parts)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            trainer._train(1)
        # Every allocation and every release, in order.
        changes = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
        changes.sort(key=lambda event: event.start_ns())
        peaks[parts] = max(accumulate(event.nbytes() for event in changes))
    assert peaks[2] < 0.65 * peaks[1]
    assert peaks[4] < 0.7 * peaks[2]
