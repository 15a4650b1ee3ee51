"""Recovery: how close a decomposition comes to a truth that is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def r2(truth: ArrayLike, estimate: ArrayLike) -> float:
    """Fraction of the variance of a true part that its estimate explains.

    ``1 - |T - E|^2 / |T|^2`` with both centred over the samples, so that where the mean was put makes no difference.

    Parameters
    ----------
    truth, estimate : array, shape (n_samples, ...)
        The part as it is, and as it was found.

    Returns
    -------
    float
        1 for a perfect estimate, 0 for none, negative for one that is worse than none; not a number for a truth
        that does not vary.
    """
    t, e = (np.asarray(array, dtype=np.float64) for array in (truth, estimate))
    if t.shape != e.shape:
        raise ValueError(f"truth and estimate must have the same shape, but have {t.shape} and {e.shape}.")
    t, e = t - t.mean(axis=0), e - e.mean(axis=0)
    total = float(np.square(t).sum())
    return 1.0 - float(np.square(t - e).sum()) / total if total else float("nan")
