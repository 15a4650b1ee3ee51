"""Training failures that the history of the errors shows: divergence and overfitting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.results import Finding

DIVERGENCE = "divergence"
GAP = "gap between training and validation"

RISE, RISE_BY, RUNAWAY = 1.25, 0.03, 50.0
GAP_RATIO, GAP_BY = 1.25, 0.2
MONITORED = {"joint": ("prediction",), "refinement": ("prediction", "reconstruction")}


def training_findings(history: Mapping[str, Sequence[Any]]) -> list[Finding]:
    """Return the known failures that the history of training shows.

    The limits were measured on runs that failed and on runs that did not: docs/decisions.md.

    Parameters
    ----------
    history : mapping of str to sequence
        The attribute `history_` of a deep model: the phase and the errors of every epoch.

    Returns
    -------
    list of Finding
        Empty if no failure was recognised.
    """
    return [*_divergence(history), *_gap(history)]


def _divergence(history: Mapping[str, Sequence[Any]]) -> Iterator[Finding]:
    """Find phases whose training error ends above its lowest value, or was far above that of predicting the mean."""
    for phase, terms in _errors(history, "train").items():
        for term, values in terms.items():
            best, end = float(values.min()), float(np.median(values[-3:]))
            worst = float(values.max()) if values.max() > RUNAWAY else end
            if worst > max(RISE * best, best + RISE_BY):
                yield Finding(
                    DIVERGENCE,
                    f"In the {phase} phase the lowest {term} error on the training samples was {best:.3g}. The error "
                    f"rose to {worst:.3g}, where predicting the mean has the error 1.",
                    "Lower orthogonality_weight or learning_rate, or use orthogonality='closed_form', which trains no "
                    "second network.",
                )


def _gap(history: Mapping[str, Sequence[Any]]) -> Iterator[Finding]:
    """Find errors of the last phase that are much larger on validation samples than on training samples."""
    train, validation = _errors(history, "train"), _errors(history, "validation")
    if not validation:
        return
    phase = list(validation)[-1]
    best_epoch = int(np.argmin(np.sum(list(validation[phase].values()), axis=0)))
    for term, values in validation[phase].items():
        train_error, validation_error = float(train[phase][term][best_epoch]), float(values[best_epoch])
        if validation_error > max(GAP_RATIO * train_error, train_error + GAP_BY):
            yield Finding(
                GAP,
                f"The {term} error ends at {train_error:.3f} on training and {validation_error:.3f} on validation "
                "samples.",
                "The model overfits: use more samples, smaller ranks, dropout (e.g. 0.2) or more weight_decay.",
            )


def _errors(history: Mapping[str, Sequence[Any]], split: str) -> dict[str, dict[str, NDArray]]:
    """Return the errors that each phase minimizes, by phase and term, with one value per epoch."""
    phases: Sequence[str] = history.get("phase", [])
    errors: dict[str, dict[str, NDArray]] = {}
    for phase in dict.fromkeys(phases):
        rows = [row for row, name in enumerate(phases) if name == phase]
        for term in MONITORED.get(phase, ("reconstruction",)):
            values = history.get(f"{split}_{term}", [math.nan] * len(phases))
            errors.setdefault(phase, {})[term] = np.array([values[row] for row in rows])
    return errors
