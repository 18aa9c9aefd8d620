"""The user's own pictures: a folder of images, a folder of masks with equal stems, and a list of classes."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sweeper.data.classes import ClassTable, read_classes
from sweeper.data.decoding import IMAGE_SUFFIXES, MASK_SUFFIXES, read_image
from sweeper.data.masks import MaskReader
from sweeper.data.patches import ClassInfo, SplitName
from sweeper.data.pictures import Fault, Picture, Undeclared, Unusable
from sweeper.data.settings import Folder
from sweeper.data.splits import assign_splits
from sweeper.errors import DataError

LAYOUT = (
    "images/ and masks/ with equal file stems, classes.json (or .yaml) and, if you like, splits.json (or .yaml); "
    'classes.json: {"mask_format": "index", "classes": [{"index": 0, "name": "background", "color": "#000000"}, ...]}'
)


def folder_from(directory: Path) -> Folder:
    """Return the settings for a folder laid out as images/, masks/, classes.json|yaml and perhaps splits.json|yaml.

    Raises: DataError, saying which part is missing.
    """
    if not directory.is_dir():
        raise DataError(f"{directory}: there is no such folder; give one that holds {LAYOUT}")
    missing = [f"{name}/" for name in ("images", "masks") if not (directory / name).is_dir()]
    classes, splits = _document(directory, "classes"), _document(directory, "splits")
    if classes is None:
        missing.append("classes.json")
    if missing or classes is None:
        raise DataError(f"{directory}: lacks {', '.join(missing)}; it must hold {LAYOUT}")
    return Folder(
        source="folder",
        images=str(directory / "images"),
        masks=str(directory / "masks"),
        classes=str(classes),
        splits=None if splits is None else str(splits),
    )


def _document(directory: Path, stem: str) -> Path | None:
    found = [path for suffix in (".json", ".yaml", ".yml") if (path := directory / f"{stem}{suffix}").exists()]
    if len(found) > 1:
        raise DataError(f"{directory}: holds both {found[0].name} and {found[1].name}; keep the one that is meant")
    return found[0] if found else None


@dataclass(frozen=True)
class FolderSource:
    """A folder of pictures, listed but not yet read."""

    name: str
    table: ClassTable
    pairs: Mapping[str, tuple[Path, Path]]
    """Stem to image and mask."""
    splits: Mapping[SplitName, tuple[str, ...]]
    faults: tuple[Fault, ...]
    unused: tuple[str, ...]
    channels: int

    @classmethod
    def of(cls, settings: Folder) -> FolderSource:
        """List the folders and read class and split files. Raises: DataError."""
        table = read_classes(settings)
        faults: list[Fault] = []
        images = _listed(Path(settings.images), IMAGE_SUFFIXES, "images", faults)
        masks = _listed(Path(settings.masks), MASK_SUFFIXES, "masks", faults)
        for stem in sorted(images.keys() - masks.keys()):
            fix = f"add {_wanted_mask(Path(settings.masks), stem)}, or remove the image"
            faults.append(Fault(_label(images[stem]), "has no mask", fix))
        for stem in sorted(masks.keys() - images.keys()):
            fix = f"add {Path(settings.images).name}/{stem}.png or .jpg, or remove the mask"
            faults.append(Fault(_label(masks[stem]), "has no image", fix))
        stems = sorted(images.keys() | masks.keys())
        splits, unused = assign_splits(settings.splits, stems)
        pairs = {stem: (images[stem], masks[stem]) for stem in stems if stem in images and stem in masks}
        if not pairs:
            raise DataError(
                f"{settings.images} and {settings.masks}: no image has a mask of the same stem (images like "
                f"{next(iter(images.values())).name}, masks like {next(iter(masks.values())).name}); name them alike"
            )
        return cls(
            name=table.name or Path(settings.images).resolve().parent.name,
            table=table,
            pairs=pairs,
            splits={split: tuple(stem for stem in names if stem in pairs) for split, names in splits.items()},
            faults=tuple(faults),
            unused=unused,
            channels=settings.channels,
        )

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        return self.table.classes

    @property
    def declared_in(self) -> str:
        return self.table.where

    @property
    def track_width(self) -> None:
        return None

    @property
    def seconds(self) -> float:
        # Decoding takes about as long as it takes to read 3 MB of compressed pixels a second.
        return sum(path.stat().st_size for pair in self.pairs.values() for path in pair) / 3e6

    @cached_property
    def _masks(self) -> MaskReader:
        return MaskReader(self.table)

    def identity(self) -> object:
        files = [
            (stem, *((str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in pair))
            for stem, pair in sorted(self.pairs.items())
        ]
        table = (self.classes, self.table.mask_format, sorted(self.table.values.items()))
        return [self.name, table, sorted(self.splits.items()), [str(fault) for fault in self.faults], files]

    def read(self, stem: str) -> Picture:
        image_path, mask_path = self.pairs[stem]
        faults: list[Fault | Undeclared] = []
        image = mask = None
        try:
            image = read_image(image_path, _label(image_path), self.channels)
        except Unusable as error:
            faults += error.faults
        try:
            mask, undeclared = self._masks.read(mask_path, _label(mask_path))
            faults += () if undeclared is None else (undeclared,)
        except Unusable as error:
            faults += error.faults
        if image is not None and mask is not None and image.shape[:2] != mask.shape:
            (high, wide), (mask_high, mask_wide) = image.shape[:2], mask.shape
            turned = " (one of them lies on its side)" if (high, wide) == (mask_wide, mask_high) else ""
            faults.append(
                Fault(
                    _label(mask_path),
                    f"is {mask_wide} x {mask_high} pixels, but its image {image_path.name} is {wide} x {high}{turned}",
                    "give both the same size; resize masks without interpolation",
                )
            )
        if faults or image is None or mask is None:
            raise Unusable(*faults)
        return Picture(image=image, mask=mask)


def _wanted_mask(folder: Path, stem: str) -> str:
    """Return where the mask of an image is looked for; a JPEG there does not count, since it blurs classes."""
    for suffix in (".jpg", ".jpeg", ".gif", ".webp", ".npy"):
        if (folder / f"{stem}{suffix}").exists():
            return f"{folder.name}/{stem}.png ({stem}{suffix} there is no lossless picture this reads)"
    return f"{folder.name}/{stem}.png"


def _listed(folder: Path, suffixes: tuple[str, ...], what: str, faults: list[Fault]) -> dict[str, Path]:
    """Return the pictures of a folder by stem; two of one stem are a fault. Raises: DataError."""
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        raise DataError(f"data.{what}: there is no folder {folder}; name the folder that holds the {what}") from None
    except OSError as error:
        raise DataError(f"data.{what}: the folder {folder} cannot be listed ({error.strerror})") from None
    listed: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() not in suffixes:
            continue
        if not path.is_file():
            wrong = "is a folder" if path.is_dir() else "leads nowhere" if path.is_symlink() else "is no regular file"
            faults.append(Fault(_label(path), wrong, "put the picture itself there, or remove it"))
        elif any(unicodedata.category(character) in _UNFIT for character in path.name):
            wrong = "has a name with line breaks, control characters or bytes that are not UTF-8"
            faults.append(Fault(_label(path), wrong, "rename it: names go into tables, charts and MLflow"))
        elif path.stem in listed:
            wrong = f"has the same stem as {listed[path.stem].name}"
            faults.append(Fault(_label(path), wrong, "keep one of the two, or rename both"))
        else:
            listed[path.stem] = path
    if not listed:
        endings = ", ".join(suffixes)
        raise DataError(
            f"data.{what}: {folder} holds no {what} ({len(files)} files, none ending in {endings}); name the folder "
            f"they lie directly in"
        )
    return listed


_UNFIT = ("Cc", "Cs", "Zl", "Zp")


def _label(path: Path) -> str:
    """Return what to call a file in messages, with what cannot be shown written as escapes."""
    name = f"{path.parent.name}/{path.name}"
    unfit = any(unicodedata.category(character) in _UNFIT for character in name)
    return name.encode("unicode_escape").decode() if unfit else name
