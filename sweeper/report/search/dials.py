"""What the search tried of every numeric hyperparameter, and how each trial scored on validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sweeper.domains import Choice, Complement, Int, LogUniform, Uniform, parse_domain
from sweeper.report.search.searched import described, searched
from sweeper.results.schema import MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results

WIDE = 100
"""Listed values whose largest is so many times the smallest lie on a logarithmic scale."""
WHOLE = 33
"""Whole numbers beyond so many are taken for a continuum."""

MEASURES = ("score", "recall", "precision")
"""Columns of `FamilySearch.trials`: what the search maximized, and the minority's recall and precision at argmax."""


@dataclass(frozen=True)
class Dial:
    """One searched numeric hyperparameter and the scale its domain gives it."""

    name: str
    """As in the study, e.g. `beta` or `training.lr`."""
    symbol: str
    effect: str
    low: float
    high: float
    log: bool
    listed: tuple[float, ...]
    """The values it can take, rising; empty for a continuum, and for more whole numbers than a curve has places."""
    default: float | None
    tied: tuple[str, ...] = ()
    """What is 1 minus it, as words: `α = 1 − β`."""

    @property
    def label(self) -> str:
        """Its symbol and name, and what is tied to it."""
        shown = f"{self.symbol} ({self.name})" if self.symbol and self.symbol != self.name else self.name
        return ", ".join([shown, *self.tied])

    @property
    def short(self) -> str:
        return self.symbol or self.name

    def unit(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Place values on [0, 1] between the ends of the domain; outside it they go beyond."""
        low, high, at = (np.log(v) if self.log else np.asarray(v, np.float64) for v in (self.low, self.high, values))
        return np.asarray((at - low) / (high - low))

    def values(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at places of [0, 1]."""
        if self.log:
            return np.asarray(self.low * (self.high / self.low) ** unit)
        return np.asarray(self.low + (self.high - self.low) * unit)


@dataclass(frozen=True)
class FamilySearch:
    """The scored search trials of one family."""

    family: str
    dials: tuple[Dial, ...]
    """In the order of the study."""
    others: tuple[str, ...]
    """Searched hyperparameters that are no numbers."""
    trials: pd.DataFrame
    """level, number, status, epochs, planned, score, recall, precision (NaN: not recorded); one row per trial."""
    values: NDArray[np.float64]
    """(trials, dials); NaN where a trial has no such hyperparameter."""
    settings: tuple[Mapping[str, Any], ...]
    """Every hyperparameter of each trial."""

    @cached_property
    def moved(self) -> tuple[int, ...]:
        """Indices of the dials of which the trials have more than one value: of the others nothing can be seen."""
        return tuple(
            index
            for index in range(len(self.dials))
            if len(np.unique(self.values[:, index][np.isfinite(self.values[:, index])])) > 1
        )

    @property
    def still(self) -> tuple[Dial, ...]:
        """Dials of which every scored trial has the same value."""
        return tuple(dial for index, dial in enumerate(self.dials) if index not in self.moved)

    @property
    def levels(self) -> list[float]:
        """Levels with scored trials, mildest first."""
        return sorted(float(level) for level in self.trials["level"].unique())

    def index(self, name: str) -> int | None:
        """Return the place of a dial among `dials`, or None."""
        return next((index for index, dial in enumerate(self.dials) if dial.name == name), None)


def searches(results: Results) -> list[FamilySearch]:
    """Return the search of every family that has a numeric hyperparameter and a scored trial, in the study's order."""
    trials = _scored(results)
    found = []
    for family, rows in trials.groupby("family", sort=False):
        dials = dials_of(results, str(family))
        if not dials:
            continue
        settings = tuple(json.loads(text) for text in rows["hyperparameters"])
        values = [[_number(setting.get(dial.name), missing=np.nan) for dial in dials] for setting in settings]
        found.append(
            FamilySearch(
                family=str(family),
                dials=dials,
                others=tuple(name for name in searched(results, str(family)) if name not in {d.name for d in dials}),
                trials=rows.drop(columns=["family", "hyperparameters"]).reset_index(drop=True),
                values=np.array(values, np.float64),
                settings=settings,
            )
        )
    order = {family: index for index, family in enumerate(results.meta["families"])}
    return sorted(found, key=lambda one: order[one.family])


def _scored(results: Results) -> pd.DataFrame:
    table = results.trials
    wanted = pc.and_(pc.equal(table["stage"], "search"), pc.is_valid(table["objective"]))
    columns = ["key", "family", "level", "number", "status", "epochs", "planned_epochs", "objective", "hyperparameters"]
    trials = table.filter(wanted).select(columns).to_pandas()
    trials = trials.rename(columns={"objective": "score", "planned_epochs": "planned"})
    # Filtered in two steps: the first leaves few of what may be millions of rows.
    pooled = results.scores.filter(pc.is_null(results.scores["image"]))
    wanted = pc.and_(pc.equal(pooled["split"], "val"), pc.equal(pooled["point"], "argmax"))
    wanted = pc.and_(wanted, pc.equal(pooled["class"], MINORITY))
    wanted = pc.and_(wanted, pc.is_in(pooled["metric"], pa.array(MEASURES[1:])))
    scores = pooled.filter(wanted).select(["key", "metric", "value"]).to_pandas()
    for metric in MEASURES[1:]:
        own = scores[scores["metric"] == metric].drop_duplicates("key").set_index("key")["value"]
        trials[metric] = trials["key"].map(own).astype(np.float64)
    ordered: pd.DataFrame = trials.sort_values(["family", "level", "number"], kind="stable", ignore_index=True)
    return ordered


def dials_of(results: Results, family: str) -> tuple[Dial, ...]:
    """Return the searched numeric hyperparameters of a family, in the order of the study."""
    about = described(results, family)
    domains = {name: parse_domain(one["domain"]) for name, one in about.items()}
    found = []
    for name, domain in domains.items():
        scale = _scale(domain)
        if scale is None:
            continue
        symbol = str(about[name]["symbol"] or "")
        tied = tuple(
            f"{about[other]['symbol'] or other} = 1 − {symbol or name}"
            for other, partner in domains.items()
            if isinstance(partner, Complement) and partner.of == name
        )
        default = _number(about[name]["default"])
        found.append(Dial(name, symbol, str(about[name]["effect"] or ""), *scale, default=default, tied=tied))
    return tuple(found)


def _scale(domain: object) -> tuple[float, float, bool, tuple[float, ...]] | None:
    """Return both ends of a numeric domain, whether its scale is logarithmic, and its values if they are few."""
    match domain:
        case Uniform(low, high):
            return float(low), float(high), False, ()
        case LogUniform(low, high):
            return float(low), float(high), True, ()
        case Int(low, high):
            few = high - low < WHOLE
            return float(low), float(high), False, tuple(map(float, range(low, high + 1))) if few else ()
        case Choice(values):
            numbers = [number for number in map(_number, values) if number is not None]
            if len(numbers) == len(values) > 1:
                low, high = min(numbers), max(numbers)
                return low, high, low > 0 and high >= WIDE * low, tuple(sorted(numbers))
    return None


def _number(value: object, *, missing: Any = None) -> Any:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else missing
