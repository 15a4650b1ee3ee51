from __future__ import annotations

import numpy as np
import pytest

from deepjive.experiments.benchmark.data import BACKGROUNDS, background_of, coarse, crops, digits_over_backgrounds
from deepjive.experiments.digits.data.mnist import DigitImages, LabelledImages


@pytest.fixture
def plain_digits() -> DigitImages:
    """Ten images of each split that are blank but for one pixel of full ink, whose column is the digit."""

    def split(row: int) -> LabelledImages:
        images = np.zeros((10, 6, 6), dtype=np.float32)
        digits = np.arange(10) % 5
        images[np.arange(10), row, digits] = 1
        return LabelledImages(images, digits)

    return DigitImages(split(0), split(1), split(2), "test")


def test_each_view_is_a_background_that_the_ink_of_the_digit_inverts(plain_digits):
    samples = digits_over_backgrounds(plain_digits, 3, random_state=0).test
    assert samples.data.names == ("pagoda", "flower", "portrait")
    for name in samples.data.names:
        view = np.asarray(samples.data[name])
        inverted = view.copy()
        rows = np.arange(len(view))
        inverted[rows, 2, samples.digit] = 1 - view[rows, 2, samples.digit]
        windows = np.lib.stride_tricks.sliding_window_view(background_of(name), (6, 6)).reshape(-1, 36)
        distance = np.abs(windows[:, None] - inverted.reshape(1, -1, 36)).max(axis=2).min(axis=0)
        assert distance.max() < 1e-6
        np.testing.assert_allclose(samples.factors[f"background of {name}"], coarse(inverted), atol=1e-6)


def test_views_show_other_images_of_the_digit_and_seeds_give_other_samples():
    rng = np.random.default_rng(0)
    images = LabelledImages(rng.random((40, 8, 8), dtype=np.float32), np.arange(40) % 2)
    splits = DigitImages(images, images, images, "test")
    first, again, other = (digits_over_backgrounds(splits, 2, random_state=seed).train for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.data["flower"], again.data["flower"])
    assert not np.array_equal(first.data["flower"], other.data["flower"])
    assert np.corrcoef(*(np.asarray(first.data[name]).ravel() for name in first.data))[0, 1] < 0.2


def test_every_background_has_many_crops():
    for name in BACKGROUNDS:
        background = background_of(name)
        assert 0 <= background.min() < background.max() <= 1
        drawn = crops(background, (28, 28), 50, np.random.default_rng(0))
        assert drawn.shape == (50, 28, 28)
        assert len(np.unique(drawn.mean(axis=(1, 2)))) > 40


def test_the_coarse_background_is_the_mean_of_cells_of_any_size():
    image = np.arange(49, dtype=float).reshape(1, 7, 7)
    cells = [
        image[0, a:b, c:d].mean()
        for a, b in ((0, 1), (1, 3), (3, 5), (5, 7))
        for c, d in ((0, 1), (1, 3), (3, 5), (5, 7))
    ]
    np.testing.assert_allclose(coarse(image)[0], cells)


@pytest.mark.parametrize("n_views", [1, 6])
def test_there_are_two_to_five_views(plain_digits, n_views):
    with pytest.raises(ValueError, match=f"n_views is {n_views}, but must be from 2 to 5"):
        digits_over_backgrounds(plain_digits, n_views)
