"""Equalities and orders between losses that hold for any logits: they catch a swapped argument or a wrong factor."""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch

from sweeper.losses.families.combination.combo import combo
from sweeper.losses.families.combination.dice_ce import dice_ce
from sweeper.losses.families.pixel.cross_entropy import cross_entropy, weighted_cross_entropy
from sweeper.losses.families.pixel.focal import focal
from sweeper.losses.families.region.dice import dice, generalized_dice
from sweeper.losses.families.region.iou import iou
from sweeper.losses.families.region.lovasz import lovasz_softmax
from sweeper.losses.families.region.tversky import focal_tversky, tversky
from sweeper.losses.primitives import prepare, soft_counts

from .batches import AWKWARD, IGNORED, random_batch
from .golden import PICTURES

STATIC = [
    {"scope": scope, "classes": classes}
    for scope, classes in itertools.product(["batch", "image"], ["all", "foreground"])
]
GRID = torch.linspace(0.05, 3.0, 12).tolist()


@pytest.fixture(params=[(2, 0), (2, 1), (3, 0), (3, 1), (5, 0), (5, 1)], ids=str)
def batch(request):
    classes, seed = request.param
    return random_batch(classes, seed)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def never_decreasing(values):
    return all(after >= before - 1e-12 for before, after in itertools.pairwise(values))


def class_mean_ce(batch):
    """Mean cross-entropy of each class over its own pixels, by boolean indexing."""
    logits, target = batch
    ce = torch.nn.functional.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
    return torch.stack([ce[target == label].mean() for label in range(logits.shape[1])])


# Pixel losses


def test_cross_entropy_of_equal_logits_is_log_of_the_class_count(batch):
    logits, target = batch
    same(at(cross_entropy, (0 * logits, target)), torch.tensor(math.log(logits.shape[1]), dtype=logits.dtype))


def test_focal_without_focus_is_cross_entropy(batch):
    same(at(focal, batch, gamma=0.0), at(cross_entropy, batch))


def test_focal_of_alpha_one_half_is_half(batch):
    same(at(focal, batch, gamma=1.3, alpha=0.5), at(focal, batch, gamma=1.3) / 2)


def test_focal_of_alpha_one_is_the_foreground_part(batch):
    logits, target = batch
    part = at(focal, (logits, torch.where(target == 0, IGNORED, target)), gamma=1.3)
    foreground = (target != IGNORED) & (target != 0)
    same(at(focal, batch, gamma=1.3, alpha=1.0), part * foreground.sum() / (target != IGNORED).sum())


def test_focal_falls_with_gamma_and_stays_below_cross_entropy(batch):
    values = [at(focal, batch, gamma=gamma) for gamma in GRID]
    assert never_decreasing(values[::-1])
    assert values[0] <= at(cross_entropy, batch)
    assert values[-1] < values[0]


def test_equal_weights_are_cross_entropy(batch):
    classes = batch[0].shape[1]
    for constant in (0.2, 1.0, 7.0):
        same(at(weighted_cross_entropy, batch, class_weights=[constant] * classes), at(cross_entropy, batch))
    same(at(weighted_cross_entropy, batch, power=0.0), at(cross_entropy, batch))


def test_inverse_batch_frequency_is_the_mean_of_class_means(batch):
    same(at(weighted_cross_entropy, batch, power=1.0), class_mean_ce(batch).mean())


def test_frequencies_of_the_batch_given_or_counted_are_the_same(batch):
    logits, target = batch
    valid = target[target != IGNORED]
    share = torch.bincount(valid, minlength=logits.shape[1]) / len(valid)
    given = at(weighted_cross_entropy, batch, power=0.7, class_frequencies=share)
    torch.testing.assert_close(given, at(weighted_cross_entropy, batch, power=0.7), rtol=1e-6, atol=0)


def test_a_class_never_seen_in_training_has_a_finite_weight(batch):
    logits, target = batch
    frequencies = torch.zeros(logits.shape[1])
    frequencies[0] = 1.0
    value = at(weighted_cross_entropy, batch, power=1.0, class_frequencies=frequencies)
    # 1e-7 is the least frequency, so that background weighs a ten-millionth of the rest.
    same_ce = at(cross_entropy, (logits, torch.where(target == 0, IGNORED, target)))
    torch.testing.assert_close(value, same_ce, rtol=1e-5, atol=1e-5)


def test_power_and_frequencies_can_be_batched():
    batch = random_batch()
    powers = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    frequencies = torch.tensor([[0.9, 0.05, 0.05], [0.5, 0.3, 0.2], [0.97, 0.02, 0.01]])
    run = functools.partial(weighted_cross_entropy, *batch, ignore_index=IGNORED)
    together = torch.func.vmap(lambda power, share: run(power=power, class_frequencies=share))(powers, frequencies)
    for index, value in enumerate(together):
        same(value, run(power=powers[index].item(), class_frequencies=frequencies[index]))


def test_raising_a_weight_moves_the_loss_towards_its_class(batch):
    classes = batch[0].shape[1]
    for label, goal in enumerate(class_mean_ce(batch)):
        gaps = []
        for weight in (0.5, 1.0, 4.0, 1000.0):
            weights = [weight if other == label else 1.0 for other in range(classes)]
            gaps.append((at(weighted_cross_entropy, batch, class_weights=weights) - goal).abs())
        assert never_decreasing(gaps[::-1])
        assert gaps[-1] < 0.02 * (gaps[0] + 1e-9) + 1e-3


# Region losses


@pytest.mark.parametrize("smooth", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("static", STATIC, ids=str)
def test_dice_and_iou_are_tversky(batch, smooth, static):
    same(at(tversky, batch, alpha=0.5, beta=0.5, smooth=smooth, **static), at(dice, batch, smooth=smooth, **static))
    same(at(tversky, batch, alpha=1.0, beta=1.0, smooth=smooth, **static), at(iou, batch, smooth=smooth, **static))


@pytest.mark.parametrize("static", STATIC, ids=str)
def test_focal_tversky_of_gamma_one_is_tversky(batch, static):
    values = {"alpha": 0.2, "beta": 0.8, **static}
    same(at(focal_tversky, batch, gamma=1.0, **values), at(tversky, batch, **values))


@pytest.mark.parametrize("gamma", [0.1, 1.0, 4 / 3, 3.0, 10.0])
@pytest.mark.parametrize("static", STATIC, ids=str)
def test_focal_tversky_of_a_perfect_mask_is_zero_with_a_finite_gradient(gamma, static):
    logits, target = AWKWARD["saturated right"]()
    for dtype in (torch.float32, torch.float64):
        typed = logits.detach().to(dtype).requires_grad_()
        value = at(focal_tversky, (typed, target), gamma=gamma, **static)
        assert value == 0
        assert torch.isfinite(torch.autograd.grad(value, typed)[0]).all()


def test_jaccard_and_dice_of_one_class_determine_each_other():
    batch = random_batch(classes=2)
    loss = at(dice, batch, classes="foreground")
    same(at(iou, batch, classes="foreground"), 2 * loss / (1 + loss))


def test_dice_is_at_most_iou(batch):
    assert at(dice, batch) <= at(iou, batch)


def test_tversky_ends_are_recall_and_precision(batch):
    counts = soft_counts(prepare(*batch, IGNORED), "batch")
    recall = (counts.tp / counts.target)[1:].mean()
    precision = (counts.tp / (counts.tp + counts.fp))[1:].mean()
    same(at(tversky, batch, alpha=0.0, beta=1.0), 1 - recall)
    same(at(tversky, batch, alpha=1.0, beta=0.0), 1 - precision)


def test_tversky_rises_with_both_prices(batch):
    assert never_decreasing([at(tversky, batch, alpha=alpha) for alpha in GRID])
    assert never_decreasing([at(tversky, batch, beta=beta) for beta in GRID])


def test_focal_tversky_rises_with_gamma(batch):
    assert never_decreasing([at(focal_tversky, batch, gamma=gamma) for gamma in GRID])


@pytest.mark.parametrize("seed", range(6))
def test_shifting_the_price_to_misses_raises_the_loss_where_misses_are_more(seed):
    batch = random_batch(classes=2, seed=seed)
    counts = soft_counts(prepare(*batch, IGNORED), "batch")
    change = at(tversky, batch, alpha=0.3, beta=0.7) - at(tversky, batch, alpha=0.4, beta=0.6)
    assert (change > 0) == (counts.fn[1] > counts.fp[1])


def test_false_alarms_of_one_class_are_misses_of_the_other():
    counts = soft_counts(prepare(*random_batch(classes=2), IGNORED), "image")
    same(counts.fp[:, 0], counts.fn[:, 1])
    same(counts.fn[:, 0], counts.fp[:, 1])


def test_generalized_dice_of_power_zero_is_the_mean_probability_missed(batch):
    logits, target = batch
    valid = target != IGNORED
    prob = logits.softmax(1).gather(1, target.where(valid, 0).unsqueeze(1)).squeeze(1)[valid]
    same(at(generalized_dice, batch, power=0.0), 1 - prob.mean())


def test_generalized_dice_of_one_class_is_its_dice():
    batch = random_batch(classes=2)
    for power in (0.0, 1.0, 2.0):
        same(at(generalized_dice, batch, power=power, classes="foreground"), at(dice, batch, classes="foreground"))


def test_generalized_dice_of_equal_classes_has_no_dial():
    logits, _ = random_batch(classes=5, images=1)
    target = torch.arange(25).view(1, 5, 5) % 5
    values = [at(generalized_dice, (logits, target), power=power) for power in (0.0, 0.7, 2.0)]
    same(values[0], values[1])
    same(values[0], values[2])


def test_generalized_dice_does_not_notice_how_many_pixels_there_are():
    # Σ w (P + G) of 1/G² weights shrinks as 1/pixels: with many pixels it would sink below the denominator's floor.
    # The steeper power 4 stands in for the pixels that would take.
    logits, target = random_batch(classes=2, images=1, side=32)
    many = logits.float().repeat(16, 1, 1, 1), target.repeat(16, 1, 1)
    for power in (2.0, 4.0):
        one = at(generalized_dice, (logits.float(), target), power=power)
        torch.testing.assert_close(at(generalized_dice, many, power=power), one)


def test_image_scope_is_the_mean_of_the_images(batch):
    logits, target = batch
    for loss in (dice, generalized_dice, iou, lovasz_softmax, tversky, focal_tversky):
        images = [at(loss, (logits[index : index + 1], target[index : index + 1])) for index in range(len(target))]
        same(at(loss, batch, scope="image"), torch.stack(images).mean())


@pytest.mark.parametrize("loss", [dice, generalized_dice, iou, lovasz_softmax, tversky, focal_tversky, combo, dice_ce])
def test_image_scope_leaves_out_images_with_nothing_to_score(loss):
    logits, target = random_batch(images=3)
    target[1] = IGNORED
    kept = logits[[0, 2]], target[[0, 2]]
    same(at(loss, (logits, target), scope="image"), at(loss, kept, scope="image"))


@pytest.mark.parametrize("loss", [dice, generalized_dice, iou, lovasz_softmax, tversky, focal_tversky])
def test_a_background_image_gives_the_foreground_nothing_and_the_background_something(loss):
    logits, target = random_batch()
    target = torch.zeros_like(target)
    logits.requires_grad_()
    foreground = at(loss, (logits, target), classes="foreground")
    assert foreground == 0
    assert (torch.autograd.grad(foreground, logits)[0] == 0).all()
    assert (torch.autograd.grad(at(loss, (logits, target), classes="all"), logits)[0] != 0).any()


@pytest.mark.parametrize(("loss", "alpha"), [(dice, 0.5), (iou, 1.0), (tversky, 0.3)])
def test_smoothing_makes_false_alarms_of_an_absent_class_cost(loss, alpha):
    logits, target = random_batch(classes=2)
    target = torch.zeros_like(target)
    false_alarms = logits.softmax(1)[:, 1].sum()
    value = at(loss, (logits, target), classes="foreground", absent="smooth", smooth=2.0)
    same(value, 1 - 2.0 / (alpha * false_alarms + 2.0))


def test_foreground_leaves_class_zero_out(batch):
    counts = soft_counts(prepare(*batch, IGNORED), "batch")
    per_class = counts.tp / (counts.tp + counts.fp + counts.fn)
    same(at(iou, batch, classes="all"), 1 - per_class.mean())
    same(at(iou, batch, classes="foreground"), 1 - per_class[1:].mean())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("present", [2, 3, 5])
def test_lovasz_of_hard_predictions_is_one_minus_mean_jaccard_of_present_classes(seed, present):
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(present, (2, 4, 4), generator=generator)
    guess = torch.randint(5, (2, 4, 4), generator=generator)
    logits = 1e4 * torch.nn.functional.one_hot(guess, 5).movedim(-1, 1).double()
    target[0, 0, 0] = IGNORED
    valid = target != IGNORED
    jaccard = []
    for label in target[valid].unique():
        own, said = (target == label) & valid, (guess == label) & valid
        jaccard.append((own & said).sum() / (own | said).sum())
    value = at(lovasz_softmax, (logits, target))
    assert value.item() == pytest.approx(1 - torch.stack(jaccard).mean().item(), abs=1e-6)


@pytest.mark.parametrize("static", STATIC, ids=str)
def test_lovasz_by_its_definition(batch, static):
    """Sets and a plain loop, pixel by pixel, in place of cumulative sums and closed-form steps."""
    logits, target = batch
    prob = logits.softmax(1)
    parts = (
        [(prob, target)]
        if static["scope"] == "batch"
        else [(p[None], t[None]) for p, t in zip(prob, target, strict=True)]
    )
    first = 1 if static["classes"] == "foreground" else 0
    losses = []
    for part, labels in parts:
        class_losses = []
        for label in range(first, logits.shape[1]):
            pixels = [
                (abs((own == label) - p), own == label)
                for p, own in zip(part[:, label].flatten().tolist(), labels.flatten().tolist(), strict=True)
                if own != IGNORED
            ]
            pixels.sort(reverse=True)
            own_pixels = sum(own for _, own in pixels)
            total = previous = missed = alarms = 0.0
            for error, own in pixels:
                missed, alarms = missed + own, alarms + (not own)
                jaccard_loss = 1 - (own_pixels - missed) / (own_pixels + alarms)
                total += error * (jaccard_loss - previous)
                previous = jaccard_loss
            class_losses.append(total)
        losses.append(sum(class_losses) / len(class_losses))
    assert at(lovasz_softmax, batch, **static).item() == pytest.approx(sum(losses) / len(losses), abs=1e-12)


def test_region_losses_stay_between_zero_and_one(batch):
    for loss in (dice, generalized_dice, iou, lovasz_softmax, tversky, focal_tversky):
        assert 0 <= at(loss, batch) <= 1


# Combinations


def test_combo_contains_its_parts(batch):
    same(at(combo, batch, alpha=1.0, beta=0.5), at(cross_entropy, batch) / 2)
    for beta in (0.1, 0.5, 0.9):
        same(at(combo, batch, alpha=0.0, beta=beta), at(dice, batch))
    same(2 * at(combo, batch), at(dice, batch) + at(cross_entropy, batch) / 2)


def test_combo_is_linear_in_both_dials(batch):
    for name in ("alpha", "beta"):
        low, middle, high = (at(combo, batch, **{name: value}) for value in (0.2, 0.4, 0.6))
        same(middle, (low + high) / 2)


def test_dice_ce_contains_its_parts(batch):
    same(at(dice_ce, batch, lambda_dice=1.0, lambda_ce=0.0), at(dice, batch))
    same(at(dice_ce, batch, lambda_dice=0.0, lambda_ce=1.0), at(cross_entropy, batch))
    same(at(dice_ce, batch, lambda_dice=3.0, lambda_ce=2.0), 3 * at(dice, batch) + 2 * at(cross_entropy, batch))


@pytest.mark.parametrize("options", [*STATIC, {"smooth": 2.0}, {"absent": "smooth", "smooth": 2.0}], ids=str)
def test_options_reach_the_dice_part(options):
    batch = random_batch(classes=5)
    batch[1][batch[1] == 4] = 0
    same(at(combo, batch, alpha=0.0, **options), at(dice, batch, **options))
    same(at(dice_ce, batch, lambda_ce=0.0, **options), at(dice, batch, **options))


# The dial of a tunable loss: what a missed target pixel pulls, over what a false alarm pushes


def pull_of_a_miss_over_push_of_an_alarm(loss, **values):
    """Ratio of |dL/dp| at B4's badly missed pixel (p = .4) and at its worse false alarm (p = .2)."""
    logits, target = PICTURES["B4"]
    logits = logits.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, target, **values), logits)
    p = logits.detach().softmax(1)[0, 1, 0]
    slope = gradient[0, 1, 0] / (p * (1 - p))
    return (slope[1] / slope[2]).abs().item()


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.5, 0.5), (0.9, 0.1), (0.1, 2.0)])
def test_dial_of_tversky_as_a_number(alpha, beta):
    # For one foreground class it is (α FP + β G) / (α TP); on B4 TP = 1.3, FP = .3, G = 2.
    expected = (alpha * 0.3 + beta * 2) / (alpha * 1.3)
    ratio = pull_of_a_miss_over_push_of_an_alarm(tversky, alpha=alpha, beta=beta)
    assert ratio == pytest.approx(expected, rel=1e-9)
    if (alpha, beta) == (0.3, 0.7):
        assert ratio == pytest.approx(3.820512821, abs=1e-8)


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        (tversky, [{"alpha": 1 - beta, "beta": beta} for beta in (0.1, 0.3, 0.5, 0.7, 0.9)]),
        (focal_tversky, [{"alpha": 1 - beta, "beta": beta} for beta in (0.1, 0.3, 0.5, 0.7, 0.9)]),
        (combo, [{"beta": beta} for beta in (0.1, 0.3, 0.5, 0.7, 0.9)]),
        # Class weights move the operating point too, though they are not counted as a dial.
        (focal, [{"alpha": alpha} for alpha in (0.1, 0.3, 0.5, 0.7, 0.9)]),
        (weighted_cross_entropy, [{"power": k, "class_frequencies": [0.97, 0.03]} for k in (0.0, 0.3, 0.6, 1.0)]),
    ],
    ids=["tversky", "focal_tversky", "combo", "focal", "weighted_cross_entropy"],
)
def test_turning_the_dial_to_recall_makes_misses_pull_harder(loss, settings):
    ratios = [pull_of_a_miss_over_push_of_an_alarm(loss, **values) for values in settings]
    assert all(after > before for before, after in itertools.pairwise(ratios)), ratios
