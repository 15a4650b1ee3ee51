"""What is decided before training: the same in all processes and after a restart from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from numpy.typing import NDArray


@dataclass(frozen=True)
class Plan:
    """Decisions that training starts from.

    Attributes
    ----------
    seed : int
        Seed of all random numbers of the fit.
    joint_rank : int
        Number of joint scores.
    individual_ranks : dict of str to int
        Number of individual scores of each modality.
    rank_table : dict of str to list
        R2 of each number of scores that was tried; empty where the ranks were given.
    rank_reason : str
        The choice of ranks in words.
    mean : dict of str to array
        Mean of each modality, in data units.
    scale : dict of str to float
        Scale of each modality, in data units.
    networks : dict of str to str
        Kind of network that "auto" stands for, of each modality.
    coordinates : list of str or None, default=None
        Names of the modalities that are trained in coordinates of the span of their samples; None before that is
        decided.
    """

    seed: int
    joint_rank: int
    individual_ranks: dict[str, int]
    rank_table: dict[str, list[Any]]
    rank_reason: str
    mean: dict[str, NDArray]
    scale: dict[str, float]
    networks: dict[str, Any]
    coordinates: list[str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The plan as numbers, text and arrays, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """The plan that `as_dict` gave."""
        return cls(**saved)
