"""The demonstration over seeds: the tables of `deepjive demo`, with mean and spread.

    python benchmarks/demo.py --json docs/results    # five seeds, two minutes

See `deepjive.experiments.demonstrate`.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

from deepjive.experiments import demonstrate
from deepjive.experiments.results import mean_and_sd
from result_tables import ResultTable, add_json_option, write_tables

SOURCES = ("deepjive.deep", "deepjive.linear", "deepjive.datasets.digits", "deepjive.experiments.demo")
NOTE = (
    "Support vector machines with radial kernels; always guessing one digit classifies 10%. For joint scores the R2 is "
    "the mean over both images. Separate autoencoders do not divide their scores into joint and individual."
)


def main() -> None:
    """Run the demonstration with every seed and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    add_json_option(parser)
    options = parser.parse_args()
    runs = []
    for seed in range(options.seeds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runs.append(demonstrate(seed=seed))
        print(seed, [(one.scores, round(one.digit, 3), round(one.angle, 2)) for one in runs[-1].readings], flush=True)

    readings = ResultTable(
        "demo",
        "Turned digits: digit and angle predicted from scores of held-out pairs",
        ("scores", "number of scores", "digits classified, percent", "R2 of the angle"),
        notes=[NOTE],
    )
    for same in zip(*(run.readings for run in runs), strict=True):
        digits, angles = ([getattr(one, name) for one in same] for name in ("digit", "angle"))
        readings.add(same[0].scores, same[0].size, mean_and_sd([100 * d for d in digits], 1), mean_and_sd(angles, 2))
    predicted = ResultTable(
        "demo-prediction",
        "Demonstration: percentage of the variance of each image that is predicted from the other image",
        ("pairs", "first image", "second image"),
    )
    fractions = 100 * np.array([[values for _, *values in run.predicted_variance] for run in runs])
    for kind, values in zip(("true", "shuffled"), np.moveaxis(fractions, 2, 0), strict=True):
        predicted.add(kind, *(mean_and_sd(column, 1) for column in values.T))
    write_tables(options.json, (readings, predicted), sources=SOURCES, seeds=range(options.seeds))


if __name__ == "__main__":
    main()
