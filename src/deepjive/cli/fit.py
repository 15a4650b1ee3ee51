"""`deepjive fit`: from files to a run."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from deepjive.cli import runs, show
from deepjive.cli.config import PARAMETERS, use_config, use_unfinished
from deepjive.cli.evidence import print_failures, recognised
from deepjive.cli.options import (
    GroupsOption,
    LabelsOption,
    MissingOption,
    ModalityOption,
    SamplesOption,
    TitleOption,
    Unmatched,
    UnmatchedOption,
    command_of,
    paths_of,
    rank_of,
    ranks_of,
    read_modalities,
    read_named_labels,
)

NOT_AN_OPTION = "{option} is not an option of --method {method}, which has {own}."
NOT_A_PARAMETER = "[parameters] has {name!r}, which is no parameter of --method {method}; its parameters are {known}."
GO_ON = "What was learned until the last checkpoint is kept: deepjive fit --resume {path}"
INTERRUPTED = (
    "Training was interrupted; the run holds the best model until then. To go on: deepjive fit --resume {path}"
)
NOT_A_BATCH = "--batch-size {given!r} is neither a number nor 'auto'."

OPTIONS = {
    "joint_rank": "--joint-rank",
    "individual_ranks": "--individual-rank",
    "signal_ranks": "--signal-rank",
    "identity": "--identity",
    "orthogonality": "--orthogonality",
    "objective": "--objective",
    "max_epochs": "--max-epochs",
    "batch_size": "--batch-size",
    "learning_rate": "--learning-rate",
    "devices": "--devices",
    "device": "--device",
    "missing": "--missing",
}


class Method(StrEnum):
    """The estimators, by the names they have on the command line."""

    deepjive = "deepjive"
    ajive = "ajive"
    jive = "jive"
    heterojive = "heterojive"


CLASSES = {"deepjive": "DeepJIVE", "ajive": "AJIVE", "jive": "JIVE", "heterojive": "HeteroJIVE"}

RANKS, DEEP, COMPUTING = "Ranks", "DeepJIVE", "Computing"


class Identity(StrEnum):
    """How joint scores are made the same in all modalities."""

    exchange = "exchange"
    explicit = "explicit"
    merged = "merged"


class Orthogonality(StrEnum):
    """How individual scores are kept unpredictable from joint ones."""

    closed_form = "closed_form"
    regression = "regression"
    adversary = "adversary"
    none = "none"


class Objective(StrEnum):
    """What training makes small."""

    joint_first = "joint_first"
    published = "published"


def fit(
    context: typer.Context,
    modality: ModalityOption,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write: model, scores, history and report.")],
    method: Annotated[Method, typer.Option(help="The estimator.")] = Method.deepjive,
    labels: LabelsOption = None,
    samples: SamplesOption = None,
    groups: GroupsOption = None,
    missing: MissingOption = None,
    unmatched: UnmatchedOption = Unmatched.error,
    title: TitleOption = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=use_config,
            is_eager=True,
            help="Options from a TOML file or an earlier run's config.json; the command line overrides them.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            callback=use_unfinished,
            is_eager=True,
            help="Go on with a DeepJIVE run that was cut off, from its last checkpoint; nothing else need be given.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is already there.")] = False,
    joint_rank: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Joint components, or 'auto'.", show_default="auto", rich_help_panel=RANKS),
    ] = None,
    individual_rank: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]NUMBER",
            help="Individual components, of all modalities or of one (repeat).",
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
    identity: Annotated[
        Identity | None,
        typer.Option(help="How joint scores are made the same.", show_default="exchange", rich_help_panel=DEEP),
    ] = None,
    orthogonality: Annotated[
        Orthogonality | None,
        typer.Option(
            help="How individual scores are kept unpredictable from joint ones.",
            show_default="closed_form",
            rich_help_panel=DEEP,
        ),
    ] = None,
    objective: Annotated[
        Objective | None,
        typer.Option(help="What training makes small.", show_default="joint_first", rich_help_panel=DEEP),
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Most passes over the data in each phase.", show_default="500", rich_help_panel=DEEP),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Samples in a step, or 'auto'.", show_default="auto", rich_help_panel=DEEP),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Adam's learning rate.", show_default="0.003", rich_help_panel=DEEP)
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="cpu or cuda; for DeepJIVE also mps or auto.",
            show_default="cpu",
            rich_help_panel=COMPUTING,
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on this machine (DeepJIVE).", show_default="1", rich_help_panel=COMPUTING),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.", rich_help_panel=COMPUTING)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.", rich_help_panel=COMPUTING)] = False,
) -> None:
    """Split modalities into joint, individual and residual parts; write a model, scores and a report.

    Example: deepjive fit -m mri=mri.npy -m pet=pet.npy --joint-rank 3 --individual-rank 2 --out runs/first
    """
    given = {
        "joint_rank": None if joint_rank is None else rank_of("--joint-rank", joint_rank),
        "individual_ranks": ranks_of("--individual-rank", individual_rank) if individual_rank else None,
        "signal_ranks": ranks_of("--signal-rank", signal_rank) if signal_rank else None,
        "identity": identity and identity.value,
        "orthogonality": orthogonality and orthogonality.value,
        "objective": objective and objective.value,
        "max_epochs": max_epochs,
        "batch_size": None if batch_size is None else _batch_size(batch_size),
        "learning_rate": learning_rate,
        "devices": devices,
        "device": device,
        "missing": missing and missing.value,
    }
    given = {key: value for key, value in given.items() if value is not None}
    parameters = context.meta.get(PARAMETERS, {})
    model = make_estimator(method.value, {**parameters, **given})
    quiet = quiet or not parameters.get("verbose", 1)
    set_if_known(model, random_state=seed, verbose=0 if quiet else parameters.get("verbose", 1))
    data = read_modalities(modality, samples, unmatched, groups)
    named_labels = read_named_labels(labels, data)
    kept = None if unmatched is Unmatched.error else unmatched.value
    run = {"modality": paths_of(modality), "samples": samples, "groups": groups, "labels": labels, "title": title}
    run = _as_given(**run, unmatched=kept)
    if resume is None and _is_first(model):
        runs.prepare(out, overwrite)
    _fit(model, data, out, run)
    if not _is_first(model):
        return
    decomposition = model.decompose(data)
    failures = functools.cache(lambda: recognised(model, data))
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
    )
    show.variance_table(decomposition)
    if not quiet:
        print_failures(failures())
    show.line(f"Report: {report}")
    if getattr(model, "interrupted_", False):
        show.line(INTERRUPTED.format(path=out))
    else:
        runs.end(out)


def _is_first(model: Any) -> bool:
    """Whether this is the process that writes; only what can be gone on with is fitted by several."""
    if not _resumes(model):
        return True
    from deepjive.deep.runtime.distributed import is_first

    return is_first()


def _resumes(model: Any) -> bool:
    return "resume" in inspect.signature(model.fit).parameters


def _fit(model: Any, data: Any, out: Path, run: dict[str, Any]) -> None:
    """Fit, with a checkpoint in the run's folder where the estimator keeps one."""
    if not _resumes(model):
        model.fit(data)
        return
    from deepjive.deep.training.checkpoint import FILE

    if _is_first(model):
        runs.begin(out, model, run)
    try:
        model.fit(data, resume=out / runs.CHECKPOINT)
    except BaseException as error:
        if (out / runs.CHECKPOINT / FILE).is_file():
            error.add_note(GO_ON.format(path=out))
        elif _is_first(model):
            runs.end(out)
        raise


def make_estimator(method: str, parameters: dict[str, Any]) -> Any:
    """An estimator from the options that were given.

    Raises
    ------
    ValueError
        For an option that the method does not have.
    """
    import deepjive

    cls = getattr(deepjive, CLASSES[method])
    if "devices" in parameters and _knows(cls, "runtime"):
        runtime = parameters.get("runtime") or deepjive.Runtime()
        others = {name: value for name, value in parameters.items() if name != "devices"}
        parameters = {**others, "runtime": dataclasses.replace(runtime, devices=parameters["devices"])}
    for name in parameters:
        if not _knows(cls, name) and name not in OPTIONS:
            known = list(inspect.signature(cls).parameters)
            raise ValueError(NOT_A_PARAMETER.format(name=name, method=method, known=known))
        if not _knows(cls, name):
            own = ", ".join(option for parameter, option in OPTIONS.items() if _knows(cls, parameter))
            raise ValueError(NOT_AN_OPTION.format(option=OPTIONS[name], method=method, own=own))
    if parameters.get("orthogonality") == Orthogonality.none.value:
        parameters = {**parameters, "orthogonality": None}
    return cls(**parameters)


def set_if_known(model: Any, **parameters: Any) -> None:
    """Set the parameters that the estimator has."""
    model.set_params(**{name: value for name, value in parameters.items() if _knows(type(model), name)})


def _as_given(**options: Any) -> dict[str, Any]:
    """Options for the run's config, without those that were not given."""
    return {name: value for name, value in options.items() if value}


def _knows(cls: type, parameter: str) -> bool:
    return parameter in inspect.signature(cls).parameters


def _batch_size(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal():
        raise ValueError(NOT_A_BATCH.format(given=text))
    return int(text)
