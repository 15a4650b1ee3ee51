"""The tables and the report page of `deepjive reproduce mnist`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.decomposition import Decomposition
from deepjive.experiments.cells import Cell
from deepjive.experiments.digits.data.pairs import Pairs
from deepjive.experiments.digits.measures import Measures
from deepjive.experiments.digits.study import FRESH, SHUFFLED, TRIED, Sources, deep_settings, pairs_of
from deepjive.experiments.results import TableCell, mean_and_sd, write_results
from deepjive.plot.samples import one_of_each
from deepjive.report import Table
from deepjive.report.figures import examples, grid, scores_scatter, traversals
from deepjive.report.study import Section, write_study
from deepjive.report.tables import csv_text

TITLE = "Paired digits: joint and individual variation of two images, or of an image and a sound"
LEAD = (
    "All measures are of held-out test pairs, but those of tried settings, which are of validation pairs. With several "
    "seeds, tables show the mean and the standard deviation over seeds."
)
HEADINGS = {
    "noisy": "Two images of one digit",
    "leakage": "Digit in the individual scores, by orthogonality weight",
    "overlay": "Overlaid digits with known parts",
    "sound": "Image and sound of one digit",
    "rotated": "More individual scores than needed",
    TRIED: "Settings for joint scores of one image alone",
}
READINGS = {
    "noisy": (
        "The first image is rotated by up to 45 degrees. The second is another image of the same digit with strong "
        "noise. The digit is all that the two images share. Errors are those of a support vector machine that "
        "predicts the digit from scores, in percent; guessing has an error of 90 percent. Joint scores should predict "
        "the digit, also where they are computed from one image alone. Individual scores should not predict it. "
        "Shuffled pairs have no joint variation, so nothing should be predicted. Encoders trained on the digits "
        "themselves show the error that such encoders can reach."
    ),
    "leakage": (
        "With a larger orthogonality weight, the individual scores contain less of the digit: their error rises "
        "towards 90 percent. The residual part then grows. Conditioned individual decoders also take the joint scores "
        "as input."
    ),
    "overlay": (
        "R2 of the recovered parts against the true parts; 1 is a perfect match. A linear model is exact for the sum. "
        "It is not exact for the maximum, nor for the negative rotated by 90 degrees."
    ),
    "sound": (
        "The digit is joint, and the speaker is individual to the sound. The image is predicted from the sound, and a "
        "classifier trained on real images predicts its digit; the accuracy is the share of spoken digits. The image "
        "is predicted with average individual scores, and from the joint part alone, which is a mean over "
        "handwritings. Errors and accuracies are in percent."
    ),
    "rotated": (
        "The second image is the first image rotated by any angle, so the angle is the only individual variation. "
        "With more individual scores than an angle needs, these should still not predict the digit, neither with a "
        "linear classifier nor with a radial kernel. The data do not say which orientation of an image is upright. "
        "Therefore the angle is also measured with an offset for each image, estimated from other rotations of the "
        "image. Scores are whitened, so that each has the same weight, whatever its effect on the image. Latents are "
        "the input of the decoder. SPLICE measures latents, by their variances within half a degree; its measure is "
        "0.17 for latents that are independent of the angle."
    ),
    TRIED: (
        "Errors are of the second half of the validation pairs, in percent; C of the support vector machines is chosen "
        "on the first half. Each setting below the normalized encoders changes the setting before it, and each setting "
        "below the new partners changes that one setting alone."
    ),
}
FRACTIONS = ("error", "accuracy")
ALONE = {
    "digit error, joint": "both images",
    "digit error, joint of turned": "first (turned) alone",
    "digit error, joint of noisy": "second (noisy) alone",
    "CPU seconds of the fit": "CPU seconds of the fit",
}
RESULTS = {  # name and title of the result file, by study
    "noisy": ("noisy-mnist-augmented", "Noisy MNIST, pairs drawn anew in every epoch: digit errors in percent"),
    TRIED: (
        "noisy-mnist-tried",
        "Noisy MNIST, joint scores alone: digit errors in percent by setting, validation pairs",
    ),
}
SOURCES = ("deepjive.deep", "deepjive.experiments.digits")
PICTURE_METHOD = "explicit"
EXAMPLES = 6

Picture = tuple[str, Any, str]


def write_page(
    out: Path, cells: Sequence[Cell], measures: Sequence[Measures], sources: Sources, command: str, note: str = ""
) -> tuple[list[Table], Path]:
    """Write ``table.csv``, ``report.html`` and result files for the documentation into a folder.

    Parameters
    ----------
    out : Path
        The folder; its folder "models" holds the models of which pictures are drawn.
    cells : sequence of Cell
        The fits.
    measures : sequence of dict of str to float
        The measures of each fit.
    sources : Sources
        Where the data are.
    command : str
        The command that makes the page again.
    note : str, default=""
        A sentence before the lead.

    Returns
    -------
    tables : list of Table
        One table for each study.
    page : Path
        The report.
    """
    results = list(zip(cells, measures, strict=True))
    _write_table(out / "table.csv", results)
    sections, tables = [], []
    for study in dict.fromkeys(cell.part for cell in cells):
        table = _table(study, [(cell, values) for cell, values in results if cell.part == study])
        tables.append(table)
        _write_result(out, study, [(cell, values) for cell, values in results if cell.part == study], command)
        sections.append(Section(HEADINGS[study], READINGS[study], [table], _pictures(out, study, cells, sources)))
    lead = f"{note} {LEAD}".strip()
    return tables, write_study(out / "report.html", title=TITLE, lead=lead, sections=sections, command=command)


def _write_table(path: Path, results: Sequence[tuple[Cell, Measures]]) -> None:
    """Write a CSV file with a line for each measure of each fit."""
    from deepjive.persistence import write_atomically

    header = ("study", "row", "training pairs", "seed", "figure", "value")
    lines = [
        (cell.part, cell.row, cell.data["n"], cell.seed, name, value)
        for cell, measures in results
        for name, value in measures.items()
    ]
    write_atomically(path, csv_text(header, lines).encode())


def _write_result(out: Path, study: str, results: Sequence[tuple[Cell, Measures]], command: str) -> None:
    """Write the errors of tried settings, or of pairs that are drawn anew, as a result file of the documentation."""
    shown = [(cell, values) for cell, values in results if study == TRIED or cell.model["method"] in FRESH]
    if study not in RESULTS or not shown:
        return
    columns: dict[str, list[Measures]] = {}
    for cell, values in shown:
        columns.setdefault(cell.row, []).append(values)
    rows = [[row, *(_result_cell(name, by_seed) for name in ALONE)] for row, by_seed in columns.items()]
    name, title = RESULTS[study]
    first, seeds = shown[0][0], sorted({cell.seed for cell, _ in shown})
    note = (
        f"{first.data['n']:,} training pairs of {first.data['images']}, at most {first.model['max_epochs']} epochs"
        f"{'; mean ± standard deviation' if len(seeds) > 1 else ''}."
    )
    (out / "results").mkdir(exist_ok=True)
    write_results(
        out / "results",
        name,
        title,
        ("setting", *ALONE.values()),
        rows,
        command=command,
        seeds=seeds,
        sources=SOURCES,
        notes=[note],
    )


def _result_cell(name: str, by_seed: Sequence[Measures]) -> TableCell:
    """Mean and standard deviation over seeds, or the value of a single seed; errors in percent."""
    scale, decimals = (1.0, 0) if "seconds" in name else (100.0, 2)
    values = [scale * measures[name] for measures in by_seed]
    return mean_and_sd(values, decimals) if len(values) > 1 else f"{values[0]:.{decimals}f}"


def _table(study: str, results: Sequence[tuple[Cell, Measures]]) -> Table:
    """A table with a row for each measure, and a column for each method or setting."""
    columns: dict[str, list[Measures]] = {}
    for cell, measures in results:
        columns.setdefault(cell.row, []).append(measures)
    names = dict.fromkeys(name for column in columns.values() for name in column[0])
    body = [[name, *(_summary(name, column) for column in columns.values())] for name in names]
    seeds = max(len(column) for column in columns.values())
    sentence = f"{results[0][0].data['n']:,} training pairs, {seeds} seed{'s' if seeds > 1 else ''}."
    return Table(HEADINGS[study], ("", *columns), body, sentence)


def _summary(name: str, measures: Sequence[Measures]) -> str:
    """Mean and standard deviation of a measure over seeds; fractions in percent."""
    values = np.array([seed.get(name, np.nan) for seed in measures])
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    scale, digits = (100, 1) if any(word in name for word in FRACTIONS) else (1, 2)
    digits = 0 if "seconds" in name else digits
    mean = f"{scale * values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {scale * values.std(ddof=1):.{digits}f}"


def _pictures(out: Path, study: str, cells: Sequence[Cell], sources: Sources) -> list[Picture]:
    """Pictures of test pairs by one saved model of the study; none of "leakage" and of tried settings."""
    import deepjive as dj

    drawable = [cell for cell in cells if cell.part == study and _is_drawable(cell, out)]
    if not drawable or study in ("leakage", TRIED):
        return []
    cell = drawable[-1]
    networks = {key: value for key, value in deep_settings(cell.model).items() if key == "networks"}
    model = dj.load(out / "models" / cell.key, **networks)
    test = pairs_of(cell, sources).test
    parts = model.decompose(test.data[:1000])
    digits = test.digit[:1000]
    rows = one_of_each(digits)
    pictures = _part_pictures(parts, rows)
    pictures.append(_prediction_picture(model, test, rows))
    if parts.joint_scores.shape[1] > 1:
        reading = "Test samples by their first two joint scores, coloured by digit."
        pictures.append(("Joint scores", scores_scatter(parts.joint_scores, digits), reading))
    return pictures


def _is_drawable(cell: Cell, out: Path) -> bool:
    """Whether a cell is a saved model of seed 0 with the explicit identity, fitted to true pairs."""
    return (
        cell.seed == 0
        and cell.model["method"] == PICTURE_METHOD
        and cell.model["networks"] != "deeper"
        and not cell.data["pairs"].endswith(SHUFFLED)
        and (out / "models" / cell.key).is_dir()
    )


def _part_pictures(parts: Decomposition, rows: NDArray[np.intp]) -> list[Picture]:
    """For each modality its parts in some samples, and the effect of each score."""
    pictures: list[Picture] = []
    for name in parts.joint:
        reading = "Test samples: the input is the sum of the three parts."
        pictures.append(
            (f"{name}: joint, individual and residual part", examples(parts, name, rows[:EXAMPLES]), reading)
        )
        if parts.joint_scores.shape[1]:
            reading = "Each row moves one joint score from -2 to 2 standard deviations; the other scores are 0."
            pictures.append((f"{name}: effect of each joint score", traversals(parts, name), reading))
        if parts.individual_scores[name].shape[1]:
            reading = "Each row moves one individual score, on the mean image."
            picture = traversals(parts, name, "individual")
            pictures.append((f"{name}: effect of each individual score", picture, reading))
    return pictures


def _prediction_picture(model: Any, test: Pairs, rows: NDArray[np.intp]) -> Picture:
    """Each modality predicted from the other modality alone, one sample of each digit."""
    first, second = test.data.names
    data = test.data[rows]
    images = [data[first], model.impute(data, second), data[second], model.impute(data, first)]
    labels = [first, f"{second} from it", second, f"{first} from it"]
    picture = grid([np.asarray(row) for row in images], labels, [str(digit) for digit in test.digit[rows]])
    return "One modality predicted from the other", picture, "The joint part of one modality, from the other one alone."
