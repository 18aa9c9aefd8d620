import numpy as np
import pytest
import torch

from sweeper.training.augment import IDENTITY, epoch_symmetries, symmetries, transform

ALL = ("hflip", "vflip", "rot90")


@pytest.mark.parametrize(
    ("augment", "expected"),
    [
        ((), [lambda a: a]),
        (("hflip",), [lambda a: a, np.fliplr]),
        (("vflip",), [lambda a: a, np.flipud]),
        (("vflip", "hflip"), [lambda a: a, np.fliplr, np.flipud, lambda a: np.rot90(a, 2)]),
        (("rot90",), [lambda a, k=k: np.rot90(a, k) for k in range(4)]),
        (("rot90", "vflip"), [lambda a, k=k, f=f: np.rot90(f(a), k) for k in range(4) for f in (np.array, np.fliplr)]),
        (ALL, [lambda a, k=k, f=f: np.rot90(f(a), k) for k in range(4) for f in (np.array, np.fliplr)]),
    ],
    ids=lambda value: "+".join(value) or "none" if isinstance(value, tuple) else "",
)
def test_the_group_is_what_numpy_makes_of_the_named_moves(augment, expected):
    square = np.arange(9).reshape(3, 3)
    group = symmetries(augment)
    assert group[0] == IDENTITY
    moved = transform(torch.from_numpy(square).repeat(len(group), 1, 1), torch.tensor(group), rows=1, cols=2)
    assert {tuple(each.flatten()) for each in moved.tolist() for each in [np.array(each)]} == {
        tuple(move(square).flatten()) for move in expected
    }


def test_images_masks_and_maps_move_together():
    masks = torch.arange(8 * 16).reshape(8, 4, 4)
    chosen = torch.tensor(symmetries(ALL))
    images = torch.stack([masks, masks + 1000], dim=3)
    maps = torch.stack([masks, masks + 1000], dim=1)
    expected = transform(masks, chosen, rows=1, cols=2)
    moved_images = transform(images, chosen, rows=1, cols=2)
    moved_maps = transform(maps, chosen, rows=2, cols=3)
    for channel in range(2):
        torch.testing.assert_close(moved_images[..., channel], expected + 1000 * channel, rtol=0, atol=0)
        torch.testing.assert_close(moved_maps[:, channel], expected + 1000 * channel, rtol=0, atol=0)
    assert len({tuple(each) for each in (expected - masks[:, :1, :1]).flatten(1).tolist()}) == 8


def test_draws_are_uniform_over_the_group_and_depend_on_seed_and_epoch_alone():
    drawn = epoch_symmetries(ALL, 100, 40, seed=1, epoch=1)
    assert drawn.shape == (100, 40, 3)
    _, counts = np.unique(drawn.reshape(-1, 3), axis=0, return_counts=True)
    assert len(counts) == 8
    # Binomial with n = 4000, p = 1/8: 500 ± 5 standard deviations of 21.
    assert (np.abs(counts - 500) < 105).all()
    np.testing.assert_array_equal(drawn, epoch_symmetries(ALL, 100, 40, seed=1, epoch=1))
    assert (drawn != epoch_symmetries(ALL, 100, 40, seed=1, epoch=2)).any()
    assert not epoch_symmetries((), 3, 4, seed=1, epoch=1).any()
