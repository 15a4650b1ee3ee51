from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from deepjive import Modalities
from deepjive.experiments.digits.data import fresh
from deepjive.experiments.digits.data.fresh import LEVELS, Level, fresh_pairs
from deepjive.experiments.digits.data.mnist import DigitImages, LabelledImages
from deepjive.experiments.digits.data.pairs import Pairs, same_class

ROWS = np.array([30, 4, 4, 11, 0])


@pytest.fixture
def pairs(digit_images: DigitImages) -> Pairs:
    return same_class(digit_images, (50, 7, 20)).train


@pytest.fixture
def _unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images without rotation, moves and noise, so that it can be seen which images they are."""
    for name in ("MAX_ANGLE", "SHIFT", "ZOOM", "TURN"):
        monkeypatch.setattr(fresh, name, 0.0)
    monkeypatch.setattr(fresh, "with_noise", lambda images, rng: images)


def _fresh(images: DigitImages, pairs: Pairs, level: Level) -> Modalities:
    assert pairs.rows is not None
    return fresh_pairs(images.train, pairs.rows, level)


def _numbers(labelled: LabelledImages, images: NDArray) -> NDArray[np.intp]:
    """Which of the labelled images each image is."""
    same = np.isclose(images[:, None], labelled.images[None], atol=1e-5).all((2, 3))
    assert (same.sum(axis=1) == 1).all()
    return same.argmax(axis=1)


@pytest.mark.parametrize("level", LEVELS)
def test_each_reading_draws_anew_and_a_seed_repeats_the_draws(
    digit_images: DigitImages, pairs: Pairs, level: Level
) -> None:
    drawn, again = (_fresh(digit_images, pairs, level) for _ in range(2))
    assert drawn.shapes == pairs.data.shapes
    assert len(drawn) == len(pairs)
    for name in drawn.names:
        first, second = (drawn.rows(name, ROWS) for _ in range(2))
        assert not np.isclose(first, second).all((1, 2)).any()
        for images in (first, second):
            np.testing.assert_array_equal(again.rows(name, ROWS), images)


@pytest.mark.usefixtures("_unchanged")
@pytest.mark.parametrize("level", ["draws", "moves"])
def test_without_new_partners_the_images_of_a_pair_stay_the_same(
    digit_images: DigitImages, pairs: Pairs, level: Level
) -> None:
    drawn = _fresh(digit_images, pairs, level)
    for name in drawn.names:
        numbers = _numbers(digit_images.train, drawn.rows(name, ROWS))
        np.testing.assert_array_equal(numbers, (pairs.rows or {})[name][ROWS])


@pytest.mark.usefixtures("_unchanged")
def test_new_partners_are_other_training_images_of_the_digit(digit_images: DigitImages, pairs: Pairs) -> None:
    drawn = _fresh(digit_images, pairs, "partners")
    first = _numbers(digit_images.train, drawn.rows("turned", ROWS))
    np.testing.assert_array_equal(first, (pairs.rows or {})["turned"][ROWS])
    partners = np.stack([_numbers(digit_images.train, drawn.rows("noisy", ROWS)) for _ in range(30)])
    assert (digit_images.train.digits[partners] == pairs.digit[ROWS]).all()
    assert (partners != first).all()
    assert all(len(np.unique(column)) == 3 for column in partners.T)  # of four images of the digit


def test_the_rows_of_pairs_are_the_images_that_they_show(digit_images: DigitImages) -> None:
    pairs = same_class(digit_images, (50, 7, 20), max_angle=0.0).train
    rows = pairs.rows or {}
    np.testing.assert_allclose(pairs.data["turned"], digit_images.train.images[rows["turned"]], atol=1e-6)
    assert (np.asarray(pairs.data["noisy"]) >= digit_images.train.images[rows["noisy"]]).all()
    assert (rows["noisy"] != rows["turned"]).all()
