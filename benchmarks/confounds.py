"""Confounds and repeated measures: sites in simulated data, batches of cells, and levels of participants.

    python benchmarks/confounds.py sites               # 10 simulations, minutes
    DEEPJIVE_DATA=FOLDER python benchmarks/confounds.py cells
    python benchmarks/confounds.py levels

*sites*: 300 samples of three sites that shift and scale every feature of both modalities, with two joint and two
individual scores. Fits to the same data without sites are compared with fits that leave the site in or take it out. The
site is predicted from joint scores of 200 new samples of the same sites; chance is 1/3, and its standard error is that
of 200 samples.

*cells*: `bmmc_cite`, 600 bone-marrow cells of two batches that hold other shares of the cell types. Batch and cell type
are predicted from joint scores of 200 held-out cells, in five splits.

*levels*: participants with two to four visits. Joint scores of participants and of visits are recovered by `between()`
and `within()`, and the joint structure test has its level where a level has no joint structure.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.evaluation import canonical_correlations, joint_structure_test, r2
from deepjive.evaluation.probes import probe
from result_tables import ResultTable, add_json_option, write_tables

N, NEW, SITES = 300, 200, 3
CELLS_FITTED, CELL_RANK = 400, 8
FEWEST_CELLS = 15
LEVEL = 0.05
COUNTS = {"two": lambda n: np.full(n, 2), "two to four": lambda n: np.arange(n) % 3 + 2}


def methods(joint_rank: int, individual_ranks: int) -> dict[str, Any]:
    """Return the estimators with these ranks."""
    ranks = {"joint_rank": joint_rank, "individual_ranks": individual_ranks, "random_state": 0}
    return {"AJIVE": AJIVE(**ranks), "DeepJIVE": DeepJIVE(**ranks)}


def at_sites(seed: int) -> tuple[dict, dict, dict, np.ndarray]:
    """Return modalities without and with sites, the joint part, and the site of each sample."""
    rng = np.random.default_rng(seed)
    total = N + NEW
    z, site = rng.normal(size=(total, 2)), rng.integers(SITES, size=total)
    clean, measured, joint = {}, {}, {}
    for name, p in {"x": 60, "y": 40}.items():
        joint[name] = z @ rng.normal(size=(2, p))
        own = rng.normal(size=(total, 2)) @ rng.normal(size=(2, p))
        clean[name] = joint[name] + own + rng.normal(size=(total, p))
        scale = np.exp(0.3 * rng.normal(size=(SITES, 1)) + 0.1 * rng.normal(size=(SITES, p)))
        scale /= np.sqrt((scale**2).mean(axis=0))
        shift = rng.normal(size=(SITES, p)) * 1.5 + rng.normal(size=(SITES, 1))
        measured[name] = clean[name] * scale[site] + (shift - shift.mean(axis=0))[site]
    return clean, measured, joint, np.array(list("ABC"))[site]


def recovered(model: Any, data: Modalities, joint: dict, rows: slice) -> float:
    """Return the R2 of the true joint part, mean over the modalities."""
    parts = model.decompose(data[rows]).adjusted
    return float(np.mean([r2(joint[name][rows], parts.joint[name]) for name in joint]))


def sites_of(model: Any, data: Modalities, site: np.ndarray) -> tuple[float, float]:
    """Return the accuracy of the site predicted from joint scores of new samples, by a linear probe and a network."""
    old, new = slice(0, N), slice(N, N + NEW)
    found = probe(model.transform(data[old]), site[old], model.transform(data[new]), site[new], n_permutations=19)
    return found.linear, found.network


def study_sites(n_simulations: int) -> ResultTable:
    """Fit with and without sites."""
    columns = ("method", "data", "R2 fitted", "R2 new", "site, linear", "site, network", "within 2 standard errors")
    table = ResultTable(
        "confounds-sites",
        f"Three simulated sites: R2 of the true joint part, and accuracy of the site predicted from joint scores "
        f"(chance .33); mean (worst) of {n_simulations} simulations",
        columns,
    )
    results: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for seed in range(n_simulations):
        clean, measured, joint, site = at_sites(seed)
        versions = {
            "no sites": Modalities(clean),
            "sites left in": Modalities(measured),
            "sites taken out": Modalities(measured, confounds={"site": site}),
        }
        for name, method in methods(2, 2).items():
            for version, data in versions.items():
                model = clone(method).fit(data[:N])
                of_parts = [recovered(model, data, joint, rows) for rows in (slice(0, N), slice(N, N + NEW))]
                results.setdefault((name, version), []).append((*of_parts, *sites_of(model, data, site)))
                print(seed, name, version, np.round(results[name, version][-1], 3), flush=True)
    chance, error = 1 / SITES, np.sqrt(1 / SITES * (1 - 1 / SITES) / NEW)
    for (name, version), values in results.items():
        numbers = np.array(values)
        worst = [numbers[:, 0].min(), numbers[:, 1].min(), numbers[:, 2].max(), numbers[:, 3].max()]
        cells = [f"{mean:.3f} ({extreme:.3f})" for mean, extreme in zip(numbers.mean(axis=0), worst, strict=True)]
        at_chance = (numbers[:, 2:] < chance + 2 * error).mean()
        table.add(name, version, *cells, f"{at_chance:.0%}")
    return table


def cells() -> tuple[dict, np.ndarray, np.ndarray]:
    """Return the modalities, batches and cell types of `bmmc_cite`; types of few cells are one type."""
    import anndata

    folder = Path(os.environ.get("DEEPJIVE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "bmmc_cite"
    read = {name: anndata.read_h5ad(folder / f"{name}.h5ad") for name in ("rna", "adt")}
    arrays = {name: np.asarray(a.X.toarray() if hasattr(a.X, "toarray") else a.X, float) for name, a in read.items()}
    batch, kind = (read["rna"].obs[name].astype(str).to_numpy() for name in ("batch", "cell_type"))
    names, counts = np.unique(kind, return_counts=True)
    return arrays, batch, np.where(np.isin(kind, names[counts >= FEWEST_CELLS]), kind, "other")


def study_cells(n_splits: int) -> ResultTable:
    """Predict batch and cell type from joint scores."""
    arrays, batch, kind = cells()
    columns = ("joint scores of", "batch", "batch, linear", "batch, network", "cell type, linear", "cell type, network")
    table = ResultTable(
        "confounds-cells",
        f"Batches of `bmmc_cite`: balanced accuracy on {len(batch) - CELLS_FITTED} held-out cells, "
        f"mean (standard deviation) of {n_splits} splits",
        columns,
    )
    data = Modalities(arrays, confounds={"batch": batch})
    results: dict[tuple[str, str], list[list[float]]] = {}
    for seed in range(n_splits):
        order = np.random.default_rng(seed).permutation(len(batch))
        old, new = order[:CELLS_FITTED], order[CELLS_FITTED:]
        types = (kind[:, None] == np.unique(kind)).astype(float)
        found = probe(types[old], batch[old], types[new], batch[new], n_permutations=19)
        results.setdefault(("the cell type itself", ""), []).append([found.linear, found.network, np.nan, np.nan])
        for name, method in methods(CELL_RANK, CELL_RANK).items():
            for version, of_version in {"left in": data.without_confounds(), "taken out": data}.items():
                model = clone(method).fit(of_version[old])
                scores = model.transform(of_version[old]), model.transform(of_version[new])
                probes = [probe(scores[0], y[old], scores[1], y[new], n_permutations=19) for y in (batch, kind)]
                row = [value for found in probes for value in (found.linear, found.network)]
                results.setdefault((name, version), []).append(row)
                print(seed, name, version, np.round(row, 2), flush=True)
    for (name, version), values in results.items():
        means, spreads = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
        pairs = zip(means, spreads, strict=True)
        table.add(name, version, *("" if np.isnan(mean) else f"{mean:.2f} ({sd:.2f})" for mean, sd in pairs))
    return table


def visits(seed: int, counts: np.ndarray, between: bool, within: bool) -> tuple[Modalities, np.ndarray, np.ndarray]:
    """Return modalities of participants with visits, and the joint scores of participants and of visits."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(counts)), counts)
    of_participant, of_visit = rng.normal(size=(len(counts), 1)), rng.normal(size=(len(groups), 1))
    own = rng.normal(size=(len(counts), 2))
    arrays = {}
    for k, (name, p) in enumerate({"x": 30, "y": 25}.items()):
        shared = 3.0 * between * of_participant[groups] @ rng.normal(size=(1, p))
        shared += 1.5 * within * of_visit @ rng.normal(size=(1, p))
        individual = 2.0 * own[groups][:, [k]] @ rng.normal(size=(1, p))
        arrays[name] = shared + individual + rng.normal(size=(len(groups), p))
    return Modalities(arrays, groups=groups), of_participant, of_visit


def at_level(data: Modalities, level: str) -> Modalities:
    """Return the data of a level."""
    return data.between() if level == "between" else data.within()


def study_levels(n_simulations: int) -> ResultTable:
    """Recover both levels, and test levels without joint structure."""
    columns = (
        "visits",
        "level",
        "correlation with its truth",
        "with the other",
        "joint rank above 0",
        "test, p <= .05",
    )
    table = ResultTable(
        "confounds-levels",
        f"Between and within 120 participants: correlation of AJIVE's joint score with the truth, mean (worst), and "
        f"false positives where the level has no joint structure; {n_simulations} simulations",
        columns,
    )
    for words, counts_of in COUNTS.items():
        counts = counts_of(120)
        for level in ("between", "within"):
            own, other, ranks, p_values = [], [], [], []
            for seed in range(n_simulations):
                data, of_participant, of_visit = visits(seed, counts, between=True, within=True)
                of_level = at_level(data, level)
                visit_truth = Modalities({"z": of_visit, "w": of_visit}, groups=data.groups)
                truths = {"between": of_participant, "within": np.asarray(visit_truth.within()["z"])}
                model = AJIVE(joint_rank=1, individual_ranks=1).fit(of_level)
                own.append(canonical_correlations(model.joint_scores_, truths[level]).min())
                if level == "within":
                    people = of_participant[of_level.groups if of_level.groups is not None else slice(None)]
                    other.append(canonical_correlations(model.joint_scores_, people).max())
                else:
                    means = np.asarray(visit_truth.between()["z"])
                    other.append(canonical_correlations(model.joint_scores_, means).max())
                # a level without joint structure; the mean of visits contains a share of what is within participants
                null = at_level(visits(10_000 + seed, counts, between=level == "within", within=False)[0], level)
                ranks.append(AJIVE(n_wedin=100, n_random=100, random_state=0).fit(null).joint_rank_)
                people = null.groups if null.groups is not None else np.arange(len(null))
                held_out = people >= 60
                fitted = AJIVE(joint_rank=1, individual_ranks=1).fit(null[~held_out])
                p_values.append(joint_structure_test(fitted, null[held_out], 199).p_value)
            table.add(
                words,
                level,
                f"{np.mean(own):.3f} ({np.min(own):.3f})",
                f"{np.mean(other):.3f} ({np.max(other):.3f})",
                f"{np.mean(np.array(ranks) > 0):.1%}",
                f"{np.mean(np.array(p_values) <= LEVEL):.1%}",
            )
            print(table.rows[-1], flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["sites", "cells", "levels"])
    parser.add_argument("--runs", type=int, help="simulations or splits; by default 10, 5 and 200")
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    studies = {"sites": (study_sites, 10), "cells": (study_cells, 5), "levels": (study_levels, 200)}
    study, runs = studies[arguments.study]
    runs = arguments.runs or runs
    table = study(runs)
    for row in (table.columns, *table.rows):
        print(" | ".join(map(str, row)))
    sources = ["deepjive.adjust.regression", "deepjive.adjust.sites", "deepjive.data.levels", "deepjive.data.confounds"]
    write_tables(arguments.json, [table], sources=sources, seeds=range(runs))


if __name__ == "__main__":
    main()
