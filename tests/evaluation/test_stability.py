"""Stability, refits and baselines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepjive import AJIVE, JIVE
from deepjive.evaluation import baselines, refitted, stability
from deepjive.evaluation.refit_stability import SAMPLES, SEEDS, _compared

from .fitting import fitted


def test_scores_of_a_clear_signal_are_stable_in_other_samples(ajive: AJIVE, train: Any, test: Any) -> None:
    rows = stability(ajive, train, test, 3)
    assert {(row.part, row.varied) for row in rows} == {
        ("joint", SAMPLES),
        ("individual modality_1", SAMPLES),
        ("individual modality_2", SAMPLES),
    }
    for row in rows:
        assert row.n_fits == 3
        assert min(row.matched) > 0.9
        assert min(row.canonical) > 0.9


def test_scores_of_noise_are_not_stable(train: Any, test: Any) -> None:
    rng = np.random.default_rng(0)
    noise, new = ({name: rng.normal(size=(n, 15)) for name in "ab"} for n in (100, 200))
    model = AJIVE(signal_ranks=3, joint_rank=1, individual_ranks=2, n_wedin=0, n_random=0).fit(noise)
    from deepjive import Modalities

    joint, *_ = stability(model, Modalities(noise), Modalities(new), 3)
    assert joint.matched[0] < 0.9


def test_deep_models_are_also_compared_between_seeds(train: Any, test: Any) -> None:
    done = []
    rows = stability(fitted(train), train, test, 1, progress=lambda *report: done.append(report[:2]))
    assert done == [(1, 2), (2, 2)]
    assert [row.varied for row in rows] == [SEEDS] * 3 + [SAMPLES] * 3


def test_refits_with_dependent_or_without_scores_are_compared() -> None:
    """Refits to few samples may lack directions, or a part."""
    scores = np.random.default_rng(0).normal(size=(50, 3))
    dependent = np.column_stack([scores[:, :2], scores[:, 0]])
    data = SimpleNamespace(present=np.ones((50, 2), dtype=bool))
    reference, *refits = (
        SimpleNamespace(data=data, joint_scores=joint, individual_scores={}, subset_scores={})
        for joint in (scores, scores, dependent, scores[:, :0])
    )
    (row,) = _compared(SAMPLES, reference, refits)
    np.testing.assert_allclose(row.canonical, [2 / 3, 2 / 3, 1 / 3], atol=1e-6)
    assert len(row.matched) == 3
    assert 1 / 3 < np.mean(row.matched) < 2 / 3


def test_a_refit_keeps_ranks_and_settings(ajive: AJIVE, train: Any) -> None:
    chosen = AJIVE(random_state=0, n_wedin=20, n_random=20).fit(train)
    again = refitted(chosen, train, random_state=5, no_such_parameter=1)
    assert (again.joint_rank_, again.individual_ranks_) == (chosen.joint_rank_, chosen.individual_ranks_)
    assert (again.random_state, again is chosen) == (5, False)


def test_baselines_have_the_same_sizes(train: Any) -> None:
    found = baselines(fitted(train, 2, {"modality_1": 1, "modality_2": 3}, max_epochs=1), train)
    assert list(found) == ["AJIVE", "SeparateAutoencoders"]
    assert (found["AJIVE"].joint_rank_, found["AJIVE"].individual_ranks_["modality_2"]) == (2, 3)
    assert found["SeparateAutoencoders"].model_.individual_ranks_ == {"modality_1": 3, "modality_2": 5}


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0), []),
        (JIVE(joint_rank=1, individual_ranks=1), ["AJIVE"]),
    ],
)
def test_linear_models_are_compared_with_ajive_only(model: Any, names: list[str], train: Any) -> None:
    assert list(baselines(model.fit(train), train)) == names
