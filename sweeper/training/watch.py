"""Ends a trial that has gone wrong: loss or gradient not finite, or a loss that only grows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from sweeper.errors import TrialFailure

_NEVER = 2**62


class FiniteWatch:
    """Notes the first step of an epoch at which the loss or the gradient is not finite.

    The note is kept on the device. On a GPU it is read once an epoch, since reading waits for all work queued;
    elsewhere reading is free, and it is read after every step.
    """

    def __init__(self, epoch: int, device: torch.device) -> None:
        self._epoch = epoch
        self._device = device
        self._eager = device.type != "cuda"
        self._first: dict[str, Tensor] = {}
        """First steps at which loss and gradient were not finite, by whose they are, in the order noted."""

    def note(self, step: int, loss: Tensor, parameters: Iterable[Tensor], *, of: str = "") -> None:
        """Look at one step's loss, a scalar, and at the gradients of `parameters`. Steps count from 1.

        `of` says whose loss it is where that is not the model's.

        Raises: TrialFailure, at once where reading is free.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        # The 2-norm is the cheapest sum over everything that lets neither NaN nor infinity cancel. It overflows itself
        # from magnitudes of 1e19 on, from which no trial comes back.
        norm = torch.nn.utils.get_total_norm(gradients)
        finite = torch.isfinite(torch.stack((loss.detach().float(), norm.float())))
        first = self._first.get(of)
        if first is None:
            first = torch.full((2,), _NEVER, dtype=torch.int64, device=self._device)
        self._first[of] = torch.where(finite, first, first.clamp(max=step))
        if self._eager:
            self.check()

    def check(self) -> None:
        """Raises: TrialFailure, naming epoch and step, when anything noted was not finite."""
        found: list[tuple[int, str]] = []
        for of, first in self._first.items():
            whose = f" of {of}" if of else ""
            found += zip(first.tolist(), (f"loss{whose}", f"gradient{whose}"), strict=True)
        # What is not finite spreads, in the order things are noted: the earliest is the cause.
        step, what = min(found, key=lambda each: each[0], default=(_NEVER, ""))
        if step < _NEVER:
            raise TrialFailure(f"the {what} is not finite at epoch {self._epoch}, step {step}")


def check_divergence(means: Sequence[float], limit: float, *, since: int | None = 1) -> None:
    """Refuse a last mean loss that is `limit` times that of epoch `since`.

    Losses may be negative: what is limited is the growth above the earlier loss, in units of its magnitude, which for a
    positive one is the same. A loss of 0 has no magnitude to compare with.

    Args:
        means: Of every epoch so far, at least one.
        limit: Above 1.
        since: The first epoch, from 1, whose loss is the same function as the later ones'; None if there is none.

    Raises: TrialFailure, with the figures.
    """
    epoch, loss = len(means), means[-1]
    if since is None or epoch <= since:
        return
    first = means[since - 1]
    if first != 0 and loss - first > (limit - 1) * abs(first):
        raise TrialFailure(
            f"the loss diverged: its mean at epoch {epoch} is {loss:.4g}, at epoch {since} it was {first:.4g} "
            f"(limit: {limit:g} times as much)"
        )
