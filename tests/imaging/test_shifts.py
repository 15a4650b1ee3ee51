"""Displaced scans are found by the shift that makes them fit, however strong the uptake is."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from deepjive import Modalities
from deepjive.imaging import displacement, mni_grid, template

pytest.importorskip("nilearn")
VOXEL = 8.0
MOVES = {3: (9.0, 0.0, 0.0), 7: (0.0, -8.0, 6.0)}


@pytest.fixture(scope="module")
def scans():
    """Uptake of grey and white matter in all proportions and with noise; two scans are displaced."""
    rng = np.random.default_rng(0)
    grey, white, mask = template("grey", VOXEL), template("white", VOXEL), template("brain", VOXEL) > 0
    volumes = []
    for row in range(24):
        volume = gaussian_filter(rng.uniform(0.8, 2.5) * grey + rng.uniform(1.2, 1.7) * white, 0.4)
        volume = shift(volume, np.array(MOVES.get(row, (0.0, 0.0, 0.0))) / VOXEL, order=1)
        volumes.append((volume + 0.02 * rng.normal(size=volume.shape)) * mask)
    return Modalities({"pet": np.stack(volumes)}, samples=[f"sub-{row}" for row in range(24)])


def test_displaced_scans_are_the_suspects_and_their_shifts_are_known(scans):
    found = displacement(scans, "pet", VOXEL)
    assert set(found.suspect) == {"sub-3", "sub-7"}
    rows = found.table.set_index("sample")
    for row, move in MOVES.items():
        shifts = rows.loc[f"sub-{row}", ["shift_x", "shift_y", "shift_z"]].to_numpy(dtype=float)
        assert np.linalg.norm(shifts - move) < 0.75 * VOXEL  # the voxels are coarse
    assert rows.drop(["sub-3", "sub-7"])["shift_mm"].max() < 2.0


def test_scans_of_another_grid_or_too_few_are_refused(scans):
    with pytest.raises(ValueError, match=r"'pet' have the shape .*Give voxel="):
        displacement(scans, "pet", 6.0)
    with pytest.raises(ValueError, match="5 samples have the modality 'pet', but at least 10"):
        displacement(scans[:5], "pet", VOXEL)
    assert mni_grid(VOXEL).shape == scans.shapes["pet"]
