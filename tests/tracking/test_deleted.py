"""What others delete in MLflow is noticed and said; what is there twice is tidied; studies of one name stay apart."""

import dataclasses
import time

import pytest

from sweeper.errors import ResultsError, TrackingError
from sweeper.results import from_mlflow
from sweeper.results import mlflow_layout as layout
from sweeper.results.mlflow_client import connect
from sweeper.tracking.browse import study_page
from sweeper.tracking.courier import Courier
from sweeper.tracking.door import TrackerDeleted
from sweeper.tracking.identity import identity
from sweeper.tracking.journal import Journal
from sweeper.tracking.sync import sync


def runs_of(store, kind, experiment="exp"):
    client = connect(store)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id], f"tags.`{layout.KIND}` = '{kind}'"))


def keys_of(store):
    return sorted(run.data.tags[layout.TRIAL_KEY] for run in runs_of(store, "trial"))


def for_good(store, *runs):
    """Delete runs as `mlflow gc` does."""
    for run in runs:
        connect(store)._tracking_client.store._hard_delete_run(run.info.run_id)


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def client(store):
    return connect(store)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "outbox")


@pytest.fixture
def couriers(journal, open_tracker):
    """Start couriers, and say what they said."""
    opened = []

    def start(said):
        opened.append(Courier(journal, open_tracker, "t", first_pause=0.01, say=said.append))
        return opened[-1]

    yield start
    for courier in opened:
        courier.close(5)


def test_a_study_deleted_while_it_runs_is_said_and_goes_on_when_restored(store, client, couriers, journal, make_record):
    said = []
    courier = couriers(said)
    courier.record(make_record("a"))
    until(lambda: courier.pending == 0)
    (study,) = runs_of(store, "study")
    client.delete_run(study.info.run_id)
    courier.record(make_record("b"))
    until(lambda: said)
    assert f"the run of study \"odd 'names'\" ({study.info.run_id}) was deleted; restore it in MLflow" in said[0]
    assert keys_of(store) == ["a"], "nothing is recorded under a study that is not there"
    client.restore_run(study.info.run_id)
    until(lambda: courier.pending == 0 and len(said) == 2)
    assert said[1] == "MLflow takes trials again; none is lost"
    assert keys_of(store) == ["a", "b"]
    assert [run.info.run_id for run in runs_of(store, "study")] == [study.info.run_id]


def test_an_experiment_deleted_while_it_is_used_is_said_and_goes_on_when_restored(
    store, client, couriers, journal, make_record
):
    said = []
    courier = couriers(said)
    courier.record(make_record("a"))
    until(lambda: courier.pending == 0)
    experiment = client.get_experiment_by_name("exp").experiment_id
    client.delete_experiment(experiment)
    courier.record(make_record("b"))
    until(lambda: "the experiment 'exp' was deleted; restore it in MLflow" in (courier.last_error or ""))
    assert len(said) == 1
    client.restore_experiment(experiment)
    until(lambda: courier.pending == 0)
    assert keys_of(store) == ["a", "b"]


def test_a_study_deleted_between_two_runs_stays_deleted(store, client, open_tracker, make_record):
    open_tracker().record(make_record("a"))
    (study,) = runs_of(store, "study")
    client.delete_run(study.info.run_id)
    with pytest.raises(TrackerDeleted, match=f"{study.info.run_id}. was deleted; restore it in MLflow, or set"):
        open_tracker()
    assert runs_of(store, "study") == []


def test_a_study_deleted_for_good_is_sent_again_and_that_is_said(
    store, client, journal, open_tracker, couriers, make_record
):
    for key in "ab":
        journal.append(make_record(key))
    assert sync(journal, open_tracker(), "t").noticed == ()
    for_good(store, *runs_of(store, "study"), *runs_of(store, "family"), *runs_of(store, "trial"))
    said = []
    courier = couriers(said)
    until(lambda: said and courier.pending == 0)
    assert said == ["MLflow lost 2 of the trials it had; what it lost is sent again"]
    assert keys_of(store) == ["a", "b"]
    for_good(store, runs_of(store, "study")[0])
    courier.record(make_record("c"))
    until(lambda: courier.pending == 0)
    assert "the study's run is no longer in MLflow; it is made anew" in said[1], "while it runs, too"
    assert said[2] == said[0]
    assert from_mlflow.load(store, "exp").trials["key"].to_pylist() == ["a", "b", "c"]


def test_a_trial_deleted_by_hand_stays_so_and_that_is_said(store, client, journal, open_tracker, make_record):
    for key in "abc":
        journal.append(make_record(key))
    sync(journal, open_tracker(), "t")
    first, second, _ = sorted(runs_of(store, "trial"), key=lambda run: run.data.tags[layout.TRIAL_KEY])
    client.delete_run(first.info.run_id)
    report = sync(journal, open_tracker(), "t")
    assert (report.delivered, report.present) == (0, 3)
    assert report.noticed == (
        "1 trial was deleted in MLflow and not sent again; what should count can be restored there",
    )
    for_good(store, second)
    report = sync(journal, open_tracker(), "t")
    assert (report.delivered, report.present) == (1, 2)
    assert report.noticed[0] == "MLflow lost 1 of the trials it had; what it lost was sent again"
    assert keys_of(store) == ["b", "c"]


@pytest.mark.parametrize("gone", ["deleted", "for good"])
def test_the_row_of_a_family_is_made_anew_with_all_its_trials(store, client, journal, couriers, make_record, gone):
    said = []
    courier = couriers(said)
    courier.record(make_record("a"))
    until(lambda: courier.pending == 0)
    (row,) = runs_of(store, "family")
    if gone == "deleted":
        client.delete_run(row.info.run_id)
    else:
        for_good(store, row)
    courier.record(make_record("b", objective=0.75))
    courier.record(make_record("c"))
    until(lambda: courier.pending == 0)
    courier.record(make_record("d"))
    until(lambda: courier.pending == 0)
    courier.close()
    (new,) = runs_of(store, "family")
    assert new.info.run_id != row.info.run_id
    assert {run.data.tags[layout.PARENT] for run in runs_of(store, "trial")} == {new.info.run_id}
    assert keys_of(store) == ["a", "b", "c", "d"]
    assert new.data.metrics["trials"] == 4
    assert new.data.metrics["search/best_validation_objective"] == 0.75
    assert said == (["the run of family tversky was deleted in MLflow and is made anew"] if gone == "deleted" else [])


def late(client, store, kind, **changes):
    """Let a request arrive that was given up: a second run like the first of its kind, started earlier."""
    run = runs_of(store, kind)[0]
    tags = {name: text for name, text in run.data.tags.items() if name.startswith(("sweeper.", "mlflow.parent"))}
    start = run.info.start_time - 5000
    return client.create_run(run.info.experiment_id, start_time=start, tags={**tags, **changes}).info.run_id


@pytest.mark.parametrize("kind", ["study", "family", "trial"])
def test_a_run_that_was_asked_for_twice_is_there_once(store, client, journal, open_tracker, make_record, kind):
    journal.append(make_record("a"))
    sync(journal, open_tracker(), "t")
    before = {one: [run.info.run_id for run in runs_of(store, one)] for one in ("study", "family", "trial")}
    twice = late(client, store, kind)
    assert len(runs_of(store, kind)) == 2
    journal.append(make_record("b"))
    report = sync(journal, open_tracker(), "t")
    open_tracker().conclude()
    assert (report.delivered, report.present) == (1, 1)
    assert before["study"] == [run.info.run_id for run in runs_of(store, "study")]
    assert before["family"] == [run.info.run_id for run in runs_of(store, "family")]
    assert keys_of(store) == ["a", "b"]
    assert client.get_run(twice).info.lifecycle_stage == "deleted", "which a user can undo"
    assert from_mlflow.load(store, "exp").trials.num_rows == 2


def test_a_half_written_run_without_a_whole_one_is_not_tidied_away(store, client, journal, open_tracker, make_record):
    open_tracker().record(make_record("a"))
    half = late(client, store, "trial", **{layout.TRIAL_KEY: "b"})
    assert open_tracker().finished() == {"a"}
    open_tracker().record(make_record("b"))
    assert client.get_run(half).info.status == "FINISHED"
    assert keys_of(store) == ["a", "b"]


def test_studies_of_one_name_from_two_run_folders_are_two_studies(store, open_tracker, make_record, info, tmp_path):
    """Two users, one server, one name: neither finds the other's trials, nor writes over their meta data."""
    theirs = dataclasses.replace(info, folder=tmp_path / "theirs", meta={**info.meta, "created": "later"})
    open_tracker().record(make_record("a"))
    other = open_tracker(study=theirs)
    assert other.finished() == set()
    other.record(make_record("a", objective=0.25))
    assert open_tracker().finished() == {"a"}
    assert len(runs_of(store, "study")) == len(runs_of(store, "trial")) == 2
    ids = {run.data.tags[layout.RUN_FOLDER]: run.info.run_id for run in runs_of(store, "study")}
    for folder in (info.folder, theirs.folder):
        assert ids[identity(folder)] in study_page(store, "exp", info.name, folder)
    with pytest.raises(ResultsError, match="2 studies of this name, from different run folders"):
        from_mlflow.load(store, "exp")
    found = [from_mlflow.load(store, "exp", study=run.info.run_id) for run in runs_of(store, "study")]
    assert sorted((one.trials["objective"].to_pylist(), one.meta["created"]) for one in found) == [
        ([0.25], "later"),
        ([0.5], info.meta["created"]),
    ]


def test_another_users_deleted_study_of_the_same_name_is_none_of_ours(store, client, open_tracker, info, tmp_path):
    open_tracker(study=dataclasses.replace(info, folder=tmp_path / "theirs"))
    client.delete_run(runs_of(store, "study")[0].info.run_id)
    open_tracker()
    assert len(runs_of(store, "study")) == 1


def test_a_moved_run_folder_is_the_same_study(store, open_tracker, make_record, info, tmp_path):
    before = dataclasses.replace(info, folder=tmp_path / "before")
    open_tracker(study=before).record(make_record("a"))
    before.folder.rename(tmp_path / "after")
    assert open_tracker(study=dataclasses.replace(info, folder=tmp_path / "after")).finished() == {"a"}


def test_a_study_of_before_run_folders_had_ids_is_taken_over(store, client, open_tracker, make_record):
    open_tracker().record(make_record("a"))
    (study,) = runs_of(store, "study")
    client.delete_tag(study.info.run_id, layout.RUN_FOLDER)
    assert open_tracker().finished() == {"a"}
    (study,) = runs_of(store, "study")
    assert len(study.data.tags[layout.RUN_FOLDER]) == 32


def test_a_refusal_says_what_to_restore_in_one_line(store, client, open_tracker, make_record):
    tracker = open_tracker()
    client.delete_run(runs_of(store, "study")[0].info.run_id)
    for broken in (lambda: tracker.record(make_record("a")), tracker.conclude):
        with pytest.raises(TrackingError, match="was deleted; restore it in MLflow") as caught:
            broken()
        assert "\n" not in str(caught.value)
