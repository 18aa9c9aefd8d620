"""Active boundary loss: the whole rule pixel by pixel, where it has a gradient, and where it moves a boundary."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sweeper.losses.families.boundary.active_boundary import active_boundary

from ..batches import AWKWARD, IGNORED
from ..golden import PICTURES
from .boundary_batches import CASES, blocky, leaning, nearest, neighbours, same

# Up, down, left, right, then the corners, as in the authors' code: of equal distances the first wins.
SHIFTS = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


@pytest.fixture(params=CASES, ids=str)
def batch(request):
    return leaning(blocky(*request.param))


def at(batch, **values):
    return active_boundary(*batch, ignore_index=IGNORED, **values)


def true_distance(target):
    """Distance to the pixels that differ from the next row or column; ignored ones always do."""
    edge = target == IGNORED
    edge[:-1] |= target[:-1] != target[1:]
    edge[:, :-1] |= target[:, :-1] != target[:, 1:]
    return nearest(edge)


def found_boundary(p, valid, ratio):
    height, width = valid.shape
    evidence = np.zeros((height, width))
    for row, col in np.ndindex(height, width):
        for down, right in ((1, 0), (0, 1)):
            there = row + down, col + right
            if there[0] < height and there[1] < width and valid[row, col] and valid[there]:
                evidence[row, col] += (p[:, row, col] * np.log(p[:, row, col] / p[(slice(None), *there)])).sum()
    rank = min(max(int(ratio * valid.sum()), 1), valid.size - 1)
    threshold = max(1e-5, np.sort(evidence.ravel())[::-1][rank])
    found = evidence > threshold if evidence.max() > threshold else evidence >= threshold
    near = [
        found[row, col] or any(found[n] for n in neighbours(row, col, found.shape, eight=True))
        for row, col in np.ndindex(found.shape)
    ]
    return np.reshape(near, found.shape) & valid


def by_hand(batch, theta, ratio, label_smoothing):
    """Value with a gradient, from loops over pixels."""
    logits, target = batch
    total, count = torch.zeros((), dtype=logits.dtype), 0
    for log_p, labels in zip(logits.log_softmax(1), target.numpy(), strict=True):
        valid = labels != IGNORED
        height, width = labels.shape
        p = log_p.detach().exp()
        away = true_distance(labels)
        for row, col in np.argwhere(found_boundary(p.numpy(), valid, ratio)):
            inside = [0 <= row + down < height and 0 <= col + right < width for down, right in SHIFTS]
            ways = [
                away[row + down, col + right] if ok else np.inf
                for (down, right), ok in zip(SHIFTS, inside, strict=True)
            ]
            goal = int(np.argmin(ways))
            there = row + SHIFTS[goal][0], col + SHIFTS[goal][1]
            if away[row, col] < ways[goal] or not np.isfinite(away[row, col]) or not valid[there]:
                continue
            scores = []
            for down, right in SHIFTS:
                there = np.clip(row + down, 0, height - 1), np.clip(col + right, 0, width - 1)
                q = p[:, there[0], there[1]]
                score = (q * (q.log() - log_p[:, row, col])).sum()
                scores.append(score if valid[there] else 0 * score)
            cost = torch.nn.functional.cross_entropy(
                torch.stack(scores)[None], torch.tensor([goal]), label_smoothing=label_smoothing
            )
            total = total + min(away[row, col], theta) / theta * cost
            count += 1
    return total / max(count, 1)


@pytest.mark.parametrize("values", [(20.0, 0.01, 0.2), (3.0, 0.2, 0.0), (1.5, 0.5, 0.4), (20.0, 1.0, 1.0)], ids=str)
def test_value_and_gradient_by_brute_force(batch, values):
    theta, ratio, label_smoothing = values
    logits, target = batch
    theirs = logits.clone().requires_grad_()
    expected = by_hand((theirs, target), *values)
    ours = logits.clone().requires_grad_()
    value = at((ours, target), theta=theta, ratio=ratio, label_smoothing=label_smoothing)
    same(value.detach(), expected.detach())
    (gradient,) = torch.autograd.grad(value, ours)
    (expected_gradient,) = torch.autograd.grad(expected + 0 * theirs.sum(), theirs)
    same(gradient, expected_gradient)
    assert (gradient != 0).any() or ratio == 0.01


def test_a_mask_of_one_class_has_no_boundary_to_move_to():
    logits, target = blocky(3, 0, ignored=0.0)
    target = torch.ones_like(target)
    assert at((logits, target), ratio=0.2) == 0


def test_a_flat_prediction_has_no_boundary_to_move():
    logits, target = AWKWARD["constant logits"]()
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0), dtype=logits.dtype)
    for size in (0.0, 1e-4):
        assert at((logits + size * noise, target), ratio=0.2) == 0
    assert at((logits + noise, target), ratio=0.2) > 0


@pytest.mark.parametrize("ratio", [0.0, 0.01, 1.0])
def test_an_edge_of_equal_pixels_is_found_whole(ratio):
    # All along the edge p differs by the same: none is left out for not standing above the others.
    logits = torch.zeros(1, 2, 8, 8, dtype=torch.float64)
    logits[:, 1, :, :4], logits[:, 1, :, 4:] = 2.0, -2.0
    target = (torch.arange(8) < 6).long().expand(1, 8, 8)
    logits.requires_grad_()
    at((logits, target), ratio=ratio).backward()
    assert (logits.grad[0, 1, :, 3:5] != 0).all()


def test_relabelling_all_classes_changes_nothing(batch):
    logits, target = batch
    classes = logits.shape[1]
    order = torch.arange(classes).roll(1)
    renamed = torch.where(target == IGNORED, IGNORED, order.argsort()[target.clamp_max(classes - 1)])
    same(at((logits[:, order], renamed), ratio=0.2), at(batch, ratio=0.2))


def test_only_the_first_orientation_of_the_distance_counts():
    logits, target = PICTURES["G5"]
    away = torch.from_numpy(true_distance(target[0].numpy()))
    distance = torch.stack([away, *(torch.full_like(away, 7.0) for _ in range(3))])[None]
    same(at((logits, target), ratio=0.2, boundary_distance=distance), at((logits, target), ratio=0.2))


@pytest.mark.parametrize(("true_edge", "towards_foreground"), [(8, True), (1, False)])
def test_it_moves_the_predicted_edge_towards_the_true_one(true_edge, towards_foreground):
    # Foreground is predicted left of column 4. The two columns at the edge must change sides if it is to move.
    cols = torch.arange(12)
    target = (cols < true_edge).long().expand(1, 12, 12)
    foreground = (2.0 - 4.0 * (cols >= 4).double()).expand(12, 12)
    logits = torch.stack([0 * foreground, foreground]).unsqueeze(0).requires_grad_()
    at((logits, target), ratio=0.1, label_smoothing=0.0).backward()
    column = logits.grad[0, 1].mean(0)
    moving = column[4] if towards_foreground else column[3]
    assert (moving < 0) == towards_foreground
    assert moving.abs() > 1e-4
    assert (column[6:] == 0).all()
    assert (column[:2] == 0).all()


def test_weights_stop_growing_at_theta():
    cols = torch.arange(24)
    foreground = (2.0 - 4.0 * (cols >= 4).double()).expand(24, 24)
    logits = torch.stack([0 * foreground, foreground]).unsqueeze(0)
    values = {
        theta: [
            at((logits, (cols < edge).long().expand(1, 24, 24)), theta=theta, ratio=0.1).item() for edge in (10, 16)
        ]
        for theta in (3.0, 50.0)
    }
    assert values[3.0][0] == pytest.approx(values[3.0][1])
    assert values[50.0][0] < values[50.0][1]
