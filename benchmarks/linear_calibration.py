"""Calibration of AJIVE and HeteroJIVE, on simulations with known truth.

    python benchmarks/linear_calibration.py            # 200 simulations, 100 pairs

1. Joint rank of data without joint structure: 0 in at least 95%.
2. Joint rank of data with joint structure, at the signal-to-noise ratio of the paper's toy example: exact in at least
   95%.
3. Error of the joint scores by HeteroJIVE and by AJIVE, as mean squared sine to the truth, on the same data: with noise
   that differs by a factor of 10 over 8 modalities, and with equal noise.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse

import numpy as np
from scipy import stats

from deepjive import AJIVE, HeteroJIVE
from result_tables import ResultTable, add_json_option, write_tables

DRAWS = 300


def modalities(rng: np.random.Generator, n: int, widths: list[int], joint: int, individual: int, noise: list[float]):
    """Simulate modalities with standard normal scores and loadings; return them with the joint scores."""
    z = rng.normal(size=(n, joint))
    data = {}
    for k, (width, size) in enumerate(zip(widths, noise, strict=True)):
        scores = np.hstack([z, rng.normal(size=(n, individual))])
        loadings = rng.normal(size=(joint + individual, width))
        data[f"m{k}"] = scores @ loadings + size * rng.normal(size=(n, width))
    return data, z


def paper_toy(seed: int, joint: bool) -> tuple[dict, dict[str, int]]:
    """Simulate the toy example of Feng et al. 2018, section 1.1.

    The modalities are 100 x 100 and 100 x 10000, with one joint component, and one and two individual components. Each
    component is a pattern of -1 and 1 over samples and over a part of the features. Noise is standard normal. With
    `joint` False, the second modality has another pattern instead of the joint one.
    """
    rng = np.random.default_rng(seed)

    def pattern() -> np.ndarray:
        return rng.permutation(np.repeat([-1.0, 1.0], 50))[:, None]

    def feature_pattern(width: int, share: float) -> np.ndarray:
        return (rng.permutation(width) < share * width) * rng.choice([-1.0, 1.0], width)[None]

    first = pattern()
    x = first * feature_pattern(100, 0.5) + pattern() * feature_pattern(100, 0.5)
    second = first if joint else pattern()
    y = second * feature_pattern(10_000, 0.2)
    y = y + pattern() * feature_pattern(10_000, 0.2) + pattern() * feature_pattern(10_000, 0.2)
    data = {"x": x + rng.normal(size=x.shape), "y": y + rng.normal(size=y.shape)}
    return data, {"x": 2, "y": 3}


def rank_table(simulations: int) -> ResultTable:
    columns = ("data", "true rank", "exact, signal ranks given", "exact, signal ranks by rule")
    table = ResultTable("linear-calibration", "Joint rank of AJIVE", columns)
    print(f"joint rank of AJIVE over {simulations} simulations, signal ranks given and by Gavish and Donoho's rule")
    print(f"{'data':42} {'truth':>5} {'exact, given':>13} {'exact, rule':>12}")
    settings = [
        ("toy of the paper, no joint structure", 0, lambda s: paper_toy(s, False)),
        ("toy of the paper", 1, lambda s: paper_toy(s, True)),
        ("n 100, d (100, 300, 500), noise 1, none", 0, lambda s: plain(s, 0, 1.0)),
        ("n 100, d (100, 300, 500), noise 1", 2, lambda s: plain(s, 2, 1.0)),
        ("n 100, d (100, 300, 500), noise 2, none", 0, lambda s: plain(s, 0, 2.0)),
        ("n 100, d (100, 300, 500), noise 2", 2, lambda s: plain(s, 2, 2.0)),
    ]
    for title, truth, simulate in settings:
        exact = np.zeros((simulations, 2), dtype=bool)
        for seed in range(simulations):
            data, ranks = simulate(seed)
            for column, signal in enumerate((ranks, "auto")):
                model = AJIVE(signal_ranks=signal, n_wedin=DRAWS, n_random=DRAWS, random_state=seed).fit(data)
                exact[seed, column] = model.joint_rank_ == truth
        with_ranks, by_rule = exact.mean(axis=0)
        print(f"{title:42} {truth:5d} {with_ranks:13.1%} {by_rule:12.1%}", flush=True)
        table.add(title, truth, with_ranks, by_rule)
    return table


def plain(seed: int, joint: int, noise: float) -> tuple[dict, dict[str, int]]:
    data, _ = modalities(np.random.default_rng(seed), 100, [100, 300, 500], joint, 4 - joint, [noise] * 3)
    return data, dict.fromkeys(data, 4)


def hetero_table(simulations: int) -> ResultTable:
    columns = ("noise sd", "AJIVE", "HeteroJIVE", "ratio", "HeteroJIVE better in", "paired t")
    table = ResultTable("heterojive", "Mean squared sine of fitted to true joint scores", columns)
    print(f"mean squared sine of fitted to true joint scores, {simulations} pairs, 8 modalities, given rank")
    print(f"{'noise sd':>16} {'AJIVE':>9} {'HeteroJIVE':>11} {'ratio':>6} {'better in':>10} {'paired t':>9}")
    for title, noise in {
        "0.5 to 5": np.geomspace(0.5, 5.0, 8),
        "1 to 10": np.geomspace(1.0, 10.0, 8),
        "2 everywhere": np.full(8, 2.0),
        "5 everywhere": np.full(8, 5.0),
    }.items():
        errors = np.array([paired_errors(seed, list(noise)) for seed in range(simulations)])
        ajive, hetero = errors.mean(axis=0)
        better, t = (errors[:, 1] < errors[:, 0]).mean(), stats.ttest_rel(*errors.T).statistic
        print(f"{title:>16} {ajive:9.5f} {hetero:11.5f} {hetero / ajive:6.3f} {better:10.0%} {t:9.2f}", flush=True)
        table.add(title, ajive, hetero, hetero / ajive, better, t)
    return table


def paired_errors(seed: int, noise: list[float]) -> list[float]:
    """Return the mean squared sine to the true joint scores of AJIVE and of HeteroJIVE on the same data."""
    data, z = modalities(np.random.default_rng(seed), 100, [200] * 8, 2, 2, noise)
    truth = np.linalg.qr(z - z.mean(axis=0))[0]
    models = [cls(signal_ranks=4, joint_rank=2, n_wedin=0, n_random=0).fit(data) for cls in (AJIVE, HeteroJIVE)]
    return [1 - np.linalg.norm(truth.T @ model.common_normalized_scores_) ** 2 / 2 for model in models]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=100)
    add_json_option(parser)
    arguments = parser.parse_args()
    tables = [rank_table(arguments.simulations), hetero_table(arguments.pairs)]
    write_tables(arguments.json, tables, sources=["deepjive.linear"], seeds=range(arguments.simulations))


if __name__ == "__main__":
    main()
