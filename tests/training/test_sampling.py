import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.training.sampling import epoch_batches, inverse_cdf, steps_in_epoch

WEIGHTS = st.lists(st.sampled_from([0.0, 0.1, 0.7, 1.0, 3.0]), min_size=1, max_size=30).filter(any)


@pytest.mark.parametrize(
    ("patches", "batch", "given_steps", "expected"),
    [(16, 8, None, 2), (17, 8, None, 3), (3, 8, None, 1), (17, 8, 5, 5)],
)
def test_steps_fill_the_patches_once_unless_set(patches, batch, given_steps, expected):
    assert steps_in_epoch(patches, batch, given_steps) == expected


@settings(max_examples=50, deadline=None)
@given(WEIGHTS, st.integers(0, 2**32), st.integers(0, 50))
def test_each_patch_is_drawn_within_two_of_its_share_and_never_at_weight_zero(weights, seed, epoch):
    weights = np.array(weights)
    drawn = np.bincount(epoch_batches(weights, 4, 25, seed=seed, epoch=epoch).ravel(), minlength=len(weights))
    assert (drawn[weights == 0] == 0).all()
    assert (np.abs(drawn - 100 * weights / weights.sum()) < 2).all()


def test_equal_weights_draw_every_patch_of_a_full_epoch_about_once():
    drawn = np.bincount(epoch_batches(np.ones(64), 8, 8, seed=1, epoch=1).ravel(), minlength=64)
    assert (drawn == 1).all()  # one stratum each


def test_batches_depend_on_seed_and_epoch_and_not_on_the_scale_of_the_weights():
    weights = np.linspace(0.1, 1, 40)
    first = epoch_batches(weights, 5, 8, seed=3, epoch=2)
    np.testing.assert_array_equal(first, epoch_batches(7 * weights, 5, 8, seed=3, epoch=2))
    assert (first != epoch_batches(weights, 5, 8, seed=4, epoch=2)).any()
    assert (first != epoch_batches(weights, 5, 8, seed=3, epoch=3)).any()


def test_levels_share_their_uniforms():
    """Through an inverse CDF, equal uniforms give indices in the same order, whatever the weights."""
    rng = np.random.default_rng(0)
    low, high = (epoch_batches(rng.random(40), 5, 8, seed=0, epoch=1).ravel() for _ in range(2))
    disagreement = np.subtract.outer(low, low) * np.subtract.outer(high, high)
    assert (low != high).any()
    assert (disagreement >= 0).all()


def test_numbers_on_a_border_go_to_the_next_index_that_has_weight():
    weights = np.array([0.0, 1.0, 0.0, 2.0, 1.0, 0.0])  # shares [0, 1/4), [1/4, 3/4) and [3/4, 1] of 1, 3 and 4
    uniforms = np.array([0.0, 0.24, 0.25, 0.7, 0.75, 1.0])
    np.testing.assert_array_equal(inverse_cdf(weights, uniforms), [1, 1, 3, 3, 4, 4])


def test_a_batch_mixes_patches_from_all_over():
    batches = epoch_batches(np.ones(800), 10, 80, seed=0, epoch=1)
    # Unpermuted strata would make each batch one run of 80 neighbors.
    assert (np.ptp(batches, axis=1) > 600).all()
