"""Permutation test of each subset of modalities: whether every member holds variation beyond that of larger subsets.

For a member k of the subset S, all scores are computed from the other modalities. Let ``r`` be what the predictions of
all parts of k but that of S leave of the held-out samples of k, and let ``c`` be the predicted part of S. If k shares
nothing with the rest of S beyond the other parts, ``r`` and ``c`` are independent. The samples of ``r`` are then
permuted against ``c``.

A model is fitted to few samples, so that its predictions leave some of what larger subsets share in ``r``. The scores
of the other parts that k holds, ``Z``, are therefore regressed out of both, with the residual maker ``M``. The
statistic is the partial correlation

    sum of (P M r) * (M c) / (|M P M r| |M c|)

for a permutation ``P`` of the samples, which has the same spread for true and for permuted samples, however many scores
were regressed out (Freedman and Lane 1983). The p-value of a subset is the largest of its members, because every member
has to hold what the subset shares (an intersection-union test).

The test is exact up to the regression: for normal variation as the number of samples grows, and for a model without
other shared parts in samples of any size. It says nothing of modalities outside of S.

References
----------
Freedman and Lane 1983, A nonstochastic interpretation of reported significance levels, J. Business and Economic
Statistics 1.
Winkler, Ridgway, Webster, Smith, Nichols 2014, Permutation inference for the general linear model, NeuroImage 92.
Berger 1982, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.algebra import thin_svd
from deepjive.data.groups import orders_of
from deepjive.data.modalities import Modalities
from deepjive.evaluation.null import p_value_of, without_rest_of_confounds
from deepjive.evaluation.refit import complete, with_groups
from deepjive.progress import Progress, silent
from deepjive.results import Result
from deepjive.subsets import Subset, word_of

FEWEST_FREE = 5

NO_SUBSETS = (
    "The model has no subset of some modalities with scores: its ranks of subsets are {ranks}. Fit with subsets='auto' "
    "or with given ranks of subsets, or use joint_structure_test for what all modalities share."
)
NEEDS_ALL = (
    "The test predicts each modality of a subset from the others, but this {estimator} computes scores only from all "
    "modalities together. Fit with identity='exchange' or 'explicit'."
)
TOO_FEW = (
    "The test of subset {subset!r} needs at least {needed} held-out samples that have every modality, {fewest} more "
    "than the {scores} other shared scores of {name!r}, but there are {given}. Hold out more samples."
)


@dataclass(frozen=True, repr=False)
class SubsetStructureTest(Result):
    """Permutation tests of what subsets of modalities share.

    Attributes
    ----------
    p_values : dict of str to float
        By subset, such as ``"rna+protein"``: p-value of the hypothesis that at least one member shares nothing with the
        other members beyond larger subsets.
    of_members : dict of str to dict of str to float
        By subset and member, the p-value of this member.
    explained : dict of str to dict of str to float
        By subset and member, the fraction of the member's held-out variance that the subset's part adds to the
        prediction from the other modalities; below 0 if it makes the prediction worse.
    n_samples, n_permutations : int
        Number of held-out samples and of permutations.
    """

    p_values: dict[str, float]
    of_members: dict[str, dict[str, float]]
    explained: dict[str, dict[str, float]]
    n_samples: int
    n_permutations: int

    def _summary(self) -> str:
        shown = ", ".join(f"{subset} p={p:.3g}" for subset, p in self.p_values.items())
        return f"{shown}; n={self.n_samples}, {self.n_permutations} permutations"

    def _table(self) -> Any:
        return [
            {"subset": subset, "modality": name, "explained": self.explained[subset][name], "p_value": p}
            for subset, members in self.of_members.items()
            for name, p in members.items()
        ]


def subset_structure_test(
    model: Any,
    held_out: Any,
    n_permutations: int = 999,
    *,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
    progress: Progress = silent,
) -> SubsetStructureTest:
    """Test each subset that has scores, by permuting the held-out samples of each member against the others.

    Parameters
    ----------
    model : estimator
        A model that was fitted with `subsets`.
    held_out : Modalities, mapping or sequence
        Samples that the model was not fitted to. Samples that lack a modality are left out.
    n_permutations : int, default=999
        Number of permutations. The smallest possible p-value is ``1 / (n_permutations + 1)``.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples: whole participants are then permuted. By
        default the groups of `held_out`.
    random_state : int, RandomState or None, default=0
        Seed of the permutations.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every member of a subset.

    Returns
    -------
    SubsetStructureTest

    Raises
    ------
    ValueError
        If no subset of some modalities has scores, if scores need all modalities, if there are too few complete
        held-out samples, or if fewer than 120 orders of participants can be permuted.

    See Also
    --------
    joint_structure_test : The test of what all modalities share.

    Examples
    --------
    >>> import numpy as np
    >>> from deepjive import AJIVE, Modalities
    >>> from deepjive.evaluation import subset_structure_test
    >>> rng = np.random.default_rng(0)
    >>> pair, x = rng.normal(size=(150, 1)), {k: rng.normal(size=(150, 20)) for k in ("rna", "protein", "pet")}
    >>> data = Modalities({k: v + (k != "pet") * pair for k, v in x.items()})
    >>> model = AJIVE(subsets="auto", random_state=0).fit(data[:100])
    >>> subset_structure_test(model, data[100:], 99).p_values
    {'rna+protein': 0.01}
    """
    subsets = [subset for subset, scores in _columns(model).items() if len(subset) < len(model.shapes_)]
    if not subsets:
        raise ValueError(NO_SUBSETS.format(ranks=getattr(model, "subset_ranks_", None)))
    if model.needs_all_modalities:
        raise ValueError(NEEDS_ALL.format(estimator=type(model).__name__))
    data = complete(without_rest_of_confounds(model, held_out, with_groups(held_out, groups, model)))
    draw_order = orders_of(len(data), data.groups, check_random_state(random_state))
    orders = [draw_order() for _ in range(n_permutations)]
    of_members: dict[str, dict[str, float]] = {word_of(subset): {} for subset in subsets}
    explained: dict[str, dict[str, float]] = {word_of(subset): {} for subset in subsets}
    tests = [(subset, name) for subset in subsets for name in subset]
    for done, (subset, name) in enumerate(tests, start=1):
        statistic, gain = _statistic(model, data, subset, name)
        permuted = np.array([statistic(order) for order in orders])
        of_members[word_of(subset)][name] = p_value_of(statistic(np.arange(len(data))), permuted)
        explained[word_of(subset)][name] = gain
        progress(done, len(tests), f"permuting {name} against the rest of {word_of(subset)}")
    p_values = {subset: max(members.values()) for subset, members in of_members.items()}
    return SubsetStructureTest(p_values, of_members, explained, len(data), n_permutations)


def has_subset_scores(model: Any) -> bool:
    """Return whether a subset of some modalities has scores in a fitted model."""
    return any(len(subset) < len(model.shapes_) for subset in _columns(model))


def _columns(model: Any) -> dict[Subset, slice]:
    """Columns of the scores of each subset that has scores."""
    return {subset: where for subset, where in model._shared_columns.items() if where.stop > where.start}


def _statistic(
    model: Any, data: Modalities, subset: Subset, name: str
) -> tuple[Callable[[NDArray[np.intp]], float], float]:
    """The partial correlation as a function of an order of the member's samples, and the variance that is gained."""
    others = data.select([other for other in data.names if other != name])
    scores = model._joint_scores_by_pattern(others)
    left = np.asarray(data[name], dtype=np.float64).reshape(len(data), -1)
    known = np.isfinite(left)
    left = np.where(known, left - model.mean_[name].reshape(-1), 0.0)
    total = float(np.square(left).sum())
    no_individual = np.zeros((len(data), model.individual_ranks_[name]))
    predicted, beside = np.zeros_like(left), [np.ones((len(data), 1))]
    for other, where in _columns(model).items():
        if name not in other:
            continue
        whole = len(other) == len(model.shapes_)
        part = model._render("joint" if whole else other, name, scores[:, where], no_individual)
        part = (part - model.mean_[name] if whole else part).reshape(len(data), -1)
        if other == subset:
            predicted = np.asarray(part, dtype=np.float64)
        else:
            left = left - np.where(known, part, 0.0)
            beside.append(scores[:, where])
    gain = float(np.sum(known * predicted * (2.0 * left - predicted)) / total) if total else 0.0
    basis = _basis(np.concatenate(beside, axis=1))
    if len(data) < basis.shape[1] + FEWEST_FREE:
        facts = {"subset": word_of(subset), "name": name, "scores": basis.shape[1] - 1, "given": len(data)}
        raise ValueError(TOO_FEW.format(needed=basis.shape[1] + FEWEST_FREE, fewest=FEWEST_FREE, **facts))
    return _partial_correlation(left - basis @ (basis.T @ left), predicted - basis @ (basis.T @ predicted), basis), gain


def _partial_correlation(left: NDArray, predicted: NDArray, basis: NDArray) -> Callable[[NDArray[np.intp]], float]:
    """The partial correlation of the module's docstring, from products of samples, for many orders of samples."""
    cross, products = left @ predicted.T, left @ left.T
    total, length = float(np.trace(products)), float(np.linalg.norm(predicted))
    unmoved = np.arange(len(left))

    def statistic(order: NDArray[np.intp]) -> float:
        within = float(np.sum((basis.T @ products[np.ix_(order, order)]) * basis.T))  # of the moved samples
        scale = np.sqrt(max(total - within, 0.0)) * length
        return float(cross[order, unmoved].sum() / scale) if scale else 0.0

    return statistic


def _basis(columns: NDArray) -> NDArray:
    """Orthonormal basis of the span of some columns."""
    lengths = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    vectors, values, _ = thin_svd(columns / lengths)
    return np.asarray(vectors[:, values > 1e-8 * values[0]])
