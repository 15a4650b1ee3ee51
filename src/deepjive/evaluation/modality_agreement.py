"""Agreement: whether each modality alone gives a sample the same joint scores.

The joint scores of held-out samples are computed from each modality alone. Each score is then correlated between the
modalities. Agreement alone is no evidence of joint structure, because constant scores agree as well. Reports therefore
show agreement beside the prediction of one modality from the others.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepjive.evaluation.refit import complete, with_groups
from deepjive.results import Result


@dataclass(frozen=True, repr=False)
class Agreement(Result):
    """Correlation between a joint score that was computed from one modality and the same score from another.

    Attributes
    ----------
    component : int
        Number of the joint score, counted from 1.
    first, second : str
        The modalities.
    correlation : float
        Correlation over the samples; NaN for a score that does not vary.
    n_samples : int
        Number of samples.
    """

    component: int
    first: str
    second: str
    correlation: float
    n_samples: int

    def _summary(self) -> str:
        return (
            f"joint score {self.component} from {self.first} and from {self.second}: "
            f"correlation {self.correlation:.2f}, n={self.n_samples}"
        )

    def _table(self) -> Any:
        return [vars(self)]


def agreement(model: Any, data: Any) -> list[Agreement]:
    """Correlate the joint scores that single modalities give.

    Parameters
    ----------
    model : estimator
        A fitted model.
    data : Modalities, mapping or sequence
        Samples, preferably samples that the model was not fitted to. Samples that lack a modality are left out.

    Returns
    -------
    list of Agreement
        One entry for each joint score and each pair of modalities. The list is empty for joint rank 0, and for a model
        that needs all modalities at once (``identity="merged"``): such a model gives no scores of one modality.

    See Also
    --------
    joint_structure_test : Test whether one modality predicts another.
    """
    if model.needs_all_modalities or model.joint_rank_ == 0:
        return []
    data = complete(with_groups(data, None, model))
    scores = {name: model.transform(data.select([name])) for name in data.names}
    return [
        Agreement(
            component + 1,
            first,
            second,
            _correlation(scores[first][:, component], scores[second][:, component]),
            len(data),
        )
        for component in range(model.joint_rank_)
        for first, second in itertools.combinations(data.names, 2)
    ]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if not (a.std() > 0 and b.std() > 0):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
