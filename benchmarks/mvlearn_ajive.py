"""One AJIVE fit by mvlearn, which `linear.py` runs in mvlearn's environment; prints the result as JSON."""

import json
import sys
import time

import numpy as np
from mvlearn.decomposition import AJIVE


def main(path: str, rank: int, draws: int) -> None:
    with np.load(path) as arrays:
        data = [arrays[name] for name in arrays.files]
    model = AJIVE(
        init_signal_ranks=[rank] * len(data), n_wedin_samples=draws, n_randdir_samples=draws, n_jobs=1, random_state=0
    )
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(data)
    result = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "joint_rank": int(model.joint_rank_),
        "individual_ranks": [int(rank) for rank in model.individual_ranks_],
        "wedin_cutoff": float(model.wedin_cutoff_),
        "random_cutoff": float(model.rand_cutoff_),
        "joint_variance": [float(np.sum(part**2)) for part in joint_parts(model, data)],
    }
    print(json.dumps(result))


def joint_parts(model, data):
    """Yield for each modality ``U' X / |X|``, whose sum of squares is the joint fraction of its variance."""
    scores = np.linalg.qr(model.joint_scores_)[0]
    for x in data:
        centred = x - x.mean(axis=0)
        yield scores.T @ centred / np.linalg.norm(centred)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
