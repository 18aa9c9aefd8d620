"""The studies that are compared: told apart by name, with the families they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sweeper.errors import UserError
from sweeper.report.comparisons import Headline, headline
from sweeper.report.document import Document
from sweeper.report.output.writing import listed
from sweeper.results.schema import MINORITY

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

    @property
    def seed(self) -> int:
        return self.documents[0].seed

    @cached_property
    def digests(self) -> list[str]:
        """The digest of every study's results."""
        return [document.results.digest for document in self.documents]

    @cached_property
    def data_sets(self) -> list[list[str]]:
        """The studies by their data, equal fingerprints together: what they show is one piece of evidence."""
        groups: dict[str, list[str]] = {}
        for name, document in zip(self.names, self.documents, strict=True):
            groups.setdefault(str(document.results.meta["data"]["fingerprint"]), []).append(name)
        return list(groups.values())

    @property
    def same_data(self) -> list[list[str]]:
        """Studies on the same data."""
        return [group for group in self.data_sets if len(group) > 1]

    @cached_property
    def roles(self) -> list[tuple[str, str]]:
        """What every study takes for the background and for the minority."""
        return [(background(document), minority(document)) for document in self.documents]

    @property
    def same_roles(self) -> bool:
        """Whether the score is of the same classes everywhere."""
        own = {name for _, name in self.roles} if self.score.klass == MINORITY else set()
        return len({name for name, _ in self.roles}) == 1 and len(own) < 2

    @property
    def unfinished(self) -> list[str]:
        return [name for name, document in zip(self.names, self.documents, strict=True) if document.unfinished]

    def headings(self, *taken: str) -> dict[str, str]:
        """Return a heading for every study's column `study_0`, `study_1`, ...: its name, unless a column has that."""
        used = set(taken) | {name.replace("_", " ") for name in taken}
        found = {}
        for at, name in enumerate(self.names):
            while name in used:
                name += " (study)"
            used.add(name)
            found[f"study_{at}"] = name
        return found


def background(document: Document) -> str:
    """Name the class whose share of the pixels is the level."""
    data = document.results.meta["data"]
    return next((str(one["name"]) for one in data["classes"] if one["index"] == data["background"]), "none")


def minority(document: Document) -> str:
    """Name the classes a study is about."""
    return listed(document.minority, most=len(document.minority)) if document.minority else "none"


def line_up(studies: Sequence[Results], *, seed: int = 0) -> Lineup:
    """Bring studies beside each other.

    Args:
        seed: Of the resampling.

    Raises: UserError when there are fewer than two, when the same results are given twice, when the studies do not rank
        by the same score, or when no family is in all of them.
    """
    if len(studies) < 2:
        raise UserError("a comparison needs at least two studies")
    documents = tuple(Document(results, seed=seed) for results in studies)
    lineup = Lineup(_names([str(results.meta["study"]["name"]) for results in studies]), documents)
    for at, one in enumerate(lineup.digests):
        if (first := lineup.digests.index(one)) < at:
            raise UserError(
                f"study {at + 1} ({lineup.names[at]}) has the results of study {first + 1} ({lineup.names[first]}), "
                "digit for digit; give every study once"
            )
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


def _names(plain: Collection[str]) -> tuple[str, ...]:
    """Return the studies' names, those that occur more than once numbered."""
    often, used = Counter(plain), set(plain)
    names = []
    for name in plain:
        own = name
        if often[name] > 1:
            number = 1
            while (own := f"{name} ({number})") in used:
                number += 1
            used.add(own)
        names.append(own)
    return tuple(names)
