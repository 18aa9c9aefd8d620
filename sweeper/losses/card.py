"""The catalogue for people: one table of all families, one card of each."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sweeper.domains import Fixed, domain_spec, ends, legal_words
from sweeper.errors import LossError
from sweeper.losses.conformance.suite import Result
from sweeper.losses.family import Family, Hyperparameter, acting_words
from sweeper.losses.needs import MAPS
from sweeper.losses.snippet import companion_of, snippet

WIDTH = 100

NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "class_frequencies": "share of each class among the training pixels; without it, among those of the batch",
        "own_distance": "target map: distance of each pixel to the nearest one of another class",
        "signed_distance": "target map: per class, the distance to it, or inside it minus that to the rest",
        "relative_depth": "target map: per class, how far inside a pixel lies, as a share of the deepest",
        "contour_distance": "target map: per class, the distance to its contour",
        "boundary_distance": "target map: distance to where the label changes, in four orientations",
        "boundary_band": "target map: distance to the nearest contour of any class, in steps of a chess king",
        "edge_band": "target map: per class, the distance to its contour, in steps of a chess king",
        "erosion_depth": "target map: per class, how many erosions remove a pixel",
        "skeleton_level": "target map: per class, its skeleton, by the erosions after which a pixel joins it",
        "skeleton_distance": "target map: per class, the distance to its skeleton",
        "outline": "target map: per class, its pixels that touch what is outside of it",
        "components": "target map: per class, its connected parts, numbered",
        "holes": "target map: per class, its holes, numbered",
        "disk_response": "target map: per class, its share of disks of several sizes around each pixel",
        "images": "the pictures of the batch",
        "features": "what the model's last layer gets, at the size of the logits",
        "classifier": "the model's last layer",
        "step": "how many optimizer steps have been taken",
        "mask_autoencoder": "a network that has learned to rebuild the training masks, trained once",
        "boundary_transform": "a network that estimates how one boundary must move to be another, trained once on the "
        "training masks",
    }
)
"""What a loss may need, in plain words."""

BRINGS: Mapping[str, str] = MappingProxyType(
    {
        "joint": "numbers that are learned together with the model",
        "frozen": "a network that stays as it is",
        "rival": "a rival that is trained against the model",
    }
)
"""What a companion is, by its role."""


def chosen(families: Mapping[str, Family], *, level: str | None = None, tunable: bool = False) -> dict[str, Family]:
    """Return the families of one level, or with a dial between precision and recall, or both.

    Raises: LossError for a level there is not.
    """
    levels = list(dict.fromkeys(one.level for one in families.values()))
    if level is not None and level not in levels:
        raise LossError(f"there is no level {level!r}; choose from {', '.join(levels)}")
    return {
        name: one
        for name, one in families.items()
        if (level is None or one.level == level) and (not tunable or one.tradeoff == "tunable")
    }


def table(families: Mapping[str, Family]) -> str:
    """Return families as a text table, ordered by their place on the two axes."""
    rows = [("family", "level", "overlap", "tradeoff", "searched hyperparameters", "aliases")]
    for one in sorted(families.values(), key=lambda one: (one.overlap, one.tradeoff, one.name)):
        searched = [f"{name} {domain}" for name, domain in one.domains.items() if not isinstance(domain, Fixed)]
        cells = (one.name, one.level, one.overlap, one.tradeoff, "; ".join(searched) or "none", ", ".join(one.aliases))
        rows.append(cells)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    ]
    lines.insert(1, "  ".join("─" * width for width in [*widths, len("aliases")]))
    lines += ["", "One family in full: sweeper losses NAME"]
    return "\n".join(lines)


def card(one: Family, name: str | None = None) -> str:
    """Return everything worth knowing of one family before spending a GPU hour on it.

    `name` is what the user called it, where that is an import path of their own.
    """
    lines = [one.title, "=" * len(one.title), ""]
    lines += _wrapped("name      ", ", ".join((one.name, *one.aliases)))
    lines += [f"axes      {one.level} level; {one.overlap}; {one.tradeoff}"]
    lines += _wrapped("source    ", one.source)
    lines += _wrapped("formula   ", one.formula)
    if one.limits:
        lines += _wrapped("limits    ", one.limits)
    lines += ["", "hyperparameters" if one.hyperparameters else "hyperparameters: none"]
    for key, dial in one.hyperparameters.items():
        default, searched = one.defaults[key], one.domains[key]
        symbol = f" ({dial.symbol})" if dial.symbol and dial.symbol != key else ""
        kind = "static" if dial.static else "dynamic" if dial.ramps is None else f"course of {dial.ramps}"
        search = "not searched unless asked" if isinstance(searched, Fixed) else f"searched {searched}"
        words = f"{key}{symbol}: default {default}; {search}; legal {legal_words(dial.legal)}; {kind}{_only(dial)}"
        lines += _wrapped("  ", words, 4)
        lines += _wrapped("      ", dial.effect)
    if one.needs:
        lines += ["", "needs, which a study provides"]
        for need in one.needs:
            lines += _wrapped("  ", f"{need}: {NEEDS[need]}{_optional(need)}{_when(one, need)}", 4)
    companion = companion_of(one, {})
    if companion is not None:
        lines += ["", f"brings along {BRINGS[companion.role]}; a study takes care of it"]
    if one.errata:
        lines += ["", "elsewhere"]
        for erratum in one.errata:
            lines += _wrapped("  ", erratum, 4)
    lines += ["", "in your own training code"]
    lines += [f"  {line}".rstrip() for line in snippet(one, called(one, name)).splitlines()]
    return "\n".join(lines)


def conformance(results: Sequence[Result]) -> str:
    """Return what came of the conformance suite, as text."""
    counts = {status: sum(result.status == status for result in results) for status in ("passed", "failed", "exempt")}
    told = [f"{count} {status}" for status, count in counts.items() if count]
    lines = [f"conformance: {', '.join(told)}"]
    for result in results:
        lines += _wrapped(f"  {result.status.ljust(6)}  ", f"{result.name}: {result.title}", 10)
        if result.detail:
            lines += _wrapped(" " * 12, result.detail)
    return "\n".join(lines)


def card_dict(one: Family, name: str | None = None) -> dict[str, Any]:
    """Return the card as plain data."""
    return {
        "name": one.name,
        "aliases": list(one.aliases),
        "title": one.title,
        "level": one.level,
        "overlap": one.overlap,
        "tradeoff": one.tradeoff,
        "formula": one.formula,
        "source": one.source,
        "limits": one.limits,
        "errata": list(one.errata),
        "needs": list(one.needs),
        "companion": one.companion is not None,
        "hyperparameters": {
            key: {
                "symbol": dial.symbol,
                "default": one.defaults[key],
                "search": domain_spec(one.domains[key]),
                "legal": domain_spec(dial.legal),
                "effect": dial.effect,
                "static": dial.static,
                "ramps": dial.ramps,
                "acts_with": {partner: list(values) for partner, values in dial.acts_with.items()},
            }
            for key, dial in one.hyperparameters.items()
        },
        "exempt": dict(one.exempt),
        "snippet": snippet(one, called(one, name)),
    }


def conformance_list(results: Iterable[Result]) -> list[dict[str, str]]:
    """Return what came of the conformance suite, as plain data."""
    return [
        {"demand": result.name, "title": result.title, "status": result.status, "detail": result.detail}
        for result in results
    ]


def called(one: Family, name: str | None) -> str:
    """Return what to call a family in code: a user's own by its path, a shipped one by its name."""
    return name if name is not None and ":" in name else one.name


def _optional(need: str) -> str:
    return "; without it, worked out from each target on the CPU" if need in MAPS else ""


def _when(one: Family, need: str) -> str:
    """Say with which words a need comes, where it is not always there."""
    if need in one.needs_at({}):
        return ""
    words = [
        f"{name}={value}"
        for name, dial in one.hyperparameters.items()
        if dial.static
        for value in ends(dial.legal)
        if need in one.needs_at({name: value})
    ]
    return f" (with {' or '.join(words)})" if words else " (at some settings)"


def _only(dial: Hyperparameter) -> str:
    """Say beside which other arguments a hyperparameter acts, where it does not always."""
    return f"; only with {acting_words(dial.acts_with)}" if dial.acts_with else ""


def _wrapped(label: str, text: str, hanging: int | None = None) -> list[str]:
    indent = " " * (len(label) if hanging is None else hanging)
    return textwrap.wrap(text, WIDTH, initial_indent=label, subsequent_indent=indent, break_on_hyphens=False)
