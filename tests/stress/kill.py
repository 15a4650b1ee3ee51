"""Stress test of resumed training: a run killed at a random moment must end with the weights of an unkilled run.

    python -m tests.stress.kill               # 20 runs, about a minute
    python -m tests.stress.kill --runs 3

Each run fits a small DeepJIVE in its own process, with a checkpoint at the end of every epoch. SIGKILL ends the process
at a moment drawn uniformly from the time that an unkilled run takes, so kills hit steps, validation and the writing of
checkpoints. Another process then resumes the training; in every third run it is killed too, and a last process ends the
training. The test counts the runs whose weights, scores and history equal those of the unkilled run bit by bit, and the
runs that resumed from a checkpoint rather than from the start.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import shutil
import tempfile
import time
import warnings
from pathlib import Path

from deepjive import DeepJIVE
from deepjive.datasets import make_synthetic
from deepjive.deep.training import checkpoint

EPOCHS = 8
ENOUGH_KILLS = 5
TOO_LATE = "too late"


def fit(folder: Path, result: Path) -> None:
    """Fit with a checkpoint in `folder`, and write a digest of weights, scores and history to `result`."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    checkpoint.SECONDS = 0.0
    data = make_synthetic(300, (60, 40), noise=0.5, random_state=0).data
    ranks = {"joint_rank": 2, "individual_ranks": 2}
    settings = {"identity": "explicit", "networks": "dense", "dropout": 0.1, "max_epochs": EPOCHS, "random_state": 0}
    model = DeepJIVE(**ranks, **settings)  # dense networks are trained, while automatic ones may stay linear
    model.fit(data, resume=folder)
    digest = hashlib.sha256(model.transform(data).tobytes())
    for tensor in model.network_.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    digest.update(str({key: column for key, column in model.history_.items() if key != "seconds"}).encode())
    result.write_text(digest.hexdigest())


def run(folder: Path, result: Path, seconds: float | None = None) -> bool:
    """Fit in another process, which is killed after `seconds`; returns whether the fit was completed."""
    process = multiprocessing.get_context("fork").Process(target=fit, args=(folder, result))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode == 0


def unkilled(folder: Path, result: Path) -> float:
    """Seconds that a fit takes."""
    shutil.rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    run(folder, result)
    return time.perf_counter() - started


def killed_run(folder: Path, result: Path, moments: list[float]) -> tuple[list[str], bool]:
    """Kill a training at each moment, then complete it; returns the kills in words, and if it resumed a checkpoint."""
    shutil.rmtree(folder)
    result.unlink()
    kills = [f"{moment:.2f} s" if not run(folder, result, moment) else TOO_LATE for moment in moments]
    has_checkpoint = (folder / checkpoint.FILE).exists()
    result.unlink(missing_ok=True)
    run(folder, result)
    return kills, has_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    arguments = parser.parse_args()
    rng, n_identical, n_resumed, n_kills = random.Random(arguments.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder, result = Path(name) / "checkpoint", Path(name) / "digest"
        seconds = min(unkilled(folder, result) for _ in range(3))  # the first one imports more, or waits for others
        expected = result.read_text()
        print(f"unkilled: {seconds:.1f} s, {expected[:12]}", flush=True)
        for number in range(1, arguments.runs + 1):
            moments = [rng.uniform(0.0, seconds) for _ in range(2 if number % 3 == 0 else 1)]
            kills, has_checkpoint = killed_run(folder, result, moments)
            is_same = result.is_file() and result.read_text() == expected
            n_kills += len(kills) - kills.count(TOO_LATE)
            n_identical, n_resumed = n_identical + is_same, n_resumed + has_checkpoint
            print(f"{number:3}  killed after {', '.join(kills)}: {'same' if is_same else 'DIFFERENT'}", flush=True)
    print(f"{n_kills} kills in {arguments.runs} runs, {n_resumed} resumed from a checkpoint, {n_identical} identical")
    if n_kills >= ENOUGH_KILLS and not n_resumed:
        print("No run resumed from a checkpoint, so that nothing was tested.")
        raise SystemExit(1)
    raise SystemExit(n_identical < arguments.runs)


if __name__ == "__main__":
    main()
