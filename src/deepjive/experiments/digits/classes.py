"""Classification errors from scores: of support vector machines, and of clusters.

The support vector machine of `svm_error` has a radial kernel on standardized scores. Its training time grows with the
square of the number of samples. Therefore it is trained on the first `SVM_SAMPLES` training samples, and C is chosen
from `GRID` by machines trained on the first `CHOICE_SAMPLES`. The linear machine has C = 1 and is trained on the first
`LINEAR_SAMPLES`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepjive.experiments.classification import svm
from deepjive.threads import one_thread

GRID = (1.0, 10.0, 100.0)
SVM_SAMPLES, CHOICE_SAMPLES = 5000, 2000
LINEAR_SAMPLES = 20_000


def svm_error(
    train: tuple[NDArray, NDArray], validation: tuple[NDArray, NDArray], test: tuple[NDArray, NDArray]
) -> float:
    """Classification error of a support vector machine on test samples.

    Parameters
    ----------
    train, validation, test : (scores, classes)
        Scores of shape (n, rank), and classes of shape (n,).

    Returns
    -------
    float
        Fraction of test samples. With rank 0, it is the error of predicting the most frequent training class.
    """
    scores, classes = train[0][:SVM_SAMPLES], train[1][:SVM_SAMPLES]
    if scores.shape[1] == 0:
        names, counts = np.unique(classes, return_counts=True)
        return float(np.mean(test[1] != names[counts.argmax()]))
    few = slice(CHOICE_SAMPLES)
    with one_thread():
        accuracies = [svm(c).fit(scores[few], classes[few]).score(validation[0][few], validation[1][few]) for c in GRID]
        return 1.0 - float(svm(GRID[int(np.argmax(accuracies))]).fit(scores, classes).score(*test))


def linear_svm_accuracy(train: tuple[NDArray, NDArray], test: tuple[NDArray, NDArray]) -> float:
    """Accuracy of a linear support vector machine on test samples.

    Parameters
    ----------
    train, test : (scores, classes)
        Scores of shape (n, rank), with rank at least 1, and classes of shape (n,).

    Returns
    -------
    float

    Examples
    --------
    >>> scores, classes = np.array([[0.0], [0.1], [5.0], [5.1]]), np.array(["a", "a", "b", "b"])
    >>> linear_svm_accuracy((scores, classes), (scores, classes))
    1.0
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    machine = make_pipeline(StandardScaler(), LinearSVC(dual=False))
    with one_thread():
        return float(machine.fit(train[0][:LINEAR_SAMPLES], train[1][:LINEAR_SAMPLES]).score(*test))


def cluster_error(scores: NDArray, classes: NDArray, *, random_state: int = 0) -> float:
    """Fraction of samples outside the cluster that is matched to their class.

    There are as many k-means clusters as classes. Clusters are matched to classes one to one, so that the error is
    smallest (Kuhn 1955, The Hungarian method for the assignment problem).

    Parameters
    ----------
    scores : array, shape (n, rank)
        Scores.
    classes : array, shape (n,)
        Classes.
    random_state : int, default=0
        Seed of k-means.

    Returns
    -------
    float

    Examples
    --------
    >>> cluster_error(np.array([[0.0], [0.1], [5.0], [5.1]]), np.array(["a", "a", "b", "b"]))
    0.0
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans

    names, codes = np.unique(classes, return_inverse=True)
    with one_thread():
        clusters = KMeans(len(names), n_init=5, random_state=random_state).fit_predict(scores)
    table = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(table, (codes, clusters), 1)
    return 1.0 - float(table[linear_sum_assignment(-table)].sum() / len(classes))
