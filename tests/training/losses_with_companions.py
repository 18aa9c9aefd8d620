"""Losses as users write them, each with a companion of another role; named in trials by dotted path."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from sweeper.losses.companion import Companion, Setup
from sweeper.losses.family import Family

SEEN: list[dict] = []
"""What rivals were shown; a test that looks at it empties it first."""


class Scale(Companion):
    """Learns how much to trust each class, and has a number that nothing depends on."""

    role = "joint"
    lr_factor = 3.0

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(0.1 * torch.randn(setup.classes))
        self.idle = nn.Parameter(torch.tensor(5.0))


class Filters(Companion):
    """Random filters that probabilities are looked at through."""

    role = "frozen"

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.bank = nn.Conv2d(setup.classes, 4, 3, padding=1)
        self.dropout = nn.Dropout(0.5)


class Critic(Companion):
    """Tells masks from predictions."""

    role = "rival"
    lr_factor = 0.5
    rounds = 2

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(setup.channels + setup.classes, 8, 3, stride=2), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3)
        )
        self.broken_from = int(setup.settings["broken_from"])
        self.calls = 0

    def rival_loss(self, logits: Tensor, target: Tensor, *, images: Tensor, ignore_index: int) -> Tensor:
        SEEN.append(
            {"logits": logits, "target": target, "images": images, "ignore_index": ignore_index, "step": self.calls}
        )
        self.calls += 1
        valid = (target != ignore_index).unsqueeze(1)
        truth = nn.functional.one_hot(torch.where(target == ignore_index, 0, target), logits.shape[1])
        real = self.net(torch.cat([images, valid * truth.movedim(-1, 1)], dim=1))
        # A draw from torch's generator, as a gradient penalty makes one.
        noise = 0.01 * torch.rand(len(logits), 1, 1, 1, device=logits.device)
        fake = self.net(torch.cat([images, valid * logits.softmax(dim=1) + noise], dim=1))
        loss = binary_cross_entropy_with_logits(real, torch.ones_like(real)) + binary_cross_entropy_with_logits(
            fake, torch.zeros_like(fake)
        )
        return loss * (torch.nan if self.calls > self.broken_from else 1)


def learned_weight(logits, target, *, companion=None, ignore_index=-100):
    """Cross-entropy at a learned temperature per class."""
    scaled = logits * (-companion.log_variance).exp().reshape(1, -1, 1, 1)
    plain = cross_entropy(scaled, target, ignore_index=ignore_index)
    return plain + companion.log_variance.square().sum() + 0 * companion.idle


def filtered(logits, target, *, companion=None, ignore_index=-100):
    """Cross-entropy and what fixed filters see."""
    seen = companion.dropout(companion.bank(logits.softmax(dim=1)))
    return cross_entropy(logits, target, ignore_index=ignore_index) + 0.1 * seen.square().mean()


def against_a_critic(logits, target, *, weight=0.1, broken_from=1000, images=None, companion=None, ignore_index=-100):
    """Cross-entropy and a critic to convince; none at weight 0."""
    plain = cross_entropy(logits, target, ignore_index=ignore_index)
    if companion is None:
        return plain
    assert not any(parameter.requires_grad for parameter in companion.parameters())
    fooled = companion.net(torch.cat([images, logits.softmax(dim=1)], dim=1))
    return plain + weight * binary_cross_entropy_with_logits(fooled, torch.ones_like(fooled))


def along_features(logits, target, *, features=None, classifier=None, ignore_index=-100):
    """Cross-entropy, and how far features are from their mean over the batch, as the last layer sees it."""
    middle = features.mean(dim=(0, 2, 3), keepdim=True)
    apart = classifier((features - middle).movedim(1, -1)).square().mean().sqrt()
    return cross_entropy(logits, target, ignore_index=ignore_index) + apart


def _critic(setup: Setup) -> Critic | None:
    return Critic(setup) if setup.settings["weight"] else None


def _family(function, **fields) -> Family:
    return Family(
        function=function,
        title=function.__doc__,
        level="structural",
        overlap="mixed",
        tradeoff="symmetric",
        formula="",
        source="",
        **fields,
    )


def _number(low: float, high: float):
    from sweeper.domains import Uniform
    from sweeper.losses.family import Hyperparameter

    return Hyperparameter(symbol="", legal=Uniform(low, high), effect="")


JOINT = _family(learned_weight, companion=Scale)
FROZEN = _family(filtered, companion=Filters)
RIVAL = _family(
    against_a_critic,
    companion=_critic,
    needs=("images",),
    hyperparameters={"weight": _number(0.0, 1.0), "broken_from": _number(0.0, 1e6)},
)
FEATURES = _family(along_features, needs=("features", "classifier"))
