from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csc_matrix, csr_array

from deepjive import Modalities
from deepjive.data.readers.lazy import LabelledRows

N = 12
A = np.arange(N * 4.0).reshape(N, 4)
B = -np.arange(N * 6.0).reshape(N, 2, 3)


def frames(index_a, index_b):
    a = pd.DataFrame(A[: len(index_a)], index=index_a, columns=list("wxyz"))
    return {"a": a, "b": pd.DataFrame(A[: len(index_b), :2] * 10, index=index_b)}


def test_a_list_is_named_by_number():
    assert Modalities([A, B]).names == Modalities((A, B)).names == ("modality_1", "modality_2")


def test_nested_lists_of_numbers_become_arrays():
    np.testing.assert_array_equal(Modalities([A.tolist(), B.tolist()])["modality_2"], B)


def test_torch_tensors_are_taken_off_the_graph():
    data = Modalities({"a": torch.tensor(A, requires_grad=True), "b": torch.tensor(B).float()})
    np.testing.assert_array_equal(data["a"], A)
    assert data["b"].dtype == np.float32


def test_data_frames_give_names_of_samples_and_features():
    names = [f"s{i}" for i in range(N)]
    data = Modalities(frames(names, names))
    assert data.samples.tolist() == names
    assert data.features["a"].tolist() == list("wxyz")
    assert data.features["b"].tolist() == ["0", "1"]
    assert data[[2, 0]].samples.tolist() == ["s2", "s0"]
    assert data[[2, 0]].features["a"].tolist() == list("wxyz")
    assert data.select(["b"]).features.keys() == {"b"}


def test_arrays_have_names_neither_of_samples_nor_of_features():
    data = Modalities({"a": A, "b": B})
    assert data.samples is None
    assert data.features == {"a": None, "b": None}


def test_rows_of_data_frames_are_reordered_like_the_first():
    order = np.random.default_rng(0).permutation(N)
    names = np.array([f"s{i}" for i in range(N)])
    tables = frames(names, names)
    data = Modalities({"a": tables["a"], "b": tables["b"].iloc[order]})
    np.testing.assert_array_equal(data["b"], tables["b"].to_numpy())


def test_a_shuffled_frame_is_aligned_to_a_frame_with_the_default_index():
    tables = frames(range(N), range(N))
    data = Modalities({"a": tables["a"], "b": tables["b"].sample(frac=1.0, random_state=0)})
    np.testing.assert_array_equal(data["b"], tables["b"].to_numpy())


@pytest.mark.parametrize("names", [[1, 2, 3], [0, 1], [0, 1, 7], [0.0, 1.0, 7.0], ["0", "1", "2"]])
@pytest.mark.parametrize("unmatched", ["error", "drop", "keep"])
def test_rows_with_and_without_names_are_never_paired(names, unmatched):
    with pytest.raises(ValueError, match=r"'b' names its samples .*'a' has 3 rows without names.*never by a mixture"):
        Modalities(frames(range(3), names), unmatched=unmatched)


def test_default_indices_do_not_name_samples():
    data = Modalities(frames(range(N), range(N)))
    assert data.samples is None
    assert data.pairing.by == "position"


@pytest.mark.parametrize(
    ("first", "second", "only_first", "only_second"),
    [
        (["p", "q", "r"], ["p", "q", "t"], 1, 1),
        (["p", "q", "r"], [1, 2, 3], 3, 3),
        (["p", "q", "r"], ["p", "q"], 1, 0),
    ],
)
def test_data_frames_of_different_samples_are_refused(first, second, only_first, only_second):
    with pytest.raises(ValueError, match=rf"'a' and 'b' do not hold the same samples: {only_first} only in 'a'[^,]*"
                       rf".*, {only_second} only in 'b'"):  # fmt: skip
        Modalities(frames(first, second))


def test_samples_that_some_tables_lack_are_left_out_or_kept_as_missing(tmp_path):
    tables = {
        "a": pd.DataFrame({"x": [1, 2, 3]}, index=["p", "q", "r"]),
        "b": pd.DataFrame({"x": [4.0, 5.0, 6.0]}, index=["s", "r", "p"]),
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index_label="id")
    files = {name: tmp_path / f"{name}.csv" for name in tables}
    lazy = {name: LabelledRows(table.to_numpy(), table.index) for name, table in tables.items()}
    for given in (tables, files, lazy):
        dropped = Modalities(given, unmatched="drop")
        assert dropped.samples.tolist() == ["p", "r"]
        assert dropped.present.all()
        np.testing.assert_array_equal(dropped["b"][:][:, 0], [6, 5])
        kept = Modalities(given, unmatched="keep")
        assert kept.samples.tolist() == ["p", "q", "r", "s"]
        np.testing.assert_array_equal(kept.present, [[1, 1], [1, 0], [1, 1], [0, 1]])
        np.testing.assert_array_equal(kept["a"][:][:3, 0], [1, 2, 3])
        np.testing.assert_array_equal(kept["b"][:][[0, 2, 3], 0], [6, 5, 4])
    with pytest.raises(ValueError, match=r"unmatched is 'outer', but must be one of \['error', 'drop', 'keep'\]"):
        Modalities(tables, unmatched="outer")


def test_rows_without_names_are_not_matched_to_other_samples_than_those_of_the_first_table():
    some, all_of_them = pd.DataFrame(A[:2], index=["p", "r"]), pd.DataFrame(A[:3], index=["p", "q", "r"])
    for unmatched in ("keep", "drop"):
        with pytest.raises(ValueError, match=r"'a' names its samples \('p', 'r', ...\), but modality 'c' has 3 rows"):
            Modalities({"a": some, "b": all_of_them, "c": A[:3]}, unmatched=unmatched)
    data = Modalities({"a": some, "b": all_of_them, "c": A[:3]}, samples=["p", "q", "r"], unmatched="keep")
    assert data.present.sum() == 8
    np.testing.assert_array_equal(data["c"][:], A[[0, 2, 1]])


def test_the_error_for_tables_without_a_common_sample_suggests_to_transpose():
    with pytest.raises(ValueError, match=r"2 only in 'b' .'gene 1', 'gene 2'.. No sample is in both.*features-in-rows"):
        Modalities(frames(["p", "q"], ["gene 1", "gene 2"]), unmatched="keep")
    with pytest.raises(ValueError, match=r"unmatched='drop' .*--unmatched keep"):
        Modalities(frames(["p", "q"], ["p", "t"]))


def test_the_error_names_samples_that_may_be_misspelt():
    words = r"Names such as 'p_1' and 'P-1' \(2 pairs\) are equal except for capitals and punctuation.*unmatched='drop'"
    with pytest.raises(ValueError, match=words):
        Modalities(frames(["p_1", "p2", "p3", "p4"], ["P-1", "P 2", "p3", "p5"]))
    with pytest.warns(UserWarning, match=r"'p_1' and 'P-1' \(1 pair\) are equal except .* count as different"):
        Modalities(frames(["p_1", "p3", "p4"], ["P-1", "p3"]), unmatched="keep")
    with pytest.raises(ValueError, match=r"\('p4'\)\. Use unmatched"):
        Modalities(frames(["p3"], ["p3", "p4"]))


@pytest.mark.parametrize("which", ["a", "b"])
def test_a_sample_named_twice_is_refused(which):
    names = {"a": ["p", "q", "r"], "b": ["p", "q", "r"], which: ["p", "q", "r", "q"]}
    with pytest.raises(ValueError, match=f"Modality '{which}' names a sample more than once: 'q' in rows 2 and 4"):
        Modalities(frames(names["a"], names["b"]))


def test_pandas_dtypes_and_mixed_columns_of_numbers_become_floats():
    table = pd.DataFrame({"x": pd.array([1, None, 3], dtype="Int64"), "y": [True, False, True], "z": [0.5, 1.5, 2.5]})
    values = Modalities({"a": table, "b": A[:3]})["a"]
    np.testing.assert_array_equal(values, [[1, 1, 0.5], [np.nan, 0, 1.5], [3, 1, 2.5]])


def test_masked_values_become_nan_instead_of_data():
    data = Modalities({"a": np.ma.masked_equal(A.astype(int), 5), "b": B})
    assert np.isnan(data["a"][1, 1])
    assert np.isnan(data["a"]).sum() == 1


def test_paths_are_read(tmp_path):
    np.save(tmp_path / "a.npy", A)
    np.savez(tmp_path / "b.npz", one=A, two=B)
    data = Modalities({"a": tmp_path / "a.npy", "b": f"{tmp_path / 'b.npz'}:two"})
    np.testing.assert_array_equal(data["a"], A)
    np.testing.assert_array_equal(data["b"], B)


@pytest.mark.parametrize(
    ("given_data", "error", "message"),
    [
        ({"mri": A, "pet": B[:-1]}, ValueError, r"numbers of samples differ: {'mri': 12, 'pet': 11}"),
        ({}, ValueError, "at least one modality, but was given an empty dict"),
        ([], ValueError, "at least one modality, but was given an empty list"),
        (A, TypeError, r"but was given a ndarray of shape \(12, 4\)"),
        ("file.npz", TypeError, "but was given a str"),
        (pd.DataFrame(A), TypeError, r"but was given a DataFrame of shape \(12, 4\)"),
        ({"mri": A.astype(object), "pet": B}, TypeError, "'mri' has dtype object, but numbers are expected"),
        ({"mri": A, "pet": A.astype(str)}, TypeError, "'pet' has dtype <U"),
        ({"mri": A, "pet": A.astype(complex)}, TypeError, "'pet' has dtype complex128"),
        (
            {"mri": pd.DataFrame({"x": ["p"] * N}), "pet": B},
            TypeError,
            "'mri' .*column 'x' holds text .*'p' in row '0'",
        ),
        ({"mri": pd.Series(["p"] * N), "pet": B}, TypeError, "'mri' has dtype object"),
        ({"mri": None, "pet": B}, TypeError, "'mri' has dtype object"),
        ({"mri": A[:, 0], "pet": B}, ValueError, r"'mri' has shape \(12,\).*array.reshape\(-1, 1\)"),
        ({"mri": pd.Series(A[:, 0]), "pet": B}, ValueError, r"'mri' has shape \(12,\)"),
        ({"mri": [[1.0, 2.0], [3.0]], "pet": B}, ValueError, "'mri' cannot be read as an array"),
        ({"mri": torch.zeros(N, 2, device="meta"), "pet": B}, ValueError, "'mri' cannot .* which has no values"),
        ({"mri": [None, *A[1:]], "pet": B}, ValueError, "'mri' cannot .* its row 0 is None. Fill the row"),
        ({1: A, "1": B}, ValueError, r"names .* must differ as text, but \[1, '1'\] become \['1'\]"),
    ],
)
def test_bad_data_are_refused_by_name(given_data, error, message):
    with pytest.raises(error, match=message):
        Modalities(given_data)


def test_rows_of_sparse_matrices_become_dense_when_they_are_read():
    matrix = A * (A % 3 == 0)
    for sparse in (csr_array(matrix), csc_matrix(matrix)):
        data = Modalities({"mri": sparse, "pet": B})
        assert not isinstance(data["mri"], np.ndarray)
        np.testing.assert_array_equal(data.rows("mri", [5, 2, 2]), matrix[[5, 2, 2]])
        np.testing.assert_array_equal(data[[3, 1]].rows("mri", slice(None)), matrix[[3, 1]])


def test_names_of_features_can_be_given_and_must_fit():
    data = Modalities({"a": A, "b": B}, features={"a": ["w", "x", "y", "z"]})
    assert data.features["a"].tolist() == ["w", "x", "y", "z"]
    assert Modalities(data).features["a"] is data.features["a"]
    with pytest.raises(
        ValueError, match=r"`features` names 2 features of modality 'a', whose samples have shape \(4,\)"
    ):
        Modalities({"a": A, "b": B}, features={"a": ["w", "x"]})


@pytest.mark.parametrize(
    "tensor",
    [torch.arange(24.0).reshape(N, 2).to(torch.bfloat16), torch.arange(24.0).reshape(N, 2).to_sparse()],
    ids=["bfloat16", "sparse"],
)
def test_tensors_that_numpy_lacks_a_type_for_are_read(tensor):
    data = Modalities({"a": tensor, "b": [torch.tensor([float(row), 1.0]).to(torch.bfloat16) for row in range(N)]})
    np.testing.assert_array_equal(data["a"], np.arange(24.0).reshape(N, 2))
    np.testing.assert_array_equal(data["b"][:, 0], np.arange(N))


def test_a_column_of_decimals_is_named_with_its_type_and_how_to_convert_it():
    frame = pd.DataFrame({"x": [1.5, 2.0], "price": [Decimal("1.5"), Decimal("2.5")]})
    message = r"Modality 'a' .*column 'price' holds values of type Decimal, such as '1\.5' in row '0' .2 of 2.*astype"
    with pytest.raises(TypeError, match=message):
        Modalities({"a": frame, "b": np.ones((2, 1))})
