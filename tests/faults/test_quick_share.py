"""A quick share of the fault injection, on two studies; `make faults` injects hundreds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.playing import Story, World
from tests.faults.schedule import Injection
from tests.faults.small_disk import SmallDisk, can_mount
from tests.faults.study import YAML, Place
from tests.faults.verdict import Ended, Verdict, compare, remains

MISFORTUNES = (
    Injection("MLflow's answers lost", trials=0, delay=0.0, dice=1, late=5.0),
    Injection("worker killed, its checkpoint corrupt", trials=1, delay=0.3, dice=2),
    Injection("driver killed while writing", trials=2, delay=0.2, dice=3),
    Injection("MLflow restarted", trials=3, delay=0.0, dice=4),
    Injection("raylet killed", trials=3, delay=0.2, dice=5),
    Injection("outbox torn", trials=6, delay=0.1, dice=6),
)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="swf-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def world(scratch: Path) -> Iterator[World]:
    world = World.make(scratch / "world", YAML)
    yield world
    world.close()


@pytest.fixture
def place(scratch: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    place = Place(scratch / request.node.name)
    yield place
    place.remove()


@pytest.fixture(scope="module")
def undisturbed(world: World, scratch: Path) -> Iterator[Ended]:
    place = Place(scratch / "undisturbed")
    try:
        story = world.play(place, "undisturbed")
        assert (story.codes, story.problems, remains(place)) == ([0], [], [])
        yield Ended.of(place, world.server.database, "undisturbed")
    finally:
        place.remove()


def test_whatever_happens_the_tables_are_those_of_an_undisturbed_study(
    world: World, undisturbed: Ended, place: Place
) -> None:
    story = world.play(place, "disturbed", MISFORTUNES)
    assert story.problems == []
    assert {strike.kind for strike in story.strikes} == {one.kind for one in MISFORTUNES}, story
    assert len(story.codes) > 1, story
    _holds(story, place, world, undisturbed, "disturbed")


def test_a_full_disk_stops_a_study_that_continues_when_there_is_room(
    world: World, undisturbed: Ended, place: Place, scratch: Path
) -> None:
    if (reason := can_mount(scratch / "tried")) is not None:
        pytest.skip(reason)
    disk = SmallDisk(place.out)
    try:
        story = world.play(place, "full", [Injection("disk full", trials=2, delay=0.2, dice=1)], disk)
        assert story.problems == []
        assert story.codes == [1, 0], (story, place.said)
        _holds(story, place, world, undisturbed, "full")
    finally:
        disk.unmount()


def _holds(story: Story, place: Place, world: World, undisturbed: Ended, experiment: str) -> None:
    found = Ended.of(place, world.server.database, experiment)
    assert compare(found, undisturbed) == Verdict(lost=0, twice=0, problems=()), story
    assert remains(place) == [], story
