"""Builds a trial's model with segmentation-models-pytorch, without the parts that its depth leaves unused."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from sweeper.errors import ModelError, suggest
from sweeper.training.head import check_head
from sweeper.training.trial import ModelSettings

_FILE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")


def build_model(settings: ModelSettings, channels: int, classes: int, *, patch: int = 64) -> nn.Module:
    """Return a model from images (B, `channels`, `patch`, `patch`) to logits (B, `classes`, `patch`, `patch`).

    Random weights come from torch's global generator. Modules that no forward pass reaches (smp keeps the encoder
    stages beyond `depth`: at depth 3 that is 10.5 of resnet18's 11.2 million parameters) are replaced by nn.Identity,
    so that they are neither optimized nor saved; the output is the same.

    Raises: ModelError, in one line with the fix.
    """
    options = _options(settings)
    weights_file = _weights_file(settings)
    weights = None if weights_file else settings.weights
    _check_encoder(settings.encoder)
    if weights is not None:
        _check_weights(settings.encoder, weights)
    try:
        with warnings.catch_warnings():
            # smp asks to rename the `timm-` encoders; a study that names one still gets it.
            warnings.filterwarnings("ignore", message="`timm-` encoders are deprecated", category=DeprecationWarning)
            model: nn.Module = smp.create_model(
                settings.arch,
                encoder_name=settings.encoder,
                # smp's wrapper of timm encoders takes a yes or no; the pretrained tag is part of the encoder's name.
                encoder_weights=True if weights is not None and settings.encoder.startswith("tu-") else weights,
                in_channels=channels,
                classes=classes,
                **options,
            )
    except Exception as error:
        # smp, timm and the download each raise what they please; all of it comes from the settings.
        raise _cannot_build(settings, weights, error) from error
    if weights_file:
        _load_encoder(model, weights_file, settings.encoder, channels)
    try:
        drop_unused(model, torch.zeros(1, channels, patch, patch))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise _cannot_take(settings, f"patches of {patch} px", error) from error
    _keep_logits_exact(model)
    return model


def _keep_logits_exact(model: nn.Module) -> None:
    """Compute the last layer in float32 under autocast too.

    bf16 would round logits of 8 to steps of 1/16, and turn near ties into ties that all go to the background, the more
    so the larger a loss drives its logits.
    """
    head = getattr(model, "segmentation_head", None)
    if head is None:
        return
    plain = head.forward

    def exact(features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = plain(features.float())
            return logits

    head.forward = exact


def check_model(
    settings: ModelSettings, channels: int, classes: int, patch: int, *, batch_size: int = 2, features: bool = False
) -> None:
    """Build the model and run one training-mode batch of `patch` × `patch` through it.

    Torch's global generator is left as it was.

    Args:
        features: Whether a loss will ask for the features before the last layer.

    Raises: ModelError when it cannot be built, refuses such a batch, answers in another shape, or does not have the
        features asked for.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model = build_model(settings, channels, classes, patch=patch).train()
        if features:
            check_head(model, settings.arch)
        try:
            logits = model(torch.zeros(batch_size, channels, patch, patch))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise _cannot_take(settings, f"batches of {batch_size} patches of {patch} px", error) from error
    wanted = (batch_size, classes, patch, patch)
    if tuple(logits.shape) != wanted:
        raise ModelError(
            f"model: {_name(settings)} answers patches of {patch} px with logits of shape {tuple(logits.shape)} "
            f"instead of {wanted}; choose another depth or architecture"
        )


def drop_unused(model: nn.Module, probe: Tensor) -> None:
    """Replace, in place, every module that a forward pass over `probe` neither calls nor takes parameters from.

    Both signs are needed: a module whose weights are used without calling it (attention projections) has gradients,
    one without parameters (an activation) has none to show but is called.
    """
    called: set[nn.Module] = set()
    hooks = [module.register_forward_hook(lambda module, *_: called.add(module)) for module in model.modules()]
    parameters = list(model.parameters())
    training = model.training
    try:
        # Evaluation mode leaves the running statistics of normalization layers as they are.
        with torch.enable_grad():
            output: Tensor = model.eval()(probe)
            gradients = torch.autograd.grad(output.sum(), parameters, allow_unused=True)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    used = {parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
    _drop(model, called, used)


def _drop(module: nn.Module, called: set[nn.Module], used: set[nn.Parameter]) -> None:
    for name, child in list(module.named_children()):
        parameters = set(child.parameters())
        if parameters and not parameters & used and not any(each in called for each in child.modules()):
            module.add_module(name, nn.Identity())
        else:
            _drop(child, called, used)


def _options(settings: ModelSettings) -> dict[str, Any]:
    """Return what this architecture takes beyond encoder, weights, channels and classes."""
    architectures: dict[str, type[nn.Module]] = smp.MODEL_ARCHITECTURES_MAPPING
    if settings.arch not in architectures:
        raise ModelError(
            f"model.arch: there is no architecture {settings.arch!r}; {suggest(settings.arch, architectures)}"
        )
    if not 3 <= settings.depth <= 5:
        raise ModelError(f"model.depth: {settings.depth} is not a number of encoder stages; choose 3, 4 or 5")
    options: dict[str, Any] = {"encoder_depth": settings.depth}
    # Two architectures have to be told how far what they predict on is from the picture; smp's defaults hold for one
    # depth only. PSPNet predicts at the encoder's last stride, FPN three stages above it.
    if settings.arch == "pspnet":
        options["upsampling"] = 2**settings.depth
    elif settings.arch == "fpn":
        options["upsampling"] = 2 ** (settings.depth - 3)
    parameter = inspect.signature(architectures[settings.arch].__init__).parameters.get("decoder_channels")
    given = settings.decoder_channels
    if parameter is None:
        if given is not None:
            takers = sorted(
                name
                for name, builder in architectures.items()
                if "decoder_channels" in inspect.signature(builder.__init__).parameters
            )
            raise ModelError(
                f"model.decoder_channels: {settings.arch} takes none; leave it out, or choose the architecture "
                f"{', '.join(takers)}"
            )
    elif isinstance(parameter.default, int):
        if given is not None:
            if len(given) != 1:
                raise ModelError(
                    f"model.decoder_channels: {settings.arch} takes a single width, got {list(given)}; write e.g. "
                    f"[{parameter.default}], or leave it out"
                )
            options["decoder_channels"] = given[0]
    else:
        # smp's default is one width per stage at full depth, finest last; a shallower model keeps the finest ones.
        chosen = tuple(given) if given is not None else tuple(parameter.default)[-settings.depth :]
        if len(chosen) != settings.depth:
            raise ModelError(
                f"model.decoder_channels: {settings.arch} takes one width per stage, {settings.depth} at this depth, "
                f"got {list(chosen)}; e.g. {list(parameter.default)[-settings.depth :]}"
            )
        options["decoder_channels"] = chosen
    return options


def _check_encoder(encoder: str) -> None:
    known = smp.encoders.get_encoder_names()
    # The wrapped timm encoders are many hundreds; timm itself says whether it has one.
    if encoder not in known and not encoder.startswith(("tu-", "timm-")):
        raise ModelError(f"model.encoder: there is no encoder {encoder!r}; {suggest(encoder, known)}")


def _check_weights(encoder: str, weights: str) -> None:
    if encoder not in smp.encoders.encoders:
        return
    known = smp.encoders.encoders[encoder]["pretrained_settings"]
    if weights not in known:
        raise ModelError(
            f"model.weights: {encoder} has no weights {weights!r}; give a local file, null, or a name it has: "
            f"{suggest(weights, known)}"
            if known
            else f"model.weights: {encoder} has no pretrained weights; give a local file, or null"
        )


def _weights_file(settings: ModelSettings) -> Path | None:
    """Return the weights as a file where they name one, else None."""
    if settings.weights is None:
        return None
    path = Path(settings.weights)
    if path.is_file():
        return path
    if path.suffix in _FILE_SUFFIXES or len(path.parts) > 1:
        raise ModelError(
            f"model.weights: there is no file {settings.weights}; give the path of a state dict of the encoder"
        )
    return None


def _load_encoder(model: nn.Module, path: Path, encoder: str, channels: int) -> None:
    """Load a state dict of the encoder, tensors only: such a file may come from anywhere."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Whatever a damaged or foreign file makes the readers raise, it is not a state dict.
        raise ModelError(f"model.weights: {path} is not a state dict of tensors: {_first_line(error)}") from error
    try:
        model.get_submodule("encoder").load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(
            f"model.weights: {path} does not hold the weights of {encoder} for {channels}-channel images: "
            f"{_first_line(error)}"
        ) from error


def _cannot_take(settings: ModelSettings, what: str, error: Exception) -> ModelError:
    return ModelError(
        f"model: {_name(settings)} cannot take {what}: {_first_line(error)}; "
        f"change data.patch, training.batch_size, or the model"
    )


def _cannot_build(settings: ModelSettings, weights: str | None, error: Exception) -> ModelError:
    reason = _first_line(error)
    if weights is not None and not isinstance(error, TypeError | KeyError):
        return ModelError(
            f"model.weights: the weights {weights!r} of {settings.encoder} could not be fetched ({reason}); "
            f"give a local file, or null for random weights"
        )
    return ModelError(f"model: {_name(settings)} cannot be built: {reason}; change model.encoder, depth or arch")


def _name(settings: ModelSettings) -> str:
    return f"{settings.arch} with {settings.encoder} at depth {settings.depth}"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip("'\"").splitlines() if line.strip()]
    text = " ".join(lines[:2]) if lines and lines[0].endswith(":") else (lines[0] if lines else type(error).__name__)
    return text if len(text) <= 200 else text[:197] + "..."
