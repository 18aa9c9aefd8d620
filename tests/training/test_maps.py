"""Target maps reach the loss as the maps of the very target it sees, whatever was flipped, turned and reordered."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from sweeper.data.target_maps import with_maps
from sweeper.errors import LossError
from sweeper.losses.family import Family
from sweeper.maps.distances import cityblock
from sweeper.maps.kinds import KINDS, compute_map
from sweeper.training import trainer as module
from sweeper.training.augment import symmetries, transform, transform_map
from sweeper.training.order import BackgroundFirst
from sweeper.training.trainer import Trainer

ALL = ("hflip", "vflip", "rot90")
NUMBERED = ("components", "holes")
"""Their numbers follow the order of pixels, which a symmetry changes; which pixels share one does not."""
THINNED = ("skeleton_distance",)
"""Thinning takes pixels away in an order of directions: of a transformed mask another skeleton may be as good."""
EXACT = [name for name in KINDS if name not in (*NUMBERED, *THINNED)]
CLASSES = 3


def draw_masks(count: int, side: int = 24, seed: int = 0) -> np.ndarray:
    """Return blobs of three classes with rings, specks and ignored pixels, (count, side, side) uint8."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(count, side, side)), (0, 1.5, 1.5))
    masks = np.digitize(noise, np.quantile(noise, [0.5, 0.8])).astype(np.uint8)
    masks[rng.random(masks.shape) < 0.03] = 255
    masks[:, 5:12, 5:12] = 1
    masks[:, 7:10, 7:10] = 0  # a hole
    return masks


def maps_of(name: str, masks: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.stack([compute_map(name, mask, CLASSES) for mask in masks.numpy()]))


def partition(numbers: torch.Tensor) -> list[set[frozenset[int]]]:
    """Return, per plane, the sets of pixels that share a number above 0."""
    planes = numbers.flatten(0, -3).flatten(1).numpy()
    return [{frozenset(np.flatnonzero(plane == n)) for n in np.unique(plane) if n} for plane in planes]


@pytest.mark.parametrize("symmetry", symmetries(ALL), ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_a_moved_map_is_the_map_of_the_moved_mask(name, symmetry):
    masks = torch.from_numpy(draw_masks(3))
    chosen = torch.tensor([symmetry] * len(masks))
    moved = transform_map(name, maps_of(name, masks), chosen)
    expected = maps_of(name, transform(masks, chosen, rows=1, cols=2))
    assert moved.dtype == expected.dtype
    if name in NUMBERED:
        assert partition(moved) == partition(expected)
    elif name in THINNED:
        # Still the distance to a skeleton: to the one of the mask as it was, moved.
        for plane in moved.flatten(0, 1).numpy():
            np.testing.assert_array_equal(plane, cityblock(plane == 0))
    else:
        assert torch.equal(moved, expected)


def test_every_patch_of_a_batch_moves_by_its_own_symmetry():
    masks = torch.from_numpy(draw_masks(8))
    chosen = torch.tensor(symmetries(ALL))
    for name in EXACT:
        moved = transform_map(name, maps_of(name, masks), chosen)
        assert torch.equal(moved, maps_of(name, transform(masks, chosen, rows=1, cols=2))), name


def test_orientations_do_differ():
    """Else the test above would pass without exchanging channels."""
    masks = torch.from_numpy(draw_masks(1))
    (channels,) = maps_of("boundary_distance", masks)
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(channels, 2))


@pytest.mark.parametrize("name", EXACT)
def test_a_map_in_the_losses_order_is_the_map_of_the_labels_in_that_order(name):
    order = BackgroundFirst(CLASSES, 2, torch.device("cpu"))
    masks = torch.from_numpy(draw_masks(3))
    assert torch.equal(order.map(name, maps_of(name, masks)), maps_of(name, order.labels(masks)))


def own_family(monkeypatch, seen: list[dict], **fields) -> None:
    def recorded(logits, target, *, ignore_index=-100, mode="full", **needed):
        seen.append({"target": target.clone(), **needed})
        return logits.square().mean()

    family = Family(
        function=recorded,
        title="",
        level="boundary",
        overlap="mixed",
        tradeoff="symmetric",
        formula="",
        source="",
        **fields,
    )
    monkeypatch.setattr(module, "family", lambda name: family)


def test_the_loss_gets_the_maps_of_the_target_it_sees(data, make_trial, monkeypatch, tmp_path):
    """End to end: computed once on the patches, then drawn, moved and reordered with them."""
    moved = dataclasses.replace(data, background=2, minority=(0, 1))
    seen: list[dict] = []
    own_family(monkeypatch, seen, needs=tuple(EXACT))
    trainer = Trainer(make_trial(level=0.05, epochs=1), with_maps(moved, EXACT, tmp_path), device="cpu")
    list(trainer.epochs())
    assert len(seen) == 3
    for batch in seen:
        assert (batch["target"] == 255).any()
        for name in EXACT:
            assert torch.equal(batch[name], maps_of(name, batch["target"])), name


def test_a_setting_gets_the_maps_it_needs_and_no_others(data, make_trial, monkeypatch, tmp_path):
    seen: list[dict] = []
    own_family(
        monkeypatch,
        seen,
        needs=("outline", "edge_band"),
        narrow=lambda settings: ("edge_band",) if settings.get("mode") == "band" else ("outline", "edge_band"),
    )
    mapped = with_maps(data, ("outline", "edge_band"), tmp_path)
    for mode, expected in (("full", {"outline", "edge_band"}), ("band", {"edge_band"})):
        seen.clear()
        trial = make_trial(epochs=1, steps_per_epoch=1)
        monkeypatch.setattr(module, "_check_arguments", lambda *unused: None)
        list(Trainer(dataclasses.replace(trial, hyperparameters={"mode": mode}), mapped, device="cpu").epochs())
        assert set(seen[0]) == {"target", *expected}


def test_a_map_that_nobody_computed_is_refused_before_training(data, make_trial, monkeypatch):
    own_family(monkeypatch, [], needs=("outline",))
    with pytest.raises(LossError, match="needs the target map 'outline', which the data lines on noise does not have"):
        Trainer(make_trial(), data, device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_maps_stay_on_a_gpu_in_the_dtype_they_are_stored_in(data, make_trial, monkeypatch, tmp_path):
    seen: list[dict] = []
    own_family(monkeypatch, seen, needs=tuple(EXACT))
    list(Trainer(make_trial(epochs=1), with_maps(data, EXACT, tmp_path), device="cuda").epochs())
    for batch in seen:
        for name in EXACT:
            expected = maps_of(name, batch["target"].cpu())
            assert batch[name].dtype == expected.dtype
            assert torch.equal(batch[name].cpu(), expected), name
