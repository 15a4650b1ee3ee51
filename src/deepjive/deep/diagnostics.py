"""Known failures of training that its history shows, with what to change.

A phase may diverge, the validation error may rise while the training error falls, or it may stay far above the training
error. docs/decisions.md says how the limits were measured. The same history says in words how long a phase was trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.deep.geometry.nonlinearity import NonlinearGain
from deepjive.results import Finding

DIVERGENCE = "divergence"
OVERFITTING = "overfitting"
GAP = "gap between training and validation"

RISE, RISE_BY, RUNAWAY = 1.25, 0.03, 50.0
FEWEST_EPOCHS = 8
GAP_RATIO, GAP_BY = 1.25, 0.2
VALIDATION_RISE, EARLY = 1.1, 1 / 3  # of the lowest error; of the epochs
MONITORED = {"joint": ("prediction",), "refinement": ("prediction", "reconstruction")}

DIVERGED = (
    "In the {phase} phase the lowest {term} error on the training samples was {best:.3g}, and the error then rose to "
    "{worst:.3g}. Predicting the mean has the error 1."
)
STOP_DIVERGENCE = (
    "Lower orthogonality_weight or learning_rate, or use orthogonality='closed_form', which needs no second network."
)
ROSE = (
    "In the {phase} phase the validation error ({term}) was lowest in epoch {best_epoch} of {epochs}, {best:.3f}, and "
    "rose to {end:.3f}, while the training error fell to {train:.3f}. The weights of the best epoch were kept."
)
STOP_RISE = "Use more samples, smaller ranks, dropout (e.g. 0.2), more weight_decay, or networks='linear'."
OVERFITTED = "The {term} error ends at {train:.3f} on training samples and at {validation:.3f} on validation samples."
STOP_OVERFITTING = "The model overfits: use more samples, smaller ranks, dropout (e.g. 0.2) or more weight_decay."


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
    return [*_divergence(history), *_rise(history), *_gap(history)]


def training_in_words(history: Mapping[str, Sequence[Any]], gain: NonlinearGain | None) -> list[str]:
    """Say how long each phase was trained, which epoch was kept, and what the networks add to linear scores.

    Parameters
    ----------
    history : mapping of str to sequence
        `history_` of a deep model.
    gain : NonlinearGain or None
        `nonlinear_gain_` of the model.

    Returns
    -------
    list of str
        Sentences.
    """
    sentences = []
    phases: Sequence[str] = history.get("phase", [])
    for phase in dict.fromkeys(phases):
        rows = [row for row, name in enumerate(phases) if name == phase]
        epochs = [int(history["epoch"][row]) for row in rows]
        if epochs == [0]:
            sentences.append(f"The {phase} phase was not trained: it kept its linear start.")
            continue
        best = [epoch for epoch, row in zip(epochs, rows, strict=True) if history["is_best"][row]]
        kept = f"epoch {best[-1]}" if best else "its start"
        sentences.append(f"The {phase} phase was trained for {epochs[-1]} epochs; the weights of {kept} were kept.")
    if gain is not None:
        of = "Trained networks predict" if gain.trained else "A kernel regression predicts"
        sentences.append(
            f"{of} {100 * (gain.linear + gain.value):.1f}% of held-out variance, and linear scores "
            f"{100 * gain.linear:.1f}%: a difference of {100 * gain.value:+.1f} ± {100 * gain.standard_error:.1f} "
            "percentage points (standard error)."
        )
    return sentences


def _divergence(history: Mapping[str, Sequence[Any]]) -> Iterator[Finding]:
    """Phases whose training error ends above its lowest value, or was far above the error of predicting the mean."""
    for phase, terms in _errors(history, "train").items():
        for term, values in terms.items():
            best, end = float(values.min()), float(np.median(values[-3:]))
            worst = float(values.max()) if values.max() > RUNAWAY else end
            if worst > max(RISE * best, best + RISE_BY):
                seen = DIVERGED.format(phase=phase, term=term, best=best, worst=worst)
                yield Finding(DIVERGENCE, seen, STOP_DIVERGENCE)


def _rise(history: Mapping[str, Sequence[Any]]) -> Iterator[Finding]:
    """Phases whose validation error was lowest early, and rose while the training error fell."""
    train, validation = _errors(history, "train"), _errors(history, "validation")
    for phase, terms in validation.items():
        if phase == "refinement":  # it may keep the weights of the earlier phases, and loses nothing
            continue
        for term, values in terms.items():
            if len(values) < FEWEST_EPOCHS or not np.isfinite(values).all():
                continue
            best, end = int(values.argmin()), float(np.median(values[-3:]))
            falls = float(np.median(train[phase][term][-3:])) < train[phase][term][best]
            if best < EARLY * len(values) and falls and end > VALIDATION_RISE * values[best]:
                seen = ROSE.format(
                    phase=phase,
                    term=term,
                    best_epoch=best + 1,
                    epochs=len(values),
                    best=values[best],
                    end=end,
                    train=float(np.median(train[phase][term][-3:])),
                )
                yield Finding(OVERFITTING, seen, STOP_RISE)


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
