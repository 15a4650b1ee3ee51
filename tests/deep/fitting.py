"""Models fitted in a second."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from deepjive import DeepJIVE


def fitted(data: Any, joint_rank: Any = 1, individual_ranks: Any = 1, **settings: Any) -> DeepJIVE:
    """A model fitted in a second; that its budget ends early is meant."""
    settings = {"max_epochs": 15, "random_state": 0, **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return DeepJIVE(joint_rank, individual_ranks, **settings).fit(data)
