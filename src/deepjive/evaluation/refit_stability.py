"""Stability: whether another seed, or other samples, would have given the same scores.

The model is fitted again with other seeds, and to other samples, and its scores of held-out samples are compared with
those of the first fit: score by score (the pairs of scores chosen by the Hungarian method, on absolute correlation) and
as spaces (canonical correlations), since a network may turn scores that explain about as much into one another.

Other samples are drawn without replacement, 63.2% of them, which is as many as a bootstrap sample has different ones:
in a bootstrap sample, copies of one sample would be among those trained on and those that say when to stop.
Where participants have several samples, 63.2% of the participants are drawn, with all of theirs.
Politis and Romano 1994, Large sample confidence regions based on subsamples, Annals of Statistics 22.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from deepjive.data.groups import in_random_order, rows_of
from deepjive.data.modalities import Modalities
from deepjive.decomposition import Decomposition
from deepjive.evaluation.recovery import canonical_correlations, matched
from deepjive.evaluation.refit import refitted, with_groups
from deepjive.evaluation.score_prediction import scores_of

DIFFERENT = 1.0 - np.exp(-1.0)
SEEDS, SAMPLES = "seeds", "samples"


@dataclass(frozen=True)
class Stability:
    """How much of a part's scores comes back in other fits.

    Attributes
    ----------
    part : str
        "joint", or "individual" and the modality.
    varied : str
        "seeds" or "samples".
    n_fits : int
        Number of other fits.
    matched : list of float
        For each score its absolute correlation with the score matched to it, the mean over fits.
    canonical : list of float
        Canonical correlations of the spaces of scores, the mean over fits.
    """

    part: str
    varied: str
    n_fits: int
    matched: list[float]
    canonical: list[float]


def stability(
    model: Any,
    data: Modalities,
    held_out: Modalities,
    n_fits: int = 3,
    *,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
    on_fit: Callable[[int], None] = lambda done: None,
) -> list[Stability]:
    """Compare held-out scores between fits with other seeds, and to other samples.

    Parameters
    ----------
    model : estimator
        Fitted to `data`.
    data, held_out : Modalities
        Samples that were fitted, and others to compare scores of.
    n_fits : int
        Fits with other seeds, and as many to other samples. A linear model has no seed, so for it there are only
        the latter.
    groups : array, shape (n_samples,), optional
        The participant of each sample of `data`, where some have several: whole participants are then drawn.
        By default those of the data.
    random_state : int or None
        Seed of the seeds and samples.
    on_fit : callable
        Told the number of fits that are done.

    Returns
    -------
    list of Stability
        For each part of rank above 0, and what was varied.

    Raises
    ------
    ValueError
        For groups of another length.
    """
    rng, data = check_random_state(random_state), with_groups(data, groups)
    reference, rows, done = model.decompose(held_out), [], 0
    for varied in kinds_of(model):
        others = []
        for seed in rng.randint(2**31 - 1, size=n_fits):
            members = in_random_order(len(data), data.groups, rng)
            kept = np.sort(rows_of(members[: round(DIFFERENT * len(members))]))
            again = refitted(model, data if varied == SEEDS else data[kept], random_state=int(seed))
            others.append(again.decompose(held_out))
            done += 1
            on_fit(done)
        rows += _compared(varied, reference, others)
    return rows


def kinds_of(model: Any) -> tuple[str, ...]:
    """What can be varied: of a linear model, only the samples."""
    return (SEEDS, SAMPLES) if hasattr(model, "history_") else (SAMPLES,)


def _compared(varied: str, reference: Decomposition, others: list[Decomposition]) -> list[Stability]:
    rows = []
    for part, scores in scores_of(reference).items():
        found = [scores_of(other)[part] for other in others]
        pairs = np.mean([matched(scores, one)[1] for one in found], axis=0)
        spaces = np.mean([canonical_correlations(scores, one) for one in found], axis=0)
        rows.append(Stability(part, varied, len(others), pairs.tolist(), spaces.tolist()))
    return rows
