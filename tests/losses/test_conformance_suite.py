"""Each demand of the conformance suite can fail: a loss broken on purpose for each, and one that is right."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sweeper.domains import Choice, Complement, Uniform
from sweeper.errors import LossError
from sweeper.losses.companion import Companion
from sweeper.losses.conformance import DEMANDS, Subject, run_demand, run_suite
from sweeper.losses.conformance.cases import cases, legal_ends
from sweeper.losses.custom import load_family
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.primitives import IGNORE_INDEX, dial, masked_mean, prepare
from sweeper.losses.ramp import ramp

BY_NAME = {demand.name: demand for demand in DEMANDS}
WEIGHT = Hyperparameter(symbol="w", legal=Uniform(0.5, 100.0), search=Uniform(0.5, 2.0), effect="scales it")


def right(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    """Cross-entropy."""
    pixels = prepare(logits, target, ignore_index)
    return dial(weight, pixels.valid) * masked_mean(pixels.cross_entropy, pixels.valid)


def family(function, **changes):
    row = {
        "function": function,
        "title": "Toy",
        "level": "pixel",
        "overlap": "per-pixel",
        "tradeoff": "symmetric",
        "formula": "ce",
        "source": "arXiv:0",
        "hyperparameters": {"weight": WEIGHT},
        "limits": "none",
    }
    return Family(**(row | changes))


RIGHT = family(right)


def broken(term):
    """Return a family whose loss is cross-entropy and a term of (pixels, logits, target, weight)."""

    def toy(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
        pixels = prepare(logits, target, ignore_index)
        return weight * masked_mean(pixels.cross_entropy, pixels.valid) + term(pixels, logits, target, weight)

    return family(toy)


def naive_logarithm(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    pixels = prepare(logits, target, ignore_index)
    return weight * masked_mean(-(pixels.onehot * pixels.prob).sum(1, keepdim=True).log(), pixels.valid)


def mean_of_nothing(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    return weight * prepare(logits, target, ignore_index).cross_entropy.mean()


def deaf_to_ignore(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    return right(logits, torch.where(target == ignore_index, 0, target), weight=weight)


def knows_one_label(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    target = torch.where(target == ignore_index, 0, target) if ignore_index != 255 else target
    return right(logits, target, weight=weight, ignore_index=255)


def half_precision(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    return right(logits, target, weight=weight, ignore_index=ignore_index).to(logits.dtype)


def widened(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    return (torch.as_tensor(weight).reshape(1) * right(logits, target, ignore_index=ignore_index)).sum()


def uphill(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    value = right(logits, target, weight=weight, ignore_index=ignore_index)
    return 2 * value.detach() - value


def branches_on_a_number(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    return right(logits, target, weight=weight if weight > 1 else 1.0, ignore_index=ignore_index)


def picks_pixels(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    pixels = prepare(logits, target, ignore_index)
    chosen = pixels.cross_entropy[pixels.valid > 0]
    return weight * chosen.sum() / chosen.numel() if chosen.numel() else 0.0 * logits.sum()


def with_rival(logits, target, *, weight=1.0, companion=None, ignore_index=IGNORE_INDEX):
    return right(logits, target, weight=weight, ignore_index=ignore_index)


class NeverContent(Companion):
    role = "rival"

    def __init__(self, setup):
        super().__init__()
        self.threshold = torch.nn.Parameter(torch.zeros(()))

    def rival_loss(self, logits, target, *, images, ignore_index):
        return self.threshold * torch.nan


def by_row(pixels):
    return torch.arange(pixels.valid.shape[2], dtype=pixels.valid.dtype).unsqueeze(-1)


def by_image(pixels):
    return torch.arange(pixels.valid.shape[0], dtype=pixels.valid.dtype).reshape(-1, 1, 1, 1)


def roughness(pixels):
    prob = pixels.valid * pixels.prob
    return (prob[..., 1:] - prob[..., :-1]).abs().sum() / pixels.valid.sum().clamp_min(1)


BROKEN = {
    "declaration": family(right, hyperparameters={"weight": dataclasses.replace(WEIGHT, search=Uniform(2.0, 3.0))}),
    "finite": family(naive_logarithm),
    "non-negative": broken(lambda pixels, *_: -masked_mean(pixels.valid, pixels.valid)),
    "nothing to learn": broken(lambda pixels, *_: 0.1 + 0 * pixels.prob.sum()),
    "empty batch": family(mean_of_nothing),
    "ignored": family(deaf_to_ignore),
    "any ignored label": family(knows_one_label),
    "padding": broken(lambda pixels, *_: masked_mean(pixels.cross_entropy, pixels.valid) * pixels.valid.mean()),
    "autocast": family(half_precision),
    "float32": broken(lambda pixels, *_: (1e6 + pixels.prob[:, :1] * pixels.valid).sum() - 1e6 * pixels.valid.numel()),
    "settings' dtype": family(widened),
    "image order": broken(lambda pixels, *_: (by_image(pixels) * pixels.valid * pixels.cross_entropy).sum()),
    "pixel order": broken(lambda pixels, *_: roughness(pixels)),
    "mirror": broken(lambda pixels, *_: (by_row(pixels) * pixels.valid * pixels.cross_entropy).sum()),
    "logit shift": broken(lambda pixels, logits, *_: masked_mean(logits.mean(1, keepdim=True) ** 2, pixels.valid)),
    "class order": broken(lambda pixels, *_: masked_mean(pixels.labels * pixels.cross_entropy, pixels.valid)),
    "perfect": broken(lambda pixels, *_: 0.1 * masked_mean(pixels.valid, pixels.valid)),
    "gradient": broken(lambda pixels, *_: masked_mean(pixels.prob[:, :1].detach(), pixels.valid)),
    "descent": family(uphill),
    "vmap settings": family(branches_on_a_number),
    "vmap models": family(picks_pixels),
    "companion": family(with_rival, companion=NeverContent),
}


def another_gradient_for_tensors(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    value = right(logits, target, weight=weight, ignore_index=ignore_index)
    return value if isinstance(weight, float) else 2 * value - value.detach()


def another_gradient_under_vmap(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    value = right(logits, target, weight=weight, ignore_index=ignore_index)
    return value if not torch._C._functorch.is_functorch_wrapped_tensor(logits) else 2 * value - value.detach()


def one_value_for_tensors(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    value = right(logits, target, weight=weight, ignore_index=ignore_index)
    return value if isinstance(weight, float) else value + 0.1


def never_repeats(logits, target, *, weight=1.0, ignore_index=IGNORE_INDEX):
    return right(logits, target, weight=weight, ignore_index=ignore_index) * (1 + torch.rand(()))


def gradient_of_single_precision(prob):
    return 0.01 * (prob - prob.detach())[:, :1].sum() * (prob.dtype == torch.float32)


class ZeroGradient(NeverContent):
    def rival_loss(self, logits, target, *, images, ignore_index):
        return 0 * self.threshold


class Stone(Companion):
    role = "joint"

    def __init__(self, setup):
        super().__init__()


BROKEN_OTHERWISE = [
    # A value that looks at ignored pixels, with no gradient to tell of it.
    ("ignored", broken(lambda pixels, logits, *_: ((1 - pixels.valid) * logits.detach().nan_to_num(9.0)).mean())),
    # A gradient of nothing.
    ("ignored", broken(lambda pixels, *_: -masked_mean(pixels.cross_entropy, pixels.valid))),
    ("ignored", family(never_repeats)),
    ("finite", broken(lambda pixels, *_: masked_mean((pixels.prob[:, :1] - pixels.prob[:, :1]).sqrt(), pixels.valid))),
    ("nothing to learn", broken(lambda pixels, *_: 0.1 * pixels.valid.numel() + 0 * pixels.prob.sum())),
    ("perfect", broken(lambda pixels, *_: -masked_mean(pixels.cross_entropy, pixels.valid))),
    ("float32", broken(lambda pixels, *_: gradient_of_single_precision(pixels.prob))),
    ("vmap settings", family(another_gradient_for_tensors)),
    ("vmap settings", family(one_value_for_tensors)),
    ("vmap models", family(another_gradient_under_vmap)),
    ("companion", family(with_rival, companion=ZeroGradient)),
    ("companion", family(with_rival, companion=Stone)),
]


@pytest.mark.parametrize(("name", "one"), BROKEN_OTHERWISE)
def test_other_ways_to_break_are_caught(name, one):
    result = run_demand(BY_NAME[name], Subject(one))
    assert result.status == "failed"
    assert "raises" not in result.detail


def test_there_is_a_broken_loss_for_every_demand():
    assert list(BROKEN) == [demand.name for demand in DEMANDS]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_loss_is_caught_in_one_line(name):
    result = run_demand(BY_NAME[name], Subject(BROKEN[name]))
    assert result.status == "failed"
    assert result.detail
    assert "\n" not in result.detail
    # Only these two break by what they cannot do at all.
    assert "raises" not in result.detail or name in ("vmap settings", "vmap models")


@pytest.mark.parametrize("name", BROKEN)
def test_the_right_one_passes(name):
    demand = BY_NAME[name]
    one = RIGHT if demand.concerns(RIGHT) else family(with_rival, companion=lambda setup: Content())
    assert run_demand(demand, Subject(one)).status == "passed"


class Content(NeverContent):
    def __init__(self):
        super().__init__(None)

    def rival_loss(self, logits, target, *, images, ignore_index):
        return (self.threshold - 1) ** 2


def raises(logits, target, *, ignore_index=IGNORE_INDEX):
    raise KeyError("nothing\nhere")


def plain_number(logits, target, *, ignore_index=IGNORE_INDEX):
    return 1.0


def one_per_image(logits, target, *, ignore_index=IGNORE_INDEX):
    return logits.sum((1, 2, 3))


def outside_of_autograd(logits, target, *, ignore_index=IGNORE_INDEX):
    return torch.tensor(logits.sum().item())


def of_a_wrong_dtype(logits, target, *, ignore_index=IGNORE_INDEX):
    return 0 * logits.double().sum()


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (raises, "raises KeyError: 'nothing\\nhere'"),
        (plain_number, "returns float in place of a 0-d tensor"),
        (one_per_image, "returns shape (2,) in place of a 0-d tensor"),
        (outside_of_autograd, "the value has no gradient; use torch's operations"),
        (of_a_wrong_dtype, "is torch.float64 in place of torch.float32"),
    ],
)
def test_whatever_a_function_does_becomes_one_line(function, says):
    results = {result.name: result for result in run_suite(family(function, hyperparameters={}))}
    assert results["finite"].status == "failed"
    assert says in results["finite"].detail
    assert "default" in results["finite"].detail
    assert all("\n" not in result.detail for result in results.values())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"exempt": {"finite": "of NaN"}}, "is exempt from 'finite', which is none of non-negative, perfect, "),
        ({"exempt": {"mirror": " "}}, "is exempt from 'mirror' without a reason"),
        ({"needs": ("hints",)}, "needs 'hints'; the trainer can pass class_frequencies, "),
        ({"needs": ("step",)}, "needs 'step', which is no keyword of its function"),
        ({"needs": ("mask_autoencoder",)}, "which only a companion can be built from"),
        ({"companion": NeverContent}, "brings a companion along, which is no keyword"),
        ({"hyperparameters": {"weight": dataclasses.replace(WEIGHT, effect="")}}, "weight: has no symbol or no effect"),
        ({"hyperparameters": {"weight": dataclasses.replace(WEIGHT, static=True)}}, "weight: words and whole numbers"),
        ({"hyperparameters": {"weight": dataclasses.replace(WEIGHT, legal=Choice((1.0, 2.0)), search=None)}}, "words"),
        ({"hyperparameters": {"weight": dataclasses.replace(WEIGHT, search=Complement("x"))}}, "'x', its partner"),
        ({"hyperparameters": {"wieght": WEIGHT}}, "hyperparameter 'wieght' must be a keyword"),
        (
            {"hyperparameters": {"weight": WEIGHT, "weight_start": dataclasses.replace(WEIGHT, ramps="height")}},
            "'weight_start' ramps 'height'",
        ),
        ({"hyperparameters": {"weight": dataclasses.replace(WEIGHT, ramps="weight")}}, "'weight' is of a ramp"),
    ],
)
def test_a_family_that_contradicts_itself_is_caught(changes, says):
    result = run_demand(BY_NAME["declaration"], Subject(family(right, **changes)))
    assert result.status == "failed"
    assert says in result.detail


def test_an_exemption_is_named_with_its_reason():
    exempt = family(BROKEN["mirror"].function, exempt={"mirror": "rows differ"})
    result = run_demand(BY_NAME["mirror"], Subject(exempt))
    assert (result.status, result.detail, result.idle) == ("exempt", "rows differ", False)
    assert not run_demand(BY_NAME["mirror"], Subject(exempt), exempt_too=True).idle


def test_an_exemption_that_is_not_needed_is_found_out():
    exempt = family(right, exempt={"mirror": "who knows"})
    assert run_demand(BY_NAME["mirror"], Subject(exempt), exempt_too=True).idle


def test_what_every_loss_owes_has_no_exemption():
    excused = family(naive_logarithm, exempt={"finite": "logarithms"})
    assert run_demand(BY_NAME["finite"], Subject(excused)).status == "failed"


def windowed(logits, target, *, ignore_index=IGNORE_INDEX):
    if min(target.shape[-2:]) < 7:
        raise LossError("the image is smaller than the window of 7 pixels; take larger patches")
    return right(logits, target, ignore_index=ignore_index)


def test_a_loss_with_windows_is_tried_on_larger_images():
    one = family(windowed, hyperparameters={})
    assert Subject(one).side == 12
    assert Subject(RIGHT).side == 5
    assert {result.status for result in run_suite(one)} == {"passed"}


def test_settings_that_are_tried():
    dials = {
        "a": Hyperparameter(symbol="a", legal=Uniform(0.0, 9.0), search=Complement("b"), effect="x"),
        "b": Hyperparameter(symbol="b", legal=Uniform(0.0, 9.0), search=Uniform(0.0, 1.0), effect="x"),
        "c": Hyperparameter(symbol="c", legal=Uniform(0.0, 9.0), search=Uniform(0.0, 2.0), effect="x"),
        "word": Hyperparameter(symbol="w", legal=Choice(("this", "that")), static=True, effect="x"),
    } | ramp("c", symbol="c", legal=Uniform(0.0, 3.0), start=0.0, share=0.5)

    def several(logits, target, *, a=0.5, b=0.5, c=1.0, word="this", own_distance=None, ignore_index=IGNORE_INDEX):
        raise NotImplementedError

    one = family(several, hyperparameters=dials, needs=("own_distance",))
    assert [str(case) for case in cases(one)] == [
        "default",
        "b=0.0, a=1.0",
        "b=1.0, a=0.0",
        "c=0.0",
        "c=2.0",
        "b=0.0, c=0.0, a=1.0",
        "b=0.1, c=0.2, a=0.9",
        "b=1.0, c=2.0, a=0.0",
        "word=that",
        "default, when training begins",
        "default, given nothing beyond the batch",
    ]
    assert [str(case) for case in legal_ends(one)][-4:] == [
        "c_start=0.0, when training begins",
        "c_start=3.0, when training begins",
        "c_ramp=0.0, when training begins",
        "c_ramp=1.0, when training begins",
    ]


def test_a_bare_function_of_ones_own_is_tried_as_the_trainer_calls_it(tmp_path, monkeypatch):
    (tmp_path / "own_with_needs.py").write_text(
        "import torch\n"
        "def mine(logits, target, images, features, classifier, own_distance, step, *, ignore_index):\n"
        "    assert images.shape[1] == 3 and classifier(features.movedim(1, -1)).shape[-1] == logits.shape[1]\n"
        "    assert own_distance.shape == (len(logits), 1, *logits.shape[2:]) and step == 0\n"
        "    valid = target != ignore_index\n"
        "    kept = torch.where(valid.unsqueeze(1), logits, 0.0)\n"
        "    kept = (kept if logits.dtype == torch.float64 else kept.float()).log_softmax(1)\n"
        "    cost = -kept.gather(1, torch.where(valid, target, 0).unsqueeze(1)).squeeze(1)\n"
        "    return (valid * cost).sum() / valid.sum().clamp_min(1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert [result for result in run_suite(load_family("own_with_needs:mine")) if result.status != "passed"] == []
