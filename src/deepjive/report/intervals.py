"""The page's table of prediction intervals, from what a calibrated model keeps of its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepjive.decomposition import Decomposition
from deepjive.report.pieces import Table

LEVEL = 0.9
MOST_SAMPLES = 256
READING = (
    "An interval is the prediction minus and plus its half width. Half widths are root mean squares over features, in "
    "standard deviations of the features; 1.64 is that of a normal distribution of which nothing is predicted. "
    "Calibrated with {n} {samples} of {participants} participants."
)
KINDS = {"held-out": "samples that were not fitted", "folds": "fitted samples, by refits without each fold"}


def interval_table(decomposition: Decomposition, calibration: Mapping[str, Any] | None) -> Table | None:
    """Return the half widths of 90% intervals of each modality from others; None if the model is not calibrated."""
    if not calibration:
        return None
    rows = []
    for entry in calibration["predictions"]:
        name, place = entry["target"], int(np.searchsorted(entry["levels"], LEVEL - 1e-9))
        if name in decomposition.data and place < len(entry["levels"]):
            half = np.sqrt(np.mean(np.square(entry["width"][place], dtype=np.float64))) / _deviation(
                decomposition, name
            )
            rows.append((name, ", ".join(entry["given"]), f"{half:.2f}"))
    if not rows:
        return None
    reading = READING.format(
        n=calibration["n_samples"],
        samples=KINDS[calibration["samples"]],
        participants=calibration["n_participants"],
    )
    return Table(f"{LEVEL:.0%} prediction intervals", ("modality", "predicted from", "half width"), rows, reading)


def _deviation(decomposition: Decomposition, name: str) -> float:
    """Root mean square over features of the standard deviations, of at most 256 samples."""
    parts = decomposition.adjusted
    rows = np.flatnonzero(parts.data.present[:, parts.data.names.index(name)])[:MOST_SAMPLES]
    values = parts.data.rows(name, rows).astype(np.float64)
    return float(np.sqrt(np.nanmean(np.nanvar(values.reshape(len(values), -1), axis=0)))) or 1.0
