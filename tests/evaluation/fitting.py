"""Deep models fitted in a second: linear networks, few epochs, a large step."""

from __future__ import annotations

from typing import Any

from deepjive import DeepJIVE
from deepjive.evaluation.refit import quietly

QUICK = {"networks": "linear", "max_epochs": 5, "batch_size": 50, "learning_rate": 0.05, "random_state": 0}


def fitted(data: Any, joint_rank: int = 1, individual_ranks: Any = 1, **settings: Any) -> DeepJIVE:
    """A model fitted in a second; that its budget ends early is meant."""
    with quietly():
        return DeepJIVE(joint_rank=joint_rank, individual_ranks=individual_ranks, **{**QUICK, **settings}).fit(data)
