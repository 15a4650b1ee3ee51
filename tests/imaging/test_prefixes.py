"""Small folders as SPM and CAT12 write them beside scans without BIDS names, after their manuals; odd ones included."""

import pytest

from deepjive.imaging import find_scans, read_cohort
from deepjive.imaging.scan_names import participant_of

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


def touch(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
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
    for path in ("S001/wPET_S001.nii", "pet/wS002.nii", "pet/wrS003.nii", *others):
        write_nifti(tmp_path / "data" / path)
    scans = find_scans(tmp_path / "data", "spm-pet")
    assert list(table_of(scans)) == ["sub-S001", "sub-S002", "sub-S003"]


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("S001", ("sub-S001", "")),
        ("MPRAGE_S-001_T1w", ("sub-S-001", "")),
        ("sub-A_1_ses-M00_acq-fast_T1w", ("sub-A_1", "ses-M00")),
        ("002_S_0295_m06_T1", ("sub-ADNI002S0295", "ses-M06")),
        ("T1", ("", "")),
        ("rsub-01_ses-a_T1w", ("sub-01", "ses-a")),
        ("avg_sub-01_T1w", ("sub-01", "")),
        ("PT_001", ("sub-PT_001", "")),
        ("MR_001_T1", ("sub-MR_001", "")),
        ("MR_S001", ("sub-S001", "")),
        ("001_MR", ("sub-001", "")),
        ("SITE001S0012_x", ("sub-SITE001S0012_x", "")),
        ("avg_002_S_0295_T1", ("sub-ADNI002S0295", "")),
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
        (["sub-01_T1w", "rsub-01_T1w"], "maps of one participant, sub-01"),
        (["sub-01_T1w", "avg_sub-01_T1w"], "maps of one participant, sub-01"),
        (
            ["avg_sub-01_T1w", "rsub-01_ses-a_T1w", "rsub-01_ses-b_T1w"],
            "sub-01 and sub-01_ses-a and sub-01_ses-b can be visits",
        ),
        (["study_sub-01_ses-a_T1w", "study_sub-01_ses-b_T1w"], "can be visits"),
        (["sub-01_ses-a_T1w", "sub-01_ses-a_T1w (1)"], "can be one participant|can be visits"),
        (["S001_T1", "S001_T1_M12"], "sub-S001 and sub-S001_T1_M12 can be visits"),
        (["OAS30001_MR_d0129_T1w", "OAS30001_MR_d0757_T1w"], "can be visits"),
        (["S001_0m", "S001_12m"], "can be visits"),
        (["S001_110602", "S001_120602"], "can be visits"),
        (["S001_2011_06_02", "S001_2012_06_02"], "can be visits"),
        (["S001_2011", "S001_2012"], "can be visits"),
        (["S001_T1", "S001_T1 (1)"], "can be visits"),
        (["S001_T1", "S001_T1_copy"], "can be visits"),
        (["S001_T1(1)", "S001_T1 - Copy"], "can be visits"),
        (["S001_T1", "Copy of S001_T1"], "can be one participant, because one name contains the other"),
        (["OAS1_0001_MR1_mpr_n4_anon_sbj_111", "OAS1_0001_MR2_mpr_n3_anon_sbj_111"], "can be visits"),
        (["S001_M00_brain", "S001_M12_brain"], "can be visits"),
        (["S001_1", "S001_2"], "can be visits"),
        (["S001_A", "S001_B"], "can be visits"),
        (["S001a", "S001b"], "can be visits"),
        (["S001", "S001B_T1"], "can be visits"),
        (["S001pre", "S001post"], "can be visits"),
        (["S001a", "sub-S001"], "can be visits"),
        (["S001", "sub-S001a"], "can be visits"),
        (["sub-S001_1", "sub-S001_2"], "can be visits"),
        (["sub-S001A_T1w", "sub-S001a"], "can be visits"),
        (["sub-01V1", "sub-01V2", "sub-02V1"], "sub-01V1 and sub-01V2 can be visits"),
        (["sub-01_T1w", "sub-01M12_T1w"], "can be visits"),
        (["01_01", "01_02", "02_01"], "sub-01_01 and sub-01_02 can be visits"),
        (["S001M00", "S001M12"], "can be visits"),
        (["S001_M00", "20110602_S001"], "can be visits"),
        (["rS001", "S001_M12"], "longitudinal pipeline writes 'r'"),
        (["S001_before", "S001_after"], "can be visits"),
        (["Smith_baseline", "Smith_final"], "can be visits"),
        (["Smith_02Jun2011", "Smith_02-Jun-2012"], "can be visits"),
        (["S-001_T1", "s_001_T1"], "can be visits"),
        (["S001", "S001_7mm"], "can be one participant, because one name contains the other"),
        (["S001", "study_S001"], "can be one participant, because one name contains the other"),
        (["S001", "mS001"], "writes 'm' before the name"),
        (["001", "PT_001"], "can be one participant, because one name contains the other"),
    ],
)
def test_names_that_leave_a_doubt_about_the_participant_are_refused(names, message, tmp_path):
    touch(tmp_path, [f"mri/mwp1{name}.nii" for name in names])
    with pytest.raises(ValueError, match=message):
        find_scans(tmp_path, "cat12")


@pytest.mark.parametrize(
    "names",
    [
        ["AD_01", "AD_02", "CN_01"],
        ["OAS1_0001_MR1", "OAS1_0002_MR1"],
        ["site1_001", "site1_002"],
        ["study_v1_001", "study_v1_002"],
        ["proj_T1_001", "proj_T1_002"],
        ["002_S_0295", "002_S_0413"],
        ["sub-A", "sub-B_1", "sub-B_2"],
        ["rat01", "rat02", "mary"],
        ["S001", "RS001", "MS001"],
        ["20110602_S001", "20110602_S002"],
        ["01_001", "01_002", "02_001"],
        ["sub-0101", "sub-0102", "sub-0201"],
        ["sub-01a_T1w", "sub-01b_T1w", "sub-m01b", "sub-01V1"],
        ["S001a", "S002a", "S003b"],
        ["NDARAA075AMK", "NDARAA075AXY"],
        ["PT_001", "PT_002"],
    ],
)
def test_names_of_several_participants_are_read(names, tmp_path):
    touch(tmp_path, [f"mri/mwp1{name}.nii" for name in names])
    assert len(find_scans(tmp_path, "cat12").table) == len(names)


@pytest.mark.parametrize(
    ("root", "names", "expected"),
    [
        ("PET", ["wS001.nii", "wS002.nii"], ["sub-S001", "sub-S002"]),
        ("data", ["FDG_PET/wS001.nii", "pet_scans/wS002.nii"], ["sub-S001", "sub-S002"]),
        ("PET", ["wS001.nii", "T1/wS002.nii"], ["sub-S001"]),
        ("data", ["PET_MRI/wS001.nii", "pet/wS002.nii"], ["sub-S002"]),
        ("pet", ["wrS001.nii", "wrS002.nii"], ["sub-S001", "sub-S002"]),
        ("pet", ["wrPET_S001.nii", "wPET_rob.nii"], ["sub-S001", "sub-rob"]),
        ("pet", ["wrat04.nii", "rat04.nii", "wS001.nii", "S001.nii"], ["sub-S001", "sub-rat04"]),
        ("pet", ["swrS001_PET.nii", "wmS001_T1.nii", "wc1S001_T1.nii"], ["sub-S001"]),
        ("pet", ["wS001.nii", "wmS001.nii", "wc1S001.nii", "wmwp1S001.nii", "wj_S001.nii"], ["sub-S001"]),
        ("pet", ["swc1001_PET.nii", "swm001_PET.nii"], ["sub-c1001", "sub-m001"]),
        (
            "pet",
            ["walter.nii", "wwalter.nii", "swwalter.nii", "mary.nii", "wmary.nii", "swmary.nii"],
            ["mary", "walter"],
        ),
        ("data", ["T1/wPT_001.nii", "pet/wMR_S003.nii", "pet/wPT_002.nii"], ["PT_002"]),
        ("pet", ["wS001.nii", ".Trash/wS001.nii", "wTemplate_6.nii"], ["sub-S001"]),
    ],
)
def test_files_are_pet_of_a_participant_by_all_that_names_and_folders_say(root, names, expected, tmp_path):
    scans = find_scans(touch(tmp_path / root, names), "spm-pet")
    assert sorted(table_of(scans)) == [f"sub-{name.removeprefix('sub-')}" for name in expected]


def test_names_with_r_are_refused_where_only_some_have_it(tmp_path):
    touch(tmp_path / "pet", ["wrS001.nii", "wS002.nii"])
    with pytest.raises(ValueError, match=r"wrS001.nii .*coregistration.* wS002.nii .*[Rr]ename"):
        find_scans(tmp_path / "pet", "spm-pet")


def test_files_in_a_folder_of_pet_that_may_be_tissue_maps_are_listed(tmp_path):
    scans = find_scans(touch(tmp_path / "pet", ["wS001.nii", "wc1S002.nii", "wS001_T1.nii"]), "spm-pet")
    assert [(problem.file.endswith("wc1S002.nii"), "says PET" in problem.reason) for problem in scans.problems] == [
        (True, True)
    ]


def test_an_error_about_pet_without_words_speaks_of_prefixes_and_words(tmp_path):
    touch(tmp_path / "data", ["wS001.nii"])
    with pytest.raises(ValueError, match=r"begin with w, .* such as PET, .* 1 file begins with w") as error:
        find_scans(tmp_path / "data", "spm-pet")
    assert "sub-*" not in str(error.value)


def test_a_folder_names_the_tracer_of_its_files(tmp_path):
    touch(tmp_path / "data", ["FDG/wS001_PET.nii", "AV45/wS001_PET.nii", "AV45/wsub-02_pet.nii"])
    for tracer, expected in (("glucose", ["sub-S001"]), ("amyloid", ["sub-02", "sub-S001"])):
        assert sorted(table_of(find_scans(tmp_path / "data", "spm-pet", tracer=tracer))) == expected
    assert list(table_of(find_scans(tmp_path / "data" / "FDG", "spm-pet", tracer="glucose"))) == ["sub-S001"]


def test_the_prefix_that_is_chosen_is_one_of_the_layout(tmp_path):
    names = [f"{prefix}{name}.nii" for prefix in ("w", "sw") for name in ("c1", "p1", "S001")]
    scans = find_scans(touch(tmp_path / "pet", names), "spm-pet", {"prefix": "sw"})
    assert table_of(scans) == {f"sub-{name}": f"sw{name}.nii" for name in ("S001", "c1", "p1")}


def test_maps_beside_files_of_bids_are_listed(tmp_path):
    touch(tmp_path, ["sub-01/mri/mwp1sub-01_T1w.nii", "sub-01/mri/s6mwp1sub-01_T1w.nii", "mri/mwp1S002.nii"])
    scans = find_scans(tmp_path, "cat12")
    assert list(table_of(scans)) == ["sub-01"]
    assert [(problem.subject, "was left out" in problem.reason) for problem in scans.problems] == [("sub-S002", True)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["sub-S001/mri/mwp1S001_T1.nii"], [("sub-S001", "")]),
        (["sub-S001/mri/mwp1S001_T1w.nii"], [("sub-S001", "")]),
        (["sub-S1/ses-a/mri/mwp1S1.nii", "sub-S1/ses-b/mri/mwp1S1.nii"], [("sub-S1", "ses-a"), ("sub-S1", "ses-b")]),
        (["sub-1/mwp1sub-10.nii"], []),
        (["sub-1/ses-a/mwp1sub-1_ses-b.nii"], []),
    ],
)
def test_folders_of_participants_must_agree_with_the_names_in_them(names, expected, tmp_path):
    scans = find_scans(touch(tmp_path, names), "cat12")
    assert list(zip(scans.table["participant_id"], scans.table["session_id"], strict=True)) == expected
    assert expected or "as its folder does" in scans.problems[0].reason


def test_hidden_folders_and_templates_are_no_participants(tmp_path):
    touch(tmp_path, ["mri/mwp1S001.nii", ".Trash/mwp1S002.nii", "mri/mwp1Template_T1.nii", ".old/report/cat_S003.xml"])
    scans = find_scans(tmp_path, "cat12")
    assert list(table_of(scans)) == ["sub-S001"]
    assert scans.problems == []


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
