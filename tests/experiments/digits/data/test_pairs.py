from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import affine_transform, rotate

from deepjive import AJIVE
from deepjive.evaluation import r2
from deepjive.experiments.digits.data.mnist import DigitImages, load_digit_images
from deepjive.experiments.digits.data.overlay import overlay
from deepjive.experiments.digits.data.pairs import measured_on_validation, rotated, same_class, shuffled_pairs
from deepjive.experiments.digits.data.rotation import turned


def test_turning_agrees_with_scipy() -> None:
    images = np.zeros((3, 28, 28))
    images[:, 6:22, 8:20] = np.random.default_rng(0).random((3, 16, 12))
    angles = [-45.0, 10.0, 200.0]
    expected = [rotate(image, angle, reshape=False, order=1) for image, angle in zip(images, angles, strict=True)]
    np.testing.assert_allclose(turned(images, angles), expected, atol=1e-5)  # float32 against float64


def test_shifting_and_scaling_agree_with_scipy() -> None:
    images = np.zeros((3, 28, 28))
    images[:, 9:19, 10:18] = np.random.default_rng(0).random((3, 10, 8))
    angles, sizes, shifts = (
        np.deg2rad([30.0, -10.0, 0.0]),
        np.array([1.1, 0.9, 1.0]),
        np.array([[2, 0], [0, -1.5], [1, 1]]),
    )
    expected = []
    for image, angle, size, shift in zip(images, angles, sizes, shifts, strict=True):
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / size
        expected.append(affine_transform(image, matrix, 13.5 - matrix @ (shift + 13.5), order=1))
    np.testing.assert_allclose(turned(images, np.rad2deg(angles), shifts, sizes), expected, atol=1e-5)


def test_settings_can_be_measured_on_the_validation_pairs(digit_images: DigitImages) -> None:
    pairs = same_class(digit_images, (50, 7, 20))
    halves = measured_on_validation(pairs)
    assert halves.train is pairs.train
    assert (len(halves.validation), len(halves.test)) == (3, 4)
    for name in pairs.validation.data.names:
        both = np.concatenate([halves.validation.data[name], halves.test.data[name]])
        np.testing.assert_array_equal(both, pairs.validation.data[name])
    np.testing.assert_array_equal(np.r_[halves.validation.digit, halves.test.digit], pairs.validation.digit)


def test_pairs_of_a_class_share_the_digit_and_no_image_and_stay_in_their_split(digit_images: DigitImages) -> None:
    pairs = same_class(digit_images, (50, 7, 20), max_angle=0.0)
    assert [len(split) for split in (pairs.train, pairs.validation, pairs.test)] == [50, 7, 20]
    for split, level in ((pairs.train, 0.0), (pairs.validation, 0.3), (pairs.test, 0.6)):
        first = np.asarray(split.data["turned"])
        assert level <= first.min()
        assert first.max() <= level + 0.2
        labelled = {0.0: digit_images.train, 0.3: digit_images.validation, 0.6: digit_images.test}[level]
        found = [int(np.flatnonzero(np.isclose(labelled.images, image).all((1, 2)))[0]) for image in first]
        np.testing.assert_array_equal(labelled.digits[found], split.digit)
        noisy = np.asarray(split.data["noisy"])
        assert noisy.max() <= 1
        above = (noisy[:, None] >= labelled.images[None]).all((2, 3))
        assert all(above[row, labelled.digits == digit].any() for row, digit in enumerate(split.digit))
    again = same_class(digit_images, (50, 7, 20), max_angle=0.0)
    np.testing.assert_array_equal(again.train.data["noisy"], pairs.train.data["noisy"])


def test_rotated_pairs_know_their_angle(digit_images: DigitImages) -> None:
    pairs = rotated(digit_images).test
    angle = np.rad2deg(np.arctan2(pairs.factors["sine"], pairs.factors["cosine"]))
    np.testing.assert_allclose(turned(pairs.data["original"], angle), pairs.data["turned"], atol=1e-4)


def test_shuffled_pairs_keep_each_modality_and_break_the_pairing(digit_images: DigitImages) -> None:
    pairs = same_class(digit_images)
    null = shuffled_pairs(pairs).train
    np.testing.assert_array_equal(null.data["turned"], pairs.train.data["turned"])
    assert not np.array_equal(null.data["noisy"], pairs.train.data["noisy"])
    np.testing.assert_array_equal(np.sort(null.data["noisy"], axis=0), np.sort(pairs.train.data["noisy"], axis=0))


def test_overlaid_sums_are_their_parts_and_linear_of_the_stated_rank() -> None:
    pairs = overlay(load_digit_images(fallback=True), (800, 10, 300), kind="sum", rank=3)
    model = AJIVE(signal_ranks=6, joint_rank=3, individual_ranks=3, random_state=0).fit(pairs.train.data)
    parts = model.decompose(pairs.test.data)
    assert pairs.test.joint is not None
    assert pairs.test.individual is not None
    for name in pairs.test.data.names:
        whole = pairs.test.joint[name] + pairs.test.individual[name]
        np.testing.assert_allclose(whole, pairs.test.data[name], atol=1e-5)
        # Shared and individual digits are correlated by chance, by about 1 / sqrt(800).
        assert r2(pairs.test.joint[name], parts.joint[name]) > 0.99
        assert r2(pairs.test.individual[name], parts.individual[name]) > 0.99


@pytest.mark.parametrize("kind", ["maximum", "inverted"])
def test_parts_of_a_maximum_are_uncorrelated_with_what_they_leave(kind: str) -> None:
    pairs = overlay(load_digit_images(fallback=True), (10, 10, 2000), kind=kind, rank=5)  # type: ignore[arg-type]
    assert pairs.test.joint is not None
    assert pairs.test.individual is not None
    for name in pairs.test.data.names:
        joint, individual = pairs.test.joint[name], pairs.test.individual[name]
        rest = pairs.test.data[name] - joint - individual
        variance = np.var(pairs.test.data[name], axis=0).sum()
        parts = [np.var(part, axis=0).sum() / variance for part in (joint, individual, rest)]
        # Orthogonal, up to the difference between 360 test and 1077 training images.
        assert abs(sum(parts) - 1) < 0.1
        assert parts[2] < 0.2 < min(parts[:2])


def test_an_unknown_kind_is_refused(digit_images: DigitImages) -> None:
    with pytest.raises(ValueError, match="kind is 'product'"):
        overlay(digit_images, kind="product")  # type: ignore[arg-type]
