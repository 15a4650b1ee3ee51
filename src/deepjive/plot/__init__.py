"""Figures of a result. Each function draws on matplotlib axes (``ax``), and returns them.

>>> import deepjive as dj
>>> from matplotlib.figure import Figure
>>> figure = Figure(figsize=(3.5, 1))
>>> axes = dj.plot.variance_explained({"mri": {"joint": 0.5, "individual": 0.2, "residual": 0.3}}, ax=figure.subplots())

Fonts, sizes and the colours of text follow matplotlib's style. matplotlib is imported when a function is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepjive._lazy import front_door

if TYPE_CHECKING:
    from deepjive.plot.brains import brain_map
    from deepjive.plot.features import effects, heatmap, loadings
    from deepjive.plot.fits import agreement, stability, training
    from deepjive.plot.pictures import examples
    from deepjive.plot.ranks import ajive_bounds, prediction_by_rank
    from deepjive.plot.regions import region_map
    from deepjive.plot.scatter import scores, umap
    from deepjive.plot.surfaces import surface_map
    from deepjive.plot.variance import variance_explained

__all__ = [
    "agreement",
    "ajive_bounds",
    "brain_map",
    "effects",
    "examples",
    "heatmap",
    "loadings",
    "prediction_by_rank",
    "region_map",
    "scores",
    "stability",
    "surface_map",
    "training",
    "umap",
    "variance_explained",
]

_MODULES = {
    "agreement": "deepjive.plot.fits",
    "ajive_bounds": "deepjive.plot.ranks",
    "brain_map": "deepjive.plot.brains",
    "effects": "deepjive.plot.features",
    "examples": "deepjive.plot.pictures",
    "heatmap": "deepjive.plot.features",
    "loadings": "deepjive.plot.features",
    "prediction_by_rank": "deepjive.plot.ranks",
    "region_map": "deepjive.plot.regions",
    "scores": "deepjive.plot.scatter",
    "stability": "deepjive.plot.fits",
    "surface_map": "deepjive.plot.surfaces",
    "training": "deepjive.plot.fits",
    "umap": "deepjive.plot.scatter",
    "variance_explained": "deepjive.plot.variance",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
