"""Data larger than memory: peak memory and throughput of training from disk, beside the same data in memory.

    python benchmarks/streaming.py                     # 1.5 GB in .npy files, a budget of 300 MB, ten minutes
    python benchmarks/streaming.py --gigabytes 0.5 1.5 3 --networks linear        # peak memory against size
    python benchmarks/streaming.py --store hdf5 --gigabytes 0.5 --budget 100

The benchmark writes two modalities of 1600 features to disk (uncompressed and whole, or in chunks of 16 samples with
--store zarr). It fits the joint part of a DeepJIVE for a few epochs in batches of 256, each time in a new process: with
memory_limit=0, which reads every batch from disk, and with all data in memory. Peak memory is the largest resident set
minus that of the same process after a fit to a few samples, so it excludes PyTorch and imports. Throughput is the
median of all epochs but the first, per second of wall time and of CPU time. Wall time is the better measure where
nothing else runs. The weights must be the same, bit by bit. Sizes above --in-memory are read from disk only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from result_tables import ResultTable, add_json_option, write_tables

WIDTH, RANK, BATCH, CHUNK = 1600, 5, 256, 2048
NAMES = ("first", "second")


def make(folder: Path, store: str, n: int) -> None:
    """Write two modalities that share scores to disk, in blocks of samples."""
    rng = np.random.default_rng(0)
    loadings = {name: rng.standard_normal((RANK, WIDTH), dtype=np.float32) for name in NAMES}
    arrays = {name: opened(folder, store, name, n) for name in NAMES}
    for start in range(0, n, CHUNK):
        stop = min(n, start + CHUNK)
        scores = rng.standard_normal((stop - start, RANK), dtype=np.float32)
        for name, array in arrays.items():
            noise = rng.standard_normal((stop - start, WIDTH), dtype=np.float32)
            array[start:stop] = np.tanh(scores @ loadings[name]) + noise


def opened(folder: Path, store: str, name: str, n: int):
    path = folder / name
    if store == "npy":
        return np.lib.format.open_memmap(path.with_suffix(".npy"), "w+", np.float32, (n, WIDTH))
    if store == "hdf5":
        import h5py

        return h5py.File(path.with_suffix(".h5"), "w").create_dataset("x", (n, WIDTH), np.float32)
    import zarr

    return zarr.create_array(path.with_suffix(".zarr"), shape=(n, WIDTH), dtype="f4", chunks=(16, WIDTH))


def work(folder: Path, memory_limit: float, epochs: int, networks: str) -> None:
    """Run one fit in this process, and print its measures as JSON."""
    import torch

    from deepjive import DeepJIVE, Modalities, Runtime
    from deepjive.deep.training.state import PhaseState

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    data = Modalities({path.stem: path for path in sorted(folder.iterdir())})
    model = DeepJIVE(
        joint_rank=RANK,
        individual_ranks=0,
        batch_size=BATCH,
        max_epochs=epochs,
        runtime=Runtime(memory_limit=memory_limit),
        random_state=0,
    )
    model.set_params(networks=networks)
    model.set_params(max_epochs=1).fit(data[: 2 * BATCH])
    before = peak()
    cpu_times: list[float] = []
    record = PhaseState.record
    PhaseState.record = lambda state, row: (cpu_times.append(time.process_time()), record(state, row))[1]
    model.set_params(max_epochs=epochs).fit(data)
    digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in model.network_.state_dict().values()))
    seconds = statistics.median(model.history_["seconds"][1:])
    cpu_speed = len(data) / statistics.median(np.diff(cpu_times))
    measures = {"memory": peak() - before, "speed": len(data) / seconds, "cpu_speed": cpu_speed}
    print(json.dumps(measures | {"before": before, "weights": digest.hexdigest()[:12]}))


def peak() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 / (1024 if sys.platform == "darwin" else 1)


def spawned(*words: str) -> dict:
    """Run this script in a new process, and return the measures that it prints."""
    command = [sys.executable, __file__, *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1]) if process.stdout else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("npy", "hdf5", "zarr"), default="npy")
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1.5], help="sizes of the data")
    parser.add_argument("--in-memory", type=float, default=2.0, help="largest size that is also fitted in memory")
    parser.add_argument("--budget", type=float, default=300, help="limit of the memory of training from disk, MB")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument(
        "--networks",
        choices=("auto", "linear"),
        default="auto",
        help="linear networks need the least time for a sample",
    )
    parser.add_argument("--work", nargs=2, metavar=("FOLDER", "LIMIT"), help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=2, metavar=("FOLDER", "N"), help=argparse.SUPPRESS)
    add_json_option(parser)
    arguments = parser.parse_args()
    if arguments.work:
        work(Path(arguments.work[0]), float(arguments.work[1]), arguments.epochs, arguments.networks)
    elif arguments.make:
        make(Path(arguments.make[0]), arguments.store, int(arguments.make[1]))
    else:
        columns = ("GB", "store", "data", "peak memory, MB", "samples/s", "samples/CPU s", "same weights")
        table = ResultTable("streaming", "Training from disk and in memory", columns)
        status = max(compare(arguments, size, table) for size in arguments.gigabytes)
        write_tables(arguments.json, [table], sources=["deepjive.deep", "deepjive.data"], seeds=[0])
        sys.exit(status)


def compare(arguments: argparse.Namespace, gigabytes: float, table: ResultTable) -> int:
    n = int(gigabytes * 1e9 / (4 * WIDTH * len(NAMES)))
    folder = tempfile.mkdtemp()
    limits = {"from disk": "0"} | ({"in memory": "1000"} if gigabytes <= arguments.in_memory else {})
    try:
        spawned("--make", folder, str(n), "--store", arguments.store)
        print(f"{n} samples, {gigabytes:.2f} GB, {arguments.store}, budget {arguments.budget:.0f} MB", flush=True)
        runs = {}
        for data, limit in limits.items():
            words = ("--epochs", str(arguments.epochs), "--networks", arguments.networks)
            runs[data] = run = spawned("--work", folder, limit, *words)
            speeds = f"{run['speed']:7.0f} samples/s, {run['cpu_speed']:7.0f} samples/CPU s"
            memory = f"peak {run['memory']:6.0f} MB above {run['before']:.0f}"
            print(f"{data}: {memory}, {speeds}, weights {run['weights']}", flush=True)
    finally:
        shutil.rmtree(folder)
    disk, memory = runs["from disk"], runs.get("in memory", runs["from disk"])
    within, same = disk["memory"] <= arguments.budget, disk["weights"] == memory["weights"]
    for data, run in runs.items():
        table.add(gigabytes, arguments.store, data, run["memory"], run["speed"], run["cpu_speed"], str(same))
    share = 1000 * gigabytes / disk["memory"]
    print(f"data are {share:.1f} times the peak from disk, {'within' if within else 'OVER'} the budget")
    if len(runs) > 1:
        ratios = (disk[speed] / memory[speed] for speed in ("speed", "cpu_speed"))
        print("throughput relative to in memory: {:.2f} by wall time, {:.2f} by CPU time;".format(*ratios), end=" ")
        print(f"weights {'the same' if same else 'DIFFER'}")
    return 0 if within and same else 1


if __name__ == "__main__":
    main()
