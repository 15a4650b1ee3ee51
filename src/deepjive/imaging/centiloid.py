"""Centiloids of amyloid PET in MNI space, from the standard regions of the Centiloid project.

    SUVR = mean uptake in the cortical region / mean uptake in the whole cerebellum          CL = slope SUVR + intercept

The regions may not be distributed with the library: download them (``voi_ctx_2mm.nii`` and ``voi_WhlCbl_2mm.nii``) from
the web site of the Centiloid project and name their folder. The regions lie in SPM's MNI space. The reference region of
a map of SUVR makes no difference, because the ratio of two regions is measured again.

References
----------
Klunk et al. 2015, Alzheimers Dement 11:1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepjive.data.readers.volumes import image_shape, image_values, is_image
from deepjive.imaging.bids import Problem, entities
from deepjive.imaging.grid import Grid, resampled
from deepjive.imaging.tracers import centiloids, tracer_name
from deepjive.imaging.volumes import volume_of

NAMES = {"cortex": ("voi_ctx",), "cerebellum": ("voi_whlcbl",)}
LEAST_COVERED = 0.9

NO_REGION = (
    "{folder} has no file {name}*.nii or {name}*.nii.gz, the Centiloid project's region of the {region}. Download the "
    "standard regions from the project's web site and name their folder."
)
SEVERAL_REGIONS = "{folder} has several files of the {region}: {files}. Keep one of them, e.g. the one of 2 mm."
OTHER_GRID = "{path} is on another grid than {other}. Use two files of the same voxel size."
NOT_COVERED = (
    "only {covered:.0%} of the region of the {region} has uptake. The image is not in SPM's MNI space, or its mask "
    "cuts the region"
)
NO_TRACER = "its name has no tracer (trc-18FAV45); name the tracer with tracer= (--tracer)"


@dataclass(frozen=True)
class CentiloidRegions:
    """The standard regions of the Centiloid project.

    Attributes
    ----------
    cortex, cerebellum : array of bool, shape ``grid.shape``
        The cortical region, and the whole cerebellum.
    grid : Grid
        Positions of the voxels.
    """

    cortex: NDArray[np.bool_]
    cerebellum: NDArray[np.bool_]
    grid: Grid

    def suvr(self, path: str | Path) -> float:
        """Measure the SUVR of an image.

        Parameters
        ----------
        path : path
            Uptake in any unit, or SUVR over any region, in MNI space.

        Returns
        -------
        float

        Raises
        ------
        FileNotFoundError, UnreadableError
            As ``deepjive.imaging.volume_of``.
        ValueError
            If less than 90% of a region has uptake, or the mean uptake of the cerebellum is not positive.
        """
        path = Path(path)
        image = volume_of(path)
        values = image_values(path, image).reshape(image_shape(image))
        finite = np.isfinite(values)
        return self.suvr_of(np.where(finite, values, 0.0), image.affine)

    def suvr_of(self, volume: NDArray, affine: NDArray) -> float:
        """Measure the SUVR of a volume with an affine from voxels to mm; see `suvr`."""
        uptake = resampled(volume, affine, self.grid)
        means = {}
        for name, region in (("cortex", self.cortex), ("cerebellum", self.cerebellum)):
            inside = uptake[region].astype(np.float64)
            covered = float((inside != 0.0).mean())
            if covered < LEAST_COVERED:
                raise ValueError(NOT_COVERED.format(covered=covered, region=name))
            means[name] = float(inside[inside != 0.0].mean())
        if not means["cerebellum"] > 0.0:
            raise ValueError(f"the mean uptake of the cerebellum is {means['cerebellum']:g}, but must be positive")
        return means["cortex"] / means["cerebellum"]


def read_centiloid_regions(folder: str | Path) -> CentiloidRegions:
    """Read the standard regions of the Centiloid project from a folder.

    Parameters
    ----------
    folder : path
        Folder with one file ``*voi_ctx*`` and one file ``*voi_WhlCbl*`` (``.nii`` or ``.nii.gz``), as the project
        distributes them.

    Returns
    -------
    CentiloidRegions

    Raises
    ------
    FileNotFoundError
        If the folder or a region is missing.
    ValueError
        If there are several files of a region, or the two regions are on different grids.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    paths = {region: _region_file(folder, region, names) for region, names in NAMES.items()}
    images = {region: volume_of(path) for region, path in paths.items()}
    shapes = {region: image_shape(image) for region, image in images.items()}
    same = shapes["cortex"] == shapes["cerebellum"]
    if not same or not np.allclose(images["cortex"].affine, images["cerebellum"].affine, atol=1e-3):
        raise ValueError(OTHER_GRID.format(path=paths["cerebellum"], other=paths["cortex"]))
    x, y, z = shapes["cortex"]
    masks = {region: image_values(paths[region], images[region]).reshape(x, y, z) > 0.5 for region in NAMES}
    return CentiloidRegions(masks["cortex"], masks["cerebellum"], Grid((x, y, z), np.asarray(images["cortex"].affine)))


def centiloid_table(
    paths: Sequence[str | Path], regions: CentiloidRegions, tracer: str | None = None
) -> tuple[pd.DataFrame, list[Problem]]:
    """Measure SUVR and Centiloids of many images.

    Parameters
    ----------
    paths : sequence of path
        Images in MNI space.
    regions : CentiloidRegions
        The standard regions.
    tracer : str, optional
        The tracer of all images. By default it is read from the file names (``trc-18FAV45``).

    Returns
    -------
    table : DataFrame
        `participant_id`, `session_id`, `tracer`, `suvr`, `centiloid` and `path` of each readable image.
    problems : list of Problem
        Images that could not be measured.

    Raises
    ------
    ValueError
        If `tracer` is not known, or has no conversion.
    """
    if tracer is not None:
        centiloids(1.0, tracer)
    rows, problems = [], []
    for path in map(Path, paths):
        known = entities(path)
        subject = "_".join(f"{key}-{known[key]}" for key in ("sub", "ses") if key in known)
        try:
            if tracer is None and "trc" not in known:
                raise ValueError(NO_TRACER)
            name, suvr = tracer_name(tracer or known["trc"]), regions.suvr(path)
            value = float(centiloids(suvr, name))
        except (ValueError, OSError) as error:
            problems.append(Problem(subject, str(path), str(error)))
            continue
        ids = [f"{key}-{known[key]}" if key in known else "" for key in ("sub", "ses")]
        rows.append((*ids, name, suvr, value, str(path)))
    columns = ["participant_id", "session_id", "tracer", "suvr", "centiloid", "path"]
    return pd.DataFrame(rows, columns=columns), problems


def _region_file(folder: Path, region: str, names: Sequence[str]) -> Path:
    files = [path for path in sorted(folder.iterdir()) if is_image(path.name)]
    files = [path for path in files if any(name in path.name.lower() for name in names)]
    if not files:
        wanted = {"voi_ctx": "voi_ctx", "voi_whlcbl": "voi_WhlCbl"}[names[0]]
        raise FileNotFoundError(NO_REGION.format(folder=folder, name=wanted, region=region))
    if len(files) > 1:
        raise ValueError(
            SEVERAL_REGIONS.format(folder=folder, region=region, files=", ".join(path.name for path in files))
        )
    return files[0]
