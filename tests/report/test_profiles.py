from __future__ import annotations

import numpy as np
import pytest

from sweeper.report.evidence import Key, gather
from sweeper.report.inference.profiles import COLUMNS, THRESHOLDS, profiles
from sweeper.results.schema import MINORITY
from tests.report.synthetic import synthetic


def test_shares_counted_run_by_run():
    evidence = gather(synthetic(["dice", "focal"], levels=(0.97,), images=7))
    frame = profiles(evidence, ["dice", "focal"], [0.97], "iou", MINORITY)
    assert list(frame.columns) == COLUMNS
    for family in ("dice", "focal"):
        counts = evidence.counts[Key(family, 0.97)].values
        runs = []
        for seed in counts:
            for image in seed:
                ious = [tp / (tp + fp + fn) for tp, fp, fn, _ in image]
                runs.append(sum(ious) / len(ious))
        own = frame[(frame["family"] == family) & (frame["point"] == "argmax")].set_index("threshold")
        for threshold in (0.0, 0.5, 0.6, 1.0):
            expected = sum(run > threshold for run in runs) / len(runs)
            row = own.loc[THRESHOLDS[np.argmin(np.abs(THRESHOLDS - threshold))]]
            assert row["share"] == pytest.approx(expected)
            assert 0 <= row["low"] <= row["share"] <= row["high"] <= 1
        assert (np.diff(own["share"]) <= 0).all()


def test_above_is_above_and_not_at():
    evidence = gather(synthetic(["dice"], levels=(0.97,), images=4))
    evidence.counts[Key("dice", 0.97)].values[:] = [1.0, 0.0, 1.0, 100.0]
    own = profiles(evidence, ["dice"], [0.97], "recall", points=["argmax"]).set_index("threshold")["share"]
    assert (own.loc[0.48], own.loc[0.5]) == (1, 0)


def test_images_without_the_class_are_left_out():
    evidence = gather(synthetic(["dice"], levels=(0.97,), images=7))
    counts = evidence.counts[Key("dice", 0.97)]
    counts.values[:, 3] = 0
    frame = profiles(evidence, ["dice"], [0.97], "iou", points=["argmax"])
    assert set(frame["images"]) == {6}
    assert frame["share"].iloc[0] == 1
    counts.values[:] = 0
    assert profiles(evidence, ["dice"], [0.97], "iou", points=["argmax"]).empty


def test_a_family_without_scores_has_no_profile():
    evidence = gather(synthetic(["dice"], levels=(0.97,), confirm=False))
    assert profiles(evidence, ["dice"], [0.97], "iou").empty
