"""One CPU thread for regressions on a few scores, whose matrices are too small for several threads.

On a busy machine two threads make a small probe several times slower than one thread.
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
