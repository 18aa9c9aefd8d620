"""A background that is not class 0 is class 0 for the loss."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sweeper.data.settings import IGNORE
from sweeper.losses.catalogue import FAMILIES
from sweeper.training.order import BackgroundFirst
from sweeper.training.trainer import Trainer


def test_background_comes_first_and_the_others_keep_their_order():
    order = BackgroundFirst(4, 2, torch.device("cpu"))
    assert order.classes(torch.tensor([10.0, 11.0, 12.0, 13.0]), dim=0).tolist() == [12, 10, 11, 13]
    masks = torch.tensor([[0, 1, 2, 3, IGNORE]], dtype=torch.uint8)
    assert order.labels(masks).tolist() == [[1, 2, 0, 3, IGNORE]]


def test_a_background_that_is_first_stays():
    order = BackgroundFirst(3, 0, torch.device("cpu"))
    masks = torch.tensor([[0, 1, 2, IGNORE]], dtype=torch.uint8)
    assert order.labels(masks).tolist() == [[0, 1, 2, IGNORE]]
    assert order.classes(torch.arange(3.0), dim=0).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["tversky", "focal", "combo", "weighted_cross_entropy"])
def test_where_the_background_stands_does_not_change_the_loss(data, make_trial, name):
    """The same pictures with classes renumbered 0→2→1→0 give the same loss for renumbered logits."""
    settings = {"alpha": 0.9} if name == "focal" else {}
    trial = make_trial(family=name, hyperparameters=settings)
    new = torch.tensor([2, 0, 1])

    def renumbered(split):
        masks = split.masks.copy()
        for old in range(3):
            masks[split.masks == old] = new[old]
        counts = split.counts.copy()
        counts[:, new.numpy()] = split.counts
        return dataclasses.replace(split, masks=masks, counts=counts, curves=None)

    moved = dataclasses.replace(
        data,
        background=2,
        minority=(0, 1),
        splits={key: renumbered(split) for key, split in data.splits.items()},
    )
    plain, other = Trainer(trial, data, device="cpu"), Trainer(trial, moved, device="cpu")
    chosen = torch.arange(6).numpy()
    logits = torch.randn(6, 3, data.patch, data.patch, generator=torch.Generator().manual_seed(0))
    swapped = torch.empty_like(logits)
    swapped[:, new] = logits
    expected = plain._loss(logits, plain._feed.take(chosen))
    assert FAMILIES[name].function is plain._family.function
    torch.testing.assert_close(other._loss(swapped, other._feed.take(chosen)), expected)
    assert not torch.isclose(plain._loss(swapped, plain._feed.take(chosen)), expected)
