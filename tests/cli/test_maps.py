"""`deepjive maps`: figures for print and tables of peaks."""

import numpy as np
import pandas as pd
import pytest

from deepjive.imaging import mni_grid, save_volume

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("nilearn")


@pytest.fixture
def files(tmp_path):
    grid = mni_grid(6)
    points = grid.points()
    distance = np.linalg.norm(points - np.array((-27.0, -21.0, -12.0)).reshape(3, 1, 1, 1), axis=0)
    effect = np.where(distance < 30, -np.exp(-distance / 20), 0.0)
    save_volume(tmp_path / "mri_effect.nii.gz", effect, grid, intent="estimate", description="deepjive: mri, per sd")
    save_volume(tmp_path / "q.nii.gz", np.where(distance < 13, 0.01, 0.9), grid, intent="p value")
    return tmp_path


def test_a_map_is_drawn_for_print_with_a_table_of_peaks_within_the_limit(invoke, files):
    out = files / "figures"
    result = invoke("maps", files / "mri_effect.nii.gz", "--where", files / "q.nii.gz", "--format", "pdf", "--out", out)
    assert result.exit_code == 0, result.output
    assert (out / "mri_effect.pdf").read_bytes().startswith(b"%PDF")
    table = pd.read_csv(out / "mri_effect_peaks.csv")
    assert table[["x", "y", "z"]].to_numpy().tolist() == [[-27, -21, -12]]
    assert table["mm3"][0] < 4 / 3 * np.pi * 14**3
    assert table["region"][0].startswith("hippocampus, left")


def test_headers_of_maps_say_what_the_values_are(files):
    header = nibabel.load(files / "mri_effect.nii.gz").header
    assert header.get_intent()[0] == "estimate"
    assert bytes(header["descrip"]).startswith(b"deepjive: mri, per sd")
    assert nibabel.load(files / "q.nii.gz").header.get_intent()[0] == "p value"
    assert header.get_xyzt_units()[0] == "mm"


def test_maps_on_two_grids_and_limits_without_a_map_are_refused(invoke, files):
    save_volume(files / "other.nii.gz", np.ones(mni_grid(8).shape), mni_grid(8))
    result = invoke("maps", files / "mri_effect.nii.gz", "--where", files / "other.nii.gz", "--out", files / "o")
    assert result.exit_code == 2
    assert "Both must be on one grid" in " ".join(result.output.split())
    result = invoke("maps", files / "mri_effect.nii.gz", "--below", "0.01")
    assert result.exit_code == 2
    assert "Give --where MAP as well" in " ".join(result.output.split())
