"""Effects of scores on tables of brain regions, drawn at the places of the regions on a glass brain."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from deepjive.data.readers.guard import optional
from deepjive.decomposition import Decomposition
from deepjive.imaging.region_centres import centre_of
from deepjive.plot.brains import effect_of, largest_value, plot_scale
from deepjive.plot.palette import DIVERGING, axes_of
from deepjive.subsets import Subset

LEAST_PLACED = 0.5
NO_NAMES = "The features of modality {name!r} have no names, so that nothing says which regions they are."
NOT_PLACED = (
    "Of {n} features of modality {name!r}, {count} are regions of FreeSurfer's Desikan-Killiany atlas ({example!r} is "
    "none). Give the centres of the regions in MNI space with centres=, such as centres={{{example!r}: (-25, -21, 9)}}."
)


def region_map(
    parts: Decomposition,
    modality: str,
    score: int = 1,
    *,
    part: str | Subset = "joint",
    centres: dict[str, Sequence[float]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the effect of a score on a table of brain regions as points on a glass brain, from three sides.

    The colour is the change of a region for one standard deviation of the score, in data units, on a scale that is
    symmetric around 0. The area of a point grows with the size of the change.

    Parameters
    ----------
    parts : Decomposition
        A decomposition.
    modality : str
        A modality whose features are named after regions.
    score : int, default=1
        Number of the score, counted from 1.
    part : str or tuple of str, default="joint"
        Part of the score: "joint", "individual", or a subset of modalities such as ``"mri+tau"``.
    centres : dict of str to (x, y, z), default=None
        Centres of regions in MNI space, in mm, by name of the feature. By default those of the Desikan-Killiany atlas,
        by the names that FreeSurfer, Clinica and CAT12 give them.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    deepjive.data.readers.guard.MissingExtraError
        Without nilearn (extra ``imaging``).
    ValueError
        If less than half of the features have a known centre, or if there is no such score.

    See Also
    --------
    surface_map, brain_map : The same for maps on a surface and for volumes.
    """
    plotting = optional("nilearn.plotting", "A map of regions")
    effect = effect_of(parts, modality, part, score).ravel()
    rows, places = placed_regions(parts.data.features[modality], centres)
    if len(rows) < LEAST_PLACED * len(effect):
        raise ValueError(_not_placed(parts, modality, rows))
    values = effect[rows]
    largest = largest_value(values)
    axes = axes_of(ax)
    axes.set_axis_off()
    brains = axes.inset_axes((0.0, 0.0, 0.84, 1.0))
    settings: dict[str, Any] = {"node_cmap": DIVERGING, "node_vmin": -largest, "node_vmax": largest, "colorbar": False}
    sizes = 8.0 + 70.0 * np.minimum(np.abs(values) / largest, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nilearn, on arguments that it will rename
        plotting.plot_markers(values, places, node_size=sizes, display_mode="lyrz", axes=brains, **settings)
    plot_scale(axes, largest, (0.86, 0.2, 0.02, 0.6))
    return axes


def placed_regions(
    features: NDArray[np.str_] | None, centres: dict[str, Sequence[float]] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the features whose regions have a known centre, and the centres, shape (n_placed, 3)."""
    known = centres or {}
    found = [] if features is None else [known.get(str(name)) or centre_of(str(name)) for name in features]
    rows = np.array([row for row, centre in enumerate(found) if centre is not None], dtype=np.intp)
    return rows, np.array([centre for centre in found if centre is not None], dtype=np.float64).reshape(-1, 3)


def _not_placed(parts: Decomposition, modality: str, rows: NDArray[np.intp]) -> str:
    features = parts.data.features[modality]
    if features is None:
        return NO_NAMES.format(name=modality)
    other = next(str(name) for row, name in enumerate(features) if row not in rows)
    return NOT_PLACED.format(n=len(features), name=modality, count=len(rows), example=other)
