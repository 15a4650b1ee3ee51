"""Angles in scores, counted from each image's own beginning."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive.datasets.rotation import turned
from deepjive.evaluation.cross_prediction import cross_prediction
from deepjive.evaluation.turning import explained_by_turning

N = 60


@pytest.fixture(scope="module")
def dots():
    """Dots about the centre, each at a place of its own: what an angle is counted from differs from image to image."""
    images = np.zeros((N, 15, 15))
    images[:, 7, 12] = 1
    return turned(images, np.random.default_rng(0).uniform(0, 360, N))


@pytest.fixture(scope="module")
def degrees():
    return np.random.default_rng(1).uniform(0, 360, N)


def places(images):
    return np.column_stack([images.sum(1) @ np.arange(15.0), images.sum(2) @ np.arange(15.0)])


def test_an_angle_counted_from_each_images_own_beginning_explains_scores(dots, degrees):
    radians = np.deg2rad(degrees)
    angle = np.column_stack([np.sin(radians), np.cos(radians)])
    assert cross_prediction(angle, places(turned(dots, degrees))) < 0.2
    assert explained_by_turning(places, dots, degrees) > 0.95


def test_scores_that_turning_does_not_change_are_not_explained(dots, degrees):
    own = np.random.default_rng(2).normal(size=(N, 2))
    assert explained_by_turning(lambda images: own, dots, degrees) < 0.1


def test_each_score_counts_the_same(dots, degrees):
    own = np.random.default_rng(2).normal(size=(N, 1))
    half = explained_by_turning(lambda images: np.hstack([places(images)[:, :1], 1000.0 * own]), dots, degrees)
    assert half == pytest.approx(0.5, abs=0.15)


def test_scores_that_differ_with_every_turn_are_not_explained(dots, degrees):
    rng = np.random.default_rng(3)
    assert explained_by_turning(lambda images: rng.normal(size=(N, 2)), dots, degrees) < 0.1
