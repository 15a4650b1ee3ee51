"""Training killed at random moments, and gone on with: the weights must be those of a training never killed.

    python benchmarks/kill.py               # 20 runs, about a minute
    python benchmarks/kill.py --runs 3

Each run fits a small DeepJIVE in a process of its own, with a checkpoint at the end of every epoch, and is ended by
SIGKILL at a moment drawn uniformly from the time that an unkilled run takes (so that kills fall on steps, on
validation and on the writing of checkpoints alike); then another process goes on with it, and is killed in one of
three runs too, before a last one ends it. Counted are runs whose weights, scores and history are those of the unkilled
run, bit by bit, and those of them that went on from a checkpoint rather than from the start.
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
from deepjive.datasets.synthetic import make_synthetic
from deepjive.deep.training import checkpoint

EPOCHS = 8


def fit(folder: Path, result: Path) -> None:
    """Fit with a checkpoint in `folder`; writes a digest of all that was learned."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    checkpoint.SECONDS = 0.0
    data = make_synthetic(300, (60, 40), noise=0.5, random_state=0).data
    model = DeepJIVE(
        joint_rank=2, individual_ranks=2, identity="explicit", dropout=0.1, max_epochs=EPOCHS, random_state=0
    )
    model.fit(data, resume=folder)
    digest = hashlib.sha256(model.transform(data).tobytes())
    for tensor in model.network_.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    digest.update(str({key: column for key, column in model.history_.items() if key != "seconds"}).encode())
    result.write_text(digest.hexdigest())


def run(folder: Path, result: Path, seconds: float | None = None) -> bool:
    """Fit in a process of its own, killed after some seconds; gives whether it came to its end."""
    process = multiprocessing.get_context("fork").Process(target=fit, args=(folder, result))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    moments, identical, gone_on, kills = random.Random(arguments.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder, result = Path(name) / "checkpoint", Path(name) / "digest"
        started = time.perf_counter()
        run(folder, result)
        whole, expected = time.perf_counter() - started, result.read_text()
        print(f"unkilled: {whole:.1f} s, {expected[:12]}", flush=True)
        for number in range(1, arguments.runs + 1):
            shutil.rmtree(folder)
            result.unlink()
            killed = []
            for _ in range(2 if number % 3 == 0 else 1):
                moment = moments.uniform(0.0, whole)
                killed.append(f"{moment:.2f} s" if not run(folder, result, moment) else "too late")
            kills += len(killed) - killed.count("too late")
            kept = (folder / checkpoint.FILE).exists()
            result.unlink(missing_ok=True)
            same = run(folder, result) and result.read_text() == expected
            identical, gone_on = identical + same, gone_on + kept
            print(f"{number:3}  killed after {', '.join(killed)}: {'same' if same else 'DIFFERENT'}", flush=True)
    print(f"{kills} kills in {arguments.runs} runs, {gone_on} gone on from a checkpoint, {identical} identical")


if __name__ == "__main__":
    main()
