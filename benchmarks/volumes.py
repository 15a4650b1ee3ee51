"""Cost of training on volumes: seconds per step and resident memory at 6, 4 and 3 mm, for 500 participants.

    python benchmarks/volumes.py --voxel 6
    python benchmarks/volumes.py --voxel 3

The benchmark runs a few steps of each phase on phantom volumes in half precision on disk. Each run has one resolution,
so that it has its own peak of memory. The time for 500 participants is extrapolated from the time of a step: an epoch
has 500 * .9 / batch steps.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deepjive import DeepJIVE
from deepjive.datasets import make_phantom
from result_tables import ResultTable, add_json_option, write_tables

PHASES = ("joint", "individual", "refinement")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxel", type=float, default=6.0)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    add_json_option(parser)
    options = parser.parse_args()
    columns = ("voxel, mm", "phase", "seconds a step", "minutes an epoch of 500 participants")
    table = ResultTable("volumes", "Training on volumes", columns)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with tempfile.TemporaryDirectory() as folder:
        phantom = make_phantom(options.subjects, options.voxel, folder=folder)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        start = time.process_time()
        model = DeepJIVE(
            joint_rank=2, individual_ranks=4, max_epochs=1, batch_size=options.batch, learning_rate=1e-5, random_state=0
        )
        model.fit(phantom.data)
        cpu_seconds = time.process_time() - start
    steps = (options.subjects - max(2, round(0.1 * options.subjects))) // options.batch
    steps_of_500 = 450 // options.batch
    voxels = int(np.prod(phantom.grid.shape))
    stored = 2 * 2 * 500 * voxels / 1e9
    weights = model.n_parameters_ / 1e6
    print(f"{options.voxel:g} mm {phantom.grid.shape}, {voxels} voxels, {weights:.1f} million weights")
    for phase in PHASES:
        step = model.history_["seconds"][model.history_["phase"].index(phase)] / steps
        print(f"  {phase}: {step:.2f} s a step, {step * steps_of_500 / 60:.1f} min an epoch of 500 participants")
        table.add(options.voxel, phase, step, step * steps_of_500 / 60)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"  peak memory {after:.2f} GB ({before:.2f} before), {cpu_seconds:.0f} CPU seconds")
    print(f"  500 participants take {stored:.2f} GB on disk")
    write_tables(options.json, [table], sources=["deepjive.deep"], seeds=[0])


if __name__ == "__main__":
    main()
