"""Small trees after the documented layouts of other programs: what is read, and what is reported as left out."""

import pytest

from deepjive.imaging import find_scans, read_cohort
from deepjive.data.readers.visits import visit_of

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


MERGED = """RID,PTID,VISCODE,SITE,EXAMDATE,EXAMDATE_bl,DX_bl,AGE,PTGENDER,PTEDUCAT,APOE4,DX,MMSE,FLDSTRENG,Years_bl
295,002_S_0295,bl,2,2006-04-18,2006-04-18,CN,84.8,Male,18,1,CN,28,1.5,0
295,002_S_0295,m06,2,2006-11-02,2006-04-18,CN,84.8,Male,18,1,,29,1.5,0.54
295,002_S_0295,m60,2,2011-06-02,2006-04-18,CN,84.8,Male,18,1,Dementia,24,,5.12
413,002_S_0413,bl,2,2006-05-02,2006-05-02,LMCI,76.3,Female,16,0,MCI,29,3,0
"""


def test_a_download_of_loni_is_read_by_its_folders(tmp_path, write_nifti):
    root = tmp_path / "ADNI"
    for person, series, date, image in (
        ("002_S_0295", "MP-RAGE", "2006-04-18_08_20_30.0", "I13722"),
        ("002_S_0295", "MP-RAGE_REPEAT", "2006-04-18_08_31_02.0", "I13723"),
        ("002_S_0295", "Accelerated_Sagittal_MPRAGE", "2011-06-02_07_51_15.0", "I238620"),
        ("002_S_0295", "3_Plane_Localizer", "2011-06-02_07_51_15.0", "I238621"),
        ("002_S_0295", "AV45_Coreg,_Avg,_Standardized_Image_and_Voxel_Size", "2011-06-09_09_12_00.0", "I240520"),
        ("002_S_0413", "MPRAGE", "2006-05-02_12_31_52.0", "S13893"),
        ("002_S_0413", "MPR__GradWarp__B1_Correction__N3", "2006-05-02_12_31_52.0", "S13893"),
    ):
        name = f"{image}_{series.replace(',', '')}_20060418_3.nii.gz"
        write_nifti(root / person / series / date / image / name)
    folder = root / "002_S_0685" / "MP-RAGE" / "2006-07-06_10_00_00.0" / "I18211"
    folder.mkdir(parents=True)
    (folder / "ADNI_002_S_0685_MR_MP-RAGE.dcm").write_text("DICM")
    (root / "002_S_0729" / "Axial_T2_FLAIR" / "2012-01-01_10_00_00.0" / "I1").mkdir(parents=True)
    scans = find_scans(tmp_path, "loni-t1")
    assert scans.table["participant_id"].tolist() == ["sub-ADNI002S0295"] * 2
    assert scans.table["session_id"].tolist() == ["ses-20110602", "ses-20060418"]
    found = reasons(scans.problems)
    assert "repeats another scan of the same day" in found["sub-ADNI002S0295_ses-20060418"]
    assert "choose={'acq': 'MPR" in found["sub-ADNI002S0413_ses-20060502"]
    assert "dcm2niix" in found["sub-ADNI002S0685_ses-20060706"]
    assert "no session with such a file" in found["sub-ADNI002S0729"]
    assert len(find_scans(root, "loni-t1", {"acq": "MPRAGE"}).table.query("session_id == 'ses-20060502'")) == 1

    (tmp_path / "ADNIMERGE.csv").write_text(MERGED)
    sources = {"mri": ("loni-t1", root), "pet": ("loni-pet", root)}
    cohort = read_cohort(sources, clinical=tmp_path / "ADNIMERGE.csv", choose={"trc": "18FAV45"})
    (row,) = cohort.complete().table.to_dict(orient="records")
    assert row["mri"].parts[-4] == "Accelerated_Sagittal_MPRAGE"  # a week from the PET, by the dates
    assert row["diagnosis"] == "AD"
    assert row["age"] == pytest.approx(84.8 + 5.12)
    assert (row["sex"], row["education"], row["site"], row["mmse"]) == ("M", 18, 2, 24)


def test_adnimerge_describes_the_sessions_of_clinica(tmp_path, write_nifti):
    for subject, session in (
        ("sub-ADNI002S0295", "ses-M000"),
        ("sub-ADNI002S0295", "ses-M006"),
        ("sub-ADNI002S0295", "ses-M012"),
        ("sub-ADNI002S0413", "ses-M00"),
        ("sub-ADNI123S0001", "ses-M00"),
    ):
        write_nifti(tmp_path / subject / session / "anat" / f"{subject}_{session}_T1w.nii.gz")
    (tmp_path / "ADNIMERGE.csv").write_text(MERGED)
    cohort = read_cohort({"mri": ("bids-t1", tmp_path)}, clinical=tmp_path / "ADNIMERGE.csv")
    rows = cohort.table.set_index(["participant_id", "session_id"])
    assert rows["diagnosis"].fillna("").tolist() == ["CN", "", "", "MCI", ""]
    assert rows["age"].fillna(0).tolist() == [84.8, 85.34, 0, 76.3, 0]
    assert rows["sex"].fillna("").tolist() == ["M", "M", "M", "F", ""]
    assert rows["field_strength"].fillna(0).tolist() == [1.5, 1.5, 0, 3, 0]
    found = reasons(cohort.problems)
    assert "has no visit of M012" in found["sub-ADNI002S0295_ses-M012"]
    assert "has no row of this participant" in found["sub-ADNI123S0001_ses-M00"]


def test_a_table_that_describes_nobody_is_an_error(tmp_path, write_nifti):
    write_nifti(tmp_path / "sub-1" / "anat" / "sub-1_T1w.nii.gz")
    sources = {"mri": ("bids-t1", tmp_path)}
    (tmp_path / "other.csv").write_text("who,age\n1,70\n")
    with pytest.raises(ValueError, match="neither a column 'participant_id' nor"):
        read_cohort(sources, clinical=tmp_path / "other.csv")
    (tmp_path / "people.csv").write_text("participant_id,age\n1,70\n")
    assert read_cohort(sources, clinical=tmp_path / "people.csv").table["age"].tolist() == [70]
    with pytest.raises(FileNotFoundError, match=r"no folder or table .*nowhere"):
        read_cohort(sources, clinical=tmp_path / "nowhere")
