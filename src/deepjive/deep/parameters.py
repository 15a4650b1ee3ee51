"""Allowed values of the parameters of deep models; `deepjive.validation` checks ranks against the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from deepjive.deep.choices import IdentityName, IndividualDecoderName, ObjectiveName, OrthogonalityName
from deepjive.deep.runtime.settings import checked_runtime

CHOICES: dict[str, tuple[Any, ...]] = {
    "identity": get_args(IdentityName),
    "orthogonality": (*get_args(OrthogonalityName), None),
    "objective": get_args(ObjectiveName),
    "individual_decoder": get_args(IndividualDecoderName),
}
DEVICE = re.compile(r"auto|[a-z]+(:\d+)?")
AUTOMATIC_WEIGHTS: dict[str | None, float] = {"closed_form": 0.1, "regression": 0.1, "adversary": 5.0, None: 0.0}


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raise for parameters that are not allowed.

    Parameters
    ----------
    parameters : mapping of str to object
        An estimator's parameters.

    Raises
    ------
    ValueError, TypeError
        For the first parameter that is not allowed; the error names the allowed values.
    """
    for name, allowed in CHOICES.items():
        if parameters[name] not in allowed:
            raise ValueError(f"{name} is {parameters[name]!r}, but must be one of {list(allowed)}.")
    device, batch_size, weight = (parameters[name] for name in ("device", "batch_size", "orthogonality_weight"))
    is_auto_weight = isinstance(weight, str) and weight == "auto"
    is_auto_batch = isinstance(batch_size, str) and batch_size == "auto"
    checks = {
        "validation_fraction": (0.0 < parameters["validation_fraction"] < 1.0, "between 0 and 1, both excluded"),
        "dropout": (0.0 <= parameters["dropout"] < 1.0, "at least 0 and below 1"),
        "learning_rate": (parameters["learning_rate"] > 0, "above 0"),
        "max_epochs": (parameters["max_epochs"] >= 1, "an integer of at least 1"),
        "identity_weight": (parameters["identity_weight"] >= 0, "at least 0"),
        "orthogonality_weight": (is_auto_weight or _is_at_least(weight, 0), "'auto' or a number of at least 0"),
        "batch_size": (is_auto_batch or _is_at_least(batch_size, 2), "'auto' or an integer of at least 2"),
        "device": (
            isinstance(device, str) and DEVICE.fullmatch(device) is not None,
            "'cpu', 'cuda', 'mps', 'auto' or a single device such as 'cuda:1'",
        ),
    }
    for name, (is_valid, expected) in checks.items():
        if not is_valid:
            raise ValueError(f"{name} is {parameters[name]!r}, but must be {expected}.")
    checked_runtime(parameters["runtime"])


def weight_of(orthogonality: str | None, weight: float | str) -> float:
    """Return the weight of the orthogonality penalty.

    Parameters
    ----------
    orthogonality : {"closed_form", "regression", "adversary"} or None
        The mechanism.
    weight : float or "auto"
        "auto" is 0.1 for "closed_form" and "regression", 5.0 for "adversary", and 0.0 without a mechanism.
    """
    return AUTOMATIC_WEIGHTS[orthogonality] if isinstance(weight, str) else float(weight)


def _is_at_least(value: Any, smallest: float) -> bool:
    return not isinstance(value, str) and value >= smallest


def choices_of(choices: Any) -> tuple[Any, ...]:
    """The values that a Literal type allows, in order; None is among them where the type is optional.

    Parameters
    ----------
    choices : type
        A Literal type, or a union of Literal types and None.

    Examples
    --------
    >>> from deepjive.deep.constraints.orthogonality import OrthogonalityName
    >>> choices_of(OrthogonalityName | None)
    ('closed_form', 'regression', 'adversary', None)
    """
    if choices is NoneType:
        return (None,)
    if get_origin(choices) is Literal:
        return get_args(choices)
    return tuple(value for part in get_args(choices) for value in choices_of(part))
