"""Lines of Python that train with a family outside of a study, ready to be copied."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.domains import Fixed, Value, ends
from sweeper.losses.companion import Companion
from sweeper.losses.family import Family
from sweeper.losses.needs import ARTEFACTS, MAPS
from sweeper.losses.networks import untrained_companion


def snippet(one: Family, called: str) -> str:
    """Return code that computes the loss of `logits` and `target`, or takes a step of training where that is special.

    It takes for granted, as far as it names them: `logits` (B, C, H, W) and `target` (B, H, W) int64; `images`, a
    `model` made of a `decoder` and a 1 × 1 convolution `head`; the training masks `masks`; `step` and `steps`.

    Args:
        called: The name the user knows it by.
    """
    plain = ":" not in called and companion_of(one, {}) is None
    parts = [_function(one)] if plain else []
    parts += [_module(one, called, {})]
    words = [{name: value} for name, dial in one.hyperparameters.items() if dial.static for value in ends(dial.legal)]
    # A word with which the loss asks for more looks different, and is shown too.
    parts += [_module(one, called, word) for word in words if _asks(one, word) - _asks(one, {})]
    return "\n\n".join(parts)


def _function(one: Family) -> str:
    settings = _settings(one)
    return f"from sweeper.losses import {one.name}\nloss = {one.name}({', '.join(['logits', 'target', *settings])})"


def _module(one: Family, called: str, word: Mapping[str, Value]) -> str:
    """Return code for the family at its defaults but for one word."""
    needs = one.needs_at(word)
    artefacts = [name for name in needs if name in ARTEFACTS]
    companion = companion_of(one, word)
    chosen = [f"{name}={_literal(value)}" for name, value in word.items()] or _settings(one)
    lines = ["import sweeper", f"criterion = sweeper.loss({', '.join([_literal(called), *chosen])})"]
    if artefacts:
        lines.insert(1, "from sweeper.training.artefacts import build")
        lines += ["classes = logits.shape[1]"]
        lines += [f"{name} = build({_literal(name)}, masks, classes)  # once, on training masks" for name in artefacts]
        given = ", ".join(f"{_literal(name)}: {name}.arrays" for name in artefacts)
        lines += [f"criterion.bring(classes=classes, artefacts={{{given}}})"]
    elif companion is not None:
        lines += ["criterion.bring(classes=logits.shape[1], channels=images.shape[1])"]
    if companion is not None and companion.role != "frozen":
        return "\n".join(["import torch", *lines, *_TRAINED[companion.role](_call(one, word))])
    if "features" in needs:
        lines += ["features = decoder(images)  # (B, D, H, W), of the size of the logits"]
        lines += ["logits = head(features)"]
    if "classifier" in needs:
        lines += ["classifier = lambda x: x @ head.weight.flatten(1).T + head.bias  # (…, D) to (…, C)"]
    return "\n".join([*lines, f"loss = {_call(one, word)}", *_spared(one, word)])


def _joint(call: str) -> list[str]:
    return [
        "lr = 1e-3",
        'own = {"params": model.parameters()}',
        'learned = {"params": criterion.parameters(), "lr": lr * criterion.companion.lr_factor, "weight_decay": 0.0}',
        "optimizer = torch.optim.AdamW([own, learned], lr=lr)",
        "logits = model(images)  # from here on in every step of training",
        f"loss = {call}",
        "optimizer.zero_grad()",
        "loss.backward()",
        "optimizer.step()",
    ]


def _rival(call: str) -> list[str]:
    return [
        "rival = criterion.companion",
        "lr = 1e-3",
        "optimizer = torch.optim.AdamW(model.parameters(), lr=lr)",
        "rivals = torch.optim.Adam(rival.parameters(), lr=lr * rival.lr_factor, betas=(0.5, 0.9))",
        "logits = model(images)  # from here on in every step of training",
        "for _ in range(rival.rounds):",
        "    rivals.zero_grad()",
        '    given = {"images": images, "ignore_index": criterion.ignore_index}',
        "    rival.rival_loss(logits.detach(), target, **given).backward()",
        "    rivals.step()",
        f"loss = {call}",
        "optimizer.zero_grad()",
        "loss.backward()",
        "optimizer.step()",
    ]


_TRAINED = {"joint": _joint, "rival": _rival}


def _call(one: Family, word: Mapping[str, Value]) -> str:
    given = [name for name in one.needs_at(word) if name in ("images", "features", "classifier", "step")]
    keywords = [f"{name}={name}" for name in given]
    if any(dial.ramps is not None for dial in one.hyperparameters.values()):
        keywords.append("progress=step / steps")
    return f"criterion({', '.join(['logits', 'target', *keywords])})"


def _spared(one: Family, word: Mapping[str, Value]) -> list[str]:
    maps = [name for name in one.needs_at(word) if name in MAPS]
    if not maps:
        return []
    many = "are" if len(maps) > 1 else "is"
    return [f"# {' and '.join(maps)} {many} worked out from each target, on the CPU, unless given by keyword."]


def _settings(one: Family) -> list[str]:
    """Return what a study would search, at its default, as keywords."""
    arguments = {key: one.defaults[key] for key, domain in one.domains.items() if not isinstance(domain, Fixed)}
    own = {key: value for key, value in arguments.items() if one.hyperparameters[key].ramps is None}
    return [f"{key}={_literal(value)}" for key, value in own.items()]


def _literal(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _asks(one: Family, word: Mapping[str, Value]) -> set[str]:
    """Return what a setting asks for that takes lines of its own."""
    return {name for name in one.needs_at(word) if name in (*ARTEFACTS, "features")}


def companion_of(one: Family, word: Mapping[str, Value]) -> Companion | None:
    """Return what the loss brings along at a setting, untrained."""
    return untrained_companion(one, word, classes=3, channels=3)
