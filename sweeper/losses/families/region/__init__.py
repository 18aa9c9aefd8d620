"""Losses that compare whole regions: a ratio of set sizes per class, with probabilities in place of decisions."""

from __future__ import annotations

from sweeper.losses.families.region.asymmetric_similarity import ASYMMETRIC_SIMILARITY
from sweeper.losses.families.region.dice import DICE, GENERALIZED_DICE
from sweeper.losses.families.region.iou import IOU
from sweeper.losses.families.region.jaccard_metric import JACCARD_METRIC
from sweeper.losses.families.region.log_cosh_dice import LOG_COSH_DICE
from sweeper.losses.families.region.lovasz import LOVASZ_SOFTMAX
from sweeper.losses.families.region.mcc import MCC
from sweeper.losses.families.region.noise_robust_dice import NOISE_ROBUST_DICE
from sweeper.losses.families.region.rmi import RMI
from sweeper.losses.families.region.robust_t import ROBUST_T
from sweeper.losses.families.region.sensitivity_specificity import SENSITIVITY_SPECIFICITY
from sweeper.losses.families.region.size_prior import SIZE_PRIOR
from sweeper.losses.families.region.tversky import FOCAL_TVERSKY, TVERSKY
from sweeper.losses.families.region.wasserstein import GENERALIZED_WASSERSTEIN_DICE
from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = (
    DICE,
    GENERALIZED_DICE,
    LOG_COSH_DICE,
    GENERALIZED_WASSERSTEIN_DICE,
    IOU,
    LOVASZ_SOFTMAX,
    TVERSKY,
    FOCAL_TVERSKY,
    SENSITIVITY_SPECIFICITY,
    RMI,
    ROBUST_T,
    ASYMMETRIC_SIMILARITY,
    MCC,
    NOISE_ROBUST_DICE,
    JACCARD_METRIC,
    SIZE_PRIOR,
)
