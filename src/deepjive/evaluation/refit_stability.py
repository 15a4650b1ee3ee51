"""Stability: whether fits with other seeds, or to other samples, give the same scores.

The model is fitted again with other seeds and to other samples. The scores of held-out samples are compared with the
scores of the first fit in two ways. Single scores are matched by the Hungarian method on absolute correlations. Spaces
of scores are compared by canonical correlations, because a network may rotate scores that explain about equally much.

Other samples are 63.2% of the samples, drawn without replacement. A bootstrap sample has as many distinct samples. Its
copies of a sample, however, could be both among the training samples and among the validation samples that decide when
training stops. If participants have several samples, 63.2% of the participants are drawn with all of their samples.

References
----------
Politis and Romano 1994, Large sample confidence regions based on subsamples, Annals of Statistics 22.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from deepjive.data.groups import in_random_order, rows_of
from deepjive.decomposition import Decomposition
from deepjive.evaluation.recovery import canonical_correlations, matched
from deepjive.evaluation.refit import refitted, with_groups
from deepjive.evaluation.score_prediction import scores_of
from deepjive.progress import Progress, silent
from deepjive.results import Result

FRACTION_DRAWN = 1.0 - np.exp(-1.0)
SEEDS, SAMPLES = "seeds", "samples"


@dataclass(frozen=True, repr=False)
class Stability(Result):
    """How similar the scores of one part are in other fits.

    Attributes
    ----------
    part : str
        "joint", or "individual" and the modality.
    varied : str
        "seeds" or "samples".
    n_fits : int
        Number of other fits.
    matched : list of float
        For each score, its absolute correlation with the score that is matched to it; the mean over fits.
    canonical : list of float
        Canonical correlations of the spaces of scores; the mean over fits.
    """

    part: str
    varied: str
    n_fits: int
    matched: list[float]
    canonical: list[float]

    def _summary(self) -> str:
        return (
            f"{self.part}, other {self.varied}: mean matched correlation {np.mean(self.matched):.2f}, "
            f"mean canonical correlation {np.mean(self.canonical):.2f}, {self.n_fits} fits"
        )

    def _table(self) -> Any:
        return [
            {
                "part": self.part,
                "varied": self.varied,
                "score": number,
                "matched": matched_correlation,
                "canonical": canonical_correlation,
                "n_fits": self.n_fits,
            }
            for number, (matched_correlation, canonical_correlation) in enumerate(
                zip(self.matched, self.canonical, strict=True), start=1
            )
        ]


def stability(
    model: Any,
    data: Any,
    held_out: Any,
    n_fits: int = 3,
    *,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
    progress: Progress = silent,
) -> list[Stability]:
    """Compare held-out scores between fits with other seeds, and to other samples.

    Parameters
    ----------
    model : estimator
        A model that was fitted to `data`.
    data, held_out : Modalities, mapping or sequence
        The fitted samples, and other samples whose scores are compared.
    n_fits : int, default=3
        Number of fits with other seeds, and of fits to other samples. A model that is not stochastic is fitted only to
        other samples.
    groups : array, shape (n_samples,), default=None
        The participant of each sample of `data`, if participants have several samples. Whole participants are then
        drawn. By default the groups of `data`.
    random_state : int, RandomState or None, default=0
        Seed of the seeds and samples.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after each fit.

    Returns
    -------
    list of Stability
        One entry for each part of rank above 0 and each of "seeds" and "samples".

    Raises
    ------
    ValueError
        If `groups` has another length.
    """
    rng, data, held_out = check_random_state(random_state), with_groups(data, groups), with_groups(held_out, None)
    reference, results, done = model.decompose(held_out), [], 0
    kinds = (SEEDS, SAMPLES) if model.is_stochastic else (SAMPLES,)
    for varied in kinds:
        refits = []
        for seed in rng.randint(2**31 - 1, size=n_fits):
            members = in_random_order(len(data), data.groups, rng)
            drawn_rows = np.sort(rows_of(members[: round(FRACTION_DRAWN * len(members))]))
            refit = refitted(model, data if varied == SEEDS else data[drawn_rows], random_state=int(seed))
            refits.append(refit.decompose(held_out))
            done += 1
            progress(done, n_fits * len(kinds), f"fitting with other {varied}")
        results += _compared(varied, reference, refits)
    return results


def _compared(varied: str, reference: Decomposition, refits: list[Decomposition]) -> list[Stability]:
    results = []
    for part, scores in scores_of(reference).items():
        refit_scores = [scores_of(refit).get(part, scores[:, :0]) for refit in refits]  # a refit may find fewer
        pairs = np.mean([matched(scores, other)[1] for other in refit_scores], axis=0)
        spaces = np.zeros(len(canonical_correlations(scores, scores)))
        for other in refit_scores:
            found = canonical_correlations(scores, other)  # fewer if scores of a refit to few samples are dependent
            spaces[: len(found)] += found / len(refit_scores)
        results.append(Stability(part, varied, len(refits), pairs.tolist(), spaces.tolist()))
    return results
