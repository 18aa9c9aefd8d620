"""Topology-aware focal: diagrams against floods, matchings against an assignment solver."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from sweeper.errors import LossError
from sweeper.losses.families.pixel.focal import focal
from sweeper.losses.families.structural.persistence import component_points, hole_points
from sweeper.losses.families.structural.topology import topology_aware_focal
from sweeper.losses.primitives import prepare
from sweeper.losses.target_maps import target_map

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

EVERY = 4096
SQUARE, CROSS = np.ones((3, 3)), ndimage.generate_binary_structure(2, 1)


def at(batch, **values):
    return topology_aware_focal(*batch, ignore_index=IGNORED, **values)


def two_classes(p, target):
    p = torch.as_tensor(p, dtype=torch.float64)
    return torch.stack([1 - p, p]).log()[None], torch.tensor([target])


def random_maps(seed):
    """Maps of all sizes, every other one with many pixels level."""
    rng = np.random.default_rng(seed)
    shape = (2, *rng.integers(1, 9, 2))
    return rng.random(shape) if seed % 2 else rng.integers(0, 4, shape) / 3


def heights(maps, table):
    values = np.concatenate([maps.reshape(len(maps), -1), np.zeros((len(maps), 1))], axis=1)
    return (np.take_along_axis(values, each, axis=1) for each in table)


@pytest.mark.parametrize("seed", range(40))
def test_components_by_flooding(seed):
    """For all a ≥ b, the points born by a that still live at b: parts of {p ≥ b} that hold a pixel of {p ≥ a}."""
    maps = random_maps(seed)
    birth, death = heights(maps, component_points(maps, EVERY))
    for each, born, died in zip(maps, birth, death, strict=True):
        levels = np.unique(each[each > 0])
        for b, a in itertools.combinations_with_replacement(levels, 2):
            parts, _ = ndimage.label(each >= b, SQUARE)
            assert ((born >= a) & (died < b)).sum() == len(np.unique(parts[each >= a]))


@pytest.mark.parametrize("seed", range(40))
def test_holes_by_flooding(seed):
    """The same of holes: parts of {p < a} off the border that hold a pixel of {p < b}."""
    maps = random_maps(seed)
    birth, death = heights(maps, hole_points(maps, EVERY))
    for each, born, died in zip(maps, birth, death, strict=True):
        levels = np.unique(each[each > 0])
        for b, a in itertools.combinations_with_replacement(levels, 2):
            parts, _ = ndimage.label(np.pad(each < a, 1, constant_values=True), CROSS)
            inside = set(np.unique(parts[np.pad(each < b, 1)])) - {0, parts[0, 0]}
            assert ((born >= a) & (died < b)).sum() == len(inside)


@pytest.mark.parametrize("points", [component_points, hole_points])
def test_limit_keeps_the_most_persistent(points):
    maps = np.random.default_rng(0).random((3, 12, 12))
    birth, death = heights(maps, points(maps, EVERY))
    some_birth, some_death = heights(maps, points(maps, 4))
    longest = np.sort(birth - death, axis=1)[:, ::-1][:, :4]
    np.testing.assert_allclose(some_birth - some_death, longest)
    assert points(maps[:0], 4).shape == (2, 0, 1)


def distance_by_assignment(birth, death, wanted):
    """Points of both diagrams against each other and against as many places on the diagonal as there are points."""
    points, goals = np.stack([birth, death], 1), np.tile([1.0, 0.0], (wanted, 1))
    n = len(points)
    cost = np.zeros((n + wanted, wanted + n))
    cost[:n, :wanted] = ((points[:, None] - goals[None]) ** 2).sum(-1)
    cost[:n, wanted:] = ((birth - death) ** 2 / 2)[:, None]
    cost[n:, :wanted] = 0.5
    return cost[linear_sum_assignment(cost)].sum()


@pytest.mark.parametrize(("classes", "seed"), list(itertools.product((2, 3, 5), (0, 1))))
@pytest.mark.parametrize("dims", ["components", "both"])
def test_distance_is_that_of_the_best_matching(classes, seed, dims):
    logits, target = random_batch(classes, seed, side=8)
    prob = (logits.softmax(1) * (target != IGNORED)[:, None]).numpy()
    total = 0.0
    for image, label in itertools.product(range(len(prob)), range(1, classes)):
        own = (target[image] == label).numpy()
        components = ndimage.label(own, SQUARE)[1]
        holes = ndimage.label(np.pad(~own, 1, constant_values=True), CROSS)[1] - 1
        kinds = [(component_points, components), (hole_points, holes)]
        for points, wanted in kinds if dims == "both" else kinds[:1]:
            birth, death = heights(prob[image, label][None], points(prob[image, label][None], EVERY))
            total += distance_by_assignment(birth[0], death[0], wanted)
    expected = 0.3 * total / (len(prob) * (classes - 1)) + focal(logits, target, gamma=1.0, ignore_index=IGNORED).item()
    assert at((logits, target), lam=0.3, gamma=1.0, dims=dims).item() == pytest.approx(expected, abs=1e-10)


def test_worked_by_hand():
    # Points (.9, 0), for the highest peak dies at 0, and (.6, .5) against (1, 0): .1² for the pair and .1² / 2 to the
    # diagonal.
    batch = two_classes([[0.9, 0.5, 0.6]], [[1, 0, 0]])
    value = at(batch, lam=1.0) - at(batch, lam=0.0)
    assert value.item() == pytest.approx(0.1**2 + 0.1**2 / 2, abs=1e-12)
    # A second component in the mask: (.6, .5) moves to (1, 0) for .16 + .25, less than .005 + .5.
    batch = two_classes([[0.9, 0.5, 0.6]], [[1, 0, 1]])
    value = at(batch, lam=1.0) - at(batch, lam=0.0)
    assert value.item() == pytest.approx(0.1**2 + 0.4**2 + 0.5**2, abs=1e-12)


def test_a_hole_worked_by_hand():
    # A ring of .8 with .3 on one side closes at .3 around .1: the point (.3, .1) against (1, 0) costs .49 + .01, a
    # little less than .02 + .5 to the diagonal.
    ring = [[0.8, 0.8, 0.8], [0.3, 0.1, 0.8], [0.8, 0.8, 0.8]]
    batch = two_classes(ring, [[1, 1, 1], [1, 0, 1], [1, 1, 1]])
    value = at(batch, lam=1.0, dims="both") - at(batch, lam=1.0)
    assert value.item() == pytest.approx(0.7**2 + 0.1**2, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_without_weight_it_is_focal(seed):
    batch = random_batch(seed=seed)
    for values in ({"gamma": 2.0}, {"gamma": 0.5, "alpha": 0.25}):
        assert at(batch, lam=0.0, **values) == focal(*batch, ignore_index=IGNORED, **values)


def test_it_is_blind_to_where_a_component_is():
    values = []
    for place in (0, 4):
        p = torch.full((6, 6), 0.05)
        p[place : place + 2, place : place + 2] = 0.9
        target = torch.zeros(6, 6, dtype=torch.int64)
        target[0, 0] = 1
        batch = two_classes(p, target.tolist())
        values.append((at(batch, lam=1.0) - at(batch, lam=0.0)).item())
    assert values[0] == pytest.approx(values[1], abs=1e-12)


def test_the_gradient_reaches_peaks_and_saddles_alone():
    batch = two_classes([[0.9, 0.3, 0.5, 0.6, 0.2]], [[1, 0, 0, 0, 0]])
    logits = batch[0].requires_grad_()
    more, less = (at((logits, batch[1]), lam=lam) for lam in (1.0, 0.0))
    (gradient,) = torch.autograd.grad(more - less, logits)
    slope = gradient[0, 1, 0] / torch.tensor([0.9, 0.3, 0.5, 0.6, 0.2]) / (1 - torch.tensor([0.9, 0.3, 0.5, 0.6, 0.2]))
    # The peak of .9 rises to 1, that of .6 sinks towards its saddle of .3.
    expected = torch.tensor([-0.2, -0.3, 0.0, 0.3, 0.0], dtype=torch.float64)
    torch.testing.assert_close(slope, expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("dims", ["components", "both"])
def test_a_hard_mask_is_at_no_distance_from_itself(dims):
    for seed, pool in itertools.product(range(3), (1, 2, 4)):
        _, target = random_batch(seed=seed, side=9)
        logits = 1e4 * torch.nn.functional.one_hot(target.clamp_max(2), 3).movedim(-1, 1).double()
        assert at((logits, target), lam=1.0, dims=dims, pool=pool) == 0


def test_pooling_is_the_loss_of_the_pooled_maps():
    logits, target = random_batch(classes=2, side=8, ignored=0.0)
    prob = torch.nn.functional.max_pool2d(logits.softmax(1)[:, 1], 2)
    small = torch.stack([1 - prob, prob], 1).log(), torch.nn.functional.max_pool2d(target.double(), 2).long()
    for dims in ("components", "both"):
        pooled = at((logits, target), lam=1.0, pool=2, dims=dims) - at((logits, target), lam=0.0)
        torch.testing.assert_close(pooled, at(small, lam=1.0, dims=dims) - at(small, lam=0.0))


def test_a_mirrored_picture_costs_the_same():
    logits, target = random_batch(side=9)
    for dims in ("components", "both"):
        value = at((logits, target), lam=1.0, dims=dims)
        torch.testing.assert_close(at((logits.flip(-1), target.flip(-1)), lam=1.0, dims=dims), value)
        torch.testing.assert_close(at((logits.flip(-2), target.flip(-2)), lam=1.0, dims=dims), value)


def test_the_points_beyond_the_limit_count_on_neither_side():
    batch = two_classes([[0.9, 0.3, 0.6, 0.2, 0.5]], [[1, 0, 1, 0, 1]])
    value = at(batch, lam=1.0, max_points=1) - at(batch, lam=0.0)
    assert value.item() == pytest.approx(0.1**2, abs=1e-12)


def test_maps_given_or_computed_are_the_same():
    batch = random_batch(side=9)
    pixels = prepare(*batch, IGNORED)
    given = {kind: target_map(kind, None, pixels) for kind in ("components", "holes")}
    value = at(batch, dims="both", lam=1.0)
    assert at(batch, dims="both", lam=1.0, **given) == value
    for kind in given:
        assert at(batch, dims="both", lam=1.0, **{kind: 0 * given[kind]}) != value


def test_torch_transforms_are_refused():
    logits, target = PICTURES["C5"]
    with pytest.raises(LossError, match=r"outside of torch\.func"):
        torch.func.vmap(lambda z: at((z, target)))(logits[None])
