import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score, precision_score, recall_score

from sweeper.results.schema import POOLED_METRICS
from sweeper.training.metrics import HEADLINES, METRICS, Outcome, class_scores, headlines, mean_scores, outcome, pool


def test_values_worked_by_hand():
    # truth 0: 90 as 0, 4 as 1, 6 as 2; truth 1: 3 as 0, 5 as 1, 2 as 2; truth 2: 1 as 0, 0 as 1, 9 as 2
    confusion = np.array([[90.0, 4, 6], [3, 5, 2], [1, 0, 9]])
    assert outcome(confusion, 1) == Outcome(tp=5, fp=4, fn=5, tn=106)
    scores = class_scores(confusion)
    assert scores[1] == pytest.approx(
        {"iou": 5 / 14, "f1": 10 / 19, "precision": 5 / 9, "recall": 5 / 10, "specificity": 106 / 110}
    )
    found = headlines(confusion, background=0, minority=(1, 2))
    assert found["minority_iou"] == pytest.approx((5 / 14 + 9 / 18) / 2)
    assert found["mean_iou"] == pytest.approx((90 / 104 + 5 / 14 + 9 / 18) / 3)
    assert found["background_iou"] == pytest.approx(90 / 104)
    assert tuple(found) == HEADLINES


def test_pooling_weighs_patches():
    confusion = np.array([[[3, 1], [0, 2]], [[5, 0], [4, 1]]])
    np.testing.assert_allclose(pool(confusion, np.array([2.0, 0.5])), [[8.5, 2.0], [2.0, 4.5]])


def test_an_absent_class_has_no_score_and_leaves_the_mean():
    confusion = np.array([[8.0, 1, 1], [0, 4, 0], [0, 0, 0]])  # class 2 is predicted once, and never true
    scores = class_scores(confusion)
    assert scores[2] == dict.fromkeys(METRICS)
    assert mean_scores(scores, (1, 2)) == scores[1]
    assert mean_scores(scores, (2,)) == dict.fromkeys(METRICS)


def test_a_class_absent_under_the_weights_is_absent():
    confusion = np.array([[[4, 0], [0, 0]], [[1, 0], [0, 3]]])
    assert class_scores(pool(confusion, np.array([1.0, 0.0])))[1]["iou"] is None


def test_a_present_class_never_predicted_scores_zero_with_undefined_precision():
    scores = class_scores(np.array([[10.0, 0], [5, 0]]))
    assert scores[1] == {"iou": 0, "f1": 0, "precision": None, "recall": 0, "specificity": 1}


def test_specificity_is_undefined_where_a_class_is_everything():
    assert class_scores(np.array([[10.0, 2], [0, 0]]))[0]["specificity"] is None


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4), st.integers(0, 10_000))
def test_sklearn_agrees_wherever_it_is_defined(classes, seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(classes, size=(2, 30))
    scores = class_scores(confusion_matrix(truth, predicted, labels=range(classes)).astype(float))
    oracles = {"iou": jaccard_score, "f1": f1_score, "precision": precision_score, "recall": recall_score}
    for metric, oracle in oracles.items():
        undefined = np.nan if metric == "precision" else 0
        expected = oracle(truth, predicted, labels=range(classes), average=None, zero_division=undefined)
        for klass in range(classes):
            if (truth == klass).any():
                value = scores[klass][metric]
                assert (np.nan if value is None else value) == pytest.approx(expected[klass], nan_ok=True)
            else:
                assert scores[klass][metric] is None


def test_the_tables_know_these_metrics():
    assert METRICS == POOLED_METRICS
