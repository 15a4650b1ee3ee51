"""Settings of the machine that a deep model is trained on.

These settings decide where and how fast a model is trained. Except for `precision`, they leave the model unchanged up
to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, get_args

from deepjive.deep.choices import PrecisionName, StrategyName

STRATEGIES, PRECISIONS = get_args(StrategyName), get_args(PrecisionName)

NOT_A_RUNTIME = (
    "runtime is {given!r}, but must be a deepjive.Runtime or None. "
    "Write for example runtime=deepjive.Runtime(precision='bf16-mixed')."
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Runtime:
    """Settings of the machine, for `DeepJIVE(runtime=...)` and `SeparateAutoencoders(runtime=...)`.

    Parameters
    ----------
    devices : int or str, default=1
        Number of devices on each machine; one process trains on each device. "auto" and -1 take all devices.
    num_nodes : int, default=1
        Number of machines.
    strategy : {"auto", "ddp", "ddp_find_unused_parameters_true"}, default="auto"
        How Lightning Fabric shares the training among processes. "ddp_find_unused_parameters_true" is for custom
        networks that do not use all their weights in each step.
    precision : {"32-true", "bf16-mixed", "16-mixed"}, default="32-true"
        Number format in which training steps are computed. Weights are always stored in single precision.
    memory_limit : float, default=4.0
        GiB of scaled single-precision data up to which the data are kept on the device. Larger data are read from
        disk batch by batch. Tables of at least 2000 features, and at least twice as many features as samples, are
        trained in coordinates of the span of their samples if they are kept: see
        `deepjive.deep.training.coordinates`.
    log : str or None, default=None
        Folder in which the history is also written for TensorBoard during training.

    Raises
    ------
    ValueError
        If a setting is not one of the allowed values.

    See Also
    --------
    deepjive.DeepJIVE : `device` says on which kind of device the model is trained.

    Examples
    --------
    >>> from deepjive import Runtime
    >>> Runtime(precision="bf16-mixed", devices=2)
    Runtime(devices=2, precision='bf16-mixed')
    """

    devices: int | str = 1
    num_nodes: int = 1
    strategy: StrategyName = "auto"
    precision: PrecisionName = "32-true"
    memory_limit: float = 4.0
    log: str | None = None

    def __post_init__(self) -> None:
        devices = self.devices
        is_number = _is_integer(devices) and (devices == -1 or devices >= 1)  # type: ignore[operator]
        is_count = isinstance(devices, str) and (devices == "auto" or (devices.isdecimal() and int(devices) >= 1))
        checks = {
            "devices": (is_number or is_count, "an integer of at least 1, -1 or 'auto'"),
            "num_nodes": (_is_integer(self.num_nodes) and self.num_nodes >= 1, "an integer of at least 1"),
            "strategy": (self.strategy in STRATEGIES, f"one of {list(STRATEGIES)}"),
            "precision": (self.precision in PRECISIONS, f"one of {list(PRECISIONS)}"),
            "memory_limit": (_is_number(self.memory_limit) and self.memory_limit >= 0, "a number of GiB, at least 0"),
            "log": (self.log is None or isinstance(self.log, str), "the path of a folder as a str, or None"),
        }
        for name, (is_valid, expected) in checks.items():
            if not is_valid:
                raise ValueError(f"{name} of Runtime is {getattr(self, name)!r}, but must be {expected}.")

    def __repr__(self) -> str:
        """The settings that differ from their defaults."""
        changed = (field.name for field in fields(self) if getattr(self, field.name) != field.default)
        return f"Runtime({', '.join(f'{name}={getattr(self, name)!r}' for name in changed)})"


def checked_runtime(runtime: Any) -> Runtime:
    """Return `runtime`, or the defaults for None.

    Parameters
    ----------
    runtime : Runtime or None
        An estimator's parameter.

    Raises
    ------
    TypeError
        If `runtime` is anything else.
    """
    if runtime is None:
        return Runtime()
    if not isinstance(runtime, Runtime):
        raise TypeError(NOT_A_RUNTIME.format(given=runtime))
    return runtime


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, (bool, str))
