import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from deepjive import AJIVE, Modalities
from deepjive.data.modalities import LazyRows, as_modalities

N = 12
A = np.arange(N * 4.0).reshape(N, 4)
B = -np.arange(N * 6.0).reshape(N, 2, 3)


class SortedStore:
    """Stands for HDF5: rows are read by a slice or by strictly rising numbers, and every read is written down."""

    def __init__(self, array):
        self._array, self.shape, self.dtype, self.reads = array, array.shape, array.dtype, []

    def __getitem__(self, key):
        if not isinstance(key, slice) and np.any(np.diff(key) <= 0):
            raise TypeError("Indexing elements must be in increasing order")
        rows = self._array[key]
        self.reads.append(len(rows))
        return rows

    def __array__(self, dtype=None, copy=None):
        raise MemoryError("the whole array was asked for")


@pytest.fixture
def data():
    return Modalities({"a": A, "b": B})


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "a.npy", A)
    return tmp_path / "a.npy"


def test_modalities_are_a_mapping_of_names_with_the_length_of_the_samples(data):
    assert len(data) == N
    assert data.shape == (N, 2)
    assert data.names == data.keys() == tuple(data) == ("a", "b")
    assert data.shapes == {"a": (4,), "b": (2, 3)}
    assert "a" in data
    assert "c" not in data
    assert dict(data)["a"] is A
    assert [x is y for x, y in zip(data.values(), (A, B), strict=True)] == [True, True]


def test_modalities_of_modalities_keep_everything_and_as_modalities_returns_its_argument():
    present = np.ones((N, 2), dtype=bool)
    present[3, 1] = False
    first = Modalities({"a": A, "b": B}, samples=[f"s{i}" for i in range(N)], present=present)
    second = Modalities(first)
    assert second["a"] is A
    np.testing.assert_array_equal(second.samples, first.samples)
    np.testing.assert_array_equal(second.present, present)
    assert as_modalities(first) is first


def test_a_mapped_file_stays_on_disk_until_rows_are_read(mapped):
    data = Modalities({"a": mapped, "b": B})
    assert isinstance(data["a"], np.memmap)
    chosen = data[[5, 2, 2]][[2, 0]]
    assert isinstance(chosen["a"], LazyRows)
    assert isinstance(chosen["a"].array, np.memmap)
    np.testing.assert_array_equal(chosen.rows("a", slice(None)), A[[2, 5]])
    assert isinstance(chosen["b"], np.ndarray)


def test_a_store_on_disk_is_read_only_where_rows_are_asked_for():
    store = SortedStore(A)
    data = Modalities({"a": store, "b": B})
    chosen = data[np.array([7, 3, 3, 9])]
    assert len(chosen) == 4
    assert chosen.shapes["a"] == (4,)
    assert store.reads == []
    np.testing.assert_array_equal(chosen.rows("a", [2, 0]), A[[3, 7]])
    assert store.reads == [2]
    np.testing.assert_array_equal(np.asarray(chosen["a"]), A[[7, 3, 3, 9]])
    assert store.reads == [2, 3]  # a row that is asked for twice is read once


def test_lazy_rows_look_like_the_array_of_these_rows():
    lazy = LazyRows(SortedStore(A), np.array([7, 3, 9]))
    assert (len(lazy), lazy.shape, lazy.dtype) == (3, (3, 4), A.dtype)
    np.testing.assert_array_equal(lazy[1], A[3])
    np.testing.assert_array_equal(lazy[-1], A[9])
    np.testing.assert_array_equal(lazy[::-1], A[[9, 3, 7]])
    assert np.asarray(lazy, dtype=np.float32).dtype == np.float32
    with pytest.raises(IndexError):
        lazy[3]


indices = st.one_of(
    st.lists(st.integers(-N, N - 1), max_size=2 * N),
    st.lists(st.booleans(), min_size=N, max_size=N),
    st.slices(N),
    st.integers(-N, N - 1),
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(index=indices)
def test_every_kind_of_index_selects_the_same_rows_in_memory_and_on_disk(index):
    names = np.array([f"s{i}" for i in range(N)])
    present = np.random.default_rng(0).random((N, 2)) < 0.5
    data = Modalities({"a": A, "b": SortedStore(B)}, samples=names, present=present)
    expected = np.atleast_1d(np.arange(N)[index]) if index != [] else np.arange(0)
    chosen = data[index]
    np.testing.assert_array_equal(chosen["a"], A[expected])
    np.testing.assert_array_equal(np.asarray(chosen["b"]), B[expected])
    np.testing.assert_array_equal(chosen.samples, names[expected])
    np.testing.assert_array_equal(chosen.present, present[expected])
    if not isinstance(index, int):
        np.testing.assert_array_equal(data.rows("b", index), B[expected])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(first=st.lists(st.integers(-N, N - 1), min_size=1, max_size=N), rows=st.data())
def test_an_index_of_an_index_is_the_index_of_the_rows(first, rows):
    second = rows.draw(st.lists(st.integers(-len(first), len(first) - 1), max_size=N))
    data = Modalities({"a": A, "b": SortedStore(B)})
    composed = np.arange(N)[first][np.array(second, dtype=int)]
    np.testing.assert_array_equal(data[first][second]["a"], A[composed])
    np.testing.assert_array_equal(np.asarray(data[first][second]["b"]), B[composed])


def test_scikit_learns_spelling_of_an_index_is_understood(data):
    np.testing.assert_array_equal(data[[1, 4], ...]["a"], A[[1, 4]])


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (1.5, TypeError),
        ([0.0, 1.0], TypeError),
        ((0, 1), TypeError),
        (None, TypeError),
        ([[0, 1], [2, 3]], IndexError),
        (np.ones((N, 2), dtype=bool), IndexError),
        (N, IndexError),
        ([True, False], IndexError),
    ],
)
def test_an_invalid_index_of_samples_is_refused(data, index, error):
    with pytest.raises(error):
        data[index]


def test_unknown_modalities_are_named_with_those_that_exist(data):
    for ask in (lambda: data["c"], lambda: data.rows("c", [0]), lambda: data.select(["a", "c"])):
        with pytest.raises(KeyError, match=r"no modality 'c'; the modalities are \['a', 'b'\]"):
            ask()


def test_select_keeps_modalities_in_the_order_given_with_their_presence():
    present = np.ones((N, 3), dtype=bool)
    present[0, 2] = present[1, 0] = False
    data = Modalities({"a": A, "b": B, "c": A}, present=present).select(["c", "a", "c"])
    assert data.names == ("c", "a")
    np.testing.assert_array_equal(data.present, present[:, [2, 0]])


def test_every_modality_is_present_by_default(data):
    assert data.present.shape == (N, 2)
    assert data.present.dtype == bool
    assert data.present.all()


def test_present_is_a_copy():
    present = np.ones((N, 2), dtype=bool)
    data = Modalities({"a": A, "b": B}, present=present)
    present[:] = False
    assert data.present.all()


def test_present_and_samples_must_fit_the_data():
    with pytest.raises(ValueError, match=r"\(n_samples, n_modalities\) = \(12, 2\), but has shape \(2, 12\)"):
        Modalities({"a": A, "b": B}, present=np.ones((2, N), dtype=bool))
    with pytest.raises(
        ValueError, match=r"must name each of the 12 rows of modality 'a', in order, but has shape \(3,\)"
    ):
        Modalities({"a": A, "b": B}, samples=["p", "q", "r"])


def test_indexing_keeps_participants_with_their_samples(data):
    who = np.arange(len(data)) // 2
    known = Modalities(data, groups=who)
    assert data.groups is None
    for some in (known, Modalities(known), known.select(["b"])):
        np.testing.assert_array_equal(some.groups, who)
    np.testing.assert_array_equal(known[[3, 0]].groups, who[[3, 0]])
    np.testing.assert_array_equal(Modalities(known, groups=who[::-1]).groups, who[::-1])
    who[0] = 99
    assert known.groups[0] == 0
    with pytest.raises(ValueError, match="groups has 12 x 1 entries"):
        Modalities(data, groups=who[:, None])
    for unknown in (None, np.nan, pd.NA, ""):
        with pytest.raises(ValueError, match="does not say the participant of 1 of"):
            Modalities(data, groups=pd.array([unknown, *"abcdefghijk"], dtype=object))
    assert len(set(Modalities(data, groups=np.array([1, "a"] * 6, dtype=object)).groups)) == 2
    with pytest.raises(ValueError, match=f"groups has 1 entries, but there are {len(data)} samples"):
        Modalities(data, groups=["a"])
    with pytest.raises(ValueError, match="does not say the participant of 1 of"):
        Modalities(data, groups=["", *"abcdefghijklmnop"[: len(data) - 1]])


def test_repr_shows_samples_shapes_and_missing_modalities(data):
    assert repr(data) == "Modalities(12 samples: a (4,), b (2, 3); paired by position)"
    present = np.ones((N, 2), dtype=bool)
    present[:3, 1] = False
    assert repr(Modalities(data, present=present)).endswith("b (2, 3); 3 missing; paired by position)")


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 20)
    joint = (2.0 * y - 1)[:, None] + 0.3 * rng.normal(size=(40, 1))
    return {
        k: joint @ rng.normal(size=(1, d)) + 0.5 * rng.normal(size=(40, d)) for k, d in {"a": 8, "b": 15}.items()
    }, y


def test_train_test_split_keeps_samples_and_labels_together(labelled):
    arrays, y = labelled
    names = np.arange(40).astype(str)
    train, test, y_train, y_test = train_test_split(Modalities(arrays, samples=names), y, random_state=0, stratify=y)
    assert isinstance(train, Modalities)
    assert len(train) + len(test) == 40
    for part, labels in ((train, y_train), (test, y_test)):
        rows = part.samples.astype(int)
        np.testing.assert_array_equal(labels, y[rows])
        np.testing.assert_array_equal(part["b"], arrays["b"][rows])


def test_k_fold_gives_every_sample_once(labelled):
    data = Modalities(labelled[0])
    tested = [data[test]["a"] for _, test in KFold(5, shuffle=True, random_state=0).split(data)]
    np.testing.assert_array_equal(np.sort(np.concatenate(tested), axis=0), np.sort(data["a"], axis=0))


def pipeline():
    return make_pipeline(AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0), SVC())


def test_cross_validation_gives_the_same_scores_on_disk_as_in_memory(labelled, tmp_path):
    arrays, y = labelled
    np.save(tmp_path / "a.npy", arrays["a"])
    on_disk = Modalities({"a": tmp_path / "a.npy", "b": SortedStore(arrays["b"])})
    scores = cross_val_score(pipeline(), Modalities(arrays), y, cv=4, error_score="raise")
    np.testing.assert_array_equal(scores, cross_val_score(pipeline(), on_disk, y, cv=4, error_score="raise"))
    assert scores.mean() > 0.95


def test_grid_search_tries_ranks_on_modalities(labelled):
    arrays, y = labelled
    search = GridSearchCV(pipeline(), {"ajive__joint_rank": [1, 2]}, cv=3, error_score="raise")
    search.fit(Modalities(arrays), y)
    assert search.best_score_ > 0.95
    assert search.predict(Modalities(arrays)).shape == (40,)
