"""Pixel-wise triplet loss: near a boundary, pixels of one class are drawn together and others pushed away from them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sweeper.domains import Int, LogUniform, Value
from sweeper.losses.embedding import SPACE, Space, embedding
from sweeper.losses.families.region.dice import dice_of
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import NON_NEGATIVE, check_static
from sweeper.losses.primitives import IGNORE_INDEX, Dial, Pixels, dial, prepare
from sweeper.losses.target_maps import target_map

NOWHERE = 1e-12
"""Added to squared distances: the root of 0 has no finite slope."""


def pixel_triplet(
    logits: Tensor,
    target: Tensor,
    *,
    lam: Dial = 0.005,
    margin: Dial = 1.0,
    triplets: int = 512,
    band: int = 5,
    space: Space = "logits",
    boundary_band: Tensor | None = None,
    features: Tensor | None = None,
    step: int | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return Dice loss plus a triplet loss of the pixels near the target's boundaries: a scalar ≥ 0.

        L = Dice loss + λ Σ over classes of mean over triplets of max(0, |f(a) − f(+)| − |f(a) − f(−)| + m)

    Anchor a and positive + are of the class, negative − is not. A class's anchors are its least probable pixels in each
    image's band, and the i-th of them meets the i-th of the pixels most mistaken for the class. Its positive is another
    pixel of its class in the band. With each step both move one place on, so that in time all pairs meet; there is no
    chance in it. The vectors f are the logits less their mean over classes, or the decoder's features.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        lam: λ ≥ 0, searched in [1e-4, 0.5] on a logarithmic scale. 0 is Dice. Raising it draws boundaries more
            decidedly: precision and recall along them rise, until the regions pay for it.
        margin: m ≥ 0, searched in [0.1, 20] on a logarithmic scale; the paper's 10 is for features. Raising it goes on
            pushing pixels that are told apart already, misses and false alarms alike.
        triplets: From 1 to 4096 per class and image. Raising it counts easier pixels too, so that the pull of the
            hardest, in precision and in recall, falls.
        band: From 1 to 64 pixels (chessboard distance) around the boundary. Raising it includes pixels of the interior:
            precision and recall at the very edge weigh less.
        space: `logits`, or `features`, as in the paper.
        boundary_band: (B, 1, H, W), the target map of that name, computed if not given.
        features: (B, D, H, W), the decoder's map, for `features`.
        step: Optimizer steps so far; None is 0.

    Raises: LossError on shapes, dtypes or options other than these, and without the features that `features` needs.
    Source: Wen et al., "Pixel-wise triplet learning for enhancing boundary discrimination in medical image
    segmentation", Knowledge-Based Systems, 2022, named by Azad et al., arXiv:2312.05391. Dice, λ and m are the
    authors'; the order in which pixels meet is ours.
    Fails: distances grow with the logits, so that in logit space confidence alone fulfils the margin; an image with one
    pixel of a class, or with one class, has no triplet of it.
    """
    check_static(PIXEL_TRIPLET, triplets=triplets, band=band)
    pixels = prepare(logits, target, ignore_index)
    near = pixels.valid * (target_map("boundary_band", boundary_band, pixels) <= band)
    vectors = embedding(pixels, space, features)
    part = _triplet_part(pixels, vectors, near, dial(margin, vectors), triplets, step or 0)
    return dice_of(pixels) + dial(lam, part) * part


def _triplet_part(pixels: Pixels, vectors: Tensor, near: Tensor, margin: Dial, triplets: int, step: int) -> Tensor:
    """Return the sum over classes of the mean over triplets: a scalar. `near` is (B, 1, H, W), 1 where to look."""
    own = (near * pixels.onehot).flatten(2)
    other = near.flatten(2) - own
    prob = pixels.prob.detach().flatten(2)
    missed = torch.where(own > 0, prob, 2.0).argsort(dim=-1, stable=True)
    mistaken = torch.where(other > 0, prob, -1.0).argsort(dim=-1, descending=True, stable=True)
    size, rivals = (each.sum(-1, keepdim=True).long() for each in (own, other))
    turn = torch.arange(min(triplets, own.shape[-1]), device=own.device)
    # Between 1 and size − 1 places on: every other pixel of the class, and never the anchor itself.
    ahead = 1 + step % (size - 1).clamp_min(1)
    anchor = missed[..., : len(turn)]
    positive = missed.gather(-1, (turn + ahead) % size.clamp_min(1))
    negative = mistaken.gather(-1, (turn + step) % rivals.clamp(1, len(turn)))
    exists = ((turn < size) & (size > 1) & (rivals > 0)).to(own.dtype)
    own_distance = _distance(vectors, anchor, positive)
    hinge = (own_distance - _distance(vectors, anchor, negative) + margin).relu()
    return ((exists * hinge).sum((0, 2)) / exists.sum((0, 2)).clamp_min(1)).sum()


def _distance(vectors: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return the distance between pixels of (B, D, H, W) given by their places along rows, (B, C, T) each."""

    def at(index: Tensor) -> Tensor:
        return vectors.flatten(2).gather(-1, index.flatten(1).unsqueeze(1).expand(-1, vectors.shape[1], -1))

    return (((at(one) - at(other)) ** 2).sum(1) + NOWHERE).sqrt().view(one.shape)


def _needs(settings: Mapping[str, Value]) -> tuple[str, ...]:
    return ("boundary_band", "features", "step") if settings["space"] == "features" else ("boundary_band", "step")


PIXEL_TRIPLET = Family(
    function=pixel_triplet,
    title="Pixel-wise triplet loss",
    level="structural",
    overlap="boundary-aware",
    tradeoff="symmetric",
    formula="Dice loss + λ Σ over classes of mean over triplets near boundaries of max(0, |a − pos.| − |a − neg.| + m)",
    source="Wen et al. 2022, Knowledge-Based Systems, after Azad et al. 2023, arXiv:2312.05391",
    hyperparameters={
        "lam": Hyperparameter(
            symbol="λ",
            legal=NON_NEGATIVE,
            search=LogUniform(1e-4, 0.5),
            effect="boundaries are drawn more decidedly: precision and recall along them rise; 0 is Dice",
        ),
        "margin": Hyperparameter(
            symbol="m",
            legal=NON_NEGATIVE,
            search=LogUniform(0.1, 20.0),
            effect="pixels told apart already are pushed on, misses and false alarms alike",
        ),
        "triplets": Hyperparameter(
            symbol="T",
            legal=Int(1, 4096),
            static=True,
            effect="easier pixels count too: the pull of the hardest, in precision and in recall, falls",
        ),
        "band": Hyperparameter(
            symbol="w",
            legal=Int(1, 64),
            static=True,
            effect="pixels of the interior count too: precision and recall at the very edge weigh less",
        ),
        "space": SPACE,
    },
    aliases=("ptl", "triplet", "triplet_loss"),
    needs=("boundary_band", "features", "step"),
    narrow=_needs,
    exempt={"pixel order": "pixels are taken from a band around the target's boundary"},
    limits="Distances grow with the logits, so that in logit space confidence alone fulfils the margin. An image with "
    "one pixel of a class, or with one class, has no triplet of it.",
)
