"""Prediction panels on disk: what a trained model makes of a few test patches, as PNG files for report and MLflow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from sweeper.data.patches import ClassInfo
from sweeper.data.settings import IGNORE
from sweeper.files import write_bytes, write_text
from sweeper.orchestration.folder import RunFolder
from sweeper.training.panels import predictions

if TYPE_CHECKING:
    from sweeper.training.trainer import Trainer

COUNT = 4
"""Test patches shown; the same for every trial of a data set."""

IGNORED_COLOR = (128, 128, 128)


def write_panels(trainer: Trainer, folder: RunFolder) -> None:
    """Write the trial's predictions, and the pictures and truths they belong to unless those of this data are there.

    `panels/input_<i>.png`, `panels/truth_<i>.png` and `panels/<trial key>_<i>.png` are what the report shows;
    `trials/<trial key>/prediction_<i>.png` goes to the trial's MLflow run.
    """
    key, classes = trainer.trial.key, trainer.data.classes
    mark = folder.panels / "data.txt"
    shown = mark.read_text(encoding="utf-8") if mark.exists() else None
    for index, panel in enumerate(predictions(trainer, COUNT)):
        predicted = paint(panel.prediction, classes)
        _publish(predicted, folder.panels / f"{key}_{index}.png")
        _publish(predicted, folder.trials / key / f"prediction_{index}.png")
        if shown != trainer.data.fingerprint:
            _publish(Image.fromarray(panel.image), folder.panels / f"input_{index}.png")
            _publish(paint(panel.truth, classes), folder.panels / f"truth_{index}.png")
    if shown != trainer.data.fingerprint:
        write_text(mark, trainer.data.fingerprint)


def paint(mask: NDArray[np.uint8], classes: Sequence[ClassInfo]) -> Image.Image:
    """Return a mask (H, W) of class indices in the colors of its classes, ignored pixels gray."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[IGNORE] = IGNORED_COLOR
    for info in classes:
        palette[info.index] = ImageColor.getrgb(info.color)[:3]
    return Image.fromarray(palette[mask])


def _publish(picture: Image.Image, target: Path) -> None:
    """Several workers may write the same file at once: the last one stays, whole."""
    content = io.BytesIO()
    picture.save(content, format="PNG")
    write_bytes(target, content.getvalue())
