"""Eigenvectors where LAPACK's fast algorithm fails, and kernels on which it does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from deepjive.deep.geometry import symmetric
from deepjive.deep.geometry.symmetric import eigh, gaussian


def test_the_slow_algorithm_takes_the_place_of_the_fast_one_where_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = np.cov(np.random.default_rng(0).normal(size=(5, 40)))
    values, vectors = np.linalg.eigh(matrix)

    def fails(_: object) -> None:
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr(symmetric.np.linalg, "eigh", fails)
    slow_values, slow_vectors = eigh(matrix)
    np.testing.assert_allclose(slow_values, values, atol=1e-12)  # rounding
    np.testing.assert_allclose(np.abs(np.diag(slow_vectors.T @ vectors)), 1.0, atol=1e-9)  # rounding


def test_a_kernel_has_no_entries_that_are_smaller_than_rounding() -> None:
    points = np.random.default_rng(0).normal(size=(50, 2))
    kernel = gaussian(cdist(points, points, "sqeuclidean"), 0.01)
    assert kernel[kernel > 0].min() >= 1e-16
    assert (kernel == 0).any()
    np.testing.assert_allclose(kernel, np.exp(-cdist(points, points, "sqeuclidean") / 0.02), atol=1e-16)
