"""Samples that lack modalities: DeepJIVE and AJIVE on data with known truth and on breast tumours.

    python benchmarks/missing.py curves                                    # docs/images/missing.png and a table
    DEEPJIVE_DATA=../shared/data python benchmarks/missing.py protein      # R2 of each protein, cross-validated

Curves: three modalities of 30 features have one joint and one individual score, and 200 samples are fitted. Data are
linear, with noise twice the signal, or each feature is a sinusoid, with noise half the signal. Of the entries of
`present`, 0 to 80% are missing, but no sample lacks all modalities. The table shows the R2 of the true joint score,
predicted from the model's joint scores by a kernel regression that was trained on the training samples. It is of 200
new samples that have all modalities, and of the same samples with one or two modalities missing. AJIVE gets the true
ranks ("one score"), and on sinusoids the joint rank of 1, 2, 4 and 8 that is best in hindsight on the new samples.
Where fewer complete samples are left than a method needs, R2 is 0.

Proteins: the test set of this data has no proteins. Therefore proteins are predicted in five-fold cross-validation of
the 150 training samples, over five seeds. The 70 samples without protein can be used for training too. Ranks and
penalties are chosen on the training folds alone. R2 is over all samples of a seed, against the mean.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import contextlib
import itertools
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep.geometry.unrolling import KernelRegression
from deepjive.report.style import FONT, LABELS, MUTED, new_figure, quiet
from result_tables import ResultTable, add_json_option, write_tables

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)
N, NEW, WIDTHS = 200, 200, (30, 30, 30)
NOISE = {"linear": 2.0, "nonlinear": 0.5}
AJIVE_RANKS = {"linear": (1,), "nonlinear": (1, 2, 4, 8)}
KINDS = ("complete", "incomplete")


def drawn(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """Draw which entries are present; samples that lack all modalities are drawn again."""
    present = rng.random((n, len(WIDTHS))) >= share
    while (empty := ~present.any(axis=1)).any():
        present[empty] = rng.random((int(empty.sum()), len(WIDTHS))) >= share
    return present


def predicted_r2(model, train: Modalities, truth: np.ndarray, new: Modalities, new_truth: np.ndarray) -> float:
    """Return the R2 of the true joint score of new samples, predicted from the joint scores of the model."""
    regression = KernelRegression.of(model.transform(train), truth)
    return float(r2_score(new_truth, regression(model.transform(new))))


def curve_methods(kind: str, seed: int, max_epochs: int) -> dict[str, Callable[[Modalities], list]]:
    """Return for each method a function that fits its models to data with gaps."""
    settings = {"networks": "linear" if kind == "linear" else "dense", "max_epochs": max_epochs, "random_state": seed}

    def ajive(data: Modalities, ranks=AJIVE_RANKS[kind], **missing) -> list:
        models = []
        for rank in ranks:
            with contextlib.suppress(ValueError):  # few complete samples do not allow a large rank
                models.append(
                    AJIVE(
                        signal_ranks=2 * rank,
                        joint_rank=rank,
                        individual_ranks=rank,
                        n_wedin=0,
                        n_random=0,
                        random_state=0,
                        **missing,
                    ).fit(data)
                )
        return models

    return {
        "DeepJIVE exchange": lambda data: [DeepJIVE(joint_rank=1, individual_ranks=1, **settings).fit(data)],
        "DeepJIVE explicit": lambda data: [
            DeepJIVE(joint_rank=1, individual_ranks=1, identity="explicit", **settings).fit(data)
        ],
        "AJIVE, impute": lambda data: ajive(data, missing="impute"),
        "AJIVE, complete samples": lambda data: ajive(data[data.present.all(axis=1)]),
        "AJIVE, impute, one score": lambda data: ajive(data, (1,), missing="impute"),
    }


def curve_point(simulated: Synthetic, method: Callable, share: float, seed: int) -> dict[str, float]:
    """Return the R2 of complete and of incomplete new samples, for the best of a method's models."""
    rng = np.random.default_rng(seed)
    train = Modalities(simulated.data[:N], present=drawn(rng, N, share))
    present = drawn(rng, NEW, 0.5)
    present[present.all(axis=1), seed % 3] = False
    new = {"complete": simulated.data[N:], "incomplete": Modalities(simulated.data[N:], present=present)}
    truth, new_truth = simulated.joint_scores[:N], simulated.joint_scores[N:]
    models = method(train)
    return {
        kind: max((predicted_r2(model, train, truth, samples, new_truth) for model in models), default=0.0)
        for kind, samples in new.items()
    }


def curves(arguments: argparse.Namespace) -> ResultTable:
    """Measure the points of the curves, and return, print and draw their means over seeds."""
    points = curve_points(arguments)
    r2s: dict[str, dict[str, list[list[float]]]] = {}
    for kind, new in itertools.product(arguments.kinds, KINDS):
        r2s[f"{kind}, {new}"] = {
            name: [
                [points[f"{kind} {name} {share:.0%} {seed}"][new] for seed in range(arguments.seeds)]
                for share in SHARES
            ]
            for name in curve_methods(kind, 0, 1)
        }
    columns = ("new samples", "method", *(f"{share:.0%} missing" for share in SHARES))
    table = ResultTable("missing-curves", "R2 of the true joint score of new samples", columns)
    for title, methods in r2s.items():
        print(f"\nR2 of the true joint score, {title} new samples; mean and worst of {arguments.seeds} seeds")
        print("| method | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |")
        for name, values in methods.items():
            print(f"| {name} | " + " | ".join(f"{np.mean(v):.2f} ({np.min(v):.2f})" for v in values) + " |")
            table.add(title, name, *(np.mean(seeds) for seeds in values))
    if arguments.figure:
        save_figure(r2s, Path(arguments.figure))
    return table


def curve_points(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the points of the curves; points in the file of ``--keep`` are not measured again."""
    path = Path(arguments.keep) if arguments.keep else None
    points = json.loads(path.read_text()) if path is not None and path.exists() else {}
    for kind, seed, share in itertools.product(arguments.kinds, range(arguments.seeds), SHARES):
        for name, method in curve_methods(kind, seed, arguments.max_epochs).items():
            key = f"{kind} {name} {share:.0%} {seed}"
            if key not in points:
                shape = {"noise": NOISE[kind], "nonlinear": kind == "nonlinear"}
                simulated = make_synthetic(N + NEW, WIDTHS, random_state=seed, **shape)
                points[key] = curve_point(simulated, method, share, seed)
                print(key, points[key], file=sys.stderr, flush=True)
                if path is not None:
                    path.write_text(json.dumps(points))
    return points


def save_figure(r2s: dict[str, dict[str, list[list[float]]]], path: Path) -> None:
    """Draw mean and standard deviation over seeds, in a panel for each kind of data and of new samples."""
    rows = (len(r2s) + 1) // 2
    figure = new_figure(2.1 * rows + 0.4, 6.4)
    panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, (axes, (title, methods)) in enumerate(zip(panels, r2s.items(), strict=False)):
        last, first = panel // 2 == rows - 1, panel % 2 == 0
        quiet(axes, "entries missing, %" if last else "", "R2 of the true joint score" if first else "")
        axes.set_title(f"{title} new samples", fontsize=FONT, color=MUTED)
        for number, (name, values) in enumerate(methods.items()):
            means, spreads = np.mean(values, axis=1), np.std(values, axis=1)
            style = {"color": LABELS[number], "marker": "o", "markersize": 3.5, "linewidth": 1.1}
            axes.errorbar([100 * share for share in SHARES], means, spreads, label=name, capsize=2, **style)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, fontsize=FONT, frameon=False, labelcolor=MUTED)
    figure.savefig(path, dpi=160)


def tumours() -> tuple[Modalities, Modalities]:
    """Return the samples with protein, and the samples without protein."""
    folder = Path(os.environ.get("DEEPJIVE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    with np.load(folder / "tcga_breast" / "tcga_breast.npz", allow_pickle=False) as file:
        whole = {name: file[f"{name}_train"] for name in ("mrna", "mirna", "protein")}
        partial = {name: file[f"{name}_test"] for name in ("mrna", "mirna")}
    partial["protein"] = np.full((len(partial["mrna"]), whole["protein"].shape[1]), np.nan)
    present = np.ones((len(partial["mrna"]), 3), dtype=bool)
    present[:, 2] = False
    return Modalities(whole), Modalities(partial, present=present)


def joined(first: Modalities, second: Modalities) -> Modalities:
    arrays = {name: np.concatenate([first[name], second[name]]) for name in first.names}
    return Modalities(arrays, present=np.concatenate([first.present, second.present]))


def by_ridge(train: Modalities, partial: Modalities, test: Modalities, seed: int) -> np.ndarray:
    flat = [np.concatenate([data["mrna"], data["mirna"]], axis=1) for data in (train, test)]
    ridge = RidgeCV(np.logspace(0, 5, 21), alpha_per_target=True)
    return make_pipeline(StandardScaler(), ridge).fit(flat[0], train["protein"]).predict(flat[1])


def by_model(make: Callable[[int], object], use_partial: bool) -> Callable:
    """Return a function that predicts proteins by a model, fitted with or without the samples that lack protein."""

    def predict(train: Modalities, partial: Modalities, test: Modalities, seed: int) -> np.ndarray:
        model = make(seed).fit(joined(train, partial) if use_partial else train)
        return model.impute(test.select(["mrna", "mirna"]), "protein")

    return predict


PROTEIN_METHODS = {
    "ridge regression": by_ridge,
    "AJIVE, complete samples": by_model(lambda seed: AJIVE(random_state=seed), use_partial=False),
    "AJIVE, impute": by_model(lambda seed: AJIVE(missing="impute", random_state=seed), use_partial=True),
    "DeepJIVE exchange": by_model(lambda seed: DeepJIVE(random_state=seed), use_partial=True),
    "DeepJIVE exchange, complete samples": by_model(lambda seed: DeepJIVE(random_state=seed), use_partial=False),
    "DeepJIVE explicit": by_model(lambda seed: DeepJIVE(identity="explicit", random_state=seed), use_partial=True),
}


def protein(arguments: argparse.Namespace) -> ResultTable:
    """Return and print the R2 of the proteins by each method, cross-validated."""
    columns = ("method", "median", "lower quartile", "upper quartile", "above 0", "best")
    table = ResultTable("missing-proteins", "R2 of predicted proteins", columns)
    whole, partial = tumours()
    print(f"R2 of {whole.shapes['protein'][0]} proteins, each the mean of {arguments.seeds} seeds")
    print("| method | median | quartiles | above 0 | best | median of each seed |")
    reference = None
    for name, predict in PROTEIN_METHODS.items():
        if not any(word in name for word in arguments.methods):
            continue
        r2, started = [], time.perf_counter()
        for seed in range(arguments.seeds):
            predicted = np.empty_like(whole["protein"])
            for train, test in KFold(5, shuffle=True, random_state=seed).split(whole["protein"]):
                predicted[test] = predict(whole[train], partial, whole[test], seed)
            r2.append(r2_score(whole["protein"], predicted, multioutput="raw_values"))
            print(f"{name} seed {seed}: {np.median(r2[-1]):.3f}", file=sys.stderr, flush=True)
        each = np.mean(r2, axis=0)
        low, high = np.percentile(each, [25, 75])
        medians = np.median(r2, axis=1)
        reference = each if reference is None else reference
        table.add(name, np.median(each), low, high, np.mean(each > 0), each.max())
        print(
            f"| {name} | {np.median(each):.3f} | {low:.3f} to {high:.3f} | {np.mean(each > 0):.0%} | {each.max():.2f} |"
            f" {medians.min():.3f} to {medians.max():.3f} | better than the first for {np.mean(each > reference):.0%};"
            f" {(time.perf_counter() - started) / (5 * arguments.seeds):.0f} s a fit",
            flush=True,
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("curves", "protein"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kinds", nargs="*", default=["linear", "nonlinear"], choices=("linear", "nonlinear"))
    parser.add_argument("--max-epochs", type=int, default=40)
    parser.add_argument(
        "--methods", nargs="*", default=[""], help="methods of the proteins whose name contains one of these texts"
    )
    parser.add_argument("--keep", help="file of finished points, from which an interrupted run continues")
    parser.add_argument("--figure", help="file of the figure of the curves")
    add_json_option(parser)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    table = {"curves": curves, "protein": protein}[arguments.part](arguments)
    write_tables(arguments.json, [table], sources=["deepjive.deep", "deepjive.linear"], seeds=range(arguments.seeds))


if __name__ == "__main__":
    main()
