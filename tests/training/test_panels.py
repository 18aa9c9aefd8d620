"""Which test patches are kept of every trial, and what is kept of them."""

import dataclasses

import numpy as np
import pytest

from sweeper.data.patches import Prepared, Split
from sweeper.data.settings import IGNORE
from sweeper.training.curves import curve_scores
from sweeper.training.panels import choose, keep, objects, pool, recovered, true_curves
from sweeper.training.trainer import Trainer


def rare(data):
    return data.splits["test"].counts[:, 1:].sum(axis=1)


def test_all_patches_that_show_a_minority_class_are_kept(data):
    chosen = pool(data)
    np.testing.assert_array_equal(chosen.patches, np.flatnonzero(rare(data)))
    assert 0 < chosen.available == len(chosen.patches) < len(data.splits["test"])


def test_over_the_limit_every_picture_keeps_an_even_share(data):
    chosen = pool(data, most=7)
    assert chosen.available == np.count_nonzero(rare(data))
    assert (rare(data)[chosen.patches] > 0).all()
    for most in (3, 6, 9, 12):
        shares = np.bincount(data.splits["test"].picture[pool(data, most=most).patches])
        assert shares.tolist() == [most // 3] * 3
    assert (np.diff(chosen.patches) > 0).all()
    np.testing.assert_array_equal(chosen.patches, pool(data, most=7).patches)
    # Patches of 32 x 32: room for five of them, and one even where there is room for none.
    assert len(pool(data, pixels=5 * 32 * 32 + 31).patches) == 5
    assert len(pool(data, pixels=1).patches) == 1


def test_a_pool_is_named_by_what_is_in_it(data, make_data):
    names = [pool(data).id, pool(data, most=7).id, pool(data, positions=1).id, pool(make_data(seed=1)).id]
    assert len(set(names)) == 4
    assert pool(make_data()).id == names[0]


def test_scans_are_kept_as_far_as_there_is_room(data):
    # Two curves of 128 rows.
    assert pool(data).scans.tolist() == [0, 1, 2]
    assert pool(data).curves.tolist() == [1, 2]
    assert len(pool(data, positions=2 * 2 * 128).scans) == 2
    assert len(pool(data, positions=1).scans) == 1


def without_curves(data):
    splits = {name: dataclasses.replace(split, curves=None, track_width=None) for name, split in data.splits.items()}
    return dataclasses.replace(data, splits=splits)


def test_other_pictures_than_logs_have_no_scans(data, make_trial):
    plain = without_curves(data)
    chosen = pool(plain)
    assert len(chosen.scans) == len(chosen.curves) == 0
    kept = keep(Trainer(make_trial(), plain, device="cpu"), chosen)
    assert kept.curves.shape == true_curves(plain.splits["test"], chosen).shape == (0, 0, 0)
    np.testing.assert_array_equal(kept.classes, keep(Trainer(make_trial(), data, device="cpu"), pool(data)).classes)


def test_data_without_minority_pixels_keeps_nothing(data):
    test = data.splits["test"]
    counts = test.counts.copy()
    counts[:, 1:] = 0
    empty = dataclasses.replace(data, splits={**data.splits, "test": dataclasses.replace(test, counts=counts)})
    assert len(pool(empty).patches) == pool(empty).available == 0


def test_what_is_kept_is_what_the_trainer_predicts_and_recovers(data, make_trial):
    trainer = Trainer(make_trial(stage="confirm"), data, device="cpu")
    for _ in trainer.epochs():
        pass
    chosen = pool(data)
    kept = keep(trainer, chosen)
    for index, predicted in zip(chosen.patches, kept.classes, strict=True):
        np.testing.assert_array_equal(predicted, trainer.predict("test", np.array([index]))[0])
    assert kept.classes.max() > 0, "a model that predicts nothing would prove nothing"
    errors = {
        (row.image, row.klass): row.value
        for row in trainer.scores().rows
        if row.metric == "curve_mae" and row.point == "argmax" and row.image is not None
    }
    true = true_curves(data.splits["test"], chosen)
    for scan, picture in enumerate(chosen.scans):
        for curve, klass in enumerate(("curve_1", "curve_2")):
            assert errors[f"test_{picture}", klass] == pytest.approx(
                mean_error(kept.curves[scan, curve], true[scan, curve]), abs=1e-6
            )


def mean_error(found, true):
    """The curve error by hand: rows without a position take the nearest row's, a scan without any a guess's."""
    rows = [row for row in range(len(true)) if np.isfinite(true[row])]
    known = [row for row in range(len(found)) if np.isfinite(found[row])]
    total = 0.0
    for row in rows:
        at = min(known, key=lambda one: (abs(one - row), one), default=None)
        gap = 0.25 if at is None else abs(float(found[at]) - float(true[row]))
        total += min(gap, 1 - gap)
    return total / len(rows)


def test_a_perfect_prediction_recovers_the_true_curves(data):
    test, chosen = data.splits["test"], pool(data)
    found, true = recovered(test, test.masks, chosen), true_curves(test, chosen)
    drawn = np.isfinite(true)
    assert drawn.any()
    assert not drawn[..., -32:].any(), "the last rows are empty in these scans"
    # Where the curves cross, the second hides a part of the first.
    gap = np.abs(found - true)[drawn]
    assert np.nanquantile(np.minimum(gap, 1 - gap), 0.9) < 1e-6
    scores = {(s.picture, s.klass): s.mae for s in curve_scores(test, test.masks) if s.picture is not None}
    assert scores[0, 2] == pytest.approx(mean_error(found[0, 1], true[0, 1]), abs=1e-6)


def test_rows_that_the_patches_do_not_cover_have_no_position(data):
    test = data.splits["test"]
    # Without its second patch the first 32 rows of the first scan are not there from edge to edge.
    left = np.delete(np.arange(len(test)), 1)
    arrays = {name: getattr(test, name)[left] for name in ("images", "masks", "counts", "picture", "row", "col")}
    fewer = dataclasses.replace(test, **arrays)
    chosen = pool(dataclasses.replace(data, splits={**data.splits, "test": fewer}))
    for positions in (recovered(fewer, fewer.masks, chosen), true_curves(fewer, chosen)):
        assert np.isnan(positions[0, :, :32]).all()
        assert np.isfinite(positions[1, :, :32]).any()


PICTURE = """
.1...1.2
1....1.2
.....1..
22......
.2....33
......33
"""


def tiny(picture=PICTURE, patch=4):
    """A test picture of 6 x 8 pixels in patches of 4 x 4, the lower ones reaching two rows beyond its edge."""
    mask = np.array([[0 if c == "." else int(c) for c in line] for line in picture.split()], dtype=np.uint8)
    padded = np.pad(mask, ((0, 2), (0, 0)), constant_values=IGNORE)
    corners = [(0, 0), (0, 4), (4, 0), (4, 4)]
    masks = np.stack([padded[row : row + patch, col : col + patch] for row, col in corners])
    split = Split(
        name="test",
        images=masks[..., None],
        masks=masks,
        counts=np.stack([(masks == klass).sum(axis=(1, 2)) for klass in range(4)], axis=1),
        picture=np.zeros(4, dtype=np.int32),
        row=np.array([row for row, _ in corners], dtype=np.int32),
        col=np.array([col for _, col in corners], dtype=np.int32),
        stems=("only",),
    )
    return Prepared(
        fingerprint="tiny",
        name="tiny",
        classes=(),
        background=0,
        minority=(1, 2),
        patch=patch,
        mean=(0.0,),
        std=(1.0,),
        splits={"test": split},
    )


def test_objects_are_those_of_the_whole_picture_and_of_minority_classes():
    data = tiny()
    chosen = pool(data)
    # Class 3 is no minority class here, so the lower right patch is not kept.
    assert chosen.patches.tolist() == [0, 1, 2]
    found = objects(data, chosen)
    # Class 1: two pixels that touch at a corner, then three in a column; class 2: two in a column, three in a hook that
    # reaches from one patch into another.
    assert found.pixels.tolist() == [2, 3, 2, 3]
    assert found.numbers[0].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [4, 4, 0, 0]]
    assert found.numbers[1].tolist() == [[0, 2, 0, 3], [0, 2, 0, 3], [0, 2, 0, 0], [0, 0, 0, 0]]
    assert found.numbers[2].tolist() == [[0, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_an_object_of_which_a_part_is_not_kept_has_the_size_of_the_whole():
    data = tiny()
    chosen = dataclasses.replace(pool(data), patches=np.array([2]))
    found = objects(data, chosen)
    assert found.pixels.tolist() == [3]
    assert np.count_nonzero(found.numbers == 1) == 1


def test_single_patches_are_rich_and_of_different_pictures(data):
    test, among = data.splits["test"], pool(data).patches
    chosen = choose(data, among, 3)
    np.testing.assert_array_equal(chosen, choose(data, among, 3))
    assert set(test.picture[among[chosen]]) == {0, 1, 2}
    shown = rare(data)[among]
    assert (shown[chosen] >= np.median(shown)).all()
    assert (np.diff(shown[chosen]) <= 0).all()
    assert len({tuple(choose(data, among, 3, seed=seed)) for seed in range(10)}) > 1
    assert sorted(choose(data, among, 1000)) == list(range(len(among)))
