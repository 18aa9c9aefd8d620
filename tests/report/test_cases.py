"""Patches chosen by rule, against values worked by hand and by loops."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from sweeper.report.gallery.cases import Scan, chosen_scans, largest_disagreement, median_patch, smallest_missed

RNG = np.random.default_rng(0)


def masks(*patches: str) -> np.ndarray:
    """Patches written as rows of digits, `.` for background and `x` for ignored."""
    codes = {".": 0, "x": 255}
    read = [[[codes.get(c) if c in codes else int(c) for c in line] for line in patch.split()] for patch in patches]
    return np.array(read, dtype=np.uint8)


def test_the_largest_disagreement_by_hand():
    truths = masks("11 ..", "1. x.")
    one = masks("11 ..", "11 11")
    two = masks("11 1.", "1. .1")
    three = masks("11 1.", ".. ..")
    # First patch: one pixel, in which the first differs from both others: 2 of 3 pairs. Second, its ignored pixel left
    # out: 2 pairs differ on the first pixel, 2 on the second and 2 on the last.
    found = largest_disagreement(truths, [one, two, three])
    assert found is not None
    assert found.patch == 1
    assert found.pixels == pytest.approx(6 / 3)


def test_the_largest_disagreement_is_that_of_a_loop_over_pairs():
    truths = RNG.choice([0, 1, 2, 255], size=(6, 5, 5)).astype(np.uint8)
    predicted = [RNG.integers(0, 3, (6, 5, 5)).astype(np.uint8) for _ in range(5)]
    means = []
    for patch in range(6):
        valid = truths[patch] != 255
        differing = [np.count_nonzero((a[patch] != b[patch]) & valid) for a, b in combinations(predicted, 2)]
        means.append(np.mean(differing))
    found = largest_disagreement(truths, predicted)
    assert found is not None
    assert found.patch == int(np.argmax(means))
    assert found.pixels == pytest.approx(max(means))


def test_one_family_and_equal_families_do_not_disagree():
    truths, one = masks("1."), masks("..")
    assert largest_disagreement(truths, [one]) is None
    assert largest_disagreement(truths, [one, one]) is None
    assert largest_disagreement(masks("xx"), [masks("11"), masks("..")]) is None


OBJECTS = np.array([[[1, 1, 0, 2]], [[3, 3, 3, 0]], [[4, 0, 0, 0]]], dtype=np.int32)
"""Objects of 2, 1, 3 and 1 pixels in three patches."""
SIZES = np.array([2, 1, 3, 1])
TRUTHS = masks("11.2", "111.", "2...")


def test_the_smallest_of_those_that_most_missed():
    # Missed: object 1 by the second; 2 by none; 3 by both; 4 by both.
    first, second = masks("1..2", "2222", "1..."), masks("2222", "...1", ".222")
    found = smallest_missed(TRUTHS, [first, second], OBJECTS, SIZES)
    assert found is not None
    assert (found.patch, found.number, found.klass) == (2, 4, 2)
    assert (found.pixels, found.families, found.alike) == (1, 2, 2)


def test_more_families_come_before_fewer_pixels():
    first, second = masks("1..2", "....", "...."), masks("1..2", "....", "2...")
    found = smallest_missed(TRUTHS, [first, second], OBJECTS, SIZES)
    assert found is not None
    assert (found.patch, found.pixels, found.families, found.alike) == (1, 3, 2, 1)


def test_an_object_kept_in_part_is_not_judged():
    nothing = np.zeros_like(TRUTHS)
    found = smallest_missed(TRUTHS, [nothing], OBJECTS, np.array([2, 40, 3, 40]))
    assert found is not None
    assert (found.patch, found.pixels, found.alike) == (0, 2, 2)


def test_an_object_is_shown_where_most_of_it_lies():
    objects = np.array([[[1, 0]], [[1, 1]]], dtype=np.int32)
    found = smallest_missed(masks("1.", "11"), [masks("..", "..")], objects, np.array([3]))
    assert found is not None
    assert (found.patch, found.pixels) == (1, 3)


def test_nothing_missed_is_no_case():
    assert smallest_missed(TRUTHS, [TRUTHS], OBJECTS, SIZES) is None
    assert smallest_missed(TRUTHS[:0], [], OBJECTS[:0], np.empty(0, dtype=np.int64)) is None


def test_the_median_by_hand():
    truths = masks("11.x", "1..2", "1111")
    one, two = masks("1..1", "...2", "...."), masks("111.", "1..1", "11..")
    # First patch: 1/2 and 2/3, the ignored pixel left out. Second: classes 1 and 2 give (0 + 1)/2 and (1/2 + 0)/2.
    # Third: 0 and 1/2. In order: the third with 1/4, the second with 3/8, the first with 7/12.
    found = median_patch(truths, [one, two], [1, 2])
    assert found is not None
    assert found.patch == 1
    assert found.iou == pytest.approx(3 / 8)


def test_ignored_pixels_are_no_errors():
    found = median_patch(masks("1.xx"), [masks("1.11")], [1])
    assert found is not None
    assert found.iou == 1.0


def test_of_two_in_the_middle_the_lower_one():
    truths = masks("1111", "1111")
    found = median_patch(truths, [masks("111.", "1...")], [1])
    assert found is not None
    assert (found.patch, found.iou) == (1, 0.25)
    assert median_patch(truths, [], [1]) is None


def test_classes_of_no_interest_do_not_count():
    truths = masks("12", "12", "12")
    predicted = [masks("12", "1.", "..")]
    found = median_patch(truths, predicted, [1])
    assert found is not None
    assert (found.patch, found.iou) == (0, 1.0)


def test_scans_of_median_and_largest_error():
    assert chosen_scans({"a": 0.3, "b": 0.1, "c": 0.2}) == (Scan("c", 0.2), Scan("a", 0.3))
    assert chosen_scans({"a": 0.3, "b": 0.1}) == (Scan("b", 0.1), Scan("a", 0.3))
    assert chosen_scans({"a": 0.3}) == (Scan("a", 0.3), None)
    assert chosen_scans({}) == (None, None)
    assert chosen_scans({"z": 0.1, "a": 0.1}) == (Scan("a", 0.1), Scan("z", 0.1))
