"""What the search saw of every numeric hyperparameter: one row per trial and measure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.compute as pc

from sweeper.domains import Choice, Int, LogUniform, Uniform, parse_domain
from sweeper.report.comparisons import Headline
from sweeper.report.searched import described, searched
from sweeper.results.schema import MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results


@dataclass(frozen=True)
class Dial:
    """One searched numeric hyperparameter of one family, with what the search measured."""

    family: str
    name: str
    symbol: str
    effect: str
    values: tuple[float, float]
    """Ends of its domain."""
    log: bool
    default: float | None
    alone: bool
    """Whether nothing else varies in its cell."""
    rows: pd.DataFrame
    """value, level, number, status, measure, score; the measures, on validation, are the search score, recall and
    precision."""


def dials(results: Results, score: Headline) -> list[Dial]:
    """Return every searched numeric hyperparameter that has scored trials, family by family."""
    measures = _measures(results, f"validation {score.label}")
    found = []
    for family in results.meta["families"]:
        trials = measures[measures["family"] == family]
        if trials.empty:
            continue
        settings = [json.loads(text) for text in trials["hyperparameters"]]
        about = described(results, family)
        spans = {name: span for name, one in about.items() if (span := _span(one["domain"])) is not None}
        varied = searched(results, family)
        for name, (values, log) in spans.items():
            rows = trials.assign(value=[_number(setting.get(name)) for setting in settings]).dropna(subset=["value"])
            if rows.empty:
                continue
            found.append(
                Dial(
                    family=family,
                    name=name,
                    symbol=about[name]["symbol"],
                    effect=about[name]["effect"],
                    values=values,
                    log=log,
                    default=_number(about[name]["default"]),
                    alone=varied == [name],
                    rows=rows.drop(columns=["family", "hyperparameters"]).reset_index(drop=True),
                )
            )
    return found


def _measures(results: Results, objective: str) -> pd.DataFrame:
    table = results.trials
    trials = table.filter(pc.and_(pc.equal(table["stage"], "search"), pc.is_valid(table["objective"]))).to_pandas()
    kept = ["key", "family", "level", "number", "status", "hyperparameters"]
    own = trials[[*kept, "objective"]].rename(columns={"objective": "score"}).assign(measure=objective)
    scores = results.scores
    wanted = pc.and_(
        pc.and_(pc.is_null(scores["image"]), pc.equal(scores["class"], MINORITY)),
        pc.and_(pc.equal(scores["split"], "val"), pc.equal(scores["point"], "argmax")),
    )
    pooled = scores.filter(wanted).to_pandas()
    pooled = pooled[pooled["metric"].isin(["recall", "precision"])]
    other = trials[kept].merge(
        pooled[["key", "metric", "value"]].rename(columns={"metric": "measure", "value": "score"}), on="key"
    )
    both: pd.DataFrame = pd.concat([own, other.dropna(subset=["score"])], ignore_index=True)
    return both.drop(columns="key")


def _span(spec: object) -> tuple[tuple[float, float], bool] | None:
    match parse_domain(spec):
        case Uniform(low, high) | Int(low, high):
            return (float(low), float(high)), False
        case LogUniform(low, high):
            return (low, high), True
        case Choice(values):
            numbers = [number for number in map(_number, values) if number is not None]
            if len(numbers) == len(values) > 1:
                return (min(numbers), max(numbers)), False
    return None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
