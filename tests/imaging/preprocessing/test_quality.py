import numpy as np
import pytest

from deepjive.imaging import mni_grid, resampled, template
from deepjive.imaging.preprocessing.quality import LIMITS, alignment, flags_of, outliers, pet_quality, t1_quality

pytest.importorskip("nilearn")
VOXEL = 3.0


def pet(shift=(0.0, 0.0, 0.0), turn=("x", 0.0)):
    """A blurred PET on the standard grid, moved by mm and turned by degrees about the middle of the brain."""
    from scipy.ndimage import gaussian_filter
    from scipy.spatial.transform import Rotation

    grey, white = template("grey", VOXEL), template("white", VOXEL)
    uptake = gaussian_filter(grey + 1.6 * white, 6.0 / 2.355 / VOXEL)
    move = np.eye(4)
    move[:3, :3] = Rotation.from_euler(*turn, degrees=True).as_matrix()
    move[:3, 3] = np.array([0, -18, 4]) - move[:3, :3] @ [0, -18, 4] + shift
    moved = move @ mni_grid(VOXEL).affine
    return resampled(uptake, moved, mni_grid(VOXEL))


@pytest.mark.parametrize("shift", [(0, 0, 0), (6, 0, 0), (0, -4, 0), (5, 0, 6)])
def test_the_shift_of_a_pet_is_measured(shift):
    found = alignment(template("t1", VOXEL), pet(shift), VOXEL)
    assert found.offset_mm == pytest.approx(np.linalg.norm(shift), abs=1.2)  # less than half a voxel
    assert 1.0 < found.information < 2.0


@pytest.mark.parametrize(("axis", "angle"), [("x", 5.0), ("y", -7.0), ("z", 10.0)])
def test_the_rotation_of_a_pet_is_measured(axis, angle):
    found = alignment(template("t1", VOXEL), pet(turn=(axis, angle)), VOXEL)
    assert found.turn_degrees == pytest.approx(abs(angle), abs=1.5)  # half a step of 3 degrees


def test_a_misregistered_pet_is_flagged_and_an_aligned_one_is_not():
    t1, grey = template("t1", VOXEL), template("grey", VOXEL)
    assert not flags_of(pet_quality(t1, pet(), grey, VOXEL))
    moved = flags_of(pet_quality(t1, pet((0, 8, 0)), grey, VOXEL))
    assert any("PET and T1 are not aligned" in flag for flag in moved)
    turned = flags_of(pet_quality(t1, pet()[:, ::-1], grey, VOXEL))
    assert turned


def test_a_t1_that_does_not_lie_on_the_template_is_flagged():
    grey = template("grey", VOXEL)
    facts = {"modulated_ml": 700.0, "grey_native_ml": 702.0, "modulated_brain_ml": 690.0}
    good = t1_quality(template("t1", VOXEL), grey, VOXEL, facts)
    assert good["t1_correlation"] == pytest.approx(1.0)
    assert good["grey_overlap"] == pytest.approx(1.0)
    assert good["volume_kept"] == pytest.approx(700 / 702)
    assert not flags_of(good)
    bad = t1_quality(template("t1", VOXEL)[:, ::-1], grey[:, ::-1], VOXEL, facts | {"modulated_ml": 500.0})
    assert {flag.split()[0] for flag in flags_of(bad)} == {"t1_correlation", "grey_overlap", "volume_kept"}


def test_scans_far_apart_by_their_headers_are_flagged():
    assert not flags_of({"pet_t1_apart_mm": 90.0})
    assert "far apart by their headers" in flags_of({"pet_t1_apart_mm": 140.0})[0]
    assert set(LIMITS) > {"suvr_median", "suvr_highest", "pet_coverage"}


def test_outliers_are_flagged_among_at_least_eight_participants():
    rng = np.random.default_rng(0)
    cohort = [{"grey_ml": 600.0 + value} for value in rng.normal(0, 20, 12)]
    assert not any(outliers(cohort))
    cohort[3]["grey_ml"] = 900.0
    found = outliers(cohort)
    assert [bool(flags) for flags in found] == [row == 3 for row in range(12)]
    assert "grey_ml 900 is an outlier (median" in found[3][0]
    assert not any(outliers([*cohort[:3], {"grey_ml": 900.0}]))
    assert not any(outliers([{}] * 12))
