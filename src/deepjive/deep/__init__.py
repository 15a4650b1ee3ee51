"""Deep models: joint and individual variation by autoencoders.

torch is imported only when a model is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepjive.deep.baseline import SeparateAutoencoders
    from deepjive.deep.diagnostics import Finding
    from deepjive.deep.estimator import DeepJIVE
    from deepjive.deep.exporting import export
    from deepjive.deep.geometry.rank_selection import RankSelection, select_ranks
    from deepjive.deep.runtime.settings import Runtime
    from deepjive.deep.training.checkpoint import CheckpointError
    from deepjive.deep.training.training import TrainingError

__all__ = [
    "CheckpointError",
    "DeepJIVE",
    "Finding",
    "RankSelection",
    "Runtime",
    "SeparateAutoencoders",
    "TrainingError",
    "export",
    "select_ranks",
]

_MODULES = {
    "CheckpointError": "deepjive.deep.training.checkpoint",
    "DeepJIVE": "deepjive.deep.estimator",
    "Finding": "deepjive.deep.diagnostics",
    "RankSelection": "deepjive.deep.geometry.rank_selection",
    "Runtime": "deepjive.deep.runtime.settings",
    "SeparateAutoencoders": "deepjive.deep.baseline",
    "TrainingError": "deepjive.deep.training.training",
    "export": "deepjive.deep.exporting",
    "select_ranks": "deepjive.deep.geometry.rank_selection",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'deepjive.deep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
