from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from deepjive.experiments.digits.data.idx import read_idx
from deepjive.experiments.digits.data.mnist import FILES, load_digit_images
from deepjive.experiments.digits.data.spoken import image_sound


def write_idx(path: Path, array: np.ndarray) -> None:
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def mnist_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, n in {"train": 60, "test": 10}.items():
        images, labels = FILES[split]
        write_idx(tmp_path / f"{images}.gz", rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        write_idx(tmp_path / labels, (np.arange(n) % 10).astype(np.uint8))
    return tmp_path


@pytest.mark.parametrize("name", ["values", "values.gz"])
def test_idx_round_trip(tmp_path: Path, name: str) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / name, array)
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P5 28 28", "not an idx file"),
        (b"", "not an idx file"),
        (bytes((0, 0, 8, 1, 0, 0, 0, 5, 1, 2)), "holds 2 of them"),
        (bytes((0, 0, 8, 1, 0, 0, 0, 1, 1, 2)), "holds more of them"),
        (bytes((0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255)), "at most 1073741824 bytes"),
        (bytes((0, 0, 8, 3, 0, 0, 0)), r"not an idx file|more than the|buffer"),
    ],
)
def test_what_is_no_idx_file_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "digits"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(path)


def test_a_truncated_gzip_file_is_refused_by_name(tmp_path: Path) -> None:
    write_idx(tmp_path / "values.gz", np.zeros(1000, dtype=np.uint8))
    content = (tmp_path / "values.gz").read_bytes()
    (tmp_path / "values.gz").write_bytes(content[:-6])
    with pytest.raises(ValueError, match=r"values\.gz cannot be unpacked"):
        read_idx(tmp_path / "values.gz")


def test_mnist_is_split_by_images_the_same_each_time(mnist_folder: Path) -> None:
    first, second = load_digit_images(mnist_folder), load_digit_images(mnist_folder)
    assert (len(first.train), len(first.validation), len(first.test)) == (50, 10, 10)
    np.testing.assert_array_equal(first.train.images, second.train.images)
    both = np.concatenate([first.train.images, first.validation.images]).reshape(60, -1)
    assert len(np.unique(both, axis=0)) == 60


def test_files_are_found_through_the_environment(mnist_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPJIVE_DATA", str(mnist_folder.parent))
    mnist_folder.rename(mnist_folder.parent / "mnist")
    assert load_digit_images().source == "MNIST"


def test_absent_files_are_asked_for_and_the_fallback_must_be_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPJIVE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte.*DEEPJIVE_DATA"):
        load_digit_images()
    with pytest.raises(FileNotFoundError, match="mnist is not in"):
        load_digit_images(tmp_path, fallback=True)
    digits = load_digit_images(fallback=True)
    assert digits.source == "scikit-learn"
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1077, 360, 360)
    with pytest.raises(FileNotFoundError, match="fsdd is not in"):
        image_sound()


def test_other_arrays_than_mnist_are_refused(mnist_folder: Path) -> None:
    write_idx(mnist_folder / FILES["train"][1], np.zeros(59, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"train images have shape \(60, 28, 28\) and their labels \(59,\)"):
        load_digit_images(mnist_folder)


def test_images_and_sounds_show_the_same_digit(shared_data) -> None:
    pairs = image_sound(shared_data("mnist"), shared_data("fsdd"))
    assert [len(split) for split in (pairs.train, pairs.validation, pairs.test)] == [2400, 300, 300]
    assert set(pairs.test.factors["speaker"]) == set(pairs.train.factors["speaker"])
    images = load_digit_images(shared_data("mnist")).test
    shown = {image.tobytes(): digit for image, digit in zip(images.images, images.digits, strict=True)}
    assert [shown[np.asarray(image).tobytes()] for image in pairs.test.data["image"]] == pairs.test.digit.tolist()


def test_a_sound_is_paired_with_several_images_of_its_digit_none_of_them_twice(shared_data) -> None:
    once, thrice = (image_sound(shared_data("mnist"), shared_data("fsdd"), times) for times in (1, 3))
    train = thrice.train
    assert len(train) == 3 * 2400
    np.testing.assert_array_equal(train.data["image"][:2400], once.train.data["image"])
    np.testing.assert_array_equal(train.data["sound"][2400:4800], once.train.data["sound"])
    images, labels = (read_idx(next(shared_data("mnist").glob(f"{name}*"))) for name in FILES["train"])
    shown = {image.tobytes(): int(label) for image, label in zip(images / np.float32(255), labels, strict=True)}
    added = [np.asarray(image).tobytes() for image in train.data["image"][2400:]]
    assert [shown[image] for image in added] == train.digit[2400:].tolist()
    of_all = [
        np.asarray(image).tobytes() for split in (thrice.validation, thrice.test) for image in split.data["image"]
    ]
    assert len({*added, *of_all}) == len(added) + len(of_all)
