"""Enrichment of gene sets: whether the genes of a set go with a score more than the other genes do.

The test is CAMERA, with the statistics z of `feature_effects`. A set has m of the G tested features of a modality:

    t  =  (mean of z inside - mean of z outside) / sqrt(s^2 (VIF / m + 1 / (G - m))),   VIF = 1 + (m - 1) rho

where s^2 is the pooled variance of z within both groups, and rho the mean correlation between the features of the set.
P-values are two-sided, of Student's t with min(d, G - 2) degrees of freedom.

**Correlation between genes.** Genes of a set are often regulated together, so that their statistics are correlated even
if no gene goes with the score. A test that takes genes as independent, such as a test of ranks or of overlap, then
finds far too many sets. The correlation is that of the residuals of the regression in which the genes were tested, with
d degrees of freedom. It is estimated for each set. VIF is at least 1.

**Competitive.** The hypothesis is that the genes of the set go with the score as much as the other genes of the
modality do. If many genes have true effects, s^2 is large, and the test is conservative.

References
----------
Wu and Smyth 2012, Camera: a competitive gene set test accounting for inter-gene correlation, Nucleic Acids Research
40(17):e133 (equations 3 to 5).
Benjamini and Hochberg 1995, Controlling the false discovery rate, J R Stat Soc B 57:289.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from deepjive.data.groups import members_of, rows_of
from deepjive.data.readers.gene_sets import read_gene_sets
from deepjive.evaluation.feature_ranking import FeatureEffects, q_values
from deepjive.evaluation.feature_regression import PIECE, basis_of, features_of, filled
from deepjive.results import Result
from deepjive.rounding import significant

SMALLEST = 5
NOT_TESTED = "The features of {names} were not tested, but sets need their test. Use feature_effects(..., test=True)."
NO_SET = (
    "No set has {smallest} features of the data. The features are named {features}, and the genes of the sets "
    "{genes}. Use sets with the names of the data, such as symbols or Ensembl identifiers."
)


@dataclass(frozen=True, repr=False)
class SetEnrichment(Result):
    """Enrichment of sets of features of one modality for every score.

    Arrays have a row for each tested score and a column for each set.

    Attributes
    ----------
    modality : str
        The modality.
    sets : list of str
        Names of the sets that have at least five tested features of the modality.
    scores : list of (str, int)
        Part and number of each score, counted from 1: ``("joint", 1)``.
    effect : array, shape (n_scores, n_sets)
        Mean effect of the score on the features of the set, minus the mean effect on all others, in standard deviations
        of a feature per unit of the score.
    statistic : array, shape (n_scores, n_sets)
        Statistic t of the test. It is positive if features of the set rise with the score more than others do.
    p_value, q_value : array, shape (n_scores, n_sets)
        Two-sided p-value, and false discovery rate among the sets of the score.
    n_features : array of int, shape (n_sets,)
        Number of tested features in each set.
    correlation : array, shape (n_scores, n_sets)
        Mean correlation between the residuals of the features of a set. A negative mean counts as 0 in the test.
    n_tested : int
        Number of tested features of the modality.
    """

    modality: str
    sets: list[str]
    scores: list[tuple[str, int]]
    effect: NDArray
    statistic: NDArray
    p_value: NDArray
    q_value: NDArray
    n_features: NDArray
    correlation: NDArray
    n_tested: int

    def top(self, part: str, number: int, n: int = 10) -> Any:
        """Return the sets with the smallest p-values of one score.

        Parameters
        ----------
        part : str
            Part of the score: "joint", "individual", or a subset such as ``"rna+protein"``.
        number : int
            Number of the score, counted from 1.
        n : int, default=10
            Number of sets.

        Returns
        -------
        pandas.DataFrame
            As `to_frame`.
        """
        import pandas as pd

        return pd.DataFrame(self._rows_of(self.scores.index((part, number)))[:n])

    def _summary(self) -> str:
        found = ", ".join(
            f"{part} {number}: {int(np.sum(self.q_value[row] < 0.05))}"
            for row, (part, number) in enumerate(self.scores)
        )
        return f"{self.modality}: {len(self.sets)} sets, {self.n_tested} features; with q < 0.05: {found}"

    def _table(self) -> Any:
        """Return rows by score, smallest p-values first, with four significant digits."""
        return [row for score in range(len(self.scores)) for row in self._rows_of(score)]

    def _rows_of(self, row: int) -> list[dict[str, Any]]:
        part, number = self.scores[row]
        names = ("effect", "statistic", "p_value", "q_value", "correlation")
        numbers = {name: significant(getattr(self, name)[row]).tolist() for name in names}
        return [
            {
                "part": part,
                "score": number,
                "set": self.sets[i],
                "direction": "up" if self.statistic[row, i] > 0 else "down",
                **{name: values[i] for name, values in numbers.items()},
                "n_features": int(self.n_features[i]),
            }
            for i in np.lexsort([-np.abs(self.statistic[row]), self.p_value[row]])
        ]


def feature_set_enrichment(
    effects: Mapping[str, FeatureEffects], sets: Mapping[str, Sequence[str]] | str | Path
) -> dict[str, SetEnrichment]:
    """Test for every score whether the features of a set go with it more than the other features do (CAMERA).

    Parameters
    ----------
    effects : mapping of str to FeatureEffects
        Tested effects of the features, as `feature_effects` gives them for a linear or a deep model.
    sets : mapping of str to sequence of str, or path
        Names of the features of each set, or a `.gmt` file (`deepjive.data.read_gene_sets`).

    Returns
    -------
    dict of str to SetEnrichment
        For each modality that has a set with at least five of its tested features, and with five features outside.

    Raises
    ------
    ValueError
        If the features were not tested, or no set has five tested features of a modality.

    See Also
    --------
    deepjive.evaluation.feature_effects : The effects and statistics of the features.

    Examples
    --------
    >>> from deepjive import AJIVE
    >>> from deepjive.datasets import make_synthetic
    >>> from deepjive.evaluation import feature_effects
    >>> data = make_synthetic(120, (20, 16), random_state=0).data
    >>> model = AJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(data)
    >>> sets = {"first half": [str(i) for i in range(10)]}
    >>> enrichment = feature_set_enrichment(feature_effects(model, data), sets)
    >>> enrichment["modality_1"].n_features.tolist(), enrichment["modality_1"].p_value.shape
    ([10], (2, 1))
    """
    by_name = sets if isinstance(sets, Mapping) else read_gene_sets(sets)
    tested = {name: effect for name, effect in effects.items() if np.isfinite(effect.statistic).any()}
    if not tested:
        raise ValueError(NOT_TESTED.format(names=list(effects)))
    results = {name: _of_modality(effect, by_name) for name, effect in tested.items()}
    enriched = {name: result for name, result in results.items() if result is not None}
    if not enriched:
        features = {name: effect.features[:2] for name, effect in tested.items()}
        genes = [gene for members in by_name.values() for gene in members][:2]
        raise ValueError(NO_SET.format(smallest=SMALLEST, features=features, genes=genes))
    return enriched


def _of_modality(effects: FeatureEffects, sets: Mapping[str, Sequence[str]]) -> SetEnrichment | None:
    """Test the sets with features of one modality; None if no set has enough of them."""
    tested = np.flatnonzero(np.isfinite(effects.statistic).any(axis=1))
    z, usable = effects.statistic[tested], np.isfinite(effects.statistic[tested]).all(axis=0)
    names, members = _members(effects.features, sets, usable)
    if not names:
        return None
    scores = [effects.scores[row] for row in tested]
    by_part = {part: _correlations(effects, part, members) for part in dict.fromkeys(part for part, _ in scores)}
    effect, statistic, p_value, correlation = np.empty((4, len(scores), len(names)))
    for row, (part, _) in enumerate(scores):
        correlation[row], free = by_part[part]
        effect[row], _ = _difference(effects.effect[tested[row]], members, usable)
        statistic[row], p_value[row] = _camera(z[row], members, usable, correlation[row], free)
    return SetEnrichment(
        modality=effects.modality,
        sets=names,
        scores=scores,
        effect=effect,
        statistic=statistic,
        p_value=p_value,
        q_value=q_values(p_value),
        n_features=_sizes(members),
        correlation=correlation,
        n_tested=int(usable.sum()),
    )


def _camera(
    statistic: NDArray, members: sparse.csr_array, usable: NDArray, correlation: NDArray, free: int
) -> tuple[NDArray, NDArray]:
    """Return Student's t of every set, and its two-sided p-value.

    Parameters
    ----------
    statistic : array, shape (n_features,)
        Normal deviates of the features.
    members : sparse array, shape (n_sets, n_features)
        1 for each usable feature of a set.
    usable : array of bool, shape (n_features,)
        The features that were tested.
    correlation : array, shape (n_sets,)
        Mean correlation between the features of each set.
    free : int
        Degrees of freedom of the correlations.

    Returns
    -------
    t, p_value : array, shape (n_sets,)
    """
    inside = _sizes(members)
    total = int(usable.sum())
    outside = total - inside
    difference, variance = _difference(statistic, members, usable)
    inflation = 1.0 + (inside - 1) * np.maximum(correlation, 0.0)
    t = difference / np.sqrt(variance * (inflation / inside + 1.0 / outside))
    return t, 2.0 * stats.t.sf(np.abs(t), min(free, total - 2))


def _difference(values: NDArray, members: sparse.csr_array, usable: NDArray) -> tuple[NDArray, NDArray]:
    """Return the mean inside each set minus the mean outside, and the pooled variance within both."""
    inside, total = _sizes(members), int(usable.sum())
    outside = total - inside
    used = np.where(usable, values, 0.0)
    mean = used.sum() / total
    difference = total / outside * (members @ used / inside - mean)
    squares = np.square(np.where(usable, values - mean, 0.0)).sum()
    return difference, (squares - difference**2 * inside * outside / total) / (total - 2)


def _members(
    features: Sequence[str], sets: Mapping[str, Sequence[str]], usable: NDArray
) -> tuple[list[str], sparse.csr_array]:
    """Return the names of sets with enough usable features inside and outside, and their features as a matrix."""
    columns: dict[str, list[int]] = {}
    for column in np.flatnonzero(usable):
        columns.setdefault(features[int(column)], []).append(int(column))
    found = {name: [i for gene in dict.fromkeys(genes) for i in columns.get(gene, [])] for name, genes in sets.items()}
    large = int(usable.sum()) - SMALLEST
    found = {name: indices for name, indices in found.items() if SMALLEST <= len(indices) <= large}
    starts = np.cumsum([0, *(len(indices) for indices in found.values())])
    flat = np.concatenate([*found.values(), np.zeros(0, dtype=int)]).astype(int)
    shape = (len(found), len(features))
    return list(found), sparse.csr_array((np.ones(len(flat)), flat, starts), shape=shape)


def _sizes(members: sparse.csr_array) -> NDArray:
    return np.diff(members.indptr)


def _correlations(effects: FeatureEffects, part: str, members: sparse.csr_array) -> tuple[NDArray, int]:
    """Return the mean correlation between the residuals of the features of each set, and its degrees of freedom.

    With residuals e of length 1, the sum of e_g e_h over all pairs of the m features is the square of the length of
    their sum, m (1 + (m - 1) rho). Residuals of the samples of one participant are averaged.
    """
    sums: NDArray | float = 0.0
    free = 0
    for features, rows, regressors in effects.regressions[part]:
        groups = None if effects.data.groups is None else effects.data.groups[rows]
        by_participant = members_of(len(rows), groups)
        order, counts = rows_of(by_participant), np.array([len(each) for each in by_participant])
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        basis = basis_of(regressors)
        free = len(counts) - basis.shape[1]
        values = features_of(effects.data, effects.modality, rows)
        for start in range(0, len(features), PIECE):
            piece = features[start : start + PIECE]
            residual = filled(values[:, piece])
            residual = residual - basis @ (basis.T @ residual)
            residual = np.add.reduceat(residual[order], starts, axis=0) / counts[:, None]
            length = np.linalg.norm(residual, axis=0)
            residual /= np.where(length > 0.0, length, 1.0)
            sums = sums + members[:, piece] @ residual.T
    inside = _sizes(members)
    return (np.square(sums).sum(axis=1) / inside - 1.0) / (inside - 1), free
