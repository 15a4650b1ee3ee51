"""Random numbers that leave the random generators of the program unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random_numbers(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of the CPU and of the device in the context, and restore their states afterwards.

    Parameters
    ----------
    seed : int
        Seed of the generators.
    device : torch.device
        Device of the computation.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed formats the stack where there is no GPU
        if device.type == "cuda":
            torch.cuda.default_generators[torch.cuda._get_device_index(device, optional=True)].manual_seed(seed)
        yield


@contextmanager
def same_every_time() -> Iterator[None]:
    """Use deterministic algorithms for convolutions on a GPU in the context."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
