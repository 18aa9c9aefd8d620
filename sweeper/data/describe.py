"""What `sweeper data inspect` found, as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.data.inspect import Inspection
from sweeper.data.repeats import pairs


def as_text(found: Inspection) -> str:
    """Return class fractions, levels within reach and effective sample sizes as text."""
    splits = list(found.splits)
    lines = [
        f"{found.name}: {len(found.classes)} classes, {found.patch} px patches, {found.channels} channels",
        f"background: {found.background} ({found.background_because})",
        f"minority:   {', '.join(found.minority)} ({found.minority_because})",
        "",
        _row("", splits),
        _row("pictures", [str(found.splits[name].pictures) for name in splits]),
        _row("patches", [str(found.splits[name].patches) for name in splits]),
        _row("  without minority pixels", [str(found.splits[name].without_minority) for name in splits]),
        _row("ignored pixels", [f"{found.splits[name].ignored:.2%}" for name in splits]),
    ]
    for info in found.classes:
        lines.append(_row(f"  {info.name}", [f"{found.splits[name].fractions[info.name]:.3%}" for name in splits]))
    lines += [
        _row("natural level", [f"{found.splits[name].natural:.4f}" for name in splits]),
        _row("levels by mixture", [_range(found.splits[name].mixture) for name in splits]),
        _row("levels at all", [_range(found.splits[name].tilt) for name in splits]),
        "",
        "effective patches at a level, of those there are",
    ]
    for index, level in enumerate(found.splits[splits[0]].levels):
        cells = []
        for name in splits:
            report = found.splits[name].levels[index]
            cells.append("out of reach" if report.effective is None else f"{report.effective:.0f} ({report.method})")
        lines.append(_row(f"  {level.level:g}", cells))
    if found.reach is not None:
        lines += ["", f"levels that every split reaches: above {found.reach[0]:.4f}, below {found.reach[1]:.4f}"]
    else:
        lines += ["", "no level is within reach of every split"]
    if found.unused:
        shown = ", ".join(found.unused[:5]) + (", ..." if len(found.unused) > 5 else "")
        lines.append(f"pictures in no split, not used: {len(found.unused)} ({shown})")
    if found.repeated:
        lines.append(f"pictures that an earlier split holds too: {len(found.repeated)} ({pairs(found.repeated)})")
    if found.skipped:
        lines.append(f"damaged pictures that are left out: {len(found.skipped)}")
        lines += [f"  {item.split}/{item.stem}: {item.reason}" for item in found.skipped]
    return "\n".join(lines)


def _row(label: str, cells: Sequence[str]) -> str:
    return f"{label:<30}" + "".join(f"{cell:>20}" for cell in cells)


def _range(ends: tuple[float, float] | None) -> str:
    return "none" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"
