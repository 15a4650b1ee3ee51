"""Known failures of training that its history shows, with what to change.

A phase may diverge, and the validation error may stay far above the training error. docs/decisions.md says how the
limits were measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIVERGENCE = "divergence"
GAP = "gap between training and validation"

RISE, RISE_BY, RUNAWAY = 1.25, 0.03, 50.0
GAP_RATIO, GAP_BY = 1.25, 0.2
MONITORED = {"joint": ("prediction",), "refinement": ("prediction", "reconstruction")}

DIVERGED = (
    "In the {phase} phase the lowest {term} error on the training samples was {best:.3g}, and the error then rose to "
    "{worst:.3g}. Predicting the mean has the error 1."
)
STOP_DIVERGENCE = (
    "Lower orthogonality_weight or learning_rate, or use orthogonality='closed_form', which needs no second network."
)
OVERFITTED = "The {term} error ends at {train:.3f} on training samples and at {validation:.3f} on validation samples."
STOP_OVERFITTING = "The model overfits: use more samples, smaller ranks, dropout (e.g. 0.2) or more weight_decay."


@dataclass(frozen=True)
class Finding:
    """A failure that was recognised.

    Attributes
    ----------
    name : str
        Name of the failure, such as "divergence".
    seen : str
        The evidence, with its numbers.
    change : str
        What to change.
    """

    name: str
    seen: str
    change: str


def findings_of_history(history: Mapping[str, Sequence[Any]]) -> list[Finding]:
    """Return the failures that a history of training shows.

    Parameters
    ----------
    history : mapping of str to sequence
        `history_` of a deep model: one entry for each epoch.

    Returns
    -------
    list of Finding
        Empty if there is no sign of a failure.
    """
    return [*_divergence(history), *_gap(history)]


def _divergence(history: Mapping[str, Sequence[Any]]) -> Iterator[Finding]:
    """Phases whose training error ends above its lowest value, or was far above the error of predicting the mean."""
    for phase, terms in _errors(history, "train").items():
        for term, values in terms.items():
            best, end = float(values.min()), float(np.median(values[-3:]))
            worst = float(values.max()) if values.max() > RUNAWAY else end
            if worst > max(RISE * best, best + RISE_BY):
                seen = DIVERGED.format(phase=phase, term=term, best=best, worst=worst)
                yield Finding(DIVERGENCE, seen, STOP_DIVERGENCE)


def _gap(history: Mapping[str, Sequence[Any]]) -> Iterator[Finding]:
    """Terms of the last phase whose validation error is far above the training error, in the best epoch."""
    train, validation = _errors(history, "train"), _errors(history, "validation")
    if not validation:
        return
    phase = list(validation)[-1]
    best_epoch = int(np.argmin(np.sum(list(validation[phase].values()), axis=0)))
    for term, values in validation[phase].items():
        low, high = float(train[phase][term][best_epoch]), float(values[best_epoch])
        if high > max(GAP_RATIO * low, low + GAP_BY):
            yield Finding(GAP, OVERFITTED.format(term=term, train=low, validation=high), STOP_OVERFITTING)


def _errors(history: Mapping[str, Sequence[Any]], split: str) -> dict[str, dict[str, NDArray]]:
    """The errors that each phase minimizes, by phase and term, one value for each epoch."""
    phases: Sequence[str] = history.get("phase", [])
    errors: dict[str, dict[str, NDArray]] = {}
    for phase in dict.fromkeys(phases):
        epochs = [epoch for epoch, name in enumerate(phases) if name == phase]
        for term in MONITORED.get(phase, ("reconstruction",)):
            values = history.get(f"{split}_{term}", [math.nan] * len(phases))
            errors.setdefault(phase, {})[term] = np.array([values[epoch] for epoch in epochs])
    return errors
