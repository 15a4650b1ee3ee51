"""What all estimators share: scikit-learn's conventions and the way from scores to a Decomposition.

An estimator finds scores (`_scores`) and turns scores back into parts (`_render`); everything a user calls after
`fit` follows from these two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from deepjive.data.modalities import Modalities, as_modalities
from deepjive.decomposition import Decomposition
from deepjive.validation import check_for_use

UNKNOWN_MODALITY = "There is no modality {name!r} in the model; it was fitted to {fitted}."

WRONG_SCORES = (
    "{what} of shape (n_samples, {rank}) are expected, with as many samples in each set of scores, but were given with "
    "shape {given}."
)
NOTHING_PRESENT = "{count} samples lack every modality, the first is sample {sample}; drop them before using the model."


class Scores(NamedTuple):
    """Scores of the samples: joint (n, joint_rank), and individual (n, individual_rank) by modality."""

    joint: NDArray
    individual: dict[str, NDArray]


class JointIndividualModel(TransformerMixin, BaseEstimator, ABC):
    """Base of the estimators: `fit`, `_scores` and `_render` differ, the rest is here.

    Attributes
    ----------
    shapes_ : dict of str to tuple
        Sample shape of each modality, in order.
    features_ : dict of str to list of str, or None
        Names of each modality's features, None where they have none.
    n_participants_ : int
        Participants whose samples were fitted.
    mean_ : dict of str to array
        Mean sample of each modality, in data units.
    joint_rank_ : int
        Number of joint components.
    individual_ranks_ : dict of str to int
        Number of individual components of each modality.
    """

    shapes_: dict[str, tuple[int, ...]]
    features_: dict[str, list[str] | None]
    n_participants_: int
    mean_: dict[str, NDArray]
    joint_rank_: int
    individual_ranks_: dict[str, int]

    @abstractmethod
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to Modalities `X`."""

    @abstractmethod
    def _scores(self, data: Modalities) -> Scores:
        """Scores of samples whose modalities are some or all of those fitted."""

    @abstractmethod
    def _render(
        self, part: Literal["joint", "individual"], name: str, joint_scores: NDArray, individual_scores: NDArray
    ) -> NDArray:
        """A part of one modality from scores, shape (n, ...), in data units; the joint part has the mean in it."""

    def transform(self, X: Any) -> NDArray:
        """Joint scores of samples, seen or never seen.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            All modalities, or some where the model can do without the others.

        Returns
        -------
        array, shape (n_samples, joint_rank)
        """
        return self._scores_by_pattern(self._checked(X)).joint

    def decompose(self, X: Any) -> Decomposition:
        """Split samples, seen or never seen, into joint, individual and residual parts.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            All modalities, or some where the model can do without the others.

        Returns
        -------
        Decomposition
        """
        data = self._checked(X)
        scores = self._scores_by_pattern(data)
        return Decomposition(
            data=data,
            joint_scores=scores.joint,
            individual_scores=scores.individual,
            mean={name: self.mean_[name] for name in data.names},
            render=self._render,
        )

    def inverse_transform(
        self, joint_scores: NDArray, individual_scores: Mapping[str, NDArray] | None = None
    ) -> dict[str, NDArray]:
        """The joint part of every modality from joint scores, and with it the individual part where it is asked for.

        Parameters
        ----------
        joint_scores : array, shape (n_samples, joint_rank)
            As given by `transform`.
        individual_scores : mapping of str to array, shape (n_samples, individual_rank), optional
            For some modalities, whose individual part is added. The joint part alone is the mean of what samples with
            such joint scores look like, and blurred where they differ; zeros, the mean scores, draw a typical one.

        Returns
        -------
        dict of str to array, shape (n_samples, ...)
            In data units, with the mean.

        Raises
        ------
        ValueError
            For scores of another shape, or of a modality that is not there.
        """
        check_is_fitted(self)
        joint_scores = np.asarray(joint_scores)
        own = {name: np.asarray(scores) for name, scores in (individual_scores or {}).items()}
        if unknown := [name for name in own if name not in self.shapes_]:
            raise ValueError(UNKNOWN_MODALITY.format(name=unknown[0], fitted=list(self.shapes_)))
        ranks = {"Joint scores": self.joint_rank_}
        ranks |= {f"Individual scores of {name!r}": self.individual_ranks_[name] for name in own}
        for (what, rank), given in zip(ranks.items(), (joint_scores, *own.values()), strict=True):
            if given.ndim != 2 or given.shape[1] != rank or len(given) != len(joint_scores):
                raise ValueError(WRONG_SCORES.format(what=what, rank=rank, given=given.shape))
        none = {name: np.zeros((len(joint_scores), self.individual_ranks_[name])) for name in self.shapes_}
        parts = {name: self._render("joint", name, joint_scores, none[name]) for name in self.shapes_}
        return parts | {
            name: parts[name] + self._render("individual", name, joint_scores, scores) for name, scores in own.items()
        }

    def impute(self, X: Any, name: str) -> NDArray:
        """Predict one modality from the others, through the joint scores.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            The modalities that are there; `name` itself is not looked at.
        name : str
            The modality to predict.

        Returns
        -------
        array, shape (n_samples, ...)
            The joint part of modality `name`, in data units: what the other modalities say of it.
        """
        check_is_fitted(self)
        if name not in self.shapes_:
            raise ValueError(UNKNOWN_MODALITY.format(name=name, fitted=list(self.shapes_)))
        data = as_modalities(X)
        data = data.select([other for other in data.names if other != name])
        if not data.names:
            raise ValueError(f"{name!r} is predicted from other modalities, but none of these was given.")
        return self.inverse_transform(self.transform(data))[name]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the joint scores: ``joint_1``, ``joint_2``, ..."""
        check_is_fitted(self)
        return np.asarray([f"joint_{i}" for i in range(1, self.joint_rank_ + 1)], dtype=object)

    def save(self, path: str | Path) -> None:
        """Write the fitted model to a folder: ``config.json`` and ``model.safetensors``; read it with `deepjive.load`.

        Parameters
        ----------
        path : path
            The folder; made if it does not exist. Files of an older model in it are replaced.
        """
        from deepjive.persistence import save

        check_is_fitted(self)
        save(self, path)

    def annotate(self, mdata: Any, *, layer: Any = None, use_rep: Any = None, key: str = "jive") -> Decomposition:
        """Decompose a MuData and write the results into it.

        Written are ``obsm["X_jive_joint"]`` and ``uns["jive"]`` (ranks, variance explained) of the whole,
        ``obsm["X_jive_individual"]`` of each modality and, of linear models, ``varm["jive_joint_loadings"]`` and
        ``varm["jive_individual_loadings"]``, whose rows are the variables.

        Parameters
        ----------
        mdata : mudata.MuData or mapping of str to anndata.AnnData
            With some or all of the modalities fitted; changed in place. In a dict of AnnData each gets the joint
            scores of its own observations.
        layer, use_rep : str or mapping of str to str, optional
            As for `Modalities.from_mudata`, and as when the model was fitted.
        key : str
            The word in the names of what is written.

        Returns
        -------
        Decomposition
        """
        from deepjive.data.readers.annotated import write_results

        check_is_fitted(self)
        names = [name for name in getattr(mdata, "mod", mdata) if name in self.shapes_]
        parts = self.decompose(Modalities.from_mudata(mdata, modalities=names, layer=layer, use_rep=use_rep))
        write_results(mdata, parts, self, key)
        return parts

    def report_facts(self) -> dict[str, Any]:
        """What the fit recorded for its report, as arguments of `deepjive.report.write_report`.

        Returns
        -------
        dict of str to object
            Any of ``history``, ``rank_table``, ``networks`` and ``diagnostics``.
        """
        return {}

    def _scores_by_pattern(self, data: Modalities) -> Scores:
        """Scores of samples of which some lack modalities: those that lack the same ones are scored together."""
        if data.present.all():
            return self._scores(data)
        joint = np.zeros((len(data), self.joint_rank_))
        individual = {name: np.full((len(data), self.individual_ranks_[name]), np.nan) for name in data.names}
        for pattern in np.unique(data.present, axis=0):
            rows = np.flatnonzero((data.present == pattern).all(axis=1))
            if not pattern.any():
                raise ValueError(NOTHING_PRESENT.format(count=len(rows), sample=rows[0]))
            names = [name for name, there in zip(data.names, pattern, strict=True) if there]
            scores = self._scores(data[rows].select(names))
            joint[rows] = scores.joint
            for name in names:
                individual[name][rows] = scores.individual[name]
        return Scores(joint, individual)

    def _checked(self, X: Any) -> Modalities:
        check_is_fitted(self)
        return check_for_use(X, self.shapes_, features=self._fitted_features())

    def _keep_names(self, data: Modalities) -> None:
        self.n_participants_ = data.n_participants
        self.features_ = {name: None if names is None else names.tolist() for name, names in data.features.items()}

    def _fitted_features(self) -> dict[str, list[str] | None]:
        """Names of the features; of a model that was saved before these were kept, none."""
        return getattr(self, "features_", {})

    def _learned(self) -> dict[str, Any]:
        """Learned state to be saved: numbers, text, arrays, and dicts and lists of these."""
        return {key: value for key, value in vars(self).items() if key.endswith("_") and not key.startswith("_")}

    def _restore(self, learned: dict[str, Any]) -> None:
        """Take learned state back, as given by `_learned`."""
        for key, value in learned.items():
            setattr(self, key, value)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "joint_rank_")
