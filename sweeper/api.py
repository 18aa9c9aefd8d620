"""The calls behind the front door and the command line. Each imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.losses.family import Family
    from sweeper.losses.module import Loss
    from sweeper.orchestration.estimate import PlanReport
    from sweeper.orchestration.events import Listener
    from sweeper.orchestration.run import RunOutcome
    from sweeper.report.verify import Verification
    from sweeper.results.results import Results
    from sweeper.study.schema import Study

OUT = Path("runs")
"""Where run folders are made unless told otherwise."""


def load_study(
    source: str | Path | Mapping[str, Any], *, overrides: Sequence[str] = (), data: str | Path | None = None
) -> Study:
    """Read, complete and check a study file.

    Args:
        source: Path of a YAML study file, or its contents as a mapping.
        overrides: `dotted.key=value` strings, applied last.
        data: Folder with `images/`, `masks/` and `classes.json`, used instead of the study's own data.

    Raises: StudyError with every problem found.
    """
    from sweeper.data.folder import folder_from
    from sweeper.study.load import load_study as load

    return load(source, overrides=overrides, data=None if data is None else folder_from(Path(data)))


def plan(study: Study, *, out: str | Path = OUT, listener: Listener | None = None) -> PlanReport:
    """Prepare the data, check everything (levels, model, tracking address) and estimate the cost, without a trial."""
    from sweeper.orchestration.estimate import estimate
    from sweeper.orchestration.run import check

    return estimate(check(study, out=Path(out), listener=listener), listener=listener)


def run(
    study: Study,
    *,
    out: str | Path = OUT,
    address: str | None = None,
    listener: Listener | None = None,
    command: str | None = None,
) -> RunOutcome:
    """Search, confirm, record and report; the same call continues a study that was stopped.

    Args:
        study: What to compare.
        out: Folder of run folders.
        address: Ray cluster to join (`auto`, `host:port`); None starts a private Ray on this machine.
        listener: Told about every step.
        command: How the study was started, for the report's provenance.
    """
    from sweeper.orchestration.run import run as run_study

    return run_study(study, out=Path(out), address=address, listener=listener, command=command)


def load_results(source: str | Path, *, tracking_uri: str | None = None) -> Results:
    """Read the results of a study.

    Args:
        source: A run folder, a results folder or `trials.parquet`; with `tracking_uri`, an MLflow experiment's name.
        tracking_uri: MLflow server or store to read from instead of Parquet files.
    """
    if tracking_uri is not None:
        from sweeper.results.from_mlflow import load as load_experiment

        return load_experiment(tracking_uri, str(source))
    from sweeper.results.parquet import load

    path = Path(source)
    return load(path / "results" if (path / "results").is_dir() else path)


def build_report(
    results: Results,
    folder: str | Path,
    *,
    panels: str | Path | None = None,
    seed: int = 0,
    rope: float = 0.01,
    dials: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the report (HTML, Markdown, JSON, figures, tables) into `folder`; return the path of the page.

    Args:
        panels: Folder of prediction pictures, `panels/` of a run folder.
        seed: Of the resampling; equal seeds give equal reports.
        rope: Differences of the headline score up to this count as equivalent.
        dials: Pairs of numeric hyperparameters to draw against each other.
    """
    from sweeper.report.page import build_report as build

    pictures = None if panels is None else Path(panels)
    return build(results, Path(folder), panels=pictures, seed=seed, rope=rope, dials=dials)


def build_comparison(studies: Sequence[Results], folder: str | Path, *, seed: int = 0) -> Path:
    """Write a page that compares several studies into `folder`; return its path."""
    from sweeper.report.across.page import build_comparison as build

    return build(studies, Path(folder), seed=seed)


def verify_report(
    results: Results | Sequence[Results], folder: str | Path, *, panels: str | Path | None = None
) -> Verification:
    """Work out the report in `folder` again, with its own settings, and return what differs.

    Args:
        results: What it should be of; several where it compares studies.
        panels: Folder of prediction pictures it was built with.
    """
    from sweeper.report.verify import verify, verify_comparison
    from sweeper.results.results import Results

    if not isinstance(results, Results):
        return verify_comparison(results, Path(folder))
    return verify(results, Path(folder), panels=None if panels is None else Path(panels))


def build_anatomy(losses: str | Sequence[str] | None = None, folder: str | Path = "anatomy", *, seed: int = 0) -> Path:
    """Write a page on how losses behave, without training, into `folder`; return its path.

    Args:
        losses: Families with their settings, as a list or `dice,tversky(beta=0.9)`; `all`; None for a first look.
        seed: Of the untrained models; equal seeds give equal files.
    """
    from sweeper.anatomy.contestants import DEFAULT, contestants, split_names
    from sweeper.anatomy.page import build_anatomy as build

    names = DEFAULT if losses is None else split_names(losses) if isinstance(losses, str) else losses
    return build(*contestants(names), Path(folder), seed=seed)


def families() -> Mapping[str, Family]:
    """Return the catalogue of loss families by name."""
    from sweeper.losses.catalogue import FAMILIES

    return FAMILIES


def loss(name: str, **hyperparameters: Any) -> Loss:
    """Return a loss as a module: `loss(logits, target)` with logits (B, C, H, W) and target (B, H, W) int64.

    A family that brings along a part of its own, a learned number or a network, has it built by
    `loss(name).bring(classes=C)`; `sweeper losses NAME` shows how to train with each.

    Args:
        name: A family or one of its aliases, e.g. `tversky`; or `module:function` of one's own.
        hyperparameters: Those of the family, numbers per class such as `class_weights`, and `ignore_index`.
    """
    from sweeper.losses.catalogue import loss as make

    return make(name, **hyperparameters)
