"""SSIM loss: likeness of prediction and mask in small windows."""

from __future__ import annotations

from torch import Tensor

from sweeper.domains import Choice, Uniform
from sweeper.errors import LossError
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import CLASSES, check_static
from sweeper.losses.primitives import IGNORE_INDEX, Classes, Dial, Pixels, class_mean, kept_classes, prepare
from sweeper.losses.windows import gaussian_window, window_moments

WINDOW = Hyperparameter(
    symbol="window",
    legal=Choice((3, 5, 7, 11)),
    static=True,
    effect="a wider window forgives errors of place, and precision and recall of small structures fall",
)
_C1, _C2 = 0.01**2, 0.03**2
"""The paper's (0.01 L)² and (0.03 L)² for values from 0 to L = 1."""


def ssim(
    logits: Tensor,
    target: Tensor,
    *,
    window: int = 11,
    sigma: Dial = 1.5,
    classes: Classes = "foreground",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus the mean structural similarity of probabilities and mask, per class: a scalar in [0, 2].

        L = 1 − mean over classes of ⟨(2 μp μt + C₁) (2 σpt + C₂) / ((μp² + μt² + C₁) (σp² + σt² + C₂))⟩

    with means μ, variances σ² and the covariance σpt in a Gaussian window around each pixel, meaned over valid pixels
    whose window lies in the image whole. Where both are 0 all over a window it costs nothing.

    Args:
        logits: (B, C, H, W), any real numbers; H and W at least `window`.
        target: (B, H, W) int64, class indices or `ignore_index`. In a window, ignored pixels are 0 in both.
        window: 3, 5, 7 or 11 pixels along each side. Raising it forgives errors of place: precision and recall of small
            structures fall.
        sigma: σ > 0 of the Gaussian in pixels, searched in [0.5, 3]. Raising it does the same, as far as the window
            reaches; near 0 each pixel is compared by itself.
        classes: `foreground` for all but class 0, or `all`. Classes without a pixel in the batch are skipped.

    Raises: LossError on shapes, dtypes or options other than these, and on images smaller than the window.
    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13(4), 2004, doi:10.1109/TIP.2003.819861.
    Fails: a curve one pixel wide fills little of any window and teaches slowly, and false alarms far from the object
    are cheap in a window that is flat otherwise; use it with cross-entropy or IoU. Pixels within half a window of the
    image's edge are no window's centre.
    """
    return ssim_of(prepare(logits, target, ignore_index), window=window, sigma=sigma, classes=classes)


def ssim_of(pixels: Pixels, *, window: int = 11, sigma: Dial = 1.5, classes: Classes = "foreground") -> Tensor:
    """Return `ssim` of a prepared batch."""
    check_static(SSIM, window=window)
    height, width = pixels.valid.shape[-2:]
    if min(height, width) < window:
        raise LossError(
            f"images of {height} × {width} pixels are smaller than the window of {window}; use larger patches or set "
            "window lower (3, 5 or 7)"
        )
    prob, onehot = pixels.valid * pixels.prob, pixels.onehot
    near = window_moments(prob, onehot, gaussian_window(window, sigma, prob))
    means = (2 * near.mean_x * near.mean_y + _C1) / (near.mean_x**2 + near.mean_y**2 + _C1)
    shapes = (2 * near.cov + _C2) / (near.var_x + near.var_y + _C2)
    margin = window // 2
    centres = pixels.valid[..., margin : height - margin, margin : width - margin]
    dims = (0, 2, 3)
    cost = (centres * (1 - means * shapes)).sum(dims) / centres.sum().clamp_min(1)
    return class_mean(cost, kept_classes(onehot.sum(dims), classes, "skip"))


SSIM = Family(
    function=ssim,
    title="SSIM loss",
    level="structural",
    overlap="mixed",
    tradeoff="symmetric",
    formula="1 − mean over windows of (2 μp μt + C₁)(2 σpt + C₂) / ((μp² + μt² + C₁)(σp² + σt² + C₂)), t = mask",
    source="Wang et al. 2004, doi:10.1109/TIP.2003.819861",
    hyperparameters={
        "window": WINDOW,
        "sigma": Hyperparameter(
            symbol="σ",
            legal=Uniform(0.1, 100.0),
            search=Uniform(0.5, 3.0),
            effect="errors of place are forgiven over more pixels: precision and recall of small structures fall",
        ),
        "classes": CLASSES,
    },
    aliases=("structural_similarity", "dssim", "ssim_loss"),
    exempt={
        "padding": "windows reach across appended pixels",
        "pixel order": "a window looks at neighbouring pixels",
    },
    errata=(
        "A popular cheat sheet names the similarity itself, which is to be raised; the loss is one minus it.",
        "kornia's ssim_loss is half of one minus the similarity, and pads the image so that every pixel has a window.",
    ),
    limits="Weak on curves one pixel wide and on false alarms in flat surroundings, so use it with cross-entropy or "
    "IoU; images must be at least as large as the window. At many classes it takes memory: 2.1 GB per image at 21 "
    "classes of 512 × 512 pixels.",
)
