from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sweeper.report import surfaces as measures
from sweeper.report.document import Document
from sweeper.report.sections.boundaries import boundaries
from sweeper.report.surfaces import KEPT, Pictures, Place, Surfaces, gather_surfaces, surfaces
from sweeper.results.results import Results
from sweeper.results.schema import MINORITY, SCORES, SURFACE_METRICS
from tests.report.synthetic import synthetic

NAN = float("nan")


def pictures(*rows: tuple[float, ...], seeds: int = 1) -> np.ndarray:
    """(seeds, pictures, 1 class, KEPT) from rows of nsd, cldice, hd95, objects, objects_missed; the same per seed."""
    return np.tile(np.array(rows)[None, :, None, :], (seeds, 1, 1, 1))


def study(places: dict[str, np.ndarray], classes: tuple[str, ...] = ("crack",)) -> Surfaces:
    return Surfaces(
        {Place(family, 0.99): Pictures(tuple(range(len(values))), values) for family, values in places.items()}, classes
    )


def value(frame, family: str, metric: str, klass: str = "crack", column: str = "mean"):
    row = frame[(frame["family"] == family) & (frame["metric"] == metric) & (frame["class"] == klass)]
    assert len(row) == 1
    return row.iloc[0][column]


# The timid family finds nothing in the second picture, where the other is 9 px off; the third shows no crack.
CAREFUL = pictures((0.9, 0.8, 1.0, 2, 0), (0.5, 0.4, 9.0, 3, 1), (NAN, NAN, NAN, NAN, NAN))
TIMID = pictures((0.8, 0.7, 2.0, 2, 1), (0.0, 0.0, NAN, 3, 3), (NAN, NAN, NAN, NAN, NAN))


def test_scores_worked_by_hand():
    frame = surfaces(study({"careful": CAREFUL, "timid": TIMID}))
    assert value(frame, "careful", "nsd") == pytest.approx(0.7)
    assert value(frame, "timid", "nsd") == pytest.approx(0.4), "nothing predicted counts 0"
    assert value(frame, "timid", "cldice") == pytest.approx(0.35)
    assert value(frame, "careful", "object_miss_rate") == pytest.approx(1 / 5), "of objects, not of pictures"
    assert value(frame, "timid", "object_miss_rate") == pytest.approx(4 / 5)
    assert set(frame["pictures"]) == {2}, "the picture without the class counts for nothing"
    assert set(frame["objects"]) == {5}


def test_a_family_that_misses_objects_gains_nothing_in_common_pictures():
    frame = surfaces(study({"careful": CAREFUL, "timid": TIMID}))
    assert value(frame, "timid", "hd95") == pytest.approx(2.0)
    assert value(frame, "careful", "hd95") == pytest.approx(5.0), "better by misses"
    assert value(frame, "timid", "hd95_common") == pytest.approx(2.0)
    assert value(frame, "careful", "hd95_common") == pytest.approx(1.0), "and worse where both found something"
    assert value(frame, "timid", "hd95", column="covered") == 1
    assert value(frame, "careful", "hd95", column="covered") == 2
    assert {value(frame, family, "hd95_common", column="covered") for family in ("careful", "timid")} == {1}


def test_a_silent_seed_does_not_empty_the_common_pictures():
    silent = pictures((0.0, 0.0, NAN, 2, 2), (0.0, 0.0, NAN, 3, 3), (NAN, NAN, NAN, NAN, NAN))
    found = study({"careful": np.tile(CAREFUL, (2, 1, 1, 1)), "moody": np.concatenate([CAREFUL, silent])})
    mask, without = found.common(0.99)
    assert mask.tolist() == [[1.0, 1.0, 0.0]]
    assert without == ("moody",)
    frame = surfaces(found)
    # Its mean is over the seeds that have one; how many pictures are covered says how much that is worth.
    assert value(frame, "moody", "hd95") == pytest.approx(5.0)
    assert value(frame, "moody", "hd95", column="covered") == 1
    assert value(frame, "moody", "object_miss_rate") == pytest.approx((1 / 5 + 1) / 2)


def test_a_minority_mean_averages_classes_not_pictures():
    first = pictures((0.9, 0.9, 1.0, 1, 0), (0.7, 0.7, 3.0, 1, 0))
    second = pictures((0.2, 0.2, 8.0, 4, 4), (NAN, NAN, NAN, NAN, NAN))
    frame = surfaces(study({"dice": np.concatenate([first, second], axis=2)}, ("thin", "wide")))
    assert value(frame, "dice", "nsd", MINORITY) == pytest.approx((0.8 + 0.2) / 2)
    assert value(frame, "dice", "hd95", MINORITY) == pytest.approx((2.0 + 8.0) / 2)
    assert value(frame, "dice", "object_miss_rate", MINORITY) == pytest.approx((0 + 1) / 2)
    assert value(frame, "dice", "nsd", MINORITY, "pictures") == 3
    alone = surfaces(study({"dice": first}))
    for end in ("low", "high"):
        assert value(frame, "dice", "nsd", "thin", end) == value(alone, "dice", "nsd", column=end), (
            "of its own pictures"
        )
    assert MINORITY not in set(alone["class"]), "a mean over one class would say it twice"


def test_resampling_pictures_is_the_same_as_repeating_them_one_by_one():
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, (3, 6, 2, len(KEPT)))
    values[..., KEPT.index("objects")] = rng.integers(1, 5, (6, 2))
    values[0, 2, 0, KEPT.index("hd95")] = NAN
    common = np.ones((2, 6))
    common[0, 2] = common[1, 5] = 0.0
    images = rng.multinomial(6, np.full(6, 1 / 6), size=5).astype(float)
    top, bottom = measures._parts(values, common)
    drawn = measures._divide(top @ images.T, bottom @ images.T)
    for rep, klass, seed in np.ndindex(5, 2, 3):
        picked = np.repeat(np.arange(6), images[rep].astype(int))
        own = dict(zip(KEPT, values[seed, picked, klass].T, strict=True))
        shared = own["hd95"][common[klass, picked] > 0]
        slowly = {
            "nsd": np.nanmean(own["nsd"]),
            "cldice": np.nanmean(own["cldice"]),
            "hd95": np.nanmean(own["hd95"]),
            "hd95_common": np.nanmean(shared) if len(shared) else NAN,
            "object_miss_rate": own["objects_missed"].sum() / own["objects"].sum(),
        }
        expected = [slowly[metric] for metric in measures.METRICS]
        assert drawn[:, klass, seed, rep] == pytest.approx(expected, nan_ok=True)
    frame = surfaces(study({"dice": values}, ("thin", "wide")))
    assert (frame["low"] < frame["mean"]).all()
    assert (frame["mean"] < frame["high"]).all()


def test_gathered_means_are_those_training_pooled():
    results = synthetic(["focal", "dice"], levels=(0.97, 0.99), seeds=2, images=5)
    frame = surfaces(gather_surfaces(results)).set_index(["family", "level", "class", "metric"])
    trials = results.trials.to_pandas()
    trials = trials[trials["is_tuned"]].set_index("key")
    pooled = results.scores.to_pandas()
    pooled = pooled[pooled["image"].isna() & (pooled["point"] == "argmax") & pooled["metric"].isin(SURFACE_METRICS)]
    pooled = pooled[pooled["key"].isin(trials.index)].join(trials[["family", "level"]], on="key")
    expected = pooled.groupby(["family", "level", "class", "metric"])["value"].mean()
    assert len(expected) == 2 * 2 * 2 * len(SURFACE_METRICS)
    for at, mean in expected.items():
        assert frame.at[at, "mean"] == pytest.approx(mean)


def test_rows_of_other_points_splits_and_settings_do_not_count():
    results = synthetic(["tversky"], levels=(0.99,), seeds=2, images=4)
    expected = surfaces(gather_surfaces(results))
    scores = results.scores
    tuned = results.trials.filter(results.trials["is_tuned"])["key"].combine_chunks()
    # Only tuned trials on test at argmax: without everything else the same numbers.
    wanted = pc.and_(pc.equal(scores["point"], "argmax"), pc.is_in(scores["key"], tuned))
    less = Results(results.trials, scores.filter(wanted), results.meta)
    assert surfaces(gather_surfaces(less)).equals(expected)
    other = pa.Table.from_pylist(
        [{"key": tuned[0].as_py(), "split": "val", "point": "argmax", "image": "log_00", "class": "curve 1",
          "metric": "nsd", "value": 0.0}], schema=SCORES)  # fmt: skip
    more = Results(results.trials, pa.concat_tables([scores, other]), results.meta)
    assert surfaces(gather_surfaces(more)).equals(expected)


def test_absent_classes_and_old_results():
    results = synthetic(["dice"], levels=(0.97, 0.99), seeds=2, absent="curve 2")
    assert set(surfaces(gather_surfaces(results))["class"]) == {"curve 1"}
    assert gather_surfaces(synthetic(2, extras=False)) is None
    assert boundaries(Document(synthetic(2, extras=False))) is None
    assert boundaries(Document(synthetic(2, confirm=False))) is None


def test_the_section_states_the_policy_and_the_warning():
    section = boundaries(Document(synthetic(4, levels=(0.97, 0.99), seeds=2, images=4, collapsing=["dice"])))
    assert section is not None
    caption = section.tables["boundaries"].caption
    assert "a picture that does not show a class counts for none of these" in caption
    assert "NSD and clDice are 0 and HD95 is undefined" in caption
    assert "within 2 px" in caption
    assert "Selection: " in caption
    words = " ".join(section.words["findings"])
    assert "It covers: dice 0 of 8." in words
    assert section.words["findings"][0].endswith("% of the objects."), "the lowest distance and the fewest misses"
    assert "left out of the pictures in common: dice." in words
    row = next(row for row in section.tables["boundaries"].grid.rows if row[0].text == "dice")
    by_head = dict(zip(section.tables["boundaries"].grid.head, (cell.text for cell in row), strict=True))
    assert (by_head["HD95, px"], by_head["covers"], by_head["objects missed"]) == ("–", "0 of 8", "1.000")


def test_words_set_the_lowest_distance_beside_what_it_misses():
    results = synthetic(["dice", "focal"], levels=(0.99,), seeds=2, images=2)
    trials = results.trials.to_pandas()
    made = {
        "focal": ((0.5, 0.5, 1.0, 2, 1), (0.0, 0.0, None, 3, 3)),
        "dice": ((0.9, 0.9, 2.0, 2, 0), (0.8, 0.8, 9.0, 3, 1)),
    }
    rows = [
        {"key": key, "split": "test", "point": "argmax", "image": f"log_{image:02d}", "class": klass, "metric": metric,
         "value": None if number is None else float(number)}
        for family, images in made.items()
        for key in trials[(trials["family"] == family) & trials["is_tuned"]]["key"]
        for image, numbers in enumerate(images)
        for klass in ("curve 1", "curve 2")
        for metric, number in zip(KEPT, numbers, strict=True)
    ]  # fmt: skip
    whole = results.scores.filter(pc.invert(pc.is_in(results.scores["metric"], pa.array([*SURFACE_METRICS, *KEPT]))))
    scores = pa.concat_tables([whole, pa.Table.from_pylist(rows, schema=SCORES)])
    section = boundaries(Document(Results(results.trials, scores, results.meta)))
    assert section is not None
    assert section.words["findings"][0] == (
        "At 99 % background focal has the lowest HD95, 1.0 px, and misses 80 % of the objects; dice misses the "
        "fewest, 20 %, at an HD95 of 5.5 px.".replace("99 %", "99\u00a0%")
    )
    assert "It covers: focal 2 of 4." in section.words["findings"][1]


def test_one_family_one_level_one_seed_one_picture():
    section = boundaries(Document(synthetic(["dice"], levels=(0.99,), seeds=1, images=1)))
    assert section is not None
    assert section.figures["boundaries"] is not None
    assert section.tables["boundaries"].frame["mean"].notna().all()


def test_a_large_study_is_gathered_without_loops_over_rows():
    # 60 tuned trials x 200 pictures x 2 classes x 5 metrics.
    results = synthetic(["dice"], levels=(0.99,), seeds=1, images=1)
    trials = pa.concat_tables([results.trials.filter(results.trials["is_tuned"])] * 60)
    keys = [f"key-{number}" for number in range(60)]
    trials = trials.set_column(0, "key", pa.array(keys)).set_column(
        trials.schema.get_field_index("seed"), "seed", pa.array(range(60), pa.int64())
    )
    names = ["key", "image", "class", "metric"]
    parts = [keys, [f"picture {number}" for number in range(200)], ["curve 1", "curve 2"], list(KEPT)]
    grid = np.meshgrid(*(np.arange(len(part)) for part in parts), indexing="ij")
    columns = {
        name: pa.array(part).take(pa.array(at.ravel())) for name, part, at in zip(names, parts, grid, strict=True)
    }
    number = len(columns["key"])
    columns |= {"split": pa.repeat("test", number), "point": pa.repeat("argmax", number),
                "value": pa.array(np.random.default_rng(0).random(number))}  # fmt: skip
    scores = pa.table({name: columns[name] for name in SCORES.names})
    found = gather_surfaces(Results(trials, scores, results.meta))
    own = found.places["dice", 0.99]
    assert own.values.shape == (60, 200, 2, len(KEPT))
    at = (7, found_image := 123, 1, KEPT.index("hd95"))
    index = ((7 * 200 + found_image) * 2 + 1) * len(KEPT) + KEPT.index("hd95")
    # Pictures are sorted by name.
    order = sorted(parts[1]).index(f"picture {found_image}")
    assert own.values[at[0], order, at[2], at[3]] == columns["value"][index].as_py()


def test_pictures_without_the_class_make_no_interval_narrower():
    rng = np.random.default_rng(0)
    own = rng.uniform(0, 1, (4, 6, 1, len(KEPT)))
    own[..., KEPT.index("objects")] = 3
    more = np.concatenate([own, np.full((4, 60, 1, len(KEPT)), NAN)], axis=1)
    few, many = (surfaces(study({"dice": values})) for values in (own, more))
    for metric in ("nsd", "hd95", "object_miss_rate"):
        widths = [value(each, "dice", metric, column="high") - value(each, "dice", metric, column="low")
                  for each in (few, many)]  # fmt: skip
        assert value(few, "dice", metric) == pytest.approx(value(many, "dice", metric))
        assert 0.9 < widths[1] / widths[0] < 1.3, metric


def test_intervals_hold_the_truth_as_often_as_they_say():
    # A score of 0.5, moved by training, by how hard a picture is, and by what a training makes of a picture; a fifth
    # of the pictures do not show the class.
    rng = np.random.default_rng(0)
    studies, held = 400, 0
    for _ in range(studies):
        values = 0.5 + rng.normal(0, 0.02, (5, 1)) + rng.normal(0, 0.05, (1, 25)) + rng.normal(0, 0.03, (5, 25))
        values[:, :5] = NAN
        whole = np.full((5, 25, 1, len(KEPT)), NAN)
        whole[..., 0, KEPT.index("nsd")] = values
        found = study({"dice": whole})
        interval = next(one for _, metric, one in found.of(Place("dice", 0.99), np.ones((1, 25))) if metric == "nsd")
        held += interval.low <= 0.5 <= interval.high
    # The share's own standard error is 0.011.
    assert held / studies == pytest.approx(0.95, abs=0.03)
