import gzip
from collections import deque

import numpy as np
import pandas as pd
import pytest

from deepjive import Modalities
from deepjive.data.files import read_array
from deepjive.data.readers.guard import UnreadableError

nibabel = pytest.importorskip("nibabel")
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


@pytest.fixture
def volumes():
    return np.random.default_rng(0).normal(size=(5, 4, 3, 2)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    def _write(name, array, affine=AFFINE):
        nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / name)
        return tmp_path / name

    return _write


@pytest.fixture(params=["nii", "nii.gz"])
def paths(request, write, volumes):
    return [write(f"{i}.{request.param}", volume) for i, volume in enumerate(volumes)]


def test_a_list_of_images_is_read_row_by_row(paths, volumes, check_rows):
    data = Modalities({"mri": paths, "pet": [str(path) for path in paths]})
    assert data.shapes["mri"] == (4, 3, 2)
    for name in data.names:
        check_rows(data[name], volumes)
    paths[3].unlink()
    np.testing.assert_array_equal(data.rows("mri", [2, 0]), volumes[[2, 0]])
    with pytest.raises(FileNotFoundError, match=r"There is no file .*3\.nii"):
        data.rows("mri", [3])


def test_images_are_listed_by_a_text_file_or_a_table(tmp_path, paths, volumes):
    names = [path.name for path in paths]
    (tmp_path / "scans.txt").write_text("\n".join(names) + "\n\n")
    np.testing.assert_array_equal(read_array(tmp_path / "scans.txt")[:], volumes)
    (tmp_path / "plain.csv").write_text("path\n" + "\n".join(names))
    np.testing.assert_array_equal(read_array(tmp_path / "plain.csv")[:], volumes)
    lines = [f"sub-{i},{name}" for i, name in enumerate(names)]
    (tmp_path / "scans.csv").write_text("participant_id,path\n" + "\n".join(lines[::-1]))
    ages = "id,age\n" + "\n".join(f"sub-{i},{10 * i}" for i in range(5))
    (tmp_path / "ages.csv").write_text(ages)
    data = Modalities({"age": tmp_path / "ages.csv", "mri": tmp_path / "scans.csv"})
    assert data.samples.tolist() == [f"sub-{i}" for i in range(5)]
    np.testing.assert_array_equal(data.rows("mri", slice(None)), volumes)


def test_the_last_axis_of_a_four_dimensional_image_is_the_samples(write, volumes, check_rows):
    for name in ("all.nii", "all.nii.gz"):
        check_rows(read_array(write(name, np.moveaxis(volumes, 0, -1))), volumes)


def test_scaling_of_integer_images_is_undone(write):
    values = np.linspace(0, 1, 24).reshape(2, 3, 4)
    image = nibabel.Nifti1Image(values, AFFINE)
    image.set_data_dtype(np.int16)
    path = write("x.nii", values)
    nibabel.save(image, path)
    assert nibabel.load(path).get_data_dtype() == np.int16
    np.testing.assert_allclose(Modalities([[path, path], np.ones((2, 1))])["modality_1"][0], values, atol=1e-4)


def test_a_single_image_is_refused(write, volumes):
    with pytest.raises(UnreadableError, match=r"x\.nii holds one image of shape \(4, 3, 2\)\. Give a list"):
        read_array(write("x.nii", volumes[0]))


def test_images_of_other_grids_are_refused_by_name(write, volumes):
    first = write("first.nii", volumes[0])
    with pytest.raises(UnreadableError, match=r"b\.nii has the shape \[3, 3, 2\], but .*first\.nii has \[4, 3, 2\]"):
        Modalities([[first, write("b.nii", volumes[0, 1:])], np.ones((2, 1))])
    shifted = AFFINE.copy()
    shifted[0, 3] = 1.0
    with pytest.raises(UnreadableError, match=r"b\.nii has the affine"):
        Modalities([[first, write("b.nii", volumes[0], shifted)], np.ones((2, 1))])


def test_a_list_with_something_else_in_it_is_refused_by_line(tmp_path):
    (tmp_path / "scans.txt").write_text("a.nii\nnotes.docx\n")
    with pytest.raises(UnreadableError, match=r"in every line, but line 2 is 'notes\.docx'"):
        read_array(tmp_path / "scans.txt")


def test_images_that_are_damaged_or_claim_too_much_are_refused(write, volumes):
    path = write("x.nii", volumes[0])
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(UnreadableError, match=r"x\.nii could not be read: its last 10 bytes are missing"):
        Modalities([[path], np.ones((1, 1))])
    huge = bytearray(content)
    huge[40:56] = np.array([3, 2000, 2000, 2000, 1, 1, 1, 1], dtype="<i2").tobytes()
    path.with_suffix(".nii.gz").write_bytes(gzip.compress(bytes(huge)))
    with pytest.raises(UnreadableError, match=r"of an image, \d+ times the size|takes 3.2e\+10 bytes"):
        Modalities([[path.with_suffix(".nii.gz")], np.ones((1, 1))])
    path.write_bytes(b"not an image")
    with pytest.raises(UnreadableError, match=r"x\.nii"):
        Modalities([[path], np.ones((1, 1))])


def test_a_truncated_compressed_image_is_an_error_when_it_is_read(write, volumes):
    path = write("x.nii.gz", np.random.default_rng(0).normal(size=(20, 20, 20)))
    path.write_bytes(path.read_bytes()[:-2000])
    data = Modalities([[path], np.ones((1, 1))])
    with pytest.raises(UnreadableError, match=r"x\.nii\.gz could not be read"):
        data.rows("modality_1", [0])


@pytest.mark.parametrize("name", ["x.nii.gz", "x.mgz", "x.img.gz"])
def test_a_compressed_image_with_one_changed_byte_is_never_read(tmp_path, volumes, name):
    kind = {"x.nii.gz": nibabel.Nifti1Image, "x.mgz": nibabel.MGHImage, "x.img.gz": nibabel.Nifti1Pair}[name]
    path = tmp_path / name
    nibabel.save(kind(np.round(volumes[0], 1), AFFINE), path)
    data, content = Modalities([[path], np.ones((1, 1))]), path.read_bytes()
    expected = data.rows("modality_1", [0])
    for place in range(10, len(content)):  # the first ten bytes describe the file, not its content
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        try:
            values = Modalities([[path], np.ones((1, 1))]).rows("modality_1", [0])
        except UnreadableError:
            continue
        np.testing.assert_array_equal(values, expected)  # a byte of the name of the file that was compressed


def test_a_damaged_compressed_image_of_four_dimensions_is_refused_when_it_is_opened(write):
    path = write("x.nii.gz", np.random.default_rng(0).normal(size=(10, 10, 10, 2)))
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # of the checksum
    path.write_bytes(bytes(content))
    with pytest.raises(UnreadableError, match=r"x\.nii\.gz could not be read: CRC check failed"):
        read_array(path)


@pytest.mark.parametrize(("kind", "suffix"), [("Nifti1Pair", "img"), ("MGHImage", "mgz"), ("AnalyzeImage", "img")])
def test_images_of_other_formats_are_read(tmp_path, volumes, kind, suffix):
    paths = [tmp_path / f"{i}.{suffix}" for i in range(5)]
    for path, volume in zip(paths, volumes, strict=True):
        nibabel.save(getattr(nibabel, kind)(volume, AFFINE), path)
    np.testing.assert_array_equal(Modalities([paths, np.ones((5, 1))]).rows("modality_1", slice(None)), volumes)
    if suffix == "img":
        paths[2].unlink()
        with pytest.raises(FileNotFoundError, match=r"There is no file .*2\.img"):
            Modalities([[path.with_suffix(".hdr") for path in paths], np.ones((5, 1))])


def test_nibabel_images_are_read(paths, volumes):
    on_disk, in_memory = [nibabel.load(path) for path in paths], [nibabel.Nifti1Image(x, AFFINE) for x in volumes]
    frames = nibabel.Nifti1Image(np.moveaxis(volumes, 0, -1), AFFINE)
    data = Modalities({"disk": on_disk, "memory": in_memory, "frames": frames})
    for name in data.names:
        np.testing.assert_array_equal(data.rows(name, slice(None)), volumes)
    with pytest.raises(UnreadableError, match="image 0 holds one image of shape"):
        Modalities({"one": in_memory[0], "y": volumes})


def test_every_sequence_of_image_paths_is_read(paths, volumes):
    texts = [str(path) for path in paths]
    plain = [tuple(paths), np.array(texts), pd.Series(texts), pd.Series(texts, dtype="string"), pd.Index(texts)]
    plain += [pd.Categorical(texts), pd.array(texts, dtype="string"), deque(texts), dict.fromkeys(texts).keys()]
    for source in [*plain, pd.DataFrame({"path": texts}), iter(paths), dict(enumerate(paths)).values()]:
        np.testing.assert_array_equal(Modalities([source, np.ones((5, 1))]).rows("modality_1", slice(None)), volumes)
    named = pd.Series(texts, index=list("edcba"))
    other = pd.DataFrame({"age": range(5)}, index=list("abcde"))
    data = Modalities({"age": other, "mri": named})
    assert data.samples.tolist() == list("abcde")
    np.testing.assert_array_equal(data.rows("mri", slice(None)), volumes[::-1])


@pytest.mark.parametrize("missing", [None, float("nan"), "", " "])
def test_a_sample_without_an_image_lacks_the_modality(paths, volumes, missing):
    data = Modalities({"mri": [missing, *paths[1:]], "y": np.ones((5, 1))})
    assert data.present[:, 0].tolist() == [False, True, True, True, True]
    np.testing.assert_array_equal(data.rows("mri", [0, 1]), [np.zeros_like(volumes[0]), volumes[1]])
    assert not data[[0]].present[0, 0]


def test_a_sample_with_an_empty_cell_in_a_table_of_images_lacks_the_modality(tmp_path, paths, volumes):
    names = ["", *(path.name for path in paths[1:])]
    (tmp_path / "scans.csv").write_text("id,path\n" + "\n".join(f"s{i},{name}" for i, name in enumerate(names)))
    (tmp_path / "y.csv").write_text("id,y\n" + "\n".join(f"s{i},{i}" for i in (4, 3, 2, 1, 0, 9)))
    data = Modalities({"y": tmp_path / "y.csv", "mri": tmp_path / "scans.csv"}, unmatched="keep")
    assert data.samples.tolist() == ["s4", "s3", "s2", "s1", "s0", "s9"]
    assert data.present[:, 1].tolist() == [True, True, True, True, False, False]
    np.testing.assert_array_equal(data.rows("mri", [0, 4]), [volumes[4], np.zeros_like(volumes[0])])


def test_an_entry_that_is_no_image_is_refused_by_row_and_modality(paths):
    for entry, shown in ((3, "3"), ("x.png", "'x.png'"), (np.zeros(3), "<class 'numpy.ndarray'>")):
        with pytest.raises(UnreadableError, match=rf"Entry 2 of modality 'mri' is {shown}, but the path of an image"):
            Modalities({"mri": [*paths[:2], entry], "y": np.ones((3, 1))})
