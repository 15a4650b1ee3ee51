"""`deepjive fit`: from files to a run."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from deepjive.cli import runs, show
from deepjive.cli.config import PARAMETERS, use_config, use_unfinished
from deepjive.cli.evidence import print_failures, recognised
from deepjive.cli.features import features_of_fit
from deepjive.cli.help import PlainCommand
from deepjive.cli.options import (
    ConfoundsOption,
    DecimalOption,
    FeaturesInRowsOption,
    GroupsOption,
    LabelsOption,
    LevelOption,
    MissingOption,
    ModalityOption,
    OneHotOption,
    ParcellationOption,
    SamplesOption,
    ScaleOption,
    SepOption,
    SiteOption,
    TableOptions,
    TitleOption,
    TransformationOption,
    UnmatchedOption,
    command_of,
    paths_of,
    rank_of,
    ranks_of,
    read_modalities,
    read_named_labels,
    units_of,
)
from deepjive.cli.parameters import (
    CLASSES,
    OPTIONS,
    arguments_of,
    completions,
    parameters_of,
    parse_settings,
    same_parameters,
)
from deepjive.deep.choices import IdentityName, ObjectiveName, OrthogonalityName
from deepjive.progress import progress_bar
from deepjive.subsets import parse_subsets

INTERRUPTED = (
    "Training was interrupted. The run holds the best model until then. To continue: deepjive fit --resume {path}"
)

Method = Literal["deepjive", "ajive", "jive", "heterojive"]
RANKS, DEEP, COMPUTING = "Ranks", "DeepJIVE", "Computing"


def complete_settings(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names and values for ``--set``, for the shell."""
    return completions(context.params.get("method") or "deepjive", incomplete)


class FitCommand(PlainCommand):
    """The command, with a list of the parameters that ``--set`` sets at the end of its help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        super().format_help(ctx, formatter)
        show.parameters({", ".join(methods): group for methods, group in same_parameters(CLASSES).items()})


def fit(
    context: typer.Context,
    modality: ModalityOption,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write: model, scores, history and report.")],
    method: Annotated[Method, typer.Option(help="The estimator.")] = "deepjive",
    labels: LabelsOption = None,
    samples: SamplesOption = None,
    groups: GroupsOption = None,
    missing: MissingOption = None,
    unmatched: UnmatchedOption = "error",
    features_in_rows: FeaturesInRowsOption = None,
    sep: SepOption = None,
    decimal: DecimalOption = None,
    one_hot: OneHotOption = False,
    transformation: TransformationOption = None,
    scale: ScaleOption = None,
    confounds: ConfoundsOption = None,
    site: SiteOption = None,
    level: LevelOption = None,
    parcellation: ParcellationOption = None,
    title: TitleOption = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=use_config,
            is_eager=True,
            help="Options from a TOML file or an earlier run's config.json. The command line overrides them.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            callback=use_unfinished,
            is_eager=True,
            help="Continue a DeepJIVE run that was interrupted, from its last checkpoint. No other option is needed.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that already exists.")] = False,
    joint_rank: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Joint components, or 'auto'.", show_default="auto", rich_help_panel=RANKS),
    ] = None,
    individual_rank: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]NUMBER",
            help="Individual components, for all modalities or for one (repeatable).",
            show_default="auto",
            rich_help_panel=RANKS,
        ),
    ] = None,
    signal_rank: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]NUMBER",
            help="Components of each modality before the split (AJIVE, HeteroJIVE).",
            show_default="auto",
            rich_help_panel=RANKS,
        ),
    ] = None,
    subsets: Annotated[
        str | None,
        typer.Option(
            metavar="auto|A+B,B+C",
            help="Subsets of three or more modalities with variation of their own (DeepJIVE, AJIVE, HeteroJIVE).",
            show_default="None",
            rich_help_panel=RANKS,
        ),
    ] = None,
    identity: Annotated[
        IdentityName | None,
        typer.Option(
            help="How the joint scores of all modalities are made equal.",
            show_default="exchange",
            rich_help_panel=DEEP,
        ),
    ] = None,
    orthogonality: Annotated[
        Literal[OrthogonalityName, "none"] | None,
        typer.Option(
            help="How individual scores are kept unpredictable from joint scores.",
            show_default="closed_form",
            rich_help_panel=DEEP,
        ),
    ] = None,
    objective: Annotated[
        ObjectiveName | None,
        typer.Option(help="What training minimizes.", show_default="joint_first", rich_help_panel=DEEP),
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of epochs of each phase.", show_default="500", rich_help_panel=DEEP),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Samples in a step, or 'auto'.", show_default="auto", rich_help_panel=DEEP),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Adam's learning rate.", show_default="0.003", rich_help_panel=DEEP)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other parameter of the estimator (repeatable). They are listed below.",
            autocompletion=complete_settings,
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where to compute: cpu or cuda; for DeepJIVE also mps or auto.",
            show_default="cpu",
            rich_help_panel=COMPUTING,
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on this machine (DeepJIVE).", show_default="1", rich_help_panel=COMPUTING),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.", rich_help_panel=COMPUTING)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.", rich_help_panel=COMPUTING)] = False,
) -> None:
    """Split modalities into joint, individual and residual parts; write a model, scores and a report.

    Example: deepjive fit -m mri=mri.npy -m pet=pet.npy --joint-rank 3 --individual-rank 2 --out runs/first
    """
    from deepjive.adjust.inspection import warn_of_arrays_on_disk

    flags = {
        "joint_rank": None if joint_rank is None else rank_of("--joint-rank", joint_rank),
        "individual_ranks": ranks_of("--individual-rank", individual_rank) if individual_rank else None,
        "signal_ranks": ranks_of("--signal-rank", signal_rank) if signal_rank else None,
        "subsets": None if subsets is None else parse_subsets(subsets),
        "identity": identity,
        "orthogonality": orthogonality,
        "objective": objective,
        "max_epochs": max_epochs,
        "batch_size": None if batch_size is None else _batch_size(batch_size),
        "learning_rate": learning_rate,
        "device": device,
        "devices": devices,
        "missing": missing,
    }
    parameters = {
        **context.meta.get(PARAMETERS, {}),
        **parse_settings(method, settings or []),
        **{name: value for name, value in flags.items() if value is not None},
        **units_of(transformation, scale),
    }
    quiet = quiet or not parameters.get("verbose", 1)
    model = make_estimator(method, parameters)
    set_if_known(model, random_state=seed, verbose=0 if quiet else parameters.get("verbose", 1))
    tables = TableOptions(features_in_rows, sep, decimal, one_hot, confounds, site, level, parcellation)
    announced = not quiet and _is_first(model)
    data = read_modalities(modality, samples, unmatched, groups, tables, labels, announced=announced)
    named_labels = read_named_labels(labels, data)
    options = {
        "modality": paths_of(modality),
        "samples": samples,
        "groups": groups,
        "labels": labels,
        "title": title,
        "unmatched": None if unmatched == "error" else unmatched,
        **asdict(tables),
    }
    run = {name: value for name, value in options.items() if value}
    if resume is None and _is_first(model):
        runs.prepare(out, overwrite)
        warn_of_arrays_on_disk(data, model.transformation, model.scale)
    _fit(model, data, out, run, visible=not quiet)
    if not _is_first(model):
        return
    decomposition = model.decompose(data)
    failures = functools.cache(lambda: recognised(model, data, decomposition, visible=not quiet))
    report = runs.write_run(
        out,
        model,
        decomposition,
        title=title,
        labels=named_labels,
        run=run,
        sources=paths_of(modality),
        command=command_of(context),
        failures=failures,
        features=features_of_fit(model, data, decomposition, visible=not quiet),
    )
    show.variance_table(decomposition)
    if not quiet:
        print_failures(failures(), out)
    show.line(f"Report: {report}")
    if getattr(model, "interrupted_", False):
        show.line(INTERRUPTED.format(path=out))
    else:
        runs.end(out)


def _is_first(model: Any) -> bool:
    """Whether this process writes the run; only a model that resumes is fitted by several processes."""
    if not _resumes(model):
        return True
    from deepjive.deep.runtime.distributed import is_first

    return is_first()


def _resumes(model: Any) -> bool:
    from sklearn.utils.validation import has_fit_parameter

    return has_fit_parameter(model, "resume")


def _fit(model: Any, data: Any, out: Path, run: dict[str, Any], *, visible: bool) -> None:
    """Fit, with a checkpoint in the run's folder if the estimator can resume from one."""
    from sklearn.utils.validation import has_fit_parameter

    if not _resumes(model):
        with progress_bar(visible) as progress:
            progress(0, None, f"Fitting {type(model).__name__}")
            model.fit(data, **({"progress": progress} if has_fit_parameter(model, "progress") else {}))
        return
    from deepjive.deep.training.checkpoint import FILE

    if _is_first(model):
        runs.begin(out, model, run)
    try:
        model.fit(data, resume=out / runs.CHECKPOINT)
    except BaseException as error:
        if (out / runs.CHECKPOINT / FILE).is_file():
            error.add_note(f"The last checkpoint is kept. To continue from it: deepjive fit --resume {out}")
        elif _is_first(model):
            runs.end(out)
        raise


def make_estimator(method: str, parameters: Mapping[str, Any]) -> Any:
    """An estimator with the parameters that were given.

    Parameters
    ----------
    method : str
        Name of the estimator on the command line.
    parameters : mapping of str to object
        Parameters of its constructor, or fields of a settings object that the constructor takes.

    Raises
    ------
    ValueError
        For an option or a parameter that the method does not have.
    """
    import deepjive

    known = parameters_of(method)
    values = {name: None if (name, value) == ("orthogonality", "none") else value for name, value in parameters.items()}
    for name in values:
        if name in known or any(name == parameter.holder for parameter in known.values()):
            continue
        if name in OPTIONS:
            options = ", ".join(option for parameter, option in OPTIONS.items() if parameter in known)
            others = ", ".join(f"--method {other}" for other in CLASSES if name in parameters_of(other))
            raise ValueError(
                f"{OPTIONS[name]} is not an option of --method {method}, but of {others}. The options of {method} are "
                f"{options}."
            )
        raise ValueError(
            f"[parameters] has {name!r}, which is no parameter of --method {method}. "
            f"Its parameters are {', '.join(known)}."
        )
    return getattr(deepjive, CLASSES[method])(**arguments_of(method, values))


def set_if_known(model: Any, **parameters: Any) -> None:
    """Set the parameters that the estimator has."""
    known = model.get_params(deep=False)
    model.set_params(**{name: value for name, value in parameters.items() if name in known})


def _batch_size(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal():
        raise ValueError(f"--batch-size {text!r} must be a number or 'auto'.")
    return int(text)
