"""Overlaid digits, whose true joint and individual parts are known in every pixel.

    x_k = T_k( s + i_k )        "sum"                      s    a digit that both modalities share
    x_k = T_k( max(s, i_k) )    "maximum", "inverted"      i_k  a different digit in each modality

Digits are projected on their first `rank` principal components, so that the numbers of joint and individual scores are
known. Individual digits are rotated by 90 degrees, to the left in the first modality and to the right in the second.
For "sum" the linear model with these ranks is exact. For "inverted" the second modality is a negative image, rotated by
90 degrees.

If the parts do not add up, the functional analysis of variance defines the true parts (Hoeffding 1948; Sobol 1993).
For a modality x(s, i) of independent s and i they are the best approximations by a function of s or i alone:

    J = E[x | s]        S = E[x | i] - E[x]        The interaction x - J - S belongs to neither part.

For the sum, these are `s + E i` and `i - E i`. For the maximum, the expectation over the other digit is computed
exactly, over the empirical distribution of the training images.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.experiments.digits.data.mnist import DigitImages, LabelledImages
from deepjive.experiments.digits.data.pairs import PairedSplits, Pairs, Sizes, in_splits

OverlayKind = Literal["sum", "maximum", "inverted"]
NAMES = ("first", "second")
REFERENCE = 5000


def overlay(
    images: DigitImages, sizes: Sizes | None = None, *, kind: OverlayKind = "sum", rank: int = 5, random_state: int = 0
) -> PairedSplits:
    """Lay an individual digit over a shared digit in each of two modalities, "first" and "second".

    Parameters
    ----------
    images, sizes, random_state
        See `deepjive.experiments.digits.data.pairs.same_class`.
    kind : {"sum", "maximum", "inverted"}, default="sum"
        How the two digits are combined; see the docstring of the module.
    rank : int, default=5
        Number of principal components of each digit: the true joint rank and both true individual ranks.

    Returns
    -------
    PairedSplits
        The test pairs have their true parts; `digit` is the shared digit.

    Raises
    ------
    ValueError
        If `kind` is not known.
    """
    if kind not in get_args(OverlayKind):
        raise ValueError(f"kind is {kind!r}, but must be one of {get_args(OverlayKind)}.")
    drawing = _Drawing(images.train, rank, linear=kind == "sum")

    def paired(split: LabelledImages, rows: NDArray[np.intp], rng: np.random.Generator) -> Pairs:
        shared = drawing(split.images[rows])
        arrays, joint, individual = {}, {}, {}
        for k, name in enumerate(NAMES):
            sideways = _sideways(drawing(split.images[rng.integers(len(split), size=len(rows))]), k)
            arrays[name] = _shown(shared + sideways if kind == "sum" else np.maximum(shared, sideways), k, kind)
            if split is images.test:
                reference = _sideways(drawing.reference, k)
                joint[name], individual[name] = (
                    _shown(part, k, kind) for part in _parts(shared, sideways, drawing.reference, reference, kind)
                )
                individual[name] = individual[name] - _shown(np.zeros_like(shared[:1]), k, kind)
        truth = (joint, individual) if joint else (None, None)
        return Pairs(Modalities(arrays), split.digits[rows], {}, *truth)

    return in_splits(images, sizes, paired, random_state)


class _Drawing:
    """Projection of digits on their first principal components; negative values become 0 unless `linear`."""

    def __init__(self, train: LabelledImages, rank: int, linear: bool) -> None:
        flat = train.images[:REFERENCE].reshape(min(REFERENCE, len(train)), -1)
        self.mean, self.linear = flat.mean(axis=0), linear
        self.axes = np.linalg.svd(flat - self.mean, full_matrices=False)[2][:rank]
        self.reference = self(train.images[:REFERENCE])

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = images.reshape(len(images), -1)
        projected = (self.mean + (flat - self.mean) @ self.axes.T @ self.axes).reshape(images.shape).astype(np.float32)
        return projected if self.linear else np.maximum(projected, 0)


def _sideways(images: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    return np.rot90(images, k=(1, 3)[k], axes=(1, 2))


def _shown(images: NDArray[np.float32], k: int, kind: OverlayKind) -> NDArray[np.float32]:
    """The fixed map T_k of a modality, which is the same for every pair."""
    shown = 1 - np.rot90(images, k=1, axes=(1, 2)) if kind == "inverted" and k else images
    return np.ascontiguousarray(shown, dtype=np.float32)


def _parts(
    shared: NDArray, individual: NDArray, shared_reference: NDArray, individual_reference: NDArray, kind: OverlayKind
) -> tuple[NDArray, NDArray]:
    """E[x | s] and E[x | i] - E[x], before the map T_k of the modality."""
    if kind == "sum":
        mean = individual_reference.mean(axis=0)
        return shared + mean, individual - mean
    given_shared = _expected_maximum(shared, individual_reference)
    given_individual = _expected_maximum(individual, shared_reference)
    return given_shared, given_individual - _expected_maximum(shared_reference, individual_reference).mean(axis=0)


def _expected_maximum(images: NDArray, other: NDArray) -> NDArray[np.float32]:
    """E max(x, y) of each pixel, where y is drawn from the other images: x P(y <= x) + E[y; y > x].

    Examples
    --------
    >>> float(_expected_maximum(np.array([[[0.5]]]), np.array([[[0.0]], [[1.0]]]))[0, 0, 0])
    0.75
    """
    shape, n = images.shape, len(other)
    flat, ordered = images.reshape(len(images), -1), np.sort(other.reshape(n, -1).astype(np.float64), axis=0)
    above = np.concatenate([np.cumsum(ordered[::-1], axis=0)[::-1], np.zeros((1, flat.shape[1]))])
    result = np.empty(flat.shape, dtype=np.float32)
    for pixel in range(flat.shape[1]):
        below = np.searchsorted(ordered[:, pixel], flat[:, pixel], side="right")
        result[:, pixel] = (flat[:, pixel] * below + above[below, pixel]) / n
    return result.reshape(shape)
