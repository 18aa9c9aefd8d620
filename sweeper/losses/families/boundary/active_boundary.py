"""Active boundary loss: pixels of the predicted boundary are told in which direction the true one lies."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from sweeper.domains import LogUniform, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.morphology import soft_dilate
from sweeper.losses.options import SHARE
from sweeper.losses.primitives import IGNORE_INDEX, Dial, Pixels, dial, prepare
from sweeper.losses.target_maps import target_map

_SHIFTS = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""Rows and columns to the eight neighbours; of equal distances the first wins, as in the authors' code."""

_LEAST = 1e-5
"""Boundary evidence of a flat prediction, which is rounding."""


def active_boundary(
    logits: Tensor,
    target: Tensor,
    *,
    theta: Dial = 20.0,
    ratio: Dial = 0.01,
    label_smoothing: Dial = 0.2,
    boundary_distance: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return how far the predicted boundary is, in prediction, from moving towards the true one: a scalar ≥ 0.

        L = mean over the predicted boundary of min(M, θ) / θ · CE(s, g),    s = KL(p of a neighbour ‖ p of the pixel)

    The predicted boundary is, in each image, the share ρ of pixels whose p differs most from that of the next row and
    column, at least one, and all of the largest where these tie, widened by a pixel. M is the distance to the true
    boundary, g the neighbour that has the least of it, and CE the cross-entropy over eight directions, smoothed. Pixels
    already at the least distance are left out, and so are those whose way leads to an ignored pixel. The neighbours' p
    is held fixed.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        theta: θ > 0 pixels, searched in [3, 50] on a logarithmic scale: from there on all distances weigh alike.
            Raising it weakens pixels near the true boundary against far ones; it moves neither precision nor recall.
        ratio: ρ in [0, 1], searched in [0.002, 0.2] on a logarithmic scale. Raising it finds fainter boundaries:
            recall of faint edges rises, and texture is taken for edges.
        label_smoothing: ε in [0, 1], searched in [0, 0.4]: the share of the goal spread over all directions. Raising it
            makes directions less sure; it moves neither precision nor recall.
        boundary_distance: (B, 4, H, W), the target map of that name, of which the first channel counts; computed from
            the target if left out.

    Raises: LossError on shapes or dtypes other than these.
    Source: Wang, Zhang, Cui, Ren, Yang, Xie, Hua, Bao, Xu, "Active boundary loss for semantic segmentation", AAAI 2022,
    arXiv:2102.02696. Its code lessens M by 1, so that pixels next to the true boundary weigh nothing.
    Fails: says nothing of classes, only of where they change: beside cross-entropy, once boundaries are near.
    """
    pixels = prepare(logits, target, ignore_index)
    return active_boundary_of(
        pixels, theta=theta, ratio=ratio, label_smoothing=label_smoothing, boundary_distance=boundary_distance
    )


def active_boundary_of(
    pixels: Pixels,
    *,
    theta: Dial = 20.0,
    ratio: Dial = 0.01,
    label_smoothing: Dial = 0.2,
    boundary_distance: Tensor | None = None,
) -> Tensor:
    """Return `active_boundary` of a prepared batch."""
    distance = target_map("boundary_distance", boundary_distance, pixels)[:, :1]
    own = torch.where(pixels.valid > 0, distance, 0)
    least, towards, reachable = _direction(own, pixels.valid)
    moves = _predicted_boundary(pixels, ratio) * reachable * (least <= own) * (own >= 0)
    log_direction = _divergence_to_neighbours(pixels).log_softmax(1)
    aimed = -log_direction.gather(1, towards)
    smoothing = dial(label_smoothing, aimed)
    cost = (1 - smoothing) * aimed - smoothing * log_direction.mean(1, keepdim=True)
    limit = dial(theta, aimed)
    weight = moves * own.clamp_max(limit) / limit
    return (weight * cost).sum() / moves.sum().clamp_min(1)


def _direction(distance: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the least distance among the neighbours, which of the eight has it, and whether that one is valid."""
    distances = _neighbours(distance, fill=torch.inf)
    least, towards = distances.min(1, keepdim=True)
    return least, towards, _neighbours(valid, fill=0.0).gather(1, towards)


def _neighbours(x: Tensor, fill: float) -> Tensor:
    """Return the eight neighbours of each pixel of one channel, `fill` beyond the image: (B, 8, H, W)."""
    return torch.cat([_shifted(pad(x, (1, 1, 1, 1), value=fill), *shift) for shift in _SHIFTS], dim=1)


def _shifted(wide: Tensor, down: int, right: int) -> Tensor:
    """Return each pixel's neighbour `down` and `right` of it, from a tensor with one pixel of padding all around."""
    height, width = wide.shape[-2:]
    return wide[..., 1 + down : height - 1 + down, 1 + right : width - 1 + right]


def _predicted_boundary(pixels: Pixels, ratio: Dial) -> Tensor:
    """Return 1 on the predicted boundary, (B, 1, H, W): valid pixels near those that differ most from the next ones."""
    p, log_p, valid = pixels.prob.detach(), pixels.log_prob.detach(), pixels.valid
    down = (p[..., :-1, :] * (log_p[..., :-1, :] - log_p[..., 1:, :])).sum(1, keepdim=True)
    right = (p[..., :-1] * (log_p[..., :-1] - log_p[..., 1:])).sum(1, keepdim=True)
    down = valid[..., :-1, :] * valid[..., 1:, :] * down
    right = valid[..., :-1] * valid[..., 1:] * right
    evidence = pad(down, (0, 0, 0, 1)) + pad(right, (0, 1))
    ranked = evidence.flatten(1).sort(dim=1, descending=True).values
    count = (dial(ratio, p) * valid.sum((1, 2, 3))).floor().clamp(1, ranked.shape[1] - 1).long()
    threshold = ranked.gather(1, count.unsqueeze(1)).clamp_min(_LEAST)
    most, threshold = ranked[:, :1, None, None], threshold[..., None, None]
    # Where the largest all tie, as along a straight and even edge, none is above the threshold: then all of them count.
    found = torch.where(most > threshold, evidence > threshold, evidence >= threshold)
    return valid * soft_dilate(found.to(p))


def _divergence_to_neighbours(pixels: Pixels) -> Tensor:
    """Return KL(p of the neighbour ‖ p of the pixel) for the eight neighbours, (B, 8, H, W).

    The neighbours carry no gradient. Beyond the image stands the nearest pixel of the border; an ignored neighbour is
    taken for the pixel itself.
    """
    log_q = pad(pixels.log_prob.detach(), (1, 1, 1, 1), mode="replicate")
    valid = pad(pixels.valid, (1, 1, 1, 1), mode="replicate")
    divergences = []
    for shift in _SHIFTS:
        neighbour = _shifted(log_q, *shift)
        divergence = (neighbour.exp() * (neighbour - pixels.log_prob)).sum(1, keepdim=True)
        divergences.append(_shifted(valid, *shift) * pixels.valid * divergence)
    return torch.cat(divergences, dim=1)


ACTIVE_BOUNDARY = Family(
    function=active_boundary,
    title="Active boundary loss",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="mean over predicted boundary pixels of min(M, θ) / θ · cross-entropy of the direction to the true "
    "boundary, M = distance to it",
    source="Wang et al. 2022, arXiv:2102.02696",
    hyperparameters={
        "theta": Hyperparameter(
            symbol="θ",
            legal=Uniform(0.1, 1e6),
            search=LogUniform(3.0, 50.0),
            effect="far boundary pixels weigh more against near ones; precision and recall are left to the mask",
        ),
        "ratio": Hyperparameter(
            symbol="ρ",
            legal=SHARE,
            search=LogUniform(0.002, 0.2),
            effect="fainter boundaries are moved too: recall of faint edges rises, precision falls with texture",
        ),
        "label_smoothing": Hyperparameter(
            symbol="ε",
            legal=SHARE,
            search=Uniform(0.0, 0.4),
            effect="directions are asked for less surely; precision and recall are left to the mask",
        ),
    },
    aliases=("abl",),
    needs=("boundary_distance",),
    exempt={
        "gradient": "the neighbours of a pixel are held fixed, though the value depends on them",
        "perfect": "beside a boundary that lies right a direction is still asked for, and a sure prediction gives none",
        "padding": "ignored pixels are boundary, the image's border is not",
        "pixel order": "boundaries look at neighbouring pixels",
        "mirror": "a pixel is boundary by its next row and column, and of equal directions the first wins",
    },
    errata=(
        "The authors' code takes max(M − 1, 0) for M, so that pixels next to the true boundary weigh nothing; the "
        "paper does not.",
        "The authors' code raises its threshold step by step, may overshoot to no boundary at all and then returns "
        "None; here the threshold is a rank.",
    ),
    limits="Says nothing of classes, only of where they change: beside cross-entropy, once boundaries are near.",
)
