"""Deep models: joint and individual variation by autoencoders.

torch is imported only when a model is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepjive._lazy import front_door

if TYPE_CHECKING:
    from deepjive.deep.baseline import SeparateAutoencoders
    from deepjive.deep.estimator import DeepJIVE
    from deepjive.deep.exporting import export, export_onnx
    from deepjive.deep.geometry.rank_selection import RankSelection, select_ranks
    from deepjive.deep.runtime.settings import Runtime
    from deepjive.deep.training.checkpoint import CheckpointError
    from deepjive.deep.training.training import TrainingError
    from deepjive.results import Finding

__all__ = [
    "CheckpointError",
    "DeepJIVE",
    "Finding",
    "RankSelection",
    "Runtime",
    "SeparateAutoencoders",
    "TrainingError",
    "export",
    "export_onnx",
    "select_ranks",
]

_MODULES = {
    "CheckpointError": "deepjive.deep.training.checkpoint",
    "DeepJIVE": "deepjive.deep.estimator",
    "Finding": "deepjive.results",
    "RankSelection": "deepjive.deep.geometry.rank_selection",
    "Runtime": "deepjive.deep.runtime.settings",
    "SeparateAutoencoders": "deepjive.deep.baseline",
    "TrainingError": "deepjive.deep.training.training",
    "export": "deepjive.deep.exporting",
    "export_onnx": "deepjive.deep.exporting",
    "select_ranks": "deepjive.deep.geometry.rank_selection",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
