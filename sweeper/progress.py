"""What a person sees while a study runs: a live display in a terminal, plain lines elsewhere. All of it on stderr."""

from __future__ import annotations

import time
from collections import defaultdict

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from sweeper.durations import duration
from sweeper.orchestration.events import Listener
from sweeper.results.record import TrialRecord
from sweeper.search.sweep import Proposal, Sweep

REFRESH_SECONDS = 0.3
"""Least time between two drawings of the live display; drawing happens between trials and must not slow them."""

PLAIN_SECONDS = 15.0
"""At most one line of progress in this time where there is no terminal; ends of trials that failed are always told."""


def make_listener(console: Console) -> Listener:
    """Return the live display on a terminal, plain lines elsewhere."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)


class PlainProgress:
    """One line now and then, fit for a log file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = 0.0
        self._sweep: Sweep | None = None
        self._clock = _Eta()

    def note(self, text: str) -> None:
        self._say(text)

    def preparing(self, done: int, total: int, what: str) -> None:
        if done == total or time.monotonic() - self._last > PLAIN_SECONDS:
            self._say(f"preparing {what}: {done} of {total}")

    def planned(self, sweep: Sweep, concurrent: int) -> None:
        self._sweep = sweep
        self._clock.start(sweep)
        self._say(f"{_totals(sweep)}; {concurrent} at once")

    def started(self, proposal: Proposal) -> None:
        pass

    def epoch(self, proposal: Proposal, epoch: int, score: float | None) -> None:
        pass

    def finished(self, record: TrialRecord) -> None:
        if self._sweep is None:
            return
        if record.status == "failed":
            self._say(f"{record.family} at {record.level:g}, seed {record.seed}: failed, {record.reason}")
        if time.monotonic() - self._last > PLAIN_SECONDS or self._sweep.done:
            self._say(f"{_totals(self._sweep)}{self._clock.text(self._sweep)}")

    def close(self) -> None:
        pass

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


class LiveProgress:
    """Bars per stage and family, the best so far, what is running, the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._sweep: Sweep | None = None
        self._concurrent = 0
        self._frame: Group | str = ""
        self._drawn = 0.0
        self._running: dict[str, tuple[Proposal, int, float | None]] = {}
        self._clock = _Eta()

    def note(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)

    def preparing(self, done: int, total: int, what: str) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("preparing {task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task(what, total=total)
            self._bar.start()
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total, description=what)
        if done >= total:
            self._end_bar()

    def planned(self, sweep: Sweep, concurrent: int) -> None:
        self._end_bar()
        self._sweep, self._concurrent = sweep, concurrent
        self._clock.start(sweep)
        self._frame = self._draw()
        self._live = Live(
            console=self._console, get_renderable=lambda: self._frame, refresh_per_second=4, transient=True
        )
        self._live.start()

    def started(self, proposal: Proposal) -> None:
        self._running[proposal.trial.key] = (proposal, 0, None)
        self._refresh()

    def epoch(self, proposal: Proposal, epoch: int, score: float | None) -> None:
        self._running[proposal.trial.key] = (proposal, epoch, score)
        self._refresh()

    def finished(self, record: TrialRecord) -> None:
        self._running.pop(record.key, None)
        self._refresh()
        if record.status == "failed":
            self.note(f"{record.family} at {record.level:g}, seed {record.seed}: failed, {record.reason}")

    def close(self) -> None:
        self._end_bar()
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._sweep is not None:
            self.note(_totals(self._sweep))
            self._sweep = None

    def _refresh(self) -> None:
        """Draw anew, here in the driver's thread: the display's own thread must not read a sweep that changes."""
        if self._live is not None and time.monotonic() - self._drawn > REFRESH_SECONDS:
            self._frame, self._drawn = self._draw(), time.monotonic()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _draw(self) -> Group:
        assert self._sweep is not None
        head = Text(f"{_totals(self._sweep)}{self._clock.text(self._sweep)}", style="bold")
        return Group(head, self._families(self._sweep), self._now())

    def _families(self, sweep: Sweep) -> Table:
        study = sweep.plan.study
        table = Table(box=None, pad_edge=False)
        for name, justify in (("family", "left"), ("search", "left"), ("best on val", "right"), ("confirm", "left")):
            table.add_column(name, justify="right" if justify == "right" else "left")
        planned: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for cell in sweep.plan.cells:
            trials = sweep.confirm_trials(cell)
            planned[cell.family][0] += sum(one.trial.key in sweep.recorded for one in trials)
            planned[cell.family][1] += len(trials)
        ledger = sweep.ledger()
        for family in study.families:
            rows = [row for row in ledger if row["family"] == family]
            done, budget = sum(row["trials"] for row in rows), sum(row["budget"] for row in rows)
            scores = [
                record.objective
                for record in sweep.current()
                if record.family == family and record.stage == "search" and record.objective is not None
            ]
            best = f"{max(scores):.3f}" if scores else "–"
            confirm = _meter(*planned[family]) if planned[family][1] else "waits for the search"
            table.add_row(family, _meter(done, budget), best, confirm)
        return table

    def _now(self) -> Text:
        lines = []
        for proposal, epoch, score in list(self._running.values())[: self._concurrent]:
            trial = proposal.trial
            end = f", {score:.3f}" if score is not None else ""
            what = f"{trial.stage} {trial.family}{_setting(proposal)} at {trial.level:g}"
            lines.append(f"  {what}: epoch {epoch} of {trial.training.epochs}{end}")
        return Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis")


class _Eta:
    """Time left, from the trials finished since this run began."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = 0

    def start(self, sweep: Sweep) -> None:
        self._began = time.monotonic()
        self._before = self._done(sweep)

    def text(self, sweep: Sweep) -> str:
        done = self._done(sweep) - self._before
        left = sum(planned for _, planned in sweep.totals().values()) - self._done(sweep)
        if done < 2 or left <= 0:
            return ""
        seconds = (time.monotonic() - self._began) / done * left
        return f"; about {duration(seconds)} left"

    def _done(self, sweep: Sweep) -> int:
        return sum(done for done, _ in sweep.totals().values())


def _setting(proposal: Proposal) -> str:
    """Show the numbers of a setting; the words rarely differ within a study."""
    numbers = [f"{key}={value:.3g}" for key, value in proposal.values.items() if isinstance(value, float)]
    return f" ({', '.join(numbers)})" if numbers else ""


def _totals(sweep: Sweep) -> str:
    totals = sweep.totals()
    return ", ".join(f"{stage} {done} of {planned}" for stage, (done, planned) in totals.items()) + " trials"


def _meter(done: int, planned: int, width: int = 12) -> str:
    filled = width * done // planned if planned else 0
    return f"{'━' * filled}{'╌' * (width - filled)} {done}/{planned}"
