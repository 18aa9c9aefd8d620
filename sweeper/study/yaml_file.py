"""Reading one YAML file safely, remembering the line of every key.

YAML 1.1 as PyYAML reads it has traps for people who write numbers: `1e-3` is a string, `no` is false, `010` is 8.
Studies are read with the YAML 1.2 core meanings instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sweeper.errors import Problem, StudyError

KeyPath = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_NODES = 20_000
MAX_DEPTH = 32


@dataclass(frozen=True)
class YamlFile:
    """The plain data of one file (lists as tuples) and where each key stands."""

    data: Any
    where: dict[KeyPath, str]
    """`file:line` of every key, by its path."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of the YAML 1.2 core schema."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", [*"~nN", ""]),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("tag:yaml.org,2002:float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
    ("tag:yaml.org,2002:float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", list("-+.")),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map")}


def _decimal_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))  # 010 is ten, not eight


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal_int)


def read_yaml(path: Path) -> YamlFile:
    """Read a YAML file whose top level is a mapping.

    Raises: StudyError naming file and line for anything that is not plain, finite YAML: unreadable files, syntax
    errors, duplicate keys, unknown tags, files that are too large or expand without end.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise _refuse(str(path), "no such file", "give the path of a study file") from None
    except OSError as error:
        raise _refuse(str(path), error.strerror or "cannot be read", "give the path of a readable file") from None
    if len(raw) > MAX_BYTES:
        raise _refuse(str(path), f"is {len(raw):,} bytes", f"a study file has at most {MAX_BYTES:,}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refuse(str(path), "is not UTF-8 text", "save the file as UTF-8") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> YamlFile:
    """Parse YAML text; `name` stands for the file in messages."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise _refuse(f"{name}:1", "is empty", "a study needs at least `families:`")
        reader = _Reader(loader, name)
        return YamlFile(reader.build(node, (), 0), reader.where)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _refuse(f"{name}:{line}", error.problem or "is not valid YAML", "mend the YAML syntax") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        text = str(error).splitlines()[0] if str(error) else "is not valid YAML"
        raise _refuse(f"{name}:1", text, "mend the YAML syntax") from None
    finally:
        loader.dispose()


class _Reader:
    """Turns the node graph into plain data, noting lines and refusing what grows without end."""

    def __init__(self, loader: _Loader, name: str) -> None:
        self.loader = loader
        self.name = name
        self.where: dict[KeyPath, str] = {}
        self.nodes = 0

    def build(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        place = f"{self.name}:{node.start_mark.line + 1}"
        self.where.setdefault(path, place)
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise _refuse(place, "expands to too many or too deeply nested values", "write the study out plainly")
        if node.tag not in _PLAIN_TAGS:
            raise _refuse(place, f"the tag {node.tag!r} is not known", "use plain values")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value))
        return self.loader.construct_object(node, deep=True)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str | int, Any]:
        data: dict[str | int, Any] = {}
        for key_node, value_node in node.value:
            place = f"{self.name}:{key_node.start_mark.line + 1}"
            key = self.loader.construct_object(key_node, deep=True)
            if not isinstance(key, str | int):
                raise _refuse(place, f"the key {key!r} is not a word", "use plain words as keys")
            if key in data:
                raise _refuse(place, f"the key {key!r} stands twice", "keep one of the two")
            self.where[(*path, key)] = place
            data[key] = self.build(value_node, (*path, key), depth + 1)
        return data


def _refuse(where: str, wrong: str, right: str) -> StudyError:
    return StudyError([Problem(where, "(file)", wrong, right)])
