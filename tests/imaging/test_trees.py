"""Small trees after the documented layouts of other programs: what is read, and what is reported as left out."""

import pytest

from deepjive.imaging import find_scans, read_cohort
from deepjive.imaging.visits import visit_of

pytest.importorskip("nilearn")
FMRIPREP = "{0}_space-MNI152NLin2009cAsym_res-2_label-{1}_probseg.nii.gz"


def reasons(problems):
    return {problem.subject: problem.reason for problem in problems}


def test_fmriprep_and_smriprep_give_grey_matter_and_name_participants_without_it(tmp_path, write_nifti):
    for name in ("01", "02"):
        folder = tmp_path / f"sub-{name}" / "anat"
        for tissue in ("GM", "WM", "CSF"):
            write_nifti(folder / FMRIPREP.format(f"sub-{name}", tissue))
        write_nifti(folder / f"sub-{name}_label-GM_probseg.nii.gz")  # in the participant's own space
        write_nifti(folder / f"sub-{name}_desc-preproc_T1w.nii.gz")
    write_nifti(tmp_path / "sub-03" / "ses-1" / "anat" / FMRIPREP.format("sub-03_ses-1", "GM"))
    write_nifti(tmp_path / "sub-04" / "anat" / "sub-04_desc-preproc_T1w.nii.gz")  # not normalized
    (tmp_path / "sub-04.html").write_text("report")
    (tmp_path / "sourcedata" / "freesurfer" / "sub-01").mkdir(parents=True)
    scans = find_scans(tmp_path, "fmriprep")
    assert scans.table["participant_id"].tolist() == ["sub-01", "sub-02", "sub-03"]
    assert scans.table["session_id"].tolist() == ["", "", "ses-1"]
    assert all("label-GM" in path.name and "space-MNI" in path.name for path in scans.table["path"])
    assert list(reasons(scans.problems)) == ["sub-04"]


def test_several_spaces_of_fmriprep_need_a_choice(tmp_path, write_nifti):
    for space in ("MNI152NLin2009cAsym", "MNI152NLin6Asym"):
        write_nifti(tmp_path / "sub-01" / "anat" / f"sub-01_space-{space}_label-GM_probseg.nii.gz")
    (problem,) = find_scans(tmp_path, "fmriprep").problems[:1]
    assert "2 files fit 'fmriprep'" in problem.reason
    assert "'space': 'MNI152NLin2009cAsym'" in problem.reason
    assert len(find_scans(tmp_path, "fmriprep", {"space": "MNI152NLin6Asym"}).table) == 1


@pytest.mark.parametrize(
    ("layout", "folder", "prefix", "others"),
    [
        ("cat12", "anat/mri", "mwp1", ("mwp2", "p0", "wm")),
        ("spm", "anat", "mwc1", ("mwc2", "c1", "wc1", "")),
    ],
)
def test_cat12_and_spm_write_a_prefix_before_the_name_of_the_scan(
    layout, folder, prefix, others, tmp_path, write_nifti
):
    for name in ("sub-A_1_ses-M00", "sub-B_ses-M00", "sub-C_ses-M00"):
        subject, session = name.rsplit("_", 1)
        for kind in (prefix, *others) if subject != "sub-C" else others:
            write_nifti(tmp_path / subject / session / folder / f"{kind}{name}_T1w.nii")
    write_nifti(tmp_path / "sub-B" / "ses-M12" / folder / f"{prefix}sub-A_1_ses-M12_T1w.nii")
    scans = find_scans(tmp_path, layout)
    assert [path.name for path in scans.table["path"]] == [
        f"{prefix}sub-A_1_ses-M00_T1w.nii",
        f"{prefix}sub-B_ses-M00_T1w.nii",
    ]
    found = reasons(scans.problems)
    assert "does not begin with 'sub-B_ses-M12_'" in found["sub-B_ses-M12"]
    assert "no session with such a file" in found["sub-C"]


def test_oasis_3_counts_days_and_pairs_the_nearest_scans(tmp_path, write_nifti):
    assert visit_of("ses-d0129", {}).months_from(visit_of("ses-d0494", {})) == pytest.approx(365 / 30.4375)
    for session in ("ses-d0129", "ses-d2340"):
        write_nifti(tmp_path / "sub-OAS30001" / session / "anat" / f"sub-OAS30001_{session}_T1w.nii.gz")
    for number in (1, 2):
        name = f"sub-OAS30002_ses-d0371_run-0{number}_T1w.nii.gz"
        write_nifti(tmp_path / "sub-OAS30002" / "ses-d0371" / "anat" / name)
    for subject, session, tracer in (
        ("OAS30001", "d2430", "AV45"),
        ("OAS30002", "d0400", "PIB"),
        ("OAS30003", "d0001", "PIB"),
    ):
        folder = tmp_path / f"sub-{subject}" / f"ses-{session}" / "pet"
        write_nifti(folder / f"sub-{subject}_ses-{session}_trc-{tracer}_pet.nii.gz")
    (tmp_path / "participants.tsv").write_text("participant_id\tdiagnosis\nOAS30001\tCN\nOAS30002\tAD\n")
    cohort = read_cohort({"mri": ("bids-t1", tmp_path), "pet": ("bids-pet", tmp_path)}, clinical=tmp_path)
    rows = cohort.table.set_index("participant_id")
    assert rows.at["sub-OAS30001", "mri"].name == "sub-OAS30001_ses-d2340_T1w.nii.gz"
    assert rows.at["sub-OAS30001", "diagnosis"] == "CN"
    assert rows["mri"].isna().tolist() == [False, True, True]
    words = " ".join(problem.reason for problem in cohort.problems)
    assert "2 files fit 'bids-t1'" in words  # two runs
    assert "no row for 1 of 3 participants: sub-OAS30003" in words
