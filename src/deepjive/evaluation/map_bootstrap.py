"""Bootstrap of covariation maps: what one standard deviation of a joint score does, with the uncertainty of the fit.

Participants, not sessions, are drawn with replacement; the model is fitted again to each draw b with its own ranks and
settings and a seed of its own. A refit may number, turn and reflect the joint scores otherwise. So its scores of the
drawn participants, Z_b (centred, covariance S), are matched to the original's score z_c of the same participants:

    w  =  argmin |z_c - Z_b w|^2,  scaled to w' S w = 1      the score that says what the original's says
    effect_b(v)  =  mean over participants of [J_b(z + S w / 2) - J_b(z - S w / 2)](v)           in data units
    unseen_b(v)  =  mean over participants not drawn of (x(v) - mean)(s - mean) / sd(s)          in data units

with z the refit's scores of the first 50 participants of the data, the same ones in every draw, and s the matched score
of participants that were not drawn, made **without the modality** that v is in. `match` is the correlation of Z_b w
with z_c: where it is far below 1, other participants would have given another score, and the maps are of none in
particular. With e the effect of the original model, and means m, m' and standard deviations s, s' over the B draws of
effect_b and unseen_b,

    standard error s           bootstrap ratio e / s              interval e -+ t s, t Student's quantile, B - 1 degrees
    p  =  of m' / s', two-sided, Student's distribution of B - 1 degrees; q over voxels (Benjamini and Hochberg)

**What the interval is for**: the regression of the true joint part on the score that the original's encoders give,
among participants that were never fitted, for one unit of the score and with the other joint scores held. It is for
the direction that the original found; that another direction might have been found is in `match`, not in s.

**Why p is not of the ratio.** The ratio says that an effect comes back in other fits, and the strongest direction of
one modality does so even if nothing is joint: with modalities shuffled against each other, some of its voxels survived
in 4 of 9 cohorts. The literature therefore tests components by permutation first. `unseen` needs no such gate: nobody
in it was fitted, and the score has not seen the modality. s' is that of the third of the participants who are not in a
draw, while m' is of all of them, so that p is conservative.

**What is not carried**: the choice of ranks. Copies of a participant are never both among those that a network is
trained on and among those that say when to stop.

Efron and Tibshirani 1993, An introduction to the bootstrap, section 6.2; the ratio: McIntosh and Lobaugh 2004, Partial
least squares analysis of neuroimaging data, NeuroImage 23:S250.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student
from sklearn.utils import check_random_state

from deepjive.data.groups import members_of
from deepjive.data.modalities import Modalities
from deepjive.deep.training.checkpoint import fingerprint
from deepjive.evaluation.bootstrap_draws import KeptDraws, draw
from deepjive.evaluation.covariation_maps import effect_maps, false_discovery
from deepjive.evaluation.null import needs_all
from deepjive.evaluation.refit import with_groups

LEVEL = 0.9
LEAST = 8
TOO_FEW_DRAWS = "n_draws must be at least 2 for a standard error, but is {given}; use about 50."
NO_COMPONENT = "component is {given}, but the model has joint scores 0 to {last}."
TOO_FEW = "The bootstrap draws participants, but there are {given} of them; at least {least} are needed."
MERGED = (
    "Whether a modality varies with a joint score is asked of the score made without it, which the identity 'merged' "
    "cannot give. Fit with identity='exchange' or 'explicit'."
)


@dataclass(frozen=True)
class BootstrapMap:
    """One joint score in one modality; all of the shape of a sample, the first five in data units.

    Attributes
    ----------
    effect : array
        Of the original model.
    mean, standard_error : array
        Of the draws.
    lower, upper : array
        Interval for the effect.
    ratio : array
        Effect over standard error; 0 where the standard error is 0.
    p_value, q_value : array
        Of association in participants that were not drawn, and after control of the false-discovery rate.
    """

    effect: NDArray
    mean: NDArray
    standard_error: NDArray
    lower: NDArray
    upper: NDArray
    ratio: NDArray
    p_value: NDArray
    q_value: NDArray


@dataclass(frozen=True)
class BootstrapMaps:
    """Draws of the covariation maps of one joint score.

    Attributes
    ----------
    effect : dict of str to array, shape of a sample
        Of the original model.
    draws : dict of str to array, shape (n_draws, ...)
        Of the refits, in single precision.
    unseen : dict of str to array, shape (n_draws, ...)
        Change with one standard deviation of the matched score, made without the modality, among those not drawn.
    match : array, shape (n_draws,)
        Correlation of each refit's matched score with the original's.
    seconds : array, shape (n_draws,)
        Wall time of each draw.
    """

    effect: dict[str, NDArray]
    draws: dict[str, NDArray]
    unseen: dict[str, NDArray]
    match: NDArray
    seconds: NDArray

    def of(self, name: str, level: float = LEVEL) -> BootstrapMap:
        """The maps of a modality, with intervals of the coverage `level`."""
        effect, draws = self.effect[name], self.draws[name]
        mean, error, ratio = _moments(draws, effect)
        _, _, strength = _moments(self.unseen[name])
        p_value = np.where(strength == 0.0, 1.0, 2.0 * student.sf(np.abs(strength), len(draws) - 1))
        q_value = false_discovery(p_value.ravel()).reshape(p_value.shape)
        reach = _reach(len(draws), level) * error
        return BootstrapMap(effect, mean, error, effect - reach, effect + reach, ratio, p_value, q_value)

    def within(self, name: str, mask: NDArray[np.bool_], level: float = LEVEL) -> tuple[float, float, float]:
        """The mean effect within a mask, and the lower and upper limit of its interval."""
        effect, draws = float(self.effect[name][mask].mean()), self.draws[name][:, mask].mean(axis=1, dtype=np.float64)
        reach = _reach(len(draws), level) * float(draws.std(ddof=1))
        return effect, effect - reach, effect + reach

    def turned(self) -> BootstrapMaps:
        """The maps of the score with the other sign."""
        effect, draws, unseen = (
            {name: -values for name, values in maps.items()} for maps in (self.effect, self.draws, self.unseen)
        )
        return BootstrapMaps(effect, draws, unseen, self.match, self.seconds)


def bootstrap_maps(
    model: Any,
    data: Modalities,
    component: int,
    n_draws: int = 50,
    *,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
    folder: str | Path | None = None,
    on_draw: Callable[[int, float], None] = lambda done, seconds: None,
    **budget: Any,
) -> BootstrapMaps:
    """Refit a model to draws of its participants, and map what the same joint score does in each.

    Parameters
    ----------
    model : estimator
        Fitted to `data`; it is not changed.
    data : Modalities
        The samples that it was fitted to.
    component : int
        Which joint score, from 0.
    n_draws : int
        Number of refits, at least 2.
    groups : array, shape (n_samples,), optional
        The participant of each sample: all samples of a participant are drawn together. By default those
        of the data, and where these have none each sample is one.
    random_state : int, RandomState or None
        Seed of draws and refits; draw b is the same whatever `n_draws` is.
    folder : path, optional
        Where every draw is kept as soon as it is done, to be read and not made again by the same call; draws of other
        data, another model or another seed have other names there.
    on_draw : callable
        Told after each draw the number of draws that are done, and the seconds of the last.
    **budget
        Parameters of the refits that are to differ from the model's, such as ``max_epochs``.

    Returns
    -------
    BootstrapMaps

    Raises
    ------
    ValueError
        For fewer than 2 draws or 8 participants, a score that the model does not have, groups of another length, or
        the merged identity, which gives no score without a modality.
    KeyboardInterrupt
        Also if a network's training was interrupted, which then ends with what it has: that would be no draw.
    """
    if n_draws < 2:
        raise ValueError(TOO_FEW_DRAWS.format(given=n_draws))
    if not 0 <= component < model.joint_rank_:
        raise ValueError(NO_COMPONENT.format(given=component, last=model.joint_rank_ - 1))
    if needs_all(model):
        raise ValueError(MERGED)
    data = with_groups(data, groups)
    if data.groups is None:
        data = with_groups(data, np.arange(len(data)))  # so that a refit keeps the copies of a sample together
    members = members_of(len(data), data.groups)
    if len(members) < LEAST:
        raise ValueError(TOO_FEW.format(given=len(members), least=LEAST))
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    scores = model.transform(data)
    effect = effect_maps(model, scores, component)
    kept = (
        None
        if folder is None
        else KeptDraws(Path(folder), _key(model, data, effect, members, [seed, component], budget))
    )
    found = []
    for number in range(n_draws):
        one = None if kept is None else kept.read(number)
        if one is None:
            one = draw(model, data, scores[:, component], members, np.random.default_rng([seed, number]), budget)
            if kept is not None:
                kept.write(number, one)
        found.append(one)
        on_draw(number + 1, float(one["seconds"]))
    draws, unseen = (
        {name: np.stack([one[f"{what} {name}"] for one in found]) for name in effect} for what in ("effect", "unseen")
    )
    match, seconds = (np.array([float(one[key]) for one in found]) for key in ("match", "seconds"))
    return BootstrapMaps(effect, draws, unseen, match, seconds)


def _key(
    model: Any,
    data: Modalities,
    effect: dict[str, NDArray],
    members: list[NDArray[np.intp]],
    numbers: list[int],
    budget: dict[str, Any],
) -> str:
    """A name made of everything that a draw depends on; the original model by its effect."""
    digest = hashlib.sha256()
    for values in effect.values():
        digest.update(np.ascontiguousarray(values, dtype=np.float32).tobytes())
    rows = [list(map(int, own)) for own in members]
    settings = {name: repr(value) for name, value in (model.get_params(deep=False) | budget).items()}
    content = [digest.hexdigest(), fingerprint(data), rows, numbers, settings]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _moments(draws: NDArray, estimate: NDArray | None = None) -> tuple[NDArray, NDArray, NDArray]:
    """Mean and standard deviation of draws, and an estimate (or the mean) over the latter, 0 where that is 0."""
    mean, error = draws.mean(axis=0, dtype=np.float64), draws.std(axis=0, ddof=1, dtype=np.float64)
    varies = error > 1e-9 * np.abs(mean).max(initial=1e-12)
    ratio = (mean if estimate is None else estimate) / np.where(varies, error, 1.0)
    return mean, error, np.where(varies, ratio, 0.0)


def _reach(n_draws: int, level: float) -> float:
    return float(student.ppf((1.0 + level) / 2.0, n_draws - 1))
