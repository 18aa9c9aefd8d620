import dataclasses
import math

import numpy as np
import pytest
import torch

from sweeper.errors import LevelError, LossError, RunFolderError, TrialFailure, UserError
from sweeper.losses.family import Family
from sweeper.results.margins import OFFSETS, PROBABILITY_BINS, above
from sweeper.results.record import MINORITY
from sweeper.results.schema import EPOCHS, OBJECT_METRICS, SURFACE_METRICS
from sweeper.training import trainer as module
from sweeper.training.checkpoint import load, save
from sweeper.training.metrics import HEADLINES
from sweeper.training.surfaces import surface_scores
from sweeper.training.trainer import Trainer, train
from sweeper.training.trial import ModelSettings


def finished(trial, data) -> Trainer:
    trainer = Trainer(trial, data, device="cpu")
    for _ in trainer.epochs():
        pass
    return trainer


def without_seconds(trainer: Trainer) -> list:
    return [dataclasses.replace(result, seconds=0) for result in trainer.history]


def assert_same(first: Trainer, second: Trainer) -> None:
    assert without_seconds(first) == without_seconds(second)
    assert first.scores() == second.scores()
    for (name, tensor), other in zip(first.state()["model"].items(), second.state()["model"].values(), strict=True):
        assert torch.equal(tensor, other), name


def test_it_learns_lines_it_has_seen(data, make_trial):
    """Scored on what it was trained on, a small net tells two kinds of line from noise after seconds of training."""
    seen = dataclasses.replace(data, splits=dict.fromkeys(data.splits, data.splits["train"]))
    trial = make_trial("dice_ce", epochs=12, batch_size=6, steps_per_epoch=20, lr=1e-2, augment=())
    trainer = finished(trial, seen)
    assert trainer.history[0].scores["minority_iou"] < 0.2
    assert trainer.objective > 0.6
    assert trainer.history[-1].train_loss < trainer.history[0].train_loss / 3


def test_an_epoch_reports_its_scores(data, make_trial):
    first, second = train(make_trial(), data)
    assert (first.epoch, second.epoch) == (1, 2)
    assert math.isfinite(first.train_loss)
    assert first.seconds > 0
    assert tuple(first.scores) == HEADLINES
    row = dataclasses.replace(first, scores={"mean_iou": 0.5, "minority_iou": None}).to_dict()
    assert row == {"epoch": 1, "train_loss": first.train_loss, "seconds": first.seconds, "mean_iou": 0.5}


def test_the_learning_rate_follows_one_schedule_over_all_epochs(data, make_trial):
    trainer = Trainer(make_trial(lr=1.0e-3, warmup=0.0), data, device="cpu")
    last = [trainer.state()["optimizer"]["param_groups"][0]["lr"] for _ in trainer.epochs()]
    # 2 epochs of 3 steps: the last steps are the third and the sixth, (1 + cos 60°) / 2 and (1 + cos 150°) / 2.
    assert last == pytest.approx([0.75e-3, 0.0669872981e-3])


@pytest.mark.parametrize("arch", ["unet", "pspnet"])  # pspnet has dropout, so torch's own generator matters too
def test_the_same_trial_gives_the_same_numbers_to_the_last_bit(data, make_trial, arch):
    model = ModelSettings(arch=arch, depth=3) if arch == "pspnet" else make_trial().model
    trial = make_trial(stage="confirm", model=model)
    first = finished(trial, data)
    torch.rand(7)  # someone else draws from torch's global generator
    assert_same(first, finished(trial, data))


@pytest.mark.parametrize("arch", ["unet", "pspnet"])
def test_a_restored_trial_ends_as_if_it_had_never_stopped(data, make_trial, tmp_path, arch):
    model = ModelSettings(arch=arch, depth=3) if arch == "pspnet" else make_trial().model
    trial = make_trial(stage="confirm", epochs=3, model=model)
    stopped = Trainer(trial, data, device="cpu")
    epochs = stopped.epochs()
    next(epochs)
    save(tmp_path / "trial.pt", stopped.state())
    restored = Trainer(trial, data, device="cpu")
    restored.restore(load(tmp_path / "trial.pt"))
    assert [result.epoch for result in restored.epochs()] == [2, 3]
    assert [result.epoch for result in restored.history] == [1, 2, 3]
    assert_same(finished(trial, data), restored)


def test_training_on_leaves_a_state_alone(data, make_trial):
    trainer = Trainer(make_trial(), data, device="cpu")
    epochs = trainer.epochs()
    next(epochs)
    state = trainer.state()
    other = Trainer(make_trial(), data, device="cpu")
    other.restore(state)
    next(epochs)
    list(other.epochs())
    fresh = Trainer(make_trial(), data, device="cpu")
    fresh.restore(state)
    list(fresh.epochs())
    assert_same(trainer, fresh)


def test_another_trials_state_is_refused(data, make_trial):
    state = Trainer(make_trial(key="one"), data, device="cpu").state()
    with pytest.raises(RunFolderError, match="'one', not of 'two'"):
        Trainer(make_trial(key="two"), data, device="cpu").restore(state)


class Recorder:
    """A loss that notes what it is shown."""

    def __init__(self, monkeypatch, value=None, needs=()):
        self.seen: list[dict] = []

        def recorded(logits, target, *, ignore_index, **needed):
            self.seen.append({"logits": logits.detach().clone(), "target": target.clone(), **needed})
            assert ignore_index == 255
            loss = logits.float().square().mean()
            return loss if value is None else value(loss, len(self.seen))

        family = Family(
            function=recorded,
            title="",
            level="pixel",
            overlap="per-pixel",
            tradeoff="symmetric",
            formula="",
            source="",
            needs=needs,
        )
        monkeypatch.setattr(module, "family", lambda name: family)

    @property
    def targets(self) -> torch.Tensor:
        return torch.cat([each["target"] for each in self.seen])


def test_families_share_initial_weights_batches_and_flips(data, make_trial, monkeypatch):
    first, second = (Trainer(make_trial(family), data, device="cpu") for family in ("cross_entropy", "dice"))
    for name, tensor in first.state()["model"].items():
        assert torch.equal(tensor, second.state()["model"][name]), name
    targets = []
    for sign in (1, -1):  # two losses that train in opposite directions
        recorder = Recorder(monkeypatch, lambda loss, _, sign=sign: sign * loss)
        finished(make_trial(), data)
        targets.append(recorder.targets)
    assert torch.equal(*targets)


def test_levels_share_initial_weights_and_seeds_do_not(data, make_trial):
    base, level, seed = (
        Trainer(make_trial(**change), data, device="cpu").state()["model"]["segmentation_head.0.weight"]
        for change in ({}, {"level": 0.97}, {"seed": 1})
    )
    assert torch.equal(base, level)
    assert not torch.equal(base, seed)


@pytest.mark.parametrize("level", [0.94, 0.955, 0.98])
def test_training_sees_the_background_share_aimed_at(data, make_trial, monkeypatch, level):
    recorder = Recorder(monkeypatch)
    trainer = finished(make_trial(level=level, batch_size=16, steps_per_epoch=10), data)
    targets = recorder.targets[recorder.targets != 255]
    assert (targets == 0).double().mean().item() == pytest.approx(level, abs=0.003)
    assert trainer.levels["train"].measured == pytest.approx(level)


def test_flips_are_applied_to_what_the_loss_sees(data, make_trial, monkeypatch):
    recorder = Recorder(monkeypatch)
    finished(make_trial(augment=()), data)
    plain = recorder.targets
    recorder = Recorder(monkeypatch)
    finished(make_trial(augment=("hflip",)), data)
    flipped = recorder.targets
    moved = [not torch.equal(a, b) for a, b in zip(plain, flipped, strict=True)]
    assert any(moved)
    assert not all(moved)
    for before, after in zip(plain, flipped, strict=True):
        assert torch.equal(before, after) or torch.equal(before.flip(1), after)


def test_a_family_gets_the_level_weighted_class_frequencies_it_needs(data, make_trial, monkeypatch):
    recorder = Recorder(monkeypatch, needs=("class_frequencies",))
    trainer = finished(make_trial(level=0.955), data)
    frequencies = recorder.seen[0]["class_frequencies"]
    assert frequencies.dtype == torch.float32
    assert frequencies.sum().item() == pytest.approx(1)
    assert frequencies[0].item() == pytest.approx(0.955)
    expected = trainer.levels["train"].weights @ data.splits["train"].counts
    np.testing.assert_allclose(frequencies.numpy(), expected / expected.sum(), rtol=1e-6)


def test_a_class_without_training_pixels_has_the_frequency_of_one_pixel(data, make_trial, monkeypatch):
    train_split = data.splits["train"]
    counts = train_split.counts.copy()
    counts[:, 1] += counts[:, 2]
    counts[:, 2] = 0
    masks = np.where(train_split.masks == 2, 1, train_split.masks).astype(np.uint8)
    without = dataclasses.replace(train_split, counts=counts, masks=masks)
    recorder = Recorder(monkeypatch, needs=("class_frequencies",))
    finished(make_trial(), dataclasses.replace(data, splits={**data.splits, "train": without}))
    assert recorder.seen[0]["class_frequencies"][2].item() == pytest.approx(1 / counts.sum())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda loss, call: loss * (math.nan if call == 5 else 1), "the loss is not finite at epoch 2, step 2"),
        # Of the square root at 0 the value is finite and the gradient is not.
        (lambda loss, call: (loss * (0 if call == 4 else 1)).sqrt(), "the gradient is not finite at epoch 2, step 1"),
        (
            lambda loss, call: loss + (1000 if call > 3 else 1),
            r"the loss diverged: its mean at epoch 2 is 1.*limit: 10",
        ),
    ],
    ids=["loss", "gradient", "divergence"],
)
def test_a_trial_that_goes_wrong_fails_with_its_reason(data, make_trial, monkeypatch, value, reason):
    Recorder(monkeypatch, value)
    trainer = Trainer(make_trial(), data, device="cpu")
    with pytest.raises(TrialFailure, match=reason):
        list(trainer.epochs())
    assert len(trainer.history) == 1


def test_logits_that_are_not_finite_fail_the_trial(data, make_trial):
    trainer = Trainer(make_trial(), data, device="cpu")
    state = trainer.state()
    state["model"]["segmentation_head.0.bias"][1] = math.inf
    trainer.restore(state)
    with pytest.raises(TrialFailure, match="logits on val are not finite"):
        trainer.scores()


def rows_of(scores, **fields):
    return [row for row in scores.rows if all(getattr(row, name) == value for name, value in fields.items())]


def test_a_search_trial_is_scored_on_validation_alone(data, make_trial):
    trainer = finished(make_trial(), data)
    scores = trainer.scores()
    assert {(row.split, row.point, row.image) for row in scores.rows} == {
        ("val", "argmax", None),
        ("val", "shifted", None),
    }
    assert len(scores.rows) == 2 * 4 * 5  # points × (classes + minority) × metrics
    (row,) = rows_of(scores, point="argmax", klass=MINORITY, metric="iou")
    assert row.value == trainer.objective == trainer.history[-1].scores["minority_iou"]
    (shifted,) = rows_of(scores, point="shifted", klass=MINORITY, metric="iou")
    assert shifted.value >= row.value  # on the split it was chosen on, no offset beats the best one


def test_a_confirm_trial_is_scored_on_test_and_its_images_add_up(data, make_trial):
    trainer = finished(make_trial("dice", stage="confirm", epochs=3, steps_per_epoch=8, lr=1e-2), data)
    scores = trainer.scores()
    assert scores.offset != 0  # else the two points are one and the test shows nothing
    for point in ("argmax", "shifted"):
        for info in data.classes:
            totals = {
                metric: sum(row.value for row in rows_of(scores, point=point, klass=info.name, metric=metric))
                for metric in ("tp", "fp", "fn", "tn")
            }
            weights, counts = trainer.levels["test"].weights, data.splits["test"].counts
            assert totals["tp"] + totals["fn"] == pytest.approx(weights @ counts[:, info.index])
            assert sum(totals.values()) == pytest.approx((weights @ counts).sum())
            (row,) = rows_of(scores, split="test", point=point, image=None, klass=info.name, metric="iou")
            assert row.value == pytest.approx(totals["tp"] / (totals["tp"] + totals["fp"] + totals["fn"]))
    assert {row.image for row in rows_of(scores, metric="tp")} == {"test_0", "test_1", "test_2"}
    assert len(rows_of(scores, metric="curve_mae")) == 2 * 2 * 4  # points × curves × (pictures + pooled)
    assert {row.klass for row in rows_of(scores, metric="curve_coverage")} == {"curve_1", "curve_2"}
    argmax, shifted = (rows_of(scores, point=point, metric="tp", klass="curve_1") for point in ("argmax", "shifted"))
    assert [row.value for row in argmax] != [row.value for row in shifted]


def test_margins_give_the_hits_and_false_alarms_of_both_points(data, make_trial):
    scores = finished(make_trial("dice", stage="confirm", epochs=3, steps_per_epoch=8, lr=1e-2), data).scores()
    assert [(row.split, row.image) for row in scores.margins] == [
        ("val", None),
        *(("test", f"test_{picture}") for picture in range(3)),
    ]
    for point, offset in (("argmax", 0.0), ("shifted", scores.offset)):
        place = int(np.flatnonzero(offset == OFFSETS)[0])
        for row in scores.margins[1:]:
            counts = {
                metric: sum(
                    each.value
                    for klass in ("curve_1", "curve_2")
                    for each in rows_of(scores, point=point, image=row.image, klass=klass, metric=metric)
                )
                for metric in ("tp", "fp", "fn")
            }
            assert above(np.array(row.found))[place] == pytest.approx(counts["tp"], rel=1e-6)
            assert above(np.array(row.alarms))[place] == pytest.approx(counts["fp"], rel=1e-6)
            assert row.target == pytest.approx(counts["tp"] + counts["fn"])
    assert len({row.target for row in scores.margins}) == 4, "else rows of different pictures could be confused"


def test_reliability_covers_all_pixels_of_test(data, make_trial):
    trainer = finished(make_trial(stage="confirm", epochs=3, steps_per_epoch=8, lr=1e-2), data)
    bins = trainer.scores().reliability
    assert [(each.split, each.bin) for each in bins] == [("test", place) for place in range(PROBABILITY_BINS)]
    weights, counts = trainer.levels["test"].weights, data.splits["test"].counts
    assert sum(each.pixels for each in bins) == pytest.approx((weights @ counts).sum())
    assert sum(each.pixels * each.share for each in bins if each.pixels) == pytest.approx(
        (weights @ counts)[list(data.minority)].sum()
    )
    for each in bins:
        if each.pixels:
            assert each.bin / 20 - 1e-6 <= each.probability <= (each.bin + 1) / 20
        else:
            assert (each.probability, each.share) == (None, None)


def test_whole_pictures_of_test_are_scored_at_both_points(data, make_trial):
    trainer = finished(make_trial("dice", stage="confirm", epochs=3, steps_per_epoch=8, lr=1e-2), data)
    scores = trainer.scores()
    split = data.splits["test"]
    predicted = {"argmax": trainer.predict("test", np.arange(len(split)))}
    expected = surface_scores(split, predicted, [1, 2])["argmax"]
    for score in expected:
        image, klass = split.stems[score.picture], data.classes[score.klass].name
        for metric in ("nsd", "hd95", "cldice"):
            (row,) = rows_of(scores, point="argmax", image=image, klass=klass, metric=metric)
            assert row.value == getattr(score, metric)
    assert {row.metric for row in scores.rows if row.image is None} >= {*SURFACE_METRICS}
    assert {row.metric for row in scores.rows if row.image is not None} >= {*OBJECT_METRICS}
    argmax, shifted = (rows_of(scores, point=point, metric="nsd") for point in ("argmax", "shifted"))
    assert [row.value for row in argmax] != [row.value for row in shifted]
    assert not rows_of(scores, split="val", metric="nsd")
    assert {row.klass for row in scores.rows if row.metric in (*SURFACE_METRICS, *OBJECT_METRICS)} == {
        "curve_1",
        "curve_2",
    }


def test_where_the_offset_is_zero_both_points_are_the_same(data, make_trial):
    trainer = Trainer(make_trial(stage="confirm"), data, device="cpu")
    state = trainer.state()
    state["model"]["segmentation_head.0.bias"][:] = torch.tensor([100.0, 0.0, 0.0])  # nothing is found at any offset
    trainer.restore(state)
    scores = trainer.scores()
    assert scores.offset == 0
    argmax, shifted = (rows_of(scores, split="test", point=point) for point in ("argmax", "shifted"))
    assert [dataclasses.replace(row, point="argmax") for row in shifted] == argmax


def test_only_a_confirm_trial_is_looked_at_this_closely(data, make_trial):
    scores = finished(make_trial(), data).scores()
    assert (scores.margins, scores.reliability) == ((), ())


def test_an_epoch_reports_the_columns_of_its_table(data, make_trial):
    (first, _) = finished(make_trial(), data).history
    assert {*first.to_dict()} == {*EPOCHS.names} - {"key"}


def test_the_offset_is_chosen_on_validation_alone(data, make_trial):
    """Another test split changes the test scores, and nothing else."""
    trial = make_trial("dice", stage="confirm", epochs=3, steps_per_epoch=8, lr=1e-2)
    test = data.splits["test"]
    other = dataclasses.replace(test, images=255 - test.images)
    changed = dataclasses.replace(data, splits={**data.splits, "test": other})
    first, second = finished(trial, data).scores(), finished(trial, changed).scores()
    assert first.offset == second.offset != 0
    assert rows_of(first, split="val") == rows_of(second, split="val")
    assert rows_of(first, split="test") != rows_of(second, split="test")


def test_torchs_global_generator_is_left_alone(data, make_trial):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    finished(make_trial(), data).scores()
    assert torch.equal(torch.rand(2), expected)


def test_bf16_trains_close_to_fp32(data, make_trial):
    """The reduced precision is only the forward pass's: the first losses agree to its three digits."""
    full, half = (
        finished(make_trial(epochs=1, steps_per_epoch=1, precision=precision), data) for precision in ("fp32", "bf16")
    )
    assert (full.precision, half.precision) == ("fp32", "bf16")
    assert half.history[0].train_loss == pytest.approx(full.history[0].train_loss, rel=0.02)
    assert all(tensor.dtype != torch.bfloat16 for tensor in half.state()["model"].values())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"hyperparameters": {"gama": 2.0}, "family": "focal"},
            LossError,
            "no hyperparameter 'gama'; did you mean 'gamma'",
        ),
        ({"level": 0.5}, LevelError, "train: level 0.5 cannot be reached"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_starts(data, make_trial, change, error, message):
    with pytest.raises(error, match=message):
        train(make_trial(**change), data)


def test_an_unknown_metric_is_refused(data, make_trial):
    with pytest.raises(UserError, match="no score 'minority_iuo' to search on; did you mean 'minority_iou'"):
        Trainer(make_trial(), data, metric="minority_iuo")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_sees_the_same_batches_and_ends_close_to_the_cpu(data, make_trial, monkeypatch):
    on_cpu, on_gpu = (Trainer(make_trial(epochs=1), data, device=device) for device in ("cpu", "cuda"))
    (first,), (second,) = on_cpu.epochs(), on_gpu.epochs()
    assert second.train_loss == pytest.approx(first.train_loss, rel=1e-2)
    Recorder(monkeypatch, lambda loss, call: loss * (math.nan if call == 2 else 1))
    with pytest.raises(TrialFailure, match="the loss is not finite at epoch 1, step 2"):
        list(Trainer(make_trial(), data, device="cuda").epochs())
