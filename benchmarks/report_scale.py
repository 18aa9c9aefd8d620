"""How long a report takes, and how much memory, as a study grows: made-up studies of 1,000 and of 10,000 trials.

    python -m benchmarks.report_scale                  # both sizes, each in a process of its own
    python -m benchmarks.report_scale --trials 10000   # one size

A study has 12 families × 5 levels × 200 test images of 3 classes; of every 100 trials 88 are of the search and 12
confirm (tuned and default setting; one seed per 1,000 trials). Numbers are made up; the rows are as many and as wide as
real ones, scores of whole pictures, margins and learning curves included. Results are read from Parquet first, as
`sweeper report` does; the time is that of reading, building and writing, the memory the highest of the process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sweeper.results.margins import BINS, PROBABILITY_BINS
from sweeper.results.parquet import load, save
from sweeper.results.results import Results
from sweeper.results.schema import (
    COUNT_METRICS,
    EPOCHS,
    MARGINS,
    MINORITY,
    POOLED_METRICS,
    RELIABILITY,
    SCORES,
    TRIALS,
)

FAMILIES = 12
LEVELS = (0.90, 0.93, 0.95, 0.97, 0.99)
IMAGES = 200
CLASSES = ("background", "crack", "joint")
EPOCHS_PLANNED = 30
SEARCHED = 0.88
WHOLE = ("nsd", "hd95", "cldice", "objects", "objects_missed", "smallest_missed")

Rng = np.random.Generator


def study(trials: int, *, seed: int = 0) -> Results:
    """Make up a study of so many trials; a multiple of 1,000."""
    rng = np.random.default_rng(seed)
    seeds = max(1, trials // 1000)
    search = round(trials * SEARCHED)
    cells = [(family, level) for family in range(FAMILIES) for level in LEVELS]
    rows: list[dict[str, Any]] = []
    for index in range(search):
        rows.append(_trial(rng, f"s{index:07d}", *cells[index % len(cells)], number=index // len(cells)))
    confirmed = []
    for family, level in cells:
        for setting in ("tuned", "default"):
            for number in range(seeds):
                key = f"c{len(confirmed):07d}"
                confirmed.append(_trial(rng, key, family, level, setting=setting, seed=1000 + number))
    return Results(
        trials=pa.Table.from_pylist([*rows, *confirmed], schema=TRIALS),
        scores=pa.concat_tables([_search_scores(rng, rows), *_confirm_scores(rng, confirmed)]).combine_chunks(),
        meta=_meta(rows, seeds),
        epochs=_epochs(rng, [*rows, *confirmed]),
        margins=_margins(rng, confirmed),
        reliability=_reliability(rng, confirmed),
    )


def measure(trials: int) -> dict[str, float]:
    """Build the report of a study of so many trials from its Parquet files; return seconds, GB and sizes."""
    with tempfile.TemporaryDirectory(prefix="report-scale-") as scratch:
        # Making the study up takes memory of its own: it happens in a process whose peak does not count.
        maker = multiprocessing.get_context("spawn").Process(target=_write, args=(trials, scratch))
        maker.start()
        maker.join()
        started = time.perf_counter()
        from sweeper.report.page import build_report

        results = load(Path(scratch) / "results")
        page = build_report(results, Path(scratch) / "report")
        seconds = time.perf_counter() - started
        return {
            "trials": trials,
            "score rows": results.scores.num_rows,
            "seconds": round(seconds, 1),
            "peak GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
            "page MB": round(page.stat().st_size / 2**20, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, help="one size, a multiple of 1,000; by default 1,000 and 10,000")
    asked = parser.parse_args().trials
    sizes = [asked] if asked else [1000, 10000]
    for size in sizes:
        # A process of its own: the peak of one size would hide that of the next.
        process = multiprocessing.get_context("spawn").Process(target=_measured, args=(size,))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(1)


def _measured(trials: int) -> None:
    print(json.dumps(measure(trials)), flush=True)


def _write(trials: int, folder: str) -> None:
    (Path(folder) / "results").mkdir()
    save(study(trials), Path(folder) / "results")


def _trial(
    rng: Rng, key: str, family: int, level: float, *, number: int | None = None, setting: str = "", seed: int = 0
) -> dict[str, Any]:
    values = {"alpha": 0.5, "gamma": 1.0} if number == 0 or setting == "default" else None
    values = values or {"alpha": float(rng.uniform(0.05, 0.95)), "gamma": float(rng.uniform(0, 5))}
    if setting == "tuned":
        values = {"alpha": 0.7, "gamma": 1.5}
    stopped = number is not None and number % 3 == 2
    epochs = 9 if stopped else EPOCHS_PLANNED
    skill = 0.6 - 0.02 * family - 1.5 * (level - 0.9) - 0.2 * (values["alpha"] - 0.7) ** 2
    return {
        "key": key, "study": "scale", "family": f"family_{family:02d}", "loss_level": "region",
        "overlap": ("overlap-aware", "per-pixel")[family % 2],
        "tradeoff": ("symmetric", "tunable")[family // 2 % 2],
        "hyperparameters": json.dumps(values, sort_keys=True), "is_default": number == 0 or setting == "default",
        "is_tuned": setting == "tuned", "stage": "confirm" if setting else "search", "number": number, "level": level,
        **{f"level_{split}": level for split in ("train", "val", "test")},
        **{f"weighting_{split}": "mixture" for split in ("train", "val", "test")},
        **{f"ess_{split}": 150.0 for split in ("train", "val", "test")},
        "seed": seed, "status": "stopped" if stopped else "completed", "reason": None, "epochs": epochs,
        "planned_epochs": EPOCHS_PLANNED, "objective": float(np.clip(skill + rng.normal(0, 0.02), 0.01, 0.99)),
        "offset": 0.5 if setting else None, "offset_at_limit": False if setting else None, "seconds": 2.0 * epochs,
        "device": "cpu", "precision": "fp32", "started": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip


def _search_scores(rng: Rng, trials: list[dict[str, Any]]) -> pa.Table:
    names = [(point, klass, metric) for point in ("argmax", "shifted") for klass in (*CLASSES, MINORITY)
             for metric in POOLED_METRICS]  # fmt: skip
    keys = np.repeat([row["key"] for row in trials], len(names))
    base = np.repeat([row["objective"] for row in trials], len(names))
    columns = [np.tile([name[at] for name in names], len(trials)) for at in range(3)]
    values = np.clip(base + rng.normal(0, 0.05, len(base)), 0.0, 1.0)
    return _scores(keys, "val", columns[0], None, columns[1], columns[2], values)


def _confirm_scores(rng: Rng, trials: list[dict[str, Any]]) -> Iterator[pa.Table]:
    yield _search_scores(rng, trials)
    pictures = np.array([f"image_{index:03d}" for index in range(IMAGES)])
    sizes = rng.integers(100, 2000, (IMAGES, len(CLASSES)))
    for row in trials:
        for point in ("argmax", "shifted"):
            hit = np.clip(row["objective"] + rng.normal(0, 0.1, sizes.shape), 0.02, 0.98)
            tp, fp = sizes * hit, sizes * (1 - hit) * rng.uniform(0.5, 1.5, sizes.shape)
            counts = np.stack([tp, fp, sizes - tp, 65536 - sizes - fp], axis=-1)
            shape = counts.shape
            yield _scores(
                row["key"], "test", point, np.repeat(pictures, shape[1] * shape[2]),
                np.tile(np.repeat(CLASSES, shape[2]), IMAGES), np.tile(COUNT_METRICS, IMAGES * shape[1]),
                counts.ravel(),
            )  # fmt: skip
            rare = CLASSES[1:]
            whole = np.abs(rng.normal(0.5, 0.2, (IMAGES, len(rare), len(WHOLE))))
            yield _scores(
                row["key"], "test", point, np.repeat(pictures, len(rare) * len(WHOLE)),
                np.tile(np.repeat(rare, len(WHOLE)), IMAGES), np.tile(WHOLE, IMAGES * len(rare)), whole.ravel(),
            )  # fmt: skip
            names = [(klass, metric) for klass in (*CLASSES, MINORITY) for metric in POOLED_METRICS]
            pooled = np.clip(row["objective"] + rng.normal(0, 0.02, len(names)), 0.0, 1.0)
            yield _scores(
                row["key"], "test", point, None, *(np.array(part) for part in zip(*names, strict=True)), pooled
            )


def _scores(key: Any, split: str, point: Any, image: Any, klass: Any, metric: Any, values: Any) -> pa.Table:
    columns = (key, split, point, image, klass, metric)
    arrays = [
        pa.array(column) if isinstance(column, np.ndarray)
        else pa.array([column] * len(values), pa.string())
        for column in columns
    ]  # fmt: skip
    return pa.table([*arrays, pa.array(values)], schema=SCORES)


def _epochs(rng: Rng, trials: list[dict[str, Any]]) -> pa.Table:
    numbers = np.concatenate([np.arange(1, row["epochs"] + 1) for row in trials])
    lengths = [row["epochs"] for row in trials]
    share = 1 - np.exp(-numbers / 6)
    final = np.repeat([row["objective"] for row in trials], lengths)
    columns: dict[str, Any] = {"key": np.repeat([row["key"] for row in trials], lengths), "epoch": numbers}
    columns |= {"train_loss": 1 - 0.8 * share, "seconds": np.full(len(share), 2.0)}
    for name in EPOCHS.names[4:]:
        columns[name] = np.clip(final * share + rng.normal(0, 0.01, len(share)), 0.0, 1.0)
    return pa.table(columns, schema=EPOCHS)


def _margins(rng: Rng, trials: list[dict[str, Any]]) -> pa.Table:
    images = [None, *(f"image_{index:03d}" for index in range(IMAGES))]
    count = len(trials) * len(images)
    found, alarms = (rng.integers(0, 60, (count, BINS)).astype(np.float32) for _ in range(2))
    return pa.table(
        [
            pa.array(np.repeat([row["key"] for row in trials], len(images))),
            pa.array(["val", *["test"] * IMAGES] * len(trials)),
            pa.array(images * len(trials), pa.string()),
            pa.array(np.full(count, 196608.0)),
            pa.array(found.sum(axis=1).astype(np.float64) * 1.2),
            *(pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), BINS) for part in (found, alarms)),
        ],
        schema=MARGINS,
    )


def _reliability(rng: Rng, trials: list[dict[str, Any]]) -> pa.Table:
    centres = (np.arange(PROBABILITY_BINS) + 0.5) / PROBABILITY_BINS
    return pa.table(
        [
            pa.array(np.repeat([row["key"] for row in trials], PROBABILITY_BINS)),
            pa.array(["test"] * (len(trials) * PROBABILITY_BINS)),
            pa.array(np.tile(np.arange(PROBABILITY_BINS, dtype=np.int32), len(trials))),
            pa.array(rng.uniform(1e3, 1e5, len(trials) * PROBABILITY_BINS)),
            pa.array(np.tile(centres, len(trials))),
            pa.array(np.tile(centres**1.5, len(trials))),
        ],
        schema=RELIABILITY,
    )


def _meta(search: list[dict[str, Any]], seeds: int) -> dict[str, Any]:
    dials = {
        "alpha": {"symbol": "α", "effect": "", "domain": {"uniform": [0.05, 0.95]}, "default": 0.5},
        "gamma": {"symbol": "γ", "effect": "", "domain": {"uniform": [0.0, 5.0]}, "default": 1.0},
    }
    cells = sorted({(row["family"], row["level"]) for row in search})
    per_cell = len(search) // len(cells)
    families = sorted({row["family"] for row in search})
    about = {row["family"]: row for row in search}
    return {
        "study": {
            "name": "scale", "families": {name: {} for name in families}, "data": {"source": "folder", "patch": 256},
            "imbalance": {"levels": list(LEVELS), "reference": 0.97}, "model": {"arch": "unet"},
            "training": {"epochs": EPOCHS_PLANNED, "batch_size": 16, "lr": 0.001},
            "search": {"trials": per_cell, "levels": "all", "sampler": "tpe", "seed": 0, "metric": "minority_iou",
                       "mode": "max", "stopping": "asha"},
            "confirm": {"seeds": seeds, "include_default": True, "first_seed": 1000},
        },
        "families": {
            name: {"title": name, "level": "region", "overlap": about[name]["overlap"],
                   "tradeoff": about[name]["tradeoff"], "formula": "", "source": "", "hyperparameters": dials}
            for name in families
        },
        "data": {
            "name": "made up", "fingerprint": "0" * 16, "background": 0, "minority": [1, 2], "patch": 256,
            "classes": [{"index": index, "name": name, "color": color} for index, (name, color)
                        in enumerate(zip(CLASSES, ("#ffffff", "#d62728", "#1f77b4"), strict=True))],
            "splits": {"test": {"pictures": IMAGES, "patches": IMAGES, "natural_level": 0.97}},
        },
        "levels": list(LEVELS), "reference": 0.97, "versions": {}, "host": {"cores": 2, "gpu": None},
        "slot": {"cpu": 1, "gpu": 0.0}, "command": "benchmarks.report_scale", "created": "2026-01-01T00:00:00+00:00",
        "selection": "made up", "trials": [],
        "ledger": [{"family": family, "level": level, "trials": per_cell, "completed": per_cell, "stopped": 0,
                    "failed": 0, "epochs": per_cell * EPOCHS_PLANNED, "seconds": 60.0 * per_cell}
                   for family, level in cells],
    }  # fmt: skip


if __name__ == "__main__":
    main()
