"""Tests of joint structure: two permutation tests, and the shuffling of modalities.

Joint variation can be predicted from the other modalities. The statistic is therefore the fraction of a modality's
variance that `impute` predicts from the other modalities, on held-out samples. The joint part of the modality itself
would be a wrong statistic: it is computed from the modality, and explains some of its variance also if nothing is
joint.

**Pairing test** (`joint_structure_test`), the default. No model is fitted again. If the modalities are independent,
true pairs of held-out samples (x_1, x_2) and pairs with another held-out sample's x_2 have the same distribution. This
holds for any fitted model, because the model is a fixed function of the held-out samples. The rank of the statistic
among its values for permuted pairs is then uniform, and ``p = (1 + #{as large}) / (1 + permutations)`` is exact for any
model and any training. A poor model lowers the power of the test, not its validity.

The test assumes that held-out samples are independent of each other and of the fitted samples. Repeated visits of a
participant are not independent: they must be on one side, and with `groups` participants are permuted instead of
visits (`deepjive.data.groups`). Missing values (NaN) are left out of the statistic. They are permuted with their
samples, so the test stays exact.

If the model was fitted with confounds, both tests permute values from which the confounds were taken out, with the
effects that the fitted samples showed (as Freedman and Lane 1983). They then ask for structure beyond the confounds.
Effects that few samples showed are not exact, and what they leave of a confound is in all modalities. The pairing test
therefore also takes out what a regression on the confounds explains among the held-out samples.

**Refit test** (`refit_test`). The model is fitted again to shuffled samples, once for each shuffling. The statistic of
the true pairs comes from a fit of the same budget. This test is valid for the whole procedure instead of one fitted
model, at the cost of the fits.

With more than two modalities, each modality is permuted, or shuffled, against all others, which stay together. If the
others were separated too, a modality that shares nothing would seem joint because of what the others share. The
p-value of joint structure is the largest of these p-values, because joint variation is in all modalities (an
intersection-union test).

References
----------
Freedman and Lane 1983, A nonstochastic interpretation of reported significance levels, J. Business and Economic
Statistics 1.
Lehmann and Romano 2005, Testing statistical hypotheses, theorem 15.2.1.
Phipson and Smyth 2010, Permutation p-values should never be zero, Statistical Applications in Genetics 9.
Berger 1982, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.adjust.adjustment import Adjustment
from deepjive.data.groups import check_apart, orders_of
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.decomposition import power_of_two
from deepjive.evaluation.recovery import r2
from deepjive.evaluation.refit import complete, refitted, with_groups
from deepjive.progress import Progress, silent
from deepjive.results import Result, figures

PREDICTION, JOINT_PART = "prediction from the other modalities", "joint part"
BUDGET = 50
REPORT_EVERY = 100

TOO_FEW = (
    "A permutation test of pairs needs at least 5 held-out samples that have every modality, but there are {given}. "
    "Hold out more samples."
)
CONFOUNDED = (
    "The data have the confounds {confounds}, which belong to samples, so that modalities cannot be shuffled against "
    "each other. Take them out first: model.adjust(data), or data.without_confounds()."
)
GROUPS_OF_BOTH = (
    "Only {given} was given, or is known of the data. Participants are shuffled among the fitted and among the "
    "held-out samples: give both groups and held_out_groups."
)


@dataclass(frozen=True, repr=False)
class JointStructureTest(Result):
    """A permutation test of joint structure.

    Attributes
    ----------
    p_value : float
        P-value of the hypothesis that there is no joint structure. For two modalities: the modalities are independent.
        For more modalities: at least one modality is independent of the others.
    explained : dict of str to float
        Fraction of each modality's held-out variance that `measure` explains.
    chance : dict of str to float
        95th percentile of the same fraction for permuted pairs.
    p_values : dict of str to float
        For each modality, the p-value of its independence of the others.
    measure : str
        "prediction from the other modalities", or "joint part" for a model that needs all modalities at once.
    n_samples, n_permutations : int
        Number of held-out samples, and of permutations or, if `refits`, of fits to shuffled samples.
    refits : bool
        Whether the model was fitted again for each permutation.
    """

    p_value: float
    explained: dict[str, float]
    chance: dict[str, float]
    p_values: dict[str, float]
    measure: str
    n_samples: int
    n_permutations: int
    refits: bool = False

    def _summary(self) -> str:
        draws = "refits" if self.refits else "permutations"
        return (
            f"{self.measure}: R2 {figures(self.explained)}; p={self.p_value:.3g}, n={self.n_samples}, "
            f"{self.n_permutations} {draws}"
        )

    def _table(self) -> Any:
        return [
            {"modality": name, "explained": value, "chance": self.chance[name], "p_value": self.p_values[name]}
            for name, value in self.explained.items()
        ]


def joint_structure_test(
    model: Any,
    held_out: Any,
    n_permutations: int = 999,
    *,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
    progress: Progress = silent,
) -> JointStructureTest:
    """Test for joint structure by permuting the pairs of held-out samples; the test is exact, without new fits.

    Parameters
    ----------
    model : estimator
        A fitted model.
    held_out : Modalities, mapping or sequence
        Samples that the model was not fitted to. Samples that lack a modality are left out.
    n_permutations : int, default=999
        Number of permutations. The smallest possible p-value is ``1 / (n_permutations + 1)``.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. Whole participants are then permuted,
        among participants with equally many samples. P-values are then exact if participants are exchangeable; without
        `groups` they are exact if samples are exchangeable. By default the groups of `held_out`.
    random_state : int, RandomState or None, default=0
        Seed of the permutations.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after every 100 permutations.

    Returns
    -------
    JointStructureTest
        With p-value 1 for joint rank 0.

    Raises
    ------
    ValueError
        If there are fewer than 5 complete held-out samples, if `groups` has another length, or if fewer than 120 orders
        of participants can be permuted.

    See Also
    --------
    refit_test : A test of the whole procedure, by fits to shuffled samples.
    deepjive.permutation_test : A test of each joint component of a linear model.
    """
    data = complete(without_rest_of_confounds(model, held_out, with_groups(held_out, groups, model)))
    if len(data) < 5:
        raise ValueError(TOO_FEW.format(given=len(data)))
    draw_order = orders_of(len(data), data.groups, check_random_state(random_state))
    explained = _explained_when_permuted(model, data)
    observed = explained(data.names[0], np.arange(len(data)))
    moves = _moves(data)
    total = n_permutations * len(moves)
    permuted: dict[str, NDArray] = {}
    for moved, names in moves.items():
        draws = []
        for _ in range(n_permutations):
            draws.append(explained(moved, draw_order()))
            done = len(permuted) * n_permutations + len(draws)
            if done % REPORT_EVERY == 0 or done == total:
                progress(done, total, "permuting pairs")
        permuted |= {name: np.array([draw[name] for draw in draws]) for name in names}
    return _test(observed, permuted, model, data, refits=False)


def without_rest_of_confounds(model: Any, held_out: Any, adjusted: Modalities) -> Modalities:
    """Held-out samples without what is left of their confounds."""
    confounds = as_modalities(held_out).confounds
    adjustment = Adjustment.from_state(getattr(model, "adjustment_", {}))
    return adjusted if confounds is None or adjustment is None else adjustment.cleaned(adjusted, confounds)


def refit_test(
    model: Any,
    data: Any,
    held_out: Any,
    n_refits: int = 19,
    *,
    groups: ArrayLike | None = None,
    held_out_groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
    progress: Progress = silent,
    **budget: Any,
) -> JointStructureTest:
    """Test for joint structure by fitting the model again to modalities that are shuffled against each other.

    With more than two modalities, each modality is shuffled against the others in separate fits.

    Parameters
    ----------
    model : estimator
        A fitted model. Its ranks and settings are used.
    data, held_out : Modalities, mapping or sequence
        Samples to fit to, and other samples to measure on.
    n_refits : int, default=19
        Number of fits to shuffled samples. With more than two modalities it is the number for each modality, so three
        modalities need three times as many fits. The smallest possible p-value is ``1 / (n_refits + 1)``.
    groups, held_out_groups : array, shape (n_samples,), default=None
        The participant of each sample of `data` and of `held_out`, if participants have several samples. Whole
        participants are then shuffled, among participants with equally many samples. By default the groups of the data.
    random_state : int, RandomState or None, default=0
        Seed of the shuffling.
    progress : callable, default=silent
        Called as ``progress(done, total, message)`` after each fit.
    **budget
        Parameters of every fit, also of the fit to the true pairs. By default at most 50 epochs.

    Returns
    -------
    JointStructureTest

    Raises
    ------
    ValueError
        If only one of `groups` and `held_out_groups` is known, if one has another length, if a participant is in both,
        or if fewer than 120 orders of participants can be permuted.

    See Also
    --------
    joint_structure_test : A test of one fitted model, without new fits.
    """
    data, held_out = complete(with_groups(data, groups, model)), complete(with_groups(held_out, held_out_groups, model))
    if (data.groups is None) != (held_out.groups is None):
        raise ValueError(GROUPS_OF_BOTH.format(given="held_out_groups" if data.groups is None else "groups"))
    rng = check_random_state(random_state)
    budget = budget or {"max_epochs": min(BUDGET, getattr(model, "max_epochs", BUDGET))}
    check_apart(data.groups, held_out.groups)
    moves, n_done = _moves(data), 0
    n_fits = 1 + n_refits * len(moves)

    def explained(train: Modalities, test: Modalities) -> dict[str, float]:
        nonlocal n_done
        fractions = explained_by(refitted(model, train, **budget), test)
        n_done += 1
        progress(n_done, n_fits, "fitting to shuffled samples")
        return fractions

    observed = explained(data, held_out)
    permuted: dict[str, NDArray] = {}
    for moved, names in moves.items():
        draws = [explained(_separated(data, moved, rng), _separated(held_out, moved, rng)) for _ in range(n_refits)]
        permuted |= {name: np.array([draw[name] for draw in draws]) for name in names}
    return _test(observed, permuted, model, held_out, refits=True)


def explained_by(model: Any, data: Any) -> dict[str, float]:
    """Return the fraction of each modality's variance that is predicted from the other modalities.

    Parameters
    ----------
    model : estimator
        A fitted model. For a model that needs all modalities at once, the joint part is measured instead of the
        prediction.
    data : Modalities, mapping or sequence
        Complete samples. Missing values (NaN), which a model with ``missing="impute"`` accepts, are left out.

    Returns
    -------
    dict of str to float
        1 for a perfect prediction, 0 for predicting the mean, negative for a worse prediction.
    """
    data = with_groups(data, None, model)
    if measure_of(model) == JOINT_PART:
        joint = model.decompose(data).joint
        return {name: r2(data[name][:], joint[name]) for name in data.names}
    return {name: _r2_of_measured(data[name][:], model.impute(data, name)) for name in data.names}


def measure_of(model: Any) -> str:
    """Return the name of the measure: the joint part for a model that needs all modalities, else the prediction."""
    return JOINT_PART if model.needs_all_modalities else PREDICTION


def shuffled(
    data: Any, random_state: int | np.random.RandomState | None = 0, groups: ArrayLike | None = None
) -> Modalities:
    """Permute the samples of each modality independently, so that nothing is joint.

    Parameters
    ----------
    data : Modalities, mapping or sequence
        Samples.
    random_state : int, RandomState or None, default=0
        Seed of the orders.
    groups : array, shape (n_samples,), default=None
        The participant of each sample, if participants have several samples. Whole participants are then permuted,
        among participants with equally many samples, so that the samples of a participant stay alike in each modality.
        A participant whose number of samples no other participant has keeps its pairs. By default the groups of `data`.

    Returns
    -------
    Modalities

    Raises
    ------
    ValueError
        If `groups` has another length, if fewer than 120 orders of participants can be permuted, or if the data have
        confounds: they belong to samples and would not move with a modality.
    """
    data = with_groups(data, groups)
    if data.confounds is not None:
        raise ValueError(CONFOUNDED.format(confounds=list(data.confounds.columns)))
    draw_order = orders_of(len(data), data.groups, check_random_state(random_state))
    return _without_names(data, {name: data.rows(name, draw_order()) for name in data.names})


def p_value_of(observed: float, permuted: NDArray) -> float:
    """Return the fraction of values, the observed value among them, that are at least as large as the observed."""
    tolerance = 1e-12 * max(1.0, abs(observed))
    as_large = ~(permuted < observed - tolerance)  # NaN counts as large
    return float((1 + np.sum(as_large)) / (1 + len(permuted)))


def _moves(data: Modalities) -> dict[str, tuple[str, ...]]:
    """Return the modalities that are permuted one by one, each with the modalities whose p-values result."""
    return {data.names[0]: data.names} if len(data.names) == 2 else {name: (name,) for name in data.names}


def _separated(data: Modalities, moved: str, rng: np.random.RandomState) -> Modalities:
    """Shuffle one modality against the others; two modalities are both shuffled, which is equivalent."""
    if len(data.names) == 2:
        return shuffled(data, rng)
    return _with_order(data, moved, orders_of(len(data), data.groups, rng)())


def _test(
    observed: dict[str, float], permuted: dict[str, NDArray], model: Any, data: Modalities, refits: bool
) -> JointStructureTest:
    p_values = {name: p_value_of(observed[name], permuted[name]) for name in data.names}
    overall = max(p_values.values())
    if len(p_values) == 2:
        mean_permuted = np.mean([permuted[name] for name in data.names], axis=0)
        overall = p_value_of(float(np.mean([observed[name] for name in data.names])), mean_permuted)
    chance = {name: float(np.percentile(permuted[name], 95)) for name in data.names}
    count = len(permuted[data.names[0]])
    return JointStructureTest(overall, observed, chance, p_values, measure_of(model), len(data), count, refits)


def _explained_when_permuted(model: Any, data: Modalities) -> Callable[[str, NDArray[np.intp]], dict[str, float]]:
    """Return a function of a modality and an order of its samples; it gives the variance explained of each modality."""
    if measure_of(model) == JOINT_PART:
        return lambda moved, order: explained_by(model, _with_order(data, moved, order))
    products = {name: _Products.of(data[name][:], model.impute(data, name)) for name in data.names}
    unmoved = np.arange(len(data))

    def explained(moved: str, order: NDArray[np.intp]) -> dict[str, float]:
        # The moved modality's samples meet unmoved predictions; other samples meet predictions that moved.
        orders = {name: (order, unmoved) if name == moved else (unmoved, order) for name in data.names}
        return {name: products[name].r2(*orders[name]) for name in data.names}

    return explained


def _with_order(data: Modalities, moved: str, order: NDArray[np.intp]) -> Modalities:
    arrays = {name: data.rows(name, order) if name == moved else data[name] for name in data.names}
    return _without_names(data, arrays)


def _without_names(data: Modalities, arrays: dict[str, Any]) -> Modalities:
    """Other values of the same participants, whose samples have no names; values that were adjusted still are."""
    changed = Modalities(arrays, groups=data.groups)
    if data.is_adjusted:
        return changed.adjusted_to({}, data.magnitudes)
    return changed.transformed_to({}, data.magnitudes) if data.is_transformed else changed


def _r2_of_measured(samples: NDArray, predictions: NDArray) -> float:
    if not np.isnan(samples).any():
        return r2(samples, predictions)
    x, p, measured = _centred(samples, predictions)
    total = float(np.square(x).sum())
    return 1.0 - float(np.square(x - measured * p).sum()) / total if total else float("nan")


def _centred(samples: NDArray, predictions: NDArray) -> tuple[NDArray, NDArray, NDArray[np.bool_] | None]:
    """Centre samples and predictions, shape (n, p), and say which values were measured: None for all.

    Both are divided by one power of two near the largest sample. A missing value becomes 0, the mean.
    """
    x, p = (np.asarray(array, dtype=np.float64).reshape(len(array), -1) for array in (samples, predictions))
    unit = power_of_two(float(np.abs(x[~np.isnan(x)]).max(initial=0.0)))  # so that squares neither overflow nor vanish
    x, p = x / unit, p / unit
    p = p - p.mean(axis=0)
    measured = ~np.isnan(x)
    if measured.all():
        return x - x.mean(axis=0), p, None
    count = np.maximum(measured.sum(axis=0), 1)
    return np.where(measured, x - np.where(measured, x, 0.0).sum(axis=0) / count, 0.0), p, measured


@dataclass(frozen=True)
class _Products:
    """Inner products of all samples with all predictions, from which R2 of any pairing follows."""

    cross: NDArray
    samples: float
    predictions: NDArray

    @classmethod
    def of(cls, samples: NDArray, predictions: NDArray) -> _Products:
        x, p, measured = _centred(samples, predictions)
        squares = np.square(p)
        lengths = np.tile(squares.sum(axis=1), (len(x), 1)) if measured is None else measured @ squares.T
        return cls(x @ p.T, float(np.square(x).sum()), lengths)

    def r2(self, samples: NDArray[np.intp], predictions: NDArray[np.intp]) -> float:
        """Return ``1 - |X - P|^2 / |X|^2`` over measured values, for samples and predictions in these orders."""
        if self.samples == 0.0:
            return 0.0
        gained = 2.0 * self.cross[samples, predictions] - self.predictions[samples, predictions]
        return float(gained.sum()) / self.samples
