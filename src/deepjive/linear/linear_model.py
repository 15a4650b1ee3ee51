"""What the linear estimators share: parts from scores and loadings, and the state that says how much they explain.

    J_k = mean_k + scores_J L_k          S_k = scores_S,k A_k

Scores have mean 0 and variance 1 over the samples fitted, ``sqrt(n)`` times orthonormal columns; a loading is what one
unit of its score does in data space, and has the shape of a sample: a map where the input is an image.
"""

from __future__ import annotations

from abc import ABC
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepjive.base import JointIndividualModel


class LinearModel(JointIndividualModel, ABC):
    """Base of the estimators whose parts are scores times loadings.

    Attributes
    ----------
    joint_scores_ : array, shape (n_samples, joint_rank)
        Joint scores of the samples fitted; mean 0 (where the data were centred) and variance 1.
    individual_scores_ : dict of str to array, shape (n_samples, individual_rank)
        Individual scores of the samples fitted, of the same scaling.
    joint_loadings_, individual_loadings_ : dict of str to array, shape (rank, ...)
        What one unit of a score does to a sample, in data units.
    variance_explained_ : dict of str to dict
        Fractions ``"joint"``, ``"individual"`` and ``"residual"`` of each modality's sum of squares about its mean.
    component_variance_ : dict of str to dict
        Fractions of the single components: ``"joint"`` (joint_rank,) and ``"individual"`` (individual_rank,). The
        components of a part are orthogonal, so that they add up to the part.
    """

    joint_scores_: NDArray
    individual_scores_: dict[str, NDArray]
    joint_loadings_: dict[str, NDArray]
    individual_loadings_: dict[str, NDArray]
    variance_explained_: dict[str, dict[str, float]]
    component_variance_: dict[str, dict[str, NDArray]]

    def _render(
        self, part: Literal["joint", "individual"], name: str, joint_scores: NDArray, individual_scores: NDArray
    ) -> NDArray:
        joint = part == "joint"
        scores = joint_scores if joint else individual_scores
        loadings = (self.joint_loadings_ if joint else self.individual_loadings_)[name]
        rendered = np.asarray(scores, dtype=np.float64) @ loadings.reshape(len(loadings), self.mean_[name].size)
        rendered = rendered.reshape(len(scores), *self.shapes_[name])
        return rendered + self.mean_[name] if joint else rendered

    def _set_variance(self, joint: dict[str, NDArray], individual: dict[str, NDArray]) -> None:
        """Keep the fractions of the components, and what they add up to."""
        self.component_variance_ = {
            name: {"joint": joint[name], "individual": individual[name]} for name in self.shapes_
        }
        self.variance_explained_ = {name: _fractions(joint[name], individual[name]) for name in self.shapes_}


def _fractions(joint: NDArray, individual: NDArray) -> dict[str, float]:
    together, alone = float(joint.sum()), float(individual.sum())
    return {"joint": together, "individual": alone, "residual": 1.0 - together - alone}
