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
        (np.full((20, 20, 20), 7.0), "it holds only 7, so that there is no head in it"),
        (np.full((20, 20, 20), np.nan), "it holds only 0, so that there is no head in it"),
        (np.pad(np.ones((4, 4, 4)), 8), "less than a head's 300 ml"),
    ],
)
def test_what_is_no_scan_of_a_head_is_refused_with_its_name(write_nifti, tmp_path, values, message):
    path = write_nifti(tmp_path / "bad.nii.gz", values, AFFINE)
    with pytest.raises(UnreadableError, match=rf"bad\.nii\.gz could not be read: .*{message}"):
        scan_of(path)


def test_a_scan_where_it_belongs_is_left_where_it_is_and_nan_is_zero(write_nifti, tmp_path):
    values = np.where(head() > 0, head(), np.nan)
    scan = write_nifti(tmp_path / "scan.nii.gz", values, AFFINE)
    made, facts = prepare("t1")({"t1_scan": scan}, tmp_path, {"furthest_mm": 60.0})
    kept, affine = load_scan(made["t1"])
    np.testing.assert_allclose(kept, head(), rtol=1e-6)
    np.testing.assert_allclose(affine, AFFINE)
    assert facts == {"t1_voxels_mm": [6.0, 6.0, 6.0], "t1_brought_nearer_mm": [0.0, 0.0, 0.0]}


def test_a_pet_far_from_its_t1_is_brought_near_and_the_distance_is_kept(write_nifti, tmp_path):
    t1 = write_nifti(tmp_path / "t1.nii.gz", head(), AFFINE)
    pet = write_nifti(tmp_path / "far.nii.gz", head(), moved((0, 120, -50)))
    made, facts = prepare("pet", partner="t1")({"t1_scan": t1, "pet_scan": pet}, tmp_path, {"furthest_mm": 60.0})
    assert facts["pet_t1_apart_mm"] == pytest.approx(130.0, abs=0.1)
    values, affine = load_scan(made["pet"])
    np.testing.assert_allclose(values, head(), rtol=1e-6)
    np.testing.assert_allclose(centre_of(values, affine), MIDDLE, atol=0.1)
    assert np.linalg.norm(facts["pet_brought_nearer_mm"]) == pytest.approx(130, abs=15)
