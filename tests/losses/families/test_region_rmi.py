"""Region mutual information: by its definition with loops and inverses, and where it must not break."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.func import grad_and_value, vmap

from sweeper.errors import LossError
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.region.rmi import rmi

from ..batches import IGNORED, random_batch

CASES = [random_batch(classes, seed, side=9) for classes, seed in itertools.product((2, 3, 5), (0, 1))]
every_batch = pytest.mark.parametrize("batch", CASES, ids=lambda each: "batch")


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def pooled(image, pool):
    """Average pooling with half a window of zeros around, as the authors' code pads, by slices."""
    if pool == 1:
        return image
    padded = np.pad(image, pool // 2)
    rows, columns = ((side - pool) // pool + 1 for side in padded.shape)
    return np.array(
        [
            [padded[i * pool : (i + 1) * pool, j * pool : (j + 1) * pool].mean() for j in range(columns)]
            for i in range(rows)
        ]
    )


def scatter_of_patches(image, radius):
    rows, columns = (side - radius + 1 for side in image.shape)
    patches = [image[i : i + radius, j : j + radius].ravel() for i in range(rows) for j in range(columns)]
    return np.array(patches).T - np.mean(patches, axis=0)[:, None]


def term_by_definition(batch, *, radius, pool, xi, labels=None):
    logits, target = batch
    prob = logits.softmax(1).numpy()
    terms = []
    for image, label in itertools.product(range(len(target)), labels or range(logits.shape[1])):
        valid = (target[image] != IGNORED).numpy()
        own = (target[image] == label).numpy().astype(float)
        y = scatter_of_patches(pooled(own, pool), radius)
        p = scatter_of_patches(pooled(prob[image, label] * valid, pool), radius)
        noise = xi * np.eye(radius**2)
        left = y @ y.T - y @ p.T @ np.linalg.inv(p @ p.T + noise) @ p @ y.T + noise
        sign, log_det = np.linalg.slogdet(left)
        assert sign > 0
        terms.append(log_det / (2 * radius**2))
    return np.mean(terms)


@every_batch
@pytest.mark.parametrize(("radius", "pool"), [(2, 1), (3, 1), (4, 1), (2, 2), (3, 2), (2, 3), (3, 3), (2, 4), (3, 4)])
def test_by_its_definition(batch, radius, pool):
    for xi in (5e-4, 1e-2):
        expected = term_by_definition(batch, radius=radius, pool=pool, xi=xi)
        value = at(rmi, batch, lam=0.0, radius=radius, pool=pool, xi=xi)
        assert value.item() == pytest.approx(expected, abs=1e-7)


@every_batch
def test_it_is_a_mixture_with_cross_entropy(batch):
    same = {"rtol": 1e-9, "atol": 1e-12}
    term = at(rmi, batch, lam=0.0, pool=2)
    torch.testing.assert_close(at(rmi, batch, lam=1.0, pool=2), at(cross_entropy, batch), **same)
    expected = 0.3 * at(cross_entropy, batch) + 0.7 * term
    torch.testing.assert_close(at(rmi, batch, lam=0.3, pool=2), expected, **same)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("xi", [1e-6, 5e-4, 1.0])
def test_a_constant_target_leaves_half_log_xi_and_no_gradient(label, xi):
    logits, target = random_batch(side=9)
    logits.requires_grad_()
    value = at(rmi, (logits, torch.full_like(target, label)), lam=0.0, pool=1, xi=xi)
    assert value.item() == pytest.approx(math.log(xi) / 2, abs=1e-9)
    (gradient,) = torch.autograd.grad(value, logits)
    assert gradient.abs().max() < 1e-9


@every_batch
def test_it_never_falls_below_half_log_xi(batch):
    _, target = batch
    classes = batch[0].shape[1]
    right = 1e4 * torch.nn.functional.one_hot(target.where(target != IGNORED, 0), classes).movedim(-1, 1).double()
    for xi in (1e-6, 5e-4):
        perfect = at(rmi, (right, target), lam=0.0, pool=1, xi=xi)
        assert math.log(xi) / 2 <= perfect <= math.log(2 * xi) / 2
        assert perfect < at(rmi, batch, lam=0.0, pool=1, xi=xi)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_both_of_two_classes_have_the_same_term(label, seed):
    # Where nothing is ignored: an ignored pixel is 0 in both classes, not 1 in one of them.
    batch = random_batch(classes=2, seed=seed, side=9, ignored=0.0)
    of_one = term_by_definition(batch, radius=3, pool=1, xi=5e-4, labels=[label])
    assert at(rmi, batch, lam=0.0, pool=1).item() == pytest.approx(of_one, abs=1e-9)


def test_neighbours_count():
    """The same errors at the same pixels, in another arrangement: cross-entropy cannot tell, this can."""
    logits, target = random_batch(side=9)
    order = torch.randperm(81, generator=torch.Generator().manual_seed(1))
    shuffled = logits.flatten(2)[..., order].view_as(logits), target.flatten(1)[..., order].view_as(target)
    assert at(cross_entropy, shuffled).item() == pytest.approx(at(cross_entropy, (logits, target)).item())
    assert abs(at(rmi, shuffled, lam=0.0, pool=1) - at(rmi, (logits, target), lam=0.0, pool=1)) > 1e-3


def test_an_image_with_every_pixel_ignored_has_no_part_in_the_mean():
    logits, target = random_batch(images=3, side=9)
    target[1] = IGNORED
    kept = logits[[0, 2]], target[[0, 2]]
    torch.testing.assert_close(at(rmi, (logits, target), pool=1), at(rmi, kept, pool=1), rtol=1e-9, atol=0)


def curve(side):
    target = torch.zeros(1, side, side, dtype=torch.int64)
    target[0, :, side // 2] = 1
    return target


@pytest.mark.parametrize("xi", [1e-6, 1.0])
@pytest.mark.parametrize("wrong", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_decided_masks_have_a_finite_value_and_gradient(xi, wrong, dtype):
    target = curve(256)
    logits = (1e4 * torch.nn.functional.one_hot((target + wrong) % 2, 2).movedim(-1, 1)).to(dtype).requires_grad_()
    for pool in (1, 4):
        value = rmi(logits, target, pool=pool, xi=xi)
        assert value.dtype == dtype
        assert torch.isfinite(value)
        assert torch.isfinite(torch.autograd.grad(value, logits)[0]).all()


def test_logits_that_are_not_finite_give_a_loss_that_is_not():
    logits, target = random_batch(side=9, ignored=0.0)
    logits[0, 0, 4, 4] = torch.nan
    assert rmi(logits, target, lam=0.0, pool=1).isnan()


@pytest.mark.parametrize(
    ("radius", "pool", "least"), [(2, 1, 2), (4, 1, 4), (3, 2, 4), (3, 3, 7), (2, 4, 4), (3, 4, 8), (4, 4, 12)]
)
def test_images_smaller_than_a_patch_are_refused(radius, pool, least):
    logits, target = torch.zeros(1, 2, least, least), torch.zeros(1, least, least, dtype=torch.int64)
    assert torch.isfinite(rmi(logits, target, radius=radius, pool=pool))
    message = f"an image size of {least - 1} × {least} holds no patch .* use at least {least} × {least} pixels"
    with pytest.raises(LossError, match=message):
        rmi(logits[:, :, 1:], target[:, 1:], radius=radius, pool=pool)
    with pytest.raises(LossError, match="holds no patch"):
        rmi(logits[..., 1:], target[..., 1:], radius=radius, pool=pool)


@pytest.mark.parametrize("values", [{"radius": 5}, {"radius": 1}, {"pool": 0}, {"pool": 8}])
def test_other_radii_and_pools_are_refused(values):
    with pytest.raises(LossError, match="choose from"):
        at(rmi, random_batch(side=16), **values)


def test_a_stack_of_models_and_settings_equals_the_loop():
    batches = [random_batch(seed=seed, side=9) for seed in range(3)]
    logits = torch.stack([batch[0] for batch in batches])
    target = batches[0][1]
    dials = {
        "lam": torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64),
        "xi": torch.tensor([1e-5, 5e-4, 1e-2], dtype=torch.float64),
    }

    def run(logits, dials):
        return rmi(logits, target, ignore_index=IGNORED, pool=2, **dials)

    gradients, values = vmap(grad_and_value(run))(logits, dials)
    for index in range(3):
        one = {name: value[index].item() for name, value in dials.items()}
        gradient, value = grad_and_value(run)(logits[index], one)
        torch.testing.assert_close(values[index], value)
        torch.testing.assert_close(gradients[index], gradient)
