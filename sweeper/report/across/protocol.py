"""How the studies were made, and in what that differs: to be read before any number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sweeper.report.across.lineup import Lineup, background, minority
from sweeper.report.document import Document

SECTIONS = ("imbalance", "model", "training", "search", "confirm")
"""Parts of a study file that decide what its numbers mean; families are compared apart."""

STATUSES = ("completed", "stopped", "failed")


def protocol(lineup: Lineup) -> pd.DataFrame:
    """Return every setting of every study. Columns: section, key, study_0, study_1, ..., differs."""
    described = [dict(_settings(document)) for document in lineup.documents]
    keys = dict.fromkeys(key for one in described for key in one)
    rows = []
    for section, key in keys:
        values = [one.get((section, key), "–") for one in described]
        rows.append((section, key, *values, len(set(values)) > 1))
    return pd.DataFrame(rows, columns=["section", "key", *_columns(lineup), "differs"])


def differing_domains(lineup: Lineup) -> pd.DataFrame:
    """Return the hyperparameters that the studies searched or fixed differently. Columns: family, hyperparameter,
    study_0, study_1, ..."""
    rows = []
    for family in lineup.families:
        about = [document.results.meta["families"][family]["hyperparameters"] for document in lineup.documents]
        for name in dict.fromkeys(name for one in about for name in one):
            values = [_plain(one[name]["domain"]) if name in one else "–" for one in about]
            if len(set(values)) > 1:
                rows.append((family, name, *values))
    return pd.DataFrame(rows, columns=["family", "hyperparameter", *_columns(lineup)])


def _columns(lineup: Lineup) -> list[str]:
    # Not by their names: a study may be called as another column is.
    return [f"study_{at}" for at in range(len(lineup.names))]


def _settings(document: Document) -> Iterator[tuple[tuple[str, str], str]]:
    meta = document.results.meta
    yield from _data(document)
    for section in SECTIONS:
        for key, value in (meta["study"].get(section) or {}).items():
            yield (section, str(key)), _plain(value)
    for key, value in (meta["study"].get("data") or {}).items():
        yield ("data, as asked for", str(key)), _plain(value)
    yield ("families", "families"), ", ".join(meta["families"])
    yield ("selection", "rule"), str(meta.get("selection") or "not recorded")
    yield from _trials(document.results.trials)
    for name, version in (meta.get("versions") or {}).items():
        yield ("versions", str(name)), str(version)
    host = meta.get("host")
    yield ("host", "gpu"), str(host.get("gpu") or "none") if isinstance(host, dict) else "not recorded"


def _data(document: Document) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield what the data turned out to be: a study file may leave the roles and the size of patches to it."""
    data: Mapping[str, Any] = document.results.meta["data"]
    yield ("data", "name"), str(data["name"])
    yield ("data", "fingerprint"), str(data["fingerprint"])
    yield ("data", "classes"), ", ".join(str(one["name"]) for one in data["classes"])
    yield ("data", "background"), background(document)
    yield ("data", "minority"), minority(document)
    yield ("data", "patch"), str(data.get("patch", "not recorded"))
    for split, about in (data.get("splits") or {}).items():
        yield ("data", f"{split} patches"), str(about["patches"])
        yield ("data", f"{split} natural level"), f"{about['natural_level']:.4f}"


def _trials(trials: pa.Table) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield on what the trials ran, how they ended, and which seeds have a confirmed score."""
    for column in ("device", "precision"):
        found = sorted(str(one) for one in pc.unique(trials[column]).to_pylist() if one is not None)
        yield ("trials", column), ", ".join(found) or "not recorded"
    for stage in ("search", "confirm"):
        own = trials.filter(pc.equal(trials["stage"], stage))
        for status in STATUSES:
            yield ("trials", f"{stage} {status}"), str(pc.sum(pc.equal(own["status"], status)).as_py() or 0)
    completed = pc.and_(pc.equal(trials["stage"], "confirm"), pc.equal(trials["status"], "completed"))
    seeds = sorted(pc.unique(trials.filter(completed)["seed"]).to_pylist())
    yield ("trials", "confirm seeds completed"), ", ".join(map(str, seeds)) or "none"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
