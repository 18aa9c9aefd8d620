"""Small networks that losses bring along: filters and pyramids of features, a regressor of transforms, a critic.

None of them normalizes by the batch, and none starts from weights made elsewhere: weights are fixed numbers, drawn from
a seed, or trained on the training masks of the data at hand (`needs.ARTEFACTS`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import avg_pool2d, conv2d, interpolate, leaky_relu, pad
from torch.nn.utils.parametrizations import spectral_norm

from sweeper.domains import Value
from sweeper.errors import LossError
from sweeper.losses.companion import Companion, Setup
from sweeper.losses.family import Family
from sweeper.losses.needs import ARTEFACTS

LEVELS = 3
"""Resolutions at which features are taken, each half of the one before."""

SIDE = 64
"""Pixels a side of what the regressor of transforms sees."""

Features = list[tuple[Tensor, Tensor]]
"""Per level: features (N, F, h, w), and the share of valid pixels behind each place, (N, 1, h, w)."""


def run(network: nn.Module, *inputs: Tensor, learning: bool = False) -> Any:
    """Return what a network makes of its inputs, in their dtype and on their device, out of autocast's reach.

    Args:
        network: Its weights may be of another dtype and on another device.
        inputs: At least one, all alike in dtype and device.
        learning: Whether the network's own parameters shall get a gradient.
    """
    like = inputs[0]
    state = {
        name: (tensor if learning else tensor.detach()).to(like)
        for name, tensor in (*network.named_parameters(), *network.named_buffers())
    }
    with torch.autocast(like.device.type, enabled=False):
        return functional_call(network, state, inputs)


class FilterBank(nn.Module):
    """Fixed filters at three scales: identity, Sobel along both axes, Laplacian of Gaussian, lines in four directions.

    The absolute values of each filter sum to 1, so that features of values in [0, 1] lie in [−1, 1].
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernels", torch.from_numpy(_filters()))

    def forward(self, masks: Tensor, valid: Tensor) -> Features:
        """Return the features of masks (N, 1, H, W), 0 where ignored, whose valid pixels are 1 in `valid`."""
        levels = []
        for _ in range(LEVELS):
            levels.append((conv2d(masks, self.get_buffer("kernels"), padding=2), valid))
            masks, valid = _halved(masks), _halved(valid)
        return levels


class Pyramid(nn.Module):
    """Three levels of 3×3 convolutions and ReLU, the next one on half the resolution.

    Without biases: what is empty stays 0, and with it whatever is ignored or beyond the border.
    """

    def __init__(self, kernels: Sequence[Tensor]) -> None:
        super().__init__()
        self.kernels = nn.ParameterList(kernels)

    def forward(self, masks: Tensor, valid: Tensor) -> Features:
        """Return the features of masks (N, 1, H, W), 0 where ignored, whose valid pixels are 1 in `valid`."""
        levels = []
        for kernel in self.kernels:
            masks = (valid > 0) * conv2d(masks, kernel, padding=1).relu()
            levels.append((masks, valid))
            masks, valid = _halved(masks), _halved(valid)
        return levels


def random_pyramid(seed: int) -> Pyramid:
    """Return an untrained pyramid; its weights depend on `seed` alone, and torch's generators are not moved."""
    rng = np.random.default_rng(seed)
    shapes = ((8, 1, 3, 3), (16, 8, 3, 3), (32, 16, 3, 3))
    # The standard deviation that keeps the size of features from level to level (He et al. 2015, arXiv:1502.01852).
    kernels = [rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])) for shape in shapes]
    return Pyramid([torch.from_numpy(kernel.astype(np.float32)) for kernel in kernels])


class MaskAutoencoder(nn.Module):
    """A pyramid, a bottleneck of eight channels at an eighth of the resolution, and back to the mask's logits."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.encoder = random_pyramid(seed)
        self.bottleneck = nn.Conv2d(32, 8, 1)
        self.decoder = nn.ModuleList([nn.Conv2d(before, after, 3, padding=1) for before, after in _DECODER])
        self.head = nn.Conv2d(_DECODER[-1][1], 1, 1)

    def forward(self, masks: Tensor, valid: Tensor) -> Tensor:
        """Return logits (N, 1, H, W) of the masks (N, 1, H, W) put in."""
        levels = self.encoder(masks, valid)
        x = self.bottleneck(_halved(levels[-1][0]))
        for layer, (features, _) in zip(self.decoder, reversed(levels), strict=True):
            x = layer(interpolate(x, features.shape[-2:], mode="nearest")).relu()
        logits: Tensor = self.head(x)
        return logits


_DECODER = ((8, 16), (16, 8), (8, 8))


class BoundaryTransform(nn.Module):
    """Estimates the affine map between two boundaries, from both as pictures.

    The estimate of a boundary against itself is the identity by construction: it is what the network says of the pair,
    less what it says of the wanted one paired with itself.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (2, 16, 32, 64, 64)
        self.layers = nn.ModuleList(
            [nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(widths)]
        )
        self.hidden = nn.Linear(widths[-1] * (SIDE // 16) ** 2, 128)
        self.out = nn.Linear(128, 6)

    def forward(self, seen: Tensor, wanted: Tensor) -> Tensor:
        """Return the map (N, 2, 3) that takes a place in `seen` to where it is in `wanted`, both from −1 to 1.

        Args:
            seen: (N, 1, SIDE, SIDE), in [0, 1].
            wanted: As `seen`.
        """
        identity = torch.eye(2, 3, dtype=seen.dtype, device=seen.device)
        return identity + (self._answer(seen, wanted) - self._answer(wanted, wanted)).reshape(-1, 2, 3)

    def _answer(self, seen: Tensor, wanted: Tensor) -> Tensor:
        x = torch.cat([seen, wanted], dim=1)
        for layer in self.layers:
            x = layer(x).relu()
        answer: Tensor = self.out(self.hidden(x.flatten(1)).relu())
        return answer


class PatchCritic(nn.Module):
    """Scores overlapping patches, 23 pixels a side, of what it is shown: higher is more like a true mask.

    Args:
        channels: Of what it is shown.
        spectral: Whether each layer's weights are divided by their largest singular value.
    """

    def __init__(self, channels: int, *, spectral: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(channels, 32, 3, stride=2, padding=1),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.Conv2d(64, 1, 3, padding=1),
        ]
        self.layers = nn.ModuleList([spectral_norm(layer) if spectral else layer for layer in layers])

    def forward(self, shown: Tensor) -> Tensor:
        """Return the scores of (N, channels, H, W), one per patch: (N, 1, h, w)."""
        for layer in self.layers[:-1]:
            shown = leaky_relu(layer(shown), 0.2)
        scores: Tensor = self.layers[-1](shown)
        return scores


TRAINED: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "mask_autoencoder": lambda: random_pyramid(0),
        "boundary_transform": BoundaryTransform,
    }
)
"""The network that each artefact holds the weights of; of the autoencoder, its encoder."""


def untrained(name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an artefact as they are before training, to try a loss out with."""
    return arrays(TRAINED[name]())


def untrained_companion(
    family: Family, settings: Mapping[str, Value], *, classes: int, channels: int
) -> Companion | None:
    """Return what a loss brings along at a setting, its networks untrained, to try it out; None where it has nothing.

    Args:
        settings: Hyperparameters; those left out are at their default.
        classes: C of the logits.
        channels: Of the images.
    """
    if family.companion is None:
        return None
    artefacts = {name: untrained(name) for name in family.needs_at(settings) if name in ARTEFACTS}
    complete = family.defaults | dict(settings)
    return family.companion(Setup(classes=classes, channels=channels, settings=complete, artefacts=artefacts))


def arrays(network: nn.Module) -> dict[str, NDArray[Any]]:
    """Return a network's weights as the arrays of an artefact."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def trained(name: str, artefacts: Mapping[str, Mapping[str, NDArray[Any]]]) -> nn.Module:
    """Return the network of an artefact, with its weights and frozen.

    Raises: LossError when the artefact is missing, or does not fit the network.
    """
    if name not in artefacts:
        raise LossError(
            f"the artefact {name!r} is missing, a network trained once on the training masks; a study trains it by "
            f"itself, and in your own code Setup(artefacts={{{name!r}: build({name!r}, masks, classes).arrays}}) with "
            "`build` of sweeper.training.artefacts does"
        )
    network = TRAINED[name]()
    try:
        network.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in artefacts[name].items()})
    except RuntimeError as error:
        raise LossError(f"the artefact {name!r} does not fit its network; train it anew: {error}") from None
    return network.eval().requires_grad_(False)


def tiles(pictures: Tensor, tile: int) -> Tensor:
    """Return pictures (B, 1, H, W) cut into the fewest equal tiles of at most `tile` pixels a side, each resized.

    The result is (B · tiles, 1, SIDE, SIDE), image by image; tiles that reach beyond the border are 0 there.
    """
    height, width = pictures.shape[-2:]
    rows, cols = math.ceil(height / tile), math.ceil(width / tile)
    high, wide = math.ceil(height / rows), math.ceil(width / cols)
    padded = pad(pictures, (0, cols * wide - width, 0, rows * high - height))
    cut = padded.reshape(-1, 1, rows, high, cols, wide).permute(0, 2, 4, 1, 3, 5)
    return interpolate(cut.flatten(0, 2), (SIDE, SIDE), mode="area")


def _halved(x: Tensor) -> Tensor:
    """Return means of 2×2 pixels; what is beyond an odd border is 0, as ignored pixels are."""
    return avg_pool2d(pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2)), 2)


def _filters() -> NDArray[np.float32]:
    """Return the filters as (8, 1, 5, 5)."""
    rows, cols = np.mgrid[-2:3, -2:3].astype(float)
    near = (abs(rows) <= 1) & (abs(cols) <= 1)
    squares = rows**2 + cols**2
    log_of_gaussian = (squares - 2) * np.exp(-squares / 2)  # of σ = 1 pixel
    lines = [rows == 0, cols == 0, rows == cols, rows == -cols]
    bank = [
        squares == 0,
        near * rows * (2 - abs(cols)),
        near * cols * (2 - abs(rows)),
        log_of_gaussian - log_of_gaussian.mean(),
        *(line - line.mean() for line in lines),
    ]
    return np.stack([kernel / abs(kernel).sum() for kernel in map(np.asarray, bank)])[:, None].astype(np.float32)
