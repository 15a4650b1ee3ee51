"""Tau as a third modality of the phantom, and what it shares with MRI alone."""

import numpy as np
import pytest

from deepjive import AJIVE
from deepjive.datasets import REGIONS, make_phantom, tau_curve
from deepjive.datasets.phantom import amyloid_curve, atrophy_curve
from deepjive.imaging import mni_grid, reference_region, sphere_distance, template

pytest.importorskip("nilearn")
pytest.importorskip("nibabel")


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(14, 6.0, tau=True, random_state=0)


def energy(volumes):
    return float(np.square(volumes - volumes.mean(axis=0)).sum())


def test_tau_lies_between_amyloid_and_atrophy():
    stage = np.linspace(0.3, 0.9, 9)
    assert (amyloid_curve(stage) > tau_curve(stage)).all()
    assert (tau_curve(stage) > atrophy_curve(stage)).all()


def test_amyloid_is_the_same_bit_for_bit_with_and_without_tau(phantom):
    without = make_phantom(14, 6.0, random_state=0)
    np.testing.assert_array_equal(phantom.data["pet"], without.data["pet"])
    assert list(without.data.names) == ["mri", "pet"]
    assert (np.asarray(phantom.data["mri"]) != np.asarray(without.data["mri"])).any()  # it has the spread
    for column in without.subjects:
        assert phantom.subjects[column].equals(without.subjects[column])


def test_temporal_uptake_of_tau_is_on_either_side_of_the_published_limits(phantom):
    grid, temporal = mni_grid(6.0), ("inferior temporal", "middle temporal", "fusiform")
    near = [sphere_distance(grid, centre) < 12 for name in temporal for centre in REGIONS[name][:2]]
    region = np.any(near, axis=0) & (template("grey", 6.0) > 0.5)
    tau = np.asarray(phantom.data["tau"], dtype=np.float32)
    ratio = tau[:, region].mean(axis=1) / tau[:, reference_region("inferior-cerebellar-grey", 6.0)].mean(axis=1)
    impaired = (phantom.subjects["diagnosis"] == "AD").to_numpy()
    assert np.median(ratio[~impaired]) < 1.27
    assert np.median(ratio[impaired]) > 1.34


def test_the_spread_is_in_mri_and_tau_and_not_in_amyloid(phantom):
    for name in ("mri", "tau"):
        both, joint, own, shared = (phantom.truth(part, name) for part in ("both", "joint", "individual", "mri+tau"))
        assert energy(both - joint - own - shared) < 0.05 * energy(both)
        assert energy(shared) > 0.02 * energy(both)
    assert not phantom.truth("mri+tau", "pet").any()
    with pytest.raises(ValueError, match=r"part is 'pet\+tau', but must be one of"):
        phantom.truth("pet+tau", "pet")


def test_the_true_joint_part_does_not_depend_on_factors_of_tau(phantom):
    changed = phantom.subjects.copy()
    for factor in ("spread", "off_target", "tau_scale", "tau_resolution"):
        changed[factor] = changed[factor].to_numpy()[::-1]
    other = type(phantom)(phantom.data, changed, phantom.grid, phantom.mask)
    for name in phantom.data.names:
        np.testing.assert_array_equal(other.truth("joint", name, [1]), phantom.truth("joint", name, [1]))
    assert np.abs(other.truth("both", "tau", [1]) - phantom.truth("both", "tau", [1])).max() > 0.01


@pytest.mark.slow
def test_ajive_with_subsets_finds_the_spread_in_mri_and_tau():
    phantom = make_phantom(120, 8.0, tau=True, random_state=0)
    rows = {name: np.asarray(phantom.data[name], np.float32)[:, phantom.mask] for name in phantom.data.names}
    model = AJIVE(signal_ranks=8, joint_rank=2, subsets={("mri", "tau"): 1}, random_state=0).fit(rows)
    visible = phantom.subjects["spread"] * tau_curve(phantom.subjects["stage"])
    scores = model.decompose(rows).subset_scores["mri", "tau"]
    assert abs(np.corrcoef(scores[:, 0], visible)[0, 1]) > 0.6
