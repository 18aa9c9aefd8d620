"""Conditional boundary loss: its four parts against loops over pixels, and its two spaces."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from sweeper.errors import LossError
from sweeper.losses.families.boundary.conditional_boundary import CONDITIONAL_BOUNDARY, conditional_boundary
from sweeper.losses.primitives import prepare
from sweeper.losses.target_maps import target_map

from ..batches import IGNORED, random_batch

NONE = {"lambda_a2c": 0.0, "lambda_centre": 0.0, "lambda_pn": 0.0}
PARTS = ("lambda_a2c", "lambda_centre", "lambda_pn")


def at(batch, **values):
    return conditional_boundary(*batch, ignore_index=IGNORED, **values)


def part(batch, name, **values):
    """One term by itself."""
    return at(batch, **(NONE | {name: 1.0} | values)) - at(batch, **(NONE | values))


def likeness_of_probabilities(classes):
    """Two columns of probabilities to 1 for one sure class and −1 / (C − 1) for two."""
    return lambda one, other: ((one * other).sum() - 1 / classes) / (1 - 1 / classes)


def parts_by_hand(batch, vectors, classify, likeness, compared, apart, kernel, width):
    """`likeness` is of two columns of `compared`, (B, D, H, W)."""
    logits, target = batch
    band = target_map("boundary_band", None, prepare(*batch, IGNORED))[:, 0]
    reach, side = kernel // 2, target.shape[-1]
    to_centre, of_centre, pairs = [], [], []
    for image, row, col in (target != IGNORED).nonzero().tolist():
        if band[image, row, col] > width:
            continue
        label, own, friends = target[image, row, col], vectors[image, :, row, col], []
        for r, c in itertools.product(range(row - reach, row + reach + 1), range(col - reach, col + reach + 1)):
            if (r, c) == (row, col) or not (0 <= r < side and 0 <= c < side) or target[image, r, c] == IGNORED:
                continue
            other = vectors[image, :, r, c]
            same = target[image, r, c] == label
            alike = likeness(compared[image, :, row, col], compared[image, :, r, c])
            pairs.append((alike - (1.0 if same else apart)) ** 2)
            if same and logits[image, :, r, c].argmax() == label:
                friends.append(other)
        if friends and logits[image, :, row, col].argmax() == label:
            centre = torch.stack(friends).mean(0)
            to_centre.append(((own - centre) ** 2).mean())
            of_centre.append(cross_entropy(classify(centre)[None], label[None]))
    return {name: torch.stack(each).mean() for name, each in zip(PARTS, (to_centre, of_centre, pairs), strict=True)}


@pytest.mark.parametrize(("classes", "seed"), list(itertools.product((2, 3, 5), (0, 1))))
@pytest.mark.parametrize(("kernel", "width"), [(3, 0), (5, 1), (7, 3)])
@pytest.mark.parametrize("space", ["logits", "features"])
def test_parts_pixel_by_pixel(classes, seed, kernel, width, space):
    logits, target = random_batch(classes, seed, side=8)
    # Room inside, that the band does not reach, and half of the pixels right.
    target[:, 3:, :] = torch.where(target[:, 3:, :] == IGNORED, IGNORED, 0)
    logits = logits + torch.nn.functional.one_hot(target.clamp_max(classes - 1), classes).movedim(-1, 1)
    batch = logits, target
    values = {"kernel": kernel, "width": width, "space": space}
    vectors, apart = logits - logits.mean(1, keepdim=True), -1 / (classes - 1)
    classify, likeness, compared = torch.nn.Identity(), likeness_of_probabilities(classes), logits.softmax(1)
    if space == "features":
        generator = torch.Generator().manual_seed(seed)
        vectors = torch.randn(2, 4, 8, 8, generator=generator, dtype=torch.float64)
        weight = torch.randn(4, classes, generator=generator, dtype=torch.float64)
        apart, compared = 0.0, vectors

        def likeness(one, other):
            return cosine_similarity(one, other, dim=0)

        def classify(centre):
            return centre @ weight

        spoiled = vectors.masked_fill((target == IGNORED).unsqueeze(1), torch.nan)
        values |= {"features": spoiled, "classifier": classify}
    expected = parts_by_hand(batch, vectors, classify, likeness, compared, apart, kernel, width)
    for name in PARTS:
        torch.testing.assert_close(part(batch, name, **values), expected[name], msg=name)
    mixed = sum(weight * expected[name] for name, weight in zip(PARTS, (2.0, 0.2, 1.0), strict=True))
    torch.testing.assert_close(at(batch, **values), mixed + at(batch, **NONE))


@pytest.mark.parametrize(("classes", "seed"), list(itertools.product((2, 3, 5), (0, 1))))
def test_without_weights_it_is_cross_entropy(classes, seed):
    batch = random_batch(classes, seed)
    torch.testing.assert_close(at(batch, **NONE), cross_entropy(*batch, ignore_index=IGNORED))
    assert all(part(batch, name) > 0 for name in PARTS)


def three_pixels(features, target):
    """Three pixels in a row, all of them right, with these features."""
    target = torch.tensor([[target]])
    logits = 5 * torch.nn.functional.one_hot(target, 2).movedim(-1, 1).double()
    features = torch.tensor(features, dtype=torch.float64).T[None, :, None]
    return (logits, target), {"features": features, "space": "features", "classifier": torch.nn.Identity(), "kernel": 3}


def test_pairs_worked_by_hand():
    # (1, 0) and (1, 1) are at a cosine of 1/√2, (1, 1) and (1, −1) at 0.
    features = [[1.0, 0.0], [1.0, 1.0], [1.0, -1.0]]
    batch, values = three_pixels(features, [1, 1, 0])
    assert part(batch, "lambda_pn", **values).item() == pytest.approx(0.085786438 / 2, abs=1e-8)
    batch, values = three_pixels(features, [1, 0, 1])
    assert part(batch, "lambda_pn", **values).item() == pytest.approx(0.5 / 2, abs=1e-8)


def test_centre_worked_by_hand():
    # Each is the other's centre: |(1, 0) − (2, 1)|² / 2. The third has no neighbour of its class.
    batch, values = three_pixels([[1.0, 0.0], [2.0, 1.0], [9.0, 9.0]], [1, 1, 0])
    assert part(batch, "lambda_a2c", **values).item() == pytest.approx(1.0, abs=1e-12)


def test_the_centre_holds_still_while_pixels_are_drawn_to_it():
    batch, values = three_pixels([[1.0, 0.0], [2.0, 1.0], [9.0, 9.0]], [1, 1, 0])
    values["features"].requires_grad_()
    (gradient,) = torch.autograd.grad(part(batch, "lambda_a2c", **values), values["features"])
    # Half of 2 (f − c) / 2, where a centre that moved along would double it.
    expected = torch.tensor([[-0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(gradient[0, :, 0], expected)


def test_the_gradient_of_the_other_parts_is_that_of_the_value():
    logits, target = random_batch(side=4)

    def run(logits):
        return at((logits, target), lambda_a2c=0.0)

    assert torch.autograd.gradcheck(run, (logits.requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_perfect_prediction_costs_nothing(classes):
    _, target = random_batch(classes, side=7)
    right = 30 * torch.nn.functional.one_hot(target.clamp_max(classes - 1), classes).movedim(-1, 1).double()
    assert at((right, target)).item() == pytest.approx(0.0, abs=1e-9)


def lean(foreground, classes=2):
    """A square of class 1, every pixel with this share of class 1 and the rest spread over the others."""
    target = torch.zeros(1, 9, 9, dtype=torch.int64)
    target[:, 3:6, 3:6] = 1
    p = torch.as_tensor(foreground, dtype=torch.float64).expand(1, 1, 9, 9)
    others = ((1 - p) / (classes - 1)).expand(1, classes, 9, 9)
    return torch.where(torch.arange(classes).reshape(-1, 1, 1) == 1, p, others).log(), target


def slope(batch, name):
    logits = batch[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(part((logits, batch[1]), name), logits)
    return gradient


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("foreground", [0.02, 0.1, 0.3, 0.499999, 0.500001, 0.9])
def test_pairs_teach_where_every_pixel_leans_one_way(classes, foreground):
    gradient = slope(lean(foreground, classes), "lambda_pn")
    assert gradient.isfinite().all()
    # Foreground and background meet at the square's rim: both are pulled, and by no more than the pairs weigh.
    assert gradient[0, 1, 3, 3].abs() > 1e-8
    assert gradient.abs().max() < 1


def test_pairs_do_not_jump_at_a_tie():
    values = [part(lean(0.5 + step), "lambda_pn").item() for step in (-1e-6, 0.0, 1e-6)]
    assert max(values) - min(values) < 1e-5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PARTS)
def test_every_dial_acts_on_two_classes(seed, name):
    _, target = lean(0.5)
    logits = 0.5 * torch.randn(1, 2, 9, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    gradient = slope((logits, target), name)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 1e-4
    assert gradient.abs().max() < 1


def test_pairs_part_the_sides_of_an_unsure_boundary():
    _, target = lean(0.5)
    share = torch.where(target == 1, 0.52, 0.48)
    gradient = slope(lean(share), "lambda_pn")[0, 1]
    assert (gradient[3:6, 3:6].flatten()[[0, 1, 2, 3, 5, 6, 7, 8]] < 0).all()
    assert gradient[2, 4] > 0


def test_map_given_or_computed_is_the_same():
    batch = random_batch(side=9)
    given = target_map("boundary_band", None, prepare(*batch, IGNORED))
    assert at(batch, boundary_band=given) == at(batch)
    nowhere = at(batch, boundary_band=torch.full_like(given, 255))
    torch.testing.assert_close(nowhere, cross_entropy(*batch, ignore_index=IGNORED))


def test_features_and_classifier_are_asked_for_by_name():
    batch = random_batch()
    features = torch.zeros(2, 4, 5, 5)
    with pytest.raises(LossError, match="features="):
        at(batch, space="features")
    with pytest.raises(LossError, match="classifier="):
        at(batch, space="features", features=features)
    assert CONDITIONAL_BOUNDARY.needs_at({}) == ("boundary_band",)
    assert set(CONDITIONAL_BOUNDARY.needs_at({"space": "features"})) == {"boundary_band", "features", "classifier"}
