"""Every filter of the README's table, as MLflow's page would send it: it finds what the table says, and no more."""

import re
from pathlib import Path

import pytest

from sweeper.results import mlflow_layout as layout
from sweeper.results.mlflow_client import connect

README = Path(__file__).parents[2] / "README.md"


def filters() -> list[str]:
    section = README.read_text(encoding="utf-8").split("## Browsing in MLflow")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "`" in line]
    return [found for row in rows for found in re.findall(r"`([^`]+)`", row.split("|")[2])]


def minority(record, point="argmax"):
    for score in record.scores:
        if (score.split, score.point, score.image, score.klass, score.metric) == (
            "test",
            point,
            None,
            "(minority)",
            "iou",
        ):
            return score.value
    return None


def mean(records, point):
    values = [value for record in records if (value := minority(record, point)) is not None]
    return sum(values) / len(values) if values else 0.0


def confirmed(records, family, level):
    return [one for one in records if (one.family, one.level, one.stage) == (family, level, "confirm")]


FAMILIES = ("tversky", "my_pkg.losses:odd")
WANTED = {
    "tags.\"sweeper.kind\" = 'family'": lambda records: FAMILIES,
    'tags."sweeper.kind" = \'family\' and metrics."minority_iou" > 0.3': lambda records: [
        family for family in FAMILIES if mean(confirmed(records, family, 0.97), "argmax") > 0.3
    ],
    'tags."sweeper.kind" = \'family\' and metrics."level_0.99/shifted/minority_iou" > 0.3': lambda records: [
        family for family in FAMILIES if mean(confirmed(records, family, 0.99), "shifted") > 0.3
    ],
    "tags.\"sweeper.family\" = 'tversky' and tags.\"sweeper.stage\" = 'confirm'": lambda records: [
        one.key for one in records if (one.family, one.stage) == ("tversky", "confirm")
    ],
    "tags.\"sweeper.family\" = 'tversky' and tags.\"sweeper.level\" = '0.97' and "
    'metrics."test/argmax/minority/iou" > 0.3': lambda records: [
        one.key for one in confirmed(records, "tversky", 0.97) if (minority(one) or 0) > 0.3
    ],
    'tags."sweeper.stage" = \'search\' and metrics."objective" > 0.3': lambda records: [
        one.key for one in records if one.stage == "search" and (one.objective or 0) > 0.3
    ],
    "tags.\"sweeper.status\" = 'failed'": lambda records: [one.key for one in records if one.status == "failed"],
    "tags.\"sweeper.status\" = 'stopped'": lambda records: [one.key for one in records if one.status == "stopped"],
    "tags.\"sweeper.is_default\" = 'true' and tags.\"sweeper.stage\" = 'confirm'": lambda records: [
        one.key for one in records if one.is_default and one.stage == "confirm"
    ],
    "tags.\"sweeper.seed\" = '1000' and tags.\"sweeper.kind\" = 'trial'": lambda records: [
        one.key for one in records if one.seed == 1000
    ],
}


def test_the_table_is_the_one_tested():
    assert filters() == list(WANTED)


@pytest.fixture(scope="module")
def recorded(empty_store, make_study, tmp_path_factory):
    """A study in which every filter has something to leave out; half its confirm trials are of the default."""
    import dataclasses
    import shutil

    from sweeper.results.mlflow_client import sqlite_uri
    from sweeper.tracking.mlflow_tracker import MlflowTracker
    from sweeper.tracking.study_info import StudyInfo

    folder = tmp_path_factory.mktemp("filters")
    shutil.copy(empty_store, folder / "mlflow.db")
    uri = sqlite_uri(folder / "mlflow.db")
    records, meta = make_study(seed=3, images=1)
    records = [dataclasses.replace(one, seed=one.seed + 1000) if one.stage == "confirm" else one for one in records]
    records += [
        dataclasses.replace(one, key=f"d{index}", is_default=True, hyperparameters={"alpha": 0.5})
        for index, one in enumerate(one for one in records if one.stage == "confirm" and one.level == 0.97)
    ]
    info = StudyInfo(name="filters", meta={**meta, "trials": None}, yaml="name: filters\n", folder=folder)
    tracker = MlflowTracker(uri, "exp", info)
    for record in records:
        tracker.record(record)
    tracker.conclude()
    return uri, records


@pytest.mark.parametrize("text", WANTED)
def test_a_filter_finds_what_it_says(recorded, text):
    uri, records = recorded
    client = connect(uri)
    experiment = client.get_experiment_by_name("exp").experiment_id
    runs = client.search_runs([experiment], text, max_results=500)
    found = [run.data.tags.get(layout.TRIAL_KEY, run.data.tags[layout.FAMILY]) for run in runs]
    wanted = WANTED[text]([one for one in records if not one.is_default] if "family'" in text else records)
    assert sorted(found) == sorted(wanted)
    assert 0 < len(found) < len(client.search_runs([experiment], max_results=500))
