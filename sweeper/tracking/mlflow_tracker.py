"""The MLflow tracker: a study as nested runs, each trial written once however often it is delivered."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow.compute as pc
import pyarrow.parquet as pq

from sweeper.errors import TrackingError
from sweeper.results import mlflow_layout as layout
from sweeper.results.assemble import assemble
from sweeper.results.mlflow_client import configure, connect, one_line, redact, search_runs, sqlite_path
from sweeper.results.record import TrialRecord
from sweeper.tracking.champion import Registered, register
from sweeper.tracking.door import TrackerDeleted, TrackerUnreachable
from sweeper.tracking.family_runs import FamilyRuns
from sweeper.tracking.identity import identity
from sweeper.tracking.mlflow_batches import log
from sweeper.tracking.mlflow_entries import TrialEntry, study_params, trial_entry
from sweeper.tracking.mlflow_runs import make, only
from sweeper.tracking.models import ModelFiles, log_model
from sweeper.tracking.outcome import StudyOutcome
from sweeper.tracking.study_info import SCRATCH, StudyInfo
from sweeper.tracking.uri import artifact_location, check
from sweeper.tracking.view import view_tag

if TYPE_CHECKING:
    from mlflow.entities import Run

DIGEST_LENGTH = 36
"""Characters MLflow takes of a data set's digest."""

TEMPORARY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED", "CANCELLED")
"""MLflow's codes for what may work later: the server is away or overloaded, the database is locked."""


class MlflowTracker:
    """Records the trials of one study in one MLflow experiment.

    A trial's run is found by its key before one is made, and closed last: a run cut short by a crash is completed by
    the next delivery, never doubled. Times are derived from the run's start, so that logging twice is logging once.
    One process records a study at a time; any number may read it.

    What was deleted in MLflow: a trial stays deleted; the row of a family is made anew; under a deleted study or
    experiment nothing is recorded until it is restored. What is deleted for good is recorded again.
    """

    def __init__(self, uri: str, experiment: str, study: StudyInfo, *, within: float | None = None) -> None:
        """Open the experiment and the study's run in it, making them where they are missing.

        Args:
            uri: Address of the store or server.
            experiment: Its name.
            study: What is recorded.
            within: Seconds from now after which MLflow counts as unreachable, where someone waits for all that is to
                be done; a request that is under way then is seen through. No limit by default.

        Raises: TrackingError when the address cannot be used or MLflow refuses, TrackerUnreachable when it stops
            answering.
        """
        check(uri)  # MLflow itself retries for minutes before it says that a store is not there
        configure()
        if (database := sqlite_path(uri)) is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
        self._uri = uri
        self._study = study
        self._noticed: list[str] = []
        self._deadline = math.inf if within is None else time.monotonic() + within
        with self._errors_told():
            self._client = connect(uri)
            self._experiment_id = self._open_experiment(experiment)
            self._study_run = self._open_study()
            self._families = FamilyRuns(self._client, self._experiment_id, self._study_run, study)

    @property
    def noticed(self) -> Sequence[str]:
        """What was found deleted in MLflow, one sentence each."""
        return [*self._noticed, *self._families.noticed]

    def finished(self) -> set[str]:
        """Return the keys of all trials recorded whole, those a user deleted in MLflow among them."""
        with self._errors_told():
            whole: dict[str, bool] = {}
            half: list[tuple[str, str]] = []
            for run in self._trials(deleted=True):
                key, active = run.data.tags.get(layout.TRIAL_KEY, ""), _is_active(run)
                if _is_whole(run):
                    whole[key] = whole.get(key, False) or active
                elif active:
                    half.append((key, run.info.run_id))
            for key, run_id in half:
                if whole.get(key):  # asked for once, made twice
                    self._client.delete_run(run_id)
        if deleted := sum(not active for active in whole.values()):
            trials = "1 trial was" if deleted == 1 else f"{deleted} trials were"
            self._notice(f"{trials} deleted in MLflow and not sent again; what should count can be restored there")
        return set(whole)

    def record(self, record: TrialRecord) -> None:
        """Record one trial with its files, and bring its family's scores up to date.

        Raises: TrackerUnreachable when MLflow does not answer, TrackerDeleted when the study was deleted in it,
            TrackingError when it refuses this trial.
        """
        entry = trial_entry(record, self._study)
        try:
            with self._errors_told():
                self._see_that_the_study_is_there()
                parent = self._families.open(record)
                run = self._open_trial(record, entry, parent)
                if run is not None:
                    self._fill_trial(run, record, entry)
                    self._families.add(record)
        except TrackingError:
            self._families.forget(record.family)
            raise

    def conclude(
        self,
        status: Literal["FINISHED", "KILLED", "FAILED"] = "FINISHED",
        *,
        meta: Mapping[str, Any] | None = None,
        files: Iterable[Path] = (),
        outcome: StudyOutcome | None = None,
    ) -> None:
        """Close the study: its final meta data, its results and report, and the end of its family runs.

        A family's scores become those of the trials that `trials` of the meta data names: others, of what the study
        was before it was edited, stay out.

        Args:
            status: FINISHED when complete, KILLED when interrupted, FAILED otherwise. Recording may go on later.
            meta: Replaces what the tracker was opened with, e.g. with the final ledger.
            files: Files and folders to keep with the study run.
            outcome: What the report found.

        Raises: TrackerUnreachable when MLflow does not answer, TrackingError when it refuses.
        """
        self.finished()  # leaves every trial there once
        with self._errors_told():
            self._see_that_the_study_is_there()
            if meta is not None:
                self._log_meta(self._study_run, meta)
            for path in files:
                for file, place in _files(path):
                    self._see_that_there_is_time()
                    self._client.log_artifact(self._study_run, str(file), place)
            outcome = outcome or StudyOutcome()
            keys = (self._study.meta if meta is None else meta).get("trials")
            for run in self._families.settle(set(keys) if isinstance(keys, list) else None, outcome.families):
                self._client.set_terminated(run.info.run_id, status)
            self._describe(outcome.answer)
            self._client.set_terminated(self._study_run, status)

    def log_model(self, model: ModelFiles, *, best: bool = True) -> str:
        """Log the model of a recorded trial and return its id; done once per trial.

        Args:
            best: Whether it is its family's best, to be shown in the family's row.

        Raises: TrackerUnreachable when MLflow does not answer, TrackingError when it refuses or lacks the trial.
        """
        from mlflow.entities import LoggedModelOutput

        with self._errors_told():
            run = next((run for run in self._trials(deleted=False, key=model.key) if _is_whole(run)), None)
            if run is None:
                raise TrackingError(f"{redact(self._uri)}: has no trial {model.key}; send it with `sweeper sync RUN`")
            model_id = log_model(self._client, self._experiment_id, run.info.run_id, model, scratch=self._study.folder)
            uri = f"models:/{model_id}"
            family = self._families.find(model.family) if best else None
            if family is not None and family.data.tags.get(layout.MODEL) != uri:
                self._client.log_outputs(family.info.run_id, [LoggedModelOutput(model_id, 0)])
                self._client.set_tag(family.info.run_id, layout.MODEL, uri)
            return model_id

    def register_champion(self, name: str, model_id: str, *, why: str, tags: Mapping[str, str]) -> Registered:
        """Register a logged model under `name`, alias `champion`; see `champion.register`.

        Raises: TrackerUnreachable when MLflow does not answer, TrackingError when it refuses.
        """
        with self._errors_told():
            return register(self._client, self._uri, name, model_id, why=why, tags=tags)

    # The three layers of runs, each found before it is made.

    def _open_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            location = artifact_location(self._uri, self._study.folder)
            try:
                # By this tag MLflow's page knows that runs are what there is to see.
                tags = {"mlflow.experimentKind": "custom_model_development"}
                return str(self._client.create_experiment(name, artifact_location=location, tags=tags))
            except MlflowException as error:
                found = self._client.get_experiment_by_name(name)
                if found is None:  # else another client was faster
                    raise error
        if found.lifecycle_stage != "active":
            raise TrackerDeleted(
                f"{redact(self._uri)}: the experiment {name!r} was deleted; restore it in MLflow, "
                "or set tracking.experiment to another name"
            )
        if not found.experiment_id:
            raise TrackerUnreachable("MLflow gave an answer without content")
        return str(found.experiment_id)

    def _open_study(self) -> str:
        own = identity(self._study.folder)
        known = self._studies(own)
        if known:
            run = only(self._client, known, self._has_runs)
        else:
            self._refuse_if_deleted(own)
            tags = {
                layout.KIND: "study",
                layout.STUDY: self._study.name,
                layout.RUN_FOLDER: own,
                "mlflow.source.name": "sweeper",
            }
            run = make(
                self._client,
                self._experiment_id,
                lambda: self._studies(own),
                name=self._study.name,
                tags=tags,
                holds=self._has_runs,
            )
        run_id = str(run.info.run_id)
        if layout.RUN_FOLDER not in run.data.tags:
            self._client.set_tag(run_id, layout.RUN_FOLDER, own)
        self._log_study_params(run)
        self._log_meta(run_id, self._study.meta)
        self._client.log_text(run_id, self._study.yaml, layout.STUDY_FILE)
        self._client.log_inputs(run_id, [self._dataset()])
        view = view_tag(run_id, self._study.name, self._study.meta, created=run.info.start_time)
        if view is not None:
            self._client.set_experiment_tag(self._experiment_id, *view)
        return run_id

    def _studies(self, own: str, *, deleted: bool = False) -> list[Run]:
        """Return the runs of this study: of this run folder, else one of its name that is nobody's."""
        found = search_runs(self._client, self._experiment_id, f"tags.`{layout.KIND}` = 'study'", deleted=deleted)
        named = [run for run in found if run.data.tags.get(layout.STUDY) == self._study.name]  # it may hold a quote
        ours = [run for run in named if run.data.tags.get(layout.RUN_FOLDER) == own]
        return ours or [run for run in named if layout.RUN_FOLDER not in run.data.tags]

    def _has_runs(self, study: Run) -> bool:
        condition = f"tags.`{layout.STUDY_RUN}` = '{study.info.run_id}'"
        return bool(self._client.search_runs([self._experiment_id], condition, max_results=1))

    def _refuse_if_deleted(self, own: str) -> None:
        """Stay away from a study that was deleted: whoever did that would find its trials back, and twice."""
        for run in self._studies(own, deleted=True):
            if run.data.tags.get(layout.RUN_FOLDER) == own:
                raise TrackerDeleted(
                    f"{redact(self._uri)}: the run of study {self._study.name!r} ({run.info.run_id}) was deleted; "
                    "restore it in MLflow, or set tracking.experiment to another name"
                )

    def _see_that_the_study_is_there(self) -> None:
        """MLflow itself would go on under a study that is not."""
        from mlflow.exceptions import MlflowException

        try:
            active = _is_active(self._client.get_run(self._study_run))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise TrackerDeleted("the study's run is no longer in MLflow; it is made anew") from error
            raise
        if not active:
            raise TrackerDeleted(
                f"{redact(self._uri)}: the run of study {self._study.name!r} ({self._study_run}) was deleted; "
                "restore it in MLflow, or set tracking.experiment to another name"
            )

    def _see_that_there_is_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise TrackerUnreachable(f"{redact(self._uri)}: answers too slowly; send the rest with `sweeper sync RUN`")

    def _notice(self, text: str) -> None:
        if text not in self._noticed:
            self._noticed.append(text)

    def _log_study_params(self, run: Run) -> None:
        """Log the study's settings. MLflow never changes a parameter: one that differs now is noted in a tag."""
        logged: dict[str, str] = run.data.params
        wanted = study_params(self._study)
        log(self._client, run, wanted)
        changed = [f"{name}: {logged[name]} → {new}" for name, new in wanted.items() if logged.get(name, new) != new]
        if changed:
            self._client.set_tag(run.info.run_id, "sweeper.changed_settings", "\n".join(changed)[: layout.TAG_LENGTH])

    def _describe(self, answer: str) -> None:
        """Show the answer with the study, unless a user has written something else there."""
        tags = self._client.get_run(self._study_run).data.tags
        before = tags.get(layout.ANSWER, "")
        if answer == before:
            return
        if tags.get(layout.NOTE, "") in ("", before):
            self._client.set_tag(self._study_run, layout.NOTE, answer)
        self._client.set_tag(self._study_run, layout.ANSWER, answer)

    def _open_trial(self, record: TrialRecord, entry: TrialEntry, parent: str) -> Run | None:
        """Return the run of a trial that is to be filled, or None where the trial is recorded whole."""
        known = list(self._trials(deleted=True, key=record.key))
        if any(_is_whole(run) for run in known):
            return None

        def active() -> list[Run]:
            return list(self._trials(deleted=False, key=record.key))

        begun = [run for run in known if _is_active(run)]  # a deleted run takes no writes
        if begun:
            run = only(self._client, begun, _is_whole)
        else:
            tags = {**entry.tags, layout.STUDY_RUN: self._study_run, layout.PARENT: parent}
            start = _milliseconds(record.started)
            run = make(
                self._client, self._experiment_id, active, name=entry.name, tags=tags, start_time=start, holds=_is_whole
            )
        if _is_whole(run):
            return None
        if run.data.tags.get(layout.PARENT) != parent:
            self._client.set_tag(run.info.run_id, layout.PARENT, parent)
        return run

    def _fill_trial(self, run: Run, record: TrialRecord, entry: TrialEntry) -> None:
        """Log everything of a trial; its end comes last, since it is what marks the run as whole."""
        run_id = run.info.run_id
        log(self._client, run, entry.params, entry.points)
        self._client.log_inputs(run_id, [self._dataset()])
        self._log_tables(run_id, record)
        files = self._study.folder / "trials" / record.key
        if files.is_dir():
            self._client.log_artifacts(run_id, str(files))
        self._client.set_terminated(run_id, entry.status, end_time=run.info.start_time + round(record.seconds * 1000))

    # What is written into a run.

    def _log_tables(self, run_id: str, record: TrialRecord) -> None:
        """Log what is too long for tags and metrics, each table as it will be in the results."""
        found = assemble([record], {})
        tables = {
            layout.IMAGE_SCORES_FILE: found.scores.filter(pc.is_valid(found.scores["image"])),
            layout.MARGINS_FILE: found.margins,
        }
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self._study.folder) as scratch:
            for name, table in tables.items():
                if len(table):
                    path = Path(scratch) / name
                    pq.write_table(table.drop_columns(["key"]), path, compression="zstd")
                    self._client.log_artifact(run_id, str(path))

    def _log_meta(self, run_id: str, meta: Mapping[str, Any]) -> None:
        text = json.dumps(meta, indent=1, sort_keys=True, allow_nan=False)
        self._client.log_text(run_id, text, layout.META_FILE)

    def _dataset(self) -> Any:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = self._study.meta.get("data", {})
        dataset = Dataset(
            name=str(data.get("name", "data"))[:500],
            digest=str(data.get("fingerprint", "unknown"))[:DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"fingerprint": data.get("fingerprint")}),
            profile=json.dumps(data.get("splits", {})),
        )
        return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])

    # What is read from MLflow.

    def _trials(self, *, deleted: bool, key: str | None = None) -> Iterator[Run]:
        condition = f"tags.`{layout.STUDY_RUN}` = '{self._study_run}' and tags.`{layout.KIND}` = 'trial'"
        if key is not None:
            condition += f" and tags.`{layout.TRIAL_KEY}` = '{key}'"
        return search_runs(self._client, self._experiment_id, condition, deleted=deleted)

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Translate MLflow's errors: what may work later apart from what is refused for good."""
        import requests
        import urllib3
        from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        self._see_that_there_is_time()
        try:
            yield
        except MlflowException as error:
            kind = TrackerUnreachable if error.error_code in TEMPORARY else TrackingError
            raise kind(f"{redact(self._uri)}: {one_line(error)}") from error
        except (OSError, SQLAlchemyError, requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise TrackerUnreachable(f"{redact(self._uri)}: {one_line(error)}") from error
        except (json.JSONDecodeError, ParseError) as error:
            raise TrackerUnreachable(f"{redact(self._uri)}: gave an answer that was cut short") from error


def _is_whole(run: Run) -> bool:
    return run.info.status in layout.RUN_STATUS.values()


def _files(path: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield each file at or below `path`, and the folder of MLflow it belongs into."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield file, file.parent.relative_to(path.parent).as_posix()
    elif path.exists():
        yield path, None


def _is_active(run: Run) -> bool:
    return str(run.info.lifecycle_stage) == "active"


def _milliseconds(started: str | None) -> int | None:
    """Return an ISO 8601 time as milliseconds since 1970; one without a zone is UTC."""
    if started is None:
        return None
    time = datetime.fromisoformat(started)
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
