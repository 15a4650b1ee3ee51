import numpy as np
import pytest


@pytest.fixture
def x():
    """Ten samples of shape (4, 3)."""
    return np.random.default_rng(0).normal(size=(10, 4, 3)).astype(np.float32)


@pytest.fixture
def check_rows():
    """Checks that an array on disk gives the same rows as one in memory, by every kind of index."""

    def check(lazy, expected):
        assert lazy.shape == expected.shape
        assert lazy.dtype == expected.dtype
        for key in (slice(None), slice(2, 5), [4, 1, 1, 3], [0], [], np.arange(len(expected)) % 2 == 0, [-1, 0]):
            index = np.array(key, dtype=int) if isinstance(key, list) else key
            np.testing.assert_array_equal(lazy[index], expected[index])
        np.testing.assert_array_equal(lazy[3], expected[3])
        np.testing.assert_array_equal(np.asarray(lazy), expected)

    return check
