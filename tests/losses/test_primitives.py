"""The pieces losses are made of, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch

from sweeper.errors import LossError
from sweeper.losses.catalogue import FAMILIES
from sweeper.losses.families.pixel.cross_entropy import cross_entropy, weighted_cross_entropy
from sweeper.losses.families.pixel.focal import focal
from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.region.lovasz import lovasz_softmax
from sweeper.losses.primitives import (
    batch_frequencies,
    class_mean,
    kept_classes,
    masked_mean,
    prepare,
    safe_power,
    soft_counts,
    sorted_errors,
    tversky_index,
)

from .batches import IGNORED, random_batch
from .golden import PICTURES


def test_probabilities_and_onehot_of_t4i():
    logits, target = PICTURES["T4i"]
    pixels = prepare(logits, target, IGNORED)
    assert pixels.prob[0, :, 0, 1].tolist() == pytest.approx([0.3, 0.5, 0.2])
    assert pixels.onehot[0, :, 0, 1].tolist() == [0, 1, 0]
    assert pixels.onehot[0, :, 1, 1].tolist() == [0, 0, 0]
    assert pixels.valid.flatten().tolist() == [1, 1, 1, 0]
    assert pixels.true_log_prob[0, 0, 1, 0].item() == pytest.approx(math.log(0.4))
    assert pixels.log_one_minus_true[0, 0, 1, 0].item() == pytest.approx(math.log(0.6))


def test_log_one_minus_true_keeps_its_digits_where_the_probability_rounds_to_one():
    logits = torch.tensor([0.0, 50.0]).view(1, 2, 1, 1)
    pixels = prepare(logits, torch.ones(1, 1, 1, dtype=torch.int64), IGNORED)
    assert pixels.prob[0, 1].item() == 1.0
    assert pixels.log_one_minus_true.item() == pytest.approx(-50.0)


def test_soft_counts_of_the_pictures():
    counts = soft_counts(prepare(*PICTURES["B4"], IGNORED), "batch")
    assert counts.tp.tolist() == pytest.approx([1.7, 1.3])
    assert counts.fp.tolist() == pytest.approx([0.7, 0.3])
    assert counts.fn.tolist() == pytest.approx([0.3, 0.7])
    assert counts.target.tolist() == [2, 2]
    counts = soft_counts(prepare(*PICTURES["T4"], IGNORED), "image")
    assert counts.tp.shape == (1, 3)
    assert counts.tp[0].tolist() == pytest.approx([1.3, 0.5, 0.4])
    assert counts.fp[0].tolist() == pytest.approx([0.55, 0.85, 0.4])
    assert counts.fn[0].tolist() == pytest.approx([0.7, 0.5, 0.6])


def test_few_false_positives_of_a_large_class_survive_float32():
    # 4 million background pixels at p₀ = .9999999 and 9 foreground pixels at p₀ = .1: FP₀ is .9. As P₀ − TP₀ it would
    # be a difference of two numbers of which float32 knows only every quarter.
    side = 2048
    logits = torch.zeros(1, 2, side, side)
    logits[:, 0] = 16.0
    logits[:, 0, 0, :9] = -math.log(9)
    target = torch.zeros(1, side, side, dtype=torch.int64)
    target[0, 0, :9] = 1
    assert soft_counts(prepare(logits, target, IGNORED), "batch").fp[0].item() == pytest.approx(0.9, rel=1e-5)


def test_tversky_index_worked_by_hand():
    # B4's foreground: 1.3 / (1.3 + .3 · .3 + .7 · .7) = 1.3 / 1.88.
    counts = soft_counts(prepare(*PICTURES["B4"], IGNORED), "batch")
    assert tversky_index(counts, 0.3, 0.7, 0.0)[1].item() == pytest.approx(1.3 / 1.88)
    assert tversky_index(counts, 0.3, 0.7, 2.0)[1].item() == pytest.approx(3.3 / 3.88)


def test_masked_mean():
    values, valid = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([1.0, 1.0, 0.0])
    assert masked_mean(values, valid).item() == 1.5
    assert masked_mean(values, valid, torch.tensor([3.0, 1.0, 100.0])).item() == 1.25
    assert masked_mean(values, torch.zeros(3)).item() == 0
    assert masked_mean(values, torch.zeros(3), torch.ones(3)).item() == 0


def test_batch_frequencies_are_at_least_one_pixel():
    logits, _ = random_batch(classes=3, images=1, side=2)
    frequencies = batch_frequencies(prepare(logits, torch.tensor([[[0, 0], [1, IGNORED]]]), IGNORED))
    assert frequencies.tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3])


def test_which_classes_are_kept():
    mass = torch.tensor([[5.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    assert kept_classes(mass, "all", "skip").tolist() == [[1, 0, 1], [0, 0, 0]]
    assert kept_classes(mass, "foreground", "skip").tolist() == [[0, 0, 1], [0, 0, 0]]
    assert kept_classes(mass, "all", "smooth").tolist() == [[1, 1, 1], [0, 0, 0]]
    assert kept_classes(mass[0], "foreground", "smooth").tolist() == [0, 1, 1]


def test_class_mean_is_of_classes_then_of_images():
    values = torch.tensor([[1.0, 7.0, 3.0], [5.0, 8.0, 9.0], [7.0, 7.0, 7.0]])
    kept = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert class_mean(values, kept).item() == (2.0 + 5.0) / 2
    assert class_mean(values[0], kept[0]).item() == 2.0
    assert class_mean(values[0], kept[2]).item() == 0.0


def test_safe_power_is_a_power_down_to_the_floor_and_a_line_below():
    base = torch.tensor([0.0, 2.5e-8, 5e-8, 1e-7, 1e-3, 1.0, 8.0], dtype=torch.float64, requires_grad=True)
    power = safe_power(base, 1 / 3)
    floor = (1e-7) ** (1 / 3)
    expected = torch.tensor([0.0, floor / 4, floor / 2, floor, 0.1, 1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(power, expected)
    (slope,) = torch.autograd.grad(power.sum(), base)
    assert torch.isfinite(slope).all()
    line, curve = floor / 1e-7, expected[4:] / (3 * base.detach()[4:])
    # At the ends of the line either side's slope is right.
    torch.testing.assert_close(slope[[1, 2]], torch.full((2,), line, dtype=torch.float64))
    torch.testing.assert_close(slope[4:], curve)


@pytest.mark.parametrize("exponent", [0.0, 0.1, 0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_safe_power_of_zero_or_a_rounding_error_below_is_zero_with_a_finite_slope(exponent, dtype):
    base = torch.tensor([0.0, -6e-8, 0.5], dtype=dtype, requires_grad=True)
    power = safe_power(base, exponent)
    assert power.tolist() == pytest.approx([0.0, 0.0, 0.5**exponent])
    assert power[0] == power[1] == 0
    assert torch.isfinite(torch.autograd.grad(power.sum(), base)[0]).all()


def test_sorted_errors_put_ignored_pixels_last():
    errors, target = sorted_errors(prepare(*PICTURES["T4i"], IGNORED), "batch")
    assert errors[0].tolist() == pytest.approx([0.3, 0.3, 0.25, 0.0])
    assert target[0].tolist() in ([1, 0, 0, 0], [0, 1, 0, 0])
    assert target.sum(1).tolist() == [1, 1, 1]


def test_lovasz_gradient_survives_float32_on_a_million_pixels():
    logits, target = random_batch(classes=2, images=1, side=1024)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        typed = logits.float().to(dtype).requires_grad_()
        gradients.append(torch.autograd.grad(lovasz_softmax(typed, target, ignore_index=IGNORED), typed)[0].double())
    assert (gradients[0] - gradients[1]).norm() <= 1e-3 * gradients[1].norm()


@pytest.mark.parametrize(
    ("logits", "target", "says"),
    [
        (
            torch.zeros(3, 4, 4),
            torch.zeros(4, 4, dtype=torch.int64),
            r"logits have shape \(3, 4, 4\).*\(batch, classes",
        ),
        (torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64), "at least 2 classes"),
        (torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.int64), r"target has shape.*must be \(1, 4, 4\)"),
        (torch.zeros(2, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64), r"must be \(2, 4, 4\)"),
        (torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4), r"torch.float32.*int64.*target.long\(\)"),
        (torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8), "torch.uint8"),
        (torch.zeros(1, 2, 4, 4, dtype=torch.int64), torch.zeros(1, 4, 4, dtype=torch.int64), "floating point"),
        ([[1.0]], torch.zeros(1, 4, 4, dtype=torch.int64), "must be tensors, got list and Tensor"),
        (torch.zeros(1, 2, 4, 4), torch.full((1, 4, 4), 2), "label outside 0 to 1 that is not ignore_index=-100"),
        (torch.zeros(1, 2, 4, 4), torch.full((1, 4, 4), -1), "label outside 0 to 1"),
    ],
)
@pytest.mark.parametrize("loss", [cross_entropy, dice, lovasz_softmax])
def test_calls_outside_the_contract_are_refused_in_one_line(loss, logits, target, says):
    with pytest.raises(LossError, match=says) as caught:
        loss(logits, target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "settings", "says"),
    [
        (dice, {"scope": "imgae"}, "scope is 'imgae'; did you mean 'image'"),
        (dice, {"classes": "fg"}, "classes is 'fg'; choose from all, foreground"),
        (dice, {"absent": "drop"}, "absent is 'drop'"),
        (dice, {"denominator": 2}, "denominator is 2"),
        (dice, {"absent": "smooth"}, "`smooth`, which is 0; set it above 0"),
        (weighted_cross_entropy, {"normalize": "weight"}, "normalize is 'weight'; did you mean 'weights'"),
        (weighted_cross_entropy, {"class_weights": [1.0, 2.0]}, r"class_weights has shape \(2,\); with 3 classes"),
        (weighted_cross_entropy, {"class_frequencies": torch.ones(1, 3)}, r"class_frequencies has shape \(1, 3\)"),
    ],
)
def test_options_outside_the_contract_are_refused(loss, settings, says):
    with pytest.raises(LossError, match=says):
        loss(*random_batch(), ignore_index=IGNORED, **settings)


@pytest.mark.parametrize("loss", [row.function for row in FAMILIES.values() if "absent" in row.hyperparameters])
def test_absent_classes_are_not_scored_without_smoothing(loss):
    logits, target = random_batch(side=12)  # as large as the largest window
    with pytest.raises(LossError, match="absent='smooth' scores absent classes"):
        loss(logits, target, absent="smooth", smooth=0.0, ignore_index=IGNORED)


def test_focal_takes_hyperparameters_that_require_gradients():
    gamma = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    logits, target = random_batch()
    assert torch.autograd.gradcheck(lambda gamma: focal(logits, target, gamma=gamma, ignore_index=IGNORED), (gamma,))
