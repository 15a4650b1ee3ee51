"""How time and memory of AJIVE and of DeepJIVE grow with samples n, features d and modalities K.

    python benchmarks/growth.py --json docs/results --figure docs/images/growth.png
    python benchmarks/growth.py --largest-n 10000 --largest-d 100000  # smaller, for a machine with little time

One size is varied at a time. All data are files on disk, in single precision. DeepJIVE has ranks given and two epochs a
phase, so that its time is that of the start and of so many passes over the data; the number of epochs that data need
does not depend on their size in a simple way. Networks are dense for n and K, and linear for d, where memory_limit=0
makes DeepJIVE read every batch from disk. Dense networks of a million features would have a billion weights. AJIVE has
signal ranks given and 100 + 100 draws of its bounds.

Every fit is a new process with one thread. Memory is the peak of resident memory above that before the fit, without the
pages of mapped files where the system counts them (Linux). A slope is the power with which a measure grows, by least
squares of the logarithms over the larger half of the sizes: 1 is linear. Constant costs make it smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from result_tables import ResultTable, add_json_option, write_tables

METHODS = ("AJIVE", "DeepJIVE")
RANK, BATCH, PIECE = 2, 256, 20_000
EVERY = 0.02  # seconds between two looks at the memory


def sweeps(largest_n: int, largest_d: int, largest_k: int) -> dict[str, list[tuple[int, int, int]]]:
    """Return the sizes (n, d, K) of each sweep, up to the largest ones."""
    ns = [n for n in (1000, 3000, 10_000, 30_000, 100_000) if n <= largest_n]
    ds = [d for d in (1000, 10_000, 100_000, 300_000, 1_000_000) if d <= largest_d]
    ks = [k for k in (2, 3, 4, 6, 8) if k <= largest_k]
    return {
        "samples n": [(n, 100, 2) for n in ns],
        "features d of each modality": [(200, d, 2) for d in ds],
        "modalities K": [(1000, 100, k) for k in ks],
    }


def write_modalities(folder: Path, n: int, d: int, k: int) -> None:
    """Write modalities that share two scores, and have two scores of their own, in pieces."""
    rng = np.random.default_rng(0)
    joint = rng.standard_normal((n, RANK), dtype=np.float32)
    for number in range(k):
        scores = np.hstack([joint, rng.standard_normal((n, RANK), dtype=np.float32)])
        array = np.lib.format.open_memmap(folder / f"m{number}.npy", mode="w+", dtype=np.float32, shape=(n, d))
        for start in range(0, d, PIECE):
            loadings = rng.standard_normal((2 * RANK, min(PIECE, d - start)), dtype=np.float32)
            for first in range(0, n, PIECE):
                signal = scores[first : first + PIECE] @ loadings
                noise = rng.standard_normal(signal.shape, dtype=np.float32)
                array[first : first + PIECE, start : start + PIECE] = signal + 2 * noise
        array.flush()


def resident() -> float:
    """Return the resident memory of this process in MiB, without pages of files where the system counts them."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        import resource

        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest / (2**20 if sys.platform == "darwin" else 2**10)
    sizes = dict(line.split(":", 1) for line in lines)
    return float(sizes["RssAnon"].split()[0]) / 2**10


class Peak(threading.Thread):
    """The largest resident memory while a block runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over, self.largest = threading.Event(), 0.0

    def run(self) -> None:
        while not self.over.wait(EVERY):
            self.largest = max(self.largest, resident())

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.join()


def work(method: str, folder: Path, networks: str) -> None:
    """Fit one model in this process, and print CPU seconds and peak memory as JSON."""
    from deepjive import AJIVE, Modalities

    warnings.simplefilter("ignore")
    data = Modalities({path.stem: path for path in sorted(folder.iterdir())})
    model: Any
    if method == "AJIVE":
        model = AJIVE(signal_ranks=2 * RANK, n_wedin=100, n_random=100, random_state=0)
    else:
        import lightning_fabric  # noqa: F401 - imports do not belong to the time of a fit

        from deepjive import DeepJIVE, Runtime

        limit = 0.0 if networks == "linear" else 4.0
        model = DeepJIVE(
            joint_rank=RANK,
            individual_ranks=RANK,
            networks=networks,  # type: ignore[arg-type]
            batch_size=min(BATCH, len(data) // 4),
            max_epochs=2,
            runtime=Runtime(memory_limit=limit),
            random_state=0,
        )
    before, start = resident(), time.process_time()
    with Peak() as peak:
        model.fit(data)
    print(json.dumps({"seconds": time.process_time() - start, "memory": max(0.0, peak.largest - before)}))


def measured(method: str, folder: Path, networks: str) -> dict[str, float]:
    """Fit one model in a new process, and return CPU seconds and memory in MiB."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--work", method, str(folder), networks]
    process = subprocess.run(command, env=os.environ | limits, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(process.stderr[-2000:])
    measures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return measures


def slope(sizes: list[int], values: list[float]) -> float:
    """Return the power with which values grow, over the larger half of the sizes and at least two of them."""
    first = min(len(sizes) // 2, len(sizes) - 2)
    x, y = np.log(sizes[first:]), np.log(np.maximum(values[first:], 1e-3))
    return float(np.polyfit(x, y, 1)[0])


def run_sweep(title: str, sizes: list[tuple[int, int, int]], table: ResultTable) -> dict[str, list[dict[str, float]]]:
    """Measure both methods at all sizes, and add a row for each size."""
    rows: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
    for n, d, k in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_modalities(Path(folder), n, d, k)
            for method in METHODS:
                rows[method].append(
                    measured(method, Path(folder), "linear" if title.startswith("features") else "dense")
                )
        cells = [value for method in METHODS for value in rows[method][-1].values()]
        print(f"  n {n:6d}, d {d:7d}, K {k}: " + ", ".join(f"{value:.2f}" for value in cells), flush=True)
        table.add(title, n, d, k, *cells)
    return rows


def draw(figure: str, sweeps_of: dict[str, Any], results: dict[str, Any], slopes: dict[Any, float]) -> None:
    """Draw time and memory against every size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    canvas, axes = plt.subplots(2, len(sweeps_of), figsize=(12, 6.5), sharex="col", layout="constrained")
    for column, (title, sizes) in enumerate(sweeps_of.items()):
        varied = varied_sizes(sizes)
        for row, measure in enumerate(("seconds", "memory")):
            for method, marker in zip(METHODS, "os", strict=True):
                values = [max(one[measure], 1e-2) for one in results[title][method]]
                label = f"{method}, slope {slopes[title, method, measure]:.2f}"
                axes[row, column].loglog(varied, values, f"{marker}-", label=label)
            axes[row, column].legend()
        axes[1, column].set_xlabel(title)
        if max(varied) < 100:
            axes[1, column].set_xticks(varied, [str(size) for size in varied])
            axes[1, column].minorticks_off()
    axes[0, 0].set_ylabel("CPU seconds of a fit")
    axes[1, 0].set_ylabel("peak memory of a fit, MiB")
    canvas.savefig(figure, dpi=120)


def varied_sizes(sizes: list[tuple[int, int, int]]) -> list[int]:
    """Return the one of n, d and K that differs."""
    axis = max(range(3), key=lambda i: len({size[i] for size in sizes}))
    return [size[axis] for size in sizes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest-n", type=int, default=100_000)
    parser.add_argument("--largest-d", type=int, default=1_000_000)
    parser.add_argument("--largest-k", type=int, default=8)
    parser.add_argument("--figure", metavar="PATH", help="draw the measures")
    parser.add_argument("--work", nargs=3, metavar=("METHOD", "FOLDER", "NETWORKS"), help=argparse.SUPPRESS)
    add_json_option(parser)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work[0], Path(arguments.work[1]), arguments.work[2])
        return
    columns = ("varied", "n", "d", "K", "AJIVE, CPU s", "AJIVE, MiB", "DeepJIVE, CPU s", "DeepJIVE, MiB")
    table = ResultTable("growth", "Time and memory by size of the data, one thread", columns)
    summary = ResultTable(
        "growth-slopes", "Growth: time and memory as powers of the size", ("varied", "method", "time", "memory")
    )
    chosen = sweeps(arguments.largest_n, arguments.largest_d, arguments.largest_k)
    results: dict[str, Any] = {}
    slopes: dict[Any, float] = {}
    for title, sizes in chosen.items():
        print(f"{title}: CPU seconds and MiB of AJIVE, of DeepJIVE", flush=True)
        results[title] = run_sweep(title, sizes, table)
        for method in METHODS:
            for measure in ("seconds", "memory"):
                values = [one[measure] for one in results[title][method]]
                slopes[title, method, measure] = slope(varied_sizes(sizes), values)
            powers = [slopes[title, method, measure] for measure in ("seconds", "memory")]
            print("  {}: time grows with the power {:.2f}, memory with {:.2f}".format(method, *powers), flush=True)
            summary.add(title, method, *powers)
    if arguments.figure:
        draw(arguments.figure, chosen, results, slopes)
    write_tables(arguments.json, [table, summary], sources=["deepjive.linear", "deepjive.deep"], seeds=[0])


if __name__ == "__main__":
    main()
