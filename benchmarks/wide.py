"""Wide tables: time saved by training in coordinates of the samples, and recovery beside AJIVE.

    python benchmarks/wide.py                                    # 500 samples, two modalities of 20,000 features
    python benchmarks/wide.py --samples 1000 --features 10000 --nonlinear

The data of each seed have one joint score and one individual score per modality, and noise with half the standard
deviation of the signal. DeepJIVE with default settings and true ranks is fitted beside AJIVE. R2 is of the recovered
joint and individual parts of the fitted samples and of as many new samples, mean over modalities. Seconds per epoch,
summed over the phases, are medians over `--passes` epochs, on features and in coordinates, in the same run. With
--nonlinear, AJIVE has the joint rank up to ten that is best in hindsight.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deepjive import AJIVE, DeepJIVE
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep.training import coordinates
from deepjive.evaluation import r2
from result_tables import ResultTable, add_json_option, write_tables

RANKS = range(1, 11)


def recovered(model, *samples: Synthetic) -> list[float]:
    """R2 of joint and individual parts, of one set of samples after another."""
    found = []
    for made in samples:
        parts = model.decompose(made.data)
        for truth, part in ((made.joint, parts.joint), (made.individual, parts.individual)):
            found.append(float(np.mean([r2(truth[name], part[name]) for name in truth])))
    return found


def fitted(made: Synthetic, **settings) -> tuple[DeepJIVE, float]:
    started = time.process_time()
    model = DeepJIVE(joint_rank=1, individual_ranks=1, random_state=0, **settings).fit(made.data)
    return model, time.process_time() - started


def pass_seconds(model: DeepJIVE) -> float:
    """Seconds of an epoch, summed over the phases."""
    rows = zip(model.history_["phase"], model.history_["seconds"], strict=True)
    seconds: dict[str, list[float]] = {}
    for phase, took in rows:
        seconds.setdefault(phase, []).append(took)
    return sum(float(np.median(took)) for took in seconds.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--features", type=int, default=20_000)
    parser.add_argument("--nonlinear", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--passes", type=int, default=2, help="on features, of seed 0; 0 leaves this out")
    add_json_option(parser)
    options = parser.parse_args()
    columns = ("method", "joint R2", "individual R2", "joint R2, new samples", "individual R2, new samples")
    table = ResultTable("wide", "Recovery on wide tables", columns)
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{options.samples} samples, 2 x {options.features} features, {'non' * options.nonlinear}linear")
    found: dict[str, list[list[float]]] = {"DeepJIVE": [], "AJIVE": []}
    for seed in range(options.seeds):
        size = (options.features, options.features)
        n = options.samples
        drawn = make_synthetic(2 * n, size, noise=0.5, nonlinear=options.nonlinear, random_state=seed)
        made, new = drawn[:n], drawn[n:]
        if seed == 0 and options.passes:
            short, _ = fitted(made, max_epochs=options.passes)
            fewest, coordinates.FEWEST_FEATURES = coordinates.FEWEST_FEATURES, 10**9
            plain, _ = fitted(made, max_epochs=options.passes)
            coordinates.FEWEST_FEATURES = fewest
            narrow, wide = pass_seconds(short), pass_seconds(plain)
            print(
                f"seconds an epoch: {wide:.2f} on features, {narrow:.2f} in coordinates, {wide / narrow:.0f} times",
                flush=True,
            )
        model, seconds = fitted(made)
        found["DeepJIVE"].append(recovered(model, made, new))
        ranks = RANKS if options.nonlinear else [1]
        fits = [
            AJIVE(signal_ranks=2 * rank, joint_rank=rank, individual_ranks=rank, n_wedin=0, n_random=0).fit(made.data)
            for rank in ranks
        ]
        found["AJIVE"].append(max((recovered(fit, made, new) for fit in fits), key=lambda r2s: sum(r2s[:2])))
        passes = len(model.history_["epoch"])
        words = (f"{name} {np.round(r2s[-1], 4)}" for name, r2s in found.items())
        print(f"seed {seed}: {seconds:.0f} CPU s, {passes} epochs", *words, flush=True)
    for name, r2s in found.items():
        which = " (best rank in hindsight)" if name == "AJIVE" and options.nonlinear else ""
        words = (f"{mean:.3f} +- {spread:.3f}" for mean, spread in zip(np.mean(r2s, 0), np.std(r2s, 0), strict=True))
        table.add(name + which, *np.mean(r2s, 0))
        print(name + which + ": joint {}, individual {}; of new samples {}, {}".format(*words))
    write_tables(options.json, [table], sources=["deepjive.deep", "deepjive.linear"], seeds=range(options.seeds))


if __name__ == "__main__":
    main()
