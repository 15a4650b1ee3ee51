import numpy as np
import pandas as pd
import pytest
from scipy import stats

from deepjive import AJIVE, JIVE, HeteroJIVE
from deepjive.linear.bounds import generator
from deepjive.linear.permutation import jackstraw, permutation_test
from tests.linear.tolerances import TWO_ROUTES

LEAST_P = 0.01  # p-value of a Kolmogorov-Smirnov test of seeded, uniform p-values


def simulated(seed, joint, individual=2, n=50, sizes=(30, 90), noise=1.0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, joint))
    data = {}
    for k, d in enumerate(sizes):
        scores = np.hstack([z, rng.normal(size=(n, individual))])
        data[f"m{k}"] = scores @ rng.normal(size=(joint + individual, d)) + noise * rng.normal(size=(n, d))
    return data


def fitted(data, joint, individual):
    return AJIVE(
        signal_ranks=joint + individual, joint_rank=joint, individual_ranks=individual, n_wedin=0, n_random=0
    ).fit(data)


@pytest.mark.parametrize("joint", [0, 1])
def test_p_values_of_a_component_that_is_not_joint_are_uniform(joint):
    p_values = []
    for seed in range(40):
        model = fitted(simulated(seed, joint), joint + 1, 1 if joint == 0 else 2)
        p_values.append(permutation_test(model, 99, n_components=joint + 1, random_state=seed).p_values[joint])
    # p-values are multiples of 1/100, spread over their steps here
    spread = np.array(p_values) - np.random.default_rng(0).uniform(0, 0.01, size=40)
    assert stats.kstest(spread, "uniform").pvalue > LEAST_P


@pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
def test_joint_components_have_the_smallest_p_value_and_the_next_one_not(estimator):
    data = simulated(0, joint=2)
    model = estimator(joint_rank=2, individual_ranks=2).fit(data)
    test = permutation_test(model, 99, n_components=3, random_state=0)
    np.testing.assert_allclose(test.p_values[:2], 0.01)
    # seeded; by chance 5% of all seeds would be below
    assert test.p_values[2] > 0.05


def test_statistics_of_two_modalities_are_their_canonical_correlations():
    data = simulated(0, joint=1)
    model = fitted(data, 1, 2)
    a, b = (scores / np.sqrt(50) for scores in model.signal_scores_.values())
    test = permutation_test(model, 3, n_components=3, random_state=0)
    np.testing.assert_allclose(test.statistics, 1 + np.linalg.svd(a.T @ b)[1], atol=TWO_ROUTES)


def test_p_values_never_fall_along_the_components():
    test = [permutation_test(fitted(simulated(seed, 0), 3, 0), 19, random_state=0).p_values for seed in range(10)]
    assert np.all(np.diff(test, axis=1) >= 0)


def sharing(seed, shared, n=80):
    """Three modalities with a score of their own each; some of them share another one."""
    rng = np.random.default_rng(seed)
    z, data = rng.normal(size=(n, 1)), {}
    for name in "abc":
        scores = np.hstack([rng.normal(size=(n, 1)), (name in shared) * z])
        data[name] = scores @ rng.normal(size=(2, 30)) + rng.normal(size=(n, 30))
    return data


def test_a_component_of_two_of_three_modalities_is_not_joint():
    p_values = []
    for seed in range(60):
        test = permutation_test(fitted(sharing(seed, "ab"), 1, 1), 49, n_components=1, random_state=seed)
        p_values.append(test.p_values[0])
        assert test.p_values[0] == max(p[0] for p in test.by_modality.values())
        assert max(test.by_modality["a"][0], test.by_modality["b"][0]) == 0.02
    spread = np.array(p_values) - np.random.default_rng(0).uniform(0, 0.02, size=60)
    assert stats.kstest(spread, "uniform").pvalue > LEAST_P


def test_components_of_pairs_of_three_modalities_are_not_joint():
    rng = np.random.default_rng(0)
    z = dict(zip(("ab", "ac", "bc"), rng.normal(size=(3, 100, 1)), strict=True))
    data = {
        name: sum(score @ rng.normal(size=(1, 30)) for pair, score in z.items() if name in pair)
        + 0.5 * rng.normal(size=(100, 30))
        for name in "abc"
    }
    assert permutation_test(fitted(data, 1, 1), 99, n_components=1, random_state=0).p_values[0] > 0.05


@pytest.mark.parametrize("estimator", [AJIVE, HeteroJIVE, JIVE])
def test_a_component_of_all_three_modalities_is_joint(estimator):
    for seed in range(5):
        model = estimator(joint_rank=1, individual_ranks=1).fit(sharing(seed, "abc"))
        test = permutation_test(model, 99, n_components=2, random_state=0)
        assert test.p_values[0] == 0.01
        assert test.p_values[1] > 0.05


def test_permuting_one_of_three_is_the_statistic_of_permuted_samples():
    model = fitted(sharing(0, "abc"), 1, 1)
    test = permutation_test(model, 1, n_components=1, random_state=3)
    a, b, c = (scores / np.sqrt(80) for scores in model.signal_scores_.values())
    expected = [np.hstack([generator(3).permutation(a), b, c]), np.hstack([a, b, c])]
    assert list(test.by_modality) == ["a", "b", "c"]
    np.testing.assert_allclose([test.permuted[0, 0], test.statistics[0]], [np.linalg.norm(x, 2) ** 2 for x in expected])


def test_a_model_without_joint_components_has_no_p_values():
    model = fitted(simulated(0, 0), 0, 2)
    assert permutation_test(model, 5).p_values.shape == (0,)
    with pytest.raises(ValueError, match="joint_rank_ of the model is 0"):
        jackstraw(model, simulated(0, 0), "m0")


def test_more_components_than_the_signal_has_are_refused():
    with pytest.raises(ValueError, match="n_components is 4, but the signal of modality 'm0' has 3"):
        permutation_test(fitted(simulated(0, 1), 1, 2), 5, n_components=4)


def carried(seed, n=60):
    """The first half of the first modality's features carries the joint component, the second half none."""
    rng = np.random.default_rng(seed)
    z, loadings = rng.normal(size=(n, 1)), rng.choice([-1.0, 1.0], size=(1, 60))
    loadings[:, 30:] = 0.0
    return {"a": z @ loadings + rng.normal(size=(n, 60)), "b": z @ rng.normal(size=(1, 40)) + rng.normal(size=(n, 40))}


@pytest.mark.parametrize("estimator", [AJIVE, JIVE])
def test_features_with_the_joint_component_have_smaller_p_values_than_features_without(estimator):
    data = carried(0)
    model = estimator(joint_rank=1, individual_ranks=0).fit(data)
    test = jackstraw(model, data, "a", n_repeats=20, random_state=0)
    # signal and noise of a feature have the same size, which 60 samples nearly always show
    assert (test.q_values[:30] < 0.1).mean() > 0.9
    assert (test.q_values[30:] < 0.1).mean() < 0.1


def test_p_values_of_noise_features_are_uniform():
    p_values = []
    for seed in range(6):
        data = carried(seed)
        p_values.append(jackstraw(fitted(data, 1, 0), data, "a", n_repeats=20, random_state=seed).p_values[30:])
    assert stats.kstest(np.concatenate(p_values), "uniform").pvalue > LEAST_P


def test_a_feature_is_not_significant_only_because_the_joint_scores_are_made_from_it():
    # with two features, each makes half of its modality's scores, and explains itself whatever the other modality is
    rng = np.random.default_rng(0)
    data = {"a": rng.normal(size=(60, 2)), "b": rng.normal(size=(60, 40))}
    model = fitted(data, 1, 0)
    test = jackstraw(model, data, "a", n_repeats=60, share=0.5, random_state=0)
    parametric = stats.f.sf(test.explained / (1 - test.explained) * 58, 1, 58)
    assert parametric.min() < 1e-4
    assert test.p_values.min() > 0.05


def test_single_components_are_tested_and_shapes_and_masks_kept():
    data = carried(0)
    mask = np.ones((6, 10), dtype=bool)
    mask[0, :3] = False
    data = {"a": data["a"].reshape(60, 6, 10), "b": data["b"]}
    model = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, mask={"a": mask}, n_wedin=0, n_random=0).fit(data)
    test = jackstraw(model, data, "a", component=0, n_repeats=5, random_state=0)
    assert test.p_values.shape == (6, 10)
    assert np.all(test.p_values[~mask] == 1.0)
    assert np.all(test.q_values[~mask] == 1.0)
    assert np.median(test.p_values[:3][mask[:3]]) < 0.05


def test_other_features_and_samples_than_those_fitted_are_refused():
    tables = {name: pd.DataFrame(x).add_prefix(f"{name} ") for name, x in carried(0).items()}
    model = fitted(tables, 1, 0)
    with pytest.raises(ValueError, match=r"Modality 'a' lacks 1 of the 60 features .*'a 0' first"):
        jackstraw(model, tables | {"a": tables["a"].rename(columns={"a 0": "age"})}, "a")
    with pytest.raises(ValueError, match=r"The jackstraw test needs the 60 samples .* but was given 50"):
        jackstraw(model, {name: table[:50] for name, table in tables.items()}, "a")


def test_the_same_seed_gives_the_same_p_values():
    data = carried(0)
    model = fitted(data, 1, 0)
    first, second = (jackstraw(model, data, "b", n_repeats=3, random_state=1).p_values for _ in range(2))
    np.testing.assert_array_equal(first, second)
