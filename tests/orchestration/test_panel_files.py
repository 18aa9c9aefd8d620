"""What a worker leaves of its predictions: enough for the report to choose from, the same patches for all trials."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from sweeper.data.prepare import prepare
from sweeper.data.settings import RasterLog
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.panel_files import write_panels
from sweeper.results.pictures import load_patches, load_predicted, patches_file, predicted_file
from sweeper.training.curves import curve_scores
from sweeper.training.panels import pool
from sweeper.training.trainer import Trainer
from sweeper.training.trial import ModelSettings, TrainingSettings, Trial


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare(RasterLog(patch=32, scans=10, height=128, width=96), tmp_path_factory.mktemp("data"))


def trained(data, key, steps=1):
    schedule = TrainingSettings(epochs=1, steps_per_epoch=steps, batch_size=4, precision="fp32")
    model = ModelSettings(depth=3, decoder_channels=(8, 8, 8))
    trainer = Trainer(
        Trial(key=key, family="dice", hyperparameters={}, level=0.97, seed=0, stage="confirm", model=model,
              training=schedule), data, device="cpu",
    )  # fmt: skip
    for _ in trainer.epochs():
        pass
    return trainer


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "run")
    made.create()
    return made


def test_predictions_patches_and_curves_are_kept(data, folder):
    trainer = trained(data, "first", steps=8)
    write_panels(trainer, folder)
    test = data.splits["test"]
    patches = load_patches(patches_file(folder.panels, data.fingerprint))
    kept = load_predicted(predicted_file(folder.panels, "first"), patches)
    assert kept is not None
    shown = np.flatnonzero(test.counts[:, 1:].sum(axis=1))
    assert len(patches) == int(patches.available) == len(shown)
    np.testing.assert_array_equal(patches.truths, test.masks[shown])
    np.testing.assert_array_equal(patches.images, test.images[shown])
    assert patches.stems.tolist() == [test.stems[picture] for picture in test.picture[shown]]
    np.testing.assert_array_equal(patches.row, test.row[shown])
    np.testing.assert_array_equal(kept.classes[5], trainer.predict("test", shown[5:6])[0])
    assert patches.scans.tolist() == list(test.stems)
    assert kept.curves.shape == patches.curves.shape == (len(test.stems), 2, 128)
    # Of all minority pixels, and of nothing else, the file says which object they belong to.
    np.testing.assert_array_equal(patches.objects > 0, np.isin(patches.truths, [1, 2]))
    everything = trainer.predict("test", np.arange(len(test)))
    coverage = [score.coverage for score in curve_scores(test, everything) if score.picture == 0]
    assert np.isfinite(kept.curves[0]).any() == any(coverage)


def test_trials_share_the_patches_of_their_data(data, folder):
    write_panels(trained(data, "first"), folder)
    path = patches_file(folder.panels, data.fingerprint)
    before = path.stat().st_mtime_ns
    write_panels(trained(data, "second"), folder)
    assert path.stat().st_mtime_ns == before
    assert len(list(folder.panels.iterdir())) == 3


def test_damaged_or_outdated_patches_are_written_again(data, folder):
    path = patches_file(folder.panels, data.fingerprint)
    path.write_bytes(b"PK damaged")
    write_panels(trained(data, "first"), folder)
    assert load_patches(path).pool.item() == pool(data).id


def test_mlflow_gets_input_truth_prediction_and_errors_side_by_side(data, folder):
    write_panels(trained(data, "first"), folder)
    paths = sorted((folder.trials / "first").iterdir())
    assert [path.name for path in paths] == [f"prediction_{number}.png" for number in range(4)]
    with Image.open(paths[0]) as picture:
        assert picture.size == (4 * 128 + 3 * 4, 128)
        shown = np.asarray(picture.convert("RGB"))
    # Patches of 32 pixels, four times as large: input and truth of one of the test patches.
    given, truth = shown[::4, :128:4, 0], shown[::4, 132 : 132 + 128 : 4]
    test = data.splits["test"]
    (place,) = np.flatnonzero((test.images[..., 0] == given).all(axis=(1, 2)))
    background = [int(data.classes[0].color[at : at + 2], 16) for at in (1, 3, 5)]
    np.testing.assert_array_equal((truth == background).all(axis=2), test.masks[place] == 0)


def test_data_whose_test_patches_show_no_minority_keep_nothing(data, folder):
    trainer = trained(data, "first")
    test = data.splits["test"]
    counts = test.counts.copy()
    counts[:, 1:] = 0
    trainer.data = dataclasses.replace(data, splits={**data.splits, "test": dataclasses.replace(test, counts=counts)})
    write_panels(trainer, folder)
    assert list(folder.panels.iterdir()) == []
    assert not (folder.trials / "first").exists()
