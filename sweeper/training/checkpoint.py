"""A trial's state on disk: written whole or not at all, and never trusted blindly when read."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
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
        try:
            state = torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError):
            pass  # Whole, but not what `save` writes: another format, or something that wants to run code.
        else:
            if isinstance(state, dict):
                return state
    os.replace(path, path.with_name(path.name + ".corrupt"))
    return None
