import numpy as np
import torch

from sweeper.training.feed import Feed, Normalize

CPU = torch.device("cpu")


def test_patches_come_in_the_order_asked_for_and_read_only_data_raises_no_warning(data):
    split = data.splits["train"]
    assert not split.images.flags.writeable
    batch = Feed(split, CPU).take(np.array([5, 2, 5]))
    np.testing.assert_array_equal(batch.images.numpy(), split.images[[5, 2, 5]])
    np.testing.assert_array_equal(batch.masks.numpy(), split.masks[[5, 2, 5]])
    batch.images.zero_()
    assert split.images[5].any()  # a batch is a copy


def test_normalized_images_have_the_moments_asked_for(make_data):
    data = make_data(channels=3)
    images = Normalize(data.mean, data.std, CPU)(torch.from_numpy(data.splits["train"].images.copy()))
    assert images.shape == (36, 3, 32, 32)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(images.std((0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)


def test_a_channel_without_contrast_stays_finite():
    images = Normalize((7.0,), (0.0,), CPU)(torch.full((1, 4, 4, 1), 7, dtype=torch.uint8))
    assert (images == 0).all()
