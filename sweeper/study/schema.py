"""The study file as frozen, typed objects. No half-valid study ever travels: `load_study` is the only way in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sweeper.data.settings import Folder, RasterLog
from sweeper.domains import Domain, domain_spec
from sweeper.training.trial import ModelSettings, TrainingSettings

Metric = Literal["minority_iou", "minority_f1", "minority_precision", "minority_recall", "mean_iou"]


_Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Imbalance(_Section):
    """The `imbalance` section: at which background fractions families are compared."""

    levels: Annotated[tuple[_Share, ...], Field(min_length=1, max_length=100)] = (0.93, 0.95, 0.97, 0.99)
    """Background fractions of pixels, each between 0 and 1."""
    reference: float | None = None
    """The level the hyperparameters are searched at; null becomes the level nearest 0.97."""

    @model_validator(mode="after")
    def _fill_reference(self) -> Self:
        if self.reference is None:
            nearest = min(self.levels, key=lambda level: abs(level - 0.97))
            object.__setattr__(self, "reference", nearest)  # frozen from here on
        return self


class Search(_Section):
    """The `search` section: how each cell's hyperparameters are found. Scored on validation only."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 16
    """Budget of every cell alike; a cell with fewer possible settings tries each once."""
    levels: Literal["reference", "all"] = "reference"
    """Search at the reference level and use what it found everywhere, or search at every level."""
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    metric: Metric = "minority_iou"
    """What is maximized on validation, at the last epoch and at argmax."""
    mode: Literal["max"] = "max"
    """All metrics on offer are better when larger."""
    stopping: Literal["asha", "none"] = "asha"
    """ASHA ends a search trial early when it trails the trials of its own cell."""
    give_up_after: Annotated[int, Field(ge=0)] = 3
    """A cell whose first trials fail with the same error, so many of them, is not run any further; 0 is never."""
    parallel: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Trials of one cell in flight at once. Trial n sees the results of trials up to n − parallel and of no others,
    whatever the machine's timing, so that equal seeds give equal studies."""


class Confirm(_Section):
    """The `confirm` section: each cell's best, retrained with fresh seeds and scored once on test."""

    seeds: Annotated[int, Field(ge=1, le=10_000)] = 5
    include_default: bool = True
    """Confirm each family's untuned default beside its best."""
    first_seed: Annotated[int, Field(ge=0, lt=2**31)] = 1000
    """Confirm seeds are first_seed, first_seed + 1, ...; none may be the search seed."""
    models: Literal["none", "first", "all"] = "first"
    """Whose trained weights are kept: no trial's, each setting's first seed, or all."""


class Resources(_Section):
    """The `resources` section: what one trial takes, and how many run at once."""

    cpu: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Threads per trial."""
    gpu: Literal["auto"] | Annotated[float, Field(ge=0.0, le=1000.0)] = "auto"
    """GPUs per trial, also a fraction; auto shares each GPU among up to four trials, 0 forbids it."""
    concurrent: Literal["auto"] | Annotated[int, Field(ge=1, le=100_000)] = "auto"
    """Trials at once; auto is as many as the cluster's CPUs and GPUs hold."""
    stall: Literal["auto"] | Annotated[float, Field(gt=0.0)] = "auto"
    """Seconds without an epoch after which a trial is taken to hang: its worker is stopped and the trial starts again,
    once; auto learns the limit from trials of the same family."""


class Tracking(_Section):
    """The `tracking` section: where MLflow is."""

    uri: str | None = None
    """MLflow tracking URI; null is an SQLite store inside the run folder."""
    experiment: str | None = None
    """MLflow experiment; null is the study's name."""


class Study(BaseModel):
    """Everything compared in one go."""

    # Not strict: the sections that training and data own are dataclasses, built here from plain mappings.
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    families: Mapping[str, Mapping[str, Domain]]
    """By family name, the domain of every hyperparameter, defaults filled in."""
    data: Annotated[RasterLog | Folder, Field(discriminator="source")] = Field(default_factory=RasterLog)
    imbalance: Imbalance = Field(default_factory=Imbalance)
    model: ModelSettings = Field(default_factory=ModelSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    """The fixed schedule; for what `training_search` searches, the value of the default trial."""
    training_search: Mapping[str, Domain] = Field(default_factory=dict)
    """Domains given to training hyperparameters: tuned in every cell alike."""
    search: Search = Field(default_factory=Search)
    confirm: Confirm = Field(default_factory=Confirm)
    resources: Resources = Field(default_factory=Resources)
    tracking: Tracking = Field(default_factory=Tracking)

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels, mildest first."""
        return tuple(sorted(self.imbalance.levels))

    @property
    def reference(self) -> float:
        """The level searched when `search.levels` is `reference`."""
        assert self.imbalance.reference is not None, "filled in by Imbalance"
        return self.imbalance.reference

    @property
    def search_levels(self) -> tuple[float, ...]:
        return self.levels if self.search.levels == "all" else (self.reference,)

    @property
    def confirm_seeds(self) -> tuple[int, ...]:
        return tuple(range(self.confirm.first_seed, self.confirm.first_seed + self.confirm.seeds))

    @property
    def experiment(self) -> str:
        return self.tracking.experiment or self.name

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved study as plain data, in the shape of a study file."""
        training = {**dataclasses.asdict(self.training), **_specs(self.training_search)}
        resolved: dict[str, Any] = _plain(
            {
                "name": self.name,
                "families": {name: _specs(domains) for name, domains in self.families.items()},
                "data": dataclasses.asdict(self.data),
                "imbalance": {"levels": self.levels, "reference": self.reference},
                "model": dataclasses.asdict(self.model),
                "training": training,
                **{part: getattr(self, part).model_dump() for part in ("search", "confirm", "resources", "tracking")},
            }
        )
        return resolved

    def to_yaml(self) -> str:
        """Return the resolved study as a study file that loads to an equal study."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=110)


def _specs(domains: Mapping[str, Domain]) -> dict[str, object]:
    return {name: domain_spec(domain) for name, domain in domains.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
