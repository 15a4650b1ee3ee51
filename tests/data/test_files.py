import zipfile

import numpy as np
import pandas as pd
import pytest

from deepjive.data.files import read_array, read_labels


@pytest.fixture
def write(tmp_path):
    def _write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


def test_npy_is_mapped_and_not_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    array = read_array(tmp_path / "x.npy")
    assert isinstance(array, np.memmap)
    np.testing.assert_array_equal(array, np.arange(6.0).reshape(3, 2))


def test_npz_with_one_array_needs_no_key_and_with_several_needs_one(tmp_path):
    np.savez(tmp_path / "one.npz", a=np.ones((2, 2)))
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.zeros((3, 3)))
    assert read_array(tmp_path / "one.npz").shape == (2, 2)
    assert read_array(f"{tmp_path}/two.npz:b").shape == (3, 3)
    with pytest.raises(ValueError, match=r"several arrays \['a', 'b'\]; say which one with .*two.npz:NAME"):
        read_array(tmp_path / "two.npz")
    with pytest.raises(ValueError, match=r"has no array 'c'; it holds \['a', 'b'\]"):
        read_array(f"{tmp_path}/two.npz:c")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*absent\.npy"):
        read_array(tmp_path / "absent.npy")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*absent\.npz\."):
        read_array(f"{tmp_path}/absent.npz:key")


def test_the_error_for_an_unknown_suffix_lists_the_readable_kinds(write):
    with pytest.raises(ValueError, match=r"x\.doc is not of a kind that can be read \(\.npy, \.npz, \.csv, .*\)"):
        read_array(write("x.doc", "a"))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_python_objects_are_refused_without_being_read(tmp_path, suffix):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    trap = np.array([[Trap()]], dtype=object)
    np.save(tmp_path / "x.npy", trap, allow_pickle=True) if suffix == "npy" else np.savez(tmp_path / "x.npz", trap)
    with pytest.raises(ValueError, match="holds Python objects, which are never read"):
        read_array(tmp_path / f"x.{suffix}")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_truncated_files_are_reported_by_name(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    np.save(path, np.ones((50, 50))) if suffix == "npy" else np.savez(path, np.ones((50, 50)))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match=rf"x\.{suffix} could not be read"):
        read_array(path)


def test_damaged_compressed_content_is_reported_by_name(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, a=np.random.default_rng(0).normal(size=(50, 50)))
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[0].header_offset
    content = bytearray(path.read_bytes())
    content[start + 200 : start + 400] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz could not be read"):
        read_array(path)


def test_content_that_contradicts_the_suffix_is_reported(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"x\.npz is not what its name says"):
        read_array(tmp_path / "x.npz")
    (tmp_path / "y.npy").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"y\.npy is not what its name says"):
        read_array(tmp_path / "y.npy")


def test_csv_keeps_sample_and_feature_names(write):
    table = read_array(write("x.csv", "patient,geneA,geneB\np1,1,2\np2,3,\n"))
    assert list(table.index) == ["p1", "p2"]
    assert list(table.columns) == ["geneA", "geneB"]
    assert np.isnan(table.loc["p2", "geneB"])


@pytest.mark.parametrize("header", ["", "sample_id", "ID"])
def test_numeric_sample_names_are_not_read_as_a_feature(write, header):
    table = read_array(write("x.csv", f"{header},a,b\n1001,1,2\n1002,3,4\n"))
    assert list(table.index) == ["1001", "1002"]
    assert table.shape == (2, 2)


def test_csv_of_numbers_alone_has_no_sample_names(write):
    table = read_array(write("x.csv", "a,b\n1,2\n3,4\n"))
    assert table.shape == (2, 2)


def test_tsv_is_separated_by_tabs(write):
    assert read_array(write("x.tsv", "a\tb\n1\t2\n")).shape == (1, 2)


def test_text_column_is_named_with_an_example(write):
    with pytest.raises(
        ValueError, match=r"x\.csv: column 'sex' holds text or dates, such as 'female' in row 'a' .2 of 2 rows.*one-hot"
    ):
        read_array(write("x.csv", "id,age,sex\na,1,female\nb,2,male\n"))


@pytest.mark.parametrize("limit", ["<0,5", "> 9"])
def test_a_value_beyond_a_limit_of_detection_is_named_among_numbers_with_decimal_commas(write, limit):
    text = f"id;crp;ldl\na;8,1;1,2\nb;{limit};1,3\nc;7,75;1,4\n"
    expected = (
        f"column 'crp' holds text or dates, such as '{limit}' in row 'b' .1 of 3 rows.*half of the limit.*--labels"
    )
    with pytest.raises(ValueError, match=expected):
        read_array(write("x.csv", text))


def test_lines_above_the_names_of_the_columns_are_suspected(write):
    with pytest.raises(ValueError, match=r"names 1 columns, but line 2 holds 3 cells.*Delete lines above the names"):
        read_array(write("x.csv", "Export of 2024\nid,x,y\na,1,2\nb,3,4\n"))


def test_a_wrong_separator_is_suspected(write):
    with pytest.raises(ValueError, match=r"no column of numbers .* separated by commas; name the separator"):
        read_array(write("x.csv", "a;b\n1;2\n3;4\n"), separator=",")


@pytest.mark.parametrize("group", ["u,v,w", "3,1,2"])
def test_labels_whose_samples_are_named_in_another_column_are_refused(write, group):
    rows = zip(group.split(","), "pqr", strict=True)
    path = write("labels.csv", "group,patient\n" + "".join(f"{label},{name}\n" for label, name in rows))
    with pytest.raises(ValueError, match="column 'patient' holds the names of the samples, but is not the first"):
        read_labels(f"{path}:group", ["r", "p"], 2)
    assert len(read_labels(f"{path}:group", None, 3)) == 3


def test_missing_header_row_is_suspected(write):
    with pytest.raises(ValueError, match="seems to have no header row"):
        read_array(write("x.csv", "0.5,-1.5,2.5\n1,2,3\n"))


def test_numbered_and_rising_column_names_are_names(write):
    assert read_array(write("x.csv", "0,1,2\n5,6,7\n")).shape == (1, 3)
    assert read_array(write("x.csv", "400.5,401.0,401.5\n5,6,7\n")).shape == (1, 3)


def test_empty_table_is_reported_by_name(write):
    with pytest.raises(ValueError, match=r"x\.csv is empty"):
        read_array(write("x.csv", ""))


def test_labels_of_a_table_are_found_by_sample_name(write):
    path = write("labels.csv", "sample,group,age\nb,case,3\na,control,4\nc,,5\n")
    labels = read_labels(f"{path}:group", samples=["a", "b", "c"], n=3)
    assert labels.tolist() == ["control", "case", ""]
    assert read_labels(f"{path}:age", samples=["c", "a", "b"], n=3).tolist() == [5, 4, 3]


def test_labels_without_sample_names_are_taken_in_order(write):
    path = write("labels.csv", "sample,group\nb,case\na,control\n")
    assert read_labels(path, samples=None, n=2).tolist() == ["case", "control"]


def test_a_table_of_one_text_column_is_read_as_labels(write):
    path = write("labels.csv", "group\ncase\ncontrol\n")
    assert read_labels(path, None, 2).tolist() == ["case", "control"]
    with pytest.warns(UserWarning, match=r"does not name its rows: .* in the order of the samples .*'a' first"):
        assert read_labels(path, ["a", "b"], 2).tolist() == ["case", "control"]


def test_labels_are_matched_in_spite_of_the_way_in_which_numbers_are_written(write):
    path = write("labels.csv", "id,group\n010,x\n09,y\n08.0,z\n")
    assert read_labels(path, ["8", "9", "10"], 3).tolist() == ["z", "y", "x"]


def test_labels_of_arrays(tmp_path):
    np.savez(tmp_path / "x.npz", y=np.array([1, 2, 3]), wide=np.ones((3, 2)))
    assert read_labels(f"{tmp_path}/x.npz:y", None, 3).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match=r"one value for each sample, but .* has shape \(3, 2\)"):
        read_labels(f"{tmp_path}/x.npz:wide", None, 3)
    with pytest.raises(ValueError, match=r"There are 4 samples, but .* holds 3 labels"):
        read_labels(f"{tmp_path}/x.npz:y", None, 4)


def test_samples_named_twice_by_labels_are_named(write):
    path = write("labels.csv", "sample,group\na,case\na,control\n")
    with pytest.raises(ValueError, match="names sample 'a' more than once"):
        read_labels(path, ["a"], 1)


def test_samples_without_a_row_have_an_empty_label_and_are_counted(write):
    path = write("labels.csv", "sample,group,age,smokes\nb,case,3,True\na,control,4,False\n")
    lacking = r"labels\.csv has no row for 2 of 4 samples, the first being 'y'\. They have no value"
    with pytest.warns(UserWarning, match=lacking):
        labels = read_labels(f"{path}:group", ["a", "y", "b", "z"], 4)
    assert labels.tolist() == ["control", "", "case", ""]
    with pytest.warns(UserWarning, match="no row for 1 of 3 samples"):
        np.testing.assert_array_equal(read_labels(f"{path}:age", ["z", "b", "a"], 3), [np.nan, 3, 4])
    with pytest.warns(UserWarning, match="no row for 1 of 3 samples"):
        assert read_labels(f"{path}:smokes", ["z", "b", "a"], 3).tolist() == ["", "True", "False"]


def test_rows_of_other_samples_are_ignored_and_counted_also_where_they_repeat(write):
    path = write("labels.csv", "sample,group\nx,1\na,2\nx,3\nb,4\n")
    with pytest.warns(UserWarning, match="not among the 2 samples of the data: 1 in all, the first being 'x'"):
        assert read_labels(path, ["b", "a"], 2).tolist() == [4, 2]


def test_labels_of_other_samples_only_are_refused(write):
    path = write("labels.csv", "sample,group\nA-01,case\nA-02,control\n")
    with pytest.raises(
        ValueError, match=r"no label for any of the 2 samples: its first row is of sample 'A-01', but .* 'A1'"
    ):
        read_labels(path, ["A1", "A2"], 2)


def test_rows_are_not_matched_by_numbers_that_differ(write):
    path = write("labels.csv", "sample,group\n1,case\n2,control\n3,case\n")
    with pytest.raises(
        ValueError, match=r"no row for 1 of 3 samples, the first being '0'.* numbered from 0 and have no names"
    ):
        read_labels(path, ["0", "1", "2"], 3)


def test_numbers_that_name_some_of_the_samples_are_their_names(write):
    path = write("labels.csv", "code,group\n12,case\n11,control\n")
    with pytest.warns(UserWarning, match="no row for 1 of 3 samples, the first being '13'"):
        assert read_labels(f"{path}:group", ["11", "13", "12"], 3).tolist() == ["control", "", "case"]


def test_unknown_or_unnamed_label_column_lists_the_columns(write):
    path = write("labels.csv", "sample,group,age\na,case,3\n")
    with pytest.raises(ValueError, match=r"no column 'group,age'; its columns are .*\. Give the option once for each"):
        read_labels(f"{path}:group,age", ["a"], 1)
    with pytest.raises(ValueError, match=r"has no column 'sex'; its columns are \['group', 'age'\]"):
        read_labels(f"{path}:sex", ["a"], 1)
    with pytest.raises(ValueError, match=r"several columns \['group', 'age'\]; say which one"):
        read_labels(path, ["a"], 1)


def test_frames_of_different_order_are_aligned_when_read(write):
    from deepjive import Modalities

    first = write("a.csv", "id,x\np,1\nq,2\n")
    second = write("b.csv", "id,y\nq,20\np,10\n")
    data = Modalities({"a": first, "b": second})
    assert data.samples.tolist() == ["p", "q"]
    assert np.ravel(data["b"]).tolist() == [10, 20]
    assert isinstance(read_array(first), pd.DataFrame)


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_first_line_of_a_spreadsheet_names_the_separator(tmp_path, first):
    path = tmp_path / "in.csv"
    path.write_text(f"{first}\r\nid;width;height\r\ns1;1,5;2\r\ns2;2,5;\r\n", encoding="utf-8-sig", newline="")
    frame = read_array(path)
    assert list(frame.columns) == ["width", "height"]
    assert list(frame.index) == ["s1", "s2"]
    np.testing.assert_array_equal(frame, [[1.5, 2.0], [2.5, np.nan]])


def test_a_column_may_be_called_sep(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("sep,sep=1\n1,2\n3,4\n")
    assert list(read_array(path).columns) == ["sep", "sep=1"]
