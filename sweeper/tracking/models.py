"""Trained models in MLflow: logged once per trial, with all that is needed to load and run them elsewhere."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweeper.results import mlflow_layout as layout
from sweeper.tracking.study_info import SCRATCH

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient

_UNSAFE = re.compile(r"[^\w -]+")
"""MLflow refuses quotes, dots, slashes, colons and percent signs in a model's name."""


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A trained model as it lies on disk, and what to say of it."""

    key: str
    """Of the trial that trained it."""
    family: str
    level: float
    code: Path
    """File that MLflow runs to load the model; it calls `mlflow.models.set_model`."""
    packages: Sequence[Path]
    """Source folders the code imports from, kept with the model."""
    artifacts: Mapping[str, Path]
    """By the name under which the code asks for them."""
    requirements: Sequence[str]
    channels: int
    example: NDArray[np.uint8]
    """(N, H, W, K): pictures to try it on."""
    parameters: Mapping[str, str]
    """Shown with the model, e.g. the loss's hyperparameters."""
    metadata: Mapping[str, Any]
    """Plain JSON for programs, e.g. the classes."""


def log_model(client: MlflowClient, experiment_id: str, run_id: str, model: ModelFiles, *, scratch: Path) -> str:
    """Log the model of a trial, unless it is there already, and return its id.

    Args:
        run_id: The trial's run.
        scratch: Folder in which its files are made up.
    """
    from mlflow.models import Model

    known = find_model(client, experiment_id, model.key)
    if known is not None:
        return known
    tags = {layout.TRIAL_KEY: model.key, layout.FAMILY: model.family, layout.LEVEL: f"{model.level:g}"}
    logged = client.create_logged_model(
        experiment_id,
        name=_name(model.family),
        source_run_id=run_id,
        tags=tags,
        params={name[:250]: text[:500] for name, text in model.parameters.items()},
        model_type="segmentation",
    )
    model_id = str(logged.model_id)
    try:
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=scratch) as made:
            folder = Path(made) / "model"
            about = Model(run_id=run_id, model_id=model_id, model_uuid=model_id, artifact_path=logged.artifact_location)
            _save(model, folder, about)
            client.log_model_artifacts(model_id, str(folder))
    except BaseException:
        client.finalize_logged_model(model_id, "FAILED")
        raise
    client.finalize_logged_model(model_id, "READY")
    return model_id


def find_model(client: MlflowClient, experiment_id: str, key: str) -> str | None:
    """Return the id of the model of a trial that was logged whole, or None."""
    found = client.search_logged_models([experiment_id], filter_string=f"tags.`{layout.TRIAL_KEY}` = '{key}'")
    ready = [one for one in found if str(one.status) in ("READY", "LoggedModelStatus.READY")]
    return str(min(ready, key=lambda one: one.creation_timestamp).model_id) if ready else None


def _save(model: ModelFiles, folder: Path, about: Any) -> None:
    """Write the model as MLflow lays it out. Its code is not asked to predict: that would take torch."""
    with warnings.catch_warnings():
        # MLflow warns of its own type hints when `mlflow.pyfunc` is first imported.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType", category=UserWarning)
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(
            path=str(folder),
            mlflow_model=about,
            python_model=str(model.code),
            artifacts={name: str(path) for name, path in model.artifacts.items()},
            code_paths=[str(path) for path in model.packages],
            signature=_signature(model.channels),
            input_example=model.example,
            pip_requirements=list(model.requirements),
            metadata=dict(model.metadata),
        )


def _signature(channels: int) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    pixel = np.dtype(np.uint8)
    return ModelSignature(
        inputs=Schema([TensorSpec(pixel, (-1, -1, -1, channels))]),
        outputs=Schema([TensorSpec(pixel, (-1, -1, -1))]),
        params=ParamSchema([ParamSpec("point", DataType.string, "argmax")]),
    )


def _name(family: str) -> str:
    return " ".join(_UNSAFE.sub(" ", family).split())[:100] or "model"
