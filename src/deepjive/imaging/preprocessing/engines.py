"""The engines, behind one interface: what they depend on, and their steps.

After its T1 steps an engine's files hold ``grey`` (probability in the subject's own space), ``grey_mni``,
``modulated_mni`` and ``t1_mni`` (on any grid of MNI space); after its PET steps also ``pet_mni``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from deepjive.imaging.preprocessing.ants import AntsEngine
from deepjive.imaging.preprocessing.protocol import Step
from deepjive.imaging.preprocessing.spm import SpmEngine

UNKNOWN_ENGINE = "engine is {given!r}, but must be one of {known}."


class Engine(Protocol):
    """What registers and segments."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def space(self) -> str:
        """BIDS name of its MNI space."""

    @property
    def transforms(self) -> tuple[str, ...]:
        """Names of the files that are transforms to keep."""

    @property
    def essential(self) -> tuple[str, ...]:
        """Versions whose change means that maps are made again."""

    def versions(self) -> Mapping[str, str]:
        """Versions of what is used; fails where it is not installed."""

    def t1_steps(self, voxel: float, seed: int) -> list[Step]:
        """From the T1 to grey matter."""

    def pet_steps(self, voxel: float, seed: int) -> list[Step]:
        """From the PET to uptake in MNI space."""


ENGINES: dict[str, Callable[..., Engine]] = {"ants": AntsEngine, "spm": SpmEngine}


def engine_of(name: str, **settings: Any) -> Engine:
    """An engine by its name.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if name not in ENGINES:
        raise ValueError(UNKNOWN_ENGINE.format(given=name, known=sorted(ENGINES)))
    return ENGINES[name](**settings)
