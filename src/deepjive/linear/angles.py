"""The angle-based steps to joint and individual parts, shared by AJIVE and HeteroJIVE.

1. Signal: the leading left singular vectors ``U_k`` of each modality, with the threshold
   ``t_k = (s_r + s_(r+1)) / 2`` between signal and noise.
2. Joint: left singular vectors of ``[w_1^(1/2) U_1 .. w_K^(1/2) U_K]`` whose squared singular values exceed the Wedin
   and the random-direction cutoffs. A vector ``u`` is dropped if ``|X_k' u| < t_k`` in any modality, because then
   ``u`` cannot be identified there. With unequal weights, it is dropped if the weights of these modalities add up to at
   least 1/2.
3. Parts: ``J_k = U_J U_J' X_k``, and the individual part from the singular value decomposition of
   ``(1 - U_J U_J') X_k``, with the singular values above ``t_k``.

In AJIVE all weights are 1.

Sources:

- Feng, Jiang, Hannig, Marron 2018, Angle-based joint and individual variation explained, J. Multivariate Analysis 166.
"""

from __future__ import annotations

import warnings
from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.adjust.units import Scale, Transformations
from deepjive.base import Scores
from deepjive.data.chunks import row_batches
from deepjive.data.groups import members_of
from deepjive.data.modalities import Modalities
from deepjive.linear.bounds import (
    RANDOM_PERCENTILE,
    WEDIN_PERCENTILE,
    cutoff,
    generator,
    perturbation_samples,
    random_direction_samples,
    wedin_samples,
)
from deepjive.linear.gaps import fit_with_gaps, has_gaps
from deepjive.linear.linear_model import LinearModel
from deepjive.linear.partial_scores import partial_scores
from deepjive.linear.shared_directions import shared_directions
from deepjive.linear.signal_ranks import AtLeast, GivenRank, RankRule, SignalRank, SumOfRanks, numerical_rank
from deepjive.linear.streaming import Pieces, checked_masks
from deepjive.linear.structured import StructuredModel
from deepjive.linear.svd import LeftSVD, Reduced, leading_svd, loadings_of, project, reduce, row_norms, signal_svd
from deepjive.progress import Progress
from deepjive.subsets import Subset, checked_subsets, warn_of_empty, word_of
from deepjive.threads import one_thread_if_small
from deepjive.validation import check_modality_ranks, check_ranks

JOINT_ABOVE_SIGNAL = (
    "joint_rank is {given}, but the signal rank of modality {name!r} is {limit}, and a joint component is part of "
    "every modality's signal. Use a joint_rank of at most {limit}, or larger signal_ranks."
)
INDIVIDUAL_ABOVE_RANK = (
    "individual_ranks[{name!r}] is {given}, but without its joint part the modality has numerical rank {limit}. "
    "Use at most {limit}, or 'auto'."
)
HELD_ABOVE_RANK = (
    "Modality {name!r} would hold {held} components, {shared} of them shared with other modalities, but has numerical "
    "rank {limit}. Use smaller individual_ranks[{name!r}], at most {individual}, or smaller ranks of subsets."
)
SCORES_ABOVE_SAMPLES = (
    "The parts of subsets and the individual parts have {given} scores together, but {n} samples have only {limit} "
    "orthogonal scores. Use smaller individual_ranks or subsets, or add samples."
)
NO_DRAWS = "joint_rank='auto' needs draws of both bounds, but n_wedin={wedin} and n_random={random}. Use about 1000."

NO_SIGNAL = (
    "The joint rank is 0, and no component of {names} is stronger than noise by the rule rank_rule={rule!r}. What is "
    "joint is part of every modality's signal. If you know that there is signal, give signal_ranks."
)
NOTHING_COMMON = (
    "no direction of the samples is in the signals of all its modalities and in no larger subset, up to chance (signal "
    "ranks: {ranks})"
)
TOO_WEAK = (
    "Individual scores of modality {name!r} that are computed from samples differ from those of the fit by up to "
    "{difference:.2g} standard deviations, because a component has only {share:.1e} of the modality's variance. Use "
    "smaller ranks{advice}."
)
OF_SUBSETS = {"structured_", "maps_", "subset_ranks_", "subset_scores_", "subset_loadings_"}
MEASURES = ("variance_explained_", "component_variance_", "residual_std_", "noise_std_", "feature_residual_std_")
VETO = 0.5
DOUBTFUL, REPRODUCED = 1e-9, 0.02  # share of variance, and difference of scores in standard deviations
PROJECTION = 1e3  # removing the joint part adds rounding errors of its own
ROUNDING = 1e-10  # without noise the cutoff is K, which no rounded singular value exceeds


class NoSignalWarning(UserWarning):
    """The joint rank is 0 because no signal was found in a modality."""


@dataclass(frozen=True)
class Signal:
    """The signal of one modality: step 1."""

    name: str
    pieces: Pieces
    reduced: Reduced
    svd: LeftSVD

    @property
    def scores(self) -> NDArray:
        """Orthonormal signal scores, shape (n_samples, rank)."""
        return self.svd.vectors

    @property
    def rank(self) -> int:
        """Number of components."""
        return self.svd.vectors.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples, and number of features that vary."""
        return self.reduced.n_samples, self.reduced.n_varying

    @property
    def values(self) -> NDArray:
        """All singular values of a matrix of this shape."""
        return self.svd.values[: min(self.shape)]

    @property
    def threshold(self) -> float:
        """``(s_r + s_(r+1)) / 2`` in units of the reduced modality; infinite if the signal rank is 0."""
        if self.rank == 0:
            return float("inf")
        return float(np.append(self.svd.values, 0.0)[self.rank - 1 : self.rank + 1].mean())


Weigh = Callable[[Sequence[Signal]], NDArray]


class AngleBased(LinearModel, ABC):
    """Base of AJIVE and HeteroJIVE, which differ in the weights of the modalities."""

    _rank_evidence = (
        "joint_singular_values_",
        "wedin_samples_",
        "wedin_cutoff_",
        "random_samples_",
        "random_cutoff_",
        "rejected_",
    )
    _nearby_is_complete = False
    signal_ranks_: dict[str, int]
    common_normalized_scores_: NDArray

    def __init__(
        self,
        *,
        signal_ranks: Any = "auto",
        joint_rank: Any = "auto",
        individual_ranks: Any = "auto",
        rank_rule: RankRule = "gavish_donoho",
        n_wedin: int = 1000,
        n_random: int = 1000,
        transformation: Transformations = None,
        scale: Scale = "modality",
        center: bool = True,
        mask: dict[str, NDArray[np.bool_]] | None = None,
        missing: str = "error",
        subsets: Any = None,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.signal_ranks = signal_ranks
        self.joint_rank = joint_rank
        self.individual_ranks = individual_ranks
        self.rank_rule = rank_rule
        self.n_wedin = n_wedin
        self.n_random = n_random
        self.transformation = transformation
        self.scale = scale
        self.center = center
        self.mask = mask
        self.missing = missing
        self.subsets = subsets
        self.device = device
        self.random_state = random_state

    def report_facts(self) -> dict[str, Any]:
        if not (len(self.wedin_samples_) and len(self.random_samples_)):
            return {}
        bounds = {
            "squared_singular_values": self.joint_singular_values_**2,
            "wedin_samples": self.wedin_samples_,
            "random_samples": self.random_samples_,
            "rejected": sorted({component for numbers in self.rejected_.values() for component in numbers}),
        }
        return {"diagnostics": bounds}

    def _fit(self, X: Any, weigh: Weigh, progress: Progress) -> Self:
        data = self._checked_for_fit(X)
        with one_thread_if_small(len(data), data.shapes):
            return self._fit_checked(data, weigh, progress)

    def _fit_checked(self, data: Modalities, weigh: Weigh, progress: Progress) -> Self:
        if self.missing == "impute" and has_gaps(data):
            fitted: Self = fit_with_gaps(self, data, progress=progress)
            return fitted
        for earlier in OF_SUBSETS & set(vars(self)):
            delattr(self, earlier)
        rng = generator(self.random_state)
        joint_rank, individual_ranks = check_ranks(data, self.joint_rank, self.individual_ranks)
        subsets = None if self.subsets is None else checked_subsets(self.subsets, data.names)

        n_steps = len(data.names) + 2
        signals = self._find_signals(data, joint_rank, individual_ranks, rng, progress)
        self.weights_ = weigh(signals)
        joint = self._find_joint(signals, joint_rank, rng)
        if subsets is None:
            self._warn_of_no_signal(signals, joint)
        progress(n_steps - 1, n_steps, f"{len(joint.T)} joint components")
        if subsets is not None and self._fit_subsets(data, signals, joint, subsets, rng):
            progress(n_steps, n_steps, "parts of subsets")
            return self
        given_ranks = individual_ranks or {}
        individual = {signal.name: _individual_svd(signal, joint, given_ranks.get(signal.name)) for signal in signals}
        self._keep(data, signals, joint, individual)
        self._warn_of_weak_components(data)
        progress(n_steps, n_steps, "individual parts")
        return self

    def _warn_of_no_signal(self, signals: list[Signal], joint: NDArray) -> None:
        """Warn if the joint rank was found to be 0 because no signal was found in a modality."""
        is_given = not isinstance(self.signal_ranks, str) or not isinstance(self.joint_rank, str)
        names = [repr(signal.name) for signal in signals if not signal.rank]
        if names and not joint.shape[1] and not is_given:
            listed = f"modality {names[0]}" if len(names) == 1 else f"modalities {', '.join(names)}"
            warnings.warn(NO_SIGNAL.format(names=listed, rule=self.rank_rule), NoSignalWarning, stacklevel=5)

    def _warn_of_weak_components(self, data: Modalities) -> None:
        """Warn if fitted samples do not get their scores because a component is weaker than rounding of others."""
        weakest = {
            name: float(parts["individual"].min(initial=1.0)) for name, parts in self.component_variance_.items()
        }
        doubtful = [name for name, share in weakest.items() if share < DOUBTFUL]
        if not doubtful:
            return
        again = self._scores(data).individual
        differences = {name: float(np.abs(again[name] - self.individual_scores_[name]).max()) for name in doubtful}
        name = max(differences, key=lambda key: differences[key])
        if differences[name] > REPRODUCED:
            advice = "" if self.center else ", or center=True"
            message = TOO_WEAK.format(name=name, difference=differences[name], share=weakest[name], advice=advice)
            warnings.warn(message, UserWarning, stacklevel=5)

    def _fit_subsets(
        self,
        data: Modalities,
        signals: list[Signal],
        joint: NDArray,
        subsets: dict[Subset, int | None],
        rng: np.random.Generator,
    ) -> bool:
        """Steps 2 and 3 with subsets; whether more is shared than the joint part, so that the model is set."""
        joint_rank, individual_ranks = check_ranks(data, self.joint_rank, self.individual_ranks)
        shared, bases = shared_directions(
            {signal.name: signal.scores for signal in signals},
            {signal.name: signal.reduced for signal in signals},
            subsets,
            joint_rank,
            len(members_of(len(data), data.groups)) - self.center,  # visits of a participant are not independent
            rng,
        )
        shared = _within_ranks(shared, signals, {data.names: joint_rank, **subsets})
        self.subset_ranks_ = {subset: directions.shape[1] for subset, directions in shared.items()}
        signal_ranks = {name: basis.shape[1] for name, basis in bases.items()}
        warn_of_empty(self.subsets, self.subset_ranks_, lambda subset: _nothing_common(subset, signal_ranks))
        more_joint = shared[data.names].shape[1] > joint.shape[1]  # components too weak for the signal of a modality
        if not more_joint and not any(self.subset_ranks_[subset] for subset in subsets):
            self.subset_ranks_[data.names] = joint.shape[1]
            return False
        individual = {}
        for signal in signals:
            held = [directions for subset, directions in shared.items() if signal.name in subset]
            n_held = sum(directions.shape[1] for directions in held)
            n_signal = min(bases[signal.name].shape[1], numerical_rank(signal.reduced, signal.svd))
            rank = max(n_signal - n_held, 0)
            rank = rank if individual_ranks is None else individual_ranks[signal.name]
            _check_held(signal, n_held, rank)
            basis = np.linalg.qr(np.concatenate(held, axis=1))[0]
            individual[signal.name] = signal.reduced.svd_without(basis, rank=rank).vectors
        self._check_scores(len(data), list(shared.values()), individual)
        self.signal_ranks_ = {name: scores.shape[1] for name, scores in bases.items()}
        self.singular_values_ = {signal.name: signal.svd.values * signal.reduced.scale for signal in signals}
        self.thresholds_ = {signal.name: signal.threshold * signal.reduced.scale for signal in signals}
        model = StructuredModel(center=self.center, missing=self.missing)
        self._take(model.fit_to(data, signals, shared, individual, self.device), self.subset_ranks_)
        return True

    def _check_scores(self, n: int, shared: list[NDArray], individual: dict[str, NDArray]) -> None:
        """Raise if there are more scores than orthogonal ones; ranks that are chosen are made smaller."""
        limit = n - self.center
        while (given := sum(scores.shape[1] for scores in (*shared, *individual.values()))) > limit:
            largest = max(individual, key=lambda name: individual[name].shape[1])
            if not isinstance(self.individual_ranks, str) or not individual[largest].shape[1]:
                raise ValueError(SCORES_ABOVE_SAMPLES.format(given=given, n=n, limit=limit))
            individual[largest] = individual[largest][:, :-1]

    def _take(self, model: StructuredModel, subset_ranks: dict[Subset, int]) -> None:
        """Set the learned attributes from a fitted model of all subsets."""
        for key, value in model._learned().items():
            setattr(self, key, value)
        self.structured_, self.subset_ranks_ = model, subset_ranks
        self.joint_rank_ = subset_ranks[tuple(self.shapes_)]
        columns = self._shared_columns
        self.joint_scores_ = model.joint_scores_[:, : self.joint_rank_]
        self.common_normalized_scores_ = self.joint_scores_ / np.sqrt(len(self.joint_scores_))
        self.joint_loadings_ = {name: rows[: self.joint_rank_] for name, rows in model.joint_loadings_.items()}
        subsets = list(columns.items())[1:]
        self.subset_scores_ = {subset: model.joint_scores_[:, where] for subset, where in subsets}
        self.subset_loadings_ = {
            subset: {name: model.joint_loadings_[name][where] for name in subset} for subset, where in subsets
        }
        self.component_variance_ = {
            name: {
                "joint": fractions["joint"][: self.joint_rank_],
                **{word_of(subset): fractions["joint"][where] for subset, where in subsets if name in subset},
                "individual": fractions["individual"],
            }
            for name, fractions in model.component_variance_.items()
        }
        self.variance_explained_ = {}
        for name, components in self.component_variance_.items():
            sums = {part: float(values.sum()) for part, values in components.items()}
            self.variance_explained_[name] = {**sums, "residual": 1.0 - sum(sums.values())}

    def _learned(self) -> dict[str, Any]:
        learned = super()._learned()
        if hasattr(self, "structured_"):
            views = ("structured_", "subset_scores_", "subset_loadings_", "common_normalized_scores_")
            learned = {key: value for key, value in learned.items() if key not in views}
            learned |= self.structured_._learned()
            learned["measures_"] = {key: getattr(self, key) for key in MEASURES}
        return learned

    def _restore(self, learned: dict[str, Any]) -> None:
        super()._restore(learned)
        if "maps_" in learned:
            model = StructuredModel(center=self.center, missing=self.missing)
            measures = learned["measures_"]
            own = (
                "measures_",
                "signal_ranks_",
                "singular_values_",
                "thresholds_",
                "subset_ranks_",
                "weights_",
                *self._rank_evidence,
            )
            model._restore({key: value for key, value in learned.items() if key not in own})
            self._take(model, self.subset_ranks_)
            for key in MEASURES:
                setattr(self, key, measures[key])
            del self.measures_

    def _render(
        self,
        part: Literal["joint", "individual"] | Subset,
        name: str,
        joint_scores: NDArray,
        individual_scores: NDArray,
    ) -> NDArray:
        if not isinstance(part, tuple):
            return super()._render(part, name, joint_scores, individual_scores)
        loadings = self.subset_loadings_[part][name]
        return (np.asarray(joint_scores, dtype=np.float64) @ _flat(loadings)).reshape(-1, *self.shapes_[name])

    def _fit_nearby(self, data: Modalities, fitted: Any) -> Self:
        if hasattr(fitted, "structured_"):
            return self.fit(data)
        masks = checked_masks(self.mask, data.shapes)
        signals = []
        for name, array in data.items():
            pieces = Pieces(array, masks[name], self.center, data.magnitudes.get(name))
            rank, unit = fitted.signal_ranks_[name], np.sqrt(len(data))
            start = fitted.signal_scores_[name] / unit if len(fitted.joint_scores_) == len(data) else None
            signals.append(Signal(name, pieces, *leading_svd(pieces, rank, self.device, start)))
        self.weights_ = fitted.weights_
        joint = self._find_joint(signals, fitted.joint_rank_, generator(0))
        ranks = fitted.individual_ranks_
        individual = {signal.name: _individual_svd(signal, joint, ranks[signal.name]) for signal in signals}
        self._keep(data, signals, joint, individual)
        return self

    def _weights_after(self, changed: Signal) -> NDArray:
        """Weights of the modalities after one of them has changed."""
        return self.weights_

    def _find_signals(
        self,
        data: Modalities,
        joint_rank: int | None,
        individual_ranks: dict[str, int] | None,
        rng: np.random.Generator,
        progress: Progress,
    ) -> list[Signal]:
        """Step 1."""
        given_ranks = check_modality_ranks("signal_ranks", data, self.signal_ranks)
        masks = checked_masks(self.mask, data.shapes)
        signals = []
        for name, array in data.items():
            pieces = Pieces(array, masks[name], self.center, data.magnitudes.get(name))
            rule = SignalRank(pieces, self.rank_rule, int(rng.integers(2**31)))
            choose: Callable[[Reduced, LeftSVD], int]
            if given_ranks is not None:
                choose = GivenRank(name, given_ranks[name])
            elif joint_rank is not None and individual_ranks is not None:
                choose = SumOfRanks(joint_rank + individual_ranks[name])
            else:
                choose = rule if joint_rank is None else AtLeast(rule, joint_rank)
            signals.append(Signal(name, pieces, *signal_svd(pieces, choose, self.device)))
            signals[-1].reduced.check_varying(name)
            progress(len(signals), len(data.names) + 2, f"signal of {name!r}")
        return signals

    def _find_joint(self, signals: list[Signal], joint_rank: int | None, rng: np.random.Generator) -> NDArray:
        """Step 2: orthonormal joint scores, shape (n_samples, joint_rank)."""
        if joint_rank is None and min(self.n_wedin, self.n_random) < 1:
            raise ValueError(NO_DRAWS.format(wedin=self.n_wedin, random=self.n_random))
        stacked = joint_svd([signal.scores for signal in signals], self.weights_)
        self.joint_singular_values_ = stacked.values
        self._draw_bounds(signals, rng)
        self.rejected_: dict[str, list[int]] = {signal.name: [] for signal in signals}
        if joint_rank is not None:
            _check_joint_rank(joint_rank, signals)
            return stacked.first(joint_rank).vectors
        above = stacked.values**2 > max(self.wedin_cutoff_, self.random_cutoff_) - ROUNDING * len(signals)
        return self._identifiable(signals, stacked.first(int(above.sum())).vectors)

    def _draw_bounds(self, signals: list[Signal], rng: np.random.Generator) -> None:
        """Draw the Wedin and the random-direction bound, and set their cutoffs."""
        perturbations = [
            perturbation_samples(signal.values, signal.rank, *signal.shape, self.n_wedin, rng) for signal in signals
        ]
        ranks, n_samples = [signal.rank for signal in signals], signals[0].reduced.n_samples
        self.wedin_samples_ = wedin_samples(perturbations, self.weights_)
        self.wedin_cutoff_ = cutoff(self.wedin_samples_, WEDIN_PERCENTILE)
        self.random_samples_ = random_direction_samples(ranks, n_samples, self.n_random, rng, self.weights_)
        self.random_cutoff_ = cutoff(self.random_samples_, RANDOM_PERCENTILE)

    def _identifiable(self, signals: list[Signal], candidates: NDArray) -> NDArray:
        """Drop the candidates that are below the threshold in modalities of enough weight: in AJIVE, in any one."""
        weight_against = np.zeros(candidates.shape[1])
        for weight, signal in zip(self.weights_, signals, strict=True):
            weak = signal.reduced.lengths(candidates) < signal.threshold
            self.rejected_[signal.name] = [int(i) for i in np.flatnonzero(weak)]
            weight_against += weight * weak
        return np.ascontiguousarray(candidates[:, weight_against < VETO])

    def _keep(self, data: Modalities, signals: list[Signal], joint: NDArray, individual: dict[str, LeftSVD]) -> None:
        """Set the fitted attributes, among them the parts of step 3."""
        unit = np.sqrt(len(data))
        self.shapes_ = data.shapes
        self._keep_names(data)
        self.joint_rank_ = joint.shape[1]
        self.individual_ranks_ = {name: len(svd.values) for name, svd in individual.items()}
        self.signal_ranks_ = {signal.name: signal.rank for signal in signals}
        self.common_normalized_scores_ = joint
        self.joint_scores_ = unit * joint
        self.individual_scores_ = {name: unit * svd.vectors for name, svd in individual.items()}
        self.signal_scores_ = {signal.name: unit * signal.scores for signal in signals}
        self.mean_, self.joint_loadings_, self.individual_loadings_ = {}, {}, {}
        self.signal_loadings_: dict[str, NDArray] = {}
        self.lengths_, self.products_, self.feature_residual_std_ = {}, {}, {}
        for signal in signals:
            self._keep_loadings(signal, joint, individual[signal.name])
        reduced = {signal.name: signal.reduced for signal in signals}
        self.singular_values_ = {signal.name: signal.svd.values * signal.reduced.scale for signal in signals}
        self.thresholds_ = {signal.name: signal.threshold * signal.reduced.scale for signal in signals}
        self._set_variance(
            {name: r.lengths(joint) ** 2 / r.total for name, r in reduced.items()},
            {name: individual[name].values ** 2 / r.total for name, r in reduced.items()},
            reduced,
        )

    def _keep_loadings(self, signal: Signal, joint: NDArray, individual: LeftSVD) -> None:
        """Set the mean and the joint, individual and signal loadings of one modality."""
        scores = np.concatenate([joint, individual.vectors, signal.scores], axis=1)
        product, mean, deviation = project(signal.pieces, scores, self.device)
        product /= np.sqrt(signal.reduced.n_samples)
        parts = scores[:, : joint.shape[1] + individual.vectors.shape[1]]
        self.lengths_[signal.name] = float(np.sqrt(signal.reduced.total)) * signal.reduced.scale
        self.products_[signal.name] = signal.reduced.products(parts) / (np.sqrt(len(parts)) * signal.reduced.total)
        scale = signal.reduced.scale / np.sqrt(signal.reduced.n_samples)
        r, s = joint.shape[1], joint.shape[1] + individual.vectors.shape[1]
        shape = tuple(signal.pieces.array.shape[1:])
        self.mean_[signal.name] = mean.reshape(shape)
        loadings_of_parts = (
            (self.joint_loadings_, product[:r]),
            (self.individual_loadings_, loadings_of(product[r:s], individual.values * scale)),
            (self.signal_loadings_, loadings_of(product[s:], signal.svd.values[: signal.rank] * scale)),
        )
        for loadings_of_all, loadings in loadings_of_parts:
            loadings_of_all[signal.name] = loadings.reshape(len(loadings), *shape)
        self._keep_residual(signal.name, deviation)

    def _scores(self, data: Modalities) -> Scores:
        """Joint scores by regression on the signal scores of all modalities, and individual scores of the remainder.

        ``U_J`` lies in the span of all ``U_k``. The fitted samples therefore get their own scores.
        """
        if hasattr(self, "structured_"):
            return self.structured_._scores(data)
        if len(data.names) < len(self.shapes_):
            return partial_scores(self, {name: self._products(data, name) for name in data.names})
        signal, individual = {}, {}
        for name in data.names:
            loadings = np.concatenate([_flat(self.signal_loadings_[name]), _flat(self.individual_loadings_[name])])
            both = _projected(data, name, self.mean_[name], loadings)
            signal[name], individual[name] = np.split(both, [self.signal_ranks_[name]], axis=1)
        joint = np.concatenate([signal[name] for name in self.shapes_], axis=1) @ self._regression()
        for name in data.names:
            joint_loadings = _flat(self.joint_loadings_[name])
            individual[name] -= joint @ _along(joint_loadings, _flat(self.individual_loadings_[name]))
        return Scores(joint, individual)

    def _regression(self) -> NDArray:
        """Coefficients of the joint scores on all modalities' signal scores, (sum of signal ranks, joint_rank).

        ``sum_k w_k U_k U_k' u = s^2 u`` for a joint direction u, so that ``w_k U_k' u / s^2`` are coefficients without
        an inverse, however near the modalities' directions are. Least squares correct the rest.
        """
        signal = np.concatenate(list(self.signal_scores_.values()), axis=1)
        if self.joint_rank_ == 0:
            return np.zeros((signal.shape[1], 0))
        weights = np.repeat(self.weights_, [self.signal_ranks_[name] for name in self.signal_scores_])
        cosines = signal.T @ self.joint_scores_ / len(signal)
        coefficients = weights[:, None] * cosines / (weights @ cosines**2)
        left = self.joint_scores_ - signal @ coefficients
        return np.asarray(coefficients + linalg.lstsq(signal, left, cond=1e-6, check_finite=False)[0])


def _check_joint_rank(joint_rank: int, signals: Sequence[Signal]) -> None:
    for signal in signals:
        if joint_rank > signal.rank:
            raise ValueError(JOINT_ABOVE_SIGNAL.format(given=joint_rank, name=signal.name, limit=signal.rank))


def _check_held(signal: Signal, n_shared: int, individual_rank: int) -> None:
    """Raise if a modality has fewer dimensions than shared and individual components."""
    held, limit = n_shared + individual_rank, numerical_rank(signal.reduced, signal.svd)
    if held > limit:
        given = {"held": held, "shared": n_shared, "limit": limit, "individual": max(limit - n_shared, 0)}
        raise ValueError(HELD_ABOVE_RANK.format(name=signal.name, **given))


def _within_ranks(
    shared: dict[Subset, NDArray], signals: Sequence[Signal], given: dict[Subset, int | None]
) -> dict[Subset, NDArray]:
    """Leave out directions of the smallest subsets whose ranks are chosen, where a modality has fewer dimensions."""
    shared = dict(shared)
    for signal in signals:
        limit = numerical_rank(signal.reduced, signal.svd)
        while sum(directions.shape[1] for subset, directions in shared.items() if signal.name in subset) > limit:
            chosen = [key for key, u in shared.items() if signal.name in key and u.shape[1] and given[key] is None]
            if not chosen:
                break
            smallest = min(chosen, key=lambda key: (len(key), -shared[key].shape[1]))
            shared[smallest] = shared[smallest][:, :-1]
    return shared


def joint_svd(bases: Sequence[NDArray], weights: NDArray) -> LeftSVD:
    """Left singular vectors and values of ``[w_1^(1/2) U_1 .. w_K^(1/2) U_K]``, from orthonormal signal scores."""
    stacked = np.concatenate([np.sqrt(weight) * basis for weight, basis in zip(weights, bases, strict=True)], axis=1)
    return Reduced("factor", stacked, 1.0, stacked.shape[1], stacked.shape[1]).svd()


def _individual_svd(signal: Signal, joint: NDArray, rank: int | None) -> LeftSVD:
    """Left singular vectors of ``(1 - U_J U_J') X_k``: above the threshold, or a given number of vectors."""
    reduced, largest = signal.reduced, float(signal.svd.values.max(initial=0.0))
    svd = reduced.svd_without(joint, above=signal.threshold, rank=rank)
    if len(svd.values) and not reduced.is_accurate(svd.values[-1], largest):
        reduced = reduce(signal.pieces, exact=True)
        svd = reduced.svd_without(joint, above=signal.threshold, rank=rank)
    projection = PROJECTION if reduced.route == "factor" else 1.0
    n_above_rounding = int(np.sum(svd.values > reduced.smallest_beside(projection * largest)))
    if rank is not None and n_above_rounding < rank:
        raise ValueError(INDIVIDUAL_ABOVE_RANK.format(given=rank, name=signal.name, limit=n_above_rounding))
    return svd


def _flat(loadings: NDArray) -> NDArray:
    """Loadings (rank, ...) with flattened features, shape (rank, d)."""
    return loadings.reshape(len(loadings), int(np.prod(loadings.shape[1:])))


def _along(rows: NDArray, loadings: NDArray) -> NDArray:
    """Scores of rows (n, d) along orthogonal loadings (rank, d), shape (n, rank)."""
    directions, lengths = _directions(loadings)
    return rows @ directions / lengths


def _directions(loadings: NDArray) -> tuple[NDArray, NDArray]:
    """Loadings (rank, d) as columns of length 1 (d, rank), and their lengths (rank,)."""
    lengths = row_norms(loadings)
    return (loadings / lengths[:, None]).T, lengths


def _projected(data: Modalities, name: str, mean: NDArray, loadings: NDArray) -> NDArray:
    """Scores of all samples of a modality along orthogonal loadings (rank, d), shape (n, rank)."""
    directions, lengths = _directions(loadings)
    scores = np.empty((len(data), len(loadings)))
    for rows in row_batches(np.arange(len(data)), data.shapes[name]):
        scores[rows] = (data.rows(name, rows) - mean).reshape(len(rows), -1) @ directions / lengths
    return scores


def _nothing_common(subset: Subset, signal_ranks: dict[str, int]) -> str:
    """Why a subset has rank 0."""
    return NOTHING_COMMON.format(ranks=", ".join(f"{name} {signal_ranks[name]}" for name in subset))
