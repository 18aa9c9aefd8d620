"""Generalized Wasserstein Dice: Dice where all confusions cost alike, less where some are cheap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sweeper.errors import LossError
from sweeper.losses.families.region.dice import dice
from sweeper.losses.families.region.wasserstein import generalized_wasserstein_dice as gwdl

from ..batches import IGNORED, random_batch
from ..golden import PICTURES

every_batch = pytest.mark.parametrize(
    "batch", [random_batch(*each) for each in itertools.product((2, 3, 5), (0, 1))], ids=lambda each: "batch"
)


def at(loss, batch, **values):
    return loss(*batch, ignore_index=IGNORED, **values)


def same(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def distances(classes, seed=0):
    """A symmetric matrix with zeros on the diagonal and 1 between background and all others."""
    upper = torch.rand(classes, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).triu(1)
    matrix = upper + upper.T
    matrix[0, 1:] = matrix[1:, 0] = 1
    return matrix


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scope", ["batch", "image"])
def test_on_two_classes_it_is_the_dice_of_the_foreground(seed, scope):
    batch = random_batch(classes=2, seed=seed)
    for distance in (0.05, 1.0):
        same(at(gwdl, batch, fg_distance=distance, scope=scope), at(dice, batch, classes="foreground", scope=scope))


@every_batch
def test_by_its_definition(batch):
    logits, target = batch
    prob, classes = logits.softmax(1), logits.shape[1]
    matrix = distances(classes)
    matrix[1, 0] = 0.6  # neither symmetric nor 1 to the background
    matrix[1:, 1:] *= 0.5
    hit = error = 0.0
    for image, row, column in itertools.product(*(range(size) for size in target.shape)):
        label = target[image, row, column].item()
        if label == IGNORED:
            continue
        delta = sum(matrix[label, other] * prob[image, other, row, column] for other in range(classes))
        hit += matrix[label, 0] * (matrix[label, 0] - delta)
        error += delta
    same(at(gwdl, batch, matrix=matrix), 1 - 2 * hit / (2 * hit + error))


@every_batch
def test_equal_distances_leave_one_minus_the_probability_of_the_truth(batch):
    logits, target = batch
    valid = target != IGNORED
    missed = 1 - logits.softmax(1).gather(1, target.where(valid, 0).unsqueeze(1)).squeeze(1)
    hit = (1 - missed[valid & (target > 0)]).sum()
    same(at(gwdl, batch), 1 - 2 * hit / (2 * hit + missed[valid].sum()))


@every_batch
def test_fg_distance_is_the_matrix_it_stands_for(batch):
    classes = batch[0].shape[1]
    matrix = torch.full((classes, classes), 0.3)
    matrix[0], matrix[:, 0] = 1, 1
    matrix.fill_diagonal_(0)
    for weighting in ("paper", "gdl"):
        value = at(gwdl, batch, fg_distance=0.3, weighting=weighting)
        torch.testing.assert_close(value, at(gwdl, batch, matrix=matrix, weighting=weighting), rtol=1e-6, atol=0)


@every_batch
def test_the_scale_of_the_matrix_does_not_matter(batch):
    matrix = distances(batch[0].shape[1])
    same(at(gwdl, batch, matrix=7 * matrix), at(gwdl, batch, matrix=matrix))


@every_batch
def test_cheaper_confusions_never_cost_more(batch):
    classes = batch[0].shape[1]
    matrix = distances(classes)
    before = at(gwdl, batch, matrix=matrix)
    for row, column in itertools.permutations(range(1, classes), 2):
        cheaper = matrix.clone()
        cheaper[row, column] *= 0.3
        assert at(gwdl, batch, matrix=cheaper) < before
    values = [at(gwdl, batch, fg_distance=m) for m in (0.05, 0.3, 0.6, 1.0)]
    assert all(after >= low - 1e-12 for low, after in itertools.pairwise(values))


def test_a_batch_without_foreground_costs_and_teaches_nothing():
    logits, target = random_batch()
    logits.requires_grad_()
    background = (logits, torch.zeros_like(target))
    value = at(gwdl, background)
    assert value == 0
    assert (torch.autograd.grad(value, logits)[0] == 0).all()
    by_rarity = at(gwdl, background, weighting="gdl")
    assert by_rarity > 0
    assert (torch.autograd.grad(by_rarity, logits)[0] != 0).any()


def test_image_scope_is_the_mean_of_the_images_with_foreground():
    logits, target = random_batch(images=3)
    target[1] = 0
    images = [at(gwdl, (logits[[index]], target[[index]])) for index in (0, 2)]
    same(at(gwdl, (logits, target), scope="image"), sum(images) / 2)


FULL = {name: PICTURES[name] for name in ("B4", "T4", "G5", "C5")} | {
    f"C={classes} seed={seed}": random_batch(classes, seed, ignored=0.0) for classes in (2, 3, 5) for seed in (0, 1)
}


@pytest.mark.parametrize("batch", FULL.values(), ids=FULL)
@pytest.mark.parametrize("weighting", ["paper", "gdl"])
def test_it_is_monai(batch, weighting, monkeypatch):
    from monai.losses import GeneralizedWassersteinDiceLoss as Theirs

    logits, target = batch
    matrix = distances(logits.shape[1])

    def inverse_volume(self, flat_target):
        # As MONAI, less the 1 that it adds to every volume and that makes the loss depend on the image's size.
        volumes = torch.nn.functional.one_hot(flat_target, self.num_classes).sum(1).double()
        return 1 / volumes.clamp_min(1)

    if weighting == "gdl":
        monkeypatch.setattr(Theirs, "_compute_alpha_generalized_true_positives", inverse_volume)
    mode = {"paper": "default", "gdl": "GDL"}[weighting]
    module = Theirs(matrix.numpy().astype(np.float64), weighting_mode=mode, smooth_nr=0.0, smooth_dr=1e-12)
    value = gwdl(logits, target, matrix=matrix, weighting=weighting, scope="image")
    assert value.item() == pytest.approx(module(logits, target.unsqueeze(1)).item(), abs=1e-9)


@pytest.mark.parametrize("shape", [(2, 2), (3, 4), (3,)])
def test_a_matrix_of_another_size_is_refused(shape):
    with pytest.raises(LossError, match=r"with 3 classes it must be \(3, 3\)"):
        at(gwdl, random_batch(), matrix=torch.ones(shape))


def wrong_distances():
    diagonal, negative, unknown = (distances(3) for _ in range(3))
    diagonal[1, 1], negative[1, 2], unknown[1, 2] = 0.5, -2.0, torch.nan
    return {"diagonal": diagonal, "negative": negative, "NaN": unknown}


@pytest.mark.parametrize("wrong", wrong_distances())
def test_a_matrix_that_is_no_distance_is_refused(wrong):
    with pytest.raises(LossError, match="distances between classes must be finite, at least 0, and 0 on the diagonal"):
        at(gwdl, random_batch(), matrix=wrong_distances()[wrong])


@pytest.mark.parametrize("weighting", ["paper", "gdl"])
def test_a_matrix_that_cannot_be_looked_into_is_mended(weighting):
    batch = random_batch()
    wrong, mended = torch.full((3, 3), 1.0).double(), torch.full((3, 3), 1.0).double()
    wrong[1, 2], wrong[2, 1], mended[1, 2], mended[2, 1] = -3.0, 0.4, 0.0, 0.4
    wrong[1, 1] = 7.0
    mended.fill_diagonal_(0)
    both = torch.stack([wrong, mended])
    values = torch.func.vmap(lambda matrix: at(gwdl, batch, matrix=matrix, weighting=weighting))(both)
    same(values[0], at(gwdl, batch, matrix=mended, weighting=weighting))
    same(values[1], values[0])


def test_unknown_weightings_are_refused():
    with pytest.raises(LossError, match="weighting is 'GDL'"):
        at(gwdl, random_batch(), weighting="GDL")
