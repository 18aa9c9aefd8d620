"""Templates of a page in the style of the report: one file that works offline, with its HTML autoescaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import jinja2
import vl_convert
from markupsafe import Markup

from sweeper.errors import ResultsError
from sweeper.report.output.drawing import VEGA_LITE
from sweeper.report.output.escaping import visible
from sweeper.report.output.figure import Figure
from sweeper.report.output.typeset import markdown_text, to_markdown
from sweeper.report.output.writing import listed, number, percent


def render_page(name: str, words: dict[str, object], *, package: str = "sweeper.report") -> bytes:
    """Return a template of `package` filled in; it may import the parts of the report's own templates."""
    return _environment(package).get_template(f"{name}.j2").render(words).encode()


def render_part(name: str, words: dict[str, object]) -> str:
    """Return a template filled in, to stand in another: markup where it is HTML, plain text otherwise."""
    text = _environment("sweeper.report").get_template(f"{name}.j2").render(words).strip()
    return Markup(text) if name.endswith(".html") else text


@contextmanager
def writing_to(folder: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong with files of `folder` into a ResultsError that says where, and what cannot be written."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise ResultsError(
            f"{place}: the {what} cannot be written ({error.strerror}); free space or choose another folder"
        ) from error


@cache
def _environment(package: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("sweeper.report")]),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html", "html.j2"), default=False),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"md": markdown_text, "markdown_table": to_markdown, "drawing": _drawing}
    environment.globals |= {"script": _script, "style": _style, "specification": _specification, "inlined": _inlined}
    environment.globals |= {"percent": percent, "number": number, "listed": listed}
    return environment


def _finalize(value: object) -> object:
    """Show what is hidden in a name. Markup is ours, and holds names that were shown before."""
    return visible(value) if type(value) is str else value


def _drawing(figure: Figure) -> Markup:
    """Return the figure as it stands on the page: no ground of its own, ids that no other figure has."""
    drawn = figure.svg.replace('fill="white"', 'fill="none"', 1)
    drawn = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{figure.name}-", drawn)
    return Markup(drawn.replace("<svg ", Markup('<svg role="img" aria-label="{}" ').format(visible(figure.alt)), 1))


def _specification(figure: Figure) -> Markup:
    return Markup(figure.script)


@cache
def _script() -> Markup:
    """Return Vega and the lines that draw the charts: the only script of the page."""
    bundle: str = vl_convert.javascript_bundle(str(_inlined("charts.js")), vl_version=VEGA_LITE)
    if "</script" in bundle.lower():
        raise ResultsError("this version of vl-convert makes a bundle that cannot be put into a page; use another one")
    return Markup(bundle)


@cache
def _style() -> Markup:
    """Return the page's own style sheet, then those of its sections."""
    names = sorted(one.name for one in _templates().iterdir() if one.name.endswith(".css"))
    names.sort(key=lambda name: name != "report.css")
    return Markup("\n".join(_templates().joinpath(name).read_text("utf-8") for name in names))


@cache
def _inlined(name: str) -> Markup:
    """Return a script of ours, to stand inside a `script` element."""
    return Markup(_templates().joinpath(name).read_text("utf-8"))


def _templates() -> Traversable:
    return resources.files("sweeper.report").joinpath("templates")
