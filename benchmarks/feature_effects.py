"""Calibration and power of the tests of feature effects, on simulations with known truth.

    python benchmarks/feature_effects.py                           # 200 simulations, 200 deep, 5 seeds
    python benchmarks/feature_effects.py --json docs/results

1. Calibration: the share of p-values below a level where no feature is associated with a score. Modalities of 40 and 30
   features are noise, or have strong individual variation, or have heavy tails. No modality depends on the other.
2. Power: 10 features of 2,000 follow a joint score of a second modality of 200 features. Average precision of the
   ranking by p-value, and features with q < .05, beside the jackstraw.
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
WIDTHS = {"a": 40, "b": 30}
SETTINGS = ((200, 1.0), (200, 0.7), (200, 0.5), (100, 1.0))
QUICK = {"n_wedin": 0, "n_random": 0, "random_state": 0}


def noise(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {name: rng.normal(size=(n, width)) for name, width in WIDTHS.items()}


def individual(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Noise, and two strong directions of each modality alone."""
    return {name: x + rng.normal(size=(n, 2)) @ rng.normal(size=(2, x.shape[1])) for name, x in noise(rng, n).items()}


def heavy(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {name: rng.standard_t(3, size=(n, width)) for name, width in WIDTHS.items()}


LINEAR = (
    ("AJIVE, 1 + 1, noise", AJIVE, 1, noise, 60),
    ("AJIVE, 2 + 2, noise and strong individual variation", AJIVE, 2, individual, 60),
    ("AJIVE, 2 + 2, Student's t with 3 degrees of freedom", AJIVE, 2, heavy, 60),
)
DEEP = (("DeepJIVE with default settings, 1 + 1, noise", DeepJIVE, 1, noise, 40),)


def calibration_table(name: str, cases: tuple[Any, ...], count: int) -> ResultTable:
    """Shares of p-values below levels where no feature is associated with a score."""
    table = ResultTable(
        name,
        "Feature effects: share of p-values below a level where nothing is joint",
        ("model, ranks, data", "simulations", "scores", *(f"{level:g}" for level in LEVELS)),
    )
    for title, method, rank, simulate, n in cases:
        p_values: dict[str, list[np.ndarray]] = {"joint": [], "individual": []}
        for seed in range(count):
            data = simulate(np.random.default_rng(seed), n)
            settings = QUICK if method is AJIVE else {"random_state": 0}
            model = method(joint_rank=rank, individual_ranks=rank, **settings).fit(data)
            for effects in feature_effects(model, data, random_state=seed).values():
                for row, (part, _) in enumerate(effects.scores):
                    p_values[part].append(effects.p_value[row])
        # Individual scores of noise alone are directions of chance; strong individual variation is no null for them.
        for part in ("joint", "individual") if simulate is noise else ("joint",):
            values = np.concatenate(p_values[part])
            values = values[np.isfinite(values)]
            rates = [f"{(values < level).mean():.4f}" for level in LEVELS]
            print(f"{title:55} {count:4d} {part:11}", *rates, flush=True)
            table.add(title, count, part, *rates)
    return table


def power_table(seeds: int) -> ResultTable:
    """Average precision and numbers of features found, beside the jackstraw."""
    table = ResultTable(
        "feature-effects-power",
        "10 joint features among 2,000: feature effects and jackstraw",
        (
            "samples",
            "slope",
            "average precision",
            "jackstraw",
            "found",
            "jackstraw",
            "false",
            "jackstraw",
            "seconds",
            "jackstraw",
        ),
    )
    for n, slope in SETTINGS:
        rows = np.array([power(seed, n, slope) for seed in range(seeds)])
        precision = [f"{value:.2f}" for value in rows[:, :2].mean(axis=0)]
        others = [f"{value:.1f}" for value in rows[:, 2:].mean(axis=0)]
        print(f"{n:4d} {slope:4.1f}", *precision, *others, flush=True)
        table.add(n, slope, *precision, *others)
    return table


def power(seed: int, n: int, slope: float) -> list[float]:
    """Return average precision, features found, false features and seconds, of feature effects and of the jackstraw."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    truth = np.zeros(2000, dtype=bool)
    truth[rng.choice(2000, 10, replace=False)] = True
    data = {
        "genes": rng.normal(size=(n, 2000)) + slope * np.outer(score, truth),
        "second": rng.normal(size=(n, 200)) + 0.5 * np.outer(score, rng.normal(size=200)),
    }
    model = AJIVE(joint_rank=1, individual_ranks=1, **QUICK).fit(data)
    start = time.process_time()
    effects = feature_effects(model, data, random_state=seed)["genes"]
    first = time.process_time() - start
    start = time.process_time()
    jack = jackstraw(model, data, "genes", random_state=seed)
    second = time.process_time() - start
    results = []
    for p_values, q_values in ((effects.p_value[0], effects.q_value[0]), (jack.p_values, jack.q_values)):
        found = q_values < 0.05
        # Equal p-values of the jackstraw are one threshold of the precision, so ties are not decided.
        precision = average_precision_score(truth, -np.log(np.maximum(p_values, 1e-300)))
        results.append((precision, (found & truth).sum(), (found & ~truth).sum()))
    (precision, hits, false), (jack_precision, jack_hits, jack_false) = results
    return [precision, jack_precision, hits, jack_hits, false, jack_false, first, second]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--deep", type=int, default=200, help="simulations of the deep model, which takes longest")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the power table")
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    sources = ["deepjive.evaluation.feature_ranking", "deepjive.linear"]
    write_tables(arguments.json, [power_table(arguments.seeds)], sources=sources, seeds=range(arguments.seeds))
    linear = calibration_table("feature-effects-calibration", LINEAR, arguments.simulations)
    write_tables(arguments.json, [linear], sources=sources, seeds=range(arguments.simulations))
    deep = calibration_table("feature-effects-calibration-deep", DEEP, arguments.deep)
    write_tables(arguments.json, [deep], sources=[sources[0], "deepjive.deep"], seeds=range(arguments.deep))


if __name__ == "__main__":
    main()
