"""Images of handwritten digits, split into training, validation and test images once and for all.

MNIST is read from its four files on disk. scikit-learn's 1797 digits of 8 x 8 pixels stand in where they are absent
and the caller allows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.experiments.digits.data.folders import data_folder
from deepjive.experiments.digits.data.idx import read_idx

FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")} | {
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
}
VALIDATION = 10_000
HOW = (
    "MNIST's four files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte, with or without .gz) are offered in many places, among them "
    "https://ossci-datasets.s3.amazonaws.com/mnist/."
)

WRONG_ARRAYS = (
    "{folder} does not hold MNIST: its {split} images have shape {images} and their labels {labels}, but "
    "(n, 28, 28) and (n,) are expected, with n the same for both and labels from 0 to 9."
)


@dataclass(frozen=True)
class LabelledImages:
    """Images and what they show.

    Attributes
    ----------
    images : array of float32, shape (n, height, width)
        Ink from 0 to 1.
    digits : array of int, shape (n,)
        The digit of each.
    """

    images: NDArray[Any]
    digits: NDArray[np.int_]

    def __len__(self) -> int:
        return len(self.digits)


@dataclass(frozen=True)
class DigitImages:
    """Digits in three splits; an image is in one of them only.

    Attributes
    ----------
    train, validation, test : LabelledImages
        The splits.
    source : {"MNIST", "scikit-learn"}
        Where they are from.
    """

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    source: str


def load_digit_images(
    folder: str | Path | None = None, *, fallback: bool = False, random_state: int | None = 0
) -> DigitImages:
    """Load MNIST: 50,000 training, 10,000 validation and its own 10,000 test images.

    Parameters
    ----------
    folder : path, optional
        Folder of the four files, plain or gzipped; by default ``mnist`` in the folder that the environment variable
        ``DEEPJIVE_DATA`` names.
    fallback : bool
        Whether to take scikit-learn's digits, 1077, 360 and 360 images of 8 x 8 pixels, where MNIST is absent and no
        folder was given.
    random_state : int or None
        Seed of the split into training and validation images.

    Returns
    -------
    DigitImages

    Raises
    ------
    FileNotFoundError
        If the files are not there; the error says where they can be had and where to put them.
    ValueError
        If they hold something else.
    """
    rng = np.random.default_rng(random_state)
    try:
        found = data_folder("mnist", folder, FILES["train"][0], HOW)
    except FileNotFoundError:
        if not fallback or folder is not None:
            raise
        return _scikit_learn(rng)
    both = _mnist(found, "train")
    order = rng.permutation(len(both))
    held_out = min(VALIDATION, len(both) // 6)
    return DigitImages(_rows(both, order[held_out:]), _rows(both, order[:held_out]), _mnist(found, "test"), "MNIST")


def _mnist(folder: Path, split: str) -> LabelledImages:
    images, digits = (
        read_idx(next(path for path in (folder / name, folder / f"{name}.gz") if path.is_file()))
        for name in _present(folder, split)
    )
    fits = images.ndim == 3 and images.shape[1:] == (28, 28) and digits.shape == images.shape[:1]
    if not fits or digits.max(initial=0) > 9:
        raise ValueError(WRONG_ARRAYS.format(folder=folder, split=split, images=images.shape, labels=digits.shape))
    return LabelledImages(images / np.float32(255), digits.astype(np.int_))


def _present(folder: Path, split: str) -> tuple[str, ...]:
    for name in FILES[split]:
        data_folder("mnist", folder, name, HOW)
    return FILES[split]


def _scikit_learn(rng: np.random.Generator) -> DigitImages:
    from sklearn.datasets import load_digits

    flat, digits = load_digits(return_X_y=True)
    every = LabelledImages((flat.reshape(-1, 8, 8) / 16.0).astype(np.float32), digits.astype(np.int_))
    order = rng.permutation(len(digits))
    return DigitImages(
        _rows(every, order[720:]), _rows(every, order[:360]), _rows(every, order[360:720]), "scikit-learn"
    )


def _rows(labelled: LabelledImages, rows: NDArray[np.intp]) -> LabelledImages:
    return LabelledImages(labelled.images[rows], labelled.digits[rows])
