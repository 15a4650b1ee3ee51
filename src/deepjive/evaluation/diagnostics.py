"""Diagnostics: recognise how a decomposition went wrong, and say what to change.

The failures are those that the paper reports (DeepJIVE, arXiv 2507.19682, as summarised publicly) and those that
training an autoencoder has anyway. Each check looks at one sign and gives a `Finding` or none; a finding says what was
seen, with its figures, and what to change. Where each limit lies was measured: docs/decisions.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import in_random_order, rows_of, rows_of_at_most
from deepjive.data.modalities import Modalities
from deepjive.decomposition import Decomposition
from deepjive.deep.diagnostics import DIVERGENCE, GAP, Finding
from deepjive.evaluation.agreement import agreement
from deepjive.evaluation.cross_prediction import INDIVIDUAL, JOINT, cross_prediction, scores_of
from deepjive.evaluation.dependence import hsic
from deepjive.evaluation.null import JOINT_PART, JointStructureTest, joint_structure_test
from deepjive.evaluation.refit import with_groups

__all__ = ["BLURRY", "DEAD", "DIVERGENCE", "GAP", "LEAK", "MEANINGLESS", "WRONG_RANKS", "Finding", "diagnose"]

BLURRY = "blurry reconstructions"
MEANINGLESS = "joint scores without meaning"
WRONG_RANKS = "worse than separate autoencoders"
LEAK = "leaking individual scores"
DEAD = "dead component"

FEWEST, MAX_SAMPLES, MAX_VALUES = 20, 500, 50_000_000
PERMUTATIONS = 199
BLURRY_TOTAL, BLURRY_INDIVIDUAL = 0.75, 0.5
WORSE, WORSE_BY = 0.9, 0.03
LEAK_R2, LEAK_P = 0.15, 0.01
PREDICTS, AGREES = 0.01, 0.9
DEAD_BELOW = 1e-3

SEEN = {
    BLURRY: (
        "Joint and individual part together explain {total:.0%} of {name!r}, where as many principal components "
        "explain {possible:.0%}, and of what the joint part leaves the individual part takes up {own:.0%} of the "
        "variance, where it could take up {could:.0%}."
    ),
    MEANINGLESS: (
        "The joint scores {agree}, but {predict} (p = {p:.3f} for permuted pairs of samples): they do not say what the "
        "modalities have in common."
    ),
    WRONG_RANKS: (
        "Joint and individual part together explain {total:.0%} of {name!r}, where {baseline} of the same size explain "
        "{possible:.0%}."
    ),
    LEAK: "The {source} scores predict {r2:.0%} of the variance of the {target} scores (p = {p:.3f}).",
    DEAD: "Score {component} of the {part} part changes no more than {share:.2%} of the variance.",
}
CHANGE = {
    BLURRY: (
        "Lower orthogonality_weight: it keeps the individual part from what it needs. If the joint part is blurred, "
        "too, raise identity_weight (explicit), and see that training was not ended early by max_epochs."
    ),
    MEANINGLESS: (
        "Either nothing is joint here, and joint_rank=0 is the answer, or the joint scores collapsed: use "
        "objective='joint_first' or identity='exchange', or lower identity_weight."
    ),
    WRONG_RANKS: (
        "The ranks are probably wrong: a joint rank too large or an individual rank too small leaves no room for what "
        "varies in one modality alone. Choose them with `deepjive ranks`, or raise individual_ranks."
    ),
    LEAK: (
        "Raise orthogonality_weight (of a deep model), use orthogonality='adversary' where there are many individual "
        "scores, or raise joint_rank if what leaks is joint variation that found no joint score; until then do not "
        "read the individual scores as free of the joint ones."
    ),
    DEAD: "Lower {rank} by one: nothing is left for this score to explain.",
}


def diagnose(
    model: Any,
    data: Modalities,
    *,
    parts: Decomposition | None = None,
    separate: Any = None,
    test: JointStructureTest | None = None,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
) -> list[Finding]:
    """Look for the known failures of a decomposition.

    Parameters
    ----------
    model : estimator
        A fitted model, deep or linear.
    data : Modalities
        Samples to look at, best such that the model was not fitted to: on the samples it was fitted to, joint scores
        without meaning, leaks and worse reconstructions can hide. Samples that lack a modality are left out; fewer
        than 20 are too few to say anything, and only the training itself is looked at. At most 500 are looked at.
    parts : Decomposition, optional
        The decomposition of `data` by `model`, if it was computed already.
    separate : SeparateAutoencoders, optional
        The fitted baseline of the same sizes. Without it the principal components of each modality take its place
        (separate linear autoencoders: Baldi and Hornik 1989), fitted to one half of `data` and measured on the other.
    test : JointStructureTest, optional
        Of the same samples, if it was made already.
    groups : array, shape (n_samples,), optional
        The participant of each sample, where some have several: whole participants are then permuted, among those
        with equally many samples, drawn, and held out. By default those of the data.
    random_state : int or None
        Seed of permutations and halves.

    Returns
    -------
    list of Finding
        Empty where nothing was found.

    Raises
    ------
    ValueError
        For groups of another length, or participants that can change places in fewer than 120 orders.
    """
    data = with_groups(data, groups)
    rows = _some(data, random_state)
    data = data[rows]
    findings = model.diagnostics()
    if len(data) < FEWEST:
        return findings
    parts = model.decompose(data) if parts is None else _rows_of_parts(parts, data, rows)
    return [
        *findings,
        *_meaningless(model, data, test, random_state),
        *_reconstruction(parts, separate, random_state),
        *_leaks(parts, random_state),
        *_dead(parts),
    ]


def _rows_of_parts(parts: Decomposition, data: Modalities, rows: NDArray) -> Decomposition:
    """The decomposition of some samples, from the decomposition of all."""
    individual_scores = {name: scores[rows] for name, scores in parts.individual_scores.items()}
    return Decomposition(data, parts.joint_scores[rows], individual_scores, parts.mean, parts.render)


def _some(data: Modalities, random_state: int | None) -> NDArray:
    """Numbers of at most 500 samples, fewer if they are large, that have all modalities and no missing value."""
    complete_rows = np.flatnonzero(data.present.all(axis=1))
    data = data if len(complete_rows) == len(data) else data[complete_rows]
    largest = max(1, *(math.prod(shape) for shape in data.shapes.values()))
    limit = min(MAX_SAMPLES, max(2 * FEWEST, MAX_VALUES // largest))
    rows = np.sort(rows_of_at_most(limit, in_random_order(len(data), data.groups, check_random_state(random_state))))
    some = data[rows]
    whole = [np.isfinite(some[name][:]).reshape(len(some), -1).all(axis=1) for name in some.names]
    return complete_rows[rows[np.flatnonzero(np.all(whole, axis=0))]]


def _finding(kind: str, /, **words: Any) -> Finding:
    return Finding(kind, SEEN[kind].format(**words), CHANGE[kind].format(**words))


def _meaningless(
    model: Any, data: Modalities, test: JointStructureTest | None, random_state: int | None
) -> Iterator[Finding]:
    if model.joint_rank_ == 0:
        return
    test = test or joint_structure_test(model, data, PERMUTATIONS, random_state=random_state)
    best = max(test.explained.values())
    pairs = [pair.correlation for pair in agreement(model, data)]
    empty = test.measure != JOINT_PART and best < PREDICTS and not np.mean(pairs) < AGREES
    if test.p_value <= 0.05 and not empty:
        return
    mean = f"of the modalities correlate {np.mean(pairs):.2f}" if pairs else "are the same for all modalities"
    predict = f"predict at most {best:.1%} of a modality from the others"
    if test.measure == JOINT_PART:
        predict = "explain no more of true pairs of samples than of permuted ones"
    yield _finding(MEANINGLESS, agree=mean, predict=predict, p=test.p_value)


def _reconstruction(parts: Decomposition, separate: Any, random_state: int | None) -> Iterator[Finding]:
    groups, joint_rank = parts.data.groups, parts.joint_scores.shape[1]
    other = separate.decompose(parts.data).variance_explained if separate is not None else None
    for name, scores in parts.individual_scores.items():
        explained = parts.variance_explained[name]
        total = 1.0 - explained["residual"]
        x = np.asarray(parts.data[name][:], dtype=np.float64)
        components = _components(x, joint_rank + scores.shape[1], groups, random_state)
        left = 1.0 - explained["joint"]
        could = left * _components(x - parts.joint[name], scores.shape[1], groups, random_state)
        unused = explained["individual"] < BLURRY_INDIVIDUAL * could and could - explained["individual"] > 0.05
        if total < BLURRY_TOTAL * components and unused:
            own = {"own": explained["individual"] / left, "could": could / left}
            yield _finding(BLURRY, name=name, total=total, possible=components, **own)
            continue
        baseline, possible = "principal components", components
        if other is not None:
            baseline, possible = "separate autoencoders", 1.0 - other[name]["residual"]
        if total < min(WORSE * possible, possible - WORSE_BY):
            yield _finding(WRONG_RANKS, name=name, total=total, possible=possible, baseline=baseline)


def _components(x: NDArray, rank: int, groups: NDArray | None, random_state: int | None) -> float:
    """Fraction of the variance of one half of the samples that principal components of the other half explain."""
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


def _leaks(parts: Decomposition, random_state: int | None) -> Iterator[Finding]:
    groups, scores = parts.data.groups, scores_of(parts)
    for first, second in itertools.combinations(scores, 2):
        p = hsic(scores[first], scores[second], PERMUTATIONS, groups=groups, random_state=random_state).p_value
        if p > LEAK_P:
            continue
        for source, target in ((first, second), (second, first)):
            found = cross_prediction(scores[source], scores[target], groups=groups, random_state=random_state)
            if source != JOINT and found > LEAK_R2:
                yield _finding(LEAK, source=source, r2=found, target=target, p=p)


def _dead(parts: Decomposition) -> Iterator[Finding]:
    for component in range(parts.joint_scores.shape[1]):
        share = max(_share(parts, "joint", name, component) for name in parts.data.names)
        if share < DEAD_BELOW:
            yield _finding(DEAD, rank="joint_rank", component=component + 1, part="joint", share=share)
    for name, scores in parts.individual_scores.items():
        for component in range(scores.shape[1]):
            share = _share(parts, "individual", name, component)
            if share < DEAD_BELOW:
                rank, part = f"individual_ranks[{name!r}]", INDIVIDUAL.format(name=name)
                yield _finding(DEAD, rank=rank, component=component + 1, part=part, share=share)


def _share(parts: Decomposition, part: Any, name: str, component: int) -> float:
    """Mean square of what a part loses when one of its scores is set to its mean, relative to the variance."""
    joint, individual = parts.joint_scores.copy(), parts.individual_scores[name].copy()
    whole = parts.render(part, name, joint, individual)
    (joint if part == "joint" else individual)[:, component] = 0.0
    lost = np.square(whole - parts.render(part, name, joint, individual), dtype=np.float64).sum()
    total = np.square(parts.data[name][:] - parts.mean[name], dtype=np.float64).sum()
    return float(lost / total) if total else 0.0
