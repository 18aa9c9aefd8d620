"""One trial as a worker runs it: train, checkpoint, score, leave the outcome in the run folder.

Knows nothing of Ray.
"""

from __future__ import annotations

import io
import json
import sys
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.errors import LossError, SweeperError, TrialFailure
from sweeper.files import write_bytes, write_text
from sweeper.orchestration.folder import RunFolder, drives
from sweeper.results.record import plain_rows
from sweeper.training.trial import Trial

if TYPE_CHECKING:
    from sweeper.data.patches import Prepared
    from sweeper.training.trainer import Trainer

CHECKPOINT_SECONDS = 30.0
"""A trial younger than this is cheaper to run again than to checkpoint every epoch."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial with what a worker needs to run it: plain data, so that it goes through Ray unchanged."""

    trial: Mapping[str, Any]
    data: str
    """Folder of the prepared data."""
    folder: str
    """Run folder, the same on every node."""
    metric: str
    threads: int
    device: str
    keep_model: bool
    keep_panels: bool
    driver: str
    """Id of the driver; a worker whose driver was replaced leaves the trial to the new one."""
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    """Least time between two checkpoints of a trial."""
    needs: tuple[str, ...] = ()
    """What the study's losses need beside the pictures: target maps and artefacts of the data."""
    import_paths: tuple[str, ...] = ()
    """Where a user's own losses are imported from."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        return cls(**{**data, "needs": tuple(data["needs"]), "import_paths": tuple(data["import_paths"])})


def outcome_path(folder: RunFolder, key: str) -> Path:
    """Return where a worker leaves a trial's outcome for the driver."""
    return folder.trials / key / "outcome.json"


def trouble_path(folder: RunFolder, key: str) -> Path:
    """Return where a worker leaves word of an error that is not the trial's."""
    return folder.trials / key / "trouble.txt"


class Work:
    """A trial in the making. Every `step` returns a plain report; the one with `done` is the last.

    An error of the trial itself (NaN, a loss that raises, out of memory) is an outcome, recorded as failed with its
    reason. Errors of the machine (disk, device, missing data) say nothing of the trial: they are raised, so that the
    trial runs again in a fresh process, and noted for the driver.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.trial = Trial.from_dict(job.trial)
        self.folder = RunFolder(Path(job.folder))
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._history: list[dict[str, Any]] = []
        self._spent = 0.0
        """Seconds of earlier attempts that a checkpoint carried over."""
        self._clock = time.monotonic()
        self._steps = self._run()

    def step(self) -> dict[str, Any]:
        """Train one epoch, or score the trained model; return what the driver should know."""
        if not drives(self.folder, self.job.driver):
            raise SystemExit("another driver has taken over this study")
        try:
            return next(self._steps)
        except (TrialFailure, LossError) as error:
            return self._end("failed", reason=str(error))
        except (SweeperError, OSError) as error:
            self._note(error)
            raise
        except MemoryError:
            return self._end("failed", reason="out of memory on the host")
        except Exception as error:
            if type(error).__name__ == "OutOfMemoryError":
                return self._end("failed", reason="out of memory on the GPU")
            if _is_of_the_device(error):
                self._note(error)
                raise
            last = traceback.extract_tb(error.__traceback__)[-1]
            text = str(error).splitlines()[0] if str(error) else "no message"
            place = f"{Path(last.filename).name}:{last.lineno}"
            return self._end("failed", reason=f"{type(error).__name__}: {text} ({place})")

    def close(self) -> None:
        """Let go of the model and its memory; workers live across trials."""
        self._steps.close()

    def _run(self) -> Generator[dict[str, Any], None, None]:
        import torch

        from sweeper.training import checkpoint
        from sweeper.training.trainer import Trainer

        for path in reversed(self.job.import_paths):
            if path not in sys.path:
                sys.path.insert(0, path)
        torch.set_num_threads(self.job.threads)
        data = _prepared(self.job.data, self.job.needs)
        trainer = Trainer(self.trial, data, device=self.job.device, metric=self.job.metric)
        file = self.folder.checkpoints / self.trial.key / "last.pt"
        state = checkpoint.load(file)
        if state is not None:
            trainer.restore(state["trainer"])
            self._history = [result.to_dict() for result in trainer.history]
            self._spent = float(state["seconds"])
        saved = time.monotonic()
        for result in trainer.epochs():
            self._history.append(result.to_dict())
            last = result.epoch == self.trial.training.epochs
            if not last and time.monotonic() - saved >= self.job.checkpoint_seconds:
                # A checkpoint that cannot be written costs time if the machine fails, not the trial.
                with suppress(OSError):
                    checkpoint.save(file, {"trainer": trainer.state(), "seconds": self._seconds()})
                saved = time.monotonic()
            yield {"epoch": result.epoch, "history": list(self._history), "setup": self._setup(trainer)}
        yield self._score(trainer)

    def _score(self, trainer: Trainer) -> dict[str, Any]:
        scores = trainer.scores()
        if self.job.keep_panels:
            from sweeper.orchestration.panel_files import write_panels

            write_panels(trainer, self.folder)
        if self.job.keep_model:
            from sweeper.training.predictor import describe

            kept = self.folder.trials / self.trial.key
            write_text(kept / "model.json", json.dumps(describe(trainer, scores.offset), allow_nan=False))
            _write_model(kept / "model.pt", trainer.state()["model"])
        return self._end(
            "completed",
            objective=trainer.objective,
            offset=scores.offset,
            offset_at_limit=scores.offset_at_limit,
            scores=plain_rows(scores.rows),
            margins=plain_rows(scores.margins),
            reliability=plain_rows(scores.reliability),
            setup=self._setup(trainer),
        )

    def _end(self, status: str, **fields: Any) -> dict[str, Any]:
        """Write the outcome where the driver finds it, and report that the trial is done."""
        outcome = {
            "status": status,
            "epochs": len(self._history),
            "history": self._history,
            "seconds": self._seconds(),
            "started": self.started,
            **fields,
        }
        write_text(outcome_path(self.folder, self.trial.key), json.dumps(outcome, allow_nan=False))
        return {"epoch": len(self._history), "done": True}

    def _note(self, error: BaseException) -> None:
        """Leave word of an error that is not the trial's; if even that cannot be written, the Ray logs have it."""
        with suppress(OSError):
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            write_text(trouble_path(self.folder, self.trial.key), text)

    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._clock

    def _setup(self, trainer: Trainer) -> dict[str, Any]:
        """What the record says of the data and the device; the same for every epoch."""
        setup: dict[str, Any] = {"device": trainer.device, "precision": trainer.precision}
        for split, weights in trainer.levels.items():
            setup[f"level_{split}"] = weights.measured
            setup[f"weighting_{split}"] = weights.method
            setup[f"ess_{split}"] = weights.effective
        return setup


def _is_of_the_device(error: Exception) -> bool:
    """Whether an error leaves the process's device unusable, so that every later trial in it would fail too."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)


def _write_model(path: Path, weights: Mapping[str, Any]) -> None:
    """Write a plain state dict, which `torch.load(path, weights_only=True)` reads anywhere."""
    import torch

    content = io.BytesIO()
    torch.save(weights, content)
    write_bytes(path, content.getvalue())


_DATA: dict[tuple[str, tuple[str, ...]], Prepared] = {}
"""Prepared data of this process with what its trials need: mapped once, shared by all of them."""


def _prepared(path: str, needs: tuple[str, ...]) -> Prepared:
    from sweeper.data.prepare import load
    from sweeper.orchestration.needs import with_needs

    if (path, needs) not in _DATA:
        _DATA.clear()
        # The driver has read the maps through; here they are mapped, so that a worker starts at once.
        _DATA[path, needs] = with_needs(load(Path(path)), needs, Path(path), verify=False)
    return _DATA[path, needs]
