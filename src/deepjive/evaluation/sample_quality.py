"""Sample fit: how well the model describes each sample, and how well the modalities of a sample fit together.

**Shares.** Of one sample of one modality, ``|J - mean|^2``, ``|S|^2`` and ``|E|^2`` as fractions of their sum.

**Outlying residuals.** The logarithm of the root mean square of the residual, from its median over the samples, in
units of 1.4826 median absolute deviations (a standard deviation for normal values).

**Distance.** The root mean square of the joint and individual scores of a modality. Scores of fitted samples have mean
0 and variance 1, so fitted samples have distances around 1.

**Pairs.** The joint scores of a sample are computed from one modality alone (z) and from the other modalities (y). With
r the correlation of the two over the samples, the distance between samples i and j is

    d(i, j)^2  =  sum over scores c of  r_c^2 / (1 - r_c^2) (z_ic - y_jc)^2      scores standardized, y times r_c

so that scores on which the modalities agree count most. `others_closer` is the fraction of other samples j with d(i, j)
below d(i, i). It is near 0 for a pair that fits, and uniform for a modality that belongs to another sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.chunks import row_batches
from deepjive.data.modalities import as_modalities
from deepjive.decomposition import Decomposition
from deepjive.results import Result

OUTLYING = 3.5
MAD = 1.4826
AGREES_MOST = 0.999
MOST_OTHERS = 2000
MIN_PAIRS = 5
MERGED = (
    "Pairs are compared by the joint scores that each modality gives alone, but identity='merged' computes scores from "
    "all modalities only. Fit with identity='exchange' or 'explicit'."
)
NO_JOINT = "Pairs are compared by joint scores, but joint_rank_ of the model is 0. Use a model with joint scores."
TOO_FEW = "Pairs of {name!r} need at least {needed} samples that have this and another modality, but there are {n}."


@dataclass(frozen=True, repr=False)
class SampleFit(Result):
    """Fit of every sample in every modality; arrays have shape (n_samples, n_modalities), NaN without the modality.

    Attributes
    ----------
    samples : list of str
        Names of the samples, or their numbers from 0.
    modalities : list of str
        The modalities.
    joint, individual, residual : array
        Shares of the sample's squared deviation from the mean; they add up to 1.
    outlyingness : array
        Robust standard deviations by which the residual is larger than that of most samples.
    distance : array
        Root mean square of the scores: about 1 for samples like the fitted ones.
    farther : array
        Fraction of the fitted samples that are at least as far from the mean; NaN without a model. It is small for
        samples outside the training data.
    """

    samples: list[str]
    modalities: list[str]
    joint: NDArray
    individual: NDArray
    residual: NDArray
    outlyingness: NDArray
    distance: NDArray
    farther: NDArray

    def _summary(self) -> str:
        counts = ", ".join(
            f"{name} {int(np.sum(values > OUTLYING))}"
            for name, values in zip(self.modalities, self.outlyingness.T, strict=True)
        )
        return f"{len(self.samples)} samples; outlying residuals (more than {OUTLYING} deviations): {counts}"

    def _table(self) -> Any:
        words = ("joint", "individual", "residual", "outlyingness", "distance", "farther")
        count = len(self.samples)
        return {
            "sample": np.tile(np.array(self.samples, dtype=object), len(self.modalities)),
            "modality": np.repeat(np.array(self.modalities, dtype=object), count),
        } | {word: getattr(self, word).T.ravel() for word in words}


@dataclass(frozen=True, repr=False)
class PairFit(Result):
    """How well one modality of each sample fits the other modalities of the sample.

    Attributes
    ----------
    modality : str
        The modality that is compared with the others.
    samples : list of str
        The samples that have the modality and another one, those that fit least first.
    others_closer : array, shape (n_samples,)
        Fraction of other samples whose other modalities fit better.
    distance : array, shape (n_samples,)
        Distance of the joint scores of the modality and of the other modalities.
    closest : list of str
        The sample whose other modalities fit best: for a swapped pair, often the sample that it was swapped with.
    agreement : array, shape (joint_rank,)
        Correlation of each joint score from the modality with that from the others. If all are small, pairs cannot be
        told apart.
    """

    modality: str
    samples: list[str]
    others_closer: NDArray
    distance: NDArray
    closest: list[str]
    agreement: NDArray

    def _summary(self) -> str:
        worst = ", ".join(
            f"{sample} ({share:.0%} of others fit better)"
            for sample, share in zip(self.samples[:3], self.others_closer[:3], strict=True)
        )
        return f"{self.modality} of {len(self.samples)} samples; fit least: {worst}"

    def _table(self) -> Any:
        return {
            "modality": [self.modality] * len(self.samples),
            "sample": self.samples,
            "others_closer": self.others_closer,
            "distance": self.distance,
            "closest": self.closest,
        }


def sample_fit(parts: Decomposition, model: Any = None) -> SampleFit:
    """Measure the shares of the parts, the residual, and the distance from the training data, for each sample.

    Parameters
    ----------
    parts : Decomposition
        A decomposition of fitted or new samples.
    model : estimator, default=None
        The fitted model, whose fitted samples the distances are compared with.

    Returns
    -------
    SampleFit

    Examples
    --------
    >>> from deepjive import AJIVE
    >>> from deepjive.datasets import make_synthetic
    >>> data = make_synthetic(120, (20, 16), random_state=0).data
    >>> model = AJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(data)
    >>> fit = sample_fit(model.decompose(data), model)
    >>> bool(np.allclose(fit.joint + fit.individual + fit.residual, 1.0))
    True
    """
    parts = parts.adjusted
    names, n = list(parts.data.names), len(parts.data)
    shares = np.full((4, n, len(names)), np.nan)
    distance, farther = np.full((2, n, len(names)), np.nan)
    for column, name in enumerate(names):
        rows = np.flatnonzero(parts.data.present[:, column])
        for batch in row_batches(rows, parts.data.shapes[name]):
            shares[:, batch, column] = _squares(parts, name, batch)
        distance[:, column] = _distance(parts.joint_scores, parts.individual_scores[name])
        if model is not None:
            fitted = _distance(model.joint_scores_, model.individual_scores_[name])
            fitted = np.sort(fitted[np.isfinite(fitted)])
            known = np.isfinite(distance[:, column])
            nearer = np.searchsorted(fitted, distance[known, column] * (1.0 - 1e-6))
            farther[known, column] = 1.0 - nearer / max(len(fitted), 1)
    total = shares[:3].sum(axis=0)
    joint, individual, residual = shares[:3] / np.where(total > 0.0, total, np.nan)
    return SampleFit(
        samples=sample_names(parts),
        modalities=names,
        joint=joint,
        individual=individual,
        residual=residual,
        outlyingness=np.stack([_robust(values) for values in shares[3].T], axis=1),
        distance=distance,
        farther=farther,
    )


def pair_fit(model: Any, data: Any, name: str) -> PairFit:
    """Rank the samples whose modality `name` fits the other modalities least, such as mislabelled samples.

    Parameters
    ----------
    model : estimator
        A fitted model that gives joint scores without a modality (not ``identity="merged"``).
    data : Modalities, mapping or sequence
        Fitted or new samples.
    name : str
        The modality that is compared with the others.

    Returns
    -------
    PairFit

    Raises
    ------
    ValueError
        If the model needs all modalities or has joint rank 0, or fewer than 5 samples have the modality and another.
    """
    if model.needs_all_modalities:
        raise ValueError(MERGED)
    if model.joint_rank_ == 0:
        raise ValueError(NO_JOINT)
    data = as_modalities(data)
    others = data.select([other for other in data.names if other != name])
    alone = data.select([name])
    rows = np.flatnonzero(alone.present[:, 0] & others.present.any(axis=1))
    if len(rows) < MIN_PAIRS:
        raise ValueError(TOO_FEW.format(name=name, needed=MIN_PAIRS, n=len(rows)))
    first, second = (_standard(np.asarray(model.transform(part[rows]))) for part in (alone, others))
    agreement = np.clip((first * second).mean(axis=0), -1.0, 1.0)
    clipped = np.clip(agreement, 0.0, AGREES_MOST)
    weight = np.sqrt(clipped**2 / (1.0 - clipped**2))
    first, second = first * weight, second * clipped * weight
    own = np.square(first - second).sum(axis=1)
    candidates = np.arange(len(rows))[:: max(1, -(-len(rows) // MOST_OTHERS))]
    closer, closest = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.intp)
    for start in range(0, len(rows), 256):
        piece = np.arange(start, min(start + 256, len(rows)))
        between = np.square(first[piece, None] - second[None, candidates]).sum(axis=2)
        other = candidates[None] != piece[:, None]
        closer[piece] = np.sum((between < own[piece, None]) & other, axis=1) / np.maximum(other.sum(axis=1), 1)
        closest[piece] = candidates[between.argmin(axis=1)]
    names = np.arange(len(data)) if data.samples is None else data.samples
    order = np.lexsort((-own, -closer))
    return PairFit(
        modality=name,
        samples=[str(names[rows[i]]) for i in order],
        others_closer=closer[order],
        distance=np.sqrt(own[order]),
        closest=[str(names[rows[closest[i]]]) for i in order],
        agreement=agreement,
    )


def sample_names(parts: Decomposition) -> list[str]:
    """Return the names of the samples, or their numbers from 0."""
    samples = parts.data.samples
    return [str(i) for i in range(len(parts.data))] if samples is None else [str(sample) for sample in samples]


def _squares(parts: Decomposition, name: str, rows: NDArray) -> NDArray:
    """Return sums of squares of the parts, and the root mean square of the residual, shape (4, n_rows).

    The parts of subsets of modalities count as joint.
    """
    joint = parts.joint.rows(name, rows) - parts.mean[name]
    for subset, part in parts.subset.items():
        joint = joint + part.rows(name, rows) if name in subset else joint
    pieces = [joint, parts.individual.rows(name, rows), parts.residual.rows(name, rows)]
    flat = [np.asarray(piece, dtype=np.float64).reshape(len(rows), -1) for piece in pieces]
    measured = np.isfinite(flat[2])
    sums = [np.where(measured, np.square(piece), 0.0).sum(axis=1) for piece in flat]
    return np.stack([*sums, np.sqrt(sums[2] / np.maximum(measured.sum(axis=1), 1))])


def _distance(joint: NDArray, individual: NDArray) -> NDArray:
    scores = np.concatenate([joint, individual], axis=1)
    return np.sqrt(np.square(scores).mean(axis=1)) if scores.shape[1] else np.full(len(scores), np.nan)


def _robust(values: NDArray) -> NDArray:
    """Return robust standard deviations of the logarithm above its median."""
    positive = np.where(values > 0.0, values, np.nan)
    known = np.isfinite(positive)
    if not known.any():
        return np.full(len(values), np.nan)
    logs = np.log(positive, where=known, out=np.full(len(values), np.nan))
    centre = np.median(logs[known])
    spread = MAD * np.median(np.abs(logs[known] - centre))
    return (logs - centre) / spread if spread > 0.0 else np.where(known, 0.0, np.nan)


def _standard(scores: NDArray) -> NDArray:
    spread = scores.std(axis=0)
    return (scores - scores.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
