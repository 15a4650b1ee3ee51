"""Ranks found from the data: how often they are right, for DeepJIVE beside AJIVE, which finds its own as well.

    python benchmarks/ranks.py                          # 20 seeds a cell, about half an hour
    python benchmarks/ranks.py --methods published --seeds 5
    python benchmarks/ranks.py --cells nonlinear --samples 300 --noise 1.0 --seeds 10

Two modalities of 100 features. The seeds start at 2000 and were used for nothing else. AJIVE's ranks say how many
linear dimensions there are, of which a curve needs several. "published" is the paper's rule, as summarised publicly:
separate autoencoders of 10 latents a modality, and AJIVE with its thresholds and bounds on these latents.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deepjive import AJIVE, DeepJIVE, SeparateAutoencoders
from deepjive.datasets.synthetic import Synthetic, make_synthetic

METHODS = ("AJIVE", "published", "DeepJIVE")
LATENTS = 10
CELLS = {
    "linear": [(1, 1), (2, 1), (0, 1), (2, 2)],
    "nonlinear": [(1, 1), (0, 1), (1, 2), (2, 1)],
}


def found_by(method: str, made: Synthetic, seed: int) -> tuple[int, ...]:
    """The joint rank and every modality's individual rank."""
    found: Any
    if method != "DeepJIVE":
        data = made.data if method == "AJIVE" else latents(made, seed)
        found = AJIVE(random_state=seed).fit(data)
        return (found.joint_rank_, *found.individual_ranks_.values())
    found = DeepJIVE(random_state=seed).select_ranks(made.data)
    return (found.joint_rank, *found.individual_ranks.values())


def latents(made: Synthetic, seed: int) -> dict[str, Any]:
    """Scores, each with the standard deviation of what it alone draws, as the latents of a linear autoencoder have."""
    parts = SeparateAutoencoders(LATENTS, random_state=seed).fit(made.data).decompose(made.data)
    scaled = {}
    for name, scores in parts.individual_scores.items():
        nothing = parts.render("individual", name, parts.joint_scores, 0.0 * scores)
        alone = [
            parts.render("individual", name, parts.joint_scores, scores * (np.arange(LATENTS) == i)) - nothing
            for i in range(LATENTS)
        ]
        scaled[name] = scores * np.sqrt([np.square(one).sum(axis=1).mean() for one in alone])
    return scaled


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cells", nargs="*", choices=tuple(CELLS), default=list(CELLS))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=["AJIVE", "DeepJIVE"])
    parser.add_argument("--ranks", nargs="*", metavar="JOINT,INDIVIDUAL", help="only these true ranks")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--noise", type=float, default=0.5, help="standard deviation, relative to the signal's")
    arguments = parser.parse_args()
    size = {"n_samples": arguments.samples, "noise": arguments.noise}
    print(f"{size}; found: (joint rank, individual ranks) and in how many runs")
    for kind in arguments.cells:
        for joint, individual in CELLS[kind]:
            if arguments.ranks and f"{joint},{individual}" not in arguments.ranks:
                continue
            for method in arguments.methods:
                started, found = time.process_time(), []
                for seed in range(2000, 2000 + arguments.seeds):
                    ranks: Any = {"joint_rank": joint, "individual_rank": individual, **size}
                    made = make_synthetic(nonlinear=kind == "nonlinear", random_state=seed, **ranks)
                    found.append(found_by(method, made, seed))
                right = found.count((joint, individual, individual))
                seconds = (time.process_time() - started) / len(found)
                label = f"{kind}, true ({joint}, {individual}, {individual}), {method}"
                words = ", ".join(f"{ranks} x{count}" for ranks, count in Counter(found).most_common())
                print(f"{label:46} right {right}/{len(found)}   {seconds:5.1f} CPU s   {words}", flush=True)


if __name__ == "__main__":
    main()
