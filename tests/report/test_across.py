from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from sweeper.errors import UserError
from sweeper.report.across.lineup import line_up
from sweeper.report.across.page import build_comparison, render
from sweeper.report.across.protocol import differing_domains, protocol
from sweeper.report.across.ranking import ranks_of, reading
from sweeper.report.across.scores import blocks, scores
from sweeper.report.verify import verify, verify_comparison

from .parts import without_pictures
from .synthetic import synthetic

SMALL = {"levels": (0.95, 0.99), "images": 4, "trials": 4}


def made(name, *, seed=0, families=("cross_entropy", "dice", "tversky"), data="one", **more):
    results = synthetic(list(families), study=name, seed=seed, **{**SMALL, **more})
    results.meta["data"]["fingerprint"] = data
    return results


@pytest.fixture(scope="module")
def studies():
    return [made("a", data="one"), made("b", data="two", seed=1), made("c", data="three", seed=2)]


def test_only_what_differs_is_shown_and_everything_is_in_the_files(studies):
    other = made("other", data="four", levels=(0.90, 0.99))
    other.meta["study"]["training"]["epochs"] = 60
    frame = protocol(line_up([studies[0], other])).set_index(["section", "key"])
    assert frame.loc[("training", "epochs")].tolist() == ["30", "60", True]
    assert frame.loc[("data", "fingerprint"), "differs"]
    assert frame.loc[("imbalance", "levels"), "differs"]
    assert not frame.loc[("model", "encoder"), "differs"]


def test_how_studies_differ_comes_before_any_score(studies, monkeypatch):
    without_pictures(monkeypatch)
    for name in ("report.html", "report.md"):
        text = render(line_up(studies))[name].decode()
        assert text.index("How the studies differ") < text.index("Ranks across the studies")


def test_names_that_occur_twice_are_told_apart(studies):
    lineup = line_up([studies[0], studies[0], studies[1]])
    assert lineup.names == ("a (1)", "a (2)", "b")
    assert lineup.same_data == [["a (1)", "a (2)"]]


def test_only_families_of_all_studies_are_compared():
    lineup = line_up([made("a"), made("b", families=("tversky", "dice", "focal"))])
    assert lineup.families == ["dice", "tversky"]
    assert lineup.left_out == {"cross_entropy": ["a"], "focal": ["b"]}
    text = render(lineup)["report.md"].decode()
    assert "focal is only in b" in text


def test_domains_that_differ_are_listed():
    first, second = made("a"), made("b")
    second.meta["families"]["tversky"]["hyperparameters"]["beta"]["domain"] = {"uniform": [0.4, 0.6]}
    frame = differing_domains(line_up([first, second]))
    assert frame.values.tolist() == [["tversky", "beta", '{"uniform": [0.05, 0.95]}', '{"uniform": [0.4, 0.6]}']]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.meta["study"]["search"].update(metric="mean_iou"), "do not rank by the same score"),
        (lambda one: None, "no family is in all"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    other = made("b", families=("focal",)) if "family" in message else made("b")
    change(other)
    with pytest.raises(UserError, match=message):
        line_up([made("a"), other])


def test_a_study_is_one_block_however_many_levels_it_has(studies):
    lineup = line_up(studies)
    table = scores(lineup)
    means = blocks(table, lineup)
    assert means.shape == (3, 3)
    own = table[(table["study"] == "b") & (table["family"] == "dice")]["mean"]
    assert means.loc["b", "dice"] == pytest.approx(own.mean())
    lacking = blocks(table[~((table["study"] == "b") & (table["level"] == 0.99) & (table["family"] == "dice"))], lineup)
    assert np.isnan(lacking.loc["b", "dice"])
    assert ranks_of(lacking).blocks == 2


def test_three_studies_can_never_be_significant_and_the_page_says_so(studies):
    lineup = line_up(studies)
    means = blocks(scores(lineup), lineup)
    assert "no difference of ranks can be significant" in reading(ranks_of(means), means, lineup)


def test_many_studies_that_agree_are(studies):
    rng = np.random.default_rng(0)
    means = pd.DataFrame(np.array([0.2, 0.5, 0.6]) + rng.normal(0, 0.01, (12, 3)), columns=["ce", "dice", "tversky"])
    text = reading(ranks_of(means), means, line_up(studies))
    assert "tversky ranks best (mean rank 1.00 of 3)" in text
    assert "ahead of dice and ce" in text


def test_the_comparison_is_written_whole_and_verifies(studies, tmp_path):
    page = build_comparison(studies, tmp_path / "out", seed=2)
    stored = json.loads((page.parent / "report.json").read_text())
    assert [one["name"] for one in stored["studies"]] == ["a", "b", "c"]
    assert verify_comparison(studies, page.parent).problems == ()
    assert not verify_comparison([studies[1], studies[0], studies[2]], page.parent).holds
    with pytest.raises(Exception, match="compares several studies"):
        verify(studies[0], page.parent)


@pytest.mark.parametrize("more", [{"confirm": False}, {"levels": (0.97,)}, {"seeds": 1}, {"failing": ["dice"]}])
def test_odd_studies_are_compared_too(studies, more, monkeypatch):
    without_pictures(monkeypatch)
    text = render(line_up([studies[0], made("odd", data="x", **more)]))["report.md"].decode()
    assert "Study by study" in text
    assert " nan" not in text
