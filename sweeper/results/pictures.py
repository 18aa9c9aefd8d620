"""Predictions kept for a report: some test patches, once per data set, and what each trial made of them.

Plain arrays in `.npz` files, none of them pickled. Which patches are shown is decided by the report, when all families
are known; what lies here is what it may choose from.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.errors import ResultsError
from sweeper.files import write_bytes


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches:
    """Test patches with their truth, and the true curves of whole scans. n patches, P pixels a side, K channels."""

    pool: NDArray[np.str_]
    """(), names data, patches and scans: predictions of the same pool are of these patches, in this order."""
    images: NDArray[np.uint8]
    """(n, P, P, K), K is 1 or 3."""
    truths: NDArray[np.uint8]
    """(n, P, P), class index or 255 for ignored."""
    objects: NDArray[np.int32]
    """(n, P, P), the number of the object a pixel belongs to, from 1; 0 where there is none. An object is an
    8-connected region of one minority class in the whole picture, so it may reach into several patches."""
    object_pixels: NDArray[np.int64]
    """(m,), size of object 1, 2, … in its whole picture: more than its pixels here where a part of it was not kept."""
    stems: NDArray[np.str_]
    """(n,), the picture each patch was cut from."""
    row: NDArray[np.int32]
    """(n,), the patch's first row in its picture."""
    col: NDArray[np.int32]
    """(n,), its first column."""
    available: NDArray[np.int64]
    """(), test patches that show a minority class; n of them are kept."""
    scans: NDArray[np.str_]
    """(S,), logs whose curves are kept; none where the data are no logs."""
    curve_classes: NDArray[np.int64]
    """(k,), class index of each curve."""
    curves: NDArray[np.float32]
    """(S, k, rows), true position of each curve as a fraction of the track width in [0, 1); NaN where it is not drawn,
    and in rows that the patches do not cover from edge to edge."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, kw_only=True, eq=False)
class Predicted:
    """What one trial made of the patches and scans of a pool."""

    pool: NDArray[np.str_]
    """(), as of the `Patches` they are of."""
    classes: NDArray[np.uint8]
    """(n, P, P), predicted class of every pixel at argmax."""
    curves: NDArray[np.float32]
    """(S, k, rows), position of each recovered curve; NaN where its class was not predicted."""


def patches_file(folder: Path, fingerprint: str) -> Path:
    """Return where the patches of a data set lie."""
    return folder / f"patches_{fingerprint}.npz"


def predicted_file(folder: Path, key: str) -> Path:
    """Return where the predictions of a trial lie."""
    return folder / f"{key}.npz"


def save(kept: Patches | Predicted, path: Path) -> None:
    """Write the arrays compressed; the file appears whole or not at all."""
    content = io.BytesIO()
    np.savez_compressed(content, **{field.name: getattr(kept, field.name) for field in fields(kept)})
    write_bytes(path, content.getvalue())


def load_patches(path: Path) -> Patches:
    """Read what `save` wrote. Raises: ResultsError when the file is missing, damaged or of another layout."""
    kept = Patches(**_arrays(path, Patches))
    count = len(kept.images)
    side = kept.images.shape[1] if kept.images.ndim == 4 else -1
    sound = (
        kept.images.ndim == 4
        and kept.images.shape[1:3] == (side, side)
        and kept.images.shape[3] in (1, 3)
        and kept.truths.shape == kept.objects.shape == (count, side, side)
        and kept.stems.shape == kept.row.shape == kept.col.shape == (count,)
        and kept.object_pixels.ndim == 1
        and kept.objects.min(initial=0) >= 0
        and kept.objects.max(initial=0) <= len(kept.object_pixels)
        and kept.pool.shape == kept.available.shape == ()
        and kept.curves.ndim == 3
        and kept.curves.shape[:2] == (len(kept.scans), len(kept.curve_classes))
    )
    if not sound:
        raise _unreadable(path, "its arrays do not fit each other")
    return kept


def load_predicted(path: Path, patches: Patches) -> Predicted | None:
    """Read a trial's predictions of these patches; None where they are of another pool.

    Raises: ResultsError as `load_patches`.
    """
    kept = Predicted(**_arrays(path, Predicted))
    if kept.pool.shape != () or kept.pool.item() != patches.pool.item():
        return None
    if kept.classes.shape != patches.truths.shape or kept.curves.shape != patches.curves.shape:
        raise _unreadable(path, "its arrays do not fit the patches they are of")
    return kept


_KINDS = {
    "pool": "U", "images": "u1", "truths": "u1", "objects": "i4", "object_pixels": "i8", "stems": "U", "row": "i4",
    "col": "i4", "available": "i8", "scans": "U", "curve_classes": "i8", "curves": "f4", "classes": "u1",
}  # fmt: skip
"""The kind of every array, as numpy writes it; of text, any length."""

MOST_BYTES = 4 << 30
"""Memory that a file may take when it is unpacked."""


def _arrays(path: Path, layout: type[Patches | Predicted]) -> dict[str, Any]:
    try:
        # Opened here: numpy leaves a file that it cannot read open.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            if sum(member.file_size for member in file.zip.infolist()) > MOST_BYTES:
                raise ValueError(f"it unpacks to more than {MOST_BYTES >> 30} GiB")
            found = {field.name: file[field.name] for field in fields(layout)}
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file") from None
    except KeyError as error:
        raise _unreadable(path, f"it has no array {error}") from None
    except Exception as error:  # damaged files make numpy and zipfile raise almost anything
        raise _unreadable(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    for name, array in found.items():
        kind = array.dtype.kind if array.dtype.kind == "U" else array.dtype.str[1:]
        if kind != _KINDS[name]:
            raise _unreadable(path, f"its array {name} is of type {array.dtype}")
    return found


def _unreadable(path: Path, why: str) -> ResultsError:
    return ResultsError(
        f"{path}: not a readable file of predictions ({why}); delete it and the report does without its pictures"
    )
