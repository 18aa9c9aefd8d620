"""From the key of a recorded trial, or its beginning, to everything that is needed to run it again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from sweeper.data.prepare import load
from sweeper.errors import DataError, RunFolderError, SweeperError, UserError
from sweeper.losses.catalogue import family
from sweeper.losses.needs import EVERY
from sweeper.orchestration.cluster import noted_slot
from sweeper.orchestration.folder import RunFolder, data_cache
from sweeper.orchestration.publish import read_identity
from sweeper.results.record import TrialRecord
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan
from sweeper.study.schema import Study
from sweeper.tracking.journal import RECORDS_FILE, Journal
from sweeper.training.trial import Trial

MOST_KEYS = 8
"""Trials that a message lists."""

COMMON = 3
"""Letters of a common beginning that make two keys near."""

NEAR = 0.6
"""How alike a key must be to one that is not there to be offered for it, in [0, 1]."""


@dataclass(frozen=True)
class Found:
    """A recorded trial that can be run again."""

    folder: RunFolder
    record: TrialRecord
    peers: tuple[TrialRecord, ...]
    """All recorded trials of the study, this one among them."""
    study: Study
    trial: Trial
    data: Path
    """Of the prepared data."""
    needs: tuple[str, ...]
    """What its loss needs beside the pictures."""
    threads: int | None
    """A trial of the study had; None where that differed between starts or is not known."""
    versions: Mapping[str, str]
    """Of the study's last start."""
    versions_known: bool
    """Whether the trial was trained in that start, so that these versions are its own."""


def find(key: str, run: Path | None, out: Path) -> Found:
    """Find a recorded trial.

    Args:
        key: Its key, or as much of the beginning as no other trial shares.
        run: The run folder; None looks through the run folders in `out`.
        out: Folder of run folders.

    Raises:
        UserError: No trial has that key, or several do.
        RunFolderError: The run folder cannot be read, or is not what the trial was recorded in.
        DataError: The prepared data is gone.
    """
    folders = [RunFolder(run.expanduser().absolute())] if run is not None else _run_folders(out)
    # A folder that was named must be one; of those found by looking, each is.
    identities = {folder.path: read_identity(folder) for folder in folders}
    journals = {folder.path: Journal(folder.outbox) for folder in folders}
    matches = [
        (folder, whole)
        for folder in folders
        for whole in journals[folder.path].recorded()
        if key and whole.startswith(key)
    ]
    if len(matches) != 1:
        raise UserError(_not_one(key, matches, journals))
    folder, whole = matches[0]
    journal = journals[folder.path]
    return _found(folder, identities[folder.path], journal.read(whole), tuple(journal.records()))


def _found(
    folder: RunFolder, identity: Mapping[str, Any], record: TrialRecord, peers: tuple[TrialRecord, ...]
) -> Found:
    meta = identity["meta"]
    study = load_study(folder.study)
    fingerprint = meta["data"]["fingerprint"]
    trial = make_plan(study, fingerprint).trial(
        record.family, record.hyperparameters, record.level, record.seed, _stage(record)
    )
    if trial.key != record.key:
        raise RunFolderError(f"{folder.path}: trial {record.key} cannot be made again: {_changed(record, study, meta)}")
    data = data_cache(folder.path.parent) / fingerprint
    try:
        there = load(data).fingerprint
    except DataError as error:
        raise DataError(
            f"{error}. Trial {record.key} was trained on it; "
            f"prepare it again: sweeper plan {folder.study} --out {folder.path.parent}"
        ) from None
    if there != fingerprint:
        raise DataError(
            f"{data}: holds other data, {there}, than trial {record.key} was trained on; delete the folder and prepare "
            f"it again: sweeper plan {folder.study} --out {folder.path.parent}"
        )
    slot = noted_slot(folder.slots)
    needed = family(record.family).needs_at(trial.hyperparameters)
    return Found(
        folder=folder,
        record=record,
        peers=peers,
        study=study,
        trial=trial,
        data=data,
        needs=tuple(name for name in EVERY if name in needed),
        threads=None if slot is None else int(slot["cpu"]),
        versions=meta["versions"],
        versions_known=record.started is not None and record.started >= meta["created"],
    )


def _run_folders(out: Path) -> list[RunFolder]:
    """Return the run folders in `out`. Raises: RunFolderError when there is none."""
    out = out.expanduser().absolute()
    found = [RunFolder(path.parent.parent) for path in sorted(out.glob(f"*/outbox/{RECORDS_FILE}"))]
    found = [folder for folder in found if folder.meta.exists()]
    if not found:
        raise RunFolderError(f"{out}: holds no run folder with recorded trials; name one with --run, e.g. runs/demo")
    return found


def _stage(record: TrialRecord) -> Any:
    return record.stage


def _changed(record: TrialRecord, study: Study, meta: Mapping[str, Any]) -> str:
    """Say what may have become another since the trial was recorded."""
    if record.planned_epochs != study.training.epochs:
        return (
            f"it was planned for {record.planned_epochs} epochs, the study now trains {study.training.epochs}; it is "
            "of what the study was before it was edited"
        )
    own = "the code of the loss, " if ":" in record.family else ""
    weights = "the file of pretrained weights, " if study.model.weights is not None else ""
    return (
        f"the study (model, training, search.metric or search.stopping), {own}{weights}its data or sweeper itself "
        f"(now {meta['versions'].get('sweeper')} at the last start) is not what it was when the trial was recorded; "
        "restore that, or replay a trial of the study as it is now"
    )


def _not_one(key: str, matches: list[tuple[RunFolder, str]], journals: Mapping[Path, Journal]) -> str:
    if matches:
        shown = [_line(journals[folder.path], folder.path, whole) for folder, whole in matches[:MOST_KEYS]]
        more = f"\n  and {len(matches) - MOST_KEYS} more" if len(matches) > MOST_KEYS else ""
        keys = {whole for _, whole in matches}
        hint = "choose the folder with --run" if len(keys) == 1 else "give more of the key"
        return f"{key}: {len(matches)} recorded trials begin with it; {hint}:\n  " + "\n  ".join(shown) + more
    everywhere = [(path, whole) for path, journal in journals.items() for whole in journal.recorded()]
    near = sorted(everywhere, key=lambda one: -_likeness(key, one[1]))
    near = [one for one in near if _likeness(key, one[1]) >= NEAR][:MOST_KEYS]
    where = ", ".join(str(path) for path in journals)
    if not near:
        return (
            f"{key}: none of the {len(everywhere)} trials recorded in {where} has this key; keys are in the column "
            "`key` of results/trials.parquet, and in MLflow under sweeper.trial_key"
        )
    shown = [_line(journals[path], path, whole) for path, whole in near]
    return f"{key}: no trial recorded in {where} has this key; near it are:\n  " + "\n  ".join(shown)


def _likeness(key: str, whole: str) -> float:
    """Return how much of `key` a whole key has in the same order, in [0, 1]; a common beginning counts most."""
    if len(key) >= COMMON and whole.startswith(key[:COMMON]):
        return 1.0
    return SequenceMatcher(None, key, whole[: len(key)]).ratio()


def _line(journal: Journal, path: Path, key: str) -> str:
    try:
        return f"{key}  {describe(journal.read(key))}  {path}"
    except SweeperError:
        return f"{key}  (cannot be read)  {path}"


def describe(record: TrialRecord) -> str:
    """Return a trial in a few words: `dice, smooth=1, at 0.97, seed 1000, confirm`."""
    return f"{setting(record.family, record.hyperparameters)} at {record.level:g}, seed {record.seed}, {record.stage}"


def setting(name: str, values: Mapping[str, Any]) -> str:
    """Return a family and its values, as `tversky(alpha=0.3, beta=0.7)`."""
    return f"{name}({', '.join(_pairs(values))})" if values else name


def _pairs(values: Mapping[str, Any]) -> Iterable[str]:
    for name, value in values.items():
        yield f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={json.dumps(value)}"
