"""What a nonlinear model could gain over a linear one: held-out prediction by kernel regression, in a second.

Two comparisons are made on held-out folds, and the larger gain counts:

- decoders    Every modality is predicted from the joint scores that the other modalities give
              (`deepjive.deep.geometry.joint_ridge`): by linear decoders, and by kernel regression on the same scores.
- encoders    Every modality is predicted from all features of the others: by ridge regression, and by kernel
              regression. Images of one digit, for instance, share what no few linear scores contain.

The gain says whether training nonlinear networks can pay, before any network is trained.

References
----------
Saunders, Gammerman and Vovk (1998), Ridge regression learning algorithm in dual variables, ICML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepjive.deep.geometry.joint_ridge import (
    PENALTIES as RIDGE_PENALTIES,
)
from deepjive.deep.geometry.joint_ridge import (
    Spectrum,
    cross_validate,
    encoder_targets,
    folds,
    reduced,
    target_scores,
)
from deepjive.deep.geometry.symmetric import eigh, gaussian

FOR_SCORES, FOR_FEATURES = 400, 1000  # samples: what few scores miss, only many samples show
ENOUGH_HELD_OUT = 200
LENGTHS = (0.7, 1.5, 3.0)  # of the kernel, relative to the median distance of samples
LENGTHS_OF_FEATURES = (0.5, 1.0)
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
LINEAR_PENALTIES = tuple(np.logspace(-4, 1, 11))  # relative to the mean squared length of a sample, times n
LEAST_SHARE, CLEAR = 0.1, 3.0


@dataclass(frozen=True)
class NonlinearGain:
    """Held-out variance that nonlinear prediction adds to linear prediction.

    Attributes
    ----------
    value : float
        Difference of the fractions of held-out variance predicted, mean over modalities.
    standard_error : float
        Its standard error over samples, paired.
    linear : float
        Fraction of held-out variance that the linear scores predict.
    trained : bool
        Whether the gain is that of trained networks on validation samples; otherwise it is that of a kernel regression,
        and the networks stayed linear.
    """

    value: float
    standard_error: float
    linear: float
    trained: bool = False

    @property
    def pays(self) -> bool:
        """Whether the gain is clear: three standard errors, and a tenth of what is predicted."""
        return self.value > max(CLEAR * self.standard_error, LEAST_SHARE * (self.linear + self.value))


def nonlinear_gain(xs: Sequence[NDArray], rank: int, seed: int, groups: NDArray | None = None) -> NonlinearGain:
    """Estimate the gain of kernel regression over `rank` linear joint scores.

    Parameters
    ----------
    xs : sequence of array, each (n, p)
        Modalities; of more samples 400 are drawn for the decoders, and 1000 for the encoders.
    rank : int
        Number of joint scores.
    seed : int
        Draws samples and folds.
    groups : array, shape (n,), optional
        The participant of each sample. Of each participant one sample is drawn: other visits would make
        leave-one-out errors of a participant too small.
    """
    rows = np.random.default_rng(seed).permutation(len(xs[0]))
    if groups is not None:
        rows = rows[np.sort(np.unique(groups[rows], return_index=True)[1])]
    few, many = ([x[np.sort(rows[:most])] for x in xs] for most in (FOR_SCORES, FOR_FEATURES))
    few = [reduced(x - x.mean(axis=0)) for x in few]
    held_out = cross_validate(few, rank, seed)
    penalties = held_out.mean_errors.argmin(axis=0)
    last = int(held_out.mean_errors.min(axis=0).argmin())
    none, linear = held_out.error_of_mean, held_out.errors(penalties)[last]
    total = np.maximum(held_out.variance.mean(axis=1, keepdims=True), 1e-300)
    of_scores = (_errors_of_scores(few, rank, RIDGE_PENALTIES[penalties[last]], seed) / total).mean(axis=0)
    gains = max(
        ((linear - of_scores) / none.mean(), _gains_of_features(many, seed)), key=lambda gain: float(gain.mean())
    )
    uncertain = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return NonlinearGain(float(gains.mean()), uncertain, float(1 - linear.mean() / none.mean()))


def _scaled_folds(xs: Sequence[NDArray], seed: int) -> Iterator[tuple[NDArray, list[NDArray], list[NDArray]]]:
    """Held-out rows of each fold, with the training and the held-out samples of all modalities, centred and scaled."""
    for train, test in folds(len(xs[0]), seed):
        means = [x[train].mean(axis=0) for x in xs]
        sizes = [
            float(np.sqrt(np.square(x[train] - m).sum() / len(train))) or 1.0 for x, m in zip(xs, means, strict=True)
        ]
        near, far = ([(x[rows] - m) / s for x, m, s in zip(xs, means, sizes, strict=True)] for rows in (train, test))
        yield test, near, far


def _errors_of_scores(xs: Sequence[NDArray], rank: int, penalty: float, seed: int) -> NDArray:
    """Squared errors (n_modalities, n_samples) of held-out predictions by kernel regression on joint scores."""
    errors = np.zeros((len(xs), len(xs[0])))
    for test, near, far in _scaled_folds(xs, seed):
        n, spectra = len(near[0]), [Spectrum.of(x) for x in near]
        target = encoder_targets(spectra, target_scores(near, spectra, rank), penalty * n)
        encoders = [x.T @ spectrum.dual(target, penalty * n) for x, spectrum in zip(near, spectra, strict=True)]
        seen, new = ([x @ encoder for x, encoder in zip(of, encoders, strict=True)] for of in (near, far))
        for k in range(len(xs)):
            scores, new_scores = (np.sum([z for j, z in enumerate(of) if j != k], axis=0) for of in (seen, new))
            lengths = np.square(new_scores).sum(axis=1)
            kernels = _gaussians(scores @ scores.T, new_scores @ scores.T, lengths, LENGTHS)
            errors[k, test] = _errors(kernels, PENALTIES, near[k], far[k])
    return errors


def _gains_of_features(xs: Sequence[NDArray], seed: int) -> NDArray:
    """What kernel regression gains over ridge regression, both on all features, for each of enough held-out samples."""
    gains: list[NDArray] = []
    for _, near, far in _scaled_folds(xs, seed):
        if sum(map(len, gains)) >= ENOUGH_HELD_OUT:
            break
        inner, crossed = [x @ x.T for x in near], [new @ x.T for new, x in zip(far, near, strict=True)]
        lengths = np.array([np.square(x).sum(axis=1) for x in far])
        by_modality = []
        for k in range(len(xs)):
            products, new_products = (
                np.sum([g for j, g in enumerate(of) if j != k], axis=0) for of in (inner, crossed)
            )
            kernels = _gaussians(products, new_products, np.delete(lengths, k, axis=0).sum(axis=0), LENGTHS_OF_FEATURES)
            unit = float(products.trace()) or 1.0
            ridge = _errors([(products / unit, new_products / unit)], LINEAR_PENALTIES, near[k], far[k])
            by_modality.append((ridge - _errors(kernels, PENALTIES, near[k], far[k])) / max(lengths[k].mean(), 1e-300))
        gains.append(np.mean(by_modality, axis=0))
    return np.concatenate(gains)


def _gaussians(
    products: NDArray, new_products: NDArray, new_lengths: NDArray, relative: Sequence[float]
) -> list[tuple[NDArray, NDArray]]:
    """Gaussian kernels among samples and of new samples, from inner products, of several relative lengths."""
    own = products.diagonal()
    distances = np.maximum(own[:, None] + own - 2 * products, 0.0)
    new_distances = np.maximum(new_lengths[:, None] + own - 2 * new_products, 0.0)
    unit = float(np.median(distances[np.triu_indices(len(distances), 1)])) or 1.0
    return [(gaussian(distances, length**2 * unit), gaussian(new_distances, length**2 * unit)) for length in relative]


def _errors(
    kernels: Sequence[tuple[NDArray, NDArray]], penalties: Sequence[float], target: NDArray, new_target: NDArray
) -> NDArray:
    """Squared errors (n_new,) of kernel ridge regression; kernel and penalty minimize the leave-one-out error."""
    best_error, best_kernel, best_weights = np.inf, kernels[0][1], np.zeros_like(target)
    for kernel, new_kernel in kernels:
        values, vectors = eigh(kernel)
        values = np.maximum(values, 0.0)
        along = vectors.T @ target
        for penalty in penalties:
            shrunk = values / (values + penalty)
            leverage = np.minimum(np.square(vectors) @ shrunk + 1 / len(target), 1 - 1e-9)  # the mean has its share
            residual = (target - vectors @ (shrunk[:, None] * along)) / (1 - leverage)[:, None]
            if (error := float(np.square(residual).sum())) < best_error:
                best_error, best_kernel = error, new_kernel
                best_weights = vectors @ (along / (values + penalty)[:, None])
    return np.square(new_target - best_kernel @ best_weights).sum(axis=1)
