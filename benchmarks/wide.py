"""Wide tables: time saved by training in coordinates of the samples, and recovery beside AJIVE.

    python benchmarks/wide.py                                    # 500 samples, two modalities of 20,000 features
    python benchmarks/wide.py --samples 1000 --features 10000 --nonlinear

The data of each seed have one joint score and one individual score per modality, and noise with half the standard
deviation of the signal. DeepJIVE with default settings and true ranks is fitted beside AJIVE. R2 is of the recovered
joint and individual parts of the fitted samples and of as many new samples, mean over modalities. Seconds per epoch,
summed over the phases, are medians over `--epochs` epochs, on features and in coordinates, in the same run. With
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
    """Return the R2 of the joint and the individual part for each set of samples."""
    r2s = []
    for simulated in samples:
        parts = model.decompose(simulated.data)
        for truth, part in ((simulated.joint, parts.joint), (simulated.individual, parts.individual)):
            r2s.append(float(np.mean([r2(truth[name], part[name]) for name in truth])))
    return r2s


def fitted(simulated: Synthetic, **settings) -> tuple[DeepJIVE, float]:
    started = time.process_time()
    model = DeepJIVE(joint_rank=1, individual_ranks=1, networks="dense", random_state=0, **settings).fit(simulated.data)
    return model, time.process_time() - started


def epoch_seconds(model: DeepJIVE) -> float:
    """Return the median seconds of an epoch, summed over the phases."""
    rows = zip(model.history_["phase"], model.history_["seconds"], strict=True)
    seconds: dict[str, list[float]] = {}
    for phase, duration in rows:
        seconds.setdefault(phase, []).append(duration)
    return sum(float(np.median(durations)) for durations in seconds.values())


def time_epochs(train: Synthetic, epochs: int) -> None:
    """Print the seconds of an epoch in coordinates of the samples and on features."""
    in_coordinates, _ = fitted(train, max_epochs=epochs)
    fewest, coordinates.FEWEST_FEATURES = coordinates.FEWEST_FEATURES, 10**9
    on_features, _ = fitted(train, max_epochs=epochs)
    coordinates.FEWEST_FEATURES = fewest
    narrow, wide = epoch_seconds(in_coordinates), epoch_seconds(on_features)
    print(
        f"seconds an epoch: {wide:.2f} on features, {narrow:.2f} in coordinates, {wide / narrow:.0f} times",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--features", type=int, default=20_000)
    parser.add_argument("--nonlinear", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="epochs that are timed, with seed 0; 0 for none")
    add_json_option(parser)
    options = parser.parse_args()
    columns = ("method", "joint R2", "individual R2", "joint R2, new samples", "individual R2, new samples")
    table = ResultTable("wide", "Recovery on wide tables", columns)
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{options.samples} samples, 2 x {options.features} features, {'non' * options.nonlinear}linear")
    results: dict[str, list[list[float]]] = {"DeepJIVE": [], "AJIVE": []}
    for seed in range(options.seeds):
        size = (options.features, options.features)
        n = options.samples
        simulated = make_synthetic(2 * n, size, noise=0.5, nonlinear=options.nonlinear, random_state=seed)
        train, new = simulated[:n], simulated[n:]
        if seed == 0 and options.epochs:
            time_epochs(train, options.epochs)
        model, seconds = fitted(train)
        results["DeepJIVE"].append(recovered(model, train, new))
        ranks = RANKS if options.nonlinear else [1]
        fits = [
            AJIVE(signal_ranks=2 * rank, joint_rank=rank, individual_ranks=rank, n_wedin=0, n_random=0).fit(train.data)
            for rank in ranks
        ]
        results["AJIVE"].append(max((recovered(fit, train, new) for fit in fits), key=lambda r2s: sum(r2s[:2])))
        epochs = len(model.history_["epoch"])
        words = (f"{name} {np.round(r2s[-1], 4)}" for name, r2s in results.items())
        print(f"seed {seed}: {seconds:.0f} CPU s, {epochs} epochs", *words, flush=True)
    for name, r2s in results.items():
        rank_text = " (best rank in hindsight)" if name == "AJIVE" and options.nonlinear else ""
        words = (f"{mean:.3f} +- {spread:.3f}" for mean, spread in zip(np.mean(r2s, 0), np.std(r2s, 0), strict=True))
        table.add(name + rank_text, *np.mean(r2s, 0))
        print(name + rank_text + ": joint {}, individual {}; of new samples {}, {}".format(*words))
    write_tables(options.json, [table], sources=["deepjive.deep", "deepjive.linear"], seeds=range(options.seeds))


if __name__ == "__main__":
    main()
