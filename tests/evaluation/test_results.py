"""Results: one line when printed, a table when asked for, no arrays in between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepjive import AJIVE, Modalities, bootstrap, jackstraw, permutation_test
from deepjive.evaluation import (
    agreement,
    bootstrap_maps,
    covariation,
    cross_predictions,
    diagnose,
    evidence,
    frame_of,
    hsic,
    joint_structure_test,
    probe,
    stability,
)
from deepjive.results import Finding


@pytest.fixture(scope="module")
def results(ajive: AJIVE, train: Modalities, test: Modalities) -> dict[str, Any]:
    scores = ajive.transform(test)
    maps = bootstrap_maps(ajive, train, 0, 2)
    return {
        "agreement": agreement(ajive, test)[0],
        "bootstrap": bootstrap(ajive, train, n_draws=5),
        "bootstrap_map": maps.of("modality_1"),
        "bootstrap_maps": maps,
        "covariation": covariation(ajive, test, 0, n_permutations=9)["modality_1"],
        "cross_prediction": cross_predictions(ajive.decompose(test), n_permutations=9)[0],
        "evidence": evidence(ajive, train, n_permutations=9, n_fits=1),
        "finding": Finding("dead component", "Score 1 accounts for nothing.", "Lower joint_rank by one."),
        "hsic": hsic(scores, scores, 9),
        "jackstraw": jackstraw(ajive, train, "modality_1", n_repeats=2, share=0.2),
        "joint_structure_test": joint_structure_test(ajive, test, 9),
        "permutation_test": permutation_test(ajive, 9),
        "probe": probe(scores[:40], scores[:40, 0] > 0, scores[40:], scores[40:, 0] > 0, n_permutations=9),
        "stability": stability(ajive, train, test, 1)[0],
    }


def test_every_result_is_one_line_with_its_kind_and_no_array(results: dict[str, Any]) -> None:
    for result in results.values():
        line = repr(result)
        assert line.startswith(f"{type(result).__name__}(")
        assert "\n" not in line
        assert "array" not in line
        assert len(line) < 250


def test_p_value_and_number_of_samples_are_in_the_line(results: dict[str, Any]) -> None:
    for name in ("hsic", "joint_structure_test", "cross_prediction", "probe", "covariation"):
        assert "p=" in repr(results[name])
        assert "n=" in repr(results[name])


def test_every_result_is_a_table_with_rows_and_named_columns(results: dict[str, Any]) -> None:
    for result in results.values():
        frame = result.to_frame()
        assert len(frame) > 0
        assert all(isinstance(column, str) for column in frame.columns)
    assert results["covariation"].to_frame().shape == (20, 5)
    assert set(results["evidence"].to_frame().columns) == {"measure", "method", "target", "value", "p_value"}


def test_several_results_are_one_table(ajive: AJIVE, test: Modalities) -> None:
    frame = frame_of(covariation(ajive, test, 0, n_permutations=9))
    assert frame["key"].unique().tolist() == ["modality_1", "modality_2"]
    assert len(frame) == 36
    assert len(frame_of(agreement(ajive, test))) == 1
    assert frame_of([]).empty


def test_measures_accept_what_fit_accepts(ajive: AJIVE, train: Modalities, test: Modalities) -> None:
    arrays = {name: np.asarray(test[name]) for name in test.names}
    assert joint_structure_test(ajive, arrays, 9) == joint_structure_test(ajive, test, 9)
    assert joint_structure_test(ajive, list(arrays.values()), 9) == joint_structure_test(ajive, test, 9)
    assert agreement(ajive, arrays) == agreement(ajive, test)
    assert diagnose(ajive, arrays) == diagnose(ajive, test)
    fitted = {name: np.asarray(train[name]) for name in train.names}
    assert stability(ajive, fitted, arrays, 1) == stability(ajive, train, test, 1)
