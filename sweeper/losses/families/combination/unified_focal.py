"""Unified focal loss: focal and focal Tversky loss under one set of dials, symmetric and asymmetric."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, SCOPE, SHARE, SMOOTH
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Absent,
    Classes,
    Dial,
    Pixels,
    Scope,
    check_smooth,
    class_mean,
    dial,
    foreground_weights,
    kept_classes,
    masked_mean,
    prepare,
    safe_power,
    soft_counts,
    tversky_index,
)


def unified_focal(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.5,
    delta: Dial = 0.6,
    gamma: Dial = 0.5,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return a blend of focal and focal Tversky loss that share their dials: a scalar ≥ 0.

        L = λ ⟨a(yₙ) (1 − pₙ)^γ (−log pₙ)⟩ + (1 − λ) mean over classes of (1 − TI)^(1 − γ)

    with a = 1 − δ on class 0 and δ on all others, and TI = (TP + s) / (TP + (1 − δ) FP + δ FN + s). As in the authors'
    code, δ is on misses and γ = 0 focuses neither part; as in their paper, λ is on the focal part.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ in [0, 1], the share of the focal part. Raising it improves calibration and lowers recall of small
            classes. 0 is focal Tversky with the exponent 1 − γ, over all classes.
        delta: δ in [0, 1], searched in [0.3, 0.9]. Raising it makes misses dearer: recall rises, precision falls.
        gamma: γ in [0, 1], searched in [0, 0.95]. In a blend, raising it flattens the Tversky part, whose pull on small
            classes goes: their recall falls, precision rises. In the focal part alone, λ = 1, it fades easy pixels,
            most of them background: recall of rare classes rises, precision falls.
        smooth: s ≥ 0 of the Tversky part, pixels added above and below. Raising it damps classes of few pixels.
        scope: of the Tversky part: `batch` pools the counts of all images; `image` takes the loss of each, then the
            mean.
        classes: of the Tversky part: `all`, or `foreground` for all but class 0. On two classes a miss of one is a
            false alarm of the other, so that over all classes the background's own term turns δ partly back.
        absent: of the Tversky part: `skip` leaves out classes without a pixel; `smooth` keeps them and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Yeung, Sala, Schönlieb, Rundo, "Unified focal loss: generalising Dice and cross entropy-based losses to
    handle class imbalanced medical image segmentation", Computerized Medical Imaging and Graphics 95, 2022,
    arXiv:2102.04525.
    Fails: as γ nears 1 the Tversky part costs the same whatever is predicted, and small classes are missed. λ also
    changes the scale of the loss, so losses of different λ must not be ranked by their value.
    """
    check_smooth(absent, smooth)
    pixels = prepare(logits, target, ignore_index)
    focus = torch.ones_like(pixels.valid)
    steepness = pixels.log_prob.new_ones(pixels.log_prob.shape[1])
    return _blend(pixels, focus, steepness, lam, delta, gamma, smooth, scope, classes, absent)


def asymmetric_unified_focal(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.5,
    delta: Dial = 0.6,
    gamma: Dial = 0.5,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return the unified focal loss that fades background pixels alone and sharpens foreground classes alone: ≥ 0.

        L = λ ⟨a(yₙ) (1 − pₙ)^(γ on class 0, else 0) (−log pₙ)⟩
            + (1 − λ) mean over classes of (1 − TI)^(1 on class 0, else 1 − γ)

    with a and TI as in `unified_focal`, which it is for γ = 0. Foreground pixels are never faded, however easy. A
    scalar.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ in [0, 1], the share of the focal part. Raising it improves calibration and lowers recall of small
            classes.
        delta: δ in [0, 1], searched in [0.3, 0.9]. Raising it makes misses dearer: recall rises, precision falls.
        gamma: γ in [0, 1], searched in [0, 0.95]. In a blend, raising it flattens the foreground's Tversky part, whose
            pull on small classes goes: their recall falls, precision rises. In the focal part alone, λ = 1, it fades
            easy background: recall of rare classes rises, precision falls.
        smooth: s ≥ 0 of the Tversky part, pixels added above and below. Raising it damps classes of few pixels.
        scope: of the Tversky part: `batch` pools the counts of all images; `image` takes the loss of each, then the
            mean.
        classes: of the Tversky part: `all`, or `foreground` for all but class 0.
        absent: of the Tversky part: `skip` leaves out classes without a pixel; `smooth` keeps them and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Yeung, Sala, Schönlieb, Rundo, "Unified focal loss: generalising Dice and cross entropy-based losses to
    handle class imbalanced medical image segmentation", Computerized Medical Imaging and Graphics 95, 2022,
    arXiv:2102.04525.
    Fails: as γ nears 1 the foreground's Tversky part costs the same whatever is predicted, and small classes are
    missed; near λ = 1 background that is nearly right then costs hardly anything, which invites false alarms. Losses of
    different λ must not be ranked by their value.
    """
    check_smooth(absent, smooth)
    pixels = prepare(logits, target, ignore_index)
    focus = (pixels.labels == 0).to(pixels.valid.dtype)
    indices = torch.arange(pixels.log_prob.shape[1], device=pixels.valid.device)
    steepness = (indices > 0).to(pixels.valid.dtype)
    return _blend(pixels, focus, steepness, lam, delta, gamma, smooth, scope, classes, absent)


def _blend(
    pixels: Pixels,
    focus: Tensor,
    steepness: Tensor,
    lam: Dial,
    delta: Dial,
    gamma: Dial,
    smooth: Dial,
    scope: Scope,
    classes: Classes,
    absent: Absent,
) -> Tensor:
    """Return the blend, with γ times `focus` (B, 1, H, W) on pixels and γ times `steepness` (C,) on classes."""
    like = pixels.log_prob
    share, price, g = dial(lam, like), dial(delta, like), dial(gamma, like)
    fade = torch.exp(g * focus * pixels.log_one_minus_true)
    pixel_part = masked_mean(foreground_weights(pixels, price) * fade * pixels.cross_entropy, pixels.valid)
    counts = soft_counts(pixels, scope)
    index = tversky_index(counts, 1 - price, price, dial(smooth, like))
    costs = safe_power(1 - index, 1 - g * steepness)
    return share * pixel_part + (1 - share) * class_mean(costs, kept_classes(counts.target, classes, absent))


def _dials(gamma_effect: str) -> dict[str, Hyperparameter]:
    return {
        "lam": Hyperparameter(
            symbol="λ",
            legal=SHARE,
            search=Uniform(0.0, 1.0),
            effect="more focal, less Tversky: calibration improves, recall of small classes falls",
        ),
        "delta": Hyperparameter(
            symbol="δ",
            legal=SHARE,
            search=Uniform(0.3, 0.9),
            effect="price of a miss: recall rises, precision falls",
        ),
        "gamma": Hyperparameter(symbol="γ", legal=SHARE, search=Uniform(0.0, 0.95), effect=gamma_effect),
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    }


_READINGS = (
    "Azad et al. 2023 blend the plain focal and focal Tversky losses; both parts are modified so as to share δ and γ.",
    "The paper's index reads as if δ were on false positives; the authors' code has it on false negatives, as here.",
    "The `weight` of the authors' code is 1 − λ of the paper: it multiplies the Tversky part.",
)


UNIFIED_FOCAL = Family(
    function=unified_focal,
    title="Unified focal loss",
    level="combination",
    overlap="mixed",
    tradeoff="tunable",
    formula="λ · mean of −a (1 − p)^γ log p + (1 − λ) · mean over classes of (1 − TI)^(1 − γ), TI = Tversky index with "
    "1 − δ on FP and δ on FN, a = δ on foreground and 1 − δ on background",
    source="Yeung et al. 2022, arXiv:2102.04525",
    hyperparameters=_dials(
        "the Tversky part flattens and its pull on small classes goes: their recall falls, precision rises; at λ = 1 "
        "easy pixels fade: recall of rare classes rises, precision falls"
    ),
    aliases=("ufl", "sym_unified_focal", "unified_focal_loss"),
    errata=(
        *_READINGS,
        "The paper prints 1 − γ for γ in the symmetric form, which coincide at its ½; its asymmetric form and the code "
        "have γ as here.",
    ),
    limits="As γ nears 1 the Tversky part costs the same whatever is predicted, and small classes are missed; losses "
    "of different λ must not be ranked by their value.",
)


ASYMMETRIC_UNIFIED_FOCAL = Family(
    function=asymmetric_unified_focal,
    title="Asymmetric unified focal loss",
    level="combination",
    overlap="mixed",
    tradeoff="tunable",
    formula="λ · mean of −a (1 − p)^(γ on background, else 0) log p + (1 − λ) · mean over classes of (1 − TI)^(1 on "
    "background, else 1 − γ), a and TI as in the unified focal loss",
    source="Yeung et al. 2022, arXiv:2102.04525",
    hyperparameters=_dials(
        "the foreground's Tversky part flattens and its pull on small classes goes: their recall falls, precision "
        "rises; at λ = 1 easy background fades: recall of rare classes rises, precision falls"
    ),
    aliases=("aufl", "asym_unified_focal", "asymmetric_unified_focal_loss"),
    errata=(
        *_READINGS,
        "MONAI's AsymmetricUnifiedFocalLoss is for two classes, takes probabilities where its documentation says "
        "logits, and halves the focal part.",
    ),
    limits="As γ nears 1 the foreground's Tversky part costs the same whatever is predicted, and small classes are "
    "missed; near λ = 1 background that is nearly right then costs hardly anything, which invites false alarms. Losses "
    "of different λ must not be ranked by their value.",
)
