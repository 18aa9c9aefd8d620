"""Losses that add up others, all from one softmax."""

from __future__ import annotations

from sweeper.losses.families.combination.basnet_hybrid import BASNET_HYBRID
from sweeper.losses.families.combination.combo import COMBO
from sweeper.losses.families.combination.dice_ce import DICE_CE
from sweeper.losses.families.combination.dice_focal import DICE_FOCAL
from sweeper.losses.families.combination.dice_topk import DICE_TOPK
from sweeper.losses.families.combination.exp_log import EXP_LOG
from sweeper.losses.families.combination.region_boundary import REGION_BOUNDARY
from sweeper.losses.families.combination.unified_focal import ASYMMETRIC_UNIFIED_FOCAL, UNIFIED_FOCAL
from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = (
    COMBO,
    EXP_LOG,
    UNIFIED_FOCAL,
    ASYMMETRIC_UNIFIED_FOCAL,
    DICE_CE,
    DICE_FOCAL,
    DICE_TOPK,
    REGION_BOUNDARY,
    BASNET_HYBRID,
)
