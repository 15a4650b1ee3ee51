"""Random numbers of a computation's own, which leave the program's generators as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random_numbers(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from generators seeded for the context, on the processor and on the device.

    Parameters
    ----------
    seed : int
        Where they begin.
    device : torch.device
        What is computed on.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def same_every_time() -> Iterator[None]:
    """Convolutions on a GPU by algorithms that add up in the same order every time."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
