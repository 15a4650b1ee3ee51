"""Base of the linear estimators: parts from scores and loadings, and the variance that the parts explain.

    J_k = mean_k + scores_J L_k          S_k = scores_S,k A_k

Scores have mean 0 and variance 1 over the fitted samples: they are ``sqrt(n)`` times orthonormal columns. A loading is
the change of a sample for one unit of its score. It has the shape of a sample: an image if the input is an image.
"""

from __future__ import annotations

from abc import ABC
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepjive.base import JointIndividualModel
from deepjive.data.modalities import Modalities
from deepjive.linear.gaps import checked_missing, fill_for_use
from deepjive.validation import check_for_fit


class LinearModel(JointIndividualModel, ABC):
    """Base of the estimators whose parts are products of scores and loadings.

    Attributes
    ----------
    joint_scores_ : array, shape (n_samples, joint_rank)
        Joint scores of the fitted samples, with mean 0 (if the data were centred) and variance 1.
    individual_scores_ : dict of str to array, shape (n_samples, individual_rank)
        Individual scores of the fitted samples, with the same scaling.
    joint_loadings_, individual_loadings_ : dict of str to array, shape (rank, ...)
        Change of a sample for one unit of a score, in data units.
    variance_explained_ : dict of str to dict
        Fractions ``"joint"``, ``"individual"`` and ``"residual"`` of each modality's sum of squares about its mean.
    component_variance_ : dict of str to dict
        Fractions of single components: ``"joint"`` (joint_rank,) and ``"individual"`` (individual_rank,). The
        components of a part are orthogonal, so that their fractions add up to the part's fraction.
    residual_std_ : dict of str to float
        Root mean square of the residual over all values of a modality, in data units.
    filled_shares_ : dict of str to float
        Share of each modality's values that were filled in for the fit; 0 unless ``missing="impute"``. Variance
        explained refers to the measured values.
    """

    missing: str
    _rank_evidence: tuple[str, ...] = ()

    joint_scores_: NDArray
    individual_scores_: dict[str, NDArray]
    joint_loadings_: dict[str, NDArray]
    individual_loadings_: dict[str, NDArray]
    variance_explained_: dict[str, dict[str, float]]
    component_variance_: dict[str, dict[str, NDArray]]
    residual_std_: dict[str, float]
    filled_shares_: dict[str, float]

    def _checked_for_fit(self, X: Any) -> Modalities:
        fill = checked_missing(self.missing)
        return check_for_fit(X, type(self).__name__, allow_missing=fill, allow_nan=fill)

    def _allows_nan(self) -> bool:
        return checked_missing(self.missing)

    def _prepared(self, data: Modalities) -> Modalities:
        return fill_for_use(self, data) if self.missing == "impute" else data

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "impute"
        return tags

    def _render(
        self, part: Literal["joint", "individual"], name: str, joint_scores: NDArray, individual_scores: NDArray
    ) -> NDArray:
        joint = part == "joint"
        scores = joint_scores if joint else individual_scores
        loadings = (self.joint_loadings_ if joint else self.individual_loadings_)[name]
        rendered = np.asarray(scores, dtype=np.float64) @ loadings.reshape(len(loadings), self.mean_[name].size)
        rendered = rendered.reshape(len(scores), *self.shapes_[name])
        return rendered + self.mean_[name] if joint else rendered

    def _set_variance(self, joint: dict[str, NDArray], individual: dict[str, NDArray], sizes: dict[str, float]) -> None:
        """Set the variance explained, and the residual of modalities whose values have these root mean squares."""
        self.component_variance_ = {
            name: {"joint": joint[name], "individual": individual[name]} for name in self.shapes_
        }
        self.variance_explained_ = {name: _fractions(joint[name], individual[name]) for name in self.shapes_}
        residual = {name: max(fractions["residual"], 0.0) for name, fractions in self.variance_explained_.items()}
        self.residual_std_ = {name: size * float(np.sqrt(residual[name])) for name, size in sizes.items()}
        self.filled_shares_ = dict.fromkeys(self.shapes_, 0.0)


def _fractions(joint: NDArray, individual: NDArray) -> dict[str, float]:
    joint_sum, individual_sum = float(joint.sum()), float(individual.sum())
    return {"joint": joint_sum, "individual": individual_sum, "residual": 1.0 - joint_sum - individual_sum}
