"""The classes of a folder of masks: which mask value or color is which class, and which belong to none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sweeper.data.patches import ClassInfo
from sweeper.data.roles import find_class
from sweeper.data.settings import IGNORE, Folder
from sweeper.documents.json_text import parse_json
from sweeper.documents.plain import Limits, Malformed
from sweeper.documents.text import read_text
from sweeper.documents.yaml_text import parse_yaml_text
from sweeper.errors import DataError, suggest

MaskFormat = Literal["index", "rgb"]

MOST_CLASSES = 254
"""Indices 0 to 253: 255 marks ignored pixels, 254 values nobody declared."""

DEFAULT_COLORS = (
    "#e8e4da", "#1f5fbf", "#d1392b", "#2f8f4e", "#e0a025", "#7b4fb3", "#18a1a8", "#c2578f", "#7a5c3c", "#8fae2d",
)  # fmt: skip

EXAMPLE = '{"mask_format": "index", "classes": [{"index": 0, "name": "background", "color": "#000000"}, ...]}'


@dataclass(frozen=True)
class ClassTable:
    """What every mask value means."""

    name: str | None
    """What the class file calls the data."""
    classes: tuple[ClassInfo, ...]
    mask_format: MaskFormat
    values: Mapping[int, int]
    """Mask value, or color as 0xrrggbb, to class index or IGNORE."""
    where: str
    """Where it was declared, for messages."""

    def written(self, value: int) -> str:
        """Return a mask value as the user writes it: `7`, or `#8429F6`."""
        return f"#{value:06X}" if self.mask_format == "rgb" else str(value)


def read_classes(settings: Folder) -> ClassTable:
    """Return the class table of a folder from its class file or inline list, with the settings' `ignore` and `remap`.

    Raises: DataError for a class file that cannot be read, or declares something twice, or not at all.
    """
    where, entries, head = _declared(settings)
    classes, has_index = _classes(where, entries)
    mask_format = _mask_format(settings, where, head, has_index, classes)
    table = _Values(where, mask_format)
    for info, color in classes:
        if mask_format == "index":
            table.add(info.index, info.index, f"class {info.name!r}")
        elif color is None:
            raise DataError(
                f"{where}: class {info.name!r} has no color, but mask_format is rgb, where the color is the class; "
                f'add "color": "#rrggbb"'
            )
        else:
            table.add(_packed(color), info.index, f"class {info.name!r}")
    infos = tuple(info for info, _ in classes)
    ignored = head.get("ignore") or ()
    if not isinstance(ignored, list | tuple):
        raise DataError(f"{where}: ignore is {ignored!r}; it must be a list, for example [255]")
    for item in ignored:
        table.add(_ignored_value(where, item, mask_format), IGNORE, "an ignored value")
    for value in settings.ignore:
        table.add(_mask_value(value, mask_format, "data.ignore"), IGNORE, "an ignored value")
    for value, target in settings.remap.items():
        meant = IGNORE if target == "ignore" else find_class(target, infos, f"data.remap[{value!r}]")
        table.add(_mask_value(value, mask_format, "data.remap"), meant, "a remapped value")
    name = head.get("name")
    if isinstance(name, list | tuple | Mapping):
        raise DataError(f"{where}: name is {name!r}; it must be what the data are called")
    return ClassTable(str(name) if name else None, infos, mask_format, table.values, where)


LIMITS = Limits(size=64_000_000, values=2_000_000)
"""Of a JSON file: a split file lists every picture."""
YAML_LIMITS = Limits(size=8_000_000, values=100_000)
"""YAML is read a hundred times slower."""


def read_document(path: Path, what: str) -> Any:
    """Return the content of a JSON or YAML file. Raises: DataError, naming the file and, where known, the line."""
    is_json = path.suffix.lower() == ".json"
    try:
        text = read_text(path, LIMITS if is_json else YAML_LIMITS)
        return parse_json(text, LIMITS) if is_json else parse_yaml_text(text, YAML_LIMITS).data
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such {what}") from None
    except OSError as error:
        raise DataError(
            f"{path}: the {what} cannot be read ({error.strerror}); it must be JSON or YAML in UTF-8"
        ) from None
    except Malformed as error:
        line = "" if error.line is None else f":{error.line}"
        raise DataError(f"{path}{line}: the {what} cannot be used: {error.wrong}; {error.right}") from None


def _declared(settings: Folder) -> tuple[str, list[Mapping[str, Any]], Mapping[str, Any]]:
    """Return (where, class entries, the rest of the file)."""
    document: Any
    if not isinstance(settings.classes, str):
        where, document = "data.classes", list(settings.classes)
    else:
        where = Path(settings.classes).name
        document = read_document(Path(settings.classes), "class file")
    head: Mapping[str, Any] = {}
    if isinstance(document, Mapping):
        head, document = document, document.get("classes")
    if not isinstance(document, Sequence) or isinstance(document, str) or not document:
        raise DataError(f"{where}: lists no classes; write for example {EXAMPLE}")
    for number, item in enumerate(document):
        if not isinstance(item, Mapping):
            raise DataError(f"{where}: class number {number} is {item!r}; each must have a name, e.g. {EXAMPLE}")
    return where, list(document), head


def _classes(where: str, entries: list[Mapping[str, Any]]) -> tuple[list[tuple[ClassInfo, str | None]], bool]:
    """Return each class with the color it declares, and whether the entries say their index themselves."""
    if len(entries) > MOST_CLASSES:
        raise DataError(f"{where}: has {len(entries)} classes; at most {MOST_CLASSES} fit into an 8-bit mask")
    with_index = [item for item in entries if "index" in item]
    if with_index and len(with_index) < len(entries):
        lacking = next(item for item in entries if "index" not in item)
        raise DataError(f"{where}: {dict(lacking)} has no index while others have; give each class one, or none")
    classes: list[tuple[ClassInfo, str | None]] = []
    for number, item in enumerate(entries):
        # Some published class files say `title` and give no index: then the order is the index.
        index, name, color = item.get("index", number), item.get("name", item.get("title")), item.get("color")
        if isinstance(index, bool) or not isinstance(index, int):
            raise DataError(f"{where}: class number {number} has the index {index!r}; it must be a whole number")
        if name is None or str(name) == "":
            hint = suggest("name", [str(key) for key in item]) if item else "it is empty"
            raise DataError(f'{where}: class number {number} has no name ({hint}); add "name"')
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            raise DataError(f"{where}: class number {number} has the name {name!r}; put a word in quotes")
        if color is not None:
            color = _color(color, f"{where}: class {name!r}")
        shown = color or DEFAULT_COLORS[number % len(DEFAULT_COLORS)]
        classes.append((ClassInfo(index, str(name), shown.lower()), color))
    indices = [info.index for info, _ in classes]
    if sorted(indices) != list(range(len(indices))):
        raise DataError(
            f"{where}: the class indices are {indices}; they must be 0 to {len(indices) - 1}, each once. Other "
            f"mask values are mapped to a class by `data.remap: {{255: <class name>}}`, to none by `data.ignore: [255]`"
        )
    names = [info.name for info, _ in classes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where}: two classes are called {twice!r}; give each its own name")
    return sorted(classes, key=lambda pair: pair[0].index), bool(with_index)


def _mask_format(
    settings: Folder,
    where: str,
    head: Mapping[str, Any],
    has_index: bool,
    classes: list[tuple[ClassInfo, str | None]],
) -> MaskFormat:
    """Return how masks are to be read: as the settings say, else the class file, else by what the entries identify."""
    stated = settings.mask_format or head.get("mask_format")
    if stated is None:
        return "rgb" if not has_index and all(color is not None for _, color in classes) else "index"
    if stated not in ("index", "rgb"):
        raise DataError(f"{where}: mask_format is {stated!r}; {suggest(str(stated), ('index', 'rgb'))}")
    chosen: MaskFormat = stated
    return chosen


class _Values:
    """Mask values gathered one by one; none may mean two things."""

    def __init__(self, where: str, mask_format: MaskFormat) -> None:
        self.where = where
        self.mask_format = mask_format
        self.values: dict[int, int] = {}
        self._meaning: dict[int, str] = {}

    def add(self, value: int, target: int, meaning: str) -> None:
        if self.values.get(value, target) != target:
            written = f"#{value:06X}" if self.mask_format == "rgb" else str(value)
            raise DataError(
                f"{self.where}: {written} is {self._meaning[value]} and also {meaning}; it can be only one of them"
            )
        self.values[value] = target
        self._meaning[value] = meaning


def _ignored_value(where: str, item: Any, mask_format: MaskFormat) -> int:
    """Return the mask value of one entry of a class file's `ignore`: `{index?, color?, name}`, or a bare value."""
    if not isinstance(item, Mapping):
        return _mask_value(item, mask_format, f"{where}: ignore")
    key = "index" if mask_format == "index" else "color"
    if item.get(key) is None:
        raise DataError(f"{where}: the ignore entry {dict(item)} has no {key}; {mask_format} masks need it")
    return _mask_value(item[key], mask_format, f"{where}: ignore")


def _mask_value(value: object, mask_format: MaskFormat, key: str) -> int:
    if mask_format == "rgb":
        return _packed(_color(value, key))
    if isinstance(value, str) and value.isdecimal():  # JSON has no whole numbers as keys
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{key}: {value!r} is no mask value; with mask_format index it is a whole number, as 255")
    if not 0 <= value <= 65535:
        raise DataError(f"{key}: {value} is no mask value; values run from 0 to 65535")
    return value


def _color(value: object, key: str) -> str:
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return value
    hint = "; in YAML put it in quotes, as # starts a comment" if value is None else ""
    raise DataError(f'{key}: {value!r} is no color; write it as "#rrggbb"{hint}')


def _packed(color: str) -> int:
    return int(color[1:], 16)
