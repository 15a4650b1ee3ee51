import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances

from deepjive.experiments.omics.regression import (
    at_setting,
    best_setting,
    kernel_ridge_path,
    pls_path,
    ridge_path,
)


@pytest.fixture
def xy():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 60)) + 3.0
    return x[:30], x[:30] @ rng.normal(size=(60, 4)) + rng.normal(size=(30, 4)) + 1.0, x[30:]


def test_the_ridge_path_is_ridge_regression_at_each_penalty(xy):
    x, y, new = xy
    unit = np.square(np.linalg.svd(x - x.mean(axis=0), compute_uv=False)).mean()
    for penalty, predicted in zip((0.01, 1.0, 100.0), ridge_path(x, y, new, (0.01, 1.0, 100.0)), strict=True):
        expected = Ridge(alpha=penalty * unit).fit(x, y).predict(new)
        np.testing.assert_allclose(predicted, expected, atol=1e-8)


def test_the_kernel_ridge_path_is_kernel_ridge_regression(xy):
    x, y, new = xy
    gamma = 0.3 / np.square(pairwise_distances(x)).mean()
    kernel = RBF(np.sqrt(0.5 / gamma))
    mean = y.mean(axis=0)
    expected = mean + KernelRidge(alpha=0.1, kernel="precomputed").fit(kernel(x), y - mean).predict(kernel(new, x))
    [predicted] = kernel_ridge_path(x, y, new, (0.1,), (0.3,))
    np.testing.assert_allclose(predicted, expected, atol=1e-8)


def test_each_step_of_the_pls_path_is_a_fit_with_that_number_of_components(xy):
    x, y, new = xy
    for number, predicted in enumerate(pls_path(x, y, new, 4), start=1):
        expected = PLSRegression(number, scale=False).fit(x, y).predict(new)
        np.testing.assert_allclose(predicted, expected, atol=1e-3)  # NIPALS stops at a tolerance of 1e-6 of weights


def test_inner_folds_choose_a_large_penalty_for_noise_and_a_small_one_for_signal():
    rng = np.random.default_rng(0)
    x, folds = rng.normal(size=(60, 5)), [(np.arange(30), np.arange(30, 60)), (np.arange(30, 60), np.arange(30))]
    signal, noise = x @ rng.normal(size=(5, 3)), rng.normal(size=(60, 3))
    assert best_setting(ridge_path, x, signal, folds) < best_setting(ridge_path, x, noise, folds)
    np.testing.assert_allclose(at_setting(ridge_path, 0, x, signal, x), signal, atol=0.01)
