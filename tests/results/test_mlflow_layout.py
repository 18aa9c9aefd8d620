import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.results import mlflow_layout as layout

NAMES = st.lists(st.text(max_size=150), unique=True, max_size=12)


@given(NAMES)
def test_labels_are_legal_distinct_and_lead_back(names):
    labels = layout.class_labels(names)
    assert list(labels) == names
    assert len({label.casefold() for label in labels.values()}) == len(names)
    for label in labels.values():
        assert re.fullmatch(r"[\w -]{1,110}", label)
        assert label == label.strip()
        assert layout.parse_score_metric(layout.score_metric("val", "argmax", label, "iou")) == (
            "val", "argmax", label, "iou")  # fmt: skip


def test_labels_stay_readable():
    labels = layout.class_labels(["(minority)", "Land (unpaved area)", "minority", "Minority", "a/b", "..", ""])
    assert list(labels.values()) == [
        "minority",
        "Land unpaved area",
        "minority-2",
        "Minority-3",
        "a b",
        "class",
        "class-2",
    ]


def test_mlflow_accepts_what_the_layout_makes():
    validation = pytest.importorskip("mlflow.utils.validation")
    for label in layout.class_labels(["(x)", "Straße", "道路", "a:b", "%", "x" * 400]).values():
        validation._validate_metric_name(layout.score_metric("test", "shifted", label, "precision"))
    for name, text in layout.to_tags(layout.RECORD, "ß" * 20_000).items():
        validation._validate_tag(name, text)


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(), lambda inner: st.lists(inner)))
def test_tags_lead_back(value):
    assert layout.from_tags("t", layout.to_tags("t", value)) == value


def test_long_tags_are_split_and_joined():
    value = ["x" * 3999, "é" * 4001]
    tags = layout.to_tags("t", value)
    assert len(tags) > 2
    assert all(len(text) <= layout.TAG_LENGTH for text in tags.values())
    assert layout.from_tags("t", {**tags, "t.other": "?"}) == value


def test_other_metrics_are_not_scores():
    assert layout.parse_score_metric("objective") is None
    assert layout.parse_score_metric("epoch/train_loss") is None
