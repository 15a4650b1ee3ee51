"""Bootstrap of covariation maps: the effect of a joint score with the uncertainty of the fit.

Participants, not sessions, are drawn with replacement. The model is fitted again to each draw b with its own ranks and
settings and a new seed. A refit may number, rotate and reflect the joint scores differently. So its scores of the drawn
participants, Z_b (centred, covariance S), are matched to the original score z_c of the same participants:

    w  =  argmin |z_c - Z_b w|^2,  scaled to w' S w = 1      the combination that corresponds to the original score
    effect_b(v)  =  mean over participants of [J_b(z + S w / 2) - J_b(z - S w / 2)](v)           in data units
    unseen_b(v)  =  mean over participants not drawn of (x(v) - mean)(s - mean) / sd(s)          in data units

Here z are the refit's scores of the first 50 participants of the data, the same in every draw. s is the matched score
of participants that were not drawn, computed **without the modality** of v. `match` is the correlation of Z_b w with
z_c. If it is far below 1, other participants would have given another score, and the maps belong to no particular
score. With e the effect of the original model, and means m, m' and standard deviations s, s' over the B draws of
effect_b and unseen_b,

    standard error s           bootstrap ratio e / s              interval e -+ t s, t Student's quantile, B - 1 degrees
    p  =  of m' / s', two-sided, Student's distribution of B - 1 degrees; q over voxels (Benjamini and Hochberg)

**Meaning of the interval.** It is an interval for the regression of the true joint part on the score that the original
encoders give, among participants that were never fitted, for one unit of the score and with the other joint scores held
fixed. It concerns the direction that the original model found. `match`, not s, shows whether another direction might
have been found.

**Why p does not come from the ratio.** A large ratio says that an effect recurs in other fits. The strongest direction
of one modality recurs also if nothing is joint: with modalities shuffled against each other, some voxels survived in 4
of 9 cohorts. The literature therefore tests components by permutation first. `unseen` needs no such first test: its
participants were not fitted, and its score was computed without the modality. s' comes from the third of the
participants that are not in a draw, and m' from all participants, so p is conservative.

**What the intervals do not include**: the choice of ranks. Copies of a participant are never both among the training
participants and among the validation participants that decide when training stops.

References
----------
Efron and Tibshirani 1993, An introduction to the bootstrap, section 6.2.
McIntosh and Lobaugh 2004, Partial least squares analysis of neuroimaging data, NeuroImage 23:S250 (the ratio).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student
from sklearn.utils import check_random_state

from deepjive.data.groups import members_of
from deepjive.data.modalities import Modalities
from deepjive.deep.training.checkpoint import fingerprint
from deepjive.evaluation.bootstrap_draws import DrawStore, draw
from deepjive.evaluation.covariation_maps import columns_of_maps, effect_maps, false_discovery
from deepjive.evaluation.refit import with_groups
from deepjive.progress import Progress, silent
from deepjive.results import Result

LEVEL = 0.9
MIN_PARTICIPANTS = 8
MERGED = (
    "The bootstrap tests whether a modality varies with the score that was computed without this modality, but "
    "identity='merged' computes scores from all modalities only. Fit with identity='exchange' or 'explicit'."
)


@dataclass(frozen=True, repr=False)
class BootstrapMap(Result):
    """Map of one joint score in one modality; all arrays have the shape of a sample, the first five are in data units.

    Attributes
    ----------
    effect : array
        Effect of the original model.
    mean, standard_error : array
        Mean and standard deviation of the effect over the draws.
    lower, upper : array
        Interval for the effect.
    ratio : array
        Effect divided by its standard error; 0 where the standard error is 0.
    p_value, q_value : array
        P-value of association in participants that were not drawn, and its value after control of the false-discovery
        rate.
    n_draws : int
        Number of draws.
    """

    effect: NDArray
    mean: NDArray
    standard_error: NDArray
    lower: NDArray
    upper: NDArray
    ratio: NDArray
    p_value: NDArray
    q_value: NDArray
    n_draws: int

    def _summary(self) -> str:
        shape, significant = " x ".join(map(str, self.effect.shape)), int(np.sum(self.q_value < 0.05))
        return (
            f"map of {shape} values: {significant} with q < 0.05, largest absolute ratio "
            f"{np.abs(self.ratio).max(initial=0.0):.2f}, smallest p={self.p_value.min(initial=1.0):.3g}, "
            f"{self.n_draws} draws"
        )

    def _table(self) -> Any:
        return columns_of_maps(**{name: values for name, values in vars(self).items() if name != "n_draws"})


@dataclass(frozen=True, repr=False)
class BootstrapMaps(Result):
    """Draws of the covariation maps of one joint score.

    Attributes
    ----------
    effect : dict of str to array, shape of a sample
        Effect of the original model.
    draws : dict of str to array, shape (n_draws, ...)
        Effects of the refits, in single precision.
    unseen : dict of str to array, shape (n_draws, ...)
        Change with one standard deviation of the matched score among participants that were not drawn. The score was
        computed without the modality.
    match : array, shape (n_draws,)
        Correlation of each refit's matched score with the original score.
    seconds : array, shape (n_draws,)
        Wall time of each draw.
    """

    effect: dict[str, NDArray]
    draws: dict[str, NDArray]
    unseen: dict[str, NDArray]
    match: NDArray
    seconds: NDArray

    def of(self, name: str, level: float = LEVEL) -> BootstrapMap:
        """Return the map of a modality.

        Parameters
        ----------
        name : str
            The modality.
        level : float, default=0.9
            Coverage of the intervals.

        Returns
        -------
        BootstrapMap
        """
        effect, draws = self.effect[name], self.draws[name]
        mean, error, ratio = _moments(draws, effect)
        _, _, strength = _moments(self.unseen[name])
        p_value = np.where(strength == 0.0, 1.0, 2.0 * student.sf(np.abs(strength), len(draws) - 1))
        q_value = false_discovery(p_value.ravel()).reshape(p_value.shape)
        reach = _reach(len(draws), level) * error
        return BootstrapMap(effect, mean, error, effect - reach, effect + reach, ratio, p_value, q_value, len(draws))

    def within(self, name: str, mask: NDArray[np.bool_], level: float = LEVEL) -> tuple[float, float, float]:
        """Return the mean effect within a mask, and the lower and upper limit of its interval.

        Parameters
        ----------
        name : str
            The modality.
        mask : array of bool, shape of a sample
            The voxels that are averaged.
        level : float, default=0.9
            Coverage of the interval.
        """
        effect, draws = float(self.effect[name][mask].mean()), self.draws[name][:, mask].mean(axis=1, dtype=np.float64)
        reach = _reach(len(draws), level) * float(draws.std(ddof=1))
        return effect, effect - reach, effect + reach

    def turned(self) -> BootstrapMaps:
        """Return the maps of the score with the opposite sign."""
        effect, draws, unseen = (
            {name: -values for name, values in maps.items()} for maps in (self.effect, self.draws, self.unseen)
        )
        return replace(self, effect=effect, draws=draws, unseen=unseen)

    def _summary(self) -> str:
        return (
            f"maps of {', '.join(self.effect)}: {len(self.match)} draws, median match {np.median(self.match):.2f}, "
            f"{self.seconds.sum():.0f} s"
        )

    def _table(self) -> Any:
        return {"draw": np.arange(1, len(self.match) + 1), "match": self.match, "seconds": self.seconds}


def bootstrap_maps(
    model: Any,
    data: Any,
    component: int,
    n_draws: int = 50,
    *,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
    folder: str | Path | None = None,
    progress: Progress = silent,
    **budget: Any,
) -> BootstrapMaps:
    """Fit a model again to draws of its participants, and map the same joint score in each fit.

    Parameters
    ----------
    model : estimator
        A model that was fitted to `data`. It is not changed.
    data : Modalities, mapping or sequence
        The samples that the model was fitted to.
    component : int
        Number of the joint score, counted from 0.
    n_draws : int, default=50
        Number of refits, at least 2.
    groups : array, shape (n_samples,), default=None
        The participant of each sample. All samples of a participant are drawn together. By default the groups of
        `data`; without groups each sample is a participant.
    random_state : int, RandomState or None, default=0
        Seed of draws and refits. Draw b does not depend on `n_draws`.
    folder : path, default=None
        Folder that keeps every draw as soon as it is finished. The same call reads draws from there instead of making
        them again. Draws of other data, another model or another seed have other file names.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after each draw; the message has the seconds of the last draw.
    **budget
        Parameters of the refits that differ from the model's, such as ``max_epochs``.

    Returns
    -------
    BootstrapMaps

    Raises
    ------
    ValueError
        If there are fewer than 2 draws or 8 participants, if the model has no such joint score, if `groups` has another
        length, or if the model gives no scores without a modality (``identity="merged"``).
    KeyboardInterrupt
        Also if the training of a refit was interrupted, because an unfinished refit is not a draw.

    See Also
    --------
    covariation : The maps of one fit, with a permutation test on held-out samples.
    """
    if n_draws < 2:
        raise ValueError(f"n_draws must be at least 2 for a standard error, but is {n_draws}; use about 50.")
    if not 0 <= component < model.joint_rank_:
        raise ValueError(f"component is {component}, but the model has joint scores 0 to {model.joint_rank_ - 1}.")
    if model.needs_all_modalities:
        raise ValueError(MERGED)
    data = with_groups(data, groups, model)
    if data.groups is None:
        data = with_groups(data, np.arange(len(data)))  # so that a refit keeps the copies of a sample together
    members = members_of(len(data), data.groups)
    if len(members) < MIN_PARTICIPANTS:
        raise ValueError(
            f"The bootstrap draws participants, but there are {len(members)} of them; at least {MIN_PARTICIPANTS} are "
            "needed."
        )
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    scores = model.transform(data)
    effect = effect_maps(model, scores, component)
    store = None
    if folder is not None:
        store = DrawStore(Path(folder), _key(model, data, effect, members, [seed, component], budget))
    results = []
    for number in range(n_draws):
        result = None if store is None else store.read(number)
        if result is None:
            rng = np.random.default_rng([seed, number])
            result = draw(model, data, scores[:, component], members, rng, budget)
            if store is not None:
                store.write(number, result)
        results.append(result)
        progress(number + 1, n_draws, f"draws of participants, {float(result['seconds']):.0f} s for the last")
    draws, unseen = (
        {name: np.stack([result[f"{kind} {name}"] for result in results]) for name in effect}
        for kind in ("effect", "unseen")
    )
    match, seconds = (np.array([float(result[key]) for result in results]) for key in ("match", "seconds"))
    return BootstrapMaps(effect, draws, unseen, match, seconds)


def _key(
    model: Any,
    data: Modalities,
    effect: dict[str, NDArray],
    members: list[NDArray[np.intp]],
    numbers: list[int],
    budget: dict[str, Any],
) -> str:
    """Return a hash of everything that a draw depends on; the effect stands for the original model."""
    digest = hashlib.sha256()
    for values in effect.values():
        digest.update(np.ascontiguousarray(values, dtype=np.float32).tobytes())
    rows = [list(map(int, participant_rows)) for participant_rows in members]
    settings = {name: repr(value) for name, value in (model.get_params(deep=False) | budget).items()}
    content = [digest.hexdigest(), fingerprint(data), rows, numbers, settings]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _moments(draws: NDArray, estimate: NDArray | None = None) -> tuple[NDArray, NDArray, NDArray]:
    """Return mean and standard deviation of draws, and the ratio of an estimate (or the mean) to the latter, or 0."""
    mean, error = draws.mean(axis=0, dtype=np.float64), draws.std(axis=0, ddof=1, dtype=np.float64)
    varies = error > 1e-9 * np.abs(mean).max(initial=1e-12)
    ratio = (mean if estimate is None else estimate) / np.where(varies, error, 1.0)
    return mean, error, np.where(varies, ratio, 0.0)


def _reach(n_draws: int, level: float) -> float:
    return float(student.ppf((1.0 + level) / 2.0, n_draws - 1))
