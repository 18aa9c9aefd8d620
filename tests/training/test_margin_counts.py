"""Margin histograms per patch, picture and split, against predictions made one offset after the other."""

import dataclasses

import numpy as np
import pytest
import torch

from sweeper.data.patches import Split
from sweeper.data.settings import IGNORE
from sweeper.results.margins import BINS, OFFSETS, above
from sweeper.training.evaluate import evaluate
from sweeper.training.feed import Feed
from sweeper.training.operating import margins, predict
from sweeper.training.scores import margin_rows, pooled_margins

CLASSES, BACKGROUND, MINORITY = 5, 2, (0, 3)
"""Classes 1 and 4 are foreground that the task is not about: candidates at every pixel, but nothing to be found."""


@pytest.fixture(scope="module")
def split() -> Split:
    """Seven patches of three pictures, with ignored pixels."""
    rng = np.random.default_rng(0)
    masks = rng.choice([0, 1, 2, 3, 4, IGNORE], p=[0.15, 0.1, 0.4, 0.15, 0.1, 0.1], size=(7, 16, 16)).astype(np.uint8)
    place = np.arange(7, dtype=np.int32)
    return Split(
        name="test",
        images=rng.integers(256, size=(7, 16, 16, 1), dtype=np.uint8),
        masks=masks,
        counts=np.stack([(masks == klass).sum(axis=(1, 2)) for klass in range(CLASSES)], axis=1),
        picture=np.array([0, 0, 1, 1, 2, 2, 2], dtype=np.int32),
        row=16 * (place % 2),
        col=16 * (place // 2),
        stems=("a", "b", "c"),
    )


def logits_of(images: torch.Tensor) -> torch.Tensor:
    """Logits of which half are whole sixteenths, so that many margins lie on an offset, and classes tie."""
    generator = torch.Generator().manual_seed(int(images.long().sum()))
    fine = torch.randn((len(images), CLASSES, 16, 16), generator=generator) * 3
    coarse = (fine * 4).round() / 4
    return torch.where(images[..., 0][:, None] % 2 == 0, fine, coarse)


@pytest.fixture(scope="module")
def found(split):
    return evaluate(
        logits_of,
        Feed(split, torch.device("cpu")),
        classes=CLASSES,
        background=BACKGROUND,
        batch_size=3,
        weights=WEIGHTS,
        minority=MINORITY,
    )


WEIGHTS = np.random.default_rng(1).random(7) * 100


def by_hand(split: Split, patches: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted true positives and false positives of the minority at every offset, summed over its classes."""
    hits, alarms = np.zeros(len(OFFSETS)), np.zeros(len(OFFSETS))
    starts = {start: logits_of(torch.from_numpy(split.images[start : start + 3])) for start in (0, 3, 6)}
    logits = torch.cat([*starts.values()])
    margin, klass = margins(logits, BACKGROUND)
    for place, offset in enumerate(OFFSETS):
        predicted = predict(margin, klass, BACKGROUND, float(offset)).numpy()
        for patch in patches:
            truth = split.masks[patch]
            for rare in MINORITY:
                positive = (predicted[patch] == rare) & (truth != IGNORE)
                hits[place] += weights[patch] * (positive & (truth == rare)).sum()
                alarms[place] += weights[patch] * (positive & (truth != rare)).sum()
    return hits, alarms


def test_many_margins_lie_on_an_offset(split):
    margin, _ = margins(logits_of(torch.from_numpy(split.images)), BACKGROUND)
    assert np.isin(margin.numpy(), OFFSETS).sum() > 100


def test_every_offset_gives_the_exact_counts_of_every_picture(split, found):
    weights = np.ones(7)
    rows = list(margin_rows(split, found.margins, weights, MINORITY))
    assert [(row.split, row.image) for row in rows] == [("test", "a"), ("test", "b"), ("test", "c")]
    for picture, row in enumerate(rows):
        patches = np.flatnonzero(split.picture == picture)
        hits, alarms = by_hand(split, patches, weights)
        np.testing.assert_array_equal(above(np.array(row.found)), hits)
        np.testing.assert_array_equal(above(np.array(row.alarms)), alarms)
        assert len(row.found) == len(row.alarms) == BINS
        assert row.pixels == (split.masks[patches] != IGNORE).sum()
        assert row.target == np.isin(split.masks[patches], MINORITY).sum()
        assert hits.max() < row.target, "some are found at no offset: another class is better there"


def test_weights_are_those_of_the_patches(split, found):
    for picture, row in enumerate(margin_rows(split, found.margins, WEIGHTS, MINORITY)):
        patches = np.flatnonzero(split.picture == picture)
        hits, alarms = by_hand(split, patches, WEIGHTS)
        np.testing.assert_allclose(above(np.array(row.found)), hits, rtol=1e-6)
        np.testing.assert_allclose(above(np.array(row.alarms)), alarms, rtol=1e-6)
        assert row.pixels == pytest.approx((WEIGHTS[patches] @ split.counts[patches]).sum())
        assert row.target == pytest.approx((WEIGHTS[patches] @ split.counts[patches])[[0, 3]].sum())


def test_the_row_of_a_split_is_the_sum_of_its_pictures(split, found):
    whole = pooled_margins(split, found.histogram, WEIGHTS, MINORITY)
    rows = list(margin_rows(split, found.margins, WEIGHTS, MINORITY))
    assert (whole.split, whole.image) == ("test", None)
    for name in ("pixels", "target", "found", "alarms"):
        np.testing.assert_allclose(getattr(whole, name), sum(np.array(getattr(row, name)) for row in rows), rtol=1e-6)


def test_counts_of_large_pictures_are_rounded_once_and_not_while_they_add_up(split):
    """From 2^26 on, single precision has steps of 8: fours added one after the other would all be lost."""
    counts = np.zeros((7, 2, BINS), dtype=np.int32)
    counts[:, 0, 5] = (2**26, 4, 4, 4, 4, 4, 4)
    (row,) = margin_rows(dataclasses.replace(split, picture=np.zeros(7, dtype=np.int32)), counts, np.ones(7), MINORITY)
    assert np.float32(row.found[5]) == 2**26 + 24


def test_logits_that_are_not_finite_are_counted_somewhere(split):
    """The trial fails for them; counting must not fail before."""

    def broken(images: torch.Tensor) -> torch.Tensor:
        logits = logits_of(images)
        logits[0, 1, :4] = torch.nan
        logits[0, 3, 4:8] = torch.inf
        logits[0, :, 8:12] = -torch.inf
        return logits

    feed = Feed(split, torch.device("cpu"))
    found = evaluate(broken, feed, classes=CLASSES, background=BACKGROUND, batch_size=3, minority=MINORITY)
    assert not found.finite
