"""Target maps on disk: computed once, the right ones, whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sweeper.data import target_maps as module
from sweeper.data.cache import ABANDONED_SECONDS, size_words
from sweeper.data.prepare import load, prepare
from sweeper.data.settings import RasterLog
from sweeper.data.store import read_notes, read_table, write_table
from sweeper.data.target_maps import with_maps
from sweeper.errors import DataError
from sweeper.maps.kinds import KINDS, MapKind, compute_map

ROOT = Path(__file__).parents[2]
SETTINGS = RasterLog(scans=5, patch=32, limit=20)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    cache = tmp_path_factory.mktemp("data")
    prepared = prepare(SETTINGS, cache)
    return prepared, cache / prepared.fingerprint


@pytest.fixture
def data(source, tmp_path):
    """Prepared data and an empty folder to keep maps in."""
    return source[0], tmp_path


def expected(prepared, name: str) -> np.ndarray:
    masks = prepared.splits["train"].masks
    return np.stack([compute_map(name, mask, len(prepared.classes)) for mask in masks])


def counted(monkeypatch) -> list[str]:
    """Return the names of all maps computed from now on, patch by patch."""
    computed: list[str] = []

    def compute(name, mask, classes):
        computed.append(name)
        return compute_map(name, mask, classes)

    monkeypatch.setattr(module, "compute_map", compute)
    return computed


def test_every_kind_is_that_of_each_patch_in_its_own_dtype(data):
    prepared, folder = data
    maps = with_maps(prepared, KINDS, folder).splits["train"].maps
    assert set(maps) == set(KINDS)
    for name in KINDS:
        assert maps[name].dtype == expected(prepared, name).dtype
        np.testing.assert_array_equal(maps[name], expected(prepared, name))
    assert maps["disk_response"].shape == (20, 3, 6, 32, 32)
    assert maps["own_distance"].shape == (20, 1, 32, 32)


def test_only_the_maps_asked_for_are_made_and_only_for_training(data):
    prepared, folder = data
    found = with_maps(prepared, ["outline"], folder)
    assert set(found.splits["train"].maps) == {"outline"}
    assert not found.splits["val"].maps
    assert not found.splits["test"].maps
    assert [path.name for path in (folder / "maps").iterdir()] == ["outline.v1.arrow"]
    assert not prepared.splits["train"].maps


def test_nothing_asked_for_writes_nothing(data):
    prepared, folder = data
    assert not with_maps(prepared, [], folder).splits["train"].maps
    assert not list(folder.iterdir())


def test_a_map_is_computed_once_and_then_only_mapped(data, monkeypatch):
    prepared, folder = data
    with_maps(prepared, ["outline", "edge_band"], folder)
    computed = counted(monkeypatch)
    again = with_maps(prepared, ["edge_band", "outline"], folder).splits["train"].maps
    assert len(computed) == 2, "one patch of each, to know its shape"
    for name in ("outline", "edge_band"):
        np.testing.assert_array_equal(again[name], expected(prepared, name))
        assert not again[name].flags.writeable
    with Path("/proc/self/maps").open() as maps:
        assert any("edge_band.v1.arrow" in line for line in maps)


def test_maps_that_are_attached_stay(data, monkeypatch):
    prepared, folder = data
    first = with_maps(prepared, ["outline"], folder)
    computed = counted(monkeypatch)
    both = with_maps(first, ["outline", "holes"], folder).splits["train"].maps
    assert set(both) == {"outline", "holes"}
    assert both["outline"] is first.splits["train"].maps["outline"]
    assert set(computed) == {"holes"}


def test_a_new_version_of_a_kind_is_computed_anew(data, monkeypatch):
    prepared, folder = data
    with_maps(prepared, ["outline"], folder)
    newer = MapKind(lambda regions: 1 - KINDS["outline"].compute(regions), per_class=True, version=2)
    monkeypatch.setattr(module, "KINDS", {**KINDS, "outline": newer})
    monkeypatch.setattr(module, "compute_map", lambda name, mask, classes: 1 - compute_map(name, mask, classes))
    found = with_maps(prepared, ["outline"], folder).splits["train"].maps["outline"]
    np.testing.assert_array_equal(found, 1 - expected(prepared, "outline"))


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("damage", ["cut short", "empty", "other bytes", "other data", "other dtype", "no such column"])
def test_a_damaged_map_is_computed_anew(data, damage, verify):
    prepared, folder = data
    with_maps(prepared, ["outline"], folder)
    path = folder / "maps" / "outline.v1.arrow"
    whole, values = path.read_bytes(), read_table(path)["map"].copy()
    path.unlink()
    match damage:
        case "cut short":
            path.write_bytes(whole[: len(whole) // 2])
        case "empty":
            path.touch()
        case "other bytes":
            path.write_bytes(bytes(reversed(whole)))
        case "other data":
            write_table(path, {"map": values[:-1]})
        case "other dtype":
            write_table(path, {"map": values.astype(np.float32)})
        case "no such column":
            write_table(path, {"maps": values})
    found = with_maps(prepared, ["outline"], folder, verify=verify).splits["train"].maps["outline"]
    np.testing.assert_array_equal(found, expected(prepared, "outline"))
    np.testing.assert_array_equal(read_table(path)["map"], expected(prepared, "outline"))


def flip(path: Path, place: int) -> None:
    """Flip one bit of a file."""
    found = bytearray(path.read_bytes())
    found[place] ^= 1
    path.unlink()  # whoever has mapped the old one keeps it
    path.write_bytes(found)


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_flipped_bit_is_noticed_by_who_verifies(data, monkeypatch, where):
    prepared, folder = data
    with_maps(prepared, ["signed_distance"], folder)
    path = folder / "maps" / "signed_distance.v1.arrow"
    values = expected(prepared, "signed_distance")
    body = path.read_bytes().index(values.tobytes())
    flip(path, body + {"first": 0, "middle": values.nbytes // 2, "last": values.nbytes - 1}[where])
    computed = counted(monkeypatch)
    mapped = with_maps(prepared, ["signed_distance"], folder, verify=False).splits["train"].maps["signed_distance"]
    assert len(computed) == 1, "mapped as it is, but for the patch that tells the shape"
    assert (mapped != values).sum() == 1
    found = with_maps(prepared, ["signed_distance"], folder).splits["train"].maps["signed_distance"]
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(read_table(path)["map"], values)
    computed.clear()
    with_maps(prepared, ["signed_distance"], folder)
    assert len(computed) == 1


def test_a_map_without_a_checksum_or_with_another_is_computed_anew(data, monkeypatch):
    prepared, folder = data
    with_maps(prepared, ["outline"], folder)
    path = folder / "maps" / "outline.v1.arrow"
    values = read_table(path)["map"].copy()
    notes = read_notes(path)
    assert notes == {"sha256": hashlib.sha256(values.tobytes()).hexdigest()}
    for other in (None, {"sha256": "0" * 64}):
        path.unlink()
        write_table(path, {"map": values}, notes=other)
        computed = counted(monkeypatch)
        with_maps(prepared, ["outline"], folder)
        assert len(computed) == 21
        assert read_notes(path) == notes


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (614, "614 bytes"),
        (1000, "1.0 KB"),
        (61_440, "61 KB"),
        (999_499, "999 KB"),
        (999_600, "1.0 MB"),
        (3_249_000, "3.2 MB"),
        (9_960_000, "10 MB"),
        (2e9, "2.0 GB"),
        (12_345_678_901, "12 GB"),
        (3.2e12, "3200 GB"),
    ],
)
def test_sizes_are_in_the_unit_people_read(count, words):
    assert size_words(count) == words


def test_progress_counts_the_patches_of_each_map(data, monkeypatch):
    prepared, folder = data
    monkeypatch.setattr(module, "CHUNK_BYTES", 7 * 3 * 32 * 32)  # seven patches of a map of bytes
    said: list[tuple[int, int, str]] = []
    with_maps(prepared, ["outline", "holes"], folder, progress=lambda *each: said.append(each), workers=2)
    assert said[:3] == [(7, 20, "target map outline"), (14, 20, "target map outline"), (20, 20, "target map outline")]
    assert said[-1] == (20, 20, "target map holes")
    said.clear()
    with_maps(prepared, ["outline"], folder, progress=lambda *each: said.append(each))
    assert said == []


@pytest.mark.parametrize("workers", [1, 3])
def test_patches_keep_their_order_however_many_threads(data, monkeypatch, workers):
    prepared, folder = data
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)  # one patch at a time

    def slow_at_first(name, mask, classes):
        if np.array_equal(mask, prepared.splits["train"].masks[0]):
            time.sleep(0.05)
        return compute_map(name, mask, classes)

    monkeypatch.setattr(module, "compute_map", slow_at_first)
    found = with_maps(prepared, ["outline"], folder, workers=workers).splits["train"].maps["outline"]
    np.testing.assert_array_equal(found, expected(prepared, "outline"))


def test_memory_holds_few_patches_at_a_time(data, monkeypatch):
    """However slowly the disk takes them, only a few chunks are computed ahead."""
    prepared, folder = data
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    computed = counted(monkeypatch)
    ahead: list[int] = []

    def slow(done, total, what):
        time.sleep(0.02)
        ahead.append(len(computed) - 1 - done)  # one is for the shape

    with_maps(prepared, ["outline"], folder, progress=slow, workers=2)
    assert max(ahead) <= 6


def test_several_runs_at_once_end_with_one_whole_map(data):
    prepared, folder = data
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: with_maps(prepared, ["signed_distance"], folder), range(4)))
    for each in found:
        np.testing.assert_array_equal(
            each.splits["train"].maps["signed_distance"], expected(prepared, "signed_distance")
        )
    assert [path.name for path in (folder / "maps").iterdir()] == ["signed_distance.v1.arrow"]


def test_a_run_that_is_killed_leaves_no_half_map(source, tmp_path):
    prepared, path = source
    script = textwrap.dedent(
        f"""
        import os
        from pathlib import Path
        from sweeper.data.prepare import load
        from sweeper.data import target_maps
        target_maps.CHUNK_BYTES = 1
        def die(done, total, what):
            if done == 5:
                os.kill(os.getpid(), 9)
        target_maps.with_maps(load(Path({str(path)!r})), ["outline"], Path({str(tmp_path)!r}), progress=die)
        """
    )
    code = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode
    assert code == -9
    (left,) = (tmp_path / "maps").iterdir()
    assert left.name.startswith(".computing-")
    long_ago = time.time() - 2 * ABANDONED_SECONDS
    os.utime(left, (long_ago, long_ago))
    found = with_maps(prepared, ["outline"], tmp_path).splits["train"].maps["outline"]
    np.testing.assert_array_equal(found, expected(prepared, "outline"))
    assert [each.name for each in (tmp_path / "maps").iterdir()] == ["outline.v1.arrow"]


def test_young_scratch_of_another_run_is_left_alone(data):
    prepared, folder = data
    other = folder / "maps" / ".computing-other"
    other.mkdir(parents=True)
    with_maps(prepared, ["outline"], folder)
    assert other.exists()


def test_an_error_leaves_nothing_and_no_thread(data, monkeypatch):
    prepared, folder = data
    before = threading.active_count()

    def broken(done, total, what):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        with_maps(prepared, ["outline"], folder, progress=broken)
    assert not list((folder / "maps").iterdir())
    assert threading.active_count() == before


def test_a_disk_that_refuses_is_one_line(data, monkeypatch):
    prepared, folder = data
    (folder / "maps").write_text("")
    with pytest.raises(
        DataError, match=r"maps: cannot keep prepared data there .* room for the target map outline, 61 KB, twice"
    ):
        with_maps(prepared, ["outline"], folder)
    (folder / "maps").unlink()

    def full(*unused, **notes):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_table", full)
    with pytest.raises(DataError, match="No space left on device"):
        with_maps(prepared, ["outline"], folder)
    assert not list((folder / "maps").iterdir())


def test_loaded_data_takes_the_maps_kept_beside_it(source):
    prepared, path = source
    with_maps(prepared, ["edge_band"], path)
    loaded = load(path)
    assert dict(loaded.splits["train"].maps) == {}
    found = with_maps(loaded, ["edge_band"], path).splits["train"].maps["edge_band"]
    np.testing.assert_array_equal(found, expected(prepared, "edge_band"))


def test_many_classes_and_ignored_pixels(data):
    prepared, folder = data
    train = prepared.splits["train"]
    masks = np.random.default_rng(0).integers(0, 12, size=(6, 32, 32)).astype(np.uint8)
    masks[:, :3] = 255
    few = dataclasses.replace(train, images=train.images[:6], masks=masks)
    wide = dataclasses.replace(
        prepared,
        splits={**prepared.splits, "train": few},
        classes=tuple(dataclasses.replace(prepared.classes[0], index=n, name=str(n)) for n in range(12)),
    )
    found = with_maps(wide, ["signed_distance"], folder).splits["train"].maps["signed_distance"]
    assert found.shape == (6, 12, 32, 32)
    np.testing.assert_array_equal(found, expected(wide, "signed_distance"))
    assert not found[:, :, :3].any()
