"""How dependable a family's training is: what went wrong, how far seeds lie apart, how the last epoch compares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sweeper.report.comparisons import Headline
from sweeper.report.evidence import ALL, Evidence, Key
from sweeper.report.inference.seeds import deviation, over_seeds, proportion
from sweeper.report.inference.statistics import score
from sweeper.results.schema import EPOCHS, MINORITY

if TYPE_CHECKING:
    from sweeper.results.results import Results

MEMORY = "out of memory"
"""How the reason of a trial begins that ran out of it, on the host or on the GPU."""

SEARCHED, TUNED, DEFAULT = "search trials", "tuned seeds", "default seeds"
WHAT = (SEARCHED, TUNED, DEFAULT)
"""What is counted apart: many settings with one seed, and two settings with many seeds."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def stability(results: Results) -> pd.DataFrame:
    """Return how often each family went wrong, apart for search trials and the seeds of both confirmed settings.

    Columns: family, what (of `WHAT`), trials, failed, `memory` (of the failed: out of memory), collapsed (completed,
    and found not one minority pixel at argmax, on validation in the search and on test in confirm), then `share` of
    failed and collapsed with `share_low` and `share_high`. A tuned setting that is the default counts as tuned.
    """
    trials = _classified(results)
    rows = []
    for family in results.meta["families"]:
        own = trials[trials["family"] == family]
        for what in WHAT:
            part = own[own["what"] == what]
            if part.empty:
                continue
            bad = int((part["failed"] | part["collapsed"]).sum())
            share = proportion(bad, len(part))
            counts = [len(part), *(int(part[name].sum()) for name in ("failed", "memory", "collapsed"))]
            rows.append((family, what, *counts, share.mean, share.low, share.high))
    columns = ["family", "what", "trials", "failed", "memory", "collapsed", "share", "share_low", "share_high"]
    return pd.DataFrame(rows, columns=columns)


def reasons(results: Results) -> pd.DataFrame:
    """Return why trials failed. Columns: family, what, reason, trials, example.

    Reasons that differ in their numbers alone, such as the epoch, are one; `example` is the first as recorded.
    """
    trials = _classified(results)
    failed = trials[trials["failed"]].copy()
    failed["example"] = failed["reason"].fillna("no reason recorded")
    failed["reason"] = [_NUMBER.sub("…", text) for text in failed["example"]]
    columns = ["family", "what", "reason", "trials", "example"]
    if failed.empty:
        return pd.DataFrame(columns=columns)
    grouped = failed.groupby(["family", "what", "reason"], sort=False)["example"].agg(["size", "first"]).reset_index()
    grouped.columns = pd.Index(columns)
    order = {family: place for place, family in enumerate(results.meta["families"])}
    grouped["_family"] = grouped["family"].map(order)
    grouped["_what"] = grouped["what"].map({what: place for place, what in enumerate(WHAT)})
    grouped = grouped.sort_values(["_family", "_what", "trials"], ascending=[True, True, False], kind="stable")
    return grouped[columns].reset_index(drop=True)


def seed_scores(evidence: Evidence, headline: Headline) -> pd.DataFrame:
    """Return the headline score of every seed on test, tuned, at argmax. Columns: family, level, seed, score."""
    columns = evidence.columns(headline.klass)
    rows = []
    for key, cell in evidence.counts.items():
        if (key.setting, key.point) == ("tuned", "argmax"):
            values = score(cell.values[:, :, columns].sum(axis=1), headline.metric)
            rows += [(key.family, key.level, seed, float(one)) for seed, one in zip(cell.seeds, values, strict=True)]
    return pd.DataFrame(rows, columns=["family", "level", "seed", "score"]).astype({"level": float, "score": float})


def spread(results: Results, evidence: Evidence, headline: Headline) -> pd.DataFrame:
    """Return how far the seeds of a tuned family lie apart, and what its last epoch gave away, per family and level.

    Columns: family, level, seeds (with a score), lowest, highest, `sd` with `sd_low` and `sd_high`; then, from the
    scores on validation after every epoch, `gap` (best epoch minus last, mean over seeds) with `gap_low` and
    `gap_high`, `best_epoch` (median) and `traced` (seeds with such scores).
    """
    scores = seed_scores(evidence, headline)
    traces = best_epochs(results, headline)
    by_trial = dict(zip(traces["key"], zip(traces["gap"], traces["epoch"], strict=True), strict=True))
    rows = []
    for (family, level), group in scores.groupby(["family", "level"], sort=False):
        values = group["score"].dropna().to_numpy()
        sd = deviation(values)
        trials = evidence.counts[Key(str(family), float(str(level)))].trials
        known = np.array([by_trial[key] for key in trials if key in by_trial]).reshape(-1, 2)
        gap = over_seeds(known[:, 0], seed=evidence.seed).clipped(0.0, 1.0)
        ends = (values.min(), values.max()) if len(values) else (np.nan, np.nan)
        epoch = float(np.median(known[:, 1])) if len(known) else np.nan
        spreads = (sd.mean, sd.low, sd.high, gap.mean, gap.low, gap.high)
        rows.append((family, level, len(values), *ends, *spreads, epoch, len(known)))
    names = ["sd", "sd_low", "sd_high", "gap", "gap_low", "gap_high", "best_epoch", "traced"]
    return pd.DataFrame(rows, columns=["family", "level", "seeds", "lowest", "highest", *names])


def best_epochs(results: Results, headline: Headline) -> pd.DataFrame:
    """Return the best epoch of every completed confirm trial by the headline on validation.

    Columns: key, epoch (the first of the best), gap (its score minus that of the last epoch). Trials whose score is
    undefined at the last epoch are left out.
    """
    name = f"{'mean' if headline.klass == ALL else 'minority'}_{headline.metric}"
    nothing = pd.DataFrame(
        {"key": pd.Series(dtype=str), "epoch": pd.Series(dtype=float), "gap": pd.Series(dtype=float)}
    )
    if name not in EPOCHS.names or not len(results.epochs):
        return nothing
    trials = results.trials
    wanted = pc.and_(pc.equal(trials["stage"], "confirm"), pc.equal(trials["status"], "completed"))
    rows = results.epochs.filter(pc.is_in(results.epochs["key"], trials["key"].filter(wanted).combine_chunks()))
    if not len(rows):
        return nothing
    codes = rows["key"].combine_chunks().dictionary_encode()
    key = codes.indices.to_numpy(zero_copy_only=False)
    epoch, value = rows["epoch"].to_numpy(), rows[name].to_numpy()
    # By trial, its last epoch at the end; and by trial, its first best epoch at the end.
    by_time = np.lexsort((epoch, key))
    by_score = np.lexsort((-epoch, np.where(np.isnan(value), -np.inf, value), key))
    ends = np.flatnonzero(np.diff(key[by_time], append=-1))
    last, best = by_time[ends], by_score[ends]
    gap = value[best] - value[last]
    found = pd.DataFrame({"key": codes.dictionary.take(pa.array(key[last])).to_pylist(),
                          "epoch": epoch[best].astype(np.float64), "gap": gap})  # fmt: skip
    return found.dropna(subset=["gap"]).reset_index(drop=True)


def _classified(results: Results) -> pd.DataFrame:
    """Return the trials with `what`, and whether each `failed`, ran out of `memory` or `collapsed`."""
    names = ["key", "family", "stage", "status", "reason", "is_tuned", "is_default"]
    trials: pd.DataFrame = results.trials.select(names).to_pandas()
    trials["what"] = np.where(trials["stage"] == "search", SEARCHED, np.where(trials["is_tuned"], TUNED, DEFAULT))
    trials["failed"] = trials["status"] == "failed"
    trials["memory"] = trials["failed"] & trials["reason"].fillna("").str.startswith(MEMORY)
    blind = _blind(results)
    for stage, split in (("search", "val"), ("confirm", "test")):
        own = (trials["stage"] == stage) & (trials["status"] == "completed")
        trials.loc[own, "collapsed"] = trials.loc[own, "key"].isin(blind[split])
    trials["collapsed"] = trials["collapsed"].eq(True) if "collapsed" in trials else False
    return trials


def _blind(results: Results) -> dict[str, set[str]]:
    """Return by split the trials that found not one minority pixel there at argmax."""
    scores = results.scores
    wanted = pc.and_(
        pc.and_(pc.is_null(scores["image"]), pc.equal(scores["class"], MINORITY)),
        pc.and_(
            pc.and_(pc.equal(scores["point"], "argmax"), pc.equal(scores["metric"], "recall")),
            pc.equal(scores["value"], 0.0),
        ),
    )
    found = scores.filter(pc.fill_null(wanted, False)).select(["key", "split"]).to_pydict()
    blind: dict[str, set[str]] = {"val": set(), "test": set()}
    for key, split in zip(found["key"], found["split"], strict=True):
        blind.setdefault(split, set()).add(key)
    return blind
