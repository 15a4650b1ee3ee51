"""Classification of held-out samples from their scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike, NDArray


def svm(C: float = 10.0) -> Any:
    """Support vector machine with a radial kernel on standardized scores."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(C=C))


def logistic() -> Any:
    """Logistic regression on standardized scores; scores of noise reduce its accuracy less than that of a kernel."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def held_out_accuracy(
    train_scores: NDArray,
    train_labels: ArrayLike,
    test_scores: NDArray,
    test_labels: ArrayLike,
    classifier: Callable[[], Any] = svm,
) -> float:
    """Accuracy of a classifier that is trained on the scores of some samples and tested on other samples.

    Parameters
    ----------
    train_scores, test_scores : array, shape (n_samples, rank)
        Scores.
    train_labels, test_labels : array, shape (n_samples,)
        Labels.
    classifier : callable, default=svm
        Returns a new classifier: `svm` or `logistic`.

    Returns
    -------
    float
        Fraction of test labels predicted correctly. With rank 0, the most frequent training label is predicted.
    """
    if train_scores.shape[1] == 0:
        from sklearn.dummy import DummyClassifier

        return float(DummyClassifier().fit(train_scores, train_labels).score(test_scores, test_labels))
    return float(classifier().fit(train_scores, train_labels).score(test_scores, test_labels))
