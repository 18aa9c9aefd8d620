"""How the studies were made, and in what that differs: to be read before any number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from sweeper.report.across.lineup import Lineup

SECTIONS = ("data", "imbalance", "model", "training", "search", "confirm")
"""Parts of a study file that decide what its numbers mean; families are compared apart."""


def protocol(lineup: Lineup) -> pd.DataFrame:
    """Return every setting of every study. Columns: section, key, one per study (its name), differs."""
    described = [dict(_settings(document.results.meta)) for document in lineup.documents]
    keys = dict.fromkeys(key for one in described for key in one)
    rows = []
    for section, key in keys:
        values = [one.get((section, key), "–") for one in described]
        rows.append((section, key, *values, len(set(values)) > 1))
    return pd.DataFrame(rows, columns=["section", "key", *lineup.names, "differs"])


def differing_domains(lineup: Lineup) -> pd.DataFrame:
    """Return the hyperparameters that the studies searched or fixed differently. Columns: family, hyperparameter, one
    per study."""
    rows = []
    for family in lineup.families:
        about = [document.results.meta["families"][family]["hyperparameters"] for document in lineup.documents]
        for name in dict.fromkeys(name for one in about for name in one):
            values = [_plain(one[name]["domain"]) if name in one else "–" for one in about]
            if len(set(values)) > 1:
                rows.append((family, name, *values))
    return pd.DataFrame(rows, columns=["family", "hyperparameter", *lineup.names])


def _settings(meta: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    data = meta["data"]
    yield ("data", "name"), str(data["name"])
    yield ("data", "fingerprint"), str(data["fingerprint"])
    yield ("data", "classes"), ", ".join(str(one["name"]) for one in data["classes"])
    for split, about in (data.get("splits") or {}).items():
        yield ("data", f"{split} patches"), str(about["patches"])
        yield ("data", f"{split} natural level"), f"{about['natural_level']:.4f}"
    for section in SECTIONS:
        for key, value in (meta["study"].get(section) or {}).items():
            yield (section, str(key)), _plain(value)
    yield ("families", "families"), ", ".join(meta["families"])
    yield ("selection", "rule"), str(meta.get("selection") or "not recorded")
    for name, version in (meta.get("versions") or {}).items():
        yield ("versions", str(name)), str(version)
    host = meta.get("host")
    yield ("host", "gpu"), str(host.get("gpu") or "none") if isinstance(host, dict) else "not recorded"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
