"""What a study says about itself beside its tables: one plain JSON object, laid out here.

The orchestrator writes it, Parquet and MLflow carry it unchanged, reports read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from sweeper.domains import Value
from sweeper.errors import ResultsError


class HyperparameterMeta(TypedDict):
    """One argument of a loss."""

    symbol: str
    effect: str
    """What raising it does to precision and recall, in a few words."""
    domain: Any
    """What this study samples, as a study file writes it: `{"uniform": [0, 5]}`, or a bare value where it is fixed."""
    default: Value


class FamilyMeta(TypedDict):
    """One loss family of the study."""

    title: str
    level: str
    """pixel, region, boundary, combination or structural."""
    overlap: str
    tradeoff: str
    formula: str
    source: str
    hyperparameters: dict[str, HyperparameterMeta]


class ClassMeta(TypedDict):
    """One class of the masks."""

    index: int
    name: str
    color: str
    """`#rrggbb`."""


class SplitMeta(TypedDict):
    """One split of the data."""

    pictures: int
    patches: int
    natural_level: float
    """Background fraction of the pixels as they are, before any weighting."""


class SkippedMeta(TypedDict):
    """A picture that was left out because one of its files is damaged."""

    split: str
    picture: str
    reason: str


class DataMeta(TypedDict):
    """The prepared data set."""

    name: str
    fingerprint: str
    classes: list[ClassMeta]
    background: int
    """Index of the background class."""
    minority: list[int]
    """Indices of the classes the task is about."""
    patch: int
    """Side of a patch, in pixels."""
    splits: dict[str, SplitMeta]
    skipped: NotRequired[list[SkippedMeta]]
    """Pictures that are in no split because they are damaged; absent where there are none."""
    artefacts: NotRequired[dict[str, dict[str, Any]]]
    """How well each network that losses rely on was trained on the training masks, by name; absent where none is."""


class HostMeta(TypedDict):
    """Where the study ran."""

    cores: int
    gpu: str | None


class SlotMeta(TypedDict):
    """What of the machine one trial takes while it runs."""

    cpu: int
    """Cores."""
    gpu: float
    """Share of a GPU, or how many; 0 without one."""


class CellMeta(TypedDict):
    """One line of the ledger: what a cell of the search was given and used."""

    family: str
    level: float
    trials: int
    completed: int
    stopped: int
    failed: int
    epochs: int
    seconds: float
    given_up: NotRequired[bool]
    """True where the first trials failed alike and the rest of the cell was not run; absent elsewhere."""


class Meta(TypedDict):
    """All of it."""

    study: dict[str, Any]
    """The resolved study file."""
    families: dict[str, FamilyMeta]
    data: DataMeta
    levels: list[float]
    reference: float
    """The level that is searched when not all are."""
    versions: dict[str, str]
    """python, sweeper, torch, ray, optuna, mlflow, ..."""
    host: HostMeta
    slot: NotRequired[SlotMeta]
    """Absent while a study has not trained, where its trials did not all take the same, and in studies of before it was
    kept."""
    command: str
    created: str
    """ISO 8601, UTC."""
    selection: str
    """The rule by which a cell's best trial was chosen, as a report prints it."""
    ledger: list[CellMeta]
    trials: list[str] | None
    """Keys of the trials that belong to the finished study: MLflow may hold others, of what the study was before it was
    edited. None while it runs."""


def trained_words(report: Mapping[str, Any]) -> str:
    """Say how well a network that losses rely on was trained, from its report."""
    return (
        f"{report['error']} {report['validation_error']:.3g} on held-out training masks, "
        f"{report['chance_error']:.3g} for one that has learned nothing"
    )


def plain(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return `meta` as it looks after a trip through JSON, so that every store gives back the same.

    Raises: ResultsError when it holds what JSON cannot, e.g. NaN or an object.
    """
    return json.loads(to_json(meta))  # type: ignore[no-any-return]


def to_json(meta: Mapping[str, Any]) -> str:
    """Return `meta` as one line of JSON, or raise ResultsError as `plain` does."""
    try:
        return json.dumps(meta, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ResultsError(
            f"the study's meta data is not plain JSON ({error}); use numbers, text, lists and dicts"
        ) from error
