"""Fixtures of the tests of deep models: a fixed seed for each test, and small fitted models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from deepjive import DeepJIVE
from deepjive.datasets.synthetic import Synthetic, make_synthetic

from .fitting import fitted


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Seed torch for the test, and restore the state of its generators afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="session")
def small() -> Synthetic:
    """Linear data for which a few epochs suffice."""
    return make_synthetic(240, (20, 12), noise=0.3, random_state=0)


@pytest.fixture(scope="session")
def model(small: Synthetic) -> DeepJIVE:
    return fitted(small.data)
