"""Structural similarity loss: binary cross-entropy of the pixels that least resemble the mask's structure."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import Choice, LogUniform, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE, SHARE, check_static
from sweeper.losses.primitives import IGNORE_INDEX, Dial, Pixels, dial, masked_mean, prepare
from sweeper.losses.windows import gaussian_window, replicate, window_moments

_VARIANCE_FLOOR = 1e-8
"""Inside the root, whose slope at 0 is infinite."""


def ssl(
    logits: Tensor,
    target: Tensor,
    *,
    beta: Dial = 0.1,
    lam: Dial = 0.5,
    c4: Dial = 0.01,
    window: int = 3,
    sigma: Dial = 1.5,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return a blend of cross-entropy and the binary cross-entropy of structurally wrong pixels: a scalar ≥ 0.

        L = λ ⟨−log pₙ⟩ + (1 − λ) Σ e h BCE / max(Σ h, 1),    h = 1 where e > β max e, else 0

    summed over valid pixels and classes, with e = |(t − μt + C₄)/(σt + C₄) − (p − μp + C₄)/(σp + C₄)| and the mean μ
    and standard deviation σ of the mask t and of the probability p in a Gaussian window. A large e is a low
    correlation: those pixels are kept, and well-correlated ones dropped. The paper leaves open how it is blended with
    cross-entropy and over what e is largest; here over the batch.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`. In a window, ignored pixels are 0 in both.
        beta: β in [0, 1], searched in [0, 0.9]. 0 keeps every pixel with an error. Raising it leaves only the
            structurally worst ones, misses or false alarms: whether precision or recall gains changes with the masks
            and in the course of training.
        lam: λ in [0, 1], the share of cross-entropy. Raising it returns to its precision and recall.
        c4: C₄ ≥ 0, searched in [0.001, 0.1] on a logarithmic scale. Raising it damps e where a window of the mask or
            of the prediction is nearly flat; over this range neither precision nor recall is favoured.
        window: 3, 5 or 7 pixels along each side. Raising it compares with a wider surrounding: small structures stand
            out less and their recall falls.
        sigma: σ > 0 of the Gaussian in pixels. Raising it does the same, as far as the window reaches.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Zhao, Wu, Chu, Hu, Cai, "Correlation maximized structural similarity loss for semantic segmentation", 2019,
    arXiv:1910.08711.
    Fails: where window and prediction are both flat, the size of e is limited by C₄ alone. Which pixels are kept
    changes from step to step, and with it the loss.
    """
    check_static(SSL, window=window)
    pixels = prepare(logits, target, ignore_index)
    share = dial(lam, pixels.log_prob)
    pixel_part = masked_mean(pixels.cross_entropy, pixels.valid)
    return share * pixel_part + (1 - share) * _structure_part(pixels, beta, c4, window, sigma)


def _structure_part(pixels: Pixels, beta: Dial, c4: Dial, window: int, sigma: Dial) -> Tensor:
    """Return Σ e h BCE / max(Σ h, 1)."""
    prob, onehot = pixels.valid * pixels.prob, pixels.onehot
    margin = window // 2
    weights = gaussian_window(window, sigma, prob)
    near = window_moments(replicate(prob, margin), replicate(onehot, margin), weights)
    c = dial(c4, prob)
    of_prob = (prob - near.mean_x + c) / ((near.var_x + _VARIANCE_FLOOR).sqrt() + c)
    of_target = (onehot - near.mean_y + c) / ((near.var_y + _VARIANCE_FLOOR).sqrt() + c)
    error = pixels.valid * (of_target - of_prob).abs()
    fixed = error.detach()
    # The zero is for a batch without images, which has no largest error.
    largest = torch.cat([fixed.flatten(), fixed.new_zeros(1)]).max()
    kept = (fixed > dial(beta, fixed) * largest).to(error.dtype)
    binary = -onehot * pixels.log_prob - (pixels.valid - onehot) * pixels.log_one_minus
    return (kept * error * binary).sum() / kept.sum().clamp_min(1)


SSL = Family(
    function=ssl,
    title="Structural similarity loss",
    level="structural",
    overlap="mixed",
    tradeoff="symmetric",
    formula="λ · cross-entropy + (1 − λ) · mean of e · BCE where e > β max e, e = |normalized mask − normalized p|",
    source="Zhao et al. 2019, arXiv:1910.08711",
    hyperparameters={
        "beta": Hyperparameter(
            symbol="β",
            legal=SHARE,
            search=Uniform(0.0, 0.9),
            effect="only the structurally worst pixels are left, misses or false alarms: whether precision or recall "
            "gains changes with the masks",
        ),
        "lam": Hyperparameter(
            symbol="λ",
            legal=SHARE,
            search=Uniform(0.0, 1.0),
            effect="more cross-entropy: back to its precision and recall",
        ),
        "c4": Hyperparameter(
            symbol="C₄",
            legal=NON_NEGATIVE,
            search=LogUniform(1e-3, 0.1),
            effect="errors where a window is nearly flat count less; neither precision nor recall is favoured",
        ),
        "window": Hyperparameter(
            symbol="window",
            legal=Choice((3, 5, 7)),
            static=True,
            effect="a wider surrounding is compared: small structures stand out less, their recall falls",
        ),
        "sigma": Hyperparameter(
            symbol="σ",
            legal=Uniform(0.1, 100.0),
            effect="as the window, as far as it reaches: recall of small structures falls",
        ),
    },
    aliases=("structural_similarity_loss", "cms_sim", "ssl_loss"),
    exempt={
        "padding": "windows reach across appended pixels",
        "pixel order": "a window looks at neighbouring pixels",
    },
    errata=(
        "Jadon 2020 writes that pixels without correlation are abandoned; it is the reverse: large e is low "
        "correlation, and those pixels are kept.",
        "Jadon 2020 loses the grouping in e, which is the absolute difference of two fractions.",
    ),
    limits="Where mask and prediction are both flat, only C₄ limits e; which pixels are kept changes from step to "
    "step, and with it the loss. At many classes it takes memory: 1.1 GB per image at 21 classes of 512 × 512 pixels.",
)
