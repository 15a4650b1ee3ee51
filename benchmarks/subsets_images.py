"""Three views of digits: the digit is shared by one and two, the colour by two and three, the angle by one and three.

    python benchmarks/subsets_images.py                # 5 seeds
    python benchmarks/subsets_images.py --deep-seeds 1      # 5 seeds of the linear models, and one of DeepJIVE

The images are made from MNIST (`deepjive.experiments.digits.data.triples`). Nothing is shared by all. Each method is
fitted to training triples with its default settings and chosen ranks. With named subsets, DeepJIVE is given the three
pairs, and their ranks: 9 for ten digits, 2 for the circle of hues, 1 for the angle. Each factor is then predicted from
scores of test triples: the digit by a logistic regression, hue (its cosine and sine) and angle by ridge regressions.
These are fitted to the scores of training triples, with the penalty of least error in validation triples. The scores
of the subset that shares the factor should predict it. The scores of the other subsets and the individual scores of
the two modalities that share it, side by side, should not. Pixels of these two modalities are the baseline.

With ``--cells FILE`` each fit is kept in a file, and a later call continues an interrupted one.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepjive import AJIVE, DeepJIVE
from deepjive.experiments.digits.data.mnist import load_digit_images
from deepjive.experiments.digits.data.triples import SHARED, Triples, triples
from deepjive.experiments.results import mean_and_sd
from deepjive.persistence import write_atomically
from deepjive.subsets import word_of
from result_tables import ResultTable, add_json_option, write_tables

SIZES = {"train": 800, "validation": 400, "test": 800}
RANKS = {("one", "two"): 9, ("one", "three"): 1, ("two", "three"): 2}
LOGISTIC, RIDGE = (0.01, 0.1, 1.0), (1.0, 10.0, 100.0, 1000.0)
OF_MEMBERS, PIXELS = "individual, of the two modalities", "pixels of the two modalities"
Splits = dict[str, Triples]


def splits(seed: int) -> Splits:
    """Return training, validation and test triples, of different images."""
    images = load_digit_images()
    seeds = np.random.SeedSequence(seed).generate_state(3)
    return {
        name: triples(getattr(images, name), n, random_state=int(state))
        for (name, n), state in zip(SIZES.items(), seeds, strict=True)
    }


def models(seed: int) -> dict[str, Any]:
    draws: dict[str, Any] = {"n_wedin": 100, "n_random": 100, "random_state": seed}
    return {
        "AJIVE": AJIVE(**draws),
        "AJIVE with subsets": AJIVE(subsets="auto", **draws),
        "DeepJIVE with subsets": DeepJIVE(subsets="auto", random_state=seed),
        "DeepJIVE with named subsets": DeepJIVE(subsets=RANKS, joint_rank=0, random_state=seed),
        "DeepJIVE": DeepJIVE(random_state=seed),
    }


def measured(model: Any, parts: Splits) -> dict[str, dict[str, float]]:
    """Return how well each factor is predicted from each set of scores, by the name of the set."""
    sets: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for split, made in parts.items():
        found = model.decompose(made.data)
        scores = {"joint": found.joint_scores}
        scores |= {word_of(subset): values for subset, values in found.subset_scores.items()}
        for factor, members in SHARED.items():
            own = np.concatenate([found.individual_scores[name] for name in members], axis=1)
            for name, values in {**scores, OF_MEMBERS: own}.items():
                sets.setdefault(name, {}).setdefault(factor, {})[split] = values
    return {
        name: {factor: predicted(x, factor, parts) for factor, x in by_factor.items()}
        for name, by_factor in sets.items()
        if any(x["train"].shape[1] for x in by_factor.values())
    }


def predicted(x: Mapping[str, np.ndarray], factor: str, parts: Splits) -> float:
    """Return the accuracy, or R2, of a factor of test triples; the penalty is chosen by validation triples."""
    if not x["train"].shape[1]:
        return float("nan")
    y = {split: made.factors[factor] for split, made in parts.items()}
    if factor == "digit":
        candidates: list[Any] = [LogisticRegression(C=c, max_iter=200) for c in LOGISTIC]
    else:
        candidates = [Ridge(alpha) for alpha in RIDGE]
    fitted = [make_pipeline(StandardScaler(), one).fit(x["train"], y["train"]) for one in candidates]

    def score(pipeline: Any, split: str) -> float:
        answers = pipeline.predict(x[split]).reshape(y[split].shape)
        return float(np.mean(answers == y[split]) if factor == "digit" else r2_score(y[split], answers))

    return score(max(fitted, key=lambda pipeline: score(pipeline, "validation")), "test")


def of_pixels(parts: Splits) -> dict[str, dict[str, float]]:
    """Return how well each factor is predicted from the pixels of the two modalities that share it."""
    found = {}
    for factor, members in SHARED.items():
        x = {
            split: np.concatenate([np.asarray(made.data[name]).reshape(len(made.data), -1) for name in members], axis=1)
            for split, made in parts.items()
        }
        found[factor] = predicted(x, factor, parts)
    return {PIXELS: found}


def cells(seeds: range, deep_seeds: int, path: Path | None, only: str | None) -> list[dict[str, Any]]:
    """Fit and measure all methods, seed by seed; what the file already has is not fitted again."""
    done: list[dict[str, Any]] = json.loads(path.read_text()) if path is not None and path.is_file() else []
    for seed in seeds:
        parts = splits(seed)
        known = {cell["method"] for cell in done if cell["seed"] == seed}
        for method, model in {PIXELS: None, **models(seed)}.items():
            too_many = method.startswith("DeepJIVE") and seed >= deep_seeds
            if method in known or too_many or (only is not None and method != only):
                continue
            started = time.process_time()
            if model is None:
                cell: dict[str, Any] = {"measures": of_pixels(parts), "ranks": None, "individual": None}
            else:
                model.fit(parts["train"].data)
                ranks = {word_of(key): int(rank) for key, rank in getattr(model, "subset_ranks_", {}).items()}
                individual = {name: int(rank) for name, rank in model.individual_ranks_.items()}
                ranks = ranks or {"joint": int(model.joint_rank_)}
                cell = {"measures": measured(model, parts), "ranks": ranks, "individual": individual}
            done.append({"seed": seed, "method": method, "seconds": time.process_time() - started, **cell})
            print(json.dumps(done[-1]), flush=True)
            if path is not None:
                write_atomically(path, json.dumps(done).encode())
    order = [PIXELS, *models(0)]
    done = [cell for cell in done if cell["seed"] in seeds]
    return sorted(done, key=lambda cell: (order.index(cell["method"]), cell["seed"]))


def tables_of(done: list[dict[str, Any]]) -> list[ResultTable]:
    """Return the tables of predictions and of ranks."""
    scores = ResultTable(
        "subsets-images",
        "Three views of digits: factors of test triples predicted from scores",
        ("method", "seeds", "scores", "digit (one+two), accuracy", "colour (two+three), R2", "angle (one+three), R2"),
    )
    ranks = ResultTable(
        "subsets-images-ranks",
        "Three views of digits: ranks by seed",
        ("method", "seed", "joint and subsets", "individual", "CPU seconds"),
    )
    for method in dict.fromkeys(cell["method"] for cell in done):
        own = [cell for cell in done if cell["method"] == method]
        for name in dict.fromkeys(name for cell in own for name in cell["measures"]):
            rows = [cell["measures"][name] for cell in own if name in cell["measures"]]
            scores.add(
                method if method != PIXELS else None, len(rows), name, *(_spread(rows, factor) for factor in SHARED)
            )
        for cell in own:
            if cell["ranks"] is not None:
                ranks.add(method, cell["seed"], _words(cell["ranks"]), _words(cell["individual"]), cell["seconds"])
    return [scores, ranks]


def _spread(rows: list[dict[str, float]], factor: str) -> Any:
    values = [row[factor] for row in rows if np.isfinite(row[factor])]
    return mean_and_sd(values) if len(values) > 1 else (values[0] if values else None)


def _words(ranks: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {rank}" for name, rank in ranks.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--deep-seeds", type=int, default=5, help="seeds of DeepJIVE, if fewer")
    parser.add_argument("--cells", type=Path, metavar="FILE", help="keep what was measured, to continue later")
    parser.add_argument("--only", metavar="METHOD", help="one method alone")
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    seeds = range(arguments.seeds)
    done = cells(seeds, arguments.deep_seeds, arguments.cells, arguments.only)
    write_tables(
        arguments.json, tables_of(done), sources=["deepjive.deep", "deepjive.linear", "deepjive.subsets"], seeds=seeds
    )


if __name__ == "__main__":
    main()
