"""Calibration and power of the tests of feature effects, on simulations with known truth.

    python benchmarks/feature_effects.py                           # 200 simulations, 200 deep, 10 seeds
    python benchmarks/feature_effects.py --json docs/results

1. Calibration: the share of p-values below a level where no feature is associated with a score. Modalities of 40 and 30
   features, or three modalities of 40, 30 and 30, are noise, or have strong individual variation, or have heavy tails.
   No modality depends on another.
2. Power: 10 features of 2,000 follow a joint score of a second modality of 200 features. Average precision of the
   ranking by p-value (the area under the precision-recall curve), and features with q < .05, beside the jackstraw,
   which exists for linear models.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import time
import warnings
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from deepjive import AJIVE, DeepJIVE, jackstraw
from deepjive.evaluation import feature_effects
from result_tables import ResultTable, add_json_option, write_tables

LEVELS = (0.001, 0.01, 0.05, 0.1, 0.5)
WIDTHS = {"a": 40, "b": 30, "c": 30}
SETTINGS = ((200, 1.0), (200, 0.7), (200, 0.5), (100, 1.0))
QUICK = {"n_wedin": 0, "n_random": 0, "random_state": 0}
SUBSETS = {"subsets": {("a", "b"): 1, ("b", "c"): 1}, "signal_ranks": 4}


def noise(rng: np.random.Generator, n: int, count: int) -> dict[str, np.ndarray]:
    return {name: rng.normal(size=(n, WIDTHS[name])) for name in list(WIDTHS)[:count]}


def individual(rng: np.random.Generator, n: int, count: int) -> dict[str, np.ndarray]:
    """Noise, and two strong directions of each modality alone."""
    return {
        name: x + rng.normal(size=(n, 2)) @ rng.normal(size=(2, x.shape[1])) for name, x in noise(rng, n, count).items()
    }


def heavy(rng: np.random.Generator, n: int, count: int) -> dict[str, np.ndarray]:
    return {name: rng.standard_t(3, size=(n, WIDTHS[name])) for name in list(WIDTHS)[:count]}


LINEAR = (
    ("AJIVE, 1 + 1, noise", AJIVE, 1, noise, 60, {}),
    ("AJIVE, 2 + 2, noise and strong individual variation", AJIVE, 2, individual, 60, {}),
    ("AJIVE, 2 + 2, Student's t with 3 degrees of freedom", AJIVE, 2, heavy, 60, {}),
    ("AJIVE with subsets, 1 + 1 + 1, noise and strong individual variation", AJIVE, 1, individual, 90, SUBSETS),
)
DEEP = (("DeepJIVE with default settings, 1 + 1, noise", DeepJIVE, 1, noise, 40, {}),)


def calibration_table(name: str, cases: tuple[Any, ...], count: int) -> ResultTable:
    """Shares of p-values below levels where no feature is associated with a score."""
    table = ResultTable(
        name,
        "Feature effects: share of p-values below a level where nothing is joint",
        ("model, ranks, data", "samples", "simulations", "scores", *(f"{level:g}" for level in LEVELS)),
    )
    for title, method, rank, simulate, n, further in cases:
        p_values: dict[str, list[np.ndarray]] = {"joint": [], "subsets": [], "individual": []}
        for seed in range(count):
            data = simulate(np.random.default_rng(seed), n, 3 if further else 2)
            settings = QUICK if method is AJIVE else {"random_state": 0}
            model = method(joint_rank=rank, individual_ranks=rank, **settings, **further).fit(data)
            for effects in feature_effects(model, data, random_state=seed).values():
                for row, (part, _) in enumerate(effects.scores):
                    p_values[part if part in p_values else "subsets"].append(effects.p_value[row])
            if seed % 20 == 19:
                print(title, seed + 1, flush=True)
        # Individual scores of noise alone are directions of chance; strong individual variation is no null for them.
        for part in ("joint", "individual") if simulate is noise else ("joint", "subsets"):
            if not p_values[part]:
                continue
            values = np.concatenate(p_values[part])
            values = values[np.isfinite(values)]
            rates = [f"{(values < level).mean():.4f}" for level in LEVELS]
            print(f"{title:55} {count:4d} {part:11}", *rates, flush=True)
            table.add(title, n, count, part, *rates)
    return table


def power_table(seeds: int) -> ResultTable:
    """Average precision and numbers of features found, beside the jackstraw."""
    measures = ("average precision", "found", "false", "seconds")
    table = ResultTable(
        "feature-effects-power",
        "10 joint features among 2,000: feature effects and jackstraw",
        ("model", "samples", "slope", *(word for measure in measures for word in (measure, "jackstraw"))),
    )
    for method in (AJIVE, DeepJIVE):
        for n, slope in SETTINGS:
            means = np.mean([power(seed, n, slope, method) for seed in range(seeds)], axis=0)
            cells = [
                None if np.isnan(value) else f"{value:.{2 if row == 0 else 1}f}"
                for row, pair in enumerate(means)
                for value in pair
            ]
            print(f"{method.__name__:8} {n:4d} {slope:4.1f}", *cells, flush=True)
            table.add(method.__name__, n, slope, *cells)
    return table


def power(seed: int, n: int, slope: float, method: Any) -> np.ndarray:
    """Return average precision, features found, false features and CPU seconds: rows of feature effects, jackstraw."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    truth = np.zeros(2000, dtype=bool)
    truth[rng.choice(2000, 10, replace=False)] = True
    data = {
        "genes": rng.normal(size=(n, 2000)) + slope * np.outer(score, truth),
        "second": rng.normal(size=(n, 200)) + 0.5 * np.outer(score, rng.normal(size=200)),
    }
    settings = QUICK if method is AJIVE else {"random_state": 0}
    model = method(joint_rank=1, individual_ranks=1, **settings).fit(data)
    start = time.process_time()
    effects = feature_effects(model, data, random_state=seed)["genes"]
    results = np.full((4, 2), np.nan)
    results[:, 0] = _found(truth, effects.p_value[0], effects.q_value[0], time.process_time() - start)
    if method is AJIVE:
        start = time.process_time()
        jack = jackstraw(model, data, "genes", random_state=seed)
        results[:, 1] = _found(truth, jack.p_values, jack.q_values, time.process_time() - start)
    return results


def _found(truth: np.ndarray, p_values: np.ndarray, q_values: np.ndarray, seconds: float) -> list[float]:
    found = q_values < 0.05
    # Equal p-values of the jackstraw are one threshold of the precision, so ties are not decided.
    precision = average_precision_score(truth, -np.log(np.maximum(p_values, 1e-300)))
    return [precision, (found & truth).sum(), (found & ~truth).sum(), seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--deep", type=int, default=200, help="simulations of the deep model, which takes longest")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of the power table")
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    sources = ["deepjive.evaluation.feature_ranking", "deepjive.evaluation.feature_tests", "deepjive.linear"]
    both = [*sources, "deepjive.deep"]
    write_tables(arguments.json, [power_table(arguments.seeds)], sources=both, seeds=range(arguments.seeds))
    linear = calibration_table("feature-effects-calibration", LINEAR, arguments.simulations)
    write_tables(arguments.json, [linear], sources=sources, seeds=range(arguments.simulations))
    deep = calibration_table("feature-effects-calibration-deep", DEEP, arguments.deep)
    write_tables(arguments.json, [deep], sources=[sources[0], "deepjive.deep"], seeds=range(arguments.deep))


if __name__ == "__main__":
    main()
