"""A deep model of subsets: one joint model for each subset, and individual parts of what all of them leave.

Each level is a model without individual parts of the modalities of one subset. It is fitted to what the other levels
leave of them: for levels that are not yet fitted, to what their linear parts leave. From large subsets to small, and
then the individual parts.

A part of a level is what other modalities predict, which is less than a modality holds of the scores. What the levels
leave would then still vary with their scores, and individual scores would repeat them. What is left of a modality is
therefore regressed on the scores of its subsets together, and the individual parts are of what the regression leaves,
as AJIVE's are orthogonal to the joint scores.

A sample is scored as levels are fitted: each level is given what the parts of the other levels leave, `SWEEPS` times
from the largest subset to the individual parts. A level whose modalities are partly missing is scored from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.base import Scores
from deepjive.data.modalities import Modalities
from deepjive.subsets import Subset, columns_of, word_of

SWEEPS = 5
ROUNDS = 1

Make = Callable[[Sequence[str], int, Mapping[str, int] | int], Any]
Parts = dict[str, NDArray]


@dataclass
class Cascade:
    """The fitted levels.

    Attributes
    ----------
    levels : dict of tuple of str to estimator
        Joint models of subsets, large subsets first.
    individual : estimator or None
        Model of the individual parts; None if there are none.
    axes : dict of str to array, shape (2, rank)
        Mean and standard deviation over the fitted samples of all subsets' scores (`""`), and of the individual scores
        of each modality.
    slopes : dict of str to array, shape (1 + rank of the modality's subsets, n_features)
        For each modality the intercept and the coefficients of the regression of what the levels leave on the scores of
        its subsets, side by side, in the units of the levels.
    """

    levels: dict[Subset, Any] = field(default_factory=dict)
    individual: Any = None
    axes: dict[str, NDArray] = field(default_factory=dict)
    slopes: Parts = field(default_factory=dict)

    def fit(
        self,
        data: Modalities,
        ranks: Mapping[Subset, int],
        individual_ranks: Mapping[str, int],
        linear: Mapping[Subset, Mapping[str, NDArray]],
        make: Make,
    ) -> Cascade:
        """Fit all levels.

        Parameters
        ----------
        data : Modalities
            Centred data in memory.
        ranks : mapping of tuple of str to int
            Rank of each subset, large subsets first.
        individual_ranks : mapping of str to int
            Ranks of the individual parts.
        linear : mapping of tuple of str to mapping of str to array
            Linear parts of subsets, which stand for levels that are not yet fitted.
        make : callable
            ``make(names, joint_rank, individual_ranks)`` returns an unfitted model.
        """
        parts: dict[Subset, Parts] = {subset: dict(linear.get(subset, {})) for subset, rank in ranks.items() if rank}
        joint: dict[Subset, NDArray] = {}
        for _ in range(ROUNDS):
            for subset in parts:
                given = _left(data, parts, subset, subset)
                some = given.present.any(axis=1)
                model = make(subset, ranks[subset], 0).fit(given if some.all() else given[np.flatnonzero(some)])
                self.levels[subset] = model
                scores = np.zeros((len(data), ranks[subset]))
                scores[some] = model._joint_scores_by_pattern(given[np.flatnonzero(some)])
                joint[subset] = scores
                parts[subset] = {name: model._joint_part(name, scores) for name in subset}
        if any(individual_ranks.values()):
            left = _left(data, parts, data.names, None)
            self.slopes = _slopes(left, joint)
            self.individual = make(data.names, 0, individual_ranks).fit(self._beside(left, joint))
        complete = data[np.flatnonzero(data.present.all(axis=1))]
        fitted = self._by_sweeps(complete)
        self.axes = {name: _axis(values) for name, values in {"": fitted.joint, **fitted.individual}.items()}
        return self

    def scores(self, data: Modalities) -> Scores:
        """Scores of centred samples that have all of these modalities, all subsets' side by side.

        Parameters
        ----------
        data : Modalities
            Some or all of the modalities, in memory.
        """
        scores = self._by_sweeps(data)
        individual = {name: _standardized(values, self.axes[name]) for name, values in scores.individual.items()}
        return Scores(_standardized(scores.joint, self.axes[""]), individual)

    def _by_sweeps(self, data: Modalities) -> Scores:
        """Scores in the units of the levels."""
        parts: dict[Subset, Parts] = {}
        joint: dict[Subset, NDArray] = {
            subset: np.zeros((len(data), level.joint_rank_)) for subset, level in self.levels.items()
        }
        individual = {name: np.zeros((len(data), 0)) for name in data.names}
        for _ in range(SWEEPS):
            for subset, level in self.levels.items():
                members = tuple(name for name in subset if name in data)
                if members:
                    joint[subset] = level._joint_scores(_left(data, parts, members, subset))
                    parts[subset] = {name: level._joint_part(name, joint[subset]) for name in members}
            if self.individual is not None:
                left = self._beside(_left(data, parts, data.names, ()), joint)
                found = self.individual._scores(left)
                individual = found.individual
                parts[()] = {name: self._individual_part(name, individual[name]) for name in data.names}
        return Scores(np.concatenate(list(joint.values()), axis=1), individual)

    def _beside(self, left: Modalities, joint: Mapping[Subset, NDArray]) -> Modalities:
        """What the levels leave, without what the scores of the levels explain of it."""
        arrays = {}
        for name in left.names:
            scores = _scores_of(name, joint, np.arange(len(left)))
            explained = self.slopes[name][0] + scores @ self.slopes[name][1:]
            arrays[name] = left[name] - explained.reshape(left[name].shape)
        return left.with_arrays(arrays)

    def part(self, subset: Subset, name: str, scores: NDArray) -> NDArray:
        """The part of a subset in one of its modalities, from the subset's scores, for centred samples."""
        if subset not in self.levels:
            return np.zeros((len(scores), *self._shape(name)))
        columns = columns_of({key: level.joint_rank_ for key, level in self.levels.items()})[subset]
        mean, deviation = self.axes[""][:, columns]
        return np.asarray(self.levels[subset]._joint_part(name, scores * deviation + mean))

    def individual_part(self, name: str, scores: NDArray) -> NDArray:
        """The individual part of a modality, for centred samples."""
        if self.individual is None:
            return np.zeros((len(scores), *self._shape(name)))
        mean, deviation = self.axes[name]
        return self._individual_part(name, scores * deviation + mean)

    def _individual_part(self, name: str, scores: NDArray) -> NDArray:
        none = np.zeros((len(scores), 0))
        mean = self.individual._joint_part(name, none)
        return np.asarray(mean + self.individual._render("individual", name, none, scores))

    def _shape(self, name: str) -> tuple[int, ...]:
        models = self.models.values()
        return next(tuple(model.shapes_[name]) for model in models if name in model.shapes_)

    @property
    def models(self) -> dict[str, Any]:
        """All levels by name, the individual parts last."""
        named = {word_of(subset): model for subset, model in self.levels.items()}
        return named if self.individual is None else {**named, "individual": self.individual}


def _left(
    data: Modalities, parts: Mapping[Subset, Parts], names: tuple[str, ...], without: Subset | None
) -> Modalities:
    """What all parts but one leave of some modalities."""
    arrays = {}
    for name in names:
        array = np.array(data[name][:], dtype=np.float64)
        for subset, part in parts.items():
            if subset != without and name in part:
                array -= part[name]
        arrays[name] = array
    return data.select(names).with_arrays(arrays)


def _slopes(left: Modalities, joint: Mapping[Subset, NDArray]) -> Parts:
    """Regression of what all levels leave of each modality on the scores of its subsets; see `Cascade`.

    Only samples that have all modalities count, because the scores of others are shrunk.
    """
    rows, slopes = np.flatnonzero(left.present.all(axis=1)), {}
    for name in left.names:
        values, scores = left.rows(name, rows).reshape(len(rows), -1), _scores_of(name, joint, rows)
        mean, of_scores = values.mean(axis=0), scores.mean(axis=0)
        coefficients = np.linalg.lstsq(scores - of_scores, values - mean, rcond=None)[0]
        slopes[name] = np.concatenate([(mean - of_scores @ coefficients)[None], coefficients])
    return slopes


def _scores_of(name: str, joint: Mapping[Subset, NDArray], rows: NDArray[np.intp]) -> NDArray:
    """Scores of the subsets of a modality, side by side, shape (n_rows, rank)."""
    held = [scores[rows] for subset, scores in joint.items() if name in subset]
    return np.concatenate(held, axis=1) if held else np.zeros((len(rows), 0))


def _axis(scores: NDArray) -> NDArray:
    """Mean and standard deviation of scores, shape (2, rank)."""
    deviation = scores.std(axis=0)
    return np.stack([scores.mean(axis=0), np.where(deviation > 0.0, deviation, 1.0)])


def _standardized(scores: NDArray, axis: NDArray) -> NDArray:
    return np.asarray((scores - axis[0]) / axis[1])


def histories(models: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The training of several models in one table, with the name of the model before each phase."""
    keys = list(dict.fromkeys(key for model in models.values() for key in model.history_))
    table: dict[str, list[Any]] = {key: [] for key in keys}
    for name, model in models.items():
        rows = len(model.history_["phase"])
        for key in keys:
            column = model.history_.get(key, [float("nan")] * rows)
            table[key] += [f"{name}: {phase}" for phase in column] if key == "phase" else column
    return table
