"""The experiment with synthetic data: how well each method recovers the known parts of modalities.

The experiment has four parts, each with its own table:

- *recovery*: all identities, with the closed form and the regression network, beside AJIVE and JIVE, and beside
  modalities that were shuffled against each other. DeepJIVE (arXiv 2507.19682, section 3.1) shows this part.
- *sizes*: larger samples, more features, more noise and more modalities.
- *ablation*: the effect of each term of the objective.
- *ranks*: the effect of wrong ranks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.datasets.synthetic import Synthetic, make_synthetic
from deepjive.evaluation.null import shuffled
from deepjive.evaluation.recovery import r2
from deepjive.evaluation.score_prediction import cross_prediction
from deepjive.experiments.cells import Cell
from deepjive.experiments.classification import held_out_accuracy, logistic

PARTS = ("recovery", "sizes", "ablation", "ranks")
IDENTITIES = ("exchange", "explicit", "merged")
KINDS = ("linear", "nonlinear")
HELD_OUT = 300
QUARTERS = (-0.6745, 0.0, 0.6745)
HINDSIGHT = range(1, 11)
MAIN_COLUMNS = ("joint", "individual", "predicted")
COLUMNS = ("joint", "individual", "predicted", "leak", "accuracy", "accuracy_linear", "accuracy_individual", "seconds")

Measures = dict[str, float]


def plan(parts: tuple[str, ...] = PARTS, quick: bool = False, seeds: int | None = None) -> list[Cell]:
    """The cells of some parts of the experiment: one cell for each combination of model, data and seed.

    Parameters
    ----------
    parts : tuple of str, default=PARTS
        Names of parts: "recovery", "sizes", "ablation", "ranks".
    quick : bool, default=False
        Use fewer samples, features, epochs and seeds: minutes instead of hours, to check that everything runs.
    seeds : int, optional
        Largest number of seeds.

    Returns
    -------
    list of Cell
    """
    base: dict[str, Any] = {"n_samples": 1000, "n_features": [100, 100], "noise": 0.5}
    budget: dict[str, Any] = {}
    if quick:
        base, budget = {"n_samples": 300, "n_features": [40, 40], "noise": 0.4}, {"max_epochs": 30}
    cells = [cell for part in parts for cell in _PLANS[part](base, quick) if seeds is None or cell.seed < seeds]
    return [
        replace(cell, model={**budget, **cell.model}) if cell.model["method"] == "DeepJIVE" else cell for cell in cells
    ]


def measure(cell: Cell) -> Measures:
    """Fit the model of a cell to the data of the cell, and measure the fit.

    Parameters
    ----------
    cell : Cell
        A cell of `plan`.

    Returns
    -------
    dict of str to float
        The measures below; for shuffled modalities "predicted" alone.

        - "joint", "individual": R2 of the recovered parts of the fitted samples, mean over modalities.
        - "predicted": fraction of the variance of held-out samples that is predicted from the other modalities.
        - "leak": fraction of the variance of held-out joint scores that a new regressor predicts from individual
          scores, largest over modalities.
        - "accuracy", "accuracy_linear": accuracy of predicting the quarter of the first true joint score from held-out
          joint scores, by a support vector machine and by logistic regression.
        - "accuracy_individual": accuracy of the support vector machine from individual scores.
    """
    from sklearn.exceptions import ConvergenceWarning

    settings = dict(cell.data)
    n, is_shuffled = settings.pop("n_samples"), settings.pop("shuffled", False)
    samples = make_synthetic(n + HELD_OUT, random_state=cell.seed, **settings)
    train, test = samples[:n], samples[n:]
    if is_shuffled:
        train = replace(train, data=shuffled(train.data, np.random.RandomState(cell.seed)))
        test = replace(test, data=shuffled(test.data, np.random.RandomState(1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _fitted(cell, train)
    return {"predicted": _predicted(model, test.data)} if is_shuffled else _measures(model, train, test)


def _fitted(cell: Cell, seen: Synthetic) -> Any:
    from deepjive.deep.estimator import DeepJIVE
    from deepjive.linear.ajive import AJIVE
    from deepjive.linear.jive import JIVE

    settings = dict(cell.model)
    method = settings.pop("method")
    if method == "DeepJIVE":
        return DeepJIVE(random_state=cell.seed, **settings).fit(seen.data)
    if method == "JIVE":
        return JIVE(**settings).fit(seen.data)
    least = min(len(seen.data), *(shape[0] for shape in seen.data.shapes.values()))
    ranks = [settings["joint_rank"]]
    if settings.pop("hindsight", False):
        ranks = [rank for rank in HINDSIGHT if 2 * rank <= least]
    fits = []
    for rank in ranks:
        own = rank if len(ranks) > 1 else settings["individual_ranks"]
        fits.append(
            AJIVE(
                signal_ranks=rank + own,
                joint_rank=rank,
                individual_ranks=own,
                n_wedin=0,
                n_random=0,
                random_state=cell.seed,
            ).fit(seen.data)
        )
    return max(fits, key=lambda fit: sum(_recovered(fit, seen)))


def _recovered(model: Any, samples: Synthetic) -> tuple[float, float]:
    """R2 of the joint and of the individual parts, mean over modalities."""
    parts = model.decompose(samples.data)
    pairs = [(samples.joint, parts.joint), (samples.individual, parts.individual)]
    joint, individual = (float(np.mean([r2(true[name], part[name]) for name in true])) for true, part in pairs)
    return joint, individual


def tables(
    cells: Sequence[Cell], measures: Sequence[Measures], columns: Sequence[str] = COLUMNS
) -> dict[str, list[tuple[str, ...]]]:
    """Rows of the table of each part: name, mean and standard deviation of each measure over seeds, number of seeds.

    Parameters
    ----------
    cells : sequence of Cell
        Combinations of model, data and seed, from `plan`.
    measures : sequence of dict of str to float
        The measures of each cell.
    columns : sequence of str, default=COLUMNS
        Names of the measures that are shown.

    Returns
    -------
    dict of str to list of tuple of str
    """
    rows: dict[str, dict[str, list[Measures]]] = {}
    for cell, cell_measures in zip(cells, measures, strict=True):
        rows.setdefault(cell.part, {}).setdefault(cell.row, []).append(cell_measures)
    return {
        part: [(row, *(_mean_and_sd(seeds, name) for name in columns), str(len(seeds))) for row, seeds in table.items()]
        for part, table in rows.items()
    }


def _mean_and_sd(seeds: Sequence[Measures], name: str) -> str:
    values = np.array([measures.get(name, np.nan) for measures in seeds])
    if np.isnan(values).all():
        return ""
    digits = 0 if name == "seconds" else 3
    spread = f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{values.std():.{digits}f}" if len(values) > 1 and digits else ""
    return f"{values.mean():.{digits}f}{spread}"


def _measures(model: Any, train: Synthetic, test: Synthetic) -> Measures:
    joint, individual = _recovered(model, train)
    fitted, held_out = model.decompose(train.data), model.decompose(test.data)
    train_classes, test_classes = (_classes(samples.joint_scores) for samples in (train, test))
    leaks = [cross_prediction(scores, held_out.joint_scores) for scores in held_out.individual_scores.values()]

    def accuracy(scores: Callable[[Any], NDArray], *classifier: Callable[[], Any]) -> float:
        return held_out_accuracy(scores(fitted), train_classes, scores(held_out), test_classes, *classifier)

    return {
        "joint": joint,
        "individual": individual,
        "predicted": _predicted(model, test.data),
        "leak": float(np.max(leaks)),
        "accuracy": accuracy(lambda parts: parts.joint_scores),
        "accuracy_linear": accuracy(lambda parts: parts.joint_scores, logistic),
        "accuracy_individual": accuracy(lambda parts: np.hstack(list(parts.individual_scores.values()))),
    }


def _predicted(model: Any, data: Modalities) -> float:
    """Variance predicted from the other modalities; NaN for a model that needs all modalities."""
    try:
        return float(np.mean([r2(data[name], model.impute(data, name)) for name in data.names]))
    except ValueError:
        return float("nan")


def _classes(joint_scores: NDArray) -> NDArray:
    """Quarters of the standard normal distribution that the first joint score lies in."""
    return np.digitize(joint_scores[:, 0], QUARTERS)


def _deep(joint_rank: int, individual_ranks: int, identity: str = "exchange", **settings: Any) -> dict[str, Any]:
    ranks = {"joint_rank": joint_rank, "individual_ranks": individual_ranks}
    return {"method": "DeepJIVE", **ranks, "identity": identity, **settings}


def _linear(method: str, joint_rank: int, individual_ranks: int, **settings: Any) -> dict[str, Any]:
    return {"method": method, "joint_rank": joint_rank, "individual_ranks": individual_ranks, **settings}


def _rows(part: str, rows: list[tuple[str, dict[str, Any], dict[str, Any]]], seeds: int) -> list[Cell]:
    """The cells, seed by seed; an interruption leaves complete tables of fewer seeds."""
    return [Cell(part, row, seed, data, model) for seed in range(seeds) for row, data, model in rows]


def _baselines(kind: str, joint: int = 1, individual: int = 1) -> list[tuple[str, dict[str, Any]]]:
    baselines = [("AJIVE", _linear("AJIVE", joint, individual))]
    if kind == "nonlinear":
        baselines.append(("AJIVE, best rank in hindsight", _linear("AJIVE", joint, individual, hindsight=True)))
    return baselines


def _recovery(base: dict[str, Any], quick: bool) -> list[Cell]:
    rows = []
    for kind in KINDS:
        data = {**base, "nonlinear": kind == "nonlinear"}
        for identity in IDENTITIES:
            for orthogonality in ("closed_form", "regression"):
                model = _deep(1, 1, identity, orthogonality=orthogonality)
                rows.append((f"{kind}, {identity}, {orthogonality.replace('_', ' ')}", data, model))
        rows += [(f"{kind}, {name}", data, model) for name, model in _baselines(kind)]
        rows.append((f"{kind}, JIVE", data, _linear("JIVE", 1, 1)))
        for name, model in (("exchange", _deep(1, 1)), ("AJIVE", _linear("AJIVE", 1, 1))):
            rows.append((f"{kind}, {name}, modalities shuffled", {**data, "shuffled": True}, model))
    return _rows("recovery", rows, 2 if quick else 5)


def _sizes(base: dict[str, Any], quick: bool) -> list[Cell]:
    p = base["n_features"][0]
    sizes: list[tuple[str, dict[str, Any]]] = [
        *((f"n {n}", {"n_samples": n}) for n in ((100, 300) if quick else (100, 300, 1000, 5000))),
        *((f"d {d}", {"n_features": [d, d]}) for d in ((40, 200) if quick else (100, 1000, 10_000))),
        *((f"noise {e}", {"noise": e}) for e in ((0.4, 1.0) if quick else (0.25, 0.5, 1.0, 1.5))),
        ("3 modalities", {"n_features": [p, p, p]}),
    ]
    rows = []
    for kind in KINDS:
        for words, size in sizes:
            data = {**base, "nonlinear": kind == "nonlinear", **size}
            models = [("exchange", _deep(1, 1)), _baselines(kind)[-1]]
            rows += [(f"{kind}, {words}, {name}", data, model) for name, model in models]
    return _rows("sizes", rows, 1 if quick else 5)


def _ablation(base: dict[str, Any], quick: bool) -> list[Cell]:
    rows = []
    for kind in KINDS:
        data = {**base, "nonlinear": kind == "nonlinear"}
        for over in (0, 1):
            stated = "ranks over by one" if over else "true ranks"
            for objective in ("published", "joint_first"):
                for orthogonality in (None, "regression", "closed_form", "adversary"):
                    constraint: dict[str, Any] = {"orthogonality": orthogonality, "orthogonality_weight": 0.1}
                    model = _deep(1 + over, 1 + over, objective=objective, **constraint)
                    words = (objective.replace("_", " "), (orthogonality or "none").replace("_", " "))
                    rows.append((f"{kind}, {stated}, {words[0]}, {words[1]}", data, model))
    cells = _rows("ablation", rows, 1 if quick else 10)
    weights = (0.1, 1.0) if quick else (0.01, 0.03, 0.1, 0.3, 1.0)
    rows = [
        (
            f"{kind}, weight {weight}",
            {**base, "nonlinear": kind == "nonlinear"},
            _deep(1, 1, orthogonality_weight=weight),
        )
        for kind in KINDS
        for weight in weights
    ]
    return cells + _rows("ablation", rows, 1 if quick else 5)


def _ranks(base: dict[str, Any], quick: bool) -> list[Cell]:
    rows = []
    for kind, true in (("linear", 3), ("nonlinear", 1)):
        data = {**base, "nonlinear": kind == "nonlinear", "joint_rank": true}
        for off in (-2, -1, 0, 1, 2):
            if true + off > 0:
                rows.append((f"{kind}, joint rank {true}{off:+d}, exchange", data, _deep(true + off, 1)))
                rows.append((f"{kind}, joint rank {true}{off:+d}, AJIVE", data, _linear("AJIVE", true + off, 1)))
        for own in (2, 3, 5, 7, 10):
            rows.append((f"{kind}, individual rank 1{own - 1:+d}, exchange", data, _deep(true, own)))
    return _rows("ranks", rows, 1 if quick else 5)


_PLANS: dict[str, Callable[[dict[str, Any], bool], list[Cell]]] = {
    "recovery": _recovery,
    "sizes": _sizes,
    "ablation": _ablation,
    "ranks": _ranks,
}


@dataclass(frozen=True)
class Example:
    """One nonlinear data set, with the parts of its first modality by each method.

    Attributes
    ----------
    scores : dict of str to array, shape (n_samples,)
        The true "joint" and "individual" score.
    truth : dict of str to array, shape (n_samples, n_features)
        The true "joint" and "individual" part.
    recovered : dict of str to dict of str to array
        For "joint" and "individual" the recovered part by method.
    """

    scores: dict[str, NDArray]
    truth: dict[str, NDArray]
    recovered: dict[str, dict[str, NDArray]]


def example(quick: bool = False) -> Example:
    """Fit all identities, and AJIVE at its best rank, to the first nonlinear data set of the part "recovery"."""
    wanted = {f"nonlinear, {identity}, closed form": identity for identity in IDENTITIES}
    wanted["nonlinear, AJIVE, best rank in hindsight"] = "AJIVE"
    cells = [cell for cell in plan(("recovery",), quick) if cell.seed == 0 and cell.row in wanted]
    settings = dict(cells[0].data)
    n = settings.pop("n_samples")
    train = make_synthetic(n + HELD_OUT, random_state=0, **settings)[:n]
    name = train.data.names[0]
    recovered: dict[str, dict[str, NDArray]] = {"joint": {}, "individual": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cell in cells:
            parts = _fitted(cell, train).decompose(train.data)
            recovered["joint"][wanted[cell.row]] = parts.joint[name] - parts.mean[name]
            recovered["individual"][wanted[cell.row]] = parts.individual[name]
    scores = {"joint": train.joint_scores[:, 0], "individual": train.individual_scores[name][:, 0]}
    return Example(scores, {"joint": train.joint[name], "individual": train.individual[name]}, recovered)
