"""The tables and the page of `deepjive reproduce mnist`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepjive.experiments.cells import Cell
from deepjive.experiments.digits.study import SHUFFLED, Figures, Sources, deep_settings, pairs_of
from deepjive.report import Table
from deepjive.report.examples import examples
from deepjive.report.figures import scores_scatter
from deepjive.report.grids import grid, one_of_each, traversals
from deepjive.report.study import Section, write_study
from deepjive.report.tables import csv_text

TITLE = "Paired digits: what two images, or an image and a sound, have in common"
LEAD = (
    "Every figure is of test pairs that no model has seen: the mean over seeds and, with more than one, the standard "
    "deviation."
)
HEADINGS = {
    "noisy": "Two images of one digit",
    "leakage": "What it costs to keep the digit out of the individual scores",
    "overlay": "Digits over a shared digit, where the truth is known",
    "sound": "Image and sound of one digit",
    "rotated": "More individual scores than needed",
}
READINGS = {
    "noisy": (
        "The first image is turned by up to 45 degrees, the second is another image of the digit with much noise; the "
        "digit is all they share. Errors are those of a support vector machine that tells the digit from scores, in "
        "percent; guessing errs in 90. Joint scores should tell it, alone means made from one image without the "
        "other; individual scores should not tell it. In shuffled pairs nothing is joint: nothing should be "
        "predicted. Encoders trained on the digits themselves show what such an encoder can do at all."
    ),
    "leakage": (
        "A larger orthogonality weight keeps more of the digit out of the individual scores (their error rises "
        "towards 90 percent) and leaves more unexplained. Conditioned individual decoders see the joint scores too."
    ),
    "overlay": (
        "R2 of the recovered parts against the true ones, 1 for a perfect match. In the sum a linear model is exact; "
        "in the maximum, and its negative turned by a quarter, it is not."
    ),
    "sound": (
        "The digit is joint; the speaker is of the sound alone. A digit drawn from the sound is right where a "
        "classifier that learned from real images calls it what was spoken: with average individual scores, or the "
        "joint part alone, which is a mean over handwritings. Errors and shares in percent."
    ),
    "rotated": (
        "The second image is the first one turned by any angle, so an angle is all that is individual. With more "
        "individual scores than an angle needs, they should still not tell the digit, neither to a linear classifier "
        "nor to one with a radial kernel. Which way up an image stands is not in the data, so the angle is also "
        "counted from each image's own beginning, which other turns of the image give. Scores are whitened, so that "
        "each counts the same, whatever it does to the image; latents are what the decoder sees, and what SPLICE "
        "measures, by variances within half a degree that find .17 where there is nothing."
    ),
}
FRACTIONS = ("error", "right")
PICTURE_METHOD = "explicit"
EXAMPLES = 6


def write_page(
    out: Path, cells: Sequence[Cell], found: Sequence[Figures], sources: Sources, command: str, note: str = ""
) -> tuple[list[Table], Path]:
    """Write ``table.csv`` and ``report.html`` into a folder.

    Parameters
    ----------
    out : Path
        The folder, with the models that pictures are drawn from.
    cells, found : sequence of Cell, sequence of dict
        Fits and their figures.
    sources : Sources
        Where the data are.
    command : str
        What makes the page again.
    note : str
        A sentence to stand first.

    Returns
    -------
    tables, page : list of Table, Path
    """
    from deepjive.persistence import write_atomically

    lines = [
        (cell.part, cell.row, cell.data["n"], cell.seed, key, value)
        for cell, figures in zip(cells, found, strict=True)
        for key, value in figures.items()
    ]
    header = ("study", "row", "training pairs", "seed", "figure", "value")
    write_atomically(out / "table.csv", csv_text(header, lines).encode())
    sections, tables = [], []
    for study in dict.fromkeys(cell.part for cell in cells):
        rows = [(cell, figures) for cell, figures in zip(cells, found, strict=True) if cell.part == study]
        table = _table(study, rows)
        tables.append(table)
        sections.append(Section(HEADINGS[study], READINGS[study], [table], _pictures(out, study, cells, sources)))
    lead = f"{note} {LEAD}".strip()
    return tables, write_study(out / "report.html", title=TITLE, lead=lead, sections=sections, command=command)


def _table(study: str, rows: Sequence[tuple[Cell, Figures]]) -> Table:
    """Figures down, methods or settings across."""
    groups: dict[str, list[Figures]] = {}
    for cell, figures in rows:
        groups.setdefault(cell.row, []).append(figures)
    names = dict.fromkeys(key for group in groups.values() for key in group[0])
    body = [[name, *(_summary(name, group) for group in groups.values())] for name in names]
    seeds = max(len(group) for group in groups.values())
    sentence = f"{rows[0][0].data['n']:,} training pairs, {seeds} seed{'s' if seeds > 1 else ''}."
    return Table(HEADINGS[study], ("", *groups), body, sentence)


def _summary(key: str, group: Sequence[Figures]) -> str:
    values = np.array([figures.get(key, np.nan) for figures in group])
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    scale, digits = (100, 1) if any(word in key for word in FRACTIONS) else (1, 2)
    digits = 0 if "seconds" in key else digits
    mean = f"{scale * values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {scale * values.std(ddof=1):.{digits}f}"


def _pictures(out: Path, study: str, cells: Sequence[Cell], sources: Sources) -> list[tuple[str, Any, str]]:
    """Pictures of the first model with the explicit identity, seed 0; none of the leakage curve."""
    import deepjive as dj

    chosen = [
        cell
        for cell in cells
        if cell.part == study
        and cell.seed == 0
        and cell.model["method"] == PICTURE_METHOD
        and cell.model["networks"] != "deeper"
        and not cell.data["pairs"].endswith(SHUFFLED)
        and (out / "models" / cell.key).is_dir()
    ]
    if not chosen or study == "leakage":
        return []
    cell, folder = chosen[-1], out / "models" / chosen[-1].key
    networks = {key: value for key, value in deep_settings(cell.model).items() if key == "networks"}
    model, test = dj.load(folder, **networks), pairs_of(cell, sources).test
    shown = test.data[:1000]
    parts, digits = model.decompose(shown), test.digit[:1000]
    pictures: list[tuple[str, Any, str]] = []
    ten = one_of_each(digits)
    for name in shown.names:
        pictures.append(
            (
                f"{name}: taken apart",
                examples(parts, name, ten[:EXAMPLES]),
                "Test samples: the input is the sum of the three parts.",
            )
        )
        if parts.joint_scores.shape[1]:
            reading = "Each row moves one joint score from -2 to 2 standard deviations, the others at 0."
            pictures.append((f"{name}: what each joint score does", traversals(parts, name), reading))
        if parts.individual_scores[name].shape[1]:
            reading = "Each row moves one individual score, on the mean image."
            pictures.append(
                (f"{name}: what each individual score does", traversals(parts, name, "individual"), reading)
            )
    first, second = shown.names
    data = shown[ten]
    rows = [data[first], model.impute(data, second), data[second], model.impute(data, first)]
    labels = [first, f"{second} from it", second, f"{first} from it"]
    pictures.append(
        (
            "One modality drawn from the other",
            grid([np.asarray(row) for row in rows], labels, [str(d) for d in digits[ten]]),
            "The joint part of one modality, made from the other one alone.",
        )
    )
    if parts.joint_scores.shape[1] > 1:
        reading = "Test samples by their first two joint scores, coloured by digit."
        pictures.append(("Joint scores", scores_scatter(parts.joint_scores, digits), reading))
    return pictures
