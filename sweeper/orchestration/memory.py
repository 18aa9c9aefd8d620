"""Telling that memory ran out, by the error or by what the kernel counts."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from typing import Literal

Where = Literal["GPU", "host"]

_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""Of this container alone, and of the whole machine where there is no such."""

_ON_GPU = ("CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED", "MPS backend out of memory")
_ON_HOST = ("can't allocate memory", "not enough memory")
"""What torch says where it has no error class of its own for it."""


def ran_out(error: Exception) -> Where | None:
    """Return where memory ran out if that is what an error says; None if it is another error."""
    if type(error).__name__ == "OutOfMemoryError":  # of torch, which is not imported to ask
        return "GPU"
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return "host"
    if isinstance(error, RuntimeError):
        text = str(error)
        if any(part in text for part in _ON_GPU):
            return "GPU"
        if any(part in text for part in _ON_HOST):
            return "host"
    return None


def kernel_kills() -> int | None:
    """Return how many processes the kernel has killed here for want of memory so far; None where it does not say."""
    for file in _COUNTERS:
        with suppress(OSError, ValueError):
            for line in file.read_text(encoding="ascii").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return None
