"""What a tracker must know of a study to show its trials in context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRATCH = ".sending-"
"""Beginning of the names of folders in the run folder where files are made up to be sent; of no use afterwards."""


@dataclass(frozen=True, kw_only=True)
class StudyInfo:
    """One study, as it is shown in MLflow."""

    name: str
    meta: Mapping[str, Any]
    """Laid out as `results.meta.Meta`."""
    yaml: str
    """The resolved study file."""
    folder: Path
    """The run folder. `trials/<trial key>/` in it holds files to keep with a trial: predictions, checkpoints."""

    @property
    def class_names(self) -> list[str]:
        """Names of all classes, in the order of their indices."""
        return [str(entry["name"]) for entry in self.meta.get("data", {}).get("classes", ())]
