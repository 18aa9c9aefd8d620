import dataclasses

import numpy as np
import pytest

from sweeper.training.curves import circular_distance, curve_scores, fill_rows, row_positions


def test_a_row_position_is_the_circular_mean_of_its_pixel_middles():
    marked = np.zeros((4, 10), dtype=bool)
    marked[0, [3, 4]] = True  # middles 3.5 and 4.5
    marked[1, [9, 0]] = True  # around the edge: middles 9.5 and 10.5
    marked[2, 7] = True
    positions = row_positions(marked)
    assert positions[0] == pytest.approx(0.4)
    assert circular_distance(positions[1:2], np.array([0.0]))[0] == pytest.approx(0, abs=1e-12)
    assert positions[2] == pytest.approx(0.75)
    assert np.isnan(positions[3])


def test_missing_rows_take_the_nearest_found_row_and_the_upper_one_of_two():
    nan = np.nan
    np.testing.assert_array_equal(
        fill_rows(np.array([nan, 0.1, nan, nan, 0.4, nan, 0.6, nan])), [0.1, 0.1, 0.1, 0.4, 0.4, 0.4, 0.6, 0.6]
    )
    assert np.isnan(fill_rows(np.full(3, nan))).all()


def test_distance_goes_the_short_way_around():
    found = circular_distance(np.array([0.95, 0.2, 0.0]), np.array([0.05, 0.5, 0.5]))
    np.testing.assert_allclose(found, [0.1, 0.3, 0.5])


def test_the_true_masks_recover_the_true_curves(data):
    split = data.splits["test"]
    scores = curve_scores(split, split.masks)
    assert [(score.picture, score.klass) for score in scores] == [
        *((picture, klass) for picture in range(3) for klass in (1, 2)),
        (None, 1),
        (None, 2),
    ]
    for score in scores:
        # Lines cross, and the later one hides some pixels of the earlier: less than half a pixel on average.
        assert score.mae == pytest.approx(0, abs=0.5 / 80)
        assert score.coverage == 1.0


def test_a_shifted_line_is_off_by_the_shift(data):
    split = data.splits["test"]
    rows = np.arange(128)
    straight = np.full((3, 3, 128), np.nan, dtype=np.float32)
    straight[:, 1, :] = 10.5 / 80
    predictions = np.zeros_like(split.masks)
    for index in range(len(split)):
        if split.col[index] == 0:
            predictions[index, :, 14] = 1  # middle 14.5: four columns off
    predictions[(split.row == 32)] = 0  # a quarter of the rows is not found, and takes its neighbors' value
    masks = np.where((split.col == 0)[:, None, None] & (np.arange(32) == 10), np.uint8(1), np.uint8(0))
    masks = np.broadcast_to(masks, split.masks.shape)
    (*_, pooled) = curve_scores(dataclasses.replace(split, curves=straight, masks=masks), predictions)
    assert len(rows) == 128
    assert pooled.mae == pytest.approx(4 / 80)
    assert pooled.coverage == pytest.approx(0.75)


def test_a_curve_never_found_costs_a_blind_guess(data):
    split = data.splits["test"]
    scores = curve_scores(split, np.zeros_like(split.masks))
    assert scores
    assert all(score.mae == 0.25 and score.coverage == 0 for score in scores)


def test_giving_up_on_a_scan_is_never_better_than_trying(data):
    split = data.splits["test"]
    tried = split.masks.copy()
    tried[split.picture == 1] = np.roll(tried[split.picture == 1], 3, axis=2)  # three columns off, and wrapped
    given_up = split.masks.copy()
    given_up[split.picture == 1] = 0
    for better, worse in zip(curve_scores(split, tried)[-2:], curve_scores(split, given_up)[-2:], strict=True):
        assert better.mae < worse.mae


def test_between_dashes_there_is_nothing_to_be_found(data):
    """The curve goes on there and its position is judged, but no ink is missed."""
    split = data.splits["test"]
    dashed = split.masks.copy()
    dashed[:, ::2] = 0
    for score in curve_scores(dataclasses.replace(split, masks=dashed), dashed)[-2:]:
        assert score.coverage == 1.0
        assert score.mae < 1.5 / 80


def test_rows_that_are_not_there_from_edge_to_edge_do_not_count(data):
    split = data.splits["test"]
    kept = (split.row < 64) & ~((split.row == 32) & (split.col == 32))
    arrays = {name: getattr(split, name)[kept] for name in ("images", "masks", "counts", "picture", "row", "col")}
    part = dataclasses.replace(split, **arrays)
    predictions = part.masks.copy()
    predictions[part.row == 32] = 0  # wrong, but these rows have a hole
    for score in curve_scores(part, predictions):
        assert score.mae < 0.5 / 80


def test_pictures_that_are_no_logs_have_no_curves(data):
    split = dataclasses.replace(data.splits["test"], curves=None, track_width=None)
    assert curve_scores(split, split.masks) == ()
