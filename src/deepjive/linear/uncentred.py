"""The mean of modalities that are not centred, which can hide the variation between samples.

With ``center=False`` the mean counts as variation. If it has nearly the whole sum of squares, the first component of a
modality is the mean, and the other components have shares near 0.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.adjust.inspection import MOST_OF_VARIANCE, UnitsWarning
from deepjive.decomposition import length_of

MEAN_KEPT = (
    "center=False keeps the mean in modality {name!r}, where it is {share:.1%} of the sum of squares. The components "
    "describe the mean and little of the variation between samples. Use center=True, or subtract a baseline first."
)


class MeanShares:
    """Shares of the means in the sums of squares, from blocks of samples.

    Parameters
    ----------
    masks : mapping of str to array of bool, or None
        Features that count, for some or all modalities.
    """

    def __init__(self, masks: Mapping[str, Any] | None) -> None:
        self._masks = masks or {}
        self._sums: dict[str, NDArray] = {}
        self._counts: dict[str, NDArray] = {}
        self._lengths: dict[str, float] = {}

    def add(self, name: str, rows: NDArray[np.intp], values: NDArray) -> None:
        """Add samples (n, ...) of a modality; values that are NaN, or outside the mask, do not count."""
        counts = ~np.isnan(values)
        if self._masks.get(name) is not None:
            counts &= np.asarray(self._masks[name], dtype=bool)
        counted = np.where(counts, values, 0.0).astype(np.float64)
        self._sums[name] = self._sums.get(name, 0.0) + counted.sum(axis=0)
        self._counts[name] = self._counts.get(name, 0.0) + counts.sum(axis=0)
        self._lengths[name] = math.hypot(self._lengths.get(name, 0.0), length_of(counted))

    def share(self, name: str) -> float:
        """Share of the mean in the sum of squares of a modality, between 0 and 1."""
        of_mean = length_of(self._sums[name] / np.sqrt(np.maximum(self._counts[name], 1.0)))
        length = self._lengths[name]
        return min(of_mean / length, 1.0) ** 2 if length > 0.0 else 0.0

    def warn(self) -> None:
        """Warn of the modality whose mean has the largest share, if this is nearly all."""
        name = max(self._lengths, key=self.share)
        if (share := self.share(name)) > MOST_OF_VARIANCE:
            warnings.warn(MEAN_KEPT.format(name=name, share=share), UnitsWarning, stacklevel=5)
