"""Hyperparameters that several families share: the smoothing, and the words that change what is averaged over what."""

from __future__ import annotations

from sweeper.domains import Choice, Uniform
from sweeper.losses.family import Hyperparameter

NON_NEGATIVE = Uniform(0.0, 1e6)
"""Formulas set no upper limit; a million is beyond any sensible setting and catches a slip of the pen."""

SHARE = Uniform(0.0, 1.0)

SMOOTH = Hyperparameter(
    symbol="s",
    legal=NON_NEGATIVE,
    effect="pixels added above and below: damps classes of few pixels, recall of the rarest drops as it grows",
)
SCOPE = Hyperparameter(
    symbol="scope",
    legal=Choice(("batch", "image")),
    static=True,
    effect="batch pools the counts of all images; image scores each by itself, so that small objects weigh as much "
    "as large ones",
)
CLASSES = Hyperparameter(
    symbol="K",
    legal=Choice(("all", "foreground")),
    static=True,
    effect="foreground leaves class 0 out: no reward for background, and no penalty where nothing else is present",
)
ABSENT = Hyperparameter(
    symbol="absent",
    legal=Choice(("skip", "smooth")),
    static=True,
    effect="smooth (needs s above 0) also scores classes without a pixel, so that false alarms there cost: precision "
    "rises",
)
LOG_LOSS = Hyperparameter(
    symbol="−log",
    legal=Choice((False, True)),
    static=True,
    effect="true takes −log of the overlap: badly overlapping classes pull harder, recall of the rarest rises",
)
DENOMINATOR = Hyperparameter(
    symbol="denominator",
    legal=Choice(("linear", "squared")),
    static=True,
    effect="squared (V-Net) sums p² for p: unsure false alarms cost less",
)
NORMALIZE = Hyperparameter(
    symbol="normalize",
    legal=Choice(("weights", "pixels")),
    static=True,
    effect="weights divides by the summed weights (torch), pixels by the pixel count (surveys): only the loss's scale "
    "from batch to batch differs",
)
