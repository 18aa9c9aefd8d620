"""One chart with its words, and its files."""

from __future__ import annotations

import json
import re
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sweeper.report.curves import Chart
from sweeper.report.output.drawing import Drawing, drawn
from sweeper.report.output.escaping import visible
from sweeper.report.output.theme import CONFIG
from sweeper.report.steady import steady_value


@dataclass(frozen=True)
class Figure:
    """A chart, what it shows in a sentence (`alt`), and how to read it (`caption`)."""

    name: str
    """Stem of its files."""
    title: str
    chart: Chart
    alt: str
    caption: str
    reading: str = ""
    """What the chart shows in a sentence, where it is worked out from the numbers."""

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification, on transparent ground."""
        # Built from our own calls, and checked against the schema by a test: checking again takes a second a chart.
        spec: dict[str, Any] = self.chart.to_dict(validate=False)
        # The schema's address is never fetched, but a page that works offline should not name one.
        spec.pop("$schema", None)
        shown: dict[str, Any] = _shown(spec)
        return {**shown, "config": CONFIG}

    @property
    def height(self) -> int:
        """Of the drawing, in pixels."""
        found = re.search(r'\bheight="(\d+)', self.svg)
        return int(found[1]) if found else 0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is drawn, as plain rows: all data sets of the chart, one after the other, under one set of columns."""
        return [row for rows in self.spec.get("datasets", {}).values() for row in rows]

    @cached_property
    def script(self) -> str:
        """The specification as JSON that is safe inside a `script` element."""
        text = json.dumps(self.spec, separators=(",", ":"), ensure_ascii=True)
        return text.replace("<", "\\u003c").replace("&", "\\u0026")

    def begin(self) -> None:
        """Start drawing it; what is asked for before the drawing is done waits for it."""
        _ = self._drawing

    @cached_property
    def _drawing(self) -> Future[Drawing]:
        return drawn(self.spec)

    @property
    def svg(self) -> str:
        return self._drawing.result().svg

    @property
    def png(self) -> bytes:
        return self._drawing.result().png

    @property
    def pdf(self) -> bytes:
        return self._drawing.result().pdf


def _shown(part: Any) -> Any:
    """Return a specification with numbers every machine agrees on and nothing hidden in its names."""
    if isinstance(part, dict):
        return {name: _shown(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_shown(value) for value in part]
    return visible(part) if isinstance(part, str) else steady_value(part)
