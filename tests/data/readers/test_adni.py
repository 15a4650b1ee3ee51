"""Labels and confounds from tables of ADNI's visits, matched to samples by participant and visit."""

import numpy as np
import pytest

from deepjive.data.files import read_labels
from deepjive.data.readers.adni import participant_and_session

MERGED = """RID,PTID,VISCODE,SITE,EXAMDATE,DX_bl,AGE,PTGENDER,DX,MMSE,Years_bl
295,002_S_0295,bl,2,2006-04-18,CN,84.8,Male,CN,28,0
295,002_S_0295,m06,2,2006-11-02,CN,84.8,Male,,29,0.54
295,002_S_0295,m60,2,2011-06-02,CN,84.8,Male,Dementia,24,5.12
413,002_S_0413,bl,5,2006-05-02,LMCI,76.3,Female,MCI,29,0
"""


@pytest.fixture
def merged(tmp_path):
    path = tmp_path / "ADNIMERGE.csv"
    path.write_text(MERGED)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-ADNI002S0295_ses-M006", ("002_S_0295", "ses-M006")),
        ("002_S_0295_m06", ("002_S_0295", "ses-m06")),
        ("002_S_0295_sc", ("002_S_0295", "ses-M00")),
        ("002_S_0295_2006-11-02", ("002_S_0295", "ses-20061102")),
        ("002S0295", ("002_S_0295", "")),
        ("sub-01_ses-M00", None),
    ],
)
def test_names_of_samples_give_participant_and_session(name, expected):
    assert participant_and_session(name) == expected


def test_samples_get_the_row_of_their_visit_by_month_or_date_and_the_match_is_said(merged):
    samples = ["sub-ADNI002S0295_ses-M060", "002_S_0295_2006-11-20", "002_S_0295_m12", "002_S_0413", "999_S_0001_bl"]
    with pytest.warns(
        UserWarning, match=r"3 of 5 samples have the row .* 002_S_0295_m12 \(no row of this visit\), 999"
    ):
        scores = read_labels(f"{merged}:MMSE", samples, 5)
    np.testing.assert_array_equal(scores, [24, 29, np.nan, 29, np.nan])
    with pytest.warns(UserWarning, match="samples have the row"):
        assert read_labels(f"{merged}:diagnosis", samples, 5).tolist() == ["AD", "", "", "MCI", ""]
    with pytest.warns(UserWarning, match="samples have the row"):
        np.testing.assert_allclose(read_labels(f"{merged}:age", samples, 5), [89.92, 85.34, np.nan, 76.3, np.nan])


def test_what_does_not_change_is_known_of_every_visit_and_a_sample_without_session_needs_one_row(merged):
    samples = ["002_S_0295_m12", "002_S_0295", "002_S_0413_m48"]
    with pytest.warns(UserWarning, match="3 of 3 samples"):
        assert read_labels(f"{merged}:sex", samples, 3).tolist() == ["M", "M", "F"]
    with pytest.raises(ValueError, match=r"0 of 3 samples .*002_S_0295 \(no session, and several rows\)"):
        read_labels(f"{merged}:MMSE", samples, 3)


def test_tables_with_rid_alone_are_matched_by_its_digits(tmp_path):
    (tmp_path / "UPENNBIOMK.csv").write_text("RID,VISCODE2,ABETA\n295,bl,900\n413,bl,1200\n")
    with pytest.warns(UserWarning, match="2 of 2 samples"):
        values = read_labels(f"{tmp_path / 'UPENNBIOMK.csv'}:ABETA", ["002_S_0413_bl", "sub-ADNI002S0295_ses-M00"], 2)
    assert values.tolist() == [1200, 900]


def test_other_names_and_columns_are_refused_with_what_to_do(merged):
    with pytest.raises(ValueError, match=r"the first sample of the data is 'sub-01'\. Name the samples as sub-ADNI"):
        read_labels(f"{merged}:DX", ["sub-01"], 1)
    with pytest.raises(ValueError, match=r"no column 'tau'; the columns are .*by other names.*'sex'"):
        read_labels(f"{merged}:tau", ["002_S_0295_bl"], 1)
