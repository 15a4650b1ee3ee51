"""Angles in scores, counted from each image's own beginning."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive.evaluation import cross_prediction
from deepjive.experiments.digits.data.rotation import turned
from deepjive.experiments.digits.rotation_angle import (
    scores_by_angle,
    variance_explained_by_angle,
    variance_explained_in_windows,
)

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


def explained(encode, images, degrees, how=variance_explained_by_angle):
    return how(encode(turned(images, degrees)), degrees, scores_by_angle(encode, images))


def test_an_angle_counted_from_each_images_own_beginning_explains_scores(dots, degrees):
    radians = np.deg2rad(degrees)
    angle = np.column_stack([np.sin(radians), np.cos(radians)])
    assert cross_prediction(angle, places(turned(dots, degrees))) < 0.2
    assert explained(places, dots, degrees) > 0.95
    assert explained(places, dots, degrees, variance_explained_in_windows) > 0.95


def test_scores_that_turning_does_not_change_are_not_explained(dots, degrees):
    own = np.random.default_rng(2).normal(size=(N, 2))
    assert explained(lambda images: own, dots, degrees) < 0.1


def test_each_score_counts_the_same(dots, degrees):
    own = np.random.default_rng(2).normal(size=(N, 1))
    half = explained(lambda images: np.hstack([places(images)[:, :1], 1000.0 * own]), dots, degrees)
    assert half == pytest.approx(0.5, abs=0.15)


def test_scores_that_differ_with_every_turn_are_not_explained(dots, degrees):
    rng = np.random.default_rng(3)
    assert explained(lambda images: rng.normal(size=(N, 2)), dots, degrees) < 0.1


def test_windows_find_in_noise_little_more_than_one_over_the_images_in_half_a_degree():
    rng = np.random.default_rng(4)
    noise, degrees = rng.normal(size=(7200, 1)), rng.uniform(0, 360, 7200)
    constant = np.repeat(noise[:, None], 36, axis=1)  # no beginning can be found, so none is taken
    assert variance_explained_in_windows(noise, degrees, constant) == pytest.approx(1.1 / 10, abs=0.02)


def test_windows_are_counted_from_each_images_own_beginning():
    rng = np.random.default_rng(5)
    degrees, own, grid = rng.uniform(0, 360, 7200), 10.0 * rng.integers(36, size=7200), np.arange(0, 360, 10)
    curves = np.cos(np.deg2rad(grid + own[:, None]))[..., None]
    assert variance_explained_in_windows(np.cos(np.deg2rad(degrees + own))[:, None], degrees, curves) > 0.99
