"""Maps of scores on the surface of the cortex, drawn by nilearn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from deepjive.data.readers.guard import optional, reading
from deepjive.decomposition import Decomposition
from deepjive.plot.brains import effect_of, largest_value, plot_scale
from deepjive.plot.palette import DIVERGING, axes_of

SIDES = ("left", "right")
VIEWS = ("lateral", "medial")
OTHER_MESH = (
    "The map has {given} values, but {mesh} has {expected} vertices. Give the surfaces of the map with mesh=, one file "
    "for each hemisphere in the order of the values, such as mesh=['lh.inflated.surf.gii', 'rh.inflated.surf.gii']."
)
TWO_AT_MOST = "mesh names {count} surfaces, but must name one or two: a file for each hemisphere."


def surface_map(
    parts: Decomposition | NDArray,
    modality: str | None = None,
    score: int = 1,
    *,
    part: Literal["joint", "individual"] = "joint",
    mesh: str | Path | Sequence[str | Path] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the effect of a score on a modality of surface maps, or any map, on the cortex from outside and inside.

    The colour scale is symmetric around 0.

    Parameters
    ----------
    parts : Decomposition or array, shape (n_vertices,)
        A decomposition, of which the change of the modality for one standard deviation of the score is drawn in data
        units; or a map. With two hemispheres the values of the left one come first.
    modality : str, default=None
        The modality of a decomposition.
    score : int, default=1
        Number of the score, counted from 1.
    part : {"joint", "individual"}, default="joint"
        Part of the score.
    mesh : path or sequence of path, default=None
        The surface of each hemisphere, GIFTI or FreeSurfer; a single surface is drawn as a left hemisphere unless its
        file name begins with ``rh`` or contains ``hemi-R``. By default the inflated fsaverage5 of nilearn, which has
        10242 vertices on each hemisphere: both hemispheres for 20484 values, the left one for 10242.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default. The views are axes of their own over these axes.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    deepjive.data.readers.guard.MissingExtraError
        Without nilearn (extra ``imaging``).
    ValueError
        If the map has another number of values than the surfaces have vertices, or if there is no such score.

    See Also
    --------
    brain_map : The same for volumes.
    """
    plotting = optional("nilearn.plotting", "A surface map")
    values = effect_of(parts, modality, part, score) if isinstance(parts, Decomposition) else np.asarray(parts)
    values = np.asarray(values, dtype=np.float64).ravel()
    surfaces = _surfaces(mesh, len(values))
    largest = largest_value(values)
    axes = axes_of(ax)
    axes.set_axis_off()
    start = 0
    for row, (side, coordinates, faces, depth) in enumerate(surfaces):
        shown = values[start : start + len(coordinates)]
        start += len(coordinates)
        for column, view in enumerate(VIEWS):
            place = (column * 0.42, 1.0 - (row + 1) / len(surfaces), 0.42, 1.0 / len(surfaces))
            inset: Any = axes.inset_axes(place, projection="3d")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of nilearn, on arguments that it will rename
                plotting.plot_surf(
                    [coordinates, faces],
                    surf_map=shown,
                    bg_map=depth,
                    bg_on_data=depth is not None,
                    hemi=side,
                    view=view,
                    cmap=DIVERGING,
                    vmin=-largest,
                    vmax=largest,
                    colorbar=False,
                    axes=inset,
                )
            inset.set_title(f"{side}, {view}")
    plot_scale(axes, largest, (0.86, 0.25, 0.025, 0.5))
    return axes


def _surfaces(mesh: Any, n_values: int) -> list[tuple[str, NDArray, NDArray, NDArray | None]]:
    """Side, coordinates and faces of each hemisphere of a map, and the depth of its sulci if it is known."""
    if mesh is None:
        datasets = optional("nilearn.datasets", "A surface map")
        inflated = datasets.load_fsaverage("fsaverage5")["inflated"]
        depths = datasets.load_fsaverage_data(mesh="fsaverage5", data_type="sulcal").data
        surfaces = [
            (side, inflated.parts[side].coordinates, inflated.parts[side].faces, depths.parts[side]) for side in SIDES
        ]
        surfaces = surfaces[:1] if n_values == len(surfaces[0][1]) else surfaces
        words = "fsaverage5, which is drawn without mesh=,"
    else:
        paths = [Path(mesh)] if isinstance(mesh, (str, Path)) else [Path(path) for path in mesh]
        if not 1 <= len(paths) <= 2:
            raise ValueError(TWO_AT_MOST.format(count=len(paths)))
        sides = ("right",) if len(paths) == 1 and _is_right(paths[0]) else SIDES
        surfaces = [(side, *_surface(path), None) for path, side in zip(paths, sides, strict=False)]
        words = "the surface " + " and ".join(str(path) for path in paths)
    expected = sum(len(coordinates) for _, coordinates, *_ in surfaces)
    if expected != n_values:
        raise ValueError(OTHER_MESH.format(given=n_values, mesh=words, expected=expected))
    return surfaces


def _surface(path: Path) -> tuple[NDArray, NDArray]:
    surface = optional("nilearn.surface", "A surface map")
    with reading(path):
        loaded = surface.load_surf_mesh(str(path))
    return np.asarray(loaded.coordinates), np.asarray(loaded.faces)


def _is_right(path: Path) -> bool:
    return path.name.lower().startswith("rh") or "hemi-R" in path.name
