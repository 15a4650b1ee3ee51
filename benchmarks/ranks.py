"""Ranks selected from the data: how often they are right, for DeepJIVE and for AJIVE.

    python benchmarks/ranks.py  # 20 seeds a cell, about three quarters of an hour
    python benchmarks/ranks.py --methods published --seeds 5
    python benchmarks/ranks.py --cells nonlinear --ranks 1,1 --noise 1.0 --seeds 10
    python benchmarks/ranks.py --cells network polynomial --seeds 5

Two modalities have 100 features each. The features are linear in the scores, sinusoids of the scores ("nonlinear"), or
mixtures of hidden units of a random network or of polynomials. The seeds start at 2000 and were not used for anything
else. The ranks of AJIVE count linear dimensions, and a curve needs several of them. "published" is the rule of the
paper, as summarised publicly: separate autoencoders with 10 latents per modality, and AJIVE with its thresholds and
bounds on these latents.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PolynomialFeatures

from deepjive import AJIVE, DeepJIVE, Modalities, SeparateAutoencoders
from deepjive.datasets import make_synthetic
from result_tables import ResultTable, add_json_option, write_tables

METHODS = ("AJIVE", "published", "DeepJIVE")
LATENTS = 10
CELLS = {
    "linear": [(1, 1), (2, 1), (0, 1), (2, 2)],
    "nonlinear": [(1, 1), (0, 1), (1, 2), (2, 1)],
    "network": [(1, 1), (0, 1), (1, 2), (2, 1)],
    "polynomial": [(1, 1), (0, 1), (1, 2), (2, 1)],
}
HIDDEN = 20


def simulated(kind: str, joint: int, individual: int, n: int, noise: float, seed: int) -> dict[str, NDArray]:
    """Simulate two modalities of a kind with true ranks."""
    if kind in ("linear", "nonlinear"):
        ranks: Any = {"joint_rank": joint, "individual_rank": individual}
        data = make_synthetic(n, noise=noise, nonlinear=kind == "nonlinear", random_state=seed, **ranks).data
        return {name: np.asarray(data[name]) for name in data.names}
    rng = np.random.default_rng(seed)
    hidden = nonlinear_functions(kind, rng.normal(size=(n, joint)), rng)
    arrays = {}
    for name in ("modality_1", "modality_2"):
        parts = [hidden, nonlinear_functions(kind, rng.normal(size=(n, individual)), rng)]
        signal = np.sum([mixed(part, rng) for part in parts], axis=0)
        arrays[name] = signal + noise * signal.std() * rng.normal(size=signal.shape)
    return arrays


def nonlinear_functions(kind: str, scores: NDArray, rng: np.random.Generator) -> NDArray:
    """Compute hidden units of a network, or all powers and products of scores up to the third order."""
    if kind == "network":
        return np.tanh(1.5 * scores @ rng.normal(size=(scores.shape[1], HIDDEN)) + rng.normal(size=HIDDEN))
    return PolynomialFeatures(3, include_bias=False).fit_transform(scores) if scores.shape[1] else scores


def mixed(hidden: NDArray, rng: np.random.Generator) -> NDArray:
    """Mix centred and scaled functions at random to 100 features with variance 1 over all entries."""
    hidden = hidden - hidden.mean(axis=0)
    part = hidden / np.maximum(hidden.std(axis=0), 1e-12) @ rng.normal(size=(hidden.shape[1], 100))
    return part / max(float(part.std()), 1e-12)


def selected_ranks(method: str, data: Modalities, seed: int) -> tuple[int, ...]:
    """Return the joint rank and the individual rank of every modality, as a method selects them."""
    if method == "DeepJIVE":
        selection = DeepJIVE(random_state=seed).select_ranks(data)
        return (selection.joint_rank, *selection.individual_ranks.values())
    model = AJIVE(random_state=seed).fit(data if method == "AJIVE" else latents(data, seed))
    return (model.joint_rank_, *model.individual_ranks_.values())


def latents(data: Modalities, seed: int) -> dict[str, Any]:
    """Return the latents of separate autoencoders, each scaled to the size of its effect on the data.

    Latents of a linear autoencoder have this scale.
    """
    parts = SeparateAutoencoders(ranks=LATENTS, random_state=seed).fit(data).decompose(data)
    scaled = {}
    for name, scores in parts.individual_scores.items():
        at_zero = parts.render("individual", name, parts.joint_scores, 0.0 * scores)
        effects = [
            parts.render("individual", name, parts.joint_scores, scores * (np.arange(LATENTS) == i)) - at_zero
            for i in range(LATENTS)
        ]
        scaled[name] = scores * np.sqrt([np.square(effect).sum(axis=1).mean() for effect in effects])
    return scaled


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=2000)
    parser.add_argument("--cells", nargs="*", choices=tuple(CELLS), default=list(CELLS))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=["AJIVE", "DeepJIVE"])
    parser.add_argument("--ranks", nargs="*", metavar="JOINT,INDIVIDUAL", help="only these true ranks")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=0.5, help="standard deviation, relative to that of the signal")
    add_json_option(parser)
    arguments = parser.parse_args()
    columns = ("data", "true ranks", "method", "right", "runs", "CPU seconds", "most frequent ranks")
    table = ResultTable("ranks", "Ranks selected from the data", columns)
    size = {"n_samples": arguments.samples, "noise": arguments.noise}
    print(f"{size}; selected ranks: (joint rank, individual ranks) x number of runs")
    for kind in arguments.cells:
        for joint, individual in CELLS[kind]:
            if arguments.ranks and f"{joint},{individual}" not in arguments.ranks:
                continue
            for method in arguments.methods:
                started, selections = time.process_time(), []
                for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                    arrays = simulated(kind, joint, individual, arguments.samples, arguments.noise, seed)
                    selections.append(selected_ranks(method, Modalities(arrays), seed))
                right = selections.count((joint, individual, individual))
                seconds = (time.process_time() - started) / len(selections)
                label = f"{kind}, true ({joint}, {individual}, {individual}), {method}"
                words = ", ".join(f"{ranks} x{count}" for ranks, count in Counter(selections).most_common())
                print(f"{label:46} right {right}/{len(selections)}   {seconds:5.1f} CPU s   {words}", flush=True)
                most = ", ".join(f"{ranks} x{count}" for ranks, count in Counter(selections).most_common(2))
                table.add(kind, f"({joint}, {individual}, {individual})", method, right, len(selections), seconds, most)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    write_tables(arguments.json, [table], sources=["deepjive.deep", "deepjive.linear"], seeds=seeds)


if __name__ == "__main__":
    main()
