"""What the long run found: a line per study as it ends, and the table of all."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.playing import Story
from tests.faults.schedule import KINDS
from tests.faults.verdict import Verdict


@dataclass(frozen=True)
class Entry:
    """One study that was disturbed."""

    seed: int
    study: int
    """Its number; with the seed it decides what befalls it."""
    date: str
    strikes: tuple[Mapping[str, Any], ...]
    """As `playing.Strike`."""
    codes: tuple[int, ...]
    seconds: float
    lost: int
    twice: int
    problems: tuple[str, ...]

    @classmethod
    def of(
        cls, seed: int, study: int, date: str, story: Story, verdict: Verdict | None, remains: Sequence[str]
    ) -> Entry:
        """Put a study's story and its verdict together; no verdict where it did not come to its end."""
        problems = [*story.problems, *(verdict.problems if verdict else ()), *remains]
        return cls(
            seed,
            study,
            date,
            tuple(asdict(strike) for strike in story.strikes),
            tuple(story.codes),
            story.seconds,
            verdict.lost if verdict else 0,
            verdict.twice if verdict else 0,
            tuple(problems),
        )

    @property
    def survived(self) -> bool:
        return not self.problems


def append(path: Path, entry: Entry) -> None:
    """Add a line; it is on disk when this returns. Where the last one was cut short, it begins a new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps(asdict(entry)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path, seed: int) -> list[Entry]:
    """Return the studies of a seed that were played before; a line cut short is none."""
    found: dict[int, Entry] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                plain = json.loads(line)
            except ValueError:
                continue
            named = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
            entry = Entry(**named)
            if entry.seed == seed:
                found[entry.study] = entry
    return list(found.values())


@dataclass(frozen=True)
class Row:
    """What became of one kind of injection."""

    kind: str
    injected: int
    survived: int
    """Injected into studies that ended as if nothing had happened."""
    lost: int
    """Trials lost by studies this kind was injected into."""
    twice: int


def rows(entries: Iterable[Entry]) -> list[Row]:
    """Return a row per kind in the order of `KINDS`, and their sum in the end."""
    entries = list(entries)
    found = []
    for kind in KINDS:
        counts = [(entry, sum(strike["kind"] == kind for strike in entry.strikes)) for entry in entries]
        hit = [(entry, count) for entry, count in counts if count]
        found.append(
            Row(
                kind,
                injected=sum(count for _, count in hit),
                survived=sum(count for entry, count in hit if entry.survived),
                lost=sum(entry.lost for entry, _ in hit),
                twice=sum(entry.twice for entry, _ in hit),
            )
        )
    total = Row(
        "all",
        injected=sum(row.injected for row in found),
        survived=sum(row.survived for row in found),
        lost=sum(entry.lost for entry in entries),
        twice=sum(entry.twice for entry in entries),
    )
    return [*found, total]


def facts(seed: int, entries: Sequence[Entry], versions: Mapping[str, str]) -> dict[str, Any]:
    """Return all numbers of a run as plain JSON."""
    return {
        "seed": seed,
        "first": min((entry.date for entry in entries), default=None),
        "last": max((entry.date for entry in entries), default=None),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "versions": dict(versions),
        "studies": len(entries),
        "survived": sum(entry.survived for entry in entries),
        "starts": sum(len(entry.codes) for entry in entries),
        "seconds": round(sum(entry.seconds for entry in entries)),
        "rows": [asdict(row) for row in rows(entries)],
        "failed": [{"study": one.study, "problems": list(one.problems)} for one in entries if not one.survived],
    }


def markdown(found: Mapping[str, Any]) -> str:
    """Return the page that is published: the table, what was compared, and how to do it again."""
    lines = [
        "# Faults injected, and what was lost",
        "",
        f"{found['studies']} small studies through the real command line, Ray and an MLflow server, started "
        f"{found['starts']} times in {found['seconds'] / 3600:.1f} hours; {found['survived']} ended as if nothing had "
        "happened.",
        "",
        "| injected | times | survived | trials lost | trials twice |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        cells = [str(row[name]) for name in ("injected", "survived", "lost", "twice")]
        if row["kind"] == "all":
            lines.append("| " + " | ".join(f"**{cell}**" for cell in ["all", *cells]) + " |")
        else:
            lines.append("| " + " | ".join([f"{row['kind']}: {KINDS[row['kind']]}", *cells]) + " |")
    lines += [
        "",
        "Survived: the same command was started again until it ended, and `sweeper sync` followed. The five tables of "
        "results equal those of an undisturbed run bit for bit but for times; every trial stands once in the results, "
        "the journal and MLflow, there with equal parameters and metrics; exit codes are those documented; there is no "
        "traceback; no process, temporary file or checkpoint is left. A trial counts as lost or twice for every kind "
        "that befell its study.",
        "",
        f"Made by `make faults SEED={found['seed']}`, {found['first']} to {found['last']}, on {found['machine']}; "
        + ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        + ". The seed decides what strikes after how many recorded trials; the moment within is the machine's.",
    ]
    for failed in found["failed"]:
        again = f"make faults SEED={found['seed']} STUDY={failed['study']}"
        lines += ["", f"## Study {failed['study']} (`{again}`)", ""]
        lines += [f"- {problem.splitlines()[0]}" for problem in failed["problems"]]
    return "\n".join(lines) + "\n"
