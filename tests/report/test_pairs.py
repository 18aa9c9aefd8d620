from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from sweeper.report import page
from sweeper.report.comparisons import SAME
from sweeper.report.document import Document
from sweeper.report.evidence import POINTS, Counts, Evidence, Key, gather
from sweeper.report.inference import statistics
from sweeper.report.inference.statistics import Array, Interval
from sweeper.report.inference.verdict import Verdict, judge
from sweeper.report.pairs import ALL_LEVELS, COLUMNS, Contests, Entrant, compare, table
from sweeper.report.sections.how import how
from sweeper.report.sections.pairs import MOST, pairs
from sweeper.report.sections.tuning import tuning
from tests.report.synthetic import SHAPES, synthetic


def made(*values: Array, names: str = "abcdef", level: float = 0.97) -> Evidence:
    """Evidence of one class from arrays (S, N, 4)."""
    return Evidence(
        counts={
            Key(name, level): Counts(
                tuple(f"{name}{seed}" for seed in range(len(counts))),
                tuple(range(len(counts))),
                tuple(f"{image:03d}" for image in range(counts.shape[1])),
                counts[:, :, None],
            )
            for name, counts in zip(names, values, strict=False)
        },
        classes=("curve",),
        minority=("curve",),
    )


def recalls(values: Array, size: float = 100.0) -> Array:
    """Counts of images of equal size of which the given shares (S, N) are found."""
    found = size * values
    return np.stack([found, 0 * found, size - found, 0 * found + 900], axis=-1)


def entrants(evidence: Evidence) -> list[Entrant]:
    return [Entrant(key.family, (key,)) for key in evidence.counts]


@pytest.mark.parametrize(
    ("low", "high", "corrected", "direction", "seeds", "expected"),
    [
        (0.02, 0.05, 0.01, 1, 3, Verdict.BETTER),
        (-0.05, -0.02, 0.01, -1, 3, Verdict.WORSE),
        (0.002, 0.05, 0.01, 1, 3, Verdict.BETTER),
        (0.002, 0.009, 0.0001, 1, 3, Verdict.EQUIVALENT),
        (-0.01, 0.01, 0.5, 0, 3, Verdict.EQUIVALENT),
        (-0.011, 0.01, 0.5, 0, 3, Verdict.OPEN),
        (0.02, 0.05, 0.05, 1, 3, Verdict.OPEN),
        (0.02, 0.05, 0.01, -1, 3, Verdict.OPEN),
        (-0.02, 0.05, 0.01, 1, 3, Verdict.OPEN),
        (0.0, 0.05, 0.01, 1, 3, Verdict.OPEN),
        (0.02, 0.05, float("nan"), 1, 3, Verdict.OPEN),
        (0.02, 0.05, 0.01, 1, 1, Verdict.OPEN),
        (-0.001, 0.001, 0.9, 0, 1, Verdict.OPEN),
        (float("nan"), float("nan"), 0.01, 1, 3, Verdict.OPEN),
    ],
)
def test_verdicts(low, high, corrected, direction, seeds, expected):
    difference = Interval((low + high) / 2, low, high)
    assert judge(difference, corrected, direction, seeds=seeds) is expected
    turned = Interval(-difference.mean, -high, -low)
    assert judge(turned, corrected, -direction, seeds=seeds) is expected.turned


def test_a_pair_worked_by_hand():
    first = np.array([[0.9, 0.8, 0.7, 0.5], [0.9, 0.6, 0.7, 0.5]])
    second = np.array([[0.6, 0.7, 0.7, 0.6], [0.6, 0.7, 0.7, 0.4]])
    evidence = made(recalls(first), recalls(second))
    (pair,) = compare(evidence, [tuple(entrants(evidence))], "recall")
    assert (pair.first, pair.second, pair.seeds, pair.images) == ("a", "b", 2, 4)
    assert pair.difference.mean == pytest.approx((first - second).mean())
    # Of 8 runs, 4 are won, 2 are even and 2 are lost.
    assert pair.improvement.mean == pytest.approx((4 + 2 / 2) / 8)
    # Means over seeds differ by 0.3 in the first image alone: the others are even, and one sign of one says nothing.
    assert pair.p == 1
    assert pair.verdict is Verdict.OPEN
    back = pair.turned
    assert back.difference.mean == -pair.difference.mean
    assert (back.difference.low, back.difference.high) == (-pair.difference.high, -pair.difference.low)
    assert back.improvement.mean == pytest.approx(1 - pair.improvement.mean)
    assert back.turned == dataclasses.replace(pair, difference=back.turned.difference)


def test_differences_are_those_of_the_evidence_and_p_values_those_of_scipy():
    results = synthetic(["cross_entropy", "dice", "focal", "tversky"], levels=(0.97,), images=20)
    evidence = gather(results)
    contests = Contests(evidence, tuple(results.meta["families"]), (0.97,), "iou")
    contest = contests.at(0.97)
    raw = {}
    for (first, second), pair in contest.pairs.items():
        assert pair.difference == evidence.difference(Key(first, 0.97), Key(second, 0.97), "iou")
        scores = []
        for name in (first, second):
            counts = evidence.counts[Key(name, 0.97)].values
            scores.append((counts[..., 0] / counts[..., :3].sum(axis=-1)).mean(axis=2))
        assert pair.improvement.mean == pytest.approx((scores[0] > scores[1]).mean())
        raw[first, second] = stats.wilcoxon(scores[0].mean(axis=0) - scores[1].mean(axis=0)).pvalue
        assert pair.p == pytest.approx(raw[first, second])
    order = sorted(raw, key=raw.__getitem__)
    highest = 0.0
    for place, names in enumerate(order):
        highest = max(highest, min(1.0, raw[names] * (len(order) - place)))
        assert contest.pairs[names].corrected == pytest.approx(highest)
    means = [statistics.present_mean(evidence.scored(Key(name, 0.97), "iou", contests.klass,
             evidence.shared([Key(name, 0.97)])).actual) for name in contest.order]  # fmt: skip
    assert means == sorted(means, reverse=True)
    assert contest.of(*order[0]) == contest.pairs[order[0]]
    assert contest.of(*order[0][::-1]) == contest.pairs[order[0]].turned
    assert contest.of("dice", "nobody") is None


def test_probability_of_improvement_has_an_interval_of_its_own():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.6, (5, 40))
    evidence = made(recalls(base + rng.normal(0.01, 0.03, base.shape)), recalls(base))
    (pair,) = compare(evidence, [tuple(entrants(evidence))], "recall")
    assert 0 < pair.improvement.low < pair.improvement.mean < pair.improvement.high < 1
    won = ((evidence.counts[Key("a", 0.97)].values - evidence.counts[Key("b", 0.97)].values)[..., 0, 0] > 0).mean()
    assert pair.improvement.mean == pytest.approx(won)


def test_a_win_in_every_run_is_not_certainty():
    base = np.random.default_rng(0).uniform(0.3, 0.6, (3, 12))
    evidence = made(recalls(base + 0.1), recalls(base))
    (pair,) = compare(evidence, [tuple(entrants(evidence))], "recall")
    # Clopper and Pearson: the share p with p^12 = 0.025.
    assert (pair.improvement.mean, pair.improvement.high) == (1, 1)
    assert pair.improvement.low**12 == pytest.approx(0.025)
    assert pair.turned.improvement.high == pytest.approx(1 - pair.improvement.low)
    assert pair.turned.verdict is Verdict.WORSE
    assert pair.turned.direction == -pair.direction == -1
    assert pair.verdict is Verdict.BETTER


def test_images_without_the_class_are_left_out_of_the_test():
    base = np.random.default_rng(0).uniform(0.3, 0.6, (3, 12))
    first, second = recalls(base + 0.1), recalls(base)
    first[:, :4] = second[:, :4] = [0, 0, 0, 1000]
    evidence = made(first, second)
    (pair,) = compare(evidence, [tuple(entrants(evidence))], "recall")
    assert pair.images == 8
    assert pair.p == pytest.approx(2 / 2**8)
    assert pair.difference.mean == pytest.approx(0.1)


def test_every_pair_that_is_looked_at_is_corrected_for():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.3, 0.6, (3, 12))
    evidence = made(*(recalls(base + 0.1 * (index == 0)) for index in range(4)))
    one, *others = entrants(evidence)
    (alone,) = compare(evidence, [(one, others[0])], "recall")
    among = compare(evidence, [(one, other) for other in others], "recall")
    assert alone.corrected == pytest.approx(2 / 2**12)
    assert [pair.corrected for pair in among] == pytest.approx([3 * 2 / 2**12] * 3)


def test_with_one_seed_nothing_is_settled_and_the_interval_is_of_images_alone():
    base = np.random.default_rng(0).uniform(0.3, 0.6, (1, 30))
    evidence = made(recalls(base + 0.2), recalls(base), recalls(base))
    a, b, c = entrants(evidence)
    far, same = compare(evidence, [(a, b), (b, c)], "recall")
    assert far.difference.low == pytest.approx(0.2)
    assert far.corrected < 0.001
    assert far.verdict is same.verdict is Verdict.OPEN


def test_with_one_image_nothing_is_called_better():
    evidence = made(recalls(np.array([[0.8], [0.81], [0.79]])), recalls(np.array([[0.3], [0.31], [0.29]])))
    (pair,) = compare(evidence, [tuple(entrants(evidence))], "recall")
    assert pair.difference.low > 0
    assert pair.p == 1
    assert pair.verdict is Verdict.OPEN


def test_pairs_share_what_both_have():
    results = synthetic(["cross_entropy", "dice", "focal"], levels=(0.97,), images=8)
    evidence = gather(results)
    key = Key("dice", 0.97)
    cell = evidence.counts[key]
    fewer = Counts(cell.trials[:2], cell.seeds[:2], cell.images[1:], cell.values[:2, 1:])
    other = dataclasses.replace(evidence, counts={**evidence.counts, key: fewer})
    contest = Contests(other, ("cross_entropy", "dice", "focal"), (0.97,), "iou").at(0.97)
    assert {(pair.seeds, pair.images) for pair in contest.pairs.values()} == {(2, 7), (3, 8)}
    assert contest.of("cross_entropy", "dice").difference == other.difference(Key("cross_entropy", 0.97), key, "iou")
    none = dataclasses.replace(fewer, seeds=(7, 8))
    apart = dataclasses.replace(evidence, counts={**evidence.counts, key: none})
    contest = Contests(apart, ("cross_entropy", "dice", "focal"), (0.97,), "iou").at(0.97)
    assert contest.of("cross_entropy", "dice") is None
    assert contest.of("cross_entropy", "focal") is not None


def test_across_levels_the_mean_is_compared():
    results = synthetic(["cross_entropy", "dice"], levels=(0.93, 0.99), images=8)
    evidence = gather(results)
    contests = Contests(evidence, ("cross_entropy", "dice"), (0.93, 0.99), "iou")
    pair = contests.at(ALL_LEVELS).of("dice", "cross_entropy")
    single = [contests.at(level).of("dice", "cross_entropy").difference.mean for level in (0.93, 0.99)]
    assert pair.difference.mean == pytest.approx(np.mean(single))
    blocks = contests.blocks(ALL_LEVELS)
    assert blocks.shape == (8, 2)
    each = [contests.blocks(level)[:, list(contests.at(level).order).index("dice")] for level in (0.93, 0.99)]
    counts = evidence.counts[Key("dice", 0.93)].values
    ious = (counts[..., 0] / counts[..., :3].sum(axis=-1)).mean(axis=2)
    assert each[0] == pytest.approx(ious.mean(axis=0))
    assert blocks[:, list(contests.at(ALL_LEVELS).order).index("dice")] == pytest.approx(np.mean(each, axis=0))


def test_every_pair_at_every_level_and_point_is_in_the_table():
    document = Document(synthetic(4, levels=(0.95, 0.97, 0.99)))
    frame = table(document.contests)
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 6 * (3 + 1) * len(POINTS)
    assert (frame["difference"] >= 0).all()
    assert frame["level"].isna().sum() == 6 * len(POINTS)
    assert ((frame["low"] <= frame["difference"]) & (frame["difference"] <= frame["high"])).all()


def test_many_pairs_are_compared_as_few_are():
    results = synthetic(20, levels=(0.97,), images=6, trials=2)
    document = Document(results)
    contest = document.contests.at(0.97)
    assert len(contest.pairs) == 190
    for first, second in list(contest.pairs)[::37]:
        expected = document.evidence.difference(Key(first, 0.97), Key(second, 0.97), "iou")
        found = contest.pairs[first, second].difference
        assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_the_least_p_value_that_could_be():
    contest = Document(synthetic(4, levels=(0.97,), images=5)).contests.at(0.97)
    assert contest.least == pytest.approx(6 * 2 / 2**5)
    assert not any(pair.verdict.separable for pair in contest.pairs.values())


def test_the_section_shows_matrix_ranks_and_profiles():
    document = Document(synthetic(4, levels=(0.97, 0.99), seeds=3))
    section = pairs(document)
    cells = section.figures["verdicts"].spec["datasets"]
    rows = [row for values in cells.values() for row in values]
    # Every pair both ways, at both levels and in their mean.
    assert len(rows) == 12 * 3
    for row in rows:
        mirrored = next(other for other in rows if (other["row"], other["column"], other["panel"])
                        == (row["column"], row["row"], row["panel"]))  # fmt: skip
        assert mirrored["difference"] == pytest.approx(-row["difference"])
        assert Verdict(mirrored["verdict"]).turned is Verdict(row["verdict"])
    assert {row["panel"].replace("\u00a0", " ") for row in rows} == {
        "97 % background", "99 % background", "Mean of levels"}  # fmt: skip
    assert set(section.tables["ranks"].frame["family"]) == set(document.families)
    assert "Selection: " in section.tables["pairs"].caption
    assert "Selection: " in section.tables["ranks"].caption
    assert len(section.words["notes"]) == 3


def test_bars_join_what_the_verdicts_do_not_separate():
    document = Document(synthetic(["cross_entropy", "dice", "lovasz_softmax"], levels=(0.99,), seeds=3))
    contest = document.contests.at(0.99)
    assert contest.separable("cross_entropy", "dice")
    figure = pairs(document).figures["ranks"]
    bars = [row for values in figure.spec["datasets"].values() for row in values if "bar" in row]
    joined = not contest.separable("dice", "lovasz_softmax")
    assert [{row["first"], row["last"]} for row in bars] == ([{"dice", "lovasz_softmax"}] if joined else [])


@pytest.mark.parametrize(
    "results",
    [
        synthetic(["dice"], levels=(0.97,)),
        synthetic(confirm=False),
        synthetic(2, failing=["focal"]),
    ],
    ids=["one family", "nothing confirmed", "one left"],
)
def test_without_a_pair_there_is_no_section(results):
    assert pairs(Document(results)) is None


@pytest.mark.parametrize(
    ("results", "said"),
    [
        (synthetic(2, levels=(0.97,), seeds=1), "A single seed settles nothing"),
        (synthetic(2, levels=(0.97,), images=1), "no corrected p-value can be below 1"),
        (synthetic(3, levels=(0.9, 0.97), missing=[("dice", 0.97)]), "of 1 pair,"),
        (synthetic(3, levels=(0.97,), absent="curve 1"), "of 3 pairs"),
        (synthetic(2, levels=(0.97,), collapsing=["focal"]), "of 1 pair,"),
    ],
    ids=["one seed", "one image", "missing", "absent", "collapsed"],
)
def test_odd_studies(results, said):
    section = pairs(Document(results))
    assert said in " ".join(section.words["notes"])
    for figure in section.figures.values():
        assert figure is None or figure.svg


def test_a_crowd_is_cut_on_the_page_and_whole_in_the_files(tmp_path):
    shapes = {f"f{index:02d}": SHAPES[list(SHAPES)[index % len(SHAPES)]] for index in range(30)}
    document = Document(synthetic(shapes, levels=(0.97,), images=6, trials=1))
    section = pairs(document)
    assert len(section.tables["pairs"].frame) == 30 * 29 // 2 * 2
    assert len(section.tables["pairs"].grid.rows) == MOST * (MOST - 1) // 2
    shown = {row["row"] for values in section.figures["verdicts"].spec["datasets"].values() for row in values}
    assert shown == set(document.order[:MOST])


def test_the_region_of_equivalence_reaches_from_the_call_to_every_verdict(tmp_path, monkeypatch):
    results = synthetic(["dice", "focal"], levels=(0.9,), seeds=5, images=24)
    built = []
    monkeypatch.setattr(page, "write_report", lambda document, folder: built.append(document) or folder)
    for rope in (0.0, 0.5):
        page.build_report(results, tmp_path, rope=rope)
    narrow, wide = built
    assert {str(one) for one in table(narrow.contests)["verdict"]} & {"better", "not enough evidence"}
    assert set(table(wide.contests)["verdict"]) == {"equivalent"}
    assert "within 50 IoU points" in wide.answer.summary
    assert "equivalent to it" not in narrow.answer.summary
    assert set(tuning(wide).tables["tuned_vs_default"].frame["reading"]) <= {"equivalent", SAME}
    assert pairs(wide).words["margin"] == how(wide).words["margin"] == "50 IoU points"
