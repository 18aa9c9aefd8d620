"""Lines of Python that train with a family outside of a study, ready to be copied."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.domains import Fixed, Value, ends
from sweeper.losses.companion import Companion, Setup
from sweeper.losses.family import Family
from sweeper.losses.needs import ARTEFACTS, MAPS
from sweeper.losses.networks import untrained


def snippet(one: Family, called: str) -> str:
    """Return code that computes the loss of `logits` and `target`, or takes a step of training where that is special.

    It takes for granted, as far as it names them: `logits` (B, C, H, W) and `target` (B, H, W) int64; `images`, a
    `model` made of a `decoder` and a 1 × 1 convolution `head`; the training masks `masks`; `step` and `steps`.

    Args:
        called: The name the user knows it by.
    """
    parts = [_function(one)] if ":" not in called and _companion(one, {}) is None else []
    parts += [_module(one, called, {})]
    if not _special(one, {}):
        # With a word that changes what is needed the call looks different: shown once each.
        words = [{name: value} for name, dial in one.hyperparameters.items() if dial.static for value in ends(dial.legal)]
        parts += [_module(one, called, word) for word in words if _special(one, word)]
    return "\n\n".join(parts)


def _function(one: Family) -> str:
    settings = _settings(one)
    return f"from sweeper.losses import {one.name}\nloss = {one.name}({', '.join(['logits', 'target', *settings])})"


def _module(one: Family, called: str, word: Mapping[str, Value]) -> str:
    """Return code for the family at its defaults but for one word."""
    needs = one.needs_at(word)
    artefacts = [name for name in needs if name in ARTEFACTS]
    companion = _companion(one, word)
    chosen = [f"{name}={value!r}" for name, value in word.items()]
    criterion = f"criterion = sweeper.loss({', '.join([repr(called).replace(chr(39), chr(34)), *_settings(one), *chosen])})"
    lines = ["import sweeper"]
    if artefacts:
        lines += ["from sweeper.training.artefacts import build  # trained once, on the training masks (N, P, P)"]
        lines += ["classes = logits.shape[1]"]
        lines += [f"artefacts = {{name: build(name, masks, classes).arrays for name in {artefacts!r}}}"]
        criterion += ".bring(classes=classes, artefacts=artefacts)"
    elif companion is not None:
        criterion += ".bring(classes=logits.shape[1], channels=images.shape[1])"
    lines += [criterion]
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
        "learned = {'params': criterion.parameters(), 'lr': 1e-3 * criterion.companion.lr_factor, 'weight_decay': 0.0}",
        "optimizer = torch.optim.AdamW([{'params': model.parameters()}, learned], lr=1e-3)",
        "logits = model(images)",
        f"loss = {call}",
        "optimizer.zero_grad()",
        "loss.backward()",
        "optimizer.step()",
    ]


def _rival(call: str) -> list[str]:
    return [
        "rival = criterion.companion",
        "optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)",
        "rivals = torch.optim.Adam(rival.parameters(), lr=1e-3 * rival.lr_factor, betas=(0.5, 0.9))",
        "logits = model(images)  # from here on in every step of training",
        "for _ in range(rival.rounds):",
        "    rivals.zero_grad()",
        "    rival.rival_loss(logits.detach(), target, images=images, ignore_index=criterion.ignore_index).backward()",
        "    rivals.step()",
        "optimizer.zero_grad()",
        f"{call}.backward()",
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
    return [f"# {' and '.join(maps)} {many} worked out from the target each time, on the CPU, unless given by keyword."]


def _settings(one: Family) -> list[str]:
    """Return what a study would search, at its default, as keywords."""
    arguments = {key: one.defaults[key] for key, domain in one.domains.items() if not isinstance(domain, Fixed)}
    own = {key: value for key, value in arguments.items() if one.hyperparameters[key].ramps is None}
    return [f"{key}={value!r}" for key, value in own.items()]


def _special(one: Family, word: Mapping[str, Value]) -> bool:
    """Say whether there is more to it than a call."""
    needs = one.needs_at(word)
    return any(name in (*ARTEFACTS, "features") for name in needs) or _companion(one, word) is not None


def _companion(one: Family, word: Mapping[str, Value]) -> Companion | None:
    """Return what the loss brings along at a setting, untrained."""
    if one.companion is None:
        return None
    artefacts = {name: untrained(name) for name in one.needs_at(word) if name in ARTEFACTS}
    return one.companion(Setup(classes=3, channels=3, settings=one.defaults | dict(word), artefacts=artefacts))
