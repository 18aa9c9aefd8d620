"""Pixel losses that weigh classes: by how rare they are, by their prior, by how much of them is missed at present."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from sweeper.errors import LossError
from sweeper.losses.families.pixel.balanced import BALANCED_CROSS_ENTROPY, balanced_cross_entropy
from sweeper.losses.families.pixel.cross_entropy import cross_entropy, weighted_cross_entropy
from sweeper.losses.families.pixel.logit_adjusted import logit_adjusted_cross_entropy
from sweeper.losses.families.pixel.recall import recall_cross_entropy

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

SCOPES = ("batch", "image", "dataset")


@pytest.fixture(params=[(2, 0), (2, 1), (3, 0), (3, 1), (5, 0), (5, 1)], ids=str)
def batch(request):
    classes, seed = request.param
    return random_batch(classes, seed)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def each_image(batch):
    logits, target = batch
    return [(logits[index : index + 1], target[index : index + 1]) for index in range(len(target))]


def shares(batch):
    """Share of each class among the valid pixels, (C,)."""
    logits, target = batch
    valid = target[target != IGNORED]
    return torch.bincount(valid, minlength=logits.shape[1]).double() / len(valid)


def weighted_mean(batch, weights):
    """Mean of the cross-entropy of valid pixels by weights of their classes, pixel by pixel."""
    logits, target = batch
    terms = functional.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none").flatten().tolist()
    pixels = [
        (weights[label].item(), term)
        for label, term in zip(target.flatten().tolist(), terms, strict=True)
        if label != IGNORED
    ]
    return sum(weight * term for weight, term in pixels) / sum(weight for weight, _ in pixels)


def class_mean_ce(batch):
    logits, target = batch
    terms = functional.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
    return torch.stack([terms[target == label].mean() for label in range(logits.shape[1])]).mean()


# Balanced cross-entropy


def balanced_weights(frequencies, b):
    classes = len(frequencies)
    return (1 - b) + b * classes * (1 - frequencies) / (classes - 1)


@pytest.mark.parametrize("b", [0.37, 1.0])
def test_balanced_by_its_definition(batch, b):
    expected = weighted_mean(batch, balanced_weights(shares(batch), b))
    assert at(balanced_cross_entropy, batch, balance=b).item() == pytest.approx(expected, abs=1e-12)
    images = [weighted_mean(image, balanced_weights(shares(image), b)) for image in each_image(batch)]
    value = at(balanced_cross_entropy, batch, balance=b, scope="image").item()
    assert value == pytest.approx(sum(images) / len(images), abs=1e-12)
    given = torch.linspace(0.1, 0.4, batch[0].shape[1], dtype=torch.float64)
    value = at(balanced_cross_entropy, batch, balance=b, scope="dataset", class_frequencies=given).item()
    assert value == pytest.approx(weighted_mean(batch, balanced_weights(given, b)), abs=1e-12)


@pytest.mark.parametrize("scope", SCOPES)
def test_balance_zero_is_cross_entropy(batch, scope):
    expected = at(cross_entropy, batch)
    if scope == "image":
        expected = torch.stack([at(cross_entropy, image) for image in each_image(batch)]).mean()
    same(at(balanced_cross_entropy, batch, balance=0.0, scope=scope), expected)


@pytest.mark.parametrize("seed", range(4))
def test_full_balance_of_two_classes_gives_each_half_of_the_loss(seed):
    batch = random_batch(classes=2, seed=seed)
    same(at(balanced_cross_entropy, batch), class_mean_ce(batch))
    same(at(balanced_cross_entropy, batch), at(weighted_cross_entropy, batch, power=1.0))


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_equal_shares_need_no_balance(classes):
    logits, _ = random_batch(classes, images=2, side=6)
    target = (torch.arange(2 * 30).view(2, 6, 5) % classes).contiguous()
    batch = logits[..., :5], target
    for scope in ("batch", "image"):
        same(at(balanced_cross_entropy, batch, balance=0.8, scope=scope), at(cross_entropy, batch))


def test_data_set_scope_without_its_shares_counts_the_batch(batch):
    same(at(balanced_cross_entropy, batch, scope="dataset"), at(balanced_cross_entropy, batch))
    given = at(balanced_cross_entropy, batch, scope="dataset", class_frequencies=shares(batch))
    same(given, at(balanced_cross_entropy, batch))


def test_shares_of_the_data_set_are_asked_for_in_their_scope_alone():
    assert BALANCED_CROSS_ENTROPY.needs_at({"scope": "dataset"}) == ("class_frequencies",)
    assert BALANCED_CROSS_ENTROPY.needs_at({}) == BALANCED_CROSS_ENTROPY.needs_at({"scope": "image"}) == ()
    batch = random_batch()
    other = at(balanced_cross_entropy, batch, class_frequencies=[0.97, 0.02, 0.01])
    assert other == at(balanced_cross_entropy, batch)


@pytest.mark.parametrize("scope", ["batch", "image"])
def test_a_single_class_teaches_nothing_at_full_balance_alone(scope):
    logits, target = random_batch()
    batch = logits.requires_grad_(), torch.ones_like(target)
    value = at(balanced_cross_entropy, batch, scope=scope)
    assert value == 0
    assert (torch.autograd.grad(value, logits)[0] == 0).all()
    same(at(balanced_cross_entropy, batch, balance=0.99, scope=scope), at(cross_entropy, batch))


def test_one_pixel_of_foreground_in_a_million_weighs_half_also_in_float32():
    logits = torch.randn(1, 2, 1024, 1024, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(1, 1024, 1024, dtype=torch.int64)
    target[0, 3, 5] = 1
    batch = logits, target
    torch.testing.assert_close(at(balanced_cross_entropy, batch), class_mean_ce(batch), rtol=1e-5, atol=0)


def test_unknown_scope_is_refused():
    with pytest.raises(LossError, match="scope is 'data'"):
        balanced_cross_entropy(*PICTURES["B4"], scope="data")


# Logit adjustment


def test_logit_adjustment_is_cross_entropy_of_shifted_logits(batch):
    logits, target = batch
    prior = torch.linspace(0.9, 0.1, logits.shape[1], dtype=torch.float64)
    for tau in (0.3, 1.0, 2.0):
        shifted = logits + tau * prior.log().view(1, -1, 1, 1)
        expected = functional.cross_entropy(shifted, target, ignore_index=IGNORED)
        same(at(logit_adjusted_cross_entropy, batch, tau=tau, class_frequencies=prior), expected)
        same(at(logit_adjusted_cross_entropy, batch, tau=tau, class_frequencies=prior / 7), expected)


def test_without_adjustment_or_with_equal_classes_it_is_cross_entropy(batch):
    classes = batch[0].shape[1]
    expected = at(cross_entropy, batch)
    same(at(logit_adjusted_cross_entropy, batch, tau=0.0), expected)
    for tau in (0.5, 1.0, 2.0):
        same(at(logit_adjusted_cross_entropy, batch, tau=tau, class_frequencies=[1 / classes] * classes), expected)


def test_the_shares_of_the_batch_stand_in_for_the_prior(batch):
    given = at(logit_adjusted_cross_entropy, batch, class_frequencies=shares(batch))
    same(at(logit_adjusted_cross_entropy, batch), given)


def test_the_same_answer_everywhere_is_best_when_it_favours_no_class(batch):
    # At τ = 1 the prior alone already predicts the shares of the batch.
    logits, target = batch
    logits = torch.zeros_like(logits).requires_grad_()
    (gradient,) = torch.autograd.grad(at(logit_adjusted_cross_entropy, (logits, target)), logits)
    torch.testing.assert_close(gradient.sum((0, 2, 3)), torch.zeros(logits.shape[1]).double(), rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(at(cross_entropy, (logits, target)), logits)
    assert gradient.sum((0, 2, 3)).abs().max() > 1e-3


def test_a_class_never_seen_in_training_has_a_finite_shift():
    logits, target = random_batch()
    prior = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    least = torch.tensor([1.0, 1e-7, 1e-7], dtype=torch.float64)
    value = at(logit_adjusted_cross_entropy, (logits, target), class_frequencies=prior)
    same(value, at(logit_adjusted_cross_entropy, (logits, target), class_frequencies=least))


# Recall loss


def recall_weights(batch, m):
    logits, target = batch
    found = logits.argmax(1) == target
    return torch.stack([1 - m * found[target == label].double().mean() for label in range(logits.shape[1])])


@pytest.mark.parametrize("m", [0.4, 1.0])
def test_recall_loss_is_cross_entropy_of_fixed_weights(batch, m):
    logits, target = batch
    logits = logits.clone().requires_grad_()
    value = at(recall_cross_entropy, (logits, target), mix=m)
    weights = recall_weights(batch, m)
    fixed = at(weighted_cross_entropy, (logits, target), class_weights=weights, normalize="pixels")
    same(value, fixed)
    same(torch.autograd.grad(value, logits)[0], torch.autograd.grad(fixed, logits)[0])


def test_recall_loss_is_at_most_cross_entropy(batch):
    values = [at(recall_cross_entropy, batch, mix=m) for m in (0.0, 0.3, 0.6, 1.0)]
    same(values[0], at(cross_entropy, batch))
    assert all(after < before for before, after in itertools.pairwise(values))


def test_recall_loss_of_classes_all_found_is_nothing_at_full_mix_alone(batch):
    _, target = batch
    classes = batch[0].shape[1]
    sure = functional.one_hot(torch.where(target == IGNORED, 0, target), classes).movedim(-1, 1).double()
    assert at(recall_cross_entropy, (sure, target)) == 0
    same(at(recall_cross_entropy, (sure, target), mix=0.9), 0.1 * at(cross_entropy, (sure, target)))


# What a missed foreground pixel pulls, over what a false alarm pushes


@pytest.mark.parametrize(
    ("loss", "settings"),
    [
        (
            balanced_cross_entropy,
            [{"balance": b, "scope": "dataset", "class_frequencies": [0.97, 0.03]} for b in (0.0, 0.3, 0.6, 1.0)],
        ),
        (logit_adjusted_cross_entropy, [{"tau": t, "class_frequencies": [0.97, 0.03]} for t in (0.0, 0.5, 1.0, 2.0)]),
        # On B4 all of the background is found and half of the foreground: at m = 1 false alarms would push no more.
        (recall_cross_entropy, [{"mix": m} for m in (0.0, 0.3, 0.6, 0.9)]),
    ],
    ids=["balanced_cross_entropy", "logit_adjusted_cross_entropy", "recall_cross_entropy"],
)
def test_turning_the_dial_to_recall_makes_misses_pull_harder(loss, settings):
    logits, target = PICTURES["B4"]
    ratios = []
    for values in settings:
        logits = logits.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(logits, target, **values), logits)
        # Pixel 1 is foreground at p = .4, pixel 2 background at p = .2.
        ratios.append((gradient[0, 1, 0, 1] / gradient[0, 1, 0, 2]).abs().item())
    assert all(after > before for before, after in itertools.pairwise(ratios)), ratios
