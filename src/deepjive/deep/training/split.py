"""Split of the samples into training and validation samples, by whole participants."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepjive.data.groups import members_of, rows_of
from deepjive.data.modalities import Modalities
from deepjive.deep.runtime.distributed import processes

TOO_FEW_TO_LEARN = (
    "validation_fraction is {given}, which holds {held_out} of {n} samples out for validation and leaves {left} to "
    "learn from, but at least {needed} are needed. Use a smaller validation_fraction, such as 0.1."
)
TOO_FEW_PARTICIPANTS = (
    "The {n} samples are of {participants} participants, of whom {held_out} would be held out for validation with all "
    "their samples. That leaves {left} samples to learn from. Take more participants, or build the data without groups."
)


def held_out_of(n: int, fraction: float) -> int:
    """Return the number of validation samples: a fraction of `n`, at least two.

    Raises
    ------
    ValueError
        If fewer samples are left than there are processes, or fewer than two.
    """
    held_out, needed = max(2, round(n * fraction)), max(2, processes())
    if n - held_out < needed:
        given = {"given": fraction, "n": n, "held_out": held_out, "left": n - held_out}
        raise ValueError(TOO_FEW_TO_LEARN.format(needed=needed, **given))
    return held_out


def split(data: Modalities, held_out: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the rows of the training samples and of the validation samples.

    Parameters
    ----------
    data : Modalities
        The samples. Samples that lack the same modalities are split in the same proportion.
    held_out : int
        Intended number of validation samples. Participants are held out one after another as long as each brings the
        number of held-out samples nearer to it. If none does, the participant with the fewest samples is held out.
    generator : torch.Generator
        Random generator that draws the participants.

    Raises
    ------
    ValueError
        If no participant, or too few samples, are left for training.
    """
    members = sorted(members_of(len(data), data.groups), key=lambda rows: int(rows[0]))
    n = len(members)
    count = max(1, round(held_out * n / len(data)))
    order = torch.randperm(n, generator=generator)
    if not data.present.all():
        lacking = data.present[[rows[0] for rows in members]]
        patterns = torch.from_numpy(np.unique(lacking, axis=0, return_inverse=True)[1])
        alike = order[patterns[order].argsort(stable=True)]
        chosen = torch.zeros(n, dtype=torch.bool)
        chosen[(torch.arange(count) + 0.5).mul(n / count).long()] = True
        order = torch.cat([alike[chosen], alike[~chosen]])
    taken: list[NDArray[np.intp]] = []
    rest: list[NDArray[np.intp]] = []
    total = 0
    for rows in (members[i] for i in order.tolist()):
        nearer = total + len(rows) - held_out <= held_out - total
        (taken if nearer else rest).append(rows)
        total += len(rows) if nearer else 0
    if not taken:
        taken = [rest.pop(min(range(n), key=lambda i: len(rest[i])))]
    held, learned = rows_of(taken), rows_of(rest)
    if len(learned) < max(2, processes()):
        raise ValueError(
            TOO_FEW_PARTICIPANTS.format(n=len(data), participants=n, held_out=len(taken), left=len(learned))
        )
    return torch.from_numpy(learned), torch.from_numpy(held)
