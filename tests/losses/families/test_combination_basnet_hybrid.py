"""Cross-entropy + SSIM + IoU: it contains its parts, and its options reach them."""

from __future__ import annotations

import itertools

import pytest
import torch

from sweeper.errors import LossError
from sweeper.losses.families.combination.basnet_hybrid import basnet_hybrid
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.region.iou import iou
from sweeper.losses.families.structural.ssim import ssim

from ..batches import IGNORED, random_batch

BATCHES = pytest.mark.parametrize(
    "batch", [random_batch(classes, seed, side=12) for classes in (2, 3, 5) for seed in (0, 1)]
)
WEIGHTS = ("lambda_ce", "lambda_ssim", "lambda_iou")


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


@BATCHES
@pytest.mark.parametrize("weights", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 2, 3)])
def test_contains_its_parts(batch, weights):
    parts = [at(cross_entropy, batch), at(ssim, batch), at(iou, batch)]
    value = at(basnet_hybrid, batch, **dict(zip(WEIGHTS, weights, strict=True)))
    same(value, sum(weight * part for weight, part in zip(weights, parts, strict=True)))


@BATCHES
@pytest.mark.parametrize("window", [3, 5, 7, 11])
def test_the_window_reaches_the_ssim_part(batch, window):
    same(at(basnet_hybrid, batch, window=window, lambda_ce=0.0, lambda_iou=0.0), at(ssim, batch, window=window))


@BATCHES
@pytest.mark.parametrize(
    "options", [{"classes": "foreground"}, {"scope": "image"}, {"absent": "smooth", "smooth": 2.0}, {"smooth": 0.5}]
)
def test_options_reach_the_iou_part(batch, options):
    region = at(iou, batch, **options)
    same(at(basnet_hybrid, batch, **options), at(cross_entropy, batch) + at(ssim, batch) + region)
    assert region != at(iou, batch)


def test_images_smaller_than_the_window_are_refused():
    batch = random_batch(side=8)
    with pytest.raises(LossError, match="images of 8 × 8 pixels are smaller than the window of 11"):
        at(basnet_hybrid, batch)
    values = [at(basnet_hybrid, batch, window=window) for window in (3, 5, 7)]
    assert all(left != right for left, right in itertools.pairwise(values))
