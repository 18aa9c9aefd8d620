"""The unified focal losses: what they are at the ends of their dials, and what the asymmetric one leaves alone."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.losses.families.combination.unified_focal import asymmetric_unified_focal, unified_focal
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.pixel.focal import focal
from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.region.tversky import focal_tversky, tversky

from ..batches import AWKWARD, IGNORED, random_batch
from ..golden import PICTURES

BATCHES = pytest.mark.parametrize("batch", [random_batch(classes, seed) for classes in (2, 3, 5) for seed in (0, 1)])
BOTH = pytest.mark.parametrize("loss", [unified_focal, asymmetric_unified_focal])
OPTIONS = pytest.mark.parametrize(
    "options", [{"classes": "foreground"}, {"scope": "image"}, {"absent": "smooth", "smooth": 2.0}, {"smooth": 0.5}]
)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def filled(label, seed=0):
    logits, target = random_batch(seed=seed)
    return logits, torch.where(target == IGNORED, IGNORED, label)


@BATCHES
def test_known_losses_at_the_ends_of_the_dials(batch):
    same(at(unified_focal, batch, lam=1.0, delta=0.5, gamma=0.0), at(cross_entropy, batch) / 2)
    same(at(unified_focal, batch, lam=1.0, delta=0.5, gamma=0.7), at(focal, batch, gamma=0.7) / 2)
    same(at(unified_focal, batch, lam=1.0, delta=0.8, gamma=0.7), at(focal, batch, gamma=0.7, alpha=0.8))
    same(at(unified_focal, batch, lam=0.0, delta=0.5, gamma=0.0), at(dice, batch))
    same(
        at(unified_focal, batch, lam=0.0, delta=0.8, gamma=0.0),
        at(tversky, batch, alpha=0.2, beta=0.8, classes="all"),
    )
    same(
        at(unified_focal, batch, lam=0.0, delta=0.8, gamma=0.25),
        at(focal_tversky, batch, alpha=0.2, beta=0.8, gamma=1 / 0.75, classes="all"),
    )


@pytest.mark.parametrize("gamma", [0.0, 0.25, 0.5, 0.9])
def test_the_tversky_part_is_focal_tversky_also_on_perfect_masks(gamma):
    batch = AWKWARD["saturated right"]()
    steep = {"alpha": 0.2, "beta": 0.8, "gamma": 1 / (1 - gamma), "classes": "all"}
    value, expected = at(unified_focal, batch, lam=0.0, delta=0.8, gamma=gamma), at(focal_tversky, batch, **steep)
    assert value == expected == 0
    # So near to it that the power is on its line to 0.
    logits = torch.tensor([20.0, 0.0, 0.0, 17.0], dtype=torch.float64).reshape(1, 2, 1, 2)
    batch = logits, torch.tensor([[[0, 1]]])
    value, expected = at(unified_focal, batch, lam=0.0, delta=0.8, gamma=gamma), at(focal_tversky, batch, **steep)
    assert value > 0
    same(value, expected)


@BATCHES
def test_without_focus_both_are_one(batch):
    for lam, delta in itertools.product((0.0, 0.3, 1.0), (0.3, 0.9)):
        values = {"lam": lam, "delta": delta, "gamma": 0.0}
        same(at(asymmetric_unified_focal, batch, **values), at(unified_focal, batch, **values))


@BATCHES
@BOTH
def test_linear_in_the_share_of_the_focal_part(batch, loss):
    low, middle, high = (at(loss, batch, lam=lam) for lam in (0.0, 0.25, 1.0))
    same(middle, 0.75 * low + 0.25 * high)


@BATCHES
@OPTIONS
def test_options_reach_the_tversky_part(batch, options):
    values = {"lam": 0.0, "delta": 0.7, "gamma": 0.4}
    expected = at(focal_tversky, batch, alpha=0.3, beta=0.7, gamma=1 / 0.6, **({"classes": "all"} | options))
    same(at(unified_focal, batch, **values, **options), expected)
    assert at(unified_focal, batch, **values) != expected


@BATCHES
@OPTIONS
def test_options_reach_the_asymmetric_tversky_part(batch, options):
    values = {"lam": 0.0, "delta": 0.7, "gamma": 0.4}
    if options == {"classes": "foreground"}:
        same(at(asymmetric_unified_focal, batch, **values, **options), at(unified_focal, batch, **values, **options))
    assert at(asymmetric_unified_focal, batch, **values, **options) != at(asymmetric_unified_focal, batch, **values)


@BATCHES
def test_the_background_class_keeps_its_tversky_loss(batch):
    classes = batch[0].shape[1]
    values = {"lam": 0.0, "delta": 0.7}
    every = at(unified_focal, batch, gamma=0.0, **values) * classes
    foreground = at(unified_focal, batch, gamma=0.0, classes="foreground", **values) * (classes - 1)
    steep = at(unified_focal, batch, gamma=0.5, classes="foreground", **values) * (classes - 1)
    same(at(asymmetric_unified_focal, batch, gamma=0.5, **values), (every - foreground + steep) / classes)


@pytest.mark.parametrize("seed", [0, 1])
def test_foreground_pixels_are_never_faded_and_background_ones_are(seed):
    foreground, background = filled(2, seed), filled(0, seed)
    for gamma in (0.0, 0.5, 0.95):
        values = {"lam": 1.0, "gamma": gamma}
        same(at(asymmetric_unified_focal, foreground, **values), 0.6 * at(cross_entropy, foreground))
        same(at(asymmetric_unified_focal, background, **values), at(unified_focal, background, **values))


@pytest.mark.parametrize("picture", ["B4", "G5", "C5", "M5"])
@pytest.mark.parametrize(
    ("weight", "gamma", "delta"), [(0.5, 0.5, 0.6), (0.3, 0.2, 0.8), (1.0, 0.7, 0.7), (0.0, 0.0, 0.4)]
)
def test_asymmetric_is_that_of_monai_with_its_focal_part_doubled(picture, weight, gamma, delta):
    from monai.losses import AsymmetricUnifiedFocalLoss

    logits, target = PICTURES[picture]
    prob, onehot = logits.softmax(1), torch.nn.functional.one_hot(target, 2).movedim(-1, 1)

    def theirs(share):
        return AsymmetricUnifiedFocalLoss(weight=share, gamma=gamma, delta=delta)(prob, onehot).item()

    expected = weight * 2 * theirs(1.0) + (1 - weight) * theirs(0.0)
    value = asymmetric_unified_focal(logits, target, lam=weight, gamma=gamma, delta=delta).item()
    assert value == pytest.approx(expected, rel=1e-5)


@BOTH
@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.95, 1.0])
def test_a_perfect_prediction_costs_nothing(loss, gamma):
    assert at(loss, AWKWARD["saturated right"](), gamma=gamma) == 0


def pull_of_a_miss_over_push_of_an_alarm(loss, **values):
    """Ratio of |dL/dp| at B4's badly missed pixel (p = .4) and at its worse false alarm (p = .2)."""
    logits, target = PICTURES["B4"]
    logits = logits.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, target, **values), logits)
    p = logits.detach().softmax(1)[0, 1, 0]
    slope = gradient[0, 1, 0] / (p * (1 - p))
    return (slope[1] / slope[2]).abs().item()


@BOTH
@pytest.mark.parametrize("rest", [{}, {"lam": 0.0, "classes": "foreground"}, {"lam": 1.0}, {"gamma": 0.0}])
def test_turning_delta_up_makes_misses_pull_harder(loss, rest):
    ratios = [pull_of_a_miss_over_push_of_an_alarm(loss, delta=delta, **rest) for delta in (0.3, 0.45, 0.6, 0.75, 0.9)]
    assert all(after > before for before, after in itertools.pairwise(ratios)), ratios


def pull_of_a_small_class_over_push_of_alarms(loss, seen, **values):
    """Ratio of the summed gradient on a class of 3 % with p = `seen` all over to that on as many alarms with p = .3."""
    target = torch.zeros(1, 1, 1000, dtype=torch.int64)
    target[..., :30] = 1
    p = torch.full((1, 1, 1000), 0.02, dtype=torch.float64)
    p[..., :30], p[..., 30:60] = seen, 0.3
    logits = torch.stack([1 - p, p], dim=1).log().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, target, **values), logits)
    return -(gradient[0, 1, 0, :30].sum() / gradient[0, 1, 0, 30:60].sum()).item()


@BOTH
@pytest.mark.parametrize("seen", [0.1, 0.3, 0.6])
def test_turning_gamma_up_in_a_blend_takes_the_pull_of_a_small_class(loss, seen):
    # The Tversky part flattens. The symmetric form has its least at γ = ¾: beyond, the focal part is nearly all.
    ratios = [pull_of_a_small_class_over_push_of_alarms(loss, seen, gamma=gamma) for gamma in (0.0, 0.5, 0.95)]
    assert ratios[0] == max(ratios), ratios
    assert ratios[2] < 0.8 * ratios[0], ratios
    alone = [pull_of_a_small_class_over_push_of_alarms(loss, seen, lam=1.0, gamma=g) for g in (0.0, 0.5, 0.95)]
    assert alone[0] < alone[1] < alone[2], alone


@BOTH
def test_turning_gamma_up_in_the_focal_part_alone_makes_misses_pull_harder(loss):
    ratios = [pull_of_a_miss_over_push_of_an_alarm(loss, lam=1.0, gamma=gamma) for gamma in (0.0, 0.3, 0.6, 0.95)]
    assert all(after > before for before, after in itertools.pairwise(ratios)), ratios
