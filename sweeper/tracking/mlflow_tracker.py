"""The MLflow tracker: a study as nested runs, each trial written once however often it is delivered."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from sweeper.errors import TrackingError
from sweeper.results import mlflow_layout as layout
from sweeper.results.mlflow_client import configure, connect, one_line, redact, search_runs, sqlite_path
from sweeper.results.record import Score, TrialRecord
from sweeper.results.schema import SCORES
from sweeper.tracking.door import TrackerUnreachable
from sweeper.tracking.family_scores import TrialSummary, family_scores, summary_of_record, summary_of_run
from sweeper.tracking.mlflow_entries import Point, TrialEntry, family_params, study_params, trial_entry
from sweeper.tracking.study_info import StudyInfo
from sweeper.tracking.uri import artifact_location, check

if TYPE_CHECKING:
    from mlflow.entities import Run

METRICS_PER_CALL = 800
"""MLflow takes 1000 entities and 1 MB per call."""
PARAMS_PER_CALL = 100
DIGEST_LENGTH = 36

TEMPORARY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED", "CANCELLED")
"""MLflow's codes for what may work later: the server is away or overloaded, the database is locked."""


@dataclass(frozen=True, slots=True)
class _Family:
    """The run of one family and stage, and what its trials came to."""

    run: Run
    trials: dict[str, TrialSummary]


class MlflowTracker:
    """Records the trials of one study in one MLflow experiment.

    A trial's run is found by its key before one is made, and closed last: a run cut short by a crash is completed by
    the next delivery, never doubled. Times are derived from the run's start, so that logging twice is logging once.
    One process records a study at a time; any number may read it.
    """

    def __init__(self, uri: str, experiment: str, study: StudyInfo) -> None:
        """Open the experiment and the study's run in it, making them where they are missing.

        Raises: TrackingError when the address cannot be used or MLflow refuses, TrackerUnreachable when it stops
            answering.
        """
        check(uri)  # MLflow itself retries for minutes before it says that a store is not there
        configure()
        if (database := sqlite_path(uri)) is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
        self._uri = uri
        self._study = study
        self._families: dict[tuple[str, str], _Family] = {}
        with self._errors_told():
            self._client = connect(uri)
            self._experiment_id = self._open_experiment(experiment)
            self._study_run = self._open_study()

    def finished(self) -> set[str]:
        """Return the keys of all trials recorded whole, those a user deleted in MLflow among them."""
        with self._errors_told():
            return {run.data.tags[layout.TRIAL_KEY] for run in self._trials(deleted=True) if _is_whole(run)}

    def record(self, record: TrialRecord) -> None:
        """Record one trial with its files, and bring its family's scores up to date.

        Raises: TrackerUnreachable when MLflow does not answer, TrackingError when it refuses this trial.
        """
        entry = trial_entry(record, self._study)
        with self._errors_told():
            family = self._family(record)
            known = self._trials(deleted=True, key=record.key)
            if any(_is_whole(run) for run in known):
                return
            active = (run for run in known if run.info.lifecycle_stage == "active")  # a deleted run takes no writes
            run = next(active, None) or self._create_trial(record, entry, family)
            self._fill_trial(run, record, entry)
            family.trials[record.key] = summary_of_record(record)
            self._log_family_scores(family)

    def conclude(
        self,
        status: Literal["FINISHED", "KILLED", "FAILED"] = "FINISHED",
        *,
        meta: Mapping[str, Any] | None = None,
        files: Iterable[Path] = (),
    ) -> None:
        """Close the study: its final meta data, its results and report, and the end of its family runs.

        A family's scores become those of the trials that `trials` of the meta data names: others, of what the study
        was before it was edited, stay out.

        Args:
            status: FINISHED when complete, KILLED when interrupted, FAILED otherwise. Recording may go on later.
            meta: Replaces what the tracker was opened with, e.g. with the final ledger.
            files: Files and folders to keep with the study run.

        Raises: TrackerUnreachable when MLflow does not answer, TrackingError when it refuses.
        """
        with self._errors_told():
            if meta is not None:
                self._log_meta(self._study_run, meta)
            for path in files:
                if path.is_dir():
                    self._client.log_artifacts(self._study_run, str(path), path.name)
                elif path.exists():
                    self._client.log_artifact(self._study_run, str(path))
            keys = (self._study.meta if meta is None else meta).get("trials")
            for run in self._runs(layout.STUDY_RUN, self._study_run, kind="family"):
                self._settle_family_scores(run, set(keys) if isinstance(keys, list) else None)
                self._client.set_terminated(run.info.run_id, status)
            self._client.set_terminated(self._study_run, status)

    # The three layers of runs, each found before it is made.

    def _open_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            location = artifact_location(self._uri, self._study.folder)
            try:
                return str(self._client.create_experiment(name, artifact_location=location))
            except MlflowException as error:
                found = self._client.get_experiment_by_name(name)
                if found is None:  # else another client was faster
                    raise error
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"{redact(self._uri)}: the experiment {name!r} was deleted; restore it in MLflow, "
                "or set tracking.experiment to another name"
            )
        return str(found.experiment_id)

    def _open_study(self) -> str:
        known = [run for run in self._runs(layout.KIND, "study") if run.data.tags.get(layout.STUDY) == self._study.name]
        if known:
            run = known[0]
        else:
            tags = {layout.KIND: "study", layout.STUDY: self._study.name, "mlflow.source.name": "sweeper"}
            run = self._client.create_run(self._experiment_id, tags=tags, run_name=self._study.name)
        run_id = str(run.info.run_id)
        self._log_study_params(run)
        self._log_meta(run_id, self._study.meta)
        self._client.log_text(run_id, self._study.yaml, layout.STUDY_FILE)
        self._client.log_inputs(run_id, [self._dataset()])
        return run_id

    def _log_study_params(self, run: Run) -> None:
        """Log the study's settings. MLflow never changes a parameter: one that differs now is noted in a tag."""
        logged: dict[str, str] = run.data.params
        wanted = study_params(self._study)
        self._log(run, wanted)
        changed = [f"{name}: {logged[name]} → {new}" for name, new in wanted.items() if logged.get(name, new) != new]
        if changed:
            self._client.set_tag(run.info.run_id, "sweeper.changed_settings", "\n".join(changed)[: layout.TAG_LENGTH])

    def _family(self, record: TrialRecord) -> _Family:
        known = (record.family, record.stage)
        if known not in self._families:
            run = self._find_family(*known) or self._create_family(record)
            self._log(run, family_params(record, self._study))
            self._families[known] = _Family(run, self._read_summaries(run))
        return self._families[known]

    def _find_family(self, family: str, stage: str) -> Run | None:
        for run in self._runs(layout.STUDY_RUN, self._study_run, kind="family"):
            if (run.data.tags.get(layout.FAMILY), run.data.tags.get(layout.STAGE)) == (family, stage):
                return run
        return None

    def _create_family(self, record: TrialRecord) -> Run:
        tags = {
            layout.KIND: "family",
            layout.STUDY: self._study.name,
            layout.STUDY_RUN: self._study_run,
            layout.FAMILY: record.family,
            layout.STAGE: record.stage,
            layout.PARENT: self._study_run,
            "mlflow.source.name": "sweeper",
        }
        return self._client.create_run(self._experiment_id, tags=tags, run_name=f"{record.family} ({record.stage})")

    def _create_trial(self, record: TrialRecord, entry: TrialEntry, family: _Family) -> Run:
        tags = {**entry.tags, layout.STUDY_RUN: self._study_run, layout.PARENT: family.run.info.run_id}
        return self._client.create_run(
            self._experiment_id, start_time=_milliseconds(record.started), tags=tags, run_name=entry.name
        )

    def _fill_trial(self, run: Run, record: TrialRecord, entry: TrialEntry) -> None:
        """Log everything of a trial; its end comes last, since it is what marks the run as whole."""
        run_id = run.info.run_id
        self._log(run, entry.params, entry.points)
        self._client.log_inputs(run_id, [self._dataset()])
        if entry.image_scores:
            self._log_image_scores(run_id, entry.image_scores)
        files = self._study.folder / "trials" / record.key
        if files.is_dir():
            self._client.log_artifacts(run_id, str(files))
        self._client.set_terminated(run_id, entry.status, end_time=run.info.start_time + round(record.seconds * 1000))

    # What is written into a run.

    def _log(self, run: Run, params: Mapping[str, str], points: Iterable[Point] = ()) -> None:
        """Log in as few calls as MLflow allows, mostly one. A parameter the run has is left: none can be changed."""
        from mlflow.entities import Metric, Param

        start = run.info.start_time
        metrics = [Metric(p.name, p.value, start + round(p.seconds * 1000), p.step) for p in points]
        texts = [Param(name, text) for name, text in params.items() if name not in run.data.params]
        for some_metrics, some_texts in zip_longest(
            _pieces(metrics, METRICS_PER_CALL), _pieces(texts, PARAMS_PER_CALL)
        ):
            self._client.log_batch(run.info.run_id, metrics=some_metrics or (), params=some_texts or ())

    def _log_family_scores(self, family: _Family) -> None:
        """Log a family's scores; the step is the number of trials behind them."""
        scores = family_scores(family.trials.values())
        self._log(family.run, {}, [Point(name, value, len(family.trials), 0.0) for name, value in scores.items()])

    def _settle_family_scores(self, family: Run, keys: Collection[str] | None) -> None:
        """Make MLflow show a family's final scores, over its trials among `keys`, or over all of them.

        MLflow shows the value of the highest step, then the latest time, and removes none: what changed is logged at
        the step of the last trial but later, and what no trial stands behind any more becomes NaN.
        """
        summaries = self._read_summaries(family)
        wanted = family_scores(row for key, row in summaries.items() if keys is None or key in keys)
        shown: dict[str, float] = family.data.metrics
        changed = {name: value for name, value in wanted.items() if shown.get(name) != value}
        changed |= {name: math.nan for name, value in shown.items() if name not in wanted and not math.isnan(value)}
        if changed:
            step = max((one.step for one in self._client.get_metric_history(family.info.run_id, "trials")), default=0)
            seconds = max(time.time() - family.info.start_time / 1000, 0.001)
            self._log(family, {}, [Point(name, value, step, seconds) for name, value in changed.items()])

    def _log_image_scores(self, run_id: str, scores: Iterable[Score]) -> None:
        schema = SCORES.remove(SCORES.get_field_index("key"))
        rows = [(score.split, score.point, score.image, score.klass, score.metric, score.value) for score in scores]
        columns = [list(column) for column in zip(*rows, strict=True)]
        with tempfile.TemporaryDirectory(prefix="sweeper-") as scratch:
            path = Path(scratch) / layout.IMAGE_SCORES_FILE
            pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")
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

    def _runs(self, tag: str, value: str, *, kind: str | None = None, deleted: bool = False) -> Iterator[Run]:
        """Yield runs of the experiment by an id of ours, never by a user's word: that could hold a quote."""
        condition = f"tags.`{tag}` = '{value}'" + (f" and tags.`{layout.KIND}` = '{kind}'" if kind else "")
        return search_runs(self._client, self._experiment_id, condition, deleted=deleted)

    def _trials(self, *, deleted: bool, key: str | None = None) -> list[Run]:
        condition = f"tags.`{layout.STUDY_RUN}` = '{self._study_run}' and tags.`{layout.KIND}` = 'trial'"
        if key is not None:
            condition += f" and tags.`{layout.TRIAL_KEY}` = '{key}'"
        return list(search_runs(self._client, self._experiment_id, condition, deleted=deleted))

    def _read_summaries(self, family: Run) -> dict[str, TrialSummary]:
        children = self._runs(layout.PARENT, family.info.run_id, kind="trial")
        return {
            child.data.tags[layout.TRIAL_KEY]: summary_of_run(child.data.tags, child.data.metrics)
            for child in children
            if _is_whole(child)
        }

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        """Translate MLflow's errors: what may work later apart from what is refused for good."""
        import requests
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except MlflowException as error:
            kind = TrackerUnreachable if error.error_code in TEMPORARY else TrackingError
            raise kind(f"{redact(self._uri)}: {one_line(error)}") from error
        except (OSError, SQLAlchemyError, requests.exceptions.RequestException) as error:
            raise TrackerUnreachable(f"{redact(self._uri)}: {one_line(error)}") from error


def _is_whole(run: Run) -> bool:
    return run.info.status in layout.RUN_STATUS.values()


def _milliseconds(started: str | None) -> int | None:
    """Return an ISO 8601 time as milliseconds since 1970; one without a zone is UTC."""
    if started is None:
        return None
    time = datetime.fromisoformat(started)
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _pieces(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
