"""Small data with a known truth, and models fitted to some of them in a second."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from deepjive import AJIVE
from deepjive.datasets.synthetic import Synthetic, make_synthetic

N_FITTED = 160


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def made() -> Synthetic:
    """Linear data of joint rank 1; the first 160 of 240 samples are those that models are fitted to."""
    return make_synthetic(240, (20, 16), noise=0.4, random_state=0)


@pytest.fixture(scope="session")
def train(made: Synthetic) -> Any:
    return made.data[:N_FITTED]


@pytest.fixture(scope="session")
def test(made: Synthetic) -> Any:
    return made.data[N_FITTED:]


@pytest.fixture(scope="session")
def ajive(train: Any) -> AJIVE:
    return AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0, random_state=0).fit(train)
