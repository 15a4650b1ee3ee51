import gzip

import numpy as np
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
