"""Ranks found from the data: how often they are right, for DeepJIVE beside AJIVE, which finds its own as well.

    python benchmarks/ranks.py                          # the table of docs/decisions.md, about half an hour
    python benchmarks/ranks.py --seeds 1 --cells linear

n = 1000, two modalities of 100 features, noise with half the standard deviation of the signal; the seeds start at 1000
and were used for nothing else. AJIVE's ranks say how many linear dimensions there are, of which a curve needs several.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import Counter
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from deepjive import AJIVE, DeepJIVE
from deepjive.datasets.synthetic import Synthetic, make_synthetic

CELLS = {"linear": [(1, 1), (2, 1), (0, 1)], "nonlinear": [(1, 1), (0, 1)]}


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
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cells", nargs="*", choices=tuple(CELLS), default=list(CELLS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("found: (joint rank, individual ranks) and in how many runs")
    for kind in arguments.cells:
        for joint, individual in CELLS[kind]:
            for method in ("AJIVE", "DeepJIVE"):
                started, found = time.process_time(), []
                for seed in range(1000, 1000 + arguments.seeds):
                    ranks = {"joint_rank": joint, "individual_rank": individual}
                    made = make_synthetic(nonlinear=kind == "nonlinear", random_state=seed, **ranks)
                    found.append(found_by(method, made, seed))
                right = found.count((joint, individual, individual))
                seconds = (time.process_time() - started) / len(found)
                label = f"{kind}, true ({joint}, {individual}, {individual}), {method}"
                words = ", ".join(f"{ranks} x{count}" for ranks, count in Counter(found).most_common())
                print(f"{label:46} right {right}/{len(found)}   {seconds:5.0f} CPU s   {words}", flush=True)


if __name__ == "__main__":
    main()
