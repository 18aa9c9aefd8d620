"""Pictures prepared once: cut, checked, counted, and written where every trial of a node can map them.

The cache:

    cache/<fingerprint>/{train,val,test}.arrow           one row per patch
                        {train,val,test}_pictures.arrow  one row per picture
                        meta.json                        written last
                        maps/<name>.v<version>.arrow     target maps, see `target_maps`
    cache/found/<lookup>.json                            which fingerprint, and which roles for which reasons, these
                                                         settings and files gave last time
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL
import pyarrow as pa
from numpy.typing import NDArray

from sweeper.data.cache import scratch, writing_to
from sweeper.data.complaint import complain
from sweeper.data.cutting import Cut
from sweeper.data.parallel import read_all
from sweeper.data.patches import SPLITS, ClassInfo, Prepared, Skipped, Split, SplitName
from sweeper.data.pictures import Fault, Source, Undeclared
from sweeper.data.repeats import find_repeats, pairs
from sweeper.data.roles import assign_roles
from sweeper.data.settings import DataSettings, Folder, RasterLog
from sweeper.data.skipped import reasons
from sweeper.data.store import read_table, write_table
from sweeper.errors import DataError
from sweeper.files import sync_folder, write_text

Progress = Callable[[int, int, str], None]
"""Called with how many pictures are done, how many there are, and what was done last."""

FORMAT = 2
"""Of the files in a prepared folder; part of the fingerprint, so that a new format never meets old files."""

log = logging.getLogger(__name__)


def prepare(
    settings: DataSettings, cache: Path, *, progress: Progress | None = None, workers: int | None = None
) -> Prepared:
    """Return the data of a study, prepared in `cache` or found there; `cache / fingerprint` is what `load` takes.

    Nothing is decoded again as long as settings, file names, sizes and times of change are those of last time. May be
    stopped at any moment, and run several times at once: a folder appears in `cache` only when it is complete.

    Raises: DataError, naming everything that is wrong with the data.
    """
    source = open_source(settings)
    lookup = cache / "found" / f"{_lookup_key(settings, source)}.json"
    known = _read_lookup(lookup)
    if known is not None and (cache / known.fingerprint / "meta.json").exists():
        return _asked_for(known, load(cache / known.fingerprint), source)
    if source.unused:
        log.warning(
            "%d pictures are in no split and are not used: %s%s",
            len(source.unused),
            ", ".join(source.unused[:5]),
            ", ..." if len(source.unused) > 5 else "",
        )
    with writing_to(cache, "the pictures uncompressed"), _made(cache):
        with scratch(cache, ".preparing-") as work:
            answer = _build(settings, source, work, progress or _silent, workers)
            _publish(work, cache / answer.fingerprint)
        write_text(lookup, json.dumps(dataclasses.asdict(answer)))
    return _asked_for(answer, load(cache / answer.fingerprint), source)


def open_source(settings: DataSettings) -> Source:
    """Return where the pictures come from. Raises: DataError for settings, class or split files that cannot be used."""
    if settings.patch < 32 or settings.patch % 32:
        below = max(32, settings.patch // 32 * 32)
        raise DataError(
            f"data.patch is {settings.patch}; it must be a multiple of 32, which models halve five times: {below} or "
            f"{below + 32}"
        )
    if settings.limit is not None and settings.limit < 1:
        raise DataError(f"data.limit is {settings.limit}; it must be 1 or more, or null to keep all patches")
    if isinstance(settings, RasterLog):
        from sweeper.data.raster_log import RasterLogSource

        return RasterLogSource(settings)
    from sweeper.data.folder import FolderSource

    return FolderSource.of(settings)


def load(path: Path) -> Prepared:
    """Return prepared data without reading it: its arrays are read-only views of memory-mapped files.

    Raises: DataError when `path` is not a prepared folder, or is damaged.
    """
    try:
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != FORMAT:
            raise DataError(
                f"{path}: prepared in format {meta['format']} by another version of sweeper, this one reads {FORMAT}; "
                f"delete the folder, it is prepared again from the pictures"
            )
        return Prepared(
            fingerprint=meta["fingerprint"],
            name=meta["name"],
            classes=tuple(ClassInfo(**item) for item in meta["classes"]),
            background=meta["background"],
            minority=tuple(meta["minority"]),
            patch=meta["patch"],
            mean=tuple(meta["mean"]),
            std=tuple(meta["std"]),
            splits={name: _load_split(path, name, meta["splits"][name]) for name in SPLITS},
            background_because=meta["background_because"],
            minority_because=meta["minority_because"],
            repeated=tuple((first, again) for first, again in meta["repeated"]),
            # What was prepared before pictures could be skipped has skipped none.
            skipped=tuple(Skipped(**item) for item in meta.get("skipped", ())),
        )
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise DataError(f"{path}: is no folder of prepared data ({missing} is missing); prepare it first") from None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{path}: the prepared data is damaged ({error}); delete the folder, it is prepared again from the pictures"
        ) from None


def _load_split(path: Path, name: SplitName, meta: Mapping[str, Any]) -> Split:
    patches = read_table(path / f"{name}.arrow")
    pictures = read_table(path / f"{name}_pictures.arrow")
    return Split(
        name=name,
        images=patches["image"],
        masks=patches["mask"],
        counts=patches["counts"],
        picture=patches["picture"],
        row=patches["row"],
        col=patches["col"],
        stems=tuple(meta["stems"]),
        curves=pictures.get("curves"),
        track_width=meta["track_width"],
    )


@dataclass(frozen=True)
class _Answer:
    """What settings and files came to. Equal data may have been asked for in several ways, so the reasons are here too,
    not only with the data, where they are those of whoever came first."""

    fingerprint: str
    background_because: str
    minority_because: str


@dataclass
class _Gathered:
    """One split while it is read: pixels go to disk as they come, what is small stays in memory."""

    images: BinaryIO
    masks: BinaryIO
    cuts: list[Cut] = field(default_factory=list)
    """Without their pixels."""
    stems: list[str] = field(default_factory=list)
    """The picture each was cut from."""

    def add(self, stem: str, cut: Cut) -> None:
        self.stems.append(stem)
        cut.images.tofile(self.images)
        cut.masks.tofile(self.masks)
        self.cuts.append(cut.without_pixels())

    def joined(self, name: str) -> NDArray[Any]:
        return np.concatenate([getattr(cut, name) for cut in self.cuts])


def _build(settings: DataSettings, source: Source, work: Path, progress: Progress, workers: int | None) -> _Answer:
    """Write everything into `work` and return what it came to."""
    tasks = [(split, stem) for split in SPLITS for stem in source.splits[split]]
    faults: list[Fault | Undeclared] = list(source.faults)
    skips = isinstance(settings, Folder) and settings.corrupt == "skip"
    skipped: list[Skipped] = []
    gathered: dict[SplitName, _Gathered] = {}
    stems = [stem for _, stem in tasks]
    try:
        for split in SPLITS:
            gathered[split] = _Gathered((work / f"{split}.images").open("wb"), (work / f"{split}.masks").open("wb"))
        with closing(read_all(source, stems, settings.patch, scratch=work, workers=workers)) as outcomes:
            for done, ((split, stem), outcome) in enumerate(zip(tasks, outcomes, strict=True), start=1):
                if isinstance(outcome, Cut):
                    if not faults:
                        gathered[split].add(stem, outcome)
                elif skips and all(isinstance(fault, Fault) and fault.damaged for fault in outcome):
                    reason = "; ".join(f"{fault.file} {fault.wrong}" for fault in outcome if isinstance(fault, Fault))
                    skipped.append(Skipped(split, stem, reason))
                else:
                    faults += outcome
                progress(done, len(tasks), stem)
    finally:
        for part in gathered.values():
            part.images.close()
            part.masks.close()
    if faults:
        raise DataError(complain(faults, pictures=len(tasks), declared_in=source.declared_in))
    _check_left(gathered, skipped)
    pixels = _check_classes(source, gathered)
    roles = assign_roles(source.classes, settings.background, settings.minority, pixels)
    kept = {split: _kept(split, part, settings) for split, part in gathered.items()}
    mean, std = _moments(gathered["train"], kept["train"])
    content = {
        "format": FORMAT,
        "patch": settings.patch,
        "limit": None if settings.limit is None else [settings.limit, settings.seed],
        "classes": [dataclasses.asdict(item) for item in source.classes],
        "background": roles.background,
        "minority": roles.minority,
        "track_width": source.track_width,
        "pictures": {
            split: [[stem, cut.digest] for stem, cut in zip(part.stems, part.cuts, strict=True)]
            for split, part in gathered.items()
        },
        # Absent where nothing is skipped: such data are what they were before pictures could be.
        **({"skipped": [[item.split, item.stem] for item in skipped]} if skipped else {}),
    }
    fingerprint = _hash(content)[:16]
    for split in SPLITS:
        _write_split(work, split, gathered[split], kept[split], settings.patch, len(mean))
    meta = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "name": source.name,
        "classes": content["classes"],
        "background": roles.background,
        "minority": roles.minority,
        "background_because": roles.background_because,
        "minority_because": roles.minority_because,
        "repeated": find_repeats(
            {split: part.stems for split, part in gathered.items()},
            {split: [cut.image_digest for cut in part.cuts] for split, part in gathered.items()},
        ),
        "skipped": [dataclasses.asdict(item) for item in skipped],
        "patch": settings.patch,
        "mean": mean,
        "std": std,
        "splits": {
            split: {"patches": len(kept[split]), "track_width": source.track_width, "stems": gathered[split].stems}
            for split in SPLITS
        },
    }
    write_text(work / "meta.json", json.dumps(meta, indent=1, ensure_ascii=False, allow_nan=False))
    return _Answer(fingerprint, roles.background_because, roles.minority_because)


def _check_left(gathered: Mapping[SplitName, _Gathered], skipped: Sequence[Skipped]) -> None:
    for split, part in gathered.items():
        if not part.cuts:
            lines = [f"{split}: every one of its pictures is damaged, so that skipping them leaves none:"]
            lines += [f"  {item.reason}" for item in skipped if item.split == split]
            lines.append("  replace them by intact ones, or move other pictures into the split")
            raise DataError("\n".join(lines))


def _check_classes(source: Source, gathered: Mapping[SplitName, _Gathered]) -> NDArray[np.int64]:
    """Return the training pixels of each class, having refused data from which nothing can be learned."""
    pixels = {split: part.joined("counts").sum(axis=0) for split, part in gathered.items()}
    for split in SPLITS:
        if not pixels[split].sum():
            raise DataError(
                f"{split}: every pixel of its {len(gathered[split].cuts)} pictures is ignored, so nothing can be "
                f"trained or scored; mark classes in these masks, or move other pictures into the split"
            )
    present = np.flatnonzero(pixels["train"])
    if len(present) < 2:
        only = source.classes[present[0]].name
        elsewhere = [split for split in SPLITS if len(np.flatnonzero(pixels[split])) > 1]
        where = f"only {' and '.join(elsewhere)} shows others" if elsewhere else "no split shows any other"
        raise DataError(
            f"one-class data: every valid training pixel is {only!r} and {where}, so there is nothing to tell apart; "
            f"check that the masks are the right files and that {source.declared_in} maps their values as meant"
        )
    train: NDArray[np.int64] = pixels["train"]
    return train


def _kept(split: SplitName, part: _Gathered, settings: DataSettings) -> NDArray[np.int64]:
    """Return which patches of a split stay, in order: all, or a subset drawn by seed."""
    count = sum(len(cut.row) for cut in part.cuts)
    if settings.limit is None or settings.limit >= count:
        return np.arange(count)
    rng = np.random.default_rng([settings.seed, SPLITS.index(split)])
    return np.sort(rng.permutation(count)[: settings.limit])


def _moments(train: _Gathered, kept: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation per channel over the kept training patches, from exact whole-number sums."""
    pixels = int(train.joined("pixels")[kept].sum())
    total = train.joined("total")[kept].sum(axis=0).tolist()
    squares = train.joined("squares")[kept].sum(axis=0).tolist()
    mean = [value / pixels for value in total]
    # n Σx² − (Σx)² in Python's whole numbers: no rounding, however many pixels there are.
    variance = [(pixels * square - value * value) / pixels**2 for value, square in zip(total, squares, strict=True)]
    return mean, [value**0.5 for value in variance]


def _write_split(
    work: Path, split: SplitName, part: _Gathered, kept: NDArray[np.int64], patch: int, channels: int
) -> None:
    count = sum(len(cut.row) for cut in part.cuts)
    raw = {"images": (count, patch, patch, channels), "masks": (count, patch, patch)}
    mapped: dict[str, NDArray[np.uint8]] = {
        name: np.memmap(work / f"{split}.{name}", dtype=np.uint8, mode="r", shape=shape) for name, shape in raw.items()
    }
    if len(kept) < count:
        mapped = {name: values[kept] for name, values in mapped.items()}
    owner = np.repeat(np.arange(len(part.cuts), dtype=np.int32), [len(cut.row) for cut in part.cuts])
    write_table(
        work / f"{split}.arrow",
        {
            "image": mapped["images"],
            "mask": mapped["masks"],
            "counts": part.joined("counts")[kept],
            "picture": owner[kept],
            "row": part.joined("row")[kept],
            "col": part.joined("col")[kept],
        },
    )
    pictures: dict[str, NDArray[Any]] = {
        "height": np.array([cut.height for cut in part.cuts], dtype=np.int32),
        "width": np.array([cut.width for cut in part.cuts], dtype=np.int32),
    }
    curves = [cut.curves for cut in part.cuts if cut.curves is not None]
    if curves:
        pictures["curves"] = np.stack(curves)
    write_table(work / f"{split}_pictures.arrow", pictures)
    del mapped  # before the files under the maps go
    for name in raw:
        (work / f"{split}.{name}").unlink()


def _publish(work: Path, target: Path) -> None:
    """Give a complete folder its name, in one step; another preparation of the same data may have been first."""
    sync_folder(work)
    os.chmod(work, 0o755)  # mkdtemp makes folders private; a cache is shared
    try:
        os.rename(work, target)
    except OSError:
        if not (target / "meta.json").exists():
            raise
    sync_folder(target.parent)


def _lookup_key(settings: DataSettings, source: Source) -> str:
    """Return a hash of everything that could change the outcome and can be had without reading a picture."""
    code = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        code.update(file.read_bytes())
    versions = [platform.python_version(), np.__version__, PIL.__version__]
    return _hash([FORMAT, code.hexdigest(), versions, dataclasses.asdict(settings), source.identity()])[:32]


def _hash(content: object) -> str:
    # repr keeps keys that are not words (remap: {255: crack}) apart from those that are, which JSON would not.
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _read_lookup(lookup: Path) -> _Answer | None:
    try:
        found = json.loads(lookup.read_text(encoding="utf-8"))
        return _Answer(*(str(found[item.name]) for item in dataclasses.fields(_Answer)))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # only a shortcut: without it the data is read again


def _asked_for(answer: _Answer, prepared: Prepared, source: Source) -> Prepared:
    """Equal data may go by several names, and its roles have several reasons; those asked for now are to be shown."""
    if prepared.repeated:
        log.warning(
            "pictures that an earlier split holds too, so that scores on them flatter: %d (%s)",
            len(prepared.repeated),
            pairs(prepared.repeated),
        )
    if prepared.skipped:
        log.warning(
            "damaged pictures that are left out (data.corrupt: skip): %d (%s)",
            len(prepared.skipped),
            reasons(prepared.skipped),
        )
    return dataclasses.replace(
        prepared,
        name=source.name,
        background_because=answer.background_because,
        minority_because=answer.minority_because,
    )


@contextmanager
def _made(cache: Path) -> Iterator[None]:
    """Make the cache folder, and on an error remove what was made of it and of its parents, where nothing is in it."""
    made = [folder for folder in (cache, *cache.parents) if not folder.exists()]
    cache.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # something is in it: of another preparation, say
            for folder in made:
                folder.rmdir()
        raise


def _silent(done: int, total: int, what: str) -> None:
    pass
