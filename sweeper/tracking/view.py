"""The view of a study that MLflow's page opens with: one row per family, best first, with its confirm scores.

MLflow keeps the saved views of its runs page as tags of the experiment: a name, times, and the page's state as zlib in
base64 (as `mlflow.demo.generators.saved_views` writes them for traces). Its older versions, which know no saved views,
do not show the tag.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sweeper.results import mlflow_layout as layout
from sweeper.tracking.family_scores import level_prefix

TAG = "mlflow.sharedViewState."
LONGEST_TAG = 5000
"""Characters of an experiment's tag."""
PIXELS_PER_CHARACTER = 6
"""Of a column's name: MLflow's own width shows the first dozen characters."""
MOST_LEVELS = 12
"""Levels that get a column; a study with more shows the first."""


def view_id(study_run: str) -> str:
    """Return the name of the study's view within an address."""
    return f"sweeper-{study_run}"


def page_path(experiment_id: str, study_run: str) -> str:
    """Return the path of the study's view on an MLflow server, from its `#` on."""
    query = f"workflowType=machine_learning&viewStateShareKey={view_id(study_run)}"
    return f"#/experiments/{quote(experiment_id)}/runs?{query}"


def view_tag(study_run: str, study: str, meta: Mapping[str, Any], *, created: int) -> tuple[str, str] | None:
    """Return the experiment tag (key, value) that holds the view, or None where it would be too long.

    Args:
        created: Milliseconds since 1970; a constant of the study, so that equal studies give equal tags.
    """
    name = f"{study[:80]}: families"
    state = json.dumps(_state(study_run, meta), separators=(",", ":"))
    packed = "deflate;" + base64.b64encode(zlib.compress(state.encode())).decode("ascii")
    text = json.dumps({"name": name, "createdAt": created, "updatedAt": created, "state": packed})
    return (TAG + view_id(study_run), text) if len(text) <= LONGEST_TAG else None


def _state(study_run: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    columns = _columns(meta.get("levels", ()), meta.get("reference"))
    return {
        "searchFilter": f"tags.\"{layout.KIND}\" = 'family' and tags.\"{layout.STUDY_RUN}\" = '{study_run}'",
        "orderByKey": "metrics.`minority_iou`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": ["1", "attributes.`Run Name`", *columns],
        "columnWidths": {column: PIXELS_PER_CHARACTER * len(column) for column in columns},
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
    }


def _columns(levels: Any, reference: float | None) -> list[str]:
    """Return the metrics shown: at the reference level with its interval and the tuned threshold, then by level."""
    names = ["minority_iou", "minority_iou_low", "minority_iou_high", "shifted/minority_iou"]
    names += ["minority_recall", "minority_precision"]
    names += [f"{level_prefix(level)}minority_iou" for level in list(levels)[:MOST_LEVELS] if level != reference]
    return [*(f"metrics.`{name}`" for name in [*names, "trials", "failed"]), f"tags.`{layout.MODEL}`"]
