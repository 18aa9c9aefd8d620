"""MLflow may do anything: every trial arrives whole and once, in one study, under one run per family."""

import dataclasses
import os
import threading
import time

import pytest

from sweeper.errors import TrackingError
from sweeper.results import from_mlflow
from sweeper.results import mlflow_layout as layout
from sweeper.results.assemble import assemble
from sweeper.results.mlflow_client import connect
from sweeper.tracking.courier import Courier
from sweeper.tracking.door import TrackerUnreachable
from sweeper.tracking.journal import Journal
from sweeper.tracking.mlflow_tracker import MlflowTracker
from sweeper.tracking.sync import sync
from sweeper.tracking.uri import target_id
from tests.tracking.fault_proxy import FAULTS, mixture


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """MLflow's client tries as often as it does for users, but does not pause between."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


@pytest.fixture
def study(make_study, info, tmp_path):
    """Trials of two families and every kind, one with a file of its own; `info` says that these are all."""
    records, meta = make_study(images=1)
    records = [records[at] for at in (0, 2, 3, 13)]
    (tmp_path / "trials" / records[2].key).mkdir(parents=True)
    (tmp_path / "trials" / records[2].key / "best.pt").write_bytes(b"weights" * 1000)
    return records, dataclasses.replace(info, meta={**meta, "trials": sorted(record.key for record in records)})


def runs_of(server, experiment):
    client = connect(server.uri)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], "", max_results=500)
    return {
        kind: [run for run in runs if run.data.tags[layout.KIND] == kind] for kind in ("study", "family", "trial")
    }  # fmt: skip


def all_there_once(server, experiment, study):
    """Every trial is in MLflow whole and once, and so is everything above it."""
    records, info = study
    tracked, wanted = from_mlflow.load(server.uri, experiment), assemble(records, info.meta)
    for name, table in wanted.tables.items():
        assert tracked.tables[name].equals(table), name
    runs = runs_of(server, experiment)
    (top,) = runs["study"]
    families = {run.data.tags[layout.FAMILY]: run for run in runs["family"]}
    assert len(families) == len(runs["family"]) == 2
    assert sorted(run.data.tags[layout.TRIAL_KEY] for run in runs["trial"]) == sorted(one.key for one in records)
    assert {run.info.status for run in runs["trial"]} <= set(layout.RUN_STATUS.values())
    assert {run.data.tags[layout.PARENT] for run in families.values()} == {top.info.run_id}
    client = connect(server.uri)
    for record in records:
        (run,) = (one for one in runs["trial"] if one.data.tags[layout.TRIAL_KEY] == record.key)
        assert run.data.tags[layout.PARENT] == families[record.family].info.run_id
        assert run.data.params["seed"] == str(record.seed)
        losses = client.get_metric_history(run.info.run_id, "epoch/train_loss")
        assert [(one.step, one.value) for one in losses] == [(e["epoch"], e["train_loss"]) for e in record.history]
        assert len(run.inputs.dataset_inputs) == 1
    (path,) = (server.folder / "served").rglob(f"{info_run(runs, records[2])}/artifacts/best.pt")
    assert path.read_bytes() == b"weights" * 1000
    for family, run in families.items():
        assert run.data.metrics["trials"] == sum(one.family == family for one in records)


def info_run(runs, record):
    return next(run.info.run_id for run in runs["trial"] if run.data.tags[layout.TRIAL_KEY] == record.key)


def deliver(proxy, study, tmp_path, experiment, *, until_done=60.0):
    """Record all trials while the proxy misbehaves; return the courier, closed."""
    records, info = study
    courier = Courier(
        Journal(tmp_path / "outbox"),
        lambda: MlflowTracker(proxy.uri, experiment, info),
        target_id(proxy.uri, experiment),
        first_pause=0.01,
    )
    for record in records:
        courier.record(record)
    wait_for(lambda: courier.pending == 0, until_done, lambda: courier.last_error)
    courier.close(10)
    return courier


def wait_for(condition, seconds, why=lambda: None):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, why()
        time.sleep(0.01)


def afterwards(proxy, study, tmp_path, experiment):
    """`sweeper sync`, when all is well again."""
    proxy.fault = lambda method, path: None
    proxy.settle()
    tracker = MlflowTracker(proxy.uri, experiment, study[1])
    report = sync(Journal(tmp_path / "outbox"), tracker, target_id(proxy.uri, experiment))
    tracker.conclude()
    return report


KINDS = {
    "errors": ("500", "503", "429", "500-after"),
    "dead lines": ("reset", "reset-after", "late"),
    "half answers": ("cut", "cut-json", "empty", "html"),
    "slow": ("slow",),
}


def test_every_fault_is_tried():
    assert sorted(fault for kind in KINDS.values() for fault in kind) == sorted(FAULTS)


@pytest.mark.parametrize("kind", KINDS)
def test_many_requests_meet(server, proxy, study, tmp_path, kind):
    # MLflow's client repeats no request whose answer it could not read, and opening a study takes a dozen.
    proxy.fault = mixture(1, 0.12 if kind == "half answers" else 0.25, KINDS[kind])
    deliver(proxy, study, tmp_path, kind)
    assert {fault for fault, _ in proxy.committed} == set(KINDS[kind])
    report = afterwards(proxy, study, tmp_path, kind)
    assert (report.delivered, report.present, report.refused) == (0, len(study[0]), {})
    all_there_once(server, kind, study)


@pytest.mark.parametrize("fault", ["reset-after", "late", "empty"])
def test_every_run_is_asked_for_more_than_once(server, proxy, study, tmp_path, fault):
    """The dangerous ones: what was asked for is done, and nobody hears of it."""
    experiment, unheard = f"created {fault}", set()

    def first_time(method, path):
        if path.endswith("/runs/create") and len(unheard) < 8:
            unheard.add(len(proxy.committed))
            return fault if len(proxy.committed) % 2 == 0 or fault == "late" else None
        return None

    proxy.fault = first_time
    deliver(proxy, study, tmp_path, experiment)
    assert len(proxy.committed) >= 1
    afterwards(proxy, study, tmp_path, experiment)
    all_there_once(server, experiment, study)


@pytest.mark.parametrize("seed", range(max(1, int(os.environ.get("SWEEPER_FUZZ", "0")) // 500)))
def test_anything_at_any_time(server, proxy, study, tmp_path, seed):
    experiment = f"mixture {seed}"
    proxy.fault = mixture(seed, share=0.2)
    deliver(proxy, study, tmp_path, experiment)
    assert len({fault for fault, _ in proxy.committed}) >= 6
    afterwards(proxy, study, tmp_path, experiment)
    all_there_once(server, experiment, study)


def test_gone_for_the_whole_study_and_sent_afterwards(server, proxy, study, tmp_path):
    proxy.refuse()
    said = []
    records, info = study
    with Courier(
        Journal(tmp_path / "outbox"),
        lambda: MlflowTracker(proxy.uri, "gone", info),
        target_id(proxy.uri, "gone"),
        first_pause=0.01,
        say=said.append,
    ) as courier:
        for record in records:
            courier.record(record)
        wait_for(lambda: said, 20)
    assert courier.pending == len(records)
    assert len(said) == 1, "once, however often it is tried"
    assert "connection refused" in said[0]
    assert "sent to MLflow when it takes them again" in said[0]
    proxy.listen()
    assert afterwards(proxy, study, tmp_path, "gone").delivered == len(records)
    all_there_once(server, "gone", study)


def test_gone_in_the_middle_and_back(server, proxy, study, tmp_path):
    records, info = study
    said = []
    with Courier(
        Journal(tmp_path / "outbox"),
        lambda: MlflowTracker(proxy.uri, "back", info),
        target_id(proxy.uri, "back"),
        first_pause=0.01,
        say=said.append,
    ) as courier:
        courier.record(records[0])
        wait_for(lambda: courier.pending == 0, 30)
        proxy.refuse()
        for record in records[1:]:
            courier.record(record)
        wait_for(lambda: said, 30)
        proxy.listen()
        wait_for(lambda: courier.pending == 0, 60, lambda: courier.last_error)
        wait_for(lambda: len(said) == 2, 10)
    assert said[1] == "MLflow takes trials again; none is lost"
    afterwards(proxy, study, tmp_path, "back")
    all_there_once(server, "back", study)


def test_a_courier_cut_off_at_any_request_leaves_what_the_next_completes(server, proxy, study, tmp_path):
    """As if the process were killed: from some request on, nothing goes through, and another process takes over."""
    records, info = study
    target = target_id(proxy.uri, "killed")
    for left in (0, 1, 2, 3, 5, 8, 13, 21):
        count = [0]

        def dead(method, path, left=left, count=count):
            count[0] += 1
            return "reset" if count[0] > left else None

        proxy.fault = dead
        courier = Courier(
            Journal(tmp_path / "outbox"), lambda: MlflowTracker(proxy.uri, "killed", info), target, first_pause=60
        )
        for record in records:
            courier.record(record)
        wait_for(lambda courier=courier: courier.last_error or courier.pending == 0, 30)
        courier.close(0)
    afterwards(proxy, study, tmp_path, "killed")
    all_there_once(server, "killed", study)


def test_sync_tells_of_every_fault_in_one_line(server, proxy, study, tmp_path):
    records, info = study
    journal = Journal(tmp_path / "outbox")
    journal.append(records[0])
    tracker = MlflowTracker(proxy.uri, "told", info)
    for fault in ("500", "503", "429", "reset", "cut", "cut-json", "html"):
        proxy.fault = lambda method, path, fault=fault: fault
        with pytest.raises(TrackerUnreachable) as caught:
            sync(journal, tracker, "t")
        assert str(caught.value).startswith(proxy.uri)
        assert "\n" not in str(caught.value)
    proxy.refuse()
    with pytest.raises(TrackingError, match="no MLflow server answers there"):
        MlflowTracker(proxy.uri, "told", info)
    proxy.listen()


def test_closing_is_bounded_and_the_thread_ends(server, proxy, study, tmp_path):
    """Whatever the server does, closing waits no longer than asked, and what is left behind delivers nothing more."""
    records, info = study
    held, release = threading.Event(), threading.Event()

    def hold(method, path):
        if path.endswith("/runs/create"):
            held.set()
            release.wait(30)
        return None

    courier = Courier(
        Journal(tmp_path / "outbox"),
        lambda: MlflowTracker(proxy.uri, "bounded", info),
        target_id(proxy.uri, "bounded"),
        first_pause=0.01,
    )
    courier.record(records[0])
    wait_for(lambda: courier.pending == 0, 30)
    proxy.fault = hold
    for record in records[1:]:
        courier.record(record)
    assert held.wait(30)
    start = time.monotonic()
    assert courier.close(0.2) == len(records) - 1
    assert time.monotonic() - start < 5
    release.set()
    courier._thread.join(30)
    assert not courier._thread.is_alive()
    assert courier.pending >= len(records) - 2, "the trial in its hands at most"
    afterwards(proxy, study, tmp_path, "bounded")
    all_there_once(server, "bounded", study)
