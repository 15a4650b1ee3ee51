"""`deepjive compare`: runs side by side on one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepjive.cli import runs as run_files
from deepjive.cli import show
from deepjive.cli.options import LabelsOption, command_of, read_named_labels
from deepjive.progress import progress_bar
from deepjive.report.tables import as_written

if TYPE_CHECKING:
    from deepjive.report.compare import Run


OF_DATA = {
    "modality": "files",
    "confounds": "confounds",
    "site": "site",
    "groups": "groups",
    "level": "level",
    "unmatched": "unmatched",
    "one_hot": "one_hot",
}


def compare(
    context: typer.Context,
    run: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Two or more folders that fit wrote.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("compare.html"),
    labels: LabelsOption = None,
) -> None:
    """Compare runs on one page: settings, variance explained, agreement of joint scores, evidence.

    Example: deepjive compare runs/ajive runs/deep --labels labels.csv:group --out compare.html
    """
    import numpy as np

    from deepjive.data.modalities import Modalities
    from deepjive.report.compare import common_samples, write_comparison

    if len(run) < 2:
        raise ValueError(f"Only the run {run[0]} was named. Name two or more runs to compare.")
    compared = [read_run(folder, name) for folder, name in zip(run, _names(run), strict=True)]
    samples = common_samples(compared)
    named = Modalities({"sample": np.zeros((len(samples), 1))}, samples=samples)
    with progress_bar() as progress:
        progress(0, None, "Writing the comparison")
        page = write_comparison(out, compared, read_named_labels(labels, named), command_of(context))
    show.line(f"Comparison: {page}")


def read_run(folder: Path, name: str) -> Run:
    """Read the compared results from the folder of a run.

    Raises
    ------
    ValueError
        If the folder holds no run, or files of the run are missing.
    """
    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.persistence import read_config
    from deepjive.report.compare import Run

    config = read_config(folder)
    scores = _table(folder, "joint_scores.csv")
    variance: dict[str, dict[str, float]] = {}
    if (folder / run_files.VARIANCE).is_file():
        table = _table(folder, run_files.VARIANCE)
        variance = {
            as_written(str(row)): {str(key): float(value) for key, value in of.items()} for row, of in table.iterrows()
        }
    evidence = folder / run_files.EVIDENCE
    joint_scores = scores.to_numpy(dtype=float).reshape(len(scores), -1)
    ranks = {"joint_rank": joint_scores.shape[1]}
    if "individual_ranks_" in config["learned"]:
        ranks["individual_ranks"] = config["learned"]["individual_ranks_"]
    return Run(
        name=name,
        settings={"method": config["class"], **_shown({**config["parameters"], **ranks, **_data_settings(config)})},
        samples=scores.index.map(lambda sample: as_written(str(sample))).to_numpy(dtype=str),
        joint_scores=joint_scores,
        variance_explained=variance,
        evidence=Evidence.load(evidence) if evidence.is_file() else None,
    )


def _data_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the fit that concern the data and were given: files, confounds, participants and their level."""
    options = config.get("run") or {}
    return {OF_DATA[name]: options[name] for name in OF_DATA if options.get(name) not in (None, [], {}, False)}


def _table(folder: Path, file: str) -> Any:
    from deepjive.data.readers.tables import read_table

    if not (folder / file).is_file():
        raise ValueError(f"{folder} has no {file}, which `deepjive fit` writes. Fit the run again with this command.")
    return read_table(folder / file)


def _names(folders: Sequence[Path]) -> list[str]:
    """The names of the folders if they differ, otherwise their paths."""
    short = [folder.resolve().name for folder in folders]
    names = short if len(set(short)) == len(short) else [str(folder) for folder in folders]
    return [f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name for i, name in enumerate(names)]


def _shown(settings: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in settings.items()
    }
