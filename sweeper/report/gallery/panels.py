"""What was kept of each family's predictions, and which of it the report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sweeper.report.gallery.cases import (
    Classes,
    Disagreement,
    Median,
    MissedObject,
    chosen_scans,
    largest_disagreement,
    median_patch,
    smallest_missed,
)
from sweeper.results.pictures import Patches, Predicted, load_patches, load_predicted, patches_file, predicted_file

if TYPE_CHECKING:
    from sweeper.results.results import Results

Rule = Disagreement | MissedObject | Median
Positions = NDArray[np.float32]
"""(curves, rows), positions on the track in [0, 1), NaN where there is none."""


@dataclass(frozen=True, eq=False)
class Case:
    """One patch that is shown, and by which rules it was chosen."""

    rules: tuple[Rule, ...]
    patch: int
    """Index into the kept patches."""
    predicted: Mapping[float, Mapping[str, NDArray[np.uint8]]]
    """By level, hardest first, and family, in the study's order: (P, P), predicted classes."""


@dataclass(frozen=True, eq=False)
class Track:
    """One log whose recovered curves are shown, at the hardest level."""

    rule: str
    """`median error` or `largest error`."""
    stem: str
    true: Positions
    recovered: Mapping[str, Positions]
    """By family."""
    errors: Mapping[tuple[str, str], float]
    """The curve error of (family, class) in this log, in track widths."""


@dataclass(frozen=True, eq=False)
class PanelGrid:
    """All that is shown, chosen by what the families predict at the hardest level that has predictions."""

    patches: Patches
    level: float
    seed: int
    """Of the confirm trials whose predictions these are."""
    families: tuple[str, ...]
    """Those with predictions at that level, in the study's order; the rules look at all of them."""
    cases: tuple[Case, ...]
    tracks: tuple[Track, ...]
    failed: frozenset[tuple[str, float]]
    """(family, level) whose trial failed, so that there is nothing to show."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels shown, hardest first."""
        return tuple(self.cases[0].predicted) if self.cases else (self.level,)


def panel_grid(results: Results, folder: Path | None) -> PanelGrid | None:
    """Read the predictions kept in a run's `panels` folder and choose what to show; None where it has none.

    Those of each family's tuned setting, of the confirm seed that most families have, at the hardest level that any has
    and at the reference level.

    Raises: ResultsError for a file that cannot be read.
    """
    file = None if folder is None else patches_file(folder, str(results.meta["data"]["fingerprint"]))
    if folder is None or file is None or not file.is_file():
        return None
    patches = load_patches(file)
    trials = _tuned(results)
    for level in sorted(results.meta["levels"], reverse=True):
        keys, seed = _keys(trials, results.meta["families"], level, folder)
        kept = _read(keys, folder, patches)
        if kept:
            break
    else:
        return None
    chosen = _choose(patches, [one.classes for one in kept.values()], results.meta["data"]["minority"])
    shown = {float(level): kept}
    reference = float(results.meta["reference"])
    if reference != level:
        own, _ = _keys(trials, results.meta["families"], reference, folder, seed=seed)
        shown[reference] = _read(own, folder, patches)
    return PanelGrid(
        patches=patches,
        level=float(level),
        seed=seed,
        families=tuple(kept),
        cases=tuple(
            Case(rules, patch, {at: _of(patch, own) for at, own in shown.items() if own})
            for patch, rules in chosen.items()
        ),
        tracks=_tracks(results, patches, keys, kept),
        failed=_failed(trials, seed),
    )


def older_layout(folder: Path | None) -> bool:
    """Whether a folder holds what earlier versions kept instead: a few patches chosen in advance, as pictures."""
    return folder is not None and (folder / "input_0.png").is_file()


def _tuned(results: Results) -> pd.DataFrame:
    """Return the confirm trials of tuned settings, finished or failed."""
    trials = results.trials
    wanted = pc.and_(pc.equal(trials["stage"], "confirm"), trials["is_tuned"])
    found: pd.DataFrame = trials.filter(wanted).select(["key", "family", "level", "seed", "status"]).to_pandas()
    return found


def _failed(trials: pd.DataFrame, seed: int) -> frozenset[tuple[str, float]]:
    lost = trials[(trials["status"] == "failed") & (trials["seed"] == seed)]
    return frozenset(zip(lost["family"].astype(str), lost["level"].astype(float), strict=True))


def _keys(
    trials: pd.DataFrame, families: Sequence[str], level: float, folder: Path, *, seed: int | None = None
) -> tuple[dict[str, str], int]:
    """Return each family's trial that has a file, all of one seed: the one given, or that of most families."""
    own = trials[(trials["level"] == level) & (trials["status"] == "completed")]
    own = own[own["key"].map(lambda key: predicted_file(folder, str(key)).is_file()).astype(bool)]
    if seed is None:
        counts = own.groupby("seed")["family"].nunique().sort_index()
        seed = 0 if counts.empty else int(str(counts.idxmax()))
    own = own[own["seed"] == seed]
    by_family = dict(zip(own["family"], own["key"], strict=True))
    return {family: str(by_family[family]) for family in families if family in by_family}, seed


def _read(keys: Mapping[str, str], folder: Path, patches: Patches) -> dict[str, Predicted]:
    """Read the predictions of each family; those of another pool are left out."""
    found = {family: load_predicted(predicted_file(folder, key), patches) for family, key in keys.items()}
    return {family: one for family, one in found.items() if one is not None}


def _of(patch: int, kept: Mapping[str, Predicted]) -> dict[str, NDArray[np.uint8]]:
    # A copy, so that the other patches are not held in memory.
    return {family: one.classes[patch].copy() for family, one in kept.items()}


def _choose(patches: Patches, predicted: Sequence[Classes], minority: Sequence[int]) -> dict[int, tuple[Rule, ...]]:
    """Apply every rule; a patch that two of them choose is shown once."""
    rules: list[Rule | None] = [
        largest_disagreement(patches.truths, predicted),
        smallest_missed(patches.truths, predicted, patches.objects, patches.object_pixels),
        median_patch(patches.truths, predicted, minority),
    ]
    chosen: dict[int, tuple[Rule, ...]] = {}
    for rule in rules:
        if rule is not None:
            chosen[rule.patch] = (*chosen.get(rule.patch, ()), rule)
    return chosen


def _tracks(
    results: Results, patches: Patches, keys: Mapping[str, str], kept: Mapping[str, Predicted]
) -> tuple[Track, ...]:
    """Choose logs by the curve errors recorded with the trials whose predictions are shown."""
    scores = results.scores
    families = {keys[family]: family for family in kept}
    wanted = pc.and_(
        pc.equal(scores["metric"], "curve_mae"), pc.is_in(scores["key"], pa.array(list(families), pa.string()))
    )
    wanted = pc.and_(wanted, pc.and_(pc.equal(scores["split"], "test"), pc.equal(scores["point"], "argmax")))
    wanted = pc.and_(wanted, pc.is_in(scores["image"], pa.array(patches.scans.tolist(), pa.string())))
    rows = scores.filter(wanted).drop_null().to_pandas()
    errors = {str(stem): float(mean) for stem, mean in rows.groupby("image")["value"].mean().items()}
    names = patches.scans.tolist()
    tracks = []
    for rule, scan in zip(("median error", "largest error"), chosen_scans(errors), strict=True):
        if scan is None:
            continue
        own, place = rows[rows["image"] == scan.stem], names.index(scan.stem)
        tracks.append(
            Track(
                rule=rule,
                stem=scan.stem,
                true=patches.curves[place],
                recovered={family: one.curves[place].copy() for family, one in kept.items()},
                errors={
                    (families[key], str(klass)): float(value)
                    for key, klass, value in zip(own["key"], own["class"], own["value"], strict=True)
                },
            )
        )
    return tuple(tracks)
