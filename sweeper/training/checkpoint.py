"""A trial's state on disk: written whole or not at all, and never trusted blindly when read."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from sweeper.files import write_bytes

_DIGEST_SIZE = hashlib.sha256().digest_size


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` so that `path` holds the old file or the new one at every moment, also after a power cut.

    The file is torch's archive followed by its SHA-256: torch itself reads an archive with flipped bits without a word.
    """
    archive = io.BytesIO()
    torch.save(state, archive)
    content = archive.getbuffer()
    write_bytes(path, content, hashlib.sha256(content).digest())


def load(path: Path) -> dict[str, Any] | None:
    """Return what `save` wrote, or None where there is no file or it is damaged.

    A damaged file is set aside as `<name>.corrupt`, for whoever wants to know why. Only tensors and plain data are
    read, so that a checkpoint from a shared folder cannot run code.

    Raises: OSError when the file is there and cannot be read.
    """
    try:
        content = memoryview(path.read_bytes())
    except FileNotFoundError:
        return None
    archive, digest = content[:-_DIGEST_SIZE], content[-_DIGEST_SIZE:]
    if hashlib.sha256(archive).digest() == digest:
        state = _unpacked(archive)
        if isinstance(state, dict):
            return state
    set_aside(path)
    return None


def _unpacked(archive: memoryview) -> object:
    """Return what an archive holds; None where it is not what `save` writes: another format, or an attempt to run code.

    torch stores tensors as they are. An archive that would grow when it is unpacked was made to fill the memory.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as parts:
            if sum(part.file_size for part in parts.infolist()) > len(archive):
                return None
        state: object = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
        return state if _is_sound(state) else None
    except MemoryError:
        raise
    except Exception:  # made by hand, it makes torch raise almost anything
        return None


def _is_sound(state: object) -> bool:
    """Whether every tensor holds all its numbers, all of them finite: a trial with others has failed and saves none."""
    seen: set[int] = set()
    left = [state]
    while left:
        value = left.pop()
        if id(value) in seen:  # what is held many times over is looked at once
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            # A view may claim any size of a single number.
            if value.numel() * value.element_size() > value.untyped_storage().nbytes():
                return False
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                return False
        elif isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
    return True


def set_aside(path: Path) -> Path:
    """Put a file that cannot be believed out of the way, and return where it is now."""
    aside = path.with_name(path.name + ".corrupt")
    os.replace(path, aside)
    return aside
