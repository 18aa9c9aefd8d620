"""YAML read safely, remembering the line of every key.

YAML 1.1 as PyYAML reads it has traps for people who write numbers: `1e-3` is a string, `no` is false, `010` is 8.
Documents are read with the YAML 1.2 core meanings instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from sweeper.documents.plain import KeyPath, Limits, Malformed, check_key, check_single, too_much


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The plain data of one document (lists as tuples) and where each key stands."""

    data: Any
    lines: dict[KeyPath, int]
    """Line, from 1, of every key by its path, and of the whole by (); empty where there is no document at all."""


def parse_yaml_text(text: str, limits: Limits) -> YamlDocument:
    """Return the content of YAML text that holds one document, or none.

    Raises: Malformed for anything that is not plain, finite YAML: syntax errors, duplicate keys, tags, merge keys,
    invisible characters, what is too large or expands without end.
    """
    hidden = _INVISIBLE_BREAK.search(text)
    if hidden is not None:
        line = text.count("\n", 0, hidden.start()) + 1
        wrong = f"holds the character U+{ord(hidden[0]):04X}, a line break that editors do not show"
        raise Malformed(line, wrong, "remove it, or break the line")
    loader = None
    try:
        loader = _Loader(text, limits)
        node = loader.get_single_node()
        builder = _Builder(loader, limits)
        data = None if node is None else builder.build(node, (), 0)
        return YamlDocument(data, builder.lines)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        wrong = f"holds the character U+{error.character:04X}, which no text has"
        raise Malformed(line, wrong, "save the file as plain UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(error) from None
    except (ValueError, OverflowError, RecursionError) as error:  # an escape beyond Unicode, a version without end
        line = 1 if loader is None else loader.line + 1
        told = str(error).splitlines()
        raise Malformed(line, told[0] if told else "is not valid YAML", "mend the YAML syntax") from None
    finally:
        if loader is not None:
            loader.dispose()


_INVISIBLE_BREAK = re.compile("[\x85\u2028\u2029]")
"""Line breaks to YAML 1.1, but not to YAML 1.2 nor to most editors: a comment may end where nobody sees it."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of the YAML 1.2 core schema, and an end to what it composes."""

    def __init__(self, text: str, limits: Limits) -> None:
        super().__init__(text)
        self._limits = limits
        self._nodes = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        self._depth += 1
        if self._nodes > 2 * self._limits.values or self._depth > self._limits.depth + 1:  # keys are nodes too
            raise too_much(self.line + 1)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_TAG = "tag:yaml.org,2002:"

_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", [*"~nN", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
    ("float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", list("-+.")),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(_pattern), _first)


class _Builder:
    """Turns the node graph into plain data, noting lines and refusing what grows without end."""

    def __init__(self, loader: _Loader, limits: Limits) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._loader = loader
        self._limits = limits
        self._values = 0
        self._characters = 0

    def build(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._values += 1
        if self._values > self._limits.values or depth > self._limits.depth:
            raise too_much(line)
        if isinstance(node, yaml.ScalarNode):
            return self._single(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return tuple(self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._keyed(node, path, depth)
        raise _tagged(node)

    def _keyed(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str | int, Any]:
        data: dict[str | int, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise Malformed(line, "a list or a map stands where a key should", "use plain words as keys")
            if key_node.value == "<<":
                raise Malformed(line, "merge keys (<<) are not read", "write the keys out")
            key = self._single(key_node)
            check_key(key, line)
            if key in data:
                raise Malformed(line, f"the key {key!r} stands twice", "keep one of the two")
            self.lines[(*path, key)] = line
            data[key] = self.build(value_node, (*path, key), depth + 1)
        return data

    def _single(self, node: yaml.ScalarNode) -> Any:
        """Return what a scalar means. Not PyYAML's own way, which fails in many ways where a tag does not fit."""
        line = node.start_mark.line + 1
        text: str = node.value
        self._characters += len(text)
        if self._characters > self._limits.size:
            raise too_much(line)
        kind = node.tag.removeprefix(_TAG)
        plain: str = self._loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        if kind != "str" and plain != node.tag:
            raise _tagged(node)
        value = _meaning(kind, text, line)
        check_single(value, line)
        return value


def _meaning(kind: str, text: str, line: int) -> str | int | float | bool | None:
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            if len(text) > _MOST_DIGITS:
                raise Malformed(line, "a whole number is beyond 64 bits", "write a smaller number")
            return int(text)  # 010 is ten, not eight
        case "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


_MOST_DIGITS = 1000
"""Beyond it, Python may refuse to read a whole number; leading zeros count."""


def _tagged(node: yaml.Node) -> Malformed:
    line = node.start_mark.line + 1
    return Malformed(line, f"the tag {node.tag!r} is not known, or not of such a value", "use plain values")


def _syntax(error: yaml.MarkedYAMLError) -> Malformed:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = error.problem or "is not valid YAML"
    if "another document" in problem:
        return Malformed(line, "holds a second document", "keep one; remove the line `---` and what follows it")
    if "'\\t'" in problem:
        return Malformed(line, problem, "indent with spaces, not with tabs")
    return Malformed(line, problem, "mend the YAML syntax")
