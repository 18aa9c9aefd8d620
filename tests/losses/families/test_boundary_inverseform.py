"""InverseForm: its three terms, and what the frozen network may and may not do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sweeper.errors import LossError
from sweeper.losses.companion import Setup
from sweeper.losses.families.boundary.inverseform import INVERSEFORM, distance, inverseform
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.networks import SIDE, arrays, tiles, untrained
from sweeper.maps.kinds import compute_map

from ..batches import AWKWARD, IGNORED, random_batch
from ..golden import PICTURES


def regressor(seed=0, classes=3):
    torch.manual_seed(seed)
    setup = Setup(
        classes=classes,
        channels=1,
        settings=INVERSEFORM.defaults,
        artefacts={"boundary_transform": untrained("boundary_transform")},
    )
    return INVERSEFORM.companion(setup)


def value(logits, target, **settings):
    settings = {"companion": regressor(), **settings}
    return inverseform(logits, target, ignore_index=IGNORED, **settings)


def test_distance_of_a_map_from_the_identity_worked_by_hand():
    theta = torch.tensor([[[1.1, 0.05, 0.02], [-0.03, 0.95, 0.1]]], dtype=torch.float64)
    # √(.1² + .05² + .02² + .03² + .05² + .1²) = √.0263
    assert distance(theta).item() == pytest.approx(0.162172747, abs=1e-9)
    assert distance(torch.eye(2, 3).unsqueeze(0)).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_without_its_own_terms_it_is_cross_entropy(classes, seed):
    batch = random_batch(classes, seed)
    expected = cross_entropy(*batch, ignore_index=IGNORED)
    assert value(*batch, beta=0.0, gamma=0.0).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_boundary_term_is_what_numpy_says(classes):
    logits, target = random_batch(classes, seed=classes)
    p = logits.softmax(1).numpy()
    total, count = 0.0, 0
    for image, labels in zip(p, target.numpy(), strict=True):
        for row, col in np.argwhere(labels != IGNORED):
            near = [(row + r, col + c) for r, c in ((1, 0), (-1, 0), (0, 1), (0, -1))]
            near = [place for place in near if max(place) < 5 and min(place) >= 0 and labels[place] != IGNORED]
            heights = [
                image[k, row, col] - min([image[k, row, col], *(image[k][n] for n in near)]) for k in range(classes)
            ]
            seen = (max(heights[1:]) + 1e-6) / (1 + 2e-6)
            wanted = labels[row, col] > 0 and any(labels[n] != labels[row, col] for n in near)
            total -= np.log(seen if wanted else 1 - seen)
            count += 1
    found = value(logits, target, beta=1.0, gamma=0.0) - value(logits, target, beta=0.0, gamma=0.0)
    assert found.item() == pytest.approx(total / count, rel=1e-9)


def test_a_contour_missed_for_sure_is_still_pulled():
    # Foreground at e⁻⁹ or e⁻¹⁸, and a little more of it inside, where the contour is: b is near or below the floor.
    target = torch.zeros(1, 7, 7, dtype=torch.int64)
    target[:, 2:5, 2:5] = 1
    for depth in (9.0, 18.0):
        foreground = -depth + 0.1 * target.double()
        logits = torch.stack([0 * foreground, foreground], dim=1).requires_grad_()
        part = value(logits, target, beta=1.0, gamma=0.0) - value(logits, target, beta=0.0, gamma=0.0)
        (gradient,) = torch.autograd.grad(part, logits)
        assert gradient.isfinite().all()
        assert gradient[0, 1, 2, 2] < 0


def test_transform_term_is_the_network_asked_about_each_tile():
    logits, target = random_batch(side=12, ignored=0.0)
    companion = regressor()
    network = companion.network.double()
    wanted = torch.stack(
        [torch.from_numpy(compute_map("contour_distance", each.numpy(), 3)[1:] == 0).any(0) for each in target]
    )
    prob = logits.softmax(1)[:, 1:]
    lowest = -torch.nn.functional.max_pool2d(-prob, (3, 1), 1, (1, 0))
    lowest = torch.minimum(lowest, -torch.nn.functional.max_pool2d(-prob, (1, 3), 1, (0, 1)))
    seen = (prob - lowest).amax(1)

    def big(maps):
        return torch.nn.functional.adaptive_avg_pool2d(maps.double().unsqueeze(1), SIDE)

    theta = network(big(seen), big(wanted))
    expected = (theta - torch.eye(2, 3)).square().sum((1, 2)).sqrt().mean()
    found = value(logits, target, beta=0.0, gamma=1.0, companion=companion) - value(logits, target, beta=0.0, gamma=0.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert found > 1e-4


def test_the_estimate_of_a_boundary_against_itself_is_the_identity():
    boundary = torch.rand(3, 1, SIDE, SIDE)
    for seed in range(3):
        theta = regressor(seed).network(boundary, boundary)
        torch.testing.assert_close(theta, torch.eye(2, 3).expand(3, 2, 3))


def test_a_perfect_boundary_costs_nothing_however_bad_the_network():
    for seed in range(3):
        assert value(*AWKWARD["saturated right"](), companion=regressor(seed)) < 1e-5


def test_images_without_a_boundary_have_no_transform():
    logits, target = AWKWARD["all background"]()
    assert value(logits, target, gamma=1.0) == value(logits, target, gamma=0.0)
    one = torch.where(torch.arange(2).reshape(2, 1, 1) == 0, random_batch()[1], target)
    both = value(logits, one, beta=0.0, gamma=1.0) - value(logits, one, beta=0.0, gamma=0.0)
    alone = value(logits[:1], one[:1], beta=0.0, gamma=1.0) - value(logits[:1], one[:1], beta=0.0, gamma=0.0)
    assert both.item() == pytest.approx(alone.item(), rel=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_map_given_is_map_computed(classes):
    logits, target = random_batch(classes, side=9)
    labels = torch.where(target == IGNORED, -1, target).numpy()
    given = torch.from_numpy(np.stack([compute_map("contour_distance", each, classes) for each in labels]))
    expected = value(logits, target)
    assert value(logits, target, contour_distance=given) == expected
    assert value(logits, target, contour_distance=given + 1) != expected


def test_tiles_cut_and_put_nothing_in_the_wrong_place():
    picture = torch.zeros(2, 1, 130, 100)
    picture[1, 0, 65:, :] = 1
    assert tiles(picture, 224).shape == (2, 1, SIDE, SIDE)
    cut = tiles(picture, 112)
    assert cut.shape == (4, 1, SIDE, SIDE)
    assert cut[:3].sum() == 0
    assert (cut[3] == 1).all()
    same = torch.rand(2, 1, 64, 64)
    assert torch.equal(tiles(same, 112), same)
    for tile, (row, col) in enumerate([(0, 0), (0, 69), (69, 0), (69, 69)]):
        corner = torch.zeros(1, 1, 70, 70)
        corner[..., row, col] = 1
        assert tiles(corner, 64).sum(dim=(1, 2, 3)).nonzero().flatten().tolist() == [tile]


def test_the_tile_changes_what_is_aligned():
    logits, target = random_batch(side=80)
    values = {tile: value(logits, target, tile=tile).item() for tile in (64, 112, 224)}
    assert values[64] != values[112]
    assert values[112] == values[224]


def test_the_transform_alone_sends_a_gradient_to_the_logits():
    logits, target = PICTURES["C5"]
    logits = logits.clone().requires_grad_()
    found = value(logits, target, beta=0.0, gamma=1.0, companion=regressor(classes=2))
    (gradient,) = torch.autograd.grad(found - cross_entropy(logits, target), logits)
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).any()


def test_the_network_is_frozen_and_keeps_its_numbers():
    companion = regressor()
    assert companion.role == "frozen"
    assert not any(parameter.requires_grad for parameter in companion.parameters())
    before = arrays(companion.network)
    logits, target = random_batch()
    value(logits.requires_grad_(), target, companion=companion).backward()
    assert all(parameter.grad is None for parameter in companion.parameters())
    assert all(np.array_equal(before[key], kept) for key, kept in arrays(companion.network).items())


def test_refuses_to_do_without_its_network():
    with pytest.raises(LossError, match="inverseform needs its network"):
        inverseform(*random_batch())
    with pytest.raises(LossError, match="artefact 'boundary_transform' is missing"):
        INVERSEFORM.companion(Setup(classes=3, channels=1, settings=INVERSEFORM.defaults))
    broken = {"boundary_transform": {"out.bias": np.zeros(6, dtype=np.float32)}}
    with pytest.raises(LossError, match="does not fit its network"):
        INVERSEFORM.companion(Setup(classes=3, channels=1, settings=INVERSEFORM.defaults, artefacts=broken))
