from __future__ import annotations

import numpy as np
import pytest

from deepjive.experiments.digits.classes import cluster_error, svm_error

RNG = np.random.default_rng(0)


def _split(n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Five classes around the corners of a pentagon, then a score of nothing."""
    classes = RNG.integers(5, size=n)
    angle = 2 * np.pi * classes / 5
    scores = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(n)]) + noise * RNG.normal(size=(n, 3))
    return scores, classes


def test_classes_that_scores_tell_are_told_and_clustered() -> None:
    train, validation, test = (_split(300, 0.1) for _ in range(3))
    assert svm_error(train, validation, test) < 0.02
    assert cluster_error(*test) < 0.02


def test_scores_that_say_nothing_err_as_often_as_guessing() -> None:
    splits = [(RNG.normal(size=(300, 2)), RNG.integers(5, size=300)) for _ in range(3)]
    assert svm_error(*splits) == pytest.approx(0.8, abs=0.1)
    assert cluster_error(*splits[2]) > 0.6


def test_without_scores_the_most_frequent_class_is_named() -> None:
    classes = np.array([0, 0, 1])
    assert svm_error(*[(np.zeros((3, 0)), classes)] * 3) == pytest.approx(1 / 3)
