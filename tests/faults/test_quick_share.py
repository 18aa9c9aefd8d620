"""A quick share of the fault injection, on one study; `make faults` injects hundreds.

The disk is filled where this process may mount one, which mostly means root.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.playing import World
from tests.faults.schedule import NEEDS_DISK, Injection
from tests.faults.small_disk import SmallDisk, can_mount
from tests.faults.study import YAML, Place
from tests.faults.verdict import Ended, Verdict, compare, remains

MISFORTUNES = (
    Injection("MLflow's answers lost", trials=0, delay=0.0, dice=1, late=5.0),
    Injection("worker killed, its checkpoint corrupt", trials=1, delay=0.3, dice=2),
    Injection("driver killed while writing", trials=2, delay=0.2, dice=3),
    Injection("MLflow restarted", trials=3, delay=0.0, dice=4),
    Injection("disk full", trials=3, delay=0.2, dice=5),
    Injection("raylet killed", trials=4, delay=0.2, dice=6),
    Injection("outbox torn", trials=6, delay=0.1, dice=7),
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
    world: World, undisturbed: Ended, place: Place, scratch: Path
) -> None:
    disk = None
    if can_mount(scratch / "tried") is None:
        disk = SmallDisk(place.out)
    misfortunes = [one for one in MISFORTUNES if disk is not None or one.kind not in NEEDS_DISK]
    try:
        story = world.play(place, "disturbed", misfortunes, disk)
        assert story.problems == []
        # A worker that is killed before its first checkpoint has none to corrupt.
        struck = {strike.kind.partition(",")[0] for strike in story.strikes}
        assert struck == {one.kind.partition(",")[0] for one in misfortunes}, story
        if disk is not None:
            assert any("No space left on device" in said for said in place.said)
        found = Ended.of(place, world.server.database, "disturbed")
        assert compare(found, undisturbed) == Verdict(lost=0, twice=0, problems=()), story
        assert remains(place) == [], story
    finally:
        if disk is not None:
            disk.unmount()
