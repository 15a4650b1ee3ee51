"""What the figures of brain maps show: significant effects, and their units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def significant_effect(effect: NDArray, q_value: NDArray, level: float = 0.05) -> NDArray:
    """The effect where its q-value is below the level, and 0 elsewhere."""
    return np.where(q_value < level, effect, 0.0)


def units_of(names: Sequence[str]) -> dict[str, str]:
    """The unit of the map of each modality."""
    units = {"mri": "grey matter per sd", **dict.fromkeys(("pet", "amyloid", "tau", "fdg"), "SUVR per sd")}
    return {name: units.get(name, "per sd") for name in names}
