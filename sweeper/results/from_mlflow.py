"""Results read back from MLflow, equal to those saved as Parquet."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from sweeper.errors import ResultsError, suggest
from sweeper.results import mlflow_layout as layout
from sweeper.results.assemble import assemble
from sweeper.results.meta import to_json
from sweeper.results.mlflow_client import configure, connect, one_line, redact, search_runs, sqlite_path
from sweeper.results.record import ReliabilityBin, Score, TrialRecord
from sweeper.results.recorded import check
from sweeper.results.results import Results
from sweeper.results.schema import MARGINS

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

DOWNLOADS = 8
"""Artifacts fetched at once; a fetch is latency, not work."""

ROWS = 50_000_000
"""Rows that a trial's table may have: a small file may pretend to hold any number."""


def load(tracking_uri: str, experiment: str, *, study: str | None = None) -> Results:
    """Read one study from an MLflow experiment.

    Of a finished study exactly its own trials are read: those of what it was before it was edited stay out. Of one that
    still runs, whatever is there: trials still being written, and deleted ones, are left out.

    Args:
        tracking_uri: Address of a store or server, e.g. `sqlite:////abs/mlflow.db` or `http://host:5000`.
        experiment: Its name.
        study: Which study, where the experiment holds several: its name, or the id of its run.

    Raises: ResultsError when there is no such experiment or study, when trials of a finished study are missing, when a
        run was not written by sweeper or lost its artifacts, or when MLflow cannot be read.
    """
    database = sqlite_path(tracking_uri)
    if database is not None and not database.is_file():
        raise ResultsError(f"{database}: there is no such file; give the `mlflow.db` of a run folder")
    configure()
    with _told_in_one_line(tracking_uri), tempfile.TemporaryDirectory(prefix="sweeper-") as scratch:
        client = connect(tracking_uri)
        experiment_id = _experiment_id(client, experiment)
        study_run = _study_run(client, experiment_id, experiment, study)
        meta = _meta(client, study_run, Path(scratch))
        by_key = _trial_runs(client, experiment_id, study_run)
        runs = _of_the_study(by_key, meta.get("trials"), experiment)
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            parts = list(pool.map(lambda run: _read_trial(client, run, Path(scratch)), runs))
    results = assemble([record for record, _ in parts], meta)
    return dataclasses.replace(results, margins=_joined({record.key: table for record, table in parts}, results.trials))


def _experiment_id(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        known = [experiment.name for experiment in client.search_experiments()]
        raise ResultsError(f"there is no MLflow experiment {name!r}; {suggest(name, known)}")
    return str(found.experiment_id)


def _study_run(client: MlflowClient, experiment_id: str, experiment: str, study: str | None) -> Run:
    """Return the run of the study meant: by name, or by id where several run folders have a study of one name."""
    by_name: dict[str, dict[str, Run]] = {}
    for run in search_runs(client, experiment_id, f"tags.`{layout.KIND}` = 'study'"):
        if run.info.run_id == study:
            return run
        folders = by_name.setdefault(run.data.tags.get(layout.STUDY, ""), {})
        folder = run.data.tags.get(layout.RUN_FOLDER, "")
        # Of one folder the oldest with contents: a duplicate is a request that was carried out twice.
        if folder not in folders or not folders[folder].data.params:
            folders[folder] = run
    if not by_name:
        raise ResultsError(
            f"the MLflow experiment {experiment!r} holds no study of sweeper; give the experiment of a study"
        )
    if study is None and len(by_name) > 1:
        raise ResultsError(
            f"the MLflow experiment {experiment!r} holds several studies; choose from {', '.join(sorted(by_name))}"
        )
    if study is not None and study not in by_name:
        raise ResultsError(f"the MLflow experiment {experiment!r} holds no study {study!r}; {suggest(study, by_name)}")
    runs = list(by_name[next(iter(by_name)) if study is None else study].values())
    if len(runs) > 1:
        ids = ", ".join(f"{run.info.run_id} of {_day(run)}" for run in runs)
        raise ResultsError(
            f"the MLflow experiment {experiment!r} holds {len(runs)} studies of this name, from different run folders; "
            f"choose by the id of the run: {ids}"
        )
    return runs[0]


def _day(run: Run) -> str:
    return datetime.fromtimestamp((run.info.start_time or 0) / 1000, UTC).date().isoformat()


def _meta(client: MlflowClient, study_run: Run, scratch: Path) -> dict[str, Any]:
    """Return the study's meta data. Raises: ResultsError where it is no meta data."""
    path = _artifact(client, study_run, layout.META_FILE, scratch)
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        keys = meta.get("trials")
        if not (keys is None or (isinstance(keys, list) and all(isinstance(key, str) for key in keys))):
            raise ValueError("its trials are no list of keys")
        to_json(meta)
    except (OSError, ValueError, AttributeError, RecursionError, ResultsError) as error:
        raise ResultsError(
            f"the MLflow run {study_run.info.run_id} ({study_run.info.run_name}) has no readable {layout.META_FILE} "
            f"({type(error).__name__}: {one_line(error)}); run the same `sweeper run` or `sweeper sync RUN` again, or "
            "report from the Parquet files of the run folder: `sweeper report RUN`"
        ) from error
    return dict(meta)


def _trial_runs(client: MlflowClient, experiment_id: str, study_run: Run) -> dict[str, Run]:
    """Return the study's finished trial runs, one per key."""
    by_key: dict[str, Run] = {}
    condition = f"tags.`{layout.STUDY_RUN}` = '{study_run.info.run_id}' and tags.`{layout.KIND}` = 'trial'"
    for run in search_runs(client, experiment_id, condition):
        if run.info.status in layout.RUN_STATUS.values():
            by_key.setdefault(run.data.tags.get(layout.TRIAL_KEY, run.info.run_id), run)
    return by_key


def _of_the_study(by_key: dict[str, Run], keys: list[str] | None, experiment: str) -> list[Run]:
    """Return the runs of `keys`, all of which must be there; every run where the study has not said which are its own.

    Raises: ResultsError when some are missing: a report on the rest would look complete.
    """
    if keys is None:
        return list(by_key.values())
    missing = [key for key in keys if key not in by_key]
    if missing:
        raise ResultsError(
            f"the MLflow experiment {experiment!r} lacks {len(missing)} of the study's {len(keys)} trials "
            f"({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}); send those never delivered with "
            "`sweeper sync RUN`, restore those deleted in MLflow, or report from the run folder: `sweeper report RUN`"
        )
    return [by_key[key] for key in keys]


def _read_trial(client: MlflowClient, run: Run, scratch: Path) -> tuple[TrialRecord, pa.Table]:
    """Return a trial and its margins, which stay a table: as rows they would be millions of numbers."""
    tags: dict[str, str] = run.data.tags
    try:
        fields: Any = layout.from_tags(layout.RECORD, tags)
        classes: Any = layout.from_tags(layout.CLASSES, tags)
        absent: Any = layout.from_tags(layout.ABSENT, tags)
        scores = [*_pooled_scores(run.data.metrics, classes, absent), *_image_scores(client, run, fields, scratch)]
        record = TrialRecord(
            **fields["trial"],
            history=tuple(_packed(layout.HISTORY, tags)),
            scores=tuple(scores),
            reliability=tuple(ReliabilityBin(**row) for row in _packed(layout.RELIABILITY, tags)),
        )
        check(record)
        if record.key != tags.get(layout.TRIAL_KEY):
            raise ValueError(f"its record is of trial {record.key}")
        return record, _margins(client, run, fields, scratch)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ResultsError(
            f"the MLflow run {run.info.run_id} ({run.info.run_name}) is not as this version of sweeper writes it "
            f"({type(error).__name__}: {one_line(error)}); restore its tags and artifacts from a copy of the MLflow "
            "store, or report from the Parquet files of the run folder: `sweeper report RUN`"
        ) from error


def _packed(name: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows packed into a tag; a trial that has none, or is older than the tag, has no such tag."""
    return layout.unpack(layout.from_tags(name, tags)) if name in tags else []


def _pooled_scores(metrics: dict[str, float], classes: dict[str, str], absent: list[str]) -> Iterator[Score]:
    for name, value in [*metrics.items(), *((name, None) for name in absent)]:
        parts = layout.parse_score_metric(name)
        if parts is not None:
            split, point, label, metric = parts
            yield Score(split, point, None, classes[label], metric, value)


def _image_scores(client: MlflowClient, run: Run, fields: dict[str, Any], scratch: Path) -> Iterator[Score]:
    if not fields["image_scores"]:
        return
    for row in _table(client, run, layout.IMAGE_SCORES_FILE, scratch).to_pylist():
        yield Score(row["split"], row["point"], row["image"], row["class"], row["metric"], row["value"])


def _margins(client: MlflowClient, run: Run, fields: dict[str, Any], scratch: Path) -> pa.Table:
    if not fields.get("margins"):
        return MARGINS.empty_table()
    found = _table(client, run, layout.MARGINS_FILE, scratch)
    keys = pa.array([fields["trial"]["key"]] * len(found), pa.string())
    table = found.add_column(0, MARGINS.field("key"), keys).cast(MARGINS)
    table.validate(full=True)
    empty = [field.name for field in MARGINS if not field.nullable and table[field.name].null_count]
    if empty:
        raise ValueError(f"{layout.MARGINS_FILE} lacks values of {', '.join(empty)}")
    return table


def _joined(by_key: Mapping[str, pa.Table], trials: pa.Table) -> pa.Table:
    """Return the tables of all trials as one, in the order of the trials."""
    return pa.concat_tables([MARGINS.empty_table(), *(by_key[key] for key in trials["key"].to_pylist())])


def _table(client: MlflowClient, run: Run, name: str, scratch: Path) -> pa.Table:
    """Read a Parquet artifact of a trial. Raises: ValueError where it is damaged."""
    path = _artifact(client, run, name, scratch)
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > ROWS:
                raise ValueError(f"{name} has {file.metadata.num_rows} rows")
            return file.read()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{name} is damaged: {one_line(error)}") from error


def _artifact(client: MlflowClient, run: Run, name: str, scratch: Path) -> Path:
    from mlflow.exceptions import MlflowException

    folder = scratch / run.info.run_id
    folder.mkdir(exist_ok=True)
    try:
        return Path(client.download_artifacts(run.info.run_id, name, str(folder)))
    except (MlflowException, OSError) as error:
        raise ResultsError(
            f"the MLflow run {run.info.run_id} ({run.info.run_name}) has no readable artifact {name} at "
            f"{redact(str(run.info.artifact_uri))} ({one_line(error)}); if the run folder was moved, read its "
            "`results` folder instead"
        ) from error


@contextmanager
def _told_in_one_line(uri: str) -> Iterator[None]:
    import requests
    import urllib3
    from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    lines = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, json.JSONDecodeError, ParseError)
    try:
        yield
    except (MlflowException, SQLAlchemyError, *lines) as error:
        raise ResultsError(
            f"{redact(uri)}: MLflow cannot be read ({one_line(error)}); check the address and that the server runs"
        ) from error
