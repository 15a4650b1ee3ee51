"""Rules for the signal ranks of AJIVE, on noise of several kinds and on real data.

    DEEPJIVE_DATA=../shared/data python benchmarks/signal_ranks.py          # about ten minutes

1. Simulations: 5 or no components in noise that is white, differs between features or between samples, has heavy tails,
   or is correlated between neighbouring features. The weakest component is 1.3 times and the strongest 4 times as large
   as the largest singular value of the noise.
2. Real data, features divided by their standard deviation in the training fold: joint rank, number of individual
   scores, and R2 of each held-out modality predicted from the others.

The rules are those of `deepjive.linear.signal_ranks` and parallel analysis: leading singular values above the 95th
percentile of data whose samples are permuted in each feature (Horn 1965; Buja and Eyuboglu 1992).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time

import numpy as np
from sklearn.model_selection import KFold

from deepjive import AJIVE
from deepjive.experiments.omics.data import read_data_set
from deepjive.linear.signal_ranks import RULES, SignalRank
from deepjive.linear.streaming import Pieces
from deepjive.linear.svd import signal_svd
from linear_prediction import standardized
from result_tables import ResultTable, add_json_option, write_tables

SETS = ("rosmap", "tcga_breast", "tcga_brca")
NOISE = ("white", "differs between features", "differs between samples", "heavy tails", "correlated features")
PARALLEL, PERMUTATIONS = "parallel analysis", 20
N, D, DRAWS = 100, 400, 200


def noise_of(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return noise of a kind, shape (N, D)."""
    noise = rng.standard_t(4, size=(N, D)) if kind == "heavy tails" else rng.normal(size=(N, D))
    if kind == "differs between features":
        noise *= np.exp(0.8 * rng.normal(size=D))
    if kind == "differs between samples":
        noise *= np.exp(0.5 * rng.normal(size=(N, 1)))
    if kind == "correlated features":
        for j in range(1, D):
            noise[:, j] = 0.7 * noise[:, j - 1] + np.sqrt(1 - 0.7**2) * noise[:, j]
    return noise


def simulated(kind: str, rank: int, seed: int) -> np.ndarray:
    """Return a modality with components in noise of a kind."""
    rng = np.random.default_rng([seed, rank])
    noise = noise_of(kind, rng)
    scores, loadings = (np.linalg.qr(rng.normal(size=(size, rank)))[0] for size in (N, D))
    return scores * (np.linalg.norm(noise, 2) * np.linspace(4.0, 1.3, rank)) @ loadings.T + noise


def signal_rank(x: np.ndarray, rule: str, seed: int) -> int:
    """Return the signal rank of a modality by a rule."""
    if rule == PARALLEL:
        rng, centred = np.random.default_rng(seed), x - x.mean(axis=0)
        draws = [np.linalg.svd(rng.permuted(centred, axis=0), compute_uv=False) for _ in range(PERMUTATIONS)]
        above = np.linalg.svd(centred, compute_uv=False) > np.percentile(draws, 95.0, axis=0)
        return int(np.argmin(np.append(above, False)))
    pieces = Pieces(x)
    return signal_svd(pieces, SignalRank(pieces, rule, seed))[1].vectors.shape[1]


def simulation_table(simulations: int) -> ResultTable:
    """Return the mean rank found by each rule, and how often it is exact."""
    columns = ("noise", "true rank", *(f"{rule}: {what}" for rule in (*RULES, PARALLEL) for what in ("mean", "exact")))
    table = ResultTable("signal-ranks-noise", "Signal ranks of simulations, 100 samples of 400 features", columns)
    for kind in NOISE:
        for rank in (0, 5):
            cells = []
            for rule in (*RULES, PARALLEL):
                found = np.array([signal_rank(simulated(kind, rank, s), rule, s) for s in range(simulations)])
                cells += [found.mean(), (found == rank).mean()]
            table.add(kind, rank, *cells)
            print(f"{kind:26} {rank}  " + "  ".join(f"{cell:5.2f}" for cell in cells), flush=True)
    return table


def real_table() -> ResultTable:
    """Return joint ranks, individual scores and predictions with the signal ranks of each rule."""
    columns = ("data", "rule", "joint rank", "individual scores", "R2 of held-out modalities", "seconds of the rule")
    table = ResultTable("signal-ranks-real", "AJIVE with signal ranks by each rule, mean of five folds", columns)
    for name in SETS:
        data = read_data_set(name).data
        folds = [standardized(data, *split) for split in KFold(5, shuffle=True, random_state=0).split(range(len(data)))]
        for rule in (*RULES, PARALLEL):
            started = time.process_time()
            ranks = [{k: signal_rank(x, rule, 0) for k, x in train.items()} for train, _ in folds]
            seconds = (time.process_time() - started) / len(folds)
            models = [
                AJIVE(signal_ranks=rank, n_wedin=DRAWS, n_random=DRAWS, random_state=0).fit(train)
                for rank, (train, _) in zip(ranks, folds, strict=True)
            ]
            joint = np.mean([model.joint_rank_ for model in models])
            individual = np.mean([sum(model.individual_ranks_.values()) for model in models])
            r2 = np.mean([model.score(new) for model, (_, new) in zip(models, folds, strict=True)])
            table.add(name, rule, joint, individual, r2, seconds)
            print(f"{name:12} {rule:18} {joint:5.1f} {individual:6.1f} {r2:.3f} {seconds:.2f} s", flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=20)
    add_json_option(parser)
    arguments = parser.parse_args()
    tables = [real_table(), simulation_table(arguments.simulations)]
    write_tables(arguments.json, tables, sources=["deepjive.linear"], seeds=range(arguments.simulations))


if __name__ == "__main__":
    main()
