"""The same picture in two splits: a score on it tells how well it was learned by heart, not how well it is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweeper.data.patches import SPLITS, SplitName

SHOWN = 5


def find_repeats(
    stems: Mapping[SplitName, Sequence[str]], digests: Mapping[SplitName, Sequence[str]]
) -> tuple[tuple[str, str], ...]:
    """Return (first place, place) as `split/stem` of every picture whose image is also in an earlier split.

    One pair per picture, not one per combination: of blank frames there may be hundreds.
    """
    first: dict[str, tuple[SplitName, str]] = {}
    found = []
    for split in SPLITS:
        for stem, digest in zip(stems[split], digests[split], strict=True):
            before, place = first.setdefault(digest, (split, f"{split}/{stem}"))
            if before != split:
                found.append((place, f"{split}/{stem}"))
    return tuple(found)


def pairs(repeated: Sequence[tuple[str, str]]) -> str:
    """Return the first few pairs in words."""
    shown = ", ".join(f"{first} = {again}" for first, again in repeated[:SHOWN])
    return shown + (", ..." if len(repeated) > SHOWN else "")
