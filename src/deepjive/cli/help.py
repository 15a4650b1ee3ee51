"""Help that shows a placeholder (NUMBER, PATH, TEXT) after each option that takes a value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

WORDS: dict[Any, str] = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "TEXT"}


class PlainCommand(TyperCommand):
    """A command whose help names the values of its options."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Parameters, with words for their values."""
        return with_words(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of commands whose help names the values of its options."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Parameters, with words for their values."""
        return with_words(super().get_params(ctx))


def with_words(parameters: Sequence[Any]) -> list[Any]:
    """Set the missing words for values of options, in place: empty for flags, NUMBER, PATH or TEXT for others."""
    for parameter in parameters:
        if parameter.metavar is None and getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.metavar is None:
            described = getattr(parameter, "type_descriptor", None)  # not in older versions, which have words
            parameter.metavar = WORDS.get(getattr(described, "annotation", None))
    return list(parameters)
