"""Peaks of maps: coordinates, clusters and names."""

import numpy as np
import pytest

from deepjive.imaging import mni_grid
from deepjive.imaging.peaks import peaks

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("nilearn")


def bumps(grid, *centres, radius=12.0):
    points = grid.points()
    values = np.zeros(grid.shape)
    for centre, height in centres:
        distance = np.linalg.norm(points - np.array(centre).reshape(3, 1, 1, 1), axis=0)
        values += height * np.exp(-0.5 * (distance / radius) ** 2)
    return values


def test_peaks_have_the_coordinates_of_the_bumps_and_the_largest_cluster_comes_first():
    grid = mni_grid(3)
    values = bumps(grid, ((-27, -21, -9), -1.0), ((30, 42, 30), 0.5))
    table = peaks(values, np.abs(values) > 0.2, grid, centres={"hippocampus, left": (-25, -21, -10)})
    assert table["cluster"].tolist() == [1, 2]
    assert table[["x", "y", "z"]].to_numpy().tolist() == [[-27, -21, -9], [30, 42, 30]]
    assert table["value"].round(2).tolist() == [-1.0, 0.5]
    assert table["region"][0] == "hippocampus, left (2 mm)"
    assert table["mm3"][0] == pytest.approx(27 * (values < -0.2).sum())


def test_a_cluster_has_at_most_three_peaks_that_are_8_mm_apart():
    grid = mni_grid(3)
    places = [((x, 0, 30), 1.0 - x / 1000) for x in (-45, -24, -3, 18, 39)]
    values = bumps(grid, *places, ((-45, 3, 33), 0.001), radius=6.0)
    table = peaks(values, values > 0.05, grid)
    assert table["cluster"].tolist() == [1, 1, 1]
    assert table["x"].tolist() == [-45, -24, -3]
    assert table["region"].tolist() == ["", "", ""]


def test_an_atlas_names_peaks_also_on_another_grid_and_outside_of_it(tmp_path):
    grid, fine = mni_grid(6), mni_grid(3)
    labels = np.zeros(fine.shape, np.int16)
    labels[fine.points()[0] < 0] = 7
    nibabel.save(nibabel.Nifti1Image(labels, fine.affine), tmp_path / "sides.nii.gz")
    (tmp_path / "sides.tsv").write_text("index\tname\n7\tleft half\n")
    values = bumps(grid, ((-33, 9, 24), 1.0), ((33, 9, 24), 0.9))
    table = peaks(values, values > 0.4, grid, atlas=tmp_path / "sides.nii.gz")
    assert table["region"].tolist() == ["left half", ""]


def test_maps_of_other_shapes_are_refused_and_no_voxels_give_an_empty_table():
    grid = mni_grid(6)
    assert not len(peaks(np.zeros(grid.shape), np.zeros(grid.shape, bool), grid, centres={"a": (0, 0, 0)}))
    with pytest.raises(ValueError, match=r"has the shape \(2, 2, 2\), but the grid has"):
        peaks(np.zeros((2, 2, 2)), np.zeros(grid.shape, bool), grid)


def test_clusters_are_those_of_the_statistic_where_the_effect_has_another_sign():
    grid = mni_grid(6)
    statistic = bumps(grid, ((-33, 9, 24), -1.0))
    effect = statistic + 0.25  # positive at the border of the cluster
    where = statistic < -0.1
    assert peaks(effect, where, grid)["cluster"].max() > 1
    table = peaks(effect, where, grid, signed_by=statistic)
    assert set(table["cluster"]) == {1}
    assert table["mm3"][0] == pytest.approx(6**3 * where.sum())
    assert table["value"][0] == effect.min()


def test_a_peak_far_from_all_centres_has_no_name():
    grid = mni_grid(6)
    values = bumps(grid, ((-33, 9, 24), 1.0))
    places = {"near": (-33, 9, 4), "far": (33, 9, 24)}
    assert peaks(values, values > 0.5, grid, centres=places)["region"][0] == "near (20 mm)"
    assert peaks(values, values > 0.5, grid, centres={"far": places["far"]})["region"][0] == ""
