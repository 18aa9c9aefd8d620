"""A run folder's side of MLflow: opening its tracker, delivering what is left, adding results and report at the end."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.errors import ResultsError, RunFolderError, TrackingError
from sweeper.files import write_text
from sweeper.orchestration.folder import Lease, RunFolder
from sweeper.orchestration.kept_models import kept_model
from sweeper.orchestration.outcome import study_outcome
from sweeper.report.document import Document
from sweeper.study.schema import Study
from sweeper.tracking import uri as tracking_uri
from sweeper.tracking.browse import browse_command, browse_environment, study_page
from sweeper.tracking.journal import Journal
from sweeper.tracking.mlflow_tracker import MlflowTracker
from sweeper.tracking.study_info import StudyInfo
from sweeper.tracking.sync import sync

CONCLUDE_SECONDS = 300.0
"""How long a finished study goes on giving MLflow its results, report and models; the rest is for `sweeper sync`."""


@dataclass(frozen=True)
class Target:
    """Where a run's trials go: an MLflow address and experiment, and what MLflow is told of the study."""

    uri: str
    experiment: str
    info: StudyInfo

    @property
    def id(self) -> str:
        """Under which the journal notes what has arrived there."""
        return tracking_uri.target_id(self.uri, self.experiment)

    def open(self, within: float | None = None) -> MlflowTracker:
        """Open its tracker; `within` is how many seconds from now on it may take for everything."""
        return MlflowTracker(self.uri, self.experiment, self.info, within=within)


@dataclass(frozen=True)
class Synced:
    """What `sync_run` did."""

    uri: str
    """Password redacted."""
    delivered: int
    present: int
    refused: Mapping[str, str]
    noticed: tuple[str, ...] = ()
    """What others deleted in MLflow, one sentence each."""
    reason: str | None = None
    """Why a model was not logged; None where all were."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "tracking_uri": self.uri,
            "delivered": self.delivered,
            "present": self.present,
            "refused": dict(self.refused),
            "noticed": list(self.noticed),
            "reason": self.reason,
        }

    def to_text(self) -> str:
        lines = [f"{self.delivered} trials sent, {self.present} were there already: {self.uri}"]
        lines += [f"{key}: refused, {reason}" for key, reason in self.refused.items()]
        lines += self.noticed
        lines += [] if self.reason is None else [self.reason]
        return "\n".join(lines)


def write_identity(folder: RunFolder, target: Target) -> None:
    """Write into the run folder what it is a run of, without the password of a tracking address."""
    write_text(folder.study, target.info.yaml)
    own = tracking_uri.resolve(None, folder.path)
    identity = {
        "name": target.info.name,
        # The folder may be moved, and its own store with it.
        "tracking_uri": None if target.uri == own else tracking_uri.without_credentials(target.uri),
        "experiment": target.experiment,
        "meta": target.info.meta,
    }
    write_text(folder.meta, json.dumps(identity, indent=1))


def shareable(study: Study) -> Study:
    """Return the study as it may be kept and shown: the password of a tracking address left out."""
    if study.tracking.uri is None:
        return study
    tracking = study.tracking.model_copy(update={"uri": tracking_uri.redact(study.tracking.uri)})
    return study.model_copy(update={"tracking": tracking})


def target_of(study: Study, meta: Mapping[str, Any], folder: RunFolder) -> Target:
    """Return where the trials of a study go."""
    uri = tracking_uri.resolve(study.tracking.uri, folder.path)
    info = StudyInfo(name=study.name, meta=meta, yaml=shareable(study).to_yaml(), folder=folder.path)
    return Target(uri, study.experiment, info)


def conclude(target: Target, document: Document, folder: RunFolder) -> str | None:
    """Add results, report and models to the study's MLflow run; return why that failed, which fails no study."""
    try:
        return _conclude(target.open(CONCLUDE_SECONDS), document, folder)
    except TrackingError as error:
        return str(error)


def _conclude(tracker: MlflowTracker, document: Document, folder: RunFolder) -> str | None:
    """Do so, and return why a model was refused; without the models all else is there.

    Raises: TrackingError when anything else is.
    """
    results = document.results
    tracker.conclude(
        meta=results.meta, files=[folder.results, folder.report, folder.panels], outcome=study_outcome(document)
    )
    refused = []
    for family in results.meta["families"]:
        try:
            model = kept_model(folder, results, family, results.meta["reference"])
            if model is not None:
                tracker.log_model(model)
        except (TrackingError, ResultsError) as error:
            refused.append(f"the model of {family} was not logged: {error}")
    if not refused:
        return None
    return refused[0] if len(refused) == 1 else f"{refused[0]} (and {len(refused) - 1} more models)"


def sync_run(path: Path, uri: str | None = None) -> Synced:
    """Send to MLflow what a run could not, or everything to another address.

    Raises: RunFolderError when `path` is no run folder, TrackingError when MLflow cannot be used.
    """
    folder = RunFolder(path.expanduser().absolute())
    target = read_target(folder, uri)
    tracking_uri.check(target.uri)
    reason = None
    with Lease(folder):
        tracker = target.open()
        report = sync(Journal(folder.outbox), tracker, target.id)
        if (folder.results / "trials.parquet").exists():
            from sweeper.results.parquet import load

            reason = _conclude(tracker, Document(load(folder.results)), folder)
    return Synced(
        tracking_uri.redact(target.uri), report.delivered, report.present, report.refused, report.noticed, reason
    )


def browse_run(path: Path, *, port: int, say: Callable[[str], None]) -> int:
    """Serve the MLflow UI on a run folder's store, on 127.0.0.1, until it is stopped; return its exit code."""
    target = read_target(RunFolder(path.expanduser().absolute()))
    command = browse_command(target.uri, port=port)
    server = subprocess.Popen(command, env={**os.environ, **browse_environment(target.uri)})
    try:
        page = study_page(target.uri, target.experiment, target.info.name, target.info.folder)
        say(f"MLflow UI: http://127.0.0.1:{port}/{page} (experiment {target.experiment}; Ctrl-C ends it)")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def read_target(folder: RunFolder, uri: str | None = None) -> Target:
    """Return where the trials of a run folder went, or go with another address.

    Raises: RunFolderError when it is no run folder.
    """
    identity = read_identity(folder)
    try:
        yaml = folder.study.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise _no_run_folder(folder) from None
    info = StudyInfo(name=identity["name"], meta=identity["meta"], yaml=yaml, folder=folder.path)
    where = tracking_uri.resolve(uri or identity["tracking_uri"], folder.path)
    return Target(where, identity["experiment"], info)


def read_identity(folder: RunFolder) -> dict[str, Any]:
    """Return what `write_identity` wrote: `name`, `tracking_uri`, `experiment`, and `meta` as of the last start.

    Raises: RunFolderError when it is no run folder.
    """
    try:
        identity: dict[str, Any] = json.loads(folder.meta.read_text(encoding="utf-8"))
        return {name: identity[name] for name in ("name", "tracking_uri", "experiment", "meta")}
    except (OSError, ValueError, KeyError, TypeError):
        raise _no_run_folder(folder) from None


def _no_run_folder(folder: RunFolder) -> RunFolderError:
    return RunFolderError(f"{folder.path}: is no run folder (no study.yaml and meta.json in it); give e.g. runs/demo")
