"""Small fitted models, shared by the tests that only look at them."""

from __future__ import annotations

import pytest
import torch

from deepjive import DeepJIVE
from deepjive.datasets import Synthetic, make_synthetic

from .fitting import fitted


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small() -> Synthetic:
    """Linear data that a few epochs suffice for."""
    return make_synthetic(240, (20, 12), noise=0.3, random_state=0)


@pytest.fixture(scope="session")
def model(small: Synthetic) -> DeepJIVE:
    return fitted(small.data)
