from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sweeper.report import survival
from sweeper.report.document import Document
from sweeper.report.evidence import POINTS, Counts, Evidence, Key
from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import Interval
from sweeper.report.output.writing import percent
from sweeper.report.pairs import Contests
from sweeper.report.sections.points import points
from sweeper.results.schema import MINORITY
from tests.report.synthetic import synthetic
from tests.report.test_coverage import LUCKS


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
        assert pairs == {(family, leader, "highest") for family in set(document.families) - {leader}} | {
            (family, "cross_entropy", "baseline") for family in set(document.families) - {"cross_entropy"}
        }
        # The pair of both stands on either side, its sign turned.
        own = rows[rows["level"] == ranking.level].set_index(["family", "other"])
        there, back = own.loc[("cross_entropy", leader)], own.loc[(leader, "cross_entropy")]
        for name in ("argmax_difference", "shifted_difference", "change"):
            assert there[name] == pytest.approx(-back[name])
        for name in ("argmax", "shifted", "change"):
            # Percentiles are read from either side of the same draws.
            assert there[f"{name}_low"] == pytest.approx(-back[f"{name}_high"], abs=2e-3)
            assert there[f"{name}_high"] == pytest.approx(-back[f"{name}_low"], abs=2e-3)
        assert (there["reading"], there["size"]) == (back["reading"], back["size"])
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


def made(*readings: tuple[str, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"family": f"f{number}", "other": "base", "level": 0.99, "reading": reading, "size": size,
             "argmax_difference": first, "shifted_difference": second}
            for number, (reading, size, first, second) in enumerate(readings)
        ]
    )  # fmt: skip


def test_words_count_what_vanishes_loses_its_verdict_turns_and_appears():
    text = survival.summary(
        made(
            (survival.GONE, survival.SHRINKS, 0.2, 0.01),
            (survival.GONE, survival.OPEN, 0.2, 0.101),
            (survival.STAYS, survival.SHRINKS, -0.3, -0.2),
            (survival.TURNS, survival.SHRINKS, 0.1, -0.05),
            (survival.NEW, survival.GROWS, 0.0, 0.1),
            (survival.NEW, survival.OPEN, 0.1, 0.12),
            (survival.NOWHERE, survival.OPEN, 0.0, 0.0),
        ),
        "from base",
    ).replace("\u00a0", " ")
    assert text == (
        "Of 7 differences from base, 4 are separable at argmax and 4 with thresholds tuned alike. 1 vanishes: f0 at "
        "99 %. 1 lost the verdict, but that it shrinks is not established: f1 at 99 %. 1 appears: f4 at 99 %. 1 gained "
        "it, but that it grows is not established: f5 at 99 %. 1 turns round: f3 at 99 %. In all, 3 shrink and 1 grows "
        "by more than luck (the 95 % interval of the change excludes 0); the median size of all is 0.100 at argmax and "
        "0.100 with thresholds tuned."
    )
    several = made((survival.GONE, survival.SHRINKS, 0.2, 0.0), (survival.GONE, survival.SHRINKS, 0.2, 0.0))
    several.loc[1, "other"] = "best"
    assert "2 vanish: f0 and base at 99\u00a0% and f1 and best at 99\u00a0%." in survival.summary(several, "")
    assert survival.summary(made((survival.NOWHERE, survival.OPEN, 0.0, 0.02)), "from base") == (
        "Of the one difference from base, none is separable at argmax and none with thresholds tuned alike. In all, "
        "none shrinks and none grows by more than luck (the 95 % interval of the change excludes 0); the size is 0.000 "
        "at argmax and 0.020 with thresholds tuned."
    )
    assert survival.summary(made().reindex(columns=["reading"]), "from base") == ""


def test_the_change_is_that_of_the_paired_difference_under_the_same_draws():
    document = Document(synthetic(4, levels=(0.99,), seeds=4))
    evidence = document.evidence
    first, second = "focal", "tversky"
    four = {(family, point): Key(family, 0.99, "tuned", point) for family in (first, second) for point in POINTS}
    shared = evidence.shared(list(four.values()))
    scored = {place: evidence.scored(key, "iou", MINORITY, shared) for place, key in four.items()}
    parts = [
        np.subtract(*[getattr(scored[family, "shifted"], kind) for family in (first, second)])
        - np.subtract(*[getattr(scored[family, "argmax"], kind) for family in (first, second)])
        for kind in ("actual", "drawn")
    ]
    expected = statistics.intervals(
        parts[0][None],
        parts[1][None],
        evidence.resample(shared),
        evidence.resting(four[first, "argmax"], MINORITY, shared),
    ).one(0)
    ((change, _),) = survival.changes(document.contests, 0.99, [(first, second)]).values()
    assert (change.mean, change.low, change.high) == pytest.approx((expected.mean, expected.low, expected.high))
    contests = [document.contests.at(0.99, point).of(first, second) for point in POINTS]
    assert change.mean == pytest.approx(contests[1].difference.mean - contests[0].difference.mean)


@pytest.mark.parametrize(
    ("argmax", "shifted", "size"),
    [
        (0.3, 0.1, survival.SHRINKS),
        (-0.3, -0.1, survival.SHRINKS),
        (0.3, -0.1, survival.SHRINKS),
        (0.1, 0.3, survival.GROWS),
        (-0.1, -0.3, survival.GROWS),
        (-0.1, 0.3, survival.GROWS),
        (0.2, 0.2, survival.OPEN),
        (0.2, -0.2, survival.OPEN),
    ],
)
def test_what_happens_to_the_size_of_a_difference(argmax, shifted, size):
    def around(value):
        return Interval(value, value - 0.05, value + 0.05)

    change, middle = around(shifted - argmax), around((argmax + shifted) / 2)
    assert survival._size(change, middle, seeds=3) == size
    assert survival._size(change, middle, seeds=1) == survival.OPEN


def two_points(rng: np.random.Generator, effect: float, left: float, seeds: int, images: int) -> Contests:
    """Two families that differ by `effect` at argmax and by `left` of it with thresholds tuned; each point has lucks of
    its own beside those of the family."""
    luck = LUCKS["images"]

    def lucks() -> np.ndarray:
        return (
            rng.normal(0, luck.own_image, (2, 1, images))
            + rng.normal(0, luck.own_seed, (2, seeds, 1))
            + rng.normal(0, luck.both, (2, seeds, images))
        )

    shared = rng.normal(0.5, luck.image, images) + rng.normal(0, luck.seed, (seeds, 1)) + lucks()
    target = np.exp(rng.normal(5, 0.6, images))
    counts = {}
    for point, size in zip(POINTS, (effect, left * effect), strict=True):
        odds = np.exp(shared + lucks() + np.array([size, 0.0])[:, None, None])
        found, alarms = target * odds / (1 + odds), 0.3 * target / (1 + odds)
        values = np.stack([found, alarms, target - found, 4096 - target - alarms], axis=-1)[..., None, :]
        for family, own in zip("ab", values, strict=True):
            names = tuple(f"{number:03d}" for number in range(images))
            counts[Key(family, 0.97, "tuned", point)] = Counts(
                tuple(f"{family}{seed}" for seed in range(seeds)), tuple(range(seeds)), names, own
            )
    return Contests(Evidence(counts=counts, classes=("c",), minority=("c",)), ("a", "b"), (0.97,), "iou")


def fates(effect: float, left: float, studies: int, seeds: int = 5, images: int = 30) -> tuple[int, int, int, int]:
    """How many of the studies are separable at argmax, lose that, vanish, and change in size at all."""
    rng = np.random.default_rng(2)
    found = np.zeros(4, int)
    for _ in range(studies):
        contests = two_points(rng, effect, left, seeds, images)
        before, after = (contests.at(0.97, point).of("a", "b").verdict.separable for point in POINTS)
        ((_, size),) = survival.changes(contests, 0.97, [("a", "b")]).values()
        gone = before and not after
        found += [before, gone, gone and size == survival.SHRINKS, size != survival.OPEN]
    return tuple(found.tolist())


def test_equal_differences_lose_their_verdict_by_luck_but_are_not_said_to_vanish():
    studies = 150
    separable, lost, vanished, changed = fates(0.3, 1.0, studies)
    # The verdict alone would tell of a vanishing in half of the studies that find a difference at argmax.
    assert separable > 25
    assert lost > 0.3 * separable
    assert vanished <= 0.05 * separable + 2 * (0.05 * separable) ** 0.5
    assert changed <= 0.05 * studies + 2 * (0.05 * studies) ** 0.5


def test_a_difference_that_is_the_thresholds_alone_is_said_to_vanish():
    separable, lost, vanished, changed = fates(1.2, 0.0, 40, images=60)
    assert separable >= 38
    assert lost >= 36
    assert vanished >= 0.8 * lost
    assert changed >= vanished


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
    # The leaders are among them: their difference from the baseline is the one most looked for.
    assert drawn == {"focal", "dice", "tversky", "lovasz_softmax", "combo"}
    frame = section.tables["survival"].frame
    against = frame[frame["other"] == "cross_entropy"]
    assert against.groupby("level")["family"].apply(set).tolist() == [drawn, drawn]
    assert set(frame.loc[frame["role"] == "highest", "other"]) <= drawn
    assert section.words["findings"][0].startswith("Of 10 differences from the family with the highest minority IoU")
    assert section.words["findings"][1].startswith("Of 10 differences from cross_entropy, ")
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
