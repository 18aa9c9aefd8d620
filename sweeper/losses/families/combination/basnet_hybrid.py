"""Cross-entropy + SSIM + IoU: one loss per scale, from the pixel over the window to the region."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import LogUniform
from sweeper.losses.families.region.iou import iou_of
from sweeper.losses.families.structural.ssim import WINDOW, ssim_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, NON_NEGATIVE, SCOPE, SMOOTH
from sweeper.losses.primitives import IGNORE_INDEX, Absent, Classes, Dial, Scope, dial, masked_mean, prepare


def basnet_hybrid(
    logits: Tensor,
    target: Tensor,
    *,
    lambda_ce: Dial = 1.0,
    lambda_ssim: Dial = 1.0,
    lambda_iou: Dial = 1.0,
    window: int = 11,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the weighted sum of cross-entropy, SSIM loss of the foreground and IoU loss: a scalar ≥ 0.

        L = λ₁ cross-entropy + λ₂ SSIM loss + λ₃ IoU loss

    A study searches λ₂ and λ₃ and holds λ₁ at 1: under AdamW only ratios are dials.

    Args:
        logits: (B, C, H, W), any real numbers; H and W at least `window`.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lambda_ce: λ₁ ≥ 0. Raising it improves calibration and lowers recall of small classes.
        lambda_ssim: λ₂ ≥ 0, searched in [0.1, 10] on a logarithmic scale. Raising it sharpens edges: precision and
            recall right beside them rise.
        lambda_iou: λ₃ ≥ 0, searched likewise. Raising it makes small classes count as much as large ones: their recall
            rises.
        window: 3, 5, 7 or 11 pixels along each side of the SSIM part's window, whose σ is 1.5. Raising it forgives
            errors of place: precision and recall of small structures fall.
        smooth: s ≥ 0 of the IoU part, pixels added above and below. Raising it damps classes of few pixels.
        scope: of the IoU part: `batch` pools the counts of all images; `image` takes each image's loss, then the mean.
        classes: of the IoU part: `all`, or `foreground` for all but class 0.
        absent: of the IoU part: `skip` leaves out classes without a pixel; `smooth` keeps them and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these, and on images smaller than the window.
    Source: Qin, Zhang, Huang, Gao, Dehghan, Jagersand, "BASNet: boundary-aware salient object detection", CVPR 2019,
    doi:10.1109/CVPR.2019.00766. UNet 3+ (Huang et al., ICASSP 2020, arXiv:2004.08790) has focal loss for the first
    part and SSIM at several scales.
    Fails: its SSIM part is weak on curves one pixel wide; three parts of different size make the weights hard to read.
    """
    pixels = prepare(logits, target, ignore_index)
    pixel_part = masked_mean(pixels.cross_entropy, pixels.valid)
    window_part = ssim_of(pixels, window=window)
    region_part = iou_of(pixels, smooth=smooth, scope=scope, classes=classes, absent=absent)
    return (
        dial(lambda_ce, pixel_part) * pixel_part
        + dial(lambda_ssim, window_part) * window_part
        + dial(lambda_iou, region_part) * region_part
    )


BASNET_HYBRID = Family(
    function=basnet_hybrid,
    title="Cross-entropy + SSIM + IoU",
    level="combination",
    overlap="mixed",
    tradeoff="symmetric",
    formula="λ₁ · cross-entropy + λ₂ · SSIM loss of the foreground + λ₃ · IoU loss",
    source="Qin et al. 2019, doi:10.1109/CVPR.2019.00766",
    hyperparameters={
        "lambda_ce": Hyperparameter(
            symbol="λ₁",
            legal=NON_NEGATIVE,
            effect="calibration improves, recall of small classes falls; held at 1, since under AdamW only ratios "
            "matter",
        ),
        "lambda_ssim": Hyperparameter(
            symbol="λ₂",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="edges are sharpened: precision and recall right beside them rise",
        ),
        "lambda_iou": Hyperparameter(
            symbol="λ₃",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 10.0),
            effect="small classes count as much as large ones: their recall rises",
        ),
        "window": WINDOW,
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    },
    aliases=("basnet", "ce_ssim_iou"),
    exempt={
        "padding": "windows reach across appended pixels",
        "pixel order": "a window looks at neighbouring pixels",
    },
    limits="The SSIM part is weak on curves one pixel wide; images must be at least as large as its window.",
)
