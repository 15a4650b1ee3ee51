"""scikit-learn's conventions."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from deepjive import AJIVE, JIVE, HeteroJIVE, Modalities

ESTIMATORS = pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
RANKS = {"joint_rank": 1, "individual_ranks": 0}


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    z = (2 * y - 1)[:, None] + 0.3 * rng.normal(size=(80, 1))
    data = {name: z @ rng.normal(size=(1, d)) + rng.normal(size=(80, d)) for name, d in {"a": 30, "b": 120}.items()}
    return Modalities(data), y


@ESTIMATORS
def test_clone_is_unfitted_with_the_same_parameters(estimator, labelled):
    model = estimator(**RANKS, mask={"a": np.ones(30, dtype=bool)}, random_state=3).fit(labelled[0])
    copy = clone(model)
    assert not hasattr(copy, "joint_rank_")
    assert copy.get_params()["random_state"] == 3
    np.testing.assert_array_equal(copy.mask["a"], model.mask["a"])


@ESTIMATORS
def test_parameters_are_stored_unchanged_and_can_be_set(estimator):
    ranks = {"a": 1, "b": 2}
    model = estimator(individual_ranks=ranks).set_params(joint_rank=1, missing="impute")
    assert model.individual_ranks is ranks
    assert model.get_params()["joint_rank"] == 1
    assert model.missing == "impute"


@ESTIMATORS
def test_fit_leaves_the_parameters_and_the_data_alone(estimator, labelled):
    data = {name: x.copy() for name, x in labelled[0].items()}
    model = estimator(**RANKS, random_state=0)
    before = model.get_params()
    model.fit(data)
    assert model.get_params() == before
    for name, x in labelled[0].items():
        np.testing.assert_array_equal(data[name], x)


@ESTIMATORS
def test_joint_scores_come_as_a_data_frame_when_asked_for(estimator, labelled):
    model = estimator(**RANKS, random_state=0).set_output(transform="pandas")
    frame = model.fit_transform(labelled[0])
    assert list(frame.columns) == ["joint_1"]
    assert frame.shape == (80, 1)


@ESTIMATORS
def test_repr_shows_the_parameters_that_were_set(estimator):
    assert repr(estimator(**RANKS, random_state=3)).replace("\n", "").replace(" ", "").count("=") == 3


@ESTIMATORS
def test_a_second_fit_does_not_depend_on_the_first(estimator, labelled):
    data, _ = labelled
    fresh = estimator(**RANKS, random_state=0).fit(data[:40])
    again = estimator(**RANKS, random_state=0).fit(data).fit(data[:40])
    assert vars(again).keys() == vars(fresh).keys()
    np.testing.assert_array_equal(again.joint_scores_, fresh.joint_scores_)


@ESTIMATORS
def test_an_unfitted_model_raises_not_fitted_error(estimator, labelled):
    for use in ("transform", "decompose"):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            getattr(estimator(), use)(labelled[0])


@ESTIMATORS
def test_fitted_models_survive_joblib(estimator, labelled):
    data, _ = labelled
    model = estimator(**RANKS, random_state=0).fit(data)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.transform(data), model.transform(data))


@ESTIMATORS
def test_pipeline_is_cross_validated_by_samples(estimator, labelled):
    data, y = labelled
    pipeline = make_pipeline(estimator(**RANKS), SVC())
    # the classes are 6 standard deviations apart; accuracy on permuted labels has a standard error of .06 around .5
    assert cross_val_score(pipeline, data, y, cv=4).mean() > 0.95
    shuffled = np.random.default_rng(0).permutation(y)
    assert cross_val_score(pipeline, data, shuffled, cv=4).mean() < 0.75


def test_ranks_are_searched_over_a_grid(labelled):
    data, y = labelled
    pipeline = make_pipeline(AJIVE(signal_ranks=2, n_wedin=0, n_random=0), SVC())
    search = GridSearchCV(pipeline, {"ajive__joint_rank": [1, 2]}, cv=3, error_score="raise").fit(data, y)
    assert search.best_score_ > 0.95
