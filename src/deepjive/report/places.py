"""Pictures of the effects of scores where they are: on the cortex for maps on surfaces, on a glass brain for regions.

Maps on a surface are drawn on fsaverage5, which the library has, if they have its vertices. For other surfaces the page
says what to give. Tables of regions are drawn if at least half of their features are regions whose centres are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepjive.data.readers.surfaces import SurfaceRows
from deepjive.data.readers.volumes import ImageRows
from deepjive.decomposition import Decomposition
from deepjive.plot.brains import effect_of
from deepjive.plot.regions import LEAST_PLACED, placed_regions, region_map
from deepjive.plot.surfaces import surface_map
from deepjive.report.pieces import Picture, picture
from deepjive.report.style import WIDTH, new_figure

ONE_SIDE, MOST_SCORES, DOTS = 10242, 2, 200
FEWEST_REGIONS = 4

READ_SURFACE = (
    "How to read it: the change for one standard deviation of the score, in data units, from outside and inside. Red "
    "is more and blue is less. The map is drawn on the inflated fsaverage5, whose vertices it must have."
)
READ_REGIONS = (
    "How to read it: each point is a region, at its centre in MNI space. Its colour is the change for one standard "
    "deviation of the score, in data units: red is more and blue is less. Larger points change more.{others}"
)
OTHERS = " {count} of {n} features have no known centre and are not drawn, such as {example}."
NO_MESH = (
    "The maps have {n} vertices, and the library has the surface of fsaverage5 only (10242 or 20484 vertices). Draw "
    "them on your surface: dj.plot.surface_map(model.decompose(data), {name!r}, mesh=[LEFT, RIGHT]), with one file for "
    "each hemisphere in the order of the values."
)


def place_pictures(decomposition: Decomposition, source: Any) -> list[Picture]:
    """Return the pictures of all modalities of surface maps and of regions.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition.
    source : Modalities
        The data as they were read, which know their files.

    Returns
    -------
    list of Picture
        Without modalities of other kinds, and without nilearn.
    """
    if find_spec("nilearn") is None:
        return []
    arrays, pictures = dict(source.items()), []
    for name in decomposition.data.names:
        if np.prod(decomposition.data.shapes[name]) != decomposition.data.shapes[name][0]:
            continue
        pictures += _of_modality(decomposition, name, _files(arrays[name]))
    return pictures


def _of_modality(decomposition: Decomposition, name: str, files: Any) -> list[Picture]:
    n = decomposition.data.shapes[name][0]
    if isinstance(files, (SurfaceRows, ImageRows)):
        if n not in (ONE_SIDE, 2 * ONE_SIDE):
            return [Picture(name, None, NO_MESH.format(n=n, name=name))]
        return _drawn(decomposition, name, READ_SURFACE, _surface(_is_right(files)))
    features = decomposition.data.features[name]
    rows, _ = placed_regions(features)
    if len(rows) < max(LEAST_PLACED * n, FEWEST_REGIONS) or features is None:
        return []
    missing = [str(features[row]) for row in range(n) if row not in set(rows.tolist())]
    others = OTHERS.format(count=len(missing), n=n, example=missing[0]) if missing else ""
    return _drawn(decomposition, name, READ_REGIONS.format(others=others), _regions)


def _drawn(
    decomposition: Decomposition, name: str, reading: str, draw: Callable[..., NDArray[np.uint8]]
) -> list[Picture]:
    return [
        picture(f"{name}, {part} score {score}", _framed(draw(decomposition, name, part, score)), reading)
        for part, score in _scores(decomposition, name)
    ]


def _scores(decomposition: Decomposition, name: str) -> Iterator[tuple[str, int]]:
    """The first scores of each part of a modality."""
    for part, scores in decomposition.scores_of(name).items():
        for score in range(1, min(scores.shape[1], MOST_SCORES if part == "joint" else 1) + 1):
            yield part, score


def _surface(is_right: bool) -> Callable[..., NDArray[np.uint8]]:
    def draw(decomposition: Decomposition, name: str, part: str, score: int) -> NDArray[np.uint8]:
        effect = effect_of(decomposition, name, part, score).ravel()
        values = np.concatenate([np.zeros(ONE_SIDE), effect]) if is_right else effect
        height = 0.42 * WIDTH if len(values) == ONE_SIDE else 0.8 * WIDTH
        return _pixels(height, lambda axes: surface_map(values, ax=axes))

    return draw


def _regions(decomposition: Decomposition, name: str, part: str, score: int) -> NDArray[np.uint8]:
    return _pixels(0.32 * WIDTH, lambda axes: region_map(decomposition, name, score, part=part, ax=axes))


def _pixels(height: float, draw: Callable[[Any], Any]) -> NDArray[np.uint8]:
    """Draw a figure as pixels; as SVG the triangles of a surface would be megabytes."""
    figure = Figure(figsize=(2 * WIDTH, 2 * height), dpi=DOTS / 2)
    canvas = FigureCanvasAgg(figure)
    draw(figure.add_axes((0.0, 0.0, 1.0, 0.93)))  # titles are above the axes
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _framed(pixels: NDArray[np.uint8]) -> Figure:
    height, width = pixels.shape[:2]
    figure = new_figure(WIDTH * height / width)
    axes = figure.subplots()
    axes.imshow(pixels)
    axes.set_axis_off()
    return figure


def _files(array: Any) -> Any:
    """The reader of files beneath selections and orders of rows."""
    while hasattr(array, "array"):
        array = array.array
    return array


def _is_right(files: Any) -> bool:
    """Whether all maps are of the right hemisphere, by the names of their files."""
    paths = [str(path).rsplit("/", 1)[-1] for path in getattr(files, "paths", getattr(files, "images", [])) if path]
    return bool(paths) and all("hemi-R" in path or path.lower().startswith("rh") or ".rh." in path for path in paths)
