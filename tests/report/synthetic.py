"""Made-up results with the shape of real ones: plausible scores, known truths, every edge a report must survive.

The pooled scores are worked out here from the counts with plain Python sums, so that they are an oracle for what the
report pools again with numpy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sweeper.results.margins import BINS, OFFSETS, PROBABILITY_BINS
from sweeper.results.results import Results
from sweeper.results.schema import (
    COUNT_METRICS,
    CURVE_METRICS,
    EPOCHS,
    MARGINS,
    MINORITY,
    POOLED_METRICS,
    RELIABILITY,
    SCORES,
    TRIALS,
)

REFERENCE = 0.97
LEVELS = (0.90, 0.95, 0.97, 0.99)
CLASSES = ("background", "curve 1", "curve 2")


@dataclass(frozen=True)
class Shape:
    """One made-up family: its place on the axes, its dials, and how it behaves as the imbalance grows."""

    title: str
    level: str
    overlap: str
    tradeoff: str
    dials: Mapping[str, tuple[str, Any, Any]]
    """name: (symbol, domain spec, default)"""
    recall: float
    """At level 0.90."""
    precision: float
    slope: float
    """Recall lost per halving of the foreground."""


SHAPES: dict[str, Shape] = {
    "cross_entropy": Shape("Cross-entropy", "pixel", "per-pixel", "symmetric", {}, 0.72, 0.86, 0.13),
    "focal": Shape("Focal loss", "pixel", "per-pixel", "class-weighted",
                   {"gamma": ("γ", {"uniform": [0.0, 5.0]}, 2.0), "alpha": ("α", {"uniform": [0.05, 0.95]}, 0.25)},
                   0.74, 0.82, 0.09),
    "dice": Shape("Dice loss", "region", "overlap-aware", "symmetric", {}, 0.78, 0.78, 0.035),
    "tversky": Shape("Tversky loss", "region", "overlap-aware", "tunable",
                     {"alpha": ("α", {"complement": "beta"}, 0.3), "beta": ("β", {"uniform": [0.05, 0.95]}, 0.7)},
                     0.86, 0.70, 0.025),
    "lovasz_softmax": Shape("Lovász-Softmax", "region", "overlap-aware", "symmetric", {}, 0.77, 0.79, 0.04),
    "combo": Shape("Combo loss", "combination", "mixed", "tunable",
                   {"weight": ("w", {"log_uniform": [0.01, 1.0]}, 0.5), "beta": ("β", {"uniform": [0.1, 0.9]}, 0.5)},
                   0.76, 0.80, 0.05),
}  # fmt: skip


def synthetic(
    families: int | Iterable[str] | Mapping[str, Shape] = 6,
    *,
    levels: Sequence[float] = LEVELS,
    seeds: int = 3,
    images: int = 12,
    trials: int = 8,
    searched: str = "reference",
    confirm: bool = True,
    failing: Iterable[str] = (),
    collapsing: Iterable[str] = (),
    absent: str | None = None,
    missing: Iterable[tuple[str, float]] = (),
    gain: Mapping[str, float] | None = None,
    rename: Mapping[str, str] | None = None,
    curves: bool = False,
    extras: bool = True,
    study: str = "made-up",
    seed: int = 0,
) -> Results:
    """Make a study's results.

    Args:
        families: How many (beyond six, copies are numbered), which of `SHAPES`, or shapes of their own.
        searched: `reference` or `all`, as `search.levels` of a study.
        confirm: Without, the study stopped after its search.
        failing: Families whose every trial failed.
        collapsing: Families that never predict a minority pixel.
        absent: A class no test picture shows.
        missing: (family, level) whose confirm trials are not there yet.
        gain: Recall added to a family's own, for differences of known sign.
        rename: Family names to replace, e.g. by one with HTML in it.
        curves: Score the recovered curves too: `curve_rows` says how.
        extras: With epochs, margins, reliability and the scores of whole pictures; without, as old results are.
    """
    shapes = _shapes(families)
    rename = rename or {}
    rng = np.random.default_rng(seed)
    reference = min(levels, key=lambda level: abs(level - REFERENCE))
    sizes = {name: rng.integers(60, 400, images) for name in CLASSES[1:]}
    luck = rng.normal(0, 0.25, images)
    trial_rows: list[dict[str, Any]] = []
    score_rows: list[tuple[Any, ...]] = []
    ledger: list[dict[str, Any]] = []
    epoch_rows: list[dict[str, Any]] = []
    margin_rows: list[dict[str, Any]] = []
    reliability_rows: list[dict[str, Any]] = []

    for name, shape in shapes.items():
        shown = rename.get(name, name)
        fails = name in failing
        search_levels = levels if searched == "all" else (reference,)
        free = {dial: spec for dial, (_, spec, _) in shape.dials.items() if isinstance(spec, dict)}
        number_of_trials = trials if any("complement" not in spec for spec in free.values()) else 1
        chosen: dict[float, dict[str, Any]] = {}
        for level in search_levels:
            best = -1.0
            cell = {"family": shown, "level": level, "trials": 0, "completed": 0, "stopped": 0, "failed": 0,
                    "epochs": 0, "seconds": 0.0}  # fmt: skip
            for number in range(number_of_trials):
                values = _sample(shape, rng, first=number == 0)
                recall, precision = _behaviour(shape, level, values, gain=(gain or {}).get(name, 0.0))
                if name in collapsing:
                    recall, precision = 0.0, None
                objective = 0.0 if not recall or not precision else 1 / (1 / recall + 1 / precision - 1)
                objective = max(0.0, objective + float(rng.normal(0, 0.004)))
                status = "failed" if fails or (number == 5) else "stopped" if number % 3 == 2 else "completed"
                epochs = {"failed": 2, "stopped": 9, "completed": 30}[status]
                key = _key(name, level, number)
                trial_rows.append(_trial(study, shown, shape, key, "search", level, 0, status, epochs, values,
                                         number=number, default=number == 0,
                                         objective=None if status == "failed" else objective))  # fmt: skip
                if extras:
                    epoch_rows += history_rows(key, epochs, recall, precision)
                cell["trials"] += 1
                cell[status] += 1
                cell["epochs"] += epochs
                cell["seconds"] += epochs * 1.5
                if status == "failed":
                    continue
                score_rows += validation_rows(key, recall, precision, iou=objective)
                if status == "completed" and objective > best:
                    best, chosen[level] = objective, values
            ledger.append(cell)
        if not confirm or fails:
            continue
        for level in levels:
            if (name, level) in missing:
                continue
            tuned = chosen.get(level, chosen.get(reference, _defaults(shape)))
            settings = [(tuned, True, tuned == _defaults(shape))]
            if tuned != _defaults(shape):
                settings.append((_defaults(shape), False, True))
            for values, is_tuned, is_default in settings:
                for confirm_seed in range(1000, 1000 + seeds):
                    key = _key(name, level, confirm_seed, is_tuned)
                    recall, precision = _behaviour(shape, level, values, gain=(gain or {}).get(name, 0.0))
                    seed_luck = float(np.random.default_rng([confirm_seed, len(name)]).normal(0, 0.06))
                    trial_rows.append(_trial(study, shown, shape, key, "confirm", level, confirm_seed, "completed", 30,
                                             values, default=is_default, tuned=is_tuned, objective=recall,
                                             offset=0.4))  # fmt: skip
                    if extras:
                        epoch_rows += history_rows(key, 30, recall, precision)
                        reliability_rows += reliability(key, recall, level)
                    if name in collapsing:
                        score_rows += validation_rows(key, 0.0, None)
                    else:
                        found = 1 / (1 + np.exp(-(np.log(recall / (1 - recall)) + seed_luck)))
                        score_rows += validation_rows(key, float(found), precision)
                    for point, shift in (("argmax", 0.0), ("shifted", 0.35)):
                        counts = {
                            klass: _counts(sizes[klass], recall, precision, luck + seed_luck, shift, level,
                                           collapsed=name in collapsing, absent=klass == absent)
                            for klass in CLASSES[1:]
                        }  # fmt: skip
                        score_rows += _score_rows(key, point, counts)
                        if extras:
                            score_rows += surface_rows(key, point, counts, recall)
                        if extras and point == "argmax":
                            margin_rows += margin_counts(key, counts)
                        if curves:
                            score_rows += curve_rows(key, point, confirm_seed)
    meta = _meta(shapes, rename, levels, reference, study, searched, trials, seeds, ledger)
    return Results(
        trials=pa.Table.from_pylist(trial_rows, schema=TRIALS),
        scores=pa.table({field.name: pa.array(column, field.type) for field, column
                         in zip(SCORES, zip(*score_rows, strict=True), strict=True)}, schema=SCORES)
        if score_rows else SCORES.empty_table(),
        meta=meta,
        epochs=pa.Table.from_pylist(epoch_rows, schema=EPOCHS),
        margins=pa.Table.from_pylist(margin_rows, schema=MARGINS),
        reliability=pa.Table.from_pylist(reliability_rows, schema=RELIABILITY),
    )  # fmt: skip


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _shapes(families: int | Iterable[str] | Mapping[str, Shape]) -> dict[str, Shape]:
    if isinstance(families, Mapping):
        return dict(families)
    if not isinstance(families, int):
        return {name: SHAPES[name] for name in families}
    names = list(SHAPES)
    shapes = {}
    for index in range(families):
        base = names[index % len(names)]
        copy = index // len(names)
        shapes[base if not copy else f"{base}_v{copy + 1}"] = SHAPES[base]
    return shapes


def _defaults(shape: Shape) -> dict[str, Any]:
    return {dial: default for dial, (_, _, default) in shape.dials.items()}


def _sample(shape: Shape, rng: np.random.Generator, *, first: bool) -> dict[str, Any]:
    values = _defaults(shape)
    if first:
        return values
    for dial, (_, spec, _) in shape.dials.items():
        if "uniform" in spec:
            values[dial] = float(rng.uniform(*spec["uniform"]))
        elif "log_uniform" in spec:
            low, high = spec["log_uniform"]
            values[dial] = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    for dial, (_, spec, _) in shape.dials.items():
        if "complement" in spec:
            values[dial] = round(1 - values[spec["complement"]], 12)
    return values


def _behaviour(shape: Shape, level: float, values: Mapping[str, Any], *, gain: float) -> tuple[float, float | None]:
    halvings = np.log2(0.10 / (1 - level))
    tilt = 0.0
    if "beta" in values:
        tilt += 0.5 * (values["beta"] - 0.6)
    if "gamma" in values:
        tilt -= 0.02 * (values["gamma"] - 1.0) ** 2
    recall = float(np.clip(shape.recall - shape.slope * halvings + 0.5 * tilt + gain, 0.03, 0.97))
    precision = float(np.clip(shape.precision - 0.03 * halvings - 0.6 * abs(tilt), 0.05, 0.97))
    return recall, precision


def _counts(sizes: Any, recall: float, precision: float | None, luck: Any, shift: float, level: float, *,
            collapsed: bool, absent: bool) -> list[tuple[float, float, float, float]]:  # fmt: skip
    weight = (1 - level) / 0.03
    rows = []
    for size, offset in zip(sizes, luck, strict=True):
        truth = 0.0 if absent else float(size)
        found = 0.0 if collapsed else float(1 / (1 + np.exp(-(np.log(recall / (1 - recall)) + offset + shift))))
        tp = truth * found
        purity = 1.0 if precision is None else max(precision - 0.1 * shift, 0.02)
        fp = 0.0 if collapsed else truth * recall * (1 - purity) / purity
        rows.append((tp * weight, fp * weight, (truth - tp) * weight, 4096.0 - truth - fp))
    return rows


def validation_rows(key: str, recall: float, precision: float | None, *, iou: float | None = None) -> list[Any]:
    """Pooled minority scores on validation at argmax; the IoU is that of a single class unless given."""
    f1 = 0.0 if not recall or not precision else 2 / (1 / recall + 1 / precision)
    scores = {"iou": f1 / (2 - f1) if iou is None else iou, "f1": f1, "recall": recall, "precision": precision}
    return [(key, "val", "argmax", None, MINORITY, metric, value) for metric, value in scores.items()]


def _score_rows(key: str, point: str, counts: Mapping[str, list[tuple[float, ...]]]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    pooled: dict[str, dict[str, float | None]] = {}
    for klass, images in counts.items():
        for index, image in enumerate(images):
            rows += [(key, "test", point, f"log_{index:02d}", klass, metric, value)
                     for metric, value in zip(COUNT_METRICS, image, strict=True)]  # fmt: skip
        pooled[klass] = by_hand(images)
        rows += [(key, "test", point, None, klass, metric, value) for metric, value in pooled[klass].items()]
    for metric in POOLED_METRICS:
        values = [scores[metric] for scores in pooled.values() if scores[metric] is not None]
        rows.append((key, "test", point, None, MINORITY, metric, sum(values) / len(values) if values else None))
    return rows


def curve_rows(key: str, point: str, seed: int) -> list[tuple[Any, ...]]:
    """Curve 1 is off by 2, 3, ... % of the track; curve 2 has no error with the first seed."""
    nth = seed - 1000
    shown = {"curve 1": (0.02 + 0.01 * nth, 0.98), "curve 2": (None, 0.0) if nth == 0 else (0.1 + 0.1 * nth, 0.4)}
    return [
        (key, "test", point, None, klass, metric, value)
        for klass, values in shown.items()
        for metric, value in zip(CURVE_METRICS, values, strict=True)
    ]


def history_rows(key: str, epochs: int, recall: float, precision: float | None) -> list[dict[str, Any]]:
    """Scores rise to their last value as 1 − exp(−epoch / 6) and fall by a hundredth in the last epoch."""
    rows = []
    for epoch in range(1, epochs + 1):
        share = (1 - float(np.exp(-epoch / 6))) - (0.01 if epoch == epochs else 0.0)
        found = recall * share
        iou = 0.0 if not found or not precision else 1 / (1 / found + 1 / precision - 1)
        rows.append({"key": key, "epoch": epoch, "train_loss": 1 - 0.8 * share, "seconds": 1.5, "minority_iou": iou,
                     "minority_f1": 2 * iou / (1 + iou), "minority_precision": precision, "minority_recall": found,
                     "mean_iou": (iou + 0.98) / 2, "background_iou": 0.98})  # fmt: skip
    return rows


def margin_counts(key: str, counts: Mapping[str, list[tuple[float, ...]]]) -> list[dict[str, Any]]:
    """Histograms that give back the counts at argmax exactly; margins are logistic around a point that does so.

    Every class but the background is of the minority: what is not found is a would-be alarm. Found pixels lie around
    +2, all others around −4, with as many above 0 as there are false alarms; where nothing is predicted, all lie around
    −9, whatever they are.
    """
    edges = np.concatenate([[-np.inf], OFFSETS, [np.inf]])
    middle = int(np.flatnonzero(OFFSETS == 0)[0]) + 1

    def spread(number: float, centre: float, above: bool) -> np.ndarray[Any, Any]:
        shares = np.diff(1 / (1 + np.exp(-(edges - centre) / 1.5)))
        shares[:middle] *= 0 if above else 1
        shares[middle:] *= 1 if above else 0
        return number * shares / shares.sum()

    rows = []
    images = len(next(iter(counts.values())))
    for image in range(images):
        parts = [one[image] for one in counts.values()]
        tp, fp, fn = (sum(part[index] for part in parts) for index in range(3))
        pixels = sum(parts[0])
        silent = tp + fp == 0
        found = spread(tp, 2.0, True) + spread(fn, -9.0 if silent else -1.0, False)
        alarms = spread(fp, 0.5, True) + spread(pixels - tp - fn - fp, -9.0 if silent else -4.0, False)
        assert np.isclose(found.sum() + alarms.sum(), pixels)
        assert min(found.min(), alarms.min()) >= 0
        rows.append({"key": key, "split": "test", "image": f"log_{image:02d}", "pixels": pixels, "target": tp + fn,
                     "found": found.tolist(), "alarms": alarms.tolist()})  # fmt: skip
    assert len(edges) - 1 == BINS
    pooled = {name: float(np.sum([row[name] for row in rows])) for name in ("pixels", "target")}
    lists = {name: np.sum([row[name] for row in rows], axis=0).tolist() for name in ("found", "alarms")}
    return [{"key": key, "split": "val", "image": None, **pooled, **lists}, *rows]


def reliability(key: str, recall: float, level: float) -> list[dict[str, Any]]:
    """Overconfident: of the pixels predicted with probability p, the share p ** (1 + recall) is of the minority."""
    centres = (np.arange(PROBABILITY_BINS) + 0.5) / PROBABILITY_BINS
    pixels = np.where(np.arange(PROBABILITY_BINS) == 0, 49152 * level, 49152 * (1 - level) / (PROBABILITY_BINS - 1))
    pixels[10] = 0.0
    return [
        {"key": key, "split": "test", "bin": index, "pixels": float(number),
         "probability": float(centre) if number else None,
         "share": float(centre ** (1 + recall)) if number else None}
        for index, (centre, number) in enumerate(zip(centres, pixels, strict=True))
    ]  # fmt: skip


def surface_rows(
    key: str, point: str, counts: Mapping[str, list[tuple[float, ...]]], recall: float
) -> list[tuple[Any, ...]]:
    """Per picture and class: 3 objects, as many missed as recall leaves out; nothing of a class that is not there."""
    rows: list[tuple[Any, ...]] = []
    for klass, images in counts.items():
        values: dict[str, list[float]] = {"nsd": [], "hd95": [], "cldice": []}
        objects = missed = 0
        for index, (tp, _, fn, _) in enumerate(images):
            if tp + fn == 0:
                continue
            share = tp / (tp + fn)
            own: dict[str, float | None] = {"nsd": share**0.5, "cldice": share**0.7,
                                            "hd95": 12 * (1 - share) if tp else None, "objects": 3.0,
                                            "objects_missed": float(round(3 * (1 - share))),
                                            "smallest_missed": 7.0 + index if share < 0.8 else None}  # fmt: skip
            objects, missed = objects + 3, missed + round(3 * (1 - share))
            rows += [(key, "test", point, f"log_{index:02d}", klass, metric, value) for metric, value in own.items()]
            for metric, known in values.items():
                if own[metric] is not None:
                    known.append(float(own[metric]))  # type: ignore[arg-type]
        means = {metric: sum(known) / len(known) if known else None for metric, known in values.items()}
        means["object_miss_rate"] = missed / objects if objects else None
        rows += [(key, "test", point, None, klass, metric, value) for metric, value in means.items()]
    return rows


def by_hand(images: Sequence[Sequence[float]]) -> dict[str, float | None]:
    """Pool (tp, fp, fn, tn) of some images and score them, None where undefined."""
    tp, fp, fn, tn = (sum(column) for column in zip(*images, strict=True))
    if tp + fn == 0:
        return dict.fromkeys(POOLED_METRICS)
    return {
        "iou": tp / (tp + fp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn),
        "specificity": tn / (tn + fp),
    }


def _trial(study: str, name: str, shape: Shape, key: str, stage: str, level: float, seed: int, status: str,
           epochs: int, values: Mapping[str, Any], *, number: int | None = None, default: bool = False,
           tuned: bool = False, objective: float | None = None,
           offset: float | None = None) -> dict[str, Any]:  # fmt: skip
    return {
        "key": key, "study": study, "family": name, "loss_level": shape.level, "overlap": shape.overlap,
        "tradeoff": shape.tradeoff, "hyperparameters": json.dumps(values, sort_keys=True), "is_default": default,
        "is_tuned": tuned, "stage": stage, "number": number, "level": level, "level_train": level,
        "level_val": level, "level_test": level, "weighting_train": "mixture", "weighting_val": "mixture",
        "weighting_test": "tilt" if level < 0.93 else "mixture", "ess_train": 300.0, "ess_val": 90.0,
        "ess_test": 14.0 if level < 0.93 else 80.0, "seed": seed, "status": status,
        "reason": "the loss became NaN in epoch 2" if status == "failed" else None, "epochs": epochs,
        "planned_epochs": 30, "objective": objective, "offset": offset, "seconds": epochs * 1.5, "device": "cpu",
        "precision": "fp32", "started": "2025-01-01T00:00:00Z",
    }  # fmt: skip


def _meta(shapes: Mapping[str, Shape], rename: Mapping[str, str], levels: Sequence[float], reference: float,
          study: str, searched: str, trials: int, seeds: int,
          ledger: list[dict[str, Any]]) -> dict[str, Any]:  # fmt: skip
    def shown(name: str) -> str:
        return rename.get(name, name)

    return {
        "study": {
            "name": study,
            "families": {shown(name): {dial: spec for dial, (_, spec, _) in shape.dials.items()}
                         for name, shape in shapes.items()},
            "data": {"source": "raster_log", "patch": 64, "scans": 60},
            "imbalance": {"levels": list(levels), "reference": reference},
            "model": {"arch": "unet", "encoder": "resnet18", "weights": None},
            "training": {"epochs": 30, "batch_size": 16, "lr": 0.001},
            "search": {"trials": trials, "levels": searched, "sampler": "tpe", "seed": 0, "metric": "minority_iou",
                       "mode": "max", "stopping": "asha"},
            "confirm": {"seeds": seeds, "include_default": True, "first_seed": 1000},
        },
        "families": {
            shown(name): {
                "title": shape.title, "level": shape.level, "overlap": shape.overlap, "tradeoff": shape.tradeoff,
                "formula": "1 − TP / (TP + α FP + β FN)", "source": "Somebody et al. 2017, arXiv:0000.00000",
                "hyperparameters": {dial: {"symbol": symbol, "effect": "fewer misses, more false alarms",
                                           "domain": spec, "default": default}
                                    for dial, (symbol, spec, default) in shape.dials.items()},
            }
            for name, shape in shapes.items()
        },
        "data": {
            "name": "raster_log", "fingerprint": "0123456789abcdef",
            "classes": [{"index": index, "name": name, "color": color} for index, (name, color)
                        in enumerate(zip(CLASSES, ("#ffffff", "#d62728", "#1f77b4"), strict=True))],
            "background": 0, "minority": [1, 2], "patch": 64,
            "splits": {"train": {"pictures": 36, "patches": 432, "natural_level": 0.972},
                       "val": {"pictures": 12, "patches": 144, "natural_level": 0.971},
                       "test": {"pictures": 12, "patches": 144, "natural_level": 0.973}},
        },
        "levels": list(levels), "reference": reference,
        "versions": {"sweeper": "0.1.0", "torch": "2.6.0", "python": "3.11.7"},
        "host": {"cores": 8, "gpu": None},
        "slot": {"cpu": 1, "gpu": 0.0},
        "command": "sweeper run search_spaces/five_families.yaml",
        "created": "2025-01-01T00:00:00Z",
        "selection": "Setting: best minority_iou on validation at the last epoch. Scores: last epoch, on test.",
        "trials": [],
        "ledger": ledger,
    }  # fmt: skip
