import numpy as np
import pytest

import deepjive as dj
from deepjive import AJIVE, HeteroJIVE
from deepjive.linear.heterojive import subspace_error
from tests.linear.tolerances import TWO_ROUTES


def modalities(seed, noise, n=80, d=120):
    """Two joint and one individual component in each modality, and white noise of the given sizes."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    data = {}
    for k, size in enumerate(noise):
        scores = np.hstack([z, rng.normal(size=(n, 1))])
        data[f"m{k}"] = scores @ rng.normal(size=(3, d)) + size * rng.normal(size=(n, d))
    return data, np.linalg.qr(z - z.mean(axis=0))[0]


def error(model, truth):
    """Mean squared sine between fitted and true joint scores."""
    return 1 - np.linalg.norm(truth.T @ model.common_normalized_scores_) ** 2 / truth.shape[1]


def paired_errors(noise, simulations):
    pairs = []
    for seed in range(simulations):
        data, truth = modalities(seed, noise)
        models = (cls(signal_ranks=3, joint_rank=2, n_wedin=0, n_random=0).fit(data) for cls in (AJIVE, HeteroJIVE))
        pairs.append([error(model, truth) for model in models])
    return np.array(pairs)


@pytest.mark.parametrize("shape", [(100, 300), (300, 100)])
@pytest.mark.parametrize("strength", [16.0, 25.0, 60.0])
def test_subspace_error_is_that_of_simulations(shape, strength):
    rng = np.random.default_rng(0)
    true, estimated = [], []
    for _ in range(15):
        u, v = (np.linalg.qr(rng.normal(size=(size, 2)))[0] for size in shape)
        x = 2 * strength * u @ v.T + rng.normal(size=shape)
        left, values, _ = np.linalg.svd(x, full_matrices=False)
        true.append(1 - np.linalg.norm(u.T @ left[:, :2]) ** 2 / 2)
        estimated.append(subspace_error(values, 2, *shape))
    # the mean of 15 draws of an error that varies by about a fifth
    assert np.mean(estimated) == pytest.approx(np.mean(true), rel=0.15)


def test_noise_has_subspace_error_1():
    values = np.linalg.svd(np.random.default_rng(0).normal(size=(50, 200)), compute_uv=False)
    # some singular values of noise exceed the limit of detection a little
    assert subspace_error(values, 3, 50, 200) > 0.9
    assert subspace_error(values, 0, 50, 200) == 1.0


def test_noise_free_modality_has_subspace_error_0():
    assert subspace_error(np.array([2.0, 1.0, 0.0, 0.0, 0.0]), 2, 5, 9) == 0.0


def test_a_modality_of_which_only_rounding_is_left_has_subspace_error_0():
    values = np.array([9.0, 1e-15, 1e-31, 1e-48, 1e-78, 1e-96, 1e-113, 1e-120, 1e-170, 1e-180, 1e-190, 1e-200])
    assert subspace_error(values, 1, 26, 12) == 0.0


def test_joint_scores_are_better_than_of_ajive_where_noise_differs():
    pairs = paired_errors(np.geomspace(0.6, 6.0, 8), 10)
    assert (pairs[:, 1] < pairs[:, 0]).all()
    assert pairs[:, 1].mean() < 0.5 * pairs[:, 0].mean()


def test_joint_scores_are_those_of_ajive_where_noise_does_not_differ():
    pairs = paired_errors(np.full(8, 2.0), 10)
    # weights estimated from equal modalities differ by a few percent, which is of second order in the error
    assert pairs[:, 1].mean() == pytest.approx(pairs[:, 0].mean(), rel=0.02)


def test_weights_are_inverse_to_the_errors_and_add_up_to_the_number_of_modalities():
    data, _ = modalities(0, [1.0, 2.0, 4.0])
    model = HeteroJIVE(signal_ranks=3, random_state=0).fit(data)
    products = model.weights_ * np.array(list(model.subspace_errors_.values()))
    np.testing.assert_allclose(products, products[0])
    assert model.weights_.sum() == pytest.approx(3)
    assert (np.diff(model.weights_) < 0).all()


def test_a_noisy_modality_does_not_prevent_joint_components():
    data, _ = modalities(0, [0.5, 0.5, 0.5, 8.0])
    ranks = {cls: cls(signal_ranks=3, random_state=0).fit(data).joint_rank_ for cls in (AJIVE, HeteroJIVE)}
    assert ranks == {AJIVE: 0, HeteroJIVE: 2}


def test_joint_rank_is_0_without_joint_structure():
    rng = np.random.default_rng(0)
    data = {
        f"m{k}": rng.normal(size=(80, 2)) @ rng.normal(size=(2, 100)) + size * rng.normal(size=(80, 100))
        for k, size in enumerate([0.5, 1.0, 4.0])
    }
    assert HeteroJIVE(signal_ranks=2, random_state=0).fit(data).joint_rank_ == 0


def test_transform_of_the_fitted_samples_gives_the_scores_of_the_fit(tmp_path):
    data, _ = modalities(0, [1.0, 3.0])
    model = HeteroJIVE(random_state=0).fit(data)
    np.testing.assert_allclose(model.transform(data), model.joint_scores_, atol=TWO_ROUTES)
    model.save(tmp_path / "model")
    loaded = dj.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(data), model.transform(data))
    np.testing.assert_array_equal(loaded.weights_, model.weights_)
