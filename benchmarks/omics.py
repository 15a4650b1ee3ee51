"""Breast tumours in three modalities: clusters predicted from joint scores, beside baselines of the same size.

    DEEPJIVE_DATA=../shared/data python benchmarks/omics.py                  # about three quarters of an hour
    DEEPJIVE_DATA=../shared/data python benchmarks/omics.py --identities     # linear baselines alone, seconds

The data have 348 samples, with 645 expression, 574 methylation and 423 miRNA features. Accuracies are from five-fold
cross-validation over five seeds. Every model, scaling and classifier is fitted to the training folds alone. The
classifier is a logistic regression.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepjive import AJIVE, DeepJIVE, Modalities, SeparateAutoencoders
from result_tables import ResultTable, add_json_option, write_tables

NAMES = ("expression", "methylation", "mirna")


class Concatenation(PCA):
    """Principal components of the concatenated modalities, each scaled to the same total variance."""

    def __init__(self, n_components=None, *, names=NAMES, svd_solver="full"):
        super().__init__(n_components, svd_solver=svd_solver)
        self.names = names

    def fit(self, X, y=None):
        self.centres_ = {name: X[name].mean(0) for name in self.names}
        self.scales_ = {name: np.linalg.norm(X[name] - self.centres_[name]) for name in self.names}
        return super().fit(self._flat(X))

    def transform(self, X):
        return super().transform(self._flat(X))

    def _flat(self, X):
        return np.concatenate([(X[name] - self.centres_[name]) / self.scales_[name] for name in self.names], axis=1)


def models(rank: int, individual: int, seed: int, identities: list[str]) -> dict[str, object]:
    deep = {"random_state": seed}
    return {
        **{
            f"DeepJIVE {identity}, joint scores": DeepJIVE(
                joint_rank=rank, individual_ranks=individual, identity=identity, **deep
            )
            for identity in identities
        },
        "AJIVE, joint scores": AJIVE(
            signal_ranks=rank + individual, joint_rank=rank, n_wedin=1, n_random=1, random_state=seed
        ),
        "PCA of the concatenation": Concatenation(rank),
        **{f"PCA of {name} alone": Concatenation(rank, names=(name,)) for name in NAMES},
        **(
            {"Separate autoencoders": SeparateAutoencoders(ranks=max(1, round(rank / 3)), **deep)} if identities else {}
        ),
    }


def accuracy(model, train, train_labels, test, test_labels) -> float:
    model.fit(train)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return classifier.fit(model.transform(train), train_labels).score(model.transform(test), test_labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--joint-rank", type=int, default=6)
    parser.add_argument("--individual-rank", type=int, default=4)
    parser.add_argument("--identities", nargs="*", default=["exchange", "explicit", "merged"])
    add_json_option(parser)
    arguments = parser.parse_args()
    columns = ("method", "accuracy", "sd over seeds", "worst seed", "seconds a fit")
    table = ResultTable("breast-tumours", "Clusters of breast tumours predicted from joint scores", columns)
    warnings.simplefilter("ignore", ConvergenceWarning)
    folder = Path(os.environ.get("DEEPJIVE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    with np.load(folder / "tcga_brca" / "tcga_brca.npz", allow_pickle=False) as file:
        data, labels = Modalities({name: file[name] for name in NAMES}), file["label_cluster"]
    sizes = arguments.joint_rank, arguments.individual_rank
    names = list(models(*sizes, 0, arguments.identities))
    started = time.perf_counter()
    models(*sizes, 0, arguments.identities)[names[0]].fit(data)
    print(f"one fit of {names[0]} to all samples: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    accuracies: dict[str, list[float]] = {name: [] for name in names}
    seconds = dict.fromkeys(names, 0.0)
    for seed in range(arguments.seeds):
        folds = list(StratifiedKFold(5, shuffle=True, random_state=seed).split(np.zeros(len(data)), labels))
        for name in names:
            started, values = time.perf_counter(), []
            for train, test in folds:
                model = models(*sizes, seed, arguments.identities)[name]
                values.append(accuracy(model, data[train], labels[train], data[test], labels[test]))
            accuracies[name].append(float(np.mean(values)))
            seconds[name] += (time.perf_counter() - started) / (5 * arguments.seeds)
            print(f"seed {seed}  {name:34} {accuracies[name][-1]:.3f}", file=sys.stderr, flush=True)
    print(f"majority class {np.bincount(labels).max() / len(labels):.3f}; {arguments.seeds} seeds of 5 folds")
    for name in names:
        spread = f"± {np.std(accuracies[name]):.3f}, worst seed {min(accuracies[name]):.3f}"
        print(f"{name:34} {np.mean(accuracies[name]):.3f} {spread}   {seconds[name]:.1f} s a fit")
        table.add(name, np.mean(accuracies[name]), np.std(accuracies[name]), min(accuracies[name]), seconds[name])
    write_tables(arguments.json, [table], sources=["deepjive.deep", "deepjive.linear"], seeds=range(arguments.seeds))


if __name__ == "__main__":
    main()
