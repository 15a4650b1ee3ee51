"""Choice of the device and start of the training processes, by Lightning Fabric."""

from __future__ import annotations

import os
from typing import Any

from deepjive.data.readers.guard import optional
from deepjive.deep.runtime.settings import Runtime

ONE_DEVICE = (
    "device={device!r} names a single device, but Runtime has devices={devices!r}. "
    "Use device={kind!r} for several devices, or devices=1."
)
NO_DEVICE = (
    "Training cannot start with device={device!r}, devices={devices!r} and strategy={strategy!r}: {reason}. Use "
    "device='cpu' (--device cpu) or 'auto', or install a build of torch that supports the device."
)


def launched(device: str, runtime: Runtime) -> Any:
    """Return a Fabric whose processes are running.

    Under torchrun and ``fabric run`` the launcher decides the number of processes, and `devices` and `num_nodes` are
    ignored. Otherwise this script is started once more for each further device of this machine.

    Parameters
    ----------
    device : str
        Kind of device, such as "cpu", "cuda", "mps" or "auto", or a single device, such as "cuda:1".
    runtime : Runtime
        Settings of the machine.

    Returns
    -------
    lightning_fabric.Fabric

    Raises
    ------
    ValueError
        If `device` is unknown or not there, or names a single device where several are asked for.
    """
    from lightning_fabric import Fabric

    kind, _, index = device.partition(":")
    if index and runtime.devices != 1:
        raise ValueError(ONE_DEVICE.format(device=device, devices=runtime.devices, kind=kind))
    launcher = os.environ if "TORCHELASTIC_RUN_ID" in os.environ else {}
    local_processes = int(launcher.get("LOCAL_WORLD_SIZE", 0))
    loggers = None if runtime.log is None else _tensorboard(runtime.log)
    try:
        fabric = Fabric(
            accelerator=kind,
            devices=local_processes or ([int(index)] if index and kind != "cpu" else runtime.devices),
            num_nodes=int(launcher["WORLD_SIZE"]) // local_processes if local_processes else runtime.num_nodes,
            strategy=runtime.strategy,
            precision=runtime.precision,
            loggers=loggers,
        )
    except Exception as error:  # Fabric raises errors of many kinds, some of its own
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            NO_DEVICE.format(device=device, devices=runtime.devices, strategy=runtime.strategy, reason=reason)
        ) from error
    fabric.launch()
    return fabric


def _tensorboard(folder: str) -> Any:
    optional("tensorboard", "log, which writes for TensorBoard,")
    from lightning_fabric.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="")
