"""The interface of the preprocessing engines, and the engines by name.

The T1 steps of an engine write the files ``grey`` (probability of grey matter in native space), ``grey_mni``,
``modulated_mni`` and ``t1_mni`` (on any grid in MNI space). The PET steps write ``pet_mni``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from deepjive.imaging.preprocessing.ants import AntsEngine
from deepjive.imaging.preprocessing.protocol import Step
from deepjive.imaging.preprocessing.spm import SpmEngine


class Engine(Protocol):
    """An engine registers and segments scans with one external program."""

    @property
    def name(self) -> str:
        """Name of the engine."""

    @property
    def space(self) -> str:
        """BIDS name of the engine's MNI space."""

    @property
    def transforms(self) -> tuple[str, ...]:
        """Names of the files that hold transforms."""

    @property
    def essential(self) -> tuple[str, ...]:
        """Names of the versions that matter: if one of them changes, the maps are made again."""

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the programs and libraries; raise if one is not installed."""

    def t1_steps(self, voxel: float, seed: int) -> list[Step]:
        """Return the steps from the T1 to grey matter."""

    def pet_steps(self, voxel: float, seed: int) -> list[Step]:
        """Return the steps from the PET to uptake in MNI space."""


ENGINES: dict[str, Callable[..., Engine]] = {"ants": AntsEngine, "spm": SpmEngine}


def engine_of(name: str, **settings: Any) -> Engine:
    """Return an engine by name.

    Parameters
    ----------
    name : {"ants", "spm"}
        The engine.
    **settings
        Keyword arguments of the engine, such as `command` and `folder` of `SpmEngine`.

    Returns
    -------
    Engine

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if name not in ENGINES:
        raise ValueError(f"engine is {name!r}, but must be one of {sorted(ENGINES)}.")
    return ENGINES[name](**settings)
