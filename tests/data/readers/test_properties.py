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

from deepjive.data.files import read_array, read_labels
from deepjive.data.readers.lazy import LazyRows, SparseRows, SpreadRows, row_numbers, runs_of, select_rows
from deepjive.data.readers.tables import read_table

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
    # pandas reads decimals with a last digit of error
    np.testing.assert_allclose(read.to_numpy(), table.to_numpy(), rtol=1e-15)


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
