import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from deepjive.experiments.brain import diagnosis
from deepjive.experiments.brain.diagnosis import (
    _decisions,
    _measures,
    accuracy_of_few,
    classification_of_shuffled,
    nested_classification,
)

N = 80


@pytest.fixture
def told():
    rng = np.random.default_rng(0)
    labels = np.repeat(["CN", "AD"], N // 2)
    return rng.normal(size=(N, 3)) + 2.5 * (labels == "AD")[:, None], labels, np.arange(N).astype(str)


def test_labels_that_scores_tell_are_told_with_intervals_around_the_figures(told):
    found = nested_classification(*told, "AD")
    assert found["accuracy"].value > 0.9
    for figure in found.values():
        assert figure.low <= figure.value <= figure.high


def test_scores_too_many_cost_more_where_few_are_labelled(told):
    scores, labels, who = told
    clutter = np.hstack([scores[:, :1], np.random.default_rng(1).normal(size=(N, 12))])
    alone, cluttered = (accuracy_of_few(given, labels, who, "AD") for given in (scores[:, :1], clutter))
    assert alone.low <= alone.value <= alone.high
    assert alone.value - cluttered.value > 0.1
    assert (
        accuracy_of_few(scores[::4], labels[::4], who[::4], "AD").value > 0.8
    )  # of ten with a label five are learned from


def test_few_labelled_participants_are_not_told_from_their_own_other_sessions():
    who = np.repeat(np.arange(20), 10)
    scores = np.eye(20)[who]  # who it is, and nothing else
    labels = np.where(np.arange(20) % 2 == 0, "AD", "CN")[who]
    assert accuracy_of_few(scores, labels, who, "AD").value < 0.6
    assert accuracy_of_few(scores, labels, np.arange(200), "AD").value > 0.7  # as if each were of another participant


def test_shuffled_labels_are_guessed(told, monkeypatch):
    monkeypatch.setattr(diagnosis, "N_PERMUTATIONS", 5)
    found = classification_of_shuffled(*(array[::2] for array in told), "AD")["accuracy"]
    assert 0.35 < found.value < 0.65
    assert found.low <= found.value <= found.high


def test_labels_are_dealt_to_participants_and_not_to_their_sessions(monkeypatch):
    rng, seen = np.random.default_rng(0), []
    who = np.repeat(np.arange(24), 3)
    labels = np.where(np.arange(24) % 2 == 0, "AD", "CN")[who]

    def decisions(scores, truth, groups, seed):
        seen.append(truth)
        return scores[:, 0]

    monkeypatch.setattr(diagnosis, "_decisions", decisions)
    classification_of_shuffled(rng.normal(size=(72, 2)), labels, who, "AD")
    for truth in seen:
        each = truth.reshape(24, 3)
        assert (each == each[:, :1]).all()
        assert each[:, 0].sum() == 12
    assert len({truth.tobytes() for truth in seen}) == 10


def test_a_participant_is_never_told_from_its_own_other_sessions():
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(20), 4)
    scores = rng.normal(size=(20, 8))[who]  # sessions of a participant are all alike: only who it is could be learnt
    labels = np.where(rng.permutation(np.arange(20) % 2 == 0), "AD", "CN")[who]
    assert nested_classification(scores, labels, who, "AD")["accuracy"].value < 0.8


def test_measures_of_weighted_samples_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, decision, times = rng.uniform(size=50) > 0.5, rng.integers(-2, 3, 50), rng.integers(0, 4, (3, 50))
    measures = _measures(truth, decision, times)
    counted = {"accuracy": accuracy_score, "precision": precision_score, "recall": recall_score, "F1": f1_score}
    for draw, weights in enumerate(times):
        for name, reference in counted.items():
            expected = reference(truth, decision > 0, sample_weight=weights)
            assert measures[name][draw] == pytest.approx(expected), name
        assert measures["AUC"][draw] == pytest.approx(roc_auc_score(truth, decision, sample_weight=weights))


def test_decisions_are_those_of_a_grid_search_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, groups = rng.uniform(size=60) > 0.5, np.repeat(np.arange(30), 2)
    scores = rng.normal(size=(60, 3)) + 0.8 * truth[:, None]
    folds = StratifiedGroupKFold(diagnosis.FOLDS, shuffle=True, random_state=3)
    expected = np.zeros(60)
    for train, test in folds.split(scores, truth, groups):
        machine = make_pipeline(StandardScaler(), SVC(kernel="linear"))
        search = GridSearchCV(machine, {"svc__C": diagnosis.GRID}, cv=folds)
        search.fit(scores[train], truth[train], groups=groups[train])
        expected[test] = search.decision_function(scores[test])
    # the solver stops at a tolerance of 1e-3, and the two standardizations differ by rounding
    np.testing.assert_allclose(_decisions(scores, truth, groups, 3), expected, atol=1e-3)
