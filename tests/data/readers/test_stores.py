import json
import pickle
import sys

import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.data.files import read_array
from deepjive.data.readers import guard
from deepjive.data.readers.guard import UnreadableError


@pytest.fixture
def hdf5(tmp_path, x):
    h5py = pytest.importorskip("h5py")

    def write(name="x.h5", **options):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("group/x", data=x, **options)
        return tmp_path / name

    return write


@pytest.fixture(params=[2, 3])
def zarr_folder(request, tmp_path, x):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=request.param)
    group.create_array("x", shape=x.shape, chunks=(3, 4, 3), dtype=x.dtype)[:] = x
    return tmp_path / "x.zarr"


def test_hdf5_rows_are_read_when_asked_for(hdf5, x, check_rows):
    for name, options in {"a.h5": {}, "b.hdf5": {"chunks": (3, 2, 3), "compression": "gzip", "shuffle": True}}.items():
        lazy = read_array(hdf5(name, **options))
        check_rows(lazy, x)
        np.testing.assert_array_equal(lazy[:, 1:3], x[:, 1:3])
    check_rows(read_array(f"{hdf5()}:group/x"), x)


def test_many_rows_in_any_order_are_read_whether_the_data_lie_in_one_piece_or_in_chunks(tmp_path):
    h5py = pytest.importorskip("h5py")
    x = np.random.default_rng(0).normal(size=(200, 3, 2)).astype(">f4")
    order = np.random.default_rng(1).permutation(200)[:50]
    for options in ({}, {"chunks": (7, 3, 2), "compression": "gzip"}):
        with h5py.File(tmp_path / "x.h5", "w", userblock_size=512 * bool(options)) as file:
            file.create_dataset("x", data=x, **options)
        np.testing.assert_array_equal(read_array(tmp_path / "x.h5")[order], x[order])


def test_a_zarr_folder_that_vanished_is_not_read_as_zeros(zarr_folder):
    array = read_array(zarr_folder)
    zarr_folder.rename(zarr_folder.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match=r"x is no longer there"):
        array[:3]


def test_hdf5_can_be_sent_to_another_process(hdf5, x, check_rows):
    check_rows(pickle.loads(pickle.dumps(read_array(hdf5()))), x)


def test_a_file_of_several_data_sets_needs_a_key(tmp_path, hdf5, x):
    h5py = pytest.importorskip("h5py")
    with h5py.File(hdf5(), "a") as file:
        file["other"] = x[:, :2]
        file["vector"] = np.ones(3)  # is no modality, and so no choice
    with pytest.raises(
        UnreadableError, match=r"several arrays \['group/x', 'other'\]; say which one with '.*x\.h5:NAME'"
    ):
        read_array(tmp_path / "x.h5")
    with pytest.raises(UnreadableError, match=r"has no array 'absent'; it holds \['group/x', 'other'\]"):
        read_array(f"{tmp_path}/x.h5:absent")
    assert read_array(f"{tmp_path}/x.h5:other").shape == (10, 2, 3)


def test_data_that_lie_outside_an_hdf5_file_are_not_read(tmp_path, hdf5, x):
    h5py = pytest.importorskip("h5py")
    source = hdf5("source.h5")
    (tmp_path / "secret").write_bytes(bytes(240))
    layout = h5py.VirtualLayout(shape=x.shape, dtype="f4")
    layout[:] = h5py.VirtualSource(source, "group/x", shape=x.shape)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["link"] = h5py.ExternalLink(source.name, "group/x")
        file["soft"] = h5py.SoftLink("/link")
        file.create_dataset("external", (5, 6), "f8", external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)])
        file.create_virtual_dataset("virtual", layout)
    for key in ("link", "soft", "external", "virtual"):
        with pytest.raises(UnreadableError, match=rf"does not hold '{key}' itself but a link or another file's data"):
            read_array(f"{tmp_path}/x.h5:{key}")


def test_hdf5_of_text_or_of_samples_without_end_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("text", data=np.array([[b"a"]], dtype=object), dtype=h5py.string_dtype())
        file.create_dataset("wide", shape=(2, 2**40), chunks=(1, 1024), dtype="f4")
    with pytest.raises(UnreadableError, match="'text' holds object, but numbers are expected"):
        read_array(f"{tmp_path}/x.h5:text")
    with pytest.raises(UnreadableError, match=r"a sample of shape \(1099511627776,\) .* takes 4\.4e\+12 bytes"):
        read_array(f"{tmp_path}/x.h5:wide")


def test_an_impossible_number_of_samples_is_refused(tmp_path):
    h5py, zarr = pytest.importorskip("h5py"), pytest.importorskip("zarr")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", shape=(2**40, 2), chunks=(8, 2), dtype="f4")
    zarr.create_array(tmp_path / "x.zarr", shape=(2**70, 2), chunks=(8, 2), dtype="f4")
    for name in ("x.h5", "x.zarr"):
        with pytest.raises(UnreadableError, match=r"an array of shape \(\d+, 2\) holds no samples|could not be read"):
            read_array(tmp_path / name)


def test_a_data_set_whose_name_is_not_text_is_ignored(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file[b"\xff\xfe"] = np.ones((2, 2))
    with pytest.raises(UnreadableError, match=r"x\.h5 holds no array"):
        read_array(tmp_path / "x.h5")


def test_a_file_that_vanishes_while_it_is_used_is_named(tmp_path, hdf5):
    lazy = pickle.loads(pickle.dumps(read_array(hdf5())))
    (tmp_path / "x.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"x\.h5"):
        lazy[2]


def test_zarr_rows_are_read_when_asked_for(zarr_folder, x, check_rows):
    for source in (zarr_folder, f"{zarr_folder}:x"):
        lazy = read_array(source)
        check_rows(lazy, x)
        check_rows(pickle.loads(pickle.dumps(lazy)), x)
        np.testing.assert_array_equal(lazy[:, 1:3], x[:, 1:3])
    (zarr_folder / "x").rename(zarr_folder.parent / "alone.zarr")
    check_rows(read_array(zarr_folder.parent / "alone.zarr"), x)
    with pytest.raises(UnreadableError, match=r"x\.zarr holds no array"):
        read_array(zarr_folder)


def test_a_zarr_array_that_would_be_unpickled_is_refused(tmp_path, x):
    zarr = pytest.importorskip("zarr")

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    zarr.create_array(tmp_path / "x.zarr", shape=(2, 2), chunks=(2, 2), dtype="f8", zarr_format=2)
    metadata = json.loads((tmp_path / "x.zarr/.zarray").read_text())
    metadata.update(filters=[{"id": "pickle", "protocol": 5}], compressor=None)
    (tmp_path / "x.zarr/.zarray").write_text(json.dumps(metadata))
    (tmp_path / "x.zarr/0.0").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UnreadableError, match="codec 'pickle', which is not among those that only compress"):
        read_array(tmp_path / "x.zarr")
    assert not (tmp_path / "executed").exists()


def test_nested_codecs_are_checked(tmp_path, x):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "x.zarr", shape=x.shape, shards=(6, 4, 3), chunks=(3, 4, 3), dtype="f4")[:] = x
    np.testing.assert_array_equal(read_array(tmp_path / "x.zarr")[:], x)
    text = (tmp_path / "x.zarr/zarr.json").read_text()
    (tmp_path / "x.zarr/zarr.json").write_text(text.replace('"zstd"', '"evil"'))
    with pytest.raises(UnreadableError, match="codec 'evil'"):
        read_array(tmp_path / "x.zarr")


def test_zarr_with_a_description_that_is_damaged_gives_one_error(zarr_folder):
    name = ".zarray" if (zarr_folder / "x" / ".zarray").exists() else "zarr.json"
    good = (zarr_folder / "x" / name).read_text()
    for text in (
        good[:-40],
        good.replace("10", "-10"),
        good.replace("float32", "f99").replace("<f4", "<f99"),
        "[]",
        "",
    ):
        (zarr_folder / "x" / name).write_text(text)
        with pytest.raises(UnreadableError, match="zarr"):
            read_array(zarr_folder)
    (zarr_folder / "x" / name).write_text(good + " " * 2**20)
    with pytest.raises(UnreadableError, match="it is larger than any description of an array"):
        read_array(zarr_folder)


def test_a_damaged_chunk_is_an_error_when_it_is_read(zarr_folder):
    lazy = read_array(zarr_folder)
    for chunk in (path for path in (zarr_folder / "x").rglob("*") if path.is_file() and "z" not in path.name):
        chunk.write_bytes(b"\x00\x01\x02")
    with pytest.raises(UnreadableError, match="could not be read"):
        lazy[2]


def test_a_model_fitted_to_stores_is_the_one_fitted_to_arrays_in_memory(hdf5, zarr_folder, x):
    stored = Modalities({"a": hdf5(), "b": zarr_folder})
    models = [AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0).fit(data) for data in (stored, [x, x])]
    np.testing.assert_allclose(*(model.joint_singular_values_ for model in models), rtol=1e-6)


def test_a_missing_library_is_an_error_that_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "x.h5").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(guard.MissingExtraError, match=r"Reading x\.h5 needs the library 'h5py'.*pip install"):
        read_array(tmp_path / "x.h5")


def test_a_data_set_whose_file_is_closed_is_read_from_the_file_or_refused_by_name(hdf5, x, check_rows):
    h5py = pytest.importorskip("h5py")
    with h5py.File(hdf5(), "r") as file:
        dataset = file["group/x"]
        data = Modalities({"a": dataset, "b": x})
        with pytest.raises(TypeError, match=r"Modality 'a' .* an HDF5 group that holds \['x'\]. Give one of its data"):
            Modalities({"a": file["group"], "b": x})
    check_rows(data["a"], x)
    for closed in (dataset, file):
        with pytest.raises(ValueError, match=r"Modality 'a' .* its HDF5 file is closed. Keep the file open"):
            Modalities({"a": closed, "b": x})


def test_a_data_set_of_a_file_that_is_written_is_read_as_it_is(hdf5, x):
    h5py = pytest.importorskip("h5py")
    with h5py.File(hdf5(), "r+") as file:
        file["group/x"][0] = 7.0
        np.testing.assert_array_equal(
            Modalities({"a": file["group/x"], "b": x}).rows("a", [0, 1]), [x[0] * 0 + 7, x[1]]
        )


def test_a_data_set_in_memory_whose_file_was_closed_is_an_error_with_advice(x):
    h5py = pytest.importorskip("h5py")
    file = h5py.File("memory", "w", driver="core", backing_store=False)
    file["x"] = x
    data = Modalities({"a": file["x"], "b": x})
    np.testing.assert_array_equal(data.rows("a", [2, 0]), x[[2, 0]])
    np.testing.assert_array_equal(data["a"][:, 1:3], x[:, 1:3])
    file.close()
    with pytest.raises(UnreadableError, match=r"'/x' could not be read: its HDF5 file is closed\. Keep the file open"):
        data.rows("a", slice(None))


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'deepjive[imaging]'"),
        ('{"url": "file:///home/me/my%20code", "dir_info": {"editable": true}}', "-e '/home/me/my code[imaging]'"),
        ('{"url": "file:///src/deepjive", "dir_info": {}}', "pip install '/src/deepjive[imaging]'"),
        ('{"url": "https://x.org/deepjive.git", "vcs_info": {}}', "pip install nibabel"),
        ("damaged", "pip install nibabel"),
    ],
)
def test_advice_on_a_missing_library_can_be_followed(monkeypatch, origin, command):
    class Distribution:
        def read_text(self, name):
            return origin

    monkeypatch.setattr(guard.metadata, "distribution", lambda name: Distribution())
    assert guard.install_command("nibabel").endswith(command)


def test_advice_on_a_missing_library_without_an_installed_package_names_the_library(monkeypatch):
    def absent(name):
        raise guard.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(guard.metadata, "distribution", absent)
    assert guard.install_command("ants") == "pip install antspyx"
