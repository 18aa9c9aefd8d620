"""What the adversarial losses share: a rival that tells true masks from predicted ones, and the model's side of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, relu, softplus

from sweeper.domains import Choice, LogUniform, Uniform, Value
from sweeper.errors import LossError
from sweeper.losses.companion import Companion, Setup
from sweeper.losses.family import Check, Hyperparameter
from sweeper.losses.networks import PatchCritic, run
from sweeper.losses.options import NON_NEGATIVE, SHARE
from sweeper.losses.primitives import FLOOR, Dial, Pixels, dial, masked_mean, prepare


@dataclass(frozen=True)
class Objective:
    """What both sides make of the rival's scores, score by score."""

    model: Callable[[Tensor], Tensor]
    """Cost to the model of the score of its own mask."""
    rival: Callable[[Tensor, Tensor], Tensor]
    """Cost to the rival of the scores of a true mask and of the model's."""


NON_SATURATING = Objective(
    model=lambda fake: softplus(-fake),
    rival=lambda real, fake: softplus(-real) + softplus(fake),
)
WASSERSTEIN = Objective(model=lambda fake: -fake, rival=lambda real, fake: fake - real)
LEAST_SQUARES = Objective(
    model=lambda fake: (fake - 1) ** 2 / 2,
    rival=lambda real, fake: ((real - 1) ** 2 + fake**2) / 2,
)
HINGE = Objective(model=lambda fake: -fake, rival=lambda real, fake: relu(1 - real) + relu(1 + fake))


class Rival(Companion):
    """A critic of patches and what it learns from: the higher the score, the more a mask looks like a true one.

    Args:
        setup: Its settings give the rival's own: `lr_d`, `conditional` and, where the family has them,
            `target_smoothing`, `n_critic` and `gp`.
        objective: Of both sides.
        spectral: Whether the critic's weights are normalized by their largest singular value.
    """

    role = "rival"

    def __init__(self, setup: Setup, objective: Objective, *, spectral: bool = False) -> None:
        super().__init__()
        self.settings = dict(setup.settings)
        self.classes = setup.classes
        self.objective = objective
        self.conditional = bool(self.settings["conditional"])
        self.smoothing = _number(self.settings.get("target_smoothing", 0.0))
        self.penalty = _number(self.settings.get("gp", 0.0))
        self.lr_factor = _number(self.settings["lr_d"])
        self.rounds = int(_number(self.settings.get("n_critic", 1)))
        self.critic = PatchCritic(setup.classes + (setup.channels if self.conditional else 0), spectral=spectral)

    def model_loss(self, pixels: Pixels, images: Tensor | None) -> Tensor:
        """Return what the model pays for the scores of its masks: a scalar. The rival gets no gradient from it."""
        # Spectral normalization refines its estimate whenever it is training; that is for the rival's own steps.
        self.critic.eval()
        scores = run(self.critic, self._shown(pixels.prob, pixels, images))
        return _patch_mean(self.objective.model(scores), pixels)

    def rival_loss(self, logits: Tensor, target: Tensor, *, images: Tensor, ignore_index: int) -> Tensor:
        """Return what the rival minimizes: a scalar."""
        pixels = prepare(logits.detach(), target, ignore_index)
        true = pixels.onehot + self.smoothing * (1 / self.classes - pixels.onehot)
        real, fake = self._shown(true, pixels, images), self._shown(pixels.prob, pixels, images)
        self.critic.train()
        # Both in one pass, so that they are scored by the same estimate of the spectral norm.
        scores = run(self.critic, torch.cat([real, fake]), learning=True)
        cost = _patch_mean(self.objective.rival(*scores.chunk(2)), pixels)
        return cost + self.penalty * self._steepness(real, fake, pixels) if self.penalty else cost

    def _shown(self, masks: Tensor, pixels: Pixels, images: Tensor | None) -> Tensor:
        """Return what the critic sees, (B, C, H, W) or with the images' channels behind; 0 where ignored."""
        masks = pixels.valid * masks
        if not self.conditional or images is None:
            return masks
        return torch.cat([masks, torch.where(pixels.valid > 0, images.to(masks), 0)], dim=1)

    def _steepness(self, real: Tensor, fake: Tensor, pixels: Pixels) -> Tensor:
        """Return how far from 1 the critic's slope is between true and predicted masks, squared: a scalar."""
        share = torch.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
        between = (share * real + (1 - share) * fake).requires_grad_()
        scores = run(self.critic, between, learning=True)
        (slope,) = torch.autograd.grad(scores.mean(dim=(1, 2, 3)).sum(), between, create_graph=True)
        slope = pixels.valid * slope[:, : self.classes]
        squared = slope.square().sum(dim=(1, 2, 3), keepdim=True)
        seen = pixels.valid.amax(dim=(2, 3), keepdim=True)
        return masked_mean(((squared + FLOOR**2).sqrt() - 1) ** 2, seen)


def against(
    pixels: Pixels,
    lam: Dial,
    companion: Rival | None,
    images: Tensor | None,
    settings: Mapping[str, Dial],
    name: str,
) -> Tensor:
    """Return cross-entropy plus λ times what the rival's scores cost: a scalar.

    Args:
        pixels: The batch.
        lam: λ.
        companion: The rival.
        images: (B, channels, H, W), for a rival that looks at them.
        settings: Arguments of the call that the rival was built with.
        name: Of the family, for messages.

    Raises: LossError without a rival, with one built for something else, or without the images it looks at.
    """
    rival = _checked(companion, pixels, images, settings, name)
    cross_entropy = masked_mean(pixels.cross_entropy, pixels.valid)
    return cross_entropy + dial(lam, cross_entropy) * rival.model_loss(pixels, images)


def _patch_mean(costs: Tensor, pixels: Pixels) -> Tensor:
    """Return the mean over patches, (B, 1, h, w), each by its share of valid pixels: a scalar."""
    shares = adaptive_avg_pool2d(pixels.valid, (costs.shape[-2], costs.shape[-1]))
    return masked_mean(costs, torch.ones_like(costs), shares)


def _checked(
    companion: Rival | None, pixels: Pixels, images: Tensor | None, settings: Mapping[str, Dial], name: str
) -> Rival:
    if not isinstance(companion, Rival):
        raise LossError(
            f"{name} needs its rival: pass companion=FAMILIES[{name!r}].companion(Setup(classes=..., channels=..., "
            "settings=...)) and, before each step of the model, let an optimizer of its own take a step on its "
            "rival_loss; see sweeper.losses.companion"
        )
    for key, value in settings.items():
        if not isinstance(value, Tensor) and value != companion.settings[key]:
            raise LossError(
                f"{name} is called with {key}={value!r}, but its rival was built with {companion.settings[key]!r}; "
                "both must have the same settings"
            )
    shape = pixels.log_prob.shape
    if shape[1] != companion.classes:
        raise LossError(f"{name}: the logits have {shape[1]} classes; its rival was built for {companion.classes}")
    if companion.conditional and images is None:
        raise LossError(f"{name} with conditional=True judges masks beside their images; pass images=... as well")
    if companion.conditional and images is not None and (len(images), *images.shape[2:]) != (shape[0], *shape[2:]):
        raise LossError(f"images have shape {tuple(images.shape)}; they must fit logits of shape {tuple(shape)}")
    return companion


def _number(value: Value) -> float:
    if not isinstance(value, int | float):
        raise LossError(f"a rival's setting is {value!r}; it must be a number")
    return float(value)


def looks_at(settings: Mapping[str, Value]) -> tuple[str, ...]:
    """Return what a setting needs: the images, where the rival looks at them."""
    return ("images",) if settings["conditional"] else ()


LAM = Hyperparameter(
    symbol="λ",
    legal=NON_NEGATIVE,
    search=LogUniform(1e-4, 1.0),
    effect="masks look more like drawn ones: isolated false alarms go and gaps close, exact position counts less",
)
LR_D = Hyperparameter(
    symbol="η_D/η",
    legal=Uniform(1e-3, 1e3),
    search=LogUniform(0.1, 10.0),
    effect="the rival learns faster: it finds finer faults, until nothing the model does convinces it; precision and "
    "recall move together",
)
TARGET_SMOOTHING = Hyperparameter(
    symbol="s",
    legal=SHARE,
    search=Uniform(0.0, 0.1),
    effect="true masks are shown less sharp, so that the rival judges shape in place of sharpness; precision and "
    "recall move together",
)
CONDITIONAL = Hyperparameter(
    symbol="D(x, ·)",
    legal=Choice((True, False)),
    static=True,
    effect="true shows the rival the image too, so that masks must fit it: precision rises; false judges shape alone",
)

EXEMPT: dict[Check, str] = {
    "perfect": "a rival's score of a true mask is no optimum: the loss is not 0 there",
    "padding": "the rival looks at patches",
    "pixel order": "the rival looks at patches",
    "class order": "the rival tells classes apart by their channel",
    "mirror": "the rival's filters have a left and a right",
    "vmap settings": "a rival is built for one setting, and would have to be another one for each",
}
