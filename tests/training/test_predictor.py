"""A trained model outside its study predicts what its trial was scored on, and pictures of any size."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from sweeper.errors import ModelError
from sweeper.training.operating import margins, predict
from sweeper.training.predictor import Predictor, describe
from sweeper.training.trainer import Trainer

OFFSET = -0.75


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def kept(request, make_data, tmp_path_factory):
    """A trainer that has trained a little, its description after a trip through JSON, and its weights."""
    from sweeper.training.trial import ModelSettings, TrainingSettings, Trial

    data = make_data(channels=3)
    training = TrainingSettings(epochs=1, batch_size=4, steps_per_epoch=6, lr=1e-2, precision=request.param)
    model = ModelSettings(depth=3, decoder_channels=(16, 8, 8))
    trial = Trial(
        key="k", family="dice", hyperparameters={}, level=0.96, seed=0, stage="confirm", model=model, training=training
    )
    trainer = Trainer(trial, data, device="cpu")
    list(trainer.epochs())
    weights = tmp_path_factory.mktemp("kept") / "model.pt"
    torch.save(trainer.state()["model"], weights)
    return trainer, json.loads(json.dumps(describe(trainer, OFFSET))), weights


def test_it_predicts_the_patches_as_the_trial_did(kept):
    trainer, description, weights = kept
    test = trainer.data.splits["test"]
    predictor = Predictor(description, weights, device="cpu")
    every = np.arange(len(test))
    argmax = predictor(test.images)
    assert argmax.dtype == np.uint8
    assert np.array_equal(argmax, trainer.predict("test", every))
    assert set(np.unique(argmax)) > {0}, "a model that says background everywhere would prove nothing"

    trainer._model.eval()
    with torch.inference_mode():
        logits = trainer._forward(torch.from_numpy(np.array(test.images)))
    wanted = predict(*margins(logits, trainer.data.background), trainer.data.background, OFFSET).numpy()
    shifted = predictor(test.images, "shifted")
    assert np.array_equal(shifted, wanted)
    assert not np.array_equal(shifted, argmax)


def test_a_picture_is_predicted_tile_by_tile(kept):
    """45 × 70 at patches of 32: the tiles are those of the study, the last ones filled with the picture's edge."""
    _, description, weights = kept
    predictor = Predictor(description, weights, device="cpu")
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (2, 45, 70, 3), dtype=np.uint8)
    masks = predictor(pictures)
    assert masks.shape == (2, 45, 70)
    for picture, mask in zip(pictures, masks, strict=True):
        padded = np.pad(picture, ((0, 19), (0, 26), (0, 0)), mode="edge")
        for top in (0, 32):
            for left in (0, 32, 64):
                tile = predictor(padded[None, top : top + 32, left : left + 32])[0]
                seen = mask[top : top + 32, left : left + 32]
                # Batches of other sizes may round otherwise, which turns a tie here and there.
                assert np.mean(tile[: seen.shape[0], : seen.shape[1]] != seen) < 0.01


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (0, 40, 40, 3), (1, 32, 32, 3), (70, 33, 32, 3)])
def test_any_number_and_size_of_pictures(kept, shape):
    _, description, weights = kept
    predictor = Predictor(description, weights, device="cpu")
    assert predictor(np.zeros(shape, np.uint8)).shape == shape[:3]


def test_what_is_no_picture_is_refused(kept):
    _, description, weights = kept
    predictor = Predictor(description, weights, device="cpu")
    for images in (np.zeros((1, 32, 32, 1), np.uint8), np.zeros((32, 32, 3), np.uint8), np.zeros((1, 32, 32, 3))):
        with pytest.raises(ValueError, match=r"give uint8 of shape \(N, H, W, 3\)"):
            predictor(images)
    with pytest.raises(ValueError, match="point is 'best'; give one of argmax, shifted"):
        predictor(np.zeros((1, 32, 32, 3), np.uint8), "best")


def test_loading_draws_no_random_numbers_and_fetches_no_weights(kept, monkeypatch):
    _, description, weights = kept
    assert description["model"]["weights"] is None
    torch.manual_seed(3)
    before = torch.get_rng_state()
    Predictor(description, weights, device="cpu")
    assert torch.equal(torch.get_rng_state(), before)


class Payload:
    def __reduce__(self):
        return (print, ("a pickle was run",))


def test_foreign_weights_are_refused_and_never_unpickled(kept, tmp_path, capsys):
    _, description, weights = kept
    for content in (Payload(), {"encoder.conv1.weight": torch.zeros(3)}):
        torch.save(content, tmp_path / "model.pt")
        with pytest.raises(ModelError, match="does not hold the weights of this model"):
            Predictor(description, tmp_path / "model.pt", device="cpu")
    assert "a pickle was run" not in capsys.readouterr().out
    with pytest.raises(ModelError, match="described in format 2, this version of sweeper reads 1"):
        Predictor({**description, "format": 2}, weights, device="cpu")
