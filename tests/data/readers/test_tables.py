import numpy as np
import pandas as pd
import pytest

from deepjive import Modalities
from deepjive.data.files import read_array, read_labels
from deepjive.data.readers.guard import UnreadableError


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
        data = Modalities({"a": source})
        assert data.samples.tolist() == ["p", "q", "r"]
        assert data.features["a"].tolist() == ["geneA", "geneB"]
        np.testing.assert_array_equal(data["a"], [[1, 0.5], [2, np.nan], [3, 1.5]])


def test_polars_frames_are_aligned_with_pandas_frames_by_sample(table):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"id": ["r", "p", "q"], "x": [30, 10, 20]})
    data = Modalities({"a": table.set_index("patient"), "b": frame})
    assert np.ravel(data["b"]).tolist() == [10, 20, 30]


@pytest.mark.parametrize("names", [["r", "p", "q"], [30, 10, 20]], ids=["text", "numbers"])
def test_an_index_that_pandas_stored_in_parquet_is_no_feature_for_polars(tmp_path, names):
    polars = pytest.importorskip("polars")
    pd.DataFrame({"x": [3.5, 1.5, 2.5], "y": [0.5, 0.25, 0.75]}, index=names).to_parquet(tmp_path / "x.parquet")
    frame = polars.read_parquet(tmp_path / "x.parquet")
    data = Modalities({"a": frame, "b": pd.DataFrame({"z": [0.1, 0.2, 0.3]}, index=sorted(names))})
    assert data.features["a"].tolist() == ["x", "y"]
    assert data["a"][:, 0].tolist() == [3.5, 1.5, 2.5]
    assert data.samples.tolist() == [str(name) for name in names]


@pytest.mark.parametrize(
    "content", [b"\x00\x01", b"a,b\n1,2\n3,4,5,6", b'a,b\n"1,2\n', b"\xff\xfea,b", b"\n\n", b"a\n"]
)
def test_a_damaged_table_gives_one_error_that_names_it(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(UnreadableError, match=r"x\.csv"):
        read_array(tmp_path / "x.csv")


def test_a_parquet_file_with_checksums_is_read_rightly_or_not_at_all(tmp_path):
    path, rng = tmp_path / "x.parquet", np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(10, 3)), index=[f"s{i}" for i in range(10)], columns=list("abc"))
    frame.to_parquet(path, write_page_checksum=True)
    content, n_refused = path.read_bytes(), 0
    for _ in range(150):
        damaged = bytearray(content)
        damaged[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert np.array_equal(read_array(path).to_numpy(), frame.to_numpy())
        except UnreadableError:
            n_refused += 1
    assert n_refused > 50


def test_a_parquet_file_whose_numbers_of_rows_disagree_is_refused(tmp_path):
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    pd.DataFrame(np.random.default_rng(0).normal(size=(10, 2)), columns=list("ab")).to_parquet(path)
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for place in range(footer, len(content) - 8):  # finds the number 10 (20 in Thrift) of rows of the file
        if content[place] != 20:
            continue
        path.write_bytes(content[:place] + bytes([4]) + content[place + 1 :])
        metadata = parquet.read_metadata(path)
        if (metadata.num_rows, metadata.row_group(0).num_rows) in ((2, 10), (10, 2)):
            with pytest.raises(UnreadableError, match=r"names (2|10) rows in all, but (2|10) in its groups"):
                read_array(path)
            return
    pytest.fail("no number of rows was found in the file's footer")


@pytest.fixture
def write(tmp_path):
    def _write(text, name="x.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return _write


@pytest.mark.parametrize(
    "first",
    [
        *("S0,0.126,-0.132,0.64", "0.0,0.0,1.5", "0.7,,1.5", "0.7,NA,1.5", "S0,NA,0.3,0.1", "NA,0.3,0.5"),
        *("0.7,nan,1.5", ",0.3,0.1,0.2", "1,1,2", "S0,3,1,2", "S0,0.126", "0.1,0.4", '"S0","0.5","0.1"'),
    ],
)
def test_a_first_line_of_data_is_never_read_as_the_header(write, first):
    with pytest.raises(UnreadableError, match=r"x\.csv seems to have no header row: its first line holds"):
        read_array(write(f"{first}\n{first}\n"))


@pytest.mark.parametrize(
    "header",
    [
        *("0,1,2", "400.5,401.0,401.5", "id,0,1,2", ",0,1,2", ",400.5,401.0,401.5", ",3,1,2", "code,0,1"),
        *("subject_id,4000.5,3999.5,3998.5", "id,0.5", "Na,K,Ca", "patient,NA", "a,1_2,1_1", "\ufeffid,3,1"),
    ],
)
def test_a_header_may_hold_numbers(write, header):
    row = ",".join("7" for _ in header.split(","))
    table = read_array(write(f"{header}\n\n{row}\n{row}\n"))
    assert len(table) == 2
    assert [str(column) for column in table.columns] == header.split(",")[-table.shape[1] :]


@pytest.mark.parametrize(
    "name", ["RID", "eid", "IID", "PTID", "Subject ID", "Subject.ID", "sample-id", "sub", "Patient No.", "Subject #"]
)
def test_numbers_in_a_column_known_for_names_pair_the_rows(write, name):
    first = write(f"{name},g\n11,1\n12,2\n", "a.csv")
    second = write(f"{name},p\n12,20\n11,10\n", "b.csv")
    data = Modalities({"a": first, "b": second})
    assert data.samples.tolist() == ["11", "12"]
    assert np.ravel(data["b"]).tolist() == [10, 20]


def test_a_first_column_that_could_be_names_is_refused(write):
    path = write("code,g,h\n11,1,0.5\n12,2,0.5\n")
    with pytest.raises(UnreadableError, match=r"x\.csv: the first column 'code' holds .* row .11, 12, .*call it 'id'"):
        read_array(path)
    with pytest.raises(UnreadableError, match=r"'code'.* call it 'id'"):
        read_labels(f"{path}:g", ["a", "b"], 2)
    assert read_labels(f"{path}:g", ["12", "11"], 2).tolist() == [2, 1]
    assert read_labels(f"{path}:code", ["11", "12"], 2).tolist() == [11, 12]


@pytest.mark.parametrize(
    "text", ["g,h\n1,2\n1,3\n", "g,h\n1.5,2\n2.5,3\n", "0,1\n5,2\n6,3\n", "g\n1\n2\n", "g,h\n1,2\n", "g,h\n1,9\n2,8\n"]
)
def test_plain_features_are_no_names(write, text):
    assert read_array(write(text)).shape[1] == len(text.split("\n")[0].split(","))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_are_read_by_the_rules_of_files(library):
    frame = pytest.importorskip(library).DataFrame
    with pytest.raises(UnreadableError, match=r"The frame of modality 'a': the first column 'code'"):
        Modalities({"a": frame({"code": [3, 4], "g": [1.5, 2.5]})})
    for first in ({"id": [3, 4]}, {"code": ["3", "4"]}):
        data = Modalities({"a": frame({**first, "g": [1.5, 2.5]})})
        assert data.samples.tolist() == ["3", "4"]
        assert data.features["a"].tolist() == ["g"]


@pytest.mark.parametrize("header", ["subject_id,g", ",g", "g"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_names_keep_their_leading_zeros(write, header, suffix):
    text = f"{header}\n0031,1\n 0004,2\n"
    table = read_array(write(text.replace(",", "\t" if suffix == "tsv" else ","), f"x.{suffix}"))
    assert list(table.index) == ["0031", "0004"]
    assert table["g"].tolist() == [1, 2]
