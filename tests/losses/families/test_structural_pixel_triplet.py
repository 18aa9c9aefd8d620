"""Pixel-wise triplet loss: which pixels meet, and what their distances cost."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.errors import LossError
from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.structural.pixel_triplet import PIXEL_TRIPLET, pixel_triplet
from sweeper.losses.primitives import prepare
from sweeper.losses.target_maps import target_map

from ..batches import IGNORED, random_batch


def at(batch, **values):
    return pixel_triplet(*batch, ignore_index=IGNORED, **values)


def part(batch, **values):
    return (at(batch, lam=1.0, **values) - at(batch, lam=0.0, **values)).item()


def triplets_by_hand(batch, vectors, *, margin, triplets, band, step):
    """Image by image, class by class, pixel by pixel."""
    logits, target = batch
    prob, near = logits.softmax(1), target_map("boundary_band", None, prepare(*batch, IGNORED))[:, 0] <= band
    total = 0.0
    for label in range(logits.shape[1]):
        costs = []
        for image in range(len(target)):
            places = (near[image] & (target[image] != IGNORED)).nonzero().tolist()
            likely = {(r, c): prob[image, label, r, c].item() for r, c in places}
            own = sorted((p for p in likely if target[image][p] == label), key=likely.get)
            other = sorted((p for p in likely if target[image][p] != label), key=likely.get, reverse=True)[:triplets]
            if len(own) < 2 or not other:
                continue
            for turn, anchor in enumerate(own[:triplets]):
                positive = own[(turn + 1 + step % (len(own) - 1)) % len(own)]
                negative = other[(turn + step) % len(other)]
                assert positive != anchor
                f = {p: vectors[image, :, p[0], p[1]] for p in (anchor, positive, negative)}
                gap = (f[anchor] - f[positive]).norm() - (f[anchor] - f[negative]).norm()
                costs.append(max(0.0, gap.item() + margin))
        total += sum(costs) / max(len(costs), 1)
    return total


@pytest.mark.parametrize(("classes", "seed"), list(itertools.product((2, 3, 5), (0, 1))))
@pytest.mark.parametrize("step", [0, 1, 7, 1000])
@pytest.mark.parametrize("space", ["logits", "features"])
def test_triplets_one_by_one(classes, seed, step, space):
    logits, target = random_batch(classes, seed, side=9)
    # Room inside, that the band does not reach.
    target[:, 2:, :] = torch.where(target[:, 2:, :] == IGNORED, IGNORED, 0)
    batch = logits, target
    vectors = logits - logits.mean(1, keepdim=True)
    given = {}
    if space == "features":
        vectors = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        given = {"features": vectors.masked_fill((target == IGNORED).unsqueeze(1), torch.nan)}
    for margin, triplets, band in ((1.0, 512, 2), (10.0, 3, 1), (0.0, 5, 4)):
        values = {"margin": margin, "triplets": triplets, "band": band, "step": step}
        expected = triplets_by_hand(batch, vectors, **values)
        assert part(batch, space=space, **values, **given) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("margin", "expected"), [(10.0, 6.0), (1.0, 0.0)])
def test_worked_by_hand(margin, expected):
    # a = (0, 0), + = (0, 1), − = (3, 4): distances 1 and 5. The first pixel is the likeliest missed, hence the anchor.
    p = torch.tensor([0.2, 0.9, 0.5], dtype=torch.float64)
    batch = torch.stack([1 - p, p]).log()[None, :, None], torch.tensor([[[1, 1, 0]]])
    features = torch.tensor([[0.0, 0.0, 3.0], [0.0, 1.0, 4.0]], dtype=torch.float64)[None, :, None]
    value = part(batch, margin=margin, triplets=1, space="features", features=features)
    assert value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("classes", "seed"), list(itertools.product((2, 3, 5), (0, 1))))
def test_without_weight_it_is_dice(classes, seed):
    batch = random_batch(classes, seed)
    assert at(batch, lam=0.0) == dice(*batch, ignore_index=IGNORED)


def test_it_rises_with_the_margin_and_is_nothing_once_all_are_told_apart():
    batch = random_batch()
    values = [part(batch, margin=margin) for margin in (0.0, 0.1, 1.0, 5.0, 20.0)]
    assert all(after > before for before, after in itertools.pairwise(values))
    _, target = batch
    right = 30 * torch.nn.functional.one_hot(target.clamp_max(2), 3).movedim(-1, 1).double()
    assert part((right, target), margin=20.0) == pytest.approx(0.0, abs=1e-12)
    assert part((right, target), margin=50.0) > 1


def test_every_step_brings_other_pairs_until_all_have_met():
    batch = random_batch(side=9)
    values = [part(batch, step=step) for step in range(4)]
    assert len(set(values)) == 4
    assert part(batch, step=None) == part(batch, step=0)
    assert part(batch, step=2) == part(batch, step=2)


def test_coinciding_pixels_have_a_finite_gradient():
    _, target = random_batch()
    logits = torch.zeros(2, 3, 5, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(at((logits, target), lam=1.0), logits)
    assert gradient.isfinite().all()


def test_map_given_or_computed_is_the_same():
    batch = random_batch(side=9)
    given = target_map("boundary_band", None, prepare(*batch, IGNORED))
    assert at(batch, boundary_band=given) == at(batch)
    assert at(batch, boundary_band=torch.full_like(given, 255)) == dice(*batch, ignore_index=IGNORED)


def test_features_are_asked_for_by_name():
    batch = random_batch()
    with pytest.raises(LossError, match="features="):
        at(batch, space="features")
    with pytest.raises(LossError, match=r"must be \(2, D, 5, 5\)"):
        at(batch, space="features", features=torch.zeros(2, 4, 3, 3))
    with pytest.raises(LossError, match="space is 'pixels'"):
        at(batch, space="pixels")
    assert "features" not in PIXEL_TRIPLET.needs_at({})
    assert "features" in PIXEL_TRIPLET.needs_at({"space": "features"})
