"""Building the raw study from its parts: the file, the files it extends, `--set` values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeper.errors import Problem, StudyError
from sweeper.study.yaml_file import KeyPath, parse_yaml, read_yaml

_DOMAIN_KINDS = {"uniform", "log_uniform", "int", "choice", "complement"}
_PATHS: tuple[tuple[str, str], ...] = (("data", "images"), ("data", "masks"), ("data", "classes"), ("data", "splits"))
_MAYBE_PATHS: tuple[tuple[str, str], ...] = (("model", "weights"),)
"""Words or paths: a path where such a file lies beside the study."""


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
    path = path.expanduser()
    real = path.resolve()
    if real in _seen:
        chain = " -> ".join(str(one) for one in (*_seen, real))
        raise StudyError([Problem(str(path), "extends", f"extends itself ({chain})", "remove the circle")])
    file = read_yaml(path)
    if not isinstance(file.data, dict):
        wrong = f"holds a {type(file.data).__name__}, not keys and values"
        raise StudyError([Problem(f"{path}:1", "(file)", wrong, "start with `families:`")])
    data: dict[Any, Any] = file.data
    _anchor_paths(data, real.parent)
    data.setdefault("name", path.stem)
    base = data.pop("extends", None)
    raw = Raw(data, file.where, str(path))
    if base is None:
        return raw
    if not isinstance(base, str):
        wrong = f"{base!r} is not a path"
        problem = Problem(raw.place(("extends",)), "extends", wrong, "give the path of one study file")
        raise StudyError([problem])
    parent_path = real.parent / base
    if not parent_path.is_file():
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
        if not equals or not dotted.strip():
            problems.append(Problem("--set", override, "has no `=`", "write --set dotted.key=value"))
            continue
        value = parse_yaml(f"value: {text}" if text.strip() else "value: null", f"--set {dotted}").data["value"]
        path = _split(dotted.strip(), data)
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
    while rest:
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


def _anchor_paths(data: dict[Any, Any], folder: Path) -> None:
    """Make relative paths absolute: a study means paths beside its own file, wherever it is run from."""
    for section, key in _PATHS:
        part = data.get(section)
        if isinstance(part, dict) and isinstance(part.get(key), str):
            part[key] = str((folder / Path(part[key]).expanduser()).resolve())
    for section, key in _MAYBE_PATHS:
        part = data.get(section)
        if isinstance(part, dict) and isinstance(part.get(key), str):
            beside = folder / Path(part[key]).expanduser()
            if beside.is_file():
                part[key] = str(beside.resolve())
