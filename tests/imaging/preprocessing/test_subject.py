"""One subject through all of preprocessing, with a tiny engine."""

import json

import numpy as np
import pytest

from deepjive.imaging import (
    PreprocessingSettings,
    Subject,
    find_scans,
    mni_grid,
    preprocess_subject,
    reference_region,
    template,
)
from deepjive.imaging.preprocessing import derivative
from deepjive.imaging.preprocessing.protocol import checksum
from deepjive.imaging.preprocessing.scans import load_scan
from tests.imaging.preprocessing.tiny_engine import FAILS, VOXEL, TinyEngine, pet_scan, t1_scan, write_bids

pytest.importorskip("nilearn")
SETTINGS = PreprocessingSettings(voxel=VOXEL)
MRI = "sub-1/ses-M00/anat/sub-1_ses-M00_space-MNI152NLin2009aSym_res-6_label-GM_desc-modulated_probseg"
PET = "sub-1/ses-M00/pet/sub-1_ses-M00_trc-18FAV45_space-MNI152NLin2009aSym_res-6_suvr-cerebellum_pet"


@pytest.fixture
def subject(tmp_path, write_nifti):
    folder = write_bids(tmp_path / "bids", write_nifti, {"sub-1": 1000.0}) / "sub-1" / "ses-M00"
    (t1,), (pet,) = (folder / "anat").glob("*.nii.gz"), (folder / "pet").glob("*.nii.gz")
    return Subject("sub-1", "ses-M00", t1, pet)


@pytest.fixture
def run(subject, tmp_path):
    def _run(settings=SETTINGS, engine=None, of=subject, **more):
        return preprocess_subject(of, engine or TinyEngine(), settings, tmp_path / "out", **more)

    return _run


def test_maps_are_on_the_grid_within_the_brain_and_ratios_are_to_the_reference(run, tmp_path):
    seen = []
    outcome = run(progress=lambda *now: seen.append(now))
    assert (outcome.done, outcome.skipped, outcome.problems) == (["anat", "pet"], [], [])
    grey, affine = load_scan(tmp_path / "out" / f"{MRI}.nii.gz")
    inside = template("brain", VOXEL) > 0
    np.testing.assert_allclose(affine, mni_grid(VOXEL).affine)
    np.testing.assert_allclose(grey, template("grey", VOXEL) * inside, atol=1e-6)
    suvr = load_scan(tmp_path / "out" / f"{PET}.nii.gz")[0]
    region = reference_region("cerebellum", VOXEL)
    np.testing.assert_allclose(suvr, pet_scan() / pet_scan()[region].mean() * inside, rtol=1e-5)
    assert not suvr[~inside].any()
    assert seen[0] == (0, 6, "check T1")
    assert seen[-1] == (5, 6, "divide by the reference region")
    assert not (tmp_path / "out" / "work" / "sub-1_ses-M00").exists()


def test_the_sidecar_of_every_map_names_its_sources(run, subject, tmp_path):
    outcome = run()
    sidecar = json.loads((tmp_path / "out" / f"{PET}.json").read_text())
    assert sidecar["SourceChecksums"] == {str(path): checksum(path) for path in (subject.t1, subject.pet)}
    assert (sidecar["Engine"], sidecar["Versions"]["tiny"]) == ("tiny", "1")
    assert [step["name"] for step in sidecar["Steps"]] == ["check PET", "warp PET", "divide by the reference region"]
    assert sidecar["Steps"][-1]["parameters"] == {"voxel_mm": 6.0, "reference": "cerebellum"}
    assert sidecar["Measured"]["reference_uptake"] == pytest.approx(6000, rel=0.3)
    assert sidecar["Outputs"] == {f"{PET}.nii.gz": checksum(tmp_path / "out" / f"{PET}.nii.gz")}
    anat = json.loads((tmp_path / "out" / f"{MRI}.json").read_text())
    assert anat["Transforms"] == [
        "sub-1/ses-M00/anat/sub-1_ses-M00_from-T1w_to-MNI152NLin2009aSym_mode-image_desc-move_xfm.mat"
    ]
    assert set(anat["Transforms"]) < set(anat["Outputs"])
    assert outcome.quality == {**anat["Quality"], **sidecar["Quality"]}
    assert outcome.quality["volume_kept"] == pytest.approx(1.0, abs=0.01)
    names = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not any(name.startswith(".") for name in names)  # nothing half written is left


def test_finished_maps_are_skipped_and_changed_ones_are_made_again(run, subject, tmp_path, write_nifti):
    run()
    assert run().skipped == ["anat", "pet"]
    changed = run(PreprocessingSettings("pons", VOXEL))
    assert (changed.done, changed.skipped) == (["pet"], ["anat"])
    write_nifti(subject.pet, pet_scan(0.9), mni_grid(VOXEL).affine)
    assert run().done == ["pet"]
    write_nifti(subject.t1, t1_scan(900.0), mni_grid(VOXEL).affine)
    assert run().done == ["anat", "pet"]
    assert run(engine=TinyEngine("2")).done == ["anat", "pet"]
    assert run(PreprocessingSettings(voxel=VOXEL, seed=1), TinyEngine("2")).done == ["anat", "pet"]


@pytest.mark.parametrize("harm", ["truncate", "unlink", "sidecar"])
def test_maps_that_were_damaged_are_made_again(run, tmp_path, harm):
    run()
    path = tmp_path / "out" / f"{PET}.nii.gz"
    if harm == "truncate":
        path.write_bytes(path.read_bytes()[:100])
    elif harm == "unlink":
        path.unlink()
    else:
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text('{"Key": ')
    assert run().done == ["pet"]
    assert run().done == []


def test_an_interrupted_publication_is_finished(run, tmp_path, monkeypatch):
    def interrupted(path, content):
        raise KeyboardInterrupt

    monkeypatch.setattr(derivative, "write_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.undo()
    assert find_scans(tmp_path / "out", "deepjive-mri").table["path"].tolist()  # a whole map, without its sidecar
    outcome = run()
    assert outcome.done == ["anat", "pet"]
    steps = json.loads((tmp_path / "out" / f"{MRI}.json").read_text())["Steps"]
    assert all(step["before"] for step in steps)  # the steps themselves were not repeated


def test_a_bad_pet_is_a_problem_and_the_maps_of_the_t1_stay(run, subject, tmp_path):
    subject.pet.write_bytes(subject.pet.read_bytes()[:500])
    outcome = run()
    assert outcome.done == ["anat"]
    assert (tmp_path / "out" / f"{MRI}.nii.gz").is_file()
    (problem,) = outcome.problems
    assert str(problem).startswith(f"sub-1_ses-M00: {subject.pet}: ")
    assert "could not be read" in problem.reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sform": 0, "qform": 0}, "does not say where the volume is in space"),
        ({"affine": np.diag([100.0, 6, 6, 1])}, "its affine does not map voxels to mm"),
        ({"values": np.ones((20, 20, 20, 2))}, "one volume of three axes is expected"),
        ({"values": np.full((20, 20, 20), np.nan)}, "does not show a head"),
    ],
)
def test_a_problem_names_the_unusable_scan_and_the_reason(run, subject, write_nifti, changes, message):
    given = {"values": t1_scan(), "affine": mni_grid(VOXEL).affine} | changes
    write_nifti(subject.t1, given.pop("values"), given.pop("affine"), **given)
    (problem,) = run().problems
    assert (problem.subject, problem.file) == ("sub-1_ses-M00", str(subject.t1))
    assert message in problem.reason


def test_problems_name_a_failed_step_and_a_lost_scan(run, subject, write_nifti):
    write_nifti(subject.t1, t1_scan(FAILS), mni_grid(VOXEL).affine)
    (problem,) = run().problems
    assert problem.reason == "step 'segment' failed: the registration diverged"
    subject.t1.unlink()
    assert "There is no file" in run().problems[0].reason
    outcome = run(of=Subject("sub-1", "ses-M00", None, subject.pet))
    assert "it has no T1" in outcome.problems[0].reason


def test_a_t1_alone_is_enough(run, subject):
    outcome = run(of=Subject("sub-1", "", subject.t1))
    assert (outcome.done, outcome.problems) == (["anat"], [])


def test_read_cohort_reads_the_maps(run, tmp_path):
    run()
    run(PreprocessingSettings("pons", VOXEL))
    found = [find_scans(tmp_path / "out", layout) for layout in ("deepjive-mri", "deepjive-mri-unmodulated")]
    assert [scans.table["participant_id"].tolist() for scans in found] == [["sub-1"], ["sub-1"]]
    several = find_scans(tmp_path / "out", "deepjive-pet")
    assert "choose={'suvr': 'cerebellum'}" in several.problems[0].reason
    assert len(find_scans(tmp_path / "out", "deepjive-pet", {"suvr": "pons"}).table) == 1
