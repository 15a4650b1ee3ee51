import numpy as np
import pytest
from sklearn.linear_model import Ridge

from deepjive import Modalities
from deepjive.evaluation.ridge import held_out_rows, ridge_r2


def test_ridge_regression_predicts_what_is_linear_and_nothing_else():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(200, 5)), rng.normal(size=(200, 30))
    data = Modalities({"a": x, "b": x @ rng.normal(size=(5, 10)), "c": noise})
    r2 = ridge_r2(data[:140], data[140:])
    assert r2["b"] > 0.99
    assert abs(r2["c"]) < 0.05


def test_the_prediction_is_that_of_scikit_learn_at_the_best_penalty():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 12))
    data = Modalities({"a": x, "b": x @ rng.normal(size=(12, 6)) + 3 * rng.normal(size=(80, 6))})
    train, test = data[:60], data[60:]
    scale = np.linalg.norm(train["a"] - train["a"].mean(axis=0))
    old, new = (part["a"] / scale for part in (train, test))
    total = np.square(test["b"] - train["b"].mean(axis=0)).sum()
    penalties = np.logspace(-3, 3, 13) * np.square(np.linalg.svd(old - old.mean(axis=0))[1]).mean()
    fits = [Ridge(penalty).fit(old, train["b"]).predict(new) for penalty in penalties]
    expected = [1.0 - np.square(test["b"] - fit).sum() / total for fit in fits]
    assert np.min(np.abs(np.array(expected) - ridge_r2(train, test)["b"])) == pytest.approx(0.0, abs=1e-9)


def test_whole_participants_with_every_modality_are_held_out():
    present = np.ones((60, 2), dtype=bool)
    present[3, 0] = False
    data = Modalities({"a": np.zeros((60, 2)), "b": np.zeros((60, 2))}, present=present, groups=np.arange(60) // 2)
    rows = held_out_rows(data)
    assert 3 not in rows
    held, fitted = data.groups[rows], data.groups[np.setdiff1d(np.flatnonzero(present.all(axis=1)), rows)]
    assert not set(held) & set(fitted)
    assert len(np.unique(held)) == 9
