"""Why a network still predicts the batch of `bmmc_cite` after the batch was taken out, and what helps.

    DEEPJIVE_DATA=FOLDER python benchmarks/confound_batches.py

Joint scores of AJIVE are compared after these treatments of the 400 fitted cells, applied to 200 held-out cells:

- *left in* and *taken out* (shift and scale of each feature, as ``confounds=`` does);
- *ranks within the batch*: each feature as normal quantiles of its ranks among the fitted cells of the batch;
- *cell types kept*: shift and scale that remain when the cell types are covariates that stay in the data. This needs
  the labels, and is here only to find the cause;
- *corrected by cluster*: scores of *left in*, from which the batch is taken out within soft clusters of cells that are
  encouraged to hold both batches (a short version of Harmony: Korsunsky et al. 2019, Nature Methods 16), without
  labels.

The column *batch within a type* is the accuracy of a linear probe within single cell types, where chance is .5.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import warnings
from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from confounds import CELL_RANK, CELLS_FITTED, cells
from deepjive import AJIVE, Modalities
from deepjive.adjust.regression import Coding, learn
from deepjive.data.confounds import Confounds
from deepjive.evaluation.probes import probe
from result_tables import ResultTable, add_json_option, write_tables

CLUSTERS, DIVERSITY, SOFTNESS, ROUNDS, STEPS = 12, 2.0, 0.1, 10, 20
FEWEST_FITTED, FEWEST_TESTED = 5, 3


def types_kept(arrays: dict, batch: np.ndarray, kind: np.ndarray, old: np.ndarray) -> dict[str, np.ndarray]:
    """Return modalities without the batch, in which the effects of the cell types are kept."""
    confounds = Confounds({"batch": batch.astype(str), "kind": kind.astype(str)}, "batch")
    coding = Coding.of(confounds[old])
    columns, batches = coding.columns(confounds), coding.sites(confounds)
    kept = {}
    for name, array in arrays.items():
        effects = learn(name, array[old], np.arange(len(old)), confounds[old], coding)
        kept[name] = effects.remove(array, columns, batches) + columns @ effects.slopes
    return kept


def ranked_within(arrays: dict, batch: np.ndarray, old: np.ndarray) -> dict[str, np.ndarray]:
    """Return normal quantiles of ranks among the fitted cells of the same batch."""
    ranked = {}
    for name, array in arrays.items():
        ranked[name] = np.zeros_like(array)
        for one in np.unique(batch):
            fitted, rows = np.sort(array[old][batch[old] == one], axis=0), np.flatnonzero(batch == one)
            for column in range(array.shape[1]):
                sides = [np.searchsorted(fitted[:, column], array[rows, column], side) for side in ("left", "right")]
                middle = np.clip(np.mean(sides, axis=0) / len(fitted), 0.5 / len(fitted), 1 - 0.5 / len(fitted))
                ranked[name][rows, column] = ndtri(middle)
    return ranked


def corrected(scores: np.ndarray, is_second: np.ndarray, n_fitted: int) -> np.ndarray:
    """Return scores without the batch within soft clusters, learned from the first `n_fitted` samples."""
    scores = scores / scores[:n_fitted].std(axis=0)
    batches = np.eye(2)[is_second.astype(int)]
    design = np.column_stack([np.ones(len(scores)), batches])
    ridge, fitted, changed = np.diag([0.0, 1.0, 1.0]), slice(0, n_fitted), scores
    share = batches[fitted].mean(axis=0)
    centers = _unit(KMeans(CLUSTERS, n_init=5, random_state=0).fit(_unit(scores[fitted])).cluster_centers_)
    penalty = np.ones((2, CLUSTERS))
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            members = _memberships(changed, centers, batches @ penalty)
            observed = batches[fitted].T @ members[fitted]
            expected = share[:, None] * members[fitted].sum(axis=0)
            penalty = ((expected + 1) / (observed + 1)) ** DIVERSITY
            centers = _unit(members[fitted].T @ _unit(changed[fitted]))
        members, changed = _memberships(changed, centers, batches @ penalty), scores.copy()
        for cluster in range(CLUSTERS):
            weights = members[fitted][:, [cluster]]
            gram = design[fitted].T @ (weights * design[fitted]) + ridge
            effects = np.linalg.solve(gram, design[fitted].T @ (weights * scores[fitted]))
            changed = changed - members[:, [cluster]] * (batches @ effects[1:])
    return changed


def _unit(scores: np.ndarray) -> np.ndarray:
    return scores / np.linalg.norm(scores, axis=1, keepdims=True)


def _memberships(scores: np.ndarray, centers: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    near = np.exp(-2 * (1 - _unit(scores) @ centers.T) / SOFTNESS) * penalty
    return near / near.sum(axis=1, keepdims=True)


def within_types(scores: Any, batch: np.ndarray, kind: np.ndarray, old: np.ndarray, new: np.ndarray) -> float:
    """Return the accuracy of the batch within cell types that both batches hold, mean over the types."""
    accuracies = []
    for one in np.unique(kind[kind != "other"]):
        trained, tested = kind[old] == one, kind[new] == one
        counts = [[int((batch[rows] == b).sum()) for b in np.unique(batch)] for rows in (old[trained], new[tested])]
        if min(counts[0]) >= FEWEST_FITTED and min(counts[1]) >= FEWEST_TESTED:
            found = probe(
                scores[0][trained], batch[old[trained]], scores[1][tested], batch[new[tested]], n_permutations=9
            )
            accuracies.append(found.linear)
    return float(np.mean(accuracies))


def study(n_splits: int) -> ResultTable:
    """Compare the treatments."""
    arrays, batch, kind = cells()
    columns = ("batch", "linear", "network", "batch within a type", "cell type, linear", "cell type, network")
    table = ResultTable(
        "confounds-batches",
        f"Batch of `bmmc_cite` predicted from joint scores of AJIVE, balanced accuracy on "
        f"{len(batch) - CELLS_FITTED} held-out cells, mean (standard deviation) of {n_splits} splits",
        columns,
    )
    results: dict[str, list[list[float]]] = {}
    for seed in range(n_splits):
        order = np.random.default_rng(seed).permutation(len(batch))
        old, new = order[:CELLS_FITTED], order[CELLS_FITTED:]
        versions = {
            "left in": Modalities(arrays),
            "taken out": Modalities(arrays, confounds={"batch": batch}),
            "ranks within the batch": Modalities(ranked_within(arrays, batch, old)),
            "cell types kept": Modalities(types_kept(arrays, batch, kind, old)),
        }
        scores = {}
        for name, data in versions.items():
            model = AJIVE(joint_rank=CELL_RANK, individual_ranks=CELL_RANK, random_state=0).fit(data[old])
            scores[name] = model.transform(data[old]), model.transform(data[new])
        whole = corrected(np.concatenate(scores["left in"]), batch[order] == batch.max(), len(old))
        scores["corrected by cluster"] = whole[: len(old)], whole[len(old) :]
        types = (kind[:, None] == np.unique(kind)).astype(float)
        scores["the cell type itself"] = types[old], types[new]
        for name, (fitted, tested) in scores.items():
            of_batch, of_kind = (probe(fitted, y[old], tested, y[new], n_permutations=9) for y in (batch, kind))
            within = within_types((fitted, tested), batch, kind, old, new)
            row = [of_batch.linear, of_batch.network, within, of_kind.linear, of_kind.network]
            results.setdefault(name, []).append(row)
            print(seed, name, np.round(row, 2), flush=True)
    for name, values in results.items():
        pairs = zip(np.mean(values, axis=0), np.std(values, axis=0, ddof=1), strict=True)
        numbers = [f"{mean:.2f} ({spread:.2f})" for mean, spread in pairs]
        table.add(name, *(numbers if name != "the cell type itself" else [*numbers[:2], "", "", ""]))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4, help="number of splits")
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    table = study(arguments.runs)
    for row in (table.columns, *table.rows):
        print(" | ".join(map(str, row)))
    sources = ["deepjive.adjust.regression", "deepjive.adjust.sites", "deepjive.data.confounds"]
    write_tables(arguments.json, [table], sources=sources, seeds=range(arguments.runs))


if __name__ == "__main__":
    main()
