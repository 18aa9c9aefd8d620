"""Perceptual loss: against a reference in NumPy, and what each extractor is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from sweeper.errors import LossError
from sweeper.losses.companion import Setup
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.structural.perceptual import FIXED, PERCEPTUAL, features_apart, perceptual
from sweeper.losses.networks import FilterBank, random_pyramid, run, untrained

from ..batches import AWKWARD, IGNORED, random_batch
from ..golden import PICTURES


def term(logits, target, **settings):
    """The feature term alone."""
    return perceptual(logits, target, lam=1.0, ignore_index=IGNORED, **settings) - cross_entropy(
        logits, target, ignore_index=IGNORED
    )


def companion(extractor):
    setup = Setup(
        classes=3,
        channels=1,
        settings=PERCEPTUAL.defaults | {"extractor": extractor},
        artefacts={"mask_autoencoder": untrained("mask_autoencoder")},
    )
    return PERCEPTUAL.companion(setup)


def halved(x):
    padded = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2)))
    return padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).mean(axis=(1, 3))


def reference(logits, target, kernels, layers=3):
    """Σₗ ‖ψₗ(p) − ψₗ(t)‖² / (Cₗ Hₗ Wₗ) with linear filters, places weighed by their share of valid pixels."""
    p, labels = logits.softmax(1).numpy(), target.numpy()
    values = []
    for klass in range(1, p.shape[1]):
        if not (labels == klass).any():
            continue
        total = 0.0
        valid = [(each != IGNORED).astype(float) for each in labels]
        error = [v * (q - (each == klass)) for q, each, v in zip(p[:, klass], labels, valid, strict=True)]
        for _ in range(layers):
            squared = [np.mean([correlate2d(e, kernel, mode="same") ** 2 for kernel in kernels], axis=0) for e in error]
            total += sum((v * s).sum() for v, s in zip(valid, squared, strict=True)) / sum(v.sum() for v in valid)
            error, valid = [halved(e) for e in error], [halved(v) for v in valid]
        values.append(total)
    return np.mean(values)


def test_one_filter_worked_by_hand():
    # B4 with the filter [−1, 1]: features (−.5, −.2, −.1) against (0, −1, 0), so (.25 + .64 + .01) / 3.
    logits, target = PICTURES["B4"]
    kernel = torch.tensor([-1.0, 1.0], dtype=torch.float64).reshape(1, 1, 1, 2)
    masks = [logits.softmax(1)[:, 1:], target.unsqueeze(1).double()]
    seen, wanted = (torch.nn.functional.conv2d(mask, kernel).unsqueeze(1) for mask in masks)
    assert features_apart(seen, wanted, torch.ones_like(seen)).item() == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_without_features_it_is_cross_entropy(classes, seed):
    batch = random_batch(classes, seed)
    for extractor in FIXED:
        value = perceptual(*batch, lam=0.0, extractor=extractor, ignore_index=IGNORED)
        assert value.item() == pytest.approx(cross_entropy(*batch, ignore_index=IGNORED).item(), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_filters_are_what_numpy_says(classes, layers):
    kernels = FilterBank().kernels.numpy()[:, 0].astype(float)
    for seed, side in ((0, 5), (1, 8), (2, 13)):
        logits, target = random_batch(classes, seed, side=side)
        found = term(logits, target, layers=layers)
        assert found.item() == pytest.approx(reference(logits, target, kernels, layers), rel=1e-9)


def test_an_absent_class_is_left_out():
    logits, target = AWKWARD["class absent"]()
    kernels = FilterBank().kernels.numpy()[:, 0].astype(float)
    assert term(logits, target).item() == pytest.approx(reference(logits, target, kernels), rel=1e-9)
    assert term(*AWKWARD["all background"]()) == 0


@pytest.mark.parametrize("extractor", ["filters", "random", "mask_autoencoder"])
def test_a_perfect_mask_costs_nothing(extractor):
    assert abs(term(*AWKWARD["saturated right"](), extractor=extractor, companion=companion(extractor))) < 1e-9
    assert term(*AWKWARD["saturated wrong"](), extractor=extractor, companion=companion(extractor)) > 0.01


def test_the_bank_is_eight_filters_each_for_its_own():
    bank = FilterBank().kernels.double().squeeze(1)
    torch.testing.assert_close(bank.abs().sum((1, 2)), torch.ones(8, dtype=torch.float64))
    even = bank[1:].sum((1, 2))
    torch.testing.assert_close(even, torch.zeros_like(even), atol=1e-6, rtol=0)  # blind to a flat mask, all but one

    def strongest(picture):
        answers = torch.nn.functional.conv2d(picture.double().reshape(1, 1, 5, 5), bank.unsqueeze(1)).flatten().abs()
        return answers, answers[4:].argmax().item()

    rows, cols = torch.meshgrid(torch.arange(5), torch.arange(5), indexing="ij")
    for index, line in enumerate((rows == 2, cols == 2, rows == cols, rows + cols == 4)):
        assert strongest(line)[1] == index
    down, across = (strongest(step)[0] for step in (rows > 2, cols > 2))
    assert down[1] > 0.1 > across[1] + 0.09
    assert across[2] > 0.1 > down[2] + 0.09
    sobel = bank[1, 1:4, 1:4] * 8
    torch.testing.assert_close(sobel, torch.tensor([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], dtype=torch.float64))
    # The Laplacian of a Gaussian: a hollow with a rim, alike in all directions.
    spot = bank[3]
    assert spot[2, 2] == spot.min() < 0 < spot[2, 4]
    torch.testing.assert_close(spot, torch.rot90(spot))


def test_features_in_zero_to_one_stay_in_bounds():
    masks = torch.rand(4, 1, 16, 16)
    for features, _ in FilterBank()(masks, torch.ones_like(masks)):
        assert features.abs().max() <= 1


def test_random_features_neither_use_nor_move_the_global_generator():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = random_pyramid(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    for a, b in zip(one.kernels, random_pyramid(1).kernels, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.kernels[0], random_pyramid(2).kernels[0])


@pytest.mark.parametrize("extractor", ["filters", "random"])
def test_with_its_companion_it_is_the_same(extractor):
    logits, target = random_batch(seed=4)
    assert term(logits, target, extractor=extractor, companion=companion(extractor)) == term(
        logits, target, extractor=extractor
    )


def test_extractors_differ():
    logits, target = random_batch(seed=4)
    values = [
        term(logits, target, extractor=name, companion=companion(name)).item()
        for name in ("filters", "random", "mask_autoencoder")
    ]
    assert len({round(value, 6) for value in values}) == 3


@pytest.mark.parametrize("layers", [1, 2])
def test_each_layer_adds(layers):
    logits, target = random_batch(side=12)
    for extractor in FIXED:
        fewer = term(logits, target, extractor=extractor, layers=layers)
        assert term(logits, target, extractor=extractor, layers=layers + 1) > fewer > 0


def test_a_pyramid_of_nothing_is_nothing():
    empty = torch.zeros(2, 1, 9, 9)
    for features, _ in random_pyramid(3)(empty, torch.ones_like(empty)):
        assert (features == 0).all()


def test_run_takes_the_dtype_of_what_it_is_given():
    masks = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert run(random_pyramid(0), masks, torch.ones_like(masks))[0][0].dtype == torch.float64
        single = masks.float()
        (features, _), *_ = run(random_pyramid(0), single, torch.ones_like(single))
    assert features.dtype == torch.float32
    (exact, _), *_ = random_pyramid(0)(single, torch.ones_like(single))
    assert torch.equal(features, exact)


def test_refuses_what_it_cannot_do():
    batch = random_batch()
    with pytest.raises(LossError, match="needs its network"):
        perceptual(*batch, extractor="mask_autoencoder")
    with pytest.raises(LossError, match="extractor is 'vgg'"):
        perceptual(*batch, extractor="vgg")
    with pytest.raises(LossError, match="its companion is 'random'"):
        perceptual(*batch, companion=companion("random"))
    with pytest.raises(LossError, match="artefact 'mask_autoencoder' is missing"):
        PERCEPTUAL.companion(
            Setup(classes=3, channels=1, settings=PERCEPTUAL.defaults | {"extractor": "mask_autoencoder"})
        )
    assert PERCEPTUAL.needs_at({}) == ()
    assert PERCEPTUAL.needs_at({"extractor": "mask_autoencoder"}) == ("mask_autoencoder",)
