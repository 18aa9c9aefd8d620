"""Target maps as a loss takes them: computed where none is given, refused where they do not fit."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad, vmap

from sweeper.errors import LossError
from sweeper.losses.primitives import prepare
from sweeper.losses.target_maps import target_map
from sweeper.maps.kinds import KINDS

from .batches import IGNORED, random_batch


@pytest.mark.parametrize("name", KINDS)
def test_a_map_given_is_the_map_computed(name):
    logits, target = random_batch(side=7)
    pixels = prepare(logits, target, IGNORED)
    computed = target_map(name, None, pixels)
    assert computed.dtype == logits.dtype
    assert torch.equal(target_map(name, computed.float(), pixels), computed.float().double())


@pytest.mark.parametrize("name", KINDS)
def test_a_map_of_another_shape_is_refused(name):
    logits, target = random_batch(side=7)
    pixels = prepare(logits, target, IGNORED)
    right = target_map(name, None, pixels)
    for wrong in (right[:1], right[:, :0], right.unsqueeze(1), right[..., :-1], right[:, 0]):
        with pytest.raises(LossError, match=f"{name} has shape"):
            target_map(name, wrong, pixels)


def test_an_empty_batch_has_an_empty_map():
    logits, target = random_batch()
    for name in KINDS:
        full = target_map(name, None, prepare(logits, target, IGNORED))
        assert target_map(name, None, prepare(logits[:0], target[:0], IGNORED)).shape == (0, *full.shape[1:])


def test_transforms_of_torch_do_not_hide_the_target():
    logits, target = random_batch()

    def total(logits):
        return (target_map("signed_distance", None, prepare(logits, target, IGNORED)) * logits).sum()

    expected = target_map("signed_distance", None, prepare(logits, target, IGNORED))
    assert torch.equal(grad(total)(logits), expected)
    assert torch.equal(vmap(grad(total))(logits.unsqueeze(0)), expected.unsqueeze(0))


def test_targets_batched_by_vmap_ask_for_their_map():
    logits, target = random_batch()
    with pytest.raises(LossError, match="pass it as outline="):
        vmap(lambda target: target_map("outline", None, prepare(logits, target, IGNORED)))(target.unsqueeze(0))
