"""Made-up studies for the tests of results and tracking. Nothing here is computed by the code under test."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from sweeper.results.margins import BINS, PROBABILITY_BINS
from sweeper.results.record import MarginCounts, ReliabilityBin, Score, TrialRecord

CLASSES = ("background", "Land (unpaved area)", "minority", "ligne/été #2", "water.a", "Water A")
"""Names that a tracking server refuses, confuses, or compares as equal."""


def make_record(key: str = "k0", **changes: Any) -> TrialRecord:
    """A small completed search trial; any field may be changed."""
    fields: dict[str, Any] = {
        "key": key,
        "study": "odd 'names'",
        "family": "tversky",
        "loss_level": "region",
        "overlap": "overlap-aware",
        "tradeoff": "tunable",
        "hyperparameters": {"alpha": 0.3, "beta": 0.7},
        "is_default": False,
        "stage": "search",
        "number": 0,
        "level": 0.97,
        "seed": 0,
        "status": "completed",
        "epochs": 2,
        "planned_epochs": 2,
        "objective": 0.5,
        "seconds": 1.25,
        "started": "2026-11-21T08:00:00+00:00",
        "history": ({"epoch": 1, "train_loss": 0.9, "seconds": 0.6}, {"epoch": 2, "train_loss": 0.4, "seconds": 0.65}),
        "scores": (Score("val", "argmax", None, "(minority)", "iou", 0.5),),
    }
    return TrialRecord(**(fields | changes))


def make_study(seed: int = 0, trials: int = 3, images: int = 2) -> tuple[list[TrialRecord], dict[str, Any]]:
    """Two families × two levels: completed, stopped and failed search trials, confirm trials with scores per image.

    Odd class names, absent classes (null scores), long reasons, hyperparameters of every plain type.
    """
    rng = random.Random(seed)
    records = []
    for family, tuned in (("tversky", {"alpha": 0.1 + 0.2, "beta": 0.7}), ("my_pkg.losses:odd", {})):
        for level in (0.97, 0.99):
            for number in range(trials):
                status = ("completed", "stopped", "failed")[number % 3]
                setting = {**tuned, "gamma": number, "steps": 5.0, "mode": "a'b\"c", "flag": True, "none": None}
                records.append(
                    make_record(
                        f"s{len(records):03x}",
                        family=family,
                        hyperparameters={**setting, "training.lr": rng.random() / 1000},
                        is_default=number == 0,
                        number=number,
                        level=level,
                        level_val=level + 1e-4,
                        weighting_val="mixture",
                        ess_val=rng.random() * 500,
                        status=status,
                        reason="loss is NaN: " + "ß" * 9000 if status == "failed" else None,
                        objective=None if status == "failed" else rng.random(),
                        offset=rng.uniform(-4, 4),
                        seconds=rng.random() * 10,
                        scores=() if status == "failed" else tuple(_pooled(rng, ("val",))),
                    )
                )
            best = next(r for r in records if (r.family, r.level, r.number) == (family, level, 0))
            for confirm_seed in range(2):
                records.append(
                    make_record(
                        f"c{len(records):03x}",
                        family=family,
                        hyperparameters=best.hyperparameters,
                        stage="confirm",
                        number=None,
                        level=level,
                        seed=confirm_seed,
                        device="cpu",
                        precision="fp32",
                        started=None,
                        objective=rng.random(),
                        scores=(*_pooled(rng, ("val", "test")), *_by_image(rng, images)),
                        history=_history(rng, epochs=2),
                        margins=tuple(_margins(rng, images)),
                        reliability=tuple(_reliability(rng)),
                    )
                )
    return records, make_meta(records)


def _pooled(rng: random.Random, splits: tuple[str, ...]) -> list[Score]:
    return [
        Score(split, point, None, name, metric, None if rng.random() < 0.2 else rng.random())
        for split in splits
        for point in ("argmax", "shifted")
        for name in ("(minority)", *CLASSES)
        for metric in ("iou", "f1", "precision", "recall", "specificity")
    ]


def _by_image(rng: random.Random, images: int) -> list[Score]:
    return [
        Score("test", "argmax", f"scan {image}", name, metric, None if rng.random() < 0.1 else rng.random() * 4096)
        for image in range(images)
        for name in CLASSES
        for metric in ("tp", "fp", "fn", "tn")
    ]


def _history(rng: random.Random, epochs: int) -> tuple[dict[str, float], ...]:
    """Validation scores that are undefined in the first epoch are left out of it, as a trainer does."""
    rows = []
    for epoch in range(1, epochs + 1):
        row = {"epoch": epoch, "train_loss": rng.random(), "seconds": rng.random(), "minority_iou": rng.random()}
        rows.append(row if epoch == 1 else {**row, "minority_f1": rng.random(), "mean_iou": 0.1 + 0.2})
    return tuple(rows)


def _margins(rng: random.Random, images: int) -> list[MarginCounts]:
    """Counts that float32 cannot hold exactly; the order is not the one of the tables."""
    return [
        MarginCounts(
            split=split,
            image=image,
            pixels=rng.random() * 4096,
            target=rng.random() * 50,
            found=tuple(rng.random() for _ in range(BINS)),
            alarms=tuple(0.0 if index % 2 else rng.random() for index in range(BINS)),
        )
        for split, image in [*(("test", f"scan {index}") for index in reversed(range(images))), ("val", None)]
    ]


def _reliability(rng: random.Random) -> list[ReliabilityBin]:
    """Every third bin is empty."""
    return [
        ReliabilityBin("test", index, 0.0, None, None)
        if index % 3 == 0
        else ReliabilityBin("test", index, rng.random() * 4096, rng.random(), rng.random())
        for index in range(PROBABILITY_BINS)
    ]


def make_meta(records: Iterable[TrialRecord] | None = None) -> dict[str, Any]:
    """The meta data of the study while it runs, or of the finished one that consists of `records`."""
    dial = {"symbol": "α", "effect": "recall up", "domain": {"uniform": [0.05, 0.95]}, "default": 0.5}
    family = {
        "title": "Tversky",
        "level": "region",
        "overlap": "overlap-aware",
        "tradeoff": "tunable",
        "formula": "1 − TP / (TP + α FP + β FN)",
        "source": "arXiv:1706.05721",
        "hyperparameters": {"alpha": dial},
    }
    splits = {name: {"pictures": 3, "patches": 40, "natural_level": 0.98} for name in ("train", "val", "test")}
    return {
        "study": {
            "name": "odd 'names'",
            "families": {"tversky": {"alpha": {"uniform": [0.05, 0.95]}}, "my_pkg.losses:odd": {}},
            "model": {"arch": "unet", "encoder": "resnet18", "weights": None},
            "training": {"epochs": 2, "batch_size": 16, "lr": {"log_uniform": [1e-4, 1e-2]}},
            "search": {"trials": 3, "metric": "minority_iou", "mode": "max"},
        },
        "families": {"tversky": family, "my_pkg.losses:odd": {**family, "title": "Odd", "hyperparameters": {}}},
        "data": {
            "name": "made up",
            "fingerprint": "f" * 64,
            "classes": [{"index": i, "name": name, "color": "#000000"} for i, name in enumerate(CLASSES)],
            "background": 0,
            "minority": [1, 2, 3, 4, 5],
            "patch": 64,
            "splits": splits,
        },
        "levels": [0.97, 0.99],
        "reference": 0.97,
        "versions": {"python": "3.11", "sweeper": "0.1.0"},
        "host": {"cores": 2, "gpu": None},
        "command": "sweeper run study.yaml",
        "created": "2026-11-21T08:00:00+00:00",
        "selection": "highest minority IoU",
        "ledger": [],
        "trials": None if records is None else sorted(record.key for record in records),
    }
