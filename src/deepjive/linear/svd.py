"""Scores and singular values of a modality wider than memory.

For centred ``X`` (n, d) with ``X = U S V'``, everything that AJIVE needs of a modality but the loadings follows from an
(n, n) matrix. There are two routes to such a matrix, and both read the features once:

- Gram:    ``G = X X' = U S^2 U'``, with n^2 d flops;
- factor:  ``X = C Q'`` with ``Q'Q = 1``, from a QR decomposition of ``X'`` that is updated piece by piece. Then
  ``C C' = X X'``. This route needs about four times as many flops. For d <= n, ``C`` is ``X`` itself.

Squaring loses digits. The eigenvalues of ``G`` have an absolute error of about ``n eps s_1^2``, so that ``s_r`` has a
relative error of about ``n eps (s_1 / s_r)^2 / 2``. The factor route replaces the Gram route if this bound exceeds
``GRAM_TOLERANCE`` for the smallest singular value that is used.

Of a large modality, only the vectors that are used are computed; see `deepjive.linear.leading`. The same bound decides
whether they are computed from products ``C C' u``, or from a singular value decomposition of ``C``.

Sources:

- Golub and Van Loan 2013, Matrix Computations, 4th edition, sections 5.3.2 and 8.1.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.algebra import thin_svd
from deepjive.linear.device import accumulator, eigh, multiplier
from deepjive.linear.leading import SMALL, TOLERANCE, leading_eigenvectors
from deepjive.linear.streaming import Piece, Pieces
from deepjive.rounding import ULPS, exceeds_rounding

GRAM_TOLERANCE = 1e-6
EPS = float(np.finfo(np.float64).eps)

CONSTANT_IN_MASK = (
    "Modality {name!r} is constant inside its mask, so it has no variation to explain. Check the mask, or drop the "
    "modality."
)


@dataclass(frozen=True)
class LeftSVD:
    """Left singular vectors and singular values.

    Attributes
    ----------
    vectors : array, shape (n_samples, n_vectors)
        Orthonormal columns. In vectors from `first`, the entry of largest magnitude is positive.
    values : array, shape (n_values,)
        Singular values in decreasing order, ``n_values >= n_vectors``, in units of `Reduced.scale`.
    """

    vectors: NDArray
    values: NDArray

    def first(self, rank: int) -> LeftSVD:
        """The leading vectors with fixed signs, and all values."""
        return replace(self, vectors=_signed(self.vectors[:, :rank]))


SQUARES_EXACT = (1e-100, 1e100)


@dataclass(frozen=True)
class Reduced:
    """A modality as a small matrix with the same left singular vectors and singular values.

    Attributes
    ----------
    route : {"gram", "factor"}
        The route to `matrix`, see the module's docstring.
    matrix : array, shape (n_samples, n_samples) or (n_samples, min(n_samples, n_features))
        ``X X'`` or ``C``, of ``X / scale``.
    scale : float
        A power of two that keeps squares of the data from overflowing; 1 for all but extreme data.
    n_features : int
        Width of the modality.
    n_varying : int
        Width without constant features, which only add zeros to the singular values. If features are not centred, one
        constant feature counts unless all are 0, because constant features span one dimension together.
    rounding : float, default=0.0
        Largest singular value that rounding errors of the data can have, divided by `scale`. Data with a large offset
        have larger errors than their variation suggests.
    """

    route: Literal["gram", "factor"]
    matrix: NDArray
    scale: float
    n_features: int
    n_varying: int
    rounding: float = 0.0

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.matrix.shape[0])

    @property
    def total(self) -> float:
        """Sum of squares of ``X / scale``."""
        return float(np.trace(self.matrix)) if self.route == "gram" else float(np.sum(self.matrix**2))

    @property
    def root_mean_square(self) -> float:
        """Root mean square of the values of ``X``, in data units."""
        return float(np.sqrt(self.total / (self.n_samples * self.n_features))) * self.scale

    @property
    def resolution(self) -> float:
        """Smallest singular value above rounding errors, relative to the largest one."""
        rounding = EPS * max(self.n_samples, self.n_features)
        return float(np.sqrt(EPS * self.n_samples)) if self.route == "gram" else rounding

    def smallest_beside(self, largest: float) -> float:
        """Smallest singular value above rounding errors, beside the largest one."""
        return max(self.resolution * largest, self.rounding)

    def check_varying(self, name: str) -> None:
        """Raise ValueError if the features that count do not vary by more than rounding."""
        if self.total == 0.0 or not self.n_varying:
            raise ValueError(CONSTANT_IN_MASK.format(name=name))

    def svd(self, device: str = "cpu") -> LeftSVD:
        """All left singular vectors and values; ``min(n_samples, n_features)`` of them."""
        if self.route == "gram":
            return _from_eigen(*eigh(self.matrix, device))
        vectors, values, _ = thin_svd(self.matrix)
        return LeftSVD(vectors, values)

    def lengths(self, scores: NDArray) -> NDArray:
        """Lengths ``|X' u| / scale`` of the modality along orthonormal scores (n_samples, rank)."""
        if self.route == "gram":
            squares = np.einsum("nj,nj->j", scores, self.matrix @ scores)
            return np.sqrt(np.maximum(squares, 0.0))
        return np.linalg.norm(self.matrix.T @ scores, axis=0)

    def products(self, scores: NDArray) -> NDArray:
        """Products ``X X' u / scale^2`` with scores (n_samples, rank), of the same shape."""
        if self.route == "gram":
            return np.asarray(self.matrix @ scores)
        return np.asarray(self.matrix @ (self.matrix.T @ scores))

    def svd_without(self, scores: NDArray, above: float | None = None, rank: int | None = None) -> LeftSVD:
        """Left singular vectors and values of ``(1 - U U') X``.

        Parameters
        ----------
        scores : array, shape (n_samples, joint_rank)
            The orthonormal scores ``U`` that are removed.
        above : float, optional
            Return the singular values above this value.
        rank : int, optional
            Return this number of singular values; `above` is then ignored.
        """
        if rank == 0 or (rank is None and above == np.inf):
            return LeftSVD(np.zeros((self.n_samples, 0)), np.zeros(0))
        large = min(self.matrix.shape) >= SMALL
        if large and rank is not None:
            return self.leading(rank, without=scores)
        if self.route == "factor" and not (large and self._keeps(float(above or 0.0) ** 2)):
            vectors, values, _ = thin_svd(self._without(scores))
            count = int(np.sum(values > above)) if rank is None else rank
            return LeftSVD(vectors, values[:count]).first(count)
        if rank is None:
            limits: dict[str, Any] = {"subset_by_value": [float(above or 0.0) ** 2, np.inf]}
        else:
            limits = {"subset_by_index": [self.n_samples - rank, self.n_samples - 1]}
        squares, vectors = _eigen(self._without(scores), self.route == "gram", limits)
        svd = LeftSVD(vectors, np.sqrt(np.maximum(squares, 0.0)))
        return svd.first(len(svd.values))

    def all_values(self) -> NDArray:
        """All singular values, in decreasing order; ``min(n_samples, n_features)`` of them."""
        matrix = self.matrix
        gram = matrix if self.route == "gram" else _small_gram(matrix)
        values = np.sqrt(np.maximum(linalg.eigvalsh(gram, check_finite=False)[::-1], 0.0))
        if self.route == "gram" or values[-1] > np.sqrt(EPS * self.n_samples) * values[0]:
            return np.asarray(values)
        return np.asarray(linalg.svdvals(matrix, check_finite=False))

    def leading(
        self,
        rank: int,
        without: NDArray | None = None,
        start: NDArray | None = None,
        tolerance: float = TOLERANCE,
    ) -> LeftSVD:
        """Leading left singular vectors and values of ``X``, or of ``(1 - U U') X``.

        Parameters
        ----------
        rank : int
            Number of vectors.
        without : array, shape (n_samples, joint_rank), optional
            The orthonormal scores ``U`` that are removed.
        start : array, shape (n_samples, k), optional
            Vectors near the wanted ones, such as those of nearly the same modality.
        tolerance : float, default=1e-12
            As in `deepjive.linear.leading.leading_eigenvectors`.
        """
        scores = np.zeros((self.n_samples, 0)) if without is None else without
        if rank == 0:
            return LeftSVD(np.zeros((self.n_samples, 0)), np.zeros(0))

        def product(vectors: NDArray) -> NDArray:
            return _beside(scores, self.products(_beside(scores, vectors)))

        found = leading_eigenvectors(product, self.n_samples, rank, start, tolerance)
        if found is None or not self._keeps(found[0][-1]):
            found = self._leading_by_decomposition(rank, scores)
        return LeftSVD(found[1], np.sqrt(np.maximum(found[0], 0.0))).first(rank)

    def _leading_by_decomposition(self, rank: int, scores: NDArray) -> tuple[NDArray, NDArray]:
        """Leading squared singular values and left singular vectors without scores, from a full decomposition."""
        remainder, size = self._without(scores), min(self.matrix.shape)
        if self.route == "gram" or rank <= size:
            limits = {"subset_by_index": [size - rank, size - 1]}
            squares, vectors = _eigen(remainder, self.route == "gram", limits)
            if self._keeps(squares[-1]):
                return squares, vectors
        vectors, values, _ = thin_svd(remainder)
        return values[:rank] ** 2, vectors[:, :rank]

    def _without(self, scores: NDArray) -> NDArray:
        """The matrix of ``(1 - U U') X``."""
        remainder = self.matrix - scores @ (scores.T @ self.matrix)
        if self.route == "gram":
            remainder -= (remainder @ scores) @ scores.T
        return remainder

    def _keeps(self, square: float) -> bool:
        """Whether a squared singular value is accurate if it is computed from products ``X X' u``."""
        return self.route == "gram" or self.n_samples * EPS * self.total <= GRAM_TOLERANCE * square

    def is_accurate(self, smallest: float, largest: float) -> bool:
        """Whether the singular value `smallest` is accurate by the criterion in the module's docstring."""
        if self.route == "factor" or largest == 0.0:
            return True
        return self.n_samples * EPS * largest**2 <= GRAM_TOLERANCE * smallest**2


def reduce(pieces: Pieces, device: str = "cpu", exact: bool = False) -> Reduced:
    """Compute the small matrix of a modality; see the module's docstring.

    Parameters
    ----------
    pieces : Pieces
        The modality.
    device : str, default="cpu"
        Device of the products: ``"cpu"``, or a device of torch such as ``"cuda"``.
    exact : bool, default=False
        Whether the factor route is taken even if the Gram route is possible.

    Returns
    -------
    Reduced
    """
    if pieces.n_features <= pieces.n_samples:
        return _whole(pieces)
    return _factor(pieces) if exact else _gram(pieces, device)


def signal_svd(
    pieces: Pieces, choose_rank: Callable[[Reduced, LeftSVD], int], device: str = "cpu"
) -> tuple[Reduced, LeftSVD]:
    """Return the leading left singular vectors of a modality, by the Gram route if it is accurate enough.

    Parameters
    ----------
    pieces : Pieces
        The modality.
    choose_rank : callable
        Returns the number of vectors, from the reduced modality and its singular values.
    device : str, default="cpu"
        As in `reduce`.

    Returns
    -------
    Reduced, LeftSVD
        The leading vectors, and all singular values.
    """
    reduced = reduce(pieces, device)
    large = device == "cpu" and min(reduced.matrix.shape) >= SMALL
    svd = LeftSVD(np.zeros((reduced.n_samples, 0)), reduced.all_values()) if large else reduced.svd(device)
    rank = choose_rank(reduced, svd)
    if large:
        svd = replace(svd, vectors=reduced.leading(rank).vectors)
    if rank and not reduced.is_accurate(svd.values[rank - 1], svd.values[0]):
        reduced = reduce(pieces, device, exact=True)
        svd = reduced.svd(device)
        rank = choose_rank(reduced, svd)
    return reduced, svd.first(rank)


def leading_svd(pieces: Pieces, rank: int, device: str, start: NDArray | None) -> tuple[Reduced, LeftSVD]:
    """Return the leading left singular vectors and values of a modality, and no other singular values.

    Parameters
    ----------
    pieces : Pieces
        The modality.
    rank : int
        Number of vectors.
    device : str
        As in `reduce`.
    start : array, shape (n_samples, k), or None
        Vectors near the wanted ones.
    """
    reduced = reduce(pieces, device)
    svd = reduced.leading(rank, start=start)
    if rank and not reduced.is_accurate(svd.values[-1], svd.values[0]):
        reduced = reduce(pieces, device, exact=True)
        svd = reduced.leading(rank, start=start)
    return reduced, svd


def project(pieces: Pieces, scores: NDArray, device: str = "cpu") -> tuple[NDArray, NDArray, NDArray]:
    """Compute the products of scores and a modality, and the modality's mean and standard deviation.

    Parameters
    ----------
    pieces : Pieces
        The modality.
    scores : array, shape (n_samples, rank)
        The scores ``U``. Their mean must be 0 if the modality is centred.
    device : str, default="cpu"
        As in `reduce`.

    Returns
    -------
    product : array, shape (rank, width)
        ``U' X`` in data units; 0 where the mask is False.
    mean : array, shape (width,)
        Mean of each feature in data units; 0 if the modality is not centred.
    deviation : array, shape (width,)
        Root mean square of each feature about that mean, in data units.
    """
    n, rank = scores.shape
    product, mean, deviation = np.empty((rank, pieces.width)), np.empty(pieces.width), np.empty(pieces.width)
    rows = np.ascontiguousarray(np.concatenate([scores, np.full((n, 1), pieces.center / n)], axis=1).T)
    multiply = multiplier(device)
    for piece in pieces:
        both = multiply(rows, piece.values)
        product[:, piece.features] = both[:-1]
        mean[piece.features] = piece.origin + both[-1]
        deviation[piece.features] = _deviation(piece.values, both[-1])
    if pieces.mask is not None:
        product[:, ~pieces.mask.reshape(-1)] = 0.0
    return product, mean, deviation


def _deviation(values: NDArray, mean: NDArray) -> NDArray:
    """Root mean square of features about a mean, without overflow or underflow of the squares."""
    largest = float(max(values.max(initial=0.0), -values.min(initial=0.0)))
    scale = 1.0 if SQUARES_EXACT[0] < largest < SQUARES_EXACT[1] or largest == 0.0 else largest
    values = values if scale == 1.0 else values / scale
    variance = np.einsum("nj,nj->j", values, values) / len(values) - np.square(mean / scale)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)) * scale)


def loadings_of(projected: NDArray, values: NDArray) -> NDArray:
    """Loadings ``s V'`` from ``U' X``, where ``V`` is made orthonormal again if rounding errors are large.

    ``U' X / s`` differs from ``V'`` by about ``eps s_1 / s_r``, and ``X V / s`` magnifies this by ``s_1 / s_r``.

    Parameters
    ----------
    projected : array, shape (rank, n_features)
        ``U' X``, by decreasing singular value.
    values : array, shape (rank,)
        Singular values in the same units.
    """
    if len(values) == 0 or values[-1] > 1e-3 * values[0]:
        return projected
    vectors, triangle = np.linalg.qr((projected / values[:, None]).T)
    return np.ascontiguousarray((vectors * (np.sign(np.diag(triangle)) * values)).T)


def row_norms(rows: NDArray) -> NDArray:
    """Lengths of rows (k, d), without overflow or underflow of the squares; shape (k,)."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    safe = np.where(largest > 0.0, largest, 1.0)
    return largest * np.array([np.linalg.norm(row / size) for row, size in zip(rows, safe, strict=True)])


def _gram(pieces: Pieces, device: str) -> Reduced:
    """The Gram route; values are rescaled whenever a piece is larger than all before."""
    scale, varying = 0.0, _Varying()
    add, fetch = accumulator(pieces.n_samples, device)
    for piece in pieces:
        values = pieces.counted(piece)
        varying.add(values, piece)
        larger = max(scale, _power(values))
        add(values if larger in (0.0, 1.0) else values / larger, scale / larger if larger else 1.0)
        scale = larger
    matrix = fetch()
    if pieces.center:
        matrix -= matrix.mean(axis=0)
        matrix -= matrix.mean(axis=1, keepdims=True)
    scale = scale or 1.0
    return Reduced("gram", matrix, scale, pieces.n_features, varying.count, varying.rounding(pieces.n_samples, scale))


def _factor(pieces: Pieces) -> Reduced:
    """The factor route; the triangle of the QR decomposition is updated piece by piece."""
    triangle, scale, varying = np.zeros((0, pieces.n_samples)), 0.0, _Varying()
    for piece in pieces:
        values = pieces.counted(piece)
        varying.add(values, piece)
        larger = max(scale, _power(values))
        if larger > 0.0:
            stacked = np.concatenate([triangle * (scale / larger), values.T / larger])
            triangle = linalg.qr(stacked, mode="r", overwrite_a=True, check_finite=False)[0][: pieces.n_samples]
        scale = larger
    matrix, scale = _centred(triangle.T, pieces.center), scale or 1.0
    return Reduced("factor", matrix, scale, pieces.n_features, varying.count, varying.rounding(pieces.n_samples, scale))


def _whole(pieces: Pieces) -> Reduced:
    """A modality with no more features than samples: the factor is the modality itself."""
    varying, values = _Varying(), []
    for piece in pieces:
        counted = pieces.counted(piece)
        varying.add(counted, piece)
        values.append(counted if pieces.mask is None else counted[:, pieces.mask.reshape(-1)[piece.features]])
    matrix = np.concatenate(values, axis=1)
    scale = _power(matrix) or 1.0
    rounding = varying.rounding(pieces.n_samples, scale)
    return Reduced("factor", _centred(matrix / scale, pieces.center), scale, matrix.shape[1], varying.count, rounding)


class _Varying:
    """Counts the features of `Reduced.n_varying` and measures `Reduced.rounding`, piece by piece."""

    def __init__(self) -> None:
        self._n_varying, self._any_constant, self._offset = 0, False, 0.0

    def add(self, values: NDArray, piece: Piece) -> None:
        size = np.maximum(np.abs(values[0] + piece.origin), piece.magnitude)
        varies = exceeds_rounding(values[-1] - values[0], size)
        differs = varies
        if not varies.all():
            varies = np.any(exceeds_rounding(values - values[0], size), axis=0)
            differs = np.any(values != values[0], axis=0)
        self._n_varying += int(varies.sum())
        self._any_constant = self._any_constant or bool(values[0, ~varies].any())
        self._offset = float(np.hypot(self._offset, row_norms(piece.magnitude[None, differs])[0]))

    def rounding(self, n_samples: int, scale: float) -> float:
        return ULPS * EPS * float(np.sqrt(n_samples)) * self._offset / scale

    @property
    def count(self) -> int:
        return self._n_varying + self._any_constant


def _small_gram(matrix: NDArray) -> NDArray:
    """``C C'`` or ``C' C``, the smaller one."""
    return matrix.T @ matrix if matrix.shape[1] < matrix.shape[0] else matrix @ matrix.T


def _eigen(matrix: NDArray, is_gram: bool, limits: dict[str, Any]) -> tuple[NDArray, NDArray]:
    """Eigenvalues in decreasing order and eigenvectors of a Gram matrix, or of ``C C'`` by the smaller product."""
    gram = matrix if is_gram else _small_gram(matrix)
    squares, vectors = linalg.eigh(gram, driver="evr", check_finite=False, **limits)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    if len(gram) < len(matrix):
        vectors = matrix @ vectors / np.sqrt(np.where(squares > 0.0, squares, 1.0))
    return squares, vectors


def _beside(scores: NDArray, vectors: NDArray) -> NDArray:
    """Vectors without their part along orthonormal scores."""
    return vectors - scores @ (scores.T @ vectors)


def _centred(matrix: NDArray, center: bool) -> NDArray:
    return matrix - matrix.mean(axis=0) if center else np.ascontiguousarray(matrix)


def _power(values: NDArray) -> float:
    """A power of 2^256 near the largest magnitude: 1 for all but extreme data."""
    with np.errstate(over="ignore", under="ignore"):
        if 1e-70 < float(np.vdot(values, values)) < 1e70:
            return 1.0
    largest = max(float(values.max()), -float(values.min()))
    if largest == 0.0:
        return 0.0
    return float(2.0 ** (256 * np.clip(np.round(np.log2(largest) / 256), -3, 3)))


def _from_eigen(eigenvalues: NDArray, vectors: NDArray) -> LeftSVD:
    """Left singular vectors and values from the eigenvalues (in increasing order) and eigenvectors of a Gram matrix."""
    return LeftSVD(vectors[:, ::-1], np.sqrt(np.maximum(eigenvalues[::-1], 0.0)))


def _signed(vectors: NDArray) -> NDArray:
    """The same vectors with signs for which the entry of largest magnitude is positive."""
    if vectors.shape[1] == 0:
        return np.ascontiguousarray(vectors)
    largest = vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])]
    return np.ascontiguousarray(vectors * np.where(largest < 0.0, -1.0, 1.0))
