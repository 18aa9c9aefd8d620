"""What every family must do. A new row of the catalogue is tested here without a new line."""

from __future__ import annotations

import functools
import inspect

import pytest

from sweeper.losses.catalogue import FAMILIES
from sweeper.losses.conformance import DEMANDS, Subject, run_demand
from sweeper.losses.needs import ARTEFACTS

TRIALS = [
    pytest.param(name, demand, id=f"{name}-{demand.name}")
    for name, family in FAMILIES.items()
    for demand in DEMANDS
    if demand.concerns(family)
]


@functools.lru_cache(maxsize=1)
def subject(name):
    """What one demand has worked out serves the next one of the same family."""
    return Subject(FAMILIES[name])


@pytest.mark.parametrize(("name", "demand"), TRIALS)
def test_demand(name, demand):
    result = run_demand(demand, subject(name), exempt_too=True)
    assert result.status != "failed", result.detail
    assert not result.idle, f"the exemption from {demand.name!r} is not needed"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_signature(family):
    parameters = inspect.signature(family.function).parameters
    assert list(parameters)[:2] == ["logits", "target"]
    keywords = {name for name, parameter in parameters.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    assert {*parameters} == {"logits", "target", *keywords}
    # What is neither a hyperparameter nor the trainer's is for direct use.
    rest = keywords - {*family.hyperparameters, *family.needs, "ignore_index", "companion"}
    assert rest <= {"class_weights", "groups", "matrix"}
    assert all(parameters[name].default is None for name in rest)
    assert parameters["ignore_index"].default == -100
    # Target maps and constants are a convenience: a plain training loop has none.
    assert all(parameters[name].default is None for name in family.needs if name not in ARTEFACTS)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_static_options_are_not_searched_unless_a_study_says_so(family):
    assert not [name for name, dial in family.hyperparameters.items() if dial.static and dial.search is not None]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_documented(family):
    doc = inspect.getdoc(family.function)
    assert family.function.__name__ == family.name
    for word in ("L = ", "Args:", "logits: (B, C, H, W)", "target: (B, H, W) int64", "Raises:", "Source:", "Fails:"):
        assert word in doc, word
    for name in set(inspect.signature(family.function).parameters) - {"ignore_index"}:
        assert f"{name}:" in doc, name
    assert family.title
    assert family.formula
    assert "\n" not in family.formula
    assert family.limits
    # A paper that is found on OpenReview alone has neither.
    assert any(kind in family.source for kind in ("arXiv:", "doi:", "openreview"))
