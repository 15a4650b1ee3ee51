"""Modalities as scaled factors: small matrices on which JIVE iterates without reading the wide data.

For centred ``X_k = U_k S_k V_k'`` the factor is ``U_k S_k / |X_k|``, or ``X_k / |X_k|`` if there are no more features
than samples. Up to the scale, the factor has the same products over features. Joint and individual scores are therefore
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepjive.algebra import thin_svd
from deepjive.linear.streaming import Pieces
from deepjive.linear.svd import Reduced, reduce

NO_ANGLE = 1e-3  # smaller angles between the directions of two modalities are rounding, as of single precision


@dataclass(frozen=True)
class Factor:
    """A modality as a small matrix with the same products over features.

    Attributes
    ----------
    name : str
        The modality.
    pieces : Pieces
        Features of the modality.
    reduced : Reduced
        The reduced modality from which the factor was computed.
    whole : array, shape (n_samples, min(n_samples, n_features))
        The factor in units of ``reduced.scale``.
    values : array, shape (min(n_samples, n_features),)
        All singular values, in units of ``reduced.scale``.
    length : float
        Number by which the modality was divided, in data units.
    """

    name: str
    pieces: Pieces
    reduced: Reduced
    whole: NDArray
    values: NDArray
    length: float

    @property
    def matrix(self) -> NDArray:
        """The factor, shape (n_samples, at most n_samples)."""
        return self.whole * (self.reduced.scale / self.length)

    @property
    def rank(self) -> int:
        """Number of singular values that are not rounding errors."""
        return int(np.sum(self.values > self.reduced.smallest_beside(float(self.values[0]))))

    def is_accurate_along(self, scores: NDArray) -> bool:
        """Whether the weakest of orthonormal scores (n_samples, rank) is accurate although the data were squared."""
        if scores.shape[1] == 0:
            return True
        return self.reduced.is_accurate(float(self.reduced.lengths(scores).min()), float(self.values[0]))


def make_factor(name: str, pieces: Pieces, device: str = "cpu", exact: bool = False) -> Factor:
    """Compute the factor of a modality, with length 1.

    Parameters
    ----------
    name : str
        The modality.
    pieces : Pieces
        Features of the modality.
    device, exact
        As in `deepjive.linear.svd.reduce`.

    Raises
    ------
    ValueError
        If no feature that counts varies.
    """
    reduced = reduce(pieces, device, exact)
    reduced.check_varying(name)
    length = float(np.sqrt(reduced.total)) * reduced.scale
    if reduced.route == "factor":
        return Factor(name, pieces, reduced, reduced.matrix, reduced.all_values(), length)
    svd = reduced.svd(device)
    return Factor(name, pieces, reduced, svd.vectors * svd.values, svd.values, length)


def of_common_length(factors: list[Factor]) -> list[Factor]:
    """The same factors, all divided by the length of the longest modality to keep the proportions of the data."""
    longest = max(factor.length for factor in factors)
    return [replace(factor, length=longest) for factor in factors]


def free_dimensions(factors: Sequence[Factor], needed: int) -> int:
    """The dimension of the space that the samples of all modalities span together, or a number of at least `needed`.

    Confounds that were removed leave the modalities fewer dimensions than samples, and the same ones. Directions from
    products of samples would be too inaccurate to see this beside an outlier.
    """
    n_free = factors[0].reduced.n_samples - factors[0].pieces.center
    if needed <= max(factor.rank for factor in factors):
        return n_free
    accurate = [make_factor(factor.name, factor.pieces, exact=True) for factor in factors]
    bases = [thin_svd(factor.whole)[0][:, : factor.rank] for factor in accurate]
    return min(n_free, int(np.sum(np.linalg.svd(np.hstack(bases), compute_uv=False) > NO_ANGLE)))
