"""What a trained model makes of test patches, on disk: a pool for the report to choose from, and PNG for MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sweeper.data.patches import Prepared
from sweeper.errors import ResultsError
from sweeper.files import write_bytes
from sweeper.orchestration.folder import RunFolder
from sweeper.report.gallery.pictures import error_map, judge, paint, photograph, to_png
from sweeper.results.pictures import Patches, Predicted, load_patches, patches_file, predicted_file, save
from sweeper.training.panels import Pool, choose, keep, objects, pool, true_curves

if TYPE_CHECKING:
    from sweeper.training.trainer import Trainer

COUNT = 4
"""Pictures of a trial in MLflow; of the same patches for every trial of a data set."""
SIDE = 128
"""Least side of a patch in them, in pixels; smaller ones are enlarged by whole factors, pixels kept crisp."""
GAP = 4


def write_panels(trainer: Trainer, folder: RunFolder) -> None:
    """Write the trial's predictions, and the patches they are of unless another trial has.

    `panels/patches_<fingerprint>.npz` and `panels/<trial key>.npz` are what the report chooses from;
    `trials/<trial key>/prediction_<i>.png` goes to the trial's MLflow run: input, truth, prediction and errors side by
    side. Nothing is written where no test patch shows a minority class.
    """
    data, key = trainer.data, trainer.trial.key
    chosen = pool(data)
    if not len(chosen.patches):
        return
    shared = patches_file(folder.panels, data.fingerprint)
    if not _is_of(chosen, shared):
        # Several workers may do so at once: the last file stays, whole, and all are alike.
        save(_patches(data, chosen), shared)
    kept = keep(trainer, chosen)
    save(
        Predicted(pool=np.array(chosen.id), classes=kept.classes, curves=kept.curves),
        predicted_file(folder.panels, key),
    )
    for number, place in enumerate(choose(data, chosen.patches, COUNT).tolist()):
        picture = _strip(data, int(chosen.patches[place]), kept.classes[place])
        write_bytes(folder.trials / key / f"prediction_{number}.png", to_png(picture))


def _is_of(chosen: Pool, path: Path) -> bool:
    """Whether a file holds that pool; a damaged one counts as none, and is written again."""
    if not path.is_file():
        return False
    try:
        return bool(load_patches(path).pool.item() == chosen.id)
    except ResultsError:
        return False


def _patches(data: Prepared, chosen: Pool) -> Patches:
    test = data.splits["test"]
    shown = objects(data, chosen)
    return Patches(
        pool=np.array(chosen.id),
        images=test.images[chosen.patches],
        truths=test.masks[chosen.patches],
        objects=shown.numbers,
        object_pixels=shown.pixels,
        stems=np.array([test.stems[picture] for picture in test.picture[chosen.patches]], dtype=np.str_),
        row=test.row[chosen.patches],
        col=test.col[chosen.patches],
        available=np.array(chosen.available),
        scans=np.array([test.stems[picture] for picture in chosen.scans], dtype=np.str_),
        curve_classes=chosen.curves,
        curves=true_curves(test, chosen),
    )


def _strip(data: Prepared, patch: int, predicted: NDArray[np.uint8]) -> Image.Image:
    """Set input, truth, prediction and errors of one test patch side by side."""
    test = data.splits["test"]
    truth = np.asarray(test.masks[patch])
    colors = {info.index: info.color for info in data.classes}
    parts = [
        photograph(np.asarray(test.images[patch])),
        paint(truth, colors),
        paint(predicted, colors),
        error_map(judge(truth, predicted, data.minority)),
    ]
    side = data.patch * -(-SIDE // data.patch)
    strip = Image.new("RGB", (len(parts) * (side + GAP) - GAP, side), "white")
    for place, part in enumerate(parts):
        strip.paste(part.convert("RGB").resize((side, side), Image.Resampling.NEAREST), (place * (side + GAP), 0))
    return strip
