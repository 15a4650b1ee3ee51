"""Linear joint scores that predict every modality from the others: a reduced-rank regression with a ridge penalty.

Modality k, centred and of unit variance per sample, is X_k (n, p_k); there are K modalities.

1. Targets. Each modality is predicted from all others by ridge regression, `H_-k X_k`. The target scores V (n, rank)
   are the leading left singular vectors of these predictions side by side, scaled to variance 1: what the modalities
   predict of each other. The penalty of each `H_-k` minimizes the generalized cross-validation error.
2. Encoders. The joint scores made without modality k are the mean of the other modalities' scores X_l E_l. The
   encoders minimize

       sum_k |V - 1/(K-1) sum_{l != k} X_l E_l|^2  +  penalty / (K-1)^2  sum_l |E_l|^2.

   With the smoothers H_l = X_l (X_l' X_l + penalty)^-1 X_l' and H = sum_l H_l, the sum S of all X_l E_l solves
   (1 + (K-2) H) S = (K-1)^2 H V, and each encoder is a ridge regression of (K-1)^2 V - (K-2) S on X_l. For two
   modalities this is a ridge regression of V on each.
3. Decoders. J_k = sum_r a_kr z_r V_r' X_k / n. The gains a_kr are a regression of held-out samples on what the
   single scores predict of them, with a penalty towards one common gain: a score that predicts little of new samples
   counts little.

The scores are nested: the first r of them are the solution of rank r, so that one fit per fold gives the held-out
prediction at every rank and penalty. Gains by which a fold is judged are those of the other folds.

References
----------
Izenman (1975), Reduced-rank regression for the multivariate linear model, Journal of Multivariate Analysis 5.
Mukherjee and Zhu (2011), Reduced rank ridge regression and its kernel extensions, Statistical Analysis and Data
Mining 4.
Golub, Heath and Wahba (1979), Generalized cross-validation as a method for choosing a good ridge parameter,
Technometrics 21.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from deepjive.deep.geometry.symmetric import eigh
from deepjive.linear.leading import leading_eigenvectors

FOLDS = 4
PENALTIES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # relative to the modality's variance per sample, times n
TARGET_PENALTIES = np.logspace(-4, 1, 21)
SMALLEST = 1e-10  # relative to the largest eigenvalue; smaller ones are rounding
LEAST_COMMON_GAIN, LARGEST_GAIN = 0.5, 2.0
GAIN_PENALTY = 0.1  # relative to the size of what each score predicts
MOST_ITERATIONS = 50
ROUNDED = 0.002  # of the best prediction: what scores add less counts as nothing


@dataclass(frozen=True)
class Spectrum:
    """Left singular vectors and singular values of one centred modality.

    Attributes
    ----------
    u : array, shape (n_samples, rank)
        Left singular vectors.
    s : array, shape (rank,)
        Singular values, in decreasing order.
    """

    u: NDArray
    s: NDArray

    @classmethod
    def of(cls, x: NDArray) -> Spectrum:
        """Decompose samples (n, p) by the eigenvectors of the smaller of the two Gram matrices."""
        wide = x.shape[1] > len(x)
        squares, vectors = eigh(x @ x.T if wide else x.T @ x)
        kept = squares > SMALLEST * max(float(squares[-1]), 1e-300)
        s, vectors = np.sqrt(squares[kept])[::-1], vectors[:, kept][:, ::-1]
        return cls(vectors if wide else x @ (vectors / s), s)

    def smoothed(self, target: NDArray, penalty: float) -> NDArray:
        """Ridge predictions of a target (n, m) for the samples themselves."""
        return self.u @ (self.shrinkage(penalty)[:, None] * (self.u.T @ target))

    def shrinkage(self, penalty: float) -> NDArray:
        """Factors (rank,) by which a ridge regression shrinks each singular direction."""
        return self.s**2 / (self.s**2 + penalty)

    def dual(self, target: NDArray, penalty: float) -> NDArray:
        """Ridge weights as combinations (n, m) of the samples: encoder = x' dual."""
        return self.u @ ((self.u.T @ target) / (self.s**2 + penalty)[:, None])

    def directions(self, x: NDArray) -> NDArray:
        """Right singular vectors (p, rank) of the samples (n, p) that were decomposed."""
        return x.T @ (self.u / self.s)


def reduced(x: NDArray) -> NDArray:
    """Samples (n, p) as at most n coordinates with the same inner products; unchanged where p is at most n."""
    if x.shape[1] <= len(x):
        return x
    squares, vectors = eigh(x @ x.T)
    return vectors * np.sqrt(np.maximum(squares, 0.0))


def target_scores(xs: Sequence[NDArray], spectra: Sequence[Spectrum], rank: int) -> NDArray:
    """Joint scores (n, at most rank), of variance 1, that all modalities' ridge predictions have most in common.

    Parameters
    ----------
    xs : sequence of array, each (n, p)
        Centred modalities of equal total variance.
    spectra : sequence of Spectrum
        Their decompositions.
    rank : int
        Largest number of scores.
    """
    n, predictions = len(xs[0]), []
    for k, x in enumerate(xs):
        others = [other for j, other in enumerate(xs) if j != k]
        spectrum = spectra[1 - k] if len(xs) == 2 else Spectrum.of(np.concatenate(others, axis=1))
        along = spectrum.u.T @ x
        energies, total = np.square(along).sum(axis=1), float(np.square(x).sum())
        errors = []
        for penalty in TARGET_PENALTIES * n:
            shrunk = spectrum.shrinkage(penalty)
            residual = total - energies.sum() + float(np.square(1 - shrunk) @ energies)
            errors.append(residual / max(1 - (shrunk.sum() + 1) / n, 1e-3) ** 2)
        best = TARGET_PENALTIES[int(np.argmin(errors))] * n
        predictions.append(spectrum.u @ (spectrum.shrinkage(best)[:, None] * along))
    stacked = np.concatenate(predictions, axis=1)
    return _leading_left_vectors(stacked, rank) * np.sqrt(n)


def _leading_left_vectors(x: NDArray, rank: int) -> NDArray:
    """The first left singular vectors (n, at most rank) of an array (n, p), by products if that is faster."""
    is_tall = len(x) > x.shape[1]
    narrow = x if is_tall else x.T
    found = leading_eigenvectors(lambda vectors: narrow.T @ (narrow @ vectors), narrow.shape[1], rank)
    if found is None:
        return Spectrum.of(x).u[:, :rank]
    squares, vectors = found
    is_needed = squares > SMALLEST * squares[0]
    return x @ (vectors[:, is_needed] / np.sqrt(squares[is_needed])) if is_tall else vectors[:, is_needed]


def encoder_targets(spectra: Sequence[Spectrum], scores: NDArray, penalty: float) -> NDArray:
    """The target (n, rank) on which every modality is regressed: see step 2 of the module.

    The linear system is solved by conjugate gradients; its eigenvalues lie between 1 and 1 + K (K - 2).
    """
    count = len(spectra)
    if count == 2:
        return scores

    def smoothed(x: NDArray) -> NDArray:
        return np.sum([spectrum.smoothed(x, penalty) for spectrum in spectra], axis=0)

    right = (count - 1) ** 2 * smoothed(scores)
    solution, residual = np.zeros_like(right), right.copy()
    direction, squares = residual.copy(), np.square(residual).sum(axis=0)
    enough = 1e-13 * max(float(squares.max(initial=0.0)), 1e-300)
    for _ in range(MOST_ITERATIONS):
        if squares.max(initial=0.0) <= enough:
            break
        image = direction + (count - 2) * smoothed(direction)
        step = squares / np.maximum((direction * image).sum(axis=0), 1e-300)
        solution, residual = solution + step * direction, residual - step * image
        squares, before = np.square(residual).sum(axis=0), squares
        direction = residual + squares / np.maximum(before, 1e-300) * direction
    return (count - 1) ** 2 * scores - (count - 2) * solution


@dataclass(frozen=True)
class HeldOut:
    """Held-out prediction of every modality from the others, at every penalty and rank.

    Attributes
    ----------
    variance : array, shape (n_modalities, n_samples)
        Squared distance of each sample from the training mean, relative to the modality's variance.
    scores : array, shape (n_penalties, n_modalities, n_samples, max_rank)
        Joint scores of each sample made without the modality.
    products : array, shape (n_modalities, n_samples, max_rank)
        Inner product of each sample with the decoder of each score.
    decoder_products : array, shape (n_folds, n_modalities, max_rank, max_rank)
        Inner products of decoders with each other.
    fold : array, shape (n_samples,)
        The fold in which each sample was held out.
    """

    variance: NDArray
    scores: NDArray
    products: NDArray
    decoder_products: NDArray
    fold: NDArray[np.intp]

    @property
    def error_of_mean(self) -> NDArray:
        """Squared errors (n_samples,) of predicting the mean: relative to the modality's, the mean over modalities."""
        return (self.variance / np.maximum(self.variance.mean(axis=1, keepdims=True), 1e-300)).mean(axis=0)

    def gains(self, penalty: int, rank: int) -> NDArray:
        """Gains (n_modalities, rank) of the first scores at the penalty of this row, from all held-out samples."""
        right, left = self._equations(penalty, rank)
        return _gains_of(right.sum(axis=1), left.sum(axis=1))

    @cached_property
    def mean_errors(self) -> NDArray:
        """Mean squared errors (n_penalties, max_rank): relative to each modality's variance, the mean over modalities.

        The gains are those of the other folds, and of the rank.
        """
        n_penalties, max_rank = len(self.scores), self.scores.shape[-1]
        total = np.maximum(self.variance.sum(axis=1), 1e-300)
        errors = np.zeros((n_penalties, max_rank))
        equations = [self._equations(penalty, max_rank) for penalty in range(n_penalties)]
        right, left = (np.stack(sides) for sides in zip(*equations, strict=True))
        for rank in range(1, max_rank + 1):
            b, m = right[..., :rank], left[..., :rank, :rank]
            gains = self._other_folds_gains(b, m)
            gained = (gains * (2 * b - (m @ gains[..., None])[..., 0])).sum(axis=(-2, -1))
            errors[:, rank - 1] = (1 - gained / total).mean(axis=-1)
        return errors

    def errors(self, penalties: Sequence[int]) -> NDArray:
        """Squared errors (max_rank, n_samples) as in `mean_errors`, at one penalty, given as its row, for each rank."""
        errors = np.zeros((len(penalties), self.variance.shape[1]))
        inverse_variance = 1.0 / np.maximum(self.variance.mean(axis=1), 1e-300)
        for index, penalty in enumerate(penalties):
            rank = index + 1
            gains = self._other_folds_gains(*self._equations(penalty, rank))
            z = self.scores[penalty, ..., :rank] * gains[:, self.fold]
            gained = 2 * (z * self.products[..., :rank]).sum(axis=-1)
            for fold, gram in enumerate(self.decoder_products):
                rows = self.fold == fold
                gained[:, rows] -= ((z[:, rows] @ gram[:, :rank, :rank]) * z[:, rows]).sum(axis=-1)
            errors[index] = inverse_variance @ (self.variance - gained) / len(self.variance)
        return errors

    @staticmethod
    def _other_folds_gains(right: NDArray, left: NDArray) -> NDArray:
        """Gains (..., n_modalities, n_folds, rank) for each fold, from the normal equations of the other folds."""
        return _gains_of(right.sum(axis=-2, keepdims=True) - right, left.sum(axis=-3, keepdims=True) - left)

    def _equations(self, penalty: int, rank: int) -> tuple[NDArray, NDArray]:
        """Right sides (n_modalities, n_folds, rank) and left sides (..., rank) of the normal equations of the gains."""
        scores, products = self.scores[penalty, :, :, :rank], self.products[:, :, :rank]
        n_folds, n_modalities = self.decoder_products.shape[:2]
        right, left = np.zeros((n_modalities, n_folds, rank)), np.zeros((n_modalities, n_folds, rank, rank))
        for fold in range(n_folds):
            rows = self.fold == fold
            for k in range(n_modalities):
                z = scores[k, rows]
                right[k, fold] = (z * products[k, rows]).sum(axis=0)
                left[k, fold] = (z.T @ z) * self.decoder_products[fold, k, :rank, :rank]
        return right, left


def _gains_of(right: NDArray, left: NDArray) -> NDArray:
    """Gains (..., rank) between 0 and 2 from normal equations, with a penalty towards one gain for all scores."""
    sizes = np.diagonal(left, axis1=-2, axis2=-1)
    common = right.sum(axis=-1) / np.maximum(left.sum(axis=(-2, -1)), 1e-300)
    common = np.clip(common, LEAST_COMMON_GAIN, LARGEST_GAIN)[..., None]
    penalties = GAIN_PENALTY * sizes + 1e-12 * np.maximum(sizes.max(axis=-1, keepdims=True), 1e-300)
    equations = left + penalties[..., None] * np.eye(left.shape[-1])
    gains = np.linalg.solve(equations, (right + GAIN_PENALTY * sizes * common)[..., None])[..., 0]
    return np.clip(gains, 0.0, LARGEST_GAIN)


def cross_validate(xs: Sequence[NDArray], max_rank: int, seed: int, groups: NDArray | None = None) -> HeldOut:
    """Predict each modality of held-out samples from the others, at every penalty and rank.

    Parameters
    ----------
    xs : sequence of array, each (n, p)
        Modalities, not centred.
    max_rank : int
        Largest rank; scores beyond the dimensions of the training folds are 0.
    seed : int
        Draws the folds.
    groups : array, shape (n,), optional
        The participant of each sample; participants are held out as a whole.

    Returns
    -------
    HeldOut
    """
    xs = [reduced(x - x.mean(axis=0)) for x in xs]
    n, count = len(xs[0]), len(xs)
    variance, fold = np.zeros((count, n)), np.zeros(n, dtype=np.intp)
    scores, products = np.zeros((len(PENALTIES), count, n, max_rank)), np.zeros((count, n, max_rank))
    decoder_products = []
    for number, (train, test) in enumerate(folds(n, seed, groups)):
        fold[test] = number
        means = [x[train].mean(axis=0) for x in xs]
        sizes = [
            float(np.sqrt(np.square(x[train] - mean).sum() / len(train))) or 1.0
            for x, mean in zip(xs, means, strict=True)
        ]
        seen, unseen = (
            [(x[rows] - mean) / size for x, mean, size in zip(xs, means, sizes, strict=True)] for rows in (train, test)
        )
        spectra = [Spectrum.of(x) for x in seen]
        target = target_scores(seen, spectra, max_rank)
        rank = target.shape[1]  # 0 where the training samples have nothing in common that varies
        variance[:, test] = [np.square(x).sum(axis=1) for x in unseen]
        decoders = [target.T @ x / len(train) for x in seen]
        inner = np.zeros((count, max_rank, max_rank))
        inner[:, :rank, :rank] = [decoder @ decoder.T for decoder in decoders]
        decoder_products.append(inner)
        products[:, test, :rank] = [x @ decoder.T for x, decoder in zip(unseen, decoders, strict=True)]
        along = [held_out @ spectrum.directions(x) for held_out, x, spectrum in zip(unseen, seen, spectra, strict=True)]
        for row, penalty in enumerate(PENALTIES):
            regressed = encoder_targets(spectra, target, penalty * len(train))
            latents = [
                (held_out * (spectrum.shrinkage(penalty * len(train)) / spectrum.s)) @ (spectrum.u.T @ regressed)
                for held_out, spectrum in zip(along, spectra, strict=True)
            ]
            total = np.sum(latents, axis=0)
            scores[row, :, test, :rank] = np.stack([(total - z) / (count - 1) for z in latents], axis=1)
    return HeldOut(variance, scores, products, np.array(decoder_products), fold)


def folds(n: int, seed: int, groups: NDArray | None = None) -> Iterator[tuple[NDArray, NDArray]]:
    """Training and held-out rows of each fold; participants, if they are given, are never split."""
    units = np.arange(n)
    if groups is not None:  # numbered by their first samples, so that names do not matter
        _, firsts, numbers = np.unique(groups, return_index=True, return_inverse=True)
        units = np.argsort(np.argsort(firsts))[numbers]
    count = int(units.max(initial=0)) + 1
    if count < 2:  # one participant cannot be held out as a whole
        units, count = np.arange(n), n
    for train, test in KFold(min(FOLDS, count), shuffle=True, random_state=seed).split(np.zeros(count)):
        yield np.flatnonzero(np.isin(units, train)), np.flatnonzero(np.isin(units, test))


@dataclass(frozen=True)
class JointRidge:
    """Linear joint scores of some samples, with the encoders and decoders that belong to them.

    Attributes
    ----------
    targets : array, shape (n_samples, rank)
        The target scores, of variance 1.
    latents : list of array, each (n_samples, rank)
        What each modality's encoder says of the joint scores.
    encoders : list of array, each (n_samples, rank)
        Encoders as combinations of the samples: encoder of modality k = x_k' encoders[k].
    decoders : list of array, each (n_samples, rank)
        Decoders as combinations of the samples: decoder of modality k = decoders[k]' x_k.
    predicted : int
        Number of leading scores that predict held-out samples; later ones predict nothing more.
    """

    targets: NDArray
    latents: list[NDArray]
    encoders: list[NDArray]
    decoders: list[NDArray]
    predicted: int

    @property
    def joint_scores(self) -> NDArray:
        """The mean (n_samples, rank) of all modalities' latents."""
        return np.mean(self.latents, axis=0)


def fit_joint_ridge(xs: Sequence[NDArray], rank: int, seed: int, groups: NDArray | None = None) -> JointRidge:
    """Fit joint scores of a given rank; penalty and gains are chosen by cross-validation.

    Parameters
    ----------
    xs : sequence of array, each (n, p)
        Centred modalities, or coordinates of their samples with the same inner products.
    rank : int
        Number of joint scores, at least 1.
    seed : int
        Draws the folds.
    groups : array, shape (n,), optional
        The participant of each sample.
    """
    n = len(xs[0])
    xs = [reduced(x) for x in xs]
    held_out = cross_validate(xs, rank, seed, groups)
    penalties = held_out.mean_errors.argmin(axis=0)
    by_rank = 1 - held_out.mean_errors.min(axis=0)
    last = int(np.argmax(by_rank >= by_rank.max() - ROUNDED * abs(by_rank.max())))
    row = penalties[last]
    sizes = [float(np.sqrt(np.square(x).sum() / n)) or 1.0 for x in xs]
    scaled = [x / size for x, size in zip(xs, sizes, strict=True)]
    spectra = [Spectrum.of(x) for x in scaled]
    scores = target_scores(scaled, spectra, rank)
    penalty = PENALTIES[row] * n
    target = encoder_targets(spectra, scores, penalty)
    duals = [spectrum.dual(target, penalty) for spectrum in spectra]
    latents = [spectrum.smoothed(target, penalty) for spectrum in spectra]
    gains = held_out.gains(int(row), scores.shape[1])
    return JointRidge(
        scores,
        latents,
        [dual / size**2 for dual, size in zip(duals, sizes, strict=True)],
        [gain * scores / n for gain in gains],
        int(last) + 1,
    )
