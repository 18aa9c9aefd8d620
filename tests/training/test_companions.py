"""What a loss brings along is built, trained or left alone, kept and continued as its role says."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sweeper.errors import LossError, TrialFailure
from sweeper.losses.companion import Companion
from sweeper.losses.family import Family
from sweeper.training import trainer as module
from sweeper.training.checkpoint import load, save
from sweeper.training.feed import Normalize
from sweeper.training.trainer import Trainer

ROLES = {
    "joint": "losses_with_companions:JOINT",
    "frozen": "losses_with_companions:FROZEN",
    "rival": "losses_with_companions:RIVAL",
}


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """Make the losses beside this file importable by dotted path, and return their module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import losses_with_companions

    losses_with_companions.SEEN.clear()
    return losses_with_companions


def trained(trial, data, epochs: int | None = None) -> Trainer:
    trainer = Trainer(trial, data, device="cpu")
    for result in trainer.epochs():
        if result.epoch == epochs:
            break
    return trainer


def companion_of(trainer: Trainer) -> Companion:
    return trainer._companionship.companion


def assert_equal(first, second, where: str = "") -> None:
    """Compare nested states to the last bit."""
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_equal(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_equal(one, other, f"{where}.{index}")
    elif where.endswith(".seconds"):
        pass
    else:
        assert first == second, where


@pytest.mark.parametrize("role", ROLES)
def test_the_same_trial_gives_the_same_numbers_to_the_last_bit(role, data, make_trial):
    trial = make_trial(ROLES[role])
    first = trained(trial, data).state()
    torch.rand(3)  # someone else draws from torch's global generator
    assert_equal(first, trained(trial, data).state())


@pytest.mark.parametrize("role", ROLES)
def test_a_restored_trial_ends_as_if_it_had_never_stopped(role, data, make_trial, tmp_path):
    trial = make_trial(ROLES[role], epochs=3)
    save(tmp_path / "trial.pt", trained(trial, data, epochs=1).state())
    restored = Trainer(trial, data, device="cpu")
    restored.restore(load(tmp_path / "trial.pt"))
    assert [result.epoch for result in restored.epochs()] == [2, 3]
    whole = trained(trial, data)
    assert_equal(restored.state(), whole.state())
    assert restored.scores() == whole.scores()


@pytest.mark.parametrize("role", ROLES)
def test_training_on_leaves_a_state_alone(role, data, make_trial):
    trial = make_trial(ROLES[role])
    trainer = trained(trial, data, epochs=1)
    state = trainer.state()
    other = Trainer(trial, data, device="cpu")
    other.restore(state)
    list(trainer.epochs())
    list(other.epochs())
    again = Trainer(trial, data, device="cpu")
    again.restore(state)
    list(again.epochs())
    assert_equal(again.state(), trainer.state())


@pytest.mark.parametrize("role", ROLES)
def test_a_companion_depends_on_the_seed_alone_and_disturbs_nobodys_random_numbers(role, data, make_trial):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, other, level = (
        Trainer(make_trial(ROLES[role], **change), data, device="cpu") for change in ({}, {"seed": 1}, {"level": 0.97})
    )
    assert torch.equal(torch.rand(2), expected)
    weights = [companion_of(each).state_dict() for each in (first, other, level)]
    assert_equal(dict(weights[0]), dict(weights[2]))
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    plain = Trainer(make_trial(), data, device="cpu").state()["model"]
    assert_equal(dict(first.state()["model"]), dict(plain))


def test_a_family_without_a_companion_keeps_the_state_it_had(data, make_trial):
    state = Trainer(make_trial(), data, device="cpu").state()
    assert set(state) == {"key", "model", "optimizer", "history"}
    assert len(state["optimizer"]["param_groups"]) == 1


# Joint


def test_joint_parameters_are_optimized_at_their_own_rate_without_decay(data, make_trial):
    trainer = Trainer(make_trial(ROLES["joint"], lr=1e-3, weight_decay=0.5, warmup=0.0), data, device="cpu")
    before = companion_of(trainer).log_variance.detach().clone()
    rates = []
    for _ in trainer.epochs():
        model, joint = trainer.state()["optimizer"]["param_groups"]
        rates.append((model["lr"], joint["lr"]))
        assert (model["weight_decay"], joint["weight_decay"]) == (0.5, 0.0)
    # As without a companion, (1 + cos 60°) / 2 and (1 + cos 150°) / 2, and three times that.
    assert [model for model, _ in rates] == pytest.approx([0.75e-3, 0.0669872981e-3])
    assert [joint for _, joint in rates] == pytest.approx([2.25e-3, 0.2009618943e-3])
    assert not torch.equal(companion_of(trainer).log_variance, before)
    assert companion_of(trainer).idle == 5.0, "decay would have shrunk it"


def test_a_gradient_of_joint_parameters_that_is_not_finite_fails_the_trial(data, make_trial, own, monkeypatch):
    def broken(logits, target, *, companion=None, ignore_index=-100):
        return logits.square().mean() + 0 * (companion.idle - 5).abs().sqrt()

    monkeypatch.setattr(own, "JOINT", dataclasses.replace(own.JOINT, function=broken))
    with pytest.raises(TrialFailure, match="the gradient is not finite at epoch 1, step 1"):
        trained(make_trial(ROLES["joint"]), data)


# Frozen


def test_a_frozen_companion_is_not_touched(data, make_trial):
    trainer = Trainer(make_trial(ROLES["frozen"]), data, device="cpu")
    before = {name: tensor.clone() for name, tensor in companion_of(trainer).state_dict().items()}
    list(trainer.epochs())
    assert_equal(before, dict(companion_of(trainer).state_dict()))
    assert not companion_of(trainer).training
    assert all(each.grad is None and not each.requires_grad for each in companion_of(trainer).parameters())
    assert len(trainer.state()["optimizer"]["param_groups"]) == 1


# Rival


def test_a_rival_takes_its_steps_before_the_model_and_is_left_alone_by_it(data, make_trial, own):
    trial = make_trial(ROLES["rival"], epochs=1, steps_per_epoch=1, warmup=0.0, lr=1e-2, augment=())
    trainer = Trainer(trial, data, device="cpu")
    start = {name: tensor.clone() for name, tensor in companion_of(trainer).state_dict().items()}
    list(trainer.epochs())
    assert len(own.SEEN) == 2, "two rounds for one step of the model"
    assert all(parameter.grad is None for parameter in companion_of(trainer).parameters())
    # The same two steps of Adam by hand, on what it was shown.
    from sweeper.training.randomness import torch_seed

    by_hand = own.Critic(type("Setup", (), {"classes": 3, "channels": 1, "settings": {"broken_from": 1000}}))
    by_hand.load_state_dict(start)
    adam = torch.optim.Adam(by_hand.parameters(), lr=0.5e-2, betas=(0.5, 0.9))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed("rival", trial.seed, 0))
        for shown in list(own.SEEN):
            adam.zero_grad()
            arguments = {name: shown[name] for name in ("images", "ignore_index")}
            by_hand.rival_loss(shown["logits"], shown["target"], **arguments).backward()
            adam.step()
    assert_equal(dict(by_hand.state_dict()), dict(companion_of(trainer).state_dict()))


def test_a_rival_sees_the_batch_of_the_model_and_no_graph(data, make_trial, own):
    moved = dataclasses.replace(data, background=2, minority=(0, 1))
    trainer = Trainer(make_trial(ROLES["rival"], level=0.05, epochs=1), moved, device="cpu")
    seen: list[torch.Tensor] = []
    plain = trainer._forward
    trainer._forward = lambda images: seen.append(plain(images)) or seen[-1]
    next(trainer.epochs())
    for index, shown in enumerate(own.SEEN):
        assert shown["ignore_index"] == 255
        assert (shown["target"] == 255).any()
        assert shown["target"].dtype == torch.int64
        assert set(shown["target"].unique().tolist()) == {0, 1, 2, 255}
        assert not shown["logits"].requires_grad
        # Background first: the data's classes 2, 0, 1.
        torch.testing.assert_close(shown["logits"], seen[index // 2][:, [2, 0, 1]].detach(), rtol=0, atol=0)
        torch.testing.assert_close(shown["images"].mean(), torch.tensor(0.0), atol=0.5, rtol=0)
    masks = torch.from_numpy(np.array(data.splits["train"].masks)).long()
    place = torch.full((256,), 255)
    place[torch.tensor([2, 0, 1])] = torch.arange(3)
    images = Normalize(data.mean, data.std, torch.device("cpu"))(torch.from_numpy(data.splits["train"].images.copy()))
    known = {place[mask].numpy().tobytes(): number for number, mask in enumerate(masks)}
    trainer = Trainer(make_trial(ROLES["rival"], level=0.05, epochs=1, augment=()), moved, device="cpu")
    own.SEEN.clear()
    next(trainer.epochs())
    for shown in own.SEEN:
        for mask, image in zip(shown["target"], shown["images"], strict=True):
            number = known[mask.numpy().tobytes()]
            if (masks[number] == masks[number].flatten()[0]).all():
                continue  # an empty patch is like another
            torch.testing.assert_close(image, images[number], rtol=0, atol=0)


def test_what_a_rival_draws_leaves_the_models_dropout_alone(data, make_trial, own, monkeypatch):
    """Two trials that differ in their family see the same random numbers, at every step and with any rounds."""
    draws: dict[int, list[torch.Tensor]] = {}
    for rounds in (0, 1, 3):
        monkeypatch.setattr(own.Critic, "rounds", rounds)
        trainer = Trainer(make_trial(ROLES["rival"]), data, device="cpu")
        plain = trainer._forward

        def forward(images, plain=plain, rounds=rounds):
            logits = plain(images)
            if torch.is_grad_enabled():
                draws.setdefault(rounds, []).append(torch.rand(3))  # as a layer with dropout would
            return logits

        trainer._forward = forward
        list(trainer.epochs())
    assert len(draws[0]) == 6
    for rounds in (1, 3):
        assert all(torch.equal(one, other) for one, other in zip(draws[0], draws[rounds], strict=True))


def test_a_rival_draws_anew_at_every_step(data, make_trial, own, monkeypatch):
    drawn: list[float] = []
    plain = own.Critic.rival_loss

    def noting(self, *shown, **more):
        drawn.append(float(torch.rand(())))
        return plain(self, *shown, **more)

    monkeypatch.setattr(own.Critic, "rival_loss", noting)
    trained(make_trial(ROLES["rival"]), data)
    assert len(set(drawn)) == len(drawn) == 12


def test_a_rivals_rate_follows_the_schedule(data, make_trial):
    trainer = Trainer(make_trial(ROLES["rival"], lr=1e-3, warmup=0.0), data, device="cpu")
    rates = [trainer.state()["companionship"]["rival"]["param_groups"][0]["lr"] for _ in trainer.epochs()]
    assert rates == pytest.approx([0.375e-3, 0.03349364905e-3])


def test_a_rival_that_goes_wrong_fails_the_trial_by_name(data, make_trial):
    trial = make_trial(ROLES["rival"], hyperparameters={"broken_from": 7.0})
    with pytest.raises(TrialFailure, match="the loss of the rival is not finite at epoch 2, step 1"):
        trained(trial, data)


def test_a_setting_without_a_companion_gets_none_and_trains(data, make_trial, own):
    trainer = trained(make_trial(ROLES["rival"], hyperparameters={"weight": 0.0}), data)
    assert trainer._companionship is None
    assert own.SEEN == []
    assert math.isfinite(trainer.history[-1].train_loss)


# Artefacts


def needing_an_artefact(monkeypatch, setups: list) -> None:
    def function(logits, target, *, companion=None, ignore_index=-100):
        return logits.square().mean()

    def build(setup):
        setups.append(setup)
        return Companion()

    family = Family(
        function=function,
        title="",
        level="structural",
        overlap="mixed",
        tradeoff="symmetric",
        formula="",
        source="",
        needs=("mask_autoencoder",),
        companion=build,
    )
    monkeypatch.setattr(module, "family", lambda name: family)


def test_an_artefact_goes_to_the_companions_builder(data, make_trial, monkeypatch):
    setups: list = []
    needing_an_artefact(monkeypatch, setups)
    arrays = {"weight": np.ones(3, dtype=np.float32)}
    ready = dataclasses.replace(data, artefacts={"mask_autoencoder": arrays, "boundary_transform": {}})
    trained(make_trial(epochs=1), ready)
    (setup,) = setups
    assert setup.artefacts == {"mask_autoencoder": arrays}
    assert (setup.classes, setup.channels, setup.settings) == (3, 1, {})


def test_an_artefact_that_nobody_trained_is_refused_before_training(data, make_trial, monkeypatch):
    needing_an_artefact(monkeypatch, [])
    with pytest.raises(LossError, match="needs 'mask_autoencoder', which has not been trained"):
        Trainer(make_trial(), data, device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("role", ROLES)
def test_a_gpu_trains_with_each_role(role, data, make_trial):
    on_cpu, on_gpu = (Trainer(make_trial(ROLES[role], epochs=1), data, device=name) for name in ("cpu", "cuda"))
    (first,), (second,) = on_cpu.epochs(), on_gpu.epochs()
    assert second.train_loss == pytest.approx(first.train_loss, rel=2e-2)
    assert all(each.device.type == "cuda" for each in companion_of(on_gpu).parameters())
    assert all(not tensor.is_cuda for tensor in on_gpu.state()["companionship"]["companion"].values())
