"""Which class is the background, whose share is the level, and which classes the task is about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.data.patches import ClassInfo
from sweeper.errors import DataError, suggest


@dataclass(frozen=True)
class Roles:
    background: int
    minority: tuple[int, ...]
    background_because: str
    minority_because: str


def assign_roles(
    classes: tuple[ClassInfo, ...],
    background: int | str | None,
    minority: tuple[int | str, ...] | None,
    training_pixels: NDArray[np.int64],
) -> Roles:
    """Return the roles the settings name, or the defaults: the class called background, else the most frequent one.

    Raises: DataError for an unknown class, or a minority that is empty or holds the background.
    """
    if background is not None:
        chosen, because = find_class(background, classes, "data.background"), "named in the settings"
    else:
        named = [item.index for item in classes if item.name.casefold() == "background"]
        if named:
            chosen, because = named[0], "it is the class named background"
        else:
            chosen = int(np.argmax(training_pixels))
            share = training_pixels[chosen] / training_pixels.sum()
            because = f"no class is named background and it holds the most training pixels ({share:.1%})"
    if minority is None:
        rest = tuple(item.index for item in classes if item.index != chosen)
        return Roles(chosen, rest, because, "every class but the background")
    indices = tuple(find_class(item, classes, "data.minority") for item in minority)
    if not indices:
        raise DataError("data.minority is empty; name at least one class, or leave it out for all but the background")
    if chosen in indices:
        raise DataError(
            f"data.minority holds {classes[chosen].name!r}, which is the background; remove it from the minority or "
            f"name another `background`"
        )
    if len(set(indices)) < len(indices):
        raise DataError("data.minority names a class twice; each class once")
    return Roles(chosen, tuple(sorted(indices)), because, "named in the settings")


def find_class(wanted: int | str, classes: tuple[ClassInfo, ...], key: str) -> int:
    """Return the index of a class given by index or name. Raises: DataError, suggesting the nearest name."""
    if isinstance(wanted, int):
        if wanted in range(len(classes)):
            return wanted
        raise DataError(f"{key} is {wanted}, but class indices run from 0 to {len(classes) - 1}; {_listed(classes)}")
    for item in classes:
        if item.name == wanted:
            return item.index
    raise DataError(f"{key} is {wanted!r}, which is no class; {suggest(wanted, [item.name for item in classes])}")


def _listed(classes: tuple[ClassInfo, ...]) -> str:
    return "choose from " + ", ".join(f"{item.index} ({item.name})" for item in classes)
