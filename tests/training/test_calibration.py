"""Predicted against observed, pixel by pixel, with scikit-learn as the oracle."""

import numpy as np
import pytest
import torch

from sweeper.data.settings import IGNORE
from sweeper.results.margins import PROBABILITY_BINS
from sweeper.training.calibration import ReliabilityCounter, minority_probability
from sweeper.training.evaluate import evaluate
from sweeper.training.feed import Feed
from sweeper.training.scores import reliability_rows

MINORITY = (0, 2)


def forward(images: torch.Tensor) -> torch.Tensor:
    """Logits whose probabilities reach from nearly 0 to nearly 1, and are wrong."""
    gray = images[..., 0].float()
    return torch.stack([(90 - gray) / 15, (gray - 60) / 40, (140 - gray) / 60], dim=1)


@pytest.fixture(scope="module")
def split(data):
    return data.splits["test"]


def pixels_of(split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of the minority, whether it is there, and the patch, of every pixel that is not ignored."""
    logits = forward(torch.from_numpy(split.images.copy())).double()
    probability = (logits.exp() / logits.exp().sum(dim=1, keepdim=True))[:, list(MINORITY)].sum(dim=1).numpy()
    valid = split.masks != IGNORE
    patch = np.broadcast_to(np.arange(len(split))[:, None, None], valid.shape)
    return probability[valid], np.isin(split.masks, MINORITY)[valid], patch[valid]


def rows_of(split, weights: np.ndarray, batch_size: int = 7):
    feed = Feed(split, torch.device("cpu"))
    found = evaluate(forward, feed, classes=3, background=1, batch_size=batch_size, minority=MINORITY)
    return list(reliability_rows(split, found.reliability, weights))


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_the_curve_is_that_of_scikit_learn(split, batch_size):
    calibration = pytest.importorskip("sklearn.calibration")
    probability, there, _ = pixels_of(split)
    share, mean = calibration.calibration_curve(there, probability, n_bins=PROBABILITY_BINS, strategy="uniform")
    rows = [row for row in rows_of(split, np.ones(len(split)), batch_size) if row.pixels]
    assert len(rows) == len(share) > 15
    np.testing.assert_allclose([row.share for row in rows], share, rtol=1e-12)
    np.testing.assert_allclose([row.probability for row in rows], mean, rtol=1e-6)


def test_pixels_count_by_the_weights_of_their_patches(split):
    weights = np.random.default_rng(0).random(len(split)) * 50
    probability, there, patch = pixels_of(split)
    place = np.minimum((probability * PROBABILITY_BINS).astype(int), PROBABILITY_BINS - 1)
    rows = rows_of(split, weights)
    assert [row.bin for row in rows] == list(range(PROBABILITY_BINS))
    for row in rows:
        own = place == row.bin
        assert row.pixels == pytest.approx(weights[patch][own].sum())
        if own.any():
            assert row.probability == pytest.approx(np.average(probability[own], weights=weights[patch][own]), rel=1e-6)
            assert row.share == pytest.approx(np.average(there[own], weights=weights[patch][own]))


def test_empty_bins_have_neither_probability_nor_share(split):
    (counts,) = np.zeros((1, len(split), 3, PROBABILITY_BINS))
    counts[0, :, 3] = (4.0, 0.7, 1.0)
    rows = list(reliability_rows(split, counts, np.full(len(split), 2.0)))
    assert (rows[3].pixels, rows[3].probability, rows[3].share) == (8.0, pytest.approx(0.175), 0.25)
    assert {(row.pixels, row.probability, row.share) for row in rows[:3] + rows[4:]} == {(0.0, None, None)}


@pytest.mark.parametrize(
    ("logit", "place"), [(-1e4, 0), (-200.0, 0), (0.0, 10), (1e4, 19), (np.log(3), 15), (-np.log(3) - 1e-4, 4)]
)
def test_a_bin_begins_at_its_lower_edge_and_the_last_holds_certainty(logit, place):
    counter = ReliabilityCounter(1, 2, (1,), torch.device("cpu"))
    logits = torch.tensor([0.0, float(logit)]).reshape(1, 2, 1, 1)
    counter.add(0, torch.ones((1, 1, 1), dtype=torch.int64), logits)
    pixels, probability, there = counter.fetch()[0]
    assert np.flatnonzero(pixels).tolist() == [place]
    assert there[place] == 1
    assert probability[place] == pytest.approx(1 / (1 + np.exp(-logit)) if logit > -700 else 0.0, abs=1e-6)


def test_a_probability_of_all_classes_is_one_also_in_reduced_precision():
    logits = torch.randn((4, 6, 9, 9), generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    everything = minority_probability(logits, torch.arange(6))
    assert everything.dtype == torch.float32
    assert everything.max() <= 1
    torch.testing.assert_close(everything, torch.ones_like(everything))
    some = minority_probability(logits, torch.tensor([1, 4]))
    torch.testing.assert_close(some, logits.float().softmax(dim=1)[:, [1, 4]].sum(dim=1))
