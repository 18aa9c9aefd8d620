"""clDice and skeleton recall: what centrelines and tubes add to the losses they are mixed with."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from sweeper.losses.families.combination.dice_ce import dice_ce
from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.region.tversky import tversky
from sweeper.losses.families.structural.cldice import cldice
from sweeper.losses.families.structural.skeleton_recall import skeleton_recall
from sweeper.losses.primitives import prepare
from sweeper.losses.target_maps import target_map

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

BATCHES = pytest.mark.parametrize(("classes", "seed"), list(itertools.product((2, 3, 5), (0, 1))))


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def soft_skeleton(x, iterations):
    """Shit et al. with scipy's grey morphology: past the border the nearest pixel, which no minimum notices."""
    cross = ndimage.generate_binary_structure(2, 1)

    def eroded(x):
        return ndimage.grey_erosion(x, footprint=cross, mode="nearest")

    def opened(x):
        return ndimage.grey_dilation(eroded(x), size=(3, 3), mode="nearest")

    skeleton = np.maximum(x - opened(x), 0)
    for _ in range(iterations):
        x = eroded(x)
        delta = np.maximum(x - opened(x), 0)
        skeleton = skeleton + np.maximum(delta - skeleton * delta, 0)
    return skeleton


def centreline_by_hand(batch, iterations, smooth, scope, first=1):
    logits, target = batch
    prob, target = logits.softmax(1).numpy(), target.numpy()
    prob = prob * (target != IGNORED)[:, None]
    sums = np.zeros((len(prob), prob.shape[1], 4))
    for image, label in np.ndindex(sums.shape[:2]):
        p, t = prob[image, label], (target[image] == label).astype(float)
        said, true = soft_skeleton(p, iterations), soft_skeleton(t, iterations)
        sums[image, label] = (said * t).sum(), said.sum(), (true * p).sum(), true.sum()
    groups = [sums.sum(0)] if scope == "batch" else list(sums)
    present = [(target == label).reshape(len(target), -1).sum(1) for label in range(prob.shape[1])]
    losses = []
    for index, group in enumerate(groups):
        parts = []
        for label in range(first, prob.shape[1]):
            if (present[label].sum() if scope == "batch" else present[label][index]) > 0:
                precision = (group[label, 0] + smooth) / (group[label, 1] + smooth)
                sensitivity = (group[label, 2] + smooth) / (group[label, 3] + smooth)
                parts.append(1 - 2 * precision * sensitivity / (precision + sensitivity))
        losses.append(np.mean(parts))
    return np.mean(losses)


@BATCHES
@pytest.mark.parametrize("scope", ["batch", "image"])
def test_cldice_without_centreline_is_dice(classes, seed, scope):
    batch = random_batch(classes, seed)
    for which in ("foreground", "all"):
        values = {"scope": scope, "classes": which}
        same(at(cldice, batch, a=0.0, **values), at(dice, batch, **values))


@BATCHES
@pytest.mark.parametrize(("iterations", "smooth"), [(1, 1.0), (3, 0.5), (10, 2.0)])
def test_centreline_is_that_of_grey_morphology(classes, seed, iterations, smooth):
    batch = random_batch(classes, seed, side=9)
    for scope in ("batch", "image"):
        value = at(cldice, batch, a=1.0, iterations=iterations, smooth=smooth, scope=scope)
        assert value.item() == pytest.approx(centreline_by_hand(batch, iterations, smooth, scope), abs=1e-9)
    value = at(cldice, batch, a=1.0, iterations=iterations, smooth=smooth, classes="all")
    assert value.item() == pytest.approx(centreline_by_hand(batch, iterations, smooth, "batch", first=0), abs=1e-9)


def test_cldice_is_linear_in_a():
    batch = random_batch()
    low, middle, high = (at(cldice, batch, a=a) for a in (0.0, 0.3, 1.0))
    same(middle, 0.7 * low + 0.3 * high)
    assert low != high


@pytest.mark.parametrize("picture", ["B4", "G5", "C5"])
@pytest.mark.parametrize("iterations", [1, 3])
def test_centreline_is_monai(picture, iterations):
    from monai.losses import SoftclDiceLoss

    logits, target = PICTURES[picture]
    onehot = torch.nn.functional.one_hot(target, 2).movedim(-1, 1).double()
    for s in (1.0, 0.3):
        module = SoftclDiceLoss(iterations, s, s, smooth=1e-12, include_background=False, softmax=True)
        value = at(cldice, (logits, target), a=1.0, iterations=iterations, smooth=s)
        assert value.item() == pytest.approx(module(logits, onehot).item(), abs=1e-9)


def test_centreline_of_a_curve_one_pixel_wide_is_the_curve():
    # S(t) = t, so that the sensitivity is the soft recall, 3.8 / 5 on C5; the precision is 8.1 / 9.1 of s = 1.
    logits, target = PICTURES["C5"]
    precision, sensitivity = 0.892156863, (3.8 + 1) / (5 + 1)
    expected = 1 - 2 * precision * sensitivity / (precision + sensitivity)
    assert cldice(logits, target, a=1.0).item() == pytest.approx(expected, abs=1e-8)


def test_a_gap_costs_the_centreline_more_than_a_thinner_curve():
    target = torch.zeros(1, 9, 9, dtype=torch.int64)
    target[0, :, 3:6] = 1
    gap, thin = target.clone(), target.clone()
    gap[0, 4] = 0
    thin[0, :, 3] = 0
    cost = {}
    for name, guess in (("gap", gap), ("thin", thin)):
        logits = 20 * torch.nn.functional.one_hot(guess, 2).movedim(-1, 1).double()
        cost[name] = [at(cldice, (logits, target), a=a).item() for a in (0.0, 1.0)]
    assert cost["gap"][0] < cost["thin"][0]
    assert cost["gap"][1] > cost["thin"][1]


@pytest.mark.parametrize(("loss", "kind"), [(cldice, "skeleton_level"), (skeleton_recall, "skeleton_distance")])
@pytest.mark.parametrize("seed", range(2))
def test_map_given_or_computed_is_the_same(loss, kind, seed):
    batch = random_batch(seed=seed, side=9)
    given = target_map(kind, None, prepare(*batch, IGNORED))
    same(at(loss, batch, **{kind: given}), at(loss, batch))
    assert at(loss, batch, **{kind: given.flip(-1)}) != at(loss, batch)


# Skeleton recall


@BATCHES
@pytest.mark.parametrize("scope", ["batch", "image"])
def test_skeleton_recall_without_its_term_is_dice_and_cross_entropy(classes, seed, scope):
    batch = random_batch(classes, seed)
    same(at(skeleton_recall, batch, lam=0.0, scope=scope), at(dice_ce, batch, scope=scope))


def bars(seed, width=5):
    """Straight bars of class 1 across the image, some of it ignored, and random logits."""
    logits, target = random_batch(classes=3, seed=seed, side=15, images=2)
    ignored = target == IGNORED
    target = torch.zeros_like(target)
    target[:, :, 2 : 2 + width] = 1
    target[:, :, 12] = 2
    ignored[:, :, 2 : 2 + width] = ignored[:, :, 12] = False
    return logits, torch.where(ignored, IGNORED, target)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scope", ["batch", "image"])
@pytest.mark.parametrize(("width", "tube"), [(1, 0), (3, 4), (5, 4)])
def test_a_tube_as_wide_as_the_object_is_recall(seed, scope, width, tube):
    # Thinning shortens thick bars at their ends: to reach their corners the tube is wider than half the bar.
    batch = bars(seed, width)
    values = {"tube": tube, "scope": scope}
    term = at(skeleton_recall, batch, lam=3.0, **values) - at(skeleton_recall, batch, lam=2.0, **values)
    same(term, at(tversky, batch, alpha=0.0, beta=1.0, scope=scope))


def test_tube_grows_with_its_radius_and_stays_in_the_class():
    logits, target = bars(0, width=9)
    term = {}
    for tube in range(5):
        marked = logits.clone().requires_grad_()
        more, less = (at(skeleton_recall, (marked, target), lam=lam, tube=tube) for lam in (2.0, 1.0))
        (gradient,) = torch.autograd.grad(more - less, marked)
        term[tube] = gradient.abs().sum(1) > 1e-15
        assert not (term[tube] & ((target == 0) | (target == IGNORED))).any()
    assert term[0][0, 7].nonzero().flatten().tolist() == [6, 12]
    for tube in range(4):
        assert (term[tube] & ~term[tube + 1]).sum() == 0
        # In rows away from the bar's ends the tube is 2 tube + 1 pixels wide.
        assert term[tube][0, 7, :11].sum() == 2 * tube + 1


def test_a_class_with_no_pixel_has_no_skeleton_to_recall():
    logits, target = random_batch(classes=4, side=7)
    without = torch.where(target == 3, 0, target)
    term = at(skeleton_recall, (logits, without), lam=1.0) - at(skeleton_recall, (logits, without), lam=0.0)
    prob = logits.softmax(1)
    near = target_map("skeleton_distance", None, prepare(logits, without, IGNORED)) <= 2
    recalls = [prob[:, k][near[:, k] & (without == k)].mean() for k in (1, 2)]
    same(term, 1 - torch.stack(recalls).mean())


def test_turning_lambda_up_makes_misses_pull_harder():
    logits, target = PICTURES["B4"]
    ratios = []
    for lam in (0.0, 0.1, 1.0, 10.0):
        z = logits.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(skeleton_recall(z, target, lam=lam), z)
        ratios.append((gradient[0, 1, 0, 1] / gradient[0, 1, 0, 2]).abs().item())
    assert all(after > before for before, after in itertools.pairwise(ratios)), ratios
