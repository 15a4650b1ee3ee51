"""Help that reads well: a word for what an option takes, and none beside options that take nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

WORDS: dict[Any, str] = {int: "NUMBER", float: "NUMBER", Path: "PATH", str: "TEXT"}


class PlainCommand(TyperCommand):
    """A command whose help names what options take."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Parameters, with words for their values."""
        return with_words(super().get_params(ctx))


class PlainGroup(TyperGroup):
    """A group of commands whose help names what options take."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Parameters, with words for their values."""
        return with_words(super().get_params(ctx))


def with_words(parameters: Sequence[Any]) -> list[Any]:
    """Give options that have no word for their value one, in place: flags an empty one, numbers and paths theirs."""
    for parameter in parameters:
        if parameter.metavar is None and getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.metavar is None:
            described = getattr(parameter, "type_descriptor", None)  # not in older versions, which have words
            parameter.metavar = WORDS.get(getattr(described, "annotation", None))
    return list(parameters)
