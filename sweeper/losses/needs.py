"""What a loss can ask of whoever trains with it, by name, beyond its hyperparameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from sweeper.maps.kinds import KINDS

CONSTANTS = ("class_frequencies",)
"""Of the data set. `class_frequencies` is (C,) float32, the level-weighted share of each class among the training
pixels. Optional for the function: without it, it falls back to the batch."""

MAPS = tuple(KINDS)
"""Of the target, (B, K, H, W): see `maps.kinds`. Optional for the function: without one it computes it from the target,
on the CPU."""

STEP = ("images", "features", "classifier", "step")
"""Of the training step. `images` is (B, channels, H, W) float32, normalized. `features` is (B, D, H, W), the decoder's
map that the model's last layer turns into logits, brought to the logits' size. `classifier` maps (…, D) features to
(…, C) logits with the weights of that layer. `step` counts optimizer steps from 0."""

ARTEFACT_VERSIONS: Mapping[str, int] = MappingProxyType({"mask_autoencoder": 2, "boundary_transform": 2})
"""Raised when a network or its training changes, so that artefacts on disk are trained anew."""

ARTEFACTS = tuple(ARTEFACT_VERSIONS)
"""Networks trained once on the training masks of a data set, before any trial, given to the companion's builder."""

EVERY = (*CONSTANTS, *MAPS, *STEP, *ARTEFACTS)


def versions(needs: Iterable[str]) -> dict[str, int]:
    """Return the versions of the maps and artefacts among `needs`, which decide what a trial learns from."""
    known = {name: kind.version for name, kind in KINDS.items()} | {**ARTEFACT_VERSIONS}
    return {name: known[name] for name in needs if name in known}
