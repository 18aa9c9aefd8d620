"""`sweeper champion`: the best model under a name, with the reason, and refused where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sweeper.errors import RunFolderError, TrackingError, UserError
from sweeper.orchestration.champion import crown, reason
from sweeper.orchestration.folder import RunFolder
from sweeper.report.comparisons import Headline, Ranking, Standing
from sweeper.report.document import Document
from sweeper.report.inference.statistics import Interval
from sweeper.report.inference.verdict import Verdict
from sweeper.results.mlflow_client import connect, sqlite_uri
from sweeper.results.parquet import load


def cli(*words, **changes):
    command = [sys.executable, "-m", "sweeper.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **changes})


def test_the_best_family_at_the_reference_level_is_registered_once(browsed):
    crowned = crown(browsed, "thin curves")
    document = Document(load(browsed / "results"))
    ranking = next(one for one in document.answer.rankings if one.level == 0.97)
    assert (crowned.family, crowned.level) == (ranking.leader.family, 0.97)
    assert crowned.why.startswith(f"{ranking.leader.family} has the highest minority IoU at 97\u00a0% background")
    assert (crowned.version, crowned.new, crowned.model) == ("1", True, "models:/thin curves@champion")
    again = crown(browsed, "thin curves")
    assert (again.version, again.new) == ("1", False)
    client = connect(sqlite_uri(browsed / "mlflow.db"))
    version = client.get_model_version_by_alias("thin curves", "champion")
    assert version.description == crowned.why
    assert version.tags["sweeper.family"] == crowned.family
    assert len(client.search_model_versions("name = 'thin curves'")) == 1


def test_it_is_loaded_by_its_name(browsed):
    done = cli("champion", browsed, "--name", "a'b", "--level", "0.95", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["name"], told["level"], told["version"]) == ("a'b", 0.95, "1")
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import mlflow.pyfunc, numpy as np\n"
        f"print(mlflow.pyfunc.load_model({told['model']!r}).predict(np.zeros((2, 9, 40, 3), np.uint8)).shape)"
    )
    environment = {**os.environ, "MLFLOW_TRACKING_URI": told["tracking_uri"]}
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert loaded.stdout.strip() == "(2, 9, 40)", loaded.stderr


def test_another_level_takes_the_alias_and_leaves_the_family_its_best(browsed):
    client = connect(sqlite_uri(browsed / "mlflow.db"))
    first = crown(browsed, "x")
    second = crown(browsed, "x", level=0.95)
    assert (first.version, second.version) == ("1", "2")
    assert client.get_model_version_by_alias("x", "champion").version in (2, "2")
    models = {one.model_id: one for one in client.search_logged_models(["1"])}
    for row in client.search_runs(["1"], "tags.`sweeper.kind` = 'family'"):
        model = row.data.tags.get("sweeper.model")
        if model is not None:
            assert models[model.removeprefix("models:/")].tags["sweeper.level"] == "0.97"


def test_the_process_keeps_its_own_default_store(browsed, monkeypatch):
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = mlflow.get_tracking_uri()
    crown(browsed, "x")
    assert mlflow.get_tracking_uri() == before
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_an_unfinished_study_has_no_champion(browsed):
    meta = RunFolder(browsed).meta
    identity = json.loads(meta.read_text())
    identity["meta"]["study"]["confirm"]["seeds"] = 7
    meta.write_text(json.dumps(identity))
    with pytest.raises(RunFolderError, match="was changed or continued and is not finished"):
        crown(browsed, "x")
    for path in (browsed / "results").iterdir():
        path.unlink()
    with pytest.raises(RunFolderError, match="the study is not finished"):
        crown(browsed, "x")
    with pytest.raises(RunFolderError, match="is no run folder"):
        crown(browsed / "results", "x")
    done = cli("champion", browsed, "--name", "x")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_what_cannot_be_registered_is_told(browsed):
    with pytest.raises(UserError, match=r"0\.5 is no level of the study; it has 0\.95, 0\.97"):
        crown(browsed, "x", level=0.5)
    with pytest.raises(TrackingError, match="Invalid model name 'a/b'"):
        crown(browsed, "a/b")
    for path in (browsed / "trials").glob("*/model.pt"):
        path.unlink()
    with pytest.raises(UserError, match=r"was not kept; set confirm\.models to first"):
        crown(browsed, "x")


def test_the_reason_says_how_sure_it_is():
    def standing(family, verdict=Verdict.OPEN):
        return Standing(family, Interval(0.5, 0.4, 0.6), Interval(0.1, 0.05, 0.15), verdict, 0.5)

    score = Headline("iou", "(minority)")
    others = (standing("b", Verdict.BETTER), standing("c", Verdict.EQUIVALENT), standing("d"), standing("e"))
    assert reason(Ranking(0.97, (standing("a"), *others)), score) == (
        "a has the highest minority IoU at 97\u00a0% background on test, 0.500 [0.400, 0.600]; better than b; "
        "equivalent to c; not enough evidence against d and e."
    )
    alone = reason(Ranking(0.97, (standing("a"),)), score)
    assert alone.endswith("; no other family was confirmed.")
