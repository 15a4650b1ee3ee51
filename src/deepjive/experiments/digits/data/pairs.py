"""Pairs of digit images whose joint variation is known.

- same_class  two images of one digit, the first rotated by up to 45 degrees, the second with uniform noise: the "noisy
              MNIST" of Wang, Arora, Livescu and Bilmes (2015, On deep multi-view representation learning, ICML)
- rotated     one image twice, the second rotated by any angle (Koukuntla et al. 2024, arXiv 2408.12091)
- overlay     a shared image with a different image laid over it in each modality; the true parts are known in every
              pixel (`deepjive.experiments.digits.data.overlay`)
- image_sound an image and a recording of one digit (`deepjive.experiments.digits.data.spoken`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.experiments.digits.data.mnist import DigitImages, LabelledImages
from deepjive.experiments.digits.data.rotation import turned

SPLITS = ("train", "validation", "test")
MAX_ANGLE = 45.0
Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class Pairs:
    """Pairs with their labels, and with the true parts where these are known.

    Attributes
    ----------
    data : Modalities
        Two modalities.
    digit : array of int, shape (n,)
        The digit that both modalities of a pair show.
    factors : dict of str to array, shape (n,)
        Other known factors of each pair, such as the angle of its second image.
    joint, individual : dict of str to array, or None
        The true parts; the joint part contains the mean. None where they are not known.
    rows : dict of str to array of int, shape (n,), or None
        For each modality the images of the split that its images were made from. None where they are not needed.
    """

    data: Modalities
    digit: NDArray[np.int_]
    factors: dict[str, NDArray] = field(default_factory=dict)
    joint: dict[str, NDArray] | None = None
    individual: dict[str, NDArray] | None = None
    rows: dict[str, NDArray[np.intp]] | None = None

    def __len__(self) -> int:
        return len(self.digit)


@dataclass(frozen=True)
class PairedSplits:
    """Training, validation and test pairs; no image is in two of the splits."""

    train: Pairs
    validation: Pairs
    test: Pairs


def same_class(
    images: DigitImages, sizes: Sizes | None = None, *, max_angle: float = MAX_ANGLE, random_state: int = 0
) -> PairedSplits:
    """Pair two images of one digit: "turned" is rotated by a random angle, "noisy" is another image of the digit.

    Uniform noise from 0 to 1 is added to the second image, and values above 1 are set to 1.

    Parameters
    ----------
    images : DigitImages
        Images from `load_digit_images`.
    sizes : (train, validation, test), optional
        Numbers of pairs; by default one pair for each image. With fewer images than pairs, images are repeated.
    max_angle : float, default=45.0
        Largest rotation of the first image, in degrees.
    random_state : int, default=0
        Seed of angles, noise and pairing.

    Returns
    -------
    PairedSplits
        Pairs with the factor "angle", in degrees.
    """

    def paired(split: LabelledImages, rows: NDArray[np.intp], rng: np.random.Generator) -> Pairs:
        angle = rng.uniform(-max_angle, max_angle, len(rows)).astype(np.float32)
        partners = same_digit(split.digits, rows, rng)
        noisy = with_noise(split.images[partners], rng)
        data = Modalities({"turned": turned(split.images[rows], angle), "noisy": noisy})
        return Pairs(data, split.digits[rows], {"angle": angle}, rows={"turned": rows, "noisy": partners})

    return in_splits(images, sizes, paired, random_state)


def rotated(images: DigitImages, sizes: Sizes | None = None, *, random_state: int = 0) -> PairedSplits:
    """Pair each image with the same image rotated by any angle; the individual variation of "turned" is the angle.

    The modality "original" has no individual variation.

    Parameters
    ----------
    images, sizes, random_state
        See `same_class`.

    Returns
    -------
    PairedSplits
        Pairs with the factors "sine" and "cosine" of the angle, because angles are periodic.
    """

    def paired(split: LabelledImages, rows: NDArray[np.intp], rng: np.random.Generator) -> Pairs:
        angle = rng.uniform(0, 360, len(rows)).astype(np.float32)
        data = Modalities({"original": split.images[rows], "turned": turned(split.images[rows], angle)})
        return Pairs(data, split.digits[rows], {"sine": np.sin(np.deg2rad(angle)), "cosine": np.cos(np.deg2rad(angle))})

    return in_splits(images, sizes, paired, random_state)


def shuffled_pairs(splits: PairedSplits, random_state: int = 0) -> PairedSplits:
    """Pairs with a permuted second modality, so that there is no joint structure: the null distribution of a method.

    The attribute `digit` is the digit of the first modality.

    Parameters
    ----------
    splits : PairedSplits
        True pairs.
    random_state : int, default=0
        Seed of the permutations.

    Returns
    -------
    PairedSplits
    """
    rng = np.random.default_rng(random_state)

    def shuffled(pairs: Pairs) -> Pairs:
        first, second = pairs.data.names
        order = rng.permutation(len(pairs))
        arrays: Mapping[str, NDArray] = {first: pairs.data[first], second: np.asarray(pairs.data[second])[order]}
        return replace(pairs, data=Modalities(dict(arrays)), joint=None, individual=None, rows=None)

    return PairedSplits(*(shuffled(getattr(splits, split)) for split in SPLITS))


def measured_on_validation(splits: PairedSplits) -> PairedSplits:
    """Pairs in which the second half of the validation pairs replaces the test pairs, to choose settings on.

    Parameters
    ----------
    splits : PairedSplits
        Pairs without true parts.

    Returns
    -------
    PairedSplits
        The same training pairs, and the two halves of the validation pairs.
    """
    whole = splits.validation
    halves = (slice(None, len(whole) // 2), slice(len(whole) // 2, None))
    first, second = (
        Pairs(whole.data[half], whole.digit[half], {name: values[half] for name, values in whole.factors.items()})
        for half in halves
    )
    return PairedSplits(splits.train, first, second)


def in_splits(
    images: DigitImages,
    sizes: Sizes | None,
    paired: Callable[[LabelledImages, NDArray[np.intp], np.random.Generator], Pairs],
    random_state: int,
) -> PairedSplits:
    """Pairs of each split, made by ``paired(images, rows, rng)``; `rows` are of the first image of each pair.

    Each split has a separate random generator.
    """
    seeds = np.random.SeedSequence(random_state).spawn(len(SPLITS))
    pairs = []
    for number, (split, seed) in enumerate(zip(SPLITS, seeds, strict=True)):
        labelled, rng = getattr(images, split), np.random.default_rng(seed)
        n = len(labelled) if sizes is None else sizes[number]
        rows = np.concatenate([rng.permutation(len(labelled)) for _ in range(-(-n // len(labelled)))])[:n]
        pairs.append(paired(labelled, rows, rng))
    return PairedSplits(*pairs)


def with_noise(images: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
    """Images plus uniform noise from 0 to 1; values above 1 are set to 1."""
    return np.minimum(images + rng.random(images.shape, dtype=np.float32), 1)


def same_digit(digits: NDArray, rows: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """For each row another row of the same digit, drawn at random."""
    partners = np.empty_like(rows)
    for digit in np.unique(digits[rows]):
        members, places = np.flatnonzero(digits == digit), np.flatnonzero(digits[rows] == digit)
        shift = rng.integers(1, max(len(members), 2), size=len(places))
        partners[places] = members[(np.searchsorted(members, rows[places]) + shift) % len(members)]
    return partners
