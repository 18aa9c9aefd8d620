from __future__ import annotations

from collections import Counter

from tests.faults.injecting import ACTIONS
from tests.faults.schedule import KINDS, MOST_WORKER_KILLS, draw


def all_of(seed: int, studies: int = 60) -> list[tuple]:
    return [draw(seed, number, kinds=list(KINDS), trials=8) for number in range(1, studies + 1)]


def test_the_seed_decides_everything():
    assert all_of(1) == all_of(1)
    assert all_of(1) != all_of(2)
    assert draw(1, 2, kinds=list(KINDS), trials=8) != draw(1, 3, kinds=list(KINDS), trials=8)


def test_sixty_studies_meet_two_hundred_faults_of_every_kind_and_at_every_moment():
    struck = [one for schedule in all_of(1) for one in schedule]
    assert len(struck) >= 200
    assert {one.kind for one in struck} == set(KINDS)
    assert {one.trials for one in struck} == set(range(9))
    assert all(3 <= len(schedule) <= 6 for schedule in all_of(1))


def test_faults_strike_in_order_and_no_worker_is_killed_once_too_often():
    for schedule in all_of(3, studies=300):
        assert list(schedule) == sorted(schedule, key=lambda one: (one.trials, one.delay))
        assert Counter(one.kind.startswith("worker killed") for one in schedule)[True] <= MOST_WORKER_KILLS


def test_every_kind_can_be_carried_out():
    assert ACTIONS.keys() == KINDS.keys()
