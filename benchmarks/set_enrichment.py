"""Calibration and power of the enrichment of gene sets, on simulations with correlated genes.

    python benchmarks/set_enrichment.py                           # 200 simulations
    python benchmarks/set_enrichment.py --json docs/results

A modality of 400 genes has 20 sets of 20 genes. The genes of a set have correlation rho, because they share noise of
their own. A second modality has 60 features. The test is compared with Student's t test of the same statistics, which
takes genes as independent.

1. Nothing joint: no gene goes with the second modality. The joint score is a direction of chance.
2. Joint and individual score: the loadings of all genes are random, whatever set a gene belongs to.
3. Power: as 2, and the joint loadings of one set are larger by half, one or two standard deviations of the loadings.
   Found: q < .05.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import warnings
from typing import Any

import numpy as np
from scipy import stats

from deepjive import AJIVE
from deepjive.evaluation import FeatureEffects, feature_effects, feature_set_enrichment
from deepjive.evaluation.feature_ranking import q_values
from result_tables import ResultTable, add_json_option, write_tables

GENES, SIZE = 400, 20
SETS = {f"set {i}": [str(gene) for gene in range(SIZE * i, SIZE * (i + 1))] for i in range(GENES // SIZE)}
QUICK = {"n_wedin": 0, "n_random": 0, "random_state": 0, "signal_ranks": 2}


def effects(seed: int, n: int, rho: float, structure: bool, shift: float = 0.0) -> FeatureEffects:
    """Return tested effects of genes; `shift` is the further joint loading of the genes of the first set."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.normal(size=(n, len(SETS))), SIZE, axis=1)
    genes = np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.normal(size=(n, GENES))
    second = rng.normal(size=(n, 60))
    if structure:
        joint, individual = rng.normal(size=(2, n, 1))
        spread = 0.5
        loadings = spread * rng.normal(size=(2, GENES))
        loadings[0, :SIZE] += shift * spread
        genes += joint * loadings[0] + individual * loadings[1]
        second += joint * rng.normal(size=60)
    model = AJIVE(joint_rank=1, individual_ranks=1, **QUICK).fit({"genes": genes, "second": second})
    return feature_effects(model, {"genes": genes, "second": second}, names=["genes"], random_state=seed)["genes"]


def p_values(tested: FeatureEffects) -> np.ndarray:
    """Return p-values of the sets with and without correlation between genes, shape (2, n_scores, n_sets)."""
    members = [np.isin(tested.features, genes) for genes in SETS.values()]
    z = tested.statistic
    independent = [stats.ttest_ind(z[:, inside], z[:, ~inside], axis=1).pvalue for inside in members]
    return np.stack([feature_set_enrichment({"genes": tested}, SETS)["genes"].p_value, np.transpose(independent)])


def calibration_table(count: int) -> ResultTable:
    """Shares of p-values below .05 where no set is enriched."""
    table = ResultTable(
        "set-enrichment-calibration",
        "Gene sets: share of p-values below .05 where no set is enriched",
        (
            "data",
            "rho",
            "samples",
            "simulations",
            "score",
            "p < .05",
            "p < .05, genes taken as independent",
            "any q < .05",
        ),
    )
    for title, structure in (("nothing joint", False), ("random loadings", True)):
        for rho in (0.0, 0.1, 0.3):
            results = np.array([p_values(effects(seed, 100, rho, structure)) for seed in range(count)])
            for row, part in enumerate(("joint", "individual") if structure else ("joint",)):
                rates = [f"{share:.3f}" for share in (results[:, :, row] < 0.05).mean(axis=(0, 2))]
                any_found = (q_values(results[:, 0, row]).min(axis=1) < 0.05).mean()
                print(f"{title:16} rho {rho:.1f} {part:11}", *rates, f"{any_found:.3f}", flush=True)
                table.add(title, rho, 100, count, part, *rates, f"{any_found:.3f}")
    return table


def power_table(count: int) -> ResultTable:
    """Share of simulations in which the enriched set is found for the joint score."""
    table = ResultTable(
        "set-enrichment-power",
        "Gene sets: share of simulations in which an enriched set is found",
        ("shift", "rho", "samples", "simulations", "found", "first of 20 sets", "other sets found"),
    )
    for shift in (0.5, 1.0, 2.0):
        for rho in (0.0, 0.1):
            results = np.array([p_values(effects(seed, 200, rho, True, shift))[0, 0] for seed in range(count)])
            significant = q_values(results) < 0.05
            found, others = significant[:, 0].mean(), significant[:, 1:].sum(axis=1).mean()
            first = (results.argmin(axis=1) == 0).mean()
            print(f"shift {shift} rho {rho}", found, first, others, flush=True)
            table.add(shift, rho, 200, count, f"{found:.2f}", f"{first:.2f}", f"{others:.2f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds: Any = range(arguments.simulations)
    sources = ["deepjive.evaluation.set_enrichment", "deepjive.evaluation.feature_ranking", "deepjive.linear"]
    write_tables(arguments.json, [calibration_table(len(seeds))], sources=sources, seeds=seeds)
    write_tables(arguments.json, [power_table(len(seeds) // 4)], sources=sources, seeds=range(len(seeds) // 4))


if __name__ == "__main__":
    main()
