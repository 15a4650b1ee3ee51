"""Base of the linear estimators: parts from scores and loadings, and the variance that the parts explain.

    J_k = mean_k + scores_J L_k          S_k = scores_S,k A_k

Scores have mean 0 and variance 1 over the fitted samples: they are ``sqrt(n)`` times orthonormal columns. A loading is
the change of a sample for one unit of its score. It has the shape of a sample: an image if the input is an image.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from deepjive.base import JointIndividualModel
from deepjive.data.chunks import row_batches
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.linear.gaps import checked_missing, fill_for_use
from deepjive.linear.streaming import checked_masks, within_masks
from deepjive.linear.svd import Reduced
from deepjive.linear.uncentred import MeanShares
from deepjive.subsets import Subset
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
    noise_std_ : dict of str to float
        Estimated standard deviation of the noise of a modality, in data units: the residual over its degrees of
        freedom, ``(n_samples - 1 - r)(d - r)`` for rank r of both parts and d features that vary; 0 if none are left.
    lengths_ : dict of str to float
        Number by which each centred modality is divided in `products_`, in data units.
    products_ : dict of str to array, shape (n_samples, joint_rank + individual_rank)
        Products of the fitted samples with the joint and individual loadings, both divided by the modality's length.
        Scores of samples that lack modalities follow from such products; see ``deepjive.linear.partial_scores``.
    filled_shares_ : dict of str to float
        Share of each modality's values that were filled in for the fit; 0 unless ``missing="impute"``. Variance
        explained refers to the measured values.
    """

    center: bool
    missing: str
    _rank_evidence: tuple[str, ...] = ()
    _nearby_is_complete = True

    joint_scores_: NDArray
    individual_scores_: dict[str, NDArray]
    joint_loadings_: dict[str, NDArray]
    individual_loadings_: dict[str, NDArray]
    variance_explained_: dict[str, dict[str, float]]
    component_variance_: dict[str, dict[str, NDArray]]
    residual_std_: dict[str, float]
    noise_std_: dict[str, float]
    lengths_: dict[str, float]
    products_: dict[str, NDArray]
    filled_shares_: dict[str, float]

    def _checked_for_fit(self, X: Any) -> Modalities:
        fill, given = checked_missing(self.missing), as_modalities(X)
        shares = None if self.center or given.is_adjusted else MeanShares(checked_masks(self._masks(), given.shapes))
        data = check_for_fit(
            self._learn_adjustment(self._counted(given)),
            type(self).__name__,
            allow_missing=fill,
            allow_nan=fill,
            visit=None if shares is None else shares.add,
        )
        if shares is not None:
            shares.warn()
        return data

    def _allows_nan(self) -> bool:
        return checked_missing(self.missing)

    def _fit_nearby(self, data: Modalities, fitted: Any) -> Self:
        """Fit with the ranks of a model that was fitted to nearly the same data.

        Unless `_nearby_is_complete`, the weights of the modalities are those of the other model, and singular values
        that are not used are left out.
        """
        return self.fit(data)

    def _counted(self, data: Modalities) -> Modalities:
        return within_masks(data, getattr(self, "mask", None))

    def _masks(self) -> Mapping[str, Any] | None:
        masks: Mapping[str, Any] | None = getattr(self, "mask", None)
        return masks

    def _prepared(self, data: Modalities) -> Modalities:
        return fill_for_use(self, data) if self.missing == "impute" else data

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "impute"
        return tags

    def _render(
        self,
        part: Literal["joint", "individual"] | Subset,
        name: str,
        joint_scores: NDArray,
        individual_scores: NDArray,
    ) -> NDArray:
        joint = part == "joint"
        scores = joint_scores if joint else individual_scores
        loadings = (self.joint_loadings_ if joint else self.individual_loadings_)[name]
        rendered = np.asarray(scores, dtype=np.float64) @ loadings.reshape(len(loadings), self.mean_[name].size)
        rendered = rendered.reshape(len(scores), *self.shapes_[name])
        return rendered + self.mean_[name] if joint else rendered

    def _products(self, data: Modalities, name: str) -> NDArray:
        """Products of samples with joint and individual loadings, as `products_`; (n, joint_rank + individual_rank)."""
        length, width = self.lengths_[name], self.mean_[name].size
        parts = (self.joint_loadings_[name], self.individual_loadings_[name])
        loadings = np.concatenate([part.reshape(len(part), width) for part in parts]) / length
        products = np.empty((len(data), len(loadings)))
        for rows in row_batches(np.arange(len(data)), data.shapes[name]):
            values = (data.rows(name, rows) - self.mean_[name]) / length
            products[rows] = values.reshape(len(rows), width) @ loadings.T
        return products

    def _keep_residual(self, name: str, deviation: NDArray) -> None:
        """Set the residual of each feature: its variance without the squares of loadings, as scores are orthonormal."""
        deviation = deviation.reshape(self.shapes_[name])
        scale = np.where(deviation > 0.0, deviation, 1.0)
        left = np.ones_like(deviation)
        for part in (self.joint_loadings_[name], self.individual_loadings_[name]):
            left -= np.square(part / scale).sum(axis=0)
        self.feature_residual_std_[name] = deviation * np.sqrt(np.maximum(left, 0.0))

    def _set_variance(
        self,
        joint: dict[str, NDArray],
        individual: dict[str, NDArray],
        reduced: dict[str, Reduced],
        n_joint: dict[str, int] | None = None,
    ) -> None:
        """Set the variance explained, the residual and the noise, from the fractions of single components.

        A modality that does not hold all joint components has the number `n_joint` of those that it holds.
        """
        self.component_variance_ = {
            name: {"joint": joint[name], "individual": individual[name]} for name in self.shapes_
        }
        self.variance_explained_ = {name: _fractions(joint[name], individual[name]) for name in self.shapes_}
        self.residual_std_, self.noise_std_ = {}, {}
        for name, modality in reduced.items():
            residual = np.sqrt(max(self.variance_explained_[name]["residual"], 0.0))
            self.residual_std_[name] = modality.root_mean_square * float(residual)
            held = self.joint_rank_ if n_joint is None else n_joint[name]
            rank, n = held + self.individual_ranks_[name], modality.n_samples
            free = max(n - self.center - rank, 0) * max(modality.n_varying - rank, 0)
            share = n * modality.n_features / free if free else 0.0
            self.noise_std_[name] = self.residual_std_[name] * float(np.sqrt(share))
        self.filled_shares_ = dict.fromkeys(self.shapes_, 0.0)


def _fractions(joint: NDArray, individual: NDArray) -> dict[str, float]:
    joint_sum, individual_sum = float(joint.sum()), float(individual.sum())
    return {"joint": joint_sum, "individual": individual_sum, "residual": 1.0 - joint_sum - individual_sum}
