"""What a loss brings along, in training: built once per trial, then optimized, left alone, or trained against."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sweeper.data.patches import Prepared
from sweeper.data.settings import IGNORE
from sweeper.errors import LossError
from sweeper.losses.companion import Companion, Setup
from sweeper.losses.family import Family
from sweeper.losses.needs import ARTEFACTS
from sweeper.training.randomness import torch_seed
from sweeper.training.trial import Trial
from sweeper.training.watch import FiniteWatch

RIVAL_BETAS = (0.5, 0.9)
"""Of a rival's Adam: it chases a moving target, for which a long memory of gradients is of the past."""


def build_companion(family: Family, trial: Trial, data: Prepared) -> Companion | None:
    """Return the companion of a trial's loss, on the CPU; None where its setting has none.

    Random weights depend on the trial's seed alone. Torch's global generator is left as it was.

    Raises: LossError when the data lacks an artefact that the setting needs.
    """
    if family.companion is None:
        return None
    wanted = [name for name in family.needs_at(trial.hyperparameters) if name in ARTEFACTS]
    for name in wanted:
        if name not in data.artefacts:
            raise LossError(
                f"{family.name} needs {name!r}, which has not been trained on the data {data.name}; "
                "`sweeper.training.artefacts.with_artefacts` does"
            )
    setup = Setup(
        classes=len(data.classes),
        channels=data.channels,
        settings=family.defaults | dict(trial.hyperparameters),
        artefacts={name: data.artefacts[name] for name in wanted},
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(torch_seed("companion", trial.seed))
        return family.companion(setup)


class Companionship:
    """A companion on the model's device, and what its role asks of whoever trains."""

    def __init__(self, companion: Companion, lr: float, device: torch.device) -> None:
        """Put it to its role.

        Args:
            lr: Peak learning rate of the model.
        """
        self.companion = companion.to(device)
        self._lr = lr * companion.lr_factor
        self._rival: torch.optim.Adam | None = None
        if companion.role == "frozen":
            companion.eval().requires_grad_(False)
        else:
            companion.train()
        self.parameters = [parameter for parameter in companion.parameters() if parameter.requires_grad]
        if companion.role == "rival" and self.parameters:
            self._rival = torch.optim.Adam(self.parameters, lr=self._lr, betas=RIVAL_BETAS)
            self._asks(False)

    @property
    def joint(self) -> list[torch.nn.Parameter]:
        """The parameters to be optimized together with the model's."""
        return list(self.parameters) if self.companion.role == "joint" else []

    @property
    def competes(self) -> bool:
        """Whether there is a rival to be trained."""
        return self._rival is not None

    def compete(
        self, logits: Tensor, target: Tensor, images: Tensor, *, step: int, factor: float, watch: FiniteWatch
    ) -> None:
        """Let the rival take its steps on a batch before the model takes its own.

        Args:
            logits: (B, C, H, W) float32 of the model, background first.
            target: (B, H, W) int64, background first.
            images: (B, channels, H, W) float32, normalized.
            step: Of the epoch, from 1.
            factor: Share of the peak learning rate.
            watch: Is shown the rival's loss and gradient.

        Raises: TrialFailure as `watch` does.
        """
        assert self._rival is not None, "only a rival competes"
        self._rival.param_groups[0]["lr"] = self._lr * factor
        self._asks(True)
        for _ in range(self.companion.rounds):
            loss = self.companion.rival_loss(logits.detach(), target, images=images, ignore_index=IGNORE)
            self._rival.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            watch.note(step, loss, self.parameters, of="the rival")
            self._rival.step()
        # The model's step must neither move the rival nor pay for gradients that nobody uses.
        self._rival.zero_grad(set_to_none=True)
        self._asks(False)

    def state(self) -> dict[str, Any]:
        """Return what `restore` continues from, the companion's own tensors, not copies."""
        rival = None if self._rival is None else self._rival.state_dict()
        return {"companion": self.companion.state_dict(), "rival": rival}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned; later training leaves `state` alone."""
        self.companion.load_state_dict(state["companion"])
        if self._rival is not None:
            # The optimizer keeps the tensors it is given.
            self._rival.load_state_dict(copy.deepcopy(state["rival"]))

    def _asks(self, gradients: bool) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(gradients)
