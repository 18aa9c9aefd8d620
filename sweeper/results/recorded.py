"""A trial's record from outside: a journal or a tracking server may hold anything, a `TrialRecord` must not."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeGuard

from sweeper.results.margins import BINS
from sweeper.results.record import MarginCounts, ReliabilityBin, Score, TrialRecord

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")
"""Keys name files and stand in filters of MLflow: nothing else may be in one."""

LONGEST_SECONDS = 1e9

_CHOICES = {"stage": ("search", "confirm"), "status": ("completed", "stopped", "failed")}
_OPTIONAL_TEXTS = ("reason", "device", "precision", "weighting_train", "weighting_val", "weighting_test")
_TEXTS = ("study", "family", "loss_level", "overlap", "tradeoff")
_OPTIONAL_NUMBERS = (
    "level_train", "level_val", "level_test", "ess_train", "ess_val", "ess_test", "objective", "offset",
)  # fmt: skip


def from_json(text: str) -> TrialRecord:
    """Read what `TrialRecord.to_json` wrote.

    Raises: ValueError saying what is wrong, whatever `text` is.
    """
    try:
        record = TrialRecord.from_json(text)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    check(record)
    return record


def check(record: TrialRecord) -> None:
    """See that every field of a record is of its kind, so that nothing after this has to.

    Raises: ValueError naming the first that is not.
    """
    for name, is_right, kind in _RULES:
        value = getattr(record, name)
        if not is_right(value):
            raise ValueError(f"{name} is {_shown(value)}, not {kind}")


def _is_text(value: object) -> TypeGuard[str]:
    if not isinstance(value, str):
        return False
    try:
        value.encode()  # JSON can spell half a character
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= 2**53  # beyond, no column of numbers takes it
    return isinstance(value, float) and math.isfinite(value)


def _is_integer(value: object) -> bool:
    """Whether it fits into a column of 32 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_count(value: object) -> bool:
    return _is_number(value) and value >= 0


def _is_duration(value: object) -> bool:
    return _is_number(value) and 0 <= value <= LONGEST_SECONDS


def _or_none(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


def _is_setting(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        _is_text(name) and (one is None or isinstance(one, bool) or _is_text(one) or _is_number(one))
        for name, one in value.items()
    )


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).year >= 1970
    except ValueError:
        return False


def _is_history(value: Iterable[object]) -> bool:
    return all(isinstance(epoch, Mapping) and _is_epoch(epoch) for epoch in value)


def _is_epoch(epoch: Mapping[str, object]) -> bool:
    return (
        all(_is_text(name) and (one is None or _is_number(one)) for name, one in epoch.items())
        and ("epoch" not in epoch or _is_integer(epoch["epoch"]))
        and (epoch.get("seconds") is None or _is_duration(epoch["seconds"]))
    )


def _is_score(one: Score) -> bool:
    texts = (one.split, one.point, one.klass, one.metric)
    return (
        all(map(_is_text, texts))
        and (one.image is None or _is_text(one.image))
        and (one.value is None or _is_number(one.value))
    )


def _is_height(value: object) -> bool:
    """Whether a column of single precision takes it."""
    return _is_number(value) and 0 <= value <= (2**24 if isinstance(value, int) else 3e38)


def _is_histogram(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == BINS and all(map(_is_height, value))


def _is_margins(one: MarginCounts) -> bool:
    return (
        _is_text(one.split)
        and (one.image is None or _is_text(one.image))
        and _is_count(one.pixels)
        and _is_count(one.target)
        and _is_histogram(one.found)
        and _is_histogram(one.alarms)
    )


def _is_bin(one: ReliabilityBin) -> bool:
    return (
        _is_text(one.split)
        and _is_integer(one.bin)
        and _is_count(one.pixels)
        and (one.probability is None or _is_number(one.probability))
        and (one.share is None or _is_number(one.share))
    )


def _rows_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda found: all(map(is_right, found))


def _is_choice(*known: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in known


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_key(value: object) -> bool:
    return isinstance(value, str) and _KEY.fullmatch(value) is not None


def _shown(value: object) -> str:
    """Return a value as a message may hold it; of whatever is long or an integer of a million digits, its kind."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**64):
        return str(value)
    return ascii(value) if isinstance(value, str) and len(value) <= 60 else f"a {type(value).__name__}"


_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("key", _is_key, "a trial's key"),
    *((name, _is_text, "text") for name in _TEXTS),
    *((name, _or_none(_is_text), "text") for name in _OPTIONAL_TEXTS),
    *((name, _is_choice(*known), " or ".join(known)) for name, known in _CHOICES.items()),
    *((name, _is_integer, "a whole number below 2**31") for name in ("epochs", "planned_epochs")),
    ("number", _or_none(_is_integer), "a whole number below 2**31"),
    ("seed", _is_seed, "a whole number below 2**63"),
    ("level", lambda value: _is_number(value) and 0 <= value <= 1, "a share"),
    *((name, _or_none(_is_number), "a number") for name in _OPTIONAL_NUMBERS),
    ("seconds", _is_duration, "a time in seconds"),
    ("started", _or_none(_is_time), "a time in ISO 8601"),
    ("is_default", _is_flag, "true or false"),
    ("offset_at_limit", _or_none(_is_flag), "true or false"),
    ("hyperparameters", _is_setting, "plain values by name"),
    ("history", _is_history, "a row of numbers per epoch"),
    ("scores", _rows_of(_is_score), "rows of scores"),
    ("margins", _rows_of(_is_margins), "rows of histograms"),
    ("reliability", _rows_of(_is_bin), "rows of the reliability table"),
)
