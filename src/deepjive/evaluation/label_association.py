"""Association of scores with labels and covariates, and the samples at both ends of a score.

Scores are fitted without labels, so the association of a score with a label can be tested on the fitted samples. Every
score is compared with every label by a linear model, given the confounds C:

    number, two values   partial correlation r of score and label, interval by Fisher's z
    ordinal              the same of ranks (Spearman)
    categories           correlation ratio, the root of partial eta squared without what n samples give by chance, with
                         its interval by the noncentral F distribution
    survival             hazard ratio for one standard deviation of the score (Cox, by lifelines)

Q-values control the false discovery rate among all scores for one label.

References
----------
Fisher 1924, The distribution of the partial correlation coefficient, Metron 3:329.
Steiger 2004, Beyond the F test, Psychological Methods 9:164 (the interval of eta squared).
Benjamini and Hochberg 1995, Controlling the false discovery rate, J R Stat Soc B 57:289.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from deepjive.data.groups import members_of
from deepjive.data.readers.guard import install_command
from deepjive.decomposition import Decomposition
from deepjive.evaluation.probes import known
from deepjive.results import Result
from deepjive.rounding import in_own_units, significant, without_rounding
from deepjive.subsets import word_of
from deepjive.validation import named_labels

Kind = Literal["number", "ordinal", "categories"]

MIN_FREE = 3
UNKNOWN_KIND = "kinds has {given!r} for {label!r}, but must have one of {kinds}."
NO_LABEL = "kinds names {label!r}, but the labels are {labels}."
NOT_NUMBERS = "Label {label!r} cannot be of kind {kind!r}: its values are text, such as {first!r}. Give numbers."
VARIES = (
    "Label {label!r} has several values within {count} participants, the first is {first!r}. Associations need one "
    "value for each participant: pass one sample of each participant, or a label that does not vary within them."
)
NEEDS_LIFELINES = "Survival needs the library 'lifelines', which is not installed. Install it with: {command}"
WRONG_SURVIVAL = "survival[{label!r}] must be a pair (time, event) of {n} values each, but has shapes {given}."


@dataclass(frozen=True)
class Association:
    """Association of one score with one label.

    Attributes
    ----------
    part : str
        "joint", or "individual" and the modality.
    score : int
        Number of the score, counted from 1.
    label : str
        The label.
    measure : str
        "correlation", "rank correlation", "correlation ratio" or "hazard ratio".
    effect, lower, upper : float
        Effect and its 95% interval. A correlation with a label of two values is positive if the second value, in
        alphabetical order, has higher scores.
    p_value, q_value : float
        P-value of no association, and false discovery rate among the scores for this label.
    n : int
        Number of samples (participants) with a label and all confounds.
    highest, lowest : str
        The categories with the highest and the lowest mean score, before confounds are taken out; empty for other
        labels.
    """

    part: str
    score: int
    label: str
    measure: str
    effect: float
    lower: float
    upper: float
    p_value: float
    q_value: float
    n: int
    highest: str = ""
    lowest: str = ""


@dataclass(frozen=True, repr=False)
class Associations(Result):
    """Associations of scores with labels, strongest first within each label.

    Attributes
    ----------
    rows : list of Association
        The associations.
    adjusted_for : list of str
        Names of the confounds.
    """

    rows: list[Association]
    adjusted_for: list[str]

    def _summary(self) -> str:
        labels = list(dict.fromkeys(row.label for row in self.rows))
        found = sum(row.q_value < 0.05 for row in self.rows)
        given = f", adjusted for {', '.join(self.adjusted_for)}" if self.adjusted_for else ""
        return f"{len(self.rows)} associations with {', '.join(labels) or 'no label'}{given}: {found} with q < 0.05"

    def _table(self) -> Any:
        numbers = ("effect", "lower", "upper", "p_value", "q_value")
        return [
            asdict(row) | {name: float(significant(np.array(getattr(row, name)))) for name in numbers}
            for row in self.rows
        ]


def score_association(
    parts: Decomposition,
    labels: Mapping[str, ArrayLike] | ArrayLike | None = None,
    *,
    kinds: Mapping[str, Kind] | None = None,
    adjust: Mapping[str, ArrayLike] | None = None,
    survival: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
) -> Associations:
    """Test the association of every joint and individual score with every label.

    Parameters
    ----------
    parts : Decomposition
        A decomposition of the samples. If participants have several samples (`Modalities.groups`), their scores and
        numbers are averaged.
    labels : array, shape (n_samples,), or mapping of str to array, default=None
        Labels and covariates. Samples without a label are left out.
    kinds : mapping of str to {"number", "ordinal", "categories"}, default=None
        Kind of some labels. By default numbers with more than ten values are numbers, and other labels are categories.
        The values of an ordinal label are numbers.
    adjust : mapping of str to array, shape (n_samples,), default=None
        Confounds, numbers or categories, for which scores and labels are adjusted.
    survival : mapping of str to (time, event), default=None
        Times, and whether the event happened at the time (1) or the sample was censored (0). Needs lifelines.

    Returns
    -------
    Associations

    Raises
    ------
    ValueError
        If a label has another length, its kind is unknown, or it has several values within a participant.
    ImportError
        If `survival` is given and lifelines is not installed.

    Examples
    --------
    >>> from deepjive import AJIVE
    >>> from deepjive.datasets import make_synthetic
    >>> data = make_synthetic(120, (20, 16), random_state=0).data
    >>> parts = AJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(data).decompose(data)
    >>> float(score_association(parts, {"age": parts.joint_scores[:, 0] + 60.0}).to_frame()["effect"][0])
    1.0
    """
    n = len(parts.data)
    names = parts.data.samples
    by_name, confounds = named_labels(labels, n, names), named_labels(adjust, n, names)
    by_name = {label: without_rounding(values) for label, values in by_name.items()}
    for label, kind in (kinds or {}).items():
        if label not in by_name:
            raise ValueError(NO_LABEL.format(label=label, labels=list(by_name)))
        if kind not in get_args(Kind):
            raise ValueError(UNKNOWN_KIND.format(given=kind, label=label, kinds=list(get_args(Kind))))
        if kind != "categories" and by_name[label].dtype.kind == "U":
            raise ValueError(NOT_NUMBERS.format(label=label, kind=kind, first=str(by_name[label][0])))
    rows: list[Association] = []
    for label, values in by_name.items():
        kind = (kinds or {}).get(label) or kind_of_label(values)
        rows += _with_q(_of_label(parts, label, values, kind, confounds))
    for label, pair in (survival or {}).items():
        rows += _with_q(_of_survival(parts, label, pair, confounds))
    return Associations(rows, list(confounds))


def kind_of_label(values: NDArray) -> Kind:
    """Return "number" for numbers with more than ten values, else "categories"."""
    if values.dtype.kind not in "fiu":
        return "categories"
    return "number" if len(np.unique(values[known(values)])) > 10 else "categories"


def extreme_samples(parts: Decomposition, n: int = 5) -> Any:
    """Return the samples with the lowest and the highest values of every score.

    Parameters
    ----------
    parts : Decomposition
        A decomposition of the samples.
    n : int, default=5
        Number of samples at each end.

    Returns
    -------
    pandas.DataFrame
        Columns ``part``, ``score``, ``end`` ("low" or "high"), ``sample`` and ``value``, the most extreme first.
    """
    import pandas as pd

    names = np.arange(len(parts.data)) if parts.data.samples is None else parts.data.samples
    rows: list[dict[str, Any]] = []
    for part, number, values in _all_scores(parts):
        order = np.argsort(values, kind="stable")
        order = order[np.isfinite(values[order])]
        for end, chosen in (("low", order[:n]), ("high", order[::-1][:n])):
            rows += [
                {"part": part, "score": number, "end": end, "sample": names[i], "value": values[i]} for i in chosen
            ]
    return pd.DataFrame(rows, columns=["part", "score", "end", "sample", "value"])


def _all_scores(parts: Decomposition) -> list[tuple[str, int, NDArray]]:
    """Return part, number and values of every score."""
    named = {"joint": parts.joint_scores}
    named |= {word_of(subset): scores for subset, scores in parts.subset_scores.items()}
    named |= {f"individual {name}": scores for name, scores in parts.individual_scores.items()}
    return [(part, k + 1, scores[:, k]) for part, scores in named.items() for k in range(scores.shape[1])]


def _of_label(
    parts: Decomposition, label: str, values: NDArray, kind: Kind, confounds: Mapping[str, NDArray]
) -> list[Association]:
    rows = []
    for part, number, scores in _all_scores(parts):
        usable = known(values) & np.isfinite(scores) & _all_known(confounds, len(scores))
        groups = None if parts.data.groups is None else parts.data.groups[usable]
        members = members_of(int(usable.sum()), groups)
        score = _averaged(scores[usable], members)
        given = _design(
            {name: _per_participant(name, c[usable], members) for name, c in confounds.items()}, len(members)
        )
        target = _per_participant(label, values[usable], members)
        columns, measure = _coded(target, kind)
        ends = _ends(score, target) if kind == "categories" else ("", "")
        if kind == "ordinal":
            score = stats.rankdata(score)
        statistics = _partial(score, columns, given)
        rows.append(Association(part, number, label, measure, *statistics, np.nan, len(members), *ends))
    return rows


def _ends(score: NDArray, target: NDArray) -> tuple[str, str]:
    """Return the categories with the highest and the lowest mean score; empty for fewer than two categories."""
    categories, codes = np.unique(target, return_inverse=True)
    if len(categories) < 2:
        return "", ""
    means = np.bincount(codes, score) / np.bincount(codes)
    return str(categories[means.argmax()]), str(categories[means.argmin()])


def _coded(target: NDArray, kind: Kind) -> tuple[NDArray, str]:
    """Return the label as columns of numbers, and the name of its measure."""
    if kind == "number":
        return in_own_units(target)[:, None], "correlation"
    if kind == "ordinal":
        return stats.rankdata(np.asarray(target, dtype=np.float64))[:, None], "rank correlation"
    codes = (target[:, None] == np.unique(target)[1:]).astype(np.float64)
    return codes, "correlation" if codes.shape[1] == 1 else "correlation ratio"


def _partial(score: NDArray, columns: NDArray, given: NDArray) -> tuple[float, float, float, float]:
    """Return effect, lower and upper limit, and p-value of columns that explain a score, given other columns."""
    nothing = (np.nan, np.nan, np.nan, np.nan)
    free = len(score) - given.shape[1] - columns.shape[1]
    if columns.shape[1] == 0 or free < MIN_FREE:
        return nothing
    score, columns = (values - given @ np.linalg.lstsq(given, values, rcond=None)[0] for values in (score, columns))
    total = float(score @ score)
    explained = float(score @ columns @ np.linalg.lstsq(columns, score, rcond=None)[0])
    if total <= 0.0 or not np.any(np.abs(columns) > 1e-9):
        return nothing
    share = min(explained / total, 1.0)
    width = columns.shape[1]
    statistic = share / width / max((1.0 - share) / free, np.finfo(float).tiny)
    p_value = float(stats.f.sf(statistic, width, free))
    if width > 1:
        return *_ratio_of(statistic, width, free), p_value
    r = float(np.sqrt(share) * np.sign(score @ columns[:, 0]))
    reach = stats.norm.ppf(0.975) / np.sqrt(max(free - 1, 1))
    centre = np.arctanh(np.clip(r, -1.0 + 1e-15, 1.0 - 1e-15))
    return r, float(np.tanh(centre - reach)), float(np.tanh(centre + reach)), p_value


def _ratio_of(statistic: float, width: int, free: int) -> tuple[float, float, float]:
    """Return the correlation ratio of an F statistic, and its 95% interval by the noncentral F distribution.

    All three are noncentralities: an unbiased estimate, and those at which the statistic is a quantile. The ratio of
    the samples themselves can lie above the interval, because it is large by chance if there are many categories.
    """
    noncentralities = [max(width * ((free - 2) / free * statistic - 1.0), 0.0)]
    for level in (0.975, 0.025):

        def excess(noncentrality: float, level: float = level) -> float:
            probability = float(stats.ncf.cdf(statistic, width, free, noncentrality))
            return (probability if np.isfinite(probability) else 0.0) - level  # scipy gives NaN far in the tail

        top = 10.0 * width * (statistic + 10.0)
        noncentralities.append(0.0 if excess(1e-9) < 0.0 else optimize.brentq(excess, 1e-9, top))
    effect, lower, upper = (float(np.sqrt(value / (value + width + free + 1.0))) for value in noncentralities)
    return effect, lower, upper


def _of_survival(
    parts: Decomposition, label: str, pair: tuple[ArrayLike, ArrayLike], confounds: Mapping[str, NDArray]
) -> list[Association]:
    try:
        from lifelines import CoxPHFitter
    except ImportError as error:
        raise ImportError(NEEDS_LIFELINES.format(command=install_command("lifelines", "survival"))) from error
    import pandas as pd

    time, event = (np.asarray(values, dtype=np.float64) for values in pair)
    n = len(parts.data)
    if time.shape != (n,) or event.shape != (n,):
        raise ValueError(WRONG_SURVIVAL.format(label=label, n=n, given=[time.shape, event.shape]))
    rows = []
    for part, number, scores in _all_scores(parts):
        usable = np.isfinite(time) & np.isfinite(event) & np.isfinite(scores) & _all_known(confounds, n)
        given = _design({name: values[usable] for name, values in confounds.items()}, int(usable.sum()))[:, 1:]
        frame = pd.DataFrame(given).add_prefix("confound_")
        score = scores[usable]
        frame["score"] = score / (score.std() or 1.0)
        frame["time"], frame["event"] = time[usable], event[usable]
        cox = CoxPHFitter().fit(
            frame.assign(participant=parts.data.groups[usable]) if parts.data.groups is not None else frame,
            "time",
            "event",
            cluster_col=None if parts.data.groups is None else "participant",
        )
        row = cox.summary.loc["score"]
        limits = (float(np.exp(row["coef"])), float(row["exp(coef) lower 95%"]), float(row["exp(coef) upper 95%"]))
        rows.append(
            Association(part, number, label, "hazard ratio", *limits, float(row["p"]), np.nan, int(usable.sum()))
        )
    return rows


def _with_q(rows: list[Association]) -> list[Association]:
    """Return rows with q-values, by increasing p-value."""
    p_values = np.array([row.p_value for row in rows])
    q_values, tested = np.full(len(rows), np.nan), np.isfinite(p_values)
    if tested.any():
        q_values[tested] = stats.false_discovery_control(p_values[tested])
    order = np.argsort(np.where(tested, p_values, 2.0), kind="stable")
    return [replace(rows[i], q_value=float(q_values[i])) for i in order]


def _all_known(confounds: Mapping[str, NDArray], n: int) -> NDArray[np.bool_]:
    return np.all([np.ones(n, dtype=bool), *(known(values) for values in confounds.values())], axis=0)


def _design(confounds: Mapping[str, NDArray], n: int) -> NDArray:
    """Return a constant and the confounds as columns."""
    columns = [np.ones((n, 1))]
    for values in confounds.values():
        coded, _ = _coded(values, kind_of_label(values))
        columns.append(coded - coded.mean(axis=0))
    return np.concatenate(columns, axis=1)


def _averaged(values: NDArray, members: list[NDArray[np.intp]]) -> NDArray:
    return np.array([values[rows].mean() for rows in members])


def _per_participant(label: str, values: NDArray, members: list[NDArray[np.intp]]) -> NDArray:
    """Return one value for each participant: the mean of numbers, or the category."""
    if kind_of_label(values) == "number":
        return _averaged(values, members)
    several = [rows for rows in members if len(np.unique(values[rows])) > 1]
    if several:
        raise ValueError(VARIES.format(label=label, count=len(several), first=str(values[several[0][0]])))
    return np.array([values[rows[0]] for rows in members])
