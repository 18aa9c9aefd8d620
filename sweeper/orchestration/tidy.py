"""What a killed driver or worker leaves in a run folder, and its removal. For the holder of the lease alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress

from sweeper.files import remove_temporaries
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.job import trouble_path
from sweeper.orchestration.trial_outcome import outcome_path
from sweeper.tracking.study_info import SCRATCH


def tidy(folder: RunFolder, recorded: Iterable[str]) -> None:
    """Remove half-written files, Ray Tune's and our own scratch, and what the `recorded` trials no longer need.

    MLflow's own store and artifacts are left alone.
    """
    remove_temporaries(folder.path, below=False)
    for place in (folder.outbox, folder.trials, folder.checkpoints, folder.panels, folder.results, folder.report):
        remove_temporaries(place)
    for scratch in (folder.scratch, *folder.path.glob(f"{SCRATCH}*")):
        shutil.rmtree(scratch, ignore_errors=True)
    known = {*recorded}
    for place in (folder.checkpoints, folder.trials):
        for left in [entry.name for entry in place.glob("*") if entry.name in known]:
            forget(folder, left)


def forget(folder: RunFolder, key: str) -> None:
    """Remove what only an unfinished trial needs; its panels and its model stay."""
    with suppress(OSError):  # a disk that can no longer be written must not cost the record of the trial
        outcome_path(folder, key).unlink(missing_ok=True)
        trouble_path(folder, key).unlink(missing_ok=True)
        for damaged in (folder.trials / key).glob("*.corrupt"):
            damaged.unlink(missing_ok=True)
    shutil.rmtree(folder.checkpoints / key, ignore_errors=True)
    with suppress(OSError):  # it holds panels or a model
        (folder.trials / key).rmdir()


def forget_unfinished(folder: RunFolder) -> None:
    """Remove every checkpoint: the study is done, and trials it began under other settings are not continued."""
    for checkpoint in folder.checkpoints.glob("*"):
        forget(folder, checkpoint.name)
