"""Which picture trains, which validates, which tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeper.data.classes import read_document
from sweeper.data.patches import SPLITS, SplitName
from sweeper.errors import DataError, suggest

DEFAULT_VAL, DEFAULT_TEST = 0.15, 0.2

EXAMPLE = '{"train": ["a", "b"], "val": ["c"], "test": ["d"]}'


def assign_splits(
    spec: str | Mapping[str, Any] | None, stems: Sequence[str]
) -> tuple[dict[SplitName, tuple[str, ...]], tuple[str, ...]]:
    """Return the stems of each split, sorted, and the stems that are in none.

    `spec` is the path of a JSON or YAML file of lists, the lists themselves, or shares `{val, test, seed}` for a split
    by a hash of the stem: then a picture stays in its split whatever pictures join or leave.

    Raises: DataError for unknown or repeated stems, overlapping or empty splits.
    """
    where = "data.splits"
    document: object = spec
    if isinstance(spec, str):
        where = Path(spec).name
        document = read_document(Path(spec), "split file")
    if document is None and spec is None:
        document = {}
    if not isinstance(document, Mapping):
        raise DataError(f"{where}: is {type(document).__name__}, not a table of splits; write {EXAMPLE}")
    known = {*SPLITS, "seed"}
    for key in document:
        if key not in known:
            raise DataError(f"{where}: there is no split {key!r}; {suggest(str(key), SPLITS)}")
    if any(isinstance(value, list | tuple) for value in document.values()):
        splits = _listed(where, document, stems)
    else:
        splits = _hashed(where, document, stems)
    used = {stem for split in splits.values() for stem in split}
    return splits, tuple(sorted(set(stems) - used))


def _listed(where: str, lists: Mapping[str, Any], stems: Sequence[str]) -> dict[SplitName, tuple[str, ...]]:
    problems: list[str] = []
    known, owner = set(stems), dict[str, str]()
    if "seed" in lists:
        problems.append("it has a seed, but lists need none; remove it")
    for split in SPLITS:
        names = lists.get(split)
        if not isinstance(names, list | tuple) or not names:
            problems.append(f"{split} holds no picture; list at least one stem under it, e.g. {EXAMPLE}")
            continue
        for name in names:
            if not isinstance(name, str):
                problems.append(f"{split}: {name!r} is not a name; put it in quotes")
            elif name not in known:
                problems.append(f"{split}: {name!r} has no picture; {_like(name, known)}")
            elif name in owner:
                also = "twice" if owner[name] == split else f"in {owner[name]} as well"
                problems.append(f"{split}: {name!r} is listed {also}; a picture belongs to one split, once")
            else:
                owner[name] = split
    if problems:
        raise DataError("\n".join(f"{where}: {problem}" for problem in problems))
    return {split: tuple(sorted(lists[split])) for split in SPLITS}


def _like(name: str, known: set[str]) -> str:
    if Path(name).stem in known:
        return f"write the name without its ending, {Path(name).stem!r}"
    return suggest(name, known) if len(known) <= 2000 else "check the spelling"


def _hashed(where: str, shares: Mapping[str, Any], stems: Sequence[str]) -> dict[SplitName, tuple[str, ...]]:
    val, test, seed = shares.get("val", DEFAULT_VAL), shares.get("test", DEFAULT_TEST), shares.get("seed", 0)
    if "train" in shares:
        raise DataError(f"{where}: train is {shares['train']!r}; it is what val and test leave, so give only those two")
    for key, share in (("val", val), ("test", test)):
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise DataError(f"{where}: {key} is {share!r}; it must be a share between 0 and 1, or a list of stems")
    if val + test >= 1:
        raise DataError(f"{where}: val {val:g} and test {test:g} leave nothing to train on; keep their sum below 1")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise DataError(f"{where}: seed is {seed!r}; it must be a whole number")
    splits = _by_hash(stems, val, test, seed)
    empty = [split for split in SPLITS if not splits[split]]
    if empty:
        better = next((s for s in range(1000) if all(_by_hash(stems, val, test, s).values())), None)
        fix = (
            "add pictures"
            if better is None
            else f"write `splits: {{val: {val:g}, test: {test:g}, seed: {better}}}`, or list the stems of each split"
        )
        raise DataError(
            f"{where}: of {len(stems)} pictures none falls into {' and '.join(empty)} with val {val:g}, test {test:g} "
            f"and seed {seed}; {fix}"
        )
    return splits


def _by_hash(stems: Sequence[str], val: float, test: float, seed: int) -> dict[SplitName, tuple[str, ...]]:
    splits: dict[SplitName, list[str]] = {"train": [], "val": [], "test": []}
    for stem in sorted(stems):
        digest = hashlib.sha256(f"{seed}:{stem}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        splits["test" if place < test else "val" if place < test + val else "train"].append(stem)
    return {split: tuple(names) for split, names in splits.items()}
