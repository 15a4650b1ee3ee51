"""What a nonlinear model could gain over a linear one: held-out prediction by kernel regression, in a second.

Every modality is predicted from the joint scores that the other modalities give (`deepjive.deep.geometry.joint_ridge`),
on held-out folds: once by linear decoders, and once by ridge regression with a Gaussian kernel on the same scores. The
difference says whether training nonlinear networks can pay, before any network is trained.

References
----------
Saunders, Gammerman and Vovk (1998), Ridge regression learning algorithm in dual variables, ICML.
"""

from __future__ import annotations

from collections.abc import Sequence
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

MOST_SAMPLES = 500
LENGTHS = (0.7, 1.5, 3.0)  # of the kernel, relative to the median distance of samples
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
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
        Modalities; of more than 500 samples so many are drawn.
    rank : int
        Number of joint scores.
    seed : int
        Draws samples and folds.
    groups : array, shape (n,), optional
        The participant of each sample; participants are held out as a whole.
    """
    n = len(xs[0])
    if n > MOST_SAMPLES:
        rows = np.random.default_rng(seed).choice(n, MOST_SAMPLES, replace=False)
        xs, groups = [x[rows] for x in xs], None if groups is None else groups[rows]
    held_out = cross_validate(xs, rank, seed, groups)
    penalties = held_out.mean_errors.argmin(axis=0)
    last = int(held_out.mean_errors.min(axis=0).argmin())
    none, linear, penalty = held_out.error_of_mean, held_out.errors(penalties)[last], penalties[last]
    nonlinear = _kernel_errors(xs, rank, RIDGE_PENALTIES[penalty], seed, groups) / held_out.variance.mean(
        axis=1, keepdims=True
    )
    gains = (linear - nonlinear.mean(axis=0)) / none.mean()
    uncertain = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    return NonlinearGain(float(gains.mean()), uncertain, float(1 - linear.mean() / none.mean()))


def _kernel_errors(xs: Sequence[NDArray], rank: int, penalty: float, seed: int, groups: NDArray | None) -> NDArray:
    """Squared errors (n_modalities, n_samples) of held-out predictions by kernel regression on joint scores."""
    xs = [reduced(x - x.mean(axis=0)) for x in xs]
    errors = np.zeros((len(xs), len(xs[0])))
    for train, test in folds(len(xs[0]), seed, groups):
        means = [x[train].mean(axis=0) for x in xs]
        sizes = [np.sqrt(np.square(x[train] - m).sum() / len(train)) or 1.0 for x, m in zip(xs, means, strict=True)]
        near, far = ([(x[rows] - m) / s for x, m, s in zip(xs, means, sizes, strict=True)] for rows in (train, test))
        spectra = [Spectrum.of(x) for x in near]
        target = encoder_targets(spectra, target_scores(near, spectra, rank), penalty * len(train))
        encoders = [
            x.T @ spectrum.dual(target, penalty * len(train)) for x, spectrum in zip(near, spectra, strict=True)
        ]
        seen, new = ([x @ encoder for x, encoder in zip(of, encoders, strict=True)] for of in (near, far))
        for k in range(len(xs)):
            inputs, held_out = (sum(z for j, z in enumerate(of) if j != k) for of in (seen, new))
            errors[k, test] = np.square(far[k] - _predicted(inputs, near[k], held_out)).sum(axis=1)
    return errors


def _predicted(inputs: NDArray, target: NDArray, new: NDArray) -> NDArray:
    """Predictions (n_new, p) for new inputs; length and penalty minimize the leave-one-out error."""
    distances = _square_distances(inputs, inputs)
    unit = float(np.median(distances[np.triu_indices(len(inputs), 1)])) or 1.0
    best_error, best_length, best_weights = np.inf, 1.0, np.zeros_like(target)
    for length in LENGTHS:
        values, vectors = np.linalg.eigh(np.exp(-distances / (2 * length**2 * unit)))
        values = np.maximum(values, 0.0)
        along = vectors.T @ target
        for penalty in PENALTIES:
            shrunk = values / (values + penalty)
            leverage = np.minimum(np.square(vectors) @ shrunk, 1 - 1e-9)
            residual = (target - vectors @ (shrunk[:, None] * along)) / (1 - leverage)[:, None]
            if (error := float(np.square(residual).sum())) < best_error:
                best_error, best_length = error, length
                best_weights = vectors @ (along / (values + penalty)[:, None])
    return np.exp(-_square_distances(new, inputs) / (2 * best_length**2 * unit)) @ best_weights


def _square_distances(a: NDArray, b: NDArray) -> NDArray:
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squares, 0.0)
