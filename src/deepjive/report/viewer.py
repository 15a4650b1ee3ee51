"""An interactive viewer of a brain map: nilearn's viewer (brainsprite) in a sandboxed frame of the page.

The frame holds nilearn's page as text (``srcdoc``). The sandbox allows scripts, but isolates them from the page. The
policy of the page lists the hashes of nilearn's scripts, so no other script can run in the frame, and nothing is loaded
from a network. The frame has no text of the user; headings are outside the frame.
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
MIDDLE = (0, -18, 12)  # mm; for an empty map, nilearn would choose slices outside the brain
OWN_STYLE = (
    "<style>:root{color-scheme:light dark}body{margin:0;background:transparent;color:CanvasText;"
    "font:14px system-ui,sans-serif}canvas{display:block;max-width:100%}.hidden{display:none}p{margin:.3rem 0}"
    "input{flex:1;max-width:16rem}</style></head>"
)


class Viewer(NamedTuple):
    """An interactive brain map.

    Attributes
    ----------
    heading : str
        Heading of the map.
    content : str
        HTML of the frame.
    ratio : float
        Width of the frame divided by its height, without the line of controls.
    reading : str
        How to use the viewer.
    """

    heading: str
    content: str
    ratio: float
    reading: str


def viewer(heading: str, values: NDArray, grid: Grid, reading: str) -> Viewer:
    """Return a viewer of one map over the MNI152 template, with a colour scale that is symmetric around 0.

    Parameters
    ----------
    heading : str
        Heading of the map, with its unit.
    values : array, shape ``grid.shape``
        The map; voxels with 0 are transparent.
    grid : Grid
        The grid of the map.
    reading : str
        How to read and use the viewer.

    Returns
    -------
    Viewer

    Raises
    ------
    deepjive.data.readers.guard.MissingExtraError
        Without nilearn (extra ``imaging``).
    """
    nibabel, plotting = optional("nibabel", "Brain maps"), optional("nilearn.plotting", "Brain maps")
    datasets = optional("nilearn.datasets", "Brain maps")
    magnitudes = np.abs(values[values != 0])
    image = nibabel.Nifti1Image(np.asarray(values, np.float32), grid.affine)
    template = datasets.load_mni152_template(resolution=BACKGROUND_MM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        view = plotting.view_img(
            image,
            bg_img=template,
            cut_coords=None if magnitudes.size else MIDDLE,
            threshold=1e-9,
            cmap="RdBu_r",
            vmax=float(np.quantile(magnitudes, 0.995)) if magnitudes.size else 1.0,
            symmetric_cmap=True,
            black_bg=True,
            resampling_interpolation="nearest",
        )
    content = ICON.sub("", view.get_standalone()).replace("</head>", OWN_STYLE, 1)
    content = IDENTIFIER.sub("map", content)  # a random name, without which the page is reproducible
    x, y, z = template.shape  # a sagittal, a coronal and an axial slice side by side, and a tenth for coordinates
    return Viewer(heading, content, (y + 2 * x) / (1.1 * max(y, z)), reading)


def script_hashes(content: str) -> list[str]:
    """Return the hashes of the scripts of a page in the format of a content security policy.

    Examples
    --------
    >>> script_hashes("<p>text</p><script>1</script>")
    ['sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=']
    """
    scripts = SCRIPT.findall(content)
    return [f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in scripts]
