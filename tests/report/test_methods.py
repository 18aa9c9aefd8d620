from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from sweeper.report.document import Document
from sweeper.report.methods import counted, methods, to_text

from .synthetic import synthetic


def text_of(results, **settings):
    return to_text(methods(Document(results, **settings)))


def test_every_number_is_that_of_the_study():
    text = text_of(synthetic(["dice", "tversky"], levels=(0.95, 0.99), trials=8, seeds=3), rope=0.02, seed=5)
    assert "We compared 2 loss families for semantic segmentation under class imbalance (dice and tversky)." in text
    assert "36 pictures and 432 patches for training" in text
    assert "97.2 % of the pixels are background" in text
    assert "95 % and 99 %, the reference being 95 %" in text
    assert "30 epochs with batches of 16 patches" in text
    assert "at most 8 trials" in text
    # One trial of dice, eight of tversky, of which the synthetic study stops 1 and fails 1.
    assert "9 search trials were run, of which 1 was stopped early and 1 failed" in text
    assert "3 fresh seeds" in text
    assert "lies within ±0.02" in text
    assert "seed 5" in text


def test_one_of_anything_is_singular():
    text = text_of(synthetic(["dice"], levels=(0.97,), trials=1, seeds=1, images=3))
    assert "1 loss family for" in text
    assert "at most 1 trial," in text
    assert "1 search trial was run." in text
    assert "1 fresh seed " in text
    assert "do not cover the luck of training" in text
    assert "reference being" not in text
    assert counted(1200, "trial") == "1,200 trials"


def test_what_did_not_happen_is_not_claimed():
    text = text_of(synthetic(["dice", "focal"], levels=(0.97,), confirm=False))
    assert "No setting has been confirmed on the test split yet." in text
    assert "fresh seed" not in text.partition("Setting:")[2].partition("No setting")[0]
    results = synthetic(["dice", "tversky"], levels=(0.97, 0.99), missing=[("dice", 0.99)])
    assert "1 family and level lacks planned seeds" in text_of(results)


@pytest.mark.parametrize("stopping", ["asha", "none"])
def test_stopping_is_told_as_it_was(stopping):
    results = synthetic(["dice"], levels=(0.97,))
    results.meta["study"]["search"]["stopping"] = stopping
    assert ("no trial was stopped early" in text_of(results)) == (stopping == "none")


def test_trials_of_different_devices_are_said_to_differ():
    results = synthetic(["dice"], levels=(0.97,))
    devices = ["cpu"] * (results.trials.num_rows - 1) + ["NVIDIA X"]
    at = results.trials.schema.get_field_index("device")
    mixed = results.trials.set_column(at, results.trials.schema.field(at), pa.array(devices))
    assert "compare with care" in text_of(dataclasses.replace(results, trials=mixed))
    assert "compare with care" not in text_of(results)
