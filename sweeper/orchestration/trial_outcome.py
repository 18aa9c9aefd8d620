"""The outcome of a trial as a worker leaves it for the driver: one JSON file, checked before it is believed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sweeper.files import write_text
from sweeper.orchestration.folder import RunFolder
from sweeper.results.margins import BINS

_Number = float | None
_Histogram = Annotated[tuple[float, ...], Field(min_length=BINS, max_length=BINS)]


class DamagedOutcome(Exception):
    """An outcome that is not what a worker wrote; where it was set aside is its text."""


class _Outcome(BaseModel):
    """What every outcome holds; rows of tables are those of `results.record`, each as a list."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)

    status: Literal["completed", "failed"]
    reason: str | None = None
    epochs: int
    history: tuple[dict[str, float], ...]
    seconds: Annotated[float, Field(ge=0.0)]
    started: str | None = None
    objective: _Number = None
    offset: _Number = None
    offset_at_limit: bool | None = None
    scores: tuple[tuple[str, str, str | None, str, str, _Number], ...] = ()
    margins: tuple[tuple[str, str | None, float, float, _Histogram, _Histogram], ...] = ()
    reliability: tuple[tuple[str, int, float, _Number, _Number], ...] = ()
    setup: dict[str, str | float | None] | None = None
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_history(self) -> _Outcome:
        if [row.get("epoch") for row in self.history] != [*range(1, self.epochs + 1)]:
            raise ValueError("the history is not that of its epochs")
        return self


def outcome_path(folder: RunFolder, key: str) -> Path:
    """Return where a worker leaves a trial's outcome for the driver."""
    return folder.trials / key / "outcome.json"


def write_outcome(folder: RunFolder, key: str, outcome: Mapping[str, Any]) -> None:
    """Leave a trial's outcome, with a digest of it. Raises: OSError."""
    write_text(outcome_path(folder, key), json.dumps({**outcome, "digest": _digest(outcome)}, allow_nan=False))


def read_outcome(folder: RunFolder, key: str) -> dict[str, Any]:
    """Return what `write_outcome` left.

    Raises:
        FileNotFoundError: There is none.
        DamagedOutcome: It cannot be believed; it was set aside as `<name>.corrupt`.
        OSError: It cannot be read.
    """
    path = outcome_path(folder, key)
    content = path.read_bytes()
    try:
        outcome = json.loads(content)
        _Outcome.model_validate_json(content)
        # Workers of before there was a digest left none.
        digest = outcome.pop("digest", None)
        if digest is not None and digest != _digest(outcome):
            raise ValueError("the digest is another's")
    except (ValueError, ValidationError, RecursionError):
        aside = path.with_name(path.name + ".corrupt")
        os.replace(path, aside)
        raise DamagedOutcome(str(aside)) from None
    return dict(outcome)


def _digest(outcome: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(outcome, sort_keys=True, allow_nan=False).encode()).hexdigest()
