"""Agreement with well-kept libraries, where they compute the paper's formula.

Their defaults differ from ours in what they do with absent classes, smoothing and scope, so the arguments that make the
formulas equal are spelled out.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from sweeper.losses.families.combination.dice_ce import dice_ce
from sweeper.losses.families.pixel.cross_entropy import cross_entropy, weighted_cross_entropy
from sweeper.losses.families.pixel.focal import focal
from sweeper.losses.families.region.dice import dice, generalized_dice
from sweeper.losses.families.region.iou import iou
from sweeper.losses.families.region.lovasz import lovasz_softmax
from sweeper.losses.families.region.tversky import tversky

from .batches import IGNORED, random_batch
from .golden import PICTURES

RANDOM = {
    f"C={classes} seed={seed}": random_batch(classes, seed) for classes, seed in itertools.product([2, 3, 5], [0, 1])
}
BATCHES = {**PICTURES, **RANDOM}
FULL = {name: batch for name, batch in PICTURES.items() if name != "T4i"} | {
    f"C={classes} full": random_batch(classes, ignored=0.0) for classes in (2, 3, 5)
}
EXACT = {"smooth_nr": 0.0, "smooth_dr": 1e-12, "batch": True, "softmax": True, "to_onehot_y": True}

every_batch = pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
# MONAI's GeneralizedDiceLoss and DiceCELoss have no ignore_index.
every_full_batch = pytest.mark.parametrize("batch", FULL.values(), ids=FULL)


@pytest.fixture(scope="module")
def smp():
    import segmentation_models_pytorch.losses as losses

    return losses


@pytest.fixture(scope="module")
def monai():
    import monai.losses as losses

    return losses


def ours(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values).item()


def theirs(module, batch):
    logits, target = batch
    return module(logits, target.unsqueeze(1)).item()


@every_batch
def test_cross_entropy_is_torch(batch):
    assert ours(cross_entropy, batch) == pytest.approx(
        functional.cross_entropy(*batch, ignore_index=IGNORED).item(), abs=1e-12
    )


@every_batch
def test_weighted_cross_entropy_is_torch(batch):
    weights = torch.arange(1, batch[0].shape[1] + 1, dtype=torch.float64)
    expected = functional.cross_entropy(*batch, weight=weights, ignore_index=IGNORED).item()
    assert ours(weighted_cross_entropy, batch, class_weights=weights) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_two_classes_are_binary_cross_entropy(seed):
    logits, target = random_batch(classes=2, seed=seed, ignored=0.0)
    expected = functional.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], target.double())
    assert ours(cross_entropy, (logits, target)) == pytest.approx(expected.item(), abs=1e-12)


def test_torch_gives_nan_where_every_pixel_is_ignored_and_we_give_zero():
    logits, target = random_batch()
    target = torch.full_like(target, IGNORED)
    assert functional.cross_entropy(logits, target, ignore_index=IGNORED).isnan()
    assert ours(cross_entropy, (logits, target)) == 0


@every_batch
@pytest.mark.parametrize("smooth", [0.0, 1.0])
@pytest.mark.parametrize("log_loss", [False, True])
def test_dice_and_iou_are_smp(smp, batch, smooth, log_loss):
    arguments = {"mode": "multiclass", "smooth": smooth, "log_loss": log_loss, "ignore_index": IGNORED}
    values = {"smooth": smooth, "log_loss": log_loss}
    assert ours(dice, batch, **values) == pytest.approx(smp.DiceLoss(**arguments)(*batch).item(), abs=1e-9)
    # smp's JaccardLoss has no ignore_index.
    if not (batch[1] == IGNORED).any():
        del arguments["ignore_index"]
        assert ours(iou, batch, **values) == pytest.approx(smp.JaccardLoss(**arguments)(*batch).item(), abs=1e-9)


@every_batch
@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.7, 0.3), (1.0, 1.0)])
def test_tversky_is_smp(smp, batch, alpha, beta):
    everything = smp.TverskyLoss("multiclass", alpha=alpha, beta=beta, ignore_index=IGNORED)
    assert ours(tversky, batch, alpha=alpha, beta=beta, classes="all") == pytest.approx(
        everything(*batch).item(), abs=1e-9
    )
    labels = list(range(1, batch[0].shape[1]))
    foreground = smp.TverskyLoss("multiclass", classes=labels, alpha=alpha, beta=beta, ignore_index=IGNORED)
    assert ours(tversky, batch, alpha=alpha, beta=beta) == pytest.approx(foreground(*batch).item(), abs=1e-9)


@every_batch
@pytest.mark.parametrize("scope", ["batch", "image"])
def test_lovasz_is_smp(smp, batch, scope):
    # smp's version is float32 only.
    logits, target = batch
    module = smp.LovaszLoss("multiclass", ignore_index=IGNORED, per_image=scope == "image")
    expected = module(logits.float(), target).item()
    assert ours(lovasz_softmax, batch, scope=scope) == pytest.approx(expected, abs=2e-6)


@every_batch
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("classes", ["all", "foreground"])
@pytest.mark.parametrize("scope", ["batch", "image"])
def test_dice_is_monai(monai, batch, squared, classes, scope):
    arguments = EXACT | {"batch": scope == "batch", "include_background": classes == "all", "squared_pred": squared}
    denominator = "squared" if squared else "linear"
    expected = theirs(monai.DiceLoss(**arguments, ignore_index=IGNORED), batch)
    value = ours(dice, batch, denominator=denominator, classes=classes, scope=scope)
    # Squared, MONAI takes the norm of a float32 one-hot and squares it again.
    assert value == pytest.approx(expected, abs=2e-7 if squared else 1e-9)


@every_batch
@pytest.mark.parametrize("classes", ["all", "foreground"])
def test_iou_is_monai(monai, batch, classes):
    module = monai.DiceLoss(**EXACT, jaccard=True, include_background=classes == "all", ignore_index=IGNORED)
    assert ours(iou, batch, classes=classes) == pytest.approx(theirs(module, batch), abs=1e-9)


@every_full_batch
@pytest.mark.parametrize(("power", "weighting"), [(2.0, "square"), (1.0, "simple"), (0.0, "uniform")])
@pytest.mark.parametrize("classes", ["all", "foreground"])
def test_generalized_dice_is_monai(monai, batch, power, weighting, classes):
    module = monai.GeneralizedDiceLoss(**EXACT, w_type=weighting, include_background=classes == "all")
    # MONAI takes the weights from a float32 one-hot.
    value = ours(generalized_dice, batch, power=power, classes=classes)
    assert value == pytest.approx(theirs(module, batch), abs=2e-7)


@every_batch
@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.7, 0.3)])
def test_tversky_is_monai(monai, batch, alpha, beta):
    module = monai.TverskyLoss(**EXACT, alpha=alpha, beta=beta, include_background=False, ignore_index=IGNORED)
    assert ours(tversky, batch, alpha=alpha, beta=beta) == pytest.approx(theirs(module, batch), abs=1e-9)


@every_batch
@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_is_monai(monai, batch, gamma, alpha):
    # With ignore_index MONAI divides by the valid pixels as we do; without, by pixels × classes. Float32 inside.
    module = monai.FocalLoss(use_softmax=True, to_onehot_y=True, gamma=gamma, alpha=alpha, ignore_index=IGNORED)
    assert ours(focal, batch, gamma=gamma, alpha=alpha) == pytest.approx(theirs(module, batch), rel=1e-6)
    if not (batch[1] == IGNORED).any():
        module = monai.FocalLoss(use_softmax=True, to_onehot_y=True, gamma=gamma, alpha=alpha)
        classes = batch[0].shape[1]
        assert ours(focal, batch, gamma=gamma, alpha=alpha) == pytest.approx(classes * theirs(module, batch), rel=1e-6)


@every_full_batch
@pytest.mark.parametrize(("lambda_dice", "lambda_ce"), [(1.0, 1.0), (0.3, 2.0)])
def test_dice_ce_is_monai(monai, batch, lambda_dice, lambda_ce):
    module = monai.DiceCELoss(**EXACT, lambda_dice=lambda_dice, lambda_ce=lambda_ce)
    value = ours(dice_ce, batch, lambda_dice=lambda_dice, lambda_ce=lambda_ce)
    assert value == pytest.approx(theirs(module, batch), abs=1e-9)
