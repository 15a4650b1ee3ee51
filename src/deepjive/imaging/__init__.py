"""Brain images: standard grids, cohorts read from folders and tables, and preprocessing of T1 and PET.

>>> from deepjive.imaging import mni_grid
>>> mni_grid(6.0).shape
(26, 33, 27)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepjive._lazy import front_door

if TYPE_CHECKING:
    from deepjive.imaging.bids import LAYOUTS, Layout, Problem, Scans, entities, find_scans
    from deepjive.imaging.cohort import Cohort, read_cohort, read_cohort_table
    from deepjive.imaging.grid import Grid, millilitres, mni_grid, resampled, sphere_distance, template
    from deepjive.imaging.preprocessing.cohort import preprocess_cohort
    from deepjive.imaging.preprocessing.engines import Engine, engine_of
    from deepjive.imaging.preprocessing.subject import Outcome, PreprocessingSettings, Subject, preprocess_subject
    from deepjive.imaging.regions import REFERENCES, cerebellum, reference_region
    from deepjive.imaging.volumes import VolumeRows, on_grid, save_volume, volume_of

__all__ = [
    "LAYOUTS",
    "REFERENCES",
    "Cohort",
    "Engine",
    "Grid",
    "Layout",
    "Outcome",
    "PreprocessingSettings",
    "Problem",
    "Scans",
    "Subject",
    "VolumeRows",
    "cerebellum",
    "engine_of",
    "entities",
    "find_scans",
    "millilitres",
    "mni_grid",
    "on_grid",
    "preprocess_cohort",
    "preprocess_subject",
    "read_cohort",
    "read_cohort_table",
    "reference_region",
    "resampled",
    "save_volume",
    "sphere_distance",
    "template",
    "volume_of",
]

_MODULES = {
    "Cohort": "deepjive.imaging.cohort",
    "Engine": "deepjive.imaging.preprocessing.engines",
    "Grid": "deepjive.imaging.grid",
    "LAYOUTS": "deepjive.imaging.bids",
    "Layout": "deepjive.imaging.bids",
    "Outcome": "deepjive.imaging.preprocessing.subject",
    "PreprocessingSettings": "deepjive.imaging.preprocessing.subject",
    "Problem": "deepjive.imaging.bids",
    "REFERENCES": "deepjive.imaging.regions",
    "Scans": "deepjive.imaging.bids",
    "Subject": "deepjive.imaging.preprocessing.subject",
    "VolumeRows": "deepjive.imaging.volumes",
    "cerebellum": "deepjive.imaging.regions",
    "engine_of": "deepjive.imaging.preprocessing.engines",
    "entities": "deepjive.imaging.bids",
    "find_scans": "deepjive.imaging.bids",
    "millilitres": "deepjive.imaging.grid",
    "mni_grid": "deepjive.imaging.grid",
    "on_grid": "deepjive.imaging.volumes",
    "preprocess_cohort": "deepjive.imaging.preprocessing.cohort",
    "preprocess_subject": "deepjive.imaging.preprocessing.subject",
    "read_cohort": "deepjive.imaging.cohort",
    "read_cohort_table": "deepjive.imaging.cohort",
    "reference_region": "deepjive.imaging.regions",
    "resampled": "deepjive.imaging.grid",
    "save_volume": "deepjive.imaging.volumes",
    "sphere_distance": "deepjive.imaging.grid",
    "template": "deepjive.imaging.grid",
    "volume_of": "deepjive.imaging.volumes",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
