"""Published numbers, to stand beside the measured ones: other data, other models, never comparable."""

from __future__ import annotations

import pandas as pd

LABEL = "literature, other data, not measured here"

JADON = "Jadon 2020, Table III: 2-D U-Net, NFBS skull stripping, one run each, no variance given"
RASTER_LOG = (
    "three-class raster log (background and two curves of 1 to 3 px, about 97 % background), per-image averages"
)

_JADON_ROWS = (
    ("cross_entropy", 0.968, 0.976, 0.998),
    ("weighted_cross_entropy", 0.962, 0.966, 0.998),
    ("focal", 0.936, 0.952, 0.999),
    ("dice", 0.970, 0.981, 0.998),
    ("tversky", 0.965, 0.979, 0.996),
    ("focal_tversky", 0.977, 0.990, 0.997),
    ("sensitivity_specificity", 0.957, 0.980, 0.996),
    ("exp_log", 0.972, 0.982, 0.997),
    ("log_cosh_dice", 0.989, 0.975, 0.997),
)

_RASTER_LOG_ROWS = (
    ("dice", "background", "IoU", 0.94),
    ("dice", "curve 1", "IoU", 0.26),
    ("dice", "curve 2", "IoU", 0.21),
    ("dice", "background", "F1", 0.97),
    ("dice", "curve 1", "F1", 0.37),
    ("dice", "curve 2", "F1", 0.32),
    ("dice", "one curve", "curve MAE", 0.0367),
    ("tversky", "one curve", "curve MAE", 0.0277),
)

HYPOTHESIS = (
    "The ordering claimed in the literature as the imbalance grows: cross-entropy is worst on the minority; Dice, "
    "generalized Dice and Lovász hold; focal is in between; a recall-tilted Tversky keeps the most sensitivity; under "
    "mild imbalance all are nearly equal. The measured curves above are what this study says of it."
)


def literature() -> pd.DataFrame:
    """Return published scores. Columns: family, class, metric, value, source, label."""
    rows = []
    for family, dice, sensitivity, specificity in _JADON_ROWS:
        for metric, value in (("F1", dice), ("recall", sensitivity), ("specificity", specificity)):
            rows.append((family, "foreground", metric, value, JADON, LABEL))
    rows += [(*row, RASTER_LOG, LABEL) for row in _RASTER_LOG_ROWS]
    return pd.DataFrame(rows, columns=["family", "class", "metric", "value", "source", "label"])
