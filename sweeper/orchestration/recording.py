"""From what a worker left or reported of a trial to its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sweeper.losses.catalogue import family
from sweeper.results.record import MINORITY, MarginCounts, ReliabilityBin, Score, TrialRecord, rows
from sweeper.search.sweep import Proposal

EPOCH_METRICS = ("iou", "f1", "precision", "recall")
"""Minority scores that every epoch reports: a trial stopped early has these of the epoch it reached."""

_SETUP = tuple(
    field.name
    for field in dataclasses.fields(TrialRecord)
    if field.name.startswith(("level_", "weighting_", "ess_")) or field.name in ("device", "precision")
)


def to_record(proposal: Proposal, outcome: Mapping[str, Any], *, study: str) -> TrialRecord:
    """Return the record of a trial that ended with `outcome`."""
    trial = proposal.trial
    place = family(trial.family)
    setup = outcome.get("setup") or {}
    return TrialRecord(
        key=trial.key,
        study=study,
        family=trial.family,
        loss_level=place.level,
        overlap=place.overlap,
        tradeoff=place.tradeoff,
        hyperparameters=dict(proposal.values),
        is_default=proposal.is_default,
        stage=trial.stage,
        number=proposal.number,
        level=trial.level,
        seed=trial.seed,
        status=outcome["status"],
        reason=outcome.get("reason"),
        epochs=outcome["epochs"],
        planned_epochs=trial.training.epochs,
        objective=outcome.get("objective"),
        offset=outcome.get("offset"),
        offset_at_limit=outcome.get("offset_at_limit"),
        seconds=outcome["seconds"],
        started=outcome.get("started"),
        history=tuple(outcome["history"]),
        scores=rows(Score, outcome.get("scores", ())),
        margins=rows(MarginCounts, outcome.get("margins", ())),
        reliability=rows(ReliabilityBin, outcome.get("reliability", ())),
        **{name: setup.get(name) for name in _SETUP},
    )


def from_report(report: Mapping[str, Any], status: str, reason: str | None, metric: str) -> dict[str, Any]:
    """Build the outcome of a trial whose worker could not write one, from the last it reported."""
    history = list(report.get("history", ()))
    reached = history[-1] if history and status != "failed" else {}
    return {
        "status": status,
        "reason": reason,
        "epochs": len(history),
        "history": history,
        "seconds": sum(row["seconds"] for row in history),
        "objective": reached.get(metric),
        "scores": [["val", "argmax", None, MINORITY, name, reached.get(f"minority_{name}")] for name in EPOCH_METRICS]
        if reached
        else [],
        "setup": report.get("setup"),
    }
