"""Speed and memory of AJIVE: beside mvlearn and the least necessary arithmetic, and by size of the data.

    python benchmarks/linear.py                        # n = 500, d = (2000, 20000), ranks 10, 1000 + 1000 draws
    python benchmarks/linear.py --scaling docs/images/linear_scaling.png  # time and memory against d, n and K

The floor is the arithmetic that every algorithm of this kind needs: the Gram matrix of each modality, its symmetric
eigendecomposition, and the products that give joint and individual loadings. mvlearn 0.5.0 is installed in its own
environment, without pinned dependencies that no longer build. Where the installation fails, only deepjive and the floor
are shown. All runs use one thread. Fits and floors alternate, and the least CPU time of each counts, because other
programs on the machine can only add to the time. The load of the machine is printed.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import json
import statistics
import subprocess
import tempfile
import time
import tracemalloc
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import linalg

from deepjive import AJIVE
from result_tables import ResultTable, add_json_option, write_tables

PEER = Path(__file__).with_name("mvlearn_ajive.py")
N, WIDTHS, RANK, DRAWS = 500, (2000, 20_000), 10, 1000
SHORT = 20.0


def simulated(n: int, widths: tuple[int, ...], joint: int = 4, rank: int = RANK, noise: float = 3.0) -> dict:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, joint))
    data = {}
    for k, width in enumerate(widths):
        scores = np.hstack([z, rng.normal(size=(n, rank - joint))])
        data[f"m{k}"] = scores @ rng.normal(size=(rank, width)) + noise * rng.normal(size=(n, width))
    return data


def floor(data: dict, joint: int, individual: int) -> None:
    """Run the least arithmetic of a fit: Gram matrices, eigendecompositions and loadings."""
    for x in data.values():
        _, vectors = linalg.eigh(x @ x.T, driver="evd")
        for rank in (joint, individual):
            vectors[:, -rank:].T @ x


def seconds(run: Callable[[], object]) -> float:
    """Return CPU seconds, which depend less on other programs than wall time does."""
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(repeats: int, peer_python: str | None) -> ResultTable:
    columns = ("program", "CPU seconds", "joint rank", "individual ranks", "Wedin cutoff", "random cutoff")
    table = ResultTable("comparison-linear", "One fit of AJIVE, one thread", columns)
    data = simulated(N, WIDTHS)
    centred = {name: x - x.mean(axis=0) for name, x in data.items()}

    def fit() -> AJIVE:
        return AJIVE(signal_ranks=RANK, n_wedin=DRAWS, n_random=DRAWS, random_state=0).fit(data)

    model = fit()
    individual = max(model.individual_ranks_.values())
    pairs = [(seconds(fit), seconds(lambda: floor(centred, model.joint_rank_, individual))) for _ in range(repeats)]
    fit_seconds, floor_seconds = (min(column) for column in zip(*pairs, strict=True))
    median_ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"n = {N}, d = {WIDTHS}, ranks {RANK}, {DRAWS} + {DRAWS} draws, one thread, least of {repeats} alternating runs"
    )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPU cores")
    print(f"{'floor':>10}: {floor_seconds:8.3f} CPU s")
    table.add("floor", floor_seconds, None, None, None, None)
    joint = [round(fractions["joint"], 4) for fractions in model.variance_explained_.values()]
    cutoffs = f"cutoffs {model.wedin_cutoff_:.4f} / {model.random_cutoff_:.4f}"
    ranks = f"joint rank {model.joint_rank_}, individual {list(model.individual_ranks_.values())}"
    print(
        f"{'deepjive':>10}: {fit_seconds:8.3f} CPU s, {fit_seconds / floor_seconds:.2f} times the floor "
        f"(median of the runs {median_ratio:.2f}); "
        f"{ranks}, {cutoffs}, joint variance {joint}"
    )
    rank_cells = model.joint_rank_, str(list(model.individual_ranks_.values()))
    table.add("deepjive", fit_seconds, *rank_cells, model.wedin_cutoff_, model.random_cutoff_)
    peer = run_peer(data, peer_python)
    if peer is not None:
        joint = [round(value, 4) for value in peer["joint_variance"]]
        cutoffs = f"cutoffs {peer['wedin_cutoff']:.4f} / {peer['random_cutoff']:.4f}"
        ranks = f"joint rank {peer['joint_rank']}, individual {peer['individual_ranks']}"
        times = f"{peer['cpu_s']:8.3f} CPU s, {peer['cpu_s'] / fit_seconds:.0f} times deepjive"
        print(f"{'mvlearn':>10}: {times}; {ranks}, {cutoffs}, joint variance {joint}")
        rank_cells = peer["joint_rank"], str(peer["individual_ranks"])
        table.add("mvlearn", peer["cpu_s"], *rank_cells, peer["wedin_cutoff"], peer["random_cutoff"])
    return table


def run_peer(data: dict, python: str | None) -> dict | None:
    """Return the result of mvlearn; print the reason and return None if mvlearn cannot run."""
    with tempfile.TemporaryDirectory() as folder:
        python = python or install_mvlearn(Path(folder) / "environment")
        if python is None:
            return None
        path = Path(folder) / "data.npz"
        np.savez(path, **data)
        process = subprocess.run(
            [python, "-W", "ignore", str(PEER), str(path), str(RANK), str(DRAWS)], capture_output=True, text=True
        )
    if process.returncode:
        print(f"{'mvlearn':>10}: did not run: {process.stderr.strip().splitlines()[-1]}")
        return None
    return json.loads(process.stdout.strip().splitlines()[-1])


def install_mvlearn(folder: Path) -> str | None:
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    # mvlearn 0.5.0 pins matplotlib <= 3.3.4, which no longer builds; it runs with a current one
    steps = (["--no-deps", "mvlearn==0.5.0"], ["numpy<2", "scipy", "scikit-learn", "joblib", "matplotlib", "seaborn"])
    for step in steps:
        process = subprocess.run([python, "-m", "pip", "install", "-q", *step], capture_output=True, text=True)
        if process.returncode:
            print(f"{'mvlearn':>10}: could not be installed: {process.stderr.strip().splitlines()[-1]}")
            return None
    return python


def measure(data: dict, rank: int = 5, draws: int = 200) -> tuple[float, float, float]:
    """Return CPU seconds of a fit, MiB of working memory beyond the learned arrays, and MiB of the learned arrays."""

    def fit() -> AJIVE:
        return AJIVE(signal_ranks=rank, n_wedin=draws, n_random=draws, random_state=0).fit(data)

    tracemalloc.start()
    before, start = tracemalloc.get_traced_memory()[0], time.process_time()
    model = fit()
    elapsed = time.process_time() - start
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del model
    if elapsed < SHORT:
        elapsed = min(seconds(fit) for _ in range(2))
    return elapsed, (peak - after) / 2**20, (after - before) / 2**20


def on_disk(folder: str, n: int, d: int, modalities: int = 2) -> dict:
    """Write modalities in float32 to disk, in blocks of features, and return them as mapped arrays."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(n, 5)).astype(np.float32)
    data = {}
    for k in range(modalities):
        array = np.lib.format.open_memmap(f"{folder}/m{k}.npy", mode="w+", dtype=np.float32, shape=(n, d))
        for start in range(0, d, 20_000):
            width = min(20_000, d - start)
            noise = rng.standard_normal((n, width), dtype=np.float32)
            array[:, start : start + width] = scores @ rng.standard_normal((5, width), dtype=np.float32) + noise
        array.flush()
        data[f"m{k}"] = np.load(f"{folder}/m{k}.npy", mmap_mode="r")
    return data


SWEEPS = {
    "features d of each modality": (1, [(100, d, 2) for d in (1000, 10_000, 100_000, 300_000, 1_000_000)]),
    "samples n": (0, [(n, 10_000, 2) for n in (100, 500, 1000, 2000, 5000)]),
    "modalities K": (2, [(200, 10_000, k) for k in (2, 4, 6, 8)]),
}


def scaling(figure: str) -> ResultTable:
    """Vary one size at a time, with all data on disk, and plot time and memory."""
    columns = ("n", "d", "K", "CPU seconds", "working memory, MiB", "learned, MiB")
    table = ResultTable("linear-time", "Time and memory of AJIVE", columns)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    canvas, axes = plt.subplots(2, len(SWEEPS), figsize=(12, 6), sharex="col", layout="constrained")
    for column, (title, (axis, sizes)) in enumerate(SWEEPS.items()):
        print(title)
        rows = []
        for n, d, k in sizes:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure(on_disk(folder, n, d, k)))
            values = "{:8.3f} CPU s, working memory {:7.1f} MiB, learned {:6.1f} MiB".format(*rows[-1])
            print(f"  n {n:5d}, d {d:8d}, K {k}: {values}", flush=True)
            table.add(n, d, k, *rows[-1])
        x, (elapsed, working, learned) = [size[axis] for size in sizes], zip(*rows, strict=True)
        slope = np.log(elapsed[-1] / elapsed[-2]) / np.log(x[-1] / x[-2])
        print(f"  time grows with the power {slope:.2f} between the two largest", flush=True)
        axes[0, column].loglog(x, elapsed, "o-", label="measured")
        axes[0, column].loglog(x, elapsed[-1] * np.array(x) / x[-1], "k:", label="linear")
        axes[1, column].loglog(x, working, "o-", label="working memory")
        axes[1, column].loglog(x, learned, "s--", label="learned (loadings)")
        axes[1, column].set_xlabel(title)
    axes[0, 0].set_ylabel("CPU seconds of a fit")
    axes[1, 0].set_ylabel("MiB")
    for row in axes:
        row[0].legend()
    canvas.savefig(figure, dpi=120)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="number of fits")
    parser.add_argument("--peer-python", help="a Python with mvlearn, instead of a new installation")
    parser.add_argument("--scaling", metavar="FIGURE", help="measure time and memory against d, n and K instead")
    add_json_option(parser)
    arguments = parser.parse_args()
    table = scaling(arguments.scaling) if arguments.scaling else compare(arguments.repeats, arguments.peer_python)
    write_tables(arguments.json, [table], sources=["deepjive.linear"], seeds=[0])


if __name__ == "__main__":
    main()
