import numpy as np
import pytest

from deepjive.data.readers.guard import UnreadableError
from deepjive.imaging import VolumeRows, millilitres, mni_grid, on_grid, resampled, save_volume, template, volume_of

pytest.importorskip("nilearn")
nibabel = pytest.importorskip("nibabel")
VOXEL = 12.0


@pytest.fixture
def grid():
    return mni_grid(VOXEL)


@pytest.fixture
def mask():
    return template("brain", VOXEL) > 0


def test_a_volume_on_the_grid_is_masked_but_not_resampled(write_nifti, tmp_path, grid, mask):
    values = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    rows = VolumeRows([write_nifti(tmp_path / "a.nii.gz", values), None], grid, mask)
    np.testing.assert_allclose(rows[:], np.stack([values * mask, np.zeros(grid.shape)]), atol=1e-6)


def test_left_and_right_are_taken_from_the_affine(write_nifti, tmp_path, grid, mask):
    values = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    flipped = grid.affine @ np.array([[-1, 0, 0, grid.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    path = write_nifti(tmp_path / "radiological.nii", values[::-1], flipped)
    np.testing.assert_allclose(on_grid(path, grid, mask), values * mask, atol=1e-5)


def test_a_coarser_map_keeps_the_volume():
    fine = template("grey", 3)
    coarse = resampled(fine, mni_grid(3).affine, mni_grid(6))
    assert millilitres(coarse, 6) == pytest.approx(millilitres(fine, 3), rel=0.01)


def test_nan_becomes_zero_outside_the_brain_and_is_refused_inside(write_nifti, tmp_path, grid, mask):
    values = np.where(mask, template("grey", VOXEL) + 0.1, np.nan)
    placed = on_grid(write_nifti(tmp_path / "a.nii", values), grid, mask)
    np.testing.assert_allclose(placed, np.where(mask, values, 0), atol=1e-6)
    values[:8] = np.nan
    with pytest.raises(UnreadableError, match=r"b\.nii .* of the values in the brain are NaN"):
        on_grid(write_nifti(tmp_path / "b.nii", values), grid, mask)


def shifted(affine, by):
    moved = affine.copy()
    moved[:3, 3] += by
    return moved


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.ones((4, 4, 4, 5))}, r"it has the shape \(4, 4, 4, 5\), but one volume of three axes"),
        ({"sform": 0, "qform": 0}, "does not say where the volume is in space"),
        ({"affine": np.diag([100.0, 3, 3, 1])}, r"its affine does not map voxels to mm: .* with voxels of \[100"),
        ({"affine": shifted(mni_grid(VOXEL).affine, 150)}, "it covers only .* of the brain mask"),
        ({"values": np.ones(mni_grid(VOXEL).shape)}, "the same value everywhere in the brain"),
    ],
)
def test_the_error_for_a_bad_volume_has_its_name_and_the_reason(write_nifti, tmp_path, grid, mask, changes, message):
    path = write_nifti(tmp_path / "bad.nii.gz", **changes)
    with pytest.raises(UnreadableError, match=rf"bad\.nii\.gz could not be read: .*{message}"):
        on_grid(path, grid, mask)


def test_a_header_whose_two_affines_differ_in_left_and_right_is_refused(write_nifti, tmp_path, grid):
    path = write_nifti(tmp_path / "flipped.nii")
    image = nibabel.load(path)
    image.header.set_qform(grid.affine @ np.diag([-1, 1, 1, 1]), code=2)
    nibabel.save(image, tmp_path / "flipped2.nii")
    with pytest.raises(UnreadableError, match=r"flipped2.*sform and qform disagree on which side is left"):
        volume_of(tmp_path / "flipped2.nii")


def test_truncated_files_are_refused(write_nifti, tmp_path, grid, mask):
    for name in ("short.nii", "short.nii.gz"):
        path = write_nifti(tmp_path / name)
        path.write_bytes(path.read_bytes()[:600])
        with pytest.raises(UnreadableError, match=f"{name} could not be read"):
            on_grid(path, grid, mask)


def test_a_saved_map_is_in_mni_space(tmp_path, grid, mask):
    values = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    path = save_volume(tmp_path / "deep" / "map.nii.gz", values, grid)
    np.testing.assert_allclose(on_grid(path, grid, np.ones_like(mask)), values, atol=1e-6)
    assert [file.name for file in path.parent.iterdir()] == ["map.nii.gz"]
    assert nibabel.load(path).get_sform(coded=True)[1] == 4


def test_files_of_freesurfer_are_read_and_analyze_files_without_a_space_are_refused(tmp_path, grid, mask):
    values = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    nibabel.save(nibabel.MGHImage(values, grid.affine), tmp_path / "a.mgz")
    np.testing.assert_allclose(on_grid(tmp_path / "a.mgz", grid, mask), values * mask, atol=1e-5)
    nibabel.save(nibabel.AnalyzeImage(values, grid.affine), tmp_path / "a.img")
    with pytest.raises(UnreadableError, match=r"a\.img .* does not say where .* or the format is Analyze"):
        on_grid(tmp_path / "a.img", grid, mask)
