"""Measures of methods that are told the truth, or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive.data.modalities import Modalities
from deepjive.experiments.benchmark.measures import view_measures, views_given
from deepjive.experiments.digits.data.pairs import Pairs
from deepjive.experiments.omics.methods import MethodScores

NAMES = ("first", "second", "third")


def samples_of(n: int, seed: int) -> Pairs:
    """Images whose one bright row is the digit, over a background of one random grey."""
    rng = np.random.default_rng(seed)
    digit = rng.integers(0, 4, n)
    views, factors = {}, {}
    for name in NAMES:
        grey = rng.random(n)
        views[name] = np.repeat(np.repeat(grey[:, None, None], 4, axis=1), 4, axis=2)
        views[name][np.arange(n), digit] += 3
        factors[f"background of {name}"] = grey[:, None]
    return Pairs(Modalities(views), digit, factors)


def classify(images):
    return images.mean(axis=2).argmax(axis=1)


class Truth:
    """A method whose joint scores are the digit and whose individual scores are the background, or the reverse."""

    def __init__(self, swapped: bool = False, blank: bool = False) -> None:
        self.swapped, self.blank = swapped, blank

    def scores(self, data):
        views = {name: np.asarray(view) for name, view in data.items()}
        digit = np.eye(4)[classify(next(iter(views.values())))]
        grey = {name: view.min(axis=(1, 2))[:, None] for name, view in views.items()}
        if self.swapped:
            return MethodScores(np.hstack(list(grey.values())), dict.fromkeys(views, digit))
        return MethodScores(digit, grey)

    def reconstructed(self, data):
        return {name: np.asarray(view) if not self.blank else 0 * np.asarray(view) for name, view in data.items()}

    def drawn(self, given, name, seed):
        digit = classify(np.asarray(given[given.names[0]]))
        if self.blank:
            digit = (digit + 1) % 4
        return self._images(digit, np.random.default_rng(seed).random(len(digit)))

    def sampled(self, n, seed):
        rng = np.random.default_rng(seed)
        digit = rng.integers(0, 4, n)
        return {name: self._images(rng.integers(0, 4, n) if self.blank else digit, rng.random(n)) for name in NAMES}

    def _images(self, digit, grey):
        images = np.repeat(np.repeat(grey[:, None, None], 4, axis=1), 4, axis=2)
        images[np.arange(len(digit)), digit] += 3
        return images


@pytest.fixture(scope="module")
def samples():
    return samples_of(400, 0), samples_of(300, 1)


def test_the_truth_has_the_best_value_of_every_measure(samples):
    measures = view_measures(Truth(), *samples, classify, 0)
    for given in (1, 2, 3):
        assert measures[f"digit from joint, {given} given"] == 1
    assert measures["digit from individual"] < 0.4
    assert measures["digit from individual, radial kernel"] < 0.4
    assert measures["background from individual"] > 0.99
    assert measures["background from joint"] < 0.05
    assert measures["digit from all scores"] == 1
    assert measures["reconstruction error"] == 0
    assert measures["coherence, 1 given"] == measures["coherence, 2 given"] == measures["joint coherence"] == 1
    assert 0.8 < measures["spread, samples"] < 1.2


def test_scores_that_hold_the_other_part_leak(samples):
    measures = view_measures(Truth(swapped=True), *samples, classify, 0)
    assert measures["digit from joint, 3 given"] < 0.4
    assert measures["digit from individual"] == 1
    assert measures["background from individual"] < 0.05
    assert measures["background from joint"] > 0.99


def test_other_digits_are_not_coherent(samples):
    measures = view_measures(Truth(blank=True), *samples, classify, 0)
    assert measures["coherence, 2 given"] == 0
    assert measures["joint coherence"] == pytest.approx(1 / 16, abs=0.04)
    assert measures["reconstruction error"] > 1


def test_each_view_is_drawn_from_those_that_follow_it():
    assert dict(views_given(NAMES, 2)) == {
        "first": ("second", "third"),
        "second": ("third", "first"),
        "third": ("first", "second"),
    }


class Silent(Truth):
    def scores(self, data):
        return None

    def reconstructed(self, data):
        return None

    def drawn(self, given, name, seed):
        return None

    def sampled(self, n, seed):
        return None


def test_a_method_has_only_the_measures_of_what_it_does(samples):
    assert view_measures(Silent(), *samples, classify, 0) == {}
