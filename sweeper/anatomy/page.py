"""The anatomy of losses as files: one self-contained page, a Markdown twin, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sweeper.anatomy import charts, measure
from sweeper.anatomy.contestants import Contestant
from sweeper.anatomy.scenes import CONFIDENCE, OBJECTS, SIDE
from sweeper.anatomy.summary import FLAT, findings, relative, summary
from sweeper.files import write_bytes
from sweeper.report.output.exports import figure_files, table_files
from sweeper.report.output.figure import Figure
from sweeper.report.output.templating import render_page, writing_to
from sweeper.report.output.theme import styles
from sweeper.report.output.typeset import Column, decimal, share, table, word
from sweeper.report.output.writing import listed, text


def build_anatomy(losses: Sequence[Contestant], left_out: dict[str, str], folder: Path, *, seed: int = 0) -> Path:
    """Measure losses and write `anatomy.html`, `anatomy.md`, `figures/` and `tables/` into `folder`.

    Returns the path of the page. Everything is made before the first file is written, and the page comes last.

    Args:
        left_out: Losses that were asked for and cannot be shown, each with the reason.
        seed: Of the untrained models' logits; equal seeds give equal files.

    Raises: ResultsError when the folder cannot be written.
    """
    files = render(losses, left_out, seed=seed)
    with writing_to(folder, "page"):
        for name, content in files.items():
            write_bytes(folder / name, content)
    return folder / "anatomy.html"


def render(losses: Sequence[Contestant], left_out: dict[str, str], *, seed: int = 0) -> dict[str, bytes]:
    """Return the content of every file by its path, the page last."""
    labels = [loss.label for loss in losses]
    look = styles(labels, labels)
    profiles = measure.profiles(losses)
    half = profiles[np.isclose(profiles["p"], 0.5)].set_index("loss")["gradient"]
    unit = half.where(half.abs() > 0).reindex(profiles["loss"]).to_numpy()
    profiles["pull"] = profiles["gradient"].to_numpy() / unit
    costs = relative(measure.deformations(losses))
    shares = measure.gradient_shares(losses, seed=seed)
    summarized = summary(losses, costs, shares)
    figures = {
        figure.name: figure
        for figure in (
            Figure(
                "deformation",
                "What an error of shape costs",
                charts.deformation(costs, labels),
                alt="Cost of a large disk, a small disk and a thin curve predicted too small, too large, or beside "
                "itself, a row per loss.",
                caption="Cost above a perfect prediction, in units of what missing the large disk costs that loss. "
                "Left: the object's edge moved, misses to the left of 0 and false alarms to the right; right: "
                f"the object shifted.{_crowd(labels)}",
            ),
            Figure(
                "shares",
                "Who gets the gradient",
                charts.shares(shares, look),
                alt="The foreground's share of the gradient over the background fraction, a line per loss.",
                caption="Both axes are logarithmic. Untrained: logits near 0. All background: a model that gives the "
                "foreground 2 % everywhere. A loss that treats pixels alike falls with the foreground's area; click "
                "one in the legend to single it out.",
            ),
            Figure(
                "profile",
                "Value and gradient against confidence",
                charts.profile(profiles, look),
                alt="Value and gradient of each loss over the probability that every pixel gives its true class.",
                caption="Every pixel of the frame with the large disk gives its true class the same probability. "
                "Gradient: of the logit margin, towards the truth where positive. Axes leave out the last per cent.",
            ),
        )
    }
    tables = {
        one.name: one
        for one in (
            table(
                "behaviour",
                "How each loss behaves",
                "Small disk, thin curve: the price of missing them, in units of what missing the large disk costs. "
                "Misses : alarms: the price of missed pixels along the large disk's edge over that of as many false "
                "alarms, 1 where both weigh alike. Untrained, all background: the foreground's share of the gradient "
                "of such a model at 99 % background. Falls where worse: a worse prediction is charged less.",
                summarized,
                [
                    Column("loss", word("loss")),
                    Column("on the two axes", lambda row: f"{row.overlap}, {row.tradeoff}"),
                    Column("small disk", decimal("small"), numeric=True),
                    Column("thin curve", decimal("thin"), numeric=True),
                    Column("misses : alarms", decimal("miss_over_alarm", 2), numeric=True),
                    Column("untrained", share("untrained"), numeric=True),
                    Column("all background", share("all_background"), numeric=True),
                    Column("falls where worse", lambda row: text(row.turns or None)),
                ],
            ),
        )
    }
    numbers = {"deformations": costs, "shares": shares, "profiles": profiles}
    for figure in figures.values():
        figure.begin()
    files: dict[str, bytes] = {}
    for figure in figures.values():
        files |= figure_files(figure)
    for one in tables.values():
        files |= table_files(one)
    for name, frame in numbers.items():
        files[f"tables/{name}.csv"] = frame.to_csv(index=False, lineterminator="\n").encode()
    words: dict[str, Any] = {
        "losses": losses,
        "left_out": left_out,
        "findings": findings(summarized),
        "figures": figures,
        "tables": tables,
        "numbers": list(numbers),
        "confidence": CONFIDENCE,
        "side": SIDE,
        "areas": {name: float(mask.mean()) for name, mask in OBJECTS.items()},
        "flat": FLAT,
        "seed": seed,
        "title": f"How {listed(labels, most=4)} behave" if len(labels) > 1 else f"How {labels[0]} behaves",
    }
    for name in ("anatomy.md", "anatomy.html"):
        files[name] = render_page(name, words, package="sweeper.anatomy")
    return files


def _crowd(labels: Sequence[str]) -> str:
    hidden = len(labels) - charts.MOST_ROWS
    return f" {hidden} more losses are in the table of deformations." if hidden > 0 else ""
