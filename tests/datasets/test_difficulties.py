"""The switches of the phantom: each adds its difficulty and nothing else."""

import hashlib
from dataclasses import fields, replace

import numpy as np
import pytest

from deepjive.datasets import HARD, Difficulties, make_phantom, pattern, true_factors, write_caps
from deepjive.datasets.difficulties import NONE, SUBTYPES, with_difficulties
from deepjive.datasets.phantom import _subjects
from deepjive.imaging import read_cohort

pytest.importorskip("nilearn")
pytest.importorskip("nibabel")
VOXEL = 12.0
HIDDEN = ("site", "copathology", "amyloid_alone", "atrophy_alone")
MEANS = {  # measured with version 0.1.0 before there were difficulties
    "mri": [0.15893, 0.15034, 0.17623, 0.15023, 0.15738, 0.15939],
    "pet": [0.37935, 0.5523, 0.37382, 0.50299, 0.37848, 0.51401],
}
SWITCHES = [field.name for field in fields(Difficulties) if field.name != "visits"]  # which adds rows


def alone(name):
    return replace(NONE, **{name: getattr(HARD, name)})


def subjects(n, difficulties, seed=0):
    rng = np.random.RandomState(seed)
    return with_difficulties(_subjects(n, rng), difficulties, rng)


@pytest.fixture(scope="module")
def easy():
    return make_phantom(6, VOXEL, random_state=5)


def test_without_difficulties_the_participants_are_those_of_version_0_1(easy):
    """Bit for bit the factors that were drawn before there were difficulties; volumes depend on rounding."""
    drawn = subjects(8, NONE, seed=5)
    assert drawn.columns.tolist()[-1] == "seed"
    digest = hashlib.sha256(np.round(drawn.drop(columns=["participant_id", "diagnosis"]), 9).to_csv().encode())
    assert digest.hexdigest()[:16] == "3f66f049befbd579"
    for name, means in MEANS.items():
        values = np.asarray(easy.data[name], dtype=np.float64).reshape(6, -1)
        np.testing.assert_allclose(values.mean(axis=1), means, atol=2e-5)


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_changes_no_factor_of_the_others(name):
    together, single, none = subjects(40, HARD), subjects(40, alone(name)), subjects(40, NONE)
    for column in single.columns.difference(none.columns):
        np.testing.assert_array_equal(single[column], together[column], err_msg=column)
    changed = [column for column in none if not single[column].equals(none[column])]
    assert changed == {"age_shift": ["age"], "discordant": ["stage"]}.get(name, [])


def test_factors_have_their_published_shares():
    drawn = subjects(4000, HARD, seed=1)
    impaired = drawn["diagnosis"] == "AD"
    # standard errors of shares of 4000 are below .008, of half of them below .012
    assert drawn["site"].value_counts(normalize=True).to_numpy() == pytest.approx(1 / 3, abs=0.03)
    for subtype, share in SUBTYPES.items():
        assert (drawn["subtype"] == subtype).mean() == pytest.approx(share, abs=0.03)
    assert (drawn["copathology"] > 0).mean() == pytest.approx(0.35, abs=0.03)
    assert (drawn["amyloid_alone"] > 0)[~impaired].mean() == pytest.approx(0.2, abs=0.04)
    assert not (drawn["amyloid_alone"] > 0)[impaired].any()
    assert (drawn["atrophy_alone"] > 0)[~impaired].mean() == pytest.approx(0.15, abs=0.04)
    assert (drawn["atrophy_alone"] > 0)[impaired].mean() == pytest.approx(0.15, abs=0.04)
    assert ((drawn["age"] > 0) == impaired).mean() == pytest.approx(0.7, abs=0.03)
    assert (~drawn["has_pet"]).mean() == pytest.approx(1 / 3, abs=0.001)
    moved = np.linalg.norm(drawn[["shift_x", "shift_y", "shift_z"]], axis=1)
    assert (moved > 0).mean() == pytest.approx(0.05, abs=0.001)
    assert moved[moved > 0].min() >= 8.0
    others = drawn["pet_of"] != drawn["participant_id"]
    assert others.mean() == pytest.approx(0.05, abs=0.001)
    assert sorted(drawn["pet_of"][others]) == sorted(drawn["participant_id"][others])


@pytest.mark.parametrize("name", ["copathology", "discordant", "sites"])
def test_the_true_joint_part_does_not_show_what_is_no_part_of_it(name):
    hard = make_phantom(4, 12.0, difficulties=alone(name), random_state=5)
    shown = [column for column in hard.subjects if column not in HIDDEN]
    plain = type(hard)(hard.data, hard.subjects[shown], hard.grid, hard.mask)
    for modality in ("mri", "pet"):
        np.testing.assert_array_equal(hard.truth("joint", modality), plain.truth("joint", modality))


def test_amyloid_alone_is_in_pet_alone_and_atrophy_alone_and_copathology_in_mri_alone():
    phantom = make_phantom(4, VOXEL, random_state=5)
    for column, shown in (("amyloid_alone", "pet"), ("atrophy_alone", "mri"), ("copathology", "mri")):
        hidden = "pet" if shown == "mri" else "mri"
        with_it = phantom.subjects.assign(stage=0.1, **{column: 0.8})
        without = phantom.subjects.assign(stage=0.1, **{column: 0.0})
        hard, easy = (type(phantom)(phantom.data, table, phantom.grid, phantom.mask) for table in (with_it, without))
        np.testing.assert_array_equal(hard.truth("both", hidden, [0]), easy.truth("both", hidden, [0]))
        assert np.abs(hard.truth("both", shown, [0]) - easy.truth("both", shown, [0])).max() > 0.05, column


def test_subtypes_differ_in_where_the_disease_is():
    kinds, hippocampus = ("limbic atrophy", "atrophy", "sparing atrophy"), pattern("copathology", 6) > 0.6
    limbic, typical, sparing = (pattern(kind, 6)[hippocampus].mean() for kind in kinds)
    assert sparing < 0.6 * typical
    assert limbic == pytest.approx(typical, abs=0.1)
    elsewhere = pattern("atrophy", 6) * (pattern("copathology", 6) < 0.05)
    limbic, sparing = (float((pattern(kind, 6) * elsewhere).sum()) for kind in ("limbic atrophy", "sparing atrophy"))
    assert limbic < 0.5 * sparing


def test_missing_exchanged_and_displaced_scans_are_what_the_factors_say(tmp_path):
    difficulties = Difficulties(missing_pet=0.3, mispaired=0.3, misregistered=0.3)
    phantom, easy = (make_phantom(6, VOXEL, difficulties=d, random_state=5) for d in (difficulties, NONE))
    table, names = phantom.subjects, phantom.subjects["participant_id"].tolist()
    np.testing.assert_array_equal(phantom.data.present, np.stack([np.ones(6, bool), table["has_pet"]], axis=1))
    moved = np.linalg.norm(table[["shift_x", "shift_y", "shift_z"]], axis=1) > 0
    for row in np.flatnonzero(table["has_pet"]):
        expected = easy.data["pet"][names.index(table["pet_of"][row])]
        same = np.array_equal(phantom.data["pet"][row], expected)
        assert same != moved[row]
    assert not phantom.data["pet"][~table["has_pet"].to_numpy()].any()
    np.testing.assert_array_equal(phantom.data["mri"], easy.data["mri"])
    caps, bids = write_caps(phantom, tmp_path)
    cohort = read_cohort({"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}, clinical=bids)
    assert len(cohort.complete()) == int(table["has_pet"].sum())


def test_true_factors_are_the_ceiling_and_wrong_switches_are_errors():
    assert true_factors(subjects(10, NONE)).columns.tolist() == ["stage"]
    assert true_factors(subjects(10, HARD)).columns.tolist() == ["stage", "amyloid_alone", "atrophy_alone"]
    with pytest.raises(ValueError, match="missing_pet is"):
        Difficulties(missing_pet=1.5)
    with pytest.raises(ValueError, match="sites is 4"):
        Difficulties(sites=4)
