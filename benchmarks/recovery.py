"""Recovery of known joint and individual parts: R2 over seeds of every identity constraint, beside AJIVE.

    python benchmarks/recovery.py                      # the full table, about half an hour
    python benchmarks/recovery.py --seeds 1 --cells nonlinear --settings objective=published
    python benchmarks/recovery.py --over --auto        # ranks selected from the data instead of given ranks

The data have 1000 samples and two modalities of 100 features, with one true joint and one true individual score each,
equal energy, and noise with half the standard deviation of the signal. With "over", every rank is one too large. AJIVE
is shown at the true ranks and, for nonlinear data, also at the joint rank that is best in hindsight.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deepjive import AJIVE, DeepJIVE
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.evaluation import r2
from result_tables import ResultTable, add_json_option, write_tables

Over = int | None  # None stands for automatic ranks
WORDS: dict[Over, str] = {None: "automatic ranks", 0: "true ranks", 1: "ranks over by one"}
CELLS: list[tuple[bool, Over]] = [(nonlinear, over) for nonlinear in (False, True) for over in (None, 0, 1)]


def scores(simulated: Synthetic, model) -> list[float]:
    """Return the R2 of the joint and the individual part of each modality."""
    parts = model.decompose(simulated.data)
    return [r2(simulated.joint[name], parts.joint[name]) for name in simulated.joint] + [
        r2(simulated.individual[name], parts.individual[name]) for name in simulated.joint
    ]


def ajive(simulated: Synthetic, nonlinear: bool, over: Over) -> list[float]:
    """Return the R2 of AJIVE; for nonlinear data those of the joint rank that is best in hindsight."""
    if over is None:
        return scores(simulated, AJIVE(random_state=0).fit(simulated.data))
    ranks = [1 + over] if not nonlinear else [1 + over, *range(3, 11)]
    fits = []
    for joint_rank in ranks:
        model = AJIVE(signal_ranks=2 * joint_rank, joint_rank=joint_rank, individual_ranks=joint_rank, n_wedin=1)
        fits.append(scores(simulated, model.set_params(n_random=1, random_state=0).fit(simulated.data)))
    return max(fits, key=sum)


def deep(over: Over, **settings) -> DeepJIVE:
    return (
        DeepJIVE(**settings) if over is None else DeepJIVE(joint_rank=1 + over, individual_ranks=1 + over, **settings)
    )


def row(label: str, values: list[list[float]], seconds: float, result: ResultTable) -> str:
    """Add a row to the results, and return it as text."""
    table = np.asarray(values)
    mean, spread, worst = table.mean(0), table.std(0), table.min()
    joint, individual = (f"{mean[a:b].mean():.3f} ± {spread[a:b].mean():.3f}" for a, b in ((0, 2), (2, 4)))
    parts = (values[part].mean() for part in (slice(0, 2), slice(2, 4)) for values in (mean, spread))
    result.add(label, *parts, worst, seconds)
    return f"{label:58} J {joint}   S {individual}   worst {worst:.3f}   {seconds:5.0f} s"


def parsed(pairs: list[str]) -> dict[str, object]:
    settings: dict[str, object] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            settings[key] = float(value)
        except ValueError:
            settings[key] = None if value == "None" else value
    return settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cells", choices=("all", "linear", "nonlinear"), default="all")
    parser.add_argument("--identities", nargs="*", default=["explicit", "exchange", "merged"])
    parser.add_argument("--over", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--auto", action="store_true", help="also with ranks selected from the data")
    parser.add_argument("--settings", nargs="*", default=[], metavar="KEY=VALUE")
    add_json_option(parser)
    arguments = parser.parse_args()
    columns = ("data, ranks, method", "joint R2", "joint R2, sd", "individual R2", "individual R2, sd", "worst R2")
    result = ResultTable("recovery", "Recovery of joint and individual parts", (*columns, "seconds"))
    warnings.simplefilter("ignore", ConvergenceWarning)
    settings = parsed(arguments.settings)
    for nonlinear, over in CELLS:
        kind = "nonlinear" if nonlinear else "linear"
        if arguments.cells not in ("all", kind) or over not in [*arguments.over, *([None] * arguments.auto)]:
            continue
        data_sets = [make_synthetic(nonlinear=nonlinear, random_state=seed) for seed in range(arguments.seeds)]
        label = f"{kind}, {WORDS[over]}"
        started = time.perf_counter()
        values = [ajive(simulated, nonlinear, over) for simulated in data_sets]
        print(row(f"{label}, AJIVE", values, time.perf_counter() - started, result))
        for identity in arguments.identities:
            started, values = time.perf_counter(), []
            for seed, simulated in enumerate(data_sets):
                model = deep(over, identity=identity, random_state=seed, **settings)
                values.append(scores(simulated, model.fit(simulated.data)))
            seconds = (time.perf_counter() - started) / len(data_sets)
            print(row(f"{label}, {identity} {' '.join(arguments.settings)}", values, seconds, result), flush=True)
    write_tables(arguments.json, [result], sources=["deepjive.deep", "deepjive.linear"], seeds=range(arguments.seeds))


if __name__ == "__main__":
    main()
