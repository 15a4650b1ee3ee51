"""Decoders that are given the site, compared with sites that are taken out before the fit.

    python benchmarks/confound_decoders.py sites
    DEEPJIVE_DATA=FOLDER python benchmarks/confound_decoders.py cells

A decoder that is given the site can describe effects that are no shift and scale, and the encoder then has no reason
to keep the site in the scores. *taken out* is ``Modalities(..., confounds=)``. *decoders given the site* appends the
site to the input, so that encoders can take it out and decoders can use it. *both* does both. All three have the same
networks, a linear map and one hidden layer, which start at random; *taken out, as released* has deepjive's own networks
with their linear start.

*sites* simulates 300 samples of three sites, whose effect is a shift and a scale, or also other loadings of the joint
scores. The true joint scores and the site are predicted from joint scores of 200 new samples.
*cells* is `bmmc_cite`, as in `confounds.py`. ``--checkpoint FILE`` keeps the fits of an interrupted study.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn

from confounds import CELL_RANK, CELLS_FITTED, NEW, N, at_sites, cells
from deepjive import DeepJIVE, Modalities
from deepjive.evaluation import r2
from deepjive.evaluation.probes import probe
from result_tables import ResultTable, add_json_option, write_tables

OTHER_LOADINGS = 0.7
ARMS = ("taken out", "decoders given the site", "both", "taken out, as released")


class GivenEncoder(nn.Module):
    """A linear map and one hidden layer; the last columns of the input, the site, are remembered for the decoders."""

    def __init__(self, shape: tuple[int, ...], rank: int, n_sites: int, sites: dict[str, Tensor]) -> None:
        super().__init__()
        width = math.prod(shape)
        self.linear = nn.Linear(width, rank)
        self.hidden = nn.Sequential(nn.Linear(width, 128), nn.GELU(), nn.Linear(128, rank))
        self.n_sites, self.sites = n_sites, sites

    def forward(self, x: Tensor) -> Tensor:
        if self.n_sites:
            self.sites["now"] = x[:, -self.n_sites :]
        return self.linear(x) + self.hidden(x)


class GivenDecoder(nn.Module):
    """A linear map and one hidden layer, of the scores and the site of the batch that was encoded last."""

    def __init__(self, shape: tuple[int, ...], rank: int, n_sites: int, sites: dict[str, Tensor]) -> None:
        super().__init__()
        width = math.prod(shape) - n_sites
        self.linear = nn.Linear(rank + n_sites, width)
        self.hidden = nn.Sequential(nn.Linear(rank + n_sites, 128), nn.GELU(), nn.Linear(128, width))
        self.n_sites, self.sites = n_sites, sites

    def forward(self, z: Tensor) -> Tensor:
        if not self.n_sites:
            return self.linear(z) + self.hidden(z)
        site = self.sites.get("now", z.new_zeros(1, self.n_sites))
        site = site[:1].expand(len(z), -1) if len(z) % len(site) else site.repeat(len(z) // len(site), 1)
        given = torch.cat([z, site], dim=1)
        return torch.cat([self.linear(given) + self.hidden(given), torch.zeros_like(site)], dim=1)


def networks(n_sites: int) -> tuple[Callable, Callable]:
    """Return factories of an encoder and a decoder."""
    sites: dict[str, Tensor] = {}
    return (
        lambda shape, rank: GivenEncoder(shape, rank, n_sites, sites),
        lambda shape, rank: GivenDecoder(shape, rank, n_sites, sites),
    )


def with_sites(arrays: dict[str, np.ndarray], site: np.ndarray) -> dict[str, np.ndarray]:
    """Return arrays with an indicator of each site as further columns, small beside the features."""
    columns = (site[:, None] == np.unique(site)).astype(float)
    return {name: np.concatenate([array, 1e-2 * array.std() * columns], axis=1) for name, array in arrays.items()}


def fitted(arm: str, arrays: dict[str, np.ndarray], site: np.ndarray, old: Any, rank: int) -> tuple[Any, Modalities]:
    """Return the model of an arm, and the data that it is given."""
    n_sites = len(np.unique(site))
    if arm == "both":  # the site is taken out of the features, and then given to the decoders
        first = Modalities(arrays, confounds={"site": site})
        of_features = DeepJIVE(joint_rank=1, individual_ranks=0, networks="linear", max_epochs=1, random_state=0)
        arrays = {name: np.asarray(array) for name, array in of_features.fit(first[old]).adjust(first).items()}
    given = arm in ("decoders given the site", "both")
    data = Modalities(with_sites(arrays, site) if given else arrays)
    if arm.startswith("taken out"):
        data = Modalities(arrays, confounds={"site": site})
    own = {} if arm == "taken out, as released" else {"networks": networks(n_sites if given else 0)}
    model = DeepJIVE(joint_rank=rank, individual_ranks=rank, random_state=0, **own)
    return model.fit(data[old]), data


def with_other_loadings(seed: int) -> tuple[dict, np.ndarray, np.ndarray]:
    """Return modalities whose loadings also differ between sites, the true joint scores, and the sites."""
    _, measured, joint, site = at_sites(seed)
    rng = np.random.default_rng(1000 + seed)
    z = np.linalg.svd(joint["x"], full_matrices=False)[0][:, :2] * np.sqrt(len(site))
    for array in measured.values():
        for letter in np.unique(site):
            here = site == letter
            array[here] += OTHER_LOADINGS * z[here] @ rng.normal(size=(2, array.shape[1]))
    return measured, z, site


class Fits:
    """Numbers of fits by seed and name, kept in a file so that an interrupted study goes on where it ended.

    Parameters
    ----------
    path : Path or None
        The file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known = json.loads(path.read_text()) if path is not None and path.exists() else {}

    def of(self, key: str, compute: Callable[[], list[float]]) -> list[float]:
        """Return the numbers of a fit, computed if they are not known."""
        if key not in self.known:
            self.known[key] = [round(float(value), 4) for value in compute()]
            print(key, self.known[key], flush=True)
            if self.path is not None:
                self.path.write_text(json.dumps(self.known, indent=1))
        return self.known[key]


def study_sites(n_simulations: int, fits: Fits) -> ResultTable:
    """Simulated sites with a linear and a nonlinear effect."""
    columns = ("effect of the site", "site", "R2 of the true joint scores", "site, linear", "site, network")
    table = ResultTable(
        "confounds-decoders",
        f"Decoders that are given the site, {NEW} new samples of three simulated sites: R2 of the true joint scores, "
        f"and accuracy of the site, predicted from joint scores (chance .33); mean (worst) of {n_simulations} "
        "simulations",
        columns,
    )
    results: dict[tuple[str, str], list[list[float]]] = {}
    for seed in range(n_simulations):
        _, measured, joint, site = at_sites(seed)
        z = np.linalg.svd(joint["x"], full_matrices=False)[0][:, :2] * np.sqrt(len(site))
        for effect, (arrays, truth, sites) in {
            "shift and scale": (measured, z, site),
            "and other loadings": with_other_loadings(seed),
        }.items():
            for arm in ARMS:

                def numbers_of(arm=arm, arrays=arrays, truth=truth, sites=sites) -> list[float]:
                    model, data = fitted(arm, arrays, sites, slice(0, N), 2)
                    old, new = model.transform(data[:N]), model.transform(data[N:])
                    predicted = RidgeCV(np.logspace(-3, 3, 7)).fit(old, truth[:N]).predict(new)
                    found = probe(old, sites[:N], new, sites[N:], n_permutations=19)
                    return [r2(truth[N:], predicted), found.linear, found.network]

                values = fits.of(f"sites, {seed}, {effect}, {arm}", numbers_of)
                results.setdefault((effect, arm), []).append(values)
    for (effect, arm), values in results.items():
        numbers = np.array(values)
        worst = [numbers[:, 0].min(), numbers[:, 1].max(), numbers[:, 2].max()]
        pairs = zip(numbers.mean(axis=0), worst, strict=True)
        table.add(effect, arm, *(f"{mean:.3f} ({extreme:.3f})" for mean, extreme in pairs))
    return table


def study_cells(n_splits: int, fits: Fits) -> ResultTable:
    """Batches of cells."""
    arrays, batch, kind = cells()
    columns = ("batch", "batch, linear", "batch, network", "cell type, linear", "cell type, network")
    table = ResultTable(
        "confounds-decoders-cells",
        f"Decoders that are given the batch of `bmmc_cite`: balanced accuracy from joint scores of "
        f"{len(batch) - CELLS_FITTED} held-out cells, mean of {n_splits} splits",
        columns,
    )
    results: dict[str, list[list[float]]] = {}
    for seed in range(n_splits):
        order = np.random.default_rng(seed).permutation(len(batch))
        old, new = order[:CELLS_FITTED], order[CELLS_FITTED:]
        for arm in ARMS:

            def numbers_of(arm=arm, old=old, new=new) -> list[float]:
                model, data = fitted(arm, arrays, batch.astype(str), old, CELL_RANK)
                scores = model.transform(data[old]), model.transform(data[new])
                probes = [probe(scores[0], y[old], scores[1], y[new], n_permutations=19) for y in (batch, kind)]
                return [value for found in probes for value in (found.linear, found.network)]

            results.setdefault(arm, []).append(fits.of(f"cells, {seed}, {arm}", numbers_of))
    for arm, values in results.items():
        table.add(arm, *(f"{mean:.2f}" for mean in np.mean(values, axis=0)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["sites", "cells"])
    parser.add_argument("--runs", type=int, help="simulations or splits; by default 5 and 3")
    parser.add_argument("--checkpoint", type=Path, help="file of the fits that are already known")
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    study, runs = {"sites": (study_sites, 5), "cells": (study_cells, 3)}[arguments.study]
    runs = arguments.runs or runs
    table = study(runs, Fits(arguments.checkpoint))
    for row in (table.columns, *table.rows):
        print(" | ".join(map(str, row)))
    sources = ["deepjive.adjust.regression", "deepjive.adjust.sites", "deepjive.deep.training.objective"]
    write_tables(arguments.json, [table], sources=sources, seeds=range(runs))


if __name__ == "__main__":
    main()
