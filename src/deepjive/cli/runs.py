"""A run is a folder: the model, its history, its scores as CSV, and the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepjive.progress import progress_bar
from deepjive.report.tables import file_names, history_text, scores_text, variance_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepjive.decomposition import Decomposition

CONFIG, REPORT, EVIDENCE, VARIANCE = "config.json", "report.html", "evidence.json", "variance_explained.csv"
CHECKPOINT, OPTIONS = "checkpoint", "run.json"
MADE_FROM_THE_MODEL = ("history.csv", "joint_scores.csv", "individual_scores_*.csv", VARIANCE, REPORT, EVIDENCE)

FITTED_SAMPLES = (
    "The model was fitted to these samples. It usually explains less of new samples; `deepjive report` shows how much."
)


def prepare(folder: Path, overwrite: bool) -> None:
    """Make the folder of a new run, so that errors come before a long fit.

    Parameters
    ----------
    folder : Path
        The run.
    overwrite : bool
        Whether an older run may be replaced.

    Raises
    ------
    ValueError
        If the folder holds files that must not be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, but a run is a folder. Choose another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / CHECKPOINT / OPTIONS).exists():
        if not overwrite:
            raise ValueError(
                f"{folder} holds an interrupted run. Continue it with deepjive fit --resume {folder}, or begin again "
                "with --overwrite."
            )
        shutil.rmtree(folder / CHECKPOINT)
    if not any(folder.iterdir()):
        return
    if not (folder / CONFIG).is_file():
        raise ValueError(
            f"{folder} is not empty and does not hold a run, so nothing is written there. Choose another --out."
        )
    if not overwrite:
        raise ValueError(f"{folder} already holds a run. Choose another --out, or replace the run with --overwrite.")


def begin(folder: Path, model: Any, run: Mapping[str, Any]) -> Path:
    """Save the options of a run, so that it can be resumed; returns the folder of its checkpoint."""
    from deepjive.packing import packed_parameter
    from deepjive.persistence import write_atomically

    parameters = {name: packed_parameter(value, name, {}) for name, value in model.get_params(deep=False).items()}
    options = {"class": type(model).__name__, "parameters": parameters, "run": dict(run)}
    checkpoint = folder / CHECKPOINT
    checkpoint.mkdir(parents=True, exist_ok=True)
    write_atomically(checkpoint / OPTIONS, json.dumps(options, indent=1).encode())
    return checkpoint


def end(folder: Path) -> None:
    """Remove the checkpoint of a finished run."""
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def write_run(
    folder: Path, model: Any, decomposition: Decomposition, *, run: Mapping[str, Any] | None = None, **report: Any
) -> Path:
    """Write a fitted model, its scores and its report.

    An older run is replaced. Its model stays intact until the new model is written.

    Parameters
    ----------
    folder : Path
        The run.
    model : estimator
        A fitted estimator.
    decomposition : Decomposition
        The decomposition of the fitted samples, or of others if `note` says so.
    run : mapping, optional
        Options of the command, saved in config.json so that the run can be repeated.
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
    if history := model.report_facts().get("history"):
        write_atomically(folder / "history.csv", history_text(history).encode())
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
    opening: Any = None,
) -> Path:
    """Write the report on a model's decomposition of some samples.

    Parameters
    ----------
    path : Path
        The file.
    model : estimator
        A fitted estimator.
    decomposition : Decomposition
        The decomposition to show.
    title : str, optional
        Heading; by default the method and the modalities.
    labels : mapping of str to array, optional
        Labels of the samples.
    sources : mapping of str to str, optional
        Files of the modalities.
    command : str, optional
        The command that fitted the model.
    note : str, optional
        A sentence that says which samples these are.
    evidence : Evidence or sequence of Table, optional
        Results with their baselines.
    failures : callable, optional
        Returns the known failures that are recognised; called after the model is written.
    opening : Picture, optional
        A picture above the results.
    """
    from deepjive.report import write_report
    from deepjive.report.words import enumeration

    method = type(model).__name__
    findings = None if failures is None else failures()
    with progress_bar() as progress:
        progress(0, None, "Writing the report")
        return write_report(
            path,
            decomposition,
            title=title or f"{method} of {enumeration(decomposition.data.names)}",
            settings={
                "method": method,
                "files": dict(sources or {}),
                "data": decomposition.data.summary(),
                **model.get_params(deep=False),
            },
            labels=labels or None,
            command=command,
            note=note,
            evidence=evidence,
            failures=findings,
            opening=opening,
            **model.report_facts(),
        )


def groups_of(run: Path) -> str | None:
    """The file with the participants of the fitted samples, or None."""
    from deepjive.persistence import read_config

    groups = read_config(run).get("run", {}).get("groups")
    return groups if isinstance(groups, str) else None
