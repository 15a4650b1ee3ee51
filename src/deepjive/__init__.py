"""deepjive: joint and individual variation in multimodal data.

>>> import numpy as np
>>> import deepjive as dj
>>> rng = np.random.default_rng(0)
>>> shared = rng.normal(size=(100, 1))
>>> data = dj.Modalities({name: shared @ rng.normal(size=(1, 8)) + rng.normal(size=(100, 8)) for name in "ab"})
>>> len(data), data.names
(100, ('a', 'b'))

A module is imported when one of its names is first used, torch only for a deep model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import deepjive.plot as plot
from deepjive._lazy import front_door
from deepjive._version import __version__

if TYPE_CHECKING:
    from deepjive.data.modalities import Modalities
    from deepjive.decomposition import Decomposition
    from deepjive.deep.baseline import SeparateAutoencoders
    from deepjive.deep.estimator import DeepJIVE
    from deepjive.deep.runtime.settings import Runtime
    from deepjive.linear.ajive import AJIVE
    from deepjive.linear.bootstrap_intervals import bootstrap
    from deepjive.linear.heterojive import HeteroJIVE
    from deepjive.linear.jive import JIVE
    from deepjive.linear.missing import fill_missing
    from deepjive.linear.permutation import jackstraw, permutation_test
    from deepjive.persistence import load

__all__ = [
    "AJIVE",
    "JIVE",
    "Decomposition",
    "DeepJIVE",
    "HeteroJIVE",
    "Modalities",
    "Runtime",
    "SeparateAutoencoders",
    "__version__",
    "bootstrap",
    "fill_missing",
    "jackstraw",
    "load",
    "permutation_test",
    "plot",
]

_MODULES = {
    "AJIVE": "deepjive.linear.ajive",
    "Decomposition": "deepjive.decomposition",
    "JIVE": "deepjive.linear.jive",
    "HeteroJIVE": "deepjive.linear.heterojive",
    "DeepJIVE": "deepjive.deep.estimator",
    "Modalities": "deepjive.data.modalities",
    "Runtime": "deepjive.deep.runtime.settings",
    "SeparateAutoencoders": "deepjive.deep.baseline",
    "bootstrap": "deepjive.linear.bootstrap_intervals",
    "fill_missing": "deepjive.linear.missing",
    "jackstraw": "deepjive.linear.permutation",
    "load": "deepjive.persistence",
    "permutation_test": "deepjive.linear.permutation",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
