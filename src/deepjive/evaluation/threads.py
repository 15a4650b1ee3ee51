"""Processor threads: one for regressions on a few scores, whose matrices are too small to share out.

On a busy machine two threads make a small probe several times slower than one. threadpoolctl comes with
scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread."""
    with threadpool_limits(1):
        yield
