"""`deepjive demo`: the library on real data that it contains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepjive.cli import show
from deepjive.cli.options import command_of
from deepjive.progress import progress_bar

PICTURE_FILE = "demo.png"
READINGS = (
    "The two images of a pair share only the digit, and each image is turned by its own angle. So the digit should be "
    "classified from the joint scores (chance is {chance:.0%}) and the angle predicted from the individual scores (an "
    "R2 of 0 means not at all), but not the other way round. Separate autoencoders do not divide their scores. Support "
    "vector machines learned from scores of fitted pairs, and all numbers are of held-out pairs of other images."
)
PREDICTED = (
    "Joint variation of an image can be predicted from the other image alone. The same model was also fitted to the "
    "same images in random pairs. For new pairs this model should predict none of the variance; the value may be "
    "negative."
)
PICTURE = (
    "Upper left: pairs that the model was not fitted to. Upper right: images made by the model. Each row keeps the "
    "joint scores of the pair on the left, and each column has other individual scores: the digit stays and its angle "
    "changes. Below: each point is a held-out pair. Joint scores group by digit (t-SNE, which does not know the "
    "digits); individual scores are ordered by angle."
)


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")] = Path("runs/demo"),
    pairs: Annotated[int, typer.Option(min=100, help="Number of fitted pairs of images.")] = 4000,
    max_epochs: Annotated[int, typer.Option(min=1, help="Maximum number of epochs of each phase.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the pairs and of all methods.")] = 0,
) -> None:
    """Decompose pairs of turned handwritten digits into digit and angle, compare with baselines, and write a report."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    from deepjive.cli import runs
    from deepjive.experiments.demo import CHANCE, demonstrate
    from deepjive.experiments.demo_picture import demonstration_figure, joint_map
    from deepjive.report import Table
    from deepjive.report.pieces import picture

    runs.prepare(out, overwrite=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with progress_bar() as progress:
            results = demonstrate(pairs, seed=seed, max_epochs=max_epochs, progress=progress)
    readings = [(row.scores, row.size, f"{row.digit:.1%}", f"{row.angle:.2f}") for row in results.readings]
    predicted = [(name, f"{paired:.1%}", f"{null:.1%}") for name, paired, null in results.predicted_variance]
    evidence = [
        Table(
            "Digit and angle predicted from scores",
            ("scores", "number", "digits classified", "R2 of the angle"),
            readings,
            READINGS.format(chance=CHANCE),
        ),
        Table("Variance predicted from the other image", ("modality", "pairs", "shuffled"), predicted, PREDICTED),
    ]
    places = joint_map(results)
    labels = {"digit": results.pairs.digit}
    labels |= {f"angle of the {name} image": angle for name, angle in results.pairs.angle.items()}
    page = runs.write_run(
        out,
        results.model,
        results.parts,
        title="Pairs of turned handwritten digits: one digit, two angles",
        labels=labels,
        command=command_of(context),
        note="The model was not fitted to these pairs of images.",
        evidence=evidence,
        opening=picture("What is joint, and what is individual", demonstration_figure(results, places), PICTURE),
    )
    demonstration_figure(results, places, wide=True).savefig(out / PICTURE_FILE, dpi=200)
    show.variance_table(results.parts)
    for table in evidence:
        show.table(table.caption, table.header, table.rows)
        show.line(table.sentence + "\n")
    show.line(f"Report with pictures of the parts: {page}")
