"""The report's figures: which rows go into which chart, and the words around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from sweeper.report import curves
from sweeper.report.dials import Dial, dials
from sweeper.report.document import Document
from sweeper.report.figure import Figure
from sweeper.report.measured import select
from sweeper.report.searched import tunable
from sweeper.report.theme import MOST
from sweeper.report.trend import reading
from sweeper.report.writing import percent
from sweeper.results.schema import CURVE_METRICS, MINORITY

SHOWN = ("iou", "recall", "precision")


DIAL = "dial_"
"""How the names of the dials' figures begin; every other figure is named as its field of `Figures`."""


@dataclass(frozen=True)
class Figures:
    """Every figure of a report; None where the results hold nothing to draw."""

    glance: Figure | None
    sensitivity: Figure | None
    precision_recall: Figure | None
    thresholds: Figure | None
    tuning: Figure | None
    curves: Figure | None
    dials: tuple[Figure, ...]

    def __iter__(self) -> Iterator[Figure]:
        for field in fields(self):
            value = getattr(self, field.name)
            yield from value if isinstance(value, tuple) else ([] if value is None else [value])


def draw_figures(document: Document) -> Figures:
    """Make every figure of a report."""
    return Figures(
        glance=_glance(document),
        sensitivity=_sensitivity(document),
        precision_recall=_precision_recall(document),
        thresholds=_dumbbell(
            document, "thresholds", "point", "argmax", "shifted", "What tuning the threshold alone gains"
        ),
        tuning=_dumbbell(document, "tuning", "setting", "default", "tuned", "What tuning the hyperparameters gains"),
        curves=_curves(document),
        dials=_dials(document),
    )


def _glance(document: Document) -> Figure | None:
    if not document.answer.rankings:
        return None
    hardest = document.answer.rankings[-1].level
    rows = select(document.measured, setting="tuned", point="argmax", class_=MINORITY, level=hardest)
    order = [standing.family for standing in document.answer.rankings[-1].standings]
    return Figure(
        "glance",
        f"All families at {percent(hardest)} background",
        curves.forest(rows, document.look, SHOWN, order),
        alt=f"Minority IoU, recall and precision of {len(order)} families at {percent(hardest)} background.",
        caption="Tuned setting, argmax, test; mean over the minority classes and seeds with 95 % intervals.",
    )


def _sensitivity(document: Document) -> Figure | None:
    rows = select(document.measured, setting="tuned", point="argmax", class_=MINORITY)
    if rows.dropna(subset=["mean"])["level"].nunique() < 2:
        return None
    crowd = ""
    if len(document.families) > len(document.look):
        crowd = f" The baseline and the {MOST} best at the hardest level are in color, the others grey."
    return Figure(
        "sensitivity",
        "Imbalance-sensitivity curves",
        curves.sensitivity(rows, document.look, SHOWN),
        alt="Minority IoU, recall and precision over the background fraction, one line per family.",
        caption="Tuned setting, argmax, test; 95 % intervals, families set a little apart sideways. The x axis is "
        f"logarithmic in the foreground share. Click a family in the legend to single it out.{crowd}",
    )


def _precision_recall(document: Document) -> Figure | None:
    rows = select(document.measured, setting="tuned", class_=MINORITY)
    wide = rows.pivot_table(index=["family", "level", "point"], columns="metric", values="mean").reset_index()
    if not {"precision", "recall"} <= set(wide.columns) or wide[["precision", "recall"]].dropna().empty:
        return None
    return Figure(
        "precision_recall",
        "Precision and recall at both operating points",
        curves.precision_recall(wide, document.look),
        alt="Precision over recall per level; each family's argmax and shifted point joined by a line.",
        caption="Filled: argmax; hollow: the threshold tuned on validation. Grey curves: equal IoU of a single class.",
    )


def _dumbbell(document: Document, name: str, kind: str, first: str, second: str, title: str) -> Figure | None:
    score = document.score
    same = {"point": "argmax"} if kind == "setting" else {"setting": "tuned"}
    rows = select(document.measured, class_=score.klass, metric=score.metric, **same).dropna(subset=["mean"])
    if kind == "setting":
        rows = rows[rows["family"].isin(tunable(document.results)[0])]
    if set(rows[kind]) != {first, second}:
        return None
    return Figure(
        name,
        title,
        curves.dumbbell(rows, kind=kind, first=first, second=second, label=score.label, order=document.order),
        alt=f"{score.label} per family and level, {first} against {second}.",
        caption=f"Hollow: {first}; filled: {second}. Whether a difference is clear of noise is in the table.",
    )


def _curves(document: Document) -> Figure | None:
    rows = select(document.measured, setting="tuned", point="argmax")
    rows = rows[rows["metric"].isin(CURVE_METRICS)].dropna(subset=["mean"])
    if rows["level"].nunique() < 2:
        return None
    return Figure(
        "curves",
        "Error and coverage of the recovered curves",
        curves.recovered(rows, document.look),
        alt="Error and coverage of every recovered curve over the background fraction, one line per family.",
        caption="Tuned setting, argmax, test; 95 % intervals over seeds, families set a little apart sideways. A log "
        "in which a curve is never predicted counts with the error of a blind guess, 25 % of the track width.",
    )


def _dials(document: Document) -> tuple[Figure, ...]:
    found: list[Figure] = []
    for dial in dials(document.results, document.score):
        label = f"{dial.symbol} ({dial.name})" if dial.symbol and dial.symbol != dial.name else dial.name
        measure = f"validation {document.score.label}"
        found.append(
            Figure(
                _file_stem(f"{DIAL}{dial.family}_{dial.name}", taken={figure.name for figure in found}),
                f"{dial.family}: {label}",
                curves.dial(
                    dial.rows, symbol=label, values=dial.values, log=dial.log, default=dial.default, score=measure
                ),
                alt=f"Search trials of {dial.family}: validation scores over {dial.name}.",
                caption=_dial_caption(dial),
                reading=reading(dial.rows, dial.symbol or dial.name, ("recall", "precision"), seed=document.seed),
            )
        )
    return tuple(found)


def _dial_caption(dial: Dial) -> str:
    parts = ["A point per search trial, on validation."]
    if dial.effect:
        parts.append(f"{dial.symbol}: {dial.effect.rstrip('.')}.")
    if dial.default is not None:
        parts.append(f"Dashed: the default, {dial.default:g}.")
    if "stopped" in set(dial.rows["status"]):
        parts.append("Hollow: stopped early, scored at the epoch reached.")
        stopped = dial.rows[dial.rows["status"] == "stopped"]
        if not {"recall", "precision"} & set(stopped["measure"]):
            parts.append("Their recall and precision were not recorded.")
    if not dial.alone:
        parts.append("The other hyperparameters of the family vary too.")
    return " ".join(parts)


def _file_stem(name: str, *, taken: set[str]) -> str:
    safe = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
    candidate, number = safe, 2
    while candidate in taken:
        candidate, number = f"{safe}_{number}", number + 1
    return candidate
