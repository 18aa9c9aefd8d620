"""Which predictions of a run folder the report shows, and how its page says so."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sweeper.errors import ResultsError
from sweeper.report.document import Document
from sweeper.report.gallery import panels
from sweeper.report.gallery.cases import Disagreement, Median, MissedObject
from sweeper.report.gallery.panels import panel_grid
from sweeper.report.gallery.tracks import stretches
from sweeper.report.output.templating import render_part
from sweeper.report.sections.panels import MOST
from sweeper.report.sections.panels import panels as section
from sweeper.results.pictures import patches_file, predicted_file

from .kept import keep_all, keep_patches, keep_predictions, tuned, with_curve_errors
from .synthetic import synthetic

NASTY = '<script>alert("ü")</script>'


@pytest.fixture
def results():
    return synthetic(["dice", "tversky", "cross_entropy"], levels=(0.95, 0.97, 0.99), images=2, trials=3)


def page(document):
    built = section(document)
    words = {"document": document, "meta": document.results.meta, "section": built, "tables": built.tables,
             "figures": built.figures, **built.words}  # fmt: skip
    return str(render_part("sections/panels.html", words)), str(render_part("sections/panels.md", words))


def test_every_rule_looks_at_the_hardest_level_and_is_shown_at_the_reference_too(results, tmp_path):
    patches = keep_patches(results, tmp_path)
    at = tuned(results)
    for family, missed in (("dice", 0), ("tversky", 0), ("cross_entropy", 0)):
        keep_predictions(patches, tmp_path, at[family, 0.97], missed=missed)
        keep_predictions(patches, tmp_path, at[family, 0.99], missed=2 if family == "dice" else 0, blind=True)
    grid = panel_grid(results, tmp_path)
    assert grid is not None
    assert (grid.level, grid.levels, grid.seed) == (0.99, (0.99, 0.97), 1000)
    assert grid.families == ("dice", "tversky", "cross_entropy")
    # All differ in two pixels in every patch, in two of three pairs: the first patch. Every dot is missed by all three,
    # five of them, all of one pixel: the first patch again. IoU of class 1 is worst in the first patch, all missed by
    # one of three: the dots count 0, so 1/3, then more: the third of five patches is in the middle.
    assert [case.patch for case in grid.cases] == [0, 2]
    (disagreement, missed), (median,) = (case.rules for case in grid.cases)
    assert isinstance(disagreement, Disagreement)
    assert disagreement.pixels == pytest.approx(4 / 3)
    assert isinstance(missed, MissedObject)
    assert (missed.klass, missed.pixels, missed.families, missed.alike) == (2, 1, 3, 5)
    assert isinstance(median, Median)
    # Of four pixels of class 1 two families find all and one two; of class 2 nothing is found.
    assert median.iou == pytest.approx(((1 + 0) / 2 + (1 + 0) / 2 + (0.5 + 0) / 2) / 3)
    assert grid.cases[0].predicted[0.99]["dice"][0, 3] == 0
    assert grid.cases[0].predicted[0.97]["dice"][0, 3] == 1


def test_a_half_finished_study_shows_the_hardest_level_there_is(results, tmp_path):
    keep_all(results, tmp_path, levels=[0.95])
    grid = panel_grid(results, tmp_path)
    assert grid is not None
    assert (grid.level, grid.levels) == (0.95, (0.95,))
    html, _ = page(Document(results, pictures=tmp_path))
    assert "Trained at 95\u00a0% background" in html
    assert "Trained at 97" not in html


@pytest.mark.parametrize(("most", "fewer"), [(1000, 1001), (1001, 1000)])
def test_all_predictions_are_of_the_seed_that_most_families_have(results, tmp_path, most, fewer):
    patches = keep_patches(results, tmp_path)
    keep_predictions(patches, tmp_path, tuned(results, seed=fewer)["dice", 0.99], missed=2)
    for family in ("dice", "tversky"):
        keep_predictions(patches, tmp_path, tuned(results, seed=most)[family, 0.99], alarms=3)
    grid = panel_grid(results, tmp_path)
    assert grid is not None
    assert (grid.seed, grid.families) == (most, ("dice", "tversky"))
    assert grid.cases[0].predicted[0.99]["dice"][0, 5] == 1


def test_a_family_whose_trial_failed_or_is_not_there_yet_has_a_dash(results, tmp_path):
    keep_all(results, tmp_path)
    at = tuned(results)
    # Of tversky at 0.97 only another seed's trial failed.
    lost = {at["dice", 0.99], tuned(results, seed=1001)["tversky", 0.97]}
    rows = results.trials.to_pylist()
    for row in rows:
        if row["key"] in lost:
            row["status"] = "failed"
    failed = dataclasses.replace(results, trials=pa.Table.from_pylist(rows, schema=results.trials.schema))
    predicted_file(tmp_path, at["tversky", 0.97]).unlink()
    grid = panel_grid(failed, tmp_path)
    assert grid is not None
    assert grid.families == ("tversky", "cross_entropy")
    html, _ = page(Document(failed, pictures=tmp_path))
    hardest, reference = html.split("Trained at 97")[0], html.split("Trained at 97")[1].split("Trained at 99")[0]
    assert "<bdi>dice</bdi></b> – its trial failed" in hardest
    assert "<bdi>tversky</bdi></b> – no prediction kept" in reference
    assert "its trial failed" not in reference


def test_predictions_of_another_pool_are_left_out(results, tmp_path):
    patches = keep_all(results, tmp_path)
    other = dataclasses.replace(patches, pool=np.array("an older pool"))
    keep_predictions(other, tmp_path, tuned(results)["dice", 0.99])
    grid = panel_grid(results, tmp_path)
    assert grid is not None
    assert grid.families == ("tversky", "cross_entropy")


def test_no_folder_no_patches_or_no_predictions_is_no_grid(results, tmp_path):
    assert panel_grid(results, None) is None
    assert panel_grid(results, tmp_path / "absent") is None
    assert panel_grid(results, tmp_path) is None
    keep_patches(results, tmp_path)
    assert panel_grid(results, tmp_path) is None
    nothing = synthetic(["dice"], levels=(0.97,), confirm=False)
    assert panel_grid(nothing, tmp_path) is None


def test_a_damaged_file_is_one_clear_message(results, tmp_path):
    keep_all(results, tmp_path)
    path = predicted_file(tmp_path, tuned(results)["dice", 0.99])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ResultsError, match=path.name):
        panel_grid(results, tmp_path)
    path.unlink()
    assert panel_grid(results, tmp_path) is not None
    patches_file(tmp_path, results.meta["data"]["fingerprint"]).write_bytes(b"PK")
    with pytest.raises(ResultsError, match="patches_"):
        panel_grid(results, tmp_path)


def test_where_there_is_nothing_to_show_the_page_says_why(results, tmp_path):
    assert "built from the results alone" in page(Document(results))[0]
    assert "No predictions were kept" in page(Document(results, pictures=tmp_path))[0]
    (tmp_path / "input_0.png").write_bytes(b"png")
    html, markdown = page(Document(results, pictures=tmp_path))
    assert "of an earlier version" in html
    assert "of an earlier version" in markdown
    assert "<dialog" not in html


def test_the_page_names_every_rule_and_counts_every_error(results, tmp_path):
    keep_all(results, tmp_path, available=300)
    html, markdown = page(Document(results, pictures=tmp_path))
    for words in ("Largest disagreement between families", "smallest object missed", "Median case"):
        assert words in html
        assert words in markdown
    assert "5 of the 300 test patches that show a minority class, an even share of every picture" in markdown
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', html)
    assert len(alts) == len(re.findall("<img ", html))
    # Keys sorted by family and level: tversky at 0.99 is the ninth, with two pixels missed and three false alarms.
    assert "Errors of tversky: 2 pixels missed, 3 false alarms" in alts
    assert any(re.fullmatch(r"Prediction of tversky: \d+ of \d+ minority pixels found", alt) for alt in alts)
    assert not re.search(r'<button (?!type="button")', html)


def test_numbers_of_the_table_are_those_of_the_pictures(results, tmp_path):
    patches = keep_all(results, tmp_path)
    frame = section(Document(results, pictures=tmp_path)).tables["pictures"].frame
    for row in frame.itertuples():
        patch = patches.stems.tolist().index(row.picture)
        minority = int(np.isin(patches.truths[patch], [1, 2]).sum())
        assert row.found + row.missed + row.wrong == minority
    own = frame[(frame["family"] == "tversky") & (frame["level"] == 0.99)]
    assert set(own["missed"]) == {2}
    assert set(own["alarms"]) == {3}


def test_a_single_family_has_nothing_to_disagree_with(tmp_path):
    results = synthetic(["dice"], levels=(0.97,), images=2, trials=3)
    keep_all(results, tmp_path)
    html, _ = page(Document(results, pictures=tmp_path))
    assert "One family has nothing to disagree with." in html
    assert "Largest disagreement" not in html
    assert html.count("Trained at") == html.count('<div class="case">')


def test_of_many_families_the_best_and_the_baseline_are_shown(tmp_path):
    results = synthetic(20, levels=(0.97,), images=2, trials=2)
    keep_all(results, tmp_path)
    document = Document(results, pictures=tmp_path)
    html, _ = page(document)
    shown = re.findall(r"<b><bdi>([^<]*)</bdi></b>", html.split("</ul>")[0])
    best = document.order[:MOST]
    assert shown == (best if "cross_entropy" in best else [*best, "cross_entropy"])
    assert f"Shown are the {MOST} families of highest" in html
    assert set(section(document).tables["pictures"].frame["family"]) == set(document.families)


def test_hostile_names_stay_text(tmp_path):
    results = synthetic(["dice", "tversky"], levels=(0.97,), images=2, trials=2, rename={"dice": NASTY})
    for info in results.meta["data"]["classes"]:
        info["name"] = info["name"].replace("curve", NASTY)
    renamed = pc.replace_substring(results.scores["class"], "curve", NASTY)
    place = results.scores.schema.get_field_index("class")
    scores = results.scores.set_column(place, results.scores.schema.field(place), renamed)
    results = dataclasses.replace(results, scores=scores)
    keep_all(results, tmp_path)
    html, markdown = page(Document(results, pictures=tmp_path))
    assert NASTY not in html
    assert NASTY not in markdown
    assert html.count("<script") == 1
    assert "&lt;script&gt;alert" in html


LOGS = {"log_00": 0.02, "log_01": 0.30, "log_02": 0.05}


def test_logs_of_median_and_largest_error_are_drawn(results, tmp_path):
    results = with_curve_errors(results, LOGS, grows=0.01)
    keep_all(results, tmp_path, scans=3)
    grid = panel_grid(results, tmp_path)
    assert grid is not None
    assert [(track.stem, track.rule) for track in grid.tracks] == [
        ("log_02", "median error"), ("log_01", "largest error")]  # fmt: skip
    assert grid.tracks[1].errors["tversky", "curve 2"] == pytest.approx(0.31)
    built = section(Document(results, pictures=tmp_path))
    figure = built.figures["recovered"]
    assert (
        "log_01 (largest error): dice is off by 30.0\u00a0% of the track width, cross_entropy by 32.0" in figure.reading
    )
    assert len(figure.spec["vconcat"]) == 2 * 2, "logs and curves"
    assert {len(row["hconcat"]) for row in figure.spec["vconcat"]} == {3}
    assert len(built.tables["recovered"].frame) == 2 * 3 * 2


def test_a_single_log_is_drawn_once_and_other_data_have_none(results, tmp_path):
    alone = with_curve_errors(results, {"log_00": 0.02})
    keep_all(alone, tmp_path, scans=1)
    grid = panel_grid(alone, tmp_path)
    assert grid is not None
    assert [track.rule for track in grid.tracks] == ["median error"]
    keep_all(results, tmp_path / "plain")
    built = section(Document(results, pictures=tmp_path / "plain"))
    assert built.figures["recovered"] is None
    assert built.tables["recovered"] is None


def drawn(positions, step=1):
    frame = stretches(np.array(positions, dtype=np.float32), step)
    return [list(zip(part["row"], part["position"], strict=True)) for _, part in frame.groupby("stretch")]


def test_a_curve_is_broken_at_wraps_and_gaps():
    nothing = float("nan")
    assert drawn([0.9, 0.95, 0.05, nothing, 0.1, 0.2]) == [
        [(0, 0.9), (1, 0.95), (2, 0.95)],
        [(2, 0.05), (3, 0.05)],
        [(4, 0.1), (5, 0.2), (6, 0.2)],
    ]  # fmt: skip
    assert drawn([nothing, nothing]) == []
    assert drawn([0.1, 0.1, 0.1, 0.1, 0.1], step=2) == [[(0, 0.1), (2, 0.1), (4, 0.1), (5, 0.1)]]
    assert drawn([0.1, 0.1, nothing, 0.1, 0.1], step=2) == [[(0, 0.1), (2, 0.1)], [(4, 0.1), (5, 0.1)]]


def test_choosing_reads_each_file_once(results, tmp_path, monkeypatch):
    keep_all(results, tmp_path)
    read = []
    load = panels.load_predicted
    monkeypatch.setattr(panels, "load_predicted", lambda path, patches: read.append(path.name) or load(path, patches))
    panel_grid(results, tmp_path)
    assert len(read) == len(set(read)) == 2 * 3, "three families at two levels"
