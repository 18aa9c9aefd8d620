"""Class-proportion prior: cross-entropy, and areas that agree or do not."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.region.size_prior import SIZE_PRIOR, size_prior

from ..batches import IGNORED, random_batch

every_batch = pytest.mark.parametrize(
    "batch", [random_batch(*each) for each in itertools.product((2, 3, 5), (0, 1))], ids=lambda each: "batch"
)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def term(batch, **values):
    """The part beside cross-entropy, at λ = 1."""
    return at(size_prior, batch, lam=1.0, **values) - at(cross_entropy, batch)


def shares(batch):
    """Share of each class in the target and in the prediction, by boolean indexing."""
    logits, target = batch
    valid = target != IGNORED
    wanted = torch.bincount(target[valid], minlength=logits.shape[1]) / valid.sum().double()
    return wanted, logits.softmax(1).movedim(1, -1)[valid].mean(0)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


@every_batch
@pytest.mark.parametrize("kind", ["kl", "l1"])
@pytest.mark.parametrize("prior", ["batch", "image", "dataset"])
def test_without_weight_it_is_cross_entropy(batch, kind, prior):
    same(at(size_prior, batch, lam=0.0, kind=kind, prior=prior), at(cross_entropy, batch))


@every_batch
def test_the_term_is_that_of_torch(batch):
    wanted, predicted = shares(batch)
    same(term(batch), functional.kl_div(predicted.log(), wanted, reduction="sum"))
    same(term(batch, kind="l1"), functional.l1_loss(predicted, wanted, reduction="sum"))


@every_batch
def test_it_is_linear_in_lambda(batch):
    for kind in ("kl", "l1"):
        same(at(size_prior, batch, lam=3.0, kind=kind), at(cross_entropy, batch) + 3 * term(batch, kind=kind))


@every_batch
def test_of_images_it_is_the_mean_of_each(batch):
    logits, target = batch
    for kind in ("kl", "l1"):
        images = [term((logits[[index]], target[[index]]), kind=kind) for index in (0, 1)]
        same(term(batch, kind=kind, prior="image"), sum(images) / 2)


def test_an_image_with_every_pixel_ignored_has_no_part_in_the_mean():
    logits, target = random_batch(images=3)
    target[1] = IGNORED
    kept = logits[[0, 2]], target[[0, 2]]
    same(term((logits, target), prior="image"), term(kept, prior="image"))


@every_batch
def test_of_the_data_set_its_frequencies_are_wanted(batch):
    _, predicted = shares(batch)
    classes = len(predicted)
    frequencies = torch.arange(1, classes + 1, dtype=torch.float64)
    wanted = frequencies / frequencies.sum()
    for given in (wanted, 5 * wanted):
        value = term(batch, prior="dataset", class_frequencies=given)
        same(value, functional.kl_div(predicted.log(), wanted, reduction="sum"))
    same(term(batch, prior="dataset"), term(batch))


@every_batch
def test_only_the_data_set_prior_looks_at_frequencies(batch):
    frequencies = torch.full((batch[0].shape[1],), 0.1)
    for prior in ("batch", "image"):
        same(term(batch, prior=prior, class_frequencies=frequencies), term(batch, prior=prior))
    assert SIZE_PRIOR.needs_at({}) == ()
    assert SIZE_PRIOR.needs_at({"prior": "dataset"}) == ("class_frequencies",)


@pytest.mark.parametrize("kind", ["kl", "l1"])
def test_the_term_is_zero_where_areas_agree_wherever_they_lie(kind):
    target = torch.tensor([[[0, 0, 1, 2]]])
    wrong = torch.tensor([[[1, 2, 0, 0]]])
    logits = 1e4 * functional.one_hot(wrong, 3).movedim(-1, 1).double()
    assert term((logits, target), kind=kind).item() == pytest.approx(0, abs=1e-9)
    fewer = 1e4 * functional.one_hot(torch.tensor([[[0, 0, 0, 2]]]), 3).movedim(-1, 1).double()
    assert term((fewer, target), kind=kind) > 0.4


@pytest.mark.parametrize("kind", ["kl", "l1"])
def test_the_term_is_zero_where_no_pixel_is_decided(kind):
    # Every pixel has the probabilities ¾ and ¼: the soft areas are right, and the class of one pixel in four is missed.
    logits = torch.tensor([0.75, 0.25]).double().log().reshape(1, 2, 1, 1).expand(1, 2, 1, 8)
    target = torch.tensor([[[1, 1, 0, 0, 0, 0, 0, 0]]])
    assert term((logits, target), kind=kind).item() == pytest.approx(0, abs=1e-12)
    assert (logits.argmax(1) == 0).all()


def test_the_direction_of_kl_punishes_a_lost_class():
    """π log(π / p̄) grows without bound as p̄ of a wanted class goes to 0; p̄ log(p̄ / π) would not."""
    target = torch.tensor([[[0, 0, 0, 1]]])
    lost = [term((torch.tensor([[[[gap] * 4], [[0.0] * 4]]]).double(), target)).item() for gap in (4.0, 8.0, 12.0)]
    assert lost[2] - lost[1] == pytest.approx(1.0, abs=0.01)
    assert lost[1] - lost[0] == pytest.approx(1.0, abs=0.05)
