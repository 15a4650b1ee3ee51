"""Samples drawn from models, compared with held-out data: marginal distributions, correlations, and coherence.

    DEEPJIVE_DATA=../shared/data python benchmarks/samples.py

Each seed splits the samples of a data set into 70% training and 30% test samples. A model is fitted to the training
samples, and 1000 samples are drawn from it.

- Marginals: the Kolmogorov-Smirnov distance of each feature between drawn and test samples, averaged over features.
- Correlations within modalities and between them: the mean absolute difference of the correlation of two features
  between drawn and test samples.
- Coherence: for each pair of modalities, the fraction of drawn samples in which logistic regressions, one for each
  modality and trained on training samples, give the same class. "Drawn given one modality" are samples whose other
  modalities are drawn given the first, for each test sample ten times, from a model that is calibrated by five refits;
  their coherence is the fraction in which the class of a drawn modality is the true class.

Baselines: the training samples themselves, which differ from the test samples by chance alone, and normal distributions
with mean and covariance of each modality (shrunken by Ledoit and Wolf), without dependence between modalities. The
classifiers know the training samples, so the coherence of the test samples is shown as well.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import ks_2samp
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.experiments.omics.data import read_data_set
from deepjive.experiments.results import mean_and_sd
from result_tables import ResultTable, add_json_option, write_tables

SETS = ("tcga_breast", "tcga_brca")
N_DRAWN, N_EACH, FEATURES = 1000, 10, 150
MODELS: dict[str, Callable[[], Any]] = {
    "AJIVE": lambda: AJIVE(random_state=0),
    "DeepJIVE": lambda: DeepJIVE(random_state=0),
}
COLUMNS = ("data", "samples", "marginals", "correlations within", "correlations between", "coherence")


class Comparison:
    """Measures of samples against test samples."""

    def __init__(self, train: Modalities, labels: np.ndarray, test: Modalities, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.test, self.columns, self.classifiers = test, {}, {}
        for name in test.names:
            width = test[name].shape[1]
            self.columns[name] = rng.choice(width, size=min(width, FEATURES), replace=False)
            classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
            self.classifiers[name] = classifier.fit(train[name], labels)

    def __call__(self, drawn: Modalities) -> dict[str, float]:
        """Return the measures of drawn samples."""
        ours, theirs = (
            {name: data[name][:, rows] for name, rows in self.columns.items()} for data in (drawn, self.test)
        )
        distances = [
            ks_2samp(a, b, method="asymp").statistic
            for name in ours
            for a, b in zip(ours[name].T, theirs[name].T, strict=True)
        ]
        within, between = [], []
        for first, second in itertools.combinations_with_replacement(ours, 2):
            difference = np.abs(correlations(ours[first], ours[second]) - correlations(theirs[first], theirs[second]))
            (within if first == second else between).append(difference.mean())
        values = (float(np.mean(value)) for value in (distances, within, between))
        return dict(zip(COLUMNS[2:], (*values, self.coherence(drawn)), strict=True))

    def coherence(self, samples: Modalities) -> float:
        """Return how often two modalities of a sample have the same class."""
        classes = {name: classifier.predict(samples[name]) for name, classifier in self.classifiers.items()}
        return float(np.mean([np.mean(classes[a] == classes[b]) for a, b in itertools.combinations(classes, 2)]))

    def of_given(self, model: Any, labels: np.ndarray, seed: int) -> float:
        """Return how often the class of a drawn modality is the true class of the test sample that was given."""
        correct = []
        for given in self.test.names:
            drawn = model.sample(N_EACH, given=self.test.select([given]), noise=True, random_state=seed)
            truth = np.repeat(labels, N_EACH)
            correct += [
                np.mean(self.classifiers[name].predict(drawn[name]) == truth) for name in drawn.names if name != given
            ]
        return float(np.mean(correct))

    def of_measured(self, labels: np.ndarray) -> float:
        """Return how often the class of a measured modality of the test samples is the true class."""
        return float(
            np.mean([np.mean(self.classifiers[name].predict(self.test[name]) == labels) for name in self.test])
        )


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlations of all features of two modalities."""
    return np.corrcoef(first.T, second.T)[: first.shape[1], first.shape[1] :]


def independent(train: Modalities, rng: np.random.Generator) -> Modalities:
    """Draw from a normal distribution of each modality."""
    fits = {name: LedoitWolf().fit(train[name]) for name in train.names}
    return Modalities(
        {name: rng.multivariate_normal(fit.location_, fit.covariance_, N_DRAWN) for name, fit in fits.items()}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--methods", nargs="+", default=tuple(MODELS), choices=tuple(MODELS))
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    table = ResultTable("samples", "Drawn samples against held-out data", COLUMNS)
    given = ResultTable(
        "samples-given", "Classes of modalities drawn given one modality", ("data", "samples", "true class")
    )
    for name in arguments.sets:
        tables = read_data_set(name)
        rows: dict[str, list[dict[str, float]]] = {}
        classes: dict[str, list[float]] = {}
        for seed in range(arguments.seeds):
            order = np.random.default_rng(seed).permutation(len(tables.data))
            cut = round(0.7 * len(order))
            train, test = tables.data[order[:cut]], tables.data[order[cut:]]
            comparison = Comparison(train, tables.labels[order[:cut]], test, seed)
            rows.setdefault("training samples", []).append(comparison(train))
            rows.setdefault("test samples", []).append({COLUMNS[-1]: comparison.coherence(test)})
            baseline = independent(train, np.random.default_rng(seed))
            rows.setdefault("independent normal modalities", []).append(comparison(baseline))
            classes.setdefault("measured", []).append(comparison.of_measured(tables.labels[order[cut:]]))
            for method in arguments.methods:
                model = MODELS[method]().fit(train)
                for noise in (True, False):
                    title = f"{method}, {'with' if noise else 'without'} residuals"
                    drawn = model.sample(N_DRAWN, noise=noise, random_state=seed)
                    rows.setdefault(title, []).append(comparison(drawn))
                model.calibrate(train, folds=5, given=[(other,) for other in train.names])
                value = comparison.of_given(model, tables.labels[order[cut:]], seed)
                classes.setdefault(f"{method}, drawn given one modality", []).append(value)
            print(name, seed, {title: values[-1] for title, values in rows.items()}, classes, flush=True)
        for title, values in rows.items():
            cells = [[value[column] for value in values if column in value] for column in COLUMNS[2:]]
            table.add(name, title, *(mean_and_sd(cell) if cell else None for cell in cells))
        for title, shares in classes.items():
            given.add(name, title, mean_and_sd(shares))
    sources = ["deepjive.sampling", "deepjive.score_density", "deepjive.linear"]
    sources += ["deepjive.deep"] if "DeepJIVE" in arguments.methods else []
    write_tables(arguments.json, [table, given], sources=sources, seeds=range(arguments.seeds))


if __name__ == "__main__":
    main()
