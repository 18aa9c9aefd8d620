"""A tracker that keeps trials in memory: for tests, notebooks and dry runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from sweeper.results.record import TrialRecord


@dataclass
class MemoryTracker:
    """Keeps each trial once, in the order of arrival."""

    records: list[TrialRecord] = field(default_factory=list)
    noticed: list[str] = field(default_factory=list)

    def record(self, record: TrialRecord) -> None:
        if record.key not in self.finished():
            self.records.append(record)

    def finished(self) -> set[str]:
        return {record.key for record in self.records}
