import re

import numpy as np
import pytest
import sklearn

from deepjive.imaging import entities, find_scans, read_cohort, read_cohort_table, template

pytest.importorskip("nilearn")
GREY = "t1/spm/dartel/group-AD/{0}_T1w_segm-graymatter_space-Ixi549Space_modulated-{1}{2}_probability.nii.gz"
SUVR = "pet/preprocessing/group-AD/{0}_trc-{1}_pet_space-Ixi549Space_suvr-{2}{3}_pet.nii.gz"


@pytest.fixture
def caps(tmp_path, write_nifti):
    """Three participants: the PET of the first comes six months after T1, the second has no PET, the third no T1."""

    def write(subject, session, name, *parts):
        path = tmp_path / "caps" / "subjects" / subject / session / name.format(f"{subject}_{session}", *parts)
        return write_nifti(path)

    for session in ("ses-M00", "ses-M24"):
        write("sub-A", session, GREY, "on", "")
        write("sub-A", session, GREY, "on", "_fwhm-8mm")
        write("sub-A", session, GREY, "off", "")
    write("sub-A", "ses-M06", SUVR, "18FAV45", "pons", "")
    write("sub-A", "ses-M06", SUVR, "18FAV45", "pons", "_mask-brain_fwhm-8mm")
    write("sub-B", "ses-M00", GREY, "on", "")
    write("sub-C", "ses-M00", SUVR, "18FAV45", "pons", "")
    return tmp_path / "caps"


@pytest.fixture
def sources(caps):
    return {"mri": ("t1-volume", caps), "pet": ("pet-volume", caps)}


def test_entities_are_read_from_names():
    assert entities("x/sub-1_ses-M00_trc-11CPIB_pet.nii.gz") == {"sub": "1", "ses": "M00", "trc": "11CPIB"}


def test_the_t1_nearest_to_the_pet_is_joined_and_missing_stays_missing(sources):
    cohort = read_cohort(sources, max_months=12)
    rows = cohort.table.set_index("participant_id")
    assert cohort.samples == ["sub-A_ses-M06", "sub-C_ses-M00", "sub-B_ses-M00"]
    assert (
        rows.at["sub-A", "mri"].name
        == "sub-A_ses-M00_T1w_segm-graymatter_space-Ixi549Space_modulated-on_probability.nii.gz"
    )
    assert rows.at["sub-A", "pet"].name.endswith("suvr-pons_pet.nii.gz")
    cohort, data = cohort.read(12)
    assert data.present.tolist() == [[True, True], [False, True], [True, False]]
    assert cohort.complete().samples == ["sub-A_ses-M06"]
    near = read_cohort(sources, max_months=3)
    assert any("no mri within 3 months of the pet" in problem.reason for problem in near.problems)


def test_dates_take_precedence_over_names_of_sessions(sources, tmp_path):
    bids = tmp_path / "bids"
    (bids / "sub-A").mkdir(parents=True)
    (bids / "participants.tsv").write_text("participant_id\tsex\tdiagnosis_sc\nsub-A\tF\tCN\nsub-B\tn/a\tAD\n")
    (bids / "sub-A" / "sub-A_sessions.tsv").write_text(
        "session_id\tage\tdiagnosis\texamination_date\n"
        "ses-M00\t70\tCN\t2010-01-01\nses-M06\t70.5\tMCI\t2011-12-20\nses-M24\t72\tAD\t2012-01-01\n"
    )
    rows = read_cohort(sources, clinical=bids).table.set_index("participant_id")
    assert "ses-M24" in str(rows.at["sub-A", "mri"])
    assert rows.at["sub-A", "diagnosis"] == "MCI"
    assert rows.at["sub-A", "age"] == 70.5
    assert rows["sex"].isna().tolist() == [False, True, True]


def test_scans_of_the_same_session_are_joined_even_without_a_date(tmp_path, write_nifti):
    for session in ("ses-01", "ses-02"):
        for kind, folder in (("T1w", "anat"), ("trc-X_pet", "pet")):
            write_nifti(tmp_path / "sub-A" / session / folder / f"sub-A_{session}_{kind}.nii.gz")
    write_nifti(tmp_path / "sub-A" / "ses-03" / "pet" / "sub-A_ses-03_trc-X_pet.nii.gz")
    cohort = read_cohort({"t1": ("bids-t1", tmp_path), "pet": ("bids-pet", tmp_path)})
    joined = [path and path.name for path in cohort.table["t1"]]
    assert joined == ["sub-A_ses-01_T1w.nii.gz", "sub-A_ses-02_T1w.nii.gz", None]
    (problem,) = cohort.problems
    assert problem.subject == "sub-A_ses-03"
    assert "whether a t1 is near the pet in time is not known" in problem.reason


def test_dates_are_not_compared_with_names_and_may_have_time_zones(sources, tmp_path):
    (tmp_path / "bids" / "sub-A").mkdir(parents=True)
    dated = tmp_path / "bids" / "sub-A" / "sub-A_sessions.tsv"
    dated.write_text("session_id\tacq_time\nses-M00\t2006-01-01T10:00:00Z\nses-M06\tn/a\nses-M24\t2008-01-01\n")
    rows = read_cohort(sources, clinical=tmp_path / "bids").table.set_index("participant_id")
    assert "ses-M00" in str(rows.at["sub-A", "mri"])
    dated.write_text(dated.read_text().replace("n/a", "2007-12-20"))
    rows = read_cohort(sources, clinical=tmp_path / "bids").table.set_index("participant_id")
    assert "ses-M24" in str(rows.at["sub-A", "mri"])


def test_a_single_scan_without_session_belongs_to_all_visits(tmp_path, write_nifti):
    write_nifti(tmp_path / "sub-A" / "anat" / "sub-A_T1w.nii.gz")
    for session in ("ses-1", "ses-2"):
        write_nifti(tmp_path / "sub-A" / session / "pet" / f"sub-A_{session}_pet.nii.gz")
    cohort = read_cohort({"t1": ("bids-t1", tmp_path), "pet": ("bids-pet", tmp_path)})
    assert [path.name for path in cohort.table["t1"]] == ["sub-A_T1w.nii.gz"] * 2


def test_pet_files_without_suvr_are_not_read_as_ratios(caps, write_nifti):
    folder = caps / "subjects" / "sub-C" / "ses-M00" / "pet" / "preprocessing" / "group-AD"
    write_nifti(folder / "sub-C_ses-M00_trc-18FAV45_pet_space-Ixi549Space_pet.nii.gz")
    scans = find_scans(caps, "pet-volume")
    assert [problem.subject for problem in scans.problems] == ["sub-B"]
    assert all("suvr-pons" in path.name for path in scans.table["path"])


def test_choices_apply_to_files_with_the_entity_and_unknown_values_are_errors(tmp_path, write_nifti):
    for name in ("sub-1_run-01_T1w", "sub-1_run-02_T1w", "sub-2_T1w"):
        write_nifti(tmp_path / name[:5] / "anat" / f"{name}.nii.gz")
    for name in ("sub-1_acq-fdg_pet", "sub-1_acq-av45_pet", "sub-2_acq-av45_pet"):
        write_nifti(tmp_path / name[:5] / "pet" / f"{name}.nii.gz")
    sources = {"t1": ("bids-t1", tmp_path), "pet": ("bids-pet", tmp_path)}
    table = read_cohort(sources, choose={"run": "1", "acq": "av45"}).table
    assert [path.name for path in table["t1"]] == ["sub-1_run-01_T1w.nii.gz", "sub-2_T1w.nii.gz"]
    assert [path.name for path in table["pet"]] == ["sub-1_acq-av45_pet.nii.gz", "sub-2_acq-av45_pet.nii.gz"]
    with pytest.raises(ValueError, match="acq=av54; the values of acq are: av45, fdg"):
        read_cohort(sources, choose={"acq": "av54"})
    with pytest.raises(ValueError, match="'nonsense' is nothing that files are chosen by"):
        read_cohort(sources, choose={"nonsense": "1"})


def test_maps_of_two_spaces_are_not_mixed(tmp_path, write_nifti):
    for name in ("sub-1_space-Ixi549Space", "sub-1_space-MNI152NLin2009aSym", "sub-2_space-MNI152NLin2009aSym"):
        write_nifti(tmp_path / name[:5] / "anat" / f"{name}_res-3_label-GM_desc-modulated_probseg.nii.gz")
    assert find_scans(tmp_path, "deepjive-mri").table["participant_id"].tolist() == ["sub-2"]
    chosen = find_scans(tmp_path, "deepjive-mri", {"space": "MNI152NLin2009aSym"})
    assert chosen.table["participant_id"].tolist() == ["sub-1", "sub-2"]


def test_the_error_without_diagnoses_lists_the_searched_tables(sources, tmp_path):
    with pytest.raises(ValueError, match="Nothing says what the participants' diagnoses are"):
        read_cohort(sources).diagnosed("CN", "AD")
    (tmp_path / "participants.tsv").write_text("id\tdiagnosis\nsub-A\tCN\n")
    cohort = read_cohort(sources, clinical=tmp_path)
    assert any("participants.tsv has no column 'participant_id'" in problem.reason for problem in cohort.problems)


def test_columns_that_a_table_lacks_come_from_the_bids_folder(tmp_path, write_nifti):
    write_nifti(tmp_path / "a.nii.gz")
    (tmp_path / "t.csv").write_text("participant_id,age,mri\nsub-1,70,a.nii.gz\nsub-2,,a.nii.gz\n,,a.nii.gz\n")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tdiagnosis\nsub-1\t1\tCN\nsub-2\t65\tAD\n")
    cohort = read_cohort_table(tmp_path / "t.csv", clinical=tmp_path)
    assert cohort.table["age"].tolist() == [70, 65]
    assert cohort.diagnosed("AD").samples == ["sub-2"]
    assert [problem.reason for problem in cohort.problems] == ["row 4 has no participant_id and was left out"]


def test_values_beyond_half_precision_are_a_problem(tmp_path, write_nifti):
    write_nifti(tmp_path / "good.nii.gz")
    write_nifti(tmp_path / "counts.nii.gz", 1e6 * template("grey", 12.0))
    (tmp_path / "t.csv").write_text("participant_id,pet\n1,good.nii.gz\n2,counts.nii.gz\n")
    cohort, data = read_cohort_table(tmp_path / "t.csv").read(12, store=tmp_path / "store")
    assert data.samples.tolist() == ["1"]
    assert "more than half precision holds" in cohort.problems[0].reason
    assert len(read_cohort_table(tmp_path / "t.csv").read(12)[1]) == 2


def test_files_that_differ_in_more_than_smoothing_need_a_choice(caps, sources, write_nifti):
    folder = caps / "subjects" / "sub-C" / "ses-M00" / "pet" / "preprocessing" / "group-AD"
    write_nifti(folder / "sub-C_ses-M00_trc-18FFDG_pet_space-Ixi549Space_suvr-pons_pet.nii.gz")
    scans = find_scans(caps, "pet-volume")
    assert scans.table["participant_id"].tolist() == ["sub-A"]
    assert scans.problems[0].subject == "sub-C_ses-M00"
    assert "Say which, e.g. choose={'trc': '18FAV45'}" in scans.problems[0].reason
    chosen = read_cohort(sources, choose={"trc": "18FFDG"})
    assert [path.name for path in chosen.table["pet"] if path is not None] == [
        "sub-C_ses-M00_trc-18FFDG_pet_space-Ixi549Space_suvr-pons_pet.nii.gz"
    ]


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (
            "t1-linear",
            "subjects/sub-1/ses-1/t1_linear/sub-1_ses-1_space-MNI152NLin2009cSym_desc-Crop_res-1x1x1_T1w.nii.gz",
        ),
        (
            "pet-linear",
            "subjects/sub-1/ses-1/pet_linear/"
            "sub-1_ses-1_trc-18FFDG_space-MNI152NLin2009cSym_res-1x1x1_suvr-cerebellumPons2_pet.nii.gz",
        ),
        ("fmriprep", "sub-1/ses-1/anat/sub-1_ses-1_space-MNI152NLin2009cAsym_res-2_label-GM_probseg.nii.gz"),
        ("fmriprep", "sub-1/anat/sub-1_space-MNI152NLin2009cAsym_label-GM_probseg.nii.gz"),
        ("fmriprep-white", "sub-1/anat/sub-1_space-MNI152NLin2009cAsym_label-WM_probseg.nii.gz"),
        (
            "t1-volume-white",
            "subjects/sub-1/ses-1/t1/spm/dartel/group-AD/"
            "sub-1_ses-1_T1w_segm-whitematter_space-Ixi549Space_modulated-on_probability.nii.gz",
        ),
        (
            "dti-fa",
            "subjects/sub-1/ses-1/dwi/dti_based_processing/normalized_space/"
            "sub-1_ses-1_space-MNI152Lin_res-1x1x1_FA.nii.gz",
        ),
        ("bids-t1", "sub-1/ses-1/anat/sub-1_ses-1_T1w.nii.gz"),
        (
            "t1-volume-segmentation",
            "subjects/sub-1/ses-1/t1/spm/segmentation/normalized_space/"
            "sub-1_ses-1_T1w_segm-graymatter_space-Ixi549Space_modulated-on_probability.nii.gz",
        ),
        ("deepjive-mri", "sub-1/anat/sub-1_space-MNI152NLin2009aSym_res-3_label-GM_desc-modulated_probseg.nii.gz"),
    ],
)
def test_file_names_of_other_pipelines_are_recognized(tmp_path, write_nifti, layout, name):
    path = write_nifti(tmp_path / name)
    write_nifti(path.with_name("sub-1_something_else.nii.gz"))
    for tissue, other in (("GM", "WM"), ("WM", "GM"), ("graymatter", "csf"), ("whitematter", "csf"), ("FA", "MD")):
        if re.search(rf"[-_]{tissue}[._]", path.name):
            write_nifti(path.with_name(re.sub(rf"(?<=[-_]){tissue}(?=[._])", other, path.name)))
    assert find_scans(tmp_path, layout).table["path"].tolist() == [path]


def test_bad_rows_of_a_table_of_paths_are_problems_and_the_others_are_read(tmp_path, write_nifti):
    for subject in ("1", "2", "3"):
        write_nifti(tmp_path / f"mri{subject}.nii.gz")
        write_nifti(tmp_path / f"pet{subject}.nii.gz")
    (tmp_path / "pet2.nii.gz").write_bytes((tmp_path / "pet2.nii.gz").read_bytes()[:500])
    (tmp_path / "cohort.csv").write_text(
        "participant_id,diagnosis,mri,pet\n"
        "1,CN,mri1.nii.gz,pet1.nii.gz\n2,AD,mri2.nii.gz,pet2.nii.gz\n3,AD,mri3.nii.gz,n/a\n"
        "3,CN,mri1.nii.gz,pet1.nii.gz\n4,CN,gone.nii.gz,\n"
    )
    cohort, data = read_cohort_table(tmp_path / "cohort.csv").read(12, store=tmp_path / "store")
    assert data.samples.tolist() == ["1", "2", "3"]
    assert data.present.tolist() == [[True, True], [True, False], [True, False]]
    assert data["mri"].dtype == np.float16
    problems = {problem.subject: str(problem) for problem in cohort.problems}
    assert "rows 4, 5 describe it; the first is used" in problems["3"]
    assert "pet2.nii.gz could not be read" in problems["2"]
    assert any("There is no file" in str(problem) and "gone.nii.gz" in str(problem) for problem in cohort.problems)
    assert cohort.table["diagnosis"].tolist() == ["CN", "AD", "AD"]


def test_splits_keep_a_participant_together(tmp_path, write_nifti):
    write_nifti(tmp_path / "a.nii.gz")
    rows = [f"sub-{i},ses-{j},{'CN' if i % 2 else 'AD'},a.nii.gz" for i in range(8) for j in range(3)]
    (tmp_path / "t.csv").write_text("participant_id,session_id,diagnosis,mri\n" + "\n".join(rows))
    cohort = read_cohort_table(tmp_path / "t.csv")
    for train, test in cohort.folds(4):
        assert not set(cohort.groups[train]) & set(cohort.groups[test])
        if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 9):  # 1.7 stratifies groups less evenly
            assert set(cohort.table["diagnosis"].iloc[test]) == {"CN", "AD"}
    cohort, data = cohort.read(12)
    np.testing.assert_array_equal(data.groups, cohort.groups)


def test_the_error_without_usable_scans_has_the_reasons(tmp_path, caps):
    (tmp_path / "bad.csv").write_text("participant_id,mri\n1,gone.nii.gz\n")
    with pytest.raises(ValueError, match=r"No usable scan was found\. 1: .*There is no file"):
        read_cohort_table(tmp_path / "bad.csv").read(12)
    (tmp_path / "none.csv").write_text("id,mri\n1,gone.nii.gz\n")
    with pytest.raises(ValueError, match="has no column 'participant_id'"):
        read_cohort_table(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="layout is 'clinica'"):
        find_scans(caps, "clinica")
    (caps / "subjects" / "sub-D").mkdir()
    assert any(problem.subject == "sub-D" for problem in find_scans(caps, "t1-volume").problems)


def test_a_cohort_lists_a_damaged_compressed_file_and_goes_on_without_it(tmp_path, write_nifti):
    for name in ("a", "b"):
        write_nifti(tmp_path / f"{name}.nii.gz", template("grey", 12.0) + np.random.default_rng(0).random((13, 17, 14)))
    content = bytearray((tmp_path / "b.nii.gz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "b.nii.gz").write_bytes(bytes(content))
    (tmp_path / "t.csv").write_text("participant_id,mri\n1,a.nii.gz\n2,b.nii.gz\n")
    cohort, data = read_cohort_table(tmp_path / "t.csv").read(12)
    assert data.samples.tolist() == ["1"]
    assert [problem.subject for problem in cohort.problems] == ["2", "2"]
    assert "b.nii.gz could not be read" in cohort.problems[0].reason


def test_participants_whose_names_have_underscores_or_hyphens_are_kept_apart(tmp_path, write_nifti):
    for name in ("sub-EMI_301", "sub-EMI_302", "sub-EMI-303"):
        write_nifti(tmp_path / name / "anat" / f"{name}_T1w.nii.gz")
    for name in ("sub-EMI_302", "sub-EMI-303"):
        write_nifti(tmp_path / name / "ses-A_1" / "pet" / f"{name}_ses-A_1_trc-X_pet.nii.gz")
    cohort = read_cohort({"t1": ("bids-t1", tmp_path), "pet": ("bids-pet", tmp_path)})
    assert sorted(cohort.samples) == ["sub-EMI-303_ses-A_1", "sub-EMI_301", "sub-EMI_302_ses-A_1"]
    for _, row in cohort.table.iterrows():
        assert all(row["participant_id"] in path.name for path in (row["t1"], row["pet"]) if path is not None)


def test_a_file_whose_name_contradicts_its_folder_is_a_problem(tmp_path, write_nifti):
    write_nifti(tmp_path / "sub-1" / "anat" / "sub-2_T1w.nii.gz")
    write_nifti(tmp_path / "sub-3" / "ses-1" / "anat" / "sub-3_ses-2_T1w.nii.gz")
    scans = find_scans(tmp_path, "bids-t1")
    assert not len(scans.table)
    assert [problem.subject for problem in scans.problems][:2] == ["sub-1", "sub-3_ses-1"]
    assert "its name does not begin with 'sub-1_' as its folder does" in scans.problems[0].reason


@pytest.mark.parametrize("entity", ["echo", "part", "rec", "acq", "run", "task", "ce", "dir"])
def test_files_that_differ_in_what_was_measured_are_never_chosen_between_in_silence(tmp_path, write_nifti, entity):
    for value in ("1", "2"):
        write_nifti(tmp_path / "sub-1" / "anat" / f"sub-1_{entity}-{value}_T1w.nii.gz")
    (problem,) = (problem for problem in find_scans(tmp_path, "bids-t1").problems if "Say which" in problem.reason)
    assert f"choose={{'{entity}': '1'}}" in problem.reason
    chosen = find_scans(tmp_path, "bids-t1", {entity: "2"}).table["path"]
    assert [path.name for path in chosen] == [f"sub-1_{entity}-2_T1w.nii.gz"]


def test_equally_processed_files_and_two_files_of_one_name_are_not_chosen_between(tmp_path, write_nifti):
    for name in ("sub-1_desc-a_T1w.nii", "sub-1_desc-b_T1w.nii", "sub-2_T1w.nii", "sub-2_T1w.nii.gz"):
        write_nifti(tmp_path / name[:5] / "anat" / name)
    scans = find_scans(tmp_path, "bids-t1")
    assert not len(scans.table)
    reasons = {problem.subject: problem.reason for problem in scans.problems[:2]}
    assert "choose={'desc': 'a'}" in reasons["sub-1"]
    assert "have the same entities: sub-2_T1w.nii, sub-2_T1w.nii.gz. Keep one" in reasons["sub-2"]


def test_names_of_participants_are_matched_without_sub_and_blanks_or_listed(tmp_path, write_nifti):
    for name in ("sub-A", "sub-B", "sub-C"):
        write_nifti(tmp_path / name / "ses-1" / "anat" / f"{name}_ses-1_T1w.nii.gz")
    clinical = tmp_path / "clinical"
    (clinical / "sub-A").mkdir(parents=True)
    (clinical / "participants.tsv").write_text("participant_id \tdiagnosis\nA\tCN\n sub-B \t AD \n")
    (clinical / "sub-A" / "sub-A_sessions.tsv").write_text("session_id\tage\n1 \t70\n")
    cohort = read_cohort({"t1": ("bids-t1", tmp_path)}, clinical=clinical)
    rows = cohort.table.set_index("participant_id")
    assert rows["diagnosis"].fillna("none").tolist() == ["CN", "AD", "none"]
    assert rows.at["sub-A", "age"] == 70
    (problem,) = cohort.problems
    assert "it has no row for 1 of 3 participants: sub-C; its participant_id are such as 'A'" in problem.reason
    (tmp_path / "t.csv").write_text("participant_id,t1\n A ,sub-A/ses-1/anat/sub-A_ses-1_T1w.nii.gz \n")
    table = read_cohort_table(tmp_path / "t.csv", clinical=clinical).table
    assert (table.at[0, "participant_id"], table.at[0, "diagnosis"]) == ("A", "CN")
    assert table.at[0, "t1"].is_file()


def test_a_clinical_folder_that_does_not_exist_is_an_error_and_an_empty_one_a_problem(sources, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere, which clinical= \(--bids\) names"):
        read_cohort(sources, clinical=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    problems = read_cohort(sources, clinical=tmp_path / "empty").problems
    assert any("neither participants.tsv nor" in problem.reason for problem in problems)
