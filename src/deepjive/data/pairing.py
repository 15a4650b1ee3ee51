"""Pairing: which row of each modality belongs to which sample, and a record of how that was decided.

Rows are paired by name if every modality names its rows, and by position if none does. A mixture is refused, because
nothing says that rows without names are in the order of rows with names.

Names are compared as text. If they differ between modalities only in spaces around them, in characters that are not
seen, or in the way in which numbers are written ("7", "007", "7.0"), they are matched in spite of that, but only if all
modalities then hold the same samples.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deepjive.data.orientation import check_orientation, orientation_advice
from deepjive.data.readers.lazy import LabelledRows
from deepjive.data.readers.tables import is_default
from deepjive.data.readers.words import FORMS, as_texts, plain, text_of

UNMATCHED = ("error", "drop", "keep")
SHOWN = 3

UNEQUAL_SAMPLES = (
    "The tables of modalities {first!r} and {second!r} do not hold the same samples: {only_first} only in {first!r}"
    "{first_examples}, {only_second} only in {second!r}{second_examples}. {advice}"
)
UNMATCHED_ADVICE = (
    "Use unmatched='drop' (--unmatched drop) to leave out these samples, or unmatched='keep' (--unmatched keep) to "
    "keep them as samples that lack a modality."
)
NOTHING_IN_COMMON = (
    "No sample is in both. Use the same names in both tables, with one sample in each row; read a table whose columns "
    "are the samples with features_in_rows= (--features-in-rows)."
)
ALMOST_EQUAL = (
    "Names such as {one!r} of modality {first!r} and {other!r} of modality {second!r} are equal except for "
    "{difference}, but the two tables do not hold the same samples even so ({only_first} only in "
    "{first!r}{first_examples}, {only_second} only in {second!r}{second_examples}). Write the names "
    "of samples in the same way in all tables."
)
SIMILAR = (
    "Names such as {one!r} and {other!r} ({pairs}) are equal except for capitals and punctuation: if they are the same "
    "samples, write them in the same way. "
)
STILL_SIMILAR = "{similar}Until then they count as different samples: use one name for one sample."
MIXED = (
    "Modality {named!r} names its samples ({examples}, ...), but modality {unnamed!r} has {count} rows without names. "
    "Rows are paired by name or by position, never by a mixture. Name the rows of {unnamed!r} by an id column or an "
    "index, or say in which order they are: samples= (--samples FILE; the table of {named!r} itself if the order is "
    "the same)."
)
SAMPLES_TWICE = (
    "Every modality names its samples, so that `samples` (--samples) has nothing to name. Leave it out; to change the "
    "names, write Modalities(Modalities(data), samples=names)."
)
SAMPLES_LENGTH = (
    "`samples` (--samples) must name each of the {n} rows of modality {name!r}, in order, but has shape {shape}."
)
REPEATED = (
    "Modality {name!r} names a sample more than once: {sample!r} in rows {rows}, counted from 1. Keep one row of each "
    "sample."
)
NO_NAME = "Modality {name!r} does not name the sample in row {row}: its name is {given}. Name every sample."
OTHER_ROWS = (
    "The index of {what} must name every sample once, but it does not so for sample {lacking!r}; its first name is "
    "{first!r}. Give the values by name, or in the order of the samples without an index (.to_numpy())."
)

Named = dict[str, NDArray[np.str_]]


@dataclass(frozen=True)
class Pairing:
    """How the rows of the modalities were paired.

    Attributes
    ----------
    by : {"name", "position"}
        Whether rows with the same name or rows with the same number are one sample.
    rows : dict of str to int
        Number of rows of each modality, before samples were left out.
    left_out : dict of str to tuple of str
        Names of the samples of each modality that were left out because another modality lacks them.
    ignoring : str
        What was ignored when names were compared; empty if names agree exactly.
    """

    by: Literal["name", "position"]
    rows: dict[str, int]
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ignoring: str = ""

    def __str__(self) -> str:
        text = f"paired by {self.by}" + (f", ignoring {self.ignoring}" if self.ignoring else "")
        counts = [
            f"{len(names)} of {self.rows[name]} samples of {name}{_examples(names)}"
            for name, names in self.left_out.items()
            if names
        ]
        return text + (f"; left out {' and '.join(counts)}" if counts else "")


@dataclass(frozen=True)
class Paired:
    """Modalities whose rows are the same samples.

    Attributes
    ----------
    sources : dict of str to source
        The modalities, with the same samples in the same order.
    samples : array of str or None
        Names of the samples.
    present : array of bool, shape (n_samples, n_modalities), or None
        Which sample has which modality; None if every sample has every modality.
    pairing : Pairing
        How the rows were paired.
    """

    sources: dict[str, Any]
    samples: NDArray[np.str_] | None
    present: NDArray[np.bool_] | None
    pairing: Pairing


def pair(
    sources: Mapping[str, Any],
    unmatched: str = "error",
    samples: Sequence[str] | NDArray | None = None,
    oriented: Collection[str] = (),
) -> Paired:
    """Pair the rows of modalities.

    Parameters
    ----------
    sources : mapping of str to source
        Arrays, data frames and labelled rows, as returned by `named_sources`.
    unmatched : {"error", "drop", "keep"}, default="error"
        Treatment of samples that some modalities lack; see `Modalities`.
    samples : sequence of str, optional
        Names of the rows of all modalities that do not name their rows themselves.
    oriented : collection of str, optional
        Modalities whose rows were said to be the samples. The others are refused if their columns seem to be.

    Returns
    -------
    Paired

    Raises
    ------
    ValueError
        If some modalities name their rows and others do not, if names repeat, or if the modalities hold different
        samples and `unmatched` is "error".
    """
    if unmatched not in UNMATCHED:
        raise ValueError(f"unmatched is {unmatched!r}, but must be one of {list(UNMATCHED)}.")
    sources = dict(sources)
    counts = {name: _length(source) for name, source in sources.items()}
    own = {name: _own_names(name, source) for name, source in sources.items()}
    named = {name: names for name, names in own.items() if names is not None}
    named |= _numbered(sources, named)
    in_plain_form = {name: np.array([plain(x) for x in names.tolist()], dtype=str) for name, names in named.items()}
    check_orientation(sources, {name: names for name, names in in_plain_form.items() if name not in oriented})
    unnamed = [name for name in sources if name not in named]
    if samples is not None:
        if not unnamed:
            raise ValueError(SAMPLES_TWICE)
        given = _given_names(samples, unnamed, counts)
        if not named:
            return Paired(sources, given, None, Pairing("position", counts))
        named |= dict.fromkeys(unnamed, given)
    elif not named:
        return Paired(sources, None, None, Pairing("position", counts))
    elif unnamed:
        first = next(iter(named))
        examples = ", ".join(map(repr, named[first][:SHOWN].tolist()))
        raise ValueError(MIXED.format(named=first, examples=examples, unnamed=unnamed[0], count=counts[unnamed[0]]))
    return _by_name(sources, {name: named[name] for name in sources}, unmatched, counts)


def names_of(index: Any, what: str) -> NDArray[np.str_]:
    """Return the names in a pandas index as text; whole floats have no decimals, and levels are joined by "_".

    Parameters
    ----------
    index : pandas.Index
        The names.
    what : str
        Name of the modality, for the error.

    Raises
    ------
    ValueError
        If a name is missing.
    """
    import pandas as pd

    levels = [index.get_level_values(i) for i in range(index.nlevels)]
    missing = np.any([level.isna() for level in levels], axis=0) if len(index) else np.zeros(0, dtype=bool)
    names = np.array(_texts(index), dtype=str)
    no_names = np.zeros(0, dtype=np.intp)
    empty = np.flatnonzero(np.asarray(missing) | (np.char.strip(names) == "")) if len(names) else no_names
    if len(empty):
        given = "missing" if pd.api.types.is_scalar(index[empty[0]]) and missing[empty[0]] else "empty or incomplete"
        raise ValueError(NO_NAME.format(name=what, row=int(empty[0]), given=given))
    return names


def _texts(index: Any) -> list[str]:
    """Names in a pandas index as text; days have no time, as pandas writes them into files."""
    texts = []
    for level in (index.get_level_values(i) for i in range(index.nlevels)):
        is_day = (
            level.dtype.kind == "M" and level.tz is None and bool((level.dropna() == level.dropna().normalize()).all())
        )
        values = level.strftime("%Y-%m-%d") if is_day else level
        texts.append([_as_text(value) for value in values.astype(object)])
    return ["_".join(parts) for parts in zip(*texts, strict=True)]


def _as_text(value: Any) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return text_of(value)


def _length(source: Any) -> int:
    if isinstance(source, LabelledRows):
        return len(source.index)
    shape = getattr(source, "shape", None)
    try:
        return int(shape[0]) if shape else len(source)
    except (TypeError, ValueError):
        return 0


def _own_names(name: str, source: Any) -> NDArray[np.str_] | None:
    """Names that a source gives its rows; None if it has none."""
    is_frame = hasattr(source, "loc") and hasattr(source, "columns")
    if not isinstance(source, LabelledRows) and (not is_frame or is_default(source.index)):
        return None
    return names_of(source.index, name)


def _numbered(sources: Mapping[str, Any], named: Named) -> Named:
    """Names "0", "1", ... of frames with the default index, if every other index holds the same numbers."""
    frames = {name: source for name, source in sources.items() if name not in named and hasattr(source, "index")}
    numbers = [set(names.tolist()) for name, names in named.items() if _holds_numbers(sources[name].index)]
    if not numbers or len(numbers) < len(named) or len(frames) + len(named) < len(sources):
        return {}
    own = {name: np.array([str(i) for i in range(len(frame))], dtype=str) for name, frame in frames.items()}
    return own if all(set(names.tolist()) == other for names in own.values() for other in numbers) else {}


def _holds_numbers(index: Any) -> bool:
    return getattr(index.dtype, "kind", "O") in "iu"


def _given_names(samples: Any, unnamed: Sequence[str], counts: Mapping[str, int]) -> NDArray[np.str_]:
    given = as_texts(samples)
    for name in unnamed:
        if given.shape != (counts[name],):
            raise ValueError(SAMPLES_LENGTH.format(n=counts[name], name=name, shape=given.shape))
    return given


def _by_name(sources: dict[str, Any], named: Named, unmatched: str, counts: dict[str, int]) -> Paired:
    for name, names in named.items():
        _check_unique(name, names)
    named, ignoring = _in_one_form(named)
    samples = _common_samples(sources, named, unmatched)
    known = {name: set(names.tolist()) for name, names in named.items()}
    present = np.array([[sample in known[name] for name in named] for sample in samples.tolist()], dtype=bool)
    present = present.reshape(len(samples), len(named))
    chosen = set(samples.tolist())
    left_out = {name: tuple(x for x in names.tolist() if x not in chosen) for name, names in named.items()}
    ordered = {name: _ordered(source, named[name], samples) for name, source in sources.items()}
    pairing = Pairing("name", counts, {name: names for name, names in left_out.items() if names}, ignoring)
    return Paired(ordered, samples, None if present.all() else present, pairing)


def _check_unique(name: str, names: NDArray[np.str_]) -> None:
    unique, first, count = np.unique(names, return_index=True, return_counts=True)
    repeated = unique[count > 1]
    if len(repeated):
        sample = unique[first == first[count > 1].min()][0]
        rows = (np.flatnonzero(names == sample)[:SHOWN] + 1).tolist()
        raise ValueError(REPEATED.format(name=name, sample=str(sample), rows=" and ".join(map(str, rows))))


def _in_one_form(named: Named) -> tuple[Named, str]:
    """Names in the first form in which all modalities have the same; and what that form ignores.

    Raises
    ------
    ValueError
        If a form would match more names than their exact texts do, but not all.
    """
    for ignoring, form in FORMS.items():
        changed = {name: np.array([form(x) for x in names.tolist()], dtype=str) for name, names in named.items()}
        sets = [set(names.tolist()) for names in changed.values()]
        is_unique = all(len(own) == len(names) for own, names in zip(sets, changed.values(), strict=True))
        if is_unique and all(own == sets[0] for own in sets[1:]):
            return changed, ignoring
    _check_almost_equal(named)
    return named, ""


def _check_almost_equal(named: Named) -> None:
    (first, names), *others = named.items()
    for second, other_names in others:
        common = set(names.tolist()) & set(other_names.tolist())
        for difference, form in FORMS.items():
            of_first = {form(x): x for x in names.tolist() if x not in common}
            of_second = {form(x): x for x in other_names.tolist() if x not in common}
            both = [x for x in of_first if x in of_second]
            if both:
                forms = [{form(x) for x in of.tolist()} for of in (names, other_names)]
                raise ValueError(
                    ALMOST_EQUAL.format(
                        one=of_first[both[0]],
                        other=of_second[both[0]],
                        first=first,
                        second=second,
                        difference=difference,
                        **_differences(*([x for x in of if x not in other] for of, other in (forms, forms[::-1]))),
                    )
                )


def _common_samples(sources: Mapping[str, Any], named: Named, unmatched: str) -> NDArray[np.str_]:
    """Names of the kept samples: all names of the first modality, then names that only others have."""
    (first, names), *others = named.items()
    samples = names.tolist()
    for name, other in others:
        known, of_other = set(samples), set(other.tolist())
        only_first = [x for x in samples if x not in of_other]
        only_second = [x for x in other.tolist() if x not in known]
        if not (only_first or only_second):
            continue
        nothing = len(only_first) == len(samples)
        if unmatched == "error" or nothing:
            advice = orientation_advice(sources, named, first, name) or (
                NOTHING_IN_COMMON if nothing and samples and len(other) else UNMATCHED_ADVICE
            )
            advice = _similar(only_first, only_second) + advice
            raise ValueError(
                UNEQUAL_SAMPLES.format(first=first, second=name, **_differences(only_first, only_second), advice=advice)
            )
        if similar := _similar(only_first, only_second):
            warnings.warn(STILL_SIMILAR.format(similar=similar), UserWarning, stacklevel=5)
        samples = [x for x in samples if x in of_other] if unmatched == "drop" else [*samples, *only_second]
    return np.array(samples, dtype=str)


def _similar(only_first: Sequence[str], only_second: Sequence[str]) -> str:
    """Advice on names that may be misspelt; empty if there are none."""
    of_second = {_bare(name): name for name in only_second}
    pairs = [(name, of_second[_bare(name)]) for name in only_first if _bare(name) in of_second]
    if not pairs:
        return ""
    count = "1 pair" if len(pairs) == 1 else f"{len(pairs)} pairs"
    return SIMILAR.format(one=pairs[0][0], other=pairs[0][1], pairs=count)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _differences(only_first: Sequence[str], only_second: Sequence[str]) -> dict[str, Any]:
    only_first, only_second = sorted(only_first), sorted(only_second)
    return {
        "only_first": len(only_first),
        "only_second": len(only_second),
        "first_examples": _examples(only_first),
        "second_examples": _examples(only_second),
    }


def _examples(names: Sequence[str]) -> str:
    """Some names in brackets."""
    return f" ({', '.join(map(repr, names[:SHOWN]))}{', ...' if len(names) > SHOWN else ''})" if names else ""


def _ordered(source: Any, names: NDArray[np.str_], samples: NDArray[np.str_]) -> Any:
    """The rows of a source in the order of the samples; rows of samples that the source lacks are 0."""
    import pandas as pd

    index, wanted = pd.Index(names, dtype=object), pd.Index(samples, dtype=object)
    if isinstance(source, LabelledRows):
        return LabelledRows(source.array, index, source.features).reordered(wanted)
    if hasattr(source, "loc") and hasattr(source, "columns"):
        frame = source.set_axis(index, axis=0)
        return frame.loc[wanted] if wanted.isin(index).all() else frame.reindex(wanted, fill_value=0)
    return LabelledRows(source, index).reordered(wanted)


def check_names_differ(what: str, names: Iterable[Any]) -> None:
    """Raise an error if two of the names of labels or confounds are the same as text."""
    repeated = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if repeated:
        raise ValueError(f"Several {what} have the name {repeated[0]!r}. Rename or leave out all but one.")


def in_order_of_samples(values: Any, samples: NDArray[np.str_] | None, what: str) -> Any:
    """Return one value for each sample, in the order of the samples; a pandas Series is matched by names.

    Other values are in the order of the samples and are returned unchanged: a Series with the default index or an index
    of other numbers, and values for samples without names.

    Raises
    ------
    ValueError
        If the index names other samples than there are, or one of them more than once.
    """
    index: Any = getattr(values, "index", None)
    if samples is None or not hasattr(values, "iloc") or is_default(index):
        return values
    names, wanted = _texts(index), samples.tolist()
    if names == wanted:
        return values
    for form in FORMS.values():
        rows = {form(name): row for row, name in enumerate(names)}
        if len(rows) == len(names) and all(form(name) in rows for name in wanted):
            return values.iloc[[rows[form(name)] for name in wanted]]
    if _holds_numbers(index) and not set(names) & set(wanted):
        return values
    known = set(names)
    lacking = [name for name in wanted if name not in known] or [name for name in names if names.count(name) > 1]
    raise ValueError(OTHER_ROWS.format(what=what, lacking=lacking[0], first=names[0] if names else ""))
