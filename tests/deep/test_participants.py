"""Samples of one participant stay together in the split that training stops by, and in the folds that give ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepjive import Modalities, SeparateAutoencoders
from deepjive.datasets.synthetic import Synthetic, make_synthetic
from deepjive.deep import estimator, ranks
from deepjive.deep.checkpoint import CheckpointError, fingerprint
from deepjive.deep.ranks import select_ranks

from .fitting import fitted

VISITS = 3
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and to stop by, of each fit."""
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    class Recorded(estimator.Job):
        def __init__(self, batches: Any, train: Any, validation: Any, *others: Any) -> None:
            seen.append((train.numpy(), validation.numpy()))
            super().__init__(batches, train, validation, *others)

    monkeypatch.setattr(estimator, "Job", Recorded)
    return seen


def visits(data: Modalities, present: np.ndarray | None = None) -> tuple[Modalities, np.ndarray]:
    """Samples as visits of participants who come in no order."""
    who = np.random.default_rng(0).permutation(np.arange(len(data)) // VISITS)
    return Modalities(data, groups=who, present=present), who


def test_training_stops_by_whole_participants(small: Synthetic, rows: list[Any]) -> None:
    data, who = visits(small.data)
    fitted(data, max_epochs=1)
    SeparateAutoencoders(1, max_epochs=1, random_state=0).fit(data)
    for train, validation in rows:
        assert not set(who[train]) & set(who[validation])
        assert sorted([*train, *validation]) == list(range(len(data)))
        assert len(validation) == pytest.approx(0.1 * len(data), abs=VISITS)
    assert len(rows) == 2


def test_who_lacks_the_same_is_split_alike_by_participant(small: Synthetic, rows: list[Any]) -> None:
    present = np.ones((len(small.data), 2), dtype=bool)
    data, who = visits(small.data)
    present[who % 2 == 0, 1] = False
    data, who = visits(small.data, present)
    fitted(data, max_epochs=1, validation_fraction=0.2)
    train, validation = rows[0]
    assert not set(who[train]) & set(who[validation])
    assert present[validation, 1].mean() == pytest.approx(present[:, 1].mean(), abs=0.1)


def test_one_sample_of_each_participant_is_as_without_participants(small: Synthetic) -> None:
    names = [f"p{row}" for row in np.random.default_rng(0).permutation(len(small.data))]
    one, other = (fitted(Modalities(small.data, groups=who), max_epochs=2) for who in (None, names))
    for mine, theirs in zip(one.network_.parameters(), other.network_.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_too_few_participants_are_told(small: Synthetic) -> None:
    n = len(small.data)
    with pytest.raises(ValueError, match=f"The {n} samples are of 1 participants, of whom 0 would be held out"):
        fitted(Modalities(small.data, groups=np.zeros(n)), max_epochs=1)
    fitted(Modalities(small.data, groups=np.arange(n) % 2), max_epochs=1)


def test_a_checkpoint_of_other_participants_is_refused(
    small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepjive.deep.checkpoint.SECONDS", 0.0)
    data, who = visits(small.data)
    model = fitted(data, max_epochs=1)
    model.fit(data, resume=tmp_path)
    with pytest.raises(CheckpointError, match="is of other data: participants differ"):
        model.fit(small.data, resume=tmp_path)
    renamed = Modalities(data, groups=[f"p{100 + one}" for one in who])
    assert fingerprint(renamed) == fingerprint(data) != fingerprint(small.data)


def test_ranks_come_from_predicting_participants_that_were_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    folds, whose, kept, error = [], [], ranks._Fold.__init__, ranks._standard_error

    def recorded(self: Any, data: Modalities, train: np.ndarray, test: np.ndarray, *others: Any) -> None:
        folds.append(set(data.groups[train]) & set(data.groups[test]))
        kept(self, data, train, test, *others)

    def counted(gain: np.ndarray, participants: np.ndarray) -> float:
        whose.append(participants)
        return error(gain, participants)

    monkeypatch.setattr(ranks._Fold, "__init__", recorded)
    monkeypatch.setattr(ranks, "_standard_error", counted)
    data, _ = visits(make_synthetic(300, (20, 20), random_state=0).data)
    chosen = select_ranks(data)
    assert (chosen.joint_rank, set(chosen.individual_ranks.values())) == (1, {1})
    assert len(folds) >= 6
    assert not any(folds)
    assert all(np.unique(one, return_counts=True)[1].tolist() == [VISITS] * 100 for one in whose)


def test_visits_that_repeat_each_other_count_as_one() -> None:
    values = np.random.default_rng(0).normal(size=60)
    once = ranks._standard_error(values, np.arange(60))
    assert once == pytest.approx(values.std(ddof=1) / np.sqrt(60))
    assert ranks._standard_error(np.repeat(values, VISITS), np.repeat(np.arange(60), VISITS)) == pytest.approx(once)
