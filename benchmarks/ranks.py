"""Ranks found from the data: how often they are right, for DeepJIVE beside AJIVE, which finds its own as well.

    python benchmarks/ranks.py                          # 20 seeds a cell, about half an hour
    python benchmarks/ranks.py --cells nonlinear --samples 300 --noise 1.0 --seeds 10

Two modalities of 100 features. The seeds start at 2000 and were used for nothing else. AJIVE's ranks say how many
linear dimensions there are, of which a curve needs several.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from typing import Any

from deepjive import AJIVE, DeepJIVE
from deepjive.datasets.synthetic import Synthetic, make_synthetic

CELLS = {
    "linear": [(1, 1), (2, 1), (0, 1), (2, 2)],
    "nonlinear": [(1, 1), (0, 1), (1, 2), (2, 1)],
}


def found_by(method: str, made: Synthetic, seed: int) -> tuple[int, ...]:
    """The joint rank and every modality's individual rank."""
    found: Any
    if method == "AJIVE":
        found = AJIVE(random_state=seed).fit(made.data)
        return (found.joint_rank_, *found.individual_ranks_.values())
    found = DeepJIVE(random_state=seed).select_ranks(made.data)
    return (found.joint_rank, *found.individual_ranks.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cells", nargs="*", choices=tuple(CELLS), default=list(CELLS))
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
            for method in ("AJIVE", "DeepJIVE"):
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
