"""`deepjive demo`: the library on real data that it contains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepjive.cli import show
from deepjive.cli.options import command_of
from deepjive.progress import progress_bar

ACCURACY = (
    "The two images of a pair share only the digit. The digit should therefore be classified correctly from the joint "
    "scores, but not from the individual scores; chance is {chance:.0%}. A support vector machine was trained on the "
    "scores of the fitted pairs and tested on held-out pairs."
)
PREDICTED = (
    "Joint variation of an image can be predicted from the other image alone. The same model was also fitted to the "
    "same images in random pairs. For new pairs this model should predict none of the variance; the value may be "
    "negative."
)


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")] = Path("runs/demo"),
    pairs: Annotated[int, typer.Option(min=100, help="Number of fitted pairs of images.")] = 2000,
    max_epochs: Annotated[int, typer.Option(min=1, help="Maximum number of epochs of each phase.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the pairs and of all methods.")] = 0,
) -> None:
    """Decompose pairs of handwritten digits that share the digit, compare with baselines, and write a report."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    from deepjive.cli import runs
    from deepjive.experiments.demo import CHANCE, demonstrate
    from deepjive.report import Table

    runs.prepare(out, overwrite=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with progress_bar() as progress:
            results = demonstrate(pairs, seed=seed, progress=progress, max_epochs=max_epochs)
    accuracies = [(name, size, f"{accuracy:.1%}") for name, size, accuracy in results.accuracies]
    predicted = [(name, f"{paired:.1%}", f"{null:.1%}") for name, paired, null in results.predicted_variance]
    evidence = [
        Table(
            "Digits classified from scores", ("scores", "size", "accuracy"), accuracies, ACCURACY.format(chance=CHANCE)
        ),
        Table("Variance predicted from the other image", ("modality", "pairs", "shuffled"), predicted, PREDICTED),
    ]
    page = runs.write_run(
        out,
        results.model,
        results.parts,
        title="Decomposition of pairs of handwritten digits",
        labels={"digit": results.digit},
        command=command_of(context),
        note="The model was not fitted to these pairs of images.",
        evidence=evidence,
    )
    show.variance_table(results.parts)
    for table in evidence:
        show.table(table.caption, table.header, table.rows)
        show.line(table.sentence + "\n")
    show.line(f"Report with pictures of the parts: {page}")
