import os
import zipfile

import numpy as np
import pytest

from deepjive import Modalities
from deepjive.data.files import read_array
from deepjive.data.readers.guard import UnreadableError


def npy_bytes(shape, dtype="<f8", content=b""):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


def npz_with(path, content, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("x.npy", content)
    return path


@pytest.mark.parametrize("array", [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(24, dtype="<i2").reshape(2, 3, 4)),
    np.arange(4, dtype=">f4").reshape(2, 2),
    np.zeros((3, 0)),
    np.array([["a", "bc"], ["", "d"]]),
    np.ones((700, 500)),
], ids=lambda array: f"{array.dtype}{array.shape}")  # fmt: skip
def test_arrays_of_an_archive_are_those_that_numpy_reads(tmp_path, array):
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", x=array)
        read = read_array(tmp_path / "x.npz")
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


def test_an_archive_that_claims_a_hundred_times_its_size_is_refused_before_it_is_unpacked(tmp_path):
    path = npz_with(tmp_path / "bomb.npz", bytes(2**28 + 200))
    assert path.stat().st_size < 2**20
    with pytest.raises(UnreadableError, match=r"bomb\.npz claims to hold 2\.\d+e\+08 bytes of numbers, \d+ times the "):
        read_array(path)


def test_a_header_that_declares_more_than_the_archive_holds_is_refused_before_memory_is_taken(tmp_path):
    path = npz_with(tmp_path / "x.npz", npy_bytes((2**40, 8), content=bytes(64)))
    with pytest.raises(UnreadableError, match=r"x\.npz could not be read: an array of shape \(1099511627776, 8\)"):
        read_array(path)


def test_a_mapped_file_that_declares_more_than_it_holds_is_refused(tmp_path):
    for shape in ((2**40, 8), (2**62, 2**62)):
        (tmp_path / "x.npy").write_bytes(npy_bytes(shape, content=bytes(64)))
        with pytest.raises(UnreadableError, match=r"x\.npy could not be read"):
            read_array(tmp_path / "x.npy")


def test_compression_that_numpy_never_uses_is_refused(tmp_path):
    path = npz_with(tmp_path / "x.npz", npy_bytes((2, 2), content=bytes(32)), zipfile.ZIP_LZMA)
    with pytest.raises(UnreadableError, match="a method that NumPy never uses"):
        read_array(path)


@pytest.mark.parametrize("dtype", ["O", "|O", "|O8"])
def test_object_arrays_are_refused_by_their_header(tmp_path, dtype):
    (tmp_path / "x.npy").write_bytes(npy_bytes((1, 1), dtype, b"cos\nsystem\n(S'true'\ntR."))
    npz_with(tmp_path / "x.npz", (tmp_path / "x.npy").read_bytes())
    for suffix in ("npy", "npz"):
        with pytest.raises(UnreadableError, match="holds Python objects, which are never read"):
            read_array(tmp_path / f"x.{suffix}")


def rows_of(path, order="C"):
    np.save(path, np.asarray(np.arange(60.0).reshape(20, 3), order=order))
    return Modalities({"a": path, "b": np.ones((20, 1))})


@pytest.mark.parametrize("order", ["C", "F"])
def test_scattered_rows_of_a_mapped_file_are_those_asked_for(tmp_path, order):
    data = rows_of(tmp_path / "x.npy", order)
    wanted = [17, 3, 3, 0]
    np.testing.assert_array_equal(data.rows("a", wanted), np.arange(60.0).reshape(20, 3)[wanted])
    np.testing.assert_array_equal(data[[5, 1, 9]].rows("a", [2, 0]), np.arange(60.0).reshape(20, 3)[[9, 5]])
    assert data.rows("a", []).shape == (0, 3)


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_mapped_file_keeps_its_values_when_the_file_is_replaced(tmp_path, how):
    data = rows_of(tmp_path / "x.npy")
    if how == "replaced":
        np.save(tmp_path / "y.npy", np.zeros((20, 3)))
        (tmp_path / "y.npy").replace(tmp_path / "x.npy")
    else:
        (tmp_path / "x.npy").unlink()
    np.testing.assert_array_equal(data.rows("a", [7, 2]), [[21, 22, 23], [6, 7, 8]])


def test_a_truncated_mapped_file_is_an_error_and_does_not_end_the_process(tmp_path):
    data = rows_of(tmp_path / "x.npy")
    os.truncate(tmp_path / "x.npy", 200)
    with pytest.raises(OSError, match=r"x\.npy is shorter than it was when it was opened"):
        data.rows("a", [1, 19])
