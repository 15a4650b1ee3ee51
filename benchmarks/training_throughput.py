"""Throughput of `DeepJIVE.fit` beside a bare PyTorch loop with the same networks and losses.

    python benchmarks/training_throughput.py             # 10,000 samples of 784 + 784 features, a few minutes
    python benchmarks/training_throughput.py --epochs 10 --repeats 3

The model has dense networks, joint and individual ranks of 10, the explicit identity, closed-form orthogonality and
batches of 256, and every phase runs the same few epochs. The bare loop keeps scaled training data as tensors and
shuffles them with `torch.randperm`. Each of its steps does only what training needs: the loss with what it renews,
gradients, clipping, and AdamW. The bare loop has no validation, no history, no best weights, no check of the data and
no Fabric, and its data are scaled before its clock starts. The clock of `fit` runs from the call to its return, so its
time includes all of these.

Samples are training samples in whole batches, times the number of epochs, summed over the phases. `fit` may end a phase
early, and its linear start counts as time without samples. Each run is a new process, so that peaks of memory are
separate, and starts with a small fit as a warm-up. Runs alternate. The table shows medians; the ratio is the median
over pairs of neighbouring runs, with the lowest and the highest. Small samples are fitted in one thread whatever
--threads says (see `deepjive.deep.runtime.threads`). The bare loop uses --threads, so several threads are comparable
only on a machine where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from result_tables import ResultTable, add_json_option, write_tables

N, WIDTH, RANK, BATCH = 10_000, 784, 10, 256
VARIANTS = ("fit", "bare")
Clock = dict[str, tuple[float, float]]
Epochs = dict[str, int]


@contextmanager
def timed(clock: Clock, key: str) -> Iterator[None]:
    """Store the CPU and wall seconds of the context under `key`."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    clock[key] = (time.process_time() - cpu, time.perf_counter() - wall)


def simulated(n: int):
    """Simulate two modalities that share scores, in small blocks that do not raise the peak of memory."""
    import numpy as np

    rng = np.random.default_rng(0)
    loadings = {name: rng.standard_normal((2 * RANK, WIDTH), dtype=np.float32) for name in ("first", "second")}
    data = {name: rng.standard_normal((n, WIDTH), dtype=np.float32) for name in loadings}
    joint = rng.standard_normal((n, RANK), dtype=np.float32)
    for name, x in data.items():
        scores = np.hstack([joint, rng.standard_normal((n, RANK), dtype=np.float32)])
        for start in range(0, n, BATCH):
            x[start : start + BATCH] += np.tanh(scores[start : start + BATCH] @ loadings[name])
    return data


def model(epochs: int):
    from deepjive import DeepJIVE

    return DeepJIVE(
        joint_rank=RANK,
        individual_ranks=RANK,
        identity="explicit",
        networks="dense",
        batch_size=BATCH,
        max_epochs=epochs,
        random_state=0,
    )


def fit(data, epochs: int, clock: Clock, epochs_of: Epochs) -> int:
    """Fit the model, time its phases and count their epochs; return the number of training samples."""
    from deepjive.deep.training import phases

    train, rows = phases.train, []

    def timed_train(phase, job, *more):
        rows.append(len(job.train_rows))
        with timed(clock, phase.name):
            state = train(phase, job, *more)
        epochs_of[phase.name] = state.epoch
        return state

    phases.train = timed_train
    try:
        with timed(clock, "all"):
            model(epochs).fit(data)
    finally:
        phases.train = train
    return rows[0]


def bare(data, epochs: int, clock: Clock, epochs_of: Epochs) -> int:
    """Run the same phases in plain PyTorch; return the number of training samples."""
    import torch

    from deepjive.data.modalities import Modalities
    from deepjive.deep.training.batches import Scaling
    from deepjive.deep.training.objective import phases_of

    modalities, settings = Modalities(data), model(epochs)
    scaling = Scaling.of(modalities)
    rows = slice(0, len(modalities) - round(len(modalities) * settings.validation_fraction))
    tensors = [torch.from_numpy(scaling.scaled(name, modalities.rows(name, rows))) for name in modalities.names]
    with timed(clock, "all"):
        settings._set_up(modalities.shapes, scaling, RANK, dict.fromkeys(modalities.names, RANK))
        weights = settings.identity_weight, settings.orthogonality_weight_
        for phase in phases_of(settings.objective, settings.network_, *weights):
            epochs_of[phase.name] = epochs
            with timed(clock, phase.name):
                bare_phase(phase, tensors, epochs, settings.learning_rate, settings.weight_decay)
    return len(tensors[0])


def bare_phase(phase, tensors, epochs: int, learning_rate: float, weight_decay: float) -> None:
    import torch

    phase.requires_grad_(False)
    parameters = [p for module in phase.trained() for p in module.requires_grad_(True).parameters()]
    optimizer = torch.optim.AdamW(parameters, learning_rate, weight_decay=weight_decay, fused=True)
    n, renewed_from = len(tensors[0]), [[([tensor[:512] for tensor in tensors], None)]] * 2
    for _ in range(epochs):
        order = torch.randperm(n)
        for step, start in enumerate(range(0, n - n % BATCH, BATCH)):
            rows = order[start : start + BATCH]
            if phase.renewed_every and step % phase.renewed_every == 0:
                phase.renew(*renewed_from)
            loss = phase([tensor[rows] for tensor in tensors])["total"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()


def work(variant: str, epochs: int, threads: int) -> None:
    """Run one variant in this process, and print its measures as JSON."""
    import torch

    run: Callable[..., int] = {"fit": fit, "bare": bare}[variant]
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    data, clock, epochs_of = simulated(N), {}, {}
    before = peak()
    run({name: x[: 4 * BATCH] for name, x in data.items()}, 1, {}, {})
    samples = run(data, epochs, clock, epochs_of)
    epochs_of["all"] = sum(epochs_of.values())
    samples -= samples % BATCH
    trained = {key: samples * count for key, count in epochs_of.items()}
    print(json.dumps({"samples": trained, "clock": clock, "peak": peak(), "before": before}))


def peak() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def spawned(variant: str, arguments: argparse.Namespace) -> dict:
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    command = [sys.executable, __file__, "--variant", variant]
    command += ["--epochs", str(arguments.epochs), "--threads", str(arguments.threads)]
    process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def compare(arguments: argparse.Namespace) -> ResultTable:
    columns = ("phase", "fit, samples/CPU s", "bare loop, samples/CPU s", "ratio")
    table = ResultTable("comparison-training-speed", "Training beside a bare PyTorch loop", columns)
    runs: dict[str, list[dict]] = {variant: [] for variant in VARIANTS}
    for repeat in range(arguments.repeats):
        for variant in VARIANTS if repeat % 2 == 0 else VARIANTS[::-1]:
            runs[variant].append(spawned(variant, arguments))
    sizes = f"n {N}, features {WIDTH} + {WIDTH}, ranks {RANK}, batch {BATCH}"
    print(f"{sizes}, {arguments.epochs} epochs a phase, {arguments.threads} thread(s), median of {arguments.repeats}")
    phases = [key for key in runs["bare"][0]["clock"] if key != "all"]
    print(f"{'samples per second':24}{'fit, CPU':>10}{'bare, CPU':>11}{'ratio':>8}{'fit, wall':>12}{'bare, wall':>12}")
    for key in (*phases, "all"):
        pairs = {variant: speeds(runs[variant], key) for variant in VARIANTS}
        print(line(key, pairs))
        cpu = {variant: [speed for speed, _ in pairs[variant]] for variant in VARIANTS}
        ratio = statistics.median(a / b for a, b in zip(cpu["fit"], cpu["bare"], strict=True))
        table.add(key, statistics.median(cpu["fit"]), statistics.median(cpu["bare"]), ratio)
    outside = [run["clock"]["all"][0] - sum(run["clock"][key][0] for key in phases) for run in runs["fit"]]
    print(f"of fit, outside the phases (checks, scaling, standard scores): {statistics.median(outside):.2f} CPU s")
    for variant in VARIANTS:
        largest, before = (statistics.median(run[key] for run in runs[variant]) for key in ("peak", "before"))
        print(f"peak memory, {variant}: {largest:.0f} MiB, of which {before:.0f} before training (PyTorch, data)")
    return table


def speeds(runs: list[dict], key: str) -> list[tuple[float, float]]:
    """Return the samples per CPU second and per wall second of every run."""
    return [tuple(run["samples"][key] / seconds for seconds in run["clock"][key]) for run in runs]


def line(key: str, speeds_of: dict[str, list[tuple[float, float]]]) -> str:
    """Return the row of a phase as text."""
    pairs = sorted(a[0] / b[0] for a, b in zip(speeds_of["fit"], speeds_of["bare"], strict=True))
    (cpu, wall), (bare_cpu, bare_wall) = (map(statistics.median, zip(*speeds_of[v], strict=True)) for v in VARIANTS)
    numbers = f"{cpu:10.0f}{bare_cpu:11.0f}{statistics.median(pairs):8.3f}{wall:12.0f}{bare_wall:12.0f}"
    return f"{key:24}{numbers}   ratio {pairs[0]:.3f} to {pairs[-1]:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="epochs of every phase")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each, alternating")
    parser.add_argument("--variant", choices=VARIANTS, help="run only this variant, and print JSON")
    add_json_option(parser)
    arguments = parser.parse_args()
    if arguments.variant:
        work(arguments.variant, arguments.epochs, arguments.threads)
    else:
        write_tables(arguments.json, [compare(arguments)], sources=["deepjive.deep"], seeds=[0])


if __name__ == "__main__":
    main()
