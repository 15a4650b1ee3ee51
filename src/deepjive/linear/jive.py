"""JIVE: joint and individual variation by alternating low-rank approximation.

    minimize  sum_k |X_k - J_k - I_k|^2 / |X_k|^2     with  J = [J_1 .. J_K] of rank r,  I_k of rank r_k,

where the scores of ``J`` are orthogonal to the scores of every ``I_k``, and by default the scores of different ``I_k``
are orthogonal to one another; see `deepjive.linear.alternation`. Modalities are centred and divided by their length
(Frobenius norm), so that a wide modality does not decide what is joint. Ranks are given by the user, or chosen by
permutation tests or BIC; see `deepjive.linear.jive_ranks`.

Sources:

- Lock, Hoadley, Marron, Nobel 2013, Joint and individual variation explained (JIVE) for integrated analysis of multiple
  data types, Annals of Applied Statistics 7(1).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from deepjive.adjust.units import Scale, Transformations, has_equal_weights
from deepjive.base import Scores
from deepjive.data.groups import check_one_each
from deepjive.data.modalities import Modalities
from deepjive.linear.alternation import Alternation, alternate
from deepjive.linear.bounds import generator
from deepjive.linear.factor import Factor, free_dimensions, make_factor, of_common_length
from deepjive.linear.gaps import fit_with_gaps, has_gaps
from deepjive.linear.jive_ranks import FixedRanks, RankSearch, bic_search, checked_rule, permutation_search
from deepjive.linear.linear_model import LinearModel
from deepjive.linear.partial_scores import partial_scores
from deepjive.linear.streaming import Pieces, checked_masks
from deepjive.linear.svd import project, row_norms
from deepjive.progress import Progress, silent
from deepjive.threads import one_thread_if_small
from deepjive.validation import check_ranks

NOT_CONVERGED = (
    "JIVE did not converge in max_iter={max_iter} iterations for joint rank {joint} and individual ranks {individual}. "
    "{other}Raise max_iter or tol, or lower the ranks."
)
OTHER_SCORES = (
    "Scores that are computed from samples differ from those of the fit by up to {difference:.2g} standard deviations, "
    "so that the parts of fitted samples are not those of the fit either. "
)
TOO_FEW_ITERATIONS = "max_iter is {given!r}, but must be an integer of at least 2: the first iteration is a start only."
TOO_FEW_JOINT = (
    "joint_rank is {given}, but without the individual parts all modalities together have only {limit} dimensions. "
    "Use a joint_rank of at most {limit}, or smaller individual_ranks."
)
NOT_REPRODUCED = (
    "Scores that are computed from samples differ from those of the fit by up to {difference:.2g} standard deviations, "
    "because the modalities, or their components, differ too much in size. Use scale='modality', transform values of "
    "very different sizes (such as counts, by transformation='log_cpm'), or lower the ranks."
)
NOT_COMPUTED = (
    "The scores of the fitted samples cannot be computed again from the samples, because the modalities differ too "
    "much in size. Use scale='modality', or other units."
)
TOO_FEW_LEFT = (
    "individual_ranks[{name!r}] is {given}, but without the joint part and the other modalities' individual parts the "
    "modality has only {limit} dimensions. Use at most {limit}, or orthogonal_individual=False."
)


REPRODUCED = 0.02  # standard deviations
WEAK = 1e-3  # the factor has errors of about 1e-13, which such loadings multiply by 1e6


class JIVE(LinearModel):
    """Joint and individual variation explained, by alternating low-rank approximation.

    Parameters
    ----------
    joint_rank : int, "permutation", "bic" or "auto", default="permutation"
        Number of joint components, or the rule that chooses it. "auto" is "permutation".
    individual_ranks : int, dict of str to int, "permutation", "bic" or "auto", default="permutation"
        Number of individual components of each modality, or the rule that chooses it. One rule serves both parameters.
        Either may be given as a number while the other is searched.
    transformation : str, dict of str to str, or None, default=None
        As in `deepjive.AJIVE`.
    scale : {"modality", "features", "robust"}, dict of str to these, or None, default="modality"
        Scale of the data; see `deepjive.adjust.units`. "features" divides each feature by its standard deviation, and
        "robust" by its interquartile range. Modalities are divided by their length (Frobenius norm), unless `scale` is
        None.
    orthogonal_individual : bool, default=True
        Whether the individual parts are orthogonal to one another. Otherwise they may share variation that the joint
        part then lacks.
    n_permutations : int, default=100
        Number of permutations in each test of a rank.
    alpha : float, default=0.05
        Level of each test of a rank.
    max_iter : int, default=1000
        Largest number of iterations of one estimation.
    tol : float, default=1e-6
        An estimation ends when neither part changes by more than this, relative to the length of the data.
    center, mask, missing, device
        As in `deepjive.AJIVE`.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the permutations.

    Attributes
    ----------
    joint_rank_ : int
        Number of joint components.
    individual_ranks_ : dict of str to int
        Number of individual components of each modality.
    joint_scores_, individual_scores_, joint_loadings_, individual_loadings_, variance_explained_, component_variance_,
    residual_std_, noise_std_, lengths_, products_, filled_shares_
        See `deepjive.linear.linear_model.LinearModel`.
    rank_history_ : array, shape (n_rounds, 1 + n_modalities)
        Joint and individual ranks after each round of the permutation tests or step of the BIC search.
    n_iter_ : int
        Number of iterations of the last estimation.
    signal_scores_ : dict of str to array, shape (n_samples, joint_rank + individual_rank)
        Leading scores of each modality, with mean 0 and variance 1. Permutation tests of the joint components permute
        these scores.
    mean_ : dict of str to array
        Mean sample of each modality.

    See Also
    --------
    deepjive.AJIVE : The angle-based method, without iterations.
    deepjive.permutation_test : Test how many components are joint.
    deepjive.bootstrap : Intervals for variance explained and loadings.

    Notes
    -----
    Scores of a new sample with all modalities follow from two kinds of products: the sum over its modalities of the
    products ``x_k L_k'`` with their joint loadings, and the products with the individual loadings. The scores are these
    products times regression coefficients. The coefficients are those of the least-squares regression of the fitted
    samples' scores on their products. At the optimum, scores are a linear function of the products. The fitted samples
    therefore get the scores of the fit, up to `tol`. Scores of a sample that lacks modalities are shrunk; see
    ``deepjive.linear.partial_scores``.

    Individual parts that are orthogonal to one another (the default here and in r.jive) keep the angle between them
    that the first steps leave, because every orthogonal pair is a fixed point of the alternation. If the true parts are
    uncorrelated, this can move some of their variance to the residual. ``orthogonal_individual=False`` does not have
    this error.

    References
    ----------
    Lock, Hoadley, Marron, Nobel 2013, Joint and individual variation explained (JIVE) for integrated analysis of
    multiple data types, Annals of Applied Statistics 7(1).

    O'Connell and Lock 2016, R.JIVE for exploration of multi-source molecular data, Bioinformatics 32.

    Examples
    --------
    >>> import numpy as np
    >>> from deepjive import JIVE
    >>> rng = np.random.default_rng(0)
    >>> joint = rng.normal(size=(100, 1))
    >>> data = {
    ...     name: np.hstack([joint, rng.normal(size=(100, 1))]) @ rng.normal(size=(2, d)) + rng.normal(size=(100, d))
    ...     for name, d in {"expression": 200, "methylation": 50}.items()
    ... }
    >>> model = JIVE(joint_rank="bic", individual_ranks="bic", tol=1e-4).fit(data)
    >>> model.joint_rank_, model.individual_ranks_
    (1, {'expression': 1, 'methylation': 1})
    """

    _rank_evidence = ("rank_history_",)
    signal_scores_: dict[str, NDArray]

    def __init__(
        self,
        *,
        joint_rank: Any = "permutation",
        individual_ranks: Any = "permutation",
        transformation: Transformations = None,
        scale: Scale = "modality",
        orthogonal_individual: bool = True,
        n_permutations: int = 100,
        alpha: float = 0.05,
        max_iter: int = 1000,
        tol: float = 1e-6,
        center: bool = True,
        mask: dict[str, NDArray[np.bool_]] | None = None,
        missing: str = "error",
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.joint_rank = joint_rank
        self.individual_ranks = individual_ranks
        self.transformation = transformation
        self.scale = scale
        self.orthogonal_individual = orthogonal_individual
        self.n_permutations = n_permutations
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.center = center
        self.mask = mask
        self.missing = missing
        self.device = device
        self.random_state = random_state

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
            If the data do not have the ranks, if values are infinite, or if permutations choose the ranks and there are
            several samples of a participant. Unless `missing` is "impute", also for NaN and for samples that lack a
            modality.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If `max_iter` was reached.
        UserWarning
            If the fitted samples do not get the scores of the fit, because components differ too much in size.
        """
        data = self._checked_for_fit(X)
        with one_thread_if_small(len(data), data.shapes):
            return self._fit_checked(data, progress)

    def _fit_checked(self, data: Modalities, progress: Progress) -> Self:
        if self.missing == "impute" and has_gaps(data):
            fitted: Self = fit_with_gaps(self, data, progress=progress)
            return fitted
        if not isinstance(self.max_iter, (int, np.integer)) or self.max_iter < 2:
            raise ValueError(TOO_FEW_ITERATIONS.format(given=self.max_iter))
        rule = checked_rule(self.joint_rank, self.individual_ranks)
        fixed = self._fixed_ranks(data, rule)
        factors = self._factors(data)
        if self._excess(fixed, factors):
            factors = self._factors(data, exact=True)
            if excess := self._excess(fixed, factors):
                raise ValueError(excess)
        search = self._search(factors, fixed, rule, progress)
        weakest = zip(factors, search.estimate.individual, strict=True)
        if not all(factor.is_accurate_along(scores) for factor, scores in weakest):
            factors = self._factors(data, exact=True)
            search = self._search(factors, fixed, rule, progress)
        self._check_estimate(search.estimate, fixed, factors)
        self._keep(data, factors, search)
        self._warn_of_doubts(search.estimate)
        return self

    def _fixed_ranks(self, data: Modalities, rule: str) -> FixedRanks:
        """Ranks that the user gave as numbers."""
        joint, individual = (rule if isinstance(r, str) else r for r in (self.joint_rank, self.individual_ranks))
        joint_rank, individual_ranks = check_ranks(data, joint, individual, auto=rule)
        if rule == "permutation" and (joint_rank is None or individual_ranks is None):
            check_one_each(len(data), data.n_participants, "JIVE's search for ranks by permutations")
        return FixedRanks(joint_rank, None if individual_ranks is None else list(individual_ranks.values()))

    def _factors(self, data: Modalities, exact: bool = False) -> list[Factor]:
        masks = checked_masks(self.mask, data.shapes)
        factors = [
            make_factor(name, Pieces(array, masks[name], self.center, data.magnitudes.get(name)), self.device, exact)
            for name, array in data.items()
        ]
        return factors if has_equal_weights(self.scale) else of_common_length(factors)

    def _search(self, factors: list[Factor], fixed: FixedRanks, rule: str, progress: Progress) -> RankSearch:
        """Choose the ranks that are not given, and estimate the parts with these ranks."""
        matrices = [factor.matrix for factor in factors]

        def estimate(
            joint_rank: int, individual_ranks: Sequence[int], orthogonal: bool, progress: Progress = silent
        ) -> Alternation:
            return alternate(
                matrices,
                joint_rank,
                individual_ranks,
                orthogonal=orthogonal,
                max_iter=self.max_iter,
                tol=self.tol,
                progress=progress,
            )

        final = partial(estimate, orthogonal=self.orthogonal_individual)

        if fixed.joint is not None and fixed.individual is not None:
            ranks = [fixed.joint, *fixed.individual]
            return RankSearch(final(ranks[0], ranks[1:], progress=progress), np.array([ranks]))
        if rule == "bic":
            found = bic_search(factors, partial(estimate, orthogonal=False), fixed, progress=progress)
            if not self.orthogonal_individual:
                return found
            ranks = found.history[-1].tolist()
            return found._replace(estimate=final(ranks[0], ranks[1:]))
        rng = generator(self.random_state)
        return permutation_search(factors, final, fixed, self.n_permutations, self.alpha, rng, progress=progress)

    def _excess(self, fixed: FixedRanks, factors: list[Factor]) -> str:
        """Name a given rank that exceeds the dimensions of the data, whose scores would be rounding errors."""
        joint_rank, ranks = fixed.joint or 0, fixed.individual or [0] * len(factors)
        n_free = free_dimensions(factors, joint_rank + sum(ranks))
        if joint_rank > (limit := min(n_free, sum(factor.rank for factor in factors))):
            return TOO_FEW_JOINT.format(given=joint_rank, limit=limit)
        for factor, rank in zip(factors, ranks, strict=True):
            others = sum(ranks) - rank if self.orthogonal_individual else 0
            limit = max(min(factor.rank - joint_rank, n_free - joint_rank - others), 0)
            if rank > limit:
                return TOO_FEW_LEFT.format(name=factor.name, given=rank, limit=limit)
        return ""

    def _check_estimate(self, estimate: Alternation, fixed: FixedRanks, factors: list[Factor]) -> None:
        """Raise an error if the data do not have the given ranks."""
        if fixed.joint is not None and fixed.joint > (limit := estimate.joint.shape[1]):
            raise ValueError(TOO_FEW_JOINT.format(given=fixed.joint, limit=limit))
        for k, (factor, scores) in enumerate(zip(factors, estimate.individual, strict=True)):
            if fixed.individual is not None and fixed.individual[k] > (limit := scores.shape[1]):
                raise ValueError(TOO_FEW_LEFT.format(name=factor.name, given=fixed.individual[k], limit=limit))

    def _keep(self, data: Modalities, factors: list[Factor], search: RankSearch) -> None:
        """Set the fitted attributes."""
        estimate, unit = search.estimate, np.sqrt(len(data))
        individual = dict(zip(data.names, estimate.individual, strict=True))
        self.shapes_ = data.shapes
        self._keep_names(data)
        self.joint_rank_ = estimate.joint.shape[1]
        self.individual_ranks_ = {name: scores.shape[1] for name, scores in individual.items()}
        self.rank_history_, self.n_iter_ = search.history, estimate.n_iter
        self.joint_scores_ = np.multiply(unit, estimate.joint, order="C")  # as it is loaded
        self.individual_scores_ = {name: np.multiply(unit, scores, order="C") for name, scores in individual.items()}
        self.mean_, self.joint_loadings_, self.individual_loadings_ = {}, {}, {}
        self.lengths_, self.signal_scores_, self.products_, self.feature_residual_std_ = {}, {}, {}, {}
        for factor in factors:
            self._keep_loadings(factor, estimate.joint, individual[factor.name])
            if self._has_weak_loadings(factor):
                self.products_[factor.name] = self._products(data, factor.name)
        reduced = {factor.name: factor.reduced for factor in factors}
        self._set_variance(
            {name: r.lengths(estimate.joint) ** 2 / r.total for name, r in reduced.items()},
            {name: r.lengths(individual[name]) ** 2 / r.total for name, r in reduced.items()},
            reduced,
        )

    def _keep_loadings(self, factor: Factor, joint: NDArray, individual: NDArray) -> None:
        """Set the mean, the loadings and the products of one modality from orthonormal scores (n_samples, rank)."""
        name, shape, unit = factor.name, self.shapes_[factor.name], np.sqrt(len(joint))
        self.lengths_[name] = factor.length
        self.signal_scores_[name] = unit * factor.reduced.leading(joint.shape[1] + individual.shape[1]).vectors
        scores = np.concatenate([joint, individual], axis=1)
        loadings, mean, deviation = project(factor.pieces, scores, self.device)
        loadings /= unit
        self.mean_[name] = mean.reshape(shape)
        self.joint_loadings_[name] = loadings[: self.joint_rank_].reshape(-1, *shape)
        self.individual_loadings_[name] = loadings[self.joint_rank_ :].reshape(-1, *shape)
        self.products_[name] = factor.matrix @ (factor.matrix.T @ scores) / unit
        self._keep_residual(name, deviation)

    def _has_weak_loadings(self, factor: Factor) -> bool:
        """Whether products with a loading are so small that rounding errors of the factor reach them."""
        parts = (self.joint_loadings_[factor.name], self.individual_loadings_[factor.name])
        loadings = np.concatenate([part.reshape(len(part), factor.pieces.width) for part in parts])
        whole = float(np.sqrt(factor.reduced.total)) * factor.reduced.scale
        return bool((row_norms(loadings) * np.sqrt(len(self.joint_scores_)) < WEAK * whole).any())

    def _scores(self, data: Modalities) -> Scores:
        """Scores by regression on the products with the loadings; see the notes of the class."""
        products = {name: self._products(data, name) for name in data.names}
        if len(products) < len(self.shapes_):
            return partial_scores(self, products)
        scores = self._predictors(products) @ self._regression()
        stops = np.cumsum([self.joint_rank_, *self.individual_ranks_.values()])
        joint, *individual = np.split(scores, stops[:-1], axis=1)
        return Scores(joint, dict(zip(self.shapes_, individual, strict=True)))

    def _warn_of_doubts(self, estimate: Alternation) -> None:
        """Warn if the alternation did not converge, or if the fitted samples do not get the scores of the fit.

        Raises
        ------
        ValueError
            If their scores are infinite.
        """
        fitted = np.concatenate([self.joint_scores_, *self.individual_scores_.values()], axis=1)
        scores = self._predictors(self.products_) @ self._regression()
        difference = float(np.abs(scores - fitted).max(initial=0.0))
        if not np.isfinite(difference):
            raise ValueError(NOT_COMPUTED)
        if not estimate.converged:
            ranks = estimate.joint.shape[1], [scores.shape[1] for scores in estimate.individual]
            other = OTHER_SCORES.format(difference=difference) if difference > REPRODUCED else ""
            message = NOT_CONVERGED.format(max_iter=self.max_iter, joint=ranks[0], individual=ranks[1], other=other)
            warnings.warn(message, ConvergenceWarning, stacklevel=4)
        elif difference > REPRODUCED:
            warnings.warn(NOT_REPRODUCED.format(difference=difference), UserWarning, stacklevel=4)

    def _regression(self) -> NDArray:
        """Coefficients of the scores on the predictors from all modalities."""
        predictors = self._predictors(self.products_)
        scores = np.concatenate([self.joint_scores_, *self.individual_scores_.values()], axis=1)
        if scores.shape[1] == 0:
            return np.zeros((0, 0))
        sizes = np.linalg.norm(predictors, axis=0)
        sizes[sizes == 0.0] = 1.0
        return linalg.lstsq(predictors / sizes, scores, cond=1e-9, check_finite=False)[0] / sizes[:, None]

    def _predictors(self, products: dict[str, NDArray]) -> NDArray:
        """The sum of the joint products, then each modality's individual products, in the order of the fit."""
        r = self.joint_rank_
        joint_sum = sum(product[:, :r] for product in products.values())
        return np.concatenate([joint_sum, *(products[name][:, r:] for name in self.shapes_)], axis=1)
