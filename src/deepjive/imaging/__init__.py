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
    from deepjive.imaging.centiloid import CentiloidRegions, centiloid_table, read_centiloid_regions
    from deepjive.imaging.cohort import Cohort, read_cohort, read_cohort_table
    from deepjive.imaging.grid import Grid, millilitres, mni_grid, resampled, sphere_distance, template
    from deepjive.imaging.preprocessing.cohort import preprocess_cohort
    from deepjive.imaging.preprocessing.engines import Engine, engine_of
    from deepjive.imaging.preprocessing.subject import Outcome, PreprocessingSettings, Subject, preprocess_subject
    from deepjive.imaging.regions import REFERENCES, cerebellum, reference_region
    from deepjive.imaging.shifts import Displacement, displacement
    from deepjive.imaging.tracers import TRACERS, Tracer, centiloids, tracer_name
    from deepjive.imaging.volumes import VolumeRows, on_grid, save_volume, volume_of

__all__ = [
    "LAYOUTS",
    "REFERENCES",
    "TRACERS",
    "CentiloidRegions",
    "Cohort",
    "Displacement",
    "Engine",
    "Grid",
    "Layout",
    "Outcome",
    "PreprocessingSettings",
    "Problem",
    "Scans",
    "Subject",
    "Tracer",
    "VolumeRows",
    "centiloid_table",
    "centiloids",
    "cerebellum",
    "displacement",
    "engine_of",
    "entities",
    "find_scans",
    "millilitres",
    "mni_grid",
    "on_grid",
    "preprocess_cohort",
    "preprocess_subject",
    "read_centiloid_regions",
    "read_cohort",
    "read_cohort_table",
    "reference_region",
    "resampled",
    "save_volume",
    "sphere_distance",
    "template",
    "tracer_name",
    "volume_of",
]

_MODULES = {
    "CentiloidRegions": "deepjive.imaging.centiloid",
    "Cohort": "deepjive.imaging.cohort",
    "Displacement": "deepjive.imaging.shifts",
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
    "TRACERS": "deepjive.imaging.tracers",
    "Tracer": "deepjive.imaging.tracers",
    "VolumeRows": "deepjive.imaging.volumes",
    "centiloid_table": "deepjive.imaging.centiloid",
    "centiloids": "deepjive.imaging.tracers",
    "cerebellum": "deepjive.imaging.regions",
    "displacement": "deepjive.imaging.shifts",
    "engine_of": "deepjive.imaging.preprocessing.engines",
    "entities": "deepjive.imaging.bids",
    "find_scans": "deepjive.imaging.bids",
    "millilitres": "deepjive.imaging.grid",
    "mni_grid": "deepjive.imaging.grid",
    "on_grid": "deepjive.imaging.volumes",
    "preprocess_cohort": "deepjive.imaging.preprocessing.cohort",
    "preprocess_subject": "deepjive.imaging.preprocessing.subject",
    "read_centiloid_regions": "deepjive.imaging.centiloid",
    "read_cohort": "deepjive.imaging.cohort",
    "read_cohort_table": "deepjive.imaging.cohort",
    "reference_region": "deepjive.imaging.regions",
    "resampled": "deepjive.imaging.grid",
    "save_volume": "deepjive.imaging.volumes",
    "sphere_distance": "deepjive.imaging.grid",
    "template": "deepjive.imaging.grid",
    "tracer_name": "deepjive.imaging.tracers",
    "volume_of": "deepjive.imaging.volumes",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
