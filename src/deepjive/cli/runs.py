"""A run is a folder: the model, its history, its scores as CSV, and the report."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepjive.progress import progress_bar
from deepjive.report.tables import as_written, file_names, frame_text, history_text, scores_text, variance_text
from deepjive.subsets import word_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from deepjive.cli.options import TableOptions
    from deepjive.data.modalities import Modalities, UnmatchedName
    from deepjive.decomposition import Decomposition
    from deepjive.evaluation.feature_ranking import FeatureEffects
    from deepjive.evaluation.sample_quality import PairFit
    from deepjive.evaluation.set_enrichment import SetEnrichment

CONFIG, REPORT, EVIDENCE, VARIANCE = "config.json", "report.html", "evidence.json", "variance_explained.csv"
CARD = "model_card.md"
CHECKPOINT, OPTIONS = "checkpoint", "run.json"
LOADINGS = "loadings_{file}.csv"
ENRICHMENT = "enrichment_{file}.csv"
MADE_FROM_THE_MODEL = (
    "history.csv",
    "joint_scores.csv",
    "individual_scores_*.csv",
    "subset_scores_*.csv",
    LOADINGS.format(file="*"),
    ENRICHMENT.format(file="*"),
    VARIANCE,
    REPORT,
    CARD,
    EVIDENCE,
)
NO_FILES = (
    "{run} does not name the files that it was fitted to, so they must be given: --modality NAME=PATH for each "
    "modality."
)

NO_FILE = "{run} has no {file}, which `deepjive fit` writes. Fit the run again with this command."

FITTED_SAMPLES = (
    "The model was fitted to these samples. It usually explains less of new samples; evidence on held-out samples "
    "measures how much."
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
    folder: Path,
    model: Any,
    decomposition: Decomposition,
    *,
    run: Mapping[str, Any] | None = None,
    features: Mapping[str, FeatureEffects] | None = None,
    **report: Any,
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
    features : mapping of str to FeatureEffects, optional
        Feature effects by modality, written as ``loadings_*.csv``.
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
    write_loadings(folder, features or {})
    loadings = read_loadings(folder, decomposition.data.names)
    return write_report_of(
        folder / REPORT, model, decomposition, features=loadings, folder=folder, **{"note": FITTED_SAMPLES, **report}
    )


def write_loadings(folder: Path, features: Mapping[str, FeatureEffects]) -> list[Path]:
    """Write the feature effects of each modality as CSV, by score and with the strongest effects first."""
    from deepjive.persistence import write_atomically

    paths = []
    for name, file in file_names(features).items():
        paths.append(folder / LOADINGS.format(file=file))
        write_atomically(paths[-1], frame_text(features[name].to_frame()).encode())
    return paths


def read_loadings(folder: Path, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Read the feature effects of the modalities for which `write_loadings` wrote a file."""
    import pandas as pd

    frames = {}
    for name, file in file_names(names).items():
        path = folder / LOADINGS.format(file=file)
        if path.is_file():
            frames[name] = pd.read_csv(
                path,
                dtype={"feature": str},
                keep_default_na=False,
                na_values={
                    column: [""] for column in ("effect", "standard_error", "p_value", "q_value", "loading", "match")
                },
            )
            frames[name]["feature"] = frames[name]["feature"].map(as_written)
    return frames


def write_enrichment(folder: Path, enrichment: Mapping[str, SetEnrichment], names: Sequence[str]) -> dict[str, Path]:
    """Write the enrichment of sets in each modality as CSV, and remove files of an earlier enrichment."""
    from deepjive.persistence import write_atomically

    paths = {}
    for name, file in file_names(names).items():
        path = folder / ENRICHMENT.format(file=file)
        path.unlink(missing_ok=True)
        if name in enrichment:
            paths[name] = path
            write_atomically(path, frame_text(enrichment[name].to_frame()).encode())
    return paths


def read_enrichment(folder: Path, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Read the enrichment of the modalities for which `write_enrichment` wrote a file."""
    import pandas as pd

    frames = {}
    for name, file in file_names(names).items():
        path = folder / ENRICHMENT.format(file=file)
        if path.is_file():
            frames[name] = pd.read_csv(path, dtype={"set": str}, keep_default_na=False)
            frames[name]["set"] = frames[name]["set"].map(as_written)
    return frames


def write_scores(folder: Path, decomposition: Decomposition) -> list[Path]:
    """Write joint and individual scores, and variance explained, as CSV files."""
    from deepjive.persistence import write_atomically

    samples, names = decomposition.data.samples, file_names(decomposition.data.names)
    words = [word_of(subset) for subset in decomposition.subset_scores]
    texts = {"joint_scores.csv": scores_text(decomposition.joint_scores, samples, "joint")}
    for file, subset in zip(file_names(words).values(), decomposition.subset_scores, strict=True):
        texts[f"subset_scores_{file}.csv"] = scores_text(decomposition.subset_scores[subset], samples, "subset")
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
    features: Mapping[str, pd.DataFrame] | None = None,
    sets: Mapping[str, pd.DataFrame] | None = None,
    adjust: Mapping[str, NDArray] | None = None,
    kinds: Mapping[str, Any] | None = None,
    survival: Mapping[str, tuple[NDArray, NDArray]] | None = None,
    opening: Any = None,
    folder: Path | None = None,
) -> Path:
    """Write the report on a model's decomposition of some samples, and of fitted samples the model card.

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
    features : mapping of str to DataFrame, optional
        Feature effects by modality, as `read_loadings` gives them.
    sets : mapping of str to DataFrame, optional
        Enrichment of sets by modality, as `read_enrichment` gives it.
    adjust : mapping of str to array, optional
        Confounds for which associations of scores and labels are adjusted.
    kinds, survival : mapping, optional
        Kinds of labels, and times with events, as for `deepjive.report.write_report`.
    opening : Picture, optional
        A picture above the results.
    folder : Path, optional
        The run, for the commands that the page recommends.
    """
    from deepjive.evaluation.sample_quality import sample_fit
    from deepjive.report import write_report
    from deepjive.report.words import enumeration

    method = type(model).__name__
    findings = None if failures is None else failures()
    run = shlex.quote(str(folder)) if folder is not None else None
    heading = title or f"{method} of {enumeration(decomposition.data.names)}"
    if folder is not None and note == FITTED_SAMPLES:
        _write_card(folder, model, decomposition, heading, sources, labels, evidence, findings, command, run)
    with progress_bar() as progress:
        progress(0, None, "Writing the report")
        return write_report(
            path,
            decomposition,
            title=heading,
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
            features=features,
            sets=sets,
            adjust=adjust,
            kinds=kinds,
            survival=survival,
            sample_fit=sample_fit(decomposition, model),
            pairs=_pairs(model, decomposition.data),
            opening=opening,
            run=run,
            calibration=getattr(model, "calibration_", None),
            **model.report_facts(),
        )


def _write_card(
    folder: Path,
    model: Any,
    parts: Decomposition,
    title: str,
    sources: Mapping[str, str] | None,
    labels: Mapping[str, NDArray] | None,
    evidence: Any,
    failures: Sequence[Any] | None,
    command: str | None,
    run: str | None,
) -> None:
    from deepjive.evaluation.evidence_study import Evidence
    from deepjive.persistence import write_atomically
    from deepjive.report.card import model_card

    text = model_card(
        model,
        parts,
        title=title,
        sources=sources,
        labels=list(labels or ()),
        evidence=evidence if isinstance(evidence, Evidence) else None,
        failures=failures,
        command=command,
        run=run,
    )
    write_atomically(folder / CARD, text.encode())


def read_scores(folder: Path) -> tuple[list[str], NDArray, dict[str, NDArray]]:
    """Read what `write_scores` wrote: names of the samples, joint scores, and individual scores by modality."""
    samples, joint = _scores_of(folder / "joint_scores.csv")
    names = file_names(read_variance(folder))
    return (
        samples,
        joint,
        {name: _scores_of(folder / f"individual_scores_{file}.csv")[1] for name, file in names.items()},
    )


def samples_of_modalities(folder: Path) -> dict[str, int]:
    """Number of samples with individual scores in what `write_scores` wrote, for modalities that have such scores."""
    import numpy as np

    _, _, individual = read_scores(folder)
    return {name: int((~np.isnan(z)).any(axis=1).sum()) for name, z in individual.items() if z.shape[1]}


def read_variance(folder: Path) -> dict[str, dict[str, float]]:
    """Read the variance explained of a run, by modality and part."""
    table = _table(folder / VARIANCE)
    return {
        as_written(str(row["id"])): {part: float(row[part]) for part in ("joint", "individual", "residual")}
        for row in table.to_dict("records")
    }


def _scores_of(path: Path) -> tuple[list[str], NDArray]:
    table = _table(path)
    samples = [as_written(str(sample)) for sample in table["sample"]]
    return samples, table.drop(columns="sample").to_numpy(dtype=float).reshape(len(samples), -1)


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise ValueError(NO_FILE.format(run=path.parent, file=path.name))
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    numbers = [column for column in table if column not in ("id", "sample")]
    return table.assign(**{str(column): pd.to_numeric(table[column].mask(table[column] == "")) for column in numbers})


def _pairs(model: Any, data: Modalities) -> dict[str, PairFit]:
    """How well each modality fits the others; empty if the model gives no joint scores without a modality."""
    from deepjive.evaluation.sample_quality import MIN_PAIRS, pair_fit

    several = data.present.sum(axis=1) > 1
    if model.needs_all_modalities or model.joint_rank_ == 0 or len(data.names) < 2:
        return {}
    counts = {name: int((data.present[:, i] & several).sum()) for i, name in enumerate(data.names)}
    return {name: pair_fit(model, data, name) for name, count in counts.items() if count >= MIN_PAIRS}


def read_fitted(
    run: Path,
    modality: Sequence[str],
    samples: str | None,
    unmatched: UnmatchedName,
    groups: str | None,
    tables: TableOptions,
    labels: Sequence[str] | None = None,
) -> Modalities:
    """Read the modalities that were named, or else the files that the run was fitted to.

    Parameters
    ----------
    run : Path
        The run.
    modality, samples, unmatched, groups, tables, labels
        Options of the command. Without `modality` all of them are those of the run.

    Returns
    -------
    Modalities

    Raises
    ------
    ValueError
        If no modality was named and the run does not know its files.
    """
    from deepjive.cli.options import read_modalities

    if modality:
        return read_modalities(modality, samples, unmatched, groups, tables, labels)
    options = options_of(run)
    if not options.get("modality"):
        raise ValueError(NO_FILES.format(run=run))
    return read_modalities(
        [f"{name}={path}" for name, path in options["modality"].items()],
        samples or options.get("samples"),
        options.get("unmatched", unmatched),
        groups or options.get("groups"),
        tables,
        labels,
    )


def options_of(run: Path) -> dict[str, Any]:
    """The options of the command that fitted a run; empty if `deepjive fit` did not write the run."""
    from deepjive.persistence import read_config

    options = read_config(run).get("run", {})
    return options if isinstance(options, dict) else {}


def groups_of(run: Path) -> str | None:
    """The file with the participants of the fitted samples, or None."""
    groups = options_of(run).get("groups")
    return groups if isinstance(groups, str) else None
