"""A study that is extended runs what it lacks and nothing twice, and ends where a fresh one of its size ends."""

from __future__ import annotations

import pytest

from sweeper.search.sweep import Sweep
from sweeper.study.plan import Plan

from .test_sweep import drive, make

MORE = [
    {"trials": 9},
    {"confirm": {"seeds": 4}},
    {"imbalance": {"levels": [0.95, 0.96, 0.97, 0.98], "reference": 0.97}},
    {"families": {name: {} for name in ("cross_entropy", "focal", "tversky", "dice")}},
    {"trials": 9, "confirm": {"seeds": 4}},
]


def base(**sections: object) -> Plan:
    families = {name: {} for name in ("cross_entropy", "focal", "tversky")}
    return make(**{"trials": 6, "families": families, "confirm": {"seeds": 2}, **sections})


def ends(sweep: Sweep) -> dict[str, tuple[object, ...]]:
    """What the study comes to: its trials, and what became of each."""
    return {one.key: (one.stage, one.number, one.status, one.objective) for one in sweep.current()}


@pytest.mark.parametrize("more", MORE, ids=str)
@pytest.mark.parametrize("stop", [None, 8], ids=["done", "half-way"])
def test_an_extended_study_ends_as_a_fresh_one_of_its_size(more, stop):
    first, _ = drive(base(), seed=1, stop=stop)
    kept = tuple(first.recorded.values())
    extended, ran_then = drive(base(**more), seed=2, records=kept)
    assert not {one.trial.key for one in ran_then} & {record.key for record in kept}
    assert len(ran_then) == len({one.trial.key for one in ran_then})
    fresh, _ = drive(base(**more), seed=3)
    assert ends(extended) == ends(fresh)
    assert [row["trials"] for row in extended.ledger()] == [row["trials"] for row in fresh.ledger()]


def test_what_is_left_out_counts_again_once_it_is_back():
    whole, _ = drive(base(), seed=1)
    kept = tuple(whole.recorded.values())
    narrow, ran = drive(base(families={"cross_entropy": {}, "focal": {}}), seed=1, records=kept)
    assert ran == []
    assert {one.family for one in narrow.current()} == {"cross_entropy", "focal"}
    again, ran = drive(base(), seed=1, records=tuple(narrow.recorded.values()))
    assert ran == []
    assert ends(again) == ends(whole)
