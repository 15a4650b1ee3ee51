"""Small folders as SPM and CAT12 write them beside scans without BIDS names, after their manuals; odd ones included."""

import pytest

from deepjive.imaging import find_scans, read_cohort
from deepjive.imaging.prefixes import participant_of

pytest.importorskip("nilearn")


@pytest.fixture
def cat12(tmp_path, write_nifti):
    """CAT12's tree of three participants: maps, the bias-corrected T1, tables of regions and reports."""
    root = tmp_path / "cat12"
    for name in ("S001", "S002", "rat03"):
        for prefix in ("mwp1", "mwp2", "wm", "y_", "p0"):
            write_nifti(root / "mri" / f"{prefix}{name}_T1.nii")
        for path in (f"label/catROI_{name}_T1.xml", f"report/cat_{name}_T1.xml", f"report/catreport_{name}_T1.pdf"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        write_nifti(root / f"{name}_T1.nii")
    return root


def table_of(scans):
    return dict(zip(scans.table["participant_id"], (path.name for path in scans.table["path"]), strict=True))


def test_maps_of_cat12_without_bids_names_are_read_by_their_prefix(cat12):
    grey, white = find_scans(cat12, "cat12"), find_scans(cat12, "cat12-white")
    assert table_of(grey) == {f"sub-{name}": f"mwp1{name}_T1.nii" for name in ("S001", "S002", "rat03")}
    assert table_of(white)["sub-S001"] == "mwp2S001_T1.nii"
    assert grey.problems == []
    assert grey.table["session_id"].tolist() == [""] * 3


def test_mri_of_cat12_is_paired_with_pet_of_spm_and_described_by_a_table(cat12, tmp_path, write_nifti):
    for tracer in ("FDG", "AV45"):
        for name in ("S001", "rat03"):
            write_nifti(tmp_path / "pet" / name / f"swr{tracer}_{name}.nii")
    write_nifti(tmp_path / "pet" / "S001" / "wmS001_T1.nii")  # a warped T1 is no PET
    (tmp_path / "people.tsv").write_text("participant_id\tdiagnosis\nS001\tCN\nrat03\tAD\n")
    sources = {"mri": ("cat12", cat12), "pet": ("spm-pet", tmp_path / "pet", "amyloid")}
    cohort = read_cohort(sources, clinical=tmp_path / "people.tsv").complete()
    assert cohort.table["diagnosis"].to_dict() == {0: "CN", 1: "AD"}
    assert [path.name for path in cohort.table["pet"]] == ["swrAV45_S001.nii", "swrAV45_rat03.nii"]
    with pytest.raises(ValueError, match="maps of one participant, sub-S001"):
        find_scans(tmp_path / "pet", "spm-pet")


def test_warped_files_are_pet_if_their_name_or_folder_says_so(tmp_path, write_nifti):
    others = ("S001/wmS001_T1.nii", "S001/wj_S001.nii", "S001/wc1S001.nii", "pet/S003.nii", "pet/rS003.nii")
    for path in ("S001/wPET_S001.nii", "pet/wS002.nii", "pet/wrS003.nii", "pet/wrat04.nii", *others):
        write_nifti(tmp_path / path)
    scans = find_scans(tmp_path, "spm-pet")
    assert list(table_of(scans)) == ["sub-S001", "sub-S002", "sub-S003", "sub-rat04"]


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("S001", ("sub-S001", "")),
        ("MPRAGE_S-001_T1w", ("sub-S-001", "")),
        ("sub-A_1_ses-M00_acq-fast_T1w", ("sub-A_1", "ses-M00")),
        ("002_S_0295_m06_T1", ("sub-ADNI002S0295", "ses-M06")),
        ("T1", ("", "")),
    ],
)
def test_the_participant_is_the_name_of_the_scan_without_words_of_scans(stem, expected):
    assert participant_of(stem) == expected


def test_a_participant_without_the_wanted_map_is_reported(cat12):
    (cat12 / "mri" / "mwp1S001_T1.nii").unlink()
    for path in cat12.glob("mri/*S002*"):
        path.unlink()  # CAT12 wrote a report, but no map
    problems = {problem.subject: problem.reason for problem in find_scans(cat12, "cat12").problems}
    assert problems["sub-S001"] == "it has mwp2, but no map with the prefix mwp1"
    assert problems["sub-S002"] == "it has a report, but no map with the prefix mwp1"


def test_the_least_smoothed_maps_that_all_have_are_read_and_the_others_reported(cat12, write_nifti):
    for name in ("S001", "S002"):
        write_nifti(cat12 / "mri" / f"s8mwp1{name}_T1.nii")
    scans = find_scans(cat12, "cat12")
    assert table_of(scans)["sub-S001"] == "mwp1S001_T1.nii"
    assert ["2 files with the prefix s8mwp1" in problem.reason for problem in scans.problems] == [True]
    chosen = find_scans(cat12, "cat12", {"prefix": "s8mwp1"})
    assert sorted(table_of(chosen)) == ["sub-S001", "sub-S002"]
    assert [(problem.subject, problem.reason) for problem in chosen.problems] == [("sub-rat03", "it was not chosen")]


def test_smoothed_and_other_maps_are_not_mixed(cat12):
    (cat12 / "mri" / "mwp1S001_T1.nii").rename(cat12 / "mri" / "smwp1S001_T1.nii")
    with pytest.raises(ValueError, match=r"mwp1 \(2\), smwp1 \(1\), and none .* all 3 participants.*--choose prefix="):
        find_scans(cat12, "cat12")


@pytest.mark.parametrize("other", ["mri/mwp1S001.nii", "mri/mwp1S001_T1.nii.gz", "group2/mri/mwp1S001_T1.nii"])
def test_two_maps_of_one_name_are_refused(cat12, other, write_nifti):
    write_nifti(cat12 / other)
    with pytest.raises(ValueError, match=r"maps of one participant, sub-S001, .*participant_id and session_id"):
        find_scans(cat12, "cat12")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["S1_M00", "S1_M12"], "sub-S1_M00 and sub-S1_M12 can be visits"),
        (["OAS1_0001_MR1", "OAS1_0001_MR2"], "can be visits"),
        (["S1", "S1_20110602"], "can be visits"),
        (["S1", "rS1"], "longitudinal pipeline writes 'r'"),
        (["T1"], "names no participant"),
    ],
)
def test_names_that_leave_a_doubt_about_the_participant_are_refused(names, message, tmp_path, write_nifti):
    for name in names:
        write_nifti(tmp_path / "mri" / f"mwp1{name}.nii")
    with pytest.raises(ValueError, match=message):
        find_scans(tmp_path, "cat12")


def test_maps_of_dartel_are_read_smoothed_and_template_and_flow_fields_are_not(tmp_path, write_nifti):
    for name in ("AD_01", "CN_01"):
        for prefix in ("smwc1", "c1", "rc1", "u_rc1"):
            write_nifti(tmp_path / f"{prefix}{name}.nii")
    write_nifti(tmp_path / "Template_6.nii")
    assert table_of(find_scans(tmp_path, "spm")) == {f"sub-{name}": f"smwc1{name}.nii" for name in ("AD_01", "CN_01")}
    with pytest.raises(ValueError, match=r"no file of 'spm-white', .* mwc2, but .* other prefixes: smwc1 \(2\)"):
        find_scans(tmp_path, "spm-white")
    with pytest.raises(ValueError, match=r"no file of 'cat12', .* other prefixes: smwc1"):
        find_scans(tmp_path, "cat12")


def test_files_with_bids_names_in_one_folder_have_participant_and_session(tmp_path, write_nifti):
    for session in ("M00", "M12"):
        write_nifti(tmp_path / "mri" / f"mwp1sub-A_1_ses-{session}_T1w.nii")
    write_nifti(tmp_path / "sub-B" / "mri" / "mwp1S002.nii")
    scans = find_scans(tmp_path, "cat12")
    assert scans.table["participant_id"].tolist() == ["sub-A_1"] * 2
    assert scans.table["session_id"].tolist() == ["ses-M00", "ses-M12"]
    assert any("does not begin with 'sub-B' as its folder does" in problem.reason for problem in scans.problems)
