"""AJIVE: joint and individual variation from the angles between score subspaces.

Each modality is replaced by its leading left singular vectors, its signal scores. A direction that lies, up to what
noise and chance may do, in all of these subspaces is joint; see `deepjive.linear.angles` for the steps and
`deepjive.linear.bounds` for what noise and chance may do.

Feng, Jiang, Hannig, Marron 2018, Angle-based joint and individual variation explained, J. Multivariate Analysis 166.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deepjive.linear.angles import AngleBased, Signal


class AJIVE(AngleBased):
    """Angle-based joint and individual variation explained.

    Parameters
    ----------
    signal_ranks : int, dict of str to int, or "auto"
        Components of each modality before the split. "auto" is `rank_rule`, or the sum of the joint and the
        individual rank where both are given.
    joint_rank : int or "auto"
        Joint components. "auto" counts the singular values above both bounds and drops what is not identifiable.
    individual_ranks : int, dict of str to int, or "auto"
        Individual components of each modality. "auto" counts the singular values above the modality's threshold.
    rank_rule : {"gavish_donoho", "parallel"}
        Rule for the signal ranks; see `deepjive.linear.signal_ranks`.
    n_wedin, n_random : int
        Draws of the Wedin and of the random-direction bound.
    center : bool
        Whether features are centred.
    mask : dict of str to array of bool, optional
        For modalities of images, the features that count, in the shape of one sample. Outside, loadings are 0 and the
        joint part is the mean.
    missing : {"error", "impute"}
        What is done about missing values (NaN) and, in `fit`, about samples that lack a modality: an error, or they are
        filled in from what was measured; see `deepjive.linear.gaps`. The bounds are those of the complete samples.
        Modalities with missing values are read into memory.
    device : str
        Where the large products are computed: "cpu", or "cuda" through torch.
    random_state : int, RandomState, Generator or None
        Seed of the draws.

    Attributes
    ----------
    signal_ranks_, individual_ranks_ : dict of str to int
        Components of each modality.
    joint_rank_ : int
        Joint components.
    common_normalized_scores_ : array, shape (n_samples, joint_rank)
        Orthonormal joint scores of the samples fitted; `joint_scores_` is ``sqrt(n_samples)`` times these.
    joint_singular_values_ : array, shape (sum of signal ranks or n_samples, the smaller)
        Singular values of the stacked signal scores.
    wedin_samples_, random_samples_ : array, shape (n_draws,)
        Draws of the two bounds of the *squared* singular values.
    wedin_cutoff_, random_cutoff_ : float
        Their 5th and 95th percentile; a joint direction exceeds both.
    rejected_ : dict of str to list of int
        Directions above both cutoffs that are too weak in a modality to be identified there, by number.
    singular_values_ : dict of str to array
        All singular values of each modality, in data units.
    thresholds_ : dict of str to float
        Singular values above it are signal, in data units.
    joint_scores_, individual_scores_, joint_loadings_, individual_loadings_, variance_explained_, component_variance_,
    residual_std_, filled_shares_
        See `deepjive.linear.linear_model.LinearModel`.
    signal_scores_, signal_loadings_ : dict of str to array
        The leading components of each modality, (n_samples, signal_rank) and (signal_rank, ...): what new samples are
        projected on.
    weights_ : array, shape (n_modalities,)
        Weights of the modalities: ones.
    mean_ : dict of str to array
        Mean sample of each modality.

    Notes
    -----
    Scores of a new sample: its signal scores in the modalities it has, times the coefficients of the least-squares
    regression of the joint scores on those signal scores over the samples fitted. With all modalities that regression
    is exact, so that the samples fitted get the scores of the fit. Individual scores are what is left along the
    individual loadings.

    Examples
    --------
    >>> import numpy as np
    >>> from deepjive import AJIVE
    >>> rng = np.random.default_rng(0)
    >>> joint = rng.normal(size=(100, 1))
    >>> data = {
    ...     name: np.hstack([joint, rng.normal(size=(100, 1))]) @ rng.normal(size=(2, d)) + rng.normal(size=(100, d))
    ...     for name, d in {"expression": 200, "methylation": 50}.items()
    ... }
    >>> model = AJIVE(random_state=0).fit(data)
    >>> model.joint_rank_, model.individual_ranks_
    (1, {'expression': 1, 'methylation': 1})
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to Modalities `X`; `y` is not used.

        Raises
        ------
        ValueError
            For ranks that the data do not have, infinite values, and, unless `missing` is "impute", for NaN and samples
            that lack a modality.
        """
        return self._fit(X, equal_weights)


def equal_weights(signals: Sequence[Signal]) -> NDArray:
    """One for every modality."""
    return np.ones(len(signals))
