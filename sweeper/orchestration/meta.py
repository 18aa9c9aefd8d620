"""What a study says about itself beside its tables: data, families, versions, host, budget."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sweeper.data.patches import Prepared, Skipped
from sweeper.domains import domain_spec
from sweeper.losses.catalogue import family
from sweeper.results.meta import Meta, plain
from sweeper.search.halving import rungs
from sweeper.search.sweep import Sweep
from sweeper.study.schema import Study
from sweeper.tracking.uri import redact

PACKAGES = ("torch", "segmentation-models-pytorch", "ray", "optuna", "mlflow", "pyarrow", "numpy")


def build_meta(
    sweep: Sweep,
    data: Prepared,
    artefacts: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    command: str | None = None,
    slot: Mapping[str, float] | None = None,
) -> Meta:
    """Return the meta data of a study as it stands.

    Args:
        artefacts: How well each network that losses rely on was trained on the data, by name.
        command: How the study was started.
        slot: What of the machine every trial took, where that is known.
    """
    study = sweep.plan.study
    resolved = study.to_dict()
    if study.tracking.uri is not None:
        resolved["tracking"]["uri"] = redact(study.tracking.uri)
    return plain(  # type: ignore[return-value]
        {
            "study": resolved,
            "families": {name: _family(name, study) for name in study.families},
            "data": _data(data) | ({"artefacts": artefacts} if artefacts else {}),
            "levels": list(study.levels),
            "reference": study.reference,
            "versions": versions(),
            "host": {"cores": os.cpu_count() or 1, "gpu": _gpu(sweep)},
            **({} if slot is None else {"slot": slot}),
            "command": command or "sweeper.run(study), from Python",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "selection": selection_rule(study),
            "ledger": sweep.ledger(),
            "trials": sorted(record.key for record in sweep.current()) if sweep.done else None,
        }
    )


def selection_rule(study: Study) -> str:
    """Say which epoch and which setting the scores are of, as every table prints it."""
    search, confirm = study.search, study.confirm
    where = "at every level" if search.levels == "all" else f"at level {study.reference:g}, used at every level"
    stages = rungs(study.training.epochs)
    stopping = (
        "ASHA stops search trials that are not in the best third of their cell after epoch "
        + ", ".join(str(epoch) for epoch in stages)
        if search.stopping == "asha" and stages
        else "no trial is stopped early"
    )
    return (
        f"Setting: best {search.metric} on validation at the last of {study.training.epochs} epochs among at most "
        f"{search.trials} trials per family, searched {where}; {stopping}. "
        f"Scores: last epoch, on test, mean of {confirm.seeds} fresh seeds."
    )


def versions() -> dict[str, str]:
    """Return the versions that results may depend on."""
    found = {"python": platform.python_version(), "sweeper": _version("sweeper")}
    found.update((name, _version(name)) for name in PACKAGES)
    return found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _family(name: str, study: Study) -> dict[str, Any]:
    known = family(name)
    defaults = known.defaults
    return {
        "title": known.title,
        "level": known.level,
        "overlap": known.overlap,
        "tradeoff": known.tradeoff,
        "formula": known.formula,
        "source": known.source,
        "hyperparameters": {
            key: {
                "symbol": dial.symbol,
                "effect": dial.effect,
                "domain": domain_spec(study.families[name][key]),
                "default": defaults[key],
            }
            for key, dial in known.hyperparameters.items()
        },
    }


def _data(data: Prepared) -> dict[str, Any]:
    splits = {}
    for name, split in data.splits.items():
        pixels = split.counts.sum()
        splits[name] = {
            "pictures": len(split.stems),
            "patches": len(split),
            "natural_level": float(split.counts[:, data.background].sum() / pixels),
        }
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "classes": [{"index": one.index, "name": one.name, "color": one.color} for one in data.classes],
        "background": data.background,
        "minority": list(data.minority),
        "patch": data.patch,
        "splits": splits,
    } | ({"skipped": [_skipped(one) for one in data.skipped]} if data.skipped else {})


def _skipped(one: Skipped) -> dict[str, str]:
    return {"split": one.split, "picture": one.stem, "reason": one.reason}


def _gpu(sweep: Sweep) -> str | None:
    """Return the GPU the trials say they ran on; the driver itself may have none."""
    devices = {one.device for one in sweep.recorded.values() if one.device and not one.device.startswith("cpu")}
    return ", ".join(sorted(devices)) or None
