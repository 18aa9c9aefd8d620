"""Made-up studies whose decision margins are laid out so that one knows which family is cheapest where."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sweeper.results.margins import BINS, OFFSETS
from sweeper.results.results import Results
from sweeper.results.schema import MARGINS

from .synthetic import synthetic

EDGES = np.concatenate([[-np.inf], OFFSETS, [np.inf]])
PIXELS = 4096.0


@dataclasses.dataclass(frozen=True)
class Scorer:
    """How a family's margins lie, logistic: minority pixels around `hit`, all others around `silence`."""

    hit: float
    silence: float = -3.0
    spread: float = 1.0
    """Of the minority's margins; those of the others have 1."""
    fall: float = 0.0
    """By how much `hit` falls per halving of the foreground."""


def weighed(
    scorers: Mapping[str, Scorer],
    *,
    levels: Sequence[float] = (0.95, 0.99),
    seeds: int = 3,
    images: int = 8,
    noise: float = 0.2,
    **more: Any,
) -> Results:
    """Make a study of families of `synthetic.SHAPES` whose margins, and these alone, are as the scorers say.

    A default setting, where it is not the tuned one, hits half a logit less. Noise is of seeds, of images, and of both.
    """
    results = synthetic(list(scorers), levels=levels, seeds=seeds, images=images, **more)
    rng = np.random.default_rng(0)
    of_image = rng.normal(0, noise, images)
    truth = rng.uniform(100, 400, images)
    rows = []
    for trial in results.trials.to_pylist():
        if trial["stage"] != "confirm":
            continue
        one = scorers[trial["family"]]
        halvings = np.log2(0.05 / (1 - trial["level"]))
        hit = one.hit - one.fall * halvings - (0.0 if trial["is_tuned"] else 0.5) + rng.normal(0, noise)
        weight = (1 - trial["level"]) / 0.05
        totals = np.zeros((2, BINS))
        for image in range(images):
            shift = of_image[image] + rng.normal(0, noise / 2)
            found = truth[image] * weight * _shares(hit + shift, one.spread)
            alarms = (PIXELS - truth[image]) * _shares(one.silence + rng.normal(0, noise / 2), 1.0)
            totals += (found, alarms)
            rows.append(_row(trial["key"], "test", f"log_{image:02d}", truth[image] * weight, found, alarms))
        rows.append(_row(trial["key"], "val", None, truth.sum() * weight, *totals))
    return dataclasses.replace(results, margins=pa.Table.from_pylist(rows, schema=MARGINS))


def _shares(centre: float, spread: float) -> np.ndarray[Any, Any]:
    # Three in a hundred of the minority pixels have another minority class for their best, and are never found.
    return 0.97 * np.diff(1 / (1 + np.exp(-(EDGES - centre) / spread)))


def _row(key: str, split: str, image: str | None, target: float, found: Any, alarms: Any) -> dict[str, Any]:
    pixels = PIXELS if image is not None else PIXELS * 8
    return {"key": key, "split": split, "image": image, "pixels": pixels, "target": target,
            "found": found.tolist(), "alarms": alarms.tolist()}  # fmt: skip
