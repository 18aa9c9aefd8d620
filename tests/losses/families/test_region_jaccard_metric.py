"""Jaccard metric loss: IoU and Dice on hard labels, and the only one of them that is right on soft labels."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.region.iou import iou, iou_of
from sweeper.losses.families.region.jaccard_metric import jaccard_metric
from sweeper.losses.primitives import prepare

from ..batches import IGNORED, random_batch

every_batch = pytest.mark.parametrize(
    "batch", [random_batch(*each) for each in itertools.product((2, 3, 5), (0, 1))], ids=lambda each: "batch"
)
STATIC = [
    {"scope": scope, "classes": classes}
    for scope, classes in itertools.product(["batch", "image"], ["all", "foreground"])
]


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def smoothed(target, classes, epsilon):
    """Soft labels (B, C, H, W), 0 on ignored pixels."""
    valid = (target != IGNORED).unsqueeze(1)
    onehot = torch.nn.functional.one_hot(target.where(target != IGNORED, 0), classes).movedim(-1, 1).double()
    return valid * ((1 - epsilon) * onehot + epsilon / classes)


def product_form(batch, soft):
    """`iou` with soft labels in place of the one-hot ones."""
    pixels = prepare(*batch, IGNORED)
    vars(pixels)["onehot"] = soft
    return iou_of(pixels)


@every_batch
@pytest.mark.parametrize("smooth", [0.0, 2.0])
@pytest.mark.parametrize("static", STATIC, ids=str)
def test_on_hard_labels_it_is_iou_or_dice(batch, smooth, static):
    same(at(jaccard_metric, batch, a=1.0, smooth=smooth, **static), at(iou, batch, smooth=smooth, **static))
    same(at(jaccard_metric, batch, a=0.5, smooth=smooth, **static), at(dice, batch, smooth=smooth, **static))


def test_absent_classes_are_skipped_or_scored_as_iou_does():
    batch = random_batch(classes=5)
    batch[1][batch[1] == 4] = 0
    same(at(jaccard_metric, batch), at(iou, batch))
    scored = {"absent": "smooth", "smooth": 1.5}
    same(at(jaccard_metric, batch, **scored), at(iou, batch, **scored))
    # Smoothing puts mass on every class; one without a pixel is absent all the same.
    logits, target = batch
    present = at(jaccard_metric, (logits, target), epsilon=0.1)
    with_absent = at(jaccard_metric, (logits, target), epsilon=0.1, absent="smooth", smooth=1e-9)
    assert abs(present - with_absent) > 1e-3


@every_batch
@pytest.mark.parametrize(("a", "epsilon"), [(1.0, 0.1), (0.5, 0.2), (0.7, 0.05)])
def test_by_its_definition_with_norms(batch, a, epsilon):
    logits, target = batch
    classes = logits.shape[1]
    prob, soft = logits.softmax(1) * (target != IGNORED).unsqueeze(1), smoothed(target, classes, epsilon)
    p, t, apart = (each.abs().sum((0, 2, 3)) for each in (prob, soft, prob - soft))
    hit = (p + t - apart) / 2
    index = hit / (hit + a * (p - hit) + a * (t - hit))
    same(at(jaccard_metric, batch, a=a, epsilon=epsilon), 1 - index.mean())


@pytest.mark.parametrize("epsilon", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("a", [0.5, 1.0])
def test_it_is_zero_where_the_prediction_is_the_soft_label(a, epsilon):
    for classes in (2, 3, 5):
        _, target = random_batch(classes, ignored=0.0)
        soft = smoothed(target, classes, epsilon)
        met, sharper = (soft.log(), target), (1.5 * soft.log(), target)
        assert at(jaccard_metric, met, a=a, epsilon=epsilon).item() == pytest.approx(0, abs=1e-12)
        assert at(jaccard_metric, sharper, a=a, epsilon=epsilon) > 0.01
        # IoU of the same soft labels, a form of products, is not at its least there: sharper predictions cost less.
        assert product_form(sharper, soft) < product_form(met, soft) - 0.001


def test_at_one_half_the_soft_label_is_met_and_the_hard_one_missed_by_two_thirds():
    batch = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    assert at(jaccard_metric, batch, epsilon=1.0).item() == pytest.approx(0)
    # Against hard labels p = ½ everywhere is ½ over ½ + ½ + ½.
    assert at(iou, batch).item() == pytest.approx(2 / 3)


@every_batch
def test_it_is_monai_with_soft_labels(batch):
    from monai.losses import DiceLoss

    logits, target = batch
    valid = (target != IGNORED).unsqueeze(1)
    soft = smoothed(target, logits.shape[1], 0.1)
    arguments = {"batch": True, "smooth_nr": 0.0, "smooth_dr": 1e-12, "soft_label": True}
    for a, jaccard in ((1.0, True), (0.5, False)):
        expected = DiceLoss(**arguments, jaccard=jaccard)(logits.softmax(1) * valid, soft)
        assert at(jaccard_metric, batch, a=a, epsilon=0.1).item() == pytest.approx(expected.item(), abs=1e-9)


def test_raising_a_flattens_the_loss_far_from_the_mask_and_steepens_it_near():
    target = torch.zeros(1, 1, 100, dtype=torch.int64)
    target[..., :3] = 1
    slopes = {}
    for a, right in itertools.product((0.5, 0.7, 1.0), (0.05, 0.98)):
        p = torch.where(target == 1, right, 0.01).double()
        logits = torch.stack([1 - p, p], dim=1).log().requires_grad_()
        value = jaccard_metric(logits, target, a=a, classes="foreground")
        slopes[a, right] = torch.autograd.grad(value, logits)[0].norm()
    assert slopes[0.5, 0.05] > slopes[0.7, 0.05] > slopes[1.0, 0.05]
    assert slopes[0.5, 0.98] < slopes[0.7, 0.98] < slopes[1.0, 0.98]


@every_batch
def test_raising_a_raises_the_loss(batch):
    values = [at(jaccard_metric, batch, a=a, epsilon=0.1) for a in (0.5, 0.6, 0.8, 1.0)]
    assert all(after > before for before, after in itertools.pairwise(values))
