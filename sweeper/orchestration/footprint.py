"""How much disk a study takes, in bytes, from what one trial of it was seen to take."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.data.cache import size_words
from sweeper.data.patches import Prepared
from sweeper.study.plan import Plan
from sweeper.training.panels import pool

TRIAL_BYTES = 100_000
"""Of one trial in journal, tables and MLflow, without epochs and images. This and what follows: measured on studies of
21 to 132 trials and 3 to 66 families, rounded up."""
EPOCH_BYTES = 2_000
IMAGE_BYTES = 4_000
"""Of one test image in one confirm trial."""
REPORT_BYTES, REPORT_FAMILY_BYTES = 14_000_000, 400_000
"""Of a report, and of each family in it."""
CODE_BYTES = 4_000_000
"""Of the code that MLflow keeps with each model it serves."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a study takes on the disk of its run folder, at most: none of it is there yet but the data."""

    data: int
    """Prepared data, as it lies there; shared by studies."""
    records: int
    """Journal, tables and what MLflow keeps of trials."""
    models: int
    """Trained weights, and MLflow's copies of them."""
    panels: int
    checkpoints: int
    """Of the trials that run at once; gone in the end."""
    report: int
    """And MLflow's copy of it."""
    free: int
    """On that disk now."""

    @property
    def needed(self) -> int:
        return self.records + self.models + self.panels + self.checkpoints + self.report

    @property
    def fits(self) -> bool:
        return self.needed < self.free

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "needed": self.needed, "fits": self.fits}

    def to_text(self) -> str:
        parts = {
            "models": self.models,
            "records": self.records,
            "checkpoints": self.checkpoints,
            "panels": self.panels,
            "report": self.report,
        }
        listed = ", ".join(f"{name} {size_words(size)}" for name, size in parts.items() if size)
        text = f"at most {size_words(self.needed)} ({listed}) beside {size_words(self.data)} of prepared data; "
        if self.fits:
            return f"{text}{size_words(self.free)} free"
        return f"{text}ONLY {size_words(self.free)} FREE: free space, choose another --out, or set confirm.models: none"


def footprint(
    plan: Plan, data: Prepared, *, folder: Path, cache: Path, state: Mapping[str, Any], concurrent: int
) -> Footprint:
    """Work out what a study will take.

    Args:
        folder: Where the run folder is or will be.
        cache: Folder of the prepared data.
        state: Of a trainer that has taken a step, as its checkpoint has it.
        concurrent: Trials at once.
    """
    study = plan.study
    own_store = study.tracking.uri is None
    copies = 2 if own_store else 1
    kept = {"none": 0, "first": 1, "all": study.confirm.seeds}[study.confirm.models]
    settings = plan.confirm_trials // study.confirm.seeds
    weights = _size(state["model"])
    logged = len(study.families) * (weights + CODE_BYTES) if own_store and kept else 0
    images = len(data.splits["test"].stems)
    trials = plan.search_trials + plan.confirm_trials
    shown = len(pool(data).patches) * data.patch**2
    return Footprint(
        data=sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()),
        records=trials * (TRIAL_BYTES + study.training.epochs * EPOCH_BYTES)
        + plan.confirm_trials * images * IMAGE_BYTES,
        models=settings * kept * weights * copies + logged,
        # Pictures and truth once, one prediction for every setting; compressed to less.
        panels=(settings + data.channels + 2) * shown * copies,
        # A checkpoint is replaced only when its successor is written.
        checkpoints=2 * concurrent * _size(state),
        report=(REPORT_BYTES + len(study.families) * REPORT_FAMILY_BYTES) * copies,
        free=free_bytes(folder),
    )


def free_bytes(folder: Path) -> int:
    """Return the bytes free on the disk of a folder, or of the one it will be made in."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(state: Any) -> int:
    """Return the bytes of all tensors in nested dicts and lists."""
    if isinstance(state, Mapping):
        return sum(_size(value) for value in state.values())
    if isinstance(state, list | tuple):
        return sum(_size(value) for value in state)
    return int(getattr(state, "nbytes", 0))
