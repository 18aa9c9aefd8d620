"""Hyperparameters that several families share: the smoothing, and the words that change what is averaged over what."""

from __future__ import annotations

from sweeper.domains import Choice, Fixed, Int, Uniform, Value, legal_words, outside
from sweeper.errors import LossError
from sweeper.losses.family import Family, Hyperparameter

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


def check_static(row: Family, **values: Value) -> None:
    """Raise LossError unless each of these static arguments is legal for the family.

    A study and `loss` look at what they are given; a direct call of the function comes past neither.
    """
    for name, value in values.items():
        legal = row.hyperparameters[name].legal
        broken = isinstance(legal, Int) and not isinstance(value, int)  # 3.0 is no count
        if broken or outside(Fixed(value), legal) is not None:
            raise LossError(f"{name} is {value!r}; it may be {legal_words(legal)}")
