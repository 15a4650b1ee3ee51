"""One draw of the bootstrap of covariation maps: a refit, its score that matches the original score, and its maps.

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
    """Find the linear combination of scores that correlates most with a reference score.

    Parameters
    ----------
    scores : array, shape (n_samples, rank)
        Scores.
    reference : array, shape (n_samples,)
        The reference score of the same samples.

    Returns
    -------
    weights : array, shape (rank,)
        ``scores @ weights`` is the matched score, of variance 1; zeros if no combination correlates with the reference.
    direction : array, shape (rank,)
        One standard deviation of the matched score in the coordinates of the scores. Combinations that are
        uncorrelated with the matched score are held fixed.
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
    match = min(1.0, spread / size)  # a regression's fit correlates with its target by the ratio of their deviations
    return weights / spread, step / spread, match


def draw(
    model: Any,
    data: Modalities,
    reference: NDArray,
    members: list[NDArray[np.intp]],
    rng: np.random.Generator,
    budget: dict[str, Any],
) -> dict[str, NDArray]:
    """Fit to participants drawn with replacement; return maps of the matched score, its match, and the wall time.

    Parameters
    ----------
    model : estimator
        The original model, fitted to `data`.
    data : Modalities
        All samples.
    reference : array, shape (n_samples,)
        The joint score of the original model.
    members : list of array of int
        The rows of each participant.
    rng : Generator
        Source of the draw and of the refit's seed.
    budget : dict
        Parameters of the refit that differ from the model's.

    Returns
    -------
    dict of str to array
        "effect" and "unseen" with the name of each modality, "match", and "seconds".

    Raises
    ------
    KeyboardInterrupt
        If the training was interrupted.
    """
    started = time.perf_counter()
    drawn = rng.integers(len(members), size=len(members))
    while len(set(drawn.tolist())) > len(members) - 3:  # a covariance needs three participants that were not drawn
        drawn = rng.integers(len(members), size=len(members))
    rows = np.concatenate([members[i] for i in drawn])
    refit = refitted(model, data[rows], **{"random_state": int(rng.integers(2**31 - 1)), **budget})
    if getattr(refit, "interrupted_", False):
        raise KeyboardInterrupt
    scores = refit.transform(data)
    weights, direction, match = matched_component(scores[rows], reference[rows])
    results = {f"effect {name}": values for name, values in effect_along(refit, scores, direction).items()}
    others = complete(data[np.setdiff1d(np.arange(len(data)), rows)])
    results |= {f"unseen {name}": _association(refit, others, name, weights) for name in data.names}
    results = {key: np.asarray(values, dtype=np.float32) for key, values in results.items()}
    return results | {"match": np.array(match), "seconds": np.array(time.perf_counter() - started)}


def _association(model: Any, data: Modalities, name: str, weights: NDArray) -> NDArray:
    """Return the change of a modality with one standard deviation of the score that the other modalities give."""
    score = model.transform(data.select([other for other in data.names if other != name])) @ weights
    score = score - score.mean()
    spread = float(score.std())
    values = np.asarray(data.rows(name, slice(None)), dtype=np.float64)
    return np.tensordot(score / (len(score) * spread), values, axes=1) if spread > 1e-12 else np.zeros(values.shape[1:])


class DrawStore:
    """Finished draws on disk, one file per draw.

    Parameters
    ----------
    folder : Path
        Folder of the files; it is made if it does not exist.
    key : str
        Hash of everything that the draws depend on; the beginning of every file name.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, number: int) -> Path:
        """Return the path of a draw's file."""
        return self.folder / f"{self.key}-{number:05d}.safetensors"

    def read(self, number: int) -> dict[str, NDArray] | None:
        """Return a stored draw; None if there is no such file, or if it is damaged."""
        if not self.path(number).exists():
            return None
        try:
            return dict(read_tensors(self.path(number))[0])
        except Exception:  # a damaged file can raise any error; the draw is then made again
            return None

    def write(self, number: int, draw: dict[str, NDArray]) -> None:
        """Store a draw."""
        write_atomically(self.path(number), save_tensors(draw))
