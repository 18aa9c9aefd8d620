import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.training.metrics import HEADLINES
from sweeper.training.operating import (
    BINS,
    OFFSETS,
    best_offset,
    confusion_at,
    margin_bin,
    margins,
    predict,
)


def histogram_of(logits: torch.Tensor, truth: np.ndarray, background: int) -> np.ndarray:
    """Count pixel by pixel."""
    classes = logits.shape[1]
    margin, klass = margins(logits, background)
    histogram = np.zeros((classes, classes, BINS))
    bins = margin_bin(margin)
    for true, best, place in zip(truth.ravel(), klass.numpy().ravel(), bins.numpy().ravel(), strict=True):
        histogram[true, best, place] += 1
    return histogram


def confusion_of(logits: torch.Tensor, truth: np.ndarray, background: int, offset: float) -> np.ndarray:
    """Add the offset to the background logit and take the argmax, as the definition says."""
    moved = logits.double().clone()
    moved[:, background] += offset
    predicted = moved.argmax(1).numpy()
    confusion = np.zeros((logits.shape[1],) * 2)
    np.add.at(confusion, (truth.ravel(), predicted.ravel()), 1)
    return confusion


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (1e-9, BINS // 2),
        (0.0, BINS // 2 - 1),
        (-1e-9, BINS // 2 - 1),
        (1 / 32, BINS // 2),
        (1.000001 / 32, BINS // 2 + 1),
        (32.0, BINS - 2),
        (32.001, BINS - 1),
        (1e9, BINS - 1),
        (torch.inf, BINS - 1),
        (-32.0, 0),
        (-torch.inf, 0),
        (torch.nan, BINS // 2 - 1),
    ],
)
def test_a_margin_falls_below_every_edge_it_does_not_exceed(margin, expected):
    assert margin_bin(torch.tensor(margin)).item() == expected


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 4), st.integers(0, 1000), st.sampled_from([torch.float32, torch.bfloat16]))
def test_the_histogram_gives_the_exact_confusion_at_every_offset(classes, seed, dtype):
    rng = np.random.default_rng(seed)
    background = int(rng.integers(classes))
    logits = torch.from_numpy(rng.normal(0, 6, size=(2, classes, 5, 5))).to(dtype)
    truth = rng.integers(classes, size=(2, 5, 5))
    found = confusion_at(histogram_of(logits, truth, background), background)
    for offset, confusion in zip(OFFSETS, found, strict=True):
        margin, klass = margins(logits, background)
        predicted = predict(margin, klass, background, float(offset)).numpy()
        expected = np.zeros((classes, classes))
        np.add.at(expected, (truth.ravel(), predicted.ravel()), 1)
        np.testing.assert_array_equal(confusion, expected)
        if dtype is torch.float32:  # bf16 logits tie, and argmax breaks ties by index
            np.testing.assert_array_equal(confusion, confusion_of(logits.float(), truth, background, float(offset)))


def test_ties_between_classes_go_to_the_background():
    margin, klass = margins(torch.tensor([1.0, 1.0]).reshape(1, 2, 1, 1), background=1)
    assert predict(margin, klass, 1, 0.0).item() == 1


def test_a_background_bias_is_found_and_undone():
    rng = np.random.default_rng(0)
    truth = (rng.random((1, 40, 40)) < 0.1).astype(int)
    clean = np.stack([rng.normal(0, 0.3, truth.shape), np.where(truth == 1, 3.0, -3.0)], axis=1)
    biased = torch.from_numpy(clean.astype(np.float32))
    biased[:, 0] += 5  # so that at argmax no foreground is left
    point = best_offset(histogram_of(biased, truth, 0), "minority_iou", background=0, minority=(1,))
    assert confusion_of(biased, truth, 0, 0.0)[:, 1].sum() == 0
    # Any offset between −8 and −2 separates the classes but for noise; the tie goes to the one nearest 0.
    assert -4.0 < point.offset < -2.0
    assert point.confusion[1, 1] == truth.sum()
    assert point.confusion[0, 1] == 0
    assert not point.at_limit
    assert point.clipped == 0


@pytest.mark.parametrize("scale", [0.05, 1.0, 8.0])
def test_the_size_of_the_logits_decides_nothing(scale):
    """Focal losses leave small margins, overlap losses large ones: the shifted score must not depend on it."""
    rng = np.random.default_rng(0)
    truth = (rng.random((1, 60, 60)) < 0.1).astype(int)
    logits = np.stack([rng.normal(1.0, 1.0, truth.shape), np.where(truth == 1, 1.2, -0.4)], axis=1)
    best = max(
        confusion_of(torch.from_numpy(logits), truth, 0, offset)[1, 1]
        / (truth.sum() + confusion_of(torch.from_numpy(logits), truth, 0, offset)[0, 1])
        for offset in np.linspace(-4, 4, 801)
    )
    scaled = torch.from_numpy((scale * logits).astype(np.float32))
    point = best_offset(histogram_of(scaled, truth, 0), "minority_iou", background=0, minority=(1,))
    found = point.confusion[1, 1] / (truth.sum() + point.confusion[0, 1])
    assert found == pytest.approx(best, abs=0.02)
    assert not point.at_limit


def test_ties_go_to_the_offset_nearest_zero():
    histogram = np.zeros((2, 2, BINS))
    histogram[1, 1, -1] = histogram[0, 1, 0] = 10  # perfectly separated, at every offset alike
    point = best_offset(histogram, "minority_iou", background=0, minority=(1,))
    assert point.offset == 0
    assert point.clipped == 1


@pytest.mark.parametrize("metric", [name for name in HEADLINES if name.startswith("minority")])
def test_without_minority_pixels_the_offset_stays_zero(metric):
    histogram = np.zeros((2, 2, BINS))
    histogram[0, 1, 40:90] = 1
    assert best_offset(histogram, metric, background=0, minority=(1,)).offset == 0


def test_a_best_offset_at_the_end_of_the_range_says_so():
    histogram = np.zeros((2, 2, BINS))
    histogram[1, 1, 1] = 10
    assert best_offset(histogram, "minority_recall", background=0, minority=(1,)).at_limit


def test_foreground_outside_the_minority_is_a_candidate_too():
    # class 1 is neither background nor minority; where its logit is best, the minority is not predicted at any offset
    margin, klass = margins(torch.tensor([0.0, 5.0, 4.0]).reshape(1, 3, 1, 1), background=0)
    assert (margin.item(), klass.item()) == (5.0, 1)
