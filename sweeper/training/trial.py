"""What one trial is, as plain data: everything that decides its outcome and nothing else.

No torch here, so that a study can be read and planned without loading it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sweeper.domains import Value

Stage = Literal["search", "confirm"]
Augmentation = Literal["hflip", "vflip", "rot90"]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The `model` section: an architecture of segmentation-models-pytorch, the same for every family."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    arch: str = "unet"
    """Name of an smp architecture, e.g. unet, fpn, deeplabv3plus."""
    encoder: str = "resnet18"
    """Name of an smp encoder."""
    weights: str | None = None
    """Pretrained weights: null for none, a name smp knows (`imagenet`; downloaded), or the path of a local
    state dict of the encoder."""
    depth: int = 5
    """Encoder stages, 3 to 5; fewer is smaller and faster."""
    decoder_channels: tuple[int, ...] | None = None
    """Decoder widths, one per stage, for the architectures that take them; null is smp's default."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The `training` section: the schedule every family gets alike."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    epochs: int = 30
    batch_size: int = 16
    steps_per_epoch: int | None = None
    """Batches per epoch, drawn by level weight; null is as many as the training patches fill once."""
    optimizer: Literal["adamw"] = "adamw"
    lr: float = 1e-3
    """Peak learning rate, reached after the warm-up, then decayed to 0 by half a cosine."""
    weight_decay: float = 1e-2
    warmup: float = 0.05
    """Share of all steps over which the learning rate rises linearly from 0."""
    augment: tuple[Augmentation, ...] = ("hflip", "vflip", "rot90")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 autocast where the device computes it natively, else fp32."""
    divergence: float = 10.0
    """A trial fails as diverged when an epoch's mean loss is this many times the first epoch's. While an argument of
    the loss ramps, the loss may grow with it: epochs are then compared with the first one after the ramp."""


TUNABLE_TRAINING = ("lr", "weight_decay", "warmup")
"""Training hyperparameters that a study may give a domain; they are then tuned in every cell alike."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One configuration trained once: (family, hyperparameters, level, seed, stage)."""

    key: str
    """Hash of all that defines the outcome; equal keys are the same trial."""
    family: str
    hyperparameters: Mapping[str, Value]
    """Of the loss; every argument the study sets, complements resolved."""
    level: float
    """Background fraction of pixels that training, validation and test are weighted to."""
    seed: int
    """Decides initial weights, batch order and augmentation, the same for every family."""
    stage: Stage
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    """With this trial's own learning rate and the like where the study tunes them."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trial:
        """Read what `to_dict` wrote; lists become tuples again after a trip through JSON."""
        fields = dict(data)
        fields["model"] = ModelSettings(**_tuples(fields["model"]))
        fields["training"] = TrainingSettings(**_tuples(fields["training"]))
        return cls(**fields)


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
