"""Awkward matrices: right answers, or an error that says what is wrong."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE
from deepjive.adjust.inspection import UnitsWarning
from tests.linear.tolerances import ALTERNATION, GRAM, TWO_ROUTES

ESTIMATORS = pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])


def make(estimator, signal_ranks="auto", joint_rank=1):
    """An estimator with signal ranks, or JIVE, which has none, with the ranks these come to."""
    if estimator is not JIVE:
        return estimator(signal_ranks=signal_ranks, random_state=0)
    if signal_ranks == "auto":
        signal_ranks = 2
    ranks = signal_ranks if isinstance(signal_ranks, dict) else {"a": signal_ranks, "b": signal_ranks}
    return JIVE(
        joint_rank=joint_rank,
        individual_ranks={name: rank - joint_rank for name, rank in ranks.items()},
        tol=1e-8,
        random_state=0,
    )


def scores(n, r, seed):
    """Orthonormal scores of mean 0."""
    x = np.random.default_rng(seed).normal(size=(n, r))
    return np.linalg.qr(x - x.mean(axis=0))[0]


def modality(u, d, values, seed, noise=0.0):
    rng = np.random.default_rng(seed)
    v = np.linalg.qr(rng.normal(size=(d, u.shape[1])))[0]
    return (u * values) @ v.T + noise * rng.normal(size=(len(u), d))


def largest_angle(a, b):
    return np.degrees(subspace_angles(a, b).max())


def clean(n=60, sizes=(200, 30), noise=0.0):
    """One joint and one individual component in each of two modalities; the orthonormal scores of all three."""
    u = scores(n, 3, 0)
    first = modality(u[:, [0, 1]], sizes[0], [20.0, 10.0], 1, noise)
    second = modality(u[:, [0, 2]], sizes[1], [20.0, 10.0], 2, noise)
    return {"a": first, "b": second}, u


def assert_recovered(model, data, u, degrees=1e-3):
    assert model.joint_rank_ == 1
    assert model.individual_ranks_ == {"a": 1, "b": 1}
    # without noise the angles are rounding errors; noise of .1 over a singular value of 20 is a third of a degree
    assert largest_angle(model.joint_scores_, u[:, :1]) < degrees
    assert largest_angle(model.individual_scores_["a"], u[:, 1:2]) < degrees
    np.testing.assert_allclose(model.transform(data), model.joint_scores_, atol=GRAM)


@ESTIMATORS
@pytest.mark.parametrize("sizes", [(200, 30), (30, 40), (500, 500)])
def test_rank_deficient_modalities_are_split_exactly(estimator, sizes):
    data, u = clean(sizes=sizes)
    model = make(estimator).fit(data)
    if estimator is not JIVE:
        assert model.signal_ranks_ == {"a": 2, "b": 2}
    assert_recovered(model, data, u)
    assert model.variance_explained_["a"] == pytest.approx(
        {"joint": 0.8, "individual": 0.2, "residual": 0}, abs=TWO_ROUTES
    )


@ESTIMATORS
def test_components_100_million_times_smaller_than_the_largest_are_found(estimator):
    u = scores(60, 4, 0)
    data = {
        "a": modality(u[:, [3, 0, 1]], 200, [1.0, 3e-8, 1e-8], 1),
        "b": modality(u[:, [0, 2]], 30, [20.0, 10.0], 2),
    }
    model = make(estimator, {"a": 3, "b": 2}).fit(data)
    assert model.joint_rank_ == 1
    # the data themselves are rounded to eps, 1e-8 of the smallest component
    assert largest_angle(model.joint_scores_, u[:, :1]) < 1e-4
    # JIVE's iterations end at changes of 1e-8 of the data's length, which is the size of the smallest component
    assert largest_angle(model.individual_scores_["a"], u[:, [3, 1]]) < (1.0 if estimator is JIVE else 1e-4)
    np.testing.assert_allclose(model.transform(data), model.joint_scores_, atol=ALTERNATION)


@ESTIMATORS
@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e150, 1e300])
def test_scale_of_a_modality_changes_nothing_but_its_units(estimator, size):
    data, _ = clean(noise=0.1)
    model = make(estimator).fit(data)
    scaled_data = {"a": data["a"] * size, "b": data["b"]}
    scaled = make(estimator).fit(scaled_data)
    np.testing.assert_allclose(scaled.joint_scores_, model.joint_scores_, atol=TWO_ROUTES)
    if estimator is not JIVE:
        np.testing.assert_allclose(scaled.wedin_samples_, model.wedin_samples_, atol=TWO_ROUTES)
        np.testing.assert_allclose(scaled.thresholds_["a"] / size, model.thresholds_["a"])
    np.testing.assert_allclose(scaled.joint_loadings_["a"] / size, model.joint_loadings_["a"], atol=TWO_ROUTES)
    assert scaled.variance_explained_["a"] == pytest.approx(model.variance_explained_["a"])
    parts = scaled.decompose(scaled_data)
    np.testing.assert_allclose(parts.individual_scores["a"], scaled.individual_scores_["a"], atol=TWO_ROUTES)
    assert parts.variance_explained["a"] == pytest.approx(model.variance_explained_["a"])


@ESTIMATORS
def test_large_offsets_change_nothing(estimator):
    data, u = clean(noise=0.01)
    # an offset of 1e6 leaves data of order 1 with 10 digits
    shifted = {name: x + 1e6 for name, x in data.items()}
    model = make(estimator).fit(shifted)
    assert model.joint_rank_ == 1
    assert largest_angle(model.joint_scores_, u[:, :1]) < 1
    np.testing.assert_allclose(model.joint_scores_, make(estimator).fit(data).joint_scores_, atol=GRAM)


@ESTIMATORS
def test_duplicated_columns_change_nothing_but_the_scale(estimator):
    data, _ = clean(noise=0.1)
    ranks = {"a": 2, "b": 2}
    model = make(estimator, ranks).fit(data)
    doubled = make(estimator, ranks).fit({"a": np.repeat(data["a"], 2, axis=1), "b": data["b"]})
    if estimator is AJIVE:
        np.testing.assert_allclose(doubled.joint_scores_, model.joint_scores_, atol=TWO_ROUTES)
    assert doubled.joint_rank_ == model.joint_rank_ == 1
    # the weights of HeteroJIVE and of JIVE's modalities change a little with the width
    assert doubled.variance_explained_["a"] == pytest.approx(model.variance_explained_["a"], abs=1e-3)


@pytest.mark.filterwarnings("ignore:.* are constant:deepjive.adjust.inspection.UnitsWarning")
@ESTIMATORS
def test_constant_columns_have_no_loadings(estimator):
    data, u = clean(noise=0.1)
    constant = np.repeat([[1e10 / 3, -7.0, 0.0]], 60, axis=0)
    with_constant = {"a": np.hstack([data["a"], constant]), "b": data["b"]}
    model = make(estimator, 2).fit(with_constant)
    assert (model.joint_loadings_["a"][:, -3:] == 0).all()
    assert (model.individual_loadings_["a"][:, -3:] == 0).all()
    np.testing.assert_array_equal(model.mean_["a"][-3:], constant[0])
    assert_recovered(model, with_constant, u, degrees=5)


@ESTIMATORS
def test_modality_of_one_column_can_be_joint(estimator):
    data, u = clean(noise=0.05)
    column = 3.0 * u[:, :1] * np.sqrt(60)
    model = make(estimator, {"a": 2, "b": 1}).fit({"a": data["a"], "b": column})
    assert model.joint_rank_ == 1
    assert model.individual_ranks_ == {"a": 1, "b": 0}
    assert largest_angle(model.joint_scores_, u[:, :1]) < 3
    assert model.transform({"b": column}).shape == (60, 1)


@ESTIMATORS
def test_identical_modalities_are_all_joint(estimator):
    data, u = clean(noise=0.1)
    twins = {"a": data["a"], "b": data["a"].copy()}
    with pytest.warns(UnitsWarning, match="200 of 200 features of modality 'b' have the values of a feature of"):
        model = make(estimator, 2, joint_rank=2).fit(twins)
    assert model.joint_rank_ == 2
    assert model.individual_ranks_ == {"a": 0, "b": 0}
    assert largest_angle(model.joint_scores_, u[:, :2]) < 5
    np.testing.assert_allclose(model.transform(twins), model.joint_scores_, atol=TWO_ROUTES)
    assert model.transform({"a": data["a"]}) == pytest.approx(model.joint_scores_, abs=TWO_ROUTES)


@ESTIMATORS
@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.filterwarnings("ignore::deepjive.linear.angles.NoSignalWarning")
def test_few_samples_can_be_fitted(estimator, n):
    rng = np.random.default_rng(0)
    data = {"a": rng.normal(size=(n, 40)), "b": rng.normal(size=(n, 4))}
    model = make(estimator, 1).fit(data)
    assert model.transform(data).shape == (n, model.joint_rank_)
    assert make(estimator).fit(data).joint_rank_ in range(n)


def test_rank_that_the_data_do_not_have_is_an_error_that_names_it():
    data, _ = clean()
    with pytest.raises(ValueError, match=r"signal_ranks\['a'\] is 3, but modality 'a' has numerical rank 2"):
        AJIVE(signal_ranks=3).fit(data)


def test_float32_and_integers_are_accepted():
    data, u = clean(noise=0.05)
    single = {name: x.astype(np.float32) for name, x in data.items()}
    assert largest_angle(AJIVE(signal_ranks=2, random_state=0).fit(single).joint_scores_, u[:, :1]) < 3
    counts = {name: np.round(100 * x).astype(np.int64) for name, x in data.items()}
    assert largest_angle(AJIVE(signal_ranks=2, random_state=0).fit(counts).joint_scores_, u[:, :1]) < 3
    counts = {name: np.round(20 * x + 100).clip(0, 255).astype(np.uint8) for name, x in data.items()}
    assert largest_angle(AJIVE(signal_ranks=2, random_state=0).fit(counts).joint_scores_, u[:, :1]) < 3


@pytest.mark.parametrize("model", [AJIVE(), HeteroJIVE(), JIVE(), DeepJIVE(joint_rank=1, individual_ranks=1)])
@pytest.mark.parametrize(
    ("size", "message"),
    [
        (1e307, r"Modality 'a' contains the value .*e\+30. in sample .*Use larger units"),
        (1e-306, r"The values of modality 'a' differ by at most .*e-30.*Use smaller units"),
    ],
)
def test_units_in_which_sums_overflow_or_vanish_are_refused_by_every_estimator(model, size, message):
    data, _ = clean(noise=0.1)
    with pytest.raises(ValueError, match=message):
        model.fit({"a": data["a"] / np.abs(data["a"]).max() * size, "b": data["b"]})


def test_jive_gives_fitted_samples_their_scores_although_one_sample_is_a_million_times_larger():
    rng = np.random.default_rng(0)
    for seed in range(5):  # rounding errors of about 1e-13, times 1e12, once gave other scores
        data = {"a": rng.normal(size=(14, 8)), "b": rng.normal(size=(14, 12))}
        data["a"][seed] *= 1e6
        model = JIVE(joint_rank=1, individual_ranks=2, tol=1e-8).fit(data)
        parts = model.decompose(data)
        np.testing.assert_allclose(parts.joint_scores, model.joint_scores_, atol=1e-2)
        np.testing.assert_allclose(parts.individual_scores["a"], model.individual_scores_["a"], atol=1e-2)


def test_jive_warns_of_scores_that_cannot_be_computed_from_samples():
    rng = np.random.default_rng(0)
    data = {"a": rng.normal(size=(24, 3)), "b": rng.normal(size=(24, 12))}
    data["b"][0] *= 1e6
    with pytest.warns(UserWarning, match=r"differ from those of the fit by up to .*Use scale='modality'"):
        JIVE(joint_rank=1, individual_ranks={"a": 0, "b": 3}, scale=None).fit(data)


@ESTIMATORS
def test_a_decomposition_of_fitted_samples_has_the_fractions_of_the_fit_within_the_mask(estimator):
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(40, 1))
    data = {name: joint @ rng.normal(size=(1, 8)) + rng.normal(size=(40, 8)) for name in "ab"}
    data["a"][:, 5:] *= 10  # what the mask excludes
    mask = [1, 1, 1, 1, 1, 0, 0, 0]  # numbers and lists are masks too
    model = estimator(joint_rank=1, individual_ranks=1, mask={"a": mask}).fit(data)
    parts = model.decompose(data)
    for name in data:
        # JIVE ends its iterations at changes of 1e-6
        assert parts.variance_explained[name] == pytest.approx(model.variance_explained_[name], abs=1e-4)
        np.testing.assert_allclose(parts.joint[name] + parts.individual[name] + parts.residual[name], data[name])


@pytest.mark.parametrize("max_iter", [0, 1, 1.5])
def test_too_few_iterations_of_jive_are_refused_without_blaming_the_data(max_iter):
    with pytest.raises(ValueError, match=r"max_iter is .*, but must be an integer of at least 2"):
        JIVE(joint_rank=1, individual_ranks=1, max_iter=max_iter).fit(clean()[0])


@pytest.mark.filterwarnings("ignore:8 of 12 features of modality", "ignore:center=False keeps the mean in modality 'b'")
def test_modalities_with_nearly_the_same_direction_cost_no_digits_of_scores():
    rng = np.random.default_rng(2)
    constants = np.full((21, 8), 0.3)  # not centred, they are the direction of the offset, up to 5e-7
    data = {"a": np.concatenate([rng.normal(size=(21, 4)), constants], axis=1), "b": rng.normal(size=(21, 3)) + 1e6}
    model = HeteroJIVE(center=False, joint_rank=2, individual_ranks={"a": 3, "b": 1}, random_state=0).fit(data)
    parts = model.decompose(data)
    # rounding of 1e6 in units of 1 is 1e-10
    np.testing.assert_allclose(parts.joint_scores, model.joint_scores_, rtol=0, atol=1e-8)
    # and these rounding errors of joint scores, whose loadings are 1e6, are 1e-3 in individual scores
    np.testing.assert_allclose(parts.individual_scores["b"], model.individual_scores_["b"], rtol=0, atol=1e-2)


def test_a_component_weaker_than_rounding_of_others_is_warned_of():
    rng = np.random.default_rng(0)
    data = {"a": rng.normal(size=(25, 8)) + 1e6, "b": rng.normal(size=(25, 1)) * [1.0, 2.0] + 1e5}
    data["b"] += 1e-2 * rng.normal(size=(25, 2))
    ranks = {"joint_rank": 2, "individual_ranks": {"a": 2, "b": 2}, "signal_ranks": 2}
    model = HeteroJIVE(center=False, n_wedin=20, n_random=20, random_state=67, **ranks)
    with (
        pytest.warns(UnitsWarning, match="keeps the mean"),
        pytest.warns(UserWarning, match="or center=True") as caught,
    ):
        model.fit(data)
    assert sum("of the modality's variance" in str(warning.message) for warning in caught) == 1
