"""Values on small pictures, in float64 to the digits given and in float32 to a relative 1e-5."""

from __future__ import annotations

import pytest
import torch

from sweeper.losses.catalogue import FAMILIES, family
from sweeper.losses.companion import Setup
from sweeper.losses.needs import ARTEFACTS
from sweeper.losses.networks import untrained

from .golden import GOLDEN, IGNORED, PICTURES

ROWS = [
    pytest.param(name, settings, picture, value, id=f"{name} {settings} {picture}")
    for name, settings, values in GOLDEN
    for picture, value in values.items()
]


def brought_along(name, settings, classes):
    """Return the companion, by keyword, of a family that cannot do without: a rival or a frozen network."""
    row = family(name)
    if row.companion is None:
        return {}
    settings = row.defaults | settings
    artefacts = {need: untrained(need) for need in row.needs_at(settings) if need in ARTEFACTS}
    companion = row.companion(Setup(classes=classes, channels=3, settings=settings, artefacts=artefacts))
    return {} if companion is None or companion.role == "joint" else {"companion": companion}


@pytest.mark.parametrize(("name", "settings", "picture", "value"), ROWS)
def test_value(name, settings, picture, value):
    logits, target = PICTURES[picture]
    function, settings = family(name).function, {**settings, **brought_along(name, settings, logits.shape[1])}
    exact = function(logits, target, ignore_index=IGNORED, **settings)
    assert exact.dtype == torch.float64
    assert exact.item() == pytest.approx(value, abs=1e-8)
    single = function(logits.float(), target, ignore_index=IGNORED, **settings)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(value, rel=1e-5)


def test_every_family_has_a_golden_value():
    assert {name for name, _, _ in GOLDEN} == set(FAMILIES)


def test_generalized_dice_worked_by_hand():
    # T4: G = (2, 1, 1), TP = (1.3, .5, .4), P = (1.85, 1.35, .8). With w = 1/G²: overlap .325 + .5 + .4 = 1.225 and
    # size 3.85/4 + 2.35 + 1.8 = 5.1125.
    logits, target = PICTURES["T4"]
    assert family("gdl").function(logits, target, power=2.0).item() == pytest.approx(1 - 2 * 1.225 / 5.1125)


def test_weighted_cross_entropy_by_given_frequencies_worked_by_hand():
    # B4: −log p is .10536, .91629 on the foreground and .22314, .10536 on the background. Frequencies of ¾ and ¼ with
    # κ = ½ are weights in the ratio 1 : √3.
    logits, target = PICTURES["B4"]
    value = family("wce").function(logits, target, power=0.5, class_frequencies=[0.75, 0.25])
    root = 3**0.5
    foreground, background = 0.105360516 + 0.916290732, 0.223143551 + 0.105360516
    assert value.item() == pytest.approx((root * foreground + background) / (2 * root + 2), abs=1e-8)


def test_log_of_dice_worked_by_hand():
    # B4: the Dice coefficients are 1.7/2.2 and 1.3/1.8.
    logits, target = PICTURES["B4"]
    expected = -(torch.tensor(1.7 / 2.2).log() + torch.tensor(1.3 / 1.8).log()) / 2
    assert family("dice").function(logits, target, log_loss=True).item() == pytest.approx(expected.item(), rel=1e-6)


def test_normalize_by_pixels_worked_by_hand():
    # B4 with weights (1, 3): (3 · 1.021651247 + .328504067) / 4 pixels in place of 8 weights.
    logits, target = PICTURES["B4"]
    value = family("wce").function(logits, target, class_weights=[1, 3], normalize="pixels")
    assert value.item() == pytest.approx((3 * 1.021651247 + 0.328504067) / 4, abs=1e-8)
