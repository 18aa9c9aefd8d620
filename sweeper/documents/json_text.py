"""JSON as strict as it is meant: no key twice, no NaN, no number or depth without end."""

from __future__ import annotations

import json
from typing import Any

from sweeper.documents.plain import Limits, Malformed, check_plain, too_much


def parse_json(text: str, limits: Limits) -> Any:
    """Return the content of JSON text. Raises: Malformed."""
    try:
        data = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_number)
        check_plain(data, limits)
    except json.JSONDecodeError as error:
        raise Malformed(error.lineno, f"not valid JSON: {error.msg}", "mend the JSON syntax") from None
    except RecursionError:
        raise too_much(None) from None
    except ValueError:  # of whole numbers with thousands of digits
        raise Malformed(None, "a whole number is beyond 64 bits", "write a smaller number") from None
    return data


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise Malformed(None, f"the key {key!r} stands twice", "keep one of the two")
        found[key] = value
    return found


def _no_number(name: str) -> Any:
    raise Malformed(None, f"{name} is not a finite number", "write a finite number, or leave the key out")
