"""Measures of a fitted method on held-out samples of digits over backgrounds.

digit from ...            accuracy of a logistic regression that predicts the digit from scores
digit from individual     the same from the individual scores of one view, mean over views; also by a support vector
                          machine with a radial kernel, which finds what is encoded in a curved way
background from ...       R2 of the coarse background of a view, predicted from scores by a ridge regression on scores
                          and Nyström features, mean over views
reconstruction error      fraction of the variance of a view that its own scores leave, mean over views
coherence                 how often a view, drawn from m other views, is classified as the digit that they show
joint coherence           how often all views of a sample are classified as the same digit
spread                    variance of drawn views, as a fraction of the variance of real ones: 1 for draws that vary as
                          the data do, and small for draws that are means

Classifiers and regressions learn from training samples. Classifiers of images learn from real views.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from deepjive.evaluation.score_prediction import fresh_regressor
from deepjive.experiments.benchmark.methods import FittedViews
from deepjive.experiments.classification import held_out_accuracy, logistic, svm
from deepjive.experiments.digits.data.pairs import Pairs
from deepjive.threads import one_thread

PROBE_SAMPLES, KERNEL_SAMPLES, DRAWN = 5000, 2500, 1000

Measures = dict[str, float]
Classify = Callable[[NDArray], NDArray]


def view_measures(fitted: FittedViews, train: Pairs, test: Pairs, classify: Classify, seed: int) -> Measures:
    """Return all measures that a method has.

    Parameters
    ----------
    fitted : FittedViews
        A fitted method.
    train, test : Pairs
        Training samples, of which the first 5000 teach classifiers, and the samples that are measured.
    classify : callable
        Digits (n,) of images (n, height, width) of any view.
    seed : int
        Seed of what is drawn.

    Returns
    -------
    dict of str to float
    """
    train = first(train, PROBE_SAMPLES)
    with one_thread():
        measures = _score_measures(fitted, train, test)
    if (views := fitted.reconstructed(test.data)) is not None:
        measures["reconstruction error"] = float(
            np.mean([_left(np.asarray(test.data[name]), view) for name, view in views.items()])
        )
    return measures | _drawn_measures(fitted, first(test, DRAWN), classify, seed)


def first(samples: Pairs, n: int) -> Pairs:
    """Return the first n samples."""
    factors = {name: values[:n] for name, values in samples.factors.items()}
    return Pairs(samples.data[np.arange(min(n, len(samples)))], samples.digit[:n], factors)


def views_given(names: tuple[str, ...], m: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each view with the m views that follow it, as in a circle."""
    for number, name in enumerate(names):
        yield name, tuple(names[(number + 1 + step) % len(names)] for step in range(m))


def _score_measures(fitted: FittedViews, train: Pairs, test: Pairs) -> Measures:
    names = train.data.names
    known, asked = fitted.scores(train.data), fitted.scores(test.data)
    if known is None or asked is None:
        return {}
    measures: Measures = {}
    if known.joint is not None and asked.joint is not None:
        measures |= _joint_measures(fitted, train, test)
        measures["background from joint"] = _background_r2(
            dict.fromkeys(names, known.joint), dict.fromkeys(names, asked.joint), train, test
        )
    if known.individual:
        pairs = [(known.individual[name], asked.individual[name]) for name in names]
        measures["digit from individual"] = _mean_accuracy(pairs, train, test)
        measures["digit from individual, radial kernel"] = _kernel_accuracy(pairs, train, test)
        measures["background from individual"] = _background_r2(known.individual, asked.individual, train, test)
    everything, asked_everything = known.everything(), asked.everything()
    if everything is not None and asked_everything is not None:
        accuracy = held_out_accuracy(everything, train.digit, asked_everything, test.digit, logistic)
        measures["digit from all scores"] = accuracy
    return measures


def _joint_measures(fitted: FittedViews, train: Pairs, test: Pairs) -> Measures:
    """Accuracy from joint scores, by the number of views that they are computed from."""
    measures: Measures = {}
    names = train.data.names
    for m in range(1, len(names) + 1):
        accuracies = []
        for chosen in dict.fromkeys(tuple(sorted(views, key=names.index)) for _, views in views_given(names, m)):
            scores = [fitted.scores(split.data.select(chosen)) for split in (train, test)]
            known, asked = (None if part is None else part.joint for part in scores)
            if known is not None and asked is not None:
                accuracies.append(held_out_accuracy(known, train.digit, asked, test.digit, logistic))
        if accuracies:
            measures[f"digit from joint, {m} given"] = float(np.mean(accuracies))
    return measures


def _drawn_measures(fitted: FittedViews, test: Pairs, classify: Classify, seed: int) -> Measures:
    measures: Measures = {}
    names = test.data.names
    spreads = []
    for m in range(1, len(names)):
        coherent = []
        for name, given in views_given(names, m):
            drawn = fitted.drawn(test.data.select(sorted(given, key=names.index)), name, seed)
            if drawn is not None:
                coherent.append(np.mean(classify(drawn) == test.digit))
                spreads.append(_spread(drawn, np.asarray(test.data[name])))
        if coherent:
            measures[f"coherence, {m} given"] = float(np.mean(coherent))
    if spreads:
        measures["spread, others given"] = float(np.mean(spreads))
    if (samples := fitted.sampled(DRAWN, seed)) is not None:
        digits = np.stack([classify(samples[name]) for name in names])
        measures["joint coherence"] = float(np.mean((digits == digits[0]).all(axis=0)))
        measures["spread, samples"] = float(
            np.mean([_spread(samples[name], np.asarray(test.data[name])) for name in names])
        )
    return measures


def _mean_accuracy(pairs: list[tuple[NDArray, NDArray]], train: Pairs, test: Pairs) -> float:
    return float(
        np.mean([held_out_accuracy(known, train.digit, asked, test.digit, logistic) for known, asked in pairs])
    )


def _kernel_accuracy(pairs: list[tuple[NDArray, NDArray]], train: Pairs, test: Pairs) -> float:
    few = slice(KERNEL_SAMPLES)
    return float(
        np.mean([held_out_accuracy(known[few], train.digit[few], asked, test.digit, svm) for known, asked in pairs])
    )


def _background_r2(known: dict[str, NDArray], asked: dict[str, NDArray], train: Pairs, test: Pairs) -> float:
    """Mean over views of the R2 of the coarse background; 0 without scores."""
    values = []
    for name, scores in known.items():
        if not scores.shape[1]:
            values.append(0.0)
            continue
        learned, true = (split.factors[f"background of {name}"] for split in (train, test))
        regressor = fresh_regressor(scores.shape[1], len(scores))
        values.append(1 - _left(true, regressor.fit(scores, learned).predict(asked[name]).reshape(true.shape)))
    return float(np.mean(values))


def _left(true: NDArray, predicted: NDArray) -> float:
    """Fraction of the variance that a prediction leaves."""
    return float(np.square(true - predicted).sum() / np.square(true - true.mean(axis=0)).sum())


def _spread(drawn: NDArray, real: NDArray) -> float:
    return float(drawn.var(axis=0).sum() / real.var(axis=0).sum())
