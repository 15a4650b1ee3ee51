"""Synthetic modalities with known joint and individual parts.

    linear       J_k = z_J A_k                 S_k = z_S,k B_k
    nonlinear    J_k = sin(z_J W_k + phase)    S_k = sin(z_S,k V_k + phase), each feature a sinusoid of the scores

Both parts have the same variance in every modality, and noise is added. These data replace the one-dimensional
experiment of the paper, whose exact form is not public.

References
----------
DeepJIVE, arXiv 2507.19682, equation 19.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from deepjive.data.modalities import Modalities


@dataclass(frozen=True)
class Synthetic:
    """Synthetic modalities with their true parts and scores.

    Attributes
    ----------
    data : Modalities
        The sum of joint part, individual part and noise.
    joint, individual : dict of str to array, shape (n_samples, n_features)
        The true parts.
    joint_scores : array, shape (n_samples, joint_rank)
        The true joint scores, standard normal.
    individual_scores : dict of str to array, shape (n_samples, individual_rank)
        The true individual scores, standard normal.
    """

    data: Modalities
    joint: dict[str, NDArray]
    individual: dict[str, NDArray]
    joint_scores: NDArray
    individual_scores: dict[str, NDArray]

    def __getitem__(self, rows: slice) -> Synthetic:
        """Return some of the samples."""
        return Synthetic(
            self.data[rows],
            {name: part[rows] for name, part in self.joint.items()},
            {name: part[rows] for name, part in self.individual.items()},
            self.joint_scores[rows],
            {name: scores[rows] for name, scores in self.individual_scores.items()},
        )


def make_synthetic(
    n_samples: int = 1000,
    n_features: Sequence[int] = (100, 100),
    *,
    joint_rank: int = 1,
    individual_rank: int = 1,
    noise: float = 0.5,
    nonlinear: bool = False,
    random_state: int | np.random.RandomState | None = 0,
) -> Synthetic:
    """Make modalities from known joint and individual scores.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples.
    n_features : sequence of int, default=(100, 100)
        Number of features of each modality. The length of the sequence is the number of modalities.
    joint_rank, individual_rank : int, default=1
        Numbers of true scores; with 0 the part is zero.
    noise : float, default=0.5
        Standard deviation of the noise, relative to the standard deviation of the signal (joint + individual).
    nonlinear : bool, default=False
        Whether features are sinusoids of the scores; by default they are linear in the scores.
    random_state : int, RandomState or None, default=0
        Seed.

    Returns
    -------
    Synthetic

    Examples
    --------
    >>> simulated = make_synthetic(50, (8, 6), random_state=0)
    >>> simulated.data.shapes
    {'modality_1': (8,), 'modality_2': (6,)}
    """
    rng = check_random_state(random_state)
    names = [f"modality_{k}" for k in range(1, len(n_features) + 1)]
    joint_scores = rng.normal(size=(n_samples, joint_rank))
    individual_scores = {name: rng.normal(size=(n_samples, individual_rank)) for name in names}
    joint, individual, arrays = {}, {}, {}
    for name, p in zip(names, n_features, strict=True):
        joint[name] = _part(joint_scores, p, nonlinear, rng)
        individual[name] = _part(individual_scores[name], p, nonlinear, rng)
        signal = joint[name] + individual[name]
        arrays[name] = signal + noise * signal.std() * rng.normal(size=signal.shape)
    return Synthetic(Modalities(arrays), joint, individual, joint_scores, individual_scores)


def _part(scores: NDArray, p: int, nonlinear: bool, rng: np.random.RandomState) -> NDArray:
    """Return one part of one modality with variance 1 over all entries; zeros for rank 0."""
    n, rank = scores.shape
    if rank == 0:
        return np.zeros((n, p))
    slopes = rng.normal(size=(rank, p))
    part = np.sin(2.0 * scores @ slopes + rng.uniform(0, 2 * np.pi, size=p)) if nonlinear else scores @ slopes
    part = part - part.mean(axis=0)
    return part / part.std()
