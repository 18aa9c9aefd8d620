"""Whether a study that was disturbed ended as one that was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

import sweeper
from tests.faults.mlflow_server import Tracked
from tests.faults.study import Place

MEASURED = frozenset({"seconds", "started"})
"""Columns that differ from run to run; all others must not."""


@dataclass(frozen=True)
class Ended:
    """How a study ended, as far as two runs of it must agree."""

    tables: dict[str, pa.Table]
    journal: Counter[str]
    """How often each trial key stands in the journal, whole or not."""
    tracked: Tracked

    @classmethod
    def of(cls, place: Place, database: Path, experiment: str) -> Ended:
        results = sweeper.load_results(place.run)
        tables = {
            name: table.select([column for column in table.column_names if column not in MEASURED])
            for name, table in results.tables.items()
        }
        return cls(tables, journal_lines(place.journal), Tracked.read(database, experiment))

    @property
    def keys(self) -> Counter[str]:
        """How often each trial stands in the results."""
        return Counter(self.tables["trials"]["key"].to_pylist())


@dataclass(frozen=True)
class Verdict:
    """What differs from an undisturbed run; nothing should."""

    lost: int
    """Trials of the undisturbed run that the results, the journal or MLflow lack."""
    twice: int
    """Trials that stand in one of them more than once, or that the undisturbed run does not know."""
    problems: tuple[str, ...]


def compare(found: Ended, wanted: Ended) -> Verdict:
    """Hold a disturbed run against an undisturbed one."""
    problems: list[str] = []
    lost: set[str] = set()
    twice: set[str] = set()
    for where, counts in (("results", found.keys), ("journal", found.journal), ("MLflow", found.tracked.trials)):
        missing = wanted.keys.keys() - counts.keys()
        surplus = {key for key, count in counts.items() if count > 1 or key not in wanted.keys}
        lost |= missing
        twice |= surplus
        problems += [f"{where}: trial {key} is lost" for key in sorted(missing)]
        problems += [f"{where}: trial {key} stands there {counts[key]} times" for key in sorted(surplus)]
    for name, table in found.tables.items():
        if not table.equals(wanted.tables[name]):
            problems.append(f"results: the table {name} differs{_difference(table, wanted.tables[name])}")
    problems += _in_mlflow(found.tracked, wanted.tracked)
    return Verdict(len(lost), len(twice), tuple(problems))


def journal_lines(path: Path) -> Counter[str]:
    """Count the lines of each key. Read by hand: the reader of the journal takes the first of equal keys in silence."""
    keys = (line.split(b" ", 2)[1].decode(errors="replace") for line in path.read_bytes().splitlines())
    return Counter(keys)


def remains(place: Place) -> list[str]:
    """Return what a finished study should not leave behind: temporary files, checkpoints, scratch folders."""
    run = place.run
    found: list[Path] = []
    found += run.rglob(".*.tmp")
    found += run.rglob("*.sound")
    found += (run / "checkpoints").rglob("*")
    found += run.glob(".tune*")
    found += [path for name in ("outcome.json", "trouble.txt") for path in run.glob(f"trials/*/{name}")]
    found += (place.out / ".data").rglob(".*.tmp")
    found += (place.temporary / "tmp").glob("sweeper-*")
    return [f"left behind: {path}" for path in sorted(set(found))]


def _in_mlflow(found: Tracked, wanted: Tracked) -> Iterable[str]:
    if found.studies != 1:
        yield f"MLflow: {found.studies} runs of the study"
    if found.families != wanted.families:
        yield f"MLflow: family runs {dict(found.families)} instead of {dict(wanted.families)}"
    for key, content in wanted.content.items():
        other = found.content.get(key, content)
        for part, value in content.items():
            if other[part] != value:
                yield f"MLflow: the {part} of trial {key} differ{_difference(other[part], value)}"


def _difference(found: object, wanted: object) -> str:
    """Say in short where two values differ."""
    if isinstance(found, pa.Table) and isinstance(wanted, pa.Table):
        if found.num_rows != wanted.num_rows:
            return f": {found.num_rows} rows instead of {wanted.num_rows}"
        columns = [name for name in wanted.column_names if not found[name].equals(wanted[name])]
        return f" in {', '.join(columns)}"
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = sorted(str(name) for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        return f" in {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f": {found} instead of {wanted}"
