"""Models fitted in a second, and fits that are cut off."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from sklearn.exceptions import ConvergenceWarning

from deepjive import DeepJIVE
from deepjive.data.modalities import as_modalities
from deepjive.deep.training.checkpoint import Checkpoint


def fitted(data: Any, joint_rank: Any = 1, individual_ranks: Any = 1, **settings: Any) -> DeepJIVE:
    """A model fitted in a second, which trains its networks although the data are linear; its budget ends early."""
    if all(len(shape) == 1 for shape in as_modalities(data).shapes.values()):
        settings.setdefault("networks", "dense")
    settings = {"max_epochs": 4, "random_state": 0, **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return DeepJIVE(joint_rank=joint_rank, individual_ranks=individual_ranks, **settings).fit(data)


class CutError(Exception):
    """What ends a training in the middle."""


def cut_after(monkeypatch: pytest.MonkeyPatch, epochs: int, error: type[BaseException] = CutError) -> None:
    """Raise an error after so many epochs in all, once."""
    offer, seen = Checkpoint.offer, []

    def offer_and_cut(self: Checkpoint, state: Any) -> None:
        offer(self, state)
        seen.append(1)
        if len(seen) == epochs:
            raise error

    monkeypatch.setattr(Checkpoint, "offer", offer_and_cut)
