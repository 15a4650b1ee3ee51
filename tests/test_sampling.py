"""Samples of a fitted model."""

import numpy as np
import pytest

import deepjive as dj
from deepjive import AJIVE, JIVE, DeepJIVE, Modalities
from deepjive import score_density as densities
from deepjive.datasets import make_synthetic
from deepjive.score_density import ScoreDensity

SIZE = {"joint_rank": 1, "individual_ranks": 1}
AJIVE_SIZE = {**SIZE, "signal_ranks": 2, "n_wedin": 0, "n_random": 0}
DEEP = {**SIZE, "networks": "dense", "max_epochs": 2, "random_state": 0}


@pytest.fixture(autouse=True)
def few_components(monkeypatch):
    """Few candidates and folds, so that choosing is quick."""
    monkeypatch.setattr(densities, "COMPONENTS", (1, 2))
    monkeypatch.setattr(densities, "N_FOLDS", 2)


def two(n=120, seed=0, noise=0.3):
    return make_synthetic(n, (6, 5), noise=noise, random_state=seed).data


def beside(data):
    return np.concatenate([np.asarray(data[name][:]) for name in data.names], axis=1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "model", [AJIVE(**AJIVE_SIZE), JIVE(**SIZE), DeepJIVE(**DEEP)], ids=["AJIVE", "JIVE", "DeepJIVE"]
)
def test_samples_have_means_deviations_and_correlations_of_the_data(model):
    data = two()
    drawn = model.fit(data).sample(4000, noise=True, random_state=0)
    ours, theirs = beside(drawn), beside(data)
    # standard errors: 1/sqrt(120) of means and correlations, 1/sqrt(240) of deviations, over the fitted samples
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.2 * theirs.std())
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.15)
    assert np.abs(np.corrcoef(ours.T) - np.corrcoef(theirs.T)).mean() < 0.12


def test_samples_without_noise_have_the_rank_of_the_model():
    model = AJIVE(**AJIVE_SIZE).fit(two())
    clean, noisy = (model.sample(50, noise=noise, random_state=0)["modality_1"] for noise in (False, True))
    assert np.linalg.matrix_rank(clean - model.mean_["modality_1"], tol=1e-8) == 2
    assert np.linalg.matrix_rank(noisy - model.mean_["modality_1"], tol=1e-8) == 6


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("model", [AJIVE(**AJIVE_SIZE), DeepJIVE(**DEEP)], ids=["AJIVE", "DeepJIVE"])
def test_a_saved_model_draws_the_same_samples(model, tmp_path):
    model.fit(two(60)).save(tmp_path)
    expected = beside(model.sample(5, noise=True, random_state=3))
    np.testing.assert_array_equal(beside(dj.load(tmp_path).sample(5, noise=True, random_state=3)), expected)
    assert not np.array_equal(beside(model.sample(5, noise=True, random_state=4)), expected)


def test_a_new_fit_has_new_densities():
    model = AJIVE(**AJIVE_SIZE).fit(two())
    model.sample(2)
    shifted = {name: 100.0 + values for name, values in two(seed=1).items()}
    again = model.fit(shifted).sample(5, random_state=0)
    np.testing.assert_array_equal(beside(AJIVE(**AJIVE_SIZE).fit(shifted).sample(5, random_state=0)), beside(again))


def test_features_keep_their_names():
    import pandas as pd

    data = two()
    frame = pd.DataFrame(data["modality_1"], columns=list("uvwxyz"))
    drawn = AJIVE(**AJIVE_SIZE).fit({"a": frame, "b": data["modality_2"]}).sample(3, random_state=0)
    assert drawn.features["a"].tolist() == list("uvwxyz")
    assert drawn.features["b"] is None


def test_given_modalities_stay_and_missing_ones_follow_their_joint_scores():
    data = two(160)
    model = AJIVE(**AJIVE_SIZE).fit(data[:100]).calibrate(data[100:140])
    given = data[140:].select(["modality_1"])
    drawn = model.sample(30, given=given, random_state=0)
    assert drawn.shape == (600, 2)
    np.testing.assert_array_equal(drawn["modality_1"], np.repeat(given["modality_1"], 30, axis=0))
    means = np.asarray(drawn["modality_2"]).reshape(20, 30, 5).mean(axis=1)
    # the mean of draws is the prediction, apart from chance: individual scores and errors have mean 0
    predicted = model.impute(given, "modality_2")
    assert np.corrcoef(means.ravel(), predicted.ravel())[0, 1] > 0.8


def test_errors_of_joint_scores_are_drawn_if_the_model_is_calibrated():
    data = two(140, noise=1.0)
    model = AJIVE(**{**AJIVE_SIZE, "individual_ranks": 0}).fit(data[:100])
    given = data[100:101].select(["modality_1"])
    with pytest.warns(UserWarning, match="not calibrated for joint scores from modality_1"):
        same = np.asarray(model.sample(200, given=given, random_state=0)["modality_2"])
    np.testing.assert_allclose(same.std(axis=0), 0.0, atol=1e-9)
    model.calibrate(data[100:])
    (entry,) = [entry for entry in model.calibration_["scores"] if entry["given"] == ["modality_1"]]
    varied = np.asarray(model.sample(2000, given=given, random_state=0)["modality_2"])
    expected = np.sqrt(entry["covariance"][0, 0]) * np.abs(model.joint_loadings_["modality_2"][0])
    np.testing.assert_allclose(varied.std(axis=0), expected, rtol=0.1)


def test_samples_that_lack_different_modalities_are_completed():
    data = two(100)
    present = np.ones((4, 2), dtype=bool)
    present[0, 0] = present[1, 1] = False
    model = AJIVE(**AJIVE_SIZE).fit(data[:60]).calibrate(data[60:])
    drawn = model.sample(given=Modalities(data[:4], present=present), random_state=0)
    for column, name in enumerate(data.names):
        is_same = (np.asarray(drawn[name]) == np.asarray(data[:4][name])).all(axis=1)
        np.testing.assert_array_equal(is_same, present[:, column])


def test_confounds_of_given_samples_are_in_the_drawn_ones():
    age = np.random.default_rng(0).normal(size=100)
    data = Modalities({name: x + 50.0 * age[:, None] for name, x in two(100).items()}, confounds={"age": age})
    model = AJIVE(**AJIVE_SIZE).fit(data[:60]).calibrate(data[60:])
    drawn = model.sample(given=data[60:].select(["modality_1"]), random_state=0)
    assert np.corrcoef(drawn["modality_2"][:, 0], age[60:])[0, 1] > 0.99


def test_a_model_without_joint_scores_draws_individual_ones():
    model = AJIVE(**{**AJIVE_SIZE, "joint_rank": 0, "individual_ranks": 1}).fit(two())
    correlations = np.corrcoef(beside(model.sample(2000, random_state=0)).T)[:6, 6:]
    assert np.abs(correlations).max() < 0.15


def test_wrong_arguments_are_errors():
    model = AJIVE(**AJIVE_SIZE).fit(two())
    for number in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            model.sample(number)
    del model.feature_residual_std_
    with pytest.raises(ValueError, match="earlier version"):
        model.sample(noise=True)


def test_the_residual_of_each_feature_is_that_of_the_fitted_samples():
    data = two()
    for model in (AJIVE(**AJIVE_SIZE), JIVE(**SIZE, tol=1e-10)):
        residual = model.fit(data).decompose(data).residual
        for name in data.names:
            expected = np.sqrt(np.square(residual[name]).mean(axis=0))
            np.testing.assert_allclose(model.feature_residual_std_[name], expected, rtol=1e-4)


def test_the_residual_counts_measured_values_alone():
    arrays = {name: np.array(values) for name, values in two().items()}
    arrays["modality_1"][:40, 0] = np.nan
    data = Modalities(arrays)
    model = AJIVE(**AJIVE_SIZE, missing="impute").fit(data)
    residual = model.decompose(data).residual["modality_1"]
    expected = np.sqrt(np.nanmean(np.square(residual), axis=0))
    np.testing.assert_allclose(model.feature_residual_std_["modality_1"], expected, rtol=0.05)


def test_two_clusters_are_drawn_as_two_clusters():
    rng = np.random.default_rng(0)
    scores = np.where(rng.random(300) < 0.5, -1.0, 1.0)[:, None] + 0.1 * rng.normal(size=(300, 1))
    density = ScoreDensity(scores)
    assert density.choice.components == 2
    drawn = density.draw(1000, np.random.RandomState(0))
    assert np.mean(np.abs(drawn) < 0.5) < 0.01


def test_skewed_scores_are_mapped():
    rng = np.random.default_rng(0)
    scores = rng.exponential(size=(400, 1)) - 1.0
    density = ScoreDensity(scores)
    assert density.choice.mapped
    drawn = density.draw(4000, np.random.RandomState(0))
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    np.testing.assert_allclose(np.quantile(drawn, quantiles), np.quantile(scores, quantiles), atol=0.25)


def test_individual_scores_depend_on_joint_ones_only_if_held_out_likelihood_says_so():
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(300, 1))
    scores = 2.0 * joint + 0.1 * rng.normal(size=(300, 1))
    dependent, independent = ScoreDensity(scores, joint), ScoreDensity(rng.normal(size=(300, 1)), joint)
    assert dependent.choice.given_joint
    assert not independent.choice.given_joint
    given = np.repeat([[-1.0], [1.0]], 500, axis=0)
    drawn = dependent.draw(1000, np.random.RandomState(0), given)
    np.testing.assert_allclose(drawn[:500].mean(), -2.0, atol=0.1)
    np.testing.assert_allclose(drawn[500:].mean(), 2.0, atol=0.1)


def test_likelihood_of_mapped_scores_is_a_density():
    """The density over a grid adds up to 1, so that likelihoods with and without a map are comparable."""
    rng = np.random.default_rng(0)
    scores = rng.exponential(size=(100, 1)) - 1.0
    to_normal = densities._Map(scores, True)
    mixture = densities._Mixture(to_normal(scores), 1, "full")
    grid = np.linspace(-6.0, 30.0, 20001)[:, None]
    density = np.exp(mixture.log_likelihood(to_normal(grid), 0) + to_normal.log_slope(grid)[:, 0])
    assert density.sum() * (grid[1, 0] - grid[0, 0]) == pytest.approx(1.0, abs=0.02)


def test_draws_stay_near_the_fitted_scores():
    rng = np.random.default_rng(0)
    scores = rng.uniform(-1.0, 1.0, size=(200, 2))
    drawn = ScoreDensity(scores).draw(5000, np.random.RandomState(0))
    assert np.abs(drawn).max() <= 2.01


def test_few_samples_have_one_normal_distribution():
    density = ScoreDensity(np.random.default_rng(0).normal(size=(10, 2)))
    assert density.choice.components == 1
    assert np.isfinite(density.draw(10, np.random.RandomState(0))).all()
