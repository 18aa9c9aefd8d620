"""Losses that add up others, all from one softmax."""

from __future__ import annotations

from sweeper.losses.families.combination.combo import COMBO
from sweeper.losses.families.combination.dice_ce import DICE_CE
from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = (
    COMBO,
    DICE_CE,
)
