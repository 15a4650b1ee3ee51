"""HeteroJIVE: AJIVE for modalities of unequal signal-to-noise ratio.

AJIVE gives all modalities' signal scores the same weight. Let ``e_k`` be the expected squared error of modality k's
signal subspace, and let the errors of different modalities be independent. Among the combinations ``sum_k w_k P_k`` of
the projections ``P_k = U_k U_k'``, the joint directions have the least error if ``w_k`` is proportional to ``1 / e_k``,
as in any average of independent estimates of one quantity.

HeteroJIVE (arXiv 2512.02866) is a weighted two-stage spectral method with weights from the data. **The weights below
are our own derivation**, not a transcription of that paper's weights. Let the noise be white with variance ``s^2``, and
``c = n / d``. A component of strength ``t`` is observed with the singular value ``y s sqrt(d)``,
``y^2 = (1 + t^2)(c + t^2) / t^2``, and its left singular vector has the expected squared sine

    e = c (1 + t^2) / (t^2 (t^2 + c)),        e = 1 where y^2 <= (1 + sqrt(c))^2.

``e_k`` is the mean over the components of modality k. ``s`` follows from the median singular value, as in Gavish and
Donoho's threshold. Both bounds are drawn with the same weights. A direction is dropped as not identifiable if the
modalities in which it is too weak have together at least half of an average modality's weight. With equal weights this
is AJIVE's rule. A modality that is nearly all noise cannot make the model drop a direction.

Sources:

- HeteroJIVE 2025, arXiv 2512.02866.
- Benaych-Georges and Nadakuditi 2012, The singular values and vectors of low rank perturbations of large rectangular
  random matrices, J. Multivariate Analysis 111, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deepjive.linear.angles import AngleBased, Signal
from deepjive.linear.signal_ranks import marchenko_pastur_median
from deepjive.progress import Progress, silent

LEAST_ERROR = 1e-6


class HeteroJIVE(AngleBased):
    """AJIVE with weights: modalities whose signal is estimated more accurately count more.

    Parameters
    ----------
    signal_ranks, joint_rank, individual_ranks, rank_rule, n_wedin, n_random
        As in `deepjive.AJIVE`.
    transformation, scale, center, mask, missing, subsets, device, random_state
        As in `deepjive.AJIVE`.

    Attributes
    ----------
    weights_ : array, shape (n_modalities,)
        Weights of the modalities, in order. Their sum is the number of modalities. The derivation is ours; see the
        module's docstring.
    subspace_errors_ : dict of str to float
        Estimated mean squared sine between each modality's signal scores and the truth, between 1e-6 and 1.
    rejected_ : dict of str to list of int
        For each modality, numbers of the directions that exceed both cutoffs but are too weak to be identified there. A
        direction is dropped only if these modalities have enough weight together.

    See Also
    --------
    deepjive.AJIVE : The same steps with equal weights.

    Notes
    -----
    Other attributes and the scores of new samples are those of `deepjive.AJIVE`. Singular values and bounds are those
    of the weighted scores.

    References
    ----------
    HeteroJIVE 2025, arXiv 2512.02866.

    Examples
    --------
    >>> import numpy as np
    >>> from deepjive import HeteroJIVE
    >>> rng = np.random.default_rng(0)
    >>> joint = rng.normal(size=(100, 1))
    >>> data = {
    ...     name: joint @ rng.normal(size=(1, 200)) + noise * rng.normal(size=(100, 200))
    ...     for name, noise in {"clean": 1.0, "noisy": 3.0}.items()
    ... }
    >>> model = HeteroJIVE(signal_ranks=1, random_state=0).fit(data)
    >>> bool(model.weights_[0] > 5 * model.weights_[1])
    True
    """

    subspace_errors_: dict[str, float]

    def fit(self, X: Any, y: Any = None, *, progress: Progress = silent) -> Self:
        """Fit to Modalities `X`; `y` is not used.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            The data.
        y : None
            Not used.
        progress : callable, default=silent
            Called as ``progress(done, total, message)`` after every step.

        Raises
        ------
        ValueError
            If the data do not have the ranks, or if values are infinite. Unless `missing` is "impute", also for NaN and
            for samples that lack a modality.
        """
        return self._fit(X, self._inverse_errors, progress)

    def _inverse_errors(self, signals: Sequence[Signal]) -> NDArray:
        """Weights proportional to the inverse subspace errors."""
        self.subspace_errors_ = {signal.name: _subspace_error_of(signal, signal.svd.values) for signal in signals}
        return _weights_of(self.subspace_errors_)

    def _weights_after(self, changed: Signal) -> NDArray:
        error = _subspace_error_of(changed, changed.reduced.all_values())
        return _weights_of({**self.subspace_errors_, changed.name: error})


def subspace_error(values: NDArray, rank: int, n_samples: int, n_features: int) -> float:
    """Mean squared sine between estimated and true left singular vectors under white noise.

    Parameters
    ----------
    values : array, shape (at least min(n_samples, n_features),)
        All singular values, in decreasing order.
    rank : int
        Number of leading vectors; for rank 0 the error is 1.
    n_samples, n_features : int
        Shape of the matrix. A centred matrix of n samples counts n - 1 samples, and features that do not vary do not
        count.

    Returns
    -------
    float
        Between 0 and 1.
    """
    if rank == 0:
        return 1.0
    short, long = sorted((n_samples, n_features))
    ratio = n_samples / n_features
    noise = np.median(values[:short]) / np.sqrt(long * marchenko_pastur_median(short / long))
    if noise <= np.finfo(np.float64).eps * values[0]:  # the noise is rounding, whose square may underflow
        return 0.0
    excess = (values[:rank] / noise) ** 2 / n_features - 1.0 - ratio
    detectable = excess > 2.0 * np.sqrt(ratio)
    root = np.sqrt(np.where(detectable, excess**2 - 4.0 * ratio, 0.0))
    strength = np.where(detectable, (excess + root) / 2.0, 1.0)
    errors = ratio * (1.0 + strength) / (strength * (strength + ratio))
    return float(np.mean(np.where(detectable, np.minimum(errors, 1.0), 1.0)))


def _subspace_error_of(signal: Signal, values: NDArray) -> float:
    """Subspace error of a signal, from all singular values of its modality."""
    reduced = signal.reduced
    values = np.where(values > reduced.smallest_beside(float(values.max(initial=0.0))), values, 0.0)
    n_samples = reduced.n_samples - 1 if signal.pieces.center else reduced.n_samples
    return max(subspace_error(values, signal.rank, n_samples, reduced.n_varying), LEAST_ERROR)


def _weights_of(errors: dict[str, float]) -> NDArray:
    inverse = 1.0 / np.array(list(errors.values()))
    return np.asarray(inverse * len(inverse) / inverse.sum())
