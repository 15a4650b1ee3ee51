"""Rotations of scores for reading: other axes of the same joint and individual parts.

The parts of a model do not change if scores are multiplied by an orthogonal matrix R and loadings by its transpose:

    Z L  =  (Z R)(R' L)

So a rotation is chosen that is easier to read. R is found from loadings per standard deviation of the feature (joint:
the loadings of all modalities side by side), or from the scores:

- **varimax**: squares of the loadings of a score differ as much as possible (Kaiser 1958);
- **sparse**: the sum of absolute loadings is as small as possible (Jennrich 2006), by gradient projection;
- **ica**: scores are as independent as possible (FastICA, Hyvarinen 1999).

A rotated score has no sign or order of its own: scores are ordered by the variance that they account for, and the sum
of the cubes of the loadings of each score is positive.

References
----------
Kaiser 1958, The varimax criterion for analytic rotation in factor analysis, Psychometrika 23:187.
Jennrich 2006, Rotation to simple loadings using component loss functions, Psychometrika 71:173.
Hyvarinen 1999, Fast and robust fixed-point algorithms for independent component analysis, IEEE TNN 10:626.
"""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from deepjive.algebra import thin_svd
from deepjive.base import JointIndividualModel, Scores
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.decomposition import Decomposition
from deepjive.evaluation.feature_ranking import effects_of

RotationName = Literal["varimax", "ica", "sparse"]

KEPT = ("shapes_", "features_", "n_participants_", "mean_", "adjustment_", "feature_residual_std_")
STEPS, TOLERANCE = 500, 1e-7
SOFT = 1e-3
UNKNOWN = "method is {given!r}, but must be one of {names}."
FIT = "A rotated model is not fitted again. Fit the model, then call rotate(model, data, {method!r})."
NO_SUBSETS = "rotate() takes no model with scores of subsets of modalities. Fit without `subsets` to rotate its scores."


class RotatedModel(JointIndividualModel):
    """A fitted model with rotated scores; its parts are those of the model.

    Parameters
    ----------
    model : estimator
        The fitted model.
    method : {"varimax", "ica", "sparse"}
        Name of the rotation.

    Attributes
    ----------
    joint_rotation_ : array, shape (joint_rank, joint_rank)
        The orthogonal matrix R: joint scores of `model` times R are the joint scores of this model.
    individual_rotations_ : dict of str to array, shape (individual_rank, individual_rank)
        The same for individual scores.
    component_variance_ : dict of str to dict
        For each modality the fraction of variance of each score, ``"joint"`` and ``"individual"``: the mean square of
        the change of the parts when the score is set to its mean. For linear models the fractions of a part add up to
        the part's fraction before and after the rotation.

    See Also
    --------
    rotate : Make a rotated model.
    """

    joint_rotation_: NDArray
    individual_rotations_: dict[str, NDArray]
    component_variance_: dict[str, dict[str, NDArray]]

    def __init__(self, model: Any, method: RotationName) -> None:
        self.model = model
        self.method = method

    @property
    def needs_all_modalities(self) -> bool:
        """Whether joint scores of a sample can be computed only if the sample has every modality."""
        return bool(self.model.needs_all_modalities)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Raise TypeError: the model is fitted before it is rotated."""
        raise TypeError(FIT.format(method=self.method))

    def unrotated(self) -> Any:
        """Return the model without the rotation."""
        return self.model

    def _scores(self, data: Modalities) -> Scores:
        scores = self.model._scores(data)
        individual = {name: values @ self.individual_rotations_[name] for name, values in scores.individual.items()}
        return Scores(scores.joint @ self.joint_rotation_, individual)

    def _prepared(self, data: Modalities) -> Modalities:
        prepared: Modalities = self.model._prepared(data)
        return prepared

    def _in_fitted_features(self, X: Any, missing_features: Literal["error", "mean"] = "error") -> Modalities:
        checked: Modalities = self.model._in_fitted_features(X, missing_features)
        return checked

    def _render(self, part: Any, name: str, joint_scores: NDArray, individual_scores: NDArray) -> NDArray:
        individual = np.asarray(individual_scores) @ self.individual_rotations_[name].T
        rendered: NDArray = self.model._render(
            part, name, np.asarray(joint_scores) @ self.joint_rotation_.T, individual
        )
        return rendered

    def _take(self, joint: NDArray, individual: dict[str, NDArray]) -> None:
        model = self.model
        for attribute in (*KEPT, "individual_ranks_"):
            if hasattr(model, attribute):
                setattr(self, attribute, getattr(model, attribute))
        self.joint_rotation_, self.individual_rotations_ = joint, individual
        self.joint_rank_ = model.joint_rank_
        self.joint_scores_ = model.joint_scores_ @ joint
        self.individual_scores_ = {name: model.individual_scores_[name] @ turn for name, turn in individual.items()}
        self.variance_explained_ = model.variance_explained_


def rotate(model: Any, data: Any, method: RotationName = "varimax", *, random_state: int | None = 0) -> RotatedModel:
    """Rotate the scores of a fitted model, and its loadings with them, so that they are easier to read.

    Parameters
    ----------
    model : estimator
        A fitted model, linear or deep. It is not changed.
    data : Modalities, mapping or sequence
        The samples that the model was fitted to.
    method : {"varimax", "ica", "sparse"}, default="varimax"
        "varimax" and "sparse" give scores with few large loadings, "ica" gives independent scores.
    random_state : int or None, default=0
        Seed of "ica".

    Returns
    -------
    RotatedModel
        With ``unrotated()`` for the model.

    Raises
    ------
    ValueError
        If the method is unknown.

    Examples
    --------
    >>> from deepjive import AJIVE
    >>> from deepjive.datasets import make_synthetic
    >>> data = make_synthetic(120, (20, 16), joint_rank=2, random_state=0).data
    >>> model = AJIVE(joint_rank=2, individual_ranks=1, random_state=0).fit(data)
    >>> rotated = rotate(model, data, "sparse")
    >>> bool(np.allclose(rotated.decompose(data).joint["modality_1"], model.decompose(data).joint["modality_1"]))
    True
    """
    if method not in get_args(RotationName):
        raise ValueError(UNKNOWN.format(given=method, names=list(get_args(RotationName))))
    check_is_fitted(model)
    if any(rank for subset, rank in getattr(model, "subset_ranks_", {}).items() if len(subset) < len(model.shapes_)):
        raise ValueError(NO_SUBSETS)
    parts = model.decompose(as_modalities(data)).adjusted
    effects = {name: effects_of(parts, name) for name in parts.data.names}
    rank = model.joint_rank_
    joint = np.concatenate([effect.effect[:rank] for effect in effects.values()], axis=1)
    turns = {
        name: _rotation(parts.individual_scores[name], effect.effect[rank:], method, random_state)
        for name, effect in effects.items()
    }
    rotated = RotatedModel(model, method)
    rotated._take(_rotation(parts.joint_scores, joint, method, random_state), turns)
    turned = rotated.decompose(parts.data)
    rotated.component_variance_ = {name: component_variance(turned, name) for name in parts.data.names}
    return rotated


def component_variance(parts: Decomposition, name: str) -> dict[str, NDArray]:
    """Return the fraction of a modality's variance that each score accounts for.

    Parameters
    ----------
    parts : Decomposition
        The decomposition.
    name : str
        The modality.

    Returns
    -------
    dict of str to array, shape (rank,)
        ``"joint"`` and ``"individual"``: the mean square of the change when the score is set to 0, its mean.
    """
    parts = parts.adjusted
    rows = np.flatnonzero(parts.data.present[:, parts.data.names.index(name)])
    scores = {"joint": parts.joint_scores[rows], "individual": parts.individual_scores[name][rows]}
    total = np.nansum(np.square(parts.data.rows(name, rows).astype(np.float64) - parts.mean[name]))
    fractions = {}
    for part, values in scores.items():
        lost = np.zeros(values.shape[1])
        whole = parts.render(part, name, scores["joint"], scores["individual"])  # type: ignore[arg-type]
        for k in range(values.shape[1]):
            without = values.copy()
            without[:, k] = 0.0
            at = scores | {part: without}
            changed = parts.render(part, name, at["joint"], at["individual"])  # type: ignore[arg-type]
            lost[k] = np.square(whole - changed, dtype=np.float64).sum()
        fractions[part] = lost / total if total else np.full(len(lost), np.nan)
    return fractions


def _rotation(scores: NDArray, loadings: NDArray, method: RotationName, random_state: int | None) -> NDArray:
    """Return the orthogonal matrix of a rotation, with scores ordered by variance and turned to positive skewness."""
    rank = loadings.shape[0]
    if rank == 0:
        return np.zeros((0, 0))
    turn = np.eye(rank)
    if rank > 1:
        turn = _independent(scores, random_state) if method == "ica" else _simple(loadings.T, method)
    turned = turn.T @ loadings
    order = np.argsort(-np.square(turned).sum(axis=1), kind="stable")
    signs = np.where((turned[order] ** 3).sum(axis=1) < 0.0, -1.0, 1.0)
    rotation: NDArray = turn[:, order] * signs
    return rotation


def _independent(scores: NDArray, random_state: int | None) -> NDArray:
    from sklearn.decomposition import FastICA

    known = scores[np.isfinite(scores).all(axis=1)]
    left, _, right = thin_svd(known - known.mean(axis=0))
    white = left @ right * np.sqrt(len(left))  # the orthonormal scores closest to the scores
    ica = FastICA(whiten=False, max_iter=1000, tol=1e-4, random_state=random_state).fit(white)
    return np.asarray(ica.components_.T)


def _simple(loadings: NDArray, method: RotationName) -> NDArray:
    """Rotate loadings (n_features, rank) by gradient projection on orthogonal matrices (Jennrich 2001)."""
    turn, step = np.eye(loadings.shape[1]), 1.0
    value, slope = _criterion(loadings @ turn, method)
    for _ in range(STEPS):
        gradient = loadings.T @ slope
        inner = turn.T @ gradient
        direction = gradient - turn @ (inner + inner.T) / 2.0
        length = float(np.linalg.norm(direction))
        if length < TOLERANCE * max(1.0, abs(value)):
            break
        step *= 2.0
        for _ in range(40):
            left, _, right = thin_svd(turn - step * direction)
            candidate = left @ right
            new_value, new_slope = _criterion(loadings @ candidate, method)
            if new_value < value - 0.5 * step * length**2:
                break
            step /= 2.0
        else:
            break
        turn, value, slope = candidate, new_value, new_slope
    return turn


def _criterion(loadings: NDArray, method: RotationName) -> tuple[float, NDArray]:
    """Return the criterion to be minimized and its gradient."""
    if method == "varimax":
        squares = np.square(loadings)
        centred = squares - squares.mean(axis=0)
        return -float(np.square(centred).sum()) / 4.0, -loadings * centred
    soft = np.sqrt(np.square(loadings) + SOFT**2)
    return float(soft.sum()), loadings / soft
