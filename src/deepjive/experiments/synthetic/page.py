"""The report page of the experiment with synthetic data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from deepjive.experiments.synthetic.figures import measure_by_size, recovered_parts
from deepjive.report.pieces import Table
from deepjive.report.study import Section, write_study

if TYPE_CHECKING:
    from deepjive.experiments.cells import Cell
    from deepjive.experiments.synthetic.study import Example

TITLE = "Synthetic modalities with known parts"
LEAD = (
    "Each modality is the sum of a joint part, an individual part of the same energy, and noise. Every feature is a "
    "linear function of the scores or, in the nonlinear data, a sinusoid of the scores. The recovered parts are "
    "compared with the true parts."
)
COLUMNS = (
    *("", "joint R2", "individual R2", "predicted", "leak", "accuracy", "linear", "from individual"),
    *("CPU\N{NO-BREAK SPACE}s", "seeds"),
)
READ_TABLE = (
    "Mean and standard deviation over seeds. R2: variance of the true part that the recovered part explains, at most "
    "1. Predicted: variance of held-out samples that is predicted from the other modalities; 0 or less where nothing "
    "is joint. Leak: variance of the joint scores that a new regressor predicts from individual scores, at best 0. "
    "Accuracy: how often the quarter of the first true joint score (25% by chance) is predicted from the joint scores "
    "of held-out samples, by a support vector machine and by logistic regression, and from their individual scores. "
    "Each additional score, whether it carries signal or noise, reduces the accuracy of the support vector machine."
)
WORDS = {
    "recovery": (
        "Recovery of the true parts",
        "All identity constraints with the closed form and the regression network, beside the linear methods with the "
        "same ranks, and AJIVE with the joint rank that is best in hindsight. The last rows show modalities whose "
        "samples were shuffled against each other, so that nothing is joint.",
    ),
    "sizes": (
        "Recovery by size of the data",
        "The number of samples, of features and of modalities and the noise are varied one at a time.",
    ),
    "ablation": (
        "Ablation of the objective",
        "The published objective and joint-first training, each without orthogonality, with the regression network, "
        "with the closed form and with the adversary, at the true ranks and with every rank one too large. The last "
        "rows vary the weight of the closed form.",
    ),
    "ranks": ("Wrong ranks", "The joint rank is wrong by up to two, or the individual ranks are too large."),
}
READ_RECOVERED = (
    "Each row is a feature of the first modality. The line is the true {part} part as a function of the true {part} "
    "score. The points are the recovered part of each sample; closer to the line is better."
)
AXES = {"n": "samples", "d": "features of each modality", "noise": "noise, relative to the signal"}
READ_SIZES = "Variance of the true joint part that is recovered, at most 1; bars are standard deviations over seeds."

Picture = tuple[str, Figure, str]


def write_synthetic(
    path: Path,
    cells: Sequence[Cell],
    measures: Sequence[Mapping[str, float]],
    rows: Mapping[str, Sequence[Sequence[str]]],
    example: Example | None,
    command: str,
) -> Path:
    """Write the report page.

    Parameters
    ----------
    path : Path
        The file.
    cells : sequence of Cell
        The cells of the experiment.
    measures : sequence of mapping of str to float
        The measures of each cell.
    rows : mapping of str to sequence of sequence of str
        Rows of the table of each part, from `deepjive.experiments.synthetic.study.tables`.
    example : Example or None
        An example for the figures of the part "recovery".
    command : str
        The command that makes the page again.

    Returns
    -------
    Path
        The file.
    """
    sections = []
    for part, part_rows in rows.items():
        heading, words = WORDS[part]
        figures: list[Picture] = []
        if part == "recovery" and example is not None:
            figures = [_recovered_parts(example, name) for name in ("joint", "individual")]
        if part == "sizes":
            figures = _measures_by_size(cells, measures)
        sections.append(Section(heading, words, [Table(heading, COLUMNS, part_rows, READ_TABLE)], figures))
    return write_study(path, title=TITLE, lead=LEAD, sections=sections, command=command)


def _recovered_parts(example: Example, part: str) -> Picture:
    figure = recovered_parts(example.scores[part], example.truth[part], example.recovered[part], part)
    return f"The {part} part of nonlinear data", figure, READ_RECOVERED.format(part=part)


def _measures_by_size(cells: Sequence[Cell], measures: Sequence[Mapping[str, float]]) -> list[Picture]:
    """For each kind of data and each size a figure of the joint R2."""
    curves: dict[tuple[str, str], dict[str, dict[float, list[float]]]] = {}
    for cell, cell_measures in zip(cells, measures, strict=True):
        if cell.part != "sizes":
            continue
        kind, size, method = cell.row.split(", ", 2)
        quantity, _, value = size.partition(" ")
        if quantity in AXES:
            by_value = curves.setdefault((kind, quantity), {}).setdefault(method, {})
            by_value.setdefault(float(value), []).append(cell_measures["joint"])
    pictures = []
    for (kind, quantity), by_method in curves.items():
        sizes = sorted(next(iter(by_method.values())))
        if len(sizes) > 1:
            values = {method: [by_value[size] for size in sizes] for method, by_value in by_method.items()}
            figure = measure_by_size(sizes, values, AXES[quantity], "joint R2")
            pictures.append((f"{kind} data", figure, READ_SIZES))
    return pictures
