"""A page with slices of all preprocessed participants; failed and flagged participants come first."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from deepjive.imaging.grid import mni_grid, template
from deepjive.imaging.preprocessing.quality import LIMITS, largest_deviations
from deepjive.report.pieces import Table, rendered, write_page

SLICES = ((0, -4.0), (1, -20.0), (2, -28.0), (2, 8.0), (2, 38.0))
MAGNIFIED = 2
OUTLINES = {"t1": (255, 150, 60), "suvr": (120, 225, 255)}
HIGHEST_RATIO = 2.5
LEAD = (
    "{n} participants, of which {flagged} are flagged and {failed} failed. Each strip shows slices at x = -4, y = -20 "
    "and z = -28, 8 and 38 mm. The line is the border of the template's white matter. The white matter of the "
    "participant must follow it."
)
READ = {
    "t1": "T1 in MNI space",
    "grey": "Grey matter, modulated",
    "suvr": f"Uptake ratio, from 0 (black) to {HIGHEST_RATIO:g} (white)",
}
TABLE = (
    "Only processed participants. A measure is flagged if it exceeds its limit, or if it is an outlier among at least "
    "eight participants."
)
DEVIATION = "furthest from the median: {name}, {deviation:.1f} robust standard deviations"
LIMIT_TABLE = "The limits are wide defaults of the library. Its documentation explains how each measure is computed."


class Strip(NamedTuple):
    """A picture of one map: its caption, and a PNG as a data URL."""

    caption: str
    address: str


class Shown(NamedTuple):
    """A participant on the page.

    Attributes
    ----------
    name : str
        Participant and session.
    remarks : sequence of str
        Failures and flags.
    failed : bool
        Whether preprocessing failed.
    figures : mapping of str to float
        Quality measures.
    strips : sequence of Strip
        Pictures of the maps.
    """

    name: str
    remarks: Sequence[str]
    failed: bool
    figures: Mapping[str, float]
    strips: Sequence[Strip]


def write_quality(
    path: str | Path, subjects: Sequence[Shown], *, protocol: Sequence[Sequence[str]], command: str
) -> Path:
    """Write the page, one self-contained HTML file.

    Parameters
    ----------
    path : path
        The file.
    subjects : sequence of Shown
        All participants. Failed and flagged participants are shown first, and of these the ones that are furthest from
        the median of the participants. On the page they can be sorted, marked, and saved as a table of decisions.
    protocol : sequence of (step, parameters, seconds)
        The steps.
    command : str
        The command that makes the maps again.

    Returns
    -------
    Path
        The file.
    """
    names = list(dict.fromkeys(name for subject in subjects for name in subject.figures))
    deviations = dict(
        zip((subject.name for subject in subjects), largest_deviations([s.figures for s in subjects]), strict=True)
    )
    rows = [(subject.name, *(_number(subject.figures.get(name)) for name in names)) for subject in subjects]
    flagged = sum(bool(subject.remarks) and not subject.failed for subject in subjects)
    failed = sum(subject.failed for subject in subjects)
    content = rendered(
        "quality.html",
        scripts=("quality.js",),
        title="Preprocessed scans",
        lead=LEAD.format(n=len(subjects), flagged=flagged, failed=failed),
        subjects=sorted(
            subjects, key=lambda subject: (not subject.failed, not subject.remarks, -deviations[subject.name][0])
        ),
        states={subject.name: _state(subject) for subject in subjects},
        deviations=deviations,
        deviation_words=DEVIATION,
        figures=Table("Quality measures", ("subject", *names), rows, TABLE) if names else None,
        limits=Table(
            "Limits",
            ("figure", "lowest", "highest", "beyond them"),
            [(name, f"{low:g}", f"{high:g}", meaning) for name, (low, high, meaning) in LIMITS.items()],
            LIMIT_TABLE,
        ),
        protocol=Table("Steps", ("step", "parameters", "CPU seconds, median"), protocol),
        command=command,
    )
    return write_page(path, content)


def strip(values: NDArray, kind: str, voxel: float) -> Strip:
    """Return slices of a map side by side, as a PNG in a data URL.

    Parameters
    ----------
    values : array, shape (x, y, z)
        The map on the standard grid.
    kind : {"t1", "grey", "suvr"}
        Kind of the map, which determines its scale and colours.
    voxel : float
        Edge of a voxel in mm.

    Returns
    -------
    Strip
    """
    highest = {"suvr": HIGHEST_RATIO, "grey": 1.0}.get(kind) or float(np.percentile(values[values > 0], 99.5))
    colormap = colormaps["inferno" if kind == "suvr" else "gray"]
    white = template("white", voxel) > 0.5
    border = np.zeros_like(white) if kind == "grey" else white
    origin = mni_grid(voxel).affine[:3, 3]
    tiles = []
    for axis, position in SLICES:
        number = round((position - origin[axis]) / voxel)
        tile = _upright(np.take(values, number, axis)).repeat(MAGNIFIED, 0).repeat(MAGNIFIED, 1)
        edge = _upright(np.take(border, number, axis)).repeat(MAGNIFIED, 0).repeat(MAGNIFIED, 1)
        colours = (colormap(np.clip(tile / max(highest, 1e-9), 0.0, 1.0))[..., :3] * 255).astype(np.uint8)
        colours[edge & ~binary_erosion(edge)] = OUTLINES.get(kind, (0, 0, 0))
        tiles.append(colours)
    tallest = max(len(tile) for tile in tiles)
    framed = [np.pad(tile, ((0, tallest - len(tile)), (0, 4), (0, 0))) for tile in tiles]
    return Strip(READ[kind], _address(np.concatenate(framed, axis=1)))


def _state(subject: Shown) -> str:
    return "failed" if subject.failed else "check" if subject.remarks else "good"


def _upright(plane: NDArray) -> NDArray:
    """Return a slice with the front or the top of the head upwards, and left on the left."""
    return plane.T[::-1]


def _address(pixels: NDArray[np.uint8]) -> str:
    """Return an image as a PNG in a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(96, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
