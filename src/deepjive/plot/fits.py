"""Fits: training curves, agreement of two runs, and scores that return in refits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from deepjive.decomposition import Decomposition
from deepjive.evaluation.recovery import pairs_of_scores
from deepjive.plot.palette import DIVERGING, INDIVIDUAL, JOINT, LABELS, axes_of, faint, muted, plain, small

if TYPE_CHECKING:
    from deepjive.evaluation.evidence_study import Evidence

NOT_TERMS = ("phase", "epoch", "is_best", "learning_rate", "seconds")
VALIDATION = LABELS[6]
RETURNS = 0.7
MOST_NUMBERS = 12
NO_TERM = "The history has no term {term!r}; it has {terms}."
NO_HISTORY = "The model has no history_ of its training. Only deep models that train networks have one."
NO_STABILITY = (
    "The evidence has no stability of the {part} scores. Measure it with deepjive report RUN --evidence, or with "
    "deepjive.evaluation.evidence."
)
LENGTHS = (
    "The two runs have {first} and {second} samples without names, which cannot be matched. Give decompositions of "
    "the same samples."
)
NO_COMMON = "The two runs have {n} samples in common. At least 3 are needed."
RANK_0 = "One of the runs has joint_rank_ 0, so there are no scores to compare. Give two runs with joint scores."


def training(model: Any, term: str = "total", *, ax: Axes | None = None) -> Axes:
    """Draw the training and validation values of a term of the loss by epoch; dashed lines separate phases.

    Parameters
    ----------
    model : DeepJIVE or mapping of str to list
        A fitted deep model, or its `history_`.
    term : str, default="total"
        The term of the loss, such as "reconstruction".
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there is no history, or no such term.
    """
    history: Mapping[str, Sequence[Any]] = model if isinstance(model, Mapping) else getattr(model, "history_", {})
    terms = terms_of(history)
    if not terms:
        raise ValueError(NO_HISTORY)
    if term not in terms:
        raise ValueError(NO_TERM.format(term=term, terms=list(terms)))
    lines, phases = terms[term], list(history.get("phase", []))
    axes = axes_of(ax)
    axes.set(xlabel="epoch", ylabel=term.replace("_", " "))
    for split, color in (("train", muted()), ("validation", VALIDATION)):
        if split in lines:
            epochs = np.arange(1, len(lines[split]) + 1)
            axes.plot(epochs, lines[split], color=color, linewidth=1.3, label=split)
    axes.set_xlim(1, max(2, len(next(iter(lines.values())))))
    for start in (i for i in range(1, len(phases)) if phases[i] != phases[i - 1]):
        axes.axvline(start + 0.5, color=faint(), linewidth=1.0, linestyle=(0, (3, 2)))
    finite = np.concatenate([values[np.isfinite(values)] for values in lines.values()])
    if finite.min() > 0 and finite.max() > 20 * finite.min():
        axes.set_yscale("log")
        axes.minorticks_off()
    if len(lines) > 1:
        axes.legend(labelcolor="linecolor", frameon=False, loc="best", handlelength=1.2, borderpad=0.1)
    return axes


def terms_of(history: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, NDArray]]:
    """Return the curves "train" and "validation" of each term of a history; the total is last."""
    terms: dict[str, dict[str, NDArray]] = {}
    for key, values in history.items():
        split, _, term = key.partition("_") if key.startswith(("train_", "validation_")) else ("train", "", key)
        if key not in NOT_TERMS and np.isfinite(np.asarray(values, dtype=float)).any():
            terms.setdefault(term, {})[split] = np.asarray(values, dtype=float)
    return {term: terms[term] for term in sorted(terms, key=lambda term: term == "total")}


def agreement(
    first: Decomposition | NDArray,
    second: Decomposition | NDArray,
    *,
    names: tuple[str, str] = ("first run", "second run"),
    ax: Axes | None = None,
) -> Axes:
    """Draw the correlations of the joint scores of two runs; the scores of the second run are matched to the first.

    Scores of the second run are in the order in which they match best, with their numbers beside them. A minus sign
    before the number says that the score was turned, because the sign of a score is arbitrary.

    Parameters
    ----------
    first, second : Decomposition or array, shape (n_samples, rank)
        The runs, or their joint scores. Samples with names are matched by name.
    names : tuple of str, default=("first run", "second run")
        Names of the runs.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If a rank is 0, or if the samples cannot be matched.

    See Also
    --------
    deepjive.plot.stability : Scores that return in refits.
    """
    a, b = _common(first, second)
    if not (a.shape[1] and b.shape[1]):
        raise ValueError(RANK_0)
    pairs = pairs_of_scores(a, b)
    order = [column for _, column, _ in pairs]
    order += [column for column in range(b.shape[1]) if column not in order]
    signs = np.ones(len(order))
    signs[: len(pairs)] = [-1.0 if correlation < 0 else 1.0 for *_, correlation in pairs]
    correlations = np.corrcoef(a.T, (b[:, order] * signs).T)[: a.shape[1], a.shape[1] :]
    axes = axes_of(ax)
    axes.imshow(correlations, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    axes.grid(visible=False)
    turned = [("\N{MINUS SIGN}" if sign < 0 else "") + str(score + 1) for score, sign in zip(order, signs, strict=True)]
    axes.set_xticks(range(len(order)), turned)
    axes.set_yticks(range(a.shape[1]), [str(i) for i in range(1, a.shape[1] + 1)])
    axes.set(xlabel=f"joint scores of {plain(names[1])}", ylabel=f"joint scores of {plain(names[0])}")
    if max(correlations.shape) <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(correlations):
            text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
            color = "white" if abs(value) > 0.65 else "black"
            axes.text(column, row, text, fontsize=small(), color=color, ha="center", va="center")
    return axes


def _common(first: Decomposition | NDArray, second: Decomposition | NDArray) -> tuple[NDArray, NDArray]:
    """Return the joint scores of the samples that two runs have in common."""
    a, b = (run.joint_scores if isinstance(run, Decomposition) else np.asarray(run, float) for run in (first, second))
    named = [run.data.samples if isinstance(run, Decomposition) else None for run in (first, second)]
    if named[0] is not None and named[1] is not None:
        _, rows, other_rows = np.intersect1d(named[0], named[1], return_indices=True)
        a, b = a[rows], b[other_rows]
    elif len(a) != len(b):
        raise ValueError(LENGTHS.format(first=len(a), second=len(b)))
    if len(a) < 3:
        raise ValueError(NO_COMMON.format(n=len(a)))
    return a, b


def stability(evidence: Evidence, *, part: str = "joint", ax: Axes | None = None) -> Axes:
    """Draw for each score its correlation with the matched score of refits with other seeds and to other samples.

    The dashed line is at 0.7. Scores below it should be interpreted only together.

    Parameters
    ----------
    evidence : Evidence
        Evidence of a run.
    part : str, default="joint"
        "joint", or "individual NAME" for the individual scores of a modality.
    ax : matplotlib Axes, default=None
        The axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the stability of this part was not measured.
    """
    rows = [row for row in evidence.stability.get(evidence.method, []) if row.part == part and len(row.matched)]
    if not rows:
        raise ValueError(NO_STABILITY.format(part=part))
    axes = axes_of(ax)
    axes.axhline(RETURNS, color=muted(), linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
    shift = 0.12 if len(rows) > 1 else 0.0
    for row, color, sign in zip(rows, (JOINT, INDIVIDUAL), (-1, 1), strict=False):
        places = np.arange(1, len(row.matched) + 1) + sign * shift
        axes.vlines(places, 0, row.matched, color=color, linewidth=1.0, alpha=0.5)
        axes.scatter(places, row.matched, s=18, color=color, label=f"other {row.varied}", zorder=2)
    axes.set(xlabel=f"{part} score", ylabel="correlation in refits", ylim=(0, 1.03))
    axes.locator_params(axis="x", integer=True)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, frameon=False)
    return axes
