"""Naming losses and their settings."""

from __future__ import annotations

import pytest

from sweeper.anatomy.contestants import DEFAULT, contestants, split_names
from sweeper.errors import LossError, UnknownFamily, UserError
from sweeper.losses.catalogue import FAMILIES


def test_settings_are_read_and_shown():
    (one,), left_out = contestants(["focal(gamma=0.5)"])
    assert one.settings == {"gamma": 0.5}
    assert one.label == "focal(gamma=0.5)"
    assert not left_out


def test_a_coupled_dial_follows_its_partner():
    (one,), _ = contestants(["tversky(beta=0.9)"])
    assert one.settings == {"beta": 0.9, "alpha": 0.1}
    (free,), _ = contestants(["tversky(beta=0.9, alpha=0.5)"])
    assert free.settings["alpha"] == 0.5


def test_names_are_split_between_losses_only():
    assert split_names("dice,tversky(alpha=0.1, beta=0.9), iou") == ["dice", "tversky(alpha=0.1, beta=0.9)", "iou"]


def test_an_alias_is_its_family_and_each_comes_once():
    chosen, _ = contestants(["jaccard", "iou"])
    assert [one.label for one in chosen] == ["iou"]


def test_all_is_the_whole_catalogue():
    chosen, left_out = contestants(["all"])
    assert {one.label for one in chosen} | set(left_out) == set(FAMILIES)
    assert all(left_out.values())


def test_the_default_can_be_shown():
    chosen, left_out = contestants(DEFAULT)
    assert len(chosen) == len(DEFAULT)
    assert not left_out


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("tversky(beta=", UserError, "cannot be read"),
        ("tversky(0.5)", UserError, "cannot be read"),
        ("tversky(beta=open('x'))", UserError, "cannot be read"),
        ("tversky(betta=0.5)", LossError, "beta"),
        ("tversky(beta=-1)", LossError, "beta"),
        ("tverski", UnknownFamily, "tversky"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, error, words):
    with pytest.raises(error, match=words):
        contestants([text])


def test_nothing_to_show_is_refused():
    with pytest.raises(UserError, match="no loss is named"):
        contestants([])
