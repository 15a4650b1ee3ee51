"""The demonstration: what its support vector machines read, its rows, and its picture."""

from __future__ import annotations

import numpy as np
import pytest

import deepjive as dj
from deepjive.datasets import PairedDigits, load_paired_digits
from deepjive.experiments import demo
from deepjive.experiments.demo_picture import demonstration_figure


def known_scores(pairs: PairedDigits) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are the digit and nothing else, and scores that are the angle of the first image."""
    angle = np.deg2rad(pairs.angle["first"])
    return np.eye(10)[pairs.digit], np.column_stack([np.cos(angle), np.sin(angle)])


def test_known_scores_are_read_as_what_they_are() -> None:
    train, test = load_paired_digits(400, 200, random_state=0)
    (digit, angle), (test_digit, test_angle) = known_scores(train), known_scores(test)
    of_digit = demo._reading(demo.ScoresOfPairs("digit", digit, test_digit, ("first", "second")), train, test)
    of_angle = demo._reading(demo.ScoresOfPairs("angle", angle, test_angle, ("first",)), train, test)
    assert of_digit.digit == 1
    assert of_digit.angle < 0.1
    # the frequency of the most frequent of ten digits is 0.1; 200 digits have a standard error of 0.02
    assert of_angle.digit < 0.2
    assert of_angle.angle > 0.97


@pytest.mark.filterwarnings("ignore:The .* phase was still improving")
def test_every_method_has_a_row_and_deepjive_and_ajive_have_equal_ranks() -> None:
    results = demo.demonstrate(120, 60, max_epochs=1)
    sizes = {row.scores: row.size for row in results.readings}
    for method in ("DeepJIVE", "AJIVE"):
        assert sizes[f"{method}, joint"] == demo.JOINT_RANK
        assert sizes[f"{method}, individual of 'second'"] == demo.INDIVIDUAL_RANK
    assert sizes["Separate autoencoder of 'first'"] == demo.JOINT_RANK + demo.INDIVIDUAL_RANK
    assert [name for name, *_ in results.predicted_variance] == ["first", "second"]


@pytest.mark.parametrize("wide", [False, True])
def test_the_picture_shows_pairs_turned_digits_and_both_scores(wide: bool) -> None:
    train, test = load_paired_digits(100, 80, random_state=0)
    model = dj.AJIVE(signal_ranks=11, joint_rank=9, random_state=0).fit(train.data)
    results = demo.Demonstration(model, model.decompose(test.data), test, [], [])
    figure = demonstration_figure(results, results.parts.joint_scores[:50, :2], wide=wide)
    shown = [image for axes in figure.axes for image in axes.get_images()]
    assert len(shown) == 5 * (2 + 5)  # two images of each pair, and five angles
    texts = [text.get_text() for part in figure.subfigs for text in part.texts]
    assert {"Held-out pairs", "Map of the joint scores"} <= set(texts)
    assert (figure.get_figwidth() > figure.get_figheight()) == wide
