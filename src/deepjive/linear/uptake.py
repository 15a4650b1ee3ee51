"""Noise that a low-rank part explains because there are few features.

Scores are fitted partly to the noise along their loadings. More samples do not reduce this error. Let ``Q`` be an
orthonormal basis of a part's loadings, and let the noise be independent between features with variance ``v_j`` in
feature j. A part that is fitted alone explains the sum ``sum_j (QQ')_jj v_j`` of the noise, which is the fraction ``q``
of the modality's variance. For the individual part, ``f = q``.

Joint scores are a weighted average over the modalities. The weights ``a_k`` are the weights of AJIVE and HeteroJIVE or,
in JIVE, the sums of squares of the joint parts. Modality k's own noise enters the joint scores with weight ``a_k``. The
noise of other modalities in the joint scores reduces what they explain in modality k. With the joint fractions ``r_k``,
to first order in the noise,

    f_k = 2 a_k q_k - r_k sum_l a_l^2 q_l / r_l.

``v_j`` is the residual's variance over ``1 - (QQ')_jj``, with ``Q`` of both parts. The derivation is ours. Its evidence
is the coverage of the bootstrap intervals that use it (benchmarks/inference_calibration.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from deepjive.linear.factor import Factor

LEAST_RESIDUAL_SHARE = 0.05


def explained_noise(model: Any, factors: Sequence[Factor]) -> dict[str, dict[str, float]]:
    """Fractions of each modality's variance that are noise and that its parts explain because there are few features.

    Parameters
    ----------
    model : AJIVE, HeteroJIVE or JIVE
        A fitted model.
    factors : sequence of Factor
        The modalities to which the model was fitted.

    Returns
    -------
    dict of str to dict
        ``f`` of the module's docstring for ``"joint"``, ``"individual"`` and ``"residual"``. The fraction of the
        residual is minus the sum of the other two.
    """
    names = [factor.name for factor in factors]
    fractions = np.array([_fractions_of_single_parts(model, factor) for factor in factors])
    explained = np.array([model.variance_explained_[name]["joint"] for name in names])
    weights = _joint_weights(model, factors)
    relative = weights**2 * fractions[:, 0] / np.where(explained > 0.0, explained, 1.0)
    joint = 2.0 * weights * fractions[:, 0] - explained * relative.sum()
    return {
        name: {"joint": float(j), "individual": float(i), "residual": float(-j - i)}
        for name, j, i in zip(names, joint, fractions[:, 1], strict=True)
    }


def _joint_weights(model: Any, factors: Sequence[Factor]) -> NDArray:
    """Weights ``a_k`` of the modalities in the joint scores, shape (n_modalities,), with sum 1."""
    if hasattr(model, "weights_"):
        return np.asarray(model.weights_ / model.weights_.sum())
    scaled = [factor.length / model.lengths_[factor.name] for factor in factors]
    sizes = [model.variance_explained_[f.name]["joint"] * s**2 for f, s in zip(factors, scaled, strict=True)]
    return np.asarray(sizes) / (sum(sizes) or 1.0)


def _fractions_of_single_parts(model: Any, factor: Factor) -> tuple[float, float]:
    """The fractions ``q`` of the joint and of the individual part."""
    pieces, n, name = factor.pieces, factor.reduced.n_samples, factor.name
    parts = (model.joint_loadings_[name], model.individual_loadings_[name])
    loadings = [part.reshape(len(part), pieces.width) for part in parts]
    leverages = linalg.qr(np.concatenate(loadings).T, mode="economic")[0] ** 2
    joint, both = leverages[:, : len(loadings[0])].sum(axis=1), leverages.sum(axis=1)
    size = factor.length / np.sqrt(n)
    free_share = max(n - pieces.center - leverages.shape[1], 1) / n
    of_both, of_joint = 0.0, 0.0
    for piece in pieces:
        features = piece.features
        values = pieces.counted(piece) / size
        values = values - values.mean(axis=0) if pieces.center else values
        explained = np.sum((np.concatenate([part[:, features] for part in loadings]) / size) ** 2, axis=0)
        noise = np.maximum(np.mean(values**2, axis=0) - explained, 0.0) / free_share
        noise /= np.maximum(1.0 - both[features], LEAST_RESIDUAL_SHARE)
        of_both, of_joint = of_both + float(both[features] @ noise), of_joint + float(joint[features] @ noise)
    return of_joint, of_both - of_joint
