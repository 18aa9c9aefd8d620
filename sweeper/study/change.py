"""What changed between two studies of one name, and what that means for the trials recorded under the first.

A trial's key says what it is, so no change makes a recorded trial count for what it is not. But a change can leave
recorded trials without a study they belong to, and one name would then stand for two experiments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

Effect = Literal["extends", "narrows", "free", "data", "breaks"]
"""extends: more of the same; all that is recorded is reused. narrows: less of the same; what is left out stays recorded
and counts again once it is back. free: no trial's outcome depends on it. data: the pictures decide, by their
fingerprint. breaks: recorded trials answer another question."""

_AMOUNTS = ("search.trials", "confirm.seeds", "confirm.include_default")
"""How many trials of a kind: more of them are more of the same."""

_FREE = ("confirm.models",)
_FREE_SECTIONS = ("resources", "tracking")

_MOST_SHOWN = 60
"""Characters of a value."""


@dataclass(frozen=True)
class Change:
    """One key of the resolved study that is not what it was."""

    key: str
    """Dotted."""
    old: str
    """As a study file has it."""
    new: str
    effect: Effect
    remedy: str | None = None
    """How to undo a change that nobody wrote into the file."""

    def __str__(self) -> str:
        return f"{self.key}: {self.old} → {self.new}" + (f" ({self.remedy})" if self.remedy else "")


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return what changed from one resolved study, as of `Study.to_dict`, to another.

    A key that only one of them has, other than a family, is an option that the other's version of sweeper lacks: it
    counts as unchanged.
    """
    return [*_families(old["families"], new["families"]), *_sections(old, new)]


def _families(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in {**old, **new}:
        if name not in old:
            yield Change(f"families.{name}", "nothing", written(new[name]), "extends")
        elif name not in new:
            yield Change(f"families.{name}", written(old[name]), "nothing", "narrows")
        else:
            for key in {**old[name], **new[name]}:
                was, now = old[name].get(key), new[name].get(key)
                if was != now:
                    yield Change(f"families.{name}.{key}", written(was), written(now), "breaks")


def _sections(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for section, keys in new.items():
        if section == "families" or not isinstance(keys, Mapping) or not isinstance(old.get(section), Mapping):
            continue
        for key, now in keys.items():
            was = old[section].get(key, now)
            if was != now:
                dotted = f"{section}.{key}"
                yield Change(
                    dotted, written(was), written(now), _effect(dotted, was, now, old, new), _remedy(dotted, was)
                )


def _effect(key: str, was: Any, now: Any, old: Mapping[str, Any], new: Mapping[str, Any]) -> Effect:
    section = key.partition(".")[0]
    if key in _AMOUNTS:
        return "extends" if now > was else "narrows"
    if key == "search.give_up_after":
        return "extends" if (now or math.inf) > (was or math.inf) else "narrows"  # 0 is never
    if key == "imbalance.levels":
        return "extends" if {*was} < {*now} else "narrows"
    if key == "imbalance.reference" and {old["search"]["levels"], new["search"]["levels"]} == {"all"}:
        return "free"  # every level has its own search; the report alone looks at the reference
    if key in _FREE or section in _FREE_SECTIONS:
        return "free"
    return "data" if section == "data" else "breaks"


def _remedy(key: str, was: Any) -> str | None:
    """The reference follows the levels where the file does not name it."""
    return f"write reference: {written(was)} to keep it" if key == "imbalance.reference" else None


def written(value: Any) -> str:
    """Return plain data on one line, as a study file may have it."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    text = " ".join(text.removesuffix("...\n").split())
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"
