"""Coverage-guided inputs for the YAML loader: `make fuzz`, or `python tests/fuzz/atheris_yaml.py -runs=1000000`.

Plain data or Malformed; anything else ends the run with the input that did it. Needs `atheris`, which the tests do not.
"""

from __future__ import annotations

import json
import sys

import atheris

with atheris.instrument_imports():
    from sweeper.documents.plain import Limits, Malformed, check_plain
    from sweeper.documents.yaml_text import YamlDocument, parse_yaml_text

LIMITS = Limits(size=20_000, values=500)


def one_input(content: bytes) -> None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    found = parsed(text)
    if isinstance(found, Malformed):
        assert found.line is None or 1 <= found.line <= len(text) + 1
        assert "\n" not in found.wrong
    else:
        check_plain(found.data, LIMITS)
        json.dumps(found.data, allow_nan=False).encode()


def parsed(text: str) -> YamlDocument | Malformed:
    try:
        return parse_yaml_text(text, LIMITS)
    except Malformed as error:
        return error


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
