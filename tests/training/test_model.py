import re
import socket

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from sweeper.errors import ModelError
from sweeper.training.model import build_model, check_model, drop_unused
from sweeper.training.trial import ModelSettings

SMALL = ModelSettings(depth=3, decoder_channels=(16, 8, 8))


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_stages_beyond_the_depth_are_dropped_and_the_output_stays_the_same():
    torch.manual_seed(0)
    whole = smp.create_model(
        "unet", "resnet18", encoder_weights=None, encoder_depth=3, decoder_channels=(16, 8, 8), classes=3
    ).eval()
    torch.manual_seed(0)
    pruned = build_model(SMALL, 3, 3).eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(pruned(images), whole(images), rtol=0, atol=0)
    # resnet18's last two stages hold 10.5 million parameters.
    assert parameters(whole) - parameters(pruned) == parameters(whole.encoder.layer3) + parameters(whole.encoder.layer4)
    assert parameters(pruned) < 1e6
    assert not any("layer4" in name for name in pruned.state_dict())


def test_every_parameter_left_has_a_gradient():
    model = build_model(ModelSettings(arch="deeplabv3plus", depth=4), 1, 2)
    model(torch.randn(2, 1, 64, 64)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


class Attention(nn.Module):
    """Uses a child's weights without calling it, as torch's own attention does, and has a child it does not use."""

    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(4, 4)
        self.activation = nn.ReLU()
        self.spare = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))

    def forward(self, x):
        return self.activation(nn.functional.linear(x, self.projection.weight))


def test_only_what_is_neither_called_nor_read_is_dropped():
    model = Attention()
    drop_unused(model, torch.ones(2, 4))
    assert isinstance(model.projection, nn.Linear)
    assert isinstance(model.activation, nn.ReLU)
    assert isinstance(model.spare, nn.Identity)
    assert model.training


def test_the_default_widths_follow_the_depth():
    model = build_model(ModelSettings(depth=4), 3, 2)
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 2, 64, 64)


@pytest.mark.parametrize(
    ("arch", "depth"), [("pspnet", 4), ("fpn", 3), ("fpn", 4), ("linknet", 3), ("pan", 3), ("segformer", 3)]
)
def test_architectures_of_every_kind_pass_the_check(arch, depth):
    check_model(ModelSettings(arch=arch, depth=depth), 1, 3, 64)


def test_building_opens_no_connection(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    build_model(SMALL, 3, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arch": "unett"}, "model.arch: there is no architecture 'unett'; did you mean 'unet'?"),
        ({"encoder": "resnet19"}, "model.encoder: there is no encoder 'resnet19'; did you mean 'resnet18'?"),
        ({"encoder": "tu-nothing"}, "Unknown model (nothing)"),
        ({"depth": 6}, "model.depth: 6 is not a number of encoder stages; choose 3, 4 or 5"),
        ({"depth": 3, "decoder_channels": (8, 8)}, "one width per stage, 3 at this depth, got [8, 8]"),
        ({"arch": "fpn", "decoder_channels": (8,)}, "model.decoder_channels: fpn takes none"),
        ({"arch": "pan", "depth": 3, "decoder_channels": (8, 8)}, "pan takes a single width, got [8, 8]"),
        ({"arch": "dpt"}, "Encoder name must start with 'tu-', got resnet18"),
        ({"weights": "imagenette"}, "resnet18 has no weights 'imagenette'"),
        ({"weights": "no/such/file.pt"}, "there is no file no/such/file.pt"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(settings, message):
    with pytest.raises(ModelError, match=re.escape(message)) as raised:
        build_model(ModelSettings(**settings), 3, 2)
    assert "\n" not in str(raised.value)


def test_weights_that_cannot_be_fetched_are_named_with_the_way_out(monkeypatch):
    def offline(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", offline)
    with pytest.raises(ModelError, match=r"'imagenet' of resnet18 could not be fetched .*unreachable.*local file"):
        build_model(ModelSettings(weights="imagenet"), 3, 2)


def test_an_output_of_another_size_is_refused(monkeypatch):
    halving = nn.Conv2d(1, 3, kernel_size=2, stride=2)
    monkeypatch.setattr(smp, "create_model", lambda *_, **__: halving)
    with pytest.raises(ModelError, match=r"shape \(2, 3, 32, 32\) instead of \(2, 3, 64, 64\)"):
        check_model(SMALL, 1, 3, 64)


def test_a_batch_too_small_for_the_model_is_refused():
    with pytest.raises(ModelError, match=r"deeplabv3 .* cannot take batches of 1 patches .*batch_size"):
        check_model(ModelSettings(arch="deeplabv3"), 1, 3, 64, batch_size=1)


def test_the_check_leaves_torchs_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_model(SMALL, 1, 3, 64)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_local_file_gives_the_encoder_its_weights(tmp_path, suffix):
    state = smp.encoders.get_encoder("resnet18", in_channels=1, depth=3, weights=None).state_dict()
    path = tmp_path / f"encoder{suffix}"
    if suffix == ".pt":
        torch.save(state, path)
    else:
        from safetensors.torch import save_file

        save_file(state, path)
    model = build_model(ModelSettings(depth=3, decoder_channels=(16, 8, 8), weights=str(path)), 1, 2)
    torch.testing.assert_close(model.encoder.conv1.weight, state["conv1.weight"], rtol=0, atol=0)
    with pytest.raises(ModelError, match="does not hold the weights of resnet18 for 3-channel images"):
        build_model(ModelSettings(weights=str(path)), 3, 2)


def test_a_file_that_is_no_state_dict_is_refused(tmp_path):
    path = tmp_path / "encoder.pt"
    path.write_text("hello")
    with pytest.raises(ModelError, match=r"encoder\.pt is not a state dict"):
        build_model(ModelSettings(weights=str(path)), 3, 2)
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match="resnet18"):
        build_model(ModelSettings(weights=str(path)), 3, 2)


def test_logits_are_not_rounded_to_bf16_under_autocast():
    model = build_model(ModelSettings(depth=3, decoder_channels=(16, 8, 8)), 3, 2, patch=32).eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())
