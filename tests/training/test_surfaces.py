"""Boundaries, courses and objects in whole pictures, against MONAI, plain loops and worked examples."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.morphology import skeletonize

from sweeper.data.patches import Split
from sweeper.data.settings import IGNORE
from sweeper.training import surfaces
from sweeper.training.scores import surface_rows
from sweeper.training.surfaces import surface_scores


def split_of(truth: np.ndarray, patch: int | None = None) -> Split:
    """One picture of a folder, cut into patches of that side; by default it is one patch."""
    rows, cols = truth.shape
    patch = patch or max(rows, cols)
    cells = [(top, left) for top in range(0, rows, patch) for left in range(0, cols, patch)]
    masks = tiles(truth, cells, patch)
    return Split(
        name="test",
        images=np.zeros((*masks.shape, 1), dtype=np.uint8),
        masks=masks,
        counts=np.zeros((len(masks), 3), dtype=np.int64),
        picture=np.zeros(len(masks), dtype=np.int32),
        row=np.array([top for top, _ in cells], dtype=np.int32),
        col=np.array([left for _, left in cells], dtype=np.int32),
        stems=("only",),
    )


def tiles(picture: np.ndarray, cells: list[tuple[int, int]], patch: int) -> np.ndarray:
    padded = np.pad(picture, ((0, patch), (0, patch)), constant_values=IGNORE).astype(np.uint8)
    return np.stack([padded[top : top + patch, left : left + patch] for top, left in cells])


def score(truth: np.ndarray, found: np.ndarray, *, klass: int = 1, patch: int | None = None):
    """The score of one class, or None where the picture does not show it."""
    split = split_of(truth, patch)
    cells = list(zip(split.row.tolist(), split.col.tolist(), strict=True))
    scores = surface_scores(split, {"it": tiles(found, cells, split.masks.shape[1])}, [klass])["it"]
    assert len(scores) <= 1
    return scores[0] if scores else None


def picture(*rectangles: tuple[int, int, int, int], size: tuple[int, int] = (40, 50)) -> np.ndarray:
    """Class 1 in rectangles (first row, end, first column, end) on background."""
    mask = np.zeros(size, dtype=np.uint8)
    for top, bottom, left, right in rectangles:
        mask[top:bottom, left:right] = 1
    return mask


def blobs(seed: int, *, density: float = 0.5, smooth: float = 3.0, size: tuple[int, int] = (60, 70)) -> np.ndarray:
    """Random regions that leave the picture's edge alone."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), smooth)
    mask = (noise > np.quantile(noise, 1 - density)).astype(np.uint8)
    mask[:2] = mask[-2:] = mask[:, :2] = mask[:, -2:] = 0
    return mask


PAIRS = {
    "blobs": (blobs(0), blobs(1)),
    "noise": (blobs(2, smooth=0.3), blobs(3, smooth=0.3)),
    "sparse": (blobs(4, density=0.02), blobs(5, density=0.02)),
    "a line and the same line moved": (picture((3, 37, 20, 22)), picture((3, 37, 23, 25))),
    "far apart": (picture((2, 4, 2, 4)), picture((30, 38, 40, 48))),
    "equal": (blobs(6), blobs(6)),
    "one pixel": (picture((5, 6, 5, 6)), picture((9, 10, 8, 9))),
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("sparse", [1, 16, 10**9])
def test_boundary_scores_are_those_of_monai(pair, sparse, monkeypatch):
    """Away from the picture's edge, where MONAI takes the edge for boundary; by tree and by distance transform."""
    monai = pytest.importorskip("monai.metrics")
    monkeypatch.setattr(surfaces, "_SPARSE", sparse)
    truth, found = PAIRS[pair]
    hot = [
        torch.nn.functional.one_hot(torch.from_numpy(each).long(), 2).movedim(-1, 0)[None] for each in (found, truth)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nsd = monai.compute_surface_dice(*hot, class_thresholds=[2.0], include_background=False)
        hd95 = monai.compute_hausdorff_distance(*hot, percentile=95, include_background=False)
    own = score(truth, found)
    assert own.nsd == pytest.approx(nsd.item(), abs=1e-6)
    assert own.hd95 == pytest.approx(hd95.item(), rel=1e-6)


def test_both_ways_to_a_distance_are_exact():
    rng = np.random.default_rng(0)
    for count in (1, 3, 40, 400):
        start, goal = (rng.integers(5, 45, size=(count, 2)) for _ in range(2))
        by_hand = np.sqrt(((start[:, None] - goal[None]) ** 2).sum(axis=2)).min(axis=1)
        np.testing.assert_array_equal(surfaces._distances(start, goal), by_hand)


def test_each_way_to_a_distance_is_taken_where_it_pays(monkeypatch):
    taken = []
    transform = ndimage.distance_transform_edt
    monkeypatch.setattr(surfaces.ndimage, "distance_transform_edt", lambda mask: taken.append(1) or transform(mask))
    score(*PAIRS["far apart"])
    assert taken == []
    score(*PAIRS["noise"])
    assert len(taken) == 2


def test_within_the_tolerance_is_found():
    truth = picture((5, 35, 20, 24))
    for moved, nsd in ((0, 1.0), (1, 1.0), (2, 1.0)):
        assert score(truth, np.roll(truth, moved, axis=1)).nsd == nsd
    # Of the 2·30 + 2·4 − 4 pixels of either outline, the 30 of its far side now lie three from the other.
    own = score(truth, np.roll(truth, 3, axis=1))
    assert own.nsd == pytest.approx((64 - 30) / 64)
    assert own.hd95 == 3.0


def test_a_class_has_no_boundary_at_the_edge_of_the_picture_nor_beside_what_is_ignored():
    truth = picture((0, 40, 20, 22))
    truth[18:22] = IGNORE
    shape = surfaces.shape_of(truth == 1, truth != IGNORE)
    assert len(shape.contour) == 2 * (40 - 4), "both pixels of every row have a neighbor beside the line"
    wide = np.zeros((40, 50), dtype=np.uint8)
    wide[:, 20:30] = 1
    wide[18:22] = IGNORE
    assert {col for _, col in surfaces.shape_of(wide == 1, wide != IGNORE).contour.tolist()} == {20, 29}


def test_what_is_predicted_where_nothing_is_known_counts_for_nothing():
    truth = picture((5, 15, 5, 15))
    truth[20:30] = IGNORE
    clean, dirty = (np.where(truth == IGNORE, other, truth) for other in (0, 1))
    assert score(truth, clean) == score(truth, dirty)
    assert score(truth, clean).nsd == 1.0
    assert score(truth, clean).hd95 == 0.0


def test_patches_are_one_picture():
    truth, found = blobs(7, size=(61, 70)), blobs(8, size=(61, 70))
    whole = score(truth, found)
    for patch in (16, 32, 64):
        assert score(truth, found, patch=patch) == whole


def test_patches_that_were_left_out_are_no_boundary():
    truth = picture((0, 40, 8, 12), size=(48, 48))
    split = split_of(truth, 16)
    kept = np.flatnonzero(split.row != 16)
    part = dataclasses.replace(
        split, **{name: getattr(split, name)[kept] for name in ("images", "masks", "counts", "picture", "row", "col")}
    )
    (own,) = surface_scores(part, {"it": part.masks.copy()}, [1])["it"]
    assert (own.nsd, own.hd95, own.cldice, own.objects, own.missed) == (1.0, 0.0, 1.0, 2, 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("smooth", [0.5, 2.0])
def test_cldice_is_the_formula_on_the_whole_picture(seed, smooth):
    truth, found = blobs(seed, smooth=smooth, density=0.3), blobs(seed + 100, smooth=smooth, density=0.4)
    truth[:, :20], found[10:] = truth[::-1, :20], np.maximum(found, truth)[10:]
    skeletons = [skeletonize(each == 1) for each in (truth, found)]
    sensitivity = (skeletons[0] & (found == 1)).sum() / skeletons[0].sum()
    precision = (skeletons[1] & (truth == 1)).sum() / skeletons[1].sum()
    assert 0.1 < sensitivity < 1
    own = score(truth, found)
    assert own.cldice == pytest.approx(2 * precision * sensitivity / (precision + sensitivity), rel=1e-12)


def test_cldice_asks_for_the_course_and_not_the_width():
    thin, wide = picture((5, 35, 20, 21)), picture((5, 35, 19, 22))
    assert score(thin, wide).cldice == 1.0
    assert score(wide, thin).cldice == 1.0
    broken = thin.copy()
    broken[15:25] = 0
    sensitivity = 2 / 3
    assert score(thin, broken).cldice == pytest.approx(2 * sensitivity / (1 + sensitivity))
    assert score(thin, np.roll(thin, 2, axis=1)).cldice == 0.0


def test_no_region_is_without_a_skeleton():
    """Some ways of thinning remove small squares altogether. One in seven of all regions within 4 × 4 pixels."""
    for bits in (1, 0b110011, *range(2, 1 << 16, 7)):
        mask = ((bits >> np.arange(16)) & 1).astype(bool).reshape(4, 4)
        assert len(surfaces.shape_of(mask, np.ones_like(mask)).skeleton) > 0


def test_objects_are_joined_corner_to_corner_and_missed_when_no_pixel_is_found():
    truth = picture((2, 4, 2, 5), (10, 11, 10, 11), (20, 25, 30, 40))
    truth[11, 11] = 1  # touches the second at a corner
    found = np.zeros_like(truth)
    own = score(truth, found)
    assert (own.objects, own.missed, own.smallest_missed) == (3, 3, 2)
    found[11, 11] = 1
    own = score(truth, found)
    assert (own.objects, own.missed, own.smallest_missed) == (3, 2, 6)
    found[3, 4] = 1
    assert score(truth, found).smallest_missed == 50
    found[24, 39] = 1
    own = score(truth, found)
    assert (own.missed, own.smallest_missed) == (0, None)


def test_an_object_is_found_by_its_own_class_alone():
    truth = picture((2, 4, 2, 5))
    assert score(truth, np.where(truth == 1, 2, 0)).missed == 1
    both = truth.copy()
    both[20:22, 20:30] = 2
    assert score(both, np.where(both == 2, 2, 0), klass=2).missed == 0


def test_a_picture_without_the_class_is_left_out_whatever_is_predicted():
    empty = np.zeros((40, 50), dtype=np.uint8)
    assert score(empty, empty) is None
    assert score(empty, picture((2, 30, 2, 30))) is None


def test_where_nothing_is_predicted_of_a_class_that_is_there():
    own = score(picture((2, 30, 2, 30)), np.zeros((40, 50), dtype=np.uint8))
    assert (own.nsd, own.hd95, own.cldice) == (0.0, None, 0.0)


def test_a_class_that_fills_the_picture_has_no_boundary():
    full, part = picture((0, 40, 0, 50)), picture((0, 40, 0, 25))
    assert (score(full, full).nsd, score(full, full).hd95, score(full, full).cldice) == (None, None, 1.0)
    for truth, found in ((full, part), (part, full)):
        assert (score(truth, found).nsd, score(truth, found).hd95) == (0.0, None)


def test_several_predictions_are_scored_each_for_itself(data):
    split = data.splits["test"]
    moved = np.roll(split.masks, 1, axis=2)
    both = surface_scores(split, {0.0: split.masks, 1.5: moved}, [1, 2])
    assert both[0.0] == surface_scores(split, {"a": split.masks}, [1, 2])["a"]
    assert both[1.5] == surface_scores(split, {"a": moved}, [1, 2])["a"]
    assert both[0.0] != both[1.5]
    assert [(each.picture, each.klass) for each in both[0.0]] == [(p, k) for p in range(3) for k in (1, 2)]
    assert {(each.nsd, each.hd95, each.cldice, each.missed) for each in both[0.0]} == {(1.0, 0.0, 1.0, 0)}


def test_pooled_rows_are_means_over_the_pictures_that_show_the_class_and_all_objects(data):
    split = data.splits["test"]
    masks = split.masks.copy()
    masks[(split.picture == 2)[:, None, None] & (masks == 1)] = 0  # the third picture does not show the first curve
    masks[(split.picture == 0)[:, None] & (np.arange(32) % 8 == 0)] = 0  # and the first shows it in pieces
    found = np.roll(masks, 1, axis=2)
    found[split.picture == 1] = 0
    part = dataclasses.replace(split, masks=masks)
    (scores,) = surface_scores(part, {"it": found}, [1, 2]).values()
    infos = data.classes[1:]
    rows = {(row.image, row.klass, row.metric): row.value for row in surface_rows(part, "argmax", scores, infos)}
    assert {(row.split, row.point) for row in surface_rows(part, "argmax", scores, infos)} == {("test", "argmax")}
    assert not [place for place in rows if place[:2] == ("test_2", "curve_1")]
    first, second = scores[0], scores[2]
    assert (second.picture, second.klass, second.hd95) == (1, 1, None)
    assert rows[None, "curve_1", "nsd"] == pytest.approx(first.nsd / 2)
    assert rows[None, "curve_1", "cldice"] == pytest.approx(first.cldice / 2)
    assert rows[None, "curve_1", "hd95"] == first.hd95, "undefined where nothing was found"
    assert rows["test_1", "curve_1", "hd95"] is None
    objects = rows["test_0", "curve_1", "objects"] + rows["test_1", "curve_1", "objects"]
    missed = rows["test_0", "curve_1", "objects_missed"] + rows["test_1", "curve_1", "objects_missed"]
    assert rows[None, "curve_1", "object_miss_rate"] == missed / objects
    assert missed / objects < 0.4, "not the mean over the pictures, which is a half"
    assert rows["test_1", "curve_1", "objects_missed"] == rows["test_1", "curve_1", "objects"]


def test_a_class_that_no_picture_shows_is_undefined(data):
    split = data.splits["test"]
    empty = np.where(split.masks == 1, np.uint8(0), split.masks)
    part = dataclasses.replace(split, masks=empty)
    (scores,) = surface_scores(part, {"it": split.masks}, [1, 2]).values()
    rows = [row for row in surface_rows(part, "argmax", scores, data.classes[1:]) if row.klass == "curve_1"]
    assert {row.metric for row in rows} == {"nsd", "hd95", "cldice", "object_miss_rate"}
    assert {(row.image, row.value) for row in rows} == {(None, None)}
