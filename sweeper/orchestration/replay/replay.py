"""`sweeper replay`: one recorded trial run again and set beside its record. Knows nothing of Ray."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sweeper.errors import UserError
from sweeper.orchestration.meta import versions
from sweeper.orchestration.replay.compare import Row, Value, compare, not_recorded
from sweeper.orchestration.replay.find import Found, describe, find
from sweeper.orchestration.replay.noise import Noise, seed_noise
from sweeper.orchestration.replay.rerun import Progress, make_job, nondeterministic_operators, rerun
from sweeper.orchestration.replay.verdict import Verdict, judge
from sweeper.results.record import TrialRecord

DECIDES = ("python", "sweeper", "torch", "segmentation-models-pytorch", "numpy")
"""Packages that a trial's numbers may depend on."""


@dataclass(frozen=True)
class Replay:
    """A recorded trial and its replay."""

    folder: Path
    recorded: TrialRecord
    replayed: TrialRecord
    rows: tuple[Row, ...]
    unrecorded: tuple[str, ...]
    """Metrics that only the replay has."""
    noise: Noise
    circumstances: tuple[str, ...]
    """What is not as it was, or is not known to be, one sentence each."""
    operators: tuple[str, ...] | None
    """Operators that may give other bits each time; None where they were not looked for, on a CPU."""
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        return {
            "key": self.recorded.key,
            "run": str(self.folder),
            "trial": describe(self.recorded),
            "reproduced": self.verdict.reproduced,
            "verdict": self.verdict.words,
            "status": {"recorded": self.recorded.status, "replayed": self.replayed.status},
            "reason": {"recorded": self.recorded.reason, "replayed": self.replayed.reason},
            "epochs": {"recorded": self.recorded.epochs, "replayed": self.replayed.epochs},
            "device": {"recorded": self.recorded.device, "replayed": self.replayed.device},
            "circumstances": list(self.circumstances),
            "nondeterministic_operators": None if self.operators is None else list(self.operators),
            "noise": self.noise.words,
            "unrecorded": list(self.unrecorded),
            "metrics": [{**row.to_dict(), "noise": self.noise.limits.get(row.metric)} for row in self.rows],
        }

    def to_text(self) -> str:
        """Return the replay as a person reads it: single scores and all that differs in full, the rest as a count."""
        lines = [f"trial {self.recorded.key}: {describe(self.recorded)}"]
        lines += [f"  {one}" for one in self.circumstances]
        shown = [row for row in self.rows if row.different or row.place is None]
        if shown:
            width = max(len(_name(row)) for row in shown)
            lines += ["", f"{'':<{width}}  {'recorded':>12}{'replayed':>12}{'difference':>12}{'noise':>10}"]
            lines += [_line(row, self.noise.limits.get(row.metric), width) for row in shown]
        equal = [row for row in self.rows if row not in shown]
        if equal:
            lines += ["", f"equal in every value: {_counted(equal)}"]
        if self.unrecorded:
            lines.append(f"not recorded at the time: {', '.join(self.unrecorded)}")
        lines.append("")
        if self.operators is not None:
            named = ", ".join(self.operators) or "none that torch knows of"
            lines.append(
                f"operators without a deterministic implementation: {named}; cuDNN's convolutions may vary too"
            )
        if any(row.different for row in self.rows):
            lines.append(f"noise: {self.noise.words}")
        return "\n".join([*lines, self.verdict.words])


def replay(
    key: str,
    *,
    run: Path | None = None,
    out: Path = Path("runs"),
    device: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Run one recorded trial again and compare. Nothing is written into the run folder.

    Args:
        key: The trial's key, or as much of its beginning as no other trial shares.
        run: Its run folder; None looks through those in `out`.
        out: Folder of run folders.
        device: `cpu` or `cuda`; None is the kind it was recorded on.
        threads: Of the CPU; None is as many as it was recorded with. Another number gives other last bits.
        progress: Called after every epoch.

    Raises: UserError, as `find` does and for a device that is not there.
    """
    found = find(key, run, out)
    where = _device(found.record, device)
    used = threads or found.threads or found.study.resources.cpu
    job = make_job(
        # What `auto` came to is part of the record, and another device might decide otherwise.
        _in_precision(found),
        data=found.data,
        needs=found.needs,
        metric=found.study.search.metric,
        threads=used,
        device=where,
    )
    replayed = rerun(job, found.record, progress=progress)
    compared = compare(found.record, replayed)
    noise = seed_noise(found.record, found.peers)
    return Replay(
        folder=found.folder.path,
        recorded=found.record,
        replayed=replayed,
        rows=compared,
        unrecorded=tuple(not_recorded(found.record, replayed)),
        noise=noise,
        circumstances=tuple(_circumstances(found, replayed, used, versions())),
        operators=nondeterministic_operators(job) if where == "cuda" else None,
        verdict=judge(found.record, replayed, compared, noise),
    )


def _device(record: TrialRecord, wanted: str | None) -> str:
    """Return `cpu` or `cuda`. Raises: UserError when there is no GPU and one is needed."""
    device = wanted or (record.device or "cpu").partition(":")[0]
    if device == "cuda" and not torch.cuda.is_available():
        why = "--device" if wanted else f"trial {record.key} was recorded on {record.device}"
        raise UserError(
            f"{why}: torch sees no GPU here; replay it on a machine with one, or give --device cpu to see how far "
            "another device takes it"
        )
    return device


def _in_precision(found: Found) -> Any:
    precision: Any = found.record.precision
    if precision is None:
        return found.trial
    return dataclasses.replace(found.trial, training=dataclasses.replace(found.trial.training, precision=precision))


def _circumstances(found: Found, replayed: TrialRecord, threads: int, now: Mapping[str, str]) -> list[str]:
    """Say what is not as it was when the trial was recorded, and what cannot be known to be."""
    record, said = found.record, []
    device = replayed.device or record.device
    said.append(f"replayed on {device}, {replayed.precision or record.precision}, {_threads(threads)}")
    if replayed.device is not None and replayed.device != record.device:
        said.append(f"recorded on {record.device}: another device, so other last bits are to be expected")
    if found.threads is None:
        said.append(f"how many threads it was recorded with is not known; {_threads(threads)} taken from the study")
    elif found.threads != threads:
        said.append(f"recorded with {_threads(found.threads)}: another number gives other last bits on a CPU")
    others = [
        f"{name} {then}, now {now.get(name)}" for name, then in found.versions.items() if _decides(name, then, now)
    ]
    whose = "recorded with" if found.versions_known else "the study's last start had"
    if others:
        said.append(f"{whose} {'; '.join(others)}")
    elif not found.versions_known:
        said.append(
            "it is of an earlier start than the last, whose versions are not kept; those of the last are as now"
        )
    return said


def _decides(name: str, then: str, now: Mapping[str, str]) -> bool:
    return name in DECIDES and now.get(name) != then


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"


def _name(row: Row) -> str:
    return row.metric if row.place is None else f"{row.metric} ({row.different} of {row.count}; {row.place})"


def _line(row: Row, noise: float | None, width: int) -> str:
    difference = "=" if not row.different else "" if row.difference is None else f"{row.difference:+.2e}"
    limit = "" if noise is None else f"{noise:.1e}"
    values = f"{_value(row.recorded):>12}{_value(row.replayed):>12}"
    return f"{_name(row):<{width}}  {values}{difference:>12}{limit:>10}".rstrip()


def _value(value: Value) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, bool) else f"{value:.6g}"


def _counted(rows: list[Row]) -> str:
    """Return how many metrics of each kind there are, and how many values: `20 per class (60 values)`."""
    kinds: dict[str, list[int]] = {}
    for row in rows:
        kinds.setdefault(_kind(row.metric), []).append(row.count)
    return ", ".join(f"{len(counts)} {kind} ({sum(counts)} values)" for kind, counts in kinds.items())


def _kind(metric: str) -> str:
    for kind in ("per class", "per picture"):
        if metric.endswith(kind):
            return f"scores {kind}"
    return next((f"of the {kind}" for kind in ("history", "margins", "reliability") if kind in metric), "others")
