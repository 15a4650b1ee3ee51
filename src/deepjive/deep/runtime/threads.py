"""Number of CPU threads: one for small samples, whose operations are too short to be shared among threads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from deepjive.threads import one_thread

LARGE = 20_000


@contextmanager
def threads_for(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[None]:
    """Compute with one thread if a sample has fewer than `LARGE` features in all modalities together.

    A training step on small samples consists of operations that take microseconds each. Distributing them among threads
    costs more time than it saves, and many times more if other programs use the CPU as well.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Shape of one sample of each modality.
    """
    if sum(math.prod(shape) for shape in shapes.values()) >= LARGE:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with one_thread():  # decompositions before training are small too
            yield
    finally:
        torch.set_num_threads(before)
