"""The one-dimensional experiment: what is recovered of modalities whose parts are known.

Four parts, each a table: *recovery* by all identities, by closed form and regression network, beside AJIVE and JIVE and
beside modalities shuffled against each other; *sizes*, when samples, features, noise and modalities grow; *ablation*,
what each piece of the objective buys; *ranks*, what wrong ranks cost. DeepJIVE (arXiv 2507.19682, section 3.1, as
summarised publicly) shows the first.
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
from deepjive.evaluation.cross_prediction import cross_prediction
from deepjive.evaluation.null import shuffled
from deepjive.evaluation.recovery import r2
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

Figures = dict[str, float]


def plan(parts: tuple[str, ...] = PARTS, quick: bool = False, seeds: int | None = None) -> list[Cell]:
    """The cells of some parts of the experiment.

    Parameters
    ----------
    parts : tuple of str
        Of "recovery", "sizes", "ablation", "ranks".
    quick : bool
        Fewer samples, features, epochs and seeds: minutes instead of hours, to see that all is well.
    seeds : int, optional
        No more than so many of the seeds.
    """
    base: dict[str, Any] = {"n_samples": 1000, "n_features": [100, 100], "noise": 0.5}
    budget: dict[str, Any] = {}
    if quick:
        base, budget = {"n_samples": 300, "n_features": [40, 40], "noise": 0.4}, {"max_epochs": 30}
    cells = [cell for part in parts for cell in _PLANS[part](base, quick) if seeds is None or cell.seed < seeds]
    return [
        replace(cell, model={**budget, **cell.model}) if cell.model["method"] == "DeepJIVE" else cell for cell in cells
    ]


def measure(cell: Cell) -> Figures:
    """Fit the cell's model to the cell's data.

    Returns
    -------
    dict of str to float
        "joint", "individual": R2 of the recovered parts of the fitted samples, mean over the modalities. "predicted":
        variance of held-out samples predicted from the other modalities. "leak": variance of the joint scores that a
        fresh regressor predicts from the individual ones, held out, the largest over the modalities. "accuracy": of
        telling quarters of the first true joint score from the joint scores, held out, by a support vector machine;
        "accuracy_linear": the same by logistic regression; "accuracy_individual": from the individual scores. Of
        shuffled modalities, "predicted" alone.
    """
    from sklearn.exceptions import ConvergenceWarning

    settings = dict(cell.data)
    n, mixed = settings.pop("n_samples"), settings.pop("shuffled", False)
    made = make_synthetic(n + HELD_OUT, random_state=cell.seed, **settings)
    seen, unseen = made[:n], made[n:]
    if mixed:
        data = shuffled(seen.data, np.random.RandomState(cell.seed))
        seen, unseen = replace(seen, data=data), replace(unseen, data=shuffled(unseen.data, np.random.RandomState(1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _fitted(cell, seen)
    return {"predicted": _predicted(model, unseen.data)} if mixed else _figures(model, seen, unseen)


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


def _recovered(model: Any, made: Synthetic) -> tuple[float, float]:
    parts = model.decompose(made.data)
    pairs = [(made.joint, parts.joint), (made.individual, parts.individual)]
    joint, individual = (float(np.mean([r2(true[name], found[name]) for name in true])) for true, found in pairs)
    return joint, individual


def tables(
    cells: Sequence[Cell], found: Sequence[Figures], columns: Sequence[str] = COLUMNS
) -> dict[str, list[tuple[str, ...]]]:
    """Rows of each part's table: what the row is, the figures as mean and standard deviation over seeds, the seeds."""
    rows: dict[str, dict[str, list[Figures]]] = {}
    for cell, figures in zip(cells, found, strict=True):
        rows.setdefault(cell.part, {}).setdefault(cell.row, []).append(figures)
    return {
        part: [(row, *(_spread(of_row, name) for name in columns), str(len(of_row))) for row, of_row in by_row.items()]
        for part, by_row in rows.items()
    }


def _spread(of_row: Sequence[Figures], name: str) -> str:
    values = np.array([figures.get(name, np.nan) for figures in of_row])
    if np.isnan(values).all():
        return ""
    digits = 0 if name == "seconds" else 3
    spread = f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{values.std():.{digits}f}" if len(values) > 1 and digits else ""
    return f"{values.mean():.{digits}f}{spread}"


def _figures(model: Any, seen: Synthetic, unseen: Synthetic) -> Figures:
    joint, individual = _recovered(model, seen)
    old, new = model.decompose(seen.data), model.decompose(unseen.data)
    classes = [_classes(made.joint_scores) for made in (seen, unseen)]
    own = [np.hstack(list(parts.individual_scores.values())) for parts in (old, new)]
    leaks = [cross_prediction(scores, new.joint_scores) for scores in new.individual_scores.values()]
    return {
        "joint": joint,
        "individual": individual,
        "predicted": _predicted(model, unseen.data),
        "leak": float(np.max(leaks)),
        "accuracy": held_out_accuracy(old.joint_scores, classes[0], new.joint_scores, classes[1]),
        "accuracy_linear": held_out_accuracy(old.joint_scores, classes[0], new.joint_scores, classes[1], logistic),
        "accuracy_individual": held_out_accuracy(own[0], classes[0], own[1], classes[1]),
    }


def _predicted(model: Any, data: Modalities) -> float:
    try:
        return float(np.mean([r2(data[name], model.impute(data, name)) for name in data.names]))
    except ValueError:  # merged needs all modalities
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
    """Seed by seed, so that an early end leaves whole tables of fewer seeds."""
    return [Cell(part, row, seed, data, model) for seed in range(seeds) for row, data, model in rows]


def _baselines(kind: str, joint: int = 1, individual: int = 1) -> list[tuple[str, dict[str, Any]]]:
    found = [("AJIVE", _linear("AJIVE", joint, individual))]
    if kind == "nonlinear":
        found.append(("AJIVE, best rank in hindsight", _linear("AJIVE", joint, individual, hindsight=True)))
    return found


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
    """One nonlinear data set and what each method found, of the first modality.

    Attributes
    ----------
    scores : dict of str to array, shape (n_samples,)
        The true "joint" and "individual" score.
    truth : dict of str to array, shape (n_samples, n_features)
        The true parts.
    found : dict of str to dict of str to array
        For "joint" and "individual" the part by method.
    """

    scores: dict[str, NDArray]
    truth: dict[str, NDArray]
    found: dict[str, dict[str, NDArray]]


def example(quick: bool = False) -> Example:
    """Fit all identities and AJIVE at its best rank to the first nonlinear data set of the recovery part."""
    wanted = {f"nonlinear, {identity}, closed form": identity for identity in IDENTITIES}
    wanted["nonlinear, AJIVE, best rank in hindsight"] = "AJIVE"
    cells = [cell for cell in plan(("recovery",), quick) if cell.seed == 0 and cell.row in wanted]
    settings = dict(cells[0].data)
    n = settings.pop("n_samples")
    seen = make_synthetic(n + HELD_OUT, random_state=0, **settings)[:n]
    name = seen.data.names[0]
    found: dict[str, dict[str, NDArray]] = {"joint": {}, "individual": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for cell in cells:
            parts = _fitted(cell, seen).decompose(seen.data)
            found["joint"][wanted[cell.row]] = parts.joint[name] - parts.mean[name]
            found["individual"][wanted[cell.row]] = parts.individual[name]
    scores = {"joint": seen.joint_scores[:, 0], "individual": seen.individual_scores[name][:, 0]}
    return Example(scores, {"joint": seen.joint[name], "individual": seen.individual[name]}, found)
