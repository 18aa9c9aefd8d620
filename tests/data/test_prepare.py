"""Preparing once: fingerprints, finding again, atomic publication, memory maps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeper.data import parallel
from sweeper.data import prepare as module
from sweeper.data.cache import ABANDONED_SECONDS
from sweeper.data.prepare import load, prepare
from sweeper.data.settings import IGNORE, RasterLog
from sweeper.errors import DataError

from .shelves import real, square

ROOT = Path(__file__).parents[2]


def published(cache: Path) -> list[str]:
    return sorted(path.parent.name for path in cache.glob("*/meta.json"))


# What is prepared


def test_patches_hold_each_pixel_once(shelf, tmp_path):
    prepared = prepare(shelf.settings(), tmp_path)
    split = prepared.splits["train"]
    assert split.stems == ("a", "b")
    assert split.images.shape == (8, 32, 32, 3)  # 64 x 48 in tiles of 32: 2 x 2, the lower ones half padded
    picture = np.asarray(Image.open(shelf.image("b.png")))
    again = np.zeros_like(picture)
    for n in np.flatnonzero(split.picture == 1):
        row, col = split.row[n], split.col[n]
        high = min(32, 48 - row)
        again[row : row + high, col : col + 32] = split.images[n][:high]
        assert (split.images[n][high:] == split.images[n][high - 1]).all()  # the edge goes on
        assert (split.masks[n][high:] == IGNORE).all()
    assert np.array_equal(again, picture)
    assert split.counts.sum(axis=0).tolist() == [2 * (48 * 64 - 100), 200]
    assert split.curves is None
    assert split.track_width is None
    assert dict(split.maps) == {}


def test_mean_and_standard_deviation_are_those_of_the_training_pictures(shelf, tmp_path):
    prepared = prepare(shelf.settings(), tmp_path)
    pixels = np.concatenate([np.asarray(Image.open(shelf.image(f"{stem}.png"))).reshape(-1, 3) for stem in "ab"])
    assert prepared.mean == pytest.approx(pixels.mean(axis=0))
    assert prepared.std == pytest.approx(pixels.std(axis=0))


def test_tiles_without_a_valid_pixel_are_dropped(shelf, tmp_path):
    mask = square()
    mask[:, 32:] = 255
    Image.fromarray(mask).save(shelf.mask("a.png"))
    split = prepare(shelf.settings(ignore=(255,)), tmp_path).splits["train"]
    assert [(r, c) for p, r, c in zip(split.picture, split.row, split.col, strict=True) if p == 0] == [(0, 0), (32, 0)]


def test_limit_keeps_a_seeded_subset(shelf, tmp_path):
    whole = prepare(shelf.settings(), tmp_path).splits["train"]
    some, same, other = (
        prepare(shelf.settings(limit=5, seed=seed), tmp_path / str(n)) for n, seed in enumerate((0, 0, 1))
    )
    assert len(some.splits["train"]) == 5
    assert len(some.splits["val"]) == 4
    places = {
        (int(p), int(r), int(c)): whole.images[n]
        for n, (p, r, c) in enumerate(zip(whole.picture, whole.row, whole.col, strict=True))
    }
    split = some.splits["train"]
    for n in range(5):
        assert np.array_equal(split.images[n], places[split.picture[n], split.row[n], split.col[n]])
    assert some.fingerprint == same.fingerprint != other.fingerprint


def test_raster_log_brings_its_curves(tmp_path):
    prepared = prepare(RasterLog(scans=5), tmp_path)
    split = prepared.splits["train"]
    assert split.track_width == 192
    assert split.curves.shape == (3, 3, 256)
    assert not split.curves.flags.writeable
    assert len(split.stems) == 3
    assert (prepared.background, prepared.minority) == (0, (1, 2))


@pytest.mark.parametrize(("patch", "near"), [(48, "32 or 64"), (0, "32 or 64"), (16, "32 or 64"), (100, "96 or 128")])
def test_patch_must_be_a_multiple_of_32(tmp_path, patch, near):
    with pytest.raises(DataError, match=f"multiple of 32.*{near}"):
        prepare(RasterLog(patch=patch), tmp_path)


def test_limit_must_leave_something(tmp_path):
    with pytest.raises(DataError, match=r"data\.limit is 0"):
        prepare(RasterLog(limit=0), tmp_path)


# The same picture in two splits


def test_a_picture_in_two_splits_is_warned_of_whatever_its_mask(shelf, tmp_path, caplog):
    shutil.copy(shelf.image("b.png"), shelf.image("d.png"))  # masks differ
    prepared = prepare(shelf.settings(), tmp_path)
    assert prepared.repeated == (("train/b", "test/d"),)
    (record,) = caplog.records
    assert record.name == "sweeper.data.prepare"
    assert record.getMessage().endswith("flatter: 1 (train/b = test/d)")
    caplog.clear()
    assert prepare(shelf.settings(), tmp_path).repeated == prepared.repeated  # found again, warned of again
    assert "train/b = test/d" in caplog.text
    assert load(tmp_path / prepared.fingerprint).repeated == prepared.repeated


def test_the_warning_names_five_and_counts_all(make_shelf, tmp_path, caplog):
    shelf = make_shelf(stems="abcdefgh", splits={"train": ["a", "b"], "val": ["c", "d", "e"], "test": ["f", "g", "h"]})
    for stem in "bcdefgh":
        shutil.copy(shelf.image("a.png"), shelf.image(f"{stem}.png"))
    assert prepare(shelf.settings(), tmp_path).repeated == (
        *(("train/a", f"val/{stem}") for stem in "cde"),
        *(("train/a", f"test/{stem}") for stem in "fgh"),
    )
    (record,) = caplog.records
    assert record.getMessage().endswith("test/g, ...)")
    assert ": 6 (" in record.getMessage()
    assert record.getMessage().count(" = ") == 5
    assert "\n" not in record.getMessage()


def test_a_picture_twice_in_one_split_is_no_leak(shelf, tmp_path, caplog):
    shutil.copy(shelf.image("a.png"), shelf.image("b.png"))
    assert prepare(shelf.settings(), tmp_path).repeated == ()
    assert not caplog.records


# Fingerprints


def test_same_content_elsewhere_has_the_same_fingerprint(shelf, tmp_path):
    first = prepare(shelf.settings(), tmp_path / "one")
    shutil.copytree(shelf.root, tmp_path / "elsewhere")
    moved = type(shelf)(tmp_path / "elsewhere")
    assert prepare(moved.settings(), tmp_path / "two").fingerprint == first.fingerprint


def test_another_encoding_of_the_same_pixels_has_the_same_fingerprint(shelf, tmp_path):
    first = prepare(shelf.settings(), tmp_path)
    Image.open(shelf.image("a.png")).save(shelf.image("a.bmp"))
    shelf.image("a.png").unlink()
    assert prepare(shelf.settings(), tmp_path).fingerprint == first.fingerprint


def one_pixel(shelf, path):
    picture = np.array(Image.open(path))
    picture[3, 3] = 1 - picture[3, 3] if picture.ndim == 2 else picture[3, 3] ^ 1
    Image.fromarray(picture).save(path)


CHANGES = {
    "a pixel": lambda shelf: one_pixel(shelf, shelf.image("a.png")) or {},
    "a mask pixel": lambda shelf: one_pixel(shelf, shelf.mask("d.png")) or {},
    "the patch": lambda shelf: {"patch": 64},
    "the channels": lambda shelf: {"channels": 1},
    "the splits": lambda shelf: {"splits": {"train": ["a", "b"], "val": ["d"], "test": ["c"]}},
    "the background": lambda shelf: {"background": "crack"},
    "a class name": lambda shelf: {"classes": ({"index": 0, "name": "background"}, {"index": 1, "name": "hole"})},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_the_data_changes_the_fingerprint(shelf, tmp_path, change):
    first = prepare(shelf.settings(), tmp_path)
    changes = change(shelf)
    assert prepare(shelf.settings(**changes), tmp_path).fingerprint != first.fingerprint


def test_the_roles_are_part_of_the_data(make_shelf, tmp_path):
    """Background and minority each by themselves: equal fingerprints would share one folder, and its roles."""
    classes = [{"index": index, "name": name} for index, name in enumerate(("ground", "crack", "hole"))]
    shelf = make_shelf(classes=classes)
    roles = [("ground", ("crack",)), ("hole", ("crack",)), ("ground", ("crack", "hole"))]
    found = [prepare(shelf.settings(background=back, minority=few), tmp_path) for back, few in roles]
    assert len({prepared.fingerprint for prepared in found}) == 3
    assert [(prepared.background, prepared.minority) for prepared in found] == [(0, (1,)), (2, (1,)), (0, (1, 2))]


def test_the_number_of_workers_does_not(tmp_path, caplog):
    one, many = (prepare(RasterLog(scans=7), tmp_path / str(n), workers=n) for n in (1, 3))
    assert not caplog.records  # no worker died
    assert one.fingerprint == many.fingerprint
    for name, split in one.splits.items():
        assert np.array_equal(split.images, many.splits[name].images)
        assert np.array_equal(split.masks, many.splits[name].masks)
        assert np.array_equal(split.curves, many.splits[name].curves, equal_nan=True)
    assert not list((tmp_path / "3").glob(".preparing-*"))


# Finding again


def test_found_again_without_reading_a_picture(shelf, tmp_path, monkeypatch):
    first = prepare(shelf.settings(), tmp_path)
    monkeypatch.setattr(module, "read_all", None)  # would fail if called
    assert prepare(shelf.settings(), tmp_path).fingerprint == first.fingerprint


def test_a_touched_file_is_read_again(shelf, tmp_path, monkeypatch):
    prepare(shelf.settings(), tmp_path)
    os.utime(shelf.image("a.png"), ns=(1, 1))
    monkeypatch.setattr(module, "read_all", None)
    with pytest.raises(TypeError):
        prepare(shelf.settings(), tmp_path)


def test_other_code_reads_again(shelf, tmp_path, monkeypatch):
    """A fix in how masks are read must not meet data prepared without it."""
    prepare(shelf.settings(), tmp_path / "cache")
    shutil.copytree(Path(module.__file__).parent, tmp_path / "code")
    monkeypatch.setattr(module, "read_all", None)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "code" / "prepare.py"))
    prepare(shelf.settings(), tmp_path / "cache")
    with (tmp_path / "code" / "masks.py").open("a") as file:
        file.write("# fixed")
    with pytest.raises(TypeError):
        prepare(shelf.settings(), tmp_path / "cache")


def test_a_lookup_that_is_lost_or_points_nowhere_costs_time_only(shelf, tmp_path):
    first = prepare(shelf.settings(), tmp_path)
    (found,) = (tmp_path / "found").iterdir()
    found.write_text("{")
    assert prepare(shelf.settings(), tmp_path).fingerprint == first.fingerprint
    shutil.rmtree(tmp_path / first.fingerprint)
    assert prepare(shelf.settings(), tmp_path).fingerprint == first.fingerprint


def test_the_name_asked_for_is_shown(make_shelf, tmp_path):
    shelf = make_shelf()
    assert prepare(shelf.settings(), tmp_path).name == "toy"
    shelf.write("classes.json", {"classes": json.loads((shelf.root / "classes.json").read_text())["classes"]})
    renamed = prepare(shelf.settings(), tmp_path)
    assert renamed.name == "pictures"  # the folder that holds images/
    assert len(published(tmp_path)) == 1


def test_progress_counts_every_picture(shelf, tmp_path):
    seen = []
    prepare(shelf.settings(), tmp_path, progress=lambda *step: seen.append(step))
    assert seen == [(1, 4, "a"), (2, 4, "b"), (3, 4, "c"), (4, 4, "d")]


# Loading


def test_arrays_are_read_only_views_of_the_file(tmp_path):
    prepared = prepare(RasterLog(scans=5), tmp_path)
    files = sum(path.stat().st_size for path in (tmp_path / prepared.fingerprint).glob("*.arrow"))
    split = load(tmp_path / prepared.fingerprint).splits["train"]
    for values in (split.images, split.masks, split.counts, split.picture, split.row, split.col, split.curves):
        assert not values.flags.writeable
        assert not values.flags.owndata
    with Path("/proc/self/maps").open() as maps:
        assert any(f"{prepared.fingerprint}/train.arrow" in line for line in maps)
    assert files > split.images.nbytes


def test_loading_reads_next_to_nothing(tmp_path):
    prepared = prepare(RasterLog(scans=10, height=512, width=512), tmp_path)
    import pyarrow as pa

    before = pa.total_allocated_bytes()
    loaded = load(tmp_path / prepared.fingerprint)
    assert pa.total_allocated_bytes() - before < 0.01 * loaded.splits["train"].images.nbytes


def test_folders_that_are_not_prepared_data(tmp_path):
    with pytest.raises(DataError, match=r"no folder of prepared data \(meta\.json is missing\)"):
        load(tmp_path)
    prepared = prepare(RasterLog(scans=5), tmp_path)
    folder = tmp_path / prepared.fingerprint
    whole = (folder / "val.arrow").read_bytes()
    (folder / "val.arrow").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"damaged .* delete the folder"):
        load(folder)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "format": 99}))
    with pytest.raises(DataError, match="format 99 by another version"):
        load(folder)


# Interruptions


def start_slow_preparation(cache: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start preparing in another process, at a pace that leaves time to kill it half-way."""
    code = f"""
        import time
        from pathlib import Path
        from sweeper.data.prepare import prepare
        from sweeper.data.settings import RasterLog
        prepare(RasterLog(scans=40), Path({str(cache)!r}), workers={workers}, progress=lambda *_: time.sleep(0.05))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not any(path.stat().st_size > 1_500_000 for path in cache.glob(".preparing-*/train.images")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_preparation_leaves_nothing_taken_for_finished(tmp_path, workers):
    process = start_slow_preparation(tmp_path, workers)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split() if workers > 1 else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(children) == (2 if workers > 1 else 0)
    assert published(tmp_path) == []
    assert not (tmp_path / "found").exists()
    until = time.monotonic() + 10
    while any(_alive(child) for child in children):
        assert time.monotonic() < until, "workers outlive their killed parent"
        time.sleep(0.05)
    assert len(prepare(RasterLog(scans=5), tmp_path).splits["train"]) > 0


def _alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_error_leaves_nothing_behind(tmp_path):
    def stop(done, total, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(RasterLog(scans=5), tmp_path / "runs" / "cache", progress=stop, workers=2)
    assert list(tmp_path.iterdir()) == []


def test_refused_data_leaves_a_cache_as_it_was(shelf, tmp_path):
    shelf.image("a.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    for cache in ("empty", "full", "new"):
        with pytest.raises(DataError, match=r"images/a\.png"):
            prepare(shelf.settings(), tmp_path / cache)
    assert list((tmp_path / "empty").iterdir()) == []
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    assert not (tmp_path / "new").exists()


def test_what_was_abandoned_long_ago_is_swept(tmp_path):
    old, young = tmp_path / ".preparing-old", tmp_path / ".preparing-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    long_ago = time.time() - 2 * ABANDONED_SECONDS
    os.utime(old, (long_ago, long_ago))
    prepare(RasterLog(scans=5), tmp_path)
    assert not old.exists()
    assert young.exists()


def test_two_at_once(tmp_path):
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: prepare(RasterLog(scans=5), tmp_path), range(3)))
    assert len({result.fingerprint for result in results}) == 1
    assert published(tmp_path) == [results[0].fingerprint]
    assert not list(tmp_path.glob(".preparing-*"))


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot keep prepared data there"):
        prepare(RasterLog(scans=5), tmp_path / "file")


# Workers


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    """`multiprocessing` would run it again in every worker."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from sweeper.data.prepare import prepare\n"
        "from sweeper.data.settings import RasterLog\n"
        "print('begin')\n"
        f"print(len(prepare(RasterLog(scans=5), Path({str(tmp_path / 'cache')!r}), workers=2).splits['train']))\n"
    )
    out = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (out.stdout, out.stderr) == ("begin\n36\n", "")


def test_a_worker_that_dies_only_costs_time(tmp_path, monkeypatch, caplog):
    asked = []
    original = parallel._Worker.ask

    def ask(self, number, stem):
        asked.append(stem)
        if len(asked) == 3:
            self._process.kill()
            self._process.wait()
        return original(self, number, stem)

    monkeypatch.setattr(parallel._Worker, "ask", ask)
    prepared = prepare(RasterLog(scans=7), tmp_path / "a", workers=2)
    assert "the data is prepared in one process" in caplog.text
    monkeypatch.undo()
    assert prepare(RasterLog(scans=7), tmp_path / "b", workers=1).fingerprint == prepared.fingerprint


def test_no_interpreter_to_start_workers_with(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    assert len(prepare(RasterLog(scans=5), tmp_path, workers=2).splits["train"]) == 36
    assert "could not be started" in caplog.text


@pytest.mark.parametrize("workers", [1, 2])
def test_what_nobody_foresaw_does_not_hide_other_faults(shelf, tmp_path, workers):
    shelf.mask("d.png").write_bytes(b"")
    with pytest.raises(DataError) as error:
        prepare_surprised(shelf.settings(), tmp_path / "cache", workers)
    assert "  a: reading it failed unexpectedly (TypeError: 'NoneType' object is not subscriptable)" in str(error.value)
    assert "  masks/d.png: cannot be read" in str(error.value)


def prepare_surprised(settings, cache, workers):
    source = SurprisedAtA(module.open_source(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_source", lambda _: source)
        return prepare(settings, cache, workers=workers)


class SurprisedAtA:
    """A source that trips over picture a, in whichever process it is asked to read it."""

    def __init__(self, source):
        self.source = source

    def __getattr__(self, name):
        if name == "source":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.source, name)

    def read(self, stem):
        if stem == "a":
            raise TypeError("'NoneType' object is not subscriptable")
        return self.source.read(stem)


def test_faults_come_from_workers_too(shelf, tmp_path):
    shelf.image("a.png").write_bytes(b"")
    Image.fromarray(square(0, 9)).save(shelf.mask("d.png"))
    messages = []
    for workers in (1, 2):
        with pytest.raises(DataError) as error:
            prepare(shelf.settings(), tmp_path, workers=workers)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "images/a.png" in messages[0]
    assert "masks/d.png: undeclared 9" in messages[0]


# Real data


def test_crackforest_fractions_match_those_published_with_it(tmp_path):
    from sweeper.data.folder import folder_from

    prepared = prepare(folder_from(real("crackforest")), tmp_path, workers=1)
    for name, pictures, crack in (("train", 83, 1.629), ("val", 12, 1.777), ("test", 23, 1.525)):
        split = prepared.splits[name]
        assert len(split.stems) == pictures
        assert len(split) == pictures * 5 * 8  # 480 x 320: 7.5 tiles across
        counts = split.counts.sum(axis=0)
        assert counts.sum() == pictures * 480 * 320
        assert 100 * counts[1] / counts.sum() == pytest.approx(crack, abs=5e-4)
