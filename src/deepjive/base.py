"""Base class of all estimators: scikit-learn's conventions, and the step from scores to a Decomposition.

An estimator computes scores of samples (`_scores`) and turns scores back into parts (`_render`). Every public method
except `fit` is derived from these two.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from deepjive.adjust.adjustment import NOT_FITTED_WITH, Adjustment
from deepjive.conformal import Intervals, calibrated, check_level, patterns_of, width_at
from deepjive.data.chunks import row_batches
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.decomposition import Decomposition, length_of
from deepjive.progress import Progress, silent
from deepjive.subsets import Subset, columns_of
from deepjive.validation import MissingFeatures, check_known, check_values

UNKNOWN_MODALITY = "There is no modality {name!r} in the model; it was fitted to {fitted}."
WRONG_SCORES = (
    "{what} must have shape (n_samples, {rank}), with the same number of samples in each array of scores, but have "
    "shape {given}."
)
NOTHING_PRESENT = "{count} samples lack every modality, the first is sample {sample}; drop them before using the model."
LIST_SCORED = (
    "score() was given a {kind}, which scikit-learn splits between modalities instead of between samples. Pass "
    "Modalities, as in cross_val_score(model, deepjive.Modalities(X))."
)
NEEDS_ALL_TO_SCORE = (
    "score() predicts each modality from the others, but this {estimator} computes joint scores only from all "
    "modalities together. Fit a model that can do without a modality, such as identity='exchange', or pass a "
    "`scoring` of your own."
)
ONE_SCORED = (
    "score() predicts each modality from the others, but was given {names} only. Pass at least two of the modalities "
    "{fitted}."
)
NONE_SCORED = (
    "score() needs samples with at least two modalities, but none of the {n} samples has two. Pass samples that have "
    "several modalities."
)


class Scores(NamedTuple):
    """Scores of samples: joint (n_samples, joint_rank), and individual (n_samples, individual_rank) by modality.

    The joint scores of a model with subsets are followed by those of the subsets, side by side.
    """

    joint: NDArray
    individual: dict[str, NDArray]


class JointIndividualModel(TransformerMixin, BaseEstimator, ABC):
    """Base class of the estimators. Subclasses define `fit`, `_scores` and `_render`.

    Attributes
    ----------
    shapes_ : dict of str to tuple
        Shape of one sample of each modality, in the order of the modalities.
    features_ : dict of str to list of str, or None
        Names of the features of each modality; None for a modality without feature names.
    n_features_in_ : int
        Number of features of all modalities together.
    feature_names_in_ : array of str, shape (n_features_in_,)
        Names of all features as ``"modality:feature"``, for example ``"rna:TP53"``. The attribute exists only if every
        modality has feature names.
    n_participants_ : int
        Number of participants in the fitted samples.
    mean_ : dict of str to array
        Mean sample of each modality, in the units of `adjust`: the units of the input unless the model was fitted with
        `transformation` or with the scale of features.
    joint_rank_ : int
        Number of joint components.
    individual_ranks_ : dict of str to int
        Number of individual components of each modality.
    joint_scores_ : array, shape (n_samples, joint_rank)
        Joint scores of the fitted samples.
    individual_scores_ : dict of str to array, shape (n_samples, individual_rank)
        Individual scores of the fitted samples.
    variance_explained_ : dict of str to dict
        Fractions ``"joint"``, ``"individual"`` and ``"residual"`` of the variance of each modality's fitted samples,
        after confounds were taken out.
    adjustment_ : dict
        What was learned of units and confounds; see `deepjive.adjust.adjustment.Adjustment`. Empty if values are used
        as they are.
    feature_residual_std_ : dict of str to array
        Standard deviation of each feature's residual over the fitted samples, in the units of `adjust`.
    calibration_ : dict
        Quantiles of the errors of predictions, after `calibrate`; see `deepjive.conformal`.
    """

    shapes_: dict[str, tuple[int, ...]]
    features_: dict[str, list[str] | None]
    n_participants_: int
    mean_: dict[str, NDArray]
    joint_rank_: int
    individual_ranks_: dict[str, int]
    joint_scores_: NDArray
    individual_scores_: dict[str, NDArray]
    variance_explained_: dict[str, dict[str, float]]
    adjustment_: dict[str, Any]
    feature_residual_std_: dict[str, NDArray]
    calibration_: dict[str, Any]

    @abstractmethod
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model to Modalities `X`; `y` is ignored."""

    @abstractmethod
    def _scores(self, data: Modalities) -> Scores:
        """Compute scores of samples that have all modalities of `data`: some or all of the fitted modalities."""

    @abstractmethod
    def _render(
        self,
        part: Literal["joint", "individual"] | Subset,
        name: str,
        joint_scores: NDArray,
        individual_scores: NDArray,
    ) -> NDArray:
        """Compute one part of one modality from scores, shape (n_samples, ...), in the units of `adjust`.

        The joint part includes the mean. The part of a subset is computed from the subset's scores, in the place of the
        joint scores.
        """

    @property
    def _shared_columns(self) -> dict[Subset, slice]:
        """Columns of all modalities' and of each subset's scores among the scores side by side."""
        own = tuple(self.shapes_)
        subsets = {subset: rank for subset, rank in getattr(self, "subset_ranks_", {}).items() if rank}
        return columns_of({own: self.joint_rank_, **{key: rank for key, rank in subsets.items() if key != own}})

    @property
    def _shared_rank(self) -> int:
        return next(reversed(self._shared_columns.values())).stop

    def _joint_scores(self, data: Modalities) -> NDArray:
        """Compute the joint scores alone; override where that is cheaper than `_scores`."""
        return self._scores(data).joint

    def _prepared(self, data: Modalities) -> Modalities:
        """Prepare checked data for scoring; linear models fill in missing values here."""
        return data

    @property
    def needs_all_modalities(self) -> bool:
        """Whether joint scores of a sample can be computed only if the sample has every modality."""
        return False

    @property
    def is_stochastic(self) -> bool:
        """Whether two seeds give different scores for the same ranks, beyond the sign and order of the scores.

        Random draws that only choose the ranks, such as the bounds of AJIVE, do not count.
        """
        return False

    def diagnostics(self) -> list[Any]:
        """Return findings about the training; an empty list if there are none, or the model is not trained by steps."""
        check_is_fitted(self)
        return []

    @overload
    def transform(self, X: Any, *, missing_features: MissingFeatures = "error", interval: None = None) -> NDArray: ...

    @overload
    def transform(self, X: Any, *, missing_features: MissingFeatures = "error", interval: float) -> Intervals: ...

    def transform(
        self, X: Any, *, missing_features: MissingFeatures = "error", interval: float | None = None
    ) -> NDArray | Intervals:
        """Compute the joint scores of fitted or new samples.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            All modalities. Some may be missing unless the model has `needs_all_modalities`. Features with names are
            put in the order of the fit, and features that were not fitted are left out, with a warning.
        missing_features : {"error", "mean"}, default="error"
            Treatment of fitted features that `X` lacks: raise an error, or fill them with the mean of the fitted
            samples.
        interval : float, default=None
            Probability, such as 0.9, with which the interval of a score contains the score that the sample would have
            with all modalities. The model must be calibrated. None returns the scores alone.

        Returns
        -------
        array, shape (n_samples, joint_rank)
            A data frame after ``set_output(transform="pandas")``; its index holds the sample names if the samples have
            names.
        Intervals
            If `interval` is given: ``values``, ``lower``, ``upper`` and ``radius``. Lower and upper end are equal for a
            sample with all modalities.

        See Also
        --------
        calibrate : Measure the errors of predictions.
        """
        data = self._checked(X, missing_features)
        scores = self._joint_scores_by_pattern(data)[:, : self.joint_rank_]
        if interval is not None:
            return self._around(None, scores, data, interval)
        if data.samples is not None and _get_output_config("transform", self)["dense"] == "pandas":
            import pandas as pd  # scikit-learn keeps the index of a data frame, but cannot know the names of samples

            frame: Any = pd.DataFrame(scores, index=data.samples)
            return frame
        return scores

    def decompose(self, X: Any, *, missing_features: MissingFeatures = "error") -> Decomposition:
        """Split fitted or new samples into joint, individual and residual parts.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            All modalities. Some may be missing unless the model has `needs_all_modalities`.
        missing_features : {"error", "mean"}, default="error"
            As for `transform`.

        Returns
        -------
        Decomposition
            Its `data` have the features of the fit, in the order of the fit. Parts are in the units of the input; those
            of a modality with a `transformation`, and its `data`, are in the units of the transformation, in which
            parts add up. If the model was fitted with confounds, the joint part has their effects, as it has the mean.
            `adjusted` is the decomposition without confounds, and in the scale of features that the model uses.
        """
        data = self._in_fitted_features(X, missing_features)
        adjustment = Adjustment.from_state(self.adjustment_)
        if adjustment is not None and not data.is_adjusted:
            data = adjustment.transformed(data)
        adjusted = self._adjusted(data)
        scores = self._scores_by_pattern(adjusted)
        joint, *subsets = self._shared_columns.items()
        is_same = data.is_adjusted or adjustment is None
        parts = Decomposition(
            data=data if is_same else adjusted,
            joint_scores=scores.joint[:, joint[1]],
            individual_scores=scores.individual,
            mean={name: self.mean_[name] for name in data.names},
            render=self._render,
            subset_scores={subset: scores.joint[:, columns] for subset, columns in subsets},
            masks=self._masks(),
        )
        if is_same or adjustment is None:
            return parts
        return parts.restored(data, adjustment.restore, adjustment.words())

    def adjust(self, X: Any, *, missing_features: MissingFeatures = "error") -> Modalities:
        """Return samples as the model sees them: with the fitted features, transformed, without confounds, and scaled.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            Fitted or new samples, with the confounds of the fit.
        missing_features : {"error", "mean"}, default="error"
            As for `transform`.

        Returns
        -------
        Modalities
            All methods of the model take them as they are. Predictions and parts are then in the same units.
        """
        return self._checked(X, missing_features)

    def inverse_transform(
        self, joint_scores: NDArray, individual_scores: Mapping[str, NDArray] | None = None
    ) -> dict[str, NDArray]:
        """Compute the joint part of every modality from joint scores, and add individual parts on request.

        Parameters
        ----------
        joint_scores : array, shape (n_samples, joint_rank)
            Joint scores as returned by `transform`.
        individual_scores : mapping of str to array, shape (n_samples, individual_rank), default=None
            Individual scores of some modalities, whose individual parts are added. Without individual scores the result
            is the expected sample for the joint scores, which is smoother than a real sample. Scores of 0 are the mean.

        Returns
        -------
        dict of str to array, shape (n_samples, ...)
            The parts in the units of the input, including the mean; for mean confounds if the model was fitted with
            confounds. They are the inverse of a `transformation` of the sum of parts.

        Raises
        ------
        ValueError
            If scores have the wrong shape, or belong to an unknown modality.
        """
        check_is_fitted(self)
        joint_scores = np.asarray(joint_scores)
        individual = {name: np.asarray(scores) for name, scores in (individual_scores or {}).items()}
        for name in individual:
            self._check_modality(name)
        ranks = {"Joint scores": self.joint_rank_}
        ranks |= {f"Individual scores of {name!r}": self.individual_ranks_[name] for name in individual}
        for (what, rank), scores in zip(ranks.items(), (joint_scores, *individual.values()), strict=True):
            if scores.ndim != 2 or scores.shape[1] != rank or len(scores) != len(joint_scores):
                raise ValueError(WRONG_SCORES.format(what=what, rank=rank, given=scores.shape))
        parts = {name: self._joint_part(name, joint_scores) for name in self.shapes_}
        parts |= {
            name: parts[name] + self._render("individual", name, joint_scores, scores)
            for name, scores in individual.items()
        }
        return self._undone(parts)

    @overload
    def impute(
        self, X: Any, name: str, *, missing_features: MissingFeatures = "error", interval: None = None
    ) -> NDArray: ...

    @overload
    def impute(
        self, X: Any, name: str, *, missing_features: MissingFeatures = "error", interval: float
    ) -> Intervals: ...

    def impute(
        self, X: Any, name: str, *, missing_features: MissingFeatures = "error", interval: float | None = None
    ) -> NDArray | Intervals:
        """Predict one modality from the other modalities, through the joint scores and the scores of its subsets.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            The modalities to predict from. Modality `name` is ignored if `X` has it.
        name : str
            The modality to predict.
        missing_features : {"error", "mean"}, default="error"
            As for `transform`.
        interval : float, default=None
            Probability, such as 0.9, with which the interval of each feature contains the measured value. The model
            must be calibrated. None returns the predictions alone.

        Returns
        -------
        array, shape (n_samples, ...)
            The joint part of modality `name`, in the units of the input, with the effects of the samples' confounds.
            For ``transformation="log_cpm"`` these are counts of a sample with the mean total of the fitted samples.
            The parts of the subsets that hold the modality are added.
        Intervals
            If `interval` is given: the predictions as ``values``, the ends of the interval of each feature as
            ``lower`` and ``upper``, and a bound of each sample's root mean square error as ``radius``.

        Raises
        ------
        ValueError
            If the model has no modality `name`, `X` has no other modality, or a sample lacks all other modalities. With
            `interval`, if the model is not calibrated for the modalities of `X`, or with too few participants.

        See Also
        --------
        calibrate : Measure the errors of predictions.
        """
        check_is_fitted(self)
        self._check_modality(name)
        data = as_modalities(X)
        data = data.select([other for other in data.names if other != name])
        if not data.names:
            raise ValueError(f"{name!r} is predicted from the other modalities, but X has no other modality. Give one.")
        adjusted = self._checked(data, missing_features)
        predicted = self._shared_part(name, self._joint_scores_by_pattern(adjusted))
        if interval is None:
            return self._restored(name, predicted, data)
        ends = self._around(name, predicted, adjusted, interval)
        values, lower, upper = (self._restored(name, part, data) for part in ends[:3])
        return Intervals(values, lower, upper, ends.radius)

    def calibrate(
        self,
        X: Any,
        *,
        folds: int | None = None,
        given: Sequence[Sequence[str]] | None = None,
        random_state: int | None = 0,
        progress: Progress = silent,
    ) -> Self:
        """Measure the errors of predictions, so that `impute` and `transform` can give intervals.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            Samples that the model was not fitted to. All samples of a participant (`Modalities.groups`) must be on the
            same side. With `folds`, all samples that the model was fitted to, in their order.
        folds : int, default=None
            Number of parts of the fitted samples. The model is fitted again without each part, with the parameters that
            it has, to measure the errors of this part.
        given : sequence of sequence of str, default=None
            The sets of modalities that others are predicted from, such as ``[("mri", "pet"), ("mri",)]``. By default
            all sets of up to four modalities; of more modalities, each alone and all but one.
        random_state : int or None, default=0
            Seed of the folds.
        progress : callable, default=silent
            ``progress(done, total, message)``.

        Returns
        -------
        self
            With the attribute `calibration_`, which is saved with the model. `fit` removes it.

        Raises
        ------
        ValueError
            If the model has `needs_all_modalities`, or the samples are those of the fit without `folds`, or others
            with `folds`.

        Notes
        -----
        The intervals are conformal; `deepjive.conformal` says how. Their coverage is exact for held-out samples if
        participants are exchangeable: at least the level that was asked for, and at most this plus ``1 / (G + 1)`` for
        G participants in the calibration samples, whatever the model and the distribution are. It is the probability
        over calibration and new samples, not for each kind of sample alone. With `folds`, no sample is lost for
        calibration, but there is no such guarantee.

        Memory holds the errors of all calibration samples of one modality.

        Examples
        --------
        >>> import deepjive as dj
        >>> from deepjive.datasets import make_synthetic
        >>> data = make_synthetic(150, (20, 16), random_state=0).data
        >>> model = dj.AJIVE(joint_rank=1, random_state=0).fit(data[:100]).calibrate(data[100:])
        >>> values, lower, upper, radius = model.impute(data[100:].select(["modality_1"]), "modality_2", interval=0.9)
        >>> lower.shape, radius.shape
        ((50, 16), (50,))
        """
        self.calibration_ = calibrated(
            self, self._in_fitted_features(X), folds, given, random_state=random_state, progress=progress
        )
        return self

    def sample(
        self, n_samples: int = 1, *, given: Any = None, noise: bool = False, random_state: Any = None
    ) -> Modalities:
        """Draw new samples of all modalities, or the missing modalities of given samples.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples; with `given`, number of draws for each given sample, which stand side by side.
        given : Modalities, mapping or sequence, default=None
            Samples that lack modalities. Their joint scores are kept, with an error if the model is calibrated, and
            the missing modalities are drawn.
        noise : bool, default=False
            Whether residuals are added: independent normal values with each feature's standard deviation. Without them
            samples vary less than the data, as the joint and individual parts do.
        random_state : int, RandomState or None, default=None
            Seed.

        Returns
        -------
        Modalities
            Samples in data units, for mean confounds if the model was fitted with confounds. Given modalities are as
            they were given.

        Warns
        -----
        UserWarning
            If `given` samples lack modalities, and the model is not calibrated for those that they have.

        Notes
        -----
        Scores are drawn from densities that are fitted to the scores of the fitted samples, with held-out likelihood;
        see `deepjive.score_density`. This takes seconds when a model is sampled for the first time.

        See Also
        --------
        inverse_transform : Samples for scores of your own.

        Examples
        --------
        >>> import deepjive as dj
        >>> from deepjive.datasets import make_synthetic
        >>> data = make_synthetic(100, (20, 16), random_state=0).data
        >>> model = dj.AJIVE(joint_rank=1, random_state=0).fit(data)
        >>> model.sample(5, noise=True, random_state=0)["modality_1"].shape
        (5, 20)
        """
        from deepjive.sampling import drawn

        check_is_fitted(self)
        given = None if given is None else self._in_fitted_features(given)
        return drawn(self, n_samples, given, noise, check_random_state(random_state))

    def score(self, X: Any, y: Any = None) -> float:
        """Compute how well each modality is predicted from the others: the mean R2 over the modalities.

        The R2 of modality k is ``1 - |X_k - P_k|^2 / |X_k - mean_k|^2``. ``P_k`` is the prediction of `impute`, and
        ``mean_k`` is the mean of the fitted samples. The sums run over all samples and features. The R2 of a perfect
        prediction is 1, and that of predicting the mean is 0. Predictions use the joint part alone, so that the score
        compares joint ranks. Score held-out samples: the score of the fitted samples does not show overfitting.

        Parameters
        ----------
        X : Modalities or mapping
            Samples with at least two of the modalities. A list of arrays is refused: see the notes.
        y : None
            Ignored; scikit-learn's convention.

        Returns
        -------
        float
            The mean R2. A modality that does not vary counts as 1 if it is predicted exactly, and as 0 otherwise.

        Raises
        ------
        ValueError
            If the model has `needs_all_modalities`, `X` has fewer than two modalities, or no sample has two.
        TypeError
            If `X` is a list or tuple.

        Notes
        -----
        A sample is left out of the R2 of a modality if the sample lacks that modality or all others. A modality that is
        left with no sample is left out of the mean. If `X` contains NaN, only measured values count.

        scikit-learn splits `X` before an estimator sees it, and takes ``len(X)`` for the number of samples. Pass
        `Modalities` to `cross_val_score` and `GridSearchCV`: their length is the number of samples. The length of a
        dict or of a list of arrays is the number of modalities. scikit-learn raises an error for a dict. It would split
        a list between modalities, so `score` refuses lists.

        Examples
        --------
        >>> import numpy as np
        >>> import deepjive as dj
        >>> from sklearn.model_selection import cross_val_score
        >>> rng = np.random.default_rng(0)
        >>> joint = rng.normal(size=(100, 1))
        >>> arrays = {name: joint @ rng.normal(size=(1, 20)) + rng.normal(size=(100, 20)) for name in "ab"}
        >>> r2 = cross_val_score(dj.AJIVE(joint_rank=1, random_state=0), dj.Modalities(arrays))
        >>> r2.shape, bool(r2.mean() > 0.3)
        ((5,), True)
        """
        check_is_fitted(self)
        if isinstance(X, (list, tuple)):
            raise TypeError(LIST_SCORED.format(kind=type(X).__name__))
        if self.needs_all_modalities:
            raise ValueError(NEEDS_ALL_TO_SCORE.format(estimator=type(self).__name__))
        data = self._checked(X)
        if len(data.names) < 2:
            raise ValueError(ONE_SCORED.format(names=list(data.names), fitted=list(self.shapes_)))
        r2 = [value for name in data.names if (value := self._prediction_r2(data, name)) is not None]
        if not r2:
            raise ValueError(NONE_SCORED.format(n=len(data)))
        return float(np.mean(r2))

    @property
    def n_features_in_(self) -> int:
        """Number of features of all modalities together."""
        check_is_fitted(self)  # its NotFittedError is an AttributeError, so that hasattr() says no before fit
        return sum(math.prod(shape) for shape in self.shapes_.values())

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """Names of all features as ``"modality:feature"``; only if every modality has feature names."""
        check_is_fitted(self)
        names = []
        for modality in self.shapes_:
            features = self._fitted_features().get(modality)
            if features is None:
                raise AttributeError(f"feature_names_in_ does not exist: modality {modality!r} has no feature names.")
            names += [f"{modality}:{feature}" for feature in np.ravel(features)]
        return np.asarray(names, dtype=object)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the joint scores: ``joint_1``, ``joint_2``, ...; `input_features` is ignored."""
        check_is_fitted(self)
        return np.asarray([f"joint_{i}" for i in range(1, self.joint_rank_ + 1)], dtype=object)

    def save(self, path: str | Path) -> None:
        """Write the fitted model to a folder, as ``config.json`` and ``model.safetensors``.

        Parameters
        ----------
        path : path
            The folder. It is created if it does not exist. The files of a model saved there before are replaced.

        See Also
        --------
        deepjive.load : Read the model.
        """
        from deepjive.persistence import save

        check_is_fitted(self)
        save(self, path)

    def annotate(
        self, mdata: Any, *, layer: Any = None, use_rep: Any = None, key: str = "jive", impute: Sequence[str] = ()
    ) -> Decomposition:
        """Decompose a MuData and write the results into it.

        The joint scores go to ``obsm["X_jive_joint"]`` of the MuData and of each modality, and ranks and variance
        explained to ``uns["jive"]``. The individual scores go to ``obsm["X_jive_individual"]`` of each
        modality. Loadings of linear models go to ``varm["jive_joint_loadings"]`` and
        ``varm["jive_individual_loadings"]`` of each modality.

        Parameters
        ----------
        mdata : mudata.MuData or mapping of str to anndata.AnnData
            Data with some or all of the fitted modalities; changed in place. In a dict, each AnnData gets the joint
            scores of its own observations.
        layer, use_rep : str or mapping of str to str, default=None
            As for `Modalities.from_mudata`. Use the values that the model was fitted with.
        key : str, default="jive"
            The word "jive" in the names above.
        impute : sequence of str, default=()
            Modalities to predict from the others for all observations; the predictions go to
            ``obsm["X_jive_imputed_NAME"]``.

        Returns
        -------
        Decomposition
        """
        from deepjive.data.readers.annotated import write_results

        check_is_fitted(self)
        names = [name for name in getattr(mdata, "mod", mdata) if name in self.shapes_]
        data = Modalities.from_mudata(mdata, modalities=names, layer=layer, use_rep=use_rep)
        parts = self.decompose(data)
        imputed = {name: self.impute(data, name) for name in impute}
        write_results(mdata, parts, self, key, imputed)
        return parts

    def report_facts(self) -> dict[str, Any]:
        """What the fit recorded for its report, as arguments of ``deepjive.report.write_report``.

        Returns
        -------
        dict of str to object
            Any of ``history``, ``rank_table``, ``networks`` and ``diagnostics``.
        """
        return {}

    def _check_modality(self, name: str) -> None:
        if name not in self.shapes_:
            raise ValueError(UNKNOWN_MODALITY.format(name=name, fitted=list(self.shapes_)))

    def _joint_part(self, name: str, joint_scores: NDArray) -> NDArray:
        no_individual = np.zeros((len(joint_scores), self.individual_ranks_[name]))
        return self._render("joint", name, joint_scores, no_individual)

    def _shared_part(self, name: str, scores: NDArray) -> NDArray:
        """The joint part and the parts of the modality's subsets together, from all their scores side by side."""
        joint, *subsets = self._shared_columns.items()
        part = self._joint_part(name, scores[:, joint[1]])
        no_individual = np.zeros((len(scores), self.individual_ranks_[name]))
        for subset, columns in subsets:
            if name in subset:
                part = part + self._render(subset, name, scores[:, columns], no_individual)
        return part

    def _around(self, target: str | None, values: NDArray, data: Modalities, level: float) -> Intervals:
        """Put intervals around predictions of a modality, or around joint scores (None), from checked data."""
        check_level(level)
        half, radius = np.zeros_like(values), np.zeros(len(values))
        calibration = getattr(self, "calibration_", None)
        for rows, names in patterns_of(data):
            if target is not None or set(names) != set(self.shapes_):
                half[rows], radius[rows] = width_at(calibration, target, names, level)
        return Intervals(values, values - half, values + half, radius)

    def _prediction_r2(self, data: Modalities, name: str) -> float | None:
        """R2 of one modality predicted from the others; None if no sample can be predicted and compared."""
        others = [other for other in data.names if other != name]
        column = data.names.index(name)
        has_others = np.delete(data.present, column, axis=1).any(axis=1)
        rows = np.flatnonzero(data.present[:, column] & has_others)
        widest = max(data.shapes.values(), key=math.prod)
        error = total = 0.0
        n_values = 0
        for batch in row_batches(rows, widest):
            samples = data[batch]
            values = samples.rows(name, slice(None)).astype(np.float64)
            measured = ~np.isnan(values)
            predicted = self.impute(samples.select(others), name)
            error = math.hypot(error, length_of((values - predicted)[measured]))
            total = math.hypot(total, length_of((values - self.mean_[name])[measured]))
            n_values += int(measured.sum())
        if n_values == 0:
            return None
        if total == 0.0:
            return float(error == 0.0)
        return 1.0 - (error / total) ** 2

    def _scores_by_pattern(self, data: Modalities) -> Scores:
        """Compute all scores; samples that lack the same modalities are scored together."""
        data = self._prepared(data)
        if data.present.all():
            return self._scores(data)
        joint = np.zeros((len(data), self._shared_rank))
        individual = {name: np.full((len(data), self.individual_ranks_[name]), np.nan) for name in data.names}
        for rows, names in _patterns(data):
            scores = self._scores(data[rows].select(names))
            joint[rows] = scores.joint
            for name in names:
                individual[name][rows] = scores.individual[name]
        return Scores(joint, individual)

    def _joint_scores_by_pattern(self, data: Modalities) -> NDArray:
        """Compute the joint scores; samples that lack the same modalities are scored together."""
        data = self._prepared(data)
        if data.present.all():
            return self._joint_scores(data)
        joint = np.zeros((len(data), self._shared_rank))
        for rows, names in _patterns(data):
            joint[rows] = self._joint_scores(data[rows].select(names))
        return joint

    def _checked(self, X: Any, missing_features: MissingFeatures = "error") -> Modalities:
        return self._adjusted(self._in_fitted_features(X, missing_features))

    def _learn_adjustment(self, data: Modalities) -> Modalities:
        """Learn the adjustment of the samples to be fitted, and return the adjusted samples."""
        adjustment = self._new_adjustment(data)
        self.adjustment_ = {} if adjustment is None else adjustment.state()
        return data.adjusted_to({}) if adjustment is None else adjustment.of(data)

    def _new_adjustment(self, data: Modalities) -> Adjustment | None:
        """Learn the adjustment of samples; None for samples that are adjusted, and if there is nothing to adjust."""
        if data.is_adjusted:
            return None
        transformation, scale = getattr(self, "transformation", None), getattr(self, "scale", "modality")
        if data.confounds is not None or transformation or scale not in ("modality", None):
            check_values(data, varying=False, allow_nan=self._allows_nan())  # before they enter means
        return Adjustment.learn(data, transformation, scale)

    def _adjusted(self, data: Modalities) -> Modalities:
        """Transform checked data, take the effects of confounds out, and scale their features."""
        if data.is_adjusted:
            return data
        adjustment = Adjustment.from_state(self.adjustment_)
        if data.confounds is not None and (adjustment is None or adjustment.coding is None):
            raise ValueError(NOT_FITTED_WITH.format(given=list(data.confounds.columns)))
        return data.adjusted_to({}) if adjustment is None else adjustment.of(data)

    def _undone(self, parts: dict[str, NDArray]) -> dict[str, NDArray]:
        """Return whole samples of the model in the units of the input, for mean confounds."""
        adjustment = Adjustment.from_state(self.adjustment_)
        if adjustment is None:
            return parts
        return {name: adjustment.undo(name, part, None) for name, part in parts.items()}

    def _restored(self, name: str, values: NDArray, data: Modalities) -> NDArray:
        """Return whole samples of a modality in the units of `data`, with the effects of the confounds of `data`."""
        adjustment = Adjustment.from_state(self.adjustment_)
        if adjustment is None or data.is_adjusted:
            return values
        undo = adjustment.restore if data.is_transformed else adjustment.undo
        return undo(name, values, data.confounds)

    def _means_to_fill(self) -> dict[str, NDArray]:
        """Means of the features in the units of the input, of modalities whose features can be filled in."""
        adjustment = Adjustment.from_state(self.adjustment_)
        if adjustment is None:
            return self.mean_
        return {
            name: adjustment.undo(name, mean[None], None)[0]
            for name, mean in self.mean_.items()
            if name not in adjustment.transformations or not adjustment.transformations[name].by_sample
        }

    def _in_fitted_features(self, X: Any, missing_features: MissingFeatures = "error") -> Modalities:
        check_is_fitted(self)
        means = self._means_to_fill() if missing_features == "mean" else None
        data = check_known(as_modalities(X), self.shapes_, self._fitted_features(), missing_features, means)
        data = self._counted(data)
        check_values(data, varying=False, allow_nan=self._allows_nan())
        return data

    def _counted(self, data: Modalities) -> Modalities:
        """Return modalities with 0 for values that are not finite and do not count; here all values count."""
        return data

    def _masks(self) -> Mapping[str, Any] | None:
        """Features that count, for some or all modalities; None if all count."""
        return None

    def _allows_nan(self) -> bool:
        """Whether single values of samples may be missing."""
        return False

    def _keep_names(self, data: Modalities) -> None:
        self.__dict__.pop("calibration_", None)  # of an earlier fit
        self.n_participants_ = data.n_participants
        self.features_ = {name: None if names is None else names.tolist() for name, names in data.features.items()}

    def _fitted_features(self) -> dict[str, list[str] | None]:
        """Return the feature names of the fit; none while the model is being fitted or restored."""
        return getattr(self, "features_", {})

    def _learned(self) -> dict[str, Any]:
        """Return the learned state to be saved: numbers, text, arrays, and dicts and lists of these."""
        return {key: value for key, value in vars(self).items() if key.endswith("_") and not key.startswith("_")}

    def _restore(self, learned: dict[str, Any]) -> None:
        """Set the learned state, as returned by `_learned`."""
        for key, value in learned.items():
            setattr(self, key, value)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "joint_rank_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # the input is several arrays; how to split one array is not known
        return tags


def _patterns(data: Modalities) -> list[tuple[NDArray[np.intp], list[str]]]:
    """Return the rows and the modalities of each pattern of missing modalities."""
    patterns = []
    for pattern in np.unique(data.present, axis=0):
        rows = np.flatnonzero((data.present == pattern).all(axis=1))
        if not pattern.any():
            raise ValueError(NOTHING_PRESENT.format(count=len(rows), sample=rows[0]))
        patterns.append((rows, [name for name, has in zip(data.names, pattern, strict=True) if has]))
    return patterns
