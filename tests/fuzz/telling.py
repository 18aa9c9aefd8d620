"""What a loader says of an input."""

from __future__ import annotations

from collections.abc import Callable


def told(error: type[Exception], call: Callable[[], object]) -> str | None:
    """Return what `call` raised as an `error`, or None; any other exception is a finding."""
    try:
        call()
    except error as raised:
        return str(raised)
    return None
