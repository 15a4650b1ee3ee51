"""Options that several commands share, and the meaning of their texts."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepjive.data.levels import LevelName
from deepjive.data.modalities import UnmatchedName
from deepjive.validation import MissingFeatures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepjive.data.modalities import Modalities

NOT_A_RANK = "{option} {given!r} is not a number of components. Write a number or 'auto'{or_by_name}."
BY_NAME = " for all modalities, or name=number for one"
NOT_A_FOLDER = (
    "--out {path} is {what}, but a file is written for each modality. Name a folder, e.g. --out parts. The folder is "
    "made if it does not exist."
)
ONE_MUDATA = (
    "Modalities of a MuData file cannot be mixed with other files. Give all of them as NAME=FILE.h5mu:MODALITY from "
    "one file, e.g. -m rna=cells.h5mu:rna -m protein=cells.h5mu:prot."
)
MUDATA = ".h5mu"
COLUMNED = (".csv", ".tsv", ".gz", ".parquet", ".xlsx")

MissingName = Literal["error", "impute"]

ModalityOption = Annotated[
    list[str],
    typer.Option(
        "--modality",
        "-m",
        metavar="NAME=PATH",
        help="A modality and its file: .npy, .npz, .csv, .tsv (also .gz), .xlsx, .parquet, .h5, .zarr, .nii.gz "
        "(samples last), .txt or a table of image paths (.nii.gz, .mgh, .gii, .dscalar.nii), .h5ad, .h5mu, or "
        "FOLDER:ATLAS:MEASURE (regions of FreeSurfer, Clinica or CAT12). FILE:NAME picks one of several arrays or "
        "sheets. Repeat for each modality.",
        show_default=False,
    ),
]
FittedModalityOption = Annotated[
    list[str] | None,
    typer.Option(
        "--modality",
        "-m",
        metavar="NAME=PATH",
        help="A modality and its file, as for fit. Without this option the files that the run was fitted to are read.",
        show_default=False,
    ),
]
SamplesOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Names of the rows of files that do not name them, in order: .txt with a name per line, .npy, or the "
        "first column of a table.",
    ),
]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH",
        help="Labels to colour the scores by: .npy, file.npz:key, file.csv:column or file.h5ad:obs:column. Some "
        "samples may lack a label. A column of a modality's table that is named here is not a feature. Repeatable.",
        show_default=False,
    ),
]
GroupsOption = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="The participant of each sample, if some participants have several: .npy, file.npz:key or "
        "file.csv:column, file.h5ad:obs:column. Participants are then held out, drawn and permuted as a whole.",
        show_default=False,
    ),
]
MissingOption = Annotated[
    MissingName | None,
    typer.Option(
        help="What to do about missing values and samples that lack a modality (linear methods).", show_default="error"
    ),
]
UnmatchedOption = Annotated[
    UnmatchedName,
    typer.Option(
        help="What to do about samples that some tables lack: drop leaves them out, keep treats them as samples that "
        "lack a modality."
    ),
]
TABLES = "Tables"
FeaturesInRowsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Modality whose rows are features and whose columns are samples; 'all' or 'none'. Repeatable.",
        show_default=False,
        rich_help_panel=TABLES,
    ),
]
SepOption = Annotated[
    str | None,
    typer.Option(
        metavar="CHARACTER",
        help="Separator of columns, such as ';' or 'tab'.",
        show_default="found from each file",
        rich_help_panel=TABLES,
    ),
]
DecimalOption = Annotated[
    str | None,
    typer.Option(
        metavar="CHARACTER",
        help="Decimal mark: '.' or ','. With ',' numbers in files separated by commas keep their points.",
        show_default="found from each file",
        rich_help_panel=TABLES,
    ),
]
OneHotOption = Annotated[
    bool,
    typer.Option(
        "--one-hot",
        help="Code each column of text as columns of 0 and 1, one for each of its values.",
        rich_help_panel=TABLES,
    ),
]
ParcellationOption = Annotated[
    str | None,
    typer.Option(
        metavar="ATLAS[:NAMES]",
        help="Image of labels (.nii.gz) in the space of the images; the mean of each region then takes the place of "
        "the voxels. NAMES is a table with the columns index and name.",
        show_default="a table beside the atlas with the same name",
        rich_help_panel=TABLES,
    ),
]
ConfoundsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH:NAMES",
        help="Columns that are taken out of every modality, such as patients.csv:age,sex,site or cells.h5ad:obs:batch "
        "(repeatable). New samples need them too.",
        show_default=False,
    ),
]
SiteOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The confound that is the site, whose shift and scale of each feature are taken out; 'none' if none is.",
        show_default="the one called site, scanner, batch, center or centre",
    ),
]
LevelOption = Annotated[
    LevelName | None,
    typer.Option(
        help="Of repeated measures, decompose the variation between participants (their means) or within them (changes "
        "between their samples, in the order of the rows). Needs --groups.",
        show_default=False,
    ),
]
TransformationOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME:]KIND",
        help="Transformation of the values of all modalities, or of one: log1p, log_cpm (counts), clr (compositions), "
        "arcsinh, logit (proportions), rank_normal or none. Repeatable.",
        show_default="none",
    ),
]
ScaleOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME:]KIND",
        help="Scale of all modalities, or of one: modality (equal weights of modalities), features (unit variance), "
        "robust (unit interquartile range), or none for all. Repeatable.",
        show_default="modality",
    ),
]
MissingFeaturesOption = Annotated[
    MissingFeatures,
    typer.Option(help="What to do about features that the run was fitted to and the data lack: mean fills them in."),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that fit wrote.", show_default=False)]
TitleOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Heading of the report.", show_default=False)]


@dataclass(frozen=True)
class TableOptions:
    """How the tables of all modalities are read, and the columns that are confounds.

    Attributes
    ----------
    features_in_rows : list of str or None
        Names of modalities, "all" or "none".
    sep, decimal : str or None
        Separator of columns and decimal mark; None finds them from each file.
    one_hot : bool
        Whether columns of text are coded as columns of 0 and 1.
    confounds : list of str or None
        Files and columns of the confounds, such as ``["patients.csv:age,sex"]``.
    site : str or None
        The confound that is the site; "none" if none is.
    level : {"between", "within"} or None
        The level of repeated measures.
    parcellation : str or None
        Image of labels, whose regions take the place of voxels.
    ignored : dict of str to tuple of str
        Columns that were no features when a run was fitted, such as labels, by modality.
    """

    features_in_rows: list[str] | None = None
    sep: str | None = None
    decimal: str | None = None
    one_hot: bool = False
    confounds: list[str] | None = None
    site: str | None = None
    level: LevelName | None = None
    parcellation: str | None = None
    ignored: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of_run(cls, run: Path, *given: Any) -> TableOptions:
        """Return the options that were given, and for the others the options with which a run was fitted."""
        from deepjive.persistence import read_config

        options = read_config(run).get("run", {})
        if isinstance(options.get("confounds"), str):  # a run of before the option was repeatable
            options = {**options, "confounds": [options["confounds"]]}
        names = [option.name for option in fields(cls)][:-1]
        values = (*given, *[None] * (len(names) - len(given)))  # a run's parcellation cannot be changed
        chosen = (value or options.get(name) or value for name, value in zip(names, values, strict=True))
        columns = [*(options.get("labels") or []), *filter(None, [options.get("groups")])]
        columns += _confound_sources(options.get("confounds")).values()
        beside = {name: _columns_of(path, columns) for name, path in (options.get("modality") or {}).items()}
        return replace(cls(*chosen), ignored={name: found for name, found in beside.items() if found})

    @property
    def turned(self) -> bool | list[str] | None:
        """`features_in_rows` as `Modalities` takes it."""
        if not self.features_in_rows:
            return None
        if self.features_in_rows in (["all"], ["none"]):
            return self.features_in_rows == ["all"]
        return self.features_in_rows

    @property
    def separator(self) -> str | None:
        """The separator as a character."""
        return {"tab": "\t", "\\t": "\t"}.get(self.sep or "", self.sep)


def command_of(context: typer.Context) -> str:
    """The command line that the user typed."""
    return shlex.join(["deepjive", *(context.obj or [])])


def read_modalities(
    options: Sequence[str],
    samples: str | None = None,
    unmatched: UnmatchedName = "error",
    groups: str | None = None,
    tables: TableOptions = TableOptions(),
    labels: Sequence[str] | None = None,
    *,
    announced: bool = True,
) -> Modalities:
    """Read the data named by ``--modality`` options, and say on stderr how its rows were paired.

    Parameters
    ----------
    options : sequence of str
        ``"name=path"`` each.
    samples : str, optional
        File with the names of the samples, see `deepjive.data.files.read_names`.
    unmatched : {"error", "drop", "keep"}, default="error"
        As for `Modalities`.
    groups : str, optional
        File with the participant of each sample; read like labels.
    tables : TableOptions, optional
        How tables are read.
    labels : sequence of str, optional
        Files with labels. A column of labels or groups that stands in the table of a modality is no feature.
    announced : bool, default=True
        Whether a line on stderr describes the data.

    Returns
    -------
    Modalities
    """
    from deepjive.cli import show
    from deepjive.data.files import FileSource, read_labels, read_names
    from deepjive.data.modalities import Modalities

    paths = paths_of(options)
    confounds = _confound_sources(tables.confounds)
    columns = [*(labels or []), *([groups] if groups else []), *confounds.values()]
    if any(MUDATA in path.lower() for path in paths.values()):
        # a MuData file holds the union of its modalities' samples, so that missing modalities are meant
        sources, unmatched = _of_mudata(paths), "keep" if unmatched == "error" else unmatched
    else:
        sources = {
            name: FileSource(
                path,
                tables.separator,
                tables.decimal,
                tables.one_hot,
                _columns_of(path, columns),
                tables.ignored.get(name, ()),
                tables.parcellation,
            )
            for name, path in paths.items()
        }
    names = None if samples is None else read_names(samples)
    data = Modalities(sources, samples=names, unmatched=unmatched, features_in_rows=tables.turned)
    if groups is not None:
        data = Modalities(data, groups=read_labels(groups, data.samples, len(data)))
    if confounds:
        values = {name: read_labels(source, data.samples, len(data)) for name, source in confounds.items()}
        site = {None: "auto", "none": None}.get(tables.site, tables.site)
        data = Modalities(data, confounds=values, site=site)
    elif tables.site is not None:
        raise ValueError("--site names a confound, but there are none. Give --confounds FILE:COLUMN,COLUMN.")
    if tables.level is not None:
        data = data.between() if tables.level == "between" else data.within()
    if announced:
        show.note(data.summary())
    return data


def _confound_sources(sources: Sequence[str] | None) -> dict[str, str]:
    """The file and column of each confound."""
    from deepjive.data.files import columns_of
    from deepjive.data.pairing import check_names_differ

    columns = [pair for source in sources or () for pair in columns_of(source).items()]
    check_names_differ("confounds", [name for name, _ in columns])
    return dict(columns)


def _columns_of(path: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Columns of labels that stand in the table of a modality."""
    from deepjive.data.files import file_and_key

    file = file_and_key(path)[0]
    parts = [file_and_key(source) for source in columns]
    same = [key for other, key in parts if key and other.resolve() == file.resolve()]
    return tuple(dict.fromkeys(key.rpartition(":")[2] for key in same if file.suffix.lower() in COLUMNED))


def _of_mudata(paths: dict[str, str]) -> dict[str, Any]:
    """Modalities of one MuData file."""
    from deepjive.data.readers.annotated import read_h5mu

    parts = {name: path.rpartition(":") for name, path in paths.items()}
    files = {file for file, _, _ in parts.values()}
    if len(files) != 1 or not next(iter(files)).lower().endswith(MUDATA):
        raise ValueError(ONE_MUDATA)
    mdata = read_h5mu(Path(files.pop()))
    for name, (_, _, key) in parts.items():
        if key not in mdata.mod:
            raise ValueError(f"{paths[name]} has no modality {key!r}; it holds {list(mdata.mod)}.")
    return {name: mdata.mod[key] for name, (_, _, key) in parts.items()}


def paths_of(options: Sequence[str]) -> dict[str, str]:
    """Paths by name of modality."""
    paths: dict[str, str] = {}
    for option in options:
        name, separator, path = option.partition("=")
        if not (separator and name.strip() and path.strip()):
            raise ValueError(f"--modality {option!r} is not of the form name=path. Write e.g. --modality mri=mri.npy.")
        if name.strip() in paths:
            raise ValueError(f"--modality names {name.strip()!r} more than once. Give each modality a name of its own.")
        paths[name.strip()] = os.path.expanduser(path.strip())  # shells leave a ~ after = as it is
    return paths


def read_named_labels(sources: Sequence[str] | None, data: Modalities) -> dict[str, NDArray]:
    """Labels by a short name: the name of the column or array, or the name of the file.

    Labels with equal names get the name of their file as well, or its path if the files have equal names too.
    """
    from deepjive.data.files import read_labels

    level, names = data.level, _label_names(sources or [])
    if level is None:
        return {name: read_labels(source, data.samples, len(data)) for source, name in names.items()}
    return {name: level.labels(read_labels(source, level.samples, level.n)) for source, name in names.items()}


def _label_names(sources: Sequence[str]) -> dict[str, str]:
    parts = {source: _file_and_key(source) for source in sources}
    names = {source: key or stem for source, (stem, key) in parts.items()}
    with_file = {source: f"{stem}:{key}" if key else stem for source, (stem, key) in parts.items()}
    for longer in (with_file, {source: source for source in sources}):
        times = Counter(names.values())
        names = {source: name if times[name] == 1 else longer[source] for source, name in names.items()}
    return names


def _file_and_key(source: str) -> tuple[str, str]:
    from deepjive.data.files import file_and_key

    file, key = file_and_key(source)
    return file.stem.removesuffix(".csv").removesuffix(".tsv"), (key or "").rpartition(":")[2]


def check_folder(out: Path) -> None:
    """Refuse an ``--out`` that names a file if the command writes a folder.

    Raises
    ------
    ValueError
        If `out` is a file, or has the suffix of a data file.
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


def kinds_of(option: str, texts: Sequence[str]) -> Any:
    """A word for all modalities, or a dict; "none" becomes None.

    Examples
    --------
    >>> kinds_of("--scale", ["features"]), kinds_of("--transformation", ["rna:log_cpm", "protein:clr"])
    ('features', {'rna': 'log_cpm', 'protein': 'clr'})
    """
    parts = [text.replace("=", ":").rpartition(":") for text in texts]
    values = [None if kind.strip() == "none" else kind.strip() for _, _, kind in parts]
    names = [name.strip() for name, _, _ in parts]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"{option} was given more than once for {repr(twice) if twice else 'all modalities'}. Give it once."
        )
    if len(names) > 1 and "" in names:
        raise ValueError(f"{option} was given for all modalities and for single modalities. Use only one of the two.")
    return dict(zip(names, values, strict=True)) if any(names) else values[0]


def units_of(transformation: Sequence[str] | None, scale: Sequence[str] | None) -> dict[str, Any]:
    """The parameters `transformation` and `scale` of an estimator, as far as they were given."""
    given = {"transformation": transformation, "scale": scale}
    return {name: kinds_of(f"--{name}", texts) for name, texts in given.items() if texts}


def ranks_of(option: str, texts: Sequence[str]) -> Any:
    """Numbers of components: one for all modalities, or a dict.

    Examples
    --------
    >>> ranks_of("--individual-rank", ["3"]), ranks_of("--individual-rank", ["mri=3", "pet=4"])
    (3, {'mri': 3, 'pet': 4})
    """
    single = [text for text in texts if "=" not in text]
    if single and len(single) < len(texts):
        raise ValueError(f"{option} was given for all modalities and for single modalities. Use only one of the two.")
    if len(single) > 1:
        raise ValueError(
            f"{option} was given {len(single)} times for all modalities. Give it once, or name=number for each "
            "modality."
        )
    if single:
        return rank_of(option, single[0])
    ranks: dict[str, int] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        if name in ranks:
            raise ValueError(f"{option} names {name!r} more than once. Give it once.")
        rank = rank_of(option, number)
        if isinstance(rank, str):
            raise ValueError(NOT_A_RANK.format(option=option, given=text, or_by_name=BY_NAME))
        ranks[name] = rank
    return ranks
