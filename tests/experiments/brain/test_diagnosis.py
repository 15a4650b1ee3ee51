import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deepjive.experiments.brain import diagnosis
from deepjive.experiments.brain.diagnosis import (
    _auc,
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


def test_the_area_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, decision = rng.uniform(size=50) > 0.5, rng.integers(0, 5, 50)
    assert _auc(truth, decision) == pytest.approx(roc_auc_score(truth, decision))
