"""Ray Tune as the runner of trials: a trainable, a searcher and a scheduler that hand everything to the driver.

The adaptors keep no state of their own: a stopped study is continued from its records by a fresh Tune experiment, so
what Tune pickles for `Tuner.restore` is left empty on purpose.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeper.errors import SweeperError
from sweeper.orchestration.cluster import Slots, has_machines
from sweeper.orchestration.driver import MAX_WORKER_DEATHS, NODE_LOST, Driver
from sweeper.orchestration.job import Job, Work
from sweeper.orchestration.stopping import Stop

WATCH_SECONDS = 5.0
"""How often the driver looks whether there is still a machine, and whether a trial hangs."""

CLEANUP_SECONDS = 30
"""How long Tune waits for a worker that it asked to end before it kills it; its own 600 would hold the slot as long."""


MOST_TRIALS = 1000
"""Of one Tune experiment: Tune keeps some 50 kB of each trial for good and looks through all of them at every step. A
study of more is several experiments, one after the other."""


class TrialActor(tune.Trainable):
    """A worker: lives across trials, so that importing torch is paid once."""

    def setup(self, config: dict[str, Any]) -> None:
        self.work = Work(Job.from_dict(config["job"]))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.work.close()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        report = self.work.step()
        # As text: Tune flattens nested results before it hands them on.
        return {"epoch": report["epoch"], "done": report.get("done", False), "report": json.dumps(report)}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Give Tune nothing to keep: a trial finds its own newest checkpoint, by its key, in the run folder."""
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Read nothing: see `save_checkpoint`."""

    def cleanup(self) -> None:
        self.work.close()


class DriverSearcher(Searcher):
    """Asks the driver what to run next, for at most `MOST_TRIALS` trials."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(metric="epoch", mode="max")
        self.driver: Driver | None = driver
        self.keys: dict[str, str] = {}
        """Trial key by Tune's trial id."""
        self.suggested = 0

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's configuration, None while nothing may start, FINISHED when all is done."""
        assert self.driver is not None
        if self.suggested >= MOST_TRIALS:
            return Searcher.FINISHED
        found = self.driver.propose()
        if found is None:
            return Searcher.FINISHED if self.driver.done else None
        key, job = found
        self.suggested += 1
        self.keys[trial_id] = key
        return {"key": key, "job": job.to_dict()}

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        assert self.driver is not None
        done = result is not None and "report" in result and bool(json.loads(result["report"]).get("done"))
        self.driver.ended(self.keys.pop(trial_id), done=done, error=error)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the records are the searcher's state."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "driver": None, "keys": {}}


class DriverScheduler(FIFOScheduler):
    """Asks the driver whether a trial goes on."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.driver: Driver | None = driver
        self.controller: Any = None

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        assert self.driver is not None
        if self.controller is None:
            self.controller = tune_controller
            _survive_memory_kills(tune_controller, self.driver.short_of_memory)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        assert self.driver is not None
        goes_on = self.driver.epoch(trial.config["key"], json.loads(result["report"]))
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "driver": None, "controller": None}


class Watch(tune.Callback):
    """Tells of workers that died and of the user's wish to stop, and kills workers that hang.

    Ends the experiment when no machine is left: Tune would wait for one for ever.
    """

    def __init__(self, driver: Driver, stop: Stop) -> None:
        self.driver: Driver | None = driver
        self.stop: Stop | None = stop
        self.checked = time.monotonic()

    def setup(self, *spec: Any, **info: Any) -> None:
        assert self.stop is not None
        # Tune has just taken SIGUSR1, for an end that drops running epochs.
        self.stop.listen()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        assert self.driver is not None
        self.driver.restarted(trial.config["key"])

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        assert self.driver is not None
        self.driver.started(trial.config["key"])

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        assert self.driver is not None
        assert self.stop is not None
        if self.stop.asked:
            self.driver.stop()
        if time.monotonic() - self.checked < WATCH_SECONDS:
            return
        self.checked = time.monotonic()
        if not has_machines():
            raise SweeperError(NODE_LOST)
        if overdue := self.driver.overdue():
            for trial in trials:
                # Without a worker it waits for a slot, which is no fault of its.
                if trial.config["key"] in overdue and (worker := trial.temporary_state.ray_actor) is not None:
                    self.driver.hung(trial.config["key"])
                    ray.kill(worker)  # from outside: what hangs may not answer

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "driver": None, "stop": None}


def _survive_memory_kills(tune_controller: Any, tell: Callable[[str], None]) -> None:
    """Let Tune take a worker that Ray's memory monitor stopped for one that died, which it starts again.

    Ray (2.60) then raises OutOfMemoryError instead of RayActorError, and Tune ends the whole experiment with it.

    Args:
        tell: Called with the key of the trial.
    """
    manager = tune_controller._actor_manager
    take = manager._actor_task_failed

    def take_as_death(tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, ray.exceptions.OutOfMemoryError):
            trial = tune_controller._actor_to_trial.get(tracked_actor_task._tracked_actor)
            if trial is not None:
                tell(trial.config["key"])
            exception = ray.exceptions.RayActorError(error_msg=str(exception))
        take(tracked_actor_task=tracked_actor_task, exception=exception)

    manager._actor_task_failed = take_as_death


def _folder_name(trial: Any) -> str:
    return str(trial.trial_id)


def run_trials(driver: Driver, slots: Slots, scratch: Path, stop: Stop) -> None:
    """Run trials until the driver has no more, which it has not once the user stops the study."""
    # Tune's own loggers cost more than a short trial, and its tables would draw over our display.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_FORCE_TRIAL_CLEANUP_S", str(CLEANUP_SECONDS))
    # Its answer to Ctrl-C drops running epochs.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    # The end of a worker is a line of ours, not a traceback of Tune's; the Ray logs have both.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with stop.orderly():
        while _experiment(driver, slots, scratch, stop) == MOST_TRIALS:
            pass


def _experiment(driver: Driver, slots: Slots, scratch: Path, stop: Stop) -> int:
    """Run one Tune experiment and return how many trials it was given: `MOST_TRIALS` unless there were no more."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, exist_ok=True)
    searcher = DriverSearcher(driver)
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, {"cpu": slots.cpu, "gpu": slots.gpu}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=DriverScheduler(driver),
            num_samples=-1,
            max_concurrent_trials=slots.concurrent,
            reuse_actors=True,
            trial_dirname_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name=uuid.uuid4().hex,
            storage_path=str(scratch),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_WORKER_DEATHS),
            callbacks=[Watch(driver, stop)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    tuner.fit()
    shutil.rmtree(scratch, ignore_errors=True)
    return searcher.suggested
