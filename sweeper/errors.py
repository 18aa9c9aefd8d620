"""Every exception `sweeper` raises on purpose, in one tree.

SweeperError                 anything this package reports itself        exit code 1
├── UserError                the user can mend it; the message says how   exit code 2
│   ├── StudyError           a study file, with every problem it has
│   ├── DomainError          a search domain that cannot be honoured
│   ├── UnknownFamily        no loss family of that name
│   ├── LossError            a loss called with tensors or values outside its contract
│   ├── DataError            images, masks, classes or splits
│   │   └── LevelError       an imbalance level the data cannot reach
│   ├── ModelError           an architecture or encoder that cannot be built
│   ├── TrackingError        an MLflow address that cannot be used
│   ├── ResultsError         results that are missing or cannot be read
│   ├── RunFolderError       an output folder that cannot be used
│   └── ChangedStudy         a run folder that holds another study of this name
├── DiskFull                 no room left; what is recorded stays, the same command continues
├── TrialFailure             a trial that cannot go on; recorded, never fatal to the study
└── Interrupted              stopped half-way; the same command continues  exit code 75
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class SweeperError(Exception):
    """Root of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class UserError(SweeperError):
    """Something the user gave is wrong; the message names it and says what would be right."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a study file: where, which key, what, and what would be right."""

    where: str
    """`file:line`, or `--set` for a value given on the command line."""
    key: str
    """The dotted key, e.g. `families.tversky.beta`."""
    wrong: str
    right: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.wrong}; {self.right}"


class StudyError(UserError):
    """A study file that cannot be used, with every problem found, one per line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class DomainError(UserError):
    """A search domain that cannot be expressed or leaves the legal range of its hyperparameter."""


class UnknownFamily(UserError):
    """No loss family of that name; the nearest name is suggested."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.hint = suggest(name, known)
        super().__init__(f"there is no loss family {name!r}; {self.hint}")


class LossError(UserError):
    """A loss was called with tensors or hyperparameters outside its contract."""


class DataError(UserError):
    """Images, masks, classes or splits that cannot be used as they are."""


class LevelError(DataError):
    """An imbalance level outside what the patches can reach by weighting."""


class ModelError(UserError):
    """A model that cannot be built from the study's `model` section."""


class TrackingError(UserError):
    """An MLflow address that cannot be used."""


class ResultsError(UserError):
    """Results that are missing, or not written by `sweeper`."""


class RunFolderError(UserError):
    """A run folder that cannot be written, or that another run is using."""


class ChangedStudy(UserError):
    """A run folder whose recorded trials are of another study of the same name, or of other data."""


class DiskFull(SweeperError):
    """No room left on a disk. Not `Interrupted`: whoever starts again at once would meet it again."""


class TrialFailure(SweeperError):
    """A trial that cannot go on (NaN, divergence, ...). Its text is the reason recorded with the trial."""


class Interrupted(SweeperError):
    """The study was stopped before its end; running the same command again continues it."""

    exit_code = 75


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for a near miss of `name`, else the list of what is known."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}"
