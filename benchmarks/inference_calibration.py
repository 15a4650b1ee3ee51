"""Calibration of p-values and intervals of the linear methods, on simulations with known truth.

    python benchmarks/inference_calibration.py              # 200 simulations each

1. Permutation p-values of joint components that do not exist, and jackstraw p-values of features without joint
   variation: the fraction of p-values up to 0.05 and 0.01, and a Kolmogorov-Smirnov test against the uniform
   distribution. AJIVE and JIVE have the same signal scores, and therefore the same p-values.
2. Bootstrap intervals of 90%: coverage of the population's fractions of variance and of the true loadings, and for
   comparison the coverage of percentile intervals of the same draws. In "plain" all variables are normal with equal
   noise. In "heavy" scores and noise have the t distribution with 6 degrees of freedom. In "units" the features have
   different units, lognormal with a log standard deviation of 0.5. "JIVE free" leaves individual parts correlated; see
   `deepjive.JIVE` on the cost of orthogonal individual parts.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse

import numpy as np
from scipy import stats

from deepjive import AJIVE, JIVE, HeteroJIVE
from deepjive.linear.bootstrap_intervals import bootstrap
from deepjive.linear.permutation import jackstraw, permutation_test
from result_tables import ResultTable, add_json_option, write_tables

PARTS = ("joint", "individual", "residual")
SETTINGS = [
    # method, kind, n, widths, joint rank, noise
    ("AJIVE", "plain", 100, (50, 200), 1, 1.0),
    ("AJIVE", "units", 100, (100, 300), 1, 1.0),
    ("AJIVE", "heavy", 100, (100, 300), 1, 1.0),
    ("AJIVE", "plain", 200, (100, 300), 2, 2.0),
    ("HeteroJIVE", "plain", 60, (50, 100), 1, 1.0),
    ("JIVE", "plain", 100, (100, 300), 1, 1.0),
    ("JIVE free", "plain", 100, (100, 300), 1, 1.0),
]


def simulate(
    seed: int, n: int, widths: tuple[int, ...], joint: int, individual: int, noise: float, kind: str = "plain"
):
    """Simulate data; return them with the joint loadings, the individual loadings and the sd of the noise.

    Scores have variance 1. Loadings are the same for every seed.
    """
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)

    def draw(*size: int) -> np.ndarray:
        return rng.standard_t(6, size=size) / np.sqrt(1.5) if kind == "heavy" else rng.normal(size=size)

    z = draw(n, joint)
    data, truth = {}, {}
    for k, width in enumerate(widths):
        joint_loadings, loadings = fixed.normal(size=(joint, width)), fixed.normal(size=(individual, width))
        units = np.exp(0.5 * fixed.normal(size=width)) if kind == "units" else np.ones(width)
        data[f"m{k}"] = (z @ joint_loadings + draw(n, individual) @ loadings + noise * draw(n, width)) * units
        truth[f"m{k}"] = joint_loadings * units, loadings * units, noise * units
    return data, truth


def fitted(method: str, data: dict, joint: int, individual: int):
    if method.startswith("JIVE"):
        return JIVE(
            joint_rank=joint, individual_ranks=individual, tol=1e-4, orthogonal_individual=method == "JIVE"
        ).fit(data)
    cls = HeteroJIVE if method == "HeteroJIVE" else AJIVE
    return cls(
        signal_ranks=joint + individual, joint_rank=joint, individual_ranks=individual, n_wedin=0, n_random=0
    ).fit(data)


def uniform_row(title: str, p_values: np.ndarray, step: float, simulations: int, table: ResultTable) -> None:
    """Add a row. Discrete p-values are spread evenly over their steps before the test of uniformity."""
    spread = p_values - np.random.default_rng(0).uniform(0.0, step, p_values.shape)
    below = [(p_values <= level).mean() for level in (0.05, 0.01)]
    uniformity = stats.kstest(spread, "uniform").pvalue
    table.add(title, simulations, *below, uniformity)
    print(f"{title:42} {simulations:5d} {below[0]:7.3f} {below[1]:7.3f} {uniformity:7.3f}", flush=True)


def p_value_table(simulations: int) -> ResultTable:
    columns = ("test", "simulations", "p <= .05", "p <= .01", "KS p")
    table = ResultTable("linear-p-values", "p-values where the null hypothesis is true", columns)
    print("p-values under the null hypothesis")
    print(f"{'test':42} {'of':>5} {'<= .05':>7} {'<= .01':>7} {'KS p':>7}")
    for joint in (0, 1):
        p_values = []
        for seed in range(simulations):
            data, _ = simulate(seed, 60, (50, 200), joint, 2, 1.0)
            model = fitted("AJIVE", data, joint + 1, 1 if joint == 0 else 2)
            p_values.append(permutation_test(model, 199, random_state=seed).p_values[joint])
        title = f"joint component {joint + 1} where there are {joint}"
        uniform_row(title, np.array(p_values), 1 / 200, simulations, table)
    p_values = []
    for seed in range(simulations):
        data, _ = simulate(seed, 60, (50, 200), 1, 2, 1.0)
        data["m1"][:, 0] = np.random.default_rng((seed, 1)).normal(size=60)
        model = fitted("AJIVE", data, 1, 2)
        p_values.append(jackstraw(model, data, "m1", n_repeats=10, random_state=seed).p_values[0])
    uniform_row("jackstraw of a feature of noise alone", np.array(p_values), 1 / 201, simulations, table)
    return table


def truth_of(parts: dict) -> dict:
    """Return the fractions of variance in the population."""
    fractions = {}
    for name, loadings_and_noise in parts.items():
        sizes = np.array([np.sum(size**2) for size in loadings_and_noise])
        fractions[name] = dict(zip(PARTS, sizes / sizes.sum(), strict=True))
    return fractions


def coverage_table(simulations: int, draws: int) -> ResultTable:
    columns = ("method", "kind", "n", "d", "joint rank", "noise", "modality", *PARTS, "loadings")
    percentile = (f"{part}, percentile intervals" for part in PARTS)
    table = ResultTable("linear-coverage", "Coverage of 90% bootstrap intervals", (*columns, *percentile))
    print(f"\ncoverage of 90% intervals of {draws} draws (in brackets: percentile intervals of the same draws)")
    print(
        f"{'method':10} {'kind':>6} {'n':>4} {'d':>11} {'joint':>5} {'noise':>5} {'modality':>8}"
        + "".join(f"{p:>13}" for p in PARTS)
        + f"{'loadings':>10}"
    )
    for setting in SETTINGS:
        method, kind, n, widths, joint, noise = setting
        hits = [one_coverage(seed, setting, draws) for seed in range(simulations)]
        for k in range(len(widths)):
            rates = np.mean([hit[k] for hit in hits], axis=0)
            cells = "".join(f"{rates[0, i]:7.3f} ({rates[1, i]:.2f})"[:14].rjust(13) for i in range(3))
            print(
                f"{method:10} {kind:>6} {n:4d} {widths!s:>11} {joint:5d} {noise:5.1f} {k:8d}{cells}{rates[0, 3]:10.3f}",
                flush=True,
            )
            table.add(method, kind, n, str(widths), joint, noise, k, *rates[0], *rates[1, :3])
    return table


def one_coverage(seed: int, setting: tuple, draws: int):
    """Return coverage for each modality, shape (2, 4).

    The rows are the intervals of the library and percentile intervals. The columns are the three parts and the joint
    loadings.
    """
    method, kind, n, widths, joint, noise = setting
    data, loadings = simulate(seed, n, widths, joint, 1, noise, kind)
    model = fitted(method, data, joint, 1)
    intervals, truth = bootstrap(model, data, n_draws=draws, random_state=seed), truth_of(loadings)
    rows = []
    for name, fractions in truth.items():
        fraction_coverage = [inside(fractions[part], intervals.variance_explained[name][part]) for part in PARTS]
        limits = [np.quantile(intervals.variance_draws[name][part], [0.05, 0.95]) for part in PARTS]
        percentile = [inside(fractions[part], limit) for part, limit in zip(PARTS, limits, strict=True)]
        left, _, right = np.linalg.svd(loadings[name][0] @ model.joint_loadings_[name].T)
        rotated = (left @ right).T @ loadings[name][0]
        covered = inside(rotated, intervals.joint_loadings[name]).mean()
        rows.append([[*fraction_coverage, covered], [*percentile, np.nan]])
    return np.array(rows)


def inside(value, limits):
    """Return whether a value is inside an interval."""
    return (limits[0] <= value) & (value <= limits[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--only", choices=("p-values", "coverage"), help="only one of the two tables")
    add_json_option(parser)
    arguments = parser.parse_args()
    tables = []
    if arguments.only != "coverage":
        tables.append(p_value_table(arguments.simulations))
    if arguments.only != "p-values":
        tables.append(coverage_table(arguments.simulations, arguments.draws))
    write_tables(arguments.json, tables, sources=["deepjive.linear"], seeds=range(arguments.simulations))


if __name__ == "__main__":
    main()
