"""Rounding: differences that it alone explains, which are no variation, and numbers to four significant digits.

Equal numbers that were computed in two ways, such as 0.3 and 0.1 + 0.2, differ in their last digits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

ULPS = 4
DIGITS = 4
EXACT_POWER = 22  # the largest power of ten that is a double


def exceeds_rounding(difference: ArrayLike, size: ArrayLike) -> NDArray[np.bool_]:
    """Whether differences of floating-point values are larger than rounding errors; False for NaN.

    Parameters
    ----------
    difference : array
        Differences of values.
    size : array of the same shape, or one that is broadcast to it
        The values, or their magnitudes.

    Returns
    -------
    array of bool, of the common shape

    Examples
    --------
    >>> exceeds_rounding([0.1 + 0.2 - 0.3, 1e-9], 0.3).tolist()
    [False, True]
    """
    difference = np.asarray(difference)
    eps = np.finfo(difference.dtype if difference.dtype.kind == "f" else np.float64).eps
    return np.asarray(np.abs(difference) > ULPS * eps * np.abs(size))


def without_rounding(values: NDArray) -> NDArray:
    """Return numbers in which those that differ by rounding alone are equal; other values as they are.

    Examples
    --------
    >>> without_rounding(np.array([0.1 + 0.2, 0.3, 1.0, np.nan])).tolist()
    [0.3, 0.3, 1.0, nan]
    """
    if values.dtype.kind != "f":
        return values
    is_finite = np.isfinite(values)
    distinct = np.unique(values[is_finite])
    starts = np.append(True, exceeds_rounding(np.diff(distinct), distinct[1:]))[: len(distinct)]
    result = values.copy()
    result[is_finite] = distinct[starts][(np.cumsum(starts) - 1)[np.searchsorted(distinct, values[is_finite])]]
    return result


def in_own_units(values: NDArray) -> NDArray:
    """Return numbers from the first one in units of their largest difference; 0 if they differ by rounding alone.

    Squares of such numbers neither overflow nor vanish, and correlations are the same as before.

    Examples
    --------
    >>> in_own_units(np.array([1e-200, 3e-200, 2e-200])).tolist()
    [0.0, 1.0, 0.5]
    >>> in_own_units(np.array([0.3, 0.1 + 0.2])).tolist()
    [0.0, 0.0]
    """
    halves = np.asarray(values, dtype=np.float64) / 2.0  # so that differences do not overflow
    differences = halves - halves[:1]
    largest = np.abs(differences).max(initial=0.0)
    if not exceeds_rounding(largest, np.abs(halves).max(initial=0.0)):
        return np.zeros_like(halves)
    return np.asarray(differences / largest)


def significant(values: NDArray, digits: int = DIGITS) -> NDArray:
    """Return numbers rounded to significant digits, so that their text has no more digits.

    Examples
    --------
    >>> significant(np.array([0.0123456, 123456.0, 0.0, 4.454e-199])).tolist()
    [0.01235, 123500.0, 0.0, 4.454e-199]
    """
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values) & (values != 0.0)
    power = np.floor(np.log10(np.abs(values, where=known, out=np.ones_like(values))))
    decimals = digits - 1 - power
    up, down = 10.0 ** np.clip(decimals, 0, EXACT_POWER), 10.0 ** np.clip(-decimals, 0, EXACT_POWER)
    rounded = np.where(known, np.round(values * up / down) / up * down, values)
    inexact = np.flatnonzero(known & (np.abs(decimals) > EXACT_POWER))  # powers of ten that are no double
    rounded.flat[inexact] = [float(f"{value:.{digits}g}") for value in values.flat[inexact]]
    return rounded
