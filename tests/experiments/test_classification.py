"""Classifiers of scores: what scores without meaning cost each."""

from __future__ import annotations

import numpy as np

from deepjive.datasets.synthetic import make_synthetic
from deepjive.experiments.classification import held_out_accuracy, logistic, svm
from deepjive.linear.ajive import AJIVE


def test_scores_of_noise_cost_the_kernel_accuracy_and_the_linear_classifier_hardly_any() -> None:
    made = make_synthetic(3000, (60, 60), noise=0.5, joint_rank=3, random_state=0)
    model = AJIVE(signal_ranks=4, joint_rank=3, individual_ranks=1, n_wedin=0, n_random=0, random_state=0).fit(
        made.data[:1000]
    )
    scores = model.decompose(made.data).joint_scores
    noisy = np.hstack([scores, np.random.default_rng(0).normal(size=(len(scores), 2))])
    quarters = np.digitize(made.joint_scores[:, 0], (-0.6745, 0.0, 0.6745))

    def cost(classifier) -> float:
        told = [
            held_out_accuracy(x[:1000], quarters[:1000], x[1000:], quarters[1000:], classifier) for x in (scores, noisy)
        ]
        return told[0] - told[1]

    assert cost(svm) > 0.015
    assert abs(cost(logistic)) < 0.005


def test_without_scores_the_most_frequent_label_is_told() -> None:
    labels = np.array([0, 1, 1, 1])
    for classifier in (svm, logistic):
        assert held_out_accuracy(np.empty((4, 0)), labels, np.empty((4, 0)), labels, classifier) == 0.75
