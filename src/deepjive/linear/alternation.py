"""The alternation of JIVE: joint part given the individual parts, individual parts given the joint part.

With samples as rows, modalities ``X_k`` side by side, and orthonormal scores ``U`` and ``V_k``:

    J   = the rank r approximation of [X_1 - I_1 .. X_K - I_K],                            J_k = U U' (X_k - I_k)
    I_k = the rank r_k approximation of (1 - U U') prod_{j != k} (1 - V_j V_j') X_k,        I_k = V_k V_k' (..)

The two steps are repeated until neither part changes by more than ``tol`` times the length of the data. The product is
left out if individual parts may be correlated with one another.

The optimum depends on the start. r.jive 2.4 starts from ``I_k = -1`` in every entry, so that its first joint step uses
one component for a constant. Here the first joint step takes ``r - 1`` components of the centred data. It reaches
r.jive's optimum in as many iterations.

Sources:

- Lock, Hoadley, Marron, Nobel 2013, Joint and individual variation explained (JIVE) for integrated analysis of multiple
  data types, Annals of Applied Statistics 7(1), section 2.3.
- O'Connell and Lock 2016, R.JIVE for exploration of multi-source molecular data, Bioinformatics 32: orthogonal
  individual parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.algebra import thin_svd
from deepjive.linear.leading import leading_eigenvectors
from deepjive.linear.svd import EPS, GRAM_TOLERANCE
from deepjive.progress import Progress, expected_total, silent

NOT_ORTHOGONAL = 1e-3
ROUNDING = 1e3  # projections before add rounding errors of their own


@dataclass(frozen=True)
class Alternation:
    """The result of the alternation.

    Attributes
    ----------
    joint : array, shape (n_samples, joint_rank)
        Orthonormal joint scores ``U``, by decreasing singular value of the joint part.
    individual : list of array, shape (n_samples, individual_rank)
        Orthonormal individual scores ``V_k``. A modality without enough components has fewer columns.
    errors : array, shape (n_modalities,)
        Sum of squares of each modality's residual.
    n_iter : int
        Number of iterations.
    converged : bool
        Whether the alternation converged within the largest number of iterations.
    """

    joint: NDArray
    individual: list[NDArray]
    errors: NDArray
    n_iter: int
    converged: bool


def alternate(
    matrices: Sequence[NDArray],
    joint_rank: int,
    individual_ranks: Sequence[int],
    *,
    orthogonal: bool = True,
    max_iter: int = 1000,
    tol: float = 1e-6,
    progress: Progress = silent,
) -> Alternation:
    """Estimate joint and individual scores for given ranks.

    Parameters
    ----------
    matrices : sequence of array, shape (n_samples, n_features)
        The centred and scaled modalities, or factors with the same ``X X'``.
    joint_rank : int
        Number of joint components.
    individual_ranks : sequence of int
        Number of individual components of each modality.
    orthogonal : bool, default=True
        Whether individual parts are orthogonal to one another.
    max_iter : int, default=1000
        Largest number of iterations.
    tol : float, default=1e-6
        The alternation ends when neither part changes by more than `tol`, relative to the length of the data.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every iteration. The total is the number of iterations that
        the fall of the change lets expect.

    Returns
    -------
    Alternation
    """
    lengths = [float(np.linalg.norm(x)) for x in matrices]
    largest_change = tol * float(np.linalg.norm(lengths))
    scores = [np.zeros((len(x), 0)) for x in matrices]
    joint, individual = [np.zeros_like(x) for x in matrices], [np.zeros_like(x) for x in matrices]
    of_joint, of_individual = Iterations(), [Iterations() for _ in matrices]
    converged, n_iter = False, 0
    changes: list[float] = []
    while n_iter < max_iter and not converged:
        u = _joint_scores(matrices, individual, joint_rank if n_iter else max(joint_rank - 1, 0), of_joint)
        new_joint = [u @ (u.T @ (x - part)) for x, part in zip(matrices, individual, strict=True)]
        new_individual = _individual_parts(
            matrices, u, scores, individual_ranks, orthogonal and n_iter > 0, of_individual
        )
        if orthogonal and n_iter == 0:
            new_individual = _made_orthogonal(new_individual, scores, individual_ranks)
        change = max(_distance(new_joint, joint), _distance(new_individual, individual))
        joint, individual = new_joint, new_individual
        n_iter += 1
        changes.append(change)
        progress(n_iter, expected_total(changes, largest_change, max_iter), "alternating joint and individual parts")
        converged = change <= largest_change and n_iter > 1
    if converged:
        individual, scores = _determined(u, individual, scores, orthogonal, largest_change)
    residuals = [x - j - i for x, j, i in zip(matrices, joint, individual, strict=True)]
    errors = np.array([float(np.sum(residual**2)) for residual in residuals])
    return Alternation(u, scores, errors, n_iter, converged)


@dataclass
class Iterations:
    """Leading vectors by iterations from the vectors before, as long as this converges quickly.

    Attributes
    ----------
    vectors : array, shape (n_samples, k), or None
        The last vectors.
    quick : bool
        Whether all iterations converged until now.
    """

    vectors: NDArray | None = None
    quick: bool = True

    def __call__(self, matrix: NDArray, rank: int) -> tuple[NDArray, NDArray] | None:
        """Return squared singular values and left singular vectors; None if the iterations do not pay."""
        if not self.quick:
            return None
        pairs = leading_eigenvectors(lambda v: matrix @ (matrix.T @ v), len(matrix), rank, self.vectors)
        self.quick = pairs is not None
        if pairs is not None:
            self.vectors = pairs[1]
        return pairs


def leading_scores(matrix: NDArray, rank: int, size: float, iterations: Iterations | None = None) -> NDArray:
    """Leading left singular vectors, shape (n_samples, rank); fewer if the matrix has a smaller rank.

    The vectors come from ``X X'``, or from ``X`` itself if squaring would lose too many digits; see
    `deepjive.linear.svd`.

    Parameters
    ----------
    matrix : array, shape (n_samples, n_features)
        The matrix ``X``.
    rank : int
        Number of vectors.
    size : float
        Magnitude of the numbers from which the matrix was computed. Singular values as small as their rounding errors
        count as 0.
    iterations : Iterations, optional
        They replace the full decomposition as long as they converge quickly.
    """
    n = len(matrix)
    rank = min(rank, *matrix.shape)
    if rank == 0:
        return np.zeros((n, 0))
    pairs = None if iterations is None else iterations(matrix, rank)
    if pairs is not None and n * EPS * pairs[0][0] <= GRAM_TOLERANCE * pairs[0][-1]:
        return pairs[1]
    upper = linalg.blas.dsyrk(1.0, matrix.T, trans=1)
    squares, vectors = linalg.eigh(
        upper, lower=False, subset_by_index=[n - rank, n - 1], driver="evr", overwrite_a=True, check_finite=False
    )
    if n * EPS * squares[-1] <= GRAM_TOLERANCE * squares[0]:
        values, vectors = np.sqrt(squares[::-1]), vectors[:, ::-1]
    else:
        vectors, values, _ = thin_svd(matrix)
    above_rounding = values[:rank] > ROUNDING * EPS * max(matrix.shape) * size
    return np.ascontiguousarray(vectors[:, :rank][:, above_rounding])


def without_scores(matrix: NDArray, scores: NDArray) -> NDArray:
    """The matrix ``(1 - U U') X`` without its part along orthonormal scores ``U`` (n_samples, rank)."""
    return matrix - scores @ (scores.T @ matrix)


def _joint_scores(
    matrices: Sequence[NDArray], individual: Sequence[NDArray], rank: int, iterations: Iterations
) -> NDArray:
    stacked = np.concatenate([x - part for x, part in zip(matrices, individual, strict=True)], axis=1)
    return leading_scores(stacked, rank, float(np.linalg.norm(stacked)), iterations)


def _individual_parts(
    matrices: Sequence[NDArray],
    u: NDArray,
    scores: list[NDArray],
    ranks: Sequence[int],
    orthogonal: bool,
    iterations: Sequence[Iterations],
) -> list[NDArray]:
    """Individual parts given the joint scores; `scores` is updated, and later modalities use the new scores."""
    parts = []
    for k, (x, rank) in enumerate(zip(matrices, ranks, strict=True)):
        remainder = without_scores(x, u)
        for other in [v for j, v in enumerate(scores) if j != k and orthogonal]:
            remainder = without_scores(remainder, other)
        scores[k] = leading_scores(remainder, rank, float(np.linalg.norm(x)), iterations[k])
        parts.append(scores[k] @ (scores[k].T @ remainder))
    return parts


def _made_orthogonal(parts: list[NDArray], scores: list[NDArray], ranks: Sequence[int]) -> list[NDArray]:
    """Remove the other modalities' first individual parts from each individual part; the order does not matter."""
    cleaned = list(parts)
    for k in range(len(parts)):
        for other in [v for j, v in enumerate(scores) if j != k]:
            cleaned[k] = without_scores(cleaned[k], other)
    for k, (part, rank) in enumerate(zip(cleaned, ranks, strict=True)):
        scores[k] = leading_scores(part, rank, float(np.linalg.norm(parts[k])))
    return cleaned


def _determined(
    u: NDArray, parts: list[NDArray], scores: list[NDArray], orthogonal: bool, largest_change: float
) -> tuple[list[NDArray], list[NDArray]]:
    """Individual parts without the components whose direction is arbitrary.

    They are smaller than the change at which the alternation ends, and not orthogonal to the joint scores or to earlier
    parts.
    """
    kept: list[NDArray] = []
    for v, part in zip(scores, parts, strict=True):
        before = np.concatenate([u, *(kept if orthogonal else [])], axis=1)
        is_orthogonal = np.linalg.norm(before.T @ v, axis=0) < NOT_ORTHOGONAL
        kept.append(v[:, is_orthogonal | (np.linalg.norm(v.T @ part, axis=1) > largest_change)])
    return [v @ (v.T @ part) for v, part in zip(kept, parts, strict=True)], kept


def _distance(new: Sequence[NDArray], old: Sequence[NDArray]) -> float:
    return float(np.linalg.norm([np.linalg.norm(a - b) for a, b in zip(new, old, strict=True)]))
