import dataclasses

import numpy as np
import pytest

from sweeper.data.settings import IGNORE
from sweeper.training.stitching import stitch


@pytest.fixture
def pictures(data):
    """The same patches as those of pictures that are no logs."""
    return dataclasses.replace(data.splits["val"], curves=None, track_width=None)


def test_every_patch_of_a_log_is_put_in_its_place_and_the_padding_dropped(data):
    split = data.splits["val"]
    assert (split.masks == IGNORE).any()  # 80 columns are 2.5 patches
    for picture in range(len(split.stems)):
        scan = stitch(split, split.masks, picture)
        assert scan.shape == (128, 80)
        assert (scan != IGNORE).all()
        np.testing.assert_array_equal((scan == 1).sum(), split.counts[split.picture == picture, 1].sum())


def test_other_pictures_end_with_their_last_patches(data, pictures):
    for picture in range(len(pictures.stems)):
        whole = stitch(pictures, pictures.masks, picture)
        assert whole.shape == (128, 96)
        assert (whole[:, 80:] == IGNORE).all()
        np.testing.assert_array_equal(whole[:, :80], stitch(data.splits["val"], pictures.masks, picture))


def test_what_no_patch_covers_is_ignored(pictures):
    kept = np.flatnonzero((pictures.picture == 1) & ~((pictures.row == 32) & (pictures.col == 64)))
    arrays = {name: getattr(pictures, name)[kept] for name in ("images", "masks", "counts", "picture", "row", "col")}
    part = dataclasses.replace(pictures, **arrays)
    values = np.full_like(part.masks, 7)
    whole = stitch(part, values, 1)
    assert (whole[32:64, 64:] == IGNORE).all()
    assert (whole == 7).sum() == 11 * 32 * 32
    assert stitch(part, values, 0).size == 0, "of this picture there is no patch"
