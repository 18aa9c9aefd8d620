"""Boundary and region-wise loss: their maps by brute force, MONAI, and what is linear in p."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sweeper.errors import LossError
from sweeper.losses.families.boundary.boundary import boundary
from sweeper.losses.families.boundary.region_wise import REGION_WISE, region_wise
from sweeper.losses.families.pixel.probability_error import mae

from ..batches import AWKWARD, IGNORED
from ..golden import PICTURES
from .boundary_batches import CASES, arrays, blocky, labels_of, mean_over, nearest, picture, same

INNER = ("author", "full")
NORMALIZE = ("none", "diagonal", "max")


@pytest.fixture(params=CASES, ids=str)
def batch(request):
    return blocky(*request.param)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def signed(t, valid, inner):
    """φ of one image and class; None without an edge."""
    others = valid & ~t
    if not t.any() or not others.any():
        return None
    depth = nearest(others) - (inner == "author")
    return np.where(t, -depth, np.where(others, nearest(t), 0.0))


def by_hand(batch, inner, normalize, classes):
    p, t, valid = arrays(batch)
    sums, scored = {}, []
    for label in labels_of(classes, p.shape[1]):
        maps = [signed(t[image, label], valid[image], inner) for image in range(len(p))]
        if any(phi is not None for phi in maps):
            scored.append(label)
        total = 0.0
        for image, phi in enumerate(maps):
            if phi is not None:
                scale = {"none": 1.0, "diagonal": np.hypot(*phi.shape), "max": np.abs(phi).max() or 1.0}[normalize]
                total += (phi / scale * p[image, label])[valid[image]].sum()
        sums[label] = total / valid.sum()
    return mean_over(sums, scored)


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("normalize", NORMALIZE)
@pytest.mark.parametrize("classes", ["foreground", "all"])
def test_boundary_by_brute_force(batch, inner, normalize, classes):
    value = at(boundary, batch, inner=inner, normalize=normalize, classes=classes)
    same(value, by_hand(batch, inner, normalize, classes))


@pytest.mark.parametrize("name", ["class absent", "all foreground", "all background", "part ignored"])
def test_boundary_of_awkward_batches_by_brute_force(name):
    batch = AWKWARD[name]()
    for inner in INNER:
        same(at(boundary, batch, inner=inner), by_hand(batch, inner, "none", "foreground"))


def test_classes_that_are_absent_or_fill_their_images_are_skipped():
    # Class 1 fills the first image and is absent from the second, class 3 has no pixel: class 2 counts alone.
    logits, target = blocky(4, 0, ignored=0.0)
    target[0] = 1
    target[1] = torch.where(target[1] == 2, 2, 0)
    same(at(boundary, (logits, target)), by_hand((logits, target), "author", "none", "foreground"))
    only_second = at(boundary, (logits[1:], target[1:]))
    same(at(boundary, (logits, target)), only_second / 2)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("classes", ["foreground", "all"])
def test_boundary_is_monai(case, classes):
    monai = pytest.importorskip("monai.losses")
    logits, target = blocky(*case, ignored=0.0)
    module = monai.BoundaryLoss(include_background=classes == "all", softmax=True, to_onehot_y=True)
    theirs = module(logits, target.unsqueeze(1)).item()
    same(at(boundary, (logits, target), classes=classes), theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("loss", "values"), [(boundary, {"inner": "full"}), (region_wise, {}), (region_wise, {"map": "boundary"})]
)
def test_they_are_linear_in_p(batch, loss, values):
    logits, target = batch
    p, q = logits.softmax(1), logits.flip(0).softmax(1)
    mixed = at(loss, ((0.3 * p + 0.7 * q).log(), target), **values)
    same(mixed, 0.3 * at(loss, (p.log(), target), **values) + 0.7 * at(loss, (q.log(), target), **values))


@pytest.mark.parametrize("inner", INNER)
def test_boundary_is_least_at_the_truth(batch, inner):
    logits, target = batch
    truth = torch.nn.functional.one_hot(torch.where(target == IGNORED, 0, target), logits.shape[1]).movedim(-1, 1)
    least = at(boundary, (60.0 * truth, target), inner=inner, classes="all")
    _, t, valid = arrays(batch)
    lows = [
        sum(np.minimum(signed(t[image, label], valid[image], inner), 0).sum() for image in range(len(t)))
        for label in range(t.shape[1])
    ]
    same(least, np.mean(lows) / valid.sum())
    assert least < at(boundary, batch, inner=inner, classes="all")


def test_only_the_full_form_rewards_a_thin_curve():
    _, target = PICTURES["C5"]
    found, missed = picture(target[0], target[0]), picture(0 * target[0], target[0])
    assert at(boundary, found).item() == pytest.approx(at(boundary, missed).item(), abs=1e-9)
    assert at(boundary, found, inner="full") < at(boundary, missed, inner="full") - 0.1


def test_options_outside_the_choice_are_refused(batch):
    for values in ({"inner": "outer"}, {"normalize": "mean"}, {"classes": "some"}):
        with pytest.raises(LossError):
            at(boundary, batch, **values)
    with pytest.raises(LossError, match="map"):
        at(region_wise, batch, map="rwm")


# Region-wise


def zeta(batch, outside):
    p, t, valid = arrays(batch)
    total = 0.0
    for image, label in itertools.product(range(len(p)), range(p.shape[1])):
        own, others = t[image, label], valid[image] & ~t[image, label]
        depth = nearest(others) if others.any() else np.ones(own.shape)
        depth = depth / depth[own].max() if own.any() else depth
        total += np.where(own, -depth, outside * others)[valid[image]] @ p[image, label][valid[image]]
    return total / valid.sum()


@pytest.mark.parametrize("outside", [0.0, 0.5, 1.0, 2.0])
def test_region_wise_by_brute_force(batch, outside):
    same(at(region_wise, batch, outside=outside), zeta(batch, outside))


def test_region_wise_where_one_class_fills_the_image():
    logits, target = AWKWARD["all foreground"]()
    same(at(region_wise, (logits, target), outside=0.7), zeta((logits, target), 0.7))


def test_indicator_is_half_the_mean_absolute_error(batch):
    same(at(region_wise, batch, map="indicator"), at(mae, batch) / 2)
    same(at(region_wise, batch, map="indicator", outside=3.0), 3 * at(mae, batch) / 2)


def test_depth_one_everywhere_is_one_minus_twice_p(batch):
    logits, _ = batch
    p, t, valid = arrays(batch)
    value = at(region_wise, batch, relative_depth=torch.ones_like(logits))
    same(value, 1 - 2 * p[t].sum() / valid.sum())


def test_boundary_map_is_the_sum_of_boundary_losses(batch):
    classes = batch[0].shape[1]
    same(at(region_wise, batch, map="boundary"), classes * at(boundary, batch, classes="all"))


def test_region_wise_stays_within_its_bounds(batch):
    logits, target = batch
    for sharpness in (-9.0, 0.0, 1.0, 9.0):
        assert -1 <= at(region_wise, (sharpness * logits, target)) <= 1


def test_raising_outside_pulls_an_edge_pixel_up_against_a_thin_object():
    # Depth is 1 on a one-pixel curve and 1/2 on the background column beside it.
    ratios = []
    for outside in (0.5, 1.0, 2.0):
        logits = torch.zeros(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
        at(region_wise, (logits, PICTURES["C5"][1]), outside=outside).backward()
        ratios.append((logits.grad[0, 1, 2, 2] / logits.grad[0, 1, 2, 1]).abs().item())
    assert ratios == pytest.approx([1.5 / 1.0, 2.0 / 1.5, 3.0 / 2.5])


def test_each_setting_asks_for_its_own_map():
    assert REGION_WISE.needs_at({}) == ("relative_depth",)
    assert REGION_WISE.needs_at({"map": "boundary"}) == ("signed_distance",)
    assert REGION_WISE.needs_at({"map": "indicator"}) == ()
