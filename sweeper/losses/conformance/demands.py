"""The demands on every loss. Each is a function of a `Subject` that raises `Unmet` where it does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.nn.functional import pad

from sweeper.domains import Choice, Complement, Fixed, Int, ends, outside
from sweeper.errors import LossError
from sweeper.losses.conformance.batches import AWKWARD, IGNORED, Batch, batch_of, certain, random_batch, regions_batch
from sweeper.losses.conformance.cases import DEFAULT, Case, spread, static_words
from sweeper.losses.conformance.subject import Subject, Unmet, gradients, shown
from sweeper.losses.custom import check_family
from sweeper.losses.family import Check, Family
from sweeper.losses.needs import MAPS

EXEMPTIBLE: tuple[str, ...] = get_args(Check)


@dataclass(frozen=True)
class Demand:
    """One thing that every loss must do."""

    name: str
    title: str
    """What holds where it is met, in a few words."""
    run: Callable[[Subject], None]
    """Raises Unmet where it is not met."""
    concerns: Callable[[Family], bool] = lambda family: True

    @property
    def exemptible(self) -> bool:
        """Whether a family may be exempt from it by its nature."""
        return self.name in EXEMPTIBLE


def _declaration(subject: Subject) -> None:
    family = subject.family
    try:
        check_family(family)
    except LossError as error:
        raise Unmet(str(error).removeprefix(f"{family.name}: ")) from error
    for demand, reason in family.exempt.items():
        _require(demand in EXEMPTIBLE, f"is exempt from {demand!r}, which is none of {', '.join(EXEMPTIBLE)}")
        _require(bool(reason.strip()), f"is exempt from {demand!r} without a reason")
    for name, dial in family.hyperparameters.items():
        default = family.defaults[name]
        _require(bool(dial.symbol and dial.effect), f"{name}: has no symbol or no effect")
        fixed = isinstance(dial.legal, Choice | Int)
        _require(dial.static == fixed, f"{name}: words and whole numbers are static, other numbers are dynamic")
        if isinstance(dial.search, Complement):
            _complement(family, name, dial.search)
        elif dial.search is not None:
            problem = outside(Fixed(default), dial.search)
            _require(problem is None, f"{name}: the default is outside of what is searched: {problem}")


def _complement(family: Family, name: str, search: Complement) -> None:
    partner = family.hyperparameters.get(search.of)
    _require(partner is not None and partner.search is not None, f"{name}: {search.of!r}, its partner, is not searched")
    assert partner is not None
    assert partner.search is not None
    for value in ends(partner.search):
        problem = outside(Fixed(1 - value), family.hyperparameters[name].legal)  # type: ignore[operator]
        _require(problem is None, f"{name}: as 1 − {search.of} it is not always legal: {problem}")
    own, other = family.defaults[name], family.defaults[search.of]
    apart = abs(own + other - 1)  # type: ignore[operator]
    _require(apart < 1e-9, f"{name}: the default {own} is not 1 − {search.of}")


def _finite(subject: Subject) -> None:
    for outcome in subject.outcomes:
        _require(not outcome.problem, f"{outcome}: {outcome.problem}")


def _non_negative(subject: Subject) -> None:
    for outcome in subject.outcomes:
        _require(not outcome.value < -1e-6, f"{outcome}: is {outcome.value:g}")


def _nothing_to_learn(subject: Subject) -> None:
    for outcome in subject.outcomes:
        if outcome.batch == "all ignored":
            _require(outcome.value == 0, f"{outcome}: is {outcome.value:g} in place of 0")
            _require(outcome.still, f"{outcome}: has a gradient")


def _empty(subject: Subject) -> None:
    batch = subject.batch().moved(lambda x: x[:0])
    for case in subject.cases:
        value = subject.value(batch, case).item()
        _require(value == 0, f"{case}: is {value:g} in place of 0")


def _ignored(subject: Subject) -> None:
    batch = subject.batch(side=8)
    for case in subject.cases:
        value, gradient = subject.value_and_gradient(batch, case)
        here = gradient.masked_select(batch.ignored)
        _require(not bool(here.any()), f"{case}: an ignored pixel has a gradient")
        _require(bool(gradient.any()), f"{case}: no pixel has a gradient")
        # NaN is the harshest; the others are those that become NaN on the way, and need no trial at every setting.
        for garbage in (torch.nan, torch.inf, 1e4) if case == DEFAULT else (torch.nan,):
            other_value, other_gradient = subject.value_and_gradient(_spoiled(batch, garbage), case)
            same = bool(other_value == value) and torch.equal(other_gradient, gradient)
            _require(same, f"{case}: logits of {garbage:g} on ignored pixels change value or gradient")


def _spoiled(batch: Batch, garbage: float) -> Batch:
    logits = batch.logits.masked_fill(batch.ignored, garbage)
    logits[:, :1] = logits[:, :1].masked_fill(batch.ignored, -garbage)
    features = batch.features.masked_fill(batch.ignored, garbage)
    return Batch(logits, batch.target, batch.images, features)


def _any_label(subject: Subject) -> None:
    batch = subject.batch()
    renamed = torch.where(batch.target == IGNORED, -100, batch.target)
    for case in subject.cases:
        value = subject.value(batch, case)
        # Only the label changes: target maps know nothing of it.
        keywords = subject.keywords(batch, case) | {"ignore_index": -100}
        other = subject.call(batch.logits, renamed, case, keywords)
        _require(bool(other == value), f"{case}: {other:g} with ignore_index=-100, {value:g} with {IGNORED}")


def _padding(subject: Subject) -> None:
    batch = subject.batch()
    padded = batch.moved(lambda x: pad(x, (0, 0, 0, 3), value=7 if x.is_floating_point() else IGNORED))
    for case in subject.cases:
        _close(subject.value(padded, case), subject.value(batch, case), case)


def _autocast(subject: Subject) -> None:
    batch = subject.batch().to(torch.bfloat16)
    for case in subject.cases:
        exact = subject.value(batch.to(torch.float32), case)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = subject.value(batch, case)
        _require(value.dtype == torch.float32, f"{case}: is {value.dtype} in place of float32")
        _close(value, exact, case, rtol=1e-6, atol=1e-7)


def _float32(subject: Subject) -> None:
    batch = subject.batch(side=24).to(torch.float32)
    for case in subject.cases:
        exact, exact_gradient = subject.value_and_gradient(batch.to(torch.float64), case)
        value, gradient = subject.value_and_gradient(batch, case)
        _close(value.double(), exact, case, rtol=1e-5, atol=1e-7)
        # In the norm: errors a rounding apart change places in a sort, and with them two pixels their small steps.
        off = (gradient - exact_gradient).norm() / exact_gradient.norm().clamp_min(1e-30)
        _require(bool(off <= 1e-4), f"{case}: the gradient is {off:.1g} of its size off")


def _settings_dtype(subject: Subject) -> None:
    batch = subject.batch().to(torch.float32)
    values = {name: tensor[0] for name, tensor in spread(subject.family).items()}
    value = subject.call(batch.logits, batch.target, DEFAULT, subject.keywords(batch, DEFAULT) | values)
    _require(value.dtype == torch.float32, f"float64 0-d tensors as hyperparameters make it {value.dtype}")


def _image_order(subject: Subject) -> None:
    batch = subject.batch(images=3)
    _unmoved(subject, batch, [batch.moved(lambda x: x.flip(0))])


def _pixel_order(subject: Subject) -> None:
    # Regions large enough that their pixels differ in how near an edge is.
    batch = batch_of(regions_batch())
    order = torch.randperm(batch.target[0].numel(), generator=torch.Generator().manual_seed(1))
    _unmoved(subject, batch, [batch.moved(lambda x: x.flatten(-2)[..., order].view_as(x))])


def _mirror(subject: Subject) -> None:
    batch = subject.batch()
    _unmoved(subject, batch, [batch.moved(lambda x: x.flip(-1)), batch.moved(lambda x: x.flip(-2))])


def _logit_shift(subject: Subject) -> None:
    batch = subject.batch()
    generator = torch.Generator().manual_seed(2)
    shift = 10 * torch.randn(batch.ignored.shape, generator=generator, dtype=batch.logits.dtype)
    _unmoved(subject, batch, [Batch(batch.logits + shift, batch.target, batch.images, batch.features)])


def _class_order(subject: Subject) -> None:
    batch = subject.batch(classes=4)
    order = (0, 2, 3, 1)
    names = torch.tensor([order.index(label) for label in range(4)])
    renamed = torch.where(batch.target == IGNORED, IGNORED, names[batch.target.clamp_max(3)])
    _unmoved(subject, batch, [Batch(batch.logits[:, list(order)], renamed, batch.images, batch.features, order)])


def _unmoved(subject: Subject, batch: Batch, others: Iterable[Batch]) -> None:
    others = [*others]
    for case in subject.cases:
        value = subject.value(batch, case)
        for other in others:
            _close(subject.value(other, case), value, case)


def _perfect(subject: Subject) -> None:
    # At the default: at other settings a loss may well want something else. That of a family that is exempt must show
    # at some setting.
    for case in subject.cases if "perfect" in subject.family.exempt else (DEFAULT,):
        for pair in (random_batch(side=subject.side), regions_batch()):
            right = subject.value(batch_of(certain(pair, 0)), case)
            _require(bool(right < 1e-5), f"{case}: costs {right:g} where every pixel is right with certainty")
        wrong = subject.value(batch_of(certain(regions_batch(), 1)), case)
        text = f"{case}: costs {wrong:g} where every pixel is wrong with certainty, {right:g} where right"
        _require(bool(wrong > right + 0.1), text)


def _gradient(subject: Subject) -> None:
    batch = subject.batch(side=3)
    generator = torch.Generator().manual_seed(3)
    for case in subject.cases:
        fresh, leaves = subject.leaves(batch, case)
        keywords = subject.keywords(fresh, case)
        found = gradients(subject.call(fresh.logits, fresh.target, case, keywords), leaves, case)
        for _ in range(DIRECTIONS):
            ways = [torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype) for leaf in leaves]
            ahead, behind = (_nearby(subject, batch, case, leaves, ways, sign * NEARBY) for sign in (1, -1))
            slope = (ahead - behind) / (2 * NEARBY)
            told = sum((gradient * way).sum().item() for gradient, way in zip(found, ways, strict=True))
            off = abs(told - slope)
            text = f"{case}: the value rises by {slope:.6g} along a direction in which the gradient says {told:.6g}"
            _require(off <= 1e-5 + 1e-3 * abs(slope), text)


DIRECTIONS = 3
NEARBY = 1e-6


def _nearby(subject: Subject, batch: Batch, case: Case, leaves: list[Tensor], ways: list[Tensor], far: float) -> float:
    """Return the value a little way off."""
    moved = [leaf.detach() + far * way for leaf, way in zip(leaves, ways, strict=True)]
    # Of what a model gives, the features come second, if the loss looks at them.
    features = moved[1] if len(moved) > 1 else batch.features
    return subject.value(Batch(moved[0], batch.target, batch.images, features), case).item()


def _descent(subject: Subject) -> None:
    batch = subject.batch(side=8)
    for case in subject.cases:
        fresh, leaves = subject.leaves(batch, case)
        keywords = subject.keywords(fresh, case)
        value = before = subject.call(fresh.logits, fresh.target, case, keywords)
        means, squares = ([torch.zeros_like(leaf) for leaf in leaves] for _ in range(2))
        # Adam by hand: the first use of torch.optim takes seconds to import what is not needed here.
        for step in range(1, STEPS + 1):
            found = gradients(value, leaves, case)
            with torch.no_grad():
                for leaf, gradient, mean, square in zip(leaves, found, means, squares, strict=True):
                    mean.lerp_(gradient, 0.1)
                    square.lerp_(gradient**2, 0.001)
                    leaf -= 0.1 * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
            value = subject.call(fresh.logits, fresh.target, case, keywords)
        _require(bool(value < before), f"{case}: {before:g} before and {value:g} after {STEPS} steps of Adam")


STEPS = 20


def _vmap_settings(subject: Subject) -> None:
    stacked = spread(subject.family)
    if not stacked:
        return
    batch = subject.batch()
    for words in ({}, *static_words(subject.family)):
        case = Case(words)
        moving = {name: values for name, values in stacked.items() if name not in words}
        if not moving:
            continue

        keywords = subject.keywords(batch, case)

        def run(
            values: dict[str, Any], logits: Tensor, case: Case = case, keywords: dict[str, Any] = keywords
        ) -> Tensor:
            return subject.call(logits, batch.target, case, keywords | values)

        found, values = _mapped(run, (moving, batch.logits), (0, None), 1, case)
        for index in range(len(values)):
            one = {name: tensor[index] for name, tensor in moving.items()}
            plain = {name: tensor.item() for name, tensor in one.items()}
            value, gradient = _one_by_one(subject, batch, case, keywords | plain)
            _close(values[index], value, case)
            _close(found[index], gradient, case, what="the gradient")
            _close(run(one, batch.logits), value, case)


def _vmap_models(subject: Subject) -> None:
    for case in subject.cases:
        _map_models(subject, case, own_target=False)
        # Target maps cannot be worked out under vmap over targets: whoever maps so has them.
        if not (case.bare and any(name in MAPS for name in subject.family.needs_at(case.values))):
            _map_models(subject, case, own_target=True)


def _map_models(subject: Subject, case: Case, *, own_target: bool) -> None:
    batches = [subject.batch(seed=seed) for seed in range(3)]
    members = batches if own_target else [_with_target(batch, batches[0]) for batch in batches]
    keywords = [subject.keywords(batch, case) for batch in members]
    moving = [name for name in keywords[0] if name in (*MAPS, "images", "features")]

    def run(logits: Tensor, target: Tensor, own: dict[str, Tensor]) -> Tensor:
        return subject.call(logits, target, case, keywords[0] | own)

    logits = torch.stack([batch.logits for batch in members])
    targets = torch.stack([batch.target for batch in members]) if own_target else members[0].target
    own = {name: torch.stack([each[name] for each in keywords]) for name in moving}
    found, values = _mapped(run, (logits, targets, own), (0, 0 if own_target else None, 0), 0, case)
    for index, batch in enumerate(members):
        value, gradient = _one_by_one(subject, batch, case, keywords[index])
        _close(values[index], value, case)
        _close(found[index], gradient, case, what="the gradient")


def _with_target(batch: Batch, other: Batch) -> Batch:
    return Batch(batch.logits, other.target, other.images, batch.features)


def _mapped(
    run: Callable[..., Tensor], inputs: tuple[Any, ...], dims: tuple[Any, ...], argument: int, case: Case
) -> tuple[Tensor, Tensor]:
    """Return gradients and values under vmap."""
    try:
        found: tuple[Tensor, Tensor] = vmap(grad_and_value(run, argnums=argument), in_dims=dims)(*inputs)
    except Unmet:
        raise
    except Exception as error:
        raise Unmet(f"{case}: under vmap it raises {shown(error)}") from error
    return found


def _one_by_one(subject: Subject, batch: Batch, case: Case, keywords: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return value and gradient without vmap."""
    leaf = batch.logits.detach().clone().requires_grad_()
    value = subject.call(leaf, batch.target, case, keywords)
    return value.detach(), gradients(value, [leaf], case)[0]


def _companion(subject: Subject) -> None:
    for case in subject.cases:
        companion = subject.companion(3, case)
        if companion is None or companion.role == "frozen":
            continue
        rival = companion.role == "rival"
        for name, make in AWKWARD.items():
            batch = batch_of(make(subject.side)).to(torch.float32)
            if batch.classes != 3:
                continue
            learned = [parameter.requires_grad_() for parameter in companion.parameters()]
            _require(bool(learned), f"{case}: its companion has nothing to learn and should be frozen")
            if rival:
                value = companion.rival_loss(batch.logits, batch.target, images=batch.images, ignore_index=IGNORED)
            else:
                value = subject.value(batch, case)
            _require(bool(torch.isfinite(value)), f"{case}, on the batch {name!r}: what it learns from is {value:g}")
            # On a batch without a valid pixel there may be nothing to learn from.
            found = gradients(value, learned, case) if value.requires_grad else []
            finite = all(bool(torch.isfinite(each).all()) for each in found)
            _require(finite, f"{case}, on the batch {name!r}: its gradient is not finite")
            if name == "random":
                _require(any(bool(each.any()) for each in found), f"{case}: its companion learns nothing")
        companion.requires_grad_(not rival)


DEMANDS: tuple[Demand, ...] = (
    Demand("declaration", "signature, hyperparameters, domains and defaults tell one story", _declaration),
    Demand("finite", "value and gradient are finite on every awkward batch", _finite),
    Demand("non-negative", "the value is never below 0", _non_negative),
    Demand("nothing to learn", "a batch of ignored pixels costs 0, with gradient 0", _nothing_to_learn),
    Demand("empty batch", "a batch without images costs 0", _empty),
    Demand("ignored", "ignored pixels count for nothing and get no gradient, whatever their logits", _ignored),
    Demand("any ignored label", "any label can be the ignored one", _any_label),
    Demand("padding", "adding ignored rows changes nothing", _padding),
    Demand("autocast", "half-precision logits under autocast give what they give in float32", _autocast),
    Demand("float32", "value and gradient in float32 are close to those in float64", _float32),
    Demand("settings' dtype", "float64 hyperparameters leave a float32 loss float32", _settings_dtype),
    Demand("image order", "the order of images does not matter", _image_order),
    Demand("pixel order", "the order of pixels does not matter", _pixel_order),
    Demand("mirror", "mirroring image and target together does not matter", _mirror),
    Demand("logit shift", "adding a constant to all logits of a pixel does not matter", _logit_shift),
    Demand("class order", "the order of foreground classes does not matter", _class_order),
    Demand("perfect", "certain and right costs nothing, certain and wrong costs more", _perfect),
    Demand("gradient", "autograd's gradient is that of the value", _gradient),
    Demand("descent", "twenty steps of Adam lower the loss", _descent),
    Demand("vmap settings", "several settings at once equal one after the other", _vmap_settings),
    Demand("vmap models", "several models at once equal one after the other", _vmap_models),
    Demand(
        "companion",
        "what it brings along can be trained on every awkward batch",
        _companion,
        lambda family: family.companion is not None,
    ),
)
"""In the order of a card."""


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise Unmet(text)


def _close(
    value: Tensor, expected: Tensor, case: Case, *, rtol: float = 1e-7, atol: float = 1e-7, what: str = "the value"
) -> None:
    """As `torch.testing.assert_close` in float64; NaN is close to nothing."""
    off = (value - expected).abs()
    if not bool((off <= atol + rtol * expected.abs()).all()):
        raise Unmet(f"{case}: {what} differs by {off.max():.2g}, from one of size {expected.abs().max():.3g}")
