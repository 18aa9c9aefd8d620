"""Whether plain JSON is laid out as a `TypedDict` says."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict


def misfits(value: Any, kind: Any, where: str) -> Iterator[str]:
    """Yield what is wrong with `value` as a `kind`, each with its place.

    Args:
        kind: A TypedDict, `dict[str, X]`, `list[X]`, a union, a plain type, or Any. Keys that a TypedDict does not know
            are let be: later versions may write more.
        where: What to call `value`.
    """
    origin, of = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if is_typeddict(kind):
        yield from _keyed(value, kind, where)
    elif origin in (Union, UnionType):
        if not any(next(misfits(value, one, where), None) is None for one in of):
            yield _wrong(value, where)
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from misfits(item, of[1], f"{where}.{key}")
    elif origin is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from misfits(item, of[0], f"{where}[{index}]")
    elif origin in (dict, list) or not _is_plain(value, kind):
        yield _wrong(value, where)


def _keyed(value: Any, kind: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _wrong(value, where)
        return
    for key, of in get_type_hints(kind, include_extras=True).items():
        optional = get_origin(of) is NotRequired
        if key in value:
            yield from misfits(value[key], get_args(of)[0] if optional else of, f"{where}.{key}")
        elif not optional:
            yield f"{where}.{key} is missing"


def _is_plain(value: Any, kind: Any) -> bool:
    if kind in (None, type(None)):
        return value is None
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    return isinstance(value, int | float if kind is float else kind)


def _wrong(value: Any, where: str) -> str:
    text = repr(value)
    return f"{where} is {text if len(text) <= 40 else text[:37] + '...'}"
