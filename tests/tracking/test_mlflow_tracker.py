import base64
import dataclasses
import json
import math
import sqlite3
import time
import zlib
from contextlib import closing

import pytest

from sweeper.errors import TrackingError
from sweeper.results import from_mlflow, parquet
from sweeper.results import mlflow_layout as layout
from sweeper.results.assemble import assemble
from sweeper.results.mlflow_client import connect, sqlite_path
from sweeper.results.record import Score
from sweeper.tracking import mlflow_tracker
from sweeper.tracking.browse import study_page
from sweeper.tracking.door import TrackerUnreachable
from sweeper.tracking.mlflow_tracker import MlflowTracker
from sweeper.tracking.outcome import FamilyOutcome, StudyOutcome
from sweeper.tracking.view import view_tag


def runs_of(store, kind, experiment="exp"):
    client = connect(store)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id], f"tags.`{layout.KIND}` = '{kind}'"))


def contents(store):
    """Every row of MLflow's tables that recording touches: what must not change when a trial is delivered again."""
    tables = ("runs", "params", "metrics", "latest_metrics", "tags", "inputs", "datasets", "experiments")
    with closing(sqlite3.connect(sqlite_path(store))) as database:
        return {table: sorted(map(repr, database.execute(f"select * from {table}"))) for table in tables}


def test_mlflow_and_parquet_give_equal_results(store, open_tracker, make_study, tmp_path):
    records, meta = make_study()
    tracker = open_tracker()
    for record in records:
        tracker.record(record)
    tracker.conclude(meta=meta)
    parquet.save(assemble(records, meta), tmp_path / "results")
    saved, tracked = parquet.load(tmp_path / "results"), from_mlflow.load(store, "exp")
    for name, table in saved.tables.items():
        assert tracked.tables[name].equals(table, check_metadata=True), name
    assert tracked.meta == saved.meta
    # The study is rich enough for equality to mean something.
    assert set(saved.trials["status"].to_pylist()) == {"completed", "stopped", "failed"}
    assert saved.scores["value"].null_count > 50
    assert len(saved.scores["image"].drop_null()) > 100
    assert "Land (unpaved area)" in saved.scores["class"].to_pylist()
    assert len(saved.epochs) == 2 * len(records)
    assert saved.epochs["minority_f1"].null_count > 0
    assert len(saved.margins) == 8 * 3, "confirm trials, their two images and validation"
    assert saved.reliability["share"].null_count == 8 * 7


def test_delivering_twice_changes_nothing(store, open_tracker, make_study):
    records, _ = make_study(images=1)
    some = [records[0], records[2], records[3]]
    tracker = open_tracker()
    for record in some:
        tracker.record(record)
    before = contents(store)
    for again in (tracker, open_tracker()):
        for record in some:
            again.record(record)
    assert contents(store) == before
    assert open_tracker().finished() == {record.key for record in some}


CALLS = ("create_run", "log_batch", "log_inputs", "log_artifact", "set_terminated")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("answered", [False, True], ids=["not-done", "done-unheard"])
def test_a_run_left_half_written_is_completed(store, open_tracker, make_study, monkeypatch, call, answered):
    """Break each call in turn, before and after it took effect; the next delivery leaves exactly one whole run."""
    records, meta = make_study(images=1)
    confirmed = next(record for record in records if record.stage == "confirm" and record.family == "tversky")
    tracker = open_tracker()
    first = records[0]
    tracker.record(first)
    tracker.record(dataclasses.replace(confirmed, key="family-run-exists-already"))
    genuine = getattr(tracker._client, call)

    def broken(*arguments, **keywords):
        if answered:
            genuine(*arguments, **keywords)
        raise ConnectionError("the line went dead")

    monkeypatch.setattr(tracker._client, call, broken)
    with pytest.raises(TrackerUnreachable, match="the line went dead"):
        tracker.record(confirmed)
    monkeypatch.undo()

    open_tracker().record(confirmed)
    trials = [run for run in runs_of(store, "trial") if run.data.tags[layout.TRIAL_KEY] == confirmed.key]
    assert [run.info.status for run in trials] == ["FINISHED"]
    history = connect(store).get_metric_history(trials[0].info.run_id, "epoch/train_loss")
    assert [(metric.step, metric.value) for metric in history] == [
        (epoch["epoch"], epoch["train_loss"]) for epoch in confirmed.history
    ]
    others = [first, dataclasses.replace(confirmed, key="family-run-exists-already")]
    tracked, wanted = from_mlflow.load(store, "exp").tables, assemble([*others, confirmed], meta).tables
    assert all(tracked[name].equals(wanted[name]) for name in wanted)


def test_the_tree_of_runs(store, open_tracker, make_study, info):
    """One row per family, whose children are its trials of both stages."""
    records, _ = make_study()
    tracker = open_tracker()
    for record in records:
        tracker.record(record)
    (study,) = runs_of(store, "study")
    families = {run.data.tags[layout.FAMILY]: run for run in runs_of(store, "family")}
    assert sorted(families) == sorted(run.info.run_name for run in families.values())
    assert set(families) == {"tversky", "my_pkg.losses:odd"}
    assert len(runs_of(store, "family")) == 2
    assert {run.data.tags[layout.PARENT] for run in families.values()} == {study.info.run_id}
    trials = runs_of(store, "trial")
    assert len(trials) == len(records)
    for run in trials:
        tags = run.data.tags
        assert tags[layout.PARENT] == families[tags[layout.FAMILY]].info.run_id
    assert study.data.params["training.lr.log_uniform"] == "[0.0001, 0.01]"
    assert study.data.params["search.metric"] == "minority_iou"


def test_one_trial_as_mlflow_shows_it(store, open_tracker, make_record, tmp_path):
    files = tmp_path / "trials" / "k"
    (files / "panels").mkdir(parents=True)
    (files / "panels" / "0.png").write_bytes(b"png")
    scores = (
        Score("test", "argmax", None, "Land (unpaved area)", "iou", 0.25),
        Score("test", "argmax", None, "(minority)", "recall", None),
        Score("test", "argmax", "scan 1", "water.a", "tp", 12.0),
    )
    hyperparameters = {"alpha": 0.3, "mode": "x", "training.lr": 0.002, "flag": True, "none": None}
    history = (
        {"epoch": 1, "train_loss": 0.9, "seconds": 0.5, "minority_iou": None},
        {"epoch": 2, "train_loss": 0.4, "seconds": 0.5, "minority_iou": 0.2},
    )
    record = make_record(
        "k", stage="confirm", number=None, seed=7, scores=scores, hyperparameters=hyperparameters, history=history
    )  # fmt: skip
    open_tracker().record(record)
    (run,) = runs_of(store, "trial")
    wanted = {"alpha": "0.3", "mode": "x", "training.lr": "0.002", "flag": "true", "none": "null", "level": "0.97",
              "seed": "7", "stage": "confirm", "model.arch": "unet", "training.batch_size": "16"}  # fmt: skip
    assert wanted.items() <= run.data.params.items()
    assert run.data.metrics["test/argmax/Land unpaved area/iou"] == 0.25
    assert "test/argmax/minority/recall" not in run.data.metrics
    assert run.data.metrics["epoch/minority_iou"] == 0.2
    assert (run.info.start_time, run.info.end_time) == (1795248000000, 1795248001250)  # 2026-11-21 08:00 UTC, + 1.25 s
    client = connect(store)
    steps = client.get_metric_history(run.info.run_id, "epoch/train_loss")
    assert [(m.step, m.value, m.timestamp - run.info.start_time) for m in steps] == [(1, 0.9, 500), (2, 0.4, 1000)]
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"scores_by_image.parquet", "panels"}
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("made up", "f" * 36)


@pytest.mark.parametrize(("status", "shown"), [("completed", "FINISHED"), ("stopped", "KILLED"), ("failed", "FAILED")])
def test_how_a_trial_ended(store, open_tracker, make_record, status, shown):
    open_tracker().record(make_record(status=status, reason="diverged"))
    (run,) = runs_of(store, "trial")
    assert (run.info.status, run.data.tags[layout.REASON]) == (shown, "diverged")


def test_many_metrics_and_classes_fit(store, open_tracker, make_record):
    scores = tuple(
        Score("val", point, None, f"class {index} " + "é" * 60, metric, None if index % 2 else index / 7)
        for index in range(60)
        for point in ("argmax", "shifted")
        for metric in ("iou", "f1", "precision", "recall", "specificity")
    )
    history = tuple({"epoch": e, "train_loss": e / 3, **{f"m{i}": i / e for i in range(8)}} for e in range(1, 301))
    record = make_record(scores=scores, history=history)
    open_tracker().record(record)
    assert from_mlflow.load(store, "exp").scores.equals(assemble([record], {}).scores)


def confirmed(make_record, key, iou, level=0.9, **changes):
    scores = [
        Score("test", point, None, "(minority)", "iou", value)
        for point, value in (("argmax", iou), ("shifted", None if iou is None else iou + 0.125))
    ]
    return make_record(key, stage="confirm", number=None, level=level, objective=iou, **{"scores": scores, **changes})


def shown(store):
    (family,) = runs_of(store, "family")
    return {name: value for name, value in family.data.metrics.items() if not math.isnan(value)}


def test_family_rows_follow_their_trials_across_restarts(store, open_tracker, make_record):
    tracker = open_tracker()
    tracker.record(make_record("s", objective=0.875))
    assert shown(store) == {"trials": 1, "failed": 0, "search/best_validation_objective": 0.875}
    tracker.record(confirmed(make_record, "a", 0.5))
    tracker.record(confirmed(make_record, "b", 0.25, level=0.97))
    tracker = open_tracker()
    tracker.record(confirmed(make_record, "c", None, level=0.97, status="failed", scores=()))
    tracker.record(confirmed(make_record, "d", 0.75, level=0.97))
    assert shown(store) == {
        "trials": 5, "failed": 1, "search/best_validation_objective": 0.875, "minority_iou": 0.5,
        "shifted/minority_iou": 0.625, "level_0.9/minority_iou": 0.5, "level_0.97/minority_iou": 0.5,
        "level_0.9/shifted/minority_iou": 0.625, "level_0.97/shifted/minority_iou": 0.625,
    }  # fmt: skip
    (family,) = runs_of(store, "family")
    history = connect(store).get_metric_history(family.info.run_id, "level_0.97/minority_iou")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.25), (0, 0.5)]


def test_search_scores_are_no_results(store, open_tracker, make_record):
    """They are on validation and the best of many: the family's row has them under the search's name alone."""
    tracker = open_tracker()
    scores = (Score("val", "argmax", None, "(minority)", "iou", 0.75), Score("test", "argmax", None, "x", "iou", 0.5))
    for key, is_default in (("a", True), ("b", False)):
        tracker.record(make_record(key, scores=scores, objective=0.75, is_default=is_default))
    tracker.conclude()
    assert shown(store) == {"trials": 2, "failed": 0, "search/best_validation_objective": 0.75}


def test_confirm_rows_are_of_the_tuned_setting_and_the_default_stands_apart(store, open_tracker, make_record):
    """At 0.9 both settings ran, at 0.99 the search had chosen the default, which is then the tuned one there."""
    tracker = open_tracker()
    tracker.record(confirmed(make_record, "a", 0.125, is_default=True))
    assert shown(store) == {
        "trials": 1, "failed": 0, "level_0.9/minority_iou": 0.125, "level_0.9/shifted/minority_iou": 0.25,
        "default/level_0.9/minority_iou": 0.125,
    }  # fmt: skip
    tracker.record(confirmed(make_record, "b", 0.625))
    tracker = open_tracker()  # what was recorded before is read back from MLflow
    tracker.record(confirmed(make_record, "c", 0.375, is_default=True))
    tracker.record(confirmed(make_record, "d", 0.875))
    tracker.record(confirmed(make_record, "e", 1.0, level=0.99, is_default=True))
    tracker.record(make_record("s", level=0.99, objective=0.25))
    assert shown(store) == {
        "trials": 6, "failed": 0, "search/best_validation_objective": 0.25,
        "level_0.9/minority_iou": 0.75, "level_0.99/minority_iou": 1.0,
        "level_0.9/shifted/minority_iou": 0.875, "level_0.99/shifted/minority_iou": 1.125,
        "default/level_0.9/minority_iou": 0.25, "default/level_0.99/minority_iou": 1.0,
    }  # fmt: skip


def test_concluding_leaves_out_trials_of_what_the_study_was(store, open_tracker, make_record, info):
    """The better trial, and the only one at its level, came before the study was edited."""
    tracker = open_tracker()
    tracker.record(confirmed(make_record, "old", 0.75, level=0.8))
    tracker.record(confirmed(make_record, "other", 0.75))
    tracker.record(confirmed(make_record, "new", 0.25))
    assert shown(store)["level_0.9/minority_iou"] == 0.5
    final = {**info.meta, "trials": ["new"]}
    tracker.conclude(meta=final)
    wanted = {
        "trials": 1, "failed": 0, "level_0.9/minority_iou": 0.25, "level_0.9/shifted/minority_iou": 0.375,
        "by_level/minority_iou": 0.25, "by_level/shifted/minority_iou": 0.375,
    }  # fmt: skip
    assert shown(store) == wanted
    before = contents(store)["metrics"]
    open_tracker().conclude(meta=final)
    assert contents(store)["metrics"] == before, "concluding twice is concluding once"

    tracker.conclude(meta={**info.meta, "trials": ["new", "other", "old"]})
    assert shown(store)["level_0.9/minority_iou"] == 0.5
    assert shown(store)["level_0.8/minority_iou"] == 0.75
    tracker.conclude(meta={**info.meta, "trials": []})
    assert shown(store) == {"trials": 0, "failed": 0}
    tracker.record(confirmed(make_record, "newest", 0.875))
    assert shown(store)["level_0.9/minority_iou"] == 0.625, "a study that goes on shows its trials again"


def test_curves_over_the_level_are_drawn_and_redrawn(store, open_tracker, make_record, info):
    tracker = open_tracker()
    for key, level, iou in (("a", 0.9, 0.5), ("b", 0.97, 0.25), ("c", 0.9995, 0.125)):
        tracker.record(confirmed(make_record, key, iou, level=level))

    def curve(name="by_level/minority_iou"):
        (family,) = runs_of(store, "family")
        history = connect(store).get_metric_history(family.info.run_id, name)
        return {one.step: one.value for one in sorted(history, key=lambda one: one.timestamp)}

    assert curve() == {}, "not before the end: a curve cannot be taken back"
    tracker.conclude()
    assert curve() == {9000: 0.5, 9700: 0.25, 9995: 0.125}
    assert curve("by_level/shifted/minority_iou") == {9000: 0.625, 9700: 0.375, 9995: 0.25}
    tracker.record(confirmed(make_record, "d", 1.0))
    tracker.conclude(meta={**info.meta, "trials": ["a", "b", "d"]})
    drawn = curve()
    assert math.isnan(drawn.pop(9995)), "a level that left the study leaves the curve"
    assert drawn == {9000: 0.75, 9700: 0.25}


def test_concluding_shows_what_the_report_found(store, open_tracker, make_record):
    tracker = open_tracker()
    tracker.record(confirmed(make_record, "a", 0.5))
    ends = {"level_0.9/minority_iou_low": 0.375, "level_0.9/minority_iou_high": 0.625}
    outcome = StudyOutcome(answer="Nothing is separable.", families={"tversky": FamilyOutcome(ends, "#0072b2")})
    for _ in range(2):
        tracker.conclude(outcome=outcome)
    (family,), (study,) = runs_of(store, "family"), runs_of(store, "study")
    assert ends.items() <= shown(store).items()
    assert family.data.tags["mlflow.runColor"] == "#0072b2"
    assert study.data.tags["mlflow.note.content"] == "Nothing is separable."
    tracker.record(confirmed(make_record, "b", 0.75))
    assert not ends.items() & shown(store).items(), "an interval of fewer trials is no longer the scores'"
    connect(store).set_tag(study.info.run_id, "mlflow.note.content", "my words")
    tracker.conclude(outcome=StudyOutcome(answer="tversky is ahead."))
    (study,) = runs_of(store, "study")
    assert study.data.tags["mlflow.note.content"] == "my words"
    assert study.data.tags["sweeper.answer"] == "tversky is ahead."


def test_rows_per_stage_of_an_earlier_version_stay_as_they_are(store, open_tracker, make_record):
    client = connect(store)
    tracker = open_tracker()
    tracker.record(make_record("a", objective=0.5))
    (old,) = runs_of(store, "family")
    client.set_tag(old.info.run_id, layout.STAGE, "search")
    tracker = open_tracker()
    tracker.record(make_record("b", objective=0.75))
    tracker.conclude()
    first, second = sorted(runs_of(store, "family"), key=lambda run: layout.STAGE not in run.data.tags)
    assert first.data.metrics["trials"] == 1
    assert second.data.metrics["trials"] == 2, "the family's row counts the trials under its old rows too"


def test_concluding_goes_by_the_meta_it_was_opened_with(store, open_tracker, make_record, info):
    tracker = open_tracker(study=dataclasses.replace(info, meta={**info.meta, "trials": ["new"]}))
    tracker.record(confirmed(make_record, "old", 0.75))
    tracker.record(confirmed(make_record, "new", 0.25))
    tracker.conclude()
    assert shown(store)["level_0.9/minority_iou"] == 0.25


def test_a_finished_study_is_read_whole_or_not_at_all(store, open_tracker, make_record, info):
    tracker = open_tracker()
    for key in ("a", "b", "c", "extra"):
        tracker.record(make_record(key))
    final = {**info.meta, "trials": ["a", "b", "c"]}
    tracker.conclude(meta=final)
    assert from_mlflow.load(store, "exp").trials["key"].to_pylist() == ["a", "b", "c"]
    client = connect(store)
    deleted = next(run for run in runs_of(store, "trial") if run.data.tags[layout.TRIAL_KEY] == "b").info.run_id
    client.delete_run(deleted)
    wanted = r"'exp' lacks 1 of the study's 3 trials \(b\); .*`sweeper sync RUN`, restore those deleted in MLflow"
    with pytest.raises(from_mlflow.ResultsError, match=wanted):
        from_mlflow.load(store, "exp")
    client.restore_run(deleted)
    assert from_mlflow.load(store, "exp").trials.num_rows == 3
    tracker.conclude(meta={**final, "trials": ["a", "b", "c", "d", "e", "f", "g"]})
    with pytest.raises(from_mlflow.ResultsError, match=r"lacks 4 of the study's 7 trials \(d, e, f, …\)"):
        from_mlflow.load(store, "exp")


def test_a_half_written_run_that_was_deleted_does_not_block_its_trial(store, open_tracker, make_record, monkeypatch):
    """Twice: the first run is deleted for good, the second stays half-written and is the one to be completed."""
    client = connect(store)
    tracker = open_tracker()

    def broken(*arguments, **keywords):
        raise ConnectionError("the line went dead")

    for left in (1, 2):
        monkeypatch.setattr(tracker._client, "set_terminated", broken)
        with pytest.raises(TrackerUnreachable):
            tracker.record(make_record("a"))
        monkeypatch.undo()
        if left == 1:
            client.delete_run(runs_of(store, "trial")[0].info.run_id)
    (half,) = runs_of(store, "trial")
    assert half.info.status == "RUNNING"
    tracker.record(make_record("a"))
    assert [(run.info.run_id, run.info.status) for run in runs_of(store, "trial")] == [(half.info.run_id, "FINISHED")]


def test_a_hyperparameter_does_not_hide_what_the_trial_is(store, open_tracker, make_record):
    hyperparameters = {"level": 3, "seed": 5, "stage": "x", "alpha": 0.5, "training.batch_size": 4}
    open_tracker().record(make_record(level=0.9, seed=7, hyperparameters=hyperparameters))
    (run,) = runs_of(store, "trial")
    wanted = {"level": "0.9", "seed": "7", "stage": "search", "loss.level": "3", "loss.seed": "5", "loss.stage": "x",
              "alpha": "0.5", "training.batch_size": "4"}  # fmt: skip
    assert wanted.items() <= run.data.params.items()


def test_concluding_closes_the_study_and_keeps_its_results(store, open_tracker, make_record, info, tmp_path):
    tracker = open_tracker()
    tracker.record(make_record())
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("<p>")
    ledger = {**info.meta, "ledger": [{"family": "tversky", "trials": 1}]}
    for _ in range(2):
        tracker.conclude("KILLED", meta=ledger, files=[tmp_path / "report", tmp_path / "missing"])
    (study,), (family,) = runs_of(store, "study"), runs_of(store, "family")
    assert (study.info.status, family.info.status) == ("KILLED", "KILLED")
    assert from_mlflow.load(store, "exp").meta["ledger"] == [{"family": "tversky", "trials": 1}]
    paths = {file.path for file in connect(store).list_artifacts(study.info.run_id)}
    assert paths == {"meta.json", "study.yaml", "report"}


def test_a_folder_of_results_keeps_its_shape(store, open_tracker, tmp_path):
    for name in ("report.html", "figures/a.png", "figures/deep/b.png"):
        (tmp_path / "report" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "report" / name).write_text(name)
    open_tracker().conclude(files=[tmp_path / "report"])
    kept = {path.relative_to(tmp_path / "artifacts").parts[2:] for path in (tmp_path / "artifacts").rglob("*.png")}
    assert kept == {("report", "figures", "a.png"), ("report", "figures", "deep", "b.png")}


def test_a_server_that_is_too_slow_is_left_with_what_it_has(store, info, make_record, tmp_path, monkeypatch):
    """Whoever waits for a study to end does not wait for ever."""
    (tmp_path / "report").mkdir()
    for name in "abc":
        (tmp_path / "report" / name).write_text(name)
    tracker, clock = MlflowTracker(store, "exp", info, within=60), [0.0]
    tracker.record(make_record())
    genuine, now = tracker._client.log_artifact, time.monotonic()

    def slow(*arguments):
        clock[0] += 40
        genuine(*arguments)

    monkeypatch.setattr(tracker._client, "log_artifact", slow)
    monkeypatch.setattr(mlflow_tracker.time, "monotonic", lambda: now + clock[0])
    with pytest.raises(TrackerUnreachable, match="answers too slowly; send the rest with `sweeper sync RUN`"):
        tracker.conclude(files=[tmp_path / "report"])
    assert sorted(path.name for path in (tmp_path / "artifacts").rglob("report/*")) == ["a", "b"]
    with pytest.raises(TrackerUnreachable, match="too slowly"):
        tracker.finished()
    monkeypatch.undo()
    MlflowTracker(store, "exp", info).conclude(files=[tmp_path / "report"])
    assert sorted(path.name for path in (tmp_path / "artifacts").rglob("report/*")) == ["a", "b", "c"]


def test_a_study_that_was_changed_says_so(store, open_tracker, info):
    open_tracker()
    longer = json.loads(json.dumps(info.meta))
    longer["study"]["search"]["trials"] = 32
    open_tracker(study=dataclasses.replace(info, meta=longer))
    (study,) = runs_of(store, "study")
    assert study.data.tags["sweeper.changed_settings"] == "search.trials: 3 → 32"


def test_a_trial_deleted_by_hand_stays_deleted(store, open_tracker, make_record):
    tracker = open_tracker()
    tracker.record(make_record("a"))
    tracker.record(make_record("b"))
    connect(store).delete_run(runs_of(store, "trial")[0].info.run_id)
    tracker = open_tracker()
    assert tracker.finished() == {"a", "b"}
    for key in ("a", "b"):
        tracker.record(make_record(key))
    assert from_mlflow.load(store, "exp").trials.num_rows == 1


def test_two_studies_in_one_experiment_stay_apart(store, open_tracker, make_record, info):
    other = dataclasses.replace(info, name="other")
    open_tracker().record(make_record("a"))
    open_tracker(study=other).record(make_record("a", study="other"))
    assert from_mlflow.load(store, "exp", study="other").trials["study"].to_pylist() == ["other"]
    with pytest.raises(from_mlflow.ResultsError, match="holds several studies; choose from odd 'names', other"):
        from_mlflow.load(store, "exp")
    with pytest.raises(from_mlflow.ResultsError, match="holds no study 'othr'; did you mean 'other'"):
        from_mlflow.load(store, "exp", study="othr")


def test_a_deleted_experiment_is_told(store, open_tracker):
    open_tracker()
    client = connect(store)
    client.delete_experiment(client.get_experiment_by_name("exp").experiment_id)
    with pytest.raises(TrackingError, match="the experiment 'exp' was deleted; restore it"):
        open_tracker()


def test_loading_names_what_is_wrong(store, open_tracker, make_study, tmp_path):
    records, _ = make_study(images=1)
    tracker = open_tracker()
    tracker.record(records[3])
    load, error = from_mlflow.load, from_mlflow.ResultsError
    with pytest.raises(error, match="there is no MLflow experiment 'expp'; did you mean 'exp'"):
        load(store, "expp")
    with pytest.raises(error, match="'Default' holds no study of sweeper"):
        load(store, "Default")
    with pytest.raises(error, match=r"none\.db: there is no such file"):
        load(f"sqlite:///{tmp_path}/none.db", "exp")
    assert not (tmp_path / "none.db").exists()
    next(tmp_path.rglob("scores_by_image.parquet")).write_bytes(b"torn")
    with pytest.raises(error, match=r"scores_by_image\.parquet is damaged"):
        load(store, "exp")
    next(tmp_path.rglob("scores_by_image.parquet")).unlink()
    with pytest.raises(error, match=r"no readable artifact scores_by_image\.parquet") as caught:
        load(store, "exp")
    assert "\n" not in str(caught.value)
    (run,) = runs_of(store, "trial")
    connect(store).set_tag(run.info.run_id, layout.RECORD, "{")
    with pytest.raises(error, match=r"is not as this version of sweeper writes it \(JSONDecodeError") as caught:
        load(store, "exp")
    assert "report from the Parquet files of the run folder: `sweeper report RUN`" in str(caught.value)
    assert "delete it" not in str(caught.value), "a deleted trial counts as present, so that it is not sent again"


def test_runs_that_are_older_than_epochs_margins_and_reliability_are_read_without(store, open_tracker, make_study):
    records, _ = make_study(images=1)
    open_tracker().record(records[3])
    (run,) = runs_of(store, "trial")
    client = connect(store)
    for name in [name for name in run.data.tags if name.startswith((layout.HISTORY, layout.RELIABILITY))]:
        client.delete_tag(run.info.run_id, name)
    fields = layout.from_tags(layout.RECORD, run.data.tags)
    del fields["margins"]
    for name, text in layout.to_tags(layout.RECORD, fields).items():
        client.set_tag(run.info.run_id, name, text)
    found = from_mlflow.load(store, "exp")
    assert (len(found.trials), len(found.epochs), len(found.margins), len(found.reliability)) == (1, 0, 0, 0)
    assert found.scores.equals(assemble([records[3]], {}).scores)


def test_reading_asks_once_per_page_and_once_per_artifact(store, open_tracker, make_study, monkeypatch):
    """No request per metric, nor per trial but for the tables of confirm trials."""
    records, _ = make_study(images=1)
    tracker = open_tracker()
    for record in records:
        tracker.record(record)
    asked = []
    from mlflow.tracking import MlflowClient

    for name in ("search_runs", "get_metric_history", "list_artifacts", "download_artifacts"):
        genuine = getattr(MlflowClient, name)

        def counted(self, *arguments, genuine=genuine, name=name, **keywords):
            asked.append(name)
            return genuine(self, *arguments, **keywords)

        monkeypatch.setattr(MlflowClient, name, counted)
    from_mlflow.load(store, "exp")
    assert {name: asked.count(name) for name in set(asked)} == {"search_runs": 2, "download_artifacts": 1 + 8 * 2}


def test_a_trial_that_mlflow_refuses_is_told_as_such(open_tracker, make_record):
    tracker = open_tracker()
    with pytest.raises(TrackingError, match=r"Invalid value .epoch/bad name") as caught:
        tracker.record(make_record(history=({"epoch": 1, "bad name?": 1.0},)))
    assert not isinstance(caught.value, TrackerUnreachable)


def test_the_saved_view_shows_this_studys_families(store, open_tracker, make_record, info):
    other = dataclasses.replace(info, name="other")
    for tracker in (open_tracker(), open_tracker(study=other)):
        tracker.record(confirmed(make_record, "a", 0.5, level=0.97))
        tracker.record(make_record("b", family="dice"))
    client = connect(store)
    experiment = client.get_experiment_by_name("exp")
    views = {json.loads(text)["name"]: (key, text) for key, text in experiment.tags.items() if "sharedViewState" in key}
    assert set(views) == {"odd 'names': families", "other: families"}
    key, text = views["other: families"]
    state = json.loads(zlib.decompress(base64.b64decode(json.loads(text)["state"].removeprefix("deflate;"))))
    found = client.search_runs([experiment.experiment_id], state["searchFilter"])
    assert sorted(run.info.run_name for run in found) == ["dice", "tversky"]
    assert {run.data.tags[layout.STUDY] for run in found} == {"other"}
    shown = next(run for run in found if run.info.run_name == "tversky").data
    for column in ("minority_iou", "shifted/minority_iou", "trials", "failed"):
        assert f"metrics.`{column}`" in state["selectedColumns"]
        assert column in shown.metrics
    assert state["orderByKey"] in state["selectedColumns"]
    page = study_page(store, "exp", "other")
    assert page.startswith(f"#/experiments/{experiment.experiment_id}/runs?")
    assert key == "mlflow.sharedViewState." + page.partition("viewStateShareKey=")[2]


def test_there_is_no_page_before_the_study_is_there(store, open_tracker, tmp_path):
    assert study_page(store, "exp", "odd 'names'") == ""
    open_tracker()
    assert study_page(store, "exp", "another") == ""
    assert study_page(store, "exp", "odd 'names'") != ""
    assert study_page(f"sqlite:///{tmp_path}/none.db", "exp", "x") == ""
    assert not (tmp_path / "none.db").exists()


def test_a_view_fits_into_a_tag(info):
    crowded = {**info.meta, "levels": [index / 1000 for index in range(900, 1000)], "reference": 0.97}
    key, text = view_tag("0" * 32, "x" * 500 + "<script>\"'\u202e", crowded, created=0)
    assert len(text) <= 5000
    assert key.endswith("0" * 32)
