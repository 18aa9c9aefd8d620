"""Whether a replay reproduces its trial. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.orchestration.replay.compare import Row
from sweeper.orchestration.replay.noise import Noise
from sweeper.results.record import TrialRecord

HEADLINES = ("objective", "test/argmax/minority/iou", "test/shifted/minority/iou")
"""What decides on a GPU: the score that was searched on, and those that a report quotes."""

_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


@dataclass(frozen=True)
class Verdict:
    """What a replay comes to."""

    reproduced: bool
    words: str


def judge(recorded: TrialRecord, replayed: TrialRecord, rows: Sequence[Row], noise: Noise) -> Verdict:
    """Judge a replay: bit for bit on a CPU, on a GPU against the seed noise where it is not bit for bit."""
    on_gpu = any((one.device or "").startswith("cuda") for one in (recorded, replayed))
    if replayed.status != recorded.status:
        return Verdict(False, f"not reproduced: recorded as {_ending(recorded)}, now {_ending(replayed)}")
    if recorded.reason != replayed.reason:
        like = _NUMBER.sub("#", recorded.reason or "") == _NUMBER.sub("#", replayed.reason or "")
        if not (like and on_gpu):
            return Verdict(False, f"not reproduced: recorded as {_ending(recorded)}, now {_ending(replayed)}")
        return Verdict(True, f"reproduced: {_ending(replayed)}, with other numbers in the reason")
    different = sum(row.different for row in rows)
    if not different:
        values = sum(row.count for row in rows)
        what = f"{_ending(replayed)}, " if recorded.status == "failed" else ""
        return Verdict(True, f"reproduced bit for bit: {what}all {values} values are equal")
    if not on_gpu or recorded.status == "failed":
        return Verdict(False, f"not reproduced: {different} of {sum(row.count for row in rows)} values differ")
    return _within_noise(rows, noise, different)


def _within_noise(rows: Sequence[Row], noise: Noise, different: int) -> Verdict:
    decisive = [row for row in rows if row.metric in HEADLINES and row.different]
    beyond = [
        row for row in decisive if row.difference is None or abs(row.difference) > noise.limits.get(row.metric, 0)
    ]
    if not beyond:
        return Verdict(True, f"reproduced within seed noise: {different} values differ, no headline by more than that")
    if not noise.limits:
        return Verdict(False, f"not reproduced bit for bit ({different} values differ), and {noise.words}")
    return Verdict(False, f"not reproduced: beyond seed noise are {', '.join(row.metric for row in beyond)}")


def _ending(record: TrialRecord) -> str:
    reason = f" ({record.reason})" if record.reason else ""
    return f"{record.status} after {record.epochs} epochs{reason}"
