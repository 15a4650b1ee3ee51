"""Diagnostics: recognise how a decomposition failed, and say what to change.

The failures are failures that the paper reports, and failures of autoencoders in general. Each check looks at one sign
and gives a `Finding` or nothing. A finding names the sign, with figures, and the recommended change. The limits were
measured on runs that failed and on runs that did not: docs/decisions.md.

Failures that only the history of training shows come from the estimator's method ``diagnostics()``.

All findings on ranks recommend the same ranks, for one new fit: lower by the dead scores, and higher by the joint rank
for a modality whose parts explain less than as many scores of a baseline. Ranks that were given, and are too small, are
left to be chosen.

References
----------
DeepJIVE, arXiv 2507.19682, as summarised publicly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import in_random_order, rows_of, rows_of_at_most
from deepjive.data.modalities import Modalities
from deepjive.decomposition import Decomposition
from deepjive.evaluation.dependence import hsic
from deepjive.evaluation.modality_agreement import agreement
from deepjive.evaluation.null import JOINT_PART, JointStructureTest, joint_structure_test
from deepjive.evaluation.refit import with_groups
from deepjive.evaluation.row_matching import WRONG_ROWS, wrongly_paired
from deepjive.evaluation.score_prediction import INDIVIDUAL, JOINT, cross_prediction, scores_of
from deepjive.progress import Progress, silent
from deepjive.results import Finding

__all__ = ["BLURRY", "DEAD", "LEAK", "MEANINGLESS", "WRONG_RANKS", "WRONG_ROWS", "Finding", "diagnose"]

BLURRY = "blurry reconstructions"
MEANINGLESS = "joint scores without meaning"
WRONG_RANKS = "worse than separate autoencoders"
LEAK = "leaking individual scores"
DEAD = "dead component"

MIN_SAMPLES, MAX_SAMPLES, MAX_VALUES = 20, 500, 50_000_000
PERMUTATIONS = 199
BLURRY_TOTAL, BLURRY_INDIVIDUAL = 0.75, 0.5
WORSE, WORSE_BY = 0.9, 0.03
WORSE_CHOSEN = 0.75  # ranks chosen by prediction leave variance that other modalities do not predict
LEAK_R2, LEAK_P = 0.15, 0.01
PREDICTS, AGREES = 0.01, 0.9
DEAD_BELOW, DEAD_SHARE = 1e-3, 0.05  # of the variance, and of what a score of the part explains on average
ROUNDING = 1e-6  # of the variance
HARDLY_COMMON = 0.5  # a correlation; superfluous scores of fitted samples have up to .48

SEEN = {
    BLURRY: (
        "The joint and the individual part together explain {total:.0%} of {name!r}; as many principal components "
        "explain {possible:.0%}. Of the variance that the joint part leaves, the individual part explains {own:.0%}; "
        "principal components explain {could:.0%}."
    ),
    MEANINGLESS: (
        "The joint scores {agree}, but {predict} (p = {p:.3f} for permuted pairs of samples). So the joint scores do "
        "not measure what the modalities have in common."
    ),
    WRONG_RANKS: (
        "The joint and the individual part together explain {total:.0%} of {name!r}; {baseline} of the same size "
        "explain {possible:.0%}."
    ),
    LEAK: "The {source} scores predict {r2:.0%} of the variance of the {target} scores (p = {p:.3f}).",
    DEAD: "{scores} of the {part} part {account} for at most {share:.2%} of the variance{chance}.",
}
BY_CHANCE = (
    ", less than a random score explains of {n} samples by chance ({limit:.2%}), and the modalities do not agree on "
    "{them} (correlation at most {agree:.2f})"
)
CHANGE = {
    BLURRY: (
        "Give fewer joint scores, such as the number that AJIVE finds (`deepjive ranks`): superfluous ones mix the "
        "variation of single modalities, of which individual scores must then be free. Or lower orthogonality_weight: "
        "the penalty takes away variance that the individual part should explain. If the joint part is blurred too, "
        "raise identity_weight (explicit), and check that max_epochs did not end training early."
    ),
    MEANINGLESS: (
        "If nothing is joint in these data, joint_rank=0 is the answer. If the joint scores collapsed, use "
        "objective='joint_first' or identity='exchange', or lower identity_weight."
    ),
    WRONG_RANKS: "The joint and individual scores leave no room for individual variation of this modality. {again}",
    LEAK: (
        "Raise orthogonality_weight, or use orthogonality='adversary' if there are many individual scores. Until then "
        "do not interpret the individual scores as free of joint variation."
    ),
    DEAD: "Nothing is left for such scores to explain. {again}",
}
CHANGE_LINEAR = {
    BLURRY: "The individual part leaves variance of this modality unexplained. {again}",
    MEANINGLESS: "Nothing that is joint was found in these samples. {again}",
    LEAK: (
        "Some modalities may share what the others do not have: of three or more, fit with subsets='auto' (--subsets "
        "auto). Or fit DeepJIVE, whose joint part can be nonlinear. Until then do not interpret the individual scores "
        "as free of joint variation."
    ),
}
AGAIN = "Fit again with {settings}."
LEFT_TO_CHOOSE: dict[str, Any] = {"joint_rank": "auto", "individual_ranks": "auto"}


def diagnose(
    model: Any,
    data: Any,
    *,
    parts: Decomposition | None = None,
    separate: Any = None,
    test: JointStructureTest | None = None,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
    progress: Progress = silent,
) -> list[Finding]:
    """Look for the known failures of a decomposition.

    Parameters
    ----------
    model : estimator
        A fitted model, deep or linear.
    data : Modalities, mapping or sequence
        Samples that the model was not fitted to. On fitted samples, meaningless joint scores, leaks and poor
        reconstructions can stay hidden. Samples that lack a modality are left out. At most 500 samples are used. With
        fewer than 20 samples only the training is examined.
    parts : Decomposition, default=None
        The decomposition of `data` by `model`, if it was computed already.
    separate : SeparateAutoencoders, default=None
        A fitted baseline of the same sizes. By default principal components of each modality are the baseline; they
        are fitted to one half of `data` and measured on the other half.
    test : JointStructureTest, default=None
        The test of joint structure on the same samples, if it was made already.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. Whole participants are then permuted
        (among participants with equally many samples), drawn, and held out. By default the groups of `data`.
    random_state : int, RandomState or None, default=0
        Seed of permutations and halves.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` before each of the five checks and at the end.

    Returns
    -------
    list of Finding
        Empty if no failure was recognised.

    Raises
    ------
    ValueError
        If `groups` has another length, or if fewer than 120 orders of participants can be permuted.

    See Also
    --------
    evidence : All measurements of a decomposition, with these findings.
    """
    data = with_groups(data, groups, model)
    whole = data
    rows = _rows_to_examine(data, random_state)
    data = data[rows]
    progress(0, 5, "examining the training")
    findings: list[Finding] = list(model.diagnostics())
    if len(data) >= MIN_SAMPLES:
        parts = model.decompose(data) if parts is None else _rows_of_parts(parts, data, rows)
        progress(1, 5, "testing the joint scores")
        findings += _meaningless(model, data, test, random_state)
        progress(2, 5, "comparing reconstructions with a baseline")
        are_chosen = "auto" in (getattr(model, "joint_rank", None), getattr(model, "individual_ranks", None))
        findings += _reconstruction(parts, separate, WORSE_CHOSEN if are_chosen else WORSE, random_state)
        progress(3, 5, "predicting scores of one part from another part")
        findings += _leaks(parts, random_state)
        progress(4, 5, "looking for dead components")
        findings += _dead(parts, model)
    is_doubtful = model.joint_rank_ == 0 or whole.pairing.by == "position"
    if is_doubtful or any(finding.name == MEANINGLESS for finding in findings):
        wrong_rows = wrongly_paired(whole)
        findings = [wrong_rows, *findings] if wrong_rows is not None else findings
    progress(5, 5, "done")
    return _advised(findings, model)


def _advised(findings: list[Finding], model: Any) -> list[Finding]:
    """Return findings with advice on parameters that the model has, and the same ranks in all advice on ranks."""
    changes = CHANGE if model.is_stochastic else CHANGE | CHANGE_LINEAR
    advised_on_ranks = [one for one in findings if "{again}" in changes.get(one.name, "")]
    changed: dict[str, int] = {}
    for finding in advised_on_ranks:
        for part, difference in finding.settings.items():
            changed[part] = changed.get(part, 0) + difference
    if any(one.name == MEANINGLESS for one in findings):  # which has other advice on the joint rank
        changed.pop(JOINT, None)
        changed |= {JOINT: -model.joint_rank_} if "{again}" in changes[MEANINGLESS] else {}
    settings = _new_ranks(changed, model)
    again = AGAIN.format(settings=", ".join(f"{name}={value!r}" for name, value in settings.items()))
    return [
        replace(one, change=changes[one.name].format(again=again if settings else "").strip(), settings=settings)
        if one in advised_on_ranks
        else replace(one, change=changes.get(one.name, one.change), settings={})
        for one in findings
    ]


def _new_ranks(changed: Mapping[str, int], model: Any) -> dict[str, Any]:
    """Return ranks after changes, by part; ranks that were given and are too small are left to be chosen."""
    given = not any(isinstance(getattr(model, name, None), str) for name in LEFT_TO_CHOOSE)
    if given and any(difference > 0 for difference in changed.values()):
        return dict(LEFT_TO_CHOOSE)
    settings: dict[str, Any] = {}
    if difference := changed.get(JOINT, 0):
        settings["joint_rank"] = model.joint_rank_ + difference
    own = {name: changed.get(INDIVIDUAL.format(name=name), 0) for name in model.shapes_}
    if any(own.values()):
        ranks = model.individual_ranks_
        settings["individual_ranks"] = {name: max(ranks[name] + difference, 0) for name, difference in own.items()}
    return settings


def _rows_of_parts(parts: Decomposition, data: Modalities, rows: NDArray) -> Decomposition:
    """Return the decomposition of some samples, from the decomposition of all."""
    individual_scores = {name: scores[rows] for name, scores in parts.individual_scores.items()}
    subset_scores = {subset: scores[rows] for subset, scores in parts.subset_scores.items()}
    scores = {"joint_scores": parts.joint_scores[rows], "individual_scores": individual_scores}
    scores["subset_scores"] = subset_scores
    return replace(parts.adjusted, data=data, **scores)


def _rows_to_examine(data: Modalities, random_state: Any) -> NDArray:
    """Return the numbers of at most 500 samples without missing values; fewer samples if they are large."""
    complete_rows = np.flatnonzero(data.present.all(axis=1))
    data = data if len(complete_rows) == len(data) else data[complete_rows]
    largest = max(1, *(math.prod(shape) for shape in data.shapes.values()))
    limit = min(MAX_SAMPLES, max(2 * MIN_SAMPLES, MAX_VALUES // largest))
    rows = np.sort(rows_of_at_most(limit, in_random_order(len(data), data.groups, check_random_state(random_state))))
    subset = data[rows]
    measured = [np.isfinite(subset[name][:]).reshape(len(subset), -1).all(axis=1) for name in subset.names]
    return complete_rows[rows[np.flatnonzero(np.all(measured, axis=0))]]


def _finding(name: str, changed: Mapping[str, int] | None = None, /, **words: Any) -> Finding:
    """Return a finding; `changed` has the recommended changes of ranks by part, until `_advised` puts in the ranks."""
    return Finding(name, SEEN[name].format(**words), CHANGE[name], dict(changed or {}))


def _meaningless(model: Any, data: Modalities, test: JointStructureTest | None, random_state: Any) -> Iterator[Finding]:
    """Find joint scores that predict nothing of the other modalities, or no more than by chance."""
    if model.joint_rank_ == 0:
        return
    test = test or joint_structure_test(model, data, PERMUTATIONS, random_state=random_state)
    best_r2 = max(test.explained.values())
    correlations = [pair.correlation for pair in agreement(model, data)]
    empty = test.measure != JOINT_PART and best_r2 < PREDICTS and not np.mean(correlations) < AGREES
    if test.p_value <= 0.05 and not empty:
        return
    agree = "are the same for all modalities"
    if correlations:
        agree = f"of the modalities correlate {np.mean(correlations):.2f}"
    predict = f"predict at most {best_r2:.1%} of a modality from the others"
    if test.measure == JOINT_PART:
        predict = "explain no more of true pairs of samples than of permuted pairs"
    yield _finding(MEANINGLESS, agree=agree, predict=predict, p=test.p_value)


def _reconstruction(parts: Decomposition, separate: Any, worse: float, random_state: Any) -> Iterator[Finding]:
    """Find modalities of which the parts explain much less than a baseline of the same size."""
    groups = parts.data.groups
    separate_explained = separate.decompose(parts.data).variance_explained if separate is not None else None
    for name, scores in parts.individual_scores.items():
        explained = parts.variance_explained[name]
        total = 1.0 - explained["residual"]
        x = np.asarray(parts.data[name][:], dtype=np.float64)
        size = sum(values.shape[1] for values in parts.scores_of(name).values())
        by_components = _explained_by_components(x, size, groups, random_state)
        left = explained["individual"] + explained["residual"]
        beyond = x - parts.joint[name] - sum(part[name] for subset, part in parts.subset.items() if name in subset)
        could = left * _explained_by_components(beyond, scores.shape[1], groups, random_state)
        unused = explained["individual"] < BLURRY_INDIVIDUAL * could and could - explained["individual"] > 0.05
        more = {INDIVIDUAL.format(name=name): size - scores.shape[1]}
        if total < BLURRY_TOTAL * by_components and unused:
            fractions = {"own": explained["individual"] / left, "could": could / left}
            yield _finding(BLURRY, more, name=name, total=total, possible=by_components, **fractions)
            continue
        baseline, possible = "principal components", by_components
        if separate_explained is not None:
            baseline, possible = "separate autoencoders", 1.0 - separate_explained[name]["residual"]
        if total < min(worse * possible, possible - WORSE_BY):
            yield _finding(WRONG_RANKS, more, name=name, total=total, possible=possible, baseline=baseline)


def _explained_by_components(x: NDArray, rank: int, groups: NDArray | None, random_state: Any) -> float:
    """Return the fraction of the variance of one half of the samples that components of the other half explain."""
    from sklearn.decomposition import PCA

    x = x.reshape(len(x), -1)
    members = in_random_order(len(x), groups, check_random_state(random_state))
    first, second = x[rows_of(members[::2])], x[rows_of(members[1::2])]
    rank = min(rank, len(first) - 1, x.shape[1])
    total = float(np.square(second - first.mean(axis=0)).sum())
    if rank == 0 or total == 0.0:
        return 0.0
    pca = PCA(rank, random_state=0).fit(first)
    return 1.0 - float(np.square(second - pca.inverse_transform(pca.transform(second))).sum()) / total


def _leaks(parts: Decomposition, random_state: Any) -> Iterator[Finding]:
    """Find individual scores that predict the scores of another part."""
    groups, scores = parts.data.groups, scores_of(parts)
    for first, second in itertools.combinations(scores, 2):
        p = hsic(scores[first], scores[second], PERMUTATIONS, groups=groups, random_state=random_state).p_value
        if p > LEAK_P:
            continue
        for source, target in ((first, second), (second, first)):
            predicted = cross_prediction(scores[source], scores[target], groups=groups, random_state=random_state)
            if source != JOINT and predicted > LEAK_R2:
                yield _finding(LEAK, source=source, r2=predicted, target=target, p=p)


def _dead(parts: Decomposition, model: Any) -> Iterator[Finding]:
    """Find scores without which the parts stay the same, and joint scores that are chance alone.

    A joint score beyond the joint structure of the data is fitted to rounding, or to chance correlations of the fitted
    samples. Its share then depends on seed and processor, so that a joint score below the chance level of 1 / n is also
    dead if the modalities do not agree on it. Of many scores each explains little: none is dead that explains a
    twentieth of what the scores of its part explain on average.
    """
    n, names = len(parts.data), parts.data.names
    shares = [
        max(_share(parts, "joint", name, component) for name in names)
        for component in range(parts.joint_scores.shape[1])
    ]
    without_effect = _without_effect(shares)
    small = [i for i, share in enumerate(shares) if i not in without_effect and share < 1.0 / n]
    chance: dict[int, float] = {}
    if small:
        agreements: dict[int, list[float]] = {}
        for pair in agreement(model, parts.data):
            agreements.setdefault(pair.component - 1, []).append(pair.correlation)
        means = {i: float(np.mean(agreements[i])) for i in small if i in agreements}
        chance = {i: shares[i] for i, mean in means.items() if not mean > HARDLY_COMMON}
    seen = _seen_dead(JOINT, without_effect)
    if chance:
        them = "the score" if len(chance) == 1 else "the scores"
        agree = max(means[i] for i in chance)
        seen += _seen_dead(JOINT, chance, BY_CHANCE.format(n=n, limit=1 / n, them=them, agree=agree))
    dead = {JOINT: len(without_effect) + len(chance)}
    for name, scores in parts.individual_scores.items():
        own = [_share(parts, "individual", name, component) for component in range(scores.shape[1])]
        part = INDIVIDUAL.format(name=name)
        seen += _seen_dead(part, _without_effect(own))
        dead[part] = len(_without_effect(own))
    if seen:
        yield Finding(DEAD, " ".join(seen), CHANGE[DEAD], {part: -count for part, count in dead.items() if count})


def _without_effect(shares: Sequence[float]) -> dict[int, float]:
    """The shares that are so small that the score has no effect, by the number of the score from 0."""
    average = float(np.mean(shares)) if len(shares) > 1 else 1.0
    limit = max(ROUNDING, min(DEAD_BELOW, DEAD_SHARE * average))
    return {i: share for i, share in enumerate(shares) if share <= limit}


def _seen_dead(part: str, shares: Mapping[int, float], chance: str = "") -> list[str]:
    """A sentence for the dead scores of a part; none if there are none."""
    if not shares:
        return []
    one = len(shares) == 1
    words = {
        "scores": f"{'Score' if one else 'Scores'} {_numbers([i + 1 for i in shares])}",
        "account": "accounts" if one else "each account",
        "part": part,
        "share": max(shares.values()),
        "chance": chance,
    }
    return [SEEN[DEAD].format(**words)]


def _numbers(numbers: Sequence[int]) -> str:
    """Ascending numbers as text, with three or more in a row as a range.

    Examples
    --------
    >>> _numbers([1, 3, 4, 7, 8, 9, 10])
    '1, 3, 4, 7 to 10'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(words)


def _share(parts: Decomposition, part: Any, name: str, component: int) -> float:
    """Return the mean square of a part's change when one score is set to its mean, relative to the variance."""
    joint, individual = parts.joint_scores.copy(), parts.individual_scores[name].copy()
    whole = parts.render(part, name, joint, individual)
    (joint if part == "joint" else individual)[:, component] = 0.0
    lost = np.square(whole - parts.render(part, name, joint, individual), dtype=np.float64).sum()
    total = np.square(parts.data[name][:] - parts.mean[name], dtype=np.float64).sum()
    return float(lost / total) if total else 0.0
