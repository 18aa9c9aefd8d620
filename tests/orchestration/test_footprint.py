"""The disk a study takes: worked by hand for a small one, and said when it does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweeper.data.prepare import prepare
from sweeper.data.settings import RasterLog
from sweeper.orchestration.footprint import (
    CODE_BYTES,
    EPOCH_BYTES,
    IMAGE_BYTES,
    REPORT_BYTES,
    REPORT_FAMILY_BYTES,
    TRIAL_BYTES,
    Footprint,
    footprint,
    free_bytes,
)
from sweeper.study.load import load_study
from sweeper.study.plan import make_plan
from sweeper.training.panels import pool

STATE = {
    "key": "k",
    "model": {"a": np.zeros(1000, np.float32)},
    "optimizer": {"state": {0: {"m": np.zeros(2000, np.float32)}}, "groups": [{"lr": 0.1}]},
    "history": [{"epoch": 1}],
}
MODEL, CHECKPOINT = 4_000, 12_000


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def of(cache: Path, *overrides: str) -> Footprint:
    settings = RasterLog(patch=32, limit=16, scans=10)
    data = prepare(settings, cache)
    study = load_study(
        {
            "families": {"dice": {}, "tversky": {}},  # one setting, and two once searched
            "imbalance": {"levels": [0.95, 0.97]},
            "training": {"epochs": 10},
            "search": {"trials": 4},
            "confirm": {"seeds": 3},
        },
        overrides=overrides,
    )
    folder = cache / data.fingerprint
    return footprint(make_plan(study, "data"), data, folder=cache, cache=folder, state=STATE, concurrent=2)


def test_every_part_is_what_it_is_by_hand(cache):
    data = prepare(RasterLog(patch=32, limit=16, scans=10), cache)
    images, shown = len(data.splits["test"].stems), len(pool(data).patches) * 32**2
    search, settings, confirm = 1 + 4, (1 + 2) * 2, (1 + 2) * 2 * 3
    found = of(cache)
    assert found.records == (search + confirm) * (TRIAL_BYTES + 10 * EPOCH_BYTES) + confirm * images * IMAGE_BYTES
    assert found.models == settings * MODEL * 2 + 2 * (MODEL + CODE_BYTES), (
        "kept once, and in MLflow; served ones again"
    )
    assert found.checkpoints == 2 * 2 * CHECKPOINT, "two trials, each the old and the new"
    assert found.panels == (settings + data.channels + 2) * shown * 2
    assert found.report == (REPORT_BYTES + 2 * REPORT_FAMILY_BYTES) * 2
    assert found.data == sum(file.stat().st_size for file in (cache / data.fingerprint).rglob("*.*"))
    assert found.needed == found.records + found.models + found.checkpoints + found.panels + found.report


def test_what_goes_to_a_server_is_not_on_this_disk(cache):
    there = of(cache, "tracking.uri=http://mlflow.example:5000")
    assert there.models == 6 * MODEL
    assert there.report == REPORT_BYTES + 2 * REPORT_FAMILY_BYTES


@pytest.mark.parametrize(("models", "kept"), [("none", 0), ("first", 6), ("all", 18)])
def test_only_kept_models_count(cache, models, kept):
    found = of(cache, f"confirm.models={models}", "tracking.uri=http://mlflow.example:5000")
    assert found.models == kept * MODEL


def test_it_is_said_whether_it_fits(cache):
    found = replace(of(cache), free=10**12)
    assert found.fits
    assert found.to_text().endswith("of prepared data; 1000 GB free")
    tight = replace(found, free=found.needed)
    assert not tight.fits
    assert "FREE: free space, choose another --out, or set confirm.models: none" in tight.to_text()
    assert tight.to_dict()["fits"] is False


def test_free_space_is_that_of_the_folder_to_be_made(tmp_path):
    assert free_bytes(tmp_path / "not" / "yet") > 0
