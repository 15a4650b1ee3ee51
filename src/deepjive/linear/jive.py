"""JIVE: joint and individual variation by alternating low-rank approximation.

    minimize  sum_k |X_k - J_k - I_k|^2 / |X_k|^2     with  J = [J_1 .. J_K] of rank r,  I_k of rank r_k,

the scores of ``J`` orthogonal to those of every ``I_k`` (and by default those of different ``I_k`` to one another); see
`deepjive.linear.alternation`. Modalities are centred and divided by their length, so that a wide one does not decide
what is joint. Ranks are given, or found by permutation or BIC; see `deepjive.linear.jive_ranks`.

Lock, Hoadley, Marron, Nobel 2013, Joint and individual variation explained (JIVE) for integrated analysis of multiple
data types, Annals of Applied Statistics 7(1).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from deepjive.base import Scores
from deepjive.data.chunks import row_batches
from deepjive.data.groups import check_one_each
from deepjive.data.modalities import Modalities
from deepjive.linear.alternation import Alternation, alternate
from deepjive.linear.bounds import generator
from deepjive.linear.factor import Factor, make_factor, of_common_length
from deepjive.linear.gaps import fit_with_gaps, has_gaps
from deepjive.linear.jive_ranks import Fixed, Found, bic_search, checked_rule, permutation_search
from deepjive.linear.linear_model import LinearModel
from deepjive.linear.streaming import Pieces, checked_masks
from deepjive.linear.svd import project
from deepjive.validation import check_ranks

NOT_CONVERGED = (
    "JIVE did not converge in max_iter={max_iter} iterations for joint rank {joint} and individual ranks {individual}. "
    "Raise max_iter or tol, or lower the ranks."
)
TOO_FEW_JOINT = (
    "joint_rank is {given}, but beside the individual parts the modalities have only {limit} dimensions together. "
    "Use a joint_rank of at most {limit}, or smaller individual_ranks."
)
TOO_FEW_LEFT = (
    "individual_ranks[{name!r}] is {given}, but without the joint part and what other modalities' individual parts "
    "take the modality has only {limit} dimensions. Use at most {limit}, or orthogonal_individual=False."
)


class JIVE(LinearModel):
    """Joint and individual variation explained, by alternating low-rank approximation.

    Parameters
    ----------
    joint_rank : int, "permutation", "bic" or "auto"
        Joint components. "auto" is "permutation".
    individual_ranks : int, dict of str to int, "permutation", "bic" or "auto"
        Individual components of each modality. One rule serves both; either may be given while the other is searched.
    scale : bool
        Whether modalities are divided by their length (Frobenius norm).
    orthogonal_individual : bool
        Whether the individual parts are orthogonal to one another, without which they may share variation that the
        joint part then lacks.
    n_permutations, alpha : int, float
        Draws and level of the permutation tests of the ranks.
    max_iter : int
        Most iterations of one estimation.
    tol : float
        An estimation ends where neither part changes by more than this, relative to the length of the data.
    center, mask, missing, device
        As in `deepjive.AJIVE`.
    random_state : int, RandomState, Generator or None
        Seed of the permutations.

    Attributes
    ----------
    joint_rank_ : int
        Joint components.
    individual_ranks_ : dict of str to int
        Individual components of each modality.
    joint_scores_, individual_scores_, joint_loadings_, individual_loadings_, variance_explained_, component_variance_,
    residual_std_, filled_shares_
        See `deepjive.linear.linear_model.LinearModel`.
    rank_history_ : array, shape (n_rounds, 1 + n_modalities)
        Joint and individual ranks after each round of the permutation tests or step of the BIC search.
    n_iter_ : int
        Iterations of the last estimation.
    lengths_ : dict of str to float
        Number by which each centred modality was divided, in data units.
    signal_scores_ : dict of str to array, shape (n_samples, joint_rank + individual_rank)
        Each modality's own leading scores, with mean 0 and variance 1: what permutation tests of the joint components
        permute.
    products_ : dict of str to array, shape (n_samples, joint_rank + individual_rank)
        Products of the samples fitted with the joint and individual loadings, both over the modality's length; scores
        are regressed on these, see the notes.
    mean_ : dict of str to array
        Mean sample of each modality.

    Notes
    -----
    Scores of a new sample: the sums of the products ``x_k L_k'`` of its modalities with their joint loadings, and the
    products with the individual loadings, times the coefficients of the least-squares regression of the scores on these
    over the samples fitted. At the optimum scores are a linear function of these products, so that with all modalities
    the samples fitted get the scores of the fit, up to `tol`.

    Individual parts that are made orthogonal to one another, as r.jive does by default, keep whatever angle between
    them the first steps leave, because every such pair is a fixed point of the alternation. Where the truth is
    uncorrelated that can cost individual parts some of their variance, which goes to the residual.
    ``orthogonal_individual=False`` does not have that error.

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

    def __init__(
        self,
        *,
        joint_rank: Any = "permutation",
        individual_ranks: Any = "permutation",
        scale: bool = True,
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

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit to Modalities `X`; `y` is not used.

        Raises
        ------
        ValueError
            For ranks that the data do not have, infinite values, several samples of a participant where ranks are found
            by permutations, and, unless `missing` is "impute", for NaN and samples that lack a modality.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            Where `max_iter` was reached.
        """
        data = self._checked_for_fit(X)
        if self.missing == "impute" and has_gaps(data):
            fitted: Self = fit_with_gaps(self, data)
            return fitted
        rule = checked_rule(self.joint_rank, self.individual_ranks)
        joint, individual = (rule if isinstance(r, str) else r for r in (self.joint_rank, self.individual_ranks))
        joint_rank, individual_ranks = check_ranks(data, joint, individual, auto=rule)
        fixed = Fixed(joint_rank, None if individual_ranks is None else list(individual_ranks.values()))
        if rule == "permutation" and (joint_rank is None or individual_ranks is None):
            check_one_each(len(data), data.n_participants, "JIVE's search for ranks by permutations")

        factors = self._factors(data)
        found = self._find(factors, fixed, rule)
        weakest = zip(factors, found.estimate.individual, strict=True)
        if not all(factor.is_accurate_along(scores) for factor, scores in weakest):
            factors = self._factors(data, exact=True)
            found = self._find(factors, fixed, rule)
        self._check_found(found.estimate, fixed, factors)
        self._keep(data, factors, found)
        return self

    def _factors(self, data: Modalities, exact: bool = False) -> list[Factor]:
        masks = checked_masks(self.mask, data.shapes)
        factors = [
            make_factor(name, Pieces(array, masks[name], self.center), self.device, exact)
            for name, array in data.items()
        ]
        return factors if self.scale else of_common_length(factors)

    def _find(self, factors: list[Factor], fixed: Fixed, rule: str) -> Found:
        """Ranks, where they are not given, and the parts with these ranks."""
        matrices = [factor.matrix for factor in factors]

        def estimate(joint_rank: int, individual_ranks: Sequence[int]) -> Alternation:
            return alternate(
                matrices,
                joint_rank,
                individual_ranks,
                orthogonal=self.orthogonal_individual,
                max_iter=self.max_iter,
                tol=self.tol,
            )

        if fixed.joint is not None and fixed.individual is not None:
            ranks = [fixed.joint, *fixed.individual]
            return Found(estimate(ranks[0], ranks[1:]), np.array([ranks]))
        if rule == "bic":
            return bic_search(factors, estimate, fixed)
        rng = generator(self.random_state)
        return permutation_search(factors, estimate, fixed, self.n_permutations, self.alpha, rng)

    def _check_found(self, found: Alternation, fixed: Fixed, factors: list[Factor]) -> None:
        if fixed.joint is not None and fixed.joint > (limit := found.joint.shape[1]):
            raise ValueError(TOO_FEW_JOINT.format(given=fixed.joint, limit=limit))
        for k, (factor, scores) in enumerate(zip(factors, found.individual, strict=True)):
            if fixed.individual is not None and fixed.individual[k] > (limit := scores.shape[1]):
                raise ValueError(TOO_FEW_LEFT.format(name=factor.name, given=fixed.individual[k], limit=limit))
        if not found.converged:
            ranks = found.joint.shape[1], [scores.shape[1] for scores in found.individual]
            message = NOT_CONVERGED.format(max_iter=self.max_iter, joint=ranks[0], individual=ranks[1])
            warnings.warn(message, ConvergenceWarning, stacklevel=3)

    def _keep(self, data: Modalities, factors: list[Factor], found: Found) -> None:
        estimate, unit = found.estimate, np.sqrt(len(data))
        individual = dict(zip(data.names, estimate.individual, strict=True))
        self.shapes_ = data.shapes
        self._keep_names(data)
        self.joint_rank_ = estimate.joint.shape[1]
        self.individual_ranks_ = {name: scores.shape[1] for name, scores in individual.items()}
        self.rank_history_, self.n_iter_ = found.history, estimate.n_iter
        self.joint_scores_ = unit * estimate.joint
        self.individual_scores_ = {name: unit * scores for name, scores in individual.items()}
        self.mean_, self.joint_loadings_, self.individual_loadings_ = {}, {}, {}
        self.lengths_, self.signal_scores_, self.products_ = {}, {}, {}
        joint_variance, individual_variance = {}, {}
        for factor in factors:
            name, reduced, shape = factor.name, factor.reduced, data.shapes[factor.name]
            rank = self.joint_rank_ + self.individual_ranks_[name]
            self.lengths_[name] = factor.length
            self.signal_scores_[name] = unit * factor.svd.first(rank).vectors
            joint_variance[name] = reduced.lengths(estimate.joint) ** 2 / reduced.total
            individual_variance[name] = reduced.lengths(individual[name]) ** 2 / reduced.total
            scores = np.concatenate([estimate.joint, individual[name]], axis=1)
            loadings, mean = project(factor.pieces, scores, self.device)
            loadings /= unit
            self.mean_[name] = mean.reshape(shape)
            self.joint_loadings_[name] = loadings[: self.joint_rank_].reshape(-1, *shape)
            self.individual_loadings_[name] = loadings[self.joint_rank_ :].reshape(-1, *shape)
            self.products_[name] = factor.matrix @ (factor.matrix.T @ scores) / unit
        sizes = {factor.name: factor.reduced.root_mean_square for factor in factors}
        self._set_variance(joint_variance, individual_variance, sizes)

    def _scores(self, data: Modalities) -> Scores:
        """Scores by regression on the products with the loadings; see the notes of the class."""
        products = {name: self._products(data, name) for name in data.names}
        scores = self._predictors(products) @ self._regression(data.names)
        stops = np.cumsum([self.joint_rank_, *(self.individual_ranks_[name] for name in data.names)])
        joint, *individual = np.split(scores, stops[:-1], axis=1)
        return Scores(joint, dict(zip(data.names, individual, strict=True)))

    def _regression(self, names: Sequence[str]) -> NDArray:
        """Coefficients of the scores on the predictors that some modalities give."""
        predictors = self._predictors({name: self.products_[name] for name in names})
        scores = np.concatenate([self.joint_scores_, *(self.individual_scores_[name] for name in names)], axis=1)
        if scores.shape[1] == 0:
            return np.zeros((0, 0))
        sizes = np.linalg.norm(predictors, axis=0)
        sizes[sizes == 0.0] = 1.0
        return linalg.lstsq(predictors / sizes, scores, cond=1e-9, check_finite=False)[0] / sizes[:, None]

    def _predictors(self, products: dict[str, NDArray]) -> NDArray:
        """The sum of the joint products, then each modality's individual products."""
        r = self.joint_rank_
        together = sum(product[:, :r] for product in products.values())
        return np.concatenate([together, *(product[:, r:] for product in products.values())], axis=1)

    def _products(self, data: Modalities, name: str) -> NDArray:
        """Products of samples with joint and individual loadings, each over the modality's length; (n, r + r_k)."""
        length, width = self.lengths_[name], self.mean_[name].size
        parts = (self.joint_loadings_[name], self.individual_loadings_[name])
        loadings = np.concatenate([part.reshape(len(part), width) for part in parts]) / length
        products = np.empty((len(data), len(loadings)))
        for rows in row_batches(np.arange(len(data)), data.shapes[name]):
            values = (data.rows(name, rows) - self.mean_[name]) / length
            products[rows] = values.reshape(len(rows), width) @ loadings.T
        return products
