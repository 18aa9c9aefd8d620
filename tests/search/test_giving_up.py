"""A cell whose first trials fail alike is not run any further, whoever finishes first and wherever it was stopped."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable

import pytest
import torch

from sweeper.errors import TrialFailure
from sweeper.results.record import TrialRecord
from sweeper.search.giving_up import alike, is_instability, verdict
from sweeper.search.sweep import Proposal, Sweep
from sweeper.study.load import load_study
from sweeper.study.plan import Plan, make_plan
from sweeper.training.watch import FiniteWatch, check_divergence

BUG = "RuntimeError: size {n} does not match (loss.py:{n})"


def make(trials: int = 6, parallel: int = 1, after: int = 3, families: object = ("focal", "dice"), **sections) -> Plan:
    study = load_study(
        {
            "families": families if isinstance(families, dict) else list(families),
            "imbalance": {"levels": [0.95, 0.97]},
            "training": {"epochs": 2},
            "search": {"trials": trials, "parallel": parallel, "give_up_after": after, "stopping": "none"},
            "confirm": {"seeds": 2},
            **sections,
        }
    )
    return make_plan(study, "data")


def record(proposal: Proposal, reason: str | None = None) -> TrialRecord:
    return TrialRecord(
        key=proposal.trial.key,
        study="study",
        family=proposal.trial.family,
        loss_level="region",
        overlap="overlap-aware",
        tradeoff="tunable",
        hyperparameters=dict(proposal.values),
        is_default=proposal.is_default,
        stage=proposal.trial.stage,
        number=proposal.number,
        level=proposal.trial.level,
        seed=proposal.trial.seed,
        status="completed" if reason is None else "failed",
        reason=reason,
        epochs=2,
        planned_epochs=2,
        objective=0.5 if reason is None else None,
        seconds=1.0,
        history=({"epoch": 1, "minority_iou": 0.4}, {"epoch": 2, "minority_iou": 0.5}),
    )


Fate = Callable[[Proposal], str | None]


def drive(plan: Plan, fate: Fate, seed: int = 0, width: int = 4, records: tuple[TrialRecord, ...] = ()):
    sweep, chance, running, ran = Sweep(plan, records), random.Random(seed), [], []
    while not sweep.done:
        while len(running) < width and (proposal := sweep.next()) is not None:
            running.append(proposal)
        proposal = running.pop(chance.randrange(len(running)))
        ran.append(proposal)
        sweep.finish(record(proposal, fate(proposal)))
    return sweep, ran


def broken(family: str) -> Fate:
    return lambda proposal: BUG.format(n=proposal.trial.seed) if proposal.trial.family == family else None


def count(ran: list[Proposal], family: str) -> Counter:
    return Counter(proposal.trial.stage for proposal in ran if proposal.trial.family == family)


def test_a_broken_family_costs_its_first_trials_and_no_more():
    sweep, ran = drive(make(), broken("focal"))
    assert count(ran, "focal") == {"search": 3}
    assert count(ran, "dice") == {"search": 1, "confirm": 4}, "others go on"
    (cell,) = sweep.given_up()
    assert (cell.family, cell.level, cell.trials) == ("focal", 0.97, 3)
    assert cell.left == 3 + 4, "of the search, and the default's confirm trials"
    assert "size 0 does not match" in cell.reason
    assert [(row["trials"], row["failed"], row.get("given_up")) for row in sweep.ledger()] == [
        (3, 3, True),
        (1, 0, None),
    ]
    assert sweep.totals() == {"search": (4, 4), "confirm": (4, 4)}
    assert len(sweep.current()) == len(ran)


def test_a_broken_family_with_nothing_to_search_is_given_up_among_its_confirm_trials():
    sweep, ran = drive(make(), broken("dice"))
    assert count(ran, "dice") == {"search": 1, "confirm": 2}
    assert sweep.given_up()[0].left == 2
    assert len(sweep.current()) == len(ran)


def test_confirm_trials_wait_only_while_all_so_far_failed_alike():
    sweep = Sweep(make(families=["dice"]))
    first = sweep.next()
    assert first is not None
    sweep.finish(record(first, BUG))
    started = [sweep.next(), sweep.next()]
    assert sweep.next() is None, "the first three decide"
    assert not sweep.done
    sweep.finish(record(started[0]))
    assert sweep.next() is not None
    healthy = Sweep(make(families=["dice"]))
    healthy.finish(record(healthy.next()))
    assert sum(1 for _ in iter(healthy.next, None)) == 4


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_what_is_run_does_not_depend_on_who_finishes_first(parallel):
    plan = make(parallel=parallel, search={"trials": 8, "parallel": parallel, "levels": "all"})
    outcomes = [
        {key: one.status for key, one in drive(plan, broken("focal"), seed=seed, width=width)[0].recorded.items()}
        for seed, width in ((1, 1), (2, 3), (3, 9))
    ]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    ran = drive(plan, broken("focal"))[1]
    assert count(ran, "focal") == {"search": 2 * (3 + parallel - 1)}, "at each of two levels"


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_restart_decides_the_same(cut):
    plan = make(parallel=2)
    whole, ran = drive(plan, broken("focal"), seed=1)
    kept = [whole.recorded[proposal.trial.key] for proposal in ran[:cut]]
    rest, _ = drive(plan, broken("focal"), seed=2, records=tuple(reversed(kept)))
    assert rest.recorded.keys() == whole.recorded.keys()
    assert rest.given_up() == whole.given_up()


def test_one_that_gets_through_or_fails_otherwise_keeps_the_cell_going():
    def mixed(proposal: Proposal) -> str | None:
        return None if proposal.number == 2 else BUG

    assert count(drive(make(families=["focal"]), mixed)[1], "focal")["search"] == 6

    def other(proposal: Proposal) -> str:
        return "ValueError: no" if proposal.number == 1 else BUG

    assert count(drive(make(families=["focal"]), other)[1], "focal")["search"] == 6


def test_an_unstable_family_is_a_result_and_goes_on():
    sweep, ran = drive(make(families=["focal"]), lambda proposal: "the loss is not finite at epoch 1, step 2")
    assert count(ran, "focal") == {"search": 6, "confirm": 4}
    assert sweep.given_up() == []


def test_zero_is_never():
    assert count(drive(make(after=0), broken("focal"))[1], "focal") == {"search": 6, "confirm": 4}


def test_recorded_trials_of_a_cell_that_is_given_up_later_stay():
    """Run to its end with 0, then with 3: nothing is run, and nothing leaves the tables."""
    whole, _ = drive(make(after=0), broken("focal"))
    again = Sweep(make(after=3), tuple(whole.recorded.values()))
    assert again.done
    assert len(again.current()) == len(whole.current())


def test_a_mended_loss_starts_afresh(monkeypatch):
    first, _ = drive(make(), broken("focal"))
    monkeypatch.setattr("sweeper.study.plan._own_code", lambda name: "mended")
    again, ran = drive(make(), lambda proposal: None, records=tuple(first.recorded.values()))
    assert again.given_up() == []
    assert count(ran, "focal")["search"] == 6


def test_a_higher_limit_goes_on_where_a_lower_one_gave_up():
    first, _ = drive(make(), broken("focal"))
    _, ran = drive(make(after=5), broken("focal"), records=tuple(first.recorded.values()))
    assert count(ran, "focal") == {"search": 2}


def test_reasons_are_alike_when_only_numbers_differ():
    assert alike("OSError: 3 of 1.5e-3 at 0x7fA2 (loss.py:10)") == alike("OSError: 12 of 7 at 0x11 (loss.py:9)")
    assert alike("ValueError: a") != alike("ValueError: b")


def test_what_training_says_of_instability_is_known_for_it():
    watch = FiniteWatch(3, torch.device("cpu"))
    with pytest.raises(TrialFailure) as loss:
        watch.note(1, torch.tensor(torch.nan), [])
    with pytest.raises(TrialFailure) as diverged:
        check_divergence([1.0, 100.0], 10.0)
    assert is_instability(str(loss.value))
    assert is_instability(str(diverged.value))
    assert not is_instability(BUG)
    assert not is_instability("out of memory on the GPU 2 times")


def test_the_verdict_is_open_while_one_is_missing():
    plan = make()
    proposal = Sweep(plan).next()
    assert proposal is not None
    failed = record(proposal, BUG)
    assert verdict([failed, None, failed], 3) == "open"
    assert verdict([failed, failed, failed], 3) == "given up"
    assert verdict([failed, None, dataclasses.replace(failed, status="stopped")], 3) == "goes on"
    assert verdict([], 0) == "goes on"
