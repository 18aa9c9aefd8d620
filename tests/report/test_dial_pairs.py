from __future__ import annotations

from dataclasses import replace

import pytest

from sweeper.errors import UserError
from sweeper.report.search.dial_pairs import chosen, named
from sweeper.report.search.dials import searches

from .synthetic import synthetic


@pytest.fixture(scope="module")
def results():
    made = synthetic(["focal", "tversky", "combo", "dice"], levels=(0.97,), trials=8, images=2)
    made.meta["study"]["training"]["lr"] = {"log_uniform": [1e-4, 1e-2]}
    return made


def test_names_are_those_of_the_study_and_lr_is_training_lr(results):
    assert named(results, [("gamma", "alpha"), ("lr", "beta"), ("gamma", "alpha")]) == [
        ("gamma", "alpha"), ("training.lr", "beta")
    ]  # fmt: skip
    assert named(results, []) == []


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("gama", "alpha"), "no searched numeric hyperparameter 'gama'; did you mean 'gamma'"),
        (("qqq", "alpha"), "choose from alpha, beta, gamma, training.lr, weight"),
        (("gamma", "gamma"), "names one hyperparameter twice"),
        (("gamma", "weight"), "no family of this study searches both; focal, for example, searches alpha, gamma"),
    ],
)
def test_a_pair_that_cannot_be_drawn_is_refused_by_name(results, pair, message):
    with pytest.raises(UserError, match=message) as caught:
        named(results, [pair])
    assert caught.value.exit_code == 2


def test_a_complement_is_said_to_be_the_other_dial():
    results = synthetic(["tversky", "dice"], levels=(0.97,), trials=8, images=2)
    with pytest.raises(UserError, match="alpha is 1 − beta in tversky: one dial; name beta instead"):
        named(results, [("beta", "alpha")])
    results.meta["families"]["tversky"]["hyperparameters"]["alpha"]["domain"] = 0.3
    with pytest.raises(UserError, match="alpha is not searched as a number"):
        named(results, [("beta", "alpha")])
    nothing = synthetic(["dice"], levels=(0.97,), images=2)
    with pytest.raises(UserError, match="this study searches no numeric hyperparameter"):
        named(nothing, [("beta", "alpha")])


def test_the_two_that_matter_most_are_chosen(results):
    focal, tversky, combo, _ = searches(results)
    assert [focal.dials[index].name for index in focal.moved] == ["gamma", "alpha"]
    assert [focal.dials[index].name for index in chosen(focal, {})] == ["gamma", "alpha"]
    assert chosen(tversky, {}) is None
    assert [combo.dials[index].name for index in chosen(combo, {"beta": 2.0})] == ["weight", "beta"]


def test_those_of_the_loss_come_before_those_of_training():
    results = synthetic(["focal"], levels=(0.97,), trials=8, images=2)
    (search,) = searches(results)
    first, second = (replace(search.dials[index], name=name) for index, name in ((0, "training.lr"), (1, "alpha")))
    third = replace(search.dials[1], name="gamma")
    values = search.values[:, [0, 1, 0]]
    three = replace(search, dials=(first, second, third), values=values)
    assert chosen(three, {}) == (1, 2)
    assert chosen(three, {"training.lr": 1.0, "gamma": 0.5}) == (0, 2)
