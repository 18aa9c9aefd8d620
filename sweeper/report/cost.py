"""What each family cost: seconds, and hours of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.compute as pc

from sweeper.report.comparisons import baseline

if TYPE_CHECKING:
    from sweeper.results.results import Results


def cost(results: Results) -> pd.DataFrame:
    """Return the cost of every family over all of its trials, failed ones among them.

    Columns: family, trials, stopped (share of the search trials that were stopped early), epoch_seconds (median over
    all epochs recorded), relative (that over the baseline's; NaN without one), trial_seconds (median of completed
    trials), hours (of all trials, one after the other), gpu_hours and core_hours (these times the share of a GPU and
    the number of cores that each trial had; NaN where the study did not record it or the trials ran on the other).
    """
    trials = results.trials.select(["key", "family", "stage", "status", "seconds", "device"]).to_pandas()
    slot = results.meta.get("slot") or {}
    kinds = devices(results)
    # A trial that failed before it began does not say where; there is no doubt where all others ran on one device.
    device = trials["device"].fillna(kinds[0] if len(kinds) == 1 else "")
    on_cpu = device.str.startswith("cpu")
    on_gpu = (device != "") & ~on_cpu
    per_epoch = _epoch_seconds(results, trials)
    base = baseline(results)
    reference = per_epoch.get(base, float("nan")) if base is not None else float("nan")
    rows = []
    for family in results.meta["families"]:
        own = trials[trials["family"] == family]
        search = own[own["stage"] == "search"]
        done = own[own["status"] == "completed"]["seconds"]
        hours = float(own["seconds"].sum()) / 3600
        rows.append(
            (
                family,
                len(own),
                float((search["status"] == "stopped").mean()) if len(search) else float("nan"),
                per_epoch.get(family, float("nan")),
                per_epoch.get(family, float("nan")) / reference if reference else float("nan"),
                float(done.median()) if len(done) else float("nan"),
                hours,
                _hours(own["seconds"][on_gpu[own.index]], slot.get("gpu")),
                _hours(own["seconds"][on_cpu[own.index]], slot.get("cpu")),
            )
        )
    columns = ["family", "trials", "stopped", "epoch_seconds", "relative", "trial_seconds", "hours", "gpu_hours"]
    return pd.DataFrame(rows, columns=[*columns, "core_hours"])


def devices(results: Results) -> list[str]:
    """Return what the trials ran on; seconds of different devices are not comparable."""
    return sorted(device for device in pc.unique(results.trials["device"]).to_pylist() if device)


def _epoch_seconds(results: Results, trials: pd.DataFrame) -> dict[str, float]:
    epochs = results.epochs.select(["key", "seconds"]).to_pandas().dropna()
    family = trials.set_index("key")["family"]
    medians = epochs["seconds"].groupby(epochs["key"].map(family)).median()
    return {str(name): float(value) for name, value in medians.items()}


def _hours(seconds: pd.Series, share: float | None) -> float:
    if not len(seconds) or share is None:
        return float("nan")
    return float(seconds.sum()) * share / 3600
