"""Pairs of images and sounds of digits: MNIST and the Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0).

Sounds are log-mel spectrograms of 32 bands in 32 frames, in decibels divided by ten. The recordings 0 to 4 of each
speaker and digit are the official test recordings of the data set. The recordings 5 to 9 are validation recordings
here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.data.readers.arrays import read_npz
from deepjive.experiments.digits.data.folders import data_folder
from deepjive.experiments.digits.data.idx import read_idx
from deepjive.experiments.digits.data.mnist import FILES, HOW
from deepjive.experiments.digits.data.pairs import PairedSplits, Pairs

SOUNDS, PAIRING = "fsdd_logmel32.npz", "mnist_fsdd_pairs.npz"
VALIDATION = 10
HOW_SOUNDS = (
    "fsdd_logmel32.npz holds logmel (n, 32, 32), label, speaker, index and is_test of each recording of the Free "
    "Spoken Digit Dataset (github.com/Jakobovski/free-spoken-digit-dataset), mnist_fsdd_pairs.npz the MNIST image "
    "of each: fsdd_index, mnist_split and mnist_index."
)


def image_sound(
    mnist: str | Path | None = None,
    fsdd: str | Path | None = None,
    images_each: int = 1,
    random_state: int | None = 0,
) -> PairedSplits:
    """Pair recordings of spoken digits with images of the same digit: modalities "image" and "sound".

    Parameters
    ----------
    mnist, fsdd : path, optional
        Folders of the two data sets; by default ``mnist`` and ``fsdd`` in the folder that ``DEEPJIVE_DATA`` names.
    images_each : int, default=1
        Number of images that each training recording is paired with. The first is the stored image. The others are
        MNIST training images of the same digit, each used once.
    random_state : int or None, default=0
        Seed of the choice of the other images.

    Returns
    -------
    PairedSplits
        2400 training recordings in `images_each` pairs each, 300 validation recordings, and the 300 official test
        recordings, with the factor "speaker". Test recordings have test images.

    Raises
    ------
    FileNotFoundError
        If a file is absent.
    """
    folder = data_folder("fsdd", fsdd, SOUNDS, HOW_SOUNDS)
    data_folder("fsdd", fsdd, PAIRING, HOW_SOUNDS)
    sounds = {key: read_npz(folder / SOUNDS, key) for key in ("logmel", "label", "speaker", "index", "is_test")}
    pairing = {key: read_npz(folder / PAIRING, key) for key in ("fsdd_index", "mnist_split", "mnist_index")}
    order = pairing["fsdd_index"]
    mnist_folder = data_folder("mnist", mnist, FILES["train"][0], HOW)
    images = _images(mnist_folder, pairing)
    sound = sounds["logmel"][order].astype(np.float32)
    test, index = sounds["is_test"][order].astype(bool), sounds["index"][order]
    validation = ~test & (index < VALIDATION)

    def pairs(rows: NDArray[np.bool_]) -> Pairs:
        return Pairs(
            Modalities({"image": images[rows], "sound": sound[rows]}),
            sounds["label"][order][rows].astype(np.int_),
            {"speaker": sounds["speaker"][order][rows]},
        )

    train = pairs(~test & ~validation)
    used = pairing["mnist_index"][pairing["mnist_split"] == "train"]
    more_images = _more_images(mnist_folder, train.digit, used, images_each - 1, random_state)
    return PairedSplits(_repeated(train, more_images), pairs(validation), pairs(test))


def _repeated(pairs: Pairs, more_images: list[NDArray[np.float32]]) -> Pairs:
    """The pairs, followed by the same sounds with each array of further images."""
    times = 1 + len(more_images)
    data = {
        "image": np.concatenate([pairs.data["image"], *more_images]),
        "sound": np.concatenate([pairs.data["sound"]] * times),
    }
    return Pairs(Modalities(data), np.tile(pairs.digit, times), {"speaker": np.tile(pairs.factors["speaker"], times)})


def _more_images(
    folder: Path, digits: NDArray[np.int_], used: NDArray, times: int, random_state: int | None
) -> list[NDArray[np.float32]]:
    """Further images of the digits, `times` for each, from the MNIST training images that are not used yet."""
    images, labels = (read_idx(_file(folder, name)) for name in FILES["train"])
    free = np.setdiff1d(np.arange(len(images)), used)
    rng = np.random.RandomState(random_state)
    unused = {digit: list(rng.permutation(free[labels[free] == digit])) for digit in range(10)}
    rows = np.array([[unused[digit].pop() for digit in digits] for _ in range(times)], dtype=np.intp)
    return [images[block] / np.float32(255) for block in rows]


def _file(folder: Path, name: str) -> Path:
    return next(path for path in (folder / name, folder / f"{name}.gz") if path.is_file())


def _images(folder: Path, pairing: dict[str, NDArray]) -> NDArray[np.float32]:
    """The MNIST image of each pair."""
    images = np.empty((len(pairing["mnist_index"]), 28, 28), dtype=np.float32)
    for split, (name, _) in FILES.items():
        rows = pairing["mnist_split"] == split
        images[rows] = read_idx(_file(folder, name))[pairing["mnist_index"][rows]] / np.float32(255)
    return images
