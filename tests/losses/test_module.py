"""A family at one setting as a torch module."""

from __future__ import annotations

import pytest
import torch

from sweeper.errors import LossError, UnknownFamily
from sweeper.losses.catalogue import FAMILIES, family, loss

from .batches import IGNORED, random_batch


@pytest.mark.parametrize("name", FAMILIES)
def test_the_module_is_the_function(name):
    logits, target = random_batch()
    value = loss(name, ignore_index=IGNORED)(logits, target)
    assert value == family(name).function(logits, target, ignore_index=IGNORED)


def test_settings_reach_the_function():
    logits, target = random_batch()
    module = loss("tversky", alpha=0.2, beta=0.8, scope="image", ignore_index=IGNORED)
    expected = family("tversky").function(logits, target, alpha=0.2, beta=0.8, scope="image", ignore_index=IGNORED)
    assert module(logits, target) == expected
    assert isinstance(module, torch.nn.Module)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (lambda: loss("ce"), "Loss(cross_entropy, ignore_index=-100)"),
        (
            lambda: loss("tversky", alpha=0.2, beta=0.8),
            "Loss(tversky, alpha=0.2, beta=0.8, smooth=0.0, ignore_index=-100)",
        ),
        (
            lambda: loss("dice", classes="foreground", ignore_index=255),
            "Loss(dice, smooth=0.0, classes='foreground', ignore_index=255)",
        ),
        (
            lambda: loss("wce", class_weights=[1, 3]),
            "Loss(weighted_cross_entropy, power=0.5, class_weights=[1.0, 3.0], ignore_index=-100)",
        ),
    ],
)
def test_repr(module, text):
    assert repr(module()) == text


def test_vectors_move_with_the_module():
    module = loss("wce", class_frequencies=[0.9, 0.1])
    assert module.to(torch.float64).class_frequencies.dtype == torch.float64
    assert list(module.state_dict()) == ["class_frequencies"]


def test_a_value_equal_to_an_unset_default_is_accepted():
    assert loss("focal", alpha=None).hyperparameters == {"alpha": None}


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("tversky", {"apha": 0.3}, "tversky has no hyperparameter 'apha'; did you mean 'alpha'?"),
        ("ce", {"gamma": 2.0}, "cross_entropy has no hyperparameter 'gamma'; it has none"),
        ("wce", {"class_wieghts": [1, 2]}, "did you mean 'class_weights'"),
        ("tversky", {"beta": -0.1}, "tversky: beta: -0.1 is outside 0 to"),
        ("combo", {"alpha": 1.5}, "combo: alpha: 1.5 is outside 0 to 1"),
        ("focal", {"gamma": float("nan")}, "focal: gamma: nan is outside"),
        ("focal", {"gamma": "high"}, "focal: gamma: 'high' is not a number"),
        ("focal", {"gamma": True}, "focal: gamma: True is not a number"),
        ("focal", {"gamma": [1.0, 2.0]}, "is not a number"),
        ("tversky", {"beta": None}, "tversky: beta: None is not a number"),
        ("dice", {"scope": "pixel"}, "dice: scope: 'pixel' is not one of batch, image"),
        ("dice", {"log_loss": 1}, "dice: log_loss: 1 is not one of False, True"),
        ("wce", {"class_weights": [1.0, -1.0]}, "one number ≥ 0 per class"),
        ("wce", {"class_weights": [1.0, float("nan")]}, "one number ≥ 0 per class"),
        ("wce", {"class_weights": "heavy"}, "class_weights is 'heavy'; it must be one number per class"),
        ("wce", {"class_weights": 3.0}, "one number ≥ 0 per class"),
    ],
)
def test_settings_outside_the_family_are_refused(name, settings, says):
    with pytest.raises(LossError) as caught:
        loss(name, **settings)
    assert says in str(caught.value)


def test_unknown_families_are_refused():
    with pytest.raises(UnknownFamily):
        loss("dicee")
