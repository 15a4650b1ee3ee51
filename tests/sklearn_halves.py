"""Estimators that accept one 2-D array, whose two halves of columns are the modalities.

scikit-learn's `check_estimator` knows one 2-D array as input and tests nothing else. The estimators of the library
refuse one array, and their tags say so. The subclasses here make the same code pass through all checks.
"""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_array

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities, SeparateAutoencoders


def halves(X: Any) -> Modalities:
    """Split the columns of one array into the modalities "left" and "right"."""
    X = check_array(X, accept_sparse="csr", dtype=None, ensure_all_finite=False, ensure_min_features=2)
    middle = X.shape[1] // 2
    return Modalities({"left": X[:, :middle], "right": X[:, middle:]})


class Halves:
    """Mixin: `fit` and `transform` take one array."""

    def fit(self, X: Any, y: Any = None) -> Any:
        return super().fit(halves(X), y)

    def transform(self, X: Any) -> Any:
        return super().transform(halves(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = tags.input_tags.sparse = True
        return tags


class HalvesWithScore(Halves):
    """Mixin: `score` takes one array too."""

    def score(self, X: Any, y: Any = None) -> float:
        return super().score(halves(X), y)


class HalvesAJIVE(HalvesWithScore, AJIVE):
    """AJIVE of one array."""


class HalvesHeteroJIVE(HalvesWithScore, HeteroJIVE):
    """HeteroJIVE of one array."""


class HalvesJIVE(HalvesWithScore, JIVE):
    """JIVE of one array."""


class HalvesDeepJIVE(HalvesWithScore, DeepJIVE):
    """DeepJIVE of one array."""


class HalvesSeparateAutoencoders(Halves, SeparateAutoencoders):
    """SeparateAutoencoders of one array."""
