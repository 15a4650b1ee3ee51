"""Subsets of three or more modalities: which there are, and how many components belong to each.

A component belongs to the largest subset of modalities that hold it. Let ``c_S`` be the number of components that all
modalities of the subset ``S`` have in common, whether or not other modalities have them too. The components of ``S``
alone are those that are not components of a superset:

    r_S = c_S - sum over supersets T of S of r_T,

from the largest subset, all modalities, whose components are the joint ones, to the smallest. ``c_S`` follows from
pairs: components common to ``S`` are those that modality k of ``S`` has in common with the common components of the
others. What "in common" means is the affair of the linear and of the deep model.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Subset = tuple[str, ...]
Space = TypeVar("Space")

MOST_MODALITIES = 5

TOO_MANY = (
    "subsets='auto' tries all subsets of at most {most} modalities, but there are {count}: {names}. Name the subsets, "
    "such as subsets=[{example}]."
)
WRONG_SUBSETS = (
    "subsets is {given!r}, but must be None, 'auto', a list of tuples of names, or a dict of such tuples to ranks, "
    "such as [{example}]."
)
WRONG_SUBSET = (
    "subsets has {given!r}, but a subset names at least two different modalities of {names}. Correct the names."
)
TWICE = "subsets has {given!r} twice. Name each subset once."
FULL = (
    "subsets has a rank for all modalities, {given!r}. The rank of what all modalities share is joint_rank: give it "
    "there."
)
WRONG_RANK = "The rank of the subset {subset!r} is {given!r}, but must be an integer of at least 0."
NO_PART = "part is {part!r}, but must be one of {known}."
EMPTY = (
    "subsets names {given!r}, but {reason}. The rank of the subset is 0, and it has no part in the model. Give a rank "
    "to fit it all the same, such as subsets={{{given!r}: 1}}."
)
NEEDS_THREE = "subsets needs at least three modalities, but there are {names}. Leave subsets out."


class EmptySubsetWarning(UserWarning):
    """A subset was named, but no variation of it was found."""


def word_of(subset: Sequence[str]) -> str:
    """Return a subset in words, such as ``"rna+protein"``."""
    return "+".join(subset)


def part_named(part: str | Sequence[str], known: Iterable[str]) -> str:
    """Return the name of a part that was given as a word, or as the modalities of a subset in any order.

    Parameters
    ----------
    part : str or sequence of str
        A word such as "joint" or ``"rna+protein"``, or modalities such as ``("rna", "protein")``.
    known : iterable of str
        The parts.

    Raises
    ------
    ValueError
        If there is no such part.

    Examples
    --------
    >>> part_named(("protein", "rna"), ["joint", "rna+protein", "individual"])
    'rna+protein'
    """
    known = list(known)
    words = [part] if isinstance(part, str) else [word_of(order) for order in itertools.permutations(part)]
    for word in words:
        if word in known:
            return word
    raise ValueError(NO_PART.format(part=part, known=known))


def checked_subsets(subsets: Any, names: Sequence[str]) -> dict[Subset, int | None]:
    """Check the parameter `subsets`, and return the subsets of some modalities, large ones first.

    Parameters
    ----------
    subsets : "auto", sequence of tuple of str, or mapping of tuple of str to int
        The parameter. "auto" stands for all subsets of two modalities or more.
    names : sequence of str
        The modalities.

    Returns
    -------
    dict of tuple of str to int or None
        The subsets without that of all modalities, with names in the order of the modalities; the rank is None if it is
        to be chosen.

    Raises
    ------
    ValueError, TypeError
        If there are too many modalities for "auto", or a subset or a rank is not allowed.
    """
    names = tuple(names)
    example = repr(names[:2])
    if len(names) < 3:
        raise ValueError(NEEDS_THREE.format(names=list(names)))
    if isinstance(subsets, str) and subsets == "auto":
        if len(names) > MOST_MODALITIES:
            raise ValueError(TOO_MANY.format(most=MOST_MODALITIES, count=len(names), names=names, example=example))
        sizes = range(len(names) - 1, 1, -1)
        return {subset: None for size in sizes for subset in itertools.combinations(names, size)}
    if isinstance(subsets, str) or not isinstance(subsets, (Mapping, Sequence)):
        raise TypeError(WRONG_SUBSETS.format(given=subsets, example=example))
    ranks = dict(subsets) if isinstance(subsets, Mapping) else [(subset, None) for subset in subsets]
    checked: dict[Subset, int | None] = {}
    for given, rank in ranks.items() if isinstance(ranks, dict) else ranks:
        subset = _ordered(given, names)
        if subset in checked:
            raise ValueError(TWICE.format(given=given))
        if rank is not None and (isinstance(rank, bool) or not hasattr(rank, "__index__") or rank < 0):
            raise ValueError(WRONG_RANK.format(subset=subset, given=rank))
        if len(subset) == len(names) and rank is not None:
            raise ValueError(FULL.format(given=given))
        checked[subset] = None if rank is None else int(rank)
    checked.pop(names, None)
    return dict(sorted(checked.items(), key=lambda item: (-len(item[0]), [names.index(name) for name in item[0]])))


def common_spaces(
    names: Sequence[str],
    subsets: Iterable[Subset],
    spaces: Mapping[str, Space],
    meet: Callable[[Subset, Sequence[tuple[Space, Space]]], Space],
) -> dict[Subset, Space]:
    """Find what all modalities of each subset have in common, from pairs to all modalities.

    Parameters
    ----------
    names : sequence of str
        The modalities.
    subsets : iterable of tuple of str
        The subsets; that of all modalities is added.
    spaces : mapping of str to space
        What is known of each modality.
    meet : callable
        ``meet(subset, pairs)`` returns what the modalities of a subset have in common. Each of `pairs` holds what the
        others have in common, and what is known of the one that is left out. With at most five modalities each is left
        out in turn, and otherwise the last one.

    Returns
    -------
    dict of tuple of str to space
    """
    found: dict[Subset, Space] = {(name,): spaces[name] for name in names}

    def of(subset: Subset) -> Space:
        if subset not in found:
            left_out = subset if len(names) <= MOST_MODALITIES else subset[-1:]
            pairs = [(of(tuple(k for k in subset if k != name)), spaces[name]) for name in left_out]
            found[subset] = meet(subset, pairs[:1] if len(subset) == 2 else pairs)
        return found[subset]

    return {subset: of(subset) for subset in (tuple(names), *subsets)}


def ranks_of_subsets(common_ranks: Mapping[Subset, int], known: Mapping[Subset, int | None]) -> dict[Subset, int]:
    """Number of components of each subset that are not components of a superset; see the module's docstring.

    Parameters
    ----------
    common_ranks : mapping of tuple of str to int
        Numbers of components that subsets have in common, for all modalities as well.
    known : mapping of tuple of str to int or None
        Numbers of components that were given.

    Returns
    -------
    dict of tuple of str to int
        Large subsets first, that of all modalities among them.
    """
    ranks: dict[Subset, int] = {}
    for subset in sorted(common_ranks, key=len, reverse=True):
        above = sum(rank for other, rank in ranks.items() if set(other) > set(subset))
        rank = known.get(subset)
        ranks[subset] = max(common_ranks[subset] - above, 0) if rank is None else rank
    return ranks


def warn_of_empty(subsets: Any, ranks: Mapping[Subset, int], reason: Callable[[Subset], str]) -> None:
    """Warn of subsets that were named without a rank and got rank 0.

    Parameters
    ----------
    subsets : "auto", sequence of tuple of str, or mapping of tuple of str to int
        The parameter `subsets`. Only a list of tuples leads to warnings: "auto" names no subset, and a mapping gives
        ranks.
    ranks : mapping of tuple of str to int
        Ranks of the subsets, that of all modalities among them.
    reason : callable
        ``reason(subset)`` says what was looked for and not found.
    """
    if isinstance(subsets, (str, Mapping)):
        return
    whole = max(ranks, key=len)
    for subset, rank in ranks.items():
        named = any(set(given) == set(subset) for given in subsets)
        if named and not rank and subset != whole:
            warnings.warn(EMPTY.format(given=subset, reason=reason(subset)), EmptySubsetWarning, stacklevel=2)


def columns_of(ranks: Mapping[Subset, int]) -> dict[Subset, slice]:
    """Columns of each subset's scores among the scores of all subsets side by side."""
    stops = list(itertools.accumulate(ranks.values(), initial=0))
    return {subset: slice(*stops[i : i + 2]) for i, subset in enumerate(ranks)}


def parse_subsets(text: str) -> str | list[Subset]:
    """Read ``"auto"``, or subsets such as ``"rna+protein,rna+methylation"``.

    Raises
    ------
    ValueError
        If a name is empty.
    """
    if text.strip() == "auto":
        return "auto"
    subsets = [tuple(name.strip() for name in word.split("+")) for word in text.split(",")]
    if not all(name for subset in subsets for name in subset):
        raise ValueError(f"Subsets are {text!r}, but must be 'auto' or subsets such as 'rna+protein,rna+methylation'.")
    return subsets


def _ordered(given: Any, names: Subset) -> Subset:
    """A subset in the order of the modalities."""
    subset = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    known = tuple(name for name in names if name in subset)
    if len(known) < 2 or len(known) != len(subset):
        raise ValueError(WRONG_SUBSET.format(given=given, names=list(names)))
    return known
