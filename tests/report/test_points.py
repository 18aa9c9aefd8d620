from __future__ import annotations

import pandas as pd
import pytest

from sweeper.report import survival
from sweeper.report.document import Document
from sweeper.report.evidence import Key
from sweeper.report.sections.points import points
from sweeper.report.verdict import Verdict
from sweeper.report.writing import percent
from sweeper.results.schema import MINORITY
from tests.report.synthetic import synthetic


def differences(document: Document, base: str | None = "cross_entropy") -> pd.DataFrame:
    return survival.differences(document.contests, document.families, document.answer.rankings, base)


def test_every_family_stands_against_the_leader_and_the_baseline_of_every_level():
    document = Document(synthetic(6, levels=(0.95, 0.97, 0.99), seeds=3))
    rows = differences(document)
    for ranking in document.answer.rankings:
        leader = ranking.leader.family
        assert leader != "cross_entropy"
        pairs = set(
            rows[rows["level"] == ranking.level][["family", "other", "role"]].itertuples(index=False, name=None)
        )
        others = set(document.families) - {leader}
        assert pairs == {(family, leader, "highest") for family in others} | {
            (family, "cross_entropy", "baseline") for family in others - {"cross_entropy"}
        }
    row = rows[(rows["family"] == "focal") & (rows["other"] == "cross_entropy")].iloc[0]
    expected = document.evidence.difference(
        Key("focal", row["level"], "tuned", "shifted"), Key("cross_entropy", row["level"], "tuned", "shifted"), "iou"
    )
    pair = document.contests.at(row["level"], "argmax").of("focal", "cross_entropy")
    assert row["argmax_verdict"] == str(pair.verdict)
    assert (row["shifted_difference"], row["shifted_low"], row["shifted_high"]) == (
        expected.mean, expected.low, expected.high)  # fmt: skip


def test_a_baseline_that_leads_is_compared_with_once():
    document = Document(synthetic(["cross_entropy", "dice", "focal"], levels=(0.99,), gain={"cross_entropy": 0.4}))
    assert document.answer.rankings[0].leader.family == "cross_entropy"
    rows = differences(document)
    assert list(rows["role"]) == ["highest and baseline"] * 2
    assert len(differences(Document(synthetic(["dice", "focal"], levels=(0.99,))), None)) == 1


def made(*readings: tuple[str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"family": f"f{number}", "other": "base", "level": 0.99, "reading": reading,
             "argmax_difference": first, "shifted_difference": second,
             "shifted_verdict": Verdict.EQUIVALENT if abs(second) < 0.005 else Verdict.OPEN}
            for number, (reading, first, second) in enumerate(readings)
        ]
    )  # fmt: skip


def test_words_count_what_vanishes_survives_turns_and_appears():
    text = survival.summary(
        made(
            (survival.GONE, 0.2, 0.01),
            (survival.GONE, 0.2, 0.001),
            (survival.STAYS, -0.3, -0.2),
            (survival.TURNS, 0.1, -0.1),
            (survival.NEW, 0.0, 0.1),
            (survival.NOWHERE, 0.0, 0.0),
        ),
        "from base",
    ).replace("\u00a0", " ")
    assert text == (
        "Of 6 differences from base, 4 are separable at argmax; once thresholds are tuned alike, 2 are no longer "
        "separable (f0 and base at 99 % and f1 and base at 99 %), 1 of these equivalent, 1 is the other way round (f3 "
        "and base at 99 %). Their median size goes from 0.200 to 0.055. Separable only with thresholds tuned: f4 and "
        "base at 99 %."
    )
    assert survival.summary(made((survival.NOWHERE, 0.0, 0.0)), "from base") == (
        "Of the one difference from base, none is separable at argmax."
    )
    assert "all stay separable" in survival.summary(made((survival.STAYS, 0.1, 0.1)), "from base")
    assert survival.summary(made().reindex(columns=["reading"]), "from base") == ""


def test_readings_are_those_of_the_comparison():
    document = Document(synthetic(6, levels=(0.97, 0.99), seeds=3))
    known = {survival.NOWHERE, survival.GONE, survival.NEW, survival.STAYS, survival.TURNS}
    assert set(differences(document)["reading"]) <= known


def test_the_section_shows_both_points_side_by_side():
    section = points(Document(synthetic(6, levels=(0.97, 0.99), seeds=3)))
    assert {"highest", "baseline"} <= set(section.tables["survival"].frame["role"])
    assert section.figures["survival"] is not None
    drawn = {row["family"] for rows in section.figures["survival"].spec["datasets"].values() for row in rows
             if "family" in row}  # fmt: skip
    assert drawn == {"focal", "dice", "tversky", "lovasz_softmax", "combo"}
    assert section.words["findings"][0].startswith("Of 10 differences from the family with the highest minority IoU")
    assert section.words["findings"][1].startswith("Of ")
    assert "Selection: " in section.tables["survival"].caption


def test_words_say_where_another_family_leads_with_thresholds_tuned():
    # Found by trial: with these the best family moves at some levels and stays at others.
    document = Document(synthetic(6, levels=(0.90, 0.95, 0.97, 0.99), seeds=3))
    rows = document.measured
    rows = rows[(rows["setting"] == "tuned") & (rows["class"] == MINORITY) & (rows["metric"] == "iou")]
    best = rows.loc[rows.groupby(["level", "point"])["mean"].idxmax()].set_index(["level", "point"])["family"]
    moved = {level for level in document.results.meta["levels"] if best[level, "argmax"] != best[level, "shifted"]}
    assert moved
    assert moved != set(document.results.meta["levels"])
    said = next(text for text in points(document).words["findings"] if text.startswith("With thresholds tuned alike"))
    for level in document.results.meta["levels"]:
        pair = f"{best[level, 'shifted']} instead of {best[level, 'argmax']} at {percent(level)}"
        assert (pair in said) == (level in moved)


def test_words_say_when_there_are_too_few_images():
    few, enough = (Document(synthetic(4, levels=(0.99,), seeds=3, images=images)) for images in (4, 12))
    assert any("too few test images" in text for text in points(few).words["findings"])
    assert not any("too few test images" in text for text in points(enough).words["findings"])


@pytest.mark.parametrize(
    "results",
    [
        synthetic(["dice"], levels=(0.99,), seeds=1),
        synthetic(["dice", "focal"], confirm=False),
        synthetic(["dice"], failing=["dice"]),
        synthetic(["cross_entropy", "dice"], levels=(0.97, 0.99), missing=[("cross_entropy", 0.99)]),
    ],
    ids=["alone", "half", "failed", "baseline missing"],
)
def test_odd_studies(results):
    section = points(Document(results))
    assert section.tables["operating_points"] is not None
    if len(results.meta["families"]) == 1:
        assert section.tables["survival"] is None
        assert section.figures["survival"] is None
        assert section.words["findings"] == ()
