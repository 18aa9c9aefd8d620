"""Prediction panels: what each family sees in the same patches, as one grid of pictures for the page."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from sweeper.errors import ResultsError
from sweeper.report.evidence import confirmed

if TYPE_CHECKING:
    from sweeper.results.results import Results

SIDE = 128
"""Least side of a picture on the page, in pixels; smaller patches are enlarged by whole factors, pixels kept crisp."""


@dataclass(frozen=True)
class PanelRow:
    """One patch: its input, its truth, and each family's prediction, as data URIs."""

    number: str
    pictures: tuple[tuple[str, str | None], ...]
    """(title, data URI), None where a family has no picture of this patch."""


@dataclass(frozen=True)
class PanelGrid:
    """All patches that were kept, one row each."""

    level: float
    rows: tuple[PanelRow, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(title for title, _ in self.rows[0].pictures)


def panel_grid(results: Results, folder: Path | None) -> PanelGrid | None:
    """Read `input_<i>.png`, `truth_<i>.png` and `<trial key>_<i>.png`; None where the folder has no inputs.

    The prediction shown is that of each family's tuned setting, first confirm seed, at the hardest level that has any.

    Raises: ResultsError for a picture that cannot be read.
    """
    if folder is None or not folder.is_dir():
        return None
    numbers = sorted(
        (match[1] for path in folder.iterdir() if (match := re.fullmatch(r"input_(\w+)\.png", path.name))),
        key=lambda number: (len(number), number),
    )
    if not numbers:
        return None
    level, keys = _keys(results, folder, numbers)
    rows = []
    for number in numbers:
        pictures = [("input", _uri(folder / f"input_{number}.png")), ("truth", _uri(folder / f"truth_{number}.png"))]
        pictures += [(family, _uri(folder / f"{key}_{number}.png")) for family, key in keys.items()]
        rows.append(PanelRow(number, tuple(pictures)))
    return PanelGrid(level, tuple(rows))


def _keys(results: Results, folder: Path, numbers: list[str]) -> tuple[float, dict[str, str]]:
    trials = confirmed(results)
    tuned = trials[trials["is_tuned"]].sort_values("seed")
    for level in sorted(results.meta["levels"], reverse=True):
        keys = {}
        for family in results.meta["families"]:
            own = tuned[(tuned["family"] == family) & (tuned["level"] == level)]["key"]
            key = next((key for key in own if any((folder / f"{key}_{n}.png").is_file() for n in numbers)), None)
            if key is not None:
                keys[family] = str(key)
        if keys:
            return float(level), keys
    return float(max(results.meta["levels"])), {}


def _uri(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        with Image.open(path) as image:
            shown = image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise ResultsError(f"{path}: not a readable picture ({error}); delete it or draw the panels again") from error
    factor = max(1, -(-SIDE // max(shown.size)))
    shown = shown.resize((shown.width * factor, shown.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    shown.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
