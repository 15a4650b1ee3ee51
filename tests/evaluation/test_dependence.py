"""The Hilbert-Schmidt independence criterion."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive.evaluation import hsic


def test_scores_on_a_circle_are_dependent_although_uncorrelated() -> None:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 150)
    x, y = np.cos(angle), np.sin(angle)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.15
    assert hsic(x, y, 199, random_state=0).p_value == pytest.approx(1 / 200)


def test_p_values_of_independent_scores_are_uniform() -> None:
    rng = np.random.default_rng(0)
    p = [hsic(rng.normal(size=(40, 2)), rng.normal(size=(40, 1)), 99, random_state=0).p_value for _ in range(200)]
    # 200 draws of a frequency of .05 and of .5: four standard errors
    assert abs(np.mean(np.array(p) <= 0.05) - 0.05) < 0.062
    assert abs(np.mean(np.array(p) <= 0.5) - 0.5) < 0.14


def test_the_statistic_is_the_trace_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 2)), rng.normal(size=(12, 3))

    def kernel(z: np.ndarray) -> np.ndarray:
        squared = ((z[:, None] - z[None]) ** 2).sum(-1)
        return np.exp(-squared / np.median(squared[np.triu_indices(12, 1)]))

    centring = np.eye(12) - 1 / 12
    expected = np.trace(kernel(x) @ centring @ kernel(y) @ centring) / 144
    assert hsic(x, y, 0).value == pytest.approx(expected)


def test_alignment_of_scores_with_themselves_is_1_and_of_constants_0() -> None:
    x = np.random.default_rng(0).normal(size=(50, 2))
    assert hsic(x, 3 * x, 9).alignment == pytest.approx(1.0)
    for constant in (np.ones((50, 1)), np.ones((50, 0))):
        found = hsic(x, constant, 9)
        assert (found.value, found.alignment, found.p_value) == (0.0, 0.0, 1.0)
