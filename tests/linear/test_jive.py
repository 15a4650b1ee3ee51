import warnings

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import deepjive as dj
from deepjive import JIVE, Modalities
from deepjive.linear.alternation import alternate, leading_scores
from tests.linear.tolerances import ALTERNATION, SUMS, TWO_ROUTES


def simulated(seed=0, n=80, sizes=(60, 300), joint=2, individual=(1, 2), noise=1.0):
    """Joint and individual scores of unit variance, with random loadings and white noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, joint))
    data = {}
    for k, (d, r) in enumerate(zip(sizes, individual, strict=True)):
        scores = np.hstack([z, rng.normal(size=(n, r))])
        data[f"m{k}"] = scores @ rng.normal(size=(joint + r, d)) + noise * rng.normal(size=(n, d)) + 10.0
    return Modalities(data), z


RANKS = {"m0": 1, "m1": 2}


@pytest.fixture(scope="module")
def fitted():
    data, z = simulated()
    return JIVE(joint_rank=2, individual_ranks=RANKS).fit(data), data, z


@pytest.fixture(scope="module")
def simdata(shared_data):
    """r.jive's simulated data; samples are its columns."""
    files = [shared_data(f"linear_reference/rjive_SimData_{i}.csv") for i in (1, 2)]
    return {path.stem: np.loadtxt(path, delimiter=",", skiprows=1).T for path in files}


def centred(x):
    return x - x.mean(axis=0)


def largest_angle(a, b):
    return np.degrees(subspace_angles(a, b).max())


def test_brca_has_the_variance_explained_of_r_jive(shared_data):
    with np.load(shared_data("tcga_brca/tcga_brca.npz")) as arrays:
        data = {name: arrays[name] for name in ("expression", "methylation", "mirna")}
    # 39 iterations instead of 98 change the fifth decimal
    model = JIVE(joint_rank=2, individual_ranks={"expression": 27, "methylation": 26, "mirna": 25}, tol=1e-4).fit(data)
    expected = {"joint": [0.187340, 0.250286, 0.163215], "individual": [0.416433, 0.221843, 0.299847]}
    for part, fractions in expected.items():
        explained = [model.variance_explained_[name][part] for name in data]
        # r.jive starts from a constant, which the start here replaces by a component less: 1e-4 apart
        np.testing.assert_allclose(explained, fractions, atol=2e-4)


@pytest.mark.parametrize("rule", ["permutation", "bic"])
def test_simdata_has_the_ranks_of_r_jive_by_both_rules(simdata, rule):
    model = JIVE(joint_rank=rule, individual_ranks=rule, n_permutations=50, tol=1e-3, random_state=0).fit(simdata)
    assert model.joint_rank_ == 1
    assert list(model.individual_ranks_.values()) == [1, 1]
    assert model.rank_history_[-1].tolist() == [1, 1, 1]


def test_joint_scores_of_a_simulation_are_recovered(fitted):
    model, _, z = fitted
    # the error of a left singular vector is about 1 / sqrt(d), 7 degrees for 60 features
    assert largest_angle(model.joint_scores_, centred(z)) < 12


@pytest.mark.parametrize("rule", ["permutation", "bic"])
def test_ranks_of_a_simulation_are_found(rule):
    data, _ = simulated(n=60, sizes=(40, 80), joint=1)
    model = JIVE(
        joint_rank=rule,
        individual_ranks="auto" if rule == "permutation" else rule,
        n_permutations=40,
        tol=1e-4,
        random_state=0,
    ).fit(data)
    assert (model.joint_rank_, model.individual_ranks_) == (1, RANKS)


@pytest.mark.parametrize("rule", ["permutation", "bic"])
def test_nothing_is_joint_in_shuffled_modalities(rule):
    data, _ = simulated(n=60, sizes=(40, 80), joint=1)
    rng = np.random.default_rng(1)
    shuffled = {name: rng.permutation(x) for name, x in data.items()}
    model = JIVE(joint_rank=rule, individual_ranks=rule, n_permutations=40, tol=1e-4, random_state=0).fit(shuffled)
    assert (model.joint_rank_, model.individual_ranks_) == (0, {"m0": 2, "m1": 3})


def test_a_rank_that_is_given_stays_while_the_other_is_searched():
    data, _ = simulated(n=40, sizes=(30, 40), joint=1)
    model = JIVE(joint_rank=2, individual_ranks="bic", tol=1e-3).fit(data)
    assert model.joint_rank_ == 2
    model = JIVE(joint_rank="bic", individual_ranks={"m0": 1, "m1": 2}, tol=1e-3).fit(data)
    assert (model.joint_rank_, model.individual_ranks_) == (1, RANKS)


def test_scores_have_mean_0_and_variance_1(fitted):
    model, data, _ = fitted
    for scores in (model.joint_scores_, *model.individual_scores_.values()):
        np.testing.assert_allclose(scores.mean(axis=0), 0, atol=SUMS)
        np.testing.assert_allclose(scores.T @ scores / len(data), np.eye(scores.shape[1]), atol=SUMS)


def test_all_parts_have_uncorrelated_scores(fitted):
    model, data, _ = fitted
    scores = np.hstack([model.joint_scores_, *model.individual_scores_.values()])
    # the last modality is made orthogonal to those before it, which differ from the final ones by the tolerance
    np.testing.assert_allclose(scores.T @ scores / len(data), np.eye(5), atol=ALTERNATION)


def test_individual_parts_may_be_correlated_when_asked_for(fitted):
    _, data, _ = fitted
    model = JIVE(joint_rank=1, individual_ranks=RANKS, orthogonal_individual=False).fit(data)
    across = model.individual_scores_["m0"].T @ model.individual_scores_["m1"] / len(data)
    assert np.abs(across).max() > 0.01
    for scores in model.individual_scores_.values():
        np.testing.assert_allclose(model.joint_scores_.T @ scores / len(data), 0, atol=SUMS)


def test_transform_of_the_fitted_samples_gives_the_scores_of_the_fit(fitted):
    _, data, _ = fitted
    model = JIVE(joint_rank=2, individual_ranks=RANKS, tol=1e-10, max_iter=5000).fit(data)
    np.testing.assert_allclose(model.transform(data), model.joint_scores_, atol=ALTERNATION)
    for name, scores in model.decompose(data).individual_scores.items():
        np.testing.assert_allclose(scores, model.individual_scores_[name], atol=ALTERNATION)


def test_scores_of_new_samples_follow_the_truth():
    data, z = simulated(n=400)
    model = JIVE(joint_rank=2, individual_ranks=RANKS).fit(data[:150])
    scores, truth = centred(model.transform(data[150:])), centred(z[150:])
    rest = truth - scores @ np.linalg.lstsq(scores, truth, rcond=None)[0]
    # noise of the size of the signal, averaged over 360 features
    assert np.sum(rest**2) < 0.05 * np.sum(truth**2)


def test_one_modality_alone_gives_joint_scores_and_predicts_the_other():
    data, _ = simulated(n=300, sizes=(100, 120))
    model = JIVE(joint_rank=2, individual_ranks=RANKS).fit(data[:200])
    new = data[200:]
    predicted = model.impute(new.select(["m1"]), "m0")
    error = np.sum((predicted - new["m0"]) ** 2) / np.sum((new["m0"] - model.mean_["m0"]) ** 2)
    assert error < 0.7  # joint variation is half of the modality's, noise and individual variation a quarter each


def test_variance_explained_is_that_of_the_decomposition_and_of_the_components(fitted):
    model, data, _ = fitted
    parts = model.decompose(data)
    for name, fractions in model.variance_explained_.items():
        # scores of the decomposition are those of the fit up to its tolerance of 1e-6
        assert fractions == pytest.approx(parts.variance_explained[name], abs=ALTERNATION)
        for part in ("joint", "individual"):
            assert model.component_variance_[name][part].sum() == pytest.approx(fractions[part])


def test_each_step_explains_more(fitted):
    _, data, _ = fitted
    matrices = [centred(x) / np.linalg.norm(centred(x)) for x in data.values()]
    errors = [
        alternate(matrices, 2, [1, 2], orthogonal=False, max_iter=steps, tol=0.0).errors.sum() for steps in range(2, 12)
    ]
    assert np.all(np.diff(errors) <= 1e-12)


def test_parts_do_not_depend_on_the_units_of_a_modality(fitted):
    model, data, _ = fitted
    other = JIVE(joint_rank=2, individual_ranks=RANKS).fit({"m0": 1000.0 * data["m0"], "m1": data["m1"]})
    np.testing.assert_allclose(np.abs(other.joint_scores_), np.abs(model.joint_scores_), atol=ALTERNATION)
    unscaled = JIVE(joint_rank=2, individual_ranks=RANKS, scale=None).fit({"m0": 1e6 * data["m0"], "m1": data["m1"]})
    assert unscaled.variance_explained_["m0"]["joint"] > model.variance_explained_["m0"]["joint"]
    assert unscaled.variance_explained_["m1"]["joint"] < model.variance_explained_["m1"]["joint"]


def test_wide_data_are_split_as_their_rotation_into_few_features(fitted):
    model, data, _ = fitted
    wide = centred(data["m1"])
    u, s, _ = np.linalg.svd(wide, full_matrices=False)
    other = JIVE(joint_rank=2, individual_ranks=RANKS).fit({"m0": data["m0"], "m1": (u * s)[:, :79]})
    np.testing.assert_allclose(np.abs(other.joint_scores_), np.abs(model.joint_scores_), atol=ALTERNATION)


def test_joint_rank_0_leaves_the_mean_and_individual_parts(fitted):
    _, data, _ = fitted
    model = JIVE(joint_rank=0, individual_ranks={"m0": 3, "m1": 0}).fit(data)
    parts = model.decompose(data)
    assert parts.joint_scores.shape == (80, 0)
    np.testing.assert_allclose(parts.joint["m0"], np.tile(model.mean_["m0"], (80, 1)))
    u, s, vt = np.linalg.svd(centred(data["m0"]), full_matrices=False)
    np.testing.assert_allclose(parts.individual["m0"], (u[:, :3] * s[:3]) @ vt[:3], atol=TWO_ROUTES)
    assert model.variance_explained_["m1"]["individual"] == 0.0


def test_a_saved_model_gives_the_same_scores(fitted, tmp_path):
    model, data, _ = fitted
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(dj.load(tmp_path / "model").transform(data), model.transform(data))


def test_images_keep_their_shape_and_the_mask_holds(fitted):
    _, data, _ = fitted
    mask = np.zeros((6, 10), dtype=bool)
    mask[1:5, 1:9] = True
    model = JIVE(joint_rank=2, individual_ranks=RANKS, mask={"m0": mask}).fit(
        {"m0": data["m0"].reshape(80, 6, 10), "m1": data["m1"]}
    )
    assert model.joint_loadings_["m0"].shape == (2, 6, 10)
    assert np.all(model.joint_loadings_["m0"][:, ~mask] == 0.0)


def test_components_far_weaker_than_the_largest_are_found_with_all_digits():
    rng = np.random.default_rng(0)
    u = np.linalg.qr(centred(rng.normal(size=(60, 4))))[0]
    data = {
        "a": (u[:, [0, 1, 3]] * [1.0, 0.5, 1e-6]) @ np.linalg.qr(rng.normal(size=(200, 3)))[0].T,
        "b": (u[:, [0, 2]] * [1.0, 0.5]) @ np.linalg.qr(rng.normal(size=(30, 2)))[0].T,
    }
    model = JIVE(joint_rank=1, individual_ranks={"a": 2, "b": 1}).fit(data)
    # degrees; rounding errors of the data are 1e-10 of the weakest component
    assert largest_angle(model.joint_scores_, u[:, :1]) < 1e-3
    assert largest_angle(model.individual_scores_["a"][:, 1:], u[:, 3:]) < 1e-3


def test_leading_scores_come_from_the_matrix_itself_where_squaring_loses_them():
    rng = np.random.default_rng(0)
    u, v = np.linalg.qr(rng.normal(size=(50, 2)))[0], np.linalg.qr(rng.normal(size=(40, 2)))[0]
    scores = leading_scores((u * [1.0, 1e-9]) @ v.T, 2, 1.0)
    # degrees; rounding errors of 1e-16 over a singular value of 1e-9 are 1e-7
    assert largest_angle(scores[:, 1:], u[:, 1:]) < 1e-4


def test_ranks_the_data_do_not_have_are_refused():
    rng = np.random.default_rng(0)
    data = {"a": rng.normal(size=(40, 1)), "b": rng.normal(size=(40, 20))}
    with pytest.raises(ValueError, match=r"individual_ranks\['a'\] is 1, but without the joint part"):
        JIVE(joint_rank=1, individual_ranks={"a": 1, "b": 1}, max_iter=50).fit(
            {"a": data["a"], "b": 2.0 * np.tile(data["a"], 5)}
        )
    with pytest.raises(ValueError, match="'a'"):
        JIVE(joint_rank=2, individual_ranks=0).fit(data)


def test_words_that_are_no_rule_are_refused(fitted):
    _, data, _ = fitted
    with pytest.raises(ValueError, match="joint_rank must be an integer of at least 0, or one of"):
        JIVE(joint_rank="best").fit(data)
    with pytest.raises(ValueError, match="ask for two rules"):
        JIVE(joint_rank="permutation", individual_ranks="bic").fit(data)


def test_an_estimation_cut_short_warns(fitted):
    _, data, _ = fitted
    with pytest.warns(ConvergenceWarning, match="max_iter=3 iterations for joint rank 2"):
        JIVE(joint_rank=2, individual_ranks=RANKS, max_iter=3).fit(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        JIVE(joint_rank=2, individual_ranks=RANKS).fit(data)


def test_scikit_learn_conventions_hold(fitted):
    model, data, z = fitted
    copy = clone(model)
    assert not hasattr(copy, "joint_rank_")
    assert copy.get_params() == model.get_params()
    frame = copy.set_output(transform="pandas").fit_transform(data)
    assert list(frame.columns) == ["joint_1", "joint_2"]
    pipeline = make_pipeline(JIVE(joint_rank=2, individual_ranks=RANKS, tol=1e-4), SVC())
    assert cross_val_score(pipeline, data, z[:, 0] > 0, cv=4).mean() > 0.85


def test_the_same_seed_finds_the_same_ranks_and_scores():
    data, _ = simulated(n=40, sizes=(20, 30), joint=1)
    first, second = (JIVE(n_permutations=20, tol=1e-4, random_state=3).fit(data) for _ in range(2))
    np.testing.assert_array_equal(first.joint_scores_, second.joint_scores_)
    np.testing.assert_array_equal(first.rank_history_, second.rank_history_)


@pytest.mark.parametrize(
    ("shapes", "ranks", "limit"),
    [
        # 9 dimensions of 10 centred samples, less 3 joint and 5 individual scores
        ({"a": (10, 50), "b": (10, 40)}, (3, 5), 1),
        # the joint component leaves one of the two dimensions of a
        ({"a": (40, 2), "b": (40, 3)}, (1, 2), 1),
    ],
)
def test_ranks_that_saturate_the_samples_or_a_modality_are_refused(shapes, ranks, limit):
    rng = np.random.default_rng(0)
    data = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=rf"individual_ranks\['a'\] is {ranks[1]}, but .* at most {limit}"):
        JIVE(joint_rank=ranks[0], individual_ranks=ranks[1]).fit(data)


def test_individual_components_of_exact_joint_data_are_refused_not_rounding_errors():
    rng = np.random.default_rng(161)
    joint = rng.normal(size=(8, 2))
    data = {name: joint @ rng.normal(size=(2, d)) for name, d in {"a": 10, "b": 40, "c": 3}.items()}
    with pytest.raises(ValueError, match="dimensions"):
        JIVE(joint_rank=2, individual_ranks=1, max_iter=50).fit(data)


def test_chance_correlation_of_individual_parts_is_no_joint_part_for_bic():
    rng = np.random.default_rng(7)
    data = {k: rng.normal(size=(60, 2)) @ rng.normal(size=(2, d)) for k, d in {"a": 100, "b": 80}.items()}
    data = {k: x + rng.normal(size=x.shape) for k, x in data.items()}
    model = JIVE(joint_rank="bic", individual_ranks="bic", tol=1e-3).fit(data)
    assert (model.joint_rank_, model.individual_ranks_) == (0, {"a": 2, "b": 2})


def test_scores_lie_in_memory_as_they_do_in_a_loaded_model(fitted):
    model = fitted[0]
    assert all(scores.flags.c_contiguous for scores in [model.joint_scores_, *model.individual_scores_.values()])


@pytest.mark.parametrize("seed", range(5))
def test_confounds_beside_an_outlier_leave_no_more_dimensions_than_without_it(seed):
    """Rounding of the outlier's confounds tilts the directions of the modalities."""
    rng = np.random.default_rng(seed)
    data = {name: rng.normal(size=(6, d)) for name, d in (("a", 2), ("b", 8), ("c", 40))}
    data["b"][2] *= 1e6
    confounds = {"age": rng.normal(size=6), "sex": np.array(list("fmfmfm"))}
    model = JIVE(joint_rank=1, individual_ranks="auto", n_permutations=10, random_state=0, max_iter=200)
    model.fit(Modalities(data, confounds=confounds))
    assert 1 + sum(model.individual_ranks_.values()) <= 3
    assert all(fractions["residual"] > -1e-6 for fractions in model.variance_explained_.values())


def test_modalities_too_different_in_size_for_any_score_are_refused():
    rng = np.random.default_rng(0)
    data = {"a": 1e-150 * rng.normal(size=(4, 3)), "b": rng.normal(size=(4, 3))}
    data["b"][1] *= 1e6
    with pytest.raises(ValueError, match="differ too much in size"):
        JIVE(joint_rank=0, individual_ranks={"a": 1, "b": 0}, scale=None).fit(data)
