"""Kept predictions on disk: what was saved is read back, and a damaged file is one clear message."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from sweeper.errors import ResultsError
from sweeper.results.pictures import Patches, Predicted, load_patches, load_predicted, predicted_file, save


def some_patches(count=3, side=4, channels=1, pool="p"):
    rng = np.random.default_rng(0)
    return Patches(
        pool=np.array(pool),
        images=rng.integers(0, 256, (count, side, side, channels), dtype=np.uint8),
        truths=rng.integers(0, 3, (count, side, side), dtype=np.uint8),
        objects=rng.integers(0, 3, (count, side, side), dtype=np.int32),
        object_pixels=np.array([7, 9], dtype=np.int64),
        stems=np.array(["a", "ü/<b>", "c"][:count]),
        row=np.arange(count, dtype=np.int32),
        col=np.arange(count, dtype=np.int32),
        available=np.array(count + 5),
        scans=np.array(["log"]),
        curve_classes=np.array([1, 2], dtype=np.int64),
        curves=np.array([[[0.1, np.nan, 0.9], [np.nan] * 3]], dtype=np.float32),
    )


def some_predictions(patches, pool="p"):
    return Predicted(pool=np.array(pool), classes=patches.truths, curves=patches.curves)


def test_what_was_saved_is_read_back(tmp_path):
    patches = some_patches(channels=3)
    save(patches, tmp_path / "patches.npz")
    save(some_predictions(patches), predicted_file(tmp_path, "key"))
    read = load_patches(tmp_path / "patches.npz")
    for field in dataclasses.fields(Patches):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(patches, field.name), err_msg=field.name)
    kept = load_predicted(tmp_path / "key.npz", read)
    assert kept is not None
    np.testing.assert_array_equal(kept.classes, patches.truths)
    np.testing.assert_array_equal(kept.curves, patches.curves)


def test_data_that_are_no_logs_have_no_scans(tmp_path):
    plain = dataclasses.replace(
        some_patches(), scans=np.array([], dtype=np.str_), curve_classes=np.empty(0, dtype=np.int64),
        curves=np.empty((0, 0, 0), dtype=np.float32),
    )  # fmt: skip
    save(plain, tmp_path / "patches.npz")
    assert len(load_patches(tmp_path / "patches.npz").scans) == 0


def test_equal_predictions_are_equal_files(tmp_path):
    for name in ("a.npz", "b.npz"):
        save(some_patches(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_predictions_of_another_pool_are_none(tmp_path):
    patches = some_patches()
    save(some_predictions(patches, pool="another"), tmp_path / "key.npz")
    assert load_predicted(tmp_path / "key.npz", patches) is None


def test_predictions_of_another_shape_are_damage(tmp_path):
    patches = some_patches()
    save(some_predictions(some_patches(side=8)), tmp_path / "key.npz")
    with pytest.raises(ResultsError, match=r"key\.npz: not a readable file of predictions"):
        load_predicted(tmp_path / "key.npz", patches)


@pytest.mark.parametrize(
    "change",
    [
        {"truths": np.zeros((2, 4, 4), dtype=np.uint8)},
        {"images": np.zeros((3, 4, 4, 2), dtype=np.uint8)},
        {"images": np.zeros((3, 4, 4), dtype=np.uint8)},
        {"objects": np.full((3, 4, 4), 3, dtype=np.int32)},
        {"objects": np.full((3, 4, 4), -1, dtype=np.int32)},
        {"stems": np.array(["a"])},
        {"scans": np.array(["a", "b"])},
        {"row": np.zeros(3, dtype=np.int64)},
        {"truths": np.zeros((3, 4, 4), dtype=np.float32)},
        {"pool": np.array(["p"])},
    ],
    ids=lambda change: f"{next(iter(change))} {next(iter(change.values())).shape}",
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, change):
    save(dataclasses.replace(some_patches(), **change), tmp_path / "patches.npz")
    with pytest.raises(ResultsError, match="delete it and the report does without its pictures"):
        load_patches(tmp_path / "patches.npz")


def test_a_pickled_object_is_never_loaded(tmp_path):
    content = io.BytesIO()
    arrays = {field.name: getattr(some_patches(), field.name) for field in dataclasses.fields(Patches)}
    np.savez(content, **{**arrays, "stems": np.array([Bomb(), Bomb(), Bomb()], dtype=object)}, allow_pickle=True)
    (tmp_path / "patches.npz").write_bytes(content.getvalue())
    with pytest.raises(ResultsError):
        load_patches(tmp_path / "patches.npz")
    assert not Bomb.exploded


class Bomb:
    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def test_every_damage_is_one_clear_message(tmp_path):
    path = tmp_path / "patches.npz"
    save(some_patches(), path)
    whole = path.read_bytes()
    damaged = [whole[:cut] for cut in range(0, len(whole), 97)]
    for place in range(0, len(whole), 61):
        damaged.append(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    harmless = 0
    for content in damaged:
        path.write_bytes(content)
        with suppress(ResultsError):  # any other error fails the test
            load_patches(path)
            harmless += 1  # a flipped byte in a date of the archive
    assert harmless < len(damaged) / 2


def test_a_missing_file_or_array_is_named(tmp_path):
    with pytest.raises(ResultsError, match="there is no such file"):
        load_patches(tmp_path / "patches.npz")
    with zipfile.ZipFile(tmp_path / "patches.npz", "w"):
        pass
    with pytest.raises(ResultsError, match="no array"):
        load_patches(tmp_path / "patches.npz")
