"""Pairs of turned digits."""

from __future__ import annotations

import numpy as np

from deepjive.datasets import load_paired_digits


def test_pairs_share_the_digit_and_training_shares_no_image_with_test() -> None:
    train, test = load_paired_digits(400, 200, max_angle=0.0, random_state=3)

    def images(pairs):
        return {image.tobytes() for array in pairs.data.values() for image in array}

    assert not images(train) & images(test)
    assert all((one != other).any() for one, other in zip(*train.data.values(), strict=True))


def test_the_same_seed_gives_the_same_pairs() -> None:
    (train, _), (again, _) = (load_paired_digits(50, 10, random_state=3) for _ in range(2))
    assert (train.digit == again.digit).all()
    assert (train.data["second"] == again.data["second"]).all()


def test_each_image_has_its_own_angle_within_the_limit() -> None:
    pairs, _ = load_paired_digits(500, 10, max_angle=60.0, random_state=0)
    first, second = pairs.angle.values()
    assert 55 < np.abs([first, second]).max() <= 60
    # the standard error of a correlation of 500 independent pairs is 0.045
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.18


def test_a_positive_angle_turns_counter_clockwise() -> None:
    from deepjive.datasets.digits import _turned

    image = np.zeros((1, 8, 8))
    image[0, 3:5, 6:] = 1.0  # right of the centre
    turned = _turned(image, np.array([90.0]))[0]
    assert turned[:6].sum() > 0.99 * turned.sum()


def test_turning_keeps_the_ink_within_the_frame() -> None:
    upright, _ = load_paired_digits(200, 10, max_angle=0.0, random_state=0)
    turned, _ = load_paired_digits(200, 10, max_angle=90.0, random_state=0)
    ink = [pairs.data["first"].sum() for pairs in (upright, turned)]
    # strokes at the corners of an image may leave the frame
    assert abs(ink[1] / ink[0] - 1) < 0.02
