"""What one process computes on a whole batch and two on their halves, written to a folder to be compared.

Run by torchrun, ``sharing.py FOLDER``, or by `as_torchrun`; also imported, for one process. ``sharing.py FOLDER die``
starts its second process itself, which is killed in the third epoch.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepjive import DeepJIVE, Modalities
from deepjive.datasets import make_synthetic
from deepjive.deep.constraints.orthogonality import Adversary
from deepjive.deep.runtime.distributed import as_in_first, number, processes
from deepjive.deep.runtime.launch import launched
from deepjive.deep.runtime.settings import Runtime
from deepjive.deep.training import checkpoint, training
from deepjive.deep.training.batches import Batches, Scaling
from deepjive.deep.training.objective import PublishedPhase, RefinementPhase
from deepjive.deep.training.settings import Job, TrainingSettings
from deepjive.deep.training.steps import EagerSteps
from deepjive.deep.training.training import evaluate, rows_of_process

IDENTITIES = ("explicit", "exchange", "merged")
SETTINGS = ("closed_form", "regression", "adversary"), ("joint_first", "published")
CASES = [
    *itertools.product(IDENTITIES, *SETTINGS, ("complete",)),
    *itertools.product(IDENTITIES[:2], *SETTINGS, ("gaps",)),
]
BATCH = 96


def data() -> Modalities:
    return make_synthetic(200, (14, 9), noise=0.3, random_state=3).data


def data_with_gaps() -> Modalities:
    """Three modalities, of which the two halves of a batch lack unequal shares."""
    complete = make_synthetic(200, (14, 9, 6), noise=0.3, random_state=3).data
    present = np.random.default_rng(0).random((200, 3)) > 0.4
    present[:48] |= np.random.default_rng(1).random((48, 3)) > 0.5
    present[np.flatnonzero(~present.any(axis=1)), 0] = True
    return Modalities(complete, present=present)


def fabric() -> Any:
    return launched("cpu", Runtime())


def gradients(identity: str, orthogonality: str, objective: str, kind: str) -> dict[str, np.ndarray]:
    """Gradients, running moments and validation terms of one step on the first samples."""
    samples = data() if kind == "complete" else data_with_gaps()
    scaling = Scaling.of(samples)
    model = DeepJIVE(
        joint_rank=2,
        individual_ranks=1,
        identity=identity,
        orthogonality=orthogonality,
        objective=objective,
        networks="dense",
    )
    torch.manual_seed(number())  # what begins differently must be made the same
    model._set_up(samples.shapes, scaling, 2, dict.fromkeys(samples.names, 1))
    make = RefinementPhase if objective == "joint_first" else PublishedPhase
    phase = make(model.network_, 1.0, 0.5)
    if isinstance(model.network_.orthogonality, Adversary):
        model.network_.orthogonality.noise = 0.0  # each process draws its own
    phase.progress.fill_(1.0)
    as_in_first(phase)
    torch.manual_seed(0)
    batches = Batches(samples, scaling, torch.device("cpu"))
    phase.eval()
    phase.renew(list(batches(torch.arange(BATCH), BATCH)), list(batches(torch.arange(BATCH, len(samples)), BATCH)))
    module = fabric().setup(phase)
    module.train()
    (batch,) = batches(rows_of_process(torch.arange(BATCH), BATCH), BATCH // processes())
    fabric().backward(module(*batch)["total"])
    found = {name: weight.grad.numpy() for name, weight in phase.named_parameters() if weight.grad is not None}
    found |= {name: buffer.numpy() for name, buffer in phase.named_buffers()}
    phase.eval()
    terms = evaluate(phase, batches, torch.arange(BATCH, len(samples)), 32)
    return found | {name: np.asarray(value) for name, value in terms.items()}


def fit_with_gaps() -> dict[str, np.ndarray]:
    """Scores of a model fitted to samples that lack modalities."""
    samples = data_with_gaps()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = DeepJIVE(
            joint_rank=1, individual_ranks=1, networks="dense", batch_size=40, max_epochs=2, random_state=0
        ).fit(samples)
    parts = model.decompose(samples)
    return {"joint": parts.joint_scores, **parts.individual_scores}


def fit(folder: Path) -> dict[str, np.ndarray]:
    """Scores of a model fitted for a few epochs, with ranks found from the data and a checkpoint kept."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = DeepJIVE(networks="dense", batch_size=40, max_epochs=4, random_state=0).fit(
            data(), resume=folder / "checkpoint"
        )
        drawn = DeepJIVE(joint_rank=1, individual_ranks=0, max_epochs=1).fit(data()).transform(data())
    parts = model.decompose(data())
    told = [str(warning.message) for warning in caught if "max_epochs=4" in str(warning.message)]
    return {"drawn": drawn, "joint": parts.joint_scores, **parts.individual_scores, "warnings": np.asarray(len(told))}


class Normed(nn.Module):
    """An encoder or decoder whose running means are, until the next step, those of the process's own samples."""

    def __init__(self, inputs: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.Linear(8, int(np.prod(shape))))
        self.shape = shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.flatten(1)).view(-1, *self.shape)


def expectations() -> dict[str, np.ndarray]:
    """What each renewal in refinement found, with networks that have buffers of their own."""
    samples, found = data(), []
    networks = (lambda shape, rank: Normed(shape[0], (rank,)), lambda shape, rank: Normed(rank, shape))
    model = DeepJIVE(joint_rank=2, individual_ranks=2, networks=networks, identity="explicit")
    scaling = Scaling.of(samples)
    torch.manual_seed(1)
    model._set_up(samples.shapes, scaling, 2, dict.fromkeys(samples.names, 2))

    class Watched(RefinementPhase):
        def renew(self, *pieces: Any) -> None:
            super().renew(*pieces)
            found.append([one.share.item() for one in self.expectations])

    rows = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    settings = TrainingSettings(4, 40, 3e-3, 0.0)
    batches = Batches(samples, scaling, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    job = Job(batches, rows[40:], rows[:40], fabric(), settings, generator, samples.names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        training.train(Watched(model.network_, 1.0, 1.0), job)
    return {"shares": np.asarray(found)}


def die(folder: Path) -> None:
    """Train in two processes, the second of which is killed."""
    checkpoint.SECONDS, update, seen = 0.0, EagerSteps.update, []

    def update_or_die(steps: EagerSteps) -> None:
        seen.append(1)
        if len(seen) == 10 and number() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        update(steps)

    EagerSteps.update = update_or_die
    DeepJIVE(
        joint_rank=1,
        individual_ranks=1,
        networks="dense",
        runtime=Runtime(devices=2),
        batch_size=40,
        max_epochs=4,
        random_state=0,
    ).fit(data(), resume=folder)


def as_torchrun(rank: int, number_of_processes: int, port: int, folder: Path) -> None:
    """Run `main` in the environment that torchrun makes for one of several processes on this machine."""
    size = str(number_of_processes)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ |= {"GROUP_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    os.environ |= {"TORCHELASTIC_RUN_ID": "none", "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    main(folder)


def main(folder: Path) -> None:
    fabric()
    for case in CASES:
        np.savez(folder / f"{'-'.join(case)}-{number()}.npz", **gradients(*case))
    np.savez(folder / f"expectations-{number()}.npz", **expectations())
    np.savez(folder / f"fit-{number()}.npz", **fit(folder))
    np.savez(folder / f"gaps-{number()}.npz", **fit_with_gaps())


if __name__ == "__main__":
    {"die": die, "main": main}[[*sys.argv, "main"][2]](Path(sys.argv[1]))
