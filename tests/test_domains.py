"""Domains: how they are written, what they refuse, what they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.domains import (
    Choice,
    Complement,
    Fixed,
    Int,
    LogUniform,
    Uniform,
    admits,
    as_real,
    domain_spec,
    legal_words,
    outside,
    parse_domain,
    resolve_complements,
)
from sweeper.errors import DomainError

numbers = st.floats(-1e6, 1e6, allow_nan=False)
domains = st.one_of(
    st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: Uniform(*pair)),
    st.tuples(st.integers(-99, 0), st.integers(1, 99)).map(lambda pair: Int(*pair)),
    st.lists(st.text(max_size=5), min_size=1, unique=True).map(lambda values: Choice(tuple(values))),
    st.one_of(numbers, st.booleans(), st.text(max_size=5), st.none()).map(Fixed),
    st.just(Complement("alpha")),
)


@given(domains)
def test_what_is_written_is_read_back(domain):
    assert parse_domain(domain_spec(domain)) == domain


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ({"uniform": [1, 1]}, "is empty"),
        ({"uniform": [0, float("inf")]}, "not finite"),
        ({"uniform": [0, "a"]}, "must be numbers"),
        ({"uniform": 3}, r"must be \[low, high\]"),
        ({"uniform": [0, True]}, "must be numbers"),
        ({"log_uniform": [0, 1]}, "above 0"),
        ({"int": [0.5, 2]}, "whole numbers"),
        ({"choice": []}, "is empty"),
        ({"choice": [1, 1]}, "twice"),
        ({"choice": [[1]]}, "single value"),
        ({"complement": 3}, "name of another"),
        ({"unifrom": [0, 1]}, "did you mean 'uniform'"),
        ({"uniform": [0, 1], "log": True}, "exactly one key"),
        ([0, 1], "bare list"),
        (float("nan"), "not a finite number"),
    ],
)
def test_what_cannot_be_honored_is_refused(spec, wrong):
    with pytest.raises(DomainError, match=wrong):
        parse_domain(spec)


@pytest.mark.parametrize(
    ("domain", "legal", "wrong"),
    [
        (Uniform(0, 2), Uniform(0, 1), "2 is outside 0 to 1"),
        (Fixed("a"), Uniform(0, 1), "not a number"),
        (Fixed(True), Uniform(0, 1), "not a number"),
        (Uniform(1, 3), Int(1, 3), "whole numbers"),
        (Fixed(1.5), Int(1, 3), "whole numbers"),
        (Fixed("c"), Choice(("a", "b")), "not one of"),
        (Fixed(1), Choice((True,)), "not one of"),
    ],
)
def test_leaving_the_legal_range_is_said(domain, legal, wrong):
    assert wrong in str(outside(domain, legal))


@pytest.mark.parametrize(
    ("domain", "legal"),
    [
        (Uniform(0, 1), Uniform(0, 1)),
        (LogUniform(0.1, 1), Uniform(0, 1)),
        (Int(1, 2), Int(0, 5)),
        (Fixed("a"), Choice(("a",))),
    ],
)
def test_staying_inside_is_silent(domain, legal):
    assert outside(domain, legal) is None


def test_complements_are_exact_where_people_look():
    assert resolve_complements({"a": Complement("b"), "b": Fixed(0.7)}, {"b": 0.7}) == {"a": 0.3, "b": 0.7}


def test_a_complement_of_a_word_is_refused():
    with pytest.raises(DomainError, match="not a number"):
        resolve_complements({"a": Complement("b"), "b": Fixed("x")}, {"b": "x"})


def test_whole_numbers_become_real_where_the_hyperparameter_is():
    assert as_real(Choice((1, 2)), Uniform(0, 5)) == Choice((1.0, 2.0))
    assert repr(as_real(Fixed(2), Uniform(0, 5))) == repr(Fixed(2.0))
    assert as_real(Fixed(True), Uniform(0, 5)) == Fixed(True)
    assert as_real(Int(1, 2), Int(1, 2)) == Int(1, 2)


def test_admits_only_what_the_domains_could_give():
    space = {"a": Complement("b"), "b": Uniform(0, 1), "c": Fixed("x")}
    assert admits(space, {"a": 0.25, "b": 0.75, "c": "x"})
    assert not admits(space, {"a": 0.5, "b": 0.75, "c": "x"})
    assert not admits(space, {"a": -0.5, "b": 1.5, "c": "x"})
    assert not admits(space, {"a": 0.25, "b": 0.75, "c": "y"})
    assert not admits(space, {"a": 0.25, "b": 0.75})


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (Uniform(0.0, 1.0), "0 to 1"),
        (Uniform(0.0, 1e6), "0 or more"),
        (Uniform(-1e300, 1e300), "any number"),
        (Uniform(-1e6, 0.0), "-1e+06 to 0"),
        (LogUniform(0.01, 1e6), "0.01 or more"),
        (Int(1, 8), "a whole number, 1 to 8"),
        (Int(0, 10**6), "a whole number, 0 or more"),
        (Choice(("a", "b")), "one of a, b"),
        (Fixed(2), "fixed at 2"),
    ],
)
def test_legal_values_in_words(domain, words):
    assert legal_words(domain) == words
