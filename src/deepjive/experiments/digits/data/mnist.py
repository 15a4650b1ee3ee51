"""Images of handwritten digits in fixed training, validation and test splits.

MNIST is read from its four files on disk. Where the files are absent and the caller allows it, scikit-learn's 1797
digits of 8 x 8 pixels are used instead.
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
    "t10k-labels-idx1-ubyte, with or without .gz) can be downloaded from "
    "https://ossci-datasets.s3.amazonaws.com/mnist/ and other places."
)

WRONG_ARRAYS = (
    "{folder} does not hold MNIST: its {split} images have shape {images} and their labels {labels}, but "
    "(n, 28, 28) and (n,) are expected, with n the same for both and labels from 0 to 9."
)


@dataclass(frozen=True)
class LabelledImages:
    """Images of digits with their labels.

    Attributes
    ----------
    images : array of float32, shape (n, height, width)
        Images with values from 0 (paper) to 1 (ink).
    digits : array of int, shape (n,)
        The digit of each image.
    """

    images: NDArray[Any]
    digits: NDArray[np.int_]

    def __len__(self) -> int:
        return len(self.digits)


@dataclass(frozen=True)
class DigitImages:
    """Images of digits in three disjoint splits.

    Attributes
    ----------
    train, validation, test : LabelledImages
        The splits.
    source : {"MNIST", "scikit-learn"}
        Name of the data set.
    """

    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages
    source: str


def load_digit_images(
    folder: str | Path | None = None, *, fallback: bool = False, random_state: int | None = 0
) -> DigitImages:
    """Load MNIST: 50,000 training images, 10,000 validation images and the 10,000 test images of MNIST.

    Parameters
    ----------
    folder : path, optional
        Folder of the four files, plain or gzipped. The default is the folder ``mnist`` in the folder that the
        environment variable ``DEEPJIVE_DATA`` names.
    fallback : bool, default=False
        Whether to load scikit-learn's digits where MNIST is absent and no folder was given: 1077, 360 and 360 images
        of 8 x 8 pixels.
    random_state : int or None, default=0
        Seed of the split into training and validation images.

    Returns
    -------
    DigitImages

    Raises
    ------
    FileNotFoundError
        If the files are absent; the error says where to download them and where to put them.
    ValueError
        If the files do not hold MNIST.
    """
    rng = np.random.default_rng(random_state)
    try:
        mnist_folder = data_folder("mnist", folder, FILES["train"][0], HOW)
    except FileNotFoundError:
        if not fallback or folder is not None:
            raise
        return _scikit_learn(rng)
    labelled, test = _mnist(mnist_folder, "train"), _mnist(mnist_folder, "test")
    order = rng.permutation(len(labelled))
    n_validation = min(VALIDATION, len(labelled) // 6)
    return DigitImages(_rows(labelled, order[n_validation:]), _rows(labelled, order[:n_validation]), test, "MNIST")


def _mnist(folder: Path, split: str) -> LabelledImages:
    images, digits = (
        read_idx(next(path for path in (folder / name, folder / f"{name}.gz") if path.is_file()))
        for name in _checked_files(folder, split)
    )
    shapes_fit = images.ndim == 3 and images.shape[1:] == (28, 28) and digits.shape == images.shape[:1]
    if not shapes_fit or digits.max(initial=0) > 9:
        raise ValueError(WRONG_ARRAYS.format(folder=folder, split=split, images=images.shape, labels=digits.shape))
    return LabelledImages(images / np.float32(255), digits.astype(np.int_))


def _checked_files(folder: Path, split: str) -> tuple[str, ...]:
    """Names of the two files of a split, which are both in the folder."""
    for name in FILES[split]:
        data_folder("mnist", folder, name, HOW)
    return FILES[split]


def _scikit_learn(rng: np.random.Generator) -> DigitImages:
    from sklearn.datasets import load_digits

    flat, digits = load_digits(return_X_y=True)
    labelled = LabelledImages((flat.reshape(-1, 8, 8) / 16.0).astype(np.float32), digits.astype(np.int_))
    order = rng.permutation(len(digits))
    train, validation, test = (_rows(labelled, order[rows]) for rows in (slice(720, None), slice(360), slice(360, 720)))
    return DigitImages(train, validation, test, "scikit-learn")


def _rows(labelled: LabelledImages, rows: NDArray[np.intp]) -> LabelledImages:
    return LabelledImages(labelled.images[rows], labelled.digits[rows])
