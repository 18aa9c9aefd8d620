"""The studies that are compared: told apart by name, with the families they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sweeper.errors import UserError
from sweeper.report.comparisons import Headline, headline
from sweeper.report.document import ROPE, Document

if TYPE_CHECKING:
    from sweeper.results.results import Results


@dataclass(frozen=True)
class Lineup:
    """Studies in the order they were given, each under a name of its own."""

    names: tuple[str, ...]
    documents: tuple[Document, ...]

    @property
    def score(self) -> Headline:
        return self.documents[0].score

    @cached_property
    def families(self) -> list[str]:
        """Families that every study has, in the order of the first."""
        common = set.intersection(*(set(document.families) for document in self.documents))
        return [family for family in self.documents[0].families if family in common]

    @cached_property
    def left_out(self) -> dict[str, list[str]]:
        """Families that some study lacks, with the studies that have them."""
        found: dict[str, list[str]] = {}
        for name, document in zip(self.names, self.documents, strict=True):
            for family in document.families:
                if family not in self.families:
                    found.setdefault(family, []).append(name)
        return found

    @cached_property
    def same_data(self) -> list[list[str]]:
        """Studies on the same data: what they show is no independent evidence."""
        groups: dict[str, list[str]] = {}
        for name, document in zip(self.names, self.documents, strict=True):
            groups.setdefault(str(document.results.meta["data"]["fingerprint"]), []).append(name)
        return [group for group in groups.values() if len(group) > 1]

    @property
    def unfinished(self) -> list[str]:
        return [name for name, document in zip(self.names, self.documents, strict=True) if document.unfinished]


def line_up(studies: Sequence[Results], *, seed: int = 0, rope: float = ROPE) -> Lineup:
    """Bring studies beside each other.

    Raises: UserError when there are fewer than two, when they do not rank by the same score, or when no family is in
        all of them.
    """
    if len(studies) < 2:
        raise UserError("a comparison needs at least two studies")
    documents = tuple(Document(results, seed=seed, rope=rope) for results in studies)
    lineup = Lineup(_names(studies), documents)
    scores = {name: headline(document.results) for name, document in zip(lineup.names, documents, strict=True)}
    if len(set(scores.values())) > 1:
        said = "; ".join(f"{name}: {score.label}" for name, score in scores.items())
        raise UserError(
            f"the studies do not rank by the same score ({said}); compare studies with the same search.metric"
        )
    if not lineup.families:
        said = "; ".join(
            f"{name}: {', '.join(one.families)}" for name, one in zip(lineup.names, documents, strict=True)
        )
        raise UserError(f"no family is in all of the studies ({said}); compare studies that share some")
    return lineup


def _names(studies: Sequence[Results]) -> tuple[str, ...]:
    """Return the studies' names, those that occur more than once numbered."""
    plain = [str(results.meta["study"]["name"]) for results in studies]
    often = Counter(plain)
    seen: Counter[str] = Counter()
    names = []
    for name in plain:
        seen[name] += 1
        names.append(f"{name} ({seen[name]})" if often[name] > 1 else name)
    return tuple(names)
