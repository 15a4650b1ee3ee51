"""One draw of the bootstrap of covariation maps: a refit, its score that matches the original's, and its maps.

The formulas are in `deepjive.evaluation.map_bootstrap`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as save_tensors

from deepjive.data.modalities import Modalities
from deepjive.evaluation.covariation_maps import effect_along
from deepjive.evaluation.refit import complete, refitted
from deepjive.persistence import read_tensors, write_atomically


def matched_component(scores: NDArray, reference: NDArray) -> tuple[NDArray, NDArray, float]:
    """The score among linear combinations of some scores that is most like a reference.

    Parameters
    ----------
    scores : array, shape (n_samples, rank)
        Scores.
    reference : array, shape (n_samples,)
        A score of the same samples.

    Returns
    -------
    weights : array, shape (rank,)
        ``scores @ weights`` is the score, of variance 1; zeros if none is like the reference.
    direction : array, shape (rank,)
        One standard deviation of it in the coordinates of the scores, what is uncorrelated with it held.
    match : float
        Correlation with the reference, from 0 to 1.

    Examples
    --------
    >>> scores = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> weights, direction, match = matched_component(2 * scores, np.array([-2.0, 2.0, -2.0, 2.0]))
    >>> weights.round(6).tolist(), direction.round(6).tolist(), round(match, 6)
    ([0.0, -0.5], [0.0, -2.0], 1.0)
    """
    centred, target = scores - scores.mean(axis=0), reference - reference.mean()
    weights = np.linalg.lstsq(centred, target, rcond=None)[0]
    step = centred.T @ (centred @ weights) / len(centred)
    spread, size = float(np.sqrt(weights @ step)), float(target.std())
    if spread < 1e-12 or size < 1e-12:
        return np.zeros_like(weights), np.zeros_like(weights), 0.0
    return weights / spread, step / spread, min(1.0, spread / size)  # a regression's fit is correlated by its sd


def draw(
    model: Any,
    data: Modalities,
    reference: NDArray,
    members: list[NDArray[np.intp]],
    rng: np.random.Generator,
    budget: dict[str, Any],
) -> dict[str, NDArray]:
    """Fit to participants drawn with replacement: maps of the matched score, how well it matches, and wall time."""
    started = time.perf_counter()
    drawn = rng.integers(len(members), size=len(members))
    while len(set(drawn.tolist())) > len(members) - 3:  # three that were not drawn are the fewest that can covary
        drawn = rng.integers(len(members), size=len(members))
    rows = np.concatenate([members[i] for i in drawn])
    again = refitted(model, data[rows], **{"random_state": int(rng.integers(2**31 - 1)), **budget})
    if getattr(again, "interrupted_", False):
        raise KeyboardInterrupt
    scores = again.transform(data)
    weights, direction, match = matched_component(scores[rows], reference[rows])
    found = {f"effect {name}": values for name, values in effect_along(again, scores, direction).items()}
    others = complete(data[np.setdiff1d(np.arange(len(data)), rows)])
    found |= {f"unseen {name}": _association(again, others, name, weights) for name in data.names}
    found = {key: np.asarray(values, dtype=np.float32) for key, values in found.items()}
    return found | {"match": np.array(match), "seconds": np.array(time.perf_counter() - started)}


def _association(model: Any, data: Modalities, name: str, weights: NDArray) -> NDArray:
    """Change of a modality with one standard deviation of the score that the others give."""
    score = model.transform(data.select([other for other in data.names if other != name])) @ weights
    score = score - score.mean()
    spread = float(score.std())
    values = np.asarray(data.rows(name, slice(None)), dtype=np.float64)
    return np.tensordot(score / (len(score) * spread), values, axes=1) if spread > 1e-12 else np.zeros(values.shape[1:])


class KeptDraws:
    """Draws on disk, a file for each, named by what they depend on."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, number: int) -> Path:
        return self.folder / f"{self.key}-{number:05d}.safetensors"

    def read(self, number: int) -> dict[str, NDArray] | None:
        if not self.path(number).exists():
            return None
        try:
            return dict(read_tensors(self.path(number))[0])
        except Exception:  # what is damaged can be wrong in any way, and is made again
            return None

    def write(self, number: int, draw: dict[str, NDArray]) -> None:
        write_atomically(self.path(number), save_tensors(draw))
