"""Losses that are a mean over pixels: each is judged by itself, and weighs by its class, difficulty or place."""

from __future__ import annotations

from sweeper.losses.families.pixel.balanced import BALANCED_CROSS_ENTROPY
from sweeper.losses.families.pixel.cross_entropy import CROSS_ENTROPY, WEIGHTED_CROSS_ENTROPY
from sweeper.losses.families.pixel.distance_map import DISTANCE_MAP_CROSS_ENTROPY
from sweeper.losses.families.pixel.focal import FOCAL
from sweeper.losses.families.pixel.hierarchical import HIERARCHICAL_CROSS_ENTROPY
from sweeper.losses.families.pixel.label_smoothing import KL_DIVERGENCE, LABEL_SMOOTHING_CROSS_ENTROPY
from sweeper.losses.families.pixel.logit_adjusted import LOGIT_ADJUSTED_CROSS_ENTROPY
from sweeper.losses.families.pixel.noise_robust import GENERALIZED_CROSS_ENTROPY, PHUBER_CROSS_ENTROPY
from sweeper.losses.families.pixel.poly1 import POLY1_CROSS_ENTROPY
from sweeper.losses.families.pixel.probability_error import MAE, MSE
from sweeper.losses.families.pixel.recall import RECALL_CROSS_ENTROPY
from sweeper.losses.families.pixel.topk import TOPK_CROSS_ENTROPY
from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = (
    CROSS_ENTROPY,
    WEIGHTED_CROSS_ENTROPY,
    BALANCED_CROSS_ENTROPY,
    FOCAL,
    TOPK_CROSS_ENTROPY,
    DISTANCE_MAP_CROSS_ENTROPY,
    LABEL_SMOOTHING_CROSS_ENTROPY,
    POLY1_CROSS_ENTROPY,
    PHUBER_CROSS_ENTROPY,
    GENERALIZED_CROSS_ENTROPY,
    LOGIT_ADJUSTED_CROSS_ENTROPY,
    RECALL_CROSS_ENTROPY,
    MSE,
    MAE,
    KL_DIVERGENCE,
    HIERARCHICAL_CROSS_ENTROPY,
)
