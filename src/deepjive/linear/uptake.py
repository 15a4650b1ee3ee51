"""Noise that a low-rank part takes up for want of features.

Scores are bent towards the noise along their loadings, by an amount that more samples do not change. With ``Q`` an
orthonormal basis of a part's loadings, and noise that is independent between features and has variance ``v_j`` in
feature j, a part of its own would take up ``sum_j (QQ')_jj v_j``, the fraction ``q`` of the modality's variance. The
individual part does: ``f = q``. Joint scores are an average over the modalities with pulls ``a_k``, the weights of
AJIVE and HeteroJIVE or, in JIVE, the joint parts' sums of squares; modality k bends them ``a_k`` times as far, and what
another modality bends them is lost, so that with ``r_k`` the joint fractions, to first order in the noise,

    f_k = 2 a_k q_k - r_k sum_l a_l^2 q_l / r_l.

``v_j`` is the residual's variance over ``1 - (QQ')_jj``, with ``Q`` of both parts. The derivation is ours; what speaks
for it is the coverage of the bootstrap intervals that use it (benchmarks/inference_calibration.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.linear.factor import Factor

LEAST_LEFT = 0.05


def taken_up(model: Any, factors: Sequence[Factor]) -> dict[str, dict[str, float]]:
    """Fractions of each modality's variance that its parts take up for want of features.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model.
    factors : sequence of Factor
        The modalities it was fitted to.

    Returns
    -------
    dict of str to dict
        ``f`` of the module's docstring for ``"joint"``, ``"individual"`` and ``"residual"``; the last is minus the sum.
    """
    names = [factor.name for factor in factors]
    taken = np.array([_alone(model, factor) for factor in factors])
    explained = np.array([model.variance_explained_[name]["joint"] for name in names])
    pulls = _pulls(model, factors)
    relative = pulls**2 * taken[:, 0] / np.where(explained > 0.0, explained, 1.0)
    joint = 2.0 * pulls * taken[:, 0] - explained * relative.sum()
    return {
        name: {"joint": float(j), "individual": float(i), "residual": float(-j - i)}
        for name, j, i in zip(names, joint, taken[:, 1], strict=True)
    }


def _pulls(model: Any, factors: Sequence[Factor]) -> NDArray:
    """How much each modality has to say about the joint scores, shape (n_modalities,), with sum 1."""
    if hasattr(model, "weights_"):
        return np.asarray(model.weights_ / model.weights_.sum())
    scaled = [factor.length / model.lengths_[factor.name] for factor in factors]
    sizes = [model.variance_explained_[f.name]["joint"] * s**2 for f, s in zip(factors, scaled, strict=True)]
    return np.asarray(sizes) / (sum(sizes) or 1.0)


def _alone(model: Any, factor: Factor) -> tuple[float, float]:
    """The fractions ``q`` of the module's docstring, of the joint and of the individual part."""
    pieces, n, name = factor.pieces, factor.reduced.n_samples, factor.name
    parts = (model.joint_loadings_[name], model.individual_loadings_[name])
    loadings = [part.reshape(len(part), pieces.width) for part in parts]
    shares = linalg.qr(np.concatenate(loadings).T, mode="economic")[0] ** 2
    joint, both = shares[:, : len(loadings[0])].sum(axis=1), shares.sum(axis=1)
    size = factor.length / np.sqrt(n)
    free = max(n - pieces.center - shares.shape[1], 1) / n
    taken, taken_jointly = 0.0, 0.0
    for piece in pieces:
        here = piece.features
        values = pieces.counted(piece) / size
        values = values - values.mean(axis=0) if pieces.center else values
        explained = np.sum((np.concatenate([part[:, here] for part in loadings]) / size) ** 2, axis=0)
        noise = np.maximum(np.mean(values**2, axis=0) - explained, 0.0) / free
        noise /= np.maximum(1.0 - both[here], LEAST_LEFT)
        taken, taken_jointly = taken + float(both[here] @ noise), taken_jointly + float(joint[here] @ noise)
    return taken_jointly, taken - taken_jointly
