import numpy as np
import pytest

from deepjive.datasets import (
    FACTORS,
    amyloid_curve,
    atrophy_curve,
    composite_suvr,
    make_phantom,
    write_caps,
    write_native,
)
from deepjive.imaging import read_cohort, volume_of

pytest.importorskip("nilearn")
pytest.importorskip("nibabel")
N = 16


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(N, 6.0, random_state=0)


def energy(volumes):
    return float(np.square(volumes - volumes.mean(axis=0)).sum())


def test_amyloid_precedes_atrophy_and_both_rise_from_0_to_1():
    stage = np.linspace(0.15, 1, 18)  # below, both are less than a fiftieth
    assert np.allclose([amyloid_curve(0), atrophy_curve(0), amyloid_curve(1), atrophy_curve(1)], [0, 0, 1, 1])
    assert (amyloid_curve(stage)[:-1] > atrophy_curve(stage)[:-1]).all()


def test_the_composite_suvr_is_in_the_published_range_at_every_resolution(phantom):
    impaired = (phantom.subjects["diagnosis"] == "AD").to_numpy()
    coarse = composite_suvr(phantom.data["pet"], 6)
    assert 0.95 < coarse[~impaired].mean() < 1.25
    assert 1.4 < coarse[impaired].mean() < 2.0
    fine = composite_suvr(make_phantom(4, 4.0, random_state=0).data["pet"], 4)
    same = composite_suvr(make_phantom(4, 6.0, random_state=0).data["pet"], 6)
    assert np.abs(fine - same).max() < 0.04


def test_parts_add_up_and_the_joint_part_is_a_fifth_of_mri(phantom):
    for name in ("mri", "pet"):
        both, joint, individual = (phantom.truth(part, name, slice(None)) for part in ("both", "joint", "individual"))
        assert energy(both - joint - individual) < 0.05 * energy(both)
        assert energy(joint) > 0.2 * energy(np.asarray(phantom.data[name], dtype=np.float32))
        noise = np.asarray(phantom.data[name], dtype=np.float32) - both
        assert not noise[:, ~phantom.mask].any()
        assert energy(noise) < 0.1 * energy(both)


def test_the_true_joint_part_does_not_depend_on_individual_factors(phantom):
    changed = phantom.subjects.copy()
    for factor in {factor for name in ("mri", "pet") for factor in FACTORS[name]} & set(changed):
        changed[factor] = changed[factor].to_numpy()[::-1]
    other = type(phantom)(phantom.data, changed, phantom.grid, phantom.mask)
    for name in ("mri", "pet"):
        np.testing.assert_array_equal(other.truth("joint", name, [0, 5]), phantom.truth("joint", name, [0, 5]))
        assert np.abs(other.truth("both", name, [0]) - phantom.truth("both", name, [0])).max() > 0.01


def test_volumes_are_the_same_on_disk_and_for_the_same_seed(phantom, tmp_path):
    stored = make_phantom(4, 6.0, folder=tmp_path, random_state=3)
    again = make_phantom(4, 6.0, random_state=3)
    for name in ("mri", "pet"):
        assert isinstance(stored.data[name], np.memmap)
        np.testing.assert_array_equal(stored.data[name], again.data[name])
    with pytest.raises(ValueError, match="n_subjects is 2"):
        make_phantom(2)


def test_maps_written_as_clinica_does_are_read_back(tmp_path):
    phantom = make_phantom(4, 6.0, random_state=1)
    caps, bids = write_caps(phantom, tmp_path)
    cohort = read_cohort({"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}, clinical=bids)
    assert not cohort.problems
    cohort, data = cohort.read(6.0)
    assert cohort.table["diagnosis"].tolist() == ["CN", "AD", "CN", "AD"]
    for name in ("mri", "pet"):
        difference = np.abs(data.rows(name, slice(None)) - np.asarray(phantom.data[name], dtype=np.float32))
        assert difference.max() < 1e-4  # 16-bit integers


def test_native_scans_show_the_whole_head_in_another_position(tmp_path):
    folder = write_native(make_phantom(4, 12.0, random_state=1).subjects[:1], tmp_path)
    t1, pet = (volume_of(next(folder.glob(f"sub-*/ses-*/*/*_{kind}.nii.gz"))) for kind in ("T1w", "pet"))
    assert t1.header.get_zooms() != pet.header.get_zooms()
    for image in (t1, pet):
        values = np.asarray(image.dataobj)
        inside = values[1:-1, 1:-1, 1:-1] > 0.1 * values.max()
        assert 1000 < inside.sum() * np.prod(image.header.get_zooms()) / 1000 < 8000  # ml of head
