import numpy as np
import pandas as pd
import pytest

from deepjive.data.readers.guard import install_command
from deepjive.imaging import Cohort, Outcome, Subject, mni_grid, read_cohort, read_cohort_table
from deepjive.imaging.preprocessing import engines
from deepjive.imaging.preprocessing.tables import write_clinical, write_maps
from tests.imaging.preprocessing.tiny_engine import FAILS, VOXEL, TinyEngine, pet_scan, write_bids

pytest.importorskip("nilearn")


@pytest.fixture
def bids(tmp_path, write_nifti, monkeypatch):
    """Two good subjects, one whose T1 is truncated, one that fails; and the tiny engine in the place of ANTs."""
    monkeypatch.setitem(engines.ENGINES, "ants", TinyEngine)
    folder = write_bids(tmp_path / "bids", write_nifti, {"sub-1": 1000.0, "sub-2": 900.0, "sub-3": 1.0, "sub-4": FAILS})
    path = next(folder.rglob("sub-3*_T1w.nii.gz"))
    path.write_bytes(path.read_bytes()[:400])
    return folder


def test_from_scans_to_a_cohort_that_can_be_read(invoke, bids, tmp_path):
    out = tmp_path / "out"
    words = ("preprocess", "--bids", bids, "--out", out, "--voxel", VOXEL, "--jobs", 2)
    result = invoke(*words)
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "4 participants: 2 good, 0 flagged, 2 failed" in text
    for word in ("sub-3_ses-M00: failed", "sub-4_ses-M00: failed", "sub-1_ses-M00: done (anat and pet)"):
        assert word in text
    assert "Failed: sub-4_ses-M00: " in text
    problems = pd.read_csv(out / "problems.csv").set_index("subject")
    assert problems.at["sub-4_ses-M00", "reason"] == "step 'segment' failed: the registration diverged"
    assert problems.at["sub-3_ses-M00", "file"].endswith("sub-3_ses-M00_T1w.nii.gz")
    table = pd.read_csv(out / "quality.csv").set_index("subject")
    assert table["state"].to_dict() == {
        "sub-1_ses-M00": "good",
        "sub-2_ses-M00": "good",
        "sub-3_ses-M00": "failed",
        "sub-4_ses-M00": "failed",
    }
    assert table.at["sub-1_ses-M00", "t1_correlation"] == pytest.approx(1.0, abs=0.01)
    assert "sub-3_ses-M00_T1w.nii.gz could not be read" in table.at["sub-3_ses-M00", "remarks"]
    page = (out / "quality.html").read_text()
    assert page.count("data:image/png") == 6
    assert "divide by the reference region" in page
    assert "--voxel 6.0" in page

    again = invoke(*words, "--participant", "1")
    assert again.exit_code == 0
    assert "sub-1_ses-M00: finished before" in again.output
    states = pd.read_csv(out / "quality.csv").set_index("subject")["state"]
    assert states.to_dict() == table["state"].to_dict()
    assert set(pd.read_csv(out / "problems.csv")["subject"]) >= {"sub-3_ses-M00", "sub-4_ses-M00"}
    assert read_cohort_table(out / "maps.csv").complete().samples == ["sub-2_ses-M00", "sub-1_ses-M00"]

    sources = {"mri": ("deepjive-mri", out), "pet": ("deepjive-pet", out)}
    cohort, data = read_cohort(sources, clinical=out).read(VOXEL)
    assert cohort.table["diagnosis"].tolist() == ["CN", "AD"]
    assert data.present.all()
    assert np.asarray(data["mri"][:1]).max() > 0.5


def test_a_table_of_paths_does_as_well_and_is_written_too(invoke, bids, tmp_path):
    rows = ["participant_id,session_id,diagnosis,t1,pet"]
    for name in ("1", "2"):
        t1, pet = (next(bids.rglob(f"sub-{name}_*_{kind}.nii.gz")) for kind in ("T1w", "pet"))
        rows.append(f"{name},M00,CN,{t1},{pet if name == '1' else 'n/a'}")
    rows.append(f"患者,M00,CN,{t1},n/a")
    (tmp_path / "scans.csv").write_text("\n".join(rows))
    out = tmp_path / "out"
    result = invoke("preprocess", "--table", tmp_path / "scans.csv", "--out", out, "--voxel", VOXEL)
    assert result.exit_code == 0, result.output
    assert "患者" in result.output
    assert "has no letter or digit" in " ".join(result.output.split())
    cohort = read_cohort_table(out / "maps.csv")
    assert cohort.samples == ["sub-1_ses-M00", "sub-2_ses-M00"]
    assert cohort.table["pet"].notna().tolist() == [True, False]
    assert cohort.read(VOXEL)[1].present.tolist() == [[True, True], [True, False]]


def test_amyloid_and_tau_go_through_the_same_steps_into_one_folder(invoke, write_nifti, tmp_path, monkeypatch):
    monkeypatch.setitem(engines.ENGINES, "ants", TinyEngine)
    bids = write_bids(tmp_path / "bids", write_nifti, {"sub-1": 1000.0, "sub-2": 900.0})
    for name, entity in (("sub-1", "trc-18FAV1451"), ("sub-2", "acq-AV1451")):  # acq in older data sets
        path = bids / name / "ses-M00" / "pet" / f"{name}_ses-M00_{entity}_pet.nii.gz"
        write_nifti(path, pet_scan(1.0), mni_grid(VOXEL).affine)
    words = ("preprocess", "--bids", bids, "--out", tmp_path / "out", "--voxel", VOXEL)
    assert "2 files fit 'bids-pet'" in " ".join(invoke(*words, "--dry-run").output.split())
    for tracer in ("amyloid", "tau"):
        result = invoke(*words, "--tracer", tracer)
        assert result.exit_code == 0, result.output
    assert "sub-1_ses-M00: done (pet)" in result.output  # the maps of the T1 are there
    sources = {"mri": ("deepjive-mri", tmp_path / "out")}
    sources |= {name: ("deepjive-pet", tmp_path / "out", name) for name in ("amyloid", "tau")}
    cohort, data = read_cohort(sources, clinical=tmp_path / "out").complete().read(VOXEL)
    assert cohort.samples == ["sub-1_ses-M00", "sub-2_ses-M00"]
    assert all("suvr-cerebellum_" in path.name for path in cohort.table["amyloid"])
    assert all("suvr-inferiorCerebellarGrey_" in path.name for path in cohort.table["tau"])
    assert np.asarray(data["tau"][:]).max() > np.asarray(data["amyloid"][:]).max() + 0.3


def test_a_dry_run_shows_the_protocol_and_writes_nothing(invoke, bids, tmp_path):
    result = invoke("preprocess", "--bids", bids, "--out", tmp_path / "out", "--dry-run", "--reference", "pons")
    assert result.exit_code == 0
    assert "divide by the reference region" in result.output
    assert "reference pons" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_a_download_of_adni_is_recognized(invoke, write_nifti, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    folder = tmp_path / "ADNI" / "002_S_0295"
    write_nifti(folder / "MP-RAGE" / "2011-06-02_07_51_15.0" / "I1" / "scan.nii")
    write_nifti(folder / "AV45_Coreg" / "2011-06-09_09_12_00.0" / "I2" / "scan.nii")
    for given in (tmp_path / "ADNI", tmp_path):
        result = invoke("preprocess", "--bids", given, "--dry-run")
        assert result.exit_code == 0, result.output
        assert "1 participants and sessions" in result.output
        assert "sub-ADNI002S0295_ses-20110609" in "".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--reference", "thalamus"), "reference is 'thalamus', but must be one of"),
        (("--participant", "9"), "--participant 9 is not among the 4 participants found"),
        (("--spm", "matlab"), "--spm and --spm-path need --engine spm"),
        (("--table", "x.csv"), "Give either --bids or --table"),
        (("--tracer", "glucose"), "no file of 'bids-pet' with a tracer of 'glucose'"),
        (("--tracer", "sugar"), "must be one of amyloid, tau, glucose"),
        (("--choose", "nonsense=1"), "'nonsense' is nothing that files are chosen by"),
        (("--choose", "18FAV45"), "is not of the form ENTITY=VALUE"),
    ],
)
def test_what_cannot_be_done_is_one_readable_line(invoke, bids, tmp_path, words, message):
    result = invoke("preprocess", "--bids", bids, "--out", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_an_engine_that_is_not_installed_names_its_extra(invoke, bids, tmp_path, monkeypatch):
    import sys

    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "ants", None)
    result = invoke("preprocess", "--bids", bids, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert install_command("ants") in result.output
    monkeypatch.setenv("PATH", str(tmp_path))
    result = invoke("preprocess", "--bids", bids, "--out", tmp_path / "out", "--engine", "spm")
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_the_experiment_takes_what_was_preprocessed_or_another_source(invoke, tmp_path):
    result = invoke("reproduce", "adni", "--derivative", tmp_path, "--caps", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Give only one of --caps, --derivative, --scans and --table" in result.output


def test_what_differs_between_sessions_stays_with_them_and_earlier_subjects_stay(tmp_path):
    def written(rows):
        table = pd.DataFrame(rows, columns=["participant_id", "session_id", "t1", "diagnosis", "sex"])
        cohort = Cohort(table, ("t1",))
        subjects = [Subject(row[0], row[1], t1=row[2], pet=None) for row in rows]
        write_clinical(cohort, subjects, tmp_path)
        outcomes = [Outcome(subject, maps={"anat": str(tmp_path / "map.nii.gz")}) for subject in subjects]
        write_maps(outcomes, cohort, tmp_path)

    written([("sub-9", "ses-1", "t1.nii.gz", "AD", "M")])
    written([("sub-1", "ses-1", "t1.nii.gz", "CN", "F"), ("sub-1", "ses-2", "t1.nii.gz", "AD", "F")])
    maps = read_cohort_table(tmp_path / "maps.csv").table
    assert maps["participant_id"].tolist() == ["sub-9", "sub-1", "sub-1"]
    assert maps["diagnosis"].tolist() == ["AD", "CN", "AD"]
    people = pd.read_csv(tmp_path / "participants.tsv", sep="\t").set_index("participant_id")
    assert people["sex"].to_dict() == {"sub-9": "M", "sub-1": "F"}
    sessions = pd.read_csv(tmp_path / "sub-1" / "sub-1_sessions.tsv", sep="\t")
    assert sessions.values.tolist() == [["ses-1", "CN"], ["ses-2", "AD"]]
