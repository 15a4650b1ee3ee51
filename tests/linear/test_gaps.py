import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import deepjive as dj
from deepjive import AJIVE, JIVE, HeteroJIVE, Modalities
from deepjive.linear.bootstrap_intervals import bootstrap
from deepjive.linear.gaps import fill_from
from deepjive.linear.permutation import jackstraw, permutation_test
from tests.linear.tolerances import GRAM, NEARLY_PARALLEL, SUMS, TWO_ROUTES

ESTIMATORS = pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
SIZES = {"a": 30, "b": 60}


def simulated(seed=0, n=80, noise=1.0):
    """One joint and one individual component in each modality, with loadings of their own for every seed."""
    rng = np.random.default_rng(seed)
    z, data, truth = rng.normal(size=(n, 1)), {}, {}
    for name, d in SIZES.items():
        together, alone = rng.normal(size=(1, d)), rng.normal(size=(1, d))
        data[name] = 5.0 + z @ together + rng.normal(size=(n, 1)) @ alone + noise * rng.normal(size=(n, d))
        truth[name] = together
    return data, truth


def with_gaps(data, seed=0, lacking=0.0, missing=0.0):
    rng = np.random.default_rng(seed)
    n = len(data["a"])
    present = np.ones((n, 2), dtype=bool)
    incomplete = np.flatnonzero(rng.random(n) < lacking)
    present[incomplete, rng.integers(2, size=len(incomplete))] = False
    gappy = {name: np.where(rng.random(x.shape) < missing, np.nan, x) for name, x in data.items()}
    return Modalities(gappy, present=present)


def fitted(estimator, data, missing="impute"):
    extra = {"tol": 1e-3} if estimator is JIVE else {"n_wedin": 0, "n_random": 0}
    return estimator(joint_rank=1, individual_ranks=1, missing=missing, **extra).fit(data)


def sine(loadings, truth):
    """Sine between two directions (1, d)."""
    cosine = loadings @ truth.T / np.linalg.norm(loadings) / np.linalg.norm(truth)
    return float(np.sqrt(max(1.0 - cosine.item() ** 2, 0.0)))


def expected_by_covariance(model, x, known):
    """Mean of the normal law of all features given the known ones, from its covariance."""
    blocks, noise, start = [], [], 1
    for name, d in SIZES.items():
        rows = np.zeros((3, d))
        rows[0], rows[start] = model.joint_loadings_[name][0], model.individual_loadings_[name][0]
        blocks.append(rows)
        noise += [model.residual_std_[name] ** 2] * d
        start += 1
    loadings, mean = np.hstack(blocks), np.concatenate(list(model.mean_.values()))
    covariance = loadings.T @ loadings + np.diag(noise)
    weights = np.linalg.solve(covariance[np.ix_(known, known)], (x - mean)[known])
    return np.where(known, x, mean + covariance[:, known] @ weights)


def test_filled_values_are_those_expected_under_the_model():
    data, _ = simulated()
    model, gappy = fitted(AJIVE, data), with_gaps(data, lacking=0.3, missing=0.2)
    filled = fill_from(model, gappy, absent=True)
    assert filled.present.all()
    for i in range(len(gappy)):
        x = np.concatenate([data[name][i] for name in SIZES])
        known = np.concatenate(
            [~np.isnan(gappy[name][i]) & gappy.present[i, k] for k, name in enumerate(SIZES)],
        )
        expected = expected_by_covariance(model, x, known)
        np.testing.assert_allclose(np.concatenate([filled[name][i] for name in SIZES]), expected, atol=TWO_ROUTES)


@ESTIMATORS
def test_samples_that_lack_a_modality_make_the_loadings_better(estimator):
    with_them, without_them = [], []
    for seed in range(4):
        data, truth = simulated(seed)
        gappy = with_gaps(data, seed, lacking=0.5)
        model, fewer = fitted(estimator, gappy), fitted(estimator, gappy[gappy.present.all(axis=1)])
        assert model.joint_scores_.shape == (80, 1)
        with_them.append(np.mean([sine(model.joint_loadings_[name], truth[name]) for name in SIZES]))
        without_them.append(np.mean([sine(fewer.joint_loadings_[name], truth[name]) for name in SIZES]))
    assert np.mean(with_them) < 0.9 * np.mean(without_them)


@ESTIMATORS
def test_a_fit_with_missing_values_is_near_the_fit_without(estimator):
    data, _ = simulated()
    gappy = with_gaps(data, missing=0.2)
    model, whole = fitted(estimator, gappy), fitted(estimator, data)
    assert abs(np.corrcoef(model.joint_scores_[:, 0], whole.joint_scores_[:, 0])[0, 1]) > NEARLY_PARALLEL
    assert model.filled_shares_["a"] == np.isnan(gappy["a"]).mean()


@ESTIMATORS
def test_filled_values_do_not_increase_the_variance_explained(estimator):
    data, _ = simulated(n=150)
    gappy = with_gaps(data, lacking=0.6, missing=0.1)
    model, whole = fitted(estimator, gappy), fitted(estimator, data)
    filled = fitted(estimator, fill_from(model, gappy, absent=True))
    for name in SIZES:
        residual = whole.variance_explained_[name]["residual"]
        # fractions of the 105 samples that have the modality differ from those of all 150 by about .02
        assert model.variance_explained_[name]["residual"] == pytest.approx(residual, abs=0.03)
        assert filled.variance_explained_[name]["residual"] < residual - 0.02
        assert sum(model.variance_explained_[name].values()) == pytest.approx(1.0)
        for part in ("joint", "individual"):
            components = model.component_variance_[name][part]
            assert components.sum() == pytest.approx(model.variance_explained_[name][part])
        # 2 components explain up to 2 of 30 parts of the noise
        assert model.residual_std_[name] == pytest.approx(1.0, rel=0.1)


def test_ranks_and_bounds_are_those_of_the_complete_samples():
    data, _ = simulated(n=120, noise=0.5)
    gappy = with_gaps(data, lacking=0.4)
    model = AJIVE(missing="impute", random_state=0).fit(gappy)
    complete = AJIVE(random_state=0).fit(gappy[gappy.present.all(axis=1)])
    assert model.joint_rank_ == complete.joint_rank_ == 1
    np.testing.assert_array_equal(model.wedin_samples_, complete.wedin_samples_)
    np.testing.assert_array_equal(model.joint_singular_values_, complete.joint_singular_values_)


@ESTIMATORS
def test_without_gaps_filling_in_changes_nothing(estimator):
    data, _ = simulated()
    filling, plain = fitted(estimator, data), fitted(estimator, data, missing="error")
    np.testing.assert_array_equal(filling.joint_scores_, plain.joint_scores_)
    assert filling.variance_explained_ == plain.variance_explained_
    assert filling.filled_shares_ == {"a": 0.0, "b": 0.0}


@ESTIMATORS
def test_new_samples_with_missing_values_get_nearly_the_scores_they_have_without(estimator):
    data, _ = simulated(n=160)
    model = fitted(estimator, {name: x[:80] for name, x in data.items()})
    new = {name: x[80:] for name, x in data.items()}
    gappy = with_gaps(new, lacking=0.2, missing=0.3)
    whole = model.transform(Modalities(new, present=gappy.present))
    # 30% of the features are missing, and the scores of those that remain have noise of their own
    assert np.corrcoef(model.transform(gappy)[:, 0], whole[:, 0])[0, 1] > 0.98
    zeros = {name: np.nan_to_num(x, nan=0.0) for name, x in gappy.items()}
    filled_badly = model.transform(Modalities(zeros, present=gappy.present))
    error, bad = (np.mean((scores - whole) ** 2) for scores in (model.transform(gappy), filled_badly))
    assert error < 0.1 * bad


def test_parts_of_samples_with_missing_values_add_up_where_there_are_values():
    data, _ = simulated()
    gappy = with_gaps(data, lacking=0.2, missing=0.2)
    parts = fitted(AJIVE, gappy).decompose(gappy)
    for k, name in enumerate(SIZES):
        here = gappy.present[:, k]
        total = parts.joint[name] + parts.individual[name] + parts.residual[name]
        np.testing.assert_allclose(total[here], gappy[name][here], atol=SUMS)
        np.testing.assert_array_equal(np.isnan(parts.residual[name][here]), np.isnan(gappy[name][here]))
        assert not np.isnan(parts.joint[name]).any()
        assert sum(parts.variance_explained[name].values()) == pytest.approx(1.0)


def test_a_missing_modality_is_imputed_from_one_with_missing_values():
    data, truth = simulated(n=200)
    model = fitted(AJIVE, {name: x[:100] for name, x in data.items()})
    gappy = with_gaps({name: x[100:] for name, x in data.items()}, missing=0.2)
    imputed = model.impute({"b": gappy["b"]}, "a")
    # the error of loadings from 100 samples is about 1 / sqrt(100), with individual variation and noise twice that
    assert sine(np.linalg.svd(imputed - imputed.mean(axis=0))[2][:1], truth["a"]) < 0.3
    whole = model.impute({"b": data["b"][100:]}, "a")
    assert np.corrcoef(imputed.ravel(), whole.ravel())[0, 1] > 0.97


@ESTIMATORS
def test_without_components_gaps_are_filled_with_the_mean(estimator):
    data, _ = simulated()
    gappy = with_gaps(data, lacking=0.2, missing=0.1)
    model = estimator(joint_rank=0, individual_ranks=0, missing="impute").fit(gappy)
    filled = fill_from(model, gappy, absent=True)
    gaps = np.isnan(gappy["a"]) | ~gappy.present[:, :1]
    np.testing.assert_allclose(filled["a"][gaps], np.broadcast_to(model.mean_["a"], gaps.shape)[gaps])


@ESTIMATORS
@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_scale_of_a_modality_changes_nothing_but_its_units(estimator, size):
    data, _ = simulated()
    gappy = with_gaps(data, lacking=0.2, missing=0.1)
    scaled_data = Modalities({"a": gappy["a"] * size, "b": gappy["b"]}, present=gappy.present)
    model, scaled = fitted(estimator, gappy), fitted(estimator, scaled_data)
    np.testing.assert_allclose(scaled.joint_scores_, model.joint_scores_, atol=GRAM)
    np.testing.assert_allclose(scaled.transform(scaled_data), model.transform(gappy), atol=GRAM)
    assert scaled.variance_explained_["a"] == pytest.approx(model.variance_explained_["a"])
    assert scaled.residual_std_["a"] / size == pytest.approx(model.residual_std_["a"])


def test_images_with_missing_voxels_stay_images():
    data, _ = simulated()
    gappy = with_gaps(data, missing=0.1)
    model = fitted(AJIVE, {"a": gappy["a"].reshape(80, 5, 6), "b": gappy["b"]})
    flat = fitted(AJIVE, gappy)
    np.testing.assert_allclose(model.joint_loadings_["a"].reshape(1, 30), flat.joint_loadings_["a"])


def test_values_outside_the_mask_do_not_count_among_the_measured():
    data, _ = simulated()
    gappy = with_gaps(data, lacking=0.2, missing=0.1)
    mask = np.arange(30) < 20
    cut = fitted(AJIVE, Modalities({"a": gappy["a"][:, mask], "b": gappy["b"]}, present=gappy.present))
    masked = AJIVE(
        joint_rank=1, individual_ranks=1, missing="impute", n_wedin=0, n_random=0, mask={"a": mask, "b": np.ones(60)}
    ).fit(gappy)
    # filling in ends at changes of 1e-3 of the filled values
    assert masked.variance_explained_["a"] == pytest.approx(cut.variance_explained_["a"], abs=1e-4)


def test_a_model_fitted_to_gaps_is_the_same_after_loading(tmp_path):
    data, _ = simulated()
    gappy = with_gaps(data, lacking=0.2, missing=0.1)
    model = fitted(HeteroJIVE, gappy)
    model.save(tmp_path)
    loaded = dj.load(tmp_path)
    np.testing.assert_array_equal(loaded.transform(gappy), model.transform(gappy))
    assert loaded.filled_shares_ == model.filled_shares_


@ESTIMATORS
def test_gaps_are_an_error_unless_missing_is_impute(estimator):
    data, _ = simulated()
    with pytest.raises(ValueError, match="NaN or infinite"):
        fitted(estimator, with_gaps(data, missing=0.1), missing="error")
    with pytest.raises(ValueError, match="missing in"):
        fitted(estimator, with_gaps(data, lacking=0.1), missing="error")
    with pytest.raises(ValueError, match="missing must be 'error' or 'impute', but is 'drop'"):
        fitted(estimator, data, missing="drop")
    with pytest.raises(ValueError, match="NaN or infinite"):
        fitted(estimator, data, missing="error").transform(with_gaps(data, missing=0.1))


def test_the_error_names_the_modality_that_cannot_be_filled_in():
    data, _ = simulated()
    data["b"][3, 2] = np.inf
    with pytest.raises(ValueError, match="'b' contains 1 infinite values, the first in sample 3"):
        fitted(AJIVE, data)
    data["b"][3] = np.nan
    with pytest.raises(ValueError, match="Modality 'b' has no value at all in sample 3"):
        fitted(AJIVE, data)
    model = fitted(AJIVE, simulated()[0])
    with pytest.raises(ValueError, match="Modality 'b' has no value at all in sample 3"):
        model.transform(data)
    present = np.eye(2, dtype=bool)[np.arange(80) % 2]
    with pytest.raises(ValueError, match="Only 0 of 80 samples have every modality"):
        fitted(AJIVE, Modalities(simulated()[0], present=present))


def test_p_values_and_intervals_refuse_values_that_were_filled_in():
    data, _ = simulated()
    gappy = with_gaps(data, lacking=0.2)
    model = fitted(AJIVE, gappy)
    with pytest.raises(ValueError, match=r"The permutation test needs a model of data that were measured, but .* 'a'"):
        permutation_test(model)
    with pytest.raises(ValueError, match="The jackstraw test needs a model of data that were measured"):
        jackstraw(model, gappy, "a")
    with pytest.raises(ValueError, match="The bootstrap needs a model of data that were measured"):
        bootstrap(model, gappy)


@pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE])
def test_components_weaker_than_the_errors_of_filled_values_are_refused(estimator):
    rng = np.random.default_rng(0)
    data = {"a": rng.normal(size=(20, 8)), "b": rng.normal(size=(20, 1)) @ rng.normal(size=(1, 6))}
    data["b"][rng.random((20, 6)) < 0.1] = np.nan
    model = estimator(joint_rank=0, individual_ranks={"a": 1, "b": 3}, missing="impute")
    with pytest.raises(ValueError, match=r"individual_ranks\['b'\] is 3, but .*errors of the missing values"):
        model.fit(data)


def test_a_fit_with_missing_values_warns_once_of_its_many_iterations():
    data = with_gaps(simulated(n=30)[0], lacking=0.2)
    model = JIVE(joint_rank=1, individual_ranks=1, missing="impute", max_iter=3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(data)
    texts = [str(warning.message) for warning in caught if "did not converge" in str(warning.message)]
    assert len(texts) == 1


def test_a_modality_of_signal_rank_0_may_have_missing_values_that_do_not_converge():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(6, 40)), rng.normal(size=(6, 40))
    a[rng.random(a.shape) < 0.1] = np.nan
    model = AJIVE(joint_rank=0, individual_ranks={"a": 2, "b": 1}, signal_ranks={"a": 0, "b": 1}, missing="impute")
    with pytest.warns(ConvergenceWarning, match="still changed"):
        model.fit({"a": a, "b": b})
    assert np.isfinite(model.individual_scores_["a"]).all()
