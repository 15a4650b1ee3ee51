"""Starting the processes and choosing the device, by Lightning Fabric."""

from __future__ import annotations

import os
from typing import Any

from deepjive.data.readers.guard import optional


def launched(
    accelerator: str, devices: int | str, num_nodes: int, strategy: str, precision: Any, log: str | None
) -> Any:
    """A Fabric whose processes run.

    Under torchrun and ``fabric run`` the number of processes is theirs to say, and `devices` and `num_nodes` are not
    looked at. Otherwise this script is started once more for every further device of this node.

    Parameters
    ----------
    accelerator, devices, num_nodes, strategy, precision
        As of Lightning Fabric.
    log : str or None
        Folder to write TensorBoard's events to.
    """
    from lightning_fabric import Fabric

    started = os.environ if "TORCHELASTIC_RUN_ID" in os.environ else {}
    here = int(started.get("LOCAL_WORLD_SIZE", 0))
    fabric = Fabric(
        accelerator=accelerator,
        devices=here or devices,
        num_nodes=int(started["WORLD_SIZE"]) // here if here else num_nodes,
        strategy=strategy,
        precision=precision,
        loggers=None if log is None else _tensorboard(log),
    )
    fabric.launch()
    return fabric


def _tensorboard(folder: str) -> Any:
    optional("tensorboard", "log, which writes for TensorBoard,")
    from lightning_fabric.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="")
