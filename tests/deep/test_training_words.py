"""What the history of training says: which epoch was kept, what networks add, and whether they overfit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepjive.datasets import make_synthetic
from deepjive.deep.diagnostics import OVERFITTING, findings_of_history, training_in_words
from deepjive.deep.geometry.nonlinearity import NonlinearGain

from .fitting import fitted


def history(validation: list[float], train: list[float]) -> dict[str, list[Any]]:
    n = len(validation)
    best = np.minimum.accumulate(validation)
    return {
        "phase": ["joint"] * n,
        "epoch": list(range(1, n + 1)),
        "train_prediction": train,
        "validation_prediction": validation,
        "is_best": [value == best[i] and (i == 0 or value < best[i - 1]) for i, value in enumerate(validation)],
    }


FALLING = [0.6, 0.55, 0.5, 0.46, 0.43, 0.4, 0.37, 0.35, 0.33, 0.31, 0.3, 0.29]


@pytest.mark.parametrize(
    ("validation", "overfits"),
    [
        ([0.62, 0.58, 0.57, 0.58, 0.6, 0.61, 0.62, 0.63, 0.64, 0.66, 0.67, 0.68], True),
        ([value + 0.02 for value in FALLING], False),
        ([0.62, 0.58, 0.57, *[0.575] * 9], False),  # it hardly rises
    ],
)
def test_a_validation_error_that_rises_early_is_overfitting(validation: list[float], overfits: bool) -> None:
    findings = [finding for finding in findings_of_history(history(validation, FALLING)) if finding.name == OVERFITTING]
    assert bool(findings) is overfits
    assert all("lowest in epoch 3 of 12, 0.570, and rose to 0.670" in finding.seen for finding in findings)


def test_the_kept_epoch_and_the_gain_are_said() -> None:
    words = training_in_words(history([0.6, 0.5, 0.55], FALLING[:3]), NonlinearGain(0.05, 0.01, 0.3, trained=True))
    assert words[0] == "The joint phase was trained for 3 epochs; the weights of epoch 2 were kept."
    assert words[1].startswith("Trained networks predict 35.0% of held-out variance, and linear scores 30.0%")
    assert "+5.0 ± 1.0" in words[1]


def test_a_fit_says_of_each_phase_whether_it_was_trained() -> None:
    data = make_synthetic(200, (20, 20), random_state=0).data
    facts = fitted(data, networks="auto").report_facts()["training"]
    assert facts[0] == "The joint phase was not trained: it kept its linear start."
    model = fitted(data, networks="dense", max_epochs=2)
    assert model.history_["is_best"]
    assert "was trained for 2 epochs" in model.report_facts()["training"][0]
