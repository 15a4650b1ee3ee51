"""Probes: how well labels and covariates, which no model was fitted to, are predicted from scores.

A linear probe and a small network are trained to predict the label from the scores of some samples. Both are tested on
held-out samples. The result is compared with chance, the result of the same probe for permuted labels. The permutation
p-value is the frequency with which permuted labels are predicted as well.

With held-out samples, their labels are permuted against fixed predictions. The probe was trained on other samples, so
this test is exact, needs no training, and has the same mean as probes trained on permuted labels. Without held-out
samples, labels are permuted before the cross-validation, and the probe is trained again.

If participants have several samples, the labels of whole participants are permuted, and folds hold out whole
participants (`deepjive.data.groups`). Samples of one participant have similar scores and similar labels, also if scores
do not predict labels.

References
----------
Hewitt and Liang 2019, Designing and interpreting probes with control tasks, EMNLP.
Ojala and Garriga 2010, Permutation tests for studying classifier performance, JMLR 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import folds_of, named_groups, orders_of
from deepjive.evaluation.null import p_value_of
from deepjive.evaluation.refit import quietly
from deepjive.progress import Progress, silent, within_step
from deepjive.results import Result
from deepjive.rounding import in_own_units
from deepjive.threads import one_thread
from deepjive.validation import plain_labels, without_infinite

Kind = Literal["linear", "network"]

SINGLE_MEMBER = (
    "The label {label!r} has one {members} only, but each class needs one to train on and another to test on. Leave "
    "the label of this {members} empty, or merge it with another label."
)
MAX_CLASSES, MOST_SHOWN = 20, 5
FOLDS = 5
KINDS: tuple[Kind, ...] = ("linear", "network")
MOST_TRAINED = {"linear": 99, "network": 19}  # permutations for each of which a probe is cross-validated


@dataclass(frozen=True, repr=False)
class Probe(Result):
    """How well scores predict a label.

    Attributes
    ----------
    task : {"classification", "regression"}
        The measure: balanced accuracy, or the fraction of variance that is predicted.
    linear, network : float
        The measure of the linear probe and of the small network, on held-out samples.
    chance : float
        The measure for permuted labels. For classification it is the mean over permutations (of the linear probe), for
        regression 0, which is the value of predicting the mean.
    p_linear, p_network : float
        Permutation p-values.
    n_permutations : int
        Number of permutations of the labels.
    n_samples : int
        Number of labelled samples that the probe was tested on.
    """

    task: str
    linear: float
    network: float
    chance: float
    p_linear: float
    p_network: float
    n_permutations: int
    n_samples: int

    def _summary(self) -> str:
        measure = "balanced accuracy" if self.task == "classification" else "R2"
        return (
            f"{self.task}, {measure}: linear {self.linear:.2f} (p={self.p_linear:.3g}), "
            f"network {self.network:.2f} (p={self.p_network:.3g}), chance {self.chance:.2f}; "
            f"n={self.n_samples}, {self.n_permutations} permutations"
        )

    def _table(self) -> Any:
        common = {"task": self.task, "chance": self.chance, "n_samples": self.n_samples}
        return [
            {"probe": "linear", "value": self.linear, "p_value": self.p_linear, **common},
            {"probe": "network", "value": self.network, "p_value": self.p_network, **common},
        ]


def task_of(labels: ArrayLike) -> Literal["classification", "regression"]:
    """Choose the task: regression for numbers that are not whole or have more than 20 values, else classification.

    Examples
    --------
    >>> task_of(["a", "b"]), task_of([0, 1, 1]), task_of([0.3, 1.0, 2.0]), task_of(range(60))
    ('classification', 'classification', 'regression', 'regression')
    """
    values = plain_labels(labels)
    if values.dtype.kind not in "iuf":
        return "classification"
    finite = values[np.isfinite(values)]
    whole = np.all(finite == np.round(finite)) and len(np.unique(finite)) <= MAX_CLASSES
    return "classification" if whole else "regression"


def known(labels: ArrayLike) -> NDArray[np.bool_]:
    """Return which samples have a label: text that is not empty, a truth value, or a finite number."""
    values = plain_labels(labels)
    return values != "" if values.dtype.kind == "U" else np.isfinite(values)


def probe(
    scores: ArrayLike,
    labels: ArrayLike,
    test_scores: ArrayLike | None = None,
    test_labels: ArrayLike | None = None,
    *,
    n_permutations: int = 999,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
    progress: Progress = silent,
) -> Probe:
    """Predict labels from scores by a linear probe and a small network.

    Parameters
    ----------
    scores : array, shape (n_samples, rank)
        Scores to train on. With rank 0 the probe predicts from the frequencies of the labels.
    labels : array, shape (n_samples,)
        Text, truth values or numbers; see `task_of`. Samples without a label are left out.
    test_scores : array, shape (n_tested, rank), default=None
        Scores of held-out samples. Without held-out samples the probe is cross-validated. It is then trained again for
        every permutation, for at most 99 permutations of the linear probe and 19 of the network.
    test_labels : array, shape (n_tested,), default=None
        Labels of the held-out samples.
    n_permutations : int, default=999
        Number of permutations of the labels. The smallest possible p-value is ``1 / (n_permutations + 1)``.
    groups : array, shape (n_tested,), default=None
        The participant of each of `test_labels`, or without held-out samples of each of `labels`, if participants have
        several samples. Whole participants are then permuted, among participants with equally many labelled samples,
        and folds hold out whole participants. P-values are then exact if participants are exchangeable; without
        `groups` they are exact if samples are exchangeable.
    random_state : int or None, default=0
        Seed.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` for each of the two probes, and for every permutation for which a
        probe is trained.

    Returns
    -------
    Probe

    Raises
    ------
    TypeError
        If labels are of several kinds, or are neither text, truth values nor numbers.
    ValueError
        If all labels of the training samples or of the tested samples are the same, if a class has one sample (or
        participant) only and there are no held-out samples, if `groups` has another length, or if fewer than 120 orders
        of participants can be permuted.

    Warns
    -----
    UserWarning
        If labels are infinite.
    """
    held_out, labels = None, without_infinite(plain_labels(labels))
    if test_scores is not None and test_labels is not None:
        test_labels = without_infinite(plain_labels(test_labels))
        held_out = _labelled(test_scores, test_labels, groups)
    x, y, participants = _labelled(scores, labels, groups if held_out is None else None)
    task = task_of(y)
    tested = y if held_out is None else held_out[1]
    reason = untestable(y, tested)
    if reason:
        raise ValueError(f"These labels cannot be predicted: {reason} Give labels of at least two values.")
    if task == "regression":
        y, held_out = _in_common_units(y, held_out)
    if held_out is None:
        _check_folds(task, y, participants)
    values: dict[str, tuple[float, NDArray]] = {}
    for done, kind in enumerate(KINDS):
        progress(done, len(KINDS), f"{kind} probe")
        estimator = _estimator(kind, task, random_state)
        with quietly(), one_thread():
            if held_out is None:
                count = min(n_permutations, MOST_TRAINED[kind])
                report = within_step(progress, done, len(KINDS), f"{kind} probe")
                values[kind] = _cross_validated(estimator, x, y, participants, task, count, random_state, report)
            else:
                values[kind] = _tested(estimator.fit(x, y), *held_out, task, n_permutations, random_state)
    progress(len(KINDS), len(KINDS), "done")
    (linear, permuted), network = values["linear"], values["network"]
    chance = float(np.mean(permuted)) if task == "classification" else 0.0
    n_tested = len(y if held_out is None else held_out[1])
    p_linear, p_network = p_value_of(linear, permuted), p_value_of(*network)
    return Probe(task, linear, network[0], chance, p_linear, p_network, len(permuted), n_tested)


def _in_common_units(y: NDArray, held_out: Any) -> tuple[NDArray, Any]:
    """Return numbers in units of their range; the fraction of variance that is predicted stays the same."""
    if held_out is None:
        return in_own_units(y), None
    both = in_own_units(np.concatenate([y, held_out[1]]))
    return both[: len(y)], (held_out[0], both[len(y) :], held_out[2])


def _without_rounding(values: NDArray) -> NDArray:
    """Return labels, or equal ones if they are numbers that differ by rounding alone."""
    is_equal = values.dtype.kind == "f" and len(values) and not in_own_units(values).any()
    return np.full_like(values, values[0]) if is_equal else values


def untestable(labels: NDArray, tested_labels: NDArray) -> str:
    """Return why no probe can be trained on some labels and tested on others; empty if one can.

    Parameters
    ----------
    labels, tested_labels : array, shape (n_samples,)
        Labels of the training samples and of the tested samples, as `plain_labels` returns them.
    """
    for where, values in (("to train on", labels), ("to test on", tested_labels)):
        classes, counts = np.unique(_without_rounding(values[known(values)]), return_counts=True)
        if len(classes) == 0:
            return f"no sample {where} has a label."
        if len(classes) == 1:
            everywhere, all_counts = _counts([labels] if labels is tested_labels else [labels, tested_labels])
            others = [
                f"{value!r} of {count}"
                for value, count in zip(everywhere, all_counts, strict=True)
                if len(np.unique(_without_rounding(np.array([value, classes[0]])))) > 1
            ]
            reason = f"the {counts[0]} labelled samples {where} all have the label {classes[0].item()!r}"
            return f"{reason}; the other labels are {', '.join(others[:MOST_SHOWN])}." if others else f"{reason}."
    return ""


def _counts(arrays: list[NDArray]) -> tuple[list[Any], list[int]]:
    """Return the values of all labels, and the numbers of their samples."""
    values, counts = np.unique(np.concatenate([array[known(array)] for array in arrays]), return_counts=True)
    return values.tolist(), counts.tolist()


def _check_folds(task: str, labels: NDArray, groups: NDArray | None) -> None:
    """Raise an error if a class has too few members, of which some are held out and others trained on."""
    if task == "regression":
        return
    for label, count in _members(labels, groups).items():
        if count < 2:
            members = "sample" if groups is None else "participant"
            raise ValueError(SINGLE_MEMBER.format(label=label, members=members))


def _members(labels: NDArray, groups: NDArray | None) -> dict[Any, int]:
    """Return the number of samples of each class, or of participants."""
    units = np.arange(len(labels)) if groups is None else groups
    return {label.item(): len(np.unique(units[labels == label])) for label in np.unique(labels)}


def _labelled(
    scores: ArrayLike, labels: ArrayLike, groups: ArrayLike | None
) -> tuple[NDArray, NDArray, NDArray | None]:
    """Return scores, labels and participants of the labelled samples; rank 0 becomes one constant score."""
    x, y = np.asarray(scores, dtype=np.float64), plain_labels(labels)
    if y.ndim != 1:
        raise ValueError(
            f"The labels have shape {y.shape}, but shape ({len(x)},) is expected. Probe each column alone."
        )
    if len(x) != len(y):
        raise ValueError(f"One label for each sample is expected, but there are {len(x)} samples and {len(y)} labels.")
    labelled = known(y) & np.isfinite(x).all(axis=1)
    participants = None if groups is None else named_groups(len(y), groups)[labelled]
    return x[labelled] if x.shape[1] else np.zeros((int(labelled.sum()), 1)), y[labelled], participants


def _estimator(kind: Kind, task: str, random_state: int | None) -> Any:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "linear":
        last = LogisticRegression(max_iter=1000) if task == "classification" else RidgeCV(np.logspace(-2, 3, 11))
        return make_pipeline(StandardScaler(), last)
    network = MLPClassifier if task == "classification" else MLPRegressor
    last = network(hidden_layer_sizes=(32,), solver="lbfgs", alpha=1.0, max_iter=100, random_state=random_state)
    if task == "regression":
        from sklearn.compose import TransformedTargetRegressor

        last = TransformedTargetRegressor(last, transformer=StandardScaler())
    return make_pipeline(StandardScaler(), last)


def _tested(
    fitted: Any,
    x: NDArray,
    y: NDArray,
    groups: NDArray | None,
    task: str,
    n_permutations: int,
    random_state: int | None,
) -> tuple[float, NDArray]:
    """Return the measure on held-out samples, and the measure for each permutation of their labels."""
    predicted, draw_order = fitted.predict(x), orders_of(len(y), groups, check_random_state(random_state))
    permuted = [_measure(task, y[draw_order()], predicted) for _ in range(n_permutations)]
    return _measure(task, y, predicted), np.array(permuted)


def _measure(task: str, y: NDArray, predicted: NDArray) -> float:
    """Return balanced accuracy, or the fraction of the variance that is predicted."""
    if task == "regression":
        return float(1.0 - np.square(y - predicted).sum() / np.square(y - y.mean()).sum())
    correct = predicted == y
    return float(np.mean([correct[y == label].mean() for label in np.unique(y)]))


def _cross_validated(
    estimator: Any,
    x: NDArray,
    y: NDArray,
    groups: NDArray | None,
    task: str,
    n_permutations: int,
    random_state: int | None,
    progress: Progress,
) -> tuple[float, NDArray]:
    """Return the cross-validated measure, and the measure for each permutation of the labels."""
    from sklearn.model_selection import cross_val_score

    scoring = "balanced_accuracy" if task == "classification" else "r2"

    def measure(values: NDArray) -> float:
        folds = _folds(task, values, groups, random_state)
        return float(np.mean(cross_val_score(estimator, x, values, scoring=scoring, cv=folds, error_score="raise")))

    draw_order = orders_of(len(y), groups, check_random_state(random_state))
    observed, permuted = measure(y), np.empty(n_permutations)
    for number in range(n_permutations):
        permuted[number] = measure(y[draw_order()])
        progress(number + 1, n_permutations, "permuting labels")
    return observed, permuted


def _folds(task: str, labels: NDArray, groups: NDArray | None, random_state: int | None) -> list[Any]:
    """Return training and test rows: classes in equal proportions, and each participant on one side."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if task == "regression":
        return folds_of(len(labels), groups, FOLDS, random_state)
    stratified = StratifiedKFold if groups is None else StratifiedGroupKFold
    n_folds = max(2, min(FOLDS, *_members(labels, groups).values()))
    return list(stratified(n_folds, shuffle=True, random_state=random_state).split(labels, labels, groups))
