"""A run is a folder: the model, its history, its scores as CSV, and the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepjive.report.tables import file_names, history_text, scores_text, variance_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepjive.decomposition import Decomposition

CONFIG, REPORT, EVIDENCE, VARIANCE = "config.json", "report.html", "evidence.json", "variance_explained.csv"
CHECKPOINT, OPTIONS = "checkpoint", "run.json"
MADE_FROM_THE_MODEL = ("history.csv", "joint_scores.csv", "individual_scores_*.csv", VARIANCE, REPORT, EVIDENCE)

FITTED_SAMPLES = (
    "These are the samples the model was fitted to. On samples it has never seen less is usually explained; "
    "`deepjive report` shows how much."
)
NOT_A_FOLDER = "{path} is a file, but a run is a folder. Choose another --out."
HOLDS_A_RUN = "{path} already holds a run. Choose another --out, or replace it with --overwrite."
UNFINISHED = (
    "{path} holds a run that was cut off. Go on with it: deepjive fit --resume {path}; or begin again with --overwrite."
)
HOLDS_OTHER_FILES = "{path} is not empty and does not hold a run, so nothing is written there. Choose another --out."


def prepare(folder: Path, overwrite: bool) -> None:
    """Make the folder of a new run, before hours are spent on what could not be written.

    Raises
    ------
    ValueError
        If it holds something that must not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(NOT_A_FOLDER.format(path=folder))
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / CHECKPOINT / OPTIONS).exists():
        if not overwrite:
            raise ValueError(UNFINISHED.format(path=folder))
        shutil.rmtree(folder / CHECKPOINT)
    if not any(folder.iterdir()):
        return
    if not (folder / CONFIG).is_file():
        raise ValueError(HOLDS_OTHER_FILES.format(path=folder))
    if not overwrite:
        raise ValueError(HOLDS_A_RUN.format(path=folder))


def begin(folder: Path, model: Any, run: Mapping[str, Any]) -> Path:
    """Write down what a run is to become, so that it can be gone on with; gives the folder of its checkpoint."""
    from deepjive.packing import packed_parameter
    from deepjive.persistence import write_atomically

    parameters = {name: packed_parameter(value, name, {}) for name, value in model.get_params(deep=False).items()}
    options = {"class": type(model).__name__, "parameters": parameters, "run": dict(run)}
    checkpoint = folder / CHECKPOINT
    checkpoint.mkdir(parents=True, exist_ok=True)
    write_atomically(checkpoint / OPTIONS, json.dumps(options, indent=1).encode())
    return checkpoint


def end(folder: Path) -> None:
    """Remove the checkpoint of a run that is written."""
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def write_run(
    folder: Path, model: Any, decomposition: Decomposition, *, run: Mapping[str, Any] | None = None, **report: Any
) -> Path:
    """Write a fitted model, its scores and its report; replaces an older run, of which a whole model stays until then.

    Parameters
    ----------
    folder : Path
        The run.
    model : estimator
        A fitted estimator.
    decomposition : Decomposition
        Of the samples it was fitted to, or of others if `note` says so.
    run : mapping, optional
        Options of the command that made the run, kept in its config.json so that it can be made again.
    **report
        As for `write_report_of`.

    Returns
    -------
    Path
        The report.
    """
    from deepjive.persistence import save, write_atomically

    save(model, folder, run)
    for pattern in MADE_FROM_THE_MODEL:
        for old in folder.glob(pattern):
            old.unlink()
    write_scores(folder, decomposition)
    if hasattr(model, "history_"):
        write_atomically(folder / "history.csv", history_text(model.history_).encode())
    return write_report_of(folder / REPORT, model, decomposition, **{"note": FITTED_SAMPLES, **report})


def write_scores(folder: Path, decomposition: Decomposition) -> list[Path]:
    """Write joint and individual scores, and variance explained, as CSV files."""
    from deepjive.persistence import write_atomically

    samples, names = decomposition.data.samples, file_names(decomposition.data.names)
    texts = {"joint_scores.csv": scores_text(decomposition.joint_scores, samples, "joint")}
    for name, scores in decomposition.individual_scores.items():
        texts[f"individual_scores_{names[name]}.csv"] = scores_text(scores, samples, "individual")
    texts[VARIANCE] = variance_text(decomposition.variance_explained)
    for file, text in texts.items():
        write_atomically(folder / file, text.encode())
    return [folder / file for file in texts]


def write_report_of(
    path: Path,
    model: Any,
    decomposition: Decomposition,
    *,
    title: str | None = None,
    labels: Mapping[str, NDArray] | None = None,
    sources: Mapping[str, str] | None = None,
    command: str | None = None,
    note: str | None = None,
    evidence: Any = None,
    failures: Callable[[], Sequence[Any]] | None = None,
) -> Path:
    """Write the report on what a model says of some samples.

    Parameters
    ----------
    path : Path
        The file.
    model : estimator
        A fitted estimator.
    decomposition : Decomposition
        What to show.
    title : str, optional
        Heading; the method and the modalities by default.
    labels : mapping of str to array, optional
        Labels of the samples.
    sources : mapping of str to str, optional
        Files of the modalities.
    command : str, optional
        The command that fitted the model.
    note : str, optional
        Which samples these are.
    evidence : Evidence or sequence of Table, optional
        Figures beside their baselines.
    failures : callable, optional
        Gives the known failures that are recognised; asked when the model is safely written.
    """
    from rich.console import Console

    from deepjive.report import write_report
    from deepjive.report.words import enumeration

    method = type(model).__name__
    found = None if failures is None else failures()
    with Console(stderr=True).status("Writing the report"):
        return write_report(
            path,
            decomposition,
            title=title or f"{method} of {enumeration(decomposition.data.names)}",
            settings={"method": method, "files": dict(sources or {}), **model.get_params(deep=False)},
            history=getattr(model, "history_", None),
            labels=labels or None,
            diagnostics=diagnostics_of(model),
            rank_table=getattr(model, "rank_table_", None) or None,
            networks=model.describe() if hasattr(model, "describe") else None,
            command=command,
            note=note,
            evidence=evidence,
            failures=found,
        )


def groups_of(run: Path) -> str | None:
    """The file of participants that a run was fitted with, if it was."""
    from deepjive.persistence import read_config

    given = read_config(run).get("run", {}).get("groups")
    return given if isinstance(given, str) else None


def diagnostics_of(model: Any) -> dict[str, Any] | None:
    """How the joint rank was chosen, for a model that knows."""
    if not all(hasattr(model, name) for name in ("joint_singular_values_", "wedin_samples_", "random_samples_")):
        return None
    if not (len(model.wedin_samples_) and len(model.random_samples_)):
        return None
    rejected = {component for numbers in getattr(model, "rejected_", {}).values() for component in numbers}
    return {
        "squared_singular_values": model.joint_singular_values_**2,
        "wedin_samples": model.wedin_samples_,
        "random_samples": model.random_samples_,
        "rejected": sorted(rejected),
    }
