"""Scores of samples that lack modalities."""

import numpy as np
import pytest

from deepjive import AJIVE, JIVE, HeteroJIVE, Modalities
from deepjive.experiments.omics.regression import ridge_path
from deepjive.linear.partial_scores import joint_coefficients
from tests.linear.tolerances import SUMS

ESTIMATORS = pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
FEW_DRAWS = {cls: {"n_wedin": 0, "n_random": 0} for cls in (AJIVE, HeteroJIVE)}


def decaying(seed, n=60, n_modalities=4, d=100):
    """Modalities of few samples and a slowly decaying joint spectrum, as in expression data; 48 samples are fitted."""
    rng = np.random.default_rng(seed)
    joint = 3.0 * rng.normal(size=(n, 25)) / np.arange(1, 26)
    data = {}
    for k in range(n_modalities):
        individual = 2.0 * rng.normal(size=(n, 15)) / np.arange(1, 16)
        signal = joint @ rng.normal(size=(25, d)) + individual @ rng.normal(size=(15, d))
        data[f"m{k}"] = signal + 2.0 * rng.normal(size=(n, d))
    return {name: x[:48] for name, x in data.items()}, {name: x[48:] for name, x in data.items()}


def mean_r2(predictions, new, means):
    errors = [np.sum((new[k] - predictions[k]) ** 2) / np.sum((new[k] - means[k]) ** 2) for k in new]
    return 1.0 - np.mean(errors)


def best_ridge_r2(train, new):
    """Mean R2 of ridge regression on the other modalities, with the penalty that is best for the new samples."""
    r2 = []
    for k in train:
        x, x_new = (np.hstack([data[other] for other in data if other != k]) for data in (train, new))
        total = np.sum((new[k] - train[k].mean(axis=0)) ** 2)
        r2.append(max(1 - np.sum((new[k] - path) ** 2) / total for path in ridge_path(x, train[k], x_new)))
    return float(np.mean(r2))


@pytest.mark.parametrize("seed", [1, 2])
def test_many_joint_scores_of_few_samples_predict_nearly_as_well_as_ridge_regression(seed):
    train, new = decaying(seed)
    model = AJIVE(joint_rank=16, n_wedin=0, n_random=0).fit(train)
    # the least-squares regression of these joint scores on the signal scores has a negative R2 here
    least_squares = {name: _unshrunk(model, new, name) for name in new}
    assert mean_r2(least_squares, new, model.mean_) < 0.0
    # ridge regression has the penalty that is best for the new samples, and is not limited to 16 scores
    assert model.score(new) > best_ridge_r2(train, new) - 0.06


def _unshrunk(model, new, name):
    others = [other for other in new if other != name]
    fitted = np.hstack([model.signal_scores_[other] for other in others])
    scores = np.hstack(
        [np.linalg.lstsq(model.signal_loadings_[k].T, (new[k] - model.mean_[k]).T, rcond=None)[0].T for k in others]
    )
    joint = scores @ np.linalg.lstsq(fitted, model.joint_scores_, rcond=1e-6)[0]
    return model.mean_[name] + joint @ model.joint_loadings_[name]


@ESTIMATORS
def test_scores_from_some_modalities_are_exact_without_noise(estimator):
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(40, 2))
    data = {name: joint @ rng.normal(size=(2, 30)) for name in "abc"}
    model = estimator(joint_rank=2, individual_ranks=0, **FEW_DRAWS.get(estimator, {})).fit(data)
    # the noise counts as at least 1e-5 of the largest loading, and rounding errors grow by its inverse square
    np.testing.assert_allclose(model.transform({"b": data["b"]}), model.joint_scores_, atol=1e-4)


@ESTIMATORS
def test_fitted_samples_with_all_modalities_keep_the_scores_of_the_fit(estimator):
    train, _ = decaying(0)
    model = estimator(joint_rank=4, individual_ranks=3, **FEW_DRAWS.get(estimator, {})).fit(train)
    np.testing.assert_allclose(model.transform(train), model.joint_scores_, atol=1e-4)


@ESTIMATORS
def test_products_of_the_fitted_samples_are_those_of_their_values(estimator):
    train, _ = decaying(0)
    model = estimator(joint_rank=2, individual_ranks=3, **FEW_DRAWS.get(estimator, {})).fit(train)
    for name in train:
        np.testing.assert_allclose(model._products(Modalities(train), name), model.products_[name], rtol=0, atol=SUMS)


def test_shrinkage_does_not_depend_on_the_units_of_a_modality():
    train, new = decaying(0)
    scaled = {name: x * (1e6 if name == "m1" else 1.0) for name, x in train.items()}
    models = [AJIVE(joint_rank=4, individual_ranks=3, n_wedin=0, n_random=0).fit(data) for data in (train, scaled)]
    new_scaled = {"m0": new["m0"], "m1": new["m1"] * 1e6}
    scores = models[0].transform({name: new[name] for name in ("m0", "m1")}), models[1].transform(new_scaled)
    np.testing.assert_allclose(*scores, rtol=1e-6, atol=1e-8)


def test_without_joint_scores_there_is_nothing_to_shrink():
    train, new = decaying(0)
    model = AJIVE(joint_rank=0, individual_ranks=2, n_wedin=0, n_random=0).fit(train)
    assert joint_coefficients(model, ["m0"]).shape == (2, 0)
    assert model.transform({"m0": new["m0"]}).shape == (12, 0)


@pytest.mark.filterwarnings("ignore:.* are constant:deepjive.adjust.inspection.UnitsWarning")
def test_noise_is_estimated_from_the_degrees_of_freedom_of_the_residual():
    rng = np.random.default_rng(0)
    data = {name: 5.0 * rng.normal(size=(60, 10)) @ rng.normal(size=(10, 40)) for name in "ab"}
    data = {name: np.hstack([x + 2.0 * rng.normal(size=x.shape), np.ones((60, 200))]) for name, x in data.items()}
    model = AJIVE(joint_rank=0, individual_ranks=10, n_wedin=0, n_random=0).fit(data)
    # about 1470 degrees of freedom give the noise within 2% (1 sd)
    assert model.noise_std_["a"] == pytest.approx(2.0, rel=0.08)
