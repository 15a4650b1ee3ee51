"""An interactive viewer of a brain map: nilearn's brainsprite viewer, in an isolated frame of the page.

The frame holds nilearn's page as text (``srcdoc``). Its sandbox allows scripts but gives them a separate origin. The
page's policy names the hash of each script, so that only nilearn's scripts run in the frame and nothing is loaded from
a network. The user's text is never in the frame: headings are outside it, on the page.
"""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import optional
from deepjive.imaging.grid import Grid

SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)
ICON = re.compile(r"<link[^>]*>", re.DOTALL)
IDENTIFIER = re.compile(r"(?<=-)[0-9a-f]{32}(?=\")")
BACKGROUND_MM = 3
MIDDLE = (0, -18, 12)  # mm; where nothing is to be seen, nilearn would look outside of the brain
OWN_STYLE = (
    "<style>:root{color-scheme:light dark}body{margin:0;background:transparent;color:CanvasText;"
    "font:14px system-ui,sans-serif}canvas{display:block;max-width:100%}.hidden{display:none}p{margin:.3rem 0}"
    "input{flex:1;max-width:16rem}</style></head>"
)


class Viewer(NamedTuple):
    """A map in an interactive viewer.

    Attributes
    ----------
    heading, reading : str
        Heading of the viewer, and how to use it.
    content : str
        HTML page inside the frame.
    ratio : float
        Its width over its height, without the line of controls.
    """

    heading: str
    content: str
    ratio: float
    reading: str


def viewer(heading: str, values: NDArray, grid: Grid, reading: str) -> Viewer:
    """A viewer of one map over the MNI152 template, coloured alike above and below 0.

    Parameters
    ----------
    heading : str
        Name and unit of the map.
    values : array, shape ``grid.shape``
        The map, 0 where there is nothing to show.
    grid : Grid
        Grid of the voxels.
    reading : str
        How to read and use it.

    Raises
    ------
    deepjive.data.readers.guard.MissingExtraError
        Without nilearn (extra ``imaging``).
    """
    nibabel, plotting = optional("nibabel", "Brain maps"), optional("nilearn.plotting", "Brain maps")
    datasets = optional("nilearn.datasets", "Brain maps")
    size = np.abs(values[values != 0])
    image = nibabel.Nifti1Image(np.asarray(values, np.float32), grid.affine)
    template = datasets.load_mni152_template(resolution=BACKGROUND_MM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        view = plotting.view_img(
            image,
            bg_img=template,
            cut_coords=None if size.size else MIDDLE,
            threshold=1e-9,
            cmap="RdBu_r",
            vmax=float(np.quantile(size, 0.995)) if size.size else 1.0,
            symmetric_cmap=True,
            black_bg=True,
            resampling_interpolation="nearest",
        )
    content = ICON.sub("", view.get_standalone()).replace("</head>", OWN_STYLE, 1)
    content = IDENTIFIER.sub("map", content)  # drawn at random: without it the same map gives the same page
    x, y, z = template.shape  # a sagittal, a coronal and an axial slice side by side, and a tenth for coordinates
    return Viewer(heading, content, (y + 2 * x) / (1.1 * max(y, z)), reading)


def script_hashes(content: str) -> list[str]:
    """Hashes of a page's scripts, as a content security policy names them.

    Examples
    --------
    >>> script_hashes("<p>text</p><script>1</script>")
    ['sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=']
    """
    found = SCRIPT.findall(content)
    return [f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in found]
