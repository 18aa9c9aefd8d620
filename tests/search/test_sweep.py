"""Every trial is proposed once, in equal budgets, the same whatever finishes first and wherever it was stopped."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest

from sweeper.results.record import TrialRecord
from sweeper.search.halving import goes_on, rungs
from sweeper.search.suggest import Seen, suggest
from sweeper.search.sweep import Proposal, Sweep
from sweeper.study.load import load_study
from sweeper.study.plan import Plan, make_plan

EPOCHS = 9


def make(trials: int = 6, parallel: int = 1, levels: str = "reference", **sections: object) -> Plan:
    study = load_study(
        {
            "families": {"cross_entropy": {}, "focal": {}, "tversky": {}, "combo": {"alpha": {"choice": [0.2, 0.5]}}},
            "imbalance": {"levels": [0.95, 0.97]},
            "training": {"epochs": EPOCHS},
            "search": {"trials": trials, "parallel": parallel, "levels": levels},
            "confirm": {"seeds": 2},
            **sections,
        }
    )
    return make_plan(study, "data")


def score(proposal: Proposal) -> float:
    """A known landscape: best at gamma 1, beta 0.8."""
    values = proposal.values
    return 1 - abs(float(values.get("gamma", 1)) - 1) / 5 - abs(float(values.get("beta", 0.8)) - 0.8)


def record(proposal: Proposal, status: str = "completed", epochs: int = EPOCHS) -> TrialRecord:
    value = score(proposal)
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
        status=status,
        epochs=epochs,
        planned_epochs=EPOCHS,
        objective=None if status == "failed" else value,
        seconds=1.0,
        history=tuple({"epoch": n, "minority_iou": value * n / EPOCHS} for n in range(1, epochs + 1)),
    )


def drive(plan: Plan, seed: int, width: int = 3, records: tuple[TrialRecord, ...] = (), stop: int | None = None):
    """Run a sweep with `width` trials at once that finish in an order of their own; ASHA decides as in a real run."""
    sweep, chance, running, ran = Sweep(plan, records), random.Random(seed), [], []
    while not sweep.done and (stop is None or len(ran) < stop):
        while len(running) < width and (proposal := sweep.next()) is not None:
            running.append(proposal)
        proposal = running.pop(chance.randrange(len(running)))
        ran.append(proposal)
        for epoch in range(1, EPOCHS + 1):
            if not sweep.epoch(proposal.trial.key, epoch, score(proposal) * epoch / EPOCHS):
                sweep.finish(record(proposal, "stopped", epoch))
                break
        else:
            sweep.finish(record(proposal))
    return sweep, ran


def outcome(sweep: Sweep) -> dict[str, tuple[str, int]]:
    return {key: (one.status, one.epochs) for key, one in sweep.recorded.items()}


def test_every_cell_gets_its_budget_and_the_default_first():
    sweep, ran = drive(make(), seed=0)
    counts = Counter(p.trial.family for p in ran if p.number is not None)
    assert counts == {"cross_entropy": 1, "focal": 6, "tversky": 6, "combo": 6}
    assert all(p.is_default for p in ran if p.number == 0)
    assert [row["trials"] for row in sweep.ledger()] == [1, 6, 6, 6]
    assert sweep.totals()["search"] == (19, 19)


@pytest.mark.parametrize("parallel", [1, 2])
def test_the_order_of_finishing_changes_nothing(parallel):
    plan = make(parallel=parallel)
    first, ran = drive(plan, seed=1)
    second, other = drive(plan, seed=2, width=5)
    assert [p.trial.key for p in ran] != [p.trial.key for p in other], "the two orders must differ"
    assert outcome(first) == outcome(second)


@pytest.mark.parametrize("stop", [1, 4, 9, 15, 25])
def test_a_stopped_sweep_continues_as_if_never_stopped(stop):
    plan = make()
    whole, _ = drive(plan, seed=1)
    part, _ = drive(plan, seed=2, stop=stop)
    rest, ran = drive(plan, seed=3, records=tuple(part.recorded.values()))
    assert outcome(rest) == outcome(whole)
    assert not {p.trial.key for p in ran} & set(part.recorded)


def test_a_finished_study_proposes_nothing():
    plan = make()
    sweep, _ = drive(plan, seed=1)
    again = Sweep(plan, sweep.recorded.values())
    assert again.done
    assert again.next() is None


def test_more_trials_extend_what_is_recorded():
    small, _ = drive(make(trials=4, search={"trials": 4, "stopping": "none"}), seed=1)
    large, ran = drive(make(search={"trials": 8, "stopping": "none"}), seed=1, records=tuple(small.recorded.values()))
    assert not {p.trial.key for p in ran} & set(small.recorded)
    assert [row["trials"] for row in large.ledger()] == [1, 8, 8, 8]


def test_records_of_another_domain_do_not_count():
    wide, _ = drive(make(), seed=1)
    narrow = make(families={"focal": {"gamma": {"uniform": [0, 0.5]}}})
    sweep, ran = drive(narrow, seed=1, records=tuple(wide.recorded.values()))
    assert sum(p.number is not None for p in ran) >= 4
    assert all(float(p.values["gamma"]) <= 0.5 for p in ran)
    assert sweep.ledger()[0]["trials"] == 6


def test_confirm_trials_start_before_other_cells_are_searched():
    plan = make()
    sweep = Sweep(plan)
    first = sweep.next()
    assert first is not None
    assert first.trial.family == "cross_entropy", "the one-trial cell comes first in the round"
    sweep.finish(record(first))
    cell = plan.cells[0]
    assert {p.trial.stage for p in sweep.confirm_trials(cell)} == {"confirm"}
    assert sweep.confirm_trials(plan.cells[1]) == []


def test_the_best_completed_trial_is_confirmed_beside_the_default():
    sweep, _ = drive(make(), seed=1)
    for cell in sweep.plan.cells:
        searched = [r for r in sweep.recorded.values() if r.stage == "search" and r.family == cell.family]
        best = max((r for r in searched if r.status == "completed"), key=lambda r: (r.objective or 0, -(r.number or 0)))
        confirmed = [p for p in sweep.confirm_trials(cell) if p.trial.seed == 1000 and p.trial.level == 0.97]
        settings = [dict(p.values) for p in confirmed]
        assert settings[0] == dict(best.hyperparameters)
        assert dict(cell.default) in settings


def test_equal_settings_are_one_trial():
    _, ran = drive(make(families=["cross_entropy"]), seed=1)
    assert len([p for p in ran if p.trial.stage == "confirm"]) == 2 * 2, "levels times seeds, tuned being the default"


def test_failed_trials_are_never_chosen_and_do_not_stop_the_sweep():
    plan = make(families=["focal"])
    sweep = Sweep(plan)
    while (proposal := sweep.next()) is not None:
        sweep.finish(record(proposal, "failed", 0))
    assert sweep.done
    confirmed = sweep.confirm_trials(plan.cells[0])
    assert all(p.is_default for p in confirmed), "with nothing to choose from, the default is confirmed"


def test_whole_numbers_for_a_real_hyperparameter_are_one_setting_each():
    plan = make(trials=4, families={"focal": {"gamma": {"choice": [0, 1, 2, 3]}}})
    sweep, ran = drive(plan, seed=1)
    assert sorted(p.values["gamma"] for p in ran if p.number is not None) == [0.0, 1.0, 2.0, 3.0]
    again = Sweep(plan, sweep.recorded.values())
    assert again.done


def test_a_setting_recorded_under_another_number_is_not_run_again():
    """With the domain changed, the same discrete settings come in another order."""
    families = {"combo": {"alpha": {"choice": [0.2, 0.7]}, "beta": 0.5}}
    sweep, _ = drive(make(families=families), seed=1)
    other = make(families={"combo": {"alpha": {"choice": [0.9, 0.7, 0.2]}, "beta": 0.5}})
    again, ran = drive(other, seed=1, records=tuple(sweep.recorded.values()))
    assert again.done
    assert [p.values["alpha"] for p in ran if p.number is not None] == [0.9]


def test_a_score_that_is_undefined_counts_as_the_worst():
    """Precision of a trial that never predicts the minority: the search goes on, and does not choose it."""
    plan = make(trials=8, families=["focal"], search={"trials": 8, "stopping": "none"})
    sweep = Sweep(plan)
    while (proposal := sweep.next()) is not None:
        kept = record(proposal)
        if proposal.number is not None and proposal.number % 2:
            kept = dataclasses.replace(kept, objective=None, history=({"epoch": 1},))
        sweep.finish(kept)
    assert sweep.done
    best = sweep.confirm_trials(plan.cells[0])[0]
    numbers = {tuple(r.hyperparameters.items()): r.number for r in sweep.recorded.values() if r.number is not None}
    assert numbers[tuple(best.values.items())] % 2 == 0


def test_a_lost_trial_is_offered_again():
    sweep = Sweep(make())
    first = sweep.next()
    assert first is not None
    sweep.give_back(first.trial.key)
    again = sweep.next()
    assert again is not None
    assert again.trial.key == first.trial.key


def test_no_setting_is_proposed_twice_in_a_cell():
    plan = make(trials=4, families={"combo": {"alpha": {"choice": [0.2, 0.5, 0.7]}, "beta": 0.5}})
    assert plan.cells[0].budget == 3
    _, ran = drive(plan, seed=1)
    values = [p.values["alpha"] for p in ran if p.number is not None]
    assert sorted(values) == [0.2, 0.5, 0.7]


def test_a_searched_cell_converges_on_the_known_optimum():
    plan = make(trials=25, families=["focal"], search={"trials": 25, "stopping": "none"})
    sweep, _ = drive(plan, seed=1)
    best = max(sweep.recorded.values(), key=lambda r: r.objective or 0)
    assert abs(float(best.hyperparameters["gamma"]) - 1) < 0.25  # type: ignore[arg-type]


def test_tpe_learns_and_random_does_not():
    cell = make(trials=40, families=["focal"]).cells[0]

    def gamma(number: int, sampler: str, seen: list[Seen]) -> float:
        values = suggest(cell, number=number, history=seen, taken=[], sampler=sampler, seed=0)  # type: ignore[arg-type]
        return float(values["gamma"])  # type: ignore[arg-type]

    seen = [
        Seen(n, {"gamma": g, "alpha": None}, "completed", 1 - abs(g - 1))
        for n, g in enumerate([0.2 * k for k in range(25)])
    ]
    drawn = {s: [gamma(n, s, seen) for n in range(30, 60)] for s in ("tpe", "random")}
    near = {s: sum(abs(g - 1) < 0.75 for g in found) for s, found in drawn.items()}
    assert near["tpe"] > 2 * near["random"]


@pytest.mark.parametrize(
    ("epochs", "expected"), [(1, ()), (4, (1, 3)), (9, (1, 3)), (30, (3, 9, 27)), (100, (11, 33, 99))]
)
def test_rungs(epochs, expected):
    assert rungs(epochs) == expected


def test_the_best_third_goes_on():
    assert goes_on(0.1, [])
    assert goes_on(0.9, [0.1, 0.5, 0.8])
    assert not goes_on(0.4, [0.1, 0.5, 0.8])
    assert not goes_on(0.3, [0.5])
