"""Overlaid digits: the true joint and individual parts are known pixel by pixel.

    x_k = T_k( s + i_k )        "sum"                      s    a digit, the same in both modalities
    x_k = T_k( max(s, i_k) )    "maximum", "inverted"      i_k  another digit, of each modality its own

Digits are drawn by their first `rank` principal components, so that the number of joint and of individual scores is
known, and individual digits lie on their side (first modality: turned left, second: right), so that in "sum" the linear
model of these ranks is exact. In "inverted" the second modality is a negative that was turned by a quarter.

What is true where parts do not add up? For a modality x(s, i) of independent s and i the best that a function of the
one alone can say, the functional analysis of variance (Hoeffding 1948; Sobol 1993):

    J = E[x | s]        S = E[x | i] - E[x]        and x - J - S, the interaction, belongs to neither.

For the sum these are `s + E i` and `i - E i`. For the maximum the expectation over the other digit is taken exactly,
over the empirical distribution of the training images.
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

UNKNOWN_KIND = "kind is {given!r}, but must be one of {known}."


def overlay(
    images: DigitImages, sizes: Sizes | None = None, *, kind: OverlayKind = "sum", rank: int = 5, random_state: int = 0
) -> PairedSplits:
    """Lay a digit of its own over a shared one in each of two modalities, "first" and "second".

    Parameters
    ----------
    images, sizes, random_state
        As of `deepjive.experiments.digits.data.pairs.same_class`.
    kind : {"sum", "maximum", "inverted"}
        How digits are laid over each other; see the module.
    rank : int
        Principal components that a digit is drawn by: the true joint rank and both individual ranks.

    Returns
    -------
    PairedSplits
        The test pairs with their true parts; the digit is the shared one.
    """
    if kind not in get_args(OverlayKind):
        raise ValueError(UNKNOWN_KIND.format(given=kind, known=get_args(OverlayKind)))
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
    """Digits by their first principal components: plain or, where they are not to be added, without negative ink."""

    def __init__(self, train: LabelledImages, rank: int, linear: bool) -> None:
        flat = train.images[:REFERENCE].reshape(min(REFERENCE, len(train)), -1)
        self.mean, self.linear = flat.mean(axis=0), linear
        self.axes = np.linalg.svd(flat - self.mean, full_matrices=False)[2][:rank]
        self.reference = self(train.images[:REFERENCE])

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = images.reshape(len(images), -1)
        drawn = (self.mean + (flat - self.mean) @ self.axes.T @ self.axes).reshape(images.shape).astype(np.float32)
        return drawn if self.linear else np.maximum(drawn, 0)


def _sideways(images: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    return np.rot90(images, k=(1, 3)[k], axes=(1, 2))


def _shown(images: NDArray[np.float32], k: int, kind: OverlayKind) -> NDArray[np.float32]:
    """What the modality makes of an image: the same for every pair, so no part of what varies."""
    shown = 1 - np.rot90(images, k=1, axes=(1, 2)) if kind == "inverted" and k else images
    return np.ascontiguousarray(shown, dtype=np.float32)


def _parts(
    shared: NDArray, own: NDArray, shared_reference: NDArray, own_reference: NDArray, kind: OverlayKind
) -> tuple[NDArray, NDArray]:
    """E[x | s], and E[x | i] - E[x], before the modality's own rendering."""
    if kind == "sum":
        mean = own_reference.mean(axis=0)
        return shared + mean, own - mean
    given_shared, given_own = _expected_maximum(shared, own_reference), _expected_maximum(own, shared_reference)
    return given_shared, given_own - _expected_maximum(shared_reference, own_reference).mean(axis=0)


def _expected_maximum(images: NDArray, other: NDArray) -> NDArray[np.float32]:
    """E max(x, y) for each pixel, y drawn from other images: x P(y <= x) + E[y; y > x].

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
