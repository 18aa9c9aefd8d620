"""One trial as a worker runs it: train, checkpoint, score, leave the outcome in the run folder.

Knows nothing of Ray.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import io
import json
import sys
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.errors import LossError, RunFolderError, SweeperError, TrialFailure
from sweeper.files import write_bytes, write_text
from sweeper.orchestration.claim import Claim
from sweeper.orchestration.folder import RunFolder, order
from sweeper.orchestration.memory import Where, ran_out
from sweeper.orchestration.mishaps import Mishaps, note_batch, note_memory, read_mishaps
from sweeper.orchestration.trial_outcome import outcome_path as outcome_path
from sweeper.orchestration.trial_outcome import write_outcome
from sweeper.results.record import plain_rows
from sweeper.training.trial import Trial

if TYPE_CHECKING:
    from sweeper.data.patches import Prepared
    from sweeper.training.trainer import Trainer

CHECKPOINT_SECONDS = 30.0
"""A trial younger than this is cheaper to run again than to checkpoint every epoch."""

PARTS = 2
"""Into how many parts the batch of a trial is cut that ran out of memory."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a disk that takes nothing more."""


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


def trouble_path(folder: RunFolder, key: str) -> Path:
    """Return where a worker leaves word of an error that is not the trial's."""
    return folder.trials / key / "trouble.txt"


class Work:
    """A trial in the making. Every `step` returns a plain report; the one with `done` is the last.

    An error of the trial itself (NaN, a loss that raises) is an outcome, recorded as failed with its reason. Where
    memory runs out the trial is tried once more, with its batch in two parts if that leaves it the same trial, see
    `training.parts`; the second time that is its outcome. Errors of the machine (disk, device, missing data) say
    nothing of the trial: they are raised, so that it runs again in a fresh process, and noted for the driver. A full
    disk is reported instead, since there a note could not be written and another try would end the same way.
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
        self._checkpoint: Callable[[], None] | None = None
        """Write what the trial continues from; None before there is anything to write."""
        self._claim: Claim | None = None
        self._notes: list[str] = []
        """What the user should know of how the trial went, in the order it happened."""
        self._steps = self._run()

    def step(self) -> dict[str, Any]:
        """Train one epoch, or score the trained model; return what the driver should know.

        A report with `paused` says that the study is stopping, and that the trial is left to the next driver.
        """
        what = order(self.folder, self.job.driver)
        if what == "leave":
            raise SystemExit("another driver has taken over this study")
        if what == "stop":
            return self._pause()
        if self._claim is not None and not self._claim.held:
            raise SystemExit("another worker has taken over this trial")
        try:
            report = self._advance()
        except OSError as error:
            if error.errno not in FULL:
                self._note(error)
                raise
            return {"epoch": len(self._history), "trouble": str(error)}
        except Exception as error:
            self._note(error)
            raise
        return {**report, "notes": list(self._notes)} if self._notes else report

    def _advance(self) -> dict[str, Any]:
        """Take the next step, or end the trial for an error that is its own. Raises what is not its own."""
        try:
            return next(self._steps)
        except (TrialFailure, LossError) as error:
            return self._end("failed", reason=str(error))
        except Exception as error:
            where = ran_out(error)
            if where is None:
                if isinstance(error, SweeperError | OSError) or _is_of_the_device(error):
                    raise
                return self._end("failed", reason=_words(error))
        # Out of the handler: what the error holds on to is the memory that the next attempt needs.
        note_memory(self.folder, self.trial.key, where)
        return self._start_over()

    def _start_over(self) -> dict[str, Any]:
        """Run the trial anew in this process, from its checkpoint if it has one."""
        import torch

        self.close()
        gc.collect()
        if self.job.device == "cuda":
            torch.cuda.empty_cache()
        self._history, self._spent, self._clock = [], 0.0, time.monotonic()
        self._steps = self._run()
        return self._advance()

    def _pause(self) -> dict[str, Any]:
        """Checkpoint now, however young the trial is."""
        report: dict[str, Any] = {"epoch": len(self._history), "paused": True}
        if self._checkpoint is not None and self._history:
            try:
                self._checkpoint()
            except OSError as error:
                report["unsaved"] = error.strerror or str(error)
        return report

    def close(self) -> None:
        """Let go of the model and its memory; workers live across trials."""
        self._steps.close()
        self._checkpoint = None
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def _run(self) -> Generator[dict[str, Any], None, None]:
        mishaps = self._take_over()
        if mishaps.verdict is not None:
            raise TrialFailure(mishaps.verdict)
        import torch

        from sweeper.training import checkpoint

        for path in reversed(self.job.import_paths):
            if path not in sys.path:
                sys.path.insert(0, path)
        torch.set_num_threads(self.job.threads)
        data = _prepared(self.job.data, self.job.needs)
        file = self.folder.checkpoints / self.trial.key / "last.pt"
        trainer = self._continued(file, data, parts=PARTS if mishaps.memory else 1)
        if mishaps.memory:
            self._tell_of_memory(trainer, mishaps.memory[-1])

        def save() -> None:
            checkpoint.save(file, {"trainer": trainer.state(), "seconds": self._seconds()})

        self._checkpoint = save
        saved = time.monotonic()
        for result in trainer.epochs():
            self._history.append(result.to_dict())
            last = result.epoch == self.trial.training.epochs
            if not last and time.monotonic() - saved >= self.job.checkpoint_seconds:
                try:
                    save()
                except OSError as error:
                    # A checkpoint that cannot be written costs time if the machine fails, not the trial; but what a
                    # full disk does not take now it will not take at the end.
                    if error.errno in FULL:
                        raise
                saved = time.monotonic()
            yield {"epoch": result.epoch, "history": list(self._history), "setup": self._setup(trainer)}
        yield self._score(trainer)

    def _take_over(self) -> Mishaps:
        """Claim the trial, and return what befell it so far."""
        self._claim = Claim(self.folder, self.trial.key, self.job.driver)
        if self._claim.killed_for_memory:
            return note_memory(self.folder, self.trial.key, "host")
        return read_mishaps(self.folder, self.trial.key)

    def _continued(self, file: Path, data: Prepared, *, parts: int) -> Trainer:
        """Return the trial's trainer as its checkpoint left it; at the start where there is none to be believed."""
        from sweeper.training import checkpoint
        from sweeper.training.trainer import Trainer

        def fresh() -> Trainer:
            return Trainer(self.trial, data, device=self.job.device, metric=self.job.metric, parts=parts)

        there = file.exists()
        state = checkpoint.load(file)
        trainer = fresh()
        if state is not None:
            try:
                trainer.restore(state["trainer"])
                self._spent = float(state["seconds"])
            except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, RunFolderError) as error:
                if ran_out(error) is not None:
                    raise
                # Whole, but of another trial or of another version of the program.
                checkpoint.set_aside(file)
            else:
                self._history = [result.to_dict() for result in trainer.history]
                return trainer
            trainer = fresh()
        if there:
            self._notes.append(
                f"its checkpoint {file} cannot be used and is set aside beside it as {file.name}.corrupt until the "
                "trial ends; the trial starts again from its beginning"
            )
        return trainer

    def _tell_of_memory(self, trainer: Trainer, where: Where) -> None:
        """Say how a trial that ran out of memory goes on, to the user and to whoever runs it after this."""
        if trainer.parts > 1:
            batch = "in two parts, which gives the same gradients"
        elif trainer.tied is not None:
            batch = f"whole, since batch normalization ({trainer.tied}) ties its pictures together"
        else:
            batch = "whole, since it is a single picture"
        note_batch(self.folder, self.trial.key, batch)
        self._notes.append(f"out of memory on the {where}: it is tried once more, with the batch {batch}")

    def _score(self, trainer: Trainer) -> dict[str, Any]:
        scores = trainer.scores()
        if self.job.keep_panels:
            from sweeper.orchestration.panel_files import write_panels

            write_panels(trainer, self.folder)
        if self.job.keep_model:
            from sweeper.training.predictor import describe

            kept = self.folder.trials / self.trial.key
            digest = _write_model(kept / "model.pt", trainer.state()["model"])
            described = {**describe(trainer, scores.offset), "sha256": digest}
            write_text(kept / "model.json", json.dumps(described, allow_nan=False))
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
        if self._notes:
            outcome["notes"] = self._notes
        write_outcome(self.folder, self.trial.key, outcome)
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


def _words(error: Exception) -> str:
    """Return what an error of the trial says and where it was raised, on one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = str(error).splitlines()[0] if str(error) else "no message"
    return f"{type(error).__name__}: {text} ({Path(last.filename).name}:{last.lineno})"


def _is_of_the_device(error: Exception) -> bool:
    """Whether an error leaves the process's device unusable, so that every later trial in it would fail too."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)


def _write_model(path: Path, weights: Mapping[str, Any]) -> str:
    """Write a plain state dict, which `torch.load(path, weights_only=True)` reads anywhere; return its SHA-256."""
    import torch

    content = io.BytesIO()
    torch.save(weights, content)
    write_bytes(path, content.getvalue())
    return hashlib.sha256(content.getbuffer()).hexdigest()


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
