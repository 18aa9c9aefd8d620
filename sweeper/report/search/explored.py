"""What a study's search found out about the dials, worked out once for all that is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sweeper.report.output.writing import percent, text
from sweeper.report.search.dials import FamilySearch, searches
from sweeper.report.search.importance import importance
from sweeper.report.search.responses import Edge, Response, edges_of, respond
from sweeper.report.tables import shown_levels

if TYPE_CHECKING:
    from sweeper.results.results import Results


@dataclass(frozen=True)
class Explored:
    """The search of every family with a numeric dial, its smoothed scores and where they end."""

    results: Results
    seed: int = 0

    @cached_property
    def searches(self) -> list[FamilySearch]:
        return searches(self.results)

    @cached_property
    def importance(self) -> pd.DataFrame:
        return importance(self.results, seed=self.seed)

    @cached_property
    def responses(self) -> dict[tuple[str, float], Response]:
        """Of the search score, by family and level, where there are trials enough."""
        found = {}
        for search in self.searches:
            for level in search.levels:
                response = respond(search, level, seed=self.seed)
                if response is not None:
                    found[search.family, level] = response
        return found

    @cached_property
    def edges(self) -> list[Edge]:
        """Every search whose best setting, or whose score, points beyond its domain."""
        return [
            edge
            for search in self.searches
            for level in search.levels
            for edge in edges_of(search, level, self.responses.get((search.family, level)))
        ]

    def levels(self, search: FamilySearch) -> list[float]:
        """Return the levels at which a family's dials are drawn: the reference and the hardest, if searched there."""
        wanted = [level for level in shown_levels(self.results) if level in search.levels]
        counts = search.trials["level"].value_counts()
        return wanted or [float(counts.index[int(np.argmax(counts))])]


def edges(results: Results, *, seed: int = 0) -> list[Edge]:
    """Return where a study's search ended at the edge of a domain; `edge_words` says it."""
    return Explored(results, seed).edges


def edge_words(edge: Edge) -> str:
    """Say in a sentence what lies at the edge."""
    dial = edge.dial
    place = f"{edge.family} at {percent(edge.level)}"
    domain = f"{edge.end} end of its domain ({text(dial.low)} to {text(dial.high)})"
    if edge.near and edge.rising:
        what = f"the best {dial.short}, {text(edge.value)}, lies at the {domain}, and the score still rises towards it"
    elif edge.near:
        what = f"the best {dial.short}, {text(edge.value)}, lies at the {domain}"
    else:
        what = f"the score still rises with {dial.short} towards the {domain}"
    return f"{place}: {what}."
