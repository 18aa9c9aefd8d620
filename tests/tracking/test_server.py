"""Against a real MLflow server on loopback, started as `sweeper browse` starts it."""

import dataclasses
import math
import time

import pytest

from sweeper.errors import TrackingError
from sweeper.results import from_mlflow
from sweeper.results import mlflow_layout as layout
from sweeper.results.assemble import assemble
from sweeper.results.mlflow_client import connect
from sweeper.tracking.browse import browse_command
from sweeper.tracking.courier import Courier
from sweeper.tracking.journal import Journal
from sweeper.tracking.mlflow_tracker import MlflowTracker
from sweeper.tracking.sync import sync
from sweeper.tracking.uri import check, target_id
from tests.tracking.mlflow_server import get


@pytest.fixture
def study(make_study):
    """Four trials of every kind, one with scores per image."""
    records, meta = make_study(images=1)
    return records[:4], {**meta, "trials": sorted(record.key for record in records[:4])}


def test_it_serves_the_page_and_nothing_but_this_machine(server):
    assert get(f"{server.uri}/health") == (200, b"OK")
    assert b"MLflow" in get(f"{server.uri}/")[1]
    command = browse_command(server.store)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert server.store not in command
    assert not (server.folder / "mlruns").exists()


def test_a_server_needs_no_second_one(server):
    with pytest.raises(TrackingError, match="is a server already; open it in a web browser"):
        browse_command(server.uri)


def test_delivered_over_http_and_read_back_the_same(server, study, info, tmp_path):
    records, meta = study
    info = dataclasses.replace(info, meta=meta)
    (tmp_path / "trials" / records[3].key).mkdir(parents=True)
    (tmp_path / "trials" / records[3].key / "best.pt").write_bytes(b"weights")
    check(server.uri)
    journal = Journal(tmp_path / "outbox")
    with Courier(journal, lambda: MlflowTracker(server.uri, "http", info), target_id(server.uri, "http")) as courier:
        for record in records:
            courier.record(record)
    assert (courier.pending, courier.last_error) == (0, None)
    tracked, wanted = from_mlflow.load(server.uri, "http"), assemble(records, meta)
    assert tracked.trials.equals(wanted.trials)
    assert tracked.scores.equals(wanted.scores)
    assert tracked.meta == wanted.meta
    experiment = connect(server.uri).get_experiment_by_name("http").experiment_id
    assert [path.read_bytes() for path in (server.folder / "served" / experiment).rglob("best.pt")] == [b"weights"]
    assert sync(journal, MlflowTracker(server.uri, "http", info), "again").present == 4


def test_a_score_no_trial_stands_behind_any_more_is_cleared_over_http(server, study, info):
    tracker = MlflowTracker(server.uri, "cleared", info)
    tracker.record(study[0][0])
    tracker.conclude(meta={**info.meta, "trials": []})
    client = connect(server.uri)
    experiment = client.get_experiment_by_name("cleared").experiment_id
    (family,) = client.search_runs([experiment], f"tags.`{layout.KIND}` = 'family'")
    assert family.data.metrics["trials"] == 0
    assert math.isnan(family.data.metrics["search/best_validation_objective"])


def test_artifacts_of_a_local_store_are_shown(server, study, info, tmp_path):
    """`sweeper browse` serves a store whose artifacts were written to the run folder directly."""
    records, _ = study
    MlflowTracker(server.store, "local", info).record(records[3])
    run_id = next((tmp_path / "artifacts").rglob("scores_by_image.parquet")).parents[1].name
    status, body = get(f"{server.uri}/get-artifact?path=scores_by_image.parquet&run_uuid={run_id}")
    assert (status, body[:4]) == (200, b"PAR1")


def test_a_server_that_goes_away_and_comes_back(server, study, info, tmp_path):
    records, _ = study
    journal = Journal(tmp_path / "outbox")
    target = target_id(server.uri, "away")
    with Courier(journal, lambda: MlflowTracker(server.uri, "away", info), target, first_pause=0.2) as courier:
        courier.record(records[0])
        end = time.monotonic() + 30
        while courier.pending:
            assert time.monotonic() < end
            time.sleep(0.02)
        server.stop()
        start = time.monotonic()
        for record in records[1:]:
            courier.record(record)
        assert time.monotonic() - start < 1
        server.start()
        end = time.monotonic() + 60
        while courier.pending:
            assert time.monotonic() < end, courier.last_error
            time.sleep(0.05)
    assert from_mlflow.load(server.uri, "away").trials.num_rows == 4
