"""Writes small models and runs of this version to the folder of the version, for tests of later versions.

    python -m tests.compatibility.make            # once, when a version is released

Later versions must read the folder and compute the same scores. The folder of a released version is never changed.
Until a version is released, its folder may be written anew when the format changes.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

import deepjive as dj
from deepjive.cli.main import app
from deepjive.data.modalities import Modalities
from deepjive.persistence import CONFIG, _digest

HERE = Path(__file__).parent
N = 24
SMALL: dict[str, Any] = {"joint_rank": 1, "individual_ranks": 1, "random_state": 0}
DEEP: dict[str, Any] = {**SMALL, "max_epochs": 1, "networks": "linear"}
MODELS: dict[str, Any] = {
    "AJIVE": dj.AJIVE(signal_ranks=2, **SMALL, n_wedin=5, n_random=5),
    "AJIVE-missing-values": dj.AJIVE(signal_ranks=2, **SMALL, n_wedin=5, n_random=5, missing="impute"),
    "AJIVE-confounds": dj.AJIVE(signal_ranks=2, **SMALL, n_wedin=5, n_random=5),
    "HeteroJIVE": dj.HeteroJIVE(signal_ranks=2, **SMALL, n_wedin=5, n_random=5),
    "JIVE": dj.JIVE(**SMALL, tol=1e-3),
    "DeepJIVE-exchange": dj.DeepJIVE(**{**DEEP, "networks": "dense"}),
    "DeepJIVE-explicit": dj.DeepJIVE(**DEEP, identity="explicit", orthogonality="regression", objective="published"),
    "DeepJIVE-merged": dj.DeepJIVE(**DEEP, identity="merged", orthogonality="adversary"),
    "DeepJIVE-images": dj.DeepJIVE(**{**DEEP, "networks": {"a": "linear", "b": "conv"}}),
    "DeepJIVE-runtime": dj.DeepJIVE(**DEEP, runtime=dj.Runtime(precision="32-true")),
    "SeparateAutoencoders": dj.SeparateAutoencoders(ranks=1, networks="linear", max_epochs=1, random_state=0),
}


def data(kind: str) -> Modalities:
    """Return the samples that a model is fitted to; they do not depend on the version."""
    rng = np.random.default_rng(7)
    shared = rng.normal(size=(N, 1))
    arrays = {}
    for name, width in (("a", 6), ("b", 5)):
        scores = np.hstack([shared, rng.normal(size=(N, 1))])
        arrays[name] = scores @ rng.normal(size=(2, width)) + 0.2 * rng.normal(size=(N, width))
    if kind == "AJIVE-missing-values":
        arrays["a"][3, 2] = np.nan
    if kind == "DeepJIVE-images":
        arrays["b"] = np.repeat(np.repeat(arrays["b"][:, :4].reshape(N, 2, 2), 2, axis=1), 2, axis=2)
    samples = [f"s{i}" for i in range(N)]
    confounds = {"age": rng.normal(size=N)} if kind == "AJIVE-confounds" else None
    features = {"a": [f"gene {i}" for i in range(6)]}
    return Modalities(arrays, samples=samples, features=features, confounds=confounds)


def scores_of(model: Any, samples: Modalities) -> dict[str, np.ndarray]:
    """Return what a later version must compute again: scores, and parts of three samples."""
    parts = model.decompose(samples)
    found = {"joint_scores": parts.joint_scores}
    for name in samples.names:
        found |= {f"individual_scores_{name}": parts.individual_scores[name], f"joint_{name}": parts.joint[name][:3]}
    return found


def write_tables(folder: Path) -> list[str]:
    """Write the modalities of a run as CSV files; returns the words of a command."""
    words = []
    samples = data("run")
    for name in samples.names:
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["sample", *(f"{name}{i}" for i in range(samples[name].shape[1]))])
            writer.writerows(
                [s, *map(repr, row.tolist())] for s, row in zip(samples.samples, samples[name], strict=True)
            )
        words += ["-m", f"{name}={folder / name}.csv"]
    return words


def main() -> None:
    """Write the folder of this version."""
    folder = HERE / dj.__version__
    shutil.rmtree(folder, ignore_errors=True)
    warnings.simplefilter("ignore")
    for kind, model in MODELS.items():
        samples = data(kind)
        model.fit(samples).save(folder / kind)
        np.savez_compressed(folder / kind / "expected.npz", **scores_of(model, samples))
    run = folder / "run"
    words = ["fit", *write_tables(folder), "--method", "ajive", "--joint-rank", "1", "--individual-rank", "1"]
    result = CliRunner().invoke(app, [*words, "--seed", "0", "--quiet", "--out", str(run)])
    if result.exit_code:
        sys.exit(result.output)
    for page in ("report.html", "model_card.md"):  # large, or with paths of the machine; nothing reads them again
        (run / page).unlink()
    config = json.loads((run / CONFIG).read_text().replace(f"{folder}/", ""))
    (run / CONFIG).write_text(json.dumps({**config, "config_sha256": _digest(config)}, indent=1))
    for table in folder.glob("*.csv"):
        table.unlink()


if __name__ == "__main__":
    main()
