"""Features and classifier are those of the model's last layer, for every architecture that has one."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sweeper.errors import ModelError
from sweeper.losses.family import Family
from sweeper.training import trainer as module
from sweeper.training.head import Head, check_head
from sweeper.training.model import build_model, check_model
from sweeper.training.order import BackgroundFirst
from sweeper.training.trainer import Trainer
from sweeper.training.trial import ModelSettings

CPU = torch.device("cpu")
POINTWISE = ("fpn", "linknet", "upernet", "segformer", "deeplabv3plus")
"""Architectures whose last layer is a 1 × 1 convolution."""
AREA = ("unet", "unetplusplus", "pspnet", "manet")
"""Architectures whose last layer looks at 3 × 3 features."""


def model_of(arch: str, **settings) -> torch.nn.Module:
    depth = 5 if arch in ("segformer", "deeplabv3plus", "linknet", "upernet") else 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(ModelSettings(arch=arch, depth=depth, **settings), 1, 3, patch=64)


def listened(arch: str, background: int = 0) -> tuple[torch.nn.Module, Head, torch.Tensor]:
    model = model_of(arch).eval()
    head = Head(model, BackgroundFirst(3, background, CPU), arch)
    return model, head, torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("arch", POINTWISE)
def test_classified_features_are_the_logits_where_the_last_layer_is_pointwise(arch):
    model, head, images = listened(arch)
    logits = model(images)
    features = head.features((64, 64))
    assert features.shape[2:] == (64, 64)
    assert features.dtype == torch.float32
    found = head.classifier(features.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(found, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("arch", [*AREA, *POINTWISE])
def test_the_classifier_says_what_the_layer_says_where_features_are_all_alike(arch):
    model, head, _ = listened(arch)
    conv = next(layer for layer in model.segmentation_head.modules() if isinstance(layer, torch.nn.Conv2d))
    feature = torch.randn(conv.in_channels, generator=torch.Generator().manual_seed(2))
    inside = conv(feature.reshape(1, -1, 1, 1).expand(1, -1, 5, 5))[0, :, 2, 2]
    torch.testing.assert_close(head.classifier(feature), inside)


def test_classes_come_in_the_losses_order():
    _, head, _ = listened("unet", background=2)
    _, plain, _ = listened("unet")
    feature = torch.randn(4, 7, 16, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(head.classifier(feature), plain.classifier(feature)[..., [2, 0, 1]], rtol=0, atol=0)


def test_gradients_reach_the_decoder_and_the_last_layer():
    model, head, images = listened("unet")
    model(images)
    features = head.features((64, 64))
    head.classifier(features.movedim(1, -1)).square().mean().backward()
    conv = model.segmentation_head[0]
    assert conv.weight.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())


def test_features_are_those_of_the_latest_forward_pass_with_gradients():
    model, head, images = listened("unet")
    model(images)
    first = head.features((64, 64))
    model(images + 1)
    second = head.features((64, 64))
    assert not torch.equal(first, second)
    with torch.inference_mode():
        model(images)
    assert torch.equal(head.features((64, 64)), second), "scoring leaves them alone"
    head.forget()
    with pytest.raises(AssertionError):
        head.features((64, 64))


def test_listening_adds_nothing_to_the_models_state():
    model, _, _ = listened("unet")
    assert list(model.state_dict()) == list(model_of("unet").state_dict())


class Bottleneck(torch.nn.Module):
    """A head of two layers, as dpt has one."""

    def __init__(self) -> None:
        super().__init__()
        self.segmentation_head = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3), torch.nn.Conv2d(4, 3, 1))


@pytest.mark.parametrize("model", [Bottleneck(), torch.nn.Conv2d(1, 3, 1)], ids=["two layers", "no head"])
def test_a_model_without_such_a_layer_is_refused(model):
    with pytest.raises(ModelError, match=r"model\.arch: dpt has no last layer that is a single convolution"):
        check_head(model, "dpt")


def test_the_check_of_a_study_asks_for_features_only_where_a_loss_does(monkeypatch):
    settings = ModelSettings(depth=3)
    check_model(settings, 1, 3, 32, features=True)
    bottleneck = torch.nn.Sequential()
    bottleneck.segmentation_head = Bottleneck().segmentation_head
    bottleneck.forward = lambda images: images.expand(-1, 3, -1, -1)
    monkeypatch.setattr("sweeper.training.model.build_model", lambda *unused, **unused_too: bottleneck)
    check_model(settings, 1, 3, 32)
    with pytest.raises(ModelError, match="single convolution"):
        check_model(settings, 1, 3, 32, features=True)


def own_family(monkeypatch, seen: list[dict], *needs: str) -> None:
    def recorded(logits, target, *, ignore_index=-100, **needed):
        seen.append({"logits": logits, "target": target, **needed})
        return logits.square().mean()

    family = Family(
        function=recorded,
        title="",
        level="structural",
        overlap="mixed",
        tradeoff="symmetric",
        formula="",
        source="",
        needs=needs,
    )
    monkeypatch.setattr(module, "family", lambda name: family)


def test_a_loss_gets_what_it_needs_of_the_step_and_nothing_else(data, make_trial, monkeypatch):
    seen: list[dict] = []
    own_family(monkeypatch, seen, "images", "features", "classifier", "step")
    moved = dataclasses.replace(data, background=2, minority=(0, 1))
    model = ModelSettings(arch="fpn", depth=3)
    trainer = Trainer(make_trial(level=0.05, model=model, precision="fp32"), moved, device="cpu")
    list(trainer.epochs())
    assert [each["step"] for each in seen] == [0, 1, 2, 3, 4, 5]
    last = seen[-1]
    assert set(last) == {"logits", "target", "images", "features", "classifier", "step"}
    assert last["images"].shape == (4, 1, 32, 32)
    assert last["images"].dtype == torch.float32
    assert last["features"].shape == (4, 128, 32, 32)
    seen.clear()
    own_family(monkeypatch, seen)
    list(Trainer(make_trial(), data, device="cpu").epochs())
    assert set(seen[0]) == {"logits", "target"}


def test_features_of_a_step_give_its_logits(data, make_trial, monkeypatch):
    """In the order of the loss, whose background the data lists last."""
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    seen: list[dict] = []
    own_family(monkeypatch, seen, "features", "classifier")
    plain = module.family("")

    def compared(logits, target, *, features, classifier, ignore_index=-100):
        found.append((logits.detach(), classifier(features.movedim(1, -1)).movedim(-1, 1).detach()))
        return logits.square().mean()

    monkeypatch.setattr(module, "family", lambda name: dataclasses.replace(plain, function=compared))
    moved = dataclasses.replace(data, background=2, minority=(0, 1))
    model = ModelSettings(arch="fpn", depth=3)
    list(Trainer(make_trial(level=0.05, model=model, epochs=1), moved, device="cpu").epochs())
    assert len(found) == 3
    for logits, classified in found:
        torch.testing.assert_close(classified, logits, rtol=1e-4, atol=1e-4)


def test_features_are_float32_under_reduced_precision(data, make_trial, monkeypatch):
    seen: list[dict] = []
    own_family(monkeypatch, seen, "features", "classifier")
    list(Trainer(make_trial(precision="bf16", epochs=1, steps_per_epoch=1), data, device="cpu").epochs())
    assert seen[0]["features"].dtype == torch.float32
    assert seen[0]["classifier"](seen[0]["features"].movedim(1, -1)).dtype == torch.float32


def test_a_trial_that_needs_features_of_a_model_without_them_is_refused(data, make_trial, monkeypatch):
    own_family(monkeypatch, [], "features")
    monkeypatch.setattr(module, "build_model", lambda *unused, **unused_too: Bottleneck())
    with pytest.raises(ModelError, match="single convolution"):
        Trainer(make_trial(), data, device="cpu")
