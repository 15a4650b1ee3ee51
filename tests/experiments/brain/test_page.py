"""The page of the study of MRI and PET."""

import numpy as np
import pytest

from deepjive.imaging import mni_grid

pytest.importorskip("nilearn")


def test_a_map_without_a_significant_voxel_is_said_to_be_empty_and_has_no_viewer():
    from deepjive.experiments.brain.page import _section

    grid = mni_grid(12.0)
    some = np.zeros(grid.shape)
    some[5:8, 6:9, 5:8] = 0.3
    section = _section("Covariation", "Effects.", {"mri": np.zeros(grid.shape), "pet": some}, grid, [])
    assert "No voxel of mri is significant, so this map is empty." in section.words
    assert [shown.heading for shown in section.viewers] == ["pet: SUVR per sd"]
    full = _section("Covariation", "Effects.", {"pet": some}, grid, [])
    assert full.words == "Effects."


def test_a_rounded_zero_has_no_sign():
    from deepjive.experiments.brain.page import _probe_table, _recovery_table
    from deepjive.experiments.brain.study import BrainStudy

    study = BrainStudy(probes=[("joint", {"stage": -0.001})], recovery=[("AJIVE", "mri", *[-0.0001] * 4)])
    assert _probe_table(study).rows == [("joint", "0.00")]
    assert _recovery_table(study).rows == [("AJIVE", "mri", *["0.000"] * 4)]
