"""Distance-map cross-entropy: weights by brute force, every pixel against every other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.func import grad_and_value, vmap
from torch.nn import functional

from sweeper.errors import LossError
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.pixel.distance_map import distance_map_cross_entropy
from sweeper.maps.kinds import compute_map

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

MODES = ("reverse", "reverse_paper", "inverse", "exp")


@pytest.fixture(params=[(2, 0), (2, 1), (3, 0), (3, 1), (5, 0), (5, 1)], ids=str)
def batch(request):
    classes, seed = request.param
    return blocky(classes, seed)


def blocky(classes, seed):
    """Regions several pixels deep, some pixels ignored, and a last image with one class alone."""
    logits, _ = random_batch(classes, seed, side=9, images=3)
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(classes, (3, 3, 3), generator=generator)
    coarse.view(3, -1)[:, :classes] = torch.arange(classes)
    target = coarse.repeat_interleave(3, 1).repeat_interleave(3, 2)
    target[torch.rand(target.shape, generator=generator) < 0.1] = IGNORED
    target[2] = torch.where(target[2] == IGNORED, IGNORED, 1)
    return logits, target


def at(batch, **values):
    return distance_map_cross_entropy(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def given_map(target, classes):
    maps = [compute_map("own_distance", image.numpy(), classes) for image in target]
    return torch.from_numpy(np.stack(maps))


def distances(image):
    """Distance of each valid pixel to the nearest of another class, and its label; None where there is no other."""
    pixels = [((row, col), label) for (row, col), label in np.ndenumerate(image.numpy()) if label != IGNORED]
    nearest = {
        place: min((math.dist(place, other) for other, theirs in pixels if theirs != label), default=None)
        for place, label in pixels
    }
    return nearest, dict(pixels)


def nearness(image, mode, sigma):
    """Φ of each pixel of one image."""
    nearest, labels = distances(image)
    phi = torch.zeros(image.shape, dtype=torch.float64)
    for place, d in nearest.items():
        if d is None:
            continue
        farthest = max(nearest[other] for other, label in labels.items() if label == labels[place])
        phi[place] = {
            "reverse": (farthest - d + 1) / farthest,
            "reverse_paper": (farthest - d) / farthest,
            "inverse": 1 / d,
            "exp": math.exp(-(d - 1) / sigma),
        }[mode]
    return phi


@pytest.mark.parametrize("mode", MODES)
def test_by_its_definition(batch, mode):
    logits, target = batch
    phi = torch.stack([nearness(image, mode, 2.5) for image in target])
    assert (phi[:2] > 0).any()
    assert (phi[2] == 0).all()
    terms = functional.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
    expected = ((1 + 1.7 * phi) * terms).sum() / (target != IGNORED).sum()
    # Maps are float32.
    torch.testing.assert_close(at(batch, mode=mode, weight=1.7, sigma=2.5), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("mode", "phi"),
    [
        ("reverse", [0.5, 1.0, 1.0, 0.5]),
        ("reverse_paper", [0.0, 0.5, 0.5, 0.0]),
        ("inverse", [0.5, 1.0, 1.0, 0.5]),
        ("exp", [math.exp(-0.2), 1.0, 1.0, math.exp(-0.2)]),
    ],
)
def test_four_pixels_in_a_row_worked_by_hand(mode, phi):
    # B4: two foreground pixels beside two of background, so that d is 2, 1, 1, 2.
    terms = [0.105360516, 0.916290732, 0.223143551, 0.105360516]
    expected = sum((1 + 3 * each) * term for each, term in zip(phi, terms, strict=True)) / 4
    value = distance_map_cross_entropy(*PICTURES["B4"], weight=3.0, mode=mode)
    assert value.item() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("mode", MODES)
def test_linear_in_its_weight_from_cross_entropy_upwards(batch, mode):
    base = cross_entropy(*batch, ignore_index=IGNORED)
    values = [at(batch, mode=mode, weight=weight) for weight in (0.0, 1.0, 2.0, 10.0)]
    same(values[0], base)
    same(values[2] - values[1], values[1] - values[0])
    same(values[3] - base, 10 * (values[1] - base))
    assert all(after > before for before, after in itertools.pairwise(values))


def test_a_wide_band_is_cross_entropy_times_one_plus_its_weight():
    logits, target = blocky(3, 0)
    batch = logits[:2], target[:2]
    expected = 3.5 * cross_entropy(*batch, ignore_index=IGNORED)
    torch.testing.assert_close(at(batch, mode="exp", sigma=1e6, weight=2.5), expected, rtol=1e-4, atol=0)
    values = [at(batch, mode="exp", sigma=sigma) for sigma in (0.5, 1.0, 5.0, 50.0)]
    assert all(after > before for before, after in itertools.pairwise(values))


def test_one_class_alone_is_cross_entropy():
    logits, target = random_batch(side=8)
    batch = logits, torch.where(target == IGNORED, IGNORED, 2)
    for mode in MODES:
        same(at(batch, mode=mode, weight=5.0), cross_entropy(*batch, ignore_index=IGNORED))


def test_the_papers_reversal_leaves_a_thin_curve_out_and_ours_does_not():
    logits, target = PICTURES["C5"]
    curve = (target == 1).unsqueeze(1).expand_as(logits)
    for mode, factor in (("reverse", 4.0), ("reverse_paper", 1.0)):
        logits = logits.detach().clone().requires_grad_()
        (heavy,) = torch.autograd.grad(distance_map_cross_entropy(logits, target, mode=mode, weight=3.0), logits)
        (light,) = torch.autograd.grad(distance_map_cross_entropy(logits, target, mode=mode, weight=0.0), logits)
        same(heavy[curve], factor * light[curve])


@pytest.mark.parametrize("mode", MODES)
def test_the_map_given_or_computed_is_the_same(batch, mode):
    logits, target = batch
    given = given_map(target, logits.shape[1])
    assert at(batch, mode=mode, own_distance=given) == at(batch, mode=mode)
    assert at(batch, mode=mode, own_distance=given.flip(-1)) != at(batch, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_settings_and_models_can_be_batched_where_the_map_is_given(mode):
    batches = [blocky(3, seed) for seed in range(3)]
    logits, targets = (torch.stack(each) for each in zip(*batches, strict=True))
    maps = torch.stack([given_map(target, 3) for target in targets])
    weights = torch.tensor([0.1, 1.0, 20.0], dtype=torch.float64)
    sigmas = torch.tensor([5.0, 50.0, 1.0], dtype=torch.float64)

    def run(logits, target, own_distance, weight, sigma):
        return at((logits, target), own_distance=own_distance, weight=weight, sigma=sigma, mode=mode)

    gradients, losses = vmap(grad_and_value(run))(logits, targets, maps, weights, sigmas)
    for index, batch in enumerate(batches):
        leaf = batch[0].clone().requires_grad_()
        value = at((leaf, batch[1]), weight=weights[index].item(), sigma=sigmas[index].item(), mode=mode)
        same(losses[index], value)
        same(gradients[index], torch.autograd.grad(value, leaf)[0])


def test_unknown_mode_is_refused():
    with pytest.raises(LossError, match="mode is 'reversed'; did you mean 'reverse'"):
        distance_map_cross_entropy(*PICTURES["B4"], mode="reversed")
