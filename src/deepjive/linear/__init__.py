"""Linear models of joint and individual variation, and inference on their components.

>>> from deepjive.linear import AJIVE, bootstrap
>>> AJIVE(joint_rank=1)
AJIVE(joint_rank=1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepjive._lazy import front_door

if TYPE_CHECKING:
    from deepjive.linear.ajive import AJIVE
    from deepjive.linear.bootstrap_intervals import Intervals, bootstrap
    from deepjive.linear.heterojive import HeteroJIVE
    from deepjive.linear.jive import JIVE
    from deepjive.linear.linear_model import LinearModel
    from deepjive.linear.missing import fill_missing
    from deepjive.linear.permutation import FeatureTest, JointTest, jackstraw, permutation_test

__all__ = [
    "AJIVE",
    "JIVE",
    "FeatureTest",
    "HeteroJIVE",
    "Intervals",
    "JointTest",
    "LinearModel",
    "bootstrap",
    "fill_missing",
    "jackstraw",
    "permutation_test",
]

_MODULES = {
    "AJIVE": "deepjive.linear.ajive",
    "FeatureTest": "deepjive.linear.permutation",
    "HeteroJIVE": "deepjive.linear.heterojive",
    "Intervals": "deepjive.linear.bootstrap_intervals",
    "JIVE": "deepjive.linear.jive",
    "JointTest": "deepjive.linear.permutation",
    "LinearModel": "deepjive.linear.linear_model",
    "bootstrap": "deepjive.linear.bootstrap_intervals",
    "fill_missing": "deepjive.linear.missing",
    "jackstraw": "deepjive.linear.permutation",
    "permutation_test": "deepjive.linear.permutation",
}

__getattr__, __dir__ = front_door(__name__, _MODULES, __all__)
