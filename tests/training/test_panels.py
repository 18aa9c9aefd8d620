import numpy as np

from sweeper.training.panels import choose, predictions
from sweeper.training.trainer import Trainer


def test_the_choice_depends_on_data_and_seed_and_shows_different_pictures(data):
    test = data.splits["test"]
    chosen = choose(data, 3, seed=0)
    np.testing.assert_array_equal(chosen, choose(data, 3, seed=0))
    assert set(test.picture[chosen]) == {0, 1, 2}
    rare = test.counts[:, 1:].sum(axis=1)
    assert (rare[chosen] >= np.median(rare[rare > 0])).all()
    assert (np.diff(rare[chosen]) <= 0).all()
    assert len({tuple(choose(data, 3, seed=seed)) for seed in range(10)}) > 1


def test_more_panels_than_patches_gives_all_patches(data):
    assert sorted(choose(data, 1000, seed=0)) == list(range(len(data.splits["test"])))


def test_panels_hold_what_the_trainer_predicts(data, make_trial):
    trainer = Trainer(make_trial(), data, device="cpu")
    panels = predictions(trainer, 4, seed=1)
    test = data.splits["test"]
    for panel, index in zip(panels, choose(data, 4, seed=1), strict=True):
        stem, row, col, image, truth, prediction = panel
        assert (stem, row, col) == (f"test_{test.picture[index]}", test.row[index], test.col[index])
        assert image.shape == (32, 32, 3)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image[..., 2], test.images[index, ..., 0])
        np.testing.assert_array_equal(truth, test.masks[index])
        np.testing.assert_array_equal(prediction, trainer.predict("test", np.array([index]))[0])
        assert prediction.max() < 3
