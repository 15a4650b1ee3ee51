"""What holds for readers whatever arrays, names and rows they are given."""

import csv
import io
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse import csr_matrix

from deepjive import Modalities
from deepjive.data.files import read_array, read_labels
from deepjive.data.readers.lazy import LazyRows, SparseRows, SpreadRows, row_numbers, runs_of, select_rows
from deepjive.data.readers.tables import read_table
from deepjive.evaluation.probes import known
from deepjive.validation import plain_labels

few = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
N = 12
X = np.random.default_rng(0).normal(size=(N, 3, 2)).astype(np.float32)

numbers = arrays.arrays(
    dtype=st.sampled_from(["<f4", ">f8", "<i2", "u1", "?"]),
    shape=arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
)
rows = st.lists(st.integers(-N, N - 1), max_size=20).map(lambda some: np.array(some, dtype=int))
indices = rows | st.slices(N) | arrays.arrays(bool, N) | st.integers(-N, N - 1)
# letters of any script, without spaces, which readers strip from names, and without the words for missing values
words = st.text(st.characters(categories=["L"]), min_size=1, max_size=8).filter(
    lambda word: word.lower() not in ("na", "nan", "null", "none")
)


@few
@given(x=numbers, compressed=st.booleans())
def test_arrays_are_read_as_numpy_wrote_them(tmp_path, x, compressed):
    (np.savez_compressed if compressed else np.savez)(tmp_path / "x.npz", x=x)
    np.save(tmp_path / "x.npy", x)
    for suffix in ("npz", "npy") if x.size else ("npz",):
        read = read_array(tmp_path / f"x.{suffix}")
        assert read.dtype == x.dtype
        np.testing.assert_array_equal(read, x)


def in_hdf5(folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=(5, 3, 2))
    return read_array(folder / "x.h5")


def in_zarr(folder):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(folder / "x.zarr", shape=X.shape, chunks=(5, 3, 2), dtype=X.dtype)[:] = X
    return read_array(folder / "x.zarr")


def selected(folder):
    np.save(folder / "x.npy", X[::-1])
    return LazyRows(read_array(folder / "x.npy"), np.arange(N)[::-1])


def spread(folder):
    return SpreadRows(X[::-1].copy(), np.arange(N)[::-1])


@pytest.mark.parametrize("make", [in_hdf5, in_zarr, selected, spread])
def test_rows_of_a_lazy_array_are_those_of_the_array_in_memory(tmp_path, make):
    lazy = make(tmp_path)

    @few
    @given(key=indices)
    def check(key):
        np.testing.assert_array_equal(lazy[key], X[key])

    check()


@few
@given(x=arrays.arrays("f4", (N, 5), elements=st.sampled_from([0.0, 0.0, 1.5, -2.0])), key=indices)
def test_rows_of_a_sparse_matrix_are_those_of_the_dense_one(x, key):
    np.testing.assert_array_equal(SparseRows(csr_matrix(x))[key], x[key])


@few
@given(first=rows, key=st.data())
def test_rows_selected_from_selected_rows_are_those_of_the_array(first, key):
    lazy = select_rows(LazyRows(X, np.arange(N)), row_numbers(first, N))
    second = key.draw(arrays.arrays(int, st.integers(0, 5), elements=st.integers(0, max(len(first) - 1, 0))))
    second = second if len(first) else second[:0]
    np.testing.assert_array_equal(select_rows(lazy, second)[:], X[first][second])


@few
@given(chosen=st.sets(st.integers(0, 50)))
def test_runs_of_rows_are_all_rows_and_never_adjacent(chosen):
    increasing = np.array(sorted(chosen), dtype=np.intp)
    runs = runs_of(increasing)
    assert [row for run in runs for row in range(run.start, run.stop)] == sorted(chosen)
    assert all(before.stop < after.start for before, after in pairwise(runs))


@few
@given(
    names=st.lists(words, min_size=2, max_size=6, unique=True),
    features=st.lists(words, min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 1000),
    suffix=st.sampled_from(["csv", "tsv"]),
)
def test_a_table_keeps_its_names_and_its_numbers(tmp_path, names, features, seed, suffix):
    table = pd.DataFrame(
        np.random.default_rng(seed).normal(size=(len(names), len(features))),
        index=pd.Index(names, name="id"),
        columns=[f"x {name}" for name in features],
    )
    table.to_csv(tmp_path / f"x.{suffix}", sep="\t" if suffix == "tsv" else ",")
    read = read_table(tmp_path / f"x.{suffix}")
    assert list(read.index) == names
    assert list(read.columns) == list(table.columns)
    # before pandas 3, read_csv rounds
    np.testing.assert_allclose(read.to_numpy(), table.to_numpy(), rtol=1e-12)


@few
@given(names=st.lists(words, min_size=2, max_size=6, unique=True), order=st.randoms(use_true_random=False))
def test_labels_are_matched_by_name_whatever_the_order_of_the_rows(tmp_path, names, order):
    rows_of_table = [(name, f"label of {name}") for name in names]
    order.shuffle(rows_of_table)
    text = io.StringIO()
    csv.writer(text).writerows([("id", "group"), *rows_of_table])
    (tmp_path / "labels.csv").write_text(text.getvalue(), encoding="utf-8")
    labels = read_labels(f"{tmp_path}/labels.csv:group", names, len(names))
    assert labels.tolist() == [f"label of {name}" for name in names]


def index_of(kind, names):
    """The same names in an index of some type."""
    if kind == "levels":
        return pd.MultiIndex.from_arrays([[str(name) for name in names]])
    if kind == "categories":
        return pd.CategoricalIndex([str(name) for name in names])
    values = {"int": names, "float": [float(name) for name in names], "object": names}
    return pd.Index(values.get(kind, [str(name) for name in names]), dtype=object if kind == "object" else None)


kinds = st.sampled_from(["int", "float", "object", "text", "categories", "levels"])
dtypes = st.sampled_from(["float64", "float32", "int16", "Int64", "Float32", "bool"])


@few
@given(
    names=st.lists(st.integers(100, 10**9), min_size=2, max_size=8, unique=True),
    first=kinds,
    second=kinds,
    dtype=dtypes,
    order=st.randoms(use_true_random=False),
)
def test_frames_are_paired_by_name_whatever_their_index_order_and_dtype(names, first, second, dtype, order):
    values = pd.DataFrame({"x": range(len(names)), "y": [i % 2 for i in range(len(names))]}).astype(dtype)
    rows_of_frame = list(range(len(names)))
    order.shuffle(rows_of_frame)
    shuffled = values.iloc[rows_of_frame].set_axis(index_of(second, [names[i] for i in rows_of_frame]), axis=0)
    data = Modalities({"a": values.set_axis(index_of(first, names), axis=0), "b": shuffled})
    assert data.samples.tolist() == [str(name) for name in names]
    np.testing.assert_array_equal(data["b"], data["a"])
    np.testing.assert_array_equal(data["a"], values.to_numpy(dtype=float))


KINDS_OF_LABELS = (st.booleans(), st.integers(-5, 5) | st.floats(), st.text(max_size=3))


@few
@given(
    values=st.one_of(st.lists(st.none() | st.just(pd.NA) | kind, min_size=1, max_size=6) for kind in KINDS_OF_LABELS)
)
def test_labels_of_any_type_become_numbers_or_text(values):
    labels = plain_labels(pd.Series(values, dtype=object))
    assert labels.shape == (len(values),)
    assert labels.dtype.kind in "fiubU"
    assert known(pd.Series(values, dtype=object)).shape == labels.shape
