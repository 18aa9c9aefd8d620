"""The report's tables as tidy frames with plain numbers; how they are set in type is `typeset.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from sweeper.report.evidence import confirmed
from sweeper.report.measured import select
from sweeper.results.meta import trained_words
from sweeper.results.schema import MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results

OVERLAPS = ("overlap-aware", "per-pixel", "boundary-aware", "mixed")
TRADEOFFS = ("symmetric", "class-weighted", "tunable")
PLANE_METRICS = ("iou", "recall", "precision")


def shown_levels(results: Results) -> list[float]:
    """Return the levels a summary shows: the reference and the hardest, once if they are one."""
    return sorted({float(results.meta["reference"]), max(results.meta["levels"])})


def design_space(results: Results, measured: pd.DataFrame, axes: pd.DataFrame) -> pd.DataFrame:
    """Place every family on the two axes, by its labels and by what was measured, with its minority scores.

    Columns: overlap, tradeoff, family, level, then mean, low and high of `PLANE_METRICS` (prefixed), tuned, at argmax;
    seeds; and all other columns of `axes`, which is `Axes.frame`. A family without a confirmed score has NaN. Rows
    cover `shown_levels`.
    """
    found = select(measured, setting="tuned", point="argmax", class_=MINORITY)
    by_place = {
        (row["family"], row["level"], row["metric"]): (row["mean"], row["low"], row["high"], row["seeds"])
        for row in found.to_dict("records")
    }
    rows = []
    for family, about in results.meta["families"].items():
        for level in shown_levels(results):
            row: dict[str, Any] = {
                "overlap": about["overlap"],
                "tradeoff": about["tradeoff"],
                "family": family,
                "level": level,
                "seeds": 0,
            }
            for metric in PLANE_METRICS:
                mean, low, high, seeds = by_place.get((family, level, metric), (float("nan"),) * 3 + (0,))
                row |= {metric: mean, f"{metric}_low": low, f"{metric}_high": high}
                row["seeds"] = max(row["seeds"], seeds)
            rows.append(row)
    return pd.DataFrame(rows).merge(axes, how="left", on=["overlap", "tradeoff", "family"])


def chosen_settings(results: Results) -> pd.DataFrame:
    """Return the hyperparameters in use per family and level.

    Columns: family, level, hyperparameter, symbol, searched (or fixed by the study), tuned, default. Families
    without hyperparameters have no row. Training hyperparameters the study tunes are among them, as `training.lr`.
    """
    rows = []
    trials = confirmed(results)
    for family, about in results.meta["families"].items():
        dials = about["hyperparameters"]
        for level in results.meta["levels"]:
            cell = trials[(trials["family"] == family) & (trials["level"] == level)]
            tuned = _setting(cell[cell["is_tuned"]])
            default = _setting(cell[cell["is_default"]])
            if tuned is None:
                continue
            for name, value in tuned.items():
                known = dials.get(name, {})
                usual = (default or {}).get(name, known.get("default"))
                searched = name not in dials or isinstance(known["domain"], dict)
                rows.append((family, level, name, known.get("symbol", ""), searched, value, usual))
    columns = ["family", "level", "hyperparameter", "symbol", "searched", "tuned", "default"]
    frame = pd.DataFrame(rows, columns=columns).astype({"searched": bool})
    # Numbers, words and nothing share a column: kept as Python objects so that 2 does not turn into 2.0.
    return frame.astype({"tuned": object, "default": object})


def _setting(trials: pd.DataFrame) -> dict[str, Any] | None:
    return None if trials.empty else dict(json.loads(trials.iloc[0]["hyperparameters"]))


def per_class(measured: pd.DataFrame) -> pd.DataFrame:
    """Return the measured rows of single classes and of the minority, tuned, at argmax."""
    return select(measured, setting="tuned", point="argmax").drop(columns=["setting", "point"]).reset_index(drop=True)


def operating_points(results: Results, measured: pd.DataFrame) -> pd.DataFrame:
    """Return tuned minority scores at argmax and at the shifted threshold, with the mean offset chosen on validation.

    Columns: family, level, metric, argmax, argmax_low, argmax_high, shifted, shifted_low, shifted_high, offset.
    """
    rows = select(measured, setting="tuned", class_=MINORITY)
    rows = rows[rows["metric"].isin(PLANE_METRICS)]
    parts = [
        rows[rows["point"] == point]
        .set_index(["family", "level", "metric"])[["mean", "low", "high"]]
        .rename(columns={"mean": point, "low": f"{point}_low", "high": f"{point}_high"})
        for point in ("argmax", "shifted")
    ]
    joined = parts[0].join(parts[1], how="outer", sort=False).reset_index()
    trials = confirmed(results)
    offsets = trials[trials["is_tuned"]].groupby(["family", "level"])["offset"].mean().rename("offset").reset_index()
    return joined.merge(offsets, on=["family", "level"], how="left")


def offsets_at_limit(results: Results) -> pd.DataFrame:
    """Return the (family, level) pairs of which a tuned confirm trial took the last background offset tried."""
    trials = confirmed(results)
    taken = trials[trials["is_tuned"] & trials["offset_at_limit"].eq(True)]
    return taken[["family", "level"]].drop_duplicates().sort_values(["family", "level"])


def curves(measured: pd.DataFrame) -> pd.DataFrame:
    """Return how well the curves of a raster log are recovered, tuned; empty for data without curves.

    Columns: family, level, class, point, mae, mae_low, mae_high (in track widths), mae_seeds (those that have an
    error), coverage, coverage_low, coverage_high (share of the depth rows with ink in which it was found), seeds.
    """
    columns = ["family", "level", "class", "point"]
    rows = select(measured, setting="tuned").set_index(columns)
    names = {"mean": "", "low": "_low", "high": "_high", "seeds": "_seeds"}
    parts = [
        rows.loc[rows["metric"] == metric, list(names)].rename(
            columns={old: f"{part}{new}" for old, new in names.items()}
        )
        for metric, part in (("curve_mae", "mae"), ("curve_coverage", "coverage"))
    ]
    joined = parts[1].join(parts[0], how="left", sort=False).rename(columns={"coverage_seeds": "seeds"}).reset_index()
    joined["mae_seeds"] = joined["mae_seeds"].fillna(0).astype(int)
    order = [f"{part}{end}" for part in ("mae", "coverage") for end in ("", "_low", "_high")]
    return joined[[*columns, *order[:3], "mae_seeds", *order[3:], "seeds"]]


def budget(results: Results) -> pd.DataFrame:
    """Return the ledger of the search, one row per cell, with the trials and epochs it used."""
    columns = ["family", "level", "trials", "completed", "stopped", "failed", "epochs", "seconds"]
    return pd.DataFrame(results.meta.get("ledger") or [], columns=columns)


def missing(results: Results) -> pd.DataFrame:
    """Return where the tuned setting lacks planned confirm trials. Columns: family, level, seeds, planned."""
    trials = confirmed(results)
    done = trials[trials["is_tuned"]].groupby(["family", "level"])["seed"].nunique()
    planned = int(results.meta["study"]["confirm"]["seeds"])
    rows = [
        (family, level, int(done.get((family, level), 0)), planned)
        for family in results.meta["families"]
        for level in results.meta["levels"]
    ]
    frame = pd.DataFrame(rows, columns=["family", "level", "seeds", "planned"])
    return frame[frame["seeds"] < frame["planned"]].reset_index(drop=True)


def levels_reached(results: Results) -> pd.DataFrame:
    """Return how each level was reached on test.

    Columns: level, measured (background fraction under the weights), weighting (mixture or tilt), ess (effective number
    of test patches).
    """
    trials = confirmed(results)
    rows = []
    for level in results.meta["levels"]:
        own = trials[trials["level"] == level]
        if len(own):
            first = own.iloc[0]
            rows.append((level, first["level_test"], first["weighting_test"], first["ess_test"]))
    return pd.DataFrame(rows, columns=["level", "measured", "weighting", "ess"])


def provenance(results: Results) -> pd.DataFrame:
    """Return what made these numbers. Columns: section, key, value; everything as text."""
    meta = results.meta
    rows: list[tuple[str, str, str]] = [
        ("study", "name", str(meta["study"]["name"])),
        ("study", "command", str(meta.get("command") or "not recorded")),
        ("study", "created", str(meta.get("created") or "not recorded")),
        ("study", "selection", str(meta.get("selection") or "not recorded")),
        ("data", "name", str(meta["data"]["name"])),
        ("data", "fingerprint", str(meta["data"]["fingerprint"])),
        ("data", "patch", f"{meta['data']['patch']} px"),
    ]
    for split, about in (meta["data"].get("splits") or {}).items():
        natural = about.get("natural_level")
        text = f"{about['pictures']} pictures, {about['patches']} patches"
        rows.append(("data", split, text + (f", natural level {natural:.3f}" if natural is not None else "")))
    for picture in meta["data"].get("skipped") or ():
        rows.append(("data", f"skipped from {picture['split']}", f"{picture['picture']}: {picture['reason']}"))
    for name, report in (meta["data"].get("artefacts") or {}).items():
        rows.append(("artefacts", str(name), trained_words(report)))
    for section in ("data", "imbalance", "model", "training", "search", "confirm"):
        for key, value in (meta["study"].get(section) or {}).items():
            rows.append((f"study.{section}", str(key), _plain(value)))
    for key, value in (meta.get("versions") or {}).items():
        rows.append(("versions", str(key), _plain(value)))
    host = meta.get("host")
    for key, value in host.items() if isinstance(host, dict) else [("host", host)]:
        rows.append(("host", str(key), _plain(value)))
    return pd.DataFrame(rows, columns=["section", "key", "value"])


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
