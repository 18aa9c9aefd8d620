"""The trained models a run kept, as MLflow is given them: of every family, the tuned one of the first confirm seed."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

import sweeper
from sweeper.errors import ResultsError
from sweeper.orchestration.folder import RunFolder
from sweeper.results.pictures import load_patches, patches_file
from sweeper.results.results import Results
from sweeper.tracking.models import ModelFiles

CODE = Path(__file__).with_name("model_code.py")

PACKAGES = ("torch", "segmentation-models-pytorch", "numpy", "scipy", "scikit-image", "mlflow")
"""What the code of a model imports beside the package itself, which is kept with the model."""

EXAMPLE_SIDE = 64
"""Pixels a side of the picture a model is shown with; MLflow keeps it as text."""


def kept_model(folder: RunFolder, results: Results, family: str, level: float) -> ModelFiles | None:
    """Return the tuned model of a family at a level, of the first seed that was kept; None where none was.

    Raises: ResultsError when its files are damaged.
    """
    trials = results.trials
    wanted = pc.and_(
        pc.and_(pc.equal(trials["family"], family), pc.equal(trials["level"], level)),
        pc.and_(trials["is_tuned"], pc.equal(trials["status"], "completed")),
    )
    for trial in trials.filter(wanted).sort_by("seed").to_pylist():
        kept = folder.trials / trial["key"]
        files = {"weights": kept / "model.pt", "description": kept / "model.json"}
        if all(path.is_file() for path in files.values()):
            return _model_files(folder, results, trial, files)
    return None


def _model_files(folder: RunFolder, results: Results, trial: dict[str, Any], files: dict[str, Path]) -> ModelFiles:
    described = read_description(files["description"], files["weights"])
    hyperparameters: dict[str, Any] = json.loads(trial["hyperparameters"])
    said = {name: trial[name] for name in ("family", "level", "seed", "key", "study")}
    return ModelFiles(
        key=trial["key"],
        family=trial["family"],
        level=trial["level"],
        code=CODE,
        packages=[Path(sweeper.__file__).parent],
        artifacts=files,
        requirements=[f"{name}=={installed}" for name in PACKAGES if (installed := _version(name)) is not None],
        channels=described["channels"],
        example=_example(folder, results, described),
        parameters={name: str(value) for name, value in {**said, **hyperparameters}.items()},
        metadata={
            "sweeper": {
                **said,
                "hyperparameters": hyperparameters,
                "classes": described["classes"],
                "background": described["background"],
                "offset": described["offset"],
                "points": ["argmax", "shifted"],
                "selection": results.meta["selection"],
                "version": _version("sweeper"),
            }
        },
    )


def read_description(file: Path, weights: Path) -> dict[str, Any]:
    """Read what a model says of itself, and check its weights against the digest there; older models have none.

    Raises: ResultsError when either file is damaged.
    """
    try:
        described: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        missing = {"channels", "classes", "background", "offset", "patch"} - {*described.keys()}
    except (OSError, ValueError, AttributeError) as error:
        raise _damaged(file, error) from None
    if missing:
        raise _damaged(file, f"it lacks {', '.join(sorted(missing))}")
    digest = described.pop("sha256", None)
    if digest is not None:
        with weights.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != digest:
                raise _damaged(weights, "its digest is not the one in model.json")
    return described


def _damaged(file: Path, why: object) -> ResultsError:
    return ResultsError(f"{file}: is damaged ({why}); restore it from a copy, or do without this model")


def _example(folder: RunFolder, results: Results, described: dict[str, Any]) -> NDArray[np.uint8]:
    """Return the corner of a test patch, (1, S, S, K); black where no test patch was kept."""
    side = min(EXAMPLE_SIDE, int(described["patch"]))
    try:
        patches = load_patches(patches_file(folder.panels, results.meta["data"]["fingerprint"]))
    except ResultsError:
        return np.zeros((1, side, side, described["channels"]), dtype=np.uint8)
    return np.ascontiguousarray(patches.images[:1, :side, :side])


def _version(name: str) -> str | None:
    """Return the installed version without a local part such as `+cpu`, which no index serves."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None
