"""Triples of digits in which each pair of images shares something else."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from deepjive.experiments.digits.data.mnist import LabelledImages
from deepjive.experiments.digits.data.triples import triples


@pytest.fixture(scope="module")
def images() -> LabelledImages:
    flat, digits = load_digits(return_X_y=True)
    return LabelledImages((flat.reshape(-1, 8, 8) / 16.0).astype(np.float32), digits)


def test_two_modalities_show_one_hue_and_the_third_its_own(images):
    made = triples(images, 200, block=1, max_angle=0.0, noise=0.0)
    hue = {}
    for name, x in made.data.items():
        ink = np.asarray(x).sum(axis=(2, 3))
        hue[name] = np.angle(ink @ np.exp(2j * np.pi * np.arange(3) / 3))
    shared = np.arctan2(made.factors["colour"][:, 1], made.factors["colour"][:, 0])
    for name in ("two", "three"):
        np.testing.assert_allclose(np.exp(1j * hue[name]), np.exp(1j * shared), atol=1e-4)
    assert abs(np.mean(np.exp(1j * (hue["one"] - shared)))) < 0.2


def test_images_of_a_triple_differ_and_first_and_second_show_one_digit(images):
    made = triples(images, 200, block=1, max_angle=0.0, noise=0.0)
    ink = {name: np.asarray(x).sum(axis=1) for name, x in made.data.items()}
    assert not any(np.allclose(ink["one"][i], ink["two"][i]) for i in range(200))
    mean = np.stack([ink["one"][made.factors["digit"] == digit].mean(axis=0) for digit in range(10)])
    distance = np.square(ink["two"][:, None] - mean).sum(axis=(2, 3))
    assert np.mean(distance.argmin(axis=1) == made.factors["digit"]) > 0.7
    distance = np.square(ink["three"][:, None] - mean).sum(axis=(2, 3))
    assert np.mean(distance.argmin(axis=1) == made.factors["digit"]) < 0.25


def test_angles_are_those_of_the_images(images):
    still, made = (triples(images, 50, block=1, max_angle=angle, noise=0.0) for angle in (0.0, 45.0))
    assert np.abs(made.factors["angle"]).max() > 40
    assert not np.allclose(still.data["three"], made.data["three"])


def test_seeds_give_the_same_triples(images):
    one, other = triples(images, 20, block=1), triples(images, 20, block=1)
    np.testing.assert_array_equal(one.data["two"], other.data["two"])
    assert not np.array_equal(one.data["two"], triples(images, 20, block=1, random_state=1).data["two"])
