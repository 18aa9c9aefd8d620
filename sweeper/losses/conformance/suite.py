"""Trying demands on a family, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sweeper.losses.conformance.demands import DEMANDS, Demand
from sweeper.losses.conformance.subject import Subject, Unmet, shown
from sweeper.losses.family import Family

Status = Literal["passed", "failed", "exempt"]


@dataclass(frozen=True)
class Result:
    """What came of one demand."""

    name: str
    title: str
    status: Status
    detail: str = ""
    """How it is not met, or why it need not be."""
    idle: bool = False
    """Whether an exemption is not needed: the demand is met at every setting tried."""


def run_suite(family: Family, *, demands: Sequence[Demand] | None = None, exempt_too: bool = False) -> list[Result]:
    """Try every demand that concerns a family; those that it is exempt from are only named.

    Args:
        demands: Which; None is all.
        exempt_too: Also try those it is exempt from, to know whether the exemption is needed.
    """
    subject = Subject(family)
    wanted = DEMANDS if demands is None else demands
    return [run_demand(demand, subject, exempt_too=exempt_too) for demand in wanted if demand.concerns(family)]


def run_demand(demand: Demand, subject: Subject, *, exempt_too: bool = False) -> Result:
    """Try one demand. Whatever a loss raises becomes a failed result."""
    reason = subject.family.exempt.get(demand.name) if demand.exemptible else None  # type: ignore[call-overload]
    if reason is not None and not exempt_too:
        return Result(demand.name, demand.title, "exempt", reason)
    problem = _problem(demand, subject)
    if reason is not None:
        return Result(demand.name, demand.title, "exempt", reason, idle=not problem)
    return Result(demand.name, demand.title, "failed" if problem else "passed", problem)


def _problem(demand: Demand, subject: Subject) -> str:
    try:
        demand.run(subject)
    except Unmet as unmet:
        return str(unmet)
    except Exception as error:
        return f"raises {shown(error)}"
    return ""
