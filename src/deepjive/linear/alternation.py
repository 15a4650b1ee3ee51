"""The alternation of JIVE: joint part given the individual ones, individual parts given the joint one.

With samples as rows, modalities ``X_k`` side by side, and ``U``, ``V_k`` orthonormal scores:

    J   = the rank r approximation of [X_1 - I_1 .. X_K - I_K],                            J_k = U U' (X_k - I_k)
    I_k = the rank r_k approximation of (1 - U U') prod_{j != k} (1 - V_j V_j') X_k,        I_k = V_k V_k' (..)

until neither changes by more than ``tol`` times the length of the data. The product is left out where individual parts
may be correlated with one another.

Lock, Hoadley, Marron, Nobel 2013, Joint and individual variation explained (JIVE) for integrated analysis of multiple
data types, Annals of Applied Statistics 7(1), section 2.3; orthogonal individual parts as in O'Connell and Lock 2016,
R.JIVE for exploration of multi-source molecular data, Bioinformatics 32.

The optimum that is reached depends on the start. r.jive 2.4 starts from ``I_k = -1`` in every entry, so that its first
joint step spends one component on a constant; the first step here takes ``r - 1`` components of the centred data,
which reaches r.jive's optimum in as many iterations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.linear.svd import EPS, GRAM_TOLERANCE


@dataclass(frozen=True)
class Alternation:
    """Where the alternation ended.

    Attributes
    ----------
    joint : array, shape (n_samples, joint_rank)
        Orthonormal joint scores ``U``, by decreasing singular value of the joint part.
    individual : list of array, shape (n_samples, individual_rank)
        Orthonormal individual scores ``V_k``; fewer columns than asked for where a modality has no more.
    errors : array, shape (n_modalities,)
        Sum of squares of each modality's residual.
    n_iter : int
        Iterations.
    converged : bool
        Whether it ended before the most iterations allowed.
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
) -> Alternation:
    """Estimate joint and individual scores for given ranks.

    Parameters
    ----------
    matrices : sequence of array, shape (n_samples, n_features)
        The centred and scaled modalities, or factors of them with the same ``X X'``.
    joint_rank : int
        Number of joint components.
    individual_ranks : sequence of int
        Number of individual components of each modality.
    orthogonal : bool
        Whether individual parts are orthogonal to one another.
    max_iter : int
        Most iterations.
    tol : float
        Relative change at which to stop.

    Returns
    -------
    Alternation
    """
    sizes = [float(np.linalg.norm(x)) for x in matrices]
    enough = tol * float(np.linalg.norm(sizes))
    scores = [np.zeros((len(x), 0)) for x in matrices]
    joint, individual = [np.zeros_like(x) for x in matrices], [np.zeros_like(x) for x in matrices]
    converged, n_iter = False, 0
    while n_iter < max_iter and not converged:
        u = _joint_scores(matrices, individual, joint_rank if n_iter else max(joint_rank - 1, 0))
        new_joint = [u @ (u.T @ (x - part)) for x, part in zip(matrices, individual, strict=True)]
        new_individual = _individual_parts(matrices, u, scores, individual_ranks, orthogonal and n_iter > 0)
        if orthogonal and n_iter == 0:
            new_individual = _made_orthogonal(new_individual, scores, individual_ranks)
        change = max(_distance(new_joint, joint), _distance(new_individual, individual))
        joint, individual = new_joint, new_individual
        n_iter += 1
        converged = change <= enough and n_iter > 1
    residuals = [x - j - i for x, j, i in zip(matrices, joint, individual, strict=True)]
    errors = np.array([float(np.sum(rest**2)) for rest in residuals])
    return Alternation(u, scores, errors, n_iter, converged)


def leading_scores(matrix: NDArray, rank: int, size: float) -> NDArray:
    """Leading left singular vectors, shape (n_samples, rank); fewer where the matrix has no more.

    They come from ``X X'``, or from ``X`` itself where squaring would cost too many digits; see
    `deepjive.linear.svd`.

    Parameters
    ----------
    matrix : array, shape (n_samples, n_features)
        The matrix.
    rank : int
        Number of vectors.
    size : float
        Singular values count as 0 where they are rounding errors of numbers of this size.
    """
    n = len(matrix)
    rank = min(rank, *matrix.shape)
    if rank == 0:
        return np.zeros((n, 0))
    upper = linalg.blas.dsyrk(1.0, matrix.T, trans=1)
    squares, vectors = linalg.eigh(
        upper, lower=False, subset_by_index=[n - rank, n - 1], driver="evr", overwrite_a=True, check_finite=False
    )
    if n * EPS * squares[-1] <= GRAM_TOLERANCE * squares[0]:
        values, vectors = np.sqrt(squares[::-1]), vectors[:, ::-1]
    else:
        vectors, values, _ = linalg.svd(matrix, full_matrices=False, check_finite=False)
    real = values[:rank] > EPS * max(matrix.shape) * size
    return np.ascontiguousarray(vectors[:, :rank][:, real])


def _joint_scores(matrices: Sequence[NDArray], individual: Sequence[NDArray], rank: int) -> NDArray:
    stacked = np.concatenate([x - part for x, part in zip(matrices, individual, strict=True)], axis=1)
    return leading_scores(stacked, rank, float(np.linalg.norm(stacked)))


def _individual_parts(
    matrices: Sequence[NDArray], u: NDArray, scores: list[NDArray], ranks: Sequence[int], orthogonal: bool
) -> list[NDArray]:
    """Individual parts given the joint scores; updates `scores`, each modality seeing those before it renewed."""
    parts = []
    for k, (x, rank) in enumerate(zip(matrices, ranks, strict=True)):
        rest = _without(x, u)
        for other in [v for j, v in enumerate(scores) if j != k and orthogonal]:
            rest = _without(rest, other)
        scores[k] = leading_scores(rest, rank, float(np.linalg.norm(x)))
        parts.append(scores[k] @ (scores[k].T @ rest))
    return parts


def _made_orthogonal(parts: list[NDArray], scores: list[NDArray], ranks: Sequence[int]) -> list[NDArray]:
    """Take each modality's first individual part out of the others', so that none is favoured by coming first."""
    cleaned = list(parts)
    for k in range(len(parts)):
        for other in [v for j, v in enumerate(scores) if j != k]:
            cleaned[k] = _without(cleaned[k], other)
    for k, (part, rank) in enumerate(zip(cleaned, ranks, strict=True)):
        scores[k] = leading_scores(part, rank, float(np.linalg.norm(parts[k])))
    return cleaned


def _without(matrix: NDArray, scores: NDArray) -> NDArray:
    return matrix - scores @ (scores.T @ matrix)


def _distance(new: Sequence[NDArray], old: Sequence[NDArray]) -> float:
    return float(np.linalg.norm([np.linalg.norm(a - b) for a, b in zip(new, old, strict=True)]))
