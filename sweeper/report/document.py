"""What a report is about: results, their evidence, and what follows for all of its parts. Worked out once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from sweeper.report import comparisons
from sweeper.report.answer import Answer, answer
from sweeper.report.comparisons import Headline
from sweeper.report.evidence import Evidence, gather
from sweeper.report.gallery.panels import PanelGrid, panel_grid
from sweeper.report.inference.verdict import ROPE as ROPE
from sweeper.report.measured import measured
from sweeper.report.output.theme import Style, styles
from sweeper.report.pairs import Contests
from sweeper.report.plane.axes import Axes, axes
from sweeper.report.search.explored import Explored, edge_words

if TYPE_CHECKING:
    from sweeper.results.results import Results


@dataclass(frozen=True)
class Document:
    """A report before it is rendered; each part is worked out when first asked for."""

    results: Results
    seed: int = 0
    """Of the resampling."""
    rope: float = ROPE
    """Differences of the headline score up to this are taken for none in practice; in [0, 1)."""
    dials: tuple[tuple[str, str], ...] = ()
    """Pairs of hyperparameters that the reader asked to see against each other."""
    pictures: Path | None = None
    """Folder of prediction pictures; see `panels.panel_grid`."""

    @cached_property
    def evidence(self) -> Evidence:
        return gather(self.results, seed=self.seed)

    @cached_property
    def measured(self) -> pd.DataFrame:
        return measured(self.results, self.evidence)

    @cached_property
    def axes(self) -> Axes:
        return axes(self.results, self.evidence, self.score, rope=self.rope)

    @cached_property
    def explored(self) -> Explored:
        return Explored(self.results, self.seed)

    @cached_property
    def contests(self) -> Contests:
        """Every pair of tuned families in the headline score."""
        levels = tuple(sorted(float(level) for level in self.results.meta["levels"]))
        return Contests(self.evidence, tuple(self.families), levels, self.score.metric, self.score.klass, self.rope)

    @cached_property
    def answer(self) -> Answer:
        found = answer(self.results, self.contests)
        edges = [edge_words(edge) for edge in self.explored.edges]
        if not found.rankings or not edges:
            return found
        more = f" So it is with {len(edges) - 1} more; see the dials." if len(edges) > 1 else ""
        return dataclasses.replace(found, cautions=(*found.cautions, f"{edges[0]}{more}"))

    @cached_property
    def panels(self) -> PanelGrid | None:
        return panel_grid(self.results, self.pictures)

    @property
    def score(self) -> Headline:
        return comparisons.headline(self.results)

    @property
    def families(self) -> list[str]:
        return list(self.results.meta["families"])

    @property
    def minority(self) -> list[str]:
        data = self.results.meta["data"]
        return [str(one["name"]) for one in data["classes"] if one["index"] in data["minority"]]

    @property
    def unfinished(self) -> bool:
        """Whether the study had not ended when these results were written."""
        return self.results.meta.get("trials", []) is None

    @cached_property
    def order(self) -> list[str]:
        """Families best first at the hardest level with scores, then those without."""
        ranked = [s.family for s in self.answer.rankings[-1].standings] if self.answer.rankings else []
        return [*ranked, *(family for family in self.families if family not in ranked)]

    @cached_property
    def look(self) -> dict[str, Style]:
        return styles(self.families, self.order)
