"""Reference regions, and ratios of uptake to them."""

import csv

import numpy as np
import pytest

from deepjive.imaging import REFERENCES, mni_grid, reference_region, resampled, sphere_distance, template
from deepjive.imaging.preprocessing.maps import label_of, region_of, uptake_ratios
from deepjive.imaging.preprocessing.protocol import PreprocessingError

pytest.importorskip("nilearn")
nibabel = pytest.importorskip("nibabel")


def labels(path):
    image = nibabel.load(path)
    return resampled(np.asarray(image.dataobj), image.affine, mni_grid(3), order=0).astype(int)


def test_the_whole_cerebellum_is_that_of_the_centiloid_project(shared_data):
    theirs = labels(shared_data("brain/centiloid_voi_WhlCbl_2mm.nii.gz")) > 0
    ours = reference_region("cerebellum", 3)
    # measured .77: theirs leaves out the uppermost and the outermost folia, ours is a union of spheres
    assert 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()) > 0.75
    assert not (reference_region("pons", 3) & theirs).any()


def test_reference_regions_lie_in_the_desikan_killiany_regions_of_their_names(shared_data):
    found = labels(shared_data("brain/desikan_killiany.nii.gz"))
    with open(shared_data("brain/desikan_killiany_labels.csv")) as file:
        names = {int(row["index"]): row["name"] for row in csv.DictReader(file)}
    for region, allowed in (
        ("cerebellum", ("Cerebellum", "Brain-Stem")),
        ("cerebellar-grey", ("Cerebellum", "Brain-Stem")),
        ("pons", ("Brain-Stem",)),
    ):
        inside = found[reference_region(region, 3)]
        inside = inside[inside > 0]  # that atlas leaves the space between folia without a label
        named = [any(word in names[int(number)] for word in allowed) for number in inside]
        assert np.mean(named) > 0.97, region


@pytest.mark.parametrize("voxel", [3.0, 6.0])
def test_the_cerebellum_contains_its_grey_matter_and_excludes_the_pons(voxel):
    grey, whole, pons, both, inferior = (reference_region(name, voxel) for name in REFERENCES)
    assert not (grey & ~whole).any()
    assert not (inferior & ~grey).any()
    assert inferior.any()
    assert not (pons & whole).any()
    np.testing.assert_array_equal(both, whole | pons)
    assert not (both & ~(template("brain", voxel) > 0)).any()


def test_inferior_cerebellar_grey_has_crus_2_and_lobules_7b_to_9_but_not_lobules_3_to_6():
    # centroids of the automated anatomical labels (Tzourio-Mazoyer et al. 2002), left side
    inferior = {"crus 2": (-29, -73, -38), "7b": (-32, -60, -45), "8": (-26, -55, -48), "9": (-11, -49, -46)}
    superior = {"3": (-9, -37, -19), "4 and 5": (-15, -43, -17), "6": (-23, -59, -22)}
    region, grid = reference_region("inferior-cerebellar-grey", 3.0), mni_grid(3.0)
    for name, centre in inferior.items():
        assert sphere_distance(grid, centre)[region].min() < 8.0, name
    for name, centre in superior.items():
        assert sphere_distance(grid, centre)[region].min() > 12.0, name


def test_ratios_have_mean_1_in_the_reference_region_and_do_not_depend_on_the_unit():
    rng = np.random.default_rng(0)
    uptake, region = 1.0 + rng.random((6, 6, 6)), np.zeros((6, 6, 6), bool)
    region[:2] = True
    ratios, mean = uptake_ratios(uptake, region, "pons")
    assert mean == pytest.approx(uptake[region].mean(), rel=1e-6)
    assert ratios[region].mean() == pytest.approx(1.0, rel=1e-6)
    np.testing.assert_allclose(uptake_ratios(uptake * 6000.0, region, "pons")[0], ratios, rtol=1e-5)


def test_a_region_outside_the_field_of_view_or_without_uptake_is_refused():
    uptake, region = np.ones((6, 6, 6)), np.zeros((6, 6, 6), bool)
    region[:2] = True
    uptake[:1] = 0.0
    assert uptake_ratios(uptake, region, "pons")[1] == pytest.approx(0.5)
    uptake[1, :2] = 0.0
    with pytest.raises(PreprocessingError, match="only 33% of the reference region 'pons' has uptake"):
        uptake_ratios(uptake, region, "pons")
    with pytest.raises(PreprocessingError, match="the mean uptake of the reference region 'pons' is -1"):
        uptake_ratios(-np.ones((6, 6, 6)), region, "pons")


def test_a_mask_file_can_be_the_reference_region(write_nifti, tmp_path):
    wanted = reference_region("pons", 6.0)
    path = write_nifti(tmp_path / "my_pons.nii.gz", wanted, mni_grid(6.0).affine)
    np.testing.assert_array_equal(region_of(str(path), 6.0), wanted)
    assert label_of(str(path)) == "myPons"
    with pytest.raises(ValueError, match="has no voxel within the brain"):
        region_of(str(write_nifti(tmp_path / "none.nii.gz", 0 * wanted, mni_grid(6.0).affine)), 6.0)
    with pytest.raises(ValueError, match="reference is 'thalamus', but must be one of"):
        region_of("thalamus", 6.0)
