"""Losses that compare whole regions: a ratio of set sizes per class, with probabilities in place of decisions."""

from __future__ import annotations

from sweeper.losses.families.region.dice import DICE, GENERALIZED_DICE
from sweeper.losses.families.region.iou import IOU
from sweeper.losses.families.region.lovasz import LOVASZ_SOFTMAX
from sweeper.losses.families.region.tversky import FOCAL_TVERSKY, TVERSKY
from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = (
    DICE,
    GENERALIZED_DICE,
    IOU,
    LOVASZ_SOFTMAX,
    TVERSKY,
    FOCAL_TVERSKY,
)
