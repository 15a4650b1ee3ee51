"""Small trees after the documented layouts of other programs: what is read, and what is reported as left out."""

import pytest

from deepjive.data.readers.visits import visit_of
from deepjive.imaging import find_scans, read_cohort
from deepjive.imaging.bids import LAYOUTS

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


MERGED = """RID,PTID,VISCODE,SITE,EXAMDATE,EXAMDATE_bl,DX_bl,AGE,PTGENDER,PTEDUCAT,APOE4,DX,MMSE,FLDSTRENG,ICV,Years_bl
295,002_S_0295,bl,2,2006-04-18,2006-04-18,CN,84.8,Male,18,1,CN,28,1.5,1500000,0
295,002_S_0295,m06,2,2006-11-02,2006-04-18,CN,84.8,Male,18,1,,29,1.5,1510000,0.54
295,002_S_0295,m60,2,2011-06-02,2006-04-18,CN,84.8,Male,18,1,Dementia,24,,,5.12
413,002_S_0413,bl,2,2006-05-02,2006-05-02,LMCI,76.3,Female,16,0,MCI,29,3,1400000,0
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
    assert rows["icv"].fillna(0).tolist() == [1.5e6, 1.51e6, 0, 1.4e6, 0]
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


SUVR = "{0}_trc-{1}_pet_space-Ixi549Space_suvr-{2}_pet.nii.gz"
GREY = "{0}_T1w_segm-graymatter_space-Ixi549Space_modulated-on_probability.nii.gz"


@pytest.fixture
def two_tracers(tmp_path, write_nifti):
    """Clinica's tree with MRI, amyloid (of two tracers) and tau; participants lack one or another."""

    def write(subject, session, *parts):
        folder = "t1/spm/dartel/group-AD" if not parts else "pet/preprocessing/group-AD"
        name = (SUVR if parts else GREY).format(f"{subject}_{session}", *parts)
        write_nifti(tmp_path / "caps" / "subjects" / subject / session / folder / name)

    for subject in ("sub-A1", "sub-B2", "sub-C3", "sub-D4"):
        write(subject, "ses-M00")
    write("sub-A1", "ses-M00", "18FAV45", "cerebellumPons")
    write("sub-A1", "ses-M06", "18FAV1451", "infcerebellum")
    write("sub-B2", "ses-M00", "11CPIB", "cerebellumPons")
    write("sub-B2", "ses-M00", "18FAV1451", "infcerebellum")  # both tracers in one session
    write("sub-C3", "ses-M00", "18FAV45", "cerebellumPons")
    write("sub-C3", "ses-M00", "18FFBB", "cerebellumPons")  # two amyloid tracers in one session
    write("sub-E5", "ses-M00", "18FMK6240", "infcerebellum")
    return tmp_path / "caps"


def test_pet_of_two_kinds_in_one_tree_is_told_apart_by_the_tracer(two_tracers):
    sources = {"mri": ("t1-volume", two_tracers)}
    sources |= {name: ("pet-volume", two_tracers, name) for name in ("amyloid", "tau")}
    cohort = read_cohort(sources)
    rows = cohort.table.set_index("participant_id")
    assert rows.loc[["sub-A1", "sub-B2"], ["mri", "amyloid", "tau"]].notna().all(axis=None)
    assert "18FAV45" in rows.at["sub-A1", "amyloid"].name
    assert "11CPIB" in rows.at["sub-B2", "amyloid"].name
    assert all("18FAV1451" in rows.at[name, "tau"].name for name in ("sub-A1", "sub-B2"))
    assert "MK6240" in rows.at["sub-E5", "tau"].name
    assert cohort.complete().samples == ["sub-A1_ses-M06", "sub-B2_ses-M00"]
    words = [(problem.subject, problem.reason) for problem in cohort.problems]
    assert any(subject == "sub-C3_ses-M00" and "'trc': '18FAV45'" in reason for subject, reason in words)
    assert any(subject == "sub-D4" and "pet-volume of tau" in reason for subject, reason in words)
    assert rows["amyloid"].isna()["sub-C3"]
    chosen = read_cohort(sources, choose={"trc": "18FAV45"}).table.set_index("participant_id")
    assert "18FAV45" in chosen.at["sub-C3", "amyloid"].name
    assert chosen.loc["sub-A1", "tau"] is not None  # the choice among amyloid tracers leaves tau as it is


def test_a_tracer_that_no_file_has_or_names_is_said(tmp_path, two_tracers, write_nifti):
    with pytest.raises(ValueError, match=r"no file of 'pet-volume' with a tracer of 'glucose'; .* PiB, .*florbetapir"):
        find_scans(two_tracers, "pet-volume", tracer="glucose")
    with pytest.raises(ValueError, match="tracer is 'sugar', but must be one of amyloid, tau, glucose"):
        find_scans(two_tracers, "pet-volume", tracer="sugar")
    for subject, entity in (("sub-1", "trc-AV1451_"), ("sub-2", "acq-fdg_"), ("sub-3", "")):
        write_nifti(tmp_path / "bids" / subject / "pet" / f"{subject}_{entity}pet.nii.gz")
    scans = find_scans(tmp_path / "bids", "bids-pet", tracer="tau")
    assert scans.table["participant_id"].tolist() == ["sub-1"]
    found = [(problem.subject, problem.reason) for problem in scans.problems]
    assert any(subject == "sub-3" and "does not say the tracer" in reason for subject, reason in found)
    assert find_scans(tmp_path / "bids", "bids-pet", tracer="FDG").table["participant_id"].tolist() == ["sub-2"]
    only_tau = find_scans(two_tracers, "pet-volume", tracer="18FAV1451").table["participant_id"].tolist()
    assert only_tau == ["sub-A1", "sub-B2"]


def test_odd_sessions_of_clinica_are_read_or_named(tmp_path, write_nifti):
    """Sessions without T1, names with letters, a participant that the table lacks, and dates instead of months."""
    root, bids = tmp_path / "caps", tmp_path / "bids"
    for subject, session in (("sub-HC01a", "ses-V1"), ("sub-HC01a", "ses-V3"), ("sub-AD02b", "ses-V1")):
        folder = root / "subjects" / subject / session / "t1/spm/dartel/group-X"
        write_nifti(folder / GREY.format(f"{subject}_{session}"))
    for subject, session in (("sub-HC01a", "ses-V2"), ("sub-AD02b", "ses-V1"), ("sub-AD03c", "ses-V1")):
        folder = root / "subjects" / subject / session / "pet/preprocessing/group-X"
        write_nifti(folder / SUVR.format(f"{subject}_{session}", "18FAV45", "pons"))
    (bids / "sub-HC01a").mkdir(parents=True)
    (bids / "participants.tsv").write_text("participant_id\tdiagnosis\nsub-HC01a\tCN\nsub-AD02b\tAD\n")
    (bids / "sub-HC01a" / "sub-HC01a_sessions.tsv").write_text(
        "session_id\texamination_date\nses-V1\t2012-01-10\nses-V2\t2013-02-01\nses-V3\t2013-04-01\n"
    )
    cohort = read_cohort({"mri": ("t1-volume", root), "pet": ("pet-volume", root)}, clinical=bids)
    rows = cohort.table.set_index("participant_id")
    assert "ses-V3" in rows.at["sub-HC01a", "mri"].name  # two months away, where V1 is a year away
    assert rows["diagnosis"].fillna("").to_dict() == {"sub-HC01a": "CN", "sub-AD02b": "AD", "sub-AD03c": ""}
    assert rows.at["sub-AD03c", "mri"] is None
    words = [(problem.subject, problem.reason) for problem in cohort.problems]
    assert any(subject == "sub-AD03c" and "no session with such a file" in reason for subject, reason in words)
    assert any("no row for 1 of 3 participants: sub-AD03c" in reason for _, reason in words)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_folder_without_any_file_of_a_layout_is_refused_with_what_was_looked_for(tmp_path, layout):
    (tmp_path / "mri").mkdir()
    (tmp_path / "mri" / "S001.nii").touch()
    with pytest.raises(ValueError, match=rf"holds no file of '{layout}': none fits .*--table"):
        find_scans(tmp_path, layout)
