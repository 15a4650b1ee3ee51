import pytest

from deepjive import Modalities
from deepjive.data import region_table
from deepjive.data.files import read_array
from deepjive.data.readers.guard import UnreadableError
from tests.data.readers.trees import write_aparc, write_aseg, write_cat12, write_statistics, write_wide

THICKNESS = {"bankssts": 2.5, "entorhinal": 3.1}


@pytest.fixture
def freesurfer(tmp_path):
    """Three subjects, fsaverage, a subject without aparc, a folder of something else, and a file."""
    root = tmp_path / "subjects_dir"
    for i, name in enumerate(("0031", "sub-B_ses-M00", "OAS30001_MR_d0129")):
        write_aseg(root / name, {"Left-Hippocampus": 4000.0 + i, "WM-hypointensities": 900.0 + i})
        for side in ("lh", "rh"):
            write_aparc(root / name, side, {region: value + 0.1 * i for region, value in THICKNESS.items()})
    write_aseg(root / "sub-D", {"Left-Hippocampus": 3900.0})
    write_aseg(root / "fsaverage", {"Left-Hippocampus": 1.0})
    (root / "logs").mkdir()
    (root / "notes.txt").write_text("x")
    return root


def test_longitudinal_folders_of_freesurfer_are_not_mixed_with_cross_sectional_ones(tmp_path):
    names = ("sub-1_v1", "sub-1_v2", "sub-1_v1.long.sub-1", "sub-1_v2.long.sub-1", "sub-1", "sub-2_v1")
    for i, name in enumerate(names):
        write_aseg(tmp_path / name, {"Left-Hippocampus": 4000.0 + i})
    table, left_out = region_table(tmp_path, "aseg", "volume")
    assert table["Left-Hippocampus"].to_dict() == {"sub-1_v1": 4000, "sub-1_v2": 4001, "sub-2_v1": 4005}
    assert [line.partition(":")[0] for line in left_out] == ["sub-1", "sub-1_v1.long.sub-1", "sub-1_v2.long.sub-1"]
    assert "template of a participant's time points" in left_out[0]
    table, _ = region_table(tmp_path, "aseg", "volume", ".long.")
    assert table["Left-Hippocampus"].to_dict() == {"sub-1_v1": 4002, "sub-1_v2": 4003}


@pytest.fixture
def caps(tmp_path):
    """Clinica: T1, two tracers in the second participant, FreeSurfer's measures, and a session without T1."""
    root = tmp_path / "caps"
    for i, (subject, session) in enumerate((("sub-01", "ses-M000"), ("sub-02", "ses-M000"), ("sub-03", "ses-M000"))):
        base, name = root / "subjects" / subject / session, f"{subject}_{session}"
        if subject != "sub-03":
            write_statistics(
                base / f"t1/spm/dartel/group-AD/atlas_statistics/{name}_T1w_space-AAL2_map-graymatter_statistics.tsv",
                {"Precentral_L": 0.4 + i, "Precentral_R": 0.5 + i},
            )
        for tracer in ("18FAV45", "18FFDG") if subject == "sub-02" else ("18FAV45",):
            write_statistics(
                base / f"pet/preprocessing/group-AD/atlas_statistics/{name}_trc-{tracer}_pet_space-AAL2"
                "_suvr-cerebellumPons_statistics.tsv",
                {"Precentral_L": 1.1 + i, "Precentral_R": 1.2 + i},
            )
        for side, short in (("left", "lh"), ("right", "rh")):
            write_wide(
                base / f"t1/freesurfer_cross_sectional/regional_measures/{name}_hemi-{side}_parcellation-desikan"
                "_thickness.tsv",
                f"{short}.aparc.thickness",
                {f"{short}_bankssts_thickness": 2.0 + i},
            )
    return root


def test_freesurfers_subjects_become_rows_and_both_hemispheres_columns(freesurfer):
    table, left_out = region_table(freesurfer, "aparc", "thickness")
    assert table.index.tolist() == ["0031", "OAS30001_MR_d0129", "sub-B_ses-M00"]
    assert table.columns.tolist() == ["lh_bankssts", "lh_entorhinal", "rh_bankssts", "rh_entorhinal"]
    assert table.at["sub-B_ses-M00", "rh_entorhinal"] == pytest.approx(3.2)
    assert left_out == ["sub-D: it has no stats/lh.aparc.stats or stats/rh.aparc.stats"]
    area = region_table(freesurfer, "aparc", "area").table
    assert area.at["0031", "lh_bankssts"] == 250.0


def test_regions_that_some_participants_lack_are_left_out_and_named(freesurfer):
    table, left_out = region_table(freesurfer, "aseg", "volume")
    assert len(table) == 4
    assert table.columns.tolist() == ["Left-Hippocampus"]
    assert left_out == ["region 'WM-hypointensities' has a value in 3 of 4 participants only"]


def test_freesurfer_is_found_in_derivatives_of_fmriprep(freesurfer, tmp_path):
    (tmp_path / "fmriprep" / "sourcedata").mkdir(parents=True)
    freesurfer.rename(tmp_path / "fmriprep" / "sourcedata" / "freesurfer")
    assert len(region_table(tmp_path / "fmriprep", "aparc", "volume").table) == 3


def test_clinicas_atlas_statistics_become_a_row_for_each_session(caps):
    table, left_out = region_table(caps, "AAL2", "graymatter")
    assert table.index.tolist() == ["sub-01_ses-M000", "sub-02_ses-M000"]
    assert table.loc["sub-02_ses-M000"].tolist() == pytest.approx([1.4, 1.5])
    assert left_out == ["sub-03_ses-M000: it has no table of AAL2 and graymatter"]


def test_several_tracers_need_a_choice_which_the_message_names(caps):
    table, left_out = region_table(caps, "AAL2", "pet")
    assert table.index.tolist() == ["sub-01_ses-M000", "sub-03_ses-M000"]
    (reason,) = left_out
    assert "several files fit" in reason
    assert f"{caps}:AAL2:pet:trc-18FAV45" in reason
    table, left_out = region_table(caps, "AAL2", "pet", "trc-18FAV45")
    assert len(table) == 3
    assert not left_out


def test_clinicas_measures_of_freesurfer_join_the_hemispheres(caps):
    table = region_table(caps, "desikan", "thickness").table
    assert table.columns.tolist() == ["lh_bankssts_thickness", "rh_bankssts_thickness"]
    assert table["rh_bankssts_thickness"].tolist() == [2.0, 3.0, 4.0]


def test_cat12s_regions_are_read_from_its_xml_files(tmp_path):
    names = ["Left Hippocampus", "Right Hippocampus"]
    for i in range(3):
        path = tmp_path / "CAT12" / f"sub-{i}" / "label" / f"catROI_sub-{i}_ses-1_T1w.xml"
        write_cat12(path, "neuromorphometrics", {"Vgm": [3.0 + i, 3.1], "Vcsf": [0.1, 0.2]}, names)
    path.write_text("<S><neuromorphometrics>")
    surface = tmp_path / "CAT12" / "sub-0" / "label" / "catROIs_sub-0_ses-1_T1w.xml"
    write_cat12(surface, "aparc_DK40", {"thickness": [2.2, "NaN"]}, ["lbankssts", "lunknown"])
    table, left_out = region_table(tmp_path / "CAT12", "neuromorphometrics", "Vgm")
    assert table.index.tolist() == ["sub-0_ses-1", "sub-1_ses-1"]
    assert table["Left Hippocampus"].tolist() == [3.0, 4.0]
    assert left_out[0].startswith("sub-2_ses-1: ")
    assert region_table(tmp_path / "CAT12", "aparc_DK40", "thickness").table.columns.tolist() == ["lbankssts"]
    with pytest.raises(UnreadableError, match=r"no atlas 'cobra'; its atlases are \['neuromorphometrics'\]"):
        region_table(tmp_path / "CAT12", "cobra", "Vgm")


def test_exported_tables_of_cat12_and_freesurfer_are_tables_like_others(tmp_path):
    (tmp_path / "ROI_cobra_Vgm.csv").write_text("names,lHip,rHip\n0031,3.1,3.2\n0032,3.3,3.4\n")
    (tmp_path / "aseg.tsv").write_text(
        "Measure:volume\tLeft-Hippocampus\tRight-Hippocampus\n0031\t4000\t4100\n0032\t1\t2\n"
    )
    (tmp_path / "lh.tsv").write_text(
        "lh.aparc.a2009s.thickness\tlh_G_cuneus_thickness\tx\n0031\t2.1\t2\n0032\t2.2\t2\n"
    )
    for name in ("ROI_cobra_Vgm.csv", "aseg.tsv", "lh.tsv"):
        table = read_array(tmp_path / name)
        assert table.index.tolist() == ["0031", "0032"], name
        assert table.shape == (2, 2)


def test_modalities_name_folders_and_pair_their_participants(freesurfer, caps, recwarn):
    data = Modalities(
        {"thickness": f"{freesurfer}:aparc:thickness", "volume": f"{freesurfer}:aseg:volume"}, unmatched="drop"
    )
    assert data.samples.tolist() == ["0031", "OAS30001_MR_d0129", "sub-B_ses-M00"]
    assert any("sub-D: it has no stats/lh.aparc.stats" in str(warning.message) for warning in recwarn)
    both = Modalities({"grey": f"{caps}:AAL2:graymatter", "pet": f"{caps}:AAL2:pet:trc-18FAV45"}, unmatched="keep")
    assert both.present.tolist() == [[True, True], [True, True], [False, True]]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "is a folder. Say which table of regions is meant"),
        (":aparc", "Say which table"),
        (":aparc:colour", "no measure 'colour'; it has thickness"),
        (":other:thickness", "has no table of atlas 'other' and measure 'thickness'.*stats/lh.other.stats"),
    ],
)
def test_a_folder_needs_an_atlas_and_a_measure_that_it_has(freesurfer, key, message):
    with pytest.raises(UnreadableError, match=message):
        read_array(f"{freesurfer}{key}")


def test_damaged_files_are_left_out_with_the_reason(freesurfer):
    (freesurfer / "0031" / "stats" / "aseg.stats").write_bytes(b"\xff\xfe\x00binary")
    (freesurfer / "sub-D" / "stats" / "aseg.stats").write_text("# ColHeaders Index StructName\n1 Left-Hippocampus\n")
    left_out = region_table(freesurfer, "aseg", "volume").left_out
    assert [line.partition(":")[0] for line in left_out] == ["0031", "sub-D"]
    assert "no column 'Volume_mm3'" in left_out[1]


def test_an_xml_file_that_declares_entities_is_not_expanded(tmp_path):
    atlas = "<cobra><names><item>&a;</item></names><data><Vgm>[1]</Vgm></data></cobra>"
    bomb = f'<!DOCTYPE S [<!ENTITY a "aaaa">]><S>{atlas}</S>'
    (tmp_path / "label").mkdir()
    (tmp_path / "label" / "catROI_x.xml").write_text(bomb)
    with pytest.raises(UnreadableError, match="declares entities"):
        region_table(tmp_path, "cobra", "Vgm")
