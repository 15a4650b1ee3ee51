"""One CPU thread for linear algebra on small matrices, whose operations are too short to be shared among threads.

On a busy machine two threads make a small decomposition many times slower than one thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

MOST_SAMPLES, MOST_OPERATIONS = 1500, 2e10

_limited: ContextVar[bool] = ContextVar("limited", default=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread."""
    if _limited.get():  # the libraries are not examined again
        yield
        return
    token = _limited.set(True)
    try:
        with threadpool_limits(1):
            yield
    finally:
        _limited.reset(token)


@contextmanager
def one_thread_if_small(n_samples: int, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[None]:
    """Compute with one thread if products over all features, and matrices of n x n samples, are small.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    shapes : mapping of str to tuple of int
        Shape of one sample of each modality.
    """
    operations = float(n_samples) ** 2 * sum(math.prod(shape) for shape in shapes.values())
    if n_samples > MOST_SAMPLES or operations > MOST_OPERATIONS:
        yield
        return
    with one_thread():
        yield
