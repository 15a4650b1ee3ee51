import numpy as np
import pandas as pd
import pytest

from deepjive import Modalities
from deepjive.files import read_array, read_labels
from deepjive.readers.guard import UnreadableError


@pytest.fixture
def table():
    return pd.DataFrame({"patient": ["p", "q", "r"], "geneA": [1, 2, 3], "geneB": [0.5, None, 1.5]})


@pytest.mark.parametrize("index", [True, False])
def test_parquet_gives_the_same_frame_as_csv(tmp_path, table, index):
    pytest.importorskip("pyarrow")
    table.to_csv(tmp_path / "x.csv", index=False)
    (table.set_index("patient") if index else table).to_parquet(tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(read_array(tmp_path / "x.parquet"), read_array(tmp_path / "x.csv"), check_dtype=False)
    assert read_labels(f"{tmp_path}/x.parquet:geneA", ["r", "p", "q"], 3).tolist() == [3, 1, 2]


def test_a_parquet_file_that_claims_more_than_it_can_hold_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"a": np.zeros(40_000_000, dtype=np.int8)}).to_parquet(tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 2**20
    with pytest.raises(UnreadableError, match=r"bomb\.parquet claims to hold 3\.2e\+08 bytes"):
        read_array(tmp_path / "bomb.parquet")


def test_polars_frames_give_names_of_samples_and_features(table):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: table[name].to_list() for name in table.columns})
    for source in (frame, frame.lazy()):
        data = Modalities({"a": source, "b": np.ones((3, 2))})
        assert data.samples.tolist() == ["p", "q", "r"]
        assert data.features["a"].tolist() == ["geneA", "geneB"]
        np.testing.assert_array_equal(data["a"], [[1, 0.5], [2, np.nan], [3, 1.5]])


def test_polars_frames_are_aligned_with_pandas_frames_by_sample(table):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"id": ["r", "p", "q"], "x": [30, 10, 20]})
    data = Modalities({"a": table.set_index("patient"), "b": frame})
    assert np.ravel(data["b"]).tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    "content", [b"\x00\x01", b"a,b\n1,2\n3,4,5,6", b'a,b\n"1,2\n', b"\xff\xfea,b", b"\n\n", b"a\n"]
)
def test_a_damaged_table_gives_one_error_that_names_it(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(UnreadableError, match=r"x\.csv"):
        read_array(tmp_path / "x.csv")
