"""The state of the search after a restart is that of the recorded trials alone: tried on studies drawn at random.

Whatever is compared, in whatever order trials finish, fail or are stopped early, and wherever the driver is cut off.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.results.record import TrialRecord
from sweeper.search.sweep import Proposal, Sweep
from sweeper.study.load import load_study
from sweeper.study.plan import Plan, make_plan

EPOCHS = 9
FAMILIES = {
    "dice": {},
    "focal": {"gamma": {"uniform": [0, 5]}},
    "tversky": {"beta": {"uniform": [0.1, 0.9]}, "alpha": {"complement": "beta"}},
    "combo": {"alpha": {"choice": [0.2, 0.5, 0.7]}, "beta": 0.5},
}


@dataclass(frozen=True)
class World:
    """A study, and what becomes of its trials: each trial's fate depends on its key and on nothing else."""

    plan: Plan
    broken: frozenset[str]
    """Families that raise the same error always."""
    unstable: int
    """In how many of 10 trials the loss is not finite."""

    def run(self, sweep: Sweep, proposal: Proposal) -> TrialRecord:
        """Train a trial: report its epochs, and record how it ended."""
        key, family = proposal.trial.key, proposal.trial.family
        luck = int(hashlib.sha256(key.encode()).hexdigest(), 16)
        if family in self.broken:
            return record(proposal, "failed", 0, f"RuntimeError: no such thing ({family}.py:{luck % 90})")
        last = luck % EPOCHS if luck % 10 < self.unstable else EPOCHS
        for epoch in range(1, last + 1):
            if not sweep.epoch(key, epoch, score(key, epoch)):
                return record(proposal, "stopped", epoch)
        if last < EPOCHS:
            return record(proposal, "failed", last, f"the loss is not finite at epoch {last + 1}, step 1")
        return record(proposal, "completed", EPOCHS)


def score(key: str, epoch: int) -> float:
    return int(hashlib.sha256(f"{key} {epoch}".encode()).hexdigest(), 16) % 1000 / 1000


def record(proposal: Proposal, status: str, epochs: int, reason: str | None = None) -> TrialRecord:
    trial = proposal.trial
    return TrialRecord(
        key=trial.key,
        study="study",
        family=trial.family,
        loss_level="region",
        overlap="overlap-aware",
        tradeoff="tunable",
        hyperparameters=dict(proposal.values),
        is_default=proposal.is_default,
        stage=trial.stage,
        number=proposal.number,
        level=trial.level,
        seed=trial.seed,
        status=status,
        reason=reason,
        epochs=epochs,
        planned_epochs=EPOCHS,
        objective=None if status == "failed" else score(trial.key, epochs),
        seconds=1.0,
        history=tuple({"epoch": n, "minority_iou": score(trial.key, n)} for n in range(1, epochs + 1)),
    )


@st.composite
def worlds(draw) -> World:
    names = draw(st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, max_size=3, unique=True))
    study = load_study(
        {
            "families": {name: FAMILIES[name] for name in names},
            "imbalance": {"levels": draw(st.sampled_from([[0.97], [0.95, 0.97]]))},
            "training": {"epochs": EPOCHS},
            "search": {
                "trials": draw(st.integers(1, 8)),
                "parallel": draw(st.integers(1, 3)),
                "levels": draw(st.sampled_from(["reference", "all"])),
                "sampler": draw(st.sampled_from(["tpe", "random"])),
                "stopping": draw(st.sampled_from(["asha", "none"])),
                "give_up_after": draw(st.integers(0, 3)),
                "seed": draw(st.integers(0, 9)),
            },
            "confirm": {"seeds": draw(st.integers(1, 2)), "include_default": draw(st.booleans())},
        }
    )
    broken = draw(st.frozensets(st.sampled_from(names), max_size=1))
    return World(make_plan(study, "data"), broken, draw(st.integers(0, 5)))


def play(world: World, sweep: Sweep, order: random.Random, width: int, most: int | None = None) -> list[TrialRecord]:
    """Run `most` trials, `width` at once, which finish in an order of their own; those still running are lost."""
    running: list[Proposal] = []
    finished: list[TrialRecord] = []
    while not sweep.done and (most is None or len(finished) < most):
        while len(running) < width and (proposal := sweep.next()) is not None:
            running.append(proposal)
        proposal = running.pop(order.randrange(len(running)))
        if order.random() < 0.1:
            sweep.give_back(proposal.trial.key)  # its worker was lost, and its machine
            continue
        finished.append(world.run(sweep, proposal))
        sweep.finish(finished[-1])
    for proposal in running:
        sweep.give_back(proposal.trial.key)
    return finished


def offers(sweep: Sweep) -> list[tuple[str, int | None, bool]]:
    """Return all that may start now, in order."""
    return [(one.trial.key, one.number, one.is_default) for one in iter(sweep.next, None)]


def ends(sweep: Sweep) -> dict[str, tuple[str, int, int | None]]:
    return {one.key: (one.status, one.epochs, one.number) for one in sweep.current()}


orders = st.integers(0, 10**6).map(random.Random)

slow_but_sure = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow_but_sure
@given(worlds(), orders, st.integers(1, 5), st.integers(0, 40))
def test_a_search_cut_anywhere_is_that_of_its_records(world, order, width, cut):
    live = Sweep(world.plan)
    kept = play(world, live, order, width, cut)
    order.shuffle(kept)
    rebuilt = Sweep(world.plan, kept)
    assert rebuilt.done == live.done
    assert rebuilt.ledger() == live.ledger()
    assert rebuilt.totals() == live.totals()
    assert rebuilt.given_up() == live.given_up()
    found = offers(live)
    assert offers(rebuilt) == found
    assert not {key for key, *_ in found} & {one.key for one in kept}, "nothing recorded is offered again"


@slow_but_sure
@given(worlds(), orders, st.integers(1, 5), st.lists(st.integers(0, 12), max_size=4))
def test_a_study_cut_again_and_again_ends_as_one_that_never_was(world, order, width, cuts):
    whole = Sweep(world.plan)
    play(world, whole, random.Random(0), 1)
    kept: list[TrialRecord] = []
    for most in [*cuts, None]:
        part = Sweep(world.plan, kept)
        kept += play(world, part, order, width, most)
    assert part.done
    assert max(Counter(one.key for one in kept).values()) == 1, "no trial twice"
    assert ends(part) == ends(whole)
    assert part.ledger() == whole.ledger()


@slow_but_sure
@given(worlds(), orders, st.integers(1, 5))
def test_budgets_are_equal_and_no_setting_comes_twice(world, order, width):
    sweep = Sweep(world.plan)
    ran = play(world, sweep, order, width)
    search = world.plan.study.search
    for cell in world.plan.cells:
        of_cell = [
            one for one in ran if one.number is not None and (one.family, one.level) == (cell.family, cell.level)
        ]
        settings_tried = [tuple(sorted(one.hyperparameters.items())) for one in of_cell]
        assert len(set(settings_tried)) == len(settings_tried)
        expected = cell.budget
        if cell.family in world.broken and 0 < search.give_up_after <= cell.budget:
            expected = min(cell.budget, search.give_up_after + search.parallel - 1)
        assert sorted(one.number for one in of_cell) == [*range(expected)]
    unbroken = [cell for cell in world.plan.cells if cell.family not in world.broken]
    assert {(row["family"], row["trials"]) for row in sweep.ledger()} >= {
        (cell.family, cell.budget) for cell in unbroken
    }
