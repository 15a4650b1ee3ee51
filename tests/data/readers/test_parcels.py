import numpy as np
import pytest

from deepjive.data import FileSource
from deepjive.data.files import read_array
from deepjive.data.readers.guard import UnreadableError

nibabel = pytest.importorskip("nibabel")
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
SHAPE = (6, 5, 4)


@pytest.fixture
def labels():
    atlas = np.zeros(SHAPE, np.int16)
    atlas[:2], atlas[4:], atlas[3, 0, 0] = 7, 12, 3
    return atlas


@pytest.fixture
def folder(tmp_path, labels):
    """An atlas with its names, and a table of three volumes, one of which is missing."""
    rng = np.random.default_rng(0)
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), tmp_path / "atlas.nii.gz")
    (tmp_path / "atlas.tsv").write_text(
        "index\tname\n0\tBackground\n7\tHippocampus_L\n12\tHippocampus_R\n3\tAmygdala\n"
    )
    volumes = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    for i, volume in enumerate(volumes):
        nibabel.save(nibabel.Nifti1Image(volume, AFFINE), tmp_path / f"{i}.nii.gz")
    (tmp_path / "pet.csv").write_text("participant_id,path\nsub-1,0.nii.gz\nsub-2,\nsub-3,1.nii.gz\n")
    np.save(tmp_path / "volumes.npy", volumes)
    return tmp_path


def test_each_region_is_the_mean_of_its_voxels_and_has_its_name(folder, labels):
    table = read_array(folder / "pet.csv", parcellation=folder / "atlas.nii.gz")
    volumes = np.load(folder / "volumes.npy")
    assert table.index.tolist() == ["sub-1", "sub-3"]
    assert table.columns.tolist() == ["Amygdala", "Hippocampus_L", "Hippocampus_R"]
    for region, number in (("Amygdala", 3), ("Hippocampus_L", 7), ("Hippocampus_R", 12)):
        expected = volumes[:, labels == number].mean(axis=1)
        np.testing.assert_allclose(table[region], expected, rtol=1e-5)


def test_an_atlas_on_another_grid_gives_the_same_regions(folder, labels):
    fine = np.kron(labels, np.ones((3, 3, 3), np.int16))
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -1.0  # the centres of three fine voxels are the centre of a coarse one
    nibabel.save(
        nibabel.Nifti1Image(fine[::-1].copy(), affine @ np.diag([-1.0, 1, 1, 1]) + _shift(17)), folder / "fine.nii"
    )
    here = read_array(folder / "pet.csv", parcellation=folder / "atlas.nii.gz").to_numpy()
    there = read_array(folder / "pet.csv", parcellation=f"{folder}/fine.nii:{folder}/atlas.tsv").to_numpy()
    np.testing.assert_allclose(there, here)


def _shift(length):
    shift = np.zeros((4, 4))
    shift[0, 3] = length
    return shift


def test_voxels_without_a_finite_value_do_not_count(folder, labels):
    volume = np.load(folder / "volumes.npy")[0]
    holed = volume.copy()
    holed[0] = np.nan
    nibabel.save(nibabel.Nifti1Image(holed, AFFINE), folder / "0.nii.gz")
    table = read_array(folder / "pet.csv", parcellation=folder / "atlas.nii.gz")
    assert table.at["sub-1", "Hippocampus_L"] == pytest.approx(volume[1].mean(), rel=1e-5)


def test_regions_without_a_voxel_are_named_by_a_warning(folder):
    with (folder / "atlas.tsv").open("a") as file:
        file.write("99\tNowhere\n")
    with pytest.warns(UserWarning, match="1 regions have no voxel .* e.g. 'Nowhere'"):
        FileSource(folder / "pet.csv", parcellation=folder / "atlas.nii.gz").read(None)


def test_what_is_no_parcellation_or_no_volume_is_an_error(folder, labels):
    nibabel.save(nibabel.Nifti1Image(labels + np.float32(0.5), AFFINE), folder / "half.nii.gz")
    with pytest.raises(UnreadableError, match="whole numbers"):
        read_array(folder / "pet.csv", parcellation=folder / "half.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE + _shift(1000)), folder / "far.nii.gz")
    with pytest.raises(UnreadableError, match="no region at the voxels"):
        read_array(folder / "pet.csv", parcellation=folder / "far.nii.gz")
    with pytest.raises(UnreadableError, match="applied to images with an affine"):
        read_array(folder / "volumes.npy", parcellation=folder / "atlas.nii.gz")
    (folder / "names.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UnreadableError, match="needs the columns 'index' and 'name'"):
        read_array(folder / "pet.csv", parcellation=f"{folder}/atlas.nii.gz:{folder}/names.csv")
