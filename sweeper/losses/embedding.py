"""The vector of each pixel that metric losses compare: its logits, or the features they are made of."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Choice
from sweeper.errors import LossError
from sweeper.losses.family import Hyperparameter
from sweeper.losses.primitives import Pixels, check_option

Space = Literal["logits", "features"]

SPACE = Hyperparameter(
    symbol="f",
    legal=Choice(("logits", "features")),
    static=True,
    effect="features compares what the model's last layer sees, as the paper does, in place of its few logits; neither "
    "favours precision or recall",
)


def embedding(pixels: Pixels, space: Space, features: Tensor | None) -> Tensor:
    """Return the vector of each pixel: (B, D, H, W) in the dtype of the batch, 0 on ignored pixels.

    Args:
        pixels: The batch.
        space: `logits` for the logits less their mean over classes, so that adding a constant to all changes nothing;
            then D is C. Or `features`.
        features: (B, D, H, W), wanted for `features` only.

    Raises: LossError for another word, and for features that are missing or do not fit the batch.
    """
    check_option("space", space, ("logits", "features"))
    like = pixels.log_prob
    if space == "logits":
        return like - like.mean(dim=1, keepdim=True)
    if features is None:
        raise LossError("space='features' needs features=..., the decoder's map (B, D, H, W); or take space='logits'")
    if features.ndim != 4 or features.shape[0] != like.shape[0] or features.shape[-2:] != like.shape[-2:]:
        raise LossError(
            f"features have shape {tuple(features.shape)}; with logits of shape {tuple(like.shape)} they must be "
            f"({like.shape[0]}, D, {like.shape[2]}, {like.shape[3]})"
        )
    return torch.where(pixels.valid > 0, features.to(like), 0.0)
