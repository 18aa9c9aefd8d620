"""What a study will cost on this machine, from a few training steps measured here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from sweeper.durations import duration
from sweeper.orchestration.cluster import Slots, allot, available_cores
from sweeper.orchestration.events import Listener, Silent
from sweeper.orchestration.footprint import Footprint, footprint
from sweeper.orchestration.needs import with_needs
from sweeper.orchestration.run import Checked
from sweeper.search.sweep import Sweep
from sweeper.training.sampling import steps_in_epoch

_FEW, _MORE = 2, 6
"""Steps of the two short epochs whose difference is the time of a step."""


@dataclass(frozen=True)
class Estimate:
    """Measured with one trial alone on the machine; trials side by side share memory bandwidth and take longer."""

    step: float
    """Seconds per training step."""
    validation: float
    """Seconds per validation."""
    trial: float
    """Seconds per trial, all epochs."""
    study: float
    """Seconds for all trials, `concurrent` at once. A rough figure: ASHA ends search trials earlier, trials side by
    side slow each other down, and starting and scoring are not in it."""
    slots: Slots
    family: str
    """What was measured: the study's first family, in its default setting."""


@dataclass(frozen=True)
class PlanReport:
    """What a study will do, and roughly what it costs here."""

    checked: Checked
    estimate: Estimate
    disk: Footprint

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data for `--json`."""
        plan, data = self.checked.plan, self.checked.data
        return {
            "study": plan.study.name,
            "data": {"name": data.name, "fingerprint": data.fingerprint, "background": data.background},
            "cells": [{"family": cell.family, "level": cell.level, "trials": cell.budget} for cell in plan.cells],
            "search_trials": plan.search_trials,
            "confirm_trials_at_most": plan.confirm_trials,
            "epochs_at_most": plan.epochs,
            "levels": [
                {
                    "split": split,
                    "level": level,
                    "weighting": weights.method,
                    "effective_patches": weights.effective,
                    "patches": len(weights.weights),
                }
                for (split, level), weights in self.checked.weights.items()
            ],
            "estimate": dataclasses.asdict(self.estimate),
            "disk": self.disk.to_dict(),
        }

    def to_text(self) -> str:
        """Return the plan as a person reads it."""
        plan, data, cost = self.checked.plan, self.checked.data, self.estimate
        study = plan.study
        names = {info.index: info.name for info in data.classes}
        lines = [
            f"study {study.name}: {len(study.families)} families, {len(study.levels)} levels",
            f"data {data.name}: background {names[data.background]}, "
            f"minority {', '.join(names[index] for index in data.minority)}; "
            + ", ".join(f"{len(split)} {name} patches" for name, split in data.splits.items()),
            "",
            f"{'family':<28}{'level':>7}{'search trials':>15}",
        ]
        lines += [f"{cell.family:<28}{cell.level:>7g}{cell.budget:>15}" for cell in plan.cells]
        lines += ["", f"{'level':<8}{'split':<8}{'weighting':<11}{'effective patches':>18}"]
        for level in study.levels:
            for split in data.splits:
                weights = self.checked.weights[split, level]
                effective = f"{weights.effective:.0f} of {len(weights.weights)}"
                lines.append(f"{level:<8g}{split:<8}{weights.method:<11}{effective:>18}")
        lines += [
            "",
            f"search:  {plan.search_trials} trials",
            f"confirm: at most {plan.confirm_trials} trials ({study.confirm.seeds} seeds)",
            f"cost:    about {duration(cost.trial)} per trial ({cost.step * 1000:.0f} ms per step, "
            f"{cost.validation:.1f} s per validation), {cost.slots.concurrent} at once: roughly "
            f"{duration(cost.study)} on this machine, measured with {cost.family}",
            f"disk:    {self.disk.to_text()}",
        ]
        return "\n".join(lines)


def estimate(checked: Checked, *, listener: Listener | None = None) -> PlanReport:
    """Time a few steps of one trial on this machine; takes seconds.

    What any of the study's losses needs is made first, and kept for the run: what cannot be had is said here already.

    Raises: DataError, LossError as `with_needs` does.
    """
    import torch

    from sweeper.training.trainer import Trainer

    plan = checked.plan
    study = plan.study
    shared = allot(study.resources, cpus=available_cores(), gpus=torch.cuda.device_count())
    proposal = Sweep(plan).next()
    assert proposal is not None, "a new sweep has a first trial"
    listener = listener or Silent()
    data = with_needs(checked.data, checked.needs, checked.folder, progress=listener.preparing)
    before = torch.get_num_threads()
    torch.set_num_threads(shared.cpu)
    try:
        seconds = {}
        for steps in (_FEW, _MORE):
            training = dataclasses.replace(proposal.trial.training, epochs=2, steps_per_epoch=steps)
            trainer = Trainer(
                dataclasses.replace(proposal.trial, training=training), data, device="cuda" if shared.gpu else "cpu"
            )
            seconds[steps] = [result.seconds for result in trainer.epochs()][-1]  # the first epoch warms up
    finally:
        torch.set_num_threads(before)
    step = max(0.0, (seconds[_MORE] - seconds[_FEW]) / (_MORE - _FEW))
    validation = max(0.0, seconds[_FEW] - _FEW * step)
    planned = study.training
    steps_per_epoch = steps_in_epoch(len(data.splits["train"]), planned.batch_size, planned.steps_per_epoch)
    trial = planned.epochs * (steps_per_epoch * step + validation)
    trials = plan.search_trials + plan.confirm_trials
    disk = footprint(
        plan,
        data,
        folder=checked.run_folder,
        cache=checked.folder,
        state=trainer.state(),
        concurrent=shared.concurrent,
    )
    cost = Estimate(step, validation, trial, trials * trial / shared.concurrent, shared, proposal.trial.family)
    return PlanReport(checked, cost, disk)
