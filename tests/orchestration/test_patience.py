"""A trial that hangs is told from one that is merely slow, by what its peers took."""

from __future__ import annotations

import pytest

from sweeper.orchestration.patience import BLINK_SECONDS, FACTOR, FIRST_SECONDS, LEAST_SECONDS, Patience


class Clock:
    """Looks every five seconds, as the driver does, while time passes."""

    def __init__(self, patience: Patience) -> None:
        self.patience, self.now = patience, 1000.0
        self.found: dict[str, float] = {}

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 5.0)
            self.found = dict(self.patience.overdue(self.now))


def test_of_what_nobody_has_seen_the_first_gets_a_long_fixed_time():
    clock = Clock(patience := Patience("auto"))
    patience.begin("a", "dice", "search", clock.now)
    clock.wait(FIRST_SECONDS)
    assert clock.found == {}
    clock.wait(5)
    assert clock.found == {"a": FIRST_SECONDS}


def test_a_step_may_take_many_times_as_long_as_the_slowest_of_its_kind():
    clock = Clock(patience := Patience("auto"))
    patience.begin("a", "dice", "search", clock.now)
    clock.wait(200)
    patience.progress("a", "epoch", clock.now)
    clock.wait(40)
    patience.progress("a", "epoch", clock.now)
    clock.wait(50)
    patience.progress("a", "score", clock.now)
    patience.end("a")
    patience.begin("b", "dice", "search", clock.now)
    clock.wait(FACTOR * 200)
    assert clock.found == {}, "its start is compared with the start of the other"
    patience.progress("b", "epoch", clock.now)
    clock.wait(FACTOR * 50 + 5)
    assert clock.found == {"b": FACTOR * 50}
    patience.progress("b", "score", clock.now)
    clock.wait(FIRST_SECONDS)
    assert clock.found == {}, "no peer has come through its scoring yet"


@pytest.mark.parametrize("other", [("focal", "search"), ("dice", "confirm")])
def test_other_families_and_stages_are_no_peers(other):
    clock = Clock(patience := Patience("auto"))
    patience.begin("a", *other, clock.now)
    clock.wait(5)
    patience.progress("a", "epoch", clock.now)
    patience.end("a")
    patience.begin("b", "dice", "search", clock.now)
    clock.wait(FIRST_SECONDS)
    assert clock.found == {}


def test_quick_peers_do_not_make_it_nervous():
    clock = Clock(patience := Patience("auto"))
    for key in ("a", "b"):
        patience.begin(key, "dice", "search", clock.now)
        clock.wait(1)
        patience.progress(key, "epoch", clock.now)
    clock.wait(LEAST_SECONDS - 5)
    assert set(clock.found) <= {"a", "b"}
    patience.end("a")
    patience.begin("c", "dice", "search", clock.now)
    clock.wait(LEAST_SECONDS)
    assert "c" not in clock.found
    clock.wait(5)
    assert clock.found["c"] == LEAST_SECONDS


def test_a_given_limit_is_that_of_every_step():
    clock = Clock(patience := Patience(20.0))
    patience.begin("a", "dice", "search", clock.now)
    clock.wait(25)
    assert clock.found == {"a": 20.0}
    patience.end("a")
    assert patience.overdue(clock.now) == {}


def test_time_in_which_the_driver_itself_was_away_does_not_count():
    """Stopped in its terminal over night, perhaps with its workers."""
    patience = Patience(60.0)
    patience.begin("a", "dice", "search", 0.0)
    assert patience.overdue(5.0) == {}
    assert patience.overdue(36000.0) == {}
    assert patience.overdue(36000.0 + 25.0 - (BLINK_SECONDS - 5.0)) == {}
    assert patience.overdue(36000.0 + 26.0) == {"a": 60.0}
