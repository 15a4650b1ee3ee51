"""Agreement: whether the modalities, each on its own, give a sample the same joint scores.

The joint scores of held-out samples are computed from each modality alone and correlated, score by score. Scores that
agree need not mean anything (a constant agrees with itself), which is why prediction of the other modality stands
beside agreement wherever it is shown.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepjive.data.modalities import Modalities
from deepjive.evaluation.null import needs_all
from deepjive.evaluation.refit import complete

WHY_NOT = (
    "identity='merged' computes joint scores from all modalities at once, so that there are none from one alone whose "
    "agreement could be measured; the variance that is predicted and its test take their place."
)


@dataclass(frozen=True)
class Agreement:
    """Correlation of one joint score computed from one modality with the same computed from another.

    Attributes
    ----------
    component : int
        The joint score, counted from 1.
    first, second : str
        The modalities.
    correlation : float
        Over the samples; not a number for a score that does not vary.
    """

    component: int
    first: str
    second: str
    correlation: float


def agreement(model: Any, data: Modalities) -> list[Agreement]:
    """Correlations between the joint scores that the modalities give on their own.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data : Modalities
        Samples, best such that the model has not seen. Those that lack a modality are left out.

    Returns
    -------
    list of Agreement
        For each joint score and each pair of modalities; empty for identity="merged", whose scores need them all
        (`WHY_NOT` says so in words).
    """
    if needs_all(model) or model.joint_rank_ == 0:
        return []
    data = complete(data)
    alone = {name: model.transform(data.select([name])) for name in data.names}
    return [
        Agreement(component + 1, first, second, _correlation(alone[first][:, component], alone[second][:, component]))
        for component in range(model.joint_rank_)
        for first, second in itertools.combinations(data.names, 2)
    ]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if not (a.std() > 0 and b.std() > 0):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
