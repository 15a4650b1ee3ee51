"""The page of the experiment with synthetic data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from deepjive.experiments.synthetic.figures import recovered, sweep
from deepjive.report.pieces import Table
from deepjive.report.study import Section, write_study

if TYPE_CHECKING:
    from deepjive.experiments.cells import Cell
    from deepjive.experiments.synthetic.study import Example

TITLE = "Synthetic modalities, whose parts are known"
LEAD = (
    "Each modality is a joint part, an individual part of the same energy, and noise. Every feature is a linear "
    "function of the scores, or, in the nonlinear data, a sinusoid of them. What a method finds can be compared with "
    "what is there."
)
COLUMNS = (
    *("", "joint R2", "individual R2", "predicted", "leak", "accuracy", "linear", "from individual"),
    *("CPU\N{NO-BREAK SPACE}s", "seeds"),
)
READ_TABLE = (
    "Mean and standard deviation over seeds. R2: variance of the true part that the found part explains, 1 at best. "
    "Predicted: variance of samples not fitted to that is predicted from the other modalities; 0 or less where nothing "
    "is joint. Leak: variance of the joint scores that a fresh regressor predicts from individual scores, 0 at best. "
    "Accuracy: how often the quarter that the first true joint score lies in (by chance 25%) is told from the joint "
    "scores of samples not fitted to, by a support vector machine and by logistic regression, and from their "
    "individual scores. Every score more, meaningful or not, costs the support vector machine some accuracy."
)
WORDS = {
    "recovery": (
        "What is recovered",
        "All identity constraints with the closed form and the regression network, beside the linear methods with the "
        "same ranks, and AJIVE with the joint rank that is best for it in hindsight. The last rows show modalities "
        "whose samples were shuffled against each other, in which nothing is joint.",
    ),
    "sizes": ("How it changes with size", "Samples, features, noise and number of modalities, one at a time."),
    "ablation": (
        "What each piece buys",
        "The published objective and joint-first training, each without orthogonality, with the regression network, "
        "the closed form and the adversary, at the true ranks and with every rank one too large; then the closed "
        "form's weight.",
    ),
    "ranks": ("What wrong ranks cost", "The joint rank off by up to two, and individual ranks that are too large."),
}
READ_RECOVERED = (
    "Each row is a feature of the first modality. The line is the true {word} part as a function of the true {word} "
    "score, the points are what the method found for each sample: the closer to the line the better."
)
AXES = {"n": "samples", "d": "features of each modality", "noise": "noise, relative to the signal"}
READ_SWEEP = "Variance of the true joint part that is recovered, 1 at best; bars are standard deviations over seeds."


def write_synthetic(
    path: Path,
    cells: Sequence[Cell],
    found: Sequence[Mapping[str, float]],
    rows: Mapping[str, Sequence[Sequence[str]]],
    example: Example | None,
    command: str,
) -> Path:
    """Write the page; parameters are the cells, their figures, the tables' rows, an example, and the command."""
    sections = []
    for part, of_part in rows.items():
        heading, words = WORDS[part]
        figures: list[tuple[str, Figure, str]] = []
        if part == "recovery" and example is not None:
            figures = [
                (
                    f"The {word} part of nonlinear data",
                    recovered(example.scores[word], example.truth[word], example.found[word], word),
                    READ_RECOVERED.format(word=word),
                )
                for word in ("joint", "individual")
            ]
        if part == "sizes":
            figures = _sweeps(cells, found)
        sections.append(Section(heading, words, [Table(heading, COLUMNS, of_part, READ_TABLE)], figures))
    return write_study(path, title=TITLE, lead=LEAD, sections=sections, command=command)


def _sweeps(cells: Sequence[Cell], found: Sequence[Mapping[str, float]]) -> list[tuple[str, Figure, str]]:
    curves: dict[tuple[str, str], dict[str, dict[float, list[float]]]] = {}
    for cell, figures in zip(cells, found, strict=True):
        if cell.part != "sizes":
            continue
        kind, size, method = cell.row.split(", ", 2)
        quantity, _, value = size.partition(" ")
        if quantity in AXES:
            by_value = curves.setdefault((kind, quantity), {}).setdefault(method, {})
            by_value.setdefault(float(value), []).append(figures["joint"])
    drawn = []
    for (kind, quantity), by_method in curves.items():
        x = sorted(next(iter(by_method.values())))
        if len(x) > 1:
            values = {method: [by_value[one] for one in x] for method, by_value in by_method.items()}
            drawn.append((f"{kind} data", sweep(x, values, AXES[quantity], "joint R2"), READ_SWEEP))
    return drawn
