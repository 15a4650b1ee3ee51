import re

import pandas as pd
import pytest

from deepjive.experiments.brain import diagnosis

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("nilearn")


@pytest.mark.filterwarnings("ignore:The least populated class")  # scikit-learn 1.7 stratifies groups less evenly
def test_the_experiment_with_the_phantom_writes_maps_tables_and_a_page(invoke, tmp_path, monkeypatch):
    quick = {"N_PERMUTATIONS": 2, "FEW_DRAWS": 4, "N_BOOTSTRAP": 100, "FOLDS": 3, "GRID": (0.1, 1.0)}
    for name, value in quick.items():
        monkeypatch.setattr(diagnosis, name, value)
    out = tmp_path / "adni"
    result = invoke(
        "reproduce",
        "adni",
        "--quick",
        "--subjects",
        40,
        "--voxel",
        12,
        "--max-epochs",
        1,
        "--identity",
        "explicit",
        "--bootstrap",
        2,
        "--bootstrap-epochs",
        1,
        "--out",
        out,
    )
    assert result.exit_code == 0, result.output
    assert "CN or AD" in result.output
    page = (out / "report.html").read_text()
    for word in (
        "labels shuffled",
        "upper limits of the accuracy",
        "Factors predicted from scores",
        "shuffled modalities",
        "hippocampus",
    ):
        assert word in page
    for name in ("mri", "pet"):
        assert nibabel.load(out / "maps" / f"{name}_effect.nii.gz").shape == (13, 17, 14)
        assert nibabel.load(out / "maps" / f"{name}_correlation.nii.gz").header.get_intent()[0] == "correlation"
        cluster_p = nibabel.load(out / "maps" / f"{name}_cluster_p.nii.gz")
        assert cluster_p.header.get_intent()[0] == "p value"
        assert (cluster_p.get_fdata() <= 1).all()
        for what in ("standard_error", "ratio", "lower", "upper", "q"):
            assert nibabel.load(out / "maps" / f"{name}_refits_{what}.nii.gz").shape == (13, 17, 14)
    assert "Refitting to 2 bootstrap draws" in result.output  # what it costs is said first
    assert "Draw 2 of 2" in result.output
    empty = len(re.findall(r"No voxel of (\w+(?: or \w+)*) is significant", page))
    assert 4 - 2 * empty <= page.count("<iframe") <= 4 - empty  # a viewer of each map that is not empty
    assert "--bootstrap 2 --bootstrap-epochs 1" in page
    intervals = pd.read_csv(out / "tables" / "regions_over_refits.csv")
    assert (intervals["pet lower"] < intervals["pet upper"]).all()
    assert (intervals["pet effect"] > 0).mean() > 0.5  # turned to disease, as the other maps
    assert len(list((out / "bootstrap").iterdir())) == 2
    assert (out / "covariation.png").is_file()
    assert (out / "covariation.pdf").is_file()
    clusters = pd.read_csv(out / "tables" / "clusters.csv")
    assert set(clusters["modality"]) <= {"mri", "pet"}
    assert (clusters["p cluster"] < 0.05).all()
    assert clusters["region"].str.contains(r" \(\d+ mm\)").all() or not len(clusters)
    regions = pd.read_csv(out / "tables" / "regions.csv")
    assert len(regions) == 28
    assert (regions["mri effect"] < 0).mean() > 0.5  # atrophy
    assert "--identity explicit" in page
    assert (out / "model" / "model.safetensors").is_file()


def test_a_cohort_that_cannot_be_read_is_one_readable_line(invoke, tmp_path):
    (tmp_path / "cohort.csv").write_text("participant_id,diagnosis,mri,pet\nsub-1,CN,gone.nii.gz,gone.nii.gz\n")
    result = invoke("reproduce", "adni", "--table", tmp_path / "cohort.csv", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "There is no file" in result.output
    result = invoke("reproduce", "adni", "--caps", tmp_path, "--choose", "pons", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "'pons' is not of the form ENTITY=VALUE" in result.output.replace("\n", " ")
    (tmp_path / "plain.csv").write_text("participant_id,mri,pet\nsub-1,gone.nii.gz,gone.nii.gz\n")
    result = invoke("reproduce", "adni", "--table", tmp_path / "plain.csv", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "Nothing says what the participants' diagnoses are" in " ".join(result.output.split())
    for words in (("--bids", tmp_path), ("--table", tmp_path / "cohort.csv", "--choose", "trc=X")):
        result = invoke("reproduce", "adni", *words, "--out", tmp_path / "out")
        assert result.exit_code == 2
        assert "--choose" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--modalities", "mri"), "there are mri, pet, amyloid, tau, fdg"),
        (("--modalities", "pet,tau"), "Name mri and one or more of the others"),
        (("--modalities", "mri,pet,amyloid"), "Name mri and one or more of the others"),
        (("--modalities", "mri,fdg"), "the phantom has mri,pet (PET of amyloid) or mri,pet,tau"),
        (("--table", "cohort.csv", "--modalities", "mri,tau"), "whose columns of paths are the modalities"),
        (("--modalities", "mri,amyloid", "--subsets", "mri+tau"), "at least three modalities"),
        (("--scans", "mri=cat12"), "'mri=cat12' is not of the form NAME=LAYOUT:FOLDER"),
        (("--scans", "mri=cat13:F", "--scans", "pet=spm-pet:F"), "the layouts are bids-t1, "),
        (("--scans", "mri=cat12:F", "--scans", "mri=cat12:G"), "each once; given: mri=cat12:F, mri=cat12:G"),
        (("--scans", "mri=cat12:F", "--modalities", "mri,pet"), "--scans, which names the modalities"),
        (("--scans", "mri=cat12:F", "--scans", "pet=spm-pet:F", "--caps", "F"), "only one of --caps"),
    ],
)
def test_modalities_that_cannot_be_read_are_refused_before_anything_is_drawn(invoke, tmp_path, words, message):
    result = invoke("reproduce", "adni", *words, "--voxel", 12, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "Drawing" not in result.output


def test_folders_of_cat12_and_spm_are_read_by_their_layouts(invoke, tmp_path, write_nifti):
    write_nifti(tmp_path / "cat12" / "mri" / "mwp1S001_T1.nii")
    write_nifti(tmp_path / "spm" / "swrPET_S001.nii")
    scans = "--scans", f"pet=spm-pet:{tmp_path / 'spm'}", "--scans", f"mri=cat12:{tmp_path / 'cat12'}"
    result = invoke("reproduce", "adni", *scans, "--out", tmp_path / "out")
    assert result.exit_code == 2
    output = " ".join(result.output.split())
    assert "Nothing says what the participants' diagnoses are" in output
    assert "'mri', 'pet'" in output
