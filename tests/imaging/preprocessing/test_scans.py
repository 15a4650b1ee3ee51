import numpy as np
import pytest

from deepjive.data.readers.guard import UnreadableError
from deepjive.imaging import mni_grid, template
from deepjive.imaging.preprocessing.scans import MIDDLE, centre_of, load_scan, prepare, scan_of

pytest.importorskip("nilearn")
AFFINE = mni_grid(6.0).affine


def head():
    return template("t1", 6.0) * 1000.0


def moved(by):
    affine = AFFINE.copy()
    affine[:3, 3] += by
    return affine


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((20, 20, 20, 3)), "one volume of three axes is expected"),
        (np.ones((40, 40, 3)), "a head has at least 16 slices along each axis"),
        (np.full((20, 20, 20), 7.0), "all its values are 7, so it does not show a head"),
        (np.full((20, 20, 20), np.nan), "all its values are 0, so it does not show a head"),
        (np.pad(np.ones((4, 4, 4)), 8), "but a head has at least 300 ml"),
    ],
)
def test_a_scan_that_does_not_show_a_head_is_refused_with_its_name(write_nifti, tmp_path, values, message):
    path = write_nifti(tmp_path / "bad.nii.gz", values, AFFINE)
    with pytest.raises(UnreadableError, match=rf"bad\.nii\.gz could not be read: .*{message}"):
        scan_of(path)


def test_a_scan_near_the_middle_keeps_its_position_and_nan_becomes_zero(write_nifti, tmp_path):
    values = np.where(head() > 0, head(), np.nan)
    scan = write_nifti(tmp_path / "scan.nii.gz", values, AFFINE)
    made, facts = prepare("t1")({"t1_scan": scan}, tmp_path, {"furthest_mm": 60.0})
    kept, affine = load_scan(made["t1"])
    np.testing.assert_allclose(kept, head(), rtol=1e-6)
    np.testing.assert_allclose(affine, AFFINE)
    assert facts == {"t1_voxels_mm": [6.0, 6.0, 6.0], "t1_brought_nearer_mm": [0.0, 0.0, 0.0]}


def test_a_pet_far_from_its_t1_is_shifted_and_the_distance_is_recorded(write_nifti, tmp_path):
    t1 = write_nifti(tmp_path / "t1.nii.gz", head(), AFFINE)
    pet = write_nifti(tmp_path / "far.nii.gz", head(), moved((0, 120, -50)))
    made, facts = prepare("pet", partner="t1")({"t1_scan": t1, "pet_scan": pet}, tmp_path, {"furthest_mm": 60.0})
    assert facts["pet_t1_apart_mm"] == pytest.approx(130.0, abs=0.1)
    values, affine = load_scan(made["pet"])
    np.testing.assert_allclose(values, head(), rtol=1e-6)
    np.testing.assert_allclose(centre_of(values, affine), MIDDLE, atol=0.1)
    assert np.linalg.norm(facts["pet_brought_nearer_mm"]) == pytest.approx(130, abs=15)
