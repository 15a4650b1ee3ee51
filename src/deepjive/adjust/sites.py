"""Empirical-Bayes shift and scale of sites (ComBat).

Feature j of sample i at site s is ``x_ij = a_j + b_j' c_i + sigma_j (g_sj + d_sj e_ij)`` with other confounds ``c_i``.
A site's shift ``g_sj`` and variance ``d_sj^2`` are estimated from the site's samples, and shrunk over the features of a
modality: shifts towards a normal prior, variances towards an inverse gamma prior.

Source: Johnson, Li and Rabinovic 2007, Adjusting batch effects in microarray expression data using empirical Bayes
methods, Biostatistics 8(1), section 3.2. neuroCombat computes the same values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ENOUGH = 1e-4
MOST_STEPS = 1000


def shrunken(count: NDArray, means: NDArray, squares: NDArray, varies: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    """Shift and variance of each feature at one site, from standardized values.

    Parameters
    ----------
    count, means, squares : array, shape (n_features,)
        Number and mean of the site's values, in units of ``sigma_j`` from ``a_j + b_j' c_i``, and their sum of squares
        about this mean.
    varies : array of bool, shape (n_features,)
        Features that vary; the others get shift 0 and variance 1, and have no part in the priors.

    Returns
    -------
    shift, variance : array, shape (n_features,)
    """
    shift, variance = np.zeros(len(count)), np.ones(len(count))
    n, mean, within = count[varies], means[varies], squares[varies]
    own = within / (n - 1)
    spread_of_means = float(mean.var(ddof=1)) if len(mean) > 1 else 0.0
    spread = float(own.var(ddof=1)) if len(own) > 1 else 0.0
    if spread_of_means == 0.0 or spread == 0.0:  # no prior can be learned: the site's values as they are
        shift[varies], variance[varies] = mean, np.where(own > 0.0, own, 1.0)
        return shift, variance
    centre, average = float(mean.mean()), float(own.mean())
    shape = (2 * spread + average**2) / spread
    rate = (average * spread + average**3) / spread
    g, d = mean.copy(), own.copy()
    for _ in range(MOST_STEPS):
        new_g = (spread_of_means * n * mean + d * centre) / (spread_of_means * n + d)
        around = within + n * np.square(mean - new_g)
        new_d = (0.5 * around + rate) / (n / 2.0 + shape - 1.0)
        change = max(_change(new_g, g), _change(new_d, d))
        g, d = new_g, new_d
        if change <= ENOUGH:
            break
    shift[varies], variance[varies] = g, d
    return shift, variance


def _change(new: NDArray, old: NDArray) -> float:
    return float(np.max(np.abs(new - old) / np.maximum(np.abs(old), 1e-300)))
