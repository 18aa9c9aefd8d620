"""Class-proportion prior: cross-entropy, and a penalty where predicted areas differ from those of the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Choice, LogUniform, Value
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Dial,
    Vector,
    check_option,
    dial,
    image_mean,
    masked_mean,
    pooled_dims,
    prepare,
    vector,
)


def size_prior(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.1,
    kind: Literal["kl", "l1"] = "kl",
    prior: Literal["batch", "image", "dataset"] = "batch",
    class_frequencies: Vector | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return cross-entropy plus the distance of predicted class shares from a prior: a scalar ≥ 0.

        L = cross-entropy + λ Σ over classes of π log(π / p̄)

    with π the share of a class among the pixels and p̄ the mean of its probability, a soft area. The second part is 0
    where every class has its area, wherever it may lie and though no pixel be decided; a false alarm and a miss cancel.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ ≥ 0, searched in [0.001, 10] on a logarithmic scale. 0 is cross-entropy. Raising it holds soft areas p̄ to
            those of the target. Cross-entropy calibrates these already, so that precision and recall hardly move at
            first; a large λ makes probabilities unsure everywhere, and recall of rare classes falls.
        kind: `kl`, or `l1` for λ Σ |π − p̄|.
        prior: what π and p̄ are taken over: the pixels of the `batch`, those of each `image`, or, for π, the `dataset`
            with p̄ over the batch.
        class_frequencies: (C,) share of each class among the training pixels, for prior `dataset`; without it the
            shares of this batch. Divided by their sum.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Zhou, Li, Bai, Wang, Chen, Han, Fishman, Yuille, "Prior-aware neural network for partially-supervised
    multi-organ segmentation", ICCV 2019, arXiv:1904.06346 (KL); Liu, Dolz, Galdran, Kobbi, Ben Ayed, "Do we really
    need Dice? The hidden region-size biases of segmentation losses", Medical Image Analysis 2023, arXiv:2104.08717
    (L1).
    Fails: it says nothing of location, nor of decisions: where every pixel has the probabilities π the areas are right
    and the rare classes missed. With prior `dataset` it is wrong on every image whose areas are not the average.
    """
    check_option("kind", kind, ("kl", "l1"))
    check_option("prior", prior, ("batch", "image", "dataset"))
    pixels = prepare(logits, target, ignore_index)
    dims = pooled_dims("image" if prior == "image" else "batch")
    size = pixels.valid.sum(dims)
    predicted = (pixels.valid * pixels.prob).sum(dims) / size.clamp_min(1)
    wanted = pixels.onehot.sum(dims) / size.clamp_min(1)
    if prior == "dataset" and class_frequencies is not None:
        given = vector(class_frequencies, pixels, "class_frequencies")
        wanted = given / given.sum().clamp_min(FLOOR)
    if kind == "kl":
        # A class that is not wanted costs nothing by itself: 0 log 0 is 0.
        terms = wanted * (torch.where(wanted > 0, wanted, 1.0).log() - predicted.clamp_min(FLOOR).log())
    else:
        terms = (wanted - predicted).abs()
    distance = image_mean(terms.sum(-1), size)
    return masked_mean(pixels.cross_entropy, pixels.valid) + dial(lam, distance) * distance


def _needs(settings: Mapping[str, Value]) -> tuple[str, ...]:
    return ("class_frequencies",) if settings["prior"] == "dataset" else ()


SIZE_PRIOR = Family(
    function=size_prior,
    title="Cross-entropy with a class-proportion prior",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="mean of −log p(true class) + λ Σ over classes of π log(π / p̄), shares of the target and of the prediction",
    source="Zhou et al. 2019, arXiv:1904.06346",
    hyperparameters={
        "lam": Hyperparameter(
            symbol="λ",
            legal=NON_NEGATIVE,
            search=LogUniform(1e-3, 10.0),
            effect="soft areas are held to the target's, which cross-entropy calibrates already: precision and recall "
            "hardly move; a large λ makes probabilities unsure everywhere: recall of rare classes falls",
        ),
        "kind": Hyperparameter(
            symbol="kind",
            legal=Choice(("kl", "l1")),
            static=True,
            effect="kl punishes a class that is nearly lost hardest, so that its recall rises; l1 counts missing and "
            "surplus area alike",
        ),
        "prior": Hyperparameter(
            symbol="π",
            legal=Choice(("batch", "image", "dataset")),
            static=True,
            effect="whose areas are wanted: of the batch, of each image, or of the training set, which draws every "
            "image to the average",
        ),
    },
    aliases=("prior_aware_loss", "region_size_prior"),
    needs=("class_frequencies",),
    narrow=_needs,
    limits="Says nothing of location: areas can agree with no pixel in common. Nor of decisions: p̄ is a soft area, "
    "and a mask without one decided pixel can have the right one. With prior=dataset it is wrong on every image whose "
    "areas are not the average.",
    errata=(
        "Azad et al. 2023 name a prior-aware loss with a Kullback-Leibler term and give no formula; this one is that "
        "of Zhou et al. 2019 with cross-entropy as its base.",
    ),
)
