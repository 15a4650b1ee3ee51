"""Samples of one participant stay together in the split that training stops by, and in the folds that give ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepjive import Modalities, SeparateAutoencoders
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep import estimator
from deepjive.deep.geometry.rank_selection import rank_curve, select_ranks
from deepjive.deep.training.checkpoint import CheckpointError, fingerprint
from deepjive.deep.training.split import split

from .fitting import fitted

VISITS = 3
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and to stop by, of each fit."""
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    make = estimator.Job

    def recorded(batches: Any, train: Any, validation: Any, *others: Any) -> Any:
        seen.append((train.numpy(), validation.numpy()))
        return make(batches, train, validation, *others)

    monkeypatch.setattr(estimator, "Job", recorded)
    return seen


def visits(data: Modalities, present: np.ndarray | None = None) -> tuple[Modalities, np.ndarray]:
    """Samples as visits of participants who come in no order."""
    who = np.random.default_rng(0).permutation(np.arange(len(data)) // VISITS)
    return Modalities(data, groups=who, present=present), who


def test_training_stops_by_whole_participants(small: Synthetic, rows: list[Any]) -> None:
    data, who = visits(small.data)
    fitted(data, max_epochs=1)
    SeparateAutoencoders(ranks=1, max_epochs=1, random_state=0).fit(data)
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
    with pytest.raises(ValueError, match=f"The {n} samples are of 1 participants, of whom 1 would be held out"):
        fitted(Modalities(small.data, groups=np.zeros(n)), max_epochs=1)
    fitted(Modalities(small.data, groups=np.arange(n) % 2), max_epochs=1)
    with pytest.raises(
        ValueError, match=f"at least 8 samples .* one sample of each participant, but only 7 of the {n} samples"
    ):
        fitted(Modalities(small.data, groups=np.arange(n) % 7), "auto", max_epochs=1)


@pytest.mark.parametrize("sizes", [[60, 60], [40] * 3, [20] * 6, [110, *[1] * 10], [119, 1], [117, 1, 1, 1], [3] * 40])
def test_about_as_many_samples_are_held_out_as_asked_for_however_uneven_participants_are(sizes: list[int]) -> None:
    data = Modalities({name: np.zeros((120, 2)) for name in "ab"}, groups=np.repeat(np.arange(len(sizes)), sizes))
    for seed in range(20):
        learned, held = split(data, 12, torch.Generator().manual_seed(seed))
        assert len(learned) + len(held) == 120
        assert 1 <= len(held) <= max(18, min(sizes))


def test_a_checkpoint_of_other_participants_is_refused(
    small: Synthetic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepjive.deep.training.checkpoint.SECONDS", 0.0)
    data, who = visits(small.data)
    model = fitted(data, max_epochs=1)
    model.fit(data, resume=tmp_path)
    with pytest.raises(CheckpointError, match="is of other data: participants differ"):
        model.fit(small.data, resume=tmp_path)
    renamed = Modalities(data, groups=[f"p{100 + one}" for one in who])
    assert fingerprint(renamed) == fingerprint(data) != fingerprint(small.data)
    turned = Modalities(data, groups=[f"p{100 - one}" for one in who])
    assert fingerprint(turned) == fingerprint(data)


def test_ranks_come_from_predictions_of_participants_who_were_held_out_as_a_whole() -> None:
    made = make_synthetic(100, (20, 20), random_state=0).data
    rng, who = np.random.default_rng(0), np.repeat(np.arange(100), VISITS)
    arrays = {name: np.asarray(made[name])[who] + 0.05 * rng.normal(size=(300, 20)) for name in made.names}
    present = np.ones((300, 2), dtype=bool)
    present[::VISITS, 0] = False
    data = Modalities(arrays, groups=who, present=present)
    curve = rank_curve([data[present.all(axis=1)]], seed=0)
    assert curve.r2["linear"][10] <= curve.r2["linear"][1] + 0.01  # noise that visits share is not predicted
    chosen = select_ranks(data)
    assert (chosen.joint_rank, set(chosen.individual_ranks.values())) == (1, {1})
