"""A trained model outside its study: pictures in, masks out, exactly as its trial was scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sweeper.errors import ModelError
from sweeper.training.device import pick_device
from sweeper.training.feed import Normalize
from sweeper.training.model import build_model
from sweeper.training.operating import margins, predict
from sweeper.training.trial import ModelSettings

if TYPE_CHECKING:
    from sweeper.training.trainer import Trainer

FORMAT = 1

POINTS = ("argmax", "shifted")

BATCH = 32
"""Tiles per forward pass. Results do not depend on it beyond rounding."""


def describe(trainer: Trainer, offset: float) -> dict[str, Any]:
    """Return, as plain JSON, all that is needed beside the weights to predict as the trial was scored.

    Args:
        offset: The background offset chosen on validation.
    """
    data = trainer.data
    # The weights are at hand: none are to be fetched when the model is built again.
    model = dataclasses.asdict(dataclasses.replace(trainer.trial.model, weights=None))
    return {
        "format": FORMAT,
        "model": model,
        "channels": data.channels,
        "classes": [dataclasses.asdict(one) for one in data.classes],
        "background": data.background,
        "patch": data.patch,
        "mean": list(data.mean),
        "std": list(data.std),
        "precision": trainer.precision,
        "offset": offset,
    }


class Predictor:
    """Predicts masks of pictures of any size.

    A picture is cut into tiles of the side the model was trained on, from the top left, and where it ends within a tile
    its last row and column go on: the patches that the study scores. Every tile is predicted by itself.
    """

    def __init__(self, description: Mapping[str, Any], weights: Path, *, device: str | None = None) -> None:
        """Build the model and load its weights, tensors only.

        Args:
            description: As `describe` returned it.
            weights: A state dict.
            device: A torch device name; None takes the GPU when there is one.

        Raises: ModelError when description or weights cannot be used.
        """
        if description.get("format") != FORMAT:
            raise ModelError(
                f"the model is described in format {description.get('format')!r}, this version of sweeper reads "
                f"{FORMAT}; use the version it was trained with"
            )
        plain: Mapping[str, Any] = description["model"]
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
        }
        self.patch = int(description["patch"])
        self.channels = int(description["channels"])
        self._background = int(description["background"])
        self._offset = float(description["offset"])
        self._bf16 = description["precision"] == "bf16"
        self._device = pick_device(device)
        self._normalize = Normalize(tuple(description["mean"]), tuple(description["std"]), self._device)
        with torch.random.fork_rng(devices=[]):
            classes = len(description["classes"])
            model = build_model(ModelSettings(**fields), self.channels, classes, patch=self.patch)
        try:
            model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        except Exception as error:
            # Whatever a damaged or foreign file makes torch raise, it does not hold this model's weights.
            lines = str(error).splitlines() or [type(error).__name__]
            raise ModelError(f"{weights}: does not hold the weights of this model: {lines[0]}") from error
        self._model = model.to(self._device).to(memory_format=torch.channels_last).eval()

    def __call__(self, images: NDArray[np.uint8], point: str = "argmax") -> NDArray[np.uint8]:
        """Return the class index of every pixel, (N, H, W).

        Args:
            images: (N, H, W, K) uint8, channels as in training.
            point: `argmax`, or `shifted` by the background offset that was best on validation.

        Raises: ValueError when images or point are of another kind.
        """
        if point not in POINTS:
            raise ValueError(f"point is {point!r}; give one of {', '.join(POINTS)}")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != self.channels:
            raise ValueError(
                f"images are {images.dtype} of shape {images.shape}; give uint8 of shape (N, H, W, {self.channels})"
            )
        count, height, width, channels = images.shape
        if not images.size:
            return np.zeros((count, height, width), dtype=np.uint8)
        side = self.patch
        padded = np.pad(images, ((0, 0), (0, -height % side), (0, -width % side), (0, 0)), mode="edge")
        rows, columns = padded.shape[1] // side, padded.shape[2] // side
        cut = padded.reshape(count, rows, side, columns, side, channels).transpose(0, 1, 3, 2, 4, 5)
        tiles = self._predict(np.ascontiguousarray(cut).reshape(-1, side, side, channels), point)
        joined = tiles.reshape(count, rows, columns, side, side).transpose(0, 1, 3, 2, 4)
        masks: NDArray[np.uint8] = joined.reshape(count, rows * side, columns * side)[:, :height, :width]
        return np.ascontiguousarray(masks)

    def _predict(self, tiles: NDArray[np.uint8], point: str) -> NDArray[np.uint8]:
        """Predict tiles (B, P, P, K), returning (B, P, P)."""
        offset = self._offset if point == "shifted" else 0.0
        found = []
        with torch.inference_mode():
            for start in range(0, len(tiles), BATCH):
                batch = torch.from_numpy(tiles[start : start + BATCH]).to(self._device)
                with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bf16):
                    logits = self._model(self._normalize(batch))
                chosen = predict(*margins(logits, self._background), self._background, offset)
                found.append(chosen.to(torch.uint8).cpu().numpy())
        return np.concatenate(found)
