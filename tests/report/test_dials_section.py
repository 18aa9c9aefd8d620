from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sweeper.errors import UserError
from sweeper.report import page, sections
from sweeper.report.charts.dials import outline, ramp
from sweeper.report.document import Document
from sweeper.report.output.figure import Figure
from sweeper.report.page import build_report, render
from sweeper.report.search import dial_figures
from sweeper.report.section import Section
from sweeper.report.sections.dials import EDGES, dials
from sweeper.results.results import Results

from .parts import without_pictures
from .synthetic import SHAPES, synthetic

NASTY = "</script><b>‮focal'\"{{x}}😀" + "x" * 200


def section(results: Results, **more) -> Section:
    return dials(Document(results, **more))


def charts(made: Section, start: str) -> list[Figure]:
    return [figure for name, figure in made.figures.items() if figure is not None and name.startswith(start)]


def rows(figure: Figure) -> list[dict]:
    return [row for rows in figure.spec["datasets"].values() for row in rows]


@pytest.fixture(scope="module")
def made():
    results = synthetic(["cross_entropy", "focal", "tversky", "combo"], levels=(0.95, 0.97, 0.99), trials=30, images=2,
                        searched="all")  # fmt: skip
    return section(results)


def test_every_chart_keeps_to_the_schema_and_has_data(made):
    assert set(made.figures) == {
        "fronts", "importance", "dial_tversky_beta", "dial_combo_weight", "dial_combo_beta", "dial_focal_gamma",
        "dial_focal_alpha", "map_combo_weight_beta", "map_focal_gamma_alpha",
    }  # fmt: skip
    for figure in made.figures.values():
        assert figure.chart.to_dict(validate=True)
        assert rows(figure)


def test_a_dial_shows_trials_curves_and_bands_at_the_reference_and_the_hardest_level(made):
    figure = made.figures["dial_focal_gamma"]
    points = [row for row in rows(figure) if "score" in row]
    curves = [row for row in rows(figure) if "low" in row]
    assert {row["background"] for row in points} == {row["background"] for row in curves} == {"97\u00a0%", "99\u00a0%"}
    assert {row["status"] for row in points} == {"completed", "stopped"}
    assert all(row["low"] <= row["mean"] <= row["high"] for row in curves)
    titles = [
        next(layer["encoding"]["y"]["axis"]["title"] for layer in panel["layer"] if "y" in layer["encoding"])
        for panel in figure.spec["hconcat"]
    ]
    assert titles == ["validation minority IoU", "recall", "precision"]
    assert "Varied too: α." in figure.caption
    assert "trained less" in figure.caption
    assert "Dashed: the default, 2." in figure.caption


def test_stopped_trials_are_drawn_in_every_panel_and_read_apart():
    made = section(synthetic(["tversky"], levels=(0.97,), trials=14, images=2))
    figure = made.figures["dial_tversky_beta"]
    for panel in figure.spec["hconcat"]:
        names = [layer["data"]["name"] for layer in panel["layer"]]
        points = [row for name in names for row in figure.spec["datasets"][name] if "score" in row]
        assert {row["status"] for row in points} == {"completed", "stopped"}
        domains = [layer["encoding"]["y"]["scale"]["domain"] for layer in panel["layer"] if "y" in layer["encoding"]]
        assert domains
        assert all(0 <= low < high <= 1 for low, high in domains)
    assert "recall rises with β (rank correlation +1.00)" in figure.reading
    assert "recall" not in figure.caption.split("Hollow")[1]


def test_a_chart_says_that_stopped_trials_have_no_recall():
    results = synthetic(["tversky"], levels=(0.97,), trials=6, images=2)
    stopped = [row["key"] for row in results.trials.to_pylist() if row["status"] == "stopped"]
    kept = pc.invert(pc.is_in(results.scores["key"], pa.array(stopped)))
    made = section(Results(results.trials, results.scores.filter(kept), results.meta))
    assert "Their recall and precision were not recorded." in made.figures["dial_tversky_beta"].caption


def test_few_trials_are_points_without_a_curve():
    made = section(synthetic(["tversky"], levels=(0.97,), trials=7, images=2))
    (figure,) = charts(made, "dial_")
    assert not [row for row in rows(figure) if "low" in row]
    assert [row for row in rows(figure) if "score" in row]
    assert "No curve: it takes 6 trials" in figure.caption
    assert charts(made, "map_") == []
    frame = made.tables["dials"].frame
    assert frame["region"].tolist() == [""]
    assert [str(cell) for cell in made.tables["dials"].grid.rows[0]][-2:] == ["–", "–"]


def test_the_table_says_where_the_best_is_and_how_many_trials_say_so(made):
    frame = made.tables["dials"].frame.set_index(["family", "level", "hyperparameter"])
    beta = frame.loc["tversky", 0.97, "beta"]
    # In the synthetic study recall rises and precision falls with |beta - 0.6|: the best is near 0.6.
    assert 0.5 < beta["best_trial"] < 0.72
    low, high = (float(number) for number in re.findall(r"[\d.]+", beta["region"])[:2])
    assert low < 0.66
    assert high > 0.55
    assert beta["ended"] < beta["trials"] < 30
    assert frame.loc["focal", 0.97, "alpha"]["whole"]
    trials = made.tables["responses"].frame
    assert set(trials["family"]) == {"tversky", "focal", "combo"}
    assert (trials["low"] <= trials["mean"]).all()
    assert (trials["mean"] <= trials["high"]).all()


def test_search_scores_are_said_to_be_no_results(made):
    for name in ("dials", "responses"):
        assert "are no results" in made.tables[name].caption
    assert "one seed per trial" in made.tables["dials"].caption
    # No search score is among the columns that a reader sees.
    assert not {"score", "objective", "mean"} & set(made.tables["dials"].frame.columns)


def test_a_still_dial_is_said_and_not_drawn():
    results = synthetic(["focal"], levels=(0.97,), trials=12, images=2)
    column = results.trials.schema.get_field_index("hyperparameters")
    settings = [{**json.loads(row["hyperparameters"]), "alpha": 0.25} for row in results.trials.to_pylist()]
    trials = results.trials.set_column(
        column, results.trials.schema.field(column), [[json.dumps(one) for one in settings]]
    )
    made = section(Results(trials, results.scores, results.meta))
    assert [figure.name for figure in charts(made, "dial_")] == ["dial_focal_gamma"]
    assert made.words["still"] == ["focal: α = 0.25"]


def test_many_families_draw_few_charts_and_say_so(monkeypatch):
    without_pictures(monkeypatch)
    results = synthetic(66, levels=(0.97,), trials=14, images=2, confirm=False)
    made = section(results)
    searched = [family for family in results.meta["families"] if results.meta["families"][family]["hyperparameters"]]
    assert len(charts(made, "dial_")) <= dial_figures.DRAWN
    assert len(charts(made, "map_")) <= dial_figures.MAPS
    drawn = [one.family for one in made.words["families"] if any("dial_" in figure.name for figure in one.figures)]
    assert sorted([*drawn, *made.words["undrawn"]]) == sorted(searched)
    assert set(made.tables["responses"].frame["family"]) == set(searched)
    assert set(made.tables["dials"].frame["family"]) == set(searched)
    assert len(made.words["edges"]) <= EDGES
    text = _page(results, monkeypatch)
    assert "not drawn" in text


def test_a_named_pair_is_drawn_in_every_family_that_has_both(monkeypatch):
    results = synthetic(["focal", "combo", "tversky"], levels=(0.97,), trials=30, images=2)
    results.meta["families"]["combo"]["hyperparameters"]["gamma"] = dict(
        results.meta["families"]["combo"]["hyperparameters"].pop("weight"), symbol="γ"
    )
    column = results.trials.schema.get_field_index("hyperparameters")
    texts = [row["hyperparameters"].replace('"weight"', '"gamma"') for row in results.trials.to_pylist()]
    results = Results(
        results.trials.set_column(column, results.trials.schema.field(column), [texts]), results.scores, results.meta
    )
    monkeypatch.setattr(dial_figures, "MAPS", 0)
    assert charts(section(results), "map_") == []
    names = [figure.name for figure in charts(section(results, dials=(("alpha", "gamma"),)), "map_")]
    assert names == ["map_focal_alpha_gamma"]
    both = section(results, dials=(("alpha", "gamma"), ("gamma", "beta")))
    assert {figure.name for figure in charts(both, "map_")} == {"map_focal_alpha_gamma", "map_combo_gamma_beta"}
    few = synthetic(["focal"], levels=(0.97,), trials=8, images=2)
    assert section(few, dials=(("alpha", "gamma"),)).words["unmapped"] == ["focal: alpha and gamma, for want of trials"]


def test_a_misspelled_dial_stops_before_anything_is_worked_out(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "render", lambda document: pytest.fail("the report was begun"))
    results = synthetic(["focal"], levels=(0.97,), trials=8, images=2)
    with pytest.raises(UserError, match="did you mean 'gamma'"):
        build_report(results, tmp_path / "out", dials=[("gama", "alpha")])
    assert not (tmp_path / "out").exists()


def test_a_map_outlines_its_best_region_and_fades_where_it_knows_little(made):
    figure = made.figures["map_focal_gamma_alpha"]
    cells = [row for row in rows(figure) if "known" in row]
    assert len(cells) == 400
    assert min(row["known"] for row in cells) < max(row["known"] for row in cells) <= 1
    best = [row for row in rows(figure) if row.get("status") == "completed"]
    diamonds = [layer for layer in figure.spec["hconcat"][0]["layer"] if layer["mark"].get("shape") == "diamond"]
    assert len(diamonds) == 1
    assert len(best) > 10
    assert re.search(r"the outlined \d+\u00a0% of the map cannot be told from the best", figure.reading)


def test_the_front_table_holds_what_no_other_trial_beats(made):
    frame = made.tables["fronts"].frame
    for _, own in frame.groupby("family"):
        ordered = own.sort_values("recall")
        assert (np.diff(ordered["precision"]) <= 0).all()
    assert {"family", "level", "number", "recall", "precision", "f1", "dial", "value"} == set(frame.columns)


def _page(results: Results, monkeypatch, **more) -> str:
    monkeypatch.setattr(sections, "SECTIONS", (dials,))
    files = render(Document(results, **more))
    return files["report.html"].decode() + files["report.md"].decode()


ODD = {
    "nothing to tune": {"families": ["cross_entropy", "dice"]},
    "one family": {"families": ["focal"]},
    "all failed": {"families": ["focal", "tversky"], "failing": ["focal", "tversky"]},
    "one trial": {"families": ["focal"], "trials": 1},
    "two trials": {"families": ["focal", "tversky"], "trials": 2},
    "never predicted": {"families": ["combo", "tversky"], "collapsing": ["combo", "tversky"], "trials": 30},
    "no confirm": {"families": ["focal"], "confirm": False},
    "searched everywhere": {"families": ["focal"], "searched": "all", "trials": 30},
    "long names": {"families": ["focal", "combo"], "rename": {"focal": NASTY, "combo": NASTY + "y"}, "trials": 30},
}


@pytest.mark.parametrize("case", ODD)
def test_no_search_is_too_odd(case, monkeypatch):
    without_pictures(monkeypatch)
    results = synthetic(**{"levels": (0.95, 0.97), "images": 2, "trials": 3, **ODD[case]})
    made = section(results)
    for figure in charts(made, ""):
        assert figure.chart.to_dict(validate=True)
        assert re.fullmatch(r"[A-Za-z0-9_]{1,90}", figure.name)
    for table in made.tables.values():
        assert table is None or isinstance(table.frame, pd.DataFrame)
    text = _page(results, monkeypatch)
    assert "<b>\u202efocal" not in text
    words = re.sub(r"<script.*?</script>|<svg.*?</svg>", "", text, flags=re.S)
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", words)


def test_figures_of_names_that_look_alike_keep_their_own_files():
    results = synthetic(["focal", "combo"], levels=(0.97,), trials=30, images=2,
                        rename={"focal": NASTY, "combo": NASTY + "y"})  # fmt: skip
    made = section(results)
    assert len(charts(made, "dial_")) == 4
    assert len(charts(made, "map_")) == 2


def test_without_validation_recall_only_the_score_is_drawn():
    results = synthetic(["tversky"], levels=(0.97,), trials=12, images=2)
    bare = section(Results(results.trials, results.scores.slice(0, 0), results.meta))
    (figure,) = charts(bare, "dial_")
    assert len(figure.spec["hconcat"]) == 1
    assert bare.figures["fronts"] is None
    assert bare.tables["fronts"] is None


def test_the_same_seed_gives_the_same_section():
    results = synthetic(["focal"], levels=(0.97,), trials=30, images=2)
    first, again = (section(results, seed=4) for _ in range(2))
    for name, table in first.tables.items():
        if table is not None:
            pd.testing.assert_frame_equal(table.frame, again.tables[name].frame)
    assert [figure.spec for figure in charts(first, "")] == [figure.spec for figure in charts(again, "")]


def area(mask: np.ndarray) -> int:
    """Cells within the outline, counted by crossing its vertical segments from left to right."""
    inside = np.zeros_like(mask)
    for row in range(mask.shape[0]):
        crossings = [j for i, j, k, l in outline(mask) if j == l and i <= row < k]  # noqa: E741
        for column in range(mask.shape[1]):
            inside[row, column] = sum(at <= column for at in crossings) % 2
    assert (inside == mask).all()
    return int(inside.sum())


def test_an_outline_encloses_its_cells_and_no_others():
    one = np.zeros((3, 4), bool)
    one[1, 2] = True
    assert sorted(outline(one)) == [(1, 2, 1, 3), (1, 2, 2, 2), (1, 3, 2, 3), (2, 2, 2, 3)]
    assert sorted(outline(np.ones((3, 4), bool))) == [(0, 0, 0, 4), (0, 0, 3, 0), (0, 4, 3, 4), (3, 0, 3, 4)]
    assert outline(np.zeros((3, 4), bool)) == []
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.uniform(size=(6, 7)) < 0.5
        assert area(mask) == mask.sum()


def test_a_ramp_has_as_many_colors_as_levels():
    assert ramp(1) == ["#7e4fa8"]
    assert ramp(5) == ["#7e4fa8", "#3b7dab", "#1f9e89", "#7ab648", "#c9a20b"]
    assert len(set(ramp(9))) == 9


def test_synthetic_dials_are_what_these_tests_assume():
    assert set(SHAPES["focal"].dials) == {"gamma", "alpha"}
