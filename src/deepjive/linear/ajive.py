"""AJIVE: joint and individual variation from the angles between score subspaces.

Each modality is replaced by its leading left singular vectors, its signal scores. A direction is joint if it lies in
all of these subspaces, up to the angles that noise and chance can cause. See `deepjive.linear.angles` for the steps and
`deepjive.linear.bounds` for the bounds on these angles.

Sources:

- Feng, Jiang, Hannig, Marron 2018, Angle-based joint and individual variation explained, J. Multivariate Analysis 166.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deepjive.linear.angles import AngleBased, Signal
from deepjive.progress import Progress, silent


class AJIVE(AngleBased):
    """Angle-based joint and individual variation explained.

    Parameters
    ----------
    signal_ranks : int, dict of str to int, or "auto", default="auto"
        Number of components of each modality before they are split into joint and individual ones. "auto" uses
        `rank_rule`, or the sum of the joint and the individual rank if both are given.
    joint_rank : int or "auto", default="auto"
        Number of joint components. "auto" counts the singular values above both bounds and drops the directions that
        are not identifiable.
    individual_ranks : int, dict of str to int, or "auto", default="auto"
        Number of individual components of each modality. "auto" counts the singular values above the modality's
        threshold.
    rank_rule : {"gavish_donoho", "bicrossvalidation"}, default="gavish_donoho"
        Rule for the signal ranks; see `deepjive.linear.signal_ranks`. "gavish_donoho" needs no draws and assumes white
        noise. "bicrossvalidation" also holds for noise that differs between features or between samples.
    n_wedin, n_random : int, default=1000
        Number of draws of the Wedin and of the random-direction bound.
    transformation : str, dict of str to str, or None, default=None
        Transformation of the values of all modalities, or of some: "log1p", "log_cpm", "clr", "arcsinh", "logit" or
        "rank_normal"; see `deepjive.adjust.transformations`. What a transformation needs to know is learned from the
        fitted samples. Parts of a transformed modality are in the units of the transformation, and `impute` returns
        the units of the input.
    scale : {"modality", "features", "robust"}, dict of str to these, or None, default="modality"
        Scale of the features; see `deepjive.adjust.units`. "features" divides each feature by its standard deviation,
        and "robust" by its interquartile range. "modality" leaves the proportions of the features as they are. Parts
        are returned in the units of the input. The scale of a whole modality does not matter to this method, so that
        None is the same as "modality".
    center : bool, default=True
        Whether features are centred.
    mask : dict of str to array of bool, optional
        For modalities of images, the features that count, in the shape of one sample. Outside the mask, loadings are 0
        and the joint part is the mean; values outside that are not finite are read as 0.
    missing : {"error", "impute"}, default="error"
        What happens with missing values (NaN) and, in `fit`, with samples that lack a modality. "error" raises an
        error. "impute" fills them in from the measured values; see `deepjive.linear.gaps`. The bounds are then those of
        the complete samples, and modalities with missing values are read into memory.
    subsets : None, "auto", list of tuple of str, or dict of tuple of str to int, default=None
        Subsets of three or more modalities that have variation of their own, such as ``[("rna", "protein")]``. "auto"
        tries all subsets of at most five modalities, and a dict gives ranks. See ``deepjive.linear.shared_directions``
        for the choice of ranks and ``deepjive.linear.structured`` for the fit.
    device : str, default="cpu"
        Device of the large products: "cpu", or "cuda" through torch.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the draws.

    Attributes
    ----------
    signal_ranks_, individual_ranks_ : dict of str to int
        Number of components of each modality.
    joint_rank_ : int
        Number of joint components.
    common_normalized_scores_ : array, shape (n_samples, joint_rank)
        Orthonormal joint scores of the fitted samples; `joint_scores_` is ``sqrt(n_samples)`` times these.
    joint_singular_values_ : array, shape (sum of signal ranks or n_samples, the smaller)
        Singular values of the stacked signal scores.
    wedin_samples_, random_samples_ : array, shape (n_draws,)
        Draws of the two bounds of the *squared* singular values.
    wedin_cutoff_, random_cutoff_ : float
        Their 5th and 95th percentile; a joint direction exceeds both.
    rejected_ : dict of str to list of int
        For each modality, numbers of the directions that exceed both cutoffs but are too weak to be identified there.
    singular_values_ : dict of str to array
        All singular values of each modality, in data units.
    thresholds_ : dict of str to float
        Threshold between the singular values of signal and of noise, in data units.
    joint_scores_, individual_scores_, joint_loadings_, individual_loadings_, variance_explained_, component_variance_,
    residual_std_, noise_std_, lengths_, products_, filled_shares_
        See `deepjive.linear.linear_model.LinearModel`.
    signal_scores_, signal_loadings_ : dict of str to array
        Scores (n_samples, signal_rank) and loadings (signal_rank, ...) of each modality's leading components. New
        samples are projected on these loadings.
    weights_ : array, shape (n_modalities,)
        Weights of the modalities: ones.
    structured_ : StructuredModel
        Only if subsets have components: the model of all parts, instead of `signal_scores_` and `signal_loadings_`.
    subset_ranks_ : dict of tuple of str to int
        With `subsets`: number of components of each subset, that of all modalities among them.
    subset_scores_ : dict of tuple of str to array, shape (n_samples, rank)
        With `subsets`: scores of the fitted samples, of subsets with components.
    subset_loadings_ : dict of tuple of str to dict of str to array, shape (rank, ...)
        With `subsets`: loadings of each modality of a subset, in data units.
    mean_ : dict of str to array
        Mean sample of each modality.

    See Also
    --------
    deepjive.HeteroJIVE : AJIVE with weights for modalities of unequal signal-to-noise ratio.
    deepjive.JIVE : Joint and individual variation by alternating low-rank approximation.
    deepjive.permutation_test : Test how many components are joint.
    deepjive.bootstrap : Intervals for variance explained and loadings.

    Notes
    -----
    The joint scores of a new sample with all modalities are its signal scores times regression coefficients. The
    coefficients are those of the least-squares regression of the fitted samples' joint scores on their signal scores.
    This regression is exact, so that the fitted samples get the scores of the fit. Individual scores are computed from
    the remainder, along the individual loadings. Scores of a sample that lacks modalities are shrunk; see
    ``deepjive.linear.partial_scores``.

    References
    ----------
    Feng, Jiang, Hannig, Marron 2018, Angle-based joint and individual variation explained, J. Multivariate Analysis
    166.

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

        Warns
        -----
        NoSignalWarning
            If the joint rank is found to be 0 and a modality has no signal.
        """
        return self._fit(X, equal_weights, progress)


def equal_weights(signals: Sequence[Signal]) -> NDArray:
    """Return weight 1 for every modality."""
    return np.ones(len(signals))
