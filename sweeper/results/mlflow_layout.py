"""How a study lies in MLflow: names of tags, metrics and artifacts. The tracker writes by it, the loader reads by it.

experiment              saved view: one row per family
└── study run           kind=study; meta.json, study.yaml, results, report, panels
    └── family run      kind=family; its confirm scores, its best model
        └── trial run   kind=trial, of both stages; the row of the `trials` table, the history and the reliability as
                        tags, pooled scores as metrics, scores of single images and margins as artifacts

Pure: MLflow is not imported here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

KIND = "sweeper.kind"
STUDY = "sweeper.study"
STUDY_RUN = "sweeper.study_run"
"""Id of the study run, on every run below it: found without putting a user's words into a filter."""
RUN_FOLDER = "sweeper.run_folder"
"""Id of the run folder, on the study run: two users' studies of one name in one experiment are two studies. Studies of
earlier versions have none; the next run folder of their name that comes takes them for its own."""
FAMILY = "sweeper.family"
STAGE = "sweeper.stage"
"""On trial runs; also on family runs of earlier versions, which made one per stage. Such rows are left as they are."""
LEVEL = "sweeper.level"
SEED = "sweeper.seed"
TRIAL_KEY = "sweeper.trial_key"
STATUS = "sweeper.status"
REASON = "sweeper.reason"
IS_DEFAULT = "sweeper.is_default"

RECORD = "sweeper.record"
"""The trial as JSON, without history and scores; split over several tags where long."""
CLASSES = "sweeper.classes"
"""JSON object: the name of a class inside metric names -> the class."""
ABSENT = "sweeper.absent"
"""JSON list of the metrics that are null: MLflow cannot hold an undefined score."""
HISTORY = "sweeper.history"
"""The epochs of a trial, see `pack`; absent where it has none."""
RELIABILITY = "sweeper.reliability"
"""The rows of a confirm trial's `reliability` table, see `pack`; absent where it has none."""
ANSWER = "sweeper.answer"
"""On a finished study's run: the report's answer in words."""
MODEL = "sweeper.model"
"""On a family run: address of its best model, e.g. `models:/m-0123`."""

PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
"""What MLflow shows as the description of a run."""
COLOR = "mlflow.runColor"
META_FILE = "meta.json"
STUDY_FILE = "study.yaml"
IMAGE_SCORES_FILE = "scores_by_image.parquet"
MARGINS_FILE = "margins.parquet"

RUN_STATUS = {"completed": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
"""How a trial ended -> the status of its MLflow run. A run in no such status was left half-written."""

TAG_LENGTH = 4000
"""Characters of one tag: MLflow takes 8000, some servers 5000."""

_UNSAFE = re.compile(r"[^\w -]+")


def class_labels(names: Iterable[str]) -> dict[str, str]:
    """Return a distinct label, legal within a metric name, for every class name.

    MLflow allows letters, digits, `_`, `-`, `.`, space, `:` and `/` there; `/` and `.` structure the name, so they are
    not used. Labels differ by more than case, since some databases compare without it.
    """
    labels: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        base = " ".join(_UNSAFE.sub(" ", name).split())[:100] or "class"
        label, number = base, 1
        while label.casefold() in taken:
            number += 1
            label = f"{base}-{number}"
        taken.add(label.casefold())
        labels[name] = label
    return labels


def score_metric(split: str, point: str, label: str, metric: str) -> str:
    """Return the MLflow metric name of one pooled score, e.g. `test/argmax/crack/iou`."""
    return f"{split}/{point}/{label}/{metric}"


def parse_score_metric(name: str) -> tuple[str, str, str, str] | None:
    """Return (split, point, label, metric), or None for a metric that is no pooled score."""
    parts = name.split("/")
    return (parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else None


def pack(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows as plain JSON that names each column once; what a row lacks is null."""
    listed = list(rows)
    names = list(dict.fromkeys(name for row in listed for name in row))
    return {"names": names, "rows": [[row.get(name) for name in names] for row in listed]}


def unpack(packed: Any) -> list[dict[str, Any]]:
    """Read what `pack` made.

    Raises: KeyError, TypeError or ValueError where it is not that.
    """
    return [dict(zip(packed["names"], row, strict=True)) for row in packed["rows"]]


def to_tags(name: str, value: object) -> dict[str, str]:
    """Return `value` as JSON under the tag `name`, continued in `name.1`, `name.2`, ... where it is long."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    pieces = [text[start : start + TAG_LENGTH] for start in range(0, len(text), TAG_LENGTH)]
    return {name if index == 0 else f"{name}.{index}": piece for index, piece in enumerate(pieces)}


def from_tags(name: str, tags: Mapping[str, str]) -> object:
    """Read what `to_tags` wrote.

    Raises: KeyError where the tag is missing, ValueError where it is not whole.
    """
    pieces = [tags[name]]
    while (piece := tags.get(f"{name}.{len(pieces)}")) is not None:
        pieces.append(piece)
    return json.loads("".join(pieces))
