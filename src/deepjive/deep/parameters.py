"""What the parameters of deep models may be; ranks are checked against the data, in `deepjive.validation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from deepjive.deep.choices import (
    IdentityName,
    IndividualDecoderName,
    ObjectiveName,
    OrthogonalityName,
    PrecisionName,
    StrategyName,
)

CHOICES: dict[str, tuple[Any, ...]] = {
    "identity": get_args(IdentityName),
    "orthogonality": (*get_args(OrthogonalityName), None),
    "objective": get_args(ObjectiveName),
    "individual_decoder": get_args(IndividualDecoderName),
    "strategy": get_args(StrategyName),
    "precision": get_args(PrecisionName),
}
UNKNOWN_CHOICE = "{name} is {given!r}, but must be one of {allowed}."
NOT_A_NUMBER_IN = "{name} is {given!r}, but must be {expected}."


def check_parameters(given: Mapping[str, Any]) -> None:
    """Refuse parameters that make no sense.

    Parameters
    ----------
    given : mapping of str to object
        An estimator's parameters.

    Raises
    ------
    ValueError
        For the first one that is not allowed; the error says what is.
    """
    for name, allowed in CHOICES.items():
        if given[name] not in allowed:
            raise ValueError(UNKNOWN_CHOICE.format(name=name, given=given[name], allowed=list(allowed)))
    batch_size = given["batch_size"]
    numbers = {
        "validation_fraction": (0.0 < given["validation_fraction"] < 1.0, "between 0 and 1, both excluded"),
        "dropout": (0.0 <= given["dropout"] < 1.0, "at least 0 and below 1"),
        "learning_rate": (given["learning_rate"] > 0, "above 0"),
        "max_epochs": (given["max_epochs"] >= 1, "an integer of at least 1"),
        "identity_weight": (given["identity_weight"] >= 0, "at least 0"),
        "orthogonality_weight": (given["orthogonality_weight"] >= 0, "at least 0"),
        "num_nodes": (given["num_nodes"] >= 1, "an integer of at least 1"),
        "memory_limit": (given["memory_limit"] >= 0, "a number of GiB, at least 0"),
        "batch_size": (batch_size == "auto" or batch_size >= 2, "'auto' or an integer of at least 2"),
    }
    for name, (valid, expected) in numbers.items():
        if not valid:
            raise ValueError(NOT_A_NUMBER_IN.format(name=name, given=given[name], expected=expected))
