"""What to run next: the whole study as a source of trials. Knows nothing of Ray.

Cells take turns, so that families never starve one another. A cell has `search.parallel` trials in flight; as soon as
its search is complete its confirm trials are offered, while other cells still search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sweeper.domains import Value, admits
from sweeper.results.record import TrialRecord
from sweeper.search.giving_up import Verdict, verdict
from sweeper.search.halving import goes_on, rungs
from sweeper.search.suggest import Seen, suggest
from sweeper.study.plan import Cell, Plan
from sweeper.training.trial import Trial

WORST = 0.0
"""What an undefined score counts as in the search: every metric lies in [0, 1], and precision is undefined exactly when
the minority is never predicted, which the search should learn to avoid."""


@dataclass(frozen=True)
class Proposal:
    """A trial to run, with what its record must say beyond the trial itself."""

    trial: Trial
    values: Mapping[str, Value]
    """Hyperparameters of the loss, and `training.lr` and the like where the study searches them."""
    number: int | None
    """Order of proposal within its cell; None for confirm trials."""
    is_default: bool


@dataclass(frozen=True)
class GivenUp:
    """A cell that is not run any further, since its first trials failed alike."""

    family: str
    level: float
    trials: int
    """That failed alike."""
    left: int
    """Trials of search and confirm that are not run; of confirm at the fewest."""
    reason: str
    """Of the first."""


@dataclass
class _CellState:
    """The search of one cell so far."""

    cell: Cell
    seen: dict[int, Seen] = field(default_factory=dict)
    """Recorded trials by number."""
    running: dict[int, Proposal] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    """Trial key of the recorded trials, by number."""
    confirm: list[Proposal] | None = None
    """The confirm trials, once the search is complete."""

    def best(self) -> Seen | None:
        """Return the completed trial with the best objective; the earlier one on a tie."""
        done = [seen for seen in self.seen.values() if seen.status == "completed" and seen.objective is not None]
        return max(done, key=lambda seen: (seen.objective, -seen.number), default=None)


class Sweep:
    """A study as a source of trials: `next` proposes, `epoch` judges, `finish` takes results.

    Args:
        plan: What is to be run.
        records: What was recorded before; none of it is proposed again.
    """

    def __init__(self, plan: Plan, records: Iterable[TrialRecord] = ()) -> None:
        self.plan = plan
        self.recorded: dict[str, TrialRecord] = {}
        """Of every recorded trial what the search needs, in the order recorded. What it does not need, the scores of
        every picture above all, takes a hundred times the memory and is in the journal."""
        for record in records:
            self._remember(record)
        self.running: dict[str, Proposal] = {}
        self._cells = [_CellState(cell) for cell in plan.cells]
        self._rungs = rungs(plan.study.training.epochs) if plan.study.search.stopping == "asha" else ()
        for state in self._cells:
            self._replay(state)

    def next(self) -> Proposal | None:
        """Return the next trial to run, or None while there is nothing that may start yet."""
        for state in sorted(self._cells, key=lambda state: len(state.seen) + len(state.running)):
            proposal = self._next_of_search(state)
            if proposal is not None:
                return self._start(proposal, state)
        for state in self._cells:
            for proposal in self._due(state, while_open=False):
                if proposal.trial.key not in self.recorded and proposal.trial.key not in self.running:
                    return self._start(proposal, None)
        return None

    @property
    def done(self) -> bool:
        """Whether every trial of the study is recorded."""
        return not self.running and all(
            self._searched(state) and all(one.trial.key in self.recorded for one in self._due(state))
            for state in self._cells
        )

    def epoch(self, key: str, epoch: int, value: float | None) -> bool:
        """Take the validation score of one epoch; return whether the trial should go on."""
        proposal = self.running[key]
        if proposal.number is None or epoch not in self._rungs:
            return True
        visible = self._visible(self._state(proposal.trial), proposal.number)
        peers = [seen.curve[epoch] for seen in visible if epoch in seen.curve and seen.status != "failed"]
        return goes_on(WORST if value is None else value, peers)

    def finish(self, record: TrialRecord) -> None:
        """Take the record of a trial that ended."""
        proposal = self.running.pop(record.key)
        self._remember(record)
        if proposal.number is not None:
            state = self._state(proposal.trial)
            state.running.pop(proposal.number)
            self._adopt(state, record, proposal.number)

    def give_back(self, key: str) -> None:
        """Take back a trial that was proposed but could not be run to an end; it will be proposed again."""
        proposal = self.running.pop(key)
        if proposal.number is not None:
            self._state(proposal.trial).running.pop(proposal.number)

    def confirm_trials(self, cell: Cell) -> list[Proposal]:
        """Return the confirm trials of a cell, none before its search is complete."""
        state = next(state for state in self._cells if state.cell is cell)
        if state.confirm is None and self._searched(state):
            state.confirm = self._confirm_trials(state)
        return state.confirm or []

    def _confirm_trials(self, state: _CellState) -> list[Proposal]:
        cell, best = state.cell, state.best()
        settings: list[Mapping[str, Value]] = [] if best is None else [best.values]
        if (self.plan.study.confirm.include_default or best is None) and cell.default not in settings:
            settings.append(cell.default)
        levels = [level for level in self.plan.study.levels if self.plan.searched_at(level) == cell.level]
        return [
            self._proposal(cell, values, level=level, seed=seed, number=None)
            for level in levels
            for seed in self.plan.study.confirm_seeds
            for values in settings
        ]

    def totals(self) -> dict[str, tuple[int, int]]:
        """Return (recorded, planned) trials of each stage; for confirm an upper bound until all cells are searched."""
        searched = sum(len(state.seen) for state in self._cells)
        trials = [proposal.trial.key for state in self._cells for proposal in self._due(state)]
        confirmed, planned = sum(key in self.recorded for key in trials), len(trials)
        if not all(self._searched(state) for state in self._cells):
            planned = max(planned, self.plan.confirm_trials)
        return {
            "search": (searched, sum(self._budget(state) for state in self._cells)),
            "confirm": (confirmed, planned),
        }

    def given_up(self) -> list[GivenUp]:
        """Return the cells that are not run any further, in the order of the plan."""
        found = []
        for state in self._cells:
            if self._verdict(state) == "given up":
                first = self._first(state)[0]
                assert first is not None, "a verdict is of recorded trials"
                unrun = [one for one in self.confirm_trials(state.cell) if one.trial.key not in self.recorded]
                left = state.cell.budget - len(state.seen) + len(unrun)
                after = self.plan.study.search.give_up_after
                found.append(GivenUp(state.cell.family, state.cell.level, after, left, first.reason or "unknown"))
        return found

    def ledger(self) -> list[dict[str, Any]]:
        """Return each cell's trials, epochs and seconds: equal budgets are checked, not hoped for."""
        rows = []
        for state in self._cells:
            records = [self.recorded[state.keys[number]] for number in sorted(state.seen)]
            rows.append(
                {
                    "family": state.cell.family,
                    "level": state.cell.level,
                    "budget": state.cell.budget,
                    "trials": len(records),
                    "completed": sum(one.status == "completed" for one in records),
                    "stopped": sum(one.status == "stopped" for one in records),
                    "failed": sum(one.status == "failed" for one in records),
                    "epochs": sum(one.epochs for one in records),
                    "seconds": round(sum(one.seconds for one in records), 3),
                    **({"given_up": True} if self._verdict(state) == "given up" else {}),
                }
            )
        return rows

    def current(self) -> list[TrialRecord]:
        """Return the recorded trials that belong to the study as it is now planned, as `recorded` has them."""
        known = self._known()
        return [record for key, record in self.recorded.items() if key in known]

    def _known(self) -> set[str]:
        keys: set[str] = set()
        for state in self._cells:
            keys.update(state.keys.values())
            keys.update(proposal.trial.key for proposal in self.confirm_trials(state.cell))
        return keys

    def _next_of_search(self, state: _CellState) -> Proposal | None:
        for number in range(state.cell.budget):
            if number in state.seen or number in state.running:
                continue
            if number >= self._budget(state):
                return None
            oldest_needed = number - self.plan.study.search.parallel
            if any(n not in state.seen for n in range(oldest_needed + 1)):
                return None
            values = self._suggest(state, number)
            seed = self.plan.study.search.seed
            proposal = self._proposal(state.cell, values, level=state.cell.level, seed=seed, number=number)
            record = self.recorded.get(proposal.trial.key)
            if record is None:
                return proposal
            # The same setting was recorded under another number, when the study was another: it counts, it is not run.
            self._adopt(state, record, number)
        return None

    def _first(self, state: _CellState) -> list[TrialRecord | None]:
        """Return the records of a cell's first trials by number, then of its confirm trials; None where missing."""
        after = self.plan.study.search.give_up_after
        search = [self.recorded.get(state.keys.get(number, "")) for number in range(min(after, state.cell.budget))]
        if len(search) == after or None in search:
            return search
        return [*search, *(self.recorded.get(one.trial.key) for one in self.confirm_trials(state.cell))][:after]

    def _verdict(self, state: _CellState) -> Verdict:
        return verdict(self._first(state), self.plan.study.search.give_up_after)

    def _budget(self, state: _CellState) -> int:
        """Return how many search trials a cell gets.

        A cell that is given up gets those that may not know of it: what is run does not depend on who finished first.
        """
        search = self.plan.study.search
        # A verdict that takes confirm trials too comes after the search.
        if search.give_up_after > state.cell.budget or self._verdict(state) != "given up":
            return state.cell.budget
        return min(state.cell.budget, search.give_up_after + search.parallel - 1)

    def _searched(self, state: _CellState) -> bool:
        return all(number in state.seen for number in range(self._budget(state)))

    def _due(self, state: _CellState, *, while_open: bool = True) -> list[Proposal]:
        """Return the confirm trials of a cell that are to be run, none before its search is complete.

        Args:
            while_open: Also those that must wait until it is known whether the cell is given up.
        """
        trials = self.confirm_trials(state.cell)
        found = self._verdict(state)
        if found == "goes on" or (found == "open" and while_open):
            return trials
        return trials[: max(0, self.plan.study.search.give_up_after - state.cell.budget)]

    def _suggest(self, state: _CellState, number: int) -> dict[str, Value]:
        search = self.plan.study.search
        known: dict[int, Mapping[str, Value]] = {n: seen.values for n, seen in state.seen.items()}
        known.update((n, proposal.values) for n, proposal in state.running.items())
        return suggest(
            state.cell,
            number=number,
            history=self._visible(state, number),
            taken=[known[n] for n in sorted(known) if n < number],
            sampler=search.sampler,
            seed=search.seed,
        )

    def _visible(self, state: _CellState, number: int) -> list[Seen]:
        """Return what trial `number` may learn from: by number, never by who happened to finish first."""
        last = number - self.plan.study.search.parallel
        return [state.seen[n] for n in sorted(state.seen) if n <= last]

    def _replay(self, state: _CellState) -> None:
        """Take over the recorded search trials of a cell by number; those of other domains or defaults stay out."""
        for record in self.recorded.values():
            if record.number is None or record.number >= state.cell.budget or record.number in state.seen:
                continue
            if (record.stage, record.family, record.level) != ("search", state.cell.family, state.cell.level):
                continue
            values = record.hyperparameters
            trial = self.plan.trial(record.family, values, record.level, self.plan.study.search.seed, "search")
            expected = record.number != 0 or dict(values) == dict(state.cell.default)
            if trial.key == record.key and expected and admits(state.cell.domains, values):
                self._adopt(state, record, record.number)

    def _start(self, proposal: Proposal, state: _CellState | None) -> Proposal:
        self.running[proposal.trial.key] = proposal
        if state is not None and proposal.number is not None:
            state.running[proposal.number] = proposal
        return proposal

    def _proposal(
        self, cell: Cell, values: Mapping[str, Value], *, level: float, seed: int, number: int | None
    ) -> Proposal:
        trial = self.plan.trial(cell.family, values, level, seed, "confirm" if number is None else "search")
        return Proposal(trial, values, number, dict(values) == dict(cell.default))

    def _state(self, trial: Trial) -> _CellState:
        return next(
            state for state in self._cells if state.cell.family == trial.family and state.cell.level == trial.level
        )

    def _remember(self, record: TrialRecord) -> None:
        needed = ("epoch", self.plan.study.search.metric)
        curve = tuple({name: row[name] for name in needed if name in row} for row in record.history)
        self.recorded[record.key] = replace(record, history=curve, scores=(), margins=(), reliability=())

    def _adopt(self, state: _CellState, record: TrialRecord, number: int) -> None:
        """Take a recorded trial for the cell's trial `number`."""
        metric = self.plan.study.search.metric
        curve = {int(row["epoch"]): row.get(metric, WORST) for row in record.history}
        state.seen[number] = Seen(number, dict(record.hyperparameters), record.status, record.objective, curve)
        state.keys[number] = record.key
