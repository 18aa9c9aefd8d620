"""The two tables every report reads: one row per trial, one row per score. Written once, here."""

from __future__ import annotations

import pyarrow as pa

# Defined beside `Score`, which training fills where pyarrow may not be installed.
from sweeper.results.record import MINORITY as MINORITY

SCHEMA_VERSION = 1

TRIALS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("study", pa.string(), nullable=False),
        pa.field("family", pa.string(), nullable=False),
        pa.field("loss_level", pa.string(), nullable=False),  # pixel, region, boundary, combination, structural
        pa.field("overlap", pa.string(), nullable=False),  # axis 1
        pa.field("tradeoff", pa.string(), nullable=False),  # axis 2
        pa.field("hyperparameters", pa.string(), nullable=False),  # JSON, keys sorted; also training.lr if tuned
        pa.field("is_default", pa.bool_(), nullable=False),  # the family's untuned setting
        pa.field("is_tuned", pa.bool_(), nullable=False),  # the setting its cell's search chose; set by `assemble`
        pa.field("stage", pa.string(), nullable=False),  # search, confirm
        pa.field("number", pa.int32()),  # order of proposal within its cell; null for confirm
        pa.field("level", pa.float64(), nullable=False),  # aimed at
        pa.field("level_train", pa.float64()),  # measured under the level weights
        pa.field("level_val", pa.float64()),
        pa.field("level_test", pa.float64()),
        pa.field("weighting_train", pa.string()),  # mixture, tilt
        pa.field("weighting_val", pa.string()),
        pa.field("weighting_test", pa.string()),
        pa.field("ess_train", pa.float64()),  # effective number of patches under the level weights
        pa.field("ess_val", pa.float64()),
        pa.field("ess_test", pa.float64()),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # completed, stopped (early, by ASHA), failed
        pa.field("reason", pa.string()),  # why it failed
        pa.field("epochs", pa.int32(), nullable=False),  # done
        pa.field("planned_epochs", pa.int32(), nullable=False),
        pa.field("objective", pa.float64()),  # the study's search metric on val at its last epoch; null if failed
        pa.field("offset", pa.float64()),  # background logit offset chosen on val, for the point `shifted`
        pa.field("offset_at_limit", pa.bool_()),  # the last offset tried was the best: a better one may lie beyond
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("device", pa.string()),
        pa.field("precision", pa.string()),
        pa.field("started", pa.string()),  # ISO 8601, UTC
    ]
)

SCORES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # val, test
        pa.field("point", pa.string(), nullable=False),  # argmax, shifted (background offset chosen on val)
        pa.field("image", pa.string()),  # null: pooled over all images
        pa.field("class", pa.string(), nullable=False),  # a class name, or MINORITY for the mean over those
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),  # null: the class is absent there, so the metric is undefined
    ]
)

POOLED_METRICS = ("iou", "f1", "precision", "recall", "specificity")
"""In [0, 1], from confusion counts pooled over all patches under the level weights."""

COUNT_METRICS = ("tp", "fp", "fn", "tn")
"""Level-weighted pixel counts of one image, kept per image so that intervals can pool them again."""

CURVE_METRICS = ("curve_mae", "curve_coverage")
"""Raster logs only: error of the recovered curve in track widths; share of depth rows where it was found."""
