"""What a person sees while a study runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sweeper.progress import LiveProgress, PlainProgress, make_listener
from sweeper.results.record import TrialRecord
from sweeper.search.sweep import Proposal, Sweep
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan


@pytest.fixture
def sweep() -> Sweep:
    study = load_study({"families": ["dice", "focal"], "search": {"trials": 3}, "training": {"epochs": 2}})
    return Sweep(make_plan(study, "data"))


def record(proposal: Proposal, status: str = "completed") -> TrialRecord:
    return TrialRecord(
        key=proposal.trial.key,
        study="study",
        family=proposal.trial.family,
        loss_level="",
        overlap="",
        tradeoff="",
        hyperparameters=dict(proposal.values),
        is_default=proposal.is_default,
        stage=proposal.trial.stage,
        number=proposal.number,
        level=proposal.trial.level,
        seed=proposal.trial.seed,
        status=status,
        reason="the loss is not finite" if status == "failed" else None,
        epochs=2,
        planned_epochs=2,
        objective=None if status == "failed" else 0.4321,
        seconds=1.0,
    )


def watch(listener, sweep: Sweep) -> None:
    listener.preparing(10, 10, "scan")
    listener.planned(sweep, 2)
    for status in ("completed", "failed"):
        proposal = sweep.next()
        assert proposal is not None
        listener.started(proposal)
        listener.epoch(proposal, 1, 0.25)
        sweep.finish(record(proposal, status))
        listener.finished(record(proposal, status))
    proposal = sweep.next()
    assert proposal is not None
    listener.started(proposal)
    listener.epoch(proposal, 1, 0.125)


def test_plain_lines_tell_totals_and_every_failure(sweep):
    out = io.StringIO()
    listener = make_listener(Console(file=out))
    assert isinstance(listener, PlainProgress)
    watch(listener, sweep)
    listener.close()
    lines = out.getvalue().splitlines()
    assert lines[0] == "preparing scan: 10 of 10"
    assert lines[1] == "search 0 of 4, confirm 0 of 60 trials; 2 at once"
    assert lines[2] == "focal at 0.97, seed 0: failed, the loss is not finite"


def test_the_live_display_shows_stages_families_best_and_what_runs(sweep):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, height=40)
    listener = make_listener(console)
    assert isinstance(listener, LiveProgress)
    watch(listener, sweep)
    drawn = Console(file=io.StringIO(), width=120)
    drawn.print(listener._draw())
    text = drawn.file.getvalue()  # type: ignore[attr-defined]
    assert "search 2 of 4" in text
    assert "0.432" in text
    assert "focal (gamma=" in text
    assert "epoch 1 of 2, 0.125" in text
    assert "waits for the search" in text
    listener.close()
    listener.close()
    assert out.getvalue().count("search 2 of 4, confirm 0 of 60 trials\n") == 1
