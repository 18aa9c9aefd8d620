"""Which losses to look at, each at one setting, as people write them: `tversky(beta=0.9)`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sweeper.domains import Complement, Value
from sweeper.errors import LossError, UserError
from sweeper.losses.catalogue import FAMILIES, family
from sweeper.losses.family import Family
from sweeper.losses.module import Loss
from sweeper.losses.needs import ARTEFACTS, STEP
from sweeper.losses.networks import untrained_companion
from sweeper.losses.ramp import arguments

DEFAULT = ("cross_entropy", "focal", "dice", "tversky", "lovasz_softmax", "dice_ce", "boundary", "cldice")
"""One or two of each kind: what a first look compares."""

EVERY = "all"


@dataclass(frozen=True)
class Contestant:
    """One loss at one setting."""

    label: str
    """As charts and tables call it."""
    family: Family
    settings: dict[str, Value]

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, C, H, W) against labels (B, H, W), ramps at their end."""
        return self.family.function(logits, target, **arguments(self.family, self.settings, 1.0))


def contestants(names: Iterable[str]) -> tuple[list[Contestant], dict[str, str]]:
    """Return the losses named, and those that can only be judged by training with them, each with the reason.

    Args:
        names: Families or aliases, with settings where they are not the default: `focal(gamma=0.5)`; or `all`.

    Raises: UserError, UnknownFamily or LossError for what is no loss, or a setting it does not have.
    """
    wanted = [one for name in names for one in (FAMILIES if name == EVERY else [name])]
    if not wanted:
        raise UserError("no loss is named; give one or more, for example dice,tversky(beta=0.9)")
    chosen: list[Contestant] = []
    left_out: dict[str, str] = {}
    for text in wanted:
        one = _read(text)
        if any(one.label == other.label for other in chosen):
            continue
        reason = _cannot_show(one)
        if reason:
            left_out[one.label] = reason
        else:
            chosen.append(one)
    if not chosen:
        raise UserError("; ".join(f"{name} cannot be shown: {reason}" for name, reason in left_out.items()))
    return chosen, left_out


def split_names(text: str) -> list[str]:
    """Split `dice,tversky(alpha=0.1, beta=0.9)` at the commas between losses."""
    parts = re.split(r",\s*(?![^()]*\))", text)
    return [part.strip() for part in parts if part.strip()]


def _read(text: str) -> Contestant:
    name, _, rest = text.partition("(")
    known = family(name.strip())
    settings = _settings(text, rest)
    # A dial that a study would couple to another follows it here too, unless it is given.
    for key, domain in known.domains.items():
        if isinstance(domain, Complement) and key not in settings and domain.of in settings:
            partner = settings[domain.of]
            if isinstance(partner, int | float):
                settings[key] = round(1.0 - partner, 12)
    Loss(known, **settings)  # for its checks: what it has no hyperparameter for, and what is not legal
    for key in settings:
        if key not in known.hyperparameters:
            raise LossError(f"{known.name}: {key} cannot be set here")
    shown = ", ".join(f"{key}={value}" for key, value in settings.items())
    return Contestant(f"{known.name}({shown})" if shown else known.name, known, settings)


def _settings(text: str, rest: str) -> dict[str, Any]:
    if not rest:
        return {}
    wrong = UserError(f"{text!r} cannot be read; write a loss and its settings as in tversky(alpha=0.1, beta=0.9)")
    if not rest.endswith(")"):
        raise wrong
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        assert isinstance(call, ast.Call)
        if call.args or any(word.arg is None for word in call.keywords):
            raise wrong
        return {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError, AssertionError):
        raise wrong from None


def _cannot_show(one: Contestant) -> str:
    """Return why a loss says nothing before it has been trained with, or nothing if it does."""
    needs = one.family.needs_at(one.settings)
    if set(needs) & set(ARTEFACTS):
        return "it judges by a network that is trained on a data set's masks first"
    if one.family.companion is not None:
        with torch.random.fork_rng(devices=[]):
            companion = untrained_companion(one.family, one.settings, classes=2, channels=1)
        if companion is not None and companion.role == "rival":
            return "it judges by a network that learns during training"
    if set(needs) & (set(STEP) - {"step"}):
        return "it looks at the model's features, or at the picture"
    return ""
