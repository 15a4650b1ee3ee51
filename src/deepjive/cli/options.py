"""Options that several commands have, and what their text means."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepjive.data.modalities import Modalities

NOT_NAMED = "--modality {given!r} is not of the form name=path; write e.g. --modality mri=mri.npy."
REPEATED = "--modality names {name!r} more than once; give each modality a name of its own."
NOT_A_RANK = "{option} {given!r} is not a number of components; write a number or 'auto'{or_by_name}."
BY_NAME = " for all modalities, or name=number for one"
MIXED_RANKS = "{option} was given both for all modalities and for single ones; use one or the other."
RANK_TWICE = "{option} names {name!r} more than once."
NOT_A_FOLDER = (
    "--out {path} is {what}, but a file of each modality is written. Give the name of a folder, which is made if it is "
    "not there, e.g. --out parts."
)
TWO_RANKS = "{option} was given {count} times for all modalities; give it once, or name=number for each modality."


class Unmatched(StrEnum):
    """What is done about samples that not all files have."""

    error = "error"
    drop = "drop"
    keep = "keep"


class Missing(StrEnum):
    """What is done about values that are missing."""

    error = "error"
    impute = "impute"


ONE_MUDATA = (
    "Modalities of a MuData file stand together: give all of them as NAME=FILE.h5mu:MODALITY, of one file, e.g. "
    "-m rna=cells.h5mu:rna -m protein=cells.h5mu:prot."
)
NOT_IN_MUDATA = "{path} has no modality {key!r}; it holds {known}."
MUDATA = ".h5mu"

ModalityOption = Annotated[
    list[str],
    typer.Option(
        "--modality",
        "-m",
        metavar="NAME=PATH",
        help="A modality and its file: .npy, .npz, .csv, .tsv, .parquet, .h5, .zarr, .nii.gz (samples last), .txt or a "
        "table of image paths, .h5ad, .h5mu. FILE:NAME picks one of several arrays. Repeat for each modality.",
        show_default=False,
    ),
]
SamplesOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Names of the samples, where the modalities' files have none: .txt with a name a line, .npy, or the first "
        "column of a table.",
    ),
]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH",
        help="Labels to colour the scores by: .npy, file.npz:key or file.csv:column, in which samples may be missing. "
        "May be repeated.",
        show_default=False,
    ),
]
GroupsOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="The participant of each sample, where some have several: .npy, file.npz:key or file.csv:column. Whole "
        "participants are then held out, drawn and permuted.",
        show_default=False,
    ),
]
MissingOption = Annotated[
    Missing | None,
    typer.Option(
        help="What to do about empty cells, and samples that lack a modality (linear methods).", show_default="error"
    ),
]
UnmatchedOption = Annotated[
    Unmatched,
    typer.Option(
        help="What to do about samples that not all tables have: leave them out, or keep them as samples that lack a "
        "modality."
    ),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder that fit wrote.", show_default=False)]
TitleOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Heading of the report.", show_default=False)]


def command_of(context: typer.Context) -> str:
    """The command line as it was given."""
    return shlex.join(["deepjive", *(context.obj or [])])


def read_modalities(
    options: Sequence[str],
    samples: str | None = None,
    unmatched: Unmatched = Unmatched.error,
    groups: str | None = None,
) -> Modalities:
    """The data named by ``--modality`` options.

    Parameters
    ----------
    options : sequence of str
        ``"name=path"`` each.
    samples : str, optional
        File of the samples' names, see `deepjive.data.files.read_names`.
    unmatched : Unmatched
        As for `Modalities`.
    groups : str, optional
        File of the samples' participants, found as labels are.

    Returns
    -------
    Modalities
    """
    from deepjive.data.files import read_labels, read_names
    from deepjive.data.modalities import Modalities

    paths = paths_of(options)
    if any(MUDATA in path.lower() for path in paths.values()):
        data = _of_mudata(paths)
        data = data[data.present.all(axis=1)] if unmatched is Unmatched.drop else data
    else:
        data = Modalities(paths, unmatched=unmatched.value)
    if samples is not None:
        data = Modalities(data, samples=read_names(samples, len(data)))
    if groups is not None:
        data = Modalities(data, groups=read_labels(groups, data.samples, len(data)))
    return data


def _of_mudata(paths: dict[str, str]) -> Modalities:
    """Modalities of one MuData file, whose samples may lack some."""
    from deepjive.data.modalities import Modalities
    from deepjive.data.readers.annotated import read_h5mu

    parts = {name: path.rpartition(":") for name, path in paths.items()}
    files = {file for file, _, _ in parts.values()}
    if len(files) != 1 or not next(iter(files)).lower().endswith(MUDATA):
        raise ValueError(ONE_MUDATA)
    mdata = read_h5mu(Path(files.pop()))
    for name, (_, _, key) in parts.items():
        if key not in mdata.mod:
            raise ValueError(NOT_IN_MUDATA.format(path=paths[name], key=key, known=list(mdata.mod)))
    return Modalities.from_mudata({name: mdata.mod[key] for name, (_, _, key) in parts.items()})


def paths_of(options: Sequence[str]) -> dict[str, str]:
    """Paths by name of modality."""
    paths: dict[str, str] = {}
    for option in options:
        name, separator, path = option.partition("=")
        if not (separator and name.strip() and path.strip()):
            raise ValueError(NOT_NAMED.format(given=option))
        if name.strip() in paths:
            raise ValueError(REPEATED.format(name=name.strip()))
        paths[name.strip()] = path.strip()
    return paths


def read_named_labels(sources: Sequence[str] | None, data: Modalities) -> dict[str, NDArray]:
    """Labels by a short name: the column or array they were read from, or the file's name.

    Of several with the same name each has its file's name before it, or its path where that is the same too.
    """
    from deepjive.data.files import read_labels

    return {name: read_labels(source, data.samples, len(data)) for source, name in _label_names(sources or []).items()}


def _label_names(sources: Sequence[str]) -> dict[str, str]:
    parts = {source: _file_and_key(source) for source in sources}
    names = {source: key or stem for source, (stem, key) in parts.items()}
    with_file = {source: f"{stem}:{key}" if key else stem for source, (stem, key) in parts.items()}
    for longer in (with_file, {source: source for source in sources}):
        times = Counter(names.values())
        names = {source: name if times[name] == 1 else longer[source] for source, name in names.items()}
    return names


def _file_and_key(source: str) -> tuple[str, str]:
    file, separator, key = source.rpartition(":")
    return (Path(file).stem, key) if separator and not Path(source).is_file() else (Path(source).stem, "")


def check_folder(out: Path) -> None:
    """Refuse an ``--out`` that names a file where a folder is written.

    Raises
    ------
    ValueError
        If it is a file, or is called as one.
    """
    from deepjive.data.files import READERS

    if out.is_file():
        raise ValueError(NOT_A_FOLDER.format(path=out, what="a file"))
    if not out.is_dir() and out.name.lower().endswith(READERS):
        raise ValueError(NOT_A_FOLDER.format(path=out, what="the name of a file"))


def rank_of(option: str, text: str) -> int | str:
    """A number of components, or "auto"."""
    if text.strip() == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        by_name = "" if option == "--joint-rank" else BY_NAME
        raise ValueError(NOT_A_RANK.format(option=option, given=text, or_by_name=by_name)) from None


def ranks_of(option: str, texts: Sequence[str]) -> Any:
    """Numbers of components: one for all modalities, or a dict.

    Examples
    --------
    >>> ranks_of("--individual-rank", ["3"]), ranks_of("--individual-rank", ["mri=3", "pet=4"])
    (3, {'mri': 3, 'pet': 4})
    """
    single = [text for text in texts if "=" not in text]
    if single and len(single) < len(texts):
        raise ValueError(MIXED_RANKS.format(option=option))
    if len(single) > 1:
        raise ValueError(TWO_RANKS.format(option=option, count=len(single)))
    if single:
        return rank_of(option, single[0])
    ranks: dict[str, int] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        if name in ranks:
            raise ValueError(RANK_TWICE.format(option=option, name=name))
        rank = rank_of(option, number)
        if isinstance(rank, str):
            raise ValueError(NOT_A_RANK.format(option=option, given=text, or_by_name=BY_NAME))
        ranks[name] = rank
    return ranks
