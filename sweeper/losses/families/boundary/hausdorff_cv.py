"""Hausdorff loss by convolution with disks: squared errors weighed by how empty or full the disks around them are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from sweeper.domains import Choice, Uniform
from sweeper.losses.families.boundary.hausdorff import POWERS, pixel_class_mean, squared_error
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import CLASSES
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Classes,
    Dial,
    Pixels,
    check_static,
    dial,
    prepare,
    scored_classes,
)
from sweeper.losses.target_maps import target_map
from sweeper.maps.shapes import RADII


def hausdorff_cv(
    logits: Tensor,
    target: Tensor,
    *,
    alpha: Dial = 2.0,
    largest_radius: int = 18,
    classes: Classes = "foreground",
    disk_response: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the squared error weighed by how much of the disks around a pixel is of the other side: a scalar ≥ 0.

        L = mean over classes of ⟨Σ r^α (p − t)² [f(1 − T) q + f(T) t (1 − q) + f(1 − Q) t + f(Q) q (1 − t)]⟩

    r runs over the radii 3, 6, ... pixels, q = {p > ½}, T and Q are the shares of the disk of radius r around a pixel
    that t and q have, of its part in the image that is not ignored, and f(x) = relu(x − ½). Only (p − t)² has a
    gradient.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        alpha: α ≥ 0, searched in [0.5, 3]. Raising it makes the large disks, and with them the errors far off,
            dominate; precision and recall are left to the mask.
        largest_radius: 3, 6, 9, 12, 15 or 18 pixels, the last disk; static. Raising it tells errors of thick
            objects apart that lie farther off, and costs time; precision and recall are left to the mask.
        classes: `foreground` for all but class 0, or `all`. Classes without a pixel are skipped.
        disk_response: (B, C, 6, H, W), the target map of that name; computed from the target if left out.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Karimi, Salcudean, "Reducing the Hausdorff distance in medical image segmentation with convolutional neural
    networks", IEEE Transactions on Medical Imaging 39, 2020, arXiv:1904.10030. The masks are our reading of the paper,
    which comes without code; disks that reach beyond the image count by their part inside.
    Fails: thin structures fill no disk. A missed pixel of one costs at least half of what one of a thick object does,
    but in large disks hardly less beside a prediction than far from any: distance is lost on them. Its price is the
    map, 12 bytes per pixel and class.
    """
    pixels = prepare(logits, target, ignore_index)
    return hausdorff_cv_of(
        pixels, alpha=alpha, largest_radius=largest_radius, classes=classes, disk_response=disk_response
    )


def hausdorff_cv_of(
    pixels: Pixels,
    *,
    alpha: Dial = 2.0,
    largest_radius: int = 18,
    classes: Classes = "foreground",
    disk_response: Tensor | None = None,
) -> Tensor:
    """Return `hausdorff_cv` of a prepared batch."""
    check_static(HAUSDORFF_CV, largest_radius=largest_radius)
    alpha, scored = dial(alpha, pixels.prob), scored_classes(classes)
    t, q = pixels.onehot[:, scored], pixels.valid * (pixels.prob[:, scored] > 0.5)
    responses = target_map("disk_response", disk_response, pixels)
    counted = torch.cat((q, pixels.valid), dim=1)
    weight = torch.zeros_like(t)
    for index, radius in enumerate(RADII):
        if radius > largest_radius:
            break
        response = responses[:, :, index]
        true_share = response[:, scored] / response.sum(1, keepdim=True).clamp_min(FLOOR)
        sums = disk_sums(counted, radius)
        own_share = sums[:, :-1] / sums[:, -1:].clamp_min(1)
        far_false = _over_half(1 - true_share) * q + _over_half(own_share) * q * (1 - t)
        far_missed = _over_half(true_share) * t * (1 - q) + _over_half(1 - own_share) * t
        weight = weight + float(radius) ** alpha * (far_false + far_missed)
    return pixel_class_mean(pixels, squared_error(pixels, classes) * weight, classes)


def _over_half(share: Tensor) -> Tensor:
    return (share - 0.5).relu()


def disk_sums(x: Tensor, radius: int) -> Tensor:
    """Return the sum over the disk of pixel centres within `radius` around each pixel: (..., H, W), as `x`.

    Every row of the disk is a difference of two running sums: exact for masks, the same under autocast, and
    2 r + 1 additions in place of the π r² of a convolution.
    """
    height, width = x.shape[-2:]
    running = pad(x, (radius + 1, radius, radius, radius)).cumsum(-1)
    total = torch.zeros_like(x)
    reach = min(radius, height - 1)
    for down in range(-reach, reach + 1):
        half = int((radius**2 - down**2) ** 0.5)
        row = running[..., radius + down : radius + down + height, :]
        stop, start = radius + 1 + half, radius - half
        total = total + row[..., stop : stop + width] - row[..., start : start + width]
    return total


HAUSDORFF_CV = Family(
    function=hausdorff_cv,
    title="Hausdorff loss by convolution with disks",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="mean over foreground classes and pixels of Σ r^α (p − t)² w(r), w = how far over ½ the disk around a "
    "pixel is of the other side",
    source="Karimi and Salcudean 2020, arXiv:1904.10030",
    hyperparameters={
        "alpha": Hyperparameter(
            symbol="α",
            legal=POWERS,
            search=Uniform(0.5, 3.0),
            effect="large disks, and with them errors far off, dominate; precision and recall are left to the mask",
        ),
        "largest_radius": Hyperparameter(
            symbol="r",
            legal=Choice(RADII),
            static=True,
            effect="errors of thick objects are told apart farther off, at more time per step; precision and "
            "recall are left to the mask",
        ),
        "classes": CLASSES,
    },
    aliases=("hd_cv",),
    needs=("disk_response",),
    exempt={"pixel order": "disks look at neighbouring pixels"},
    errata=("Jadon 2020 describes it as the maximum of a convolutional kernel; the disks are summed over.",),
    limits="Our reading of the paper, which comes without code: not to be quoted as the authors' numbers. Thin "
    "structures fill no disk: a miss costs hardly less beside a prediction than far from any. The map takes 66 MB per "
    "patch of 512² with 21 classes.",
)
