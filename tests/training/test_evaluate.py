import numpy as np
import pytest
import torch

from sweeper.data.settings import IGNORE
from sweeper.training.evaluate import evaluate
from sweeper.training.feed import Feed
from sweeper.training.operating import OFFSETS, confusion_at


def forward(images: torch.Tensor) -> torch.Tensor:
    """A model of one pixel each: the darkest are curve 1, the dark ones curve 2, with margins of several sizes."""
    gray = images[..., 0].float()
    return torch.stack([torch.zeros_like(gray), (60 - gray) / 16, (120 - gray) / 32], dim=1)


@pytest.fixture
def feed(data):
    return Feed(data.splits["val"], torch.device("cpu"))


def by_hand(split, offset):
    logits = forward(torch.from_numpy(split.images.copy()))
    logits[:, 0] += offset
    predicted = logits.argmax(1).numpy()
    confusion = np.zeros((len(split), 3, 3), dtype=np.int64)
    for index in range(len(split)):
        valid = split.masks[index] != IGNORE
        np.add.at(confusion[index], (split.masks[index][valid], predicted[index][valid]), 1)
    return confusion, predicted


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_counts_and_predictions_are_those_of_a_plain_loop(feed, data, batch_size):
    split = data.splits["val"]
    found = evaluate(forward, feed, classes=3, background=0, batch_size=batch_size, offsets=(0.0, 1.3), keep=True)
    assert list(found.points) == [0.0, 1.3]
    for offset, point in found.points.items():
        confusion, predicted = by_hand(split, offset)
        np.testing.assert_array_equal(point.confusion, confusion)
        np.testing.assert_array_equal(point.predictions, predicted)
        np.testing.assert_array_equal(point.confusion.sum(axis=2), split.counts)  # ignored pixels are nowhere
    assert found.finite
    assert found.histogram is None


def test_the_histogram_pools_under_the_weights(feed, data):
    weights = np.random.default_rng(0).random(len(feed))
    found = evaluate(forward, feed, classes=3, background=0, batch_size=16, weights=weights)
    at = confusion_at(found.histogram, 0)
    for offset in (-0.5, 0.0, 2.0):
        confusion, _ = by_hand(data.splits["val"], offset)
        np.testing.assert_allclose(
            at[int(np.flatnonzero(offset == OFFSETS)[0])], np.tensordot(weights, confusion, 1), rtol=1e-12
        )


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("bad_batch", [1, 3])  # of three
def test_logits_that_are_not_finite_are_noticed_in_any_batch(feed, bad, bad_batch):
    calls = []

    def broken(images):
        logits = forward(images)
        calls.append(len(images))
        if len(calls) == bad_batch:
            logits[0, 1, 3, 3] = bad
        return logits

    weights = np.ones(len(feed))
    assert not evaluate(broken, feed, classes=3, background=0, batch_size=16, weights=weights).finite
    assert calls == [16, 16, 4]
