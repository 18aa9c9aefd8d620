"""The catalogue for people: one table of all families, one card of each."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from sweeper.domains import Domain, Fixed, Int, Uniform, domain_spec
from sweeper.losses.family import Family

WIDTH = 100
_UNBOUNDED = 1e6


def table(families: Mapping[str, Family]) -> str:
    """Return all families as a text table, ordered by their place on the two axes."""
    rows = [("family", "overlap", "tradeoff", "searched hyperparameters", "aliases")]
    for one in sorted(families.values(), key=lambda one: (one.overlap, one.tradeoff, one.name)):
        searched = [f"{name} {domain}" for name, domain in one.domains.items() if not isinstance(domain, Fixed)]
        rows.append((one.name, one.overlap, one.tradeoff, "; ".join(searched) or "none", ", ".join(one.aliases)))
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
    called = name if name is not None and ":" in name else one.name
    lines = [one.title, "=" * len(one.title), ""]
    lines += [f"name      {', '.join((one.name, *one.aliases))}"]
    lines += [f"axes      {one.level} level; {one.overlap}; {one.tradeoff}", f"source    {one.source}"]
    lines += _wrapped("formula   ", one.formula)
    if one.limits:
        lines += _wrapped("limits    ", one.limits)
    if one.needs:
        lines += [f"needs     {', '.join(one.needs)} (the trainer passes it)"]
    lines += ["", "hyperparameters" if one.hyperparameters else "hyperparameters: none"]
    for key, dial in one.hyperparameters.items():
        default, searched = one.defaults[key], one.domains[key]
        symbol = f" ({dial.symbol})" if dial.symbol and dial.symbol != key else ""
        kind = "static" if dial.static else "dynamic"
        search = "not searched unless asked" if isinstance(searched, Fixed) else f"searched {searched}"
        lines += [f"  {key}{symbol}: default {default}; {search}; legal {_legal(dial.legal)}; {kind}"]
        lines += _wrapped("      ", dial.effect)
    arguments = "".join(
        f", {key}={one.defaults[key]!r}" for key, domain in one.domains.items() if not isinstance(domain, Fixed)
    )
    lines += ["", "in your own training code", "  import sweeper"]
    lines += [
        f'  loss = sweeper.loss("{called}"{arguments})',
        "  loss(logits, target)  # (B, C, H, W), (B, H, W) int64",
    ]
    return "\n".join(lines)


def card_dict(one: Family) -> dict[str, Any]:
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
        "needs": list(one.needs),
        "hyperparameters": {
            name: {
                "symbol": dial.symbol,
                "default": one.defaults[name],
                "search": domain_spec(one.domains[name]),
                "legal": domain_spec(dial.legal),
                "effect": dial.effect,
                "static": dial.static,
            }
            for name, dial in one.hyperparameters.items()
        },
    }


def _legal(domain: Domain) -> str:
    """Say a legal range as a person would; a bound of a million or more stands for none."""
    if not isinstance(domain, Uniform | Int):
        return str(domain)
    if domain.high >= _UNBOUNDED:
        return "any number" if domain.low <= -_UNBOUNDED else f"{domain.low:g} or more"
    return f"{domain.low:g} to {domain.high:g}"


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=label, subsequent_indent=" " * len(label))
