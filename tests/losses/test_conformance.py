"""What every family must do. A new row of the catalogue is tested here without a new line."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch.func import grad_and_value, vmap

from sweeper.domains import Choice, Complement, ends
from sweeper.losses.catalogue import FAMILIES
from sweeper.losses.custom import check_family

from .batches import AWKWARD, IGNORED, describe, dynamic_settings, extremes, random_batch, settings

pytestmark = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def value_and_gradient(family, logits, target, **values):
    logits = logits.detach().clone().requires_grad_()
    value = family.function(logits, target, ignore_index=IGNORED, **values)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


@pytest.mark.parametrize("batch", AWKWARD)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradient_are_finite(family, batch, dtype):
    logits, target = AWKWARD[batch]()
    for values in (*settings(family), *extremes(family)):
        value, gradient = value_and_gradient(family, logits.to(dtype), target, **values)
        assert value.shape == (), describe(values)
        assert value.dtype == dtype, describe(values)
        assert torch.isfinite(value), describe(values)
        assert value >= -1e-6, describe(values)
        assert torch.isfinite(gradient).all(), describe(values)


def test_nothing_to_learn_costs_nothing(family):
    logits, target = AWKWARD["all ignored"]()
    for values in (*settings(family), *extremes(family)):
        value, gradient = value_and_gradient(family, logits, target, **values)
        assert value == 0, describe(values)
        assert (gradient == 0).all(), describe(values)


def test_an_empty_batch_costs_nothing(family):
    logits, target = random_batch()
    assert family.function(logits[:0], target[:0]) == 0


@pytest.mark.parametrize("garbage", [1e4, -1e4, torch.inf, torch.nan])
def test_ignored_pixels_count_for_nothing(family, garbage):
    logits, target = random_batch()
    ignored = (target == IGNORED).unsqueeze(1)
    spoiled = logits.masked_fill(ignored, garbage)
    spoiled[:, 0] = torch.where(ignored[:, 0], -garbage, spoiled[:, 0])
    for values in settings(family):
        value, gradient = value_and_gradient(family, logits, target, **values)
        other_value, other_gradient = value_and_gradient(family, spoiled, target, **values)
        assert other_value == value, describe(values)
        assert torch.equal(other_gradient, gradient), describe(values)
        assert (gradient.masked_select(ignored) == 0).all(), describe(values)
        assert (gradient.masked_select(~ignored) != 0).any(), describe(values)


def test_any_label_can_be_the_ignored_one(family):
    logits, target = random_batch()
    value = family.function(logits, target, ignore_index=IGNORED)
    assert family.function(logits, torch.where(target == IGNORED, -100, target)) == value


def test_cropping_ignored_rows_away_changes_nothing(family):
    logits, target = random_batch()
    padded_target = torch.nn.functional.pad(target, (0, 0, 0, 3), value=IGNORED)
    padded_logits = torch.nn.functional.pad(logits, (0, 0, 0, 3), value=7.0)
    for values in settings(family):
        value, _ = value_and_gradient(family, logits, target, **values)
        padded, _ = value_and_gradient(family, padded_logits, padded_target, **values)
        torch.testing.assert_close(padded, value, msg=describe(values))


def test_autocast_to_bfloat16_returns_float32(family):
    logits, target = random_batch()
    half = logits.bfloat16()
    for values in settings(family):
        exact = family.function(half.float(), target, ignore_index=IGNORED, **values)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = family.function(half, target, ignore_index=IGNORED, **values)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact, rtol=1e-6, atol=1e-7, msg=describe(values))


def test_float32_is_close_to_float64(family):
    logits, target = random_batch(side=32)
    logits = logits.float().double()
    for values in settings(family):
        exact, exact_gradient = value_and_gradient(family, logits, target, **values)
        value, gradient = value_and_gradient(family, logits.float(), target, **values)
        torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-7, msg=describe(values))
        # In the norm: errors a rounding apart change places in a sort, and with them two pixels their small steps.
        assert (gradient - exact_gradient).norm() <= 1e-4 * exact_gradient.norm(), describe(values)


def test_order_of_images_and_pixels_does_not_matter(family):
    logits, target = random_batch(images=3)
    order = torch.randperm(target[0].numel(), generator=torch.Generator().manual_seed(1))
    for values in settings(family):
        value, _ = value_and_gradient(family, logits, target, **values)
        images = family.function(logits.flip(0), target.flip(0), ignore_index=IGNORED, **values)
        pixels = family.function(
            logits.flatten(2)[..., order].view_as(logits),
            target.flatten(1)[..., order].view_as(target),
            ignore_index=IGNORED,
            **values,
        )
        torch.testing.assert_close(images, value, msg=describe(values))
        torch.testing.assert_close(pixels, value, msg=describe(values))


def test_adding_a_constant_to_a_pixels_logits_does_not_matter(family):
    logits, target = random_batch()
    shift = torch.randn(target.shape, generator=torch.Generator().manual_seed(2), dtype=logits.dtype).unsqueeze(1)
    for values in settings(family):
        value, _ = value_and_gradient(family, logits, target, **values)
        shifted = family.function(logits + 10 * shift, target, ignore_index=IGNORED, **values)
        torch.testing.assert_close(shifted, value, msg=describe(values))


def test_foreground_classes_are_interchangeable(family):
    logits, target = random_batch(classes=4)
    order = torch.tensor([0, 2, 3, 1])
    renamed = torch.where(target == IGNORED, IGNORED, order.argsort()[target.clamp_max(3)])
    for values in settings(family):
        value, _ = value_and_gradient(family, logits, target, **values)
        other = family.function(logits[:, order], renamed, ignore_index=IGNORED, **values)
        torch.testing.assert_close(other, value, msg=describe(values))


def test_vmap_over_hyperparameters_equals_the_loop(family):
    logits, target = random_batch()
    stacked = dynamic_settings(family)
    if not stacked:
        pytest.skip(f"{family.name} has no dynamic hyperparameter")

    def run(values, logits):
        return family.function(logits, target, ignore_index=IGNORED, **values)

    gradients, losses = vmap(grad_and_value(run, argnums=1), in_dims=(0, None))(stacked, logits)
    for index in range(len(losses)):
        one = {name: values[index] for name, values in stacked.items()}
        plain = {name: value.item() for name, value in one.items()}
        value, gradient = value_and_gradient(family, logits, target, **plain)
        torch.testing.assert_close(losses[index], value)
        torch.testing.assert_close(gradients[index], gradient)
        torch.testing.assert_close(run(one, logits), value)


def test_float64_hyperparameters_leave_the_result_float32(family):
    logits, target = random_batch()
    values = {name: tensor[0] for name, tensor in dynamic_settings(family).items()}
    value = family.function(logits.float(), target, ignore_index=IGNORED, **values)
    assert value.dtype == torch.float32


@pytest.mark.parametrize("stack_target", [False, True])
def test_vmap_over_models_equals_the_loop(family, stack_target):
    batches = [random_batch(seed=seed) for seed in range(3)]
    logits = torch.stack([batch[0] for batch in batches])
    targets = torch.stack([batch[1] for batch in batches]) if stack_target else batches[0][1]

    def run(logits, target):
        return family.function(logits, target, ignore_index=IGNORED, **values)

    for values in settings(family):
        gradients, losses = vmap(grad_and_value(run), in_dims=(0, 0 if stack_target else None))(logits, targets)
        for index in range(len(logits)):
            target = targets[index] if stack_target else targets
            value, gradient = value_and_gradient(family, logits[index], target, **values)
            torch.testing.assert_close(losses[index], value, msg=describe(values))
            torch.testing.assert_close(gradients[index], gradient, msg=describe(values))


def test_gradient_is_that_of_the_value(family):
    logits, target = random_batch(side=3, images=2)
    logits.requires_grad_()
    for values in settings(family):

        def run(logits, values=values):
            return family.function(logits, target, ignore_index=IGNORED, **values)

        # Fast mode compares along random directions: a tenth of the time.
        assert torch.autograd.gradcheck(run, (logits,), fast_mode=True), describe(values)


def test_twenty_steps_of_descent_lower_the_loss(family):
    start, target = random_batch(side=8)
    for values in settings(family):
        logits = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([logits], lr=0.1)
        before = family.function(logits, target, ignore_index=IGNORED, **values).item()
        for _ in range(20):
            optimizer.zero_grad()
            family.function(logits, target, ignore_index=IGNORED, **values).backward()
            optimizer.step()
        after = family.function(logits, target, ignore_index=IGNORED, **values).item()
        assert after < before, describe(values)


def test_perfect_is_better_than_wrong(family):
    right, target = AWKWARD["saturated right"]()
    wrong, _ = AWKWARD["saturated wrong"]()
    perfect = family.function(right, target, ignore_index=IGNORED)
    assert perfect < 1e-5
    assert family.function(wrong, target, ignore_index=IGNORED) > perfect + 0.5


def test_hyperparameters_are_the_signature(family):
    check_family(family)
    parameters = inspect.signature(family.function).parameters
    assert list(parameters)[:2] == ["logits", "target"]
    keywords = {name for name, parameter in parameters.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    assert {*parameters} == {"logits", "target", *keywords}
    # What is neither a hyperparameter nor the trainer's is a vector for direct use.
    rest = keywords - {*family.hyperparameters, *family.needs, "ignore_index"}
    assert rest <= {"class_weights"}
    assert parameters["ignore_index"].default == -100


def test_hyperparameters_say_all_there_is_to_say(family):
    for name, dial in family.hyperparameters.items():
        assert dial.symbol, name
        assert dial.effect, name
        assert dial.static == isinstance(dial.legal, Choice), f"{name}: words and flags are static, numbers dynamic"
        assert not (dial.static and dial.search), f"{name}: a static option is not searched unless a study says so"
        if isinstance(dial.search, Complement):
            assert dial.search.of in family.hyperparameters
            partner = family.hyperparameters[dial.search.of]
            assert all(1 - value >= dial.legal.low for value in ends(partner.search))
            assert family.defaults[name] == pytest.approx(1 - family.defaults[dial.search.of])
        elif dial.search is not None:
            low, high = ends(dial.search)
            assert low <= family.defaults[name] <= high, f"{name}: the default is inside what is searched"


def test_documented(family):
    doc = inspect.getdoc(family.function)
    assert family.function.__name__ == family.name
    for word in ("L = ", "Args:", "logits: (B, C, H, W)", "target: (B, H, W) int64", "Raises:", "Source:", "Fails:"):
        assert word in doc, word
    for name in set(inspect.signature(family.function).parameters) - {"ignore_index"}:
        assert f"{name}:" in doc, name
    assert family.title
    assert family.formula
    assert "\n" not in family.formula
    assert family.limits
    assert "arXiv:" in family.source or "doi:" in family.source
