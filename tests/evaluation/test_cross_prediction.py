"""Cross-prediction and agreement."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.evaluation import agreement, cross_prediction, cross_predictions

from .fitting import fitted


@pytest.mark.parametrize("curve", [np.square, np.sin, np.abs])
def test_a_curved_relation_is_found(curve: np.ufunc) -> None:
    x = np.random.default_rng(0).normal(size=(200, 2))
    assert cross_prediction(x, curve(2 * x[:, [0]])) > 0.9


def test_independent_scores_predict_nothing() -> None:
    rng = np.random.default_rng(0)
    found = [cross_prediction(rng.normal(size=(100, 2)), rng.normal(size=(100, 2))) for _ in range(5)]
    assert -0.3 < min(found) < max(found) < 0.05


def test_prediction_without_scores_samples_or_variation_is_nan() -> None:
    x = np.random.default_rng(0).normal(size=(50, 2))
    for source, target in ((x[:, :0], x), (x, x[:, :0]), (x, np.ones((50, 1))), (x[:9], x[:9])):
        assert np.isnan(cross_prediction(source, target))


def test_every_direction_between_parts_is_measured(ajive: AJIVE, test: Modalities) -> None:
    rows = cross_predictions(ajive.decompose(test), n_permutations=99)
    assert len({(row.source, row.target) for row in rows}) == len(rows) == 6
    assert all(row.r2 < 0.1 for row in rows)


def test_individual_scores_that_carry_the_joint_part_are_detected(test: Modalities, train: Modalities) -> None:
    parts = fitted(train, 1, 2, orthogonality=None, objective="published").decompose(test)
    rows = cross_predictions(parts, n_permutations=99)
    leak = max(rows, key=lambda row: row.r2 if row.target == "joint" else -1)
    assert leak.r2 > 0.3
    assert leak.p_value == pytest.approx(0.01)


def test_modalities_agree_on_joint_scores(ajive: AJIVE, test: Modalities) -> None:
    (pair,) = agreement(ajive, test)
    assert (pair.component, pair.first, pair.second) == (1, "modality_1", "modality_2")
    assert pair.correlation > 0.9


def test_modalities_do_not_agree_without_joint_structure(ajive: AJIVE, test: Modalities) -> None:
    order = np.random.default_rng(0).permutation(len(test))
    mixed = Modalities({"modality_1": test["modality_1"][order], "modality_2": test["modality_2"]})
    assert abs(agreement(ajive, mixed)[0].correlation) < 0.4


def test_merged_models_have_no_agreement(train: Modalities, test: Modalities) -> None:
    assert agreement(fitted(train, identity="merged", max_epochs=1), test) == []
