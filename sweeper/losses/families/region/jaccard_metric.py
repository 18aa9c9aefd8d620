"""Jaccard metric and Dice semimetric losses: overlap that is also right for soft labels."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import ABSENT, CLASSES, NON_NEGATIVE, SCOPE, SHARE, SMOOTH
from sweeper.losses.primitives import (
    IGNORE_INDEX,
    Absent,
    Classes,
    Counts,
    Dial,
    Scope,
    check_smooth,
    class_mean,
    dial,
    kept_classes,
    pooled_dims,
    prepare,
    tversky_index,
)


def jaccard_metric(
    logits: Tensor,
    target: Tensor,
    *,
    a: Dial = 1.0,
    epsilon: Dial = 0.0,
    smooth: Dial = 0.0,
    scope: Scope = "batch",
    classes: Classes = "all",
    absent: Absent = "skip",
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus the mean overlap of predictions and soft labels: a scalar in [0, 1], 0 where they are equal.

        L = 1 − mean over classes of (TP + s) / (TP + a FP + a FN + s),    TP = (|p| + |t| − |p − t|) / 2

    with FP = |p| − TP and FN = |t| − TP, norms being sums over pixels. On hard labels it is IoU (a = 1) or Dice
    (a = ½). With smoothed labels a product of p and t would be least at p of 0 or 1; here the least is at p = t.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        a: a ≥ 0, searched in [½, 1]: 1 is the Jaccard metric loss, ½ the Dice semimetric loss. Raising it steepens the
            loss near the mask and flattens it far from it: from a poor start small classes may never be found, and
            their recall is lost. The best prediction does not move: false alarms and misses keep one price.
        epsilon: ε in [0, 1], label smoothing: t = (1 − ε) onehot + ε / C. Raising it holds probabilities back from 0
            and 1: recall of rare classes rises a little, their precision falls.
        smooth: s ≥ 0, pixels added above and below. Raising it damps classes of few pixels.
        scope: `batch` pools the sums of all images; `image` takes the loss of each, then the mean.
        classes: `all`, or `foreground` for all but class 0.
        absent: `skip` leaves out classes without a pixel in the scope; `smooth` keeps them and needs s > 0.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Wang, Ning, Blaschko, "Jaccard metric losses: optimizing the Jaccard index with soft labels", NeurIPS 2023,
    arXiv:2302.05666; Wang, Popordanoska, Bertels, Lemmens, Blaschko, "Dice semimetric losses", MICCAI 2023,
    arXiv:2303.16296.
    Fails: as IoU; with smoothed labels the target mass ε / C on every background pixel outweighs a class of fewer
    pixels than that sums to.
    """
    check_smooth(absent, smooth)
    pixels = prepare(logits, target, ignore_index)
    dims = pooled_dims(scope)
    prob = pixels.valid * pixels.prob
    share = dial(epsilon, prob)
    soft = (1 - share) * pixels.onehot + share / prob.shape[1] * pixels.valid
    # Pixel by pixel (p + t − |p − t|) / 2 is the smaller of the two, and each is summed by itself: as differences of
    # whole norms the few false alarms of a large class would drown in rounding.
    counts = Counts(
        tp=torch.minimum(prob, soft).sum(dims),
        fp=(prob - soft).relu().sum(dims),
        fn=(soft - prob).relu().sum(dims),
        target=pixels.onehot.sum(dims),
    )
    price = dial(a, prob)
    index = tversky_index(counts, price, price, dial(smooth, prob))
    return class_mean(1 - index, kept_classes(counts.target, classes, absent))


JACCARD_METRIC = Family(
    function=jaccard_metric,
    title="Jaccard metric loss",
    level="region",
    overlap="overlap-aware",
    tradeoff="symmetric",
    formula="1 − mean over classes of TP / (TP + a FP + a FN), TP = (|p| + |t| − |p − t|) / 2, t smoothed by ε",
    source="Wang et al. 2023, arXiv:2302.05666",
    hyperparameters={
        "a": Hyperparameter(
            symbol="a",
            legal=NON_NEGATIVE,
            search=Uniform(0.5, 1.0),
            effect="from Dice (½) to IoU (1): steeper near the mask, flatter far from it, so that from a poor start "
            "small classes may never be found and their recall is lost; the best prediction does not move",
        ),
        "epsilon": Hyperparameter(
            symbol="ε",
            legal=SHARE,
            search=Uniform(0.0, 0.2),
            effect="labels are smoothed and probabilities held back from 0 and 1: recall of rare classes rises a "
            "little, their precision falls",
        ),
        "smooth": SMOOTH,
        "scope": SCOPE,
        "classes": CLASSES,
        "absent": ABSENT,
    },
    aliases=("jml", "jaccard_metric_loss"),
    limits="As IoU. With smoothed labels the mass ε / C on every background pixel can outweigh a small class.",
)
