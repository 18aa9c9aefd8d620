"""Building the raw study from its parts: the file, the files it extends, `--set` values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeper.errors import Problem, StudyError
from sweeper.study.yaml_file import LIMITS, KeyPath, parse_value, read_yaml

_DOMAIN_KINDS = {"uniform", "log_uniform", "int", "choice", "complement"}
_PATHS: tuple[tuple[str, str], ...] = (("data", "images"), ("data", "masks"), ("data", "classes"), ("data", "splits"))
_MAYBE_PATHS: tuple[tuple[str, str], ...] = (("model", "weights"),)
"""Words or paths: a path where such a file lies beside the study."""

MOST_BASES = 20
"""Files that may extend each other in a row."""


@dataclass
class Raw:
    """A study as plain data, before it is checked, with the place of every key."""

    data: dict[Any, Any]
    where: dict[KeyPath, str] = field(default_factory=dict)
    source: str = "study"

    def place(self, path: KeyPath) -> str:
        """Return `file:line` of a key, or of the nearest key around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.where:
                return self.where[path[:length]]
        return self.source


def read_raw(path: Path, _seen: tuple[Path, ...] = ()) -> Raw:
    """Read a study file and everything it extends; the extending file wins, key by key."""
    real = _resolved(str(path), Path.cwd(), str(path), "(file)")
    if real in _seen:
        chain = " -> ".join(str(one) for one in (*_seen, real))
        raise StudyError([Problem(str(path), "extends", f"extends itself ({chain})", "remove the circle")])
    if len(_seen) > MOST_BASES:
        wrong = f"is the end of a chain of more than {MOST_BASES} files that extend each other"
        raise StudyError([Problem(str(path), "extends", wrong, "merge some of them")])
    file = read_yaml(path.expanduser())  # named in messages as the user named it
    if not isinstance(file.data, dict):
        wrong = f"holds a {type(file.data).__name__}, not keys and values"
        raise StudyError([Problem(f"{path}:1", "(file)", wrong, "start with `families:`")])
    data: dict[Any, Any] = file.data
    raw = Raw(data, file.where, str(path))
    _anchor_paths(raw, real.parent)
    data.setdefault("name", path.stem)
    base = data.pop("extends", None)
    if base is None:
        return raw
    if not isinstance(base, str):
        wrong = f"{base!r} is not a path"
        problem = Problem(raw.place(("extends",)), "extends", wrong, "give the path of one study file")
        raise StudyError([problem])
    parent_path = _resolved(base, real.parent, raw.place(("extends",)), "extends")
    if not os.path.isfile(parent_path):
        problem = Problem(
            raw.place(("extends",)), "extends", f"there is no file {parent_path}", "give a path relative to this file"
        )
        raise StudyError([problem])
    parent = read_raw(parent_path, (*_seen, real))
    return Raw(merge(parent.data, data), {**parent.where, **file.where}, str(path))


def merge(base: Mapping[Any, Any], over: Mapping[Any, Any]) -> dict[Any, Any]:
    """Overlay plain data: mappings key by key, all else replaced.

    A domain is one value, not a mapping to be mixed. A list of families chooses: what the base says of them stays.
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if key == "families" and _names(value) and isinstance(below, Mapping):
            merged[key] = {name: below.get(name, {}) for name in value}
        elif key == "families" and isinstance(below, tuple) and _names(below) and isinstance(value, Mapping):
            merged[key] = merge({name: {} for name in below}, value)
        elif isinstance(value, Mapping) and isinstance(below, Mapping) and not _is_domain(value, below):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged


def apply_overrides(raw: Raw, overrides: Sequence[str]) -> Raw:
    """Return `raw` with `dotted.key=value` overrides applied; values are read as YAML."""
    data, where = raw.data, dict(raw.where)
    problems: list[Problem] = []
    for override in overrides:
        dotted, equals, text = override.partition("=")
        path = _split(dotted.strip(), data)
        if not equals:
            shown = override if override.isprintable() else repr(override)
            problems.append(Problem("--set", shown, "has no `=`", "write --set dotted.key=value"))
            continue
        if not all(path) or dotted.strip().endswith(".") or not dotted.isprintable():
            problems.append(Problem("--set", repr(dotted), "is no key of a study", "write --set dotted.key=value"))
            continue
        if len(path) > LIMITS.depth:
            problems.append(Problem("--set", dotted[:40], f"has {len(path)} parts", "name a key of the study"))
            continue
        try:
            value = parse_value(text, f"--set {dotted}")
        except StudyError as error:
            problems += error.problems
            continue
        nested: Any = value
        for part in reversed(path):
            nested = {part: nested}
        where = {place: at for place, at in where.items() if place[: len(path)] != path}
        where[path] = "--set"
        data = merge(data, nested)
    if problems:
        raise StudyError(problems)
    return Raw(data, where, raw.source)


def _split(dotted: str, data: Any) -> KeyPath:
    """Split a dotted key; names that hold dots themselves (a user's own loss) are matched whole."""
    path: list[str | int] = []
    rest = dotted
    while rest or not path:
        names = [key for key in data if isinstance(key, str)] if isinstance(data, Mapping) else []
        whole = [name for name in names if rest == name or rest.startswith(f"{name}.")]
        name = max(whole, key=len) if whole else rest.partition(".")[0]
        path.append(name)
        rest = rest[len(name) + 1 :]
        data = data.get(name) if isinstance(data, Mapping) else None
    return tuple(path)


def _names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


def _is_domain(*values: Mapping[Any, Any]) -> bool:
    return any(value and set(value) <= _DOMAIN_KINDS for value in values)


def _anchor_paths(raw: Raw, folder: Path) -> None:
    """Make relative paths absolute: a study means paths beside its own file, wherever it is run from."""
    for section, key in (*_PATHS, *_MAYBE_PATHS):
        part = raw.data.get(section)
        if isinstance(part, dict) and isinstance(part.get(key), str):
            real = _resolved(part[key], folder, raw.place((section, key)), f"{section}.{key}")
            if (section, key) in _PATHS or os.path.isfile(real):
                part[key] = str(real)


def _resolved(path: str, folder: Path, where: str, key: str) -> Path:
    """Return in full the path that is meant in a folder. Raises: StudyError for nobody's home, or links in a circle."""
    try:
        return (folder / Path(path).expanduser()).resolve()
    except (OSError, RuntimeError) as error:
        wrong = f"{path!r} is no path ({str(error).splitlines()[0]})"
        raise StudyError([Problem(where, key, wrong, "give the path of a file")]) from None
