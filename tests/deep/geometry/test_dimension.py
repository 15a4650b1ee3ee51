"""Dimensions of sheets of known shape."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from deepjive.deep.geometry import dimension
from deepjive.deep.geometry.dimension import local_dimension, sheet_dimension

RNG = np.random.default_rng(0)
ONE, TWO = RNG.uniform(-1.0, 1.0, size=(2, 600))
SLOPES = np.random.default_rng(5).normal(size=(3, 6))
BENT = {
    "spiral": (1, [(3 + 2 * ONE) * np.cos(6 * ONE), (3 + 2 * ONE) * np.sin(6 * ONE)]),
    "circle": (1, [np.cos(np.pi * ONE), np.sin(np.pi * ONE)]),
    "wave": (1, [np.sin(w * ONE + w) for w in range(1, 8)]),
    "network": (2, list(np.tanh(np.outer(SLOPES[0], ONE) + np.outer(SLOPES[1], TWO) + SLOPES[2][:, None]))),
    "waves": (2, [np.sin(w * ONE + v * TWO + w) for w in range(1, 4) for v in range(3)]),
}


def principal(columns: list[NDArray], noise: float) -> NDArray:
    """Columns with noise, turned to their principal directions."""
    points = np.column_stack(columns)
    points = points - points.mean(axis=0)
    points = points + noise * points.std() * np.random.default_rng(1).normal(size=points.shape)
    return points @ np.linalg.svd(points, full_matrices=False)[2].T


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("shape", BENT)
def test_a_bent_sheet_has_its_own_dimension(shape: str, noise: float) -> None:
    expected, columns = BENT[shape]
    assert sheet_dimension(principal(columns, noise), seed=0) == expected


@pytest.mark.parametrize("n_dimensions", [1, 2, 3, 5, 8])
def test_what_is_straight_has_all_its_dimensions(n_dimensions: int) -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(500, n_dimensions)) * np.linspace(3.0, 0.5, n_dimensions)
    assert sheet_dimension(scores, seed=0) == n_dimensions


@pytest.mark.parametrize("seed", [2, 3, 4, 5, 7])
def test_a_noisy_bow_in_a_plane_is_a_curve_and_a_disc_is_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    along = rng.uniform(-1.0, 1.0, 400)
    bow = np.column_stack([along, 1.3 * along**2]) + 0.14 * rng.normal(size=(400, 2))
    assert sheet_dimension(principal(list(bow.T), 0.0), seed=0) == 1
    angle, radius = rng.uniform(-np.pi, np.pi, 400), np.sqrt(rng.uniform(size=400))
    assert sheet_dimension(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), seed=0) == 2


def test_samples_that_occur_twice_are_no_obstacle() -> None:
    points = principal(BENT["wave"][1], 0.1)
    assert sheet_dimension(np.concatenate([points, points[:200]]), seed=0) == 1
    assert 0 < local_dimension(np.repeat(points, 2, axis=0)) < 2


@pytest.mark.parametrize("rounding", [0.0, 1e-16])
def test_a_sample_far_from_all_others_changes_nothing(rounding: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of SciPy differ in whether a mode is exactly 0 at this sample."""
    leading = dimension._leading
    monkeypatch.setattr(dimension, "_leading", lambda *words: leading(*words) + rounding)
    points = principal(BENT["wave"][1], 0.1)
    assert sheet_dimension(np.concatenate([points, np.full((1, 7), 1e4)]), seed=0) == 1


def test_few_samples_say_nothing_of_a_sheet() -> None:
    assert sheet_dimension(principal(BENT["circle"][1], 0.0)[:10], seed=0) == 2
