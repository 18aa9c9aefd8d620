"""The model's last layer as losses that work on features see it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sweeper.errors import ModelError
from sweeper.training.order import BackgroundFirst


class Head:
    """Keeps the decoder's map of the model's latest forward pass, and offers the layer that turns it into logits.

    Adds nothing to the model's state.
    """

    def __init__(self, model: nn.Module, order: BackgroundFirst, arch: str) -> None:
        """Listen to a model whose `segmentation_head` is one convolution and an upsampling, as nearly all of smp's are.

        Args:
            order: Of the classes in what the loss gets.
            arch: The model's name, for the message.

        Raises: ModelError when the model has no such head.
        """
        self._conv = _last_layer(model, arch)
        self._order = order
        self._input: Tensor | None = None
        head: nn.Module = model.get_submodule("segmentation_head")
        head.register_forward_pre_hook(self._keep)

    def features(self, size: tuple[int, int]) -> Tensor:
        """Return what the layer got in the latest forward pass, (B, D, *size) float32, with its gradient.

        A smaller map is interpolated bilinearly, corners on corners, as smp's heads do with what comes out of the
        layer: where that is a 1 × 1 convolution, `classifier` of these features gives the logits.
        """
        assert self._input is not None, "the model has not run yet"
        features = self._input.float()
        if features.shape[-2:] == size:
            return features
        return nn.functional.interpolate(features, size=size, mode="bilinear", align_corners=True)

    def classifier(self, features: Tensor) -> Tensor:
        """Return logits (…, C), background first, of features (…, D).

        By the layer's weights summed over its kernel: what the layer says where the features around are all alike.
        """
        weight = self._order.classes(self._conv.weight.float().sum(dim=(2, 3)), dim=0)
        bias = None if self._conv.bias is None else self._order.classes(self._conv.bias.float(), dim=0)
        return nn.functional.linear(features, weight, bias)

    def take(self) -> Tensor:
        """Return the decoder's map of the latest forward pass as it is, and let go of it."""
        assert self._input is not None, "the model has not run yet"
        taken, self._input = self._input, None
        return taken

    def give(self, taken: Tensor) -> None:
        """Put the decoder's map back: of a batch that ran in parts, those of its parts one after the other."""
        self._input = taken

    def forget(self) -> None:
        """Let go of the features: they hold the graph of the whole forward pass."""
        self._input = None

    def _keep(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled():  # validation needs no features, and they are large
            self._input = inputs[0]


def check_head(model: nn.Module, arch: str) -> None:
    """Raises: ModelError when losses that work on features cannot be trained with this model."""
    _last_layer(model, arch)


def _last_layer(model: nn.Module, arch: str) -> nn.Conv2d:
    head = getattr(model, "segmentation_head", None)
    if isinstance(head, nn.Module):
        layers = [layer for layer in head.modules() if next(layer.parameters(recurse=False), None) is not None]
        # Several layers, or groups, would leave no single matrix from a feature to its logits.
        if len(layers) == 1 and isinstance(layers[0], nn.Conv2d) and layers[0].groups == 1:
            return layers[0]
    raise ModelError(
        f"model.arch: {arch} has no last layer that is a single convolution, which a loss of the study needs for its "
        "features; choose another architecture, e.g. unet, or leave that family out"
    )
