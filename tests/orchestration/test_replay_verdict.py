"""What a replay comes to, from records alone: equal bits, seed noise, operators."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from sweeper.orchestration.replay.compare import compare, not_recorded
from sweeper.orchestration.replay.noise import seed_noise
from sweeper.orchestration.replay.rerun import asking_torch, operators_in
from sweeper.orchestration.replay.verdict import judge
from sweeper.results.record import MINORITY, MarginCounts, Score, TrialRecord

GPU = "cuda: NVIDIA H200"


def record(objective: float | None = 0.5, test: float = 0.4, **fields: object) -> TrialRecord:
    """A confirm trial with an objective and one headline on test."""
    known = {
        "key": "0" * 20, "study": "s", "family": "dice", "loss_level": "region", "overlap": "overlap-aware",
        "tradeoff": "symmetric", "hyperparameters": {"smooth": 1.0}, "is_default": True, "stage": "confirm",
        "number": None, "level": 0.97, "seed": 1000, "status": "completed", "epochs": 2, "planned_epochs": 2,
        "objective": objective, "seconds": 1.0, "device": GPU, "precision": "bf16",
        "scores": (Score("test", "argmax", None, MINORITY, "iou", test),),
    }  # fmt: skip
    return TrialRecord(**{**known, **fields})  # type: ignore[arg-type]


SEEDS = [record(0.50, 0.40, seed=1000), record(0.52, 0.41, seed=1001), record(0.54, 0.45, seed=1002)]


def verdict(then: TrialRecord, now: TrialRecord, peers: list[TrialRecord] = SEEDS):
    return judge(then, now, compare(then, now), seed_noise(then, peers))


def test_the_noise_is_that_of_pairs_of_seeds():
    noise = seed_noise(SEEDS[0], SEEDS)
    # Standard deviations 0.02 and 0.026458, by hand.
    assert noise.limits["objective"] == pytest.approx(1.96 * math.sqrt(2) * 0.02)
    assert noise.limits["test/argmax/minority/iou"] == pytest.approx(1.96 * math.sqrt(2) * 0.0264575)
    assert "this setting, from 3" in noise.words


def test_where_a_setting_has_too_few_seeds_its_cell_is_asked():
    others = [record(value, seed=seed, hyperparameters={"smooth": 0.0}) for seed, value in ((1000, 0.1), (1001, 0.3))]
    noise = seed_noise(SEEDS[0], [*SEEDS[:2], *others])
    # Pooled within the settings: variances 0.0002 and 0.02, one degree of freedom each.
    assert noise.limits["objective"] == pytest.approx(1.96 * math.sqrt(2) * math.sqrt((0.0002 + 0.02) / 2))
    assert noise.words.startswith("seed noise of dice at 0.97, from 4")


@pytest.mark.parametrize(
    "fields",
    [{"device": "cpu: x86_64"}, {"precision": "fp32"}, {"level": 0.9}, {"family": "focal"}, {"stage": "search"},
     {"status": "failed"}, {"planned_epochs": 5}],
)  # fmt: skip
def test_trials_on_other_terms_are_no_measure(fields):
    peers = [SEEDS[0], *(dataclasses.replace(one, **fields) for one in SEEDS[1:])]
    noise = seed_noise(SEEDS[0], peers)
    assert noise.limits == {}
    assert "too few seeds" in noise.words


def test_on_a_gpu_headlines_within_seed_noise_are_reproduced():
    found = verdict(SEEDS[0], record(0.55, 0.40))
    assert found.reproduced
    assert "within seed noise: 1 values differ" in found.words
    assert not verdict(SEEDS[0], record(0.56, 0.40)).reproduced, "the limit is 0.0554"
    assert "objective" in verdict(SEEDS[0], record(0.56, 0.40)).words
    assert not verdict(SEEDS[0], record(0.5, 0.48)).reproduced
    assert not verdict(SEEDS[0], record(None, 0.40)).reproduced


def test_on_a_gpu_with_too_few_seeds_only_equal_bits_reproduce():
    assert verdict(SEEDS[0], SEEDS[0], SEEDS[:2]).reproduced
    found = verdict(SEEDS[0], record(0.501, 0.40), SEEDS[:2])
    assert not found.reproduced
    assert "too few seeds" in found.words


def test_on_a_cpu_noise_is_no_excuse():
    seeds = [dataclasses.replace(one, device="cpu: x86_64") for one in SEEDS]
    assert seed_noise(seeds[0], seeds).limits
    found = verdict(seeds[0], dataclasses.replace(seeds[0], objective=0.5000001), seeds)
    assert (found.reproduced, found.words) == (False, "not reproduced: 1 of 2 values differ")


@pytest.mark.parametrize(("device", "same"), [(GPU, True), ("cpu: x86_64", False)])
def test_a_failure_at_another_step_is_the_same_on_a_gpu_only(device, same):
    then = record(None, status="failed", reason="epoch 1, step 12: the loss is not finite", device=device)
    now = dataclasses.replace(then, reason="epoch 1, step 14: the loss is not finite")
    assert verdict(then, now).reproduced is same
    assert not verdict(then, dataclasses.replace(then, reason="out of memory on the GPU")).reproduced
    assert not verdict(then, dataclasses.replace(then, status="completed", reason=None)).reproduced


def test_an_epoch_more_or_less_is_a_difference():
    rows = [{"epoch": n, "train_loss": 1.0, "seconds": 0.1} for n in (1, 2)]
    then, now = record(history=tuple(rows)), record(history=tuple(rows[:1]))
    for found in (compare(then, now), compare(now, then)):
        (row,) = [row for row in found if row.different]
        assert (row.metric, row.count, row.place) == ("history/train_loss", 2, "epoch 2")


def test_of_many_values_the_largest_difference_is_shown():
    def counts(*found: float) -> TrialRecord:
        return record(margins=(MarginCounts("val", None, 1.0, 1.0, found, (0.0,) * 3),))

    (row,) = [row for row in compare(counts(1.0, 2.0, 3.0), counts(1.5, 0.0, 3.0)) if row.different]
    assert (row.count, row.different, row.place, row.difference) == (3, 2, "all, bin 1", -2.0)


def test_undefined_values_are_equal_to_undefined_ones_only():
    then = record(None)
    assert not any(row.different for row in compare(then, then))
    (row,) = [row for row in compare(then, record(0.5)) if row.different]
    assert (row.metric, row.recorded, row.difference) == ("objective", None, None)


def test_what_was_not_recorded_is_listed_and_no_difference():
    then = record(scores=())
    assert not any(row.different for row in compare(then, record()))
    assert not_recorded(then, record()) == ["test/argmax/minority/iou"]


def test_operators_are_named_and_torch_is_put_back():
    with asking_torch() as caught:
        # One of the few that vary on a CPU too.
        torch.zeros(2).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert operators_in(str(one.message) for one in caught) == ("put_",)
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


def test_products_of_cublas_are_named():
    text = "Deterministic behavior was enabled ... but this operation is not deterministic because it uses CuBLAS"
    other = "upsample_bilinear2d_backward_out_cuda does not have a deterministic implementation, but you set"
    assert operators_in(iter([text, other, text, "something else"])) == (
        "matrix products of cuBLAS",
        "upsample_bilinear2d_backward_out_cuda",
    )
