"""Everything wrong with a data set in one message, so that it is mended in one go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sweeper.data.pictures import Fault, Undeclared

SHOWN_PER_FILE = 6
"""Undeclared values shown of one mask: an anti-aliased one has thousands."""
SHOWN_IN_ALL = 20


def complain(faults: Sequence[Fault | Undeclared], *, pictures: int, declared_in: str) -> str:
    """Return one message that names every file that cannot be used, what is wrong with it and the fix."""
    plain = [fault for fault in faults if isinstance(fault, Fault)]
    undeclared = [fault for fault in faults if isinstance(fault, Undeclared)]
    files = len({fault.file for fault in faults})
    lines = [f"{files} {'file' if files == 1 else 'files'} of {pictures} pictures cannot be used:"]
    lines += [f"  {fault}" for fault in plain]
    if undeclared:
        lines += _undeclared_lines(undeclared, declared_in)
    return "\n".join(lines)


def _undeclared_lines(undeclared: Sequence[Undeclared], declared_in: str) -> list[str]:
    pixels: Counter[str] = Counter()
    masks: Counter[str] = Counter()
    for mask in undeclared:
        pixels.update(mask.values)
        masks.update(mask.values.keys())
    colors = any(value.startswith("#") for value in pixels)
    kind = "colors" if colors else "values"
    lines = [f"  {kind} in the masks that {declared_in} does not declare:"]
    shown = pixels.most_common(SHOWN_IN_ALL)
    lines += [f"    {value}: {count:,} pixels in {_masks(masks[value])}" for value, count in shown]
    if len(pixels) > len(shown):
        rest = sum(pixels.values()) - sum(count for _, count in shown)
        lines.append(f"    and {len(pixels) - len(shown):,} further {kind}, {rest:,} pixels")
    lines += [f"  {mask.file}: undeclared {_per_file(mask)}" for mask in undeclared]
    example = f'"{shown[0][0]}"' if colors else shown[0][0]
    lines.append(
        f"  declare each of them in {declared_in}, or map it explicitly: "
        f"`data.remap: {{{example}: <class name or ignore>}}`"
    )
    if not colors and set(pixels) == {"255"}:
        lines.append(
            "  255 is often the foreground of a 0/255 mask (`data.remap: {255: <class name>}`) or a border that "
            "belongs to no class (`data.ignore: [255]`)"
        )
    if len(pixels) > 8 * SHOWN_IN_ALL:
        lines.append(
            f"  so many {kind} are the trace of resizing with interpolation or of lossy compression; export the masks "
            f"again with nearest-neighbour resizing, as PNG"
        )
    return lines


def _masks(count: int) -> str:
    return "1 mask" if count == 1 else f"{count} masks"


def _per_file(mask: Undeclared) -> str:
    most = sorted(mask.values.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{value} ({count:,} pixels)" for value, count in most[:SHOWN_PER_FILE])
    more = len(most) - SHOWN_PER_FILE
    return f"{text} and {more:,} more" if more > 0 else text
