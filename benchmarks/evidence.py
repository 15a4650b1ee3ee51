"""Calibration and power of the test of joint structure, and false findings of the diagnostics.

    python benchmarks/evidence.py                # about a quarter of an hour
    python benchmarks/evidence.py --runs 5       # a quick check

1. Two modalities have 40 and 30 features. Models of joint rank 1 and individual rank 1 are fitted to 200 samples, and
   each is tested on five held-out sets of 100 samples. The training budget is small, which can only reduce power.
   Without a joint signal, p-values must be uniform: p > .05 in 95% of the tests. With a few hundredths of the variance
   joint, p-values should be small.
2. Ten healthy runs, with true ranks, linear and nonlinear data and all identities: diagnostics should find nothing.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.datasets import make_synthetic
from deepjive.evaluation import diagnose, joint_structure_test
from result_tables import ResultTable, add_json_option, write_tables

IDENTITIES = ("exchange", "explicit", "merged")
STRENGTHS = (0.0, 0.02, 0.05)
N_FITTED, N_HELD_OUT = 200, 100
BUDGET = {"max_epochs": 10, "batch_size": 60, "learning_rate": 0.02}


def modalities(n: int, strength: float, seed: int) -> Modalities:
    """Simulate modalities with individual variation, noise, and a fraction `strength` of joint variance."""
    simulated = make_synthetic(n, (40, 30), noise=0.0, random_state=seed)
    rng, arrays = np.random.default_rng(seed), {}
    for name in simulated.data.names:
        noise = rng.normal(size=simulated.joint[name].shape)
        weights = np.sqrt([strength, (1 - strength) / 2, (1 - strength) / 2])
        joint, individual = simulated.joint[name], simulated.individual[name]
        arrays[name] = weights[0] * joint + weights[1] * individual + weights[2] * noise
    return Modalities(arrays)


def p_values(method: str, strength: float, sets: int, seed: int) -> list[float]:
    """Return the p-values of one fit, one for each held-out set."""
    data = modalities(N_FITTED + sets * N_HELD_OUT, strength, seed)
    if method == "AJIVE":
        model = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0, random_state=seed)
    else:
        model = DeepJIVE(joint_rank=1, individual_ranks=1, identity=method, **BUDGET, random_state=seed)  # type: ignore[arg-type]
    model.fit(data[:N_FITTED])
    values, n_permutations = [], 99 if method == "merged" else 999
    for start in range(N_FITTED, len(data), N_HELD_OUT):
        held_out = data[start : start + N_HELD_OUT]
        test = joint_structure_test(model, held_out, n_permutations, random_state=10_000 + seed + start)
        values.append(test.p_value)
    return values


def calibration(runs: int, sets: int) -> ResultTable:
    columns = ("method", "joint", "fits", "tests", "p <= .05", "p <= .5", "median p", "seconds a fit")
    table = ResultTable("joint-structure-test", "p-values of the test of joint structure", columns)
    print("p-values of the test of joint structure, by the joint fraction of the variance (0: no joint variation)")
    print(f"{'method':12}{'joint':>7}{'fits':>6}{'tests':>7}{'p <= .05':>10}{'p <= .5':>9}{'median p':>10}{'s/fit':>7}")
    for method in ("AJIVE", *IDENTITIES):
        for strength in STRENGTHS:
            count, started = runs if strength == 0.0 else max(1, runs // 5), time.perf_counter()
            p = np.ravel([p_values(method, strength, sets, seed) for seed in range(count)])
            figures = f"{np.mean(p <= 0.05):10.3f}{np.mean(p <= 0.5):9.3f}{np.median(p):10.3f}"
            seconds = (time.perf_counter() - started) / count
            print(f"{method:12}{strength:7.2f}{count:6d}{len(p):7d}{figures}{seconds:7.1f}", flush=True)
            table.add(method, strength, count, len(p), np.mean(p <= 0.05), np.mean(p <= 0.5), np.median(p), seconds)
    return table


def healthy(runs: int, first: int) -> ResultTable:
    table = ResultTable(
        "diagnostics-of-healthy-runs", "Diagnostics of healthy runs", ("seed", "identity", "data", "findings")
    )
    print("\ndiagnostics on healthy runs")
    with_findings = 0
    for seed in range(first, first + runs):
        nonlinear, identity = seed % 2 == 1, IDENTITIES[seed % 3]
        simulated = make_synthetic(700, (40, 30), noise=0.4, nonlinear=nonlinear, random_state=seed)
        model = DeepJIVE(joint_rank=1, individual_ranks=1, identity=identity, max_epochs=120, random_state=seed).fit(
            simulated.data[:500]
        )  # type: ignore[arg-type]
        findings = diagnose(model, simulated.data[500:])
        with_findings += bool(findings)
        names = "; ".join(f"{finding.name}: {finding.seen}" for finding in findings) or "nothing"
        print(f"{seed:3d}  {identity:9} {'nonlinear' if nonlinear else 'linear':10} {names}", flush=True)
        table.add(seed, identity, "nonlinear" if nonlinear else "linear", names)
    print(f"no findings in {runs - with_findings} of {runs} runs")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--sets", type=int, default=5, help="held-out sets for each fit")
    parser.add_argument("--healthy", type=int, default=10)
    parser.add_argument("--healthy-seed", type=int, default=100, help="first seed; limits were set on 0 to 9")
    add_json_option(parser)
    arguments = parser.parse_args()
    tables = []
    warnings.simplefilter("ignore", ConvergenceWarning)
    if arguments.runs:
        tables.append(calibration(arguments.runs, arguments.sets))
    if arguments.healthy:
        tables.append(healthy(arguments.healthy, arguments.healthy_seed))
    sources = ["deepjive.deep", "deepjive.linear", "deepjive.evaluation"]
    write_tables(arguments.json, tables, sources=sources, seeds=range(arguments.runs))


if __name__ == "__main__":
    main()
