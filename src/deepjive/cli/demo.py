"""`deepjive demo`: the library on real data it brings along."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepjive.cli import show
from deepjive.cli.options import command_of

NOTE = "These are pairs of images that the model was not fitted to."
ACCURACY = (
    "The digit is all that the two images of a pair share, so the joint scores should tell it and the individual "
    "scores should not; chance is {chance:.0%}. A support vector machine learned the digits from the scores of the "
    "fitted pairs and was tested on pairs of images never seen."
)
PREDICTED = (
    "What varies together can be predicted from the other image alone. The same model, fitted to the same images "
    "paired at random, should predict nothing of new pairs: none of the variance, or less than none."
)


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")] = Path("runs/demo"),
    pairs: Annotated[int, typer.Option(min=100, help="Pairs of images to fit to.")] = 2000,
    max_epochs: Annotated[int, typer.Option(min=1, help="Most passes over the data in each phase.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the pairs and of all methods.")] = 0,
) -> None:
    """Split pairs of handwritten digits that share the digit, beside the baselines, and show what was found."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    from deepjive.cli import runs
    from deepjive.experiments.demo import CHANCE, demonstrate
    from deepjive.report import Table

    runs.prepare(out, overwrite=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = demonstrate(
            pairs, seed=seed, progress=lambda *step: show.line(step[-1]), max_epochs=max_epochs, verbose=1
        )
    accuracies = [(name, size, f"{accuracy:.1%}") for name, size, accuracy in found.accuracies]
    predicted = [(name, f"{paired:.1%}", f"{null:.1%}") for name, paired, null in found.predicted_variance]
    evidence = [
        Table("Digits told from scores", ("scores", "size", "accuracy"), accuracies, ACCURACY.format(chance=CHANCE)),
        Table("Variance predicted from the other image", ("modality", "pairs", "shuffled"), predicted, PREDICTED),
    ]
    page = runs.write_run(
        out,
        found.model,
        found.parts,
        title="Pairs of handwritten digits, taken apart",
        labels={"digit": found.digit},
        command=command_of(context),
        note=NOTE,
        evidence=evidence,
    )
    show.variance_table(found.parts)
    for table in evidence:
        show.table(table.caption, table.header, table.rows)
        show.line(table.sentence + "\n")
    show.line(f"The report with pictures of the parts: {page}")
