"""Reading one YAML file of a study, remembering the line of every key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.documents.plain import KeyPath as KeyPath
from sweeper.documents.plain import Limits, Malformed
from sweeper.documents.text import read_text
from sweeper.documents.yaml_text import parse_yaml_text
from sweeper.errors import Problem, StudyError

LIMITS = Limits(size=1_000_000, values=20_000)


@dataclass(frozen=True)
class YamlFile:
    """The plain data of one file (lists as tuples) and where each key stands."""

    data: Any
    where: dict[KeyPath, str]
    """`file:line` of every key, by its path."""


def read_yaml(path: Path) -> YamlFile:
    """Read a YAML file.

    Raises: StudyError naming file and line for anything that is not plain, finite YAML: unreadable files, syntax
    errors, duplicate keys, unknown tags, files that are too large or expand without end.
    """
    try:
        text = read_text(path, LIMITS)
    except FileNotFoundError:
        raise _refuse(str(path), "no such file", "give the path of a study file") from None
    except OSError as error:
        raise _refuse(str(path), error.strerror or "cannot be read", "give the path of a readable file") from None
    except Malformed as error:
        raise _refused(str(path), error) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> YamlFile:
    """Parse YAML text; `name` stands for the file in messages."""
    try:
        document = parse_yaml_text(text, LIMITS)
    except Malformed as error:
        raise _refused(name, error) from None
    if not document.lines:
        raise _refuse(f"{name}:1", "is empty", "a study needs at least `families:`")
    return YamlFile(document.data, {path: f"{name}:{line}" for path, line in document.lines.items()})


def parse_value(text: str, name: str) -> Any:
    """Return what one value on the command line means; no text at all is null."""
    if not text.strip():
        return None
    try:
        document = parse_yaml_text(text, LIMITS)
    except Malformed as error:
        raise _refuse(name, error.wrong, error.right) from None
    if not document.lines:
        raise _refuse(name, f"{text!r} is a comment in YAML", f"put it in quotes: {text.strip()!r} within the shell's")
    return document.data


def _refused(name: str, error: Malformed) -> StudyError:
    return _refuse(name if error.line is None else f"{name}:{error.line}", error.wrong, error.right)


def _refuse(where: str, wrong: str, right: str) -> StudyError:
    return StudyError([Problem(where, "(file)", wrong, right)])
