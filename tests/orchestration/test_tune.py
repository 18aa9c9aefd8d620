"""Ray Tune as the runner of trials: workers that hang or are stopped for memory end as the driver says."""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.tune.execution.tune_controller import TuneController

from sweeper.orchestration import tune as module
from sweeper.orchestration.cluster import Slots, ray_session
from sweeper.orchestration.driver import Driver
from sweeper.orchestration.events import Silent
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import Job
from sweeper.orchestration.mishaps import read_mishaps
from sweeper.orchestration.stopping import Stop
from sweeper.orchestration.trial_outcome import write_outcome
from sweeper.results.record import TrialRecord
from sweeper.search.sweep import Sweep
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan

LIMIT = 2.0

HANGS = {("dice", "search"): 1, ("focal", "search"): 2}
"""How often a trial hangs, by family and stage."""


class Worker(tune.Trainable):
    """Stands in for the real one: trials hang as often as `HANGS` says.

    It stops its own process, so that nothing in it can answer.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self.job = Job.from_dict(config["job"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        folder, key = RunFolder(Path(self.job.folder)), self.job.trial["key"]
        mishaps = read_mishaps(folder, key)
        outcome = {"status": "completed", "epochs": 0, "history": [], "seconds": 1.0, "objective": 0.5}
        if mishaps.verdict is not None:
            outcome |= {"status": "failed", "reason": mishaps.verdict, "objective": None}
        elif len(mishaps.stalls) < HANGS.get((self.job.trial["family"], self.job.trial["stage"]), 0):
            Path(self.job.folder, f"hung.{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        write_outcome(folder, key, outcome)
        return {"epoch": 1, "done": True, "report": json.dumps({"epoch": 1, "done": True})}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        pass


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def run(folder: RunFolder, **study: Any) -> tuple[Driver, list[TrialRecord], list[str]]:
    """Run a study with workers that stand in for the real ones; return its driver, its trials and what was said."""
    given = load_study({"imbalance": {"levels": [0.97]}, "training": {"epochs": 1}, **study})
    notes, records = Notes(), list[TrialRecord]()
    folder.create()
    job = Job(
        trial={},
        data="",
        folder=str(folder.path),
        metric="minority_iou",
        threads=1,
        device="cpu",
        keep_model=False,
        keep_panels=False,
        driver="",
    )
    driver = Driver(Sweep(make_plan(given, "data")), folder, records.append, job, notes)
    with ray_session(None):
        module.run_trials(driver, Slots(cpu=1, gpu=0.0, concurrent=2), folder.scratch, Stop())
    return driver, records, notes.texts


def test_a_study_of_more_trials_than_tune_should_hold_is_several_experiments(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TrialActor", Worker)
    monkeypatch.setattr(module, "MOST_TRIALS", 3)
    given: list[int] = []
    one = module._experiment
    monkeypatch.setattr(module, "_experiment", lambda *args: given.append(one(*args)) or given[-1])
    driver, records, _ = run(RunFolder(tmp_path), families={"tversky": {}}, search={"trials": 4}, confirm={"seeds": 3})
    assert driver.sweep.done
    # All score alike, so the default stays the best and is all there is to confirm.
    assert len({record.key for record in records}) == len(records) == 4 + 3
    assert given == [3, 3, 1]


def test_a_trial_that_hangs_starts_again_once_and_keeps_nobody_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TrialActor", Worker)
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.2)
    folder = RunFolder(tmp_path)
    driver, records, notes = run(
        folder,
        families={"dice": {}, "focal": {"gamma": 2.0, "alpha": 0.5}},
        search={"trials": 1, "give_up_after": 1},
        confirm={"seeds": 1},
        resources={"stall": LIMIT},
    )
    assert driver.failure is None
    assert driver.done
    ends = {name: [record.status for record in records if record.family == name] for name in ("dice", "focal")}
    assert ends == {"dice": ["completed"] * 2, "focal": ["failed"]}
    (reason,) = [record.reason for record in records if record.family == "focal"]
    assert "no progress for 2 s, 2 times" in reason
    assert sum("no progress" in text and "given up" not in text for text in notes) == 1 + 2
    assert sum("given up" in text for text in notes) == 1
    hung = [int(file.suffix[1:]) for file in tmp_path.glob("hung.*")]
    assert len(hung) == 3
    assert not any(Path("/proc", str(process)).exists() for process in hung)


def test_a_worker_that_ray_stops_for_memory_dies_alone():
    """Left to itself Tune ends the whole experiment there; what is patched must still be what Tune calls."""
    manager = RayActorManager(resource_manager=SimpleNamespace(free_resources=lambda acquired_resource: None))
    actor = TrackedActor(actor_id=1)
    manager._live_actors_to_ray_actors_resources[actor] = (None, None)
    trial = SimpleNamespace(config={"key": "k"})
    controller = SimpleNamespace(_actor_manager=manager, _actor_to_trial={actor: trial})
    told: list[str] = []
    errors: list[Exception] = []
    module._survive_memory_kills(controller, told.append)
    task = SimpleNamespace(_tracked_actor=actor, _on_error=lambda actor, error: errors.append(error))
    manager._actor_task_failed(tracked_actor_task=task, exception=ray.exceptions.OutOfMemoryError("killed"))
    assert told == ["k"]
    assert isinstance(errors[0], ray.exceptions.RayActorError)
    made = inspect.getsource(TuneController.__init__)
    assert "self._actor_manager = " in made
    assert "self._actor_to_trial" in made
    assert "self._actor_task_failed(\n" in inspect.getsource(RayActorManager)


# Ray's workers do not find modules of tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
