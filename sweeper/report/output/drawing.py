"""A chart's specification drawn as SVG, PNG and PDF, on other cores while the report goes on."""

from __future__ import annotations

import os
import re
from concurrent.futures import Future
from typing import Any, NamedTuple

import vl_convert
from loky import get_reusable_executor

VEGA_LITE = "6.4"
PNG_SCALE = 2.0
MOST_WORKERS = 4
"""A report has a few dozen charts: more workers would start for one or two charts each."""
IDLE_SECONDS = 20
"""After which the workers end."""


class Drawing(NamedTuple):
    """One chart in the three formats."""

    svg: str
    png: bytes
    pdf: bytes


def drawn(spec: dict[str, Any]) -> Future[Drawing]:
    """Start drawing a Vega-Lite specification; the drawing is the same wherever it happens.

    The converter holds Python's lock, so threads would not help: workers are processes. They do not import the
    program that called, so a script without a `__main__` guard works too. The last core is left to the caller.
    """
    workers = min((os.cpu_count() or 1) - 1, MOST_WORKERS)
    if workers < 1:
        here: Future[Drawing] = Future()
        here.set_result(draw(spec))
        return here
    waiting: Future[Drawing] = get_reusable_executor(max_workers=workers, timeout=IDLE_SECONDS).submit(draw, spec)
    return waiting


def draw(spec: dict[str, Any]) -> Drawing:
    """Draw a Vega-Lite specification, here and now."""
    svg = _steady(str(vl_convert.vegalite_to_svg({**spec, "background": "white"}, vl_version=VEGA_LITE)))
    return Drawing(svg, bytes(vl_convert.svg_to_png(svg, scale=PNG_SCALE)), bytes(vl_convert.svg_to_pdf(svg)))


def _steady(svg: str) -> str:
    """Number the ids of a drawing by where they first occur: Vega goes on counting from one drawing to the next."""
    names: dict[str, str] = {}

    def numbered(found: re.Match[str]) -> str:
        return found[1] + names.setdefault(found[2], f"part{len(names)}")

    return re.sub(r'(\bid="|url\(#|href="#)([^")]+)', numbered, svg)
