"""Whether results hold together: what a stranger's files may say that no study of ours ever would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sweeper.results.margins import PROBABILITY_BINS
from sweeper.results.meta import Meta
from sweeper.results.results import Results
from sweeper.results.schema import TABLES
from sweeper.results.shape import misfits

_WORDS = {"stage": {"search", "confirm"}, "status": {"completed", "stopped", "failed"}}
_SECTIONS = ("families", "data", "imbalance", "model", "training", "search", "confirm", "resources", "tracking")


def faults(results: Results) -> Iterator[str]:
    """Yield what is wrong, each with its place: nothing for results that `assemble` made."""
    for name, table in results.tables.items():
        for field in TABLES[name]:
            yield from _of_column(f"{name}.{field.name}", table[field.name], field)
    about = list(misfits(results.meta, Meta, "meta"))
    yield from about
    if not about:
        yield from _of_meta(results.meta)
        yield from _of_keys(results)
        yield from _of_trials(results)


def _of_column(name: str, column: pa.ChunkedArray, field: pa.Field) -> Iterator[str]:
    if column.null_count and not field.nullable:
        yield f"{name} is empty in {column.null_count} rows"
    if pa.types.is_fixed_size_list(field.type):
        column = pa.chunked_array([chunk.flatten() for chunk in column.chunks], field.type.value_type)
        if column.null_count:
            yield f"{name} has {column.null_count} bins without a number"
    if pa.types.is_floating(column.type):
        finite = pc.sum(pc.is_finite(column)).as_py() or 0
        if finite + column.null_count < len(column):
            yield f"{name} holds {len(column) - column.null_count - finite} values that are no finite numbers"


def _of_meta(meta: dict[str, Any]) -> Iterator[str]:
    if not isinstance(meta["study"].get("name"), str):
        yield "meta.study.name is no text"
    for section in _SECTIONS:
        if not isinstance(meta["study"].get(section, {}), dict):
            yield f"meta.study.{section} is no section"
    indices = {one["index"] for one in meta["data"]["classes"]}
    for role, index in (
        ("background", meta["data"]["background"]),
        *(("minority", n) for n in meta["data"]["minority"]),
    ):
        if index not in indices:
            yield f"meta.data.{role} is {index}, which is no class"


def _of_keys(results: Results) -> Iterator[str]:
    keys = results.trials["key"]
    repeated = len(keys) - pc.count_distinct(keys).as_py()
    if repeated:
        yield f"trials.key holds {repeated} keys twice"
    for name, table in results.tables.items():
        unknown = len(table) - (pc.sum(pc.is_in(table["key"], value_set=keys.combine_chunks())).as_py() or 0)
        if unknown:
            yield f"{name}.key holds {unknown} rows of trials that are not there"


def _of_trials(results: Results) -> Iterator[str]:
    trials, families = results.trials, results.meta["families"]
    for column, words in {**_WORDS, "family": set(families)}.items():
        for word in sorted(set(pc.unique(trials[column]).to_pylist()) - words):
            yield f"trials.{column} holds {word!r}"
    for text in pc.unique(trials["hyperparameters"]).to_pylist():
        if not _is_setting(text):
            yield f"trials.hyperparameters holds {text[:40]!r}, which is no JSON object of plain values"
            return
    bins = results.reliability["bin"]
    if len(bins) and not 0 <= pc.min(bins).as_py() <= pc.max(bins).as_py() < PROBABILITY_BINS:
        yield f"reliability.bin is not from 0 to {PROBABILITY_BINS - 1}"


def _is_setting(text: str) -> bool:
    try:
        setting = json.loads(text)
    except (ValueError, RecursionError):
        return False
    plain = (str, int, float, type(None))
    return isinstance(setting, dict) and all(isinstance(value, plain) for value in setting.values())
