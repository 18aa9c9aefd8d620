"""The tables every report reads: trials, scores, epochs, margins, reliability. Written once, here."""

from __future__ import annotations

import pyarrow as pa

# Defined beside `Score`, which training fills where pyarrow may not be installed.
from sweeper.results.margins import BINS
from sweeper.results.record import MINORITY as MINORITY
from sweeper.results.record import NSD_TOLERANCE as NSD_TOLERANCE

SCHEMA_VERSION = 2

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

EPOCHS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),  # from 1
        pa.field("train_loss", pa.float64()),  # mean over the epoch's batches, on the loss's own scale
        pa.field("seconds", pa.float64()),  # of training and validation
        pa.field("minority_iou", pa.float64()),  # on val at argmax, as all that follow; null: undefined
        pa.field("minority_f1", pa.float64()),
        pa.field("minority_precision", pa.float64()),
        pa.field("minority_recall", pa.float64()),
        pa.field("mean_iou", pa.float64()),
        pa.field("background_iou", pa.float64()),
    ]
)
"""One row per trial and epoch."""

# The numbers in it are named as Parquet names them, so that a table comes back equal.
_HISTOGRAM = pa.list_(pa.field("element", pa.float32()), BINS)

MARGINS = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # val, test
        pa.field("image", pa.string()),  # null: pooled over all images, which is how val is kept
        pa.field("pixels", pa.float64(), nullable=False),  # not ignored, under the level weights, as all that follow
        pa.field("target", pa.float64(), nullable=False),  # of the minority classes
        pa.field("found", _HISTOGRAM, nullable=False),
        pa.field("alarms", _HISTOGRAM, nullable=False),
    ]
)
"""Confirm trials: how many pixels lie in each bin of the decision margin (`margins.OFFSETS`).

`found`: minority pixels whose best class besides the background is their own; at an offset those above it are true
positives, and all other minority pixels are misses. `alarms`: pixels of which a minority class that is not theirs is
the best besides the background; those above the offset are false alarms, those of another minority class among them.
"""

RELIABILITY = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # test
        pa.field("bin", pa.int32(), nullable=False),  # from 0, of margins.PROBABILITY_BINS equal ones over [0, 1]
        pa.field("pixels", pa.float64(), nullable=False),  # under the level weights
        pa.field("probability", pa.float64()),  # mean predicted probability of a minority class; null: an empty bin
        pa.field("share", pa.float64()),  # of these pixels that are of a minority class
    ]
)
"""Confirm trials: predicted against observed, over all pixels that are not ignored."""

TABLES = {"trials": TRIALS, "scores": SCORES, "epochs": EPOCHS, "margins": MARGINS, "reliability": RELIABILITY}
"""Every table of a study's results, in the order they are written."""

POOLED_METRICS = ("iou", "f1", "precision", "recall", "specificity")
"""In [0, 1], from confusion counts pooled over all patches under the level weights."""

COUNT_METRICS = ("tp", "fp", "fn", "tn")
"""Level-weighted pixel counts of one image, kept per image so that intervals can pool them again."""

CURVE_METRICS = ("curve_mae", "curve_coverage")
"""Raster logs only: error of the recovered curve in track widths; share of depth rows where it was found."""

SURFACE_METRICS = ("nsd", "hd95", "cldice", "object_miss_rate")
"""Of whole test pictures as they are, not level-weighted, per class but the background at confirm; see
`training.surfaces`. A picture that does not show the class has none of them; in one where nothing of it is predicted
`nsd` and `cldice` are 0 and `hd95` (in pixels) is undefined; one that the class fills has no boundary, so that `nsd` is
undefined too unless one is predicted. Pooled rows are means over the pictures where they are defined;
`object_miss_rate`, pooled only, is the share of all objects (8-connected regions of the truth) of which no pixel was
predicted."""

OBJECT_METRICS = ("objects", "objects_missed", "smallest_missed")
"""Per picture and class beside them: how many objects, how many of these were missed, and the size of the smallest
missed one in pixels (null where none was)."""
