"""What differs between two preparations of a data set, picture by picture, for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweeper.data.patches import SPLITS, Prepared, Split

MOST_NAMED = 8
"""Pictures of a kind that are named; of more, the rest is counted."""


def differences(before: Prepared, now: Prepared) -> list[str]:
    """Return a line for everything that changed: pictures and masks, what split they are in, classes, roles, patches.

    Patches that only one preparation kept (`data.limit`) are not compared, so a change may go unseen; none is made up.
    """
    lines = [
        f"{what}: {was} → {is_now}"
        for what, was, is_now in (
            ("classes", _names(before), _names(now)),
            ("background", before.background, now.background),
            ("minority", list(before.minority), list(now.minority)),
            ("patch", before.patch, now.patch),
        )
        if was != is_now
    ]
    for name in SPLITS:
        old, new = before.splits[name], now.splits[name]
        gone = [stem for stem in old.stems if stem not in {*new.stems}]
        come = [stem for stem in new.stems if stem not in {*old.stems}]
        changed = _changed(old, new) if before.patch == now.patch and before.channels == now.channels else []
        for what, stems in (("changed", changed), ("gone", gone), ("new", come)):
            if stems:
                lines.append(f"{what} in {name}: {_listed(stems)}")
    return lines


def _changed(old: Split, new: Split) -> list[str]:
    """Return the pictures of which a patch that both preparations cut shows other pixels."""
    places = {
        (old.stems[picture], int(row), int(col)): index
        for index, (picture, row, col) in enumerate(zip(old.picture, old.row, old.col, strict=True))
    }
    found: dict[str, None] = {}
    for index, (picture, row, col) in enumerate(zip(new.picture, new.row, new.col, strict=True)):
        stem = new.stems[picture]
        before = places.get((stem, int(row), int(col)))
        if stem in found or before is None:
            continue
        same = np.array_equal(old.images[before], new.images[index])
        if not (same and np.array_equal(old.masks[before], new.masks[index])):
            found[stem] = None
    return list(found)


def _names(data: Prepared) -> list[str]:
    return [item.name for item in data.classes]


def _listed(stems: Sequence[str]) -> str:
    named = ", ".join(stems[:MOST_NAMED])
    return named if len(stems) <= MOST_NAMED else f"{named} and {len(stems) - MOST_NAMED} more"
