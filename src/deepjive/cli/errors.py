"""Errors and warnings as single lines on stderr.

Errors that the user can correct (arguments, files, data) end with exit code 2, all others with 1. A traceback is shown
only with `--debug`, anywhere on the command line.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text
from typer import Abort, BadParameter

from deepjive.cli.help import PlainGroup
from deepjive.data.readers.guard import MissingExtraError

UsageError: Any = BadParameter.__mro__[1]
USER_ERRORS: tuple[type[Exception], ...] = (ValueError, TypeError, KeyError, OSError, MissingExtraError, UsageError)
SIGINT = 130  # the usual exit code of an interrupted program


class ReadableErrors(PlainGroup):
    """A command group that prints exceptions and warnings as single lines."""

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
        """Run a command line and exit."""
        words = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in words
        words = [word for word in words if word != "--debug"]
        if not standalone_mode or debug:
            return super().main(words, standalone_mode=standalone_mode, obj=words, **extra)
        sys.exit(self._exit_code(words, **extra))

    def _exit_code(self, words: list[str], **extra: Any) -> int:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _ShowWarningsOnce()
                code = super().main(words, standalone_mode=False, obj=words, **extra)
        except (Abort, KeyboardInterrupt):
            code = SIGINT
        except BrokenPipeError:
            return 1
        except USER_ERRORS as error:
            say("Error", message_of(error) + advice_on(error))
            return 2
        except Exception as error:
            message = f"{type(error).__name__}: {message_of(error).rstrip('.')}."
            say("Error", f"{message} This is an unexpected error. Add --debug to see its traceback.{advice_on(error)}")
            return 1
        if code == SIGINT:
            say("Error", "Interrupted. Nothing more was written.")
        return code if isinstance(code, int) else 0


def message_of(error: Any) -> str:
    """The message of an exception; for a usage error also where to find help."""
    if isinstance(error, UsageError):
        command = error.ctx.command_path if getattr(error, "ctx", None) is not None else "deepjive"
        return f"{error.format_message().replace('Value error, ', '')} See '{command} --help'."
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def advice_on(error: BaseException) -> str:
    """The last note that was added to an exception."""
    notes = getattr(error, "__notes__", [])
    return f" {notes[-1]}" if notes else ""


def say(kind: str, message: str) -> None:
    """Write one line to stderr, in colour on a terminal; control characters are written as escapes."""
    style = "bold red" if kind == "Error" else "bold yellow"
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble((f"{kind}: ", style), one_line(message)))


def one_line(text: object) -> str:
    """Text without line breaks and without control characters."""
    joined = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in joined)


class _ShowWarningsOnce:
    """Shows each warning once, although several options or modalities may lead to it."""

    def __init__(self) -> None:
        self._shown: set[str] = set()

    def __call__(self, message: Warning | str, category: type[Warning], *rest: Any, **extra: Any) -> None:
        if issubclass(category, (DeprecationWarning, PendingDeprecationWarning, ImportWarning)):
            return
        text = one_line(message)
        if text not in self._shown:
            say("Warning", text)
        self._shown.add(text)
