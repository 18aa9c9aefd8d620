"""What every loss is made of: the batch as a loss sees it, means over pixels, soft counts, means over classes.

The rules these obey, so that no loss has to think of them again:

- Sums, logarithms and powers are taken in float32 (float64 stays float64), also under autocast.
- Probabilities are the exponential of one log-softmax, never the other way round: exact at logits of ±1e4.
- Ignored pixels are neutralized *before* the softmax, so that nothing there, not even NaN, reaches a value or gradient.
- A base that can be 0 is clamped before a power below 1 or a logarithm is taken of it, and such a power still goes to
  0 (`safe_power`); denominators are clamped too.
- No Python branch, index or size depends on a tensor's content or a dynamic hyperparameter's value, so that
  `torch.func.vmap` can run several settings, or several models, at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from sweeper.domains import Choice, Int, Value
from sweeper.errors import LossError, suggest
from sweeper.losses.family import Family

IGNORE_INDEX = -100
"""Label of pixels that count for nothing, as in `torch.nn.functional.cross_entropy`."""

FLOOR = 1e-7
"""Least denominator, and least base of a power whose slope at 0 is infinite."""

Dial = float | Tensor
"""A dynamic hyperparameter: a number, or a 0-d tensor (batched by vmap)."""

Vector = Sequence[float] | Tensor
"""One number per class."""

Scope = Literal["batch", "image"]
Classes = Literal["all", "foreground"]
Absent = Literal["skip", "smooth"]


@dataclass(frozen=True)
class Pixels:
    """A batch as every loss sees it. B images, C classes; the dtype is float32 or float64."""

    log_prob: Tensor
    """(B, C, H, W), log-softmax of the logits; uniform on ignored pixels."""
    labels: Tensor
    """(B, 1, H, W) int64, class indices; 0 on ignored pixels."""
    valid: Tensor
    """(B, 1, H, W), 1 where the pixel counts, 0 where it is ignored."""

    @cached_property
    def prob(self) -> Tensor:
        """(B, C, H, W), softmax of the logits."""
        return self.log_prob.exp()

    @cached_property
    def onehot(self) -> Tensor:
        """(B, C, H, W), 1 at the true class of valid pixels, else 0; ignored pixels are 0 in every class."""
        return (self.true_class & (self.valid > 0)).to(self.log_prob.dtype)

    @cached_property
    def true_class(self) -> Tensor:
        """(B, C, H, W) bool, the class of each pixel; class 0 on ignored pixels.

        By comparison: scattering ones costs four times as much on a CPU, and gathering by label, in its backward pass,
        seven times.
        """
        classes = torch.arange(self.log_prob.shape[1], device=self.labels.device)
        return self.labels == classes.reshape(-1, 1, 1)

    @cached_property
    def true_log_prob(self) -> Tensor:
        """(B, 1, H, W), log-probability of the true class."""
        return self.log_prob.masked_fill(~self.true_class, 0.0).sum(dim=1, keepdim=True)

    @cached_property
    def log_one_minus_true(self) -> Tensor:
        """(B, 1, H, W), log(1 − p) of the true class, as the log-sum of the other classes.

        (1 − p)^γ taken as exp(γ log(1 − p)) has a finite gradient for every γ ≥ 0 also where p rounds to 1, where
        the power itself gives NaN for γ < 1.
        """
        return self.log_prob.masked_fill(self.true_class, -torch.inf).logsumexp(dim=1, keepdim=True)

    @cached_property
    def log_one_minus(self) -> Tensor:
        """(B, C, H, W), log(1 − p) of every class, finite also where p rounds to 1.

        Only the likeliest class can come near 1: of it, the log-sum of the others is taken.
        """
        log_prob = self.log_prob
        likeliest = torch.zeros_like(log_prob, dtype=torch.bool).scatter(1, log_prob.argmax(1, keepdim=True), True)
        others = log_prob.masked_fill(likeliest, -torch.inf).logsumexp(dim=1, keepdim=True)
        return torch.where(likeliest, others, torch.log1p(-torch.where(likeliest, 0.0, self.prob)))

    @cached_property
    def cross_entropy(self) -> Tensor:
        """(B, 1, H, W), −log p of the true class."""
        return -self.true_log_prob


def prepare(logits: Tensor, target: Tensor, ignore_index: int) -> Pixels:
    """Check the shapes and return the batch as every loss sees it.

    Args:
        logits: (B, C, H, W) floating point, C ≥ 2, any real numbers; binary is C = 2.
        target: (B, H, W) int64, class indices 0 to C − 1 or `ignore_index`.

    Raises: LossError when shapes or dtypes are not these. Labels beyond C − 1 raise it on the CPU; on an accelerator
    they end in its own index assertion, because looking first would stall the device at every step.
    """
    _check_call(logits, target)
    valid = (target != ignore_index).unsqueeze(1)
    labels = torch.where(valid, target.unsqueeze(1), 0)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    log_prob = logits.masked_fill(~valid, 0.0).log_softmax(dim=1)
    try:
        log_prob.detach().gather(1, labels)  # for its index check alone
    except RuntimeError as error:
        if "out of bounds" not in str(error):
            raise
        raise LossError(
            f"target holds a label outside 0 to {logits.shape[1] - 1} that is not ignore_index={ignore_index}; "
            "remap the label, pass its value as ignore_index, or give the model more classes"
        ) from None
    return Pixels(log_prob=log_prob, labels=labels, valid=valid.to(log_prob.dtype))


def dial(value: Dial, like: Tensor) -> Dial:
    """Return a hyperparameter in the dtype and on the device of `like`, so that a float64 0-d tensor widens nothing."""
    return value.to(like) if isinstance(value, Tensor) else value


def vector(values: Vector, like: Pixels, name: str) -> Tensor:
    """Return one number per class as a (C,) tensor of the batch's dtype and device.

    Raises: LossError when there is not one number per class.
    """
    tensor = torch.as_tensor(values, dtype=like.log_prob.dtype, device=like.log_prob.device)
    classes = like.log_prob.shape[1]
    if tensor.shape != (classes,):
        raise LossError(f"{name} has shape {tuple(tensor.shape)}; with {classes} classes it must be ({classes},)")
    return tensor


def masked_mean(values: Tensor, valid: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over valid pixels, weighted if asked: a scalar, 0 when every pixel is ignored.

    `values`, `valid` and `weights` are (B, 1, H, W). Weights are divided out again: their common scale changes nothing.
    """
    if weights is None:
        return (valid * values).sum() / valid.sum().clamp_min(1)
    weights = valid * weights
    return (weights * values).sum() / weights.sum().clamp_min(FLOOR)


def foreground_weights(pixels: Pixels, weight: Dial) -> Tensor:
    """Return the weight of each pixel, (B, 1, H, W): `weight` on every class but 0, 1 − weight on class 0."""
    foreground = (pixels.labels > 0).to(pixels.log_prob.dtype)
    return weight * foreground + (1 - weight) * (1 - foreground)


def batch_frequencies(pixels: Pixels) -> Tensor:
    """Return the share of each class among the batch's valid pixels: (C,), at least the share of one pixel."""
    total = pixels.valid.sum().clamp_min(1)
    return torch.maximum(pixels.onehot.sum(dim=(0, 2, 3)), torch.ones_like(total)) / total


@dataclass(frozen=True, slots=True)
class Counts:
    """Soft confusion counts per class, in pixels: (C,) pooled over the batch, or (B, C) per image."""

    tp: Tensor
    """Probability of the class on its own pixels."""
    fp: Tensor
    """Probability of the class on the valid pixels of other classes."""
    fn: Tensor
    """Probability of the other classes on the class's pixels."""
    target: Tensor
    """Pixels of the class: tp + fn, but exact."""


def soft_counts(pixels: Pixels, scope: Scope) -> Counts:
    """Count true positives, false positives and false negatives with probabilities in place of decisions.

    Each is summed by itself: as a difference of two sums, the few false positives of the large background class would
    drown in float32 rounding.
    """
    dims = pooled_dims(scope)
    onehot, prob = pixels.onehot, pixels.prob
    return Counts(
        tp=(onehot * prob).sum(dims),
        fp=((pixels.valid - onehot) * prob).sum(dims),
        fn=(onehot * (1 - prob)).sum(dims),
        target=onehot.sum(dims),
    )


def pooled_dims(scope: Scope) -> tuple[int, ...]:
    """Return the dimensions of a (B, C, H, W) tensor that are summed into the counts of one scope."""
    check_option("scope", scope, ("batch", "image"))
    return (0, 2, 3) if scope == "batch" else (2, 3)


def tversky_index(counts: Counts, alpha: Dial, beta: Dial, smooth: Dial) -> Tensor:
    """Return (TP + s) / (TP + α FP + β FN + s) per class, in the shape of the counts.

    α = β = ½ is the Dice coefficient and α = β = 1 the Jaccard index (IoU), for every s: the smoothing is added in
    this one form, so that a "+1" in the classic Dice fraction is s = ½ here.
    """
    denominator = counts.tp + alpha * counts.fp + beta * counts.fn + smooth
    return (counts.tp + smooth) / denominator.clamp_min(FLOOR)


def safe_power(base: Tensor, exponent: Dial) -> Tensor:
    """Return base^exponent for base ≥ 0 and any exponent ≥ 0; below the floor, a straight line to 0.

    The gradient is finite also at base 0, and the power is 0 there: the floor alone to the power 0.1 is 0.2, which a
    perfect mask would cost.
    """
    return base.clamp_min(FLOOR) ** exponent * (base / FLOOR).clamp(0, 1)


def kept_classes(target: Tensor, classes: Classes, absent: Absent) -> Tensor:
    """Return 1 for each class that is scored and 0 for the others, in the shape of `target`.

    Args:
        target: (C,) or (B, C), pixels of each class.
        classes: `all`, or `foreground` for every class but 0.
        absent: `skip` leaves out classes without a pixel, `smooth` keeps them. An image whose every pixel is ignored
            keeps none.
    """
    check_option("classes", classes, ("all", "foreground"))
    check_option("absent", absent, ("skip", "smooth"))
    kept = target > 0 if absent == "skip" else (target.sum(-1, keepdim=True) > 0).expand_as(target)
    if classes == "foreground":
        kept = kept & (torch.arange(target.shape[-1], device=target.device) > 0)
    return kept.to(target.dtype)


def scored_classes(classes: Classes) -> slice:
    """Return the channels that `classes` can score, so that none is worked out in vain."""
    check_option("classes", classes, ("all", "foreground"))
    return slice(1 if classes == "foreground" else 0, None)


def class_mean(values: Tensor, kept: Tensor) -> Tensor:
    """Return the mean over the kept classes, then over the images that keep any: a scalar, 0 when none does.

    `values` must be finite also where they are not kept. Both are (C,) or (B, C).
    """
    return image_mean((kept * values).sum(-1) / kept.sum(-1).clamp_min(1), kept)


def image_mean(values: Tensor, kept: Tensor) -> Tensor:
    """Return the mean over the images that keep any class: `values` is () or (B,), `kept` is (C,) or (B, C)."""
    scored = (kept.sum(-1) > 0).to(values.dtype)
    return (scored * values).sum() / scored.sum().clamp_min(1)


def sorted_errors(pixels: Pixels, scope: Scope) -> tuple[Tensor, Tensor]:
    """Return |onehot − p| in decreasing order and the one-hot target in the same order.

    Both are (C, B·H·W), or (B, C, H·W) per image. Ignored pixels have error 0 and so come last, where they add nothing.
    """
    check_option("scope", scope, ("batch", "image"))
    errors = (pixels.onehot - pixels.valid * pixels.prob).abs()
    target = pixels.onehot
    if scope == "batch":
        errors, target = errors.transpose(0, 1).flatten(1), target.transpose(0, 1).flatten(1)
    else:
        errors, target = errors.flatten(2), target.flatten(2)
    # Stable, so that ties, and with them the subgradient, fall out alike in every run.
    errors, order = errors.sort(dim=-1, descending=True, stable=True)
    return errors, target.gather(-1, order)


def check_option(name: str, value: object, allowed: Sequence[Value]) -> None:
    """Raise LossError unless `value` is one of the words or numbers allowed."""
    if value in allowed:
        return
    words = [each for each in allowed if isinstance(each, str)]
    if len(words) == len(allowed):
        raise LossError(f"{name} is {value!r}; {suggest(str(value), words)}")
    listed = f"{allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else ", ".join(map(str, allowed))
    raise LossError(f"{name} is {value!r}; choose from {listed}")


def check_static(family: Family, **values: object) -> None:
    """Raise LossError unless each of these static arguments has one of its legal values."""
    for name, value in values.items():
        legal = family.hyperparameters[name].legal
        if isinstance(legal, Int):
            check_option(name, value, range(legal.low, legal.high + 1))
        elif isinstance(legal, Choice):
            check_option(name, value, legal.values)


def check_smooth(absent: Absent, smooth: Dial) -> None:
    """Raise LossError when absent classes are to be scored by a smoothing that is 0: they would cost 1, right or wrong.

    A tensor is not looked into.
    """
    if absent == "smooth" and not isinstance(smooth, Tensor) and smooth <= 0:
        raise LossError(f"absent='smooth' scores absent classes by `smooth`, which is {smooth:g}; set it above 0")


def _check_call(logits: Tensor, target: Tensor) -> None:
    if not isinstance(logits, Tensor) or not isinstance(target, Tensor):
        raise LossError(f"logits and target must be tensors, got {type(logits).__name__} and {type(target).__name__}")
    if logits.ndim != 4 or logits.shape[1] < 2:
        raise LossError(
            f"logits have shape {tuple(logits.shape)}; they must be (batch, classes, height, width) with at least "
            "2 classes: a binary task has background and foreground"
        )
    if not logits.is_floating_point():
        raise LossError(f"logits are {logits.dtype}; they must be floating point")
    expected = (logits.shape[0], *logits.shape[2:])
    if target.shape != expected:
        raise LossError(
            f"target has shape {tuple(target.shape)}; with logits of shape {tuple(logits.shape)} it must be {expected}"
        )
    if target.dtype != torch.int64:
        raise LossError(f"target is {target.dtype}; it must be torch.int64 class indices, e.g. target.long()")
