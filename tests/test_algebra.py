"""Decompositions where LAPACK's fast algorithm fails."""

import numpy as np
import pytest
from scipy import linalg

from deepjive import AJIVE
from deepjive.algebra import thin_svd
from deepjive.linear.device import eigh


@pytest.fixture
def failing(monkeypatch):
    """The fast algorithms fail, as they do on a few matrices."""
    svd, of_symmetric = linalg.svd, linalg.eigh

    def slow_svd(matrix, full_matrices=True, lapack_driver="gesdd"):
        if lapack_driver == "gesdd":
            raise np.linalg.LinAlgError("SVD did not converge")
        return svd(matrix, full_matrices=full_matrices, lapack_driver=lapack_driver)

    def slow_eigh(matrix, *arguments, driver=None, **options):
        if driver == "evd":
            raise np.linalg.LinAlgError("Eigenvalues did not converge")
        return of_symmetric(matrix, *arguments, driver=driver, **options)

    monkeypatch.setattr(linalg, "svd", slow_svd)
    monkeypatch.setattr(linalg, "eigh", slow_eigh)


def test_the_slow_algorithm_takes_the_place_of_the_fast_one(failing):
    x = np.random.default_rng(0).normal(size=(6, 4))
    left, values, right = thin_svd(x)
    assert np.allclose(left * values @ right, x)
    squares, vectors = eigh(x.T @ x, "cpu")
    assert np.allclose(np.sqrt(squares[::-1]), values)
    assert np.allclose(vectors * squares @ vectors.T, x.T @ x)


def test_missing_values_are_named():
    with pytest.raises(ValueError, match="infs or NaNs"):
        thin_svd(np.array([[np.nan, 1.0]]))


@pytest.mark.parametrize("subsets", [None, "auto"])
def test_a_fit_does_not_hang_on_the_algorithm(failing, subsets):
    rng = np.random.default_rng(0)
    joint, pair = rng.normal(size=(2, 60, 1))
    data = {name: joint @ rng.normal(size=(1, 8)) + 0.3 * rng.normal(size=(60, 8)) for name in "abc"}
    for name in "ab":
        data[name] = data[name] + pair @ rng.normal(size=(1, 8))
    model = AJIVE(subsets=subsets, random_state=0).fit(data)
    assert model.joint_rank_ >= 1
