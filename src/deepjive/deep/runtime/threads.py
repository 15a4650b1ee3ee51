"""Processor threads: few for small samples, whose operations are too short to share out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

LARGE = 20_000


@contextmanager
def threads_for(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[None]:
    """Compute with one thread where all samples together have fewer than `LARGE` features.

    A step on small samples is a row of operations of microseconds each; handing them to several threads costs more
    than it saves, and many times more where other programs want the processor too.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Sample shape of each modality.
    """
    before = torch.get_num_threads()
    if sum(math.prod(shape) for shape in shapes.values()) < LARGE:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
