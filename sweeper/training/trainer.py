"""Trains one trial and scores it. Knows nothing of who iterates over it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.data.levels import LevelWeights, level_weights
from sweeper.data.patches import SPLITS, Prepared, SplitName
from sweeper.data.settings import IGNORE
from sweeper.errors import LossError, RunFolderError, UserError, suggest
from sweeper.losses.catalogue import family
from sweeper.losses.family import Family
from sweeper.losses.needs import CONSTANTS, MAPS, STEP
from sweeper.losses.ramp import arguments, settled
from sweeper.training.augment import epoch_symmetries, transform, transform_map
from sweeper.training.companions import Companionship, build_companion
from sweeper.training.device import describe, pick_device, pick_precision
from sweeper.training.feed import Batch, Feed, Normalize
from sweeper.training.head import Head
from sweeper.training.metrics import HEADLINES
from sweeper.training.model import build_model
from sweeper.training.order import BackgroundFirst
from sweeper.training.parts import in_parts, tied_by
from sweeper.training.randomness import Purpose, torch_seed
from sweeper.training.sampling import epoch_batches, steps_in_epoch
from sweeper.training.schedule import first_epoch_after, progress, rate_factor
from sweeper.training.scorer import Scorer
from sweeper.training.scores import EpochResult, TrialScores
from sweeper.training.trial import Trial
from sweeper.training.watch import FiniteWatch, check_divergence

_EVALUATION_BATCH = 32
"""Patches per forward pass without gradients, at least. Results do not depend on it beyond rounding."""


class Trainer:
    """One trial in progress.

    Initial weights, batches and augmentation depend on the trial's seed and the epoch alone: two trials that differ in
    their family or level see the same random numbers, and a restored one those it would have seen. On a CPU the same
    trial gives the same numbers to the last bit. Torch's global generators are left as they were.
    """

    def __init__(
        self,
        trial: Trial,
        data: Prepared,
        *,
        device: str | None = None,
        metric: str = "minority_iou",
        parts: int = 1,
    ) -> None:
        """Build the model and weight the splits; nothing is trained yet.

        Args:
            device: A torch device name; None takes the GPU when there is one.
            metric: What the background offset is chosen by, a name of `metrics.HEADLINES`.
            parts: Into how many parts to cut a batch that is too large for the memory, from 1. Training stays what it
                is, see `training.parts`; where it would not, batches of training stay whole.

        Raises: ModelError, LevelError, LossError, UnknownFamily: what the trial asks for cannot be had.
        """
        if metric not in HEADLINES:
            raise UserError(f"there is no score {metric!r} to search on; {suggest(metric, HEADLINES)}")
        self.trial = trial
        self.data = data
        self.metric = metric
        self.levels: dict[SplitName, LevelWeights] = {
            name: level_weights(
                data.splits[name].counts,
                background=data.background,
                minority=data.minority,
                level=trial.level,
                split=name,
            )
            for name in SPLITS
        }
        self._device = pick_device(device)
        self.device = describe(self._device)
        """What it computes on, in words to record."""
        self.precision = pick_precision(trial.training.precision, self._device)
        """`fp32` or `bf16`, of the forward pass; parameters, losses and scores are always fp32 or wider."""
        self._history: list[EpochResult] = []

        self._family = family(trial.family)
        _check_arguments(self._family, trial)
        self._order = BackgroundFirst(len(data.classes), data.background, self._device)
        self._needs = self._family.needs_at(trial.hyperparameters)
        self._constants = self._constant_needs()
        self._feed = Feed(data.splits["train"], self._device, maps=self._map_needs())
        self._normalize = Normalize(data.mean, data.std, self._device)

        training = trial.training
        self._steps = steps_in_epoch(len(data.splits["train"]), training.batch_size, training.steps_per_epoch)
        share = settled(self._family, trial.hyperparameters)
        self._comparable = first_epoch_after(share, training.epochs, self._steps)
        """First epoch of which the mean loss can be compared with later ones; None if there is none."""
        with torch.random.fork_rng(devices=[]):
            # The model is built on the CPU; `torch.manual_seed` would also reseed every GPU, which is not undone here.
            torch.default_generator.manual_seed(torch_seed("initial weights", trial.seed))
            model = build_model(trial.model, data.channels, len(data.classes), patch=data.patch)
        self._model = model.to(self._device).to(memory_format=torch.channels_last)
        self.tied = tied_by(self._model)
        """The layer for which training batches are never cut; None where they may be."""
        self.parts = 1 if self.tied is not None else min(parts, training.batch_size)
        """How many parts a training batch is cut into."""
        self._parameters = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=training.lr, weight_decay=training.weight_decay, fused=True
        )
        self._rates = [training.lr]
        """Peak learning rate of each of the optimizer's groups."""
        self._head = (
            Head(self._model, self._order, trial.model.arch) if {"features", "classifier"} & {*self._needs} else None
        )
        self._companionship = self._build_companionship()
        self._scorer = Scorer(
            self._model,
            self._forward,
            data,
            self.levels,
            self._device,
            # Scoring looks at each picture by itself, whatever ties them in training.
            batch_size=max(1, max(_EVALUATION_BATCH, training.batch_size) // parts),
        )

    @property
    def history(self) -> tuple[EpochResult, ...]:
        """Every epoch done so far, also those before a restore."""
        return tuple(self._history)

    @property
    def objective(self) -> float | None:
        """The metric on validation after the last epoch; None before the first and where it is undefined."""
        return self._history[-1].scores[self.metric] if self._history else None

    def epochs(self) -> Iterator[EpochResult]:
        """Train to the planned end, yielding after each epoch and its validation.

        Raises: TrialFailure, with the reason, when the trial cannot go on.
        """
        while len(self._history) < self.trial.training.epochs:
            yield self._epoch(len(self._history) + 1)

    def state(self) -> dict[str, Any]:
        """Return all that is needed to continue, tensors on the CPU and plain data; later training leaves it alone."""
        return {
            "key": self.trial.key,
            "model": _snapshot(self._model.state_dict()),
            "optimizer": _snapshot(self._optimizer.state_dict()),
            "history": [dataclasses.asdict(each) for each in self._history],
            **({} if self._companionship is None else {"companionship": _snapshot(self._companionship.state())}),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned, to exactly the result of never having stopped.

        Raises: RunFolderError when the state is another trial's.
        """
        if state.get("key") != self.trial.key:
            raise RunFolderError(
                f"the checkpoint is of trial {state.get('key')!r}, not of {self.trial.key!r}; remove it and run again"
            )
        self._model.load_state_dict(state["model"])
        # The optimizer keeps the tensors it is given; without a copy it would go on to write into `state`.
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        if self._companionship is not None:
            self._companionship.restore(state["companionship"])
        self._history = [EpochResult(**each) for each in state["history"]]

    def scores(self) -> TrialScores:
        """Score the trial as it stands: on val, and at the confirm stage on test, at both operating points.

        Raises: TrialFailure when the model's answers are not finite.
        """
        return self._scorer.final(self.metric, test=self.trial.stage == "confirm")

    def predict(self, split: SplitName, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the predicted classes at argmax of the split's patches at `indices`, (len(indices), P, P)."""
        return self._scorer.predict(split, indices)

    def _epoch(self, epoch: int) -> EpochResult:
        started = time.perf_counter()
        # Only dropout draws from torch here: what a rival draws for its loss, it draws apart.
        with self._random_numbers("dropout", epoch):
            loss = self._train(epoch)
        means = [*(each.train_loss for each in self._history), loss]
        check_divergence(means, self.trial.training.divergence, since=self._comparable)
        scores = self._scorer.validate()
        result = EpochResult(
            epoch=epoch,
            train_loss=loss,
            seconds=time.perf_counter() - started,
            scores=scores,
        )
        self._history.append(result)
        return result

    def _train(self, epoch: int) -> float:
        """Take one epoch's steps and return their mean loss."""
        training, seed, feed = self.trial.training, self.trial.seed, self._feed
        size = training.batch_size
        batches = epoch_batches(self.levels["train"].weights, self._steps, size, seed=seed, epoch=epoch)
        flips = torch.from_numpy(epoch_symmetries(training.augment, self._steps, size, seed=seed, epoch=epoch))
        flips = flips.to(self._device)
        watch = FiniteWatch(epoch, self._device)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        planned = training.epochs * self._steps
        self._model.train()
        for step, indices in enumerate(batches):
            done = (epoch - 1) * self._steps + step
            factor = rate_factor(done, planned, training.warmup)
            for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
            batch = _transformed(feed.take(indices), flips[step]) if training.augment else feed.take(indices)
            logits = self._forward(batch.images) if self.parts == 1 else self._forward_in_parts(batch.images)
            if self._companionship is not None and self._companionship.competes:
                with self._random_numbers("rival", done):
                    self._companionship.compete(*self._seen(logits, batch), step=step + 1, factor=factor, watch=watch)
            loss = self._loss(logits, batch, done)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            watch.note(step + 1, loss, self._parameters)
            self._optimizer.step()
            total += loss.detach()
        if self._head is not None:
            self._head.forget()
        watch.check()
        return float(total) / self._steps

    @contextmanager
    def _random_numbers(self, purpose: Purpose, moment: int) -> Iterator[None]:
        """Let torch draw what the trial's seed, the purpose and the moment decide; then put its generators back."""
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(torch_seed(purpose, self.trial.seed, moment))
            yield

    def _forward(self, images: Tensor) -> Tensor:
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            logits: Tensor = self._model(self._normalize(images))
        return logits

    def _forward_in_parts(self, images: Tensor) -> Tensor:
        """Return the logits of a batch too large for the memory, as `_forward` does of one that is not."""
        logits, *features = in_parts(self._forward_apart, images, self.parts)
        if self._head is not None:
            self._head.give(features[0])
        return logits

    def _forward_apart(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the logits of a part and, where the setting needs them, its features; keep nothing of either."""
        if self._head is None:
            return (self._forward(images),)
        try:
            return self._forward(images), self._head.take()
        finally:
            # On the way back the pass ends as soon as it has what the gradient needs.
            self._head.forget()

    def _loss(self, logits: Tensor, batch: Batch, step: int = 0) -> Tensor:
        """Return the loss of the model's logits on a batch at an optimizer step of the whole training, from 0."""
        # Outside autocast and in float32: a loss must not depend on the precision the model happens to run in.
        planned = self.trial.training.epochs * self._steps
        loss: Tensor = self._family.function(
            self._order.classes(logits.float(), dim=1),
            self._order.labels(batch.masks),
            ignore_index=IGNORE,
            **arguments(self._family, self.trial.hyperparameters, progress(step, planned)),
            **self._constants,
            **{name: self._order.map(name, each) for name, each in batch.maps.items()},
            **self._step_needs(logits, batch, step),
        )
        return loss

    def _seen(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return what a rival gets to see: logits and labels as the loss does, and the images as the model does."""
        return (
            self._order.classes(logits.detach().float(), dim=1),
            self._order.labels(batch.masks),
            self._normalize(batch.images),
        )

    def _constant_needs(self) -> dict[str, Tensor]:
        """Return the constants of the data that the setting needs, by keyword."""
        made = {"class_frequencies": self._class_frequencies}
        return {name: self._order.classes(made[name](), dim=0) for name in CONSTANTS if name in self._needs}

    def _map_needs(self) -> tuple[str, ...]:
        """Return the target maps that the setting needs. Raises: LossError when the data lacks one."""
        maps = tuple(name for name in MAPS if name in self._needs)
        for name in maps:
            if name not in self.data.splits["train"].maps:
                raise LossError(
                    f"{self._family.name} needs the target map {name!r}, which the data {self.data.name} does not "
                    "have; `sweeper.data.target_maps.with_maps` adds it"
                )
        return maps

    def _step_needs(self, logits: Tensor, batch: Batch, step: int) -> dict[str, Any]:
        """Return what the setting needs of this training step, and the companion, by keyword."""
        made: dict[str, Callable[[], Any]] = {"images": lambda: self._normalize(batch.images), "step": lambda: step}
        if self._head is not None:
            head, (height, width) = self._head, logits.shape[-2:]
            made |= {"features": lambda: head.features((height, width)), "classifier": lambda: head.classifier}
        needed = {name: made[name]() for name in STEP if name in self._needs}
        if self._family.companion is not None:
            needed["companion"] = None if self._companionship is None else self._companionship.companion
        return needed

    def _build_companionship(self) -> Companionship | None:
        """Build what the loss brings along; where it is trained jointly, the optimizer takes its parameters."""
        companion = build_companion(self._family, self.trial, self.data)
        if companion is None:
            return None
        companionship = Companionship(companion, self.trial.training.lr, self._device)
        if companionship.joint:
            self._rates.append(self.trial.training.lr * companion.lr_factor)
            self._optimizer.add_param_group({"params": companionship.joint, "lr": self._rates[-1], "weight_decay": 0.0})
            self._parameters += companionship.joint
        return companionship

    def _class_frequencies(self) -> Tensor:
        """Return the level-weighted share of each class among the training pixels, (C,), at least one pixel's."""
        counts = self.data.splits["train"].counts
        weighted = self.levels["train"].weights @ counts
        return torch.tensor(
            np.maximum(weighted / weighted.sum(), 1 / counts.sum()), dtype=torch.float32, device=self._device
        )


def train(trial: Trial, data: Prepared) -> Iterator[EpochResult]:
    """Train one trial from its start, yielding after each epoch and its validation."""
    return Trainer(trial, data).epochs()


def _check_arguments(loss: Family, trial: Trial) -> None:
    """Raises: LossError when the trial sets an argument that neither the family's function nor its ramps take."""
    known = set(inspect.signature(loss.function).parameters) - {"logits", "target", "ignore_index", "companion"}
    known = (known - {*loss.needs}) | {*loss.hyperparameters}
    for name in trial.hyperparameters:
        if name not in known:
            raise LossError(f"{loss.name} has no hyperparameter {name!r}; {suggest(name, known)}")


def _transformed(batch: Batch, chosen: Tensor) -> Batch:
    return Batch(
        images=transform(batch.images, chosen, rows=1, cols=2),
        masks=transform(batch.masks, chosen, rows=1, cols=2),
        maps={name: transform_map(name, each, chosen) for name, each in batch.maps.items()},
    )


def _snapshot(state: Any) -> Any:
    """Return a copy of nested dicts and lists of tensors and plain data, the tensors on the CPU."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {key: _snapshot(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_snapshot(value) for value in state)
    return state
