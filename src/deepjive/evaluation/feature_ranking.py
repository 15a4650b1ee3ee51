"""Feature effects: which features vary with each joint and individual score, with standard errors and p-values.

**Effect.** All other scores are at their mean, and the score goes from its 5% to its 95% quantile a, b:

    loading(v)  =  [part(b) - part(a)](v) / (b - a)      in data units per unit of the score
    effect(v)   =  loading(v) / sd(v)                    in standard deviations of the feature per unit of the score

Scores have variance 1. In a linear model `loading` is the model's loading. In a deep model it is the mean slope of the
decoded part. The standard error is that of the regression of the feature on all scores of the modality, robust to
unequal variances (HC3; by participant if participants have several samples). It takes the scores as known.

The tests are described in `deepjive.evaluation.feature_tests`. Q-values control the false discovery rate among the
features of one score.

References
----------
Benjamini and Hochberg 1995, Controlling the false discovery rate, J R Stat Soc B 57:289.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.utils import check_random_state

from deepjive.data.modalities import Modalities
from deepjive.decomposition import Decomposition
from deepjive.evaluation.feature_regression import Regression, feature_spread, features_of, slopes
from deepjive.evaluation.feature_tests import N_PARTS, Tested, half_tests, shared_tests
from deepjive.evaluation.refit import with_groups
from deepjive.progress import Progress, silent
from deepjive.results import Result
from deepjive.rounding import significant

LOW, HIGH = 5, 95
BUDGET = 20

UNKNOWN = "There are no modalities {given}; the data have {names}."


@dataclass(frozen=True, repr=False)
class FeatureEffects(Result):
    """Effects of all scores on the features of one modality.

    Arrays have a row for each score: the joint scores, those of subsets that hold the modality, and the individual
    scores.

    Attributes
    ----------
    modality : str
        The modality.
    features : list of str
        Names of the features; their numbers, from 0, if they have no names.
    scores : list of (str, int)
        Part and number of each score, counted from 1: ``("joint", 1)``. The part is "joint", "individual", or the names
        of a subset, such as ``"rna+protein"``.
    effect, standard_error : array, shape (n_scores, n_features)
        Change of the feature for one unit of the score, and its standard error, in standard deviations of the feature.
        The standard error is NaN if there are too few samples for it.
    loading : array, shape (n_scores, n_features)
        The effect in data units.
    p_value, q_value : array, shape (n_scores, n_features)
        P-value of association with the score, and false discovery rate among the features of the score. NaN for
        features that do not vary, and without a test.
    match : array, shape (n_scores,)
        Correlation of the score with the matched score that features were tested with; NaN without a test. If it is
        small, other samples or features give another score.
    n_samples : int
        Number of samples that have the modality.
    data : Modalities
        The samples, without the variation of confounds.
    statistic : array, shape (n_scores, n_features)
        The test statistic as a normal deviate, with the sign of the association; NaN where `p_value` is NaN.
    regressions : dict of str to list of Regression
        By part, the regressions in which the features were tested; empty without a test.
    """

    modality: str
    features: list[str]
    scores: list[tuple[str, int]]
    effect: NDArray
    standard_error: NDArray
    loading: NDArray
    p_value: NDArray
    q_value: NDArray
    match: NDArray
    n_samples: int
    data: Modalities
    statistic: NDArray
    regressions: dict[str, list[Regression]] = field(default_factory=dict)

    def top(self, part: str, number: int, n: int = 10) -> Any:
        """Return the features with the largest effects of one score, strongest first.

        Parameters
        ----------
        part : str
            Part of the score: "joint", "individual", or a subset such as ``"rna+protein"``.
        number : int
            Number of the score, counted from 1.
        n : int, default=10
            Number of features.

        Returns
        -------
        pandas.DataFrame
            As `to_frame`.
        """
        import pandas as pd

        return pd.DataFrame(self._rows_of(self.scores.index((part, number)), n))

    def _summary(self) -> str:
        found = [
            f"{part} {number}: {int(np.sum(self.q_value[row] < 0.05))}"
            for row, (part, number) in enumerate(self.scores)
        ]
        counts = ", ".join(found) if np.isfinite(self.p_value).any() else "not tested"
        return f"{self.modality}: {len(self.features)} features, n={self.n_samples}; with q < 0.05: {counts or 'none'}"

    def _table(self) -> Any:
        """Return rows by score, strongest effects first, with four significant digits."""
        columns: dict[str, list[Any]] = {
            name: []
            for name in (
                "part",
                "score",
                "feature",
                "effect",
                "standard_error",
                "p_value",
                "q_value",
                "loading",
                "match",
            )
        }
        for row in range(len(self.scores)):
            for name, values in self._rows_of(row).items():
                columns[name].extend(values)
        return columns

    def _rows_of(self, row: int, n: int | None = None) -> dict[str, list[Any]]:
        order = np.argsort(-np.abs(self.effect[row]), kind="stable")[:n]
        part, number = self.scores[row]
        numbers = {
            name: significant(getattr(self, name)[row, order]).tolist()
            for name in ("effect", "standard_error", "p_value", "q_value", "loading")
        }
        words: dict[str, list[Any]] = {"part": [part] * len(order), "score": [number] * len(order)}
        match = significant(self.match[[row]], 2).tolist() * len(order)
        return words | {"feature": [self.features[i] for i in order]} | numbers | {"match": match}


def feature_effects(
    model: Any,
    data: Any,
    *,
    names: Sequence[str] | None = None,
    test: bool = True,
    groups: ArrayLike | None = None,
    parts: Decomposition | None = None,
    random_state: int | np.random.RandomState | None = 0,
    progress: Progress = silent,
    **budget: Any,
) -> dict[str, FeatureEffects]:
    """Rank the features of each modality by the effect of every score.

    Parameters
    ----------
    model : estimator
        A fitted model, linear or deep. It is not changed.
    data : Modalities, mapping or sequence
        The samples that the model was fitted to. Tested modalities are read into memory.
    names : sequence of str, default=None
        The modalities whose features are ranked; all by default.
    test : bool, default=True
        Whether to compute p-values. They need two refits for joint scores and two for individual scores.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. By default the groups of `data`.
    parts : Decomposition, default=None
        The decomposition of `data` by `model`, if it was computed already.
    random_state : int, RandomState or None, default=0
        Seed of the order of samples, of the halves of features, and of the refits.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after each refit.
    **budget
        Parameters of the refits that differ from the model's. By default a deep model is trained for at most 20 epochs
        in each phase, with ``batch_size="auto"``, because a third of the samples can be fewer than the model's batch.

    Returns
    -------
    dict of str to FeatureEffects

    Raises
    ------
    ValueError
        If a name is unknown, if `groups` has another length, or if there are too few samples for a test.

    See Also
    --------
    deepjive.jackstraw : A test of the features of a linear model with all joint scores together.
    deepjive.evaluation.covariation : Maps of a joint score with permutation p-values, for images.

    Examples
    --------
    >>> from deepjive import AJIVE
    >>> from deepjive.datasets import make_synthetic
    >>> data = make_synthetic(120, (20, 16), random_state=0).data
    >>> model = AJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(data)
    >>> effects = feature_effects(model, data)
    >>> list(effects), effects["modality_1"].effect.shape
    (['modality_1', 'modality_2'], (2, 20))
    """
    data = with_groups(data, groups, model)
    chosen = list(data.names) if names is None else list(names)
    if unknown := [name for name in chosen if name not in data.names]:
        raise ValueError(UNKNOWN.format(given=unknown, names=list(data.names)))
    parts = model.decompose(data) if parts is None else parts.adjusted
    data = parts.data
    effects = {name: effects_of(parts, name) for name in chosen}
    if not test:
        return effects
    rng = check_random_state(random_state)
    budget = {"max_epochs": min(BUDGET, getattr(model, "max_epochs", BUDGET)), "batch_size": "auto"} | budget
    seeds: dict[str, Any] = {"random_state": int(rng.randint(2**31 - 1)), **budget}
    shares = model.joint_rank_ > 0 or bool(parts.subset_scores)
    by_samples = shares and not model.needs_all_modalities
    by_features = model.needs_all_modalities or any(rank > 0 for rank in model.individual_ranks_.values())
    n_fits = (N_PARTS - 1) * by_samples + 2 * by_features
    results: dict[str, dict[str, Tested]] = {name: {} for name in chosen}
    if by_samples:
        for name, part, tested in shared_tests(model, data, parts, chosen, rng, seeds, progress, n_fits):
            results[name][part] = tested
    if by_features:
        for name, part, tested in half_tests(model, data, parts, chosen, rng, seeds, progress, n_fits):
            results[name][part] = tested
    return {name: _with_tests(effect, results[name]) for name, effect in effects.items()}


def effects_of(parts: Decomposition, name: str, most: int | None = None) -> FeatureEffects:
    """Compute the effects of the scores of a decomposition on one modality, with standard errors, without a test.

    Parameters
    ----------
    parts : Decomposition
        A decomposition of at least two samples that have the modality.
    name : str
        The modality.
    most : int, default=None
        The largest number of samples that are read; all by default. The quantiles of the scores use all samples.

    Returns
    -------
    FeatureEffects
        With NaN p-values.
    """
    parts = parts.adjusted
    rows = np.flatnonzero(parts.data.present[:, parts.data.names.index(name)])
    scores = {part: values[rows] for part, values in parts.scores_of(name).items()}
    loading = np.concatenate([_slopes(parts, name, scores, part) for part in scores])
    read = np.arange(len(rows)) if most is None else np.arange(len(rows))[:: max(1, -(-len(rows) // most))]
    values = features_of(parts.data, name, rows[read])
    spread = feature_spread(values)
    groups = None if parts.data.groups is None else parts.data.groups[rows[read]]
    _, error, _ = slopes(np.concatenate(list(scores.values()), axis=1)[read], values, groups)
    n_features = values.shape[1]
    untested = np.full(loading.shape, np.nan)
    named = parts.data.features[name]
    return FeatureEffects(
        modality=name,
        features=[str(i) for i in range(n_features)] if named is None else [str(word) for word in np.ravel(named)],
        scores=[(part, i) for part, values in scores.items() for i in range(1, values.shape[1] + 1)],
        effect=loading / spread,
        standard_error=error / spread,
        loading=loading,
        p_value=untested,
        q_value=untested,
        match=np.full(len(loading), np.nan),
        n_samples=len(read),
        data=parts.data,
        statistic=untested,
    )


def _slopes(parts: Decomposition, name: str, scores: dict[str, NDArray], part: str) -> NDArray:
    """Return the mean slope of the whole modality along each score of a part, shape (rank, n_features)."""
    rank, n_features = scores[part].shape[1], parts.mean[name].size
    if rank == 0:
        return np.zeros((0, n_features))
    limits = np.percentile(scores[part], [LOW, HIGH], axis=0)
    ends = np.concatenate([np.diag(limits[0]), np.diag(limits[1])])
    rendered = parts.rendered_at(name, {part: ends}).reshape(2, rank, n_features)
    width = limits[1] - limits[0]
    return (rendered[1] - rendered[0]) / np.where(width > 0.0, width, 1.0)[:, None]


def _with_tests(effects: FeatureEffects, tests: dict[str, Tested]) -> FeatureEffects:
    p_value, statistic, match = effects.p_value.copy(), effects.statistic.copy(), effects.match.copy()
    for part, tested in tests.items():
        rows = [row for row, (word, _) in enumerate(effects.scores) if word == part]
        p_value[rows], statistic[rows], match[rows] = tested.p_value, tested.statistic, tested.match
    return replace(
        effects,
        p_value=p_value,
        q_value=q_values(p_value),
        match=match,
        statistic=statistic,
        regressions={part: tested.regressions for part, tested in tests.items()},
    )


def q_values(p_values: NDArray) -> NDArray:
    """Return the false discovery rates within each row of p-values, without those that are NaN."""
    rates = np.full(p_values.shape, np.nan)
    for row, known in enumerate(np.isfinite(p_values)):
        if known.any():
            rates[row, known] = stats.false_discovery_control(p_values[row, known])
    return rates
