"""Every family's best model in MLflow: loadable on its own, and predicting what was scored."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.compute as pc
import pytest
from mlflow.entities import LoggedModelStatus
from mlflow.tracking import MlflowClient

from sweeper.errors import TrackingError
from sweeper.orchestration import publish
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.kept_models import kept_model
from sweeper.orchestration.publish import sync_run
from sweeper.results import mlflow_layout as layout
from sweeper.results.mlflow_client import connect, sqlite_uri
from sweeper.results.parquet import load
from sweeper.results.pictures import load_patches, load_predicted, predicted_file
from sweeper.tracking.mlflow_tracker import MlflowTracker


def models_of(folder):
    client = connect(sqlite_uri(folder / "mlflow.db"))
    experiment = client.get_experiment_by_name("tiny").experiment_id
    return client, experiment, list(client.search_logged_models([experiment]))


def test_every_family_has_one_model_of_its_tuned_trial(finished):
    results = load(finished / "results")
    _, _, models = models_of(finished)
    assert sorted(model.name for model in models) == ["cross_entropy", "tversky"]
    rows = {row["key"]: row for row in results.trials.to_pylist()}
    for model in models:
        row = rows[model.tags[layout.TRIAL_KEY]]
        assert (row["family"], row["level"], row["seed"], row["is_tuned"]) == (model.name, 0.97, 1000, True)
        assert row["is_default"] == (model.name == "cross_entropy"), "there is nothing else of it"
        assert str(model.status).endswith("READY")


def test_the_family_row_names_its_model_and_the_model_its_trial(finished):
    client, experiment, models = models_of(finished)
    rows = client.search_runs([experiment], f"tags.`{layout.KIND}` = 'family'")
    named = {row.data.tags[layout.FAMILY]: row.data.tags[layout.MODEL] for row in rows}
    assert named == {model.name: f"models:/{model.model_id}" for model in models}
    for row in rows:
        assert [f"models:/{one.model_id}" for one in row.outputs.model_outputs] == [row.data.tags[layout.MODEL]]
    for model in models:
        trial = client.get_run(model.source_run_id)
        assert trial.data.tags[layout.TRIAL_KEY] == model.tags[layout.TRIAL_KEY]


ALONE = """
import sys
for name in ("ray", "optuna", "pydantic_settings", "typer", "altair"):
    sys.modules[name] = None
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path = [path for path in sys.path if path not in {hidden!r}]
import json, warnings
import numpy as np
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.pyfunc
model = mlflow.pyfunc.load_model({uri!r})
images = np.load({images!r})
found = {{point: model.predict(images, params={{"point": point}}) for point in ("argmax", "shifted")}}
default = model.predict(images)
assert np.array_equal(default, found["argmax"])
np.savez({out!r}, **found)
import sweeper
print(json.dumps({{"file": sweeper.__file__, "example": model.input_example.tolist(),
    "inputs": str(model.metadata.get_input_schema()), "params": str(model.metadata.get_params_schema()),
    "metadata": model.metadata.metadata}}))
"""


@pytest.fixture(scope="module")
def alone(finished, tmp_path_factory):
    """What a process that has neither this package nor Ray makes of the model of tversky and the kept patches."""
    folder = tmp_path_factory.mktemp("alone")
    _, _, models = models_of(finished)
    model = next(one for one in models if one.name == "tversky")
    patches = load_patches(next((finished / "panels").glob("patches_*.npz")))
    np.save(folder / "images.npy", patches.images)
    hidden = ["", str(__import__("pathlib").Path(publish.__file__).parents[2])]
    code = ALONE.format(
        hidden=hidden, uri=model.artifact_location, images=str(folder / "images.npy"), out=str(folder / "masks.npz")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return model, json.loads(done.stdout), patches, np.load(folder / "masks.npz")


def test_it_is_loaded_without_this_package_or_ray_and_predicts_what_was_scored(finished, alone):
    model, told, patches, masks = alone
    assert str(finished) in told["file"] or "/code/" in told["file"], "the code kept with the model was used"
    kept = load_predicted(predicted_file(finished / "panels", model.tags[layout.TRIAL_KEY]), patches)
    assert masks["argmax"].dtype == np.uint8
    assert np.array_equal(masks["argmax"], kept.classes)
    assert len(patches) > 0


def test_the_shifted_point_moves_the_background_alone(alone):
    """With a positive offset foreground can only become background, with a negative one only arise from it."""
    _, told, _, masks = alone
    offset = told["metadata"]["sweeper"]["offset"]
    argmax, shifted = masks["argmax"], masks["shifted"]
    changed = argmax != shifted
    assert (shifted if offset > 0 else argmax)[changed].max(initial=0) == 0
    if offset == 0:
        assert not changed.any()


def test_it_says_what_it_takes(alone):
    _, told, patches, _ = alone
    assert told["inputs"] == "[Tensor('uint8', (-1, -1, -1, 3))]"
    assert told["params"] == "['point': string (default: argmax)]"
    assert np.array_equal(np.array(told["example"], np.uint8), patches.images[:1])
    about = told["metadata"]["sweeper"]
    assert [one["name"] for one in about["classes"]] == ["background", "curve_1", "curve_2"]
    assert about["selection"].startswith("Setting: best minority_iou on validation")


def test_requirements_are_pinned_and_name_no_stranger(finished):
    _, _, models = models_of(finished)
    for model in models:
        text = (finished / "artifacts" / "models" / model.model_id / "artifacts" / "requirements.txt").read_text()
        pins = dict(line.split("==") for line in text.split())
        assert set(pins) == {"torch", "segmentation-models-pytorch", "numpy", "scipy", "scikit-image", "mlflow"}
        assert not any("+" in version for version in pins.values())


def test_models_are_logged_once(own):
    for _ in range(2):
        assert sync_run(own).reason is None
    assert len(models_of(own)[2]) == 2


def test_a_model_half_logged_is_logged_anew(own, monkeypatch):
    def die(*arguments, **keywords):
        raise ConnectionError("the line went dead")

    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_model_artifacts", die)
        assert "the line went dead" in sync_run(own).reason
    assert {one.status for one in models_of(own)[2]} == {LoggedModelStatus.FAILED}
    assert sync_run(own).reason is None
    client, experiment, models = models_of(own)
    ready = {f"models:/{one.model_id}" for one in models if one.status == LoggedModelStatus.READY}
    assert len(ready) == 2
    rows = client.search_runs([experiment], f"tags.`{layout.KIND}` = 'family'")
    assert {row.data.tags[layout.MODEL] for row in rows} == ready


def test_a_server_that_refuses_models_loses_nothing_else(own, monkeypatch):
    def refuse(self, model, *, best=True):
        raise TrackingError("no model registry here")

    monkeypatch.setattr(MlflowTracker, "log_model", refuse)
    done = sync_run(own)
    assert done.reason == "the model of cross_entropy was not logged: no model registry here (and 1 more models)"
    assert done.reason in done.to_text()
    client, experiment, models = models_of(own)
    assert models == []
    (study,) = client.search_runs([experiment], f"tags.`{layout.KIND}` = 'study'")
    assert study.info.status == "FINISHED"
    kept = {file.path for file in client.list_artifacts(study.info.run_id)}
    assert {"report", "panels", "results", "meta.json", "study.yaml"} <= kept
    assert {file.path for file in client.list_artifacts(study.info.run_id, "results")} == {
        f"results/{name}.parquet" for name in ("trials", "scores", "epochs", "margins", "reliability")
    }


def test_a_study_that_kept_no_models_has_none(own):
    results, folder = load(own / "results"), RunFolder(own)
    assert kept_model(folder, results, "tversky", 0.97) is not None
    for path in (own / "trials").glob("*/model.json"):  # as before models were described
        path.unlink()
    assert kept_model(folder, results, "tversky", 0.97) is None
    assert sync_run(own).reason is None
    assert models_of(own)[2] == []


def test_a_later_seed_stands_in_where_the_first_was_not_kept(own):
    results, folder = load(own / "results"), RunFolder(own)
    first = kept_model(folder, results, "tversky", 0.95)
    shutil.copytree(own / "trials" / first.key, own / "trials" / "elsewhere")
    shutil.rmtree(own / "trials" / first.key)
    assert kept_model(folder, results, "tversky", 0.95) is None
    tuned = results.trials.filter(
        pc.and_(
            results.trials["is_tuned"],
            pc.and_(pc.equal(results.trials["family"], "tversky"), pc.equal(results.trials["level"], 0.95)),
        )
    )
    second = next(row["key"] for row in tuned.to_pylist() if row["key"] != first.key)
    (own / "trials" / "elsewhere").rename(own / "trials" / second)
    assert kept_model(folder, results, "tversky", 0.95).key == second


def test_without_pictures_the_example_is_black(own):
    for path in (own / "panels").iterdir():
        path.unlink()
    model = kept_model(RunFolder(own), load(own / "results"), "tversky", 0.97)
    assert model.example.shape == (1, 32, 32, 3)
    assert not model.example.any()
