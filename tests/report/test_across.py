from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweeper.cli import main
from sweeper.errors import UserError
from sweeper.report.across import charts
from sweeper.report.across.lineup import line_up
from sweeper.report.across.page import build_comparison, render
from sweeper.report.across.protocol import differing_domains, protocol
from sweeper.report.across.ranking import ranks_of, reading
from sweeper.report.across.scores import blocks, dropped, scores, study_means
from sweeper.report.verify import verify, verify_comparison
from sweeper.results.parquet import save

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


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["a", "a", "b"], ("a (1)", "a (2)", "b")),
        (["a", "a", "a (1)"], ("a (2)", "a (3)", "a (1)")),
        (["a (2)", "a", "a", "a (1)"], ("a (2)", "a (3)", "a (4)", "a (1)")),
    ],
)
def test_names_that_occur_twice_are_told_apart(given, told):
    lineup = line_up([made(name, data=str(at), seed=at) for at, name in enumerate(given)])
    assert lineup.names == told


def test_the_same_results_given_twice_are_refused(studies):
    copy = dataclasses.replace(studies[0], meta=json.loads(json.dumps(studies[0].meta)))
    with pytest.raises(UserError, match=r"study 3 \(a \(2\)\) has the results of study 1 \(a \(1\)\)"):
        line_up([studies[0], studies[1], copy])


def test_studies_on_the_same_data_are_one_block_the_mean_of_their_scores(studies):
    again = made("again", data="one", seed=7)
    lineup = line_up([studies[0], again, studies[1]])
    assert lineup.data_sets == [["a", "again"], ["b"]]
    means = study_means(scores(lineup), lineup)
    own = blocks(means, lineup)
    assert own.shape == (2, 3)
    assert not np.allclose(means.loc["a"], means.loc["again"])
    assert own.loc["a and again"].tolist() == pytest.approx(((means.loc["a"] + means.loc["again"]) / 2).tolist())
    assert own.loc["b"].tolist() == means.loc["b"].tolist()
    text = reading(ranks_of(own), own)
    assert text.startswith("Over 2 data sets, ")
    # What one of them lacks, the other has: the data set counts, by the one that is whole.
    lacking = means.copy()
    lacking.loc["a", "dice"] = np.nan
    assert blocks(lacking, lineup).loc["a and again"].tolist() == means.loc["again"].tolist()


def test_one_run_under_six_names_is_one_data_set(monkeypatch):
    without_pictures(monkeypatch)
    lineup = line_up([made(f"run {number}", families=("cross_entropy", "dice")) for number in range(6)])
    text = render(lineup)["report.md"].decode()
    assert "Over 1 data set," in text
    assert "no difference of two families can be significant" in text
    assert "ahead of" not in text
    assert "Friedman" not in text
    assert "they count once in the ranks" in text


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
    means = study_means(table, lineup)
    assert means.shape == (3, 3)
    own = table[(table["study"] == "b") & (table["family"] == "dice")]["mean"]
    assert means.loc["b", "dice"] == pytest.approx(own.mean())
    assert list(dropped(table, lineup)) == []
    lacking = table[~((table["study"] == "b") & (table["level"] == 0.99) & (table["family"] == "dice"))]
    assert np.isnan(study_means(lacking, lineup).loc["b", "dice"])
    assert ranks_of(blocks(study_means(lacking, lineup), lineup)).blocks == 2


def test_studies_that_take_no_part_in_the_ranks_are_named_with_the_reason(studies, monkeypatch):
    without_pictures(monkeypatch)
    lacking = made("x", data="x", missing=[("dice", 0.99), ("tversky", 0.95), ("tversky", 0.99)])
    half = made("y", data="y", missing=[(one, 0.99) for one in ("cross_entropy", "dice", "tversky")])
    files = render(line_up([*studies, lacking, half, made("z", data="z", confirm=False)]))
    expected = (
        "x takes no part in the ranks: it has no confirmed score of dice at 99 % and tversky at any level.",
        "y takes no part in the ranks: it has no confirmed score of cross_entropy at 99 %, dice at 99 % and tversky at "
        "99 %.",
        "z takes no part in the ranks: no common family has a confirmed score there.",
    )
    stored = json.loads(files["report.json"])["said"]["ranks"]
    assert tuple(one.replace("\u00a0", " ") for one in stored["dropped"]) == expected
    assert stored["sentence"].startswith("Over 3 data sets, ")
    for name in ("report.html", "report.md"):
        assert files[name].decode().count("takes no part in the ranks") == 3


def test_three_studies_can_never_be_significant_and_the_page_says_so(studies):
    lineup = line_up(studies)
    own = blocks(study_means(scores(lineup), lineup), lineup)
    assert "no difference of two families can be significant" in reading(ranks_of(own), own)


def test_many_data_sets_that_agree_are_and_no_p_value_is_0():
    rng = np.random.default_rng(0)
    means = pd.DataFrame(np.array([0.2, 0.5, 0.6]) + rng.normal(0, 0.01, (12, 3)), columns=["ce", "dice", "tversky"])
    text = reading(ranks_of(means), means).replace("\u00a0", " ")
    assert "Over 12 data sets, tversky ranks best (mean rank 1.00 of 3)" in text
    assert "ahead of dice and ce" in text
    assert text.endswith("Friedman's test that all rank alike: p < 0.001 (exact).")
    two = means[["ce", "dice"]].iloc[:6]
    text = reading(ranks_of(two), two).replace("\u00a0", " ")
    assert text.endswith("Friedman's test that all rank alike: p = 0.031 (exact).")


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


def test_the_chart_shows_every_study_at_its_own_hardest_level(studies):
    found = scores(line_up([studies[0], made("other", data="four", levels=(0.90, 0.95), seed=3)]))
    chart = charts.by_study(found, {}, ["dice", "tversky", "cross_entropy"], "minority IoU")
    drawn = {(row["study"], row["level"]) for rows in chart.to_dict()["datasets"].values() for row in rows}
    assert drawn == {("a", 0.99), ("other", 0.95)}


@pytest.mark.parametrize("more", [{"confirm": False}, {"failing": ["cross_entropy", "dice", "tversky"]}, None])
def test_studies_without_any_confirmed_score_are_compared_by_how_they_were_made(more, monkeypatch):
    without_pictures(monkeypatch)
    both = [made(name, data=name, seed=at, **(more or {})) for at, name in enumerate("ab")]
    if more is None:
        both = [
            dataclasses.replace(one, **{name: table.slice(0, 0) for name, table in one.tables.items()}) for one in both
        ]
    lineup = line_up(both)
    assert charts.by_study(scores(lineup), {}, [], "minority IoU") is None
    text = render(lineup)["report.md"].decode()
    assert "there is nothing to rank" in text
    assert "How the studies differ" in text
    assert " nan" not in text


HOSTILE = ["family", "key", "mean_rank", "mean rank", "differs", "section", "hyperparameter", "study_1", "level"]


def test_studies_called_as_columns_are_get_columns_of_their_own(monkeypatch):
    without_pictures(monkeypatch)
    names = [*HOSTILE, "-2+3", "=1+1", "a", "a", "a (1)", "<b>x</b>", "family (study)"]
    given = [made(name, data=str(at), seed=at) for at, name in enumerate(names)]
    given[0].meta["families"]["tversky"]["hyperparameters"]["beta"]["domain"] = {"uniform": [0.4, 0.6]}
    lineup = line_up(given)
    files = render(lineup)
    own = study_means(scores(lineup), lineup)
    for name, first in (("protocol", 2), ("domains", 2), ("ranks", 2)):
        rows = list(csv.reader(io.StringIO(files[f"tables/{name}.csv"].decode())))
        assert len(set(rows[0])) == len(rows[0])
        assert not [cell for cell in rows[0] if cell.startswith(("=", "+", "-", "@"))]
        read = pq.read_table(pa.BufferReader(files[f"tables/{name}.parquet"])).to_pandas()
        assert len(set(read.columns)) == len(read.columns) >= first + len(names)
    assert read.columns[:2].tolist() == ["family", "mean_rank"]
    assert read.columns[2] == "family (study)"
    assert read["mean_rank"].is_monotonic_increasing
    for at, name in enumerate(lineup.names):
        written = dict(zip(read["family"], read.iloc[:, 2 + at], strict=True))
        assert written == pytest.approx(own.loc[name].to_dict())
    assert "'-2+3" in files["tables/ranks.csv"].decode().splitlines()[0]
    assert b"<b>x" not in files["report.html"]


def test_what_the_data_turned_out_to_be_and_how_the_trials_ended_are_part_of_the_protocol():
    first, other = made("a"), made("other", data="four", seed=3, failing=["dice"], seeds=2)
    for one in (first, other):
        one.meta["study"]["data"] |= {"patch": 64, "background": None, "minority": None}
    other.meta["data"] |= {"patch": 128, "minority": [2], "background": 1}
    at = other.trials.schema.get_field_index("precision")
    other = dataclasses.replace(
        other, trials=other.trials.set_column(at, "precision", pa.array(["bf16"] * len(other.trials)))
    )
    lineup = line_up([first, other])
    found = protocol(lineup).set_index(["section", "key"])
    assert found.loc[("data", "background")].tolist() == ["background", "curve 1", True]
    assert found.loc[("data", "minority")].tolist() == ["curve 1 and curve 2", "curve 2", True]
    assert found.loc[("data", "patch")].tolist() == ["64", "128", True]
    assert found.loc[("data, as asked for", "patch")].tolist() == ["64", "64", False]
    assert found.loc[("trials", "device")].tolist() == ["cpu", "cpu", False]
    assert found.loc[("trials", "precision")].tolist() == ["fp32", "bf16", True]
    assert found.loc[("trials", "confirm seeds completed")].tolist() == ["1000, 1001, 1002", "1000, 1001", True]
    for document, column in zip(lineup.documents, ("study_0", "study_1"), strict=True):
        trials = document.results.trials.to_pandas()
        for stage in ("search", "confirm"):
            for status in ("completed", "stopped", "failed"):
                number = int(((trials["stage"] == stage) & (trials["status"] == status)).sum())
                assert found.loc[("trials", f"{stage} {status}"), column] == str(number)
    assert found.loc[("trials", "search failed"), "study_1"] != "0"


def test_studies_of_other_classes_are_warned_of_first(studies, monkeypatch):
    without_pictures(monkeypatch)
    other = made("other", data="four", seed=3)
    other.meta["data"]["minority"] = [2]
    warnings = json.loads(render(line_up([*studies[:2], other]))["report.json"])["said"]["protocol"]["warnings"]
    assert warnings[0].startswith("Not the same task everywhere: minority IoU and the levels are of other classes (")
    assert "(curve 1 and curve 2 against background in a and b; curve 2 against background in other)" in warnings[0]
    assert "protocol" not in json.loads(render(line_up(studies))["report.json"])["said"]


def test_the_rule_of_every_study_is_with_its_scores_and_ranks_and_the_reference_is_marked(studies, monkeypatch):
    without_pictures(monkeypatch)
    other = made("other", data="four", seed=3)
    other.meta["selection"] = "The last epoch."
    files = render(line_up([studies[0], other]))
    captions = {name: one["caption"] for name, one in json.loads(files["report.json"])["tables"].items()}
    for name in ("scores", "ranks"):
        assert captions[name].endswith(f"Selection: a: {studies[0].meta['selection']} other: The last epoch.")
    alike = json.loads(render(line_up(studies))["report.json"])["tables"]
    assert alike["ranks"]["caption"].endswith(f"Selection, in all studies: {studies[0].meta['selection']}")
    lines = [line for line in files["tables/scores.tex"].decode().splitlines() if line.lstrip().startswith("a & dice")]
    assert [("(reference)" in line, "95~" in line) for line in lines] == [(True, True), (False, False)]


def test_a_region_of_equivalence_is_refused_where_nothing_would_use_it(studies, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for one, name in zip(studies[:2], "ab", strict=True):
        save(one, tmp_path / name / "results")
    monkeypatch.setattr(sys, "argv", ["sweeper", "report", "a", "b", "--rope", "0.02"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "--rope is for the report of one study" in capsys.readouterr().err
    assert "rope" not in json.loads(render(line_up(studies))["report.json"])["settings"]
