"""Dask arrays: rows are computed when they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.data.readers.lazy import LazyRows

dask_array = pytest.importorskip("dask.array")

X = np.random.default_rng(0).normal(size=(60, 12))


def test_rows_are_computed_from_their_own_chunks_alone() -> None:
    computed = []

    def note(block: np.ndarray) -> np.ndarray:
        computed.append(len(block))
        return block

    lazy = dask_array.from_array(X, chunks=(10, 12)).map_blocks(note, dtype=X.dtype, meta=np.zeros((0, 0)))
    data = Modalities({"a": lazy, "b": X[:, :5]})
    some = data[[55, 3, 3]]
    assert isinstance(some["a"], LazyRows)
    assert computed == []
    np.testing.assert_array_equal(some.rows("a", slice(None)), X[[55, 3, 3]])
    assert computed == [10, 10]


def test_a_model_is_that_of_the_same_numbers_in_memory() -> None:
    lazy, whole = dask_array.from_array(X, chunks=(10, 12)), X
    one, other = (
        AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, random_state=0).fit({"a": x, "b": -X[:, :5]})
        for x in (lazy, whole)
    )
    np.testing.assert_allclose(one.joint_scores_, other.joint_scores_, atol=1e-8)


def test_the_error_for_an_unknown_number_of_samples_names_the_method_to_call() -> None:
    lazy = dask_array.from_array(X, chunks=(10, 12))
    some = lazy[lazy[:, 0] > 0]
    with pytest.raises(ValueError, match=r"'a' has shape \(nan, 12\).*compute_chunk_sizes\(\) first"):
        Modalities({"a": some, "b": X})
    some.compute_chunk_sizes()
    assert len(Modalities({"a": some})) == int((X[:, 0] > 0).sum())
