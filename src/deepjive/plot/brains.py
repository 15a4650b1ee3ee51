"""Brain maps of scores, drawn by nilearn over the MNI152 template."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from deepjive.data.readers.guard import optional
from deepjive.decomposition import Decomposition
from deepjive.evaluation.feature_ranking import effects_of
from deepjive.plot.palette import DIVERGING, axes_of
from deepjive.subsets import Subset, part_named

if TYPE_CHECKING:
    from deepjive.imaging.grid import Grid

QUANTILE = 0.995
LOOKED_AT = 400
WRONG_SHAPE = "The map has the shape {shape}, but the grid has {grid}. Give the grid of the volumes."
NO_SCORE = "There is no {part} score {score}; there are {rank}. Scores are counted from 1."


def brain_map(
    parts: Decomposition | NDArray,
    grid: Grid,
    modality: str | None = None,
    score: int = 1,
    *,
    part: str | Subset = "joint",
    ax: Axes | None = None,
    **settings: Any,
) -> Axes:
    """Draw the effect of a score on a modality of brain volumes, or any map, as slices over the MNI152 template.

    The colour scale is symmetric around 0, and voxels with 0 are transparent.

    Parameters
    ----------
    parts : Decomposition or array, shape ``grid.shape``
        A decomposition, of which the change of the modality for one standard deviation of the score is drawn in data
        units; or a map.
    grid : Grid
        The grid of the volumes, such as ``deepjive.imaging.mni_grid(3)``.
    modality : str, default=None
        The modality of a decomposition.
    score : int, default=1
        Number of the score, counted from 1.
    part : str or tuple of str, default="joint"
        Part of the score: "joint", "individual", or a subset of modalities such as ``"rna+protein"``.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default. nilearn puts the axes of the slices over these axes.
    **settings
        Arguments of ``nilearn.plotting.plot_stat_map``, such as ``display_mode`` and ``cut_coords``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    deepjive.data.readers.guard.MissingExtraError
        Without nilearn (extra ``imaging``).
    ValueError
        If the shape of the map is not that of the grid, or if there is no such score.
    """
    nibabel, plotting = optional("nibabel", "A brain map"), optional("nilearn.plotting", "A brain map")
    values = effect_of(parts, modality, part, score) if isinstance(parts, Decomposition) else np.asarray(parts)
    if values.shape != grid.shape:
        raise ValueError(WRONG_SHAPE.format(shape=values.shape, grid=grid.shape))
    largest = largest_value(values)
    axes = axes_of(ax)
    chosen = {"cmap": DIVERGING, "vmax": largest, "threshold": 1e-9, "display_mode": "ortho"} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nilearn, on arguments that it will rename
        plotting.plot_stat_map(nibabel.Nifti1Image(np.asarray(values, np.float32), grid.affine), axes=axes, **chosen)
    return axes


def plot_scale(axes: Axes, largest: float, place: tuple[float, float, float, float]) -> Axes:
    """Draw a scale of colours, symmetric around 0, at a place within axes; its labels are to its right."""
    scale = ScalarMappable(Normalize(-largest, largest), DIVERGING)
    figure: Any = axes.get_figure()
    drawn = figure.colorbar(scale, cax=axes.inset_axes(place), format="%.2g")
    drawn.set_ticks([-largest, -largest / 2, 0.0, largest / 2, largest])
    return drawn.ax


def largest_value(values: NDArray) -> float:
    """Return the end of the colour scale: the magnitude that all but the largest half percent of values have."""
    magnitudes = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.quantile(magnitudes, QUANTILE)) if magnitudes.size else 1.0


def effect_of(parts: Decomposition, modality: str | None, part: str | Subset, score: int) -> NDArray:
    """Return the change of a modality for one standard deviation of a score, shape of a sample."""
    if modality not in parts.data.names:
        raise ValueError(f"modality is {modality!r}, but must be one of {list(parts.data.names)}.")
    part = part_named(part, parts.scores_of(modality))
    effects = effects_of(parts, modality, LOOKED_AT)
    wanted = [row for row, (word, number) in enumerate(effects.scores) if (word, number) == (part, score)]
    if not wanted:
        rank = sum(word == part for word, _ in effects.scores)
        raise ValueError(NO_SCORE.format(part=part, score=score, rank=rank))
    return effects.loading[wanted[0]].reshape(parts.data.shapes[modality])
