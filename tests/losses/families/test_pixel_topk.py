"""TopK: the hardest pixels, counted to a fraction of one."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from sweeper.errors import LossError
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.pixel.topk import topk_cross_entropy

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

SHARES = (1e-6, 0.01, 0.1, 0.237, 0.5, 0.8, 0.999, 1.0)


@pytest.fixture(params=[(2, 0), (2, 1), (3, 0), (3, 1), (5, 0), (5, 1)], ids=str)
def batch(request):
    classes, seed = request.param
    return random_batch(classes, seed)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def each_image(batch):
    logits, target = batch
    return [(logits[index : index + 1], target[index : index + 1]) for index in range(len(target))]


def hardest_mean(batch, k):
    """Mean of the k N hardest valid pixels, one after the other from a sorted list."""
    logits, target = batch
    terms = torch.nn.functional.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
    hardest = sorted(terms[target != IGNORED].tolist(), reverse=True)
    left = budget = k * len(hardest)
    total = 0.0
    for term in hardest:
        total += min(left, 1.0) * term
        left = max(left - 1.0, 0.0)
    return total / budget


def test_half_a_pixel_worked_by_hand():
    # B4: −log p is .10536, .91629, .22314, .10536; k N = 1.5 is the worst pixel and half of the next.
    value = topk_cross_entropy(*PICTURES["B4"], k=0.375)
    assert value.item() == pytest.approx((0.916290732 + 0.223143551 / 2) / 1.5, abs=1e-8)


def test_by_its_definition(batch):
    for k in SHARES:
        assert at(topk_cross_entropy, batch, k=k).item() == pytest.approx(hardest_mean(batch, k), abs=1e-12)
        images = [hardest_mean(image, k) for image in each_image(batch)]
        expected = sum(images) / len(images)
        assert at(topk_cross_entropy, batch, k=k, scope="image").item() == pytest.approx(expected, abs=1e-12)


def test_everything_is_cross_entropy_and_next_to_nothing_is_the_worst_pixel(batch):
    torch.testing.assert_close(at(topk_cross_entropy, batch, k=1.0), at(cross_entropy, batch), rtol=1e-12, atol=0)
    logits, target = batch
    worst = torch.nn.functional.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none").max()
    torch.testing.assert_close(at(topk_cross_entropy, batch, k=1e-6), worst, rtol=1e-12, atol=0)


def test_falls_with_k_down_to_cross_entropy(batch):
    values = [at(topk_cross_entropy, batch, k=k).item() for k in SHARES]
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(values))
    assert values[-1] < values[0]
    assert all(value >= at(cross_entropy, batch) - 1e-12 for value in values)


def test_pixels_beyond_the_hardest_have_no_gradient():
    logits, target = random_batch(ignored=0.0)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(topk_cross_entropy(logits, target, k=0.1), logits)
    assert (gradient != 0).any(1).sum() == 0.1 * target.numel()


def test_an_image_with_every_pixel_ignored_is_left_out():
    logits, target = random_batch(images=3)
    target[1] = IGNORED
    kept = logits[[0, 2]], target[[0, 2]]
    for k in (0.1, 1.0):
        whole = at(topk_cross_entropy, (logits, target), k=k, scope="image")
        torch.testing.assert_close(whole, at(topk_cross_entropy, kept, k=k, scope="image"))


def test_two_million_pixels_in_float32():
    # 1,234,567 hard pixels, one between, the rest easy, and a budget of half the one between: in float32 the budget
    # would be rounded to eighths, after a k rounded by more than that.
    hard, pixels = 1_234_567, 1 << 21
    order = torch.randperm(pixels, generator=torch.Generator().manual_seed(0))
    margin = torch.ones(pixels)
    margin[order[:hard]], margin[order[hard]] = -1.0, 0.0
    logits = torch.stack([margin, torch.zeros(pixels)]).view(1, 2, 1 << 10, 1 << 11).requires_grad_()
    target = torch.zeros(1, 1 << 10, 1 << 11, dtype=torch.int64)
    value = topk_cross_entropy(logits, target, k=(hard + 0.5) / pixels)
    expected = (hard * math.log1p(math.e) + 0.5 * math.log(2)) / (hard + 0.5)
    assert value.item() == pytest.approx(expected, rel=1e-6)
    (gradient,) = torch.autograd.grad(value, logits)
    gradient = gradient[0, 0].flatten()
    assert gradient[order[hard]].item() == pytest.approx(-0.5 * 0.5 / (hard + 0.5), rel=1e-6)
    assert (gradient[order[hard + 1 :]] == 0).all()
    # Of the hard ones, p = 1 / (1 + e).
    assert gradient[order[0]].item() == pytest.approx(-(1 - 1 / (1 + math.e)) / (hard + 0.5), rel=1e-6)


def test_unknown_scope_is_refused():
    with pytest.raises(LossError, match="scope is 'images'; did you mean 'image'"):
        topk_cross_entropy(*PICTURES["B4"], scope="images")
