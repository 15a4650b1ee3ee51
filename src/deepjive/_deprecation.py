"""Deprecation of public names and arguments, by the policy in CONTRIBUTING.md.

What is deprecated works as before and warns with a `FutureWarning`, which Python shows to users. The warning and the
docstring name the version that removes it, and the replacement.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

Called = TypeVar("Called", bound=Callable[..., Any])

DEPRECATED = "{name} is deprecated since deepjive {since} and will be removed in {removal}. Use {use} instead."
BOTH = "{name}() received both {old!r} and {new!r}, which is the new name of {old!r}. Pass {new!r} alone."
NOTE = "\n\n.. deprecated:: {since}\n   Will be removed in {removal}. Use {use} instead.\n"


def deprecated(*, since: str, removal: str, use: str) -> Callable[[Called], Called]:
    """Mark a function, a method or a class as deprecated.

    Parameters
    ----------
    since : str
        First version that warns.
    removal : str
        Version in which the name is removed.
    use : str
        What to use instead, such as ``"evidence()"``.

    Returns
    -------
    callable
        A decorator. A decorated class warns when it is instantiated, and stays a class.
    """

    def decorate(thing: Called) -> Called:
        message = DEPRECATED.format(name=thing.__qualname__, since=since, removal=removal, use=use)
        note = NOTE.format(since=since, removal=removal, use=use)
        if inspect.isclass(thing):
            thing.__init__ = _warning(thing.__init__, message)  # type: ignore[method-assign]
            thing.__doc__ = _with_note(thing.__doc__, note)
            return thing
        wrapped = _warning(thing, message)
        wrapped.__doc__ = _with_note(thing.__doc__, note)
        return wrapped

    return decorate


def renamed_argument(old: str, new: str, *, since: str, removal: str) -> Callable[[Called], Called]:
    """Accept the old name of a keyword argument, with a warning.

    Parameters
    ----------
    old, new : str
        Names of the argument.
    since : str
        First version that warns.
    removal : str
        Version in which the old name is removed.
    """

    def decorate(function: Called) -> Called:
        name = function.__qualname__
        message = DEPRECATED.format(name=f"{old!r} of {name}()", since=since, removal=removal, use=repr(new))

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if old in kwargs:
                if new in kwargs:
                    raise TypeError(BOTH.format(name=name, old=old, new=new))
                warnings.warn(message, FutureWarning, stacklevel=2)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate


def _warning(function: Any, message: str) -> Any:
    """Return the function, which now warns when it is called."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(message, FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    return call


def _with_note(text: str | None, note: str) -> str:
    """Return a docstring with a note after its first paragraph."""
    first, gap, others = inspect.cleandoc(text or "").partition("\n\n")
    return first + note + (gap and "\n" + others)
