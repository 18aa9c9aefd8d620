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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeper.errors import SweeperError
from sweeper.orchestration.cluster import Slots, has_machines
from sweeper.orchestration.driver import NODE_LOST, Driver
from sweeper.orchestration.job import Job, Work

MAX_WORKER_DEATHS = 3
"""How often a trial whose worker or machine died is started again, from its last checkpoint."""


WATCH_SECONDS = 5.0
"""How often the driver looks whether there is still a machine."""


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
    """Asks the driver what to run next."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(metric="epoch", mode="max")
        self.driver: Driver | None = driver
        self.keys: dict[str, str] = {}
        """Trial key by Tune's trial id."""

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's configuration, None while nothing may start, FINISHED when all is done."""
        assert self.driver is not None
        found = self.driver.propose()
        if found is None:
            return Searcher.FINISHED if self.driver.done else None
        key, job = found
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

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        assert self.driver is not None
        goes_on = self.driver.epoch(trial.config["key"], json.loads(result["report"]))
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "driver": None}


class Watch(tune.Callback):
    """Tells of workers that died, and ends the experiment when no machine is left: Tune would wait for one for ever."""

    def __init__(self, driver: Driver) -> None:
        self.driver: Driver | None = driver
        self.checked = time.monotonic()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        assert self.driver is not None
        self.driver.restarted(trial.config["key"])

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self.checked < WATCH_SECONDS:
            return
        self.checked = time.monotonic()
        if not has_machines():
            raise SweeperError(NODE_LOST)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "driver": None}


def _folder_name(trial: Any) -> str:
    return str(trial.trial_id)


def run_trials(driver: Driver, slots: Slots, scratch: Path) -> None:
    """Run trials until the driver has no more, or until the user stops the study."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, exist_ok=True)
    # Tune's own loggers cost more than a short trial, and its tables would draw over our display.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    # The end of a worker is a line of ours, not a traceback of Tune's; the Ray logs have both.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, {"cpu": slots.cpu, "gpu": slots.gpu}),
        tune_config=tune.TuneConfig(
            search_alg=DriverSearcher(driver),
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
            callbacks=[Watch(driver)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    tuner.fit()
    shutil.rmtree(scratch, ignore_errors=True)
