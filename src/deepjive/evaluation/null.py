"""Is there joint structure at all? Two permutation tests, and the fit on samples that were shuffled.

What is joint can be predicted from the other modalities. So the statistic is the fraction of a modality's variance
that `impute` predicts from the others, on samples held out. (The joint part of the modality itself would not do: it has
seen the modality, and explains some of its variance whether or not anything is joint.)

**Pairing test**, the default; nothing is fitted again. If the modalities are independent, the pairs of held-out samples
(x_1, x_2) and the pairs (x_1, x_2 of another held-out sample) have the same distribution, whatever was learned from the
samples fitted: these are other samples, so the model is a fixed function here. The ranks of the statistic among its
values for permuted pairs are therefore uniform, and ``p = (1 + #{as large}) / (1 + permutations)`` is exact for any
model, network and training, good or bad (Lehmann and Romano 2005, Testing statistical hypotheses, theorem 15.2.1;
Phipson and Smyth 2010 for the ones). A bad model costs power, not validity. It asks that held-out samples are
independent of each other and of those fitted. Repeated visits of one person are not independent: they belong to one
side, and with `groups` persons are permuted and not visits (`deepjive.data.groups`). Single values that are
missing are left out of the statistic, and change places with their samples, so that the test stays exact.

**Refit test** (`refit_test`): the model is fitted again for each shuffling, and the data's own statistic comes from a
fit of the same budget. It holds for the whole procedure rather than for one fitted model, for the price of the fits.

With more than two modalities each is permuted, or shuffled, against all others, which stay together: were these taken
apart as well, a modality that shares nothing would stand out from chance by what the others share. The p-value of joint
structure is the largest, because what is joint is in all of them (an intersection-union test: Berger 1982,
Technometrics 24).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from deepjive.data.groups import check_apart, orders_of
from deepjive.data.modalities import Modalities
from deepjive.evaluation.recovery import r2
from deepjive.evaluation.refit import complete, refitted, with_groups

PREDICTION, JOINT_PART = "prediction from the other modalities", "joint part"
BUDGET = 50

TOO_FEW = (
    "A permutation test of pairs needs at least 5 held-out samples that have every modality, but there are {given}. "
    "Hold out more samples."
)
GROUPS_OF_BOTH = (
    "Only {given} was given, or is known of the data; participants are shuffled among the samples fitted and among "
    "those held out: give both groups and held_out_groups."
)


@dataclass(frozen=True)
class JointStructureTest:
    """A permutation test of joint structure.

    Attributes
    ----------
    p_value : float
        Of the hypothesis that nothing is joint: for two modalities that they are independent, for more that at least
        one is independent of the others.
    explained : dict of str to float
        Fraction of each modality's held-out variance that is explained by `measure`.
    chance : dict of str to float
        95th percentile of the same for permuted pairs.
    p_values : dict of str to float
        Of each modality: that it is independent of the others.
    measure : str
        "prediction from the other modalities"; "joint part" for a model that needs all modalities at once.
    n_samples, n_permutations : int
        Held-out samples, and permutations of them or, if `refits`, shuffled fits.
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


def joint_structure_test(
    model: Any,
    held_out: Modalities,
    n_permutations: int = 999,
    *,
    groups: ArrayLike | None = None,
    random_state: int | None = None,
) -> JointStructureTest:
    """Test for joint structure by permuting the pairing of held-out samples; exact, and nothing is fitted again.

    Parameters
    ----------
    model : estimator
        A fitted model.
    held_out : Modalities
        Samples that the model has not seen in fitting. Those that lack a modality are left out.
    n_permutations : int
        Permutations; the smallest possible p-value is ``1 / (n_permutations + 1)``.
    groups : array, shape (n_samples,), optional
        The participant of each sample, where some have several: whole participants are then permuted, among those
        with equally many samples. P-values are exact if participants are exchangeable, however alike the samples of
        one are. Without it, if samples are. By default those of the data.
    random_state : int or None
        Seed of the permutations.

    Returns
    -------
    JointStructureTest
        With p-value 1 for joint rank 0.

    Raises
    ------
    ValueError
        For fewer than 5 complete held-out samples, groups of another length, or participants that can change places
        in fewer than 120 orders.
    """
    data = complete(with_groups(held_out, groups))
    if len(data) < 5:
        raise ValueError(TOO_FEW.format(given=len(data)))
    order = orders_of(len(data), data.groups, check_random_state(random_state))
    explained = _explained_when_permuted(model, data)
    observed = explained(data.names[0], np.arange(len(data)))
    permuted: dict[str, NDArray] = {}
    for moved, names in _moves(data).items():
        draws = [explained(moved, order()) for _ in range(n_permutations)]
        permuted |= {name: np.array([draw[name] for draw in draws]) for name in names}
    return _test(observed, permuted, model, data, refits=False)


def refit_test(
    model: Any,
    data: Modalities,
    held_out: Modalities,
    n_refits: int = 19,
    *,
    groups: ArrayLike | None = None,
    held_out_groups: ArrayLike | None = None,
    random_state: int | None = None,
    on_refit: Callable[[int], None] = lambda done: None,
    **budget: Any,
) -> JointStructureTest:
    """Test for joint structure by fitting again to modalities shuffled against each other.

    Of more than two modalities, each is shuffled against the others in fits of its own.

    Parameters
    ----------
    model : estimator
        A fitted model; its ranks and settings are used.
    data, held_out : Modalities
        Samples to fit to, and others to measure on.
    n_refits : int
        Fits to shuffled samples, of more than two modalities as many for each of them, so that three cost three times
        as much as one; the smallest possible p-value is ``1 / (n_refits + 1)``.
    groups, held_out_groups : array, shape (n_samples,), optional
        The participant of each sample of `data` and of `held_out`, where some have several: whole participants are
        then shuffled, among those with equally many samples. By default those of the data.
    random_state : int or None
        Seed of the shuffling.
    on_refit : callable
        Told the number of fits that are done.
    **budget
        EvidenceSettings of every fit, also of the one to the data as they are; at most 50 epochs by default.

    Returns
    -------
    JointStructureTest

    Raises
    ------
    ValueError
        For groups of samples on one side only, groups of another length, a participant on both sides, or participants
        that can change places in fewer than 120 orders.
    """
    data, held_out = complete(with_groups(data, groups)), complete(with_groups(held_out, held_out_groups))
    if (data.groups is None) != (held_out.groups is None):
        raise ValueError(GROUPS_OF_BOTH.format(given="held_out_groups" if data.groups is None else "groups"))
    rng = check_random_state(random_state)
    budget = budget or {"max_epochs": min(BUDGET, getattr(model, "max_epochs", BUDGET))}
    check_apart(data.groups, held_out.groups)
    done = itertools.count(1)

    def explained(train: Modalities, test: Modalities) -> dict[str, float]:
        found = explained_by(refitted(model, train, **budget), test)
        on_refit(next(done))
        return found

    observed = explained(data, held_out)
    permuted: dict[str, NDArray] = {}
    for moved, names in _moves(data).items():
        draws = [explained(_apart(data, moved, rng), _apart(held_out, moved, rng)) for _ in range(n_refits)]
        permuted |= {name: np.array([draw[name] for draw in draws]) for name in names}
    return _test(observed, permuted, model, held_out, refits=True)


def explained_by(model: Any, data: Modalities) -> dict[str, float]:
    """Fraction of each modality's variance that is predicted from the others; see `measure_of`.

    Of values that were measured: what is missing (NaN), which models fitted with ``missing="impute"`` take, does not
    count.
    """
    if measure_of(model) == JOINT_PART:
        joint = model.decompose(data).joint
        return {name: r2(data[name][:], joint[name]) for name in data.names}
    return {name: _r2_of_measured(data[name][:], model.impute(data, name)) for name in data.names}


def measure_of(model: Any) -> str:
    """What is measured: a model that needs all modalities at once cannot predict one from the others."""
    return JOINT_PART if needs_all(model) else PREDICTION


def needs_all(model: Any) -> bool:
    """Whether joint scores can only be computed from all modalities at once."""
    return getattr(model, "identity", None) == "merged"


def shuffled(data: Modalities, rng: np.random.RandomState, groups: ArrayLike | None = None) -> Modalities:
    """The samples of each modality in an order of their own, so that nothing is joint.

    Parameters
    ----------
    data : Modalities
        Samples.
    rng : RandomState
        What orders are drawn from.
    groups : array, shape (n_samples,), optional
        The participant of each sample, where some have several: whole participants are then dealt, among those with
        equally many samples, so that the samples of one stay alike in each modality. Who shares its number of samples
        with nobody keeps its pairs. By default those of the data.

    Returns
    -------
    Modalities

    Raises
    ------
    ValueError
        For groups of another length, or participants that can change places in fewer than 120 orders.
    """
    data = with_groups(data, groups)
    order = orders_of(len(data), data.groups, rng)
    return Modalities({name: data.rows(name, order()) for name in data.names}, groups=data.groups)


def p_value_of(observed: float, permuted: NDArray) -> float:
    """Fraction of values, the observed one among them, that are at least as large."""
    tolerance = 1e-12 * max(1.0, abs(observed))
    as_large = ~(permuted < observed - tolerance)  # what is not a number counts as large
    return float((1 + np.sum(as_large)) / (1 + len(permuted)))


def _moves(data: Modalities) -> dict[str, tuple[str, ...]]:
    """The modalities that are permuted against the others, one by one, and those whose p-values that gives."""
    return {data.names[0]: data.names} if len(data.names) == 2 else {name: (name,) for name in data.names}


def _apart(data: Modalities, moved: str, rng: np.random.RandomState) -> Modalities:
    """One modality shuffled against the others; two are both shuffled, which is as good."""
    if len(data.names) == 2:
        return shuffled(data, rng)
    return _with_order(data, moved, orders_of(len(data), data.groups, rng)())


def _test(
    observed: dict[str, float], permuted: dict[str, NDArray], model: Any, data: Modalities, refits: bool
) -> JointStructureTest:
    p_values = {name: p_value_of(observed[name], permuted[name]) for name in data.names}
    overall = max(p_values.values())
    if len(p_values) == 2:
        together = np.mean([permuted[name] for name in data.names], axis=0)
        overall = p_value_of(float(np.mean([observed[name] for name in data.names])), together)
    chance = {name: float(np.percentile(permuted[name], 95)) for name in data.names}
    count = len(permuted[data.names[0]])
    return JointStructureTest(overall, observed, chance, p_values, measure_of(model), len(data), count, refits)


def _explained_when_permuted(model: Any, data: Modalities) -> Callable[[str, NDArray[np.intp]], dict[str, float]]:
    """A function of a modality and an order of its samples: what is explained then of each modality."""
    if measure_of(model) == JOINT_PART:
        return lambda moved, order: explained_by(model, _with_order(data, moved, order))
    products = {name: _Products.of(data[name][:], model.impute(data, name)) for name in data.names}
    here = np.arange(len(data))

    def explained(moved: str, order: NDArray[np.intp]) -> dict[str, float]:
        # Moved samples meet predictions that stayed; where samples stayed, the predictions from the moved ones moved.
        orders = {name: (order, here) if name == moved else (here, order) for name in data.names}
        return {name: products[name].r2(*orders[name]) for name in data.names}

    return explained


def _with_order(data: Modalities, moved: str, order: NDArray[np.intp]) -> Modalities:
    arrays = {name: data.rows(name, order) if name == moved else data[name] for name in data.names}
    return Modalities(arrays, groups=data.groups)


def _r2_of_measured(samples: NDArray, predictions: NDArray) -> float:
    if not np.isnan(samples).any():
        return r2(samples, predictions)
    x, p, measured = _centred(samples, predictions)
    total = float(np.square(x).sum())
    return 1.0 - float(np.square(x - measured * p).sum()) / total if total else float("nan")


def _centred(samples: NDArray, predictions: NDArray) -> tuple[NDArray, NDArray, NDArray[np.bool_] | None]:
    """Samples and predictions about their means, shape (n, p), and which values were measured: None for all.

    What was not measured is 0, which is its mean.
    """
    x, p = (np.asarray(array, dtype=np.float64).reshape(len(array), -1) for array in (samples, predictions))
    p = p - p.mean(axis=0)
    measured = ~np.isnan(x)
    if measured.all():
        return x - x.mean(axis=0), p, None
    count = np.maximum(measured.sum(axis=0), 1)
    return np.where(measured, x - np.where(measured, x, 0.0).sum(axis=0) / count, 0.0), p, measured


@dataclass(frozen=True)
class _Products:
    """Inner products of all samples with all predictions: what R2 needs for any pairing of the two."""

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
        """``1 - |X - P|^2 / |X|^2`` over what was measured, for samples and predictions in these orders."""
        if self.samples == 0.0:
            return 0.0
        gained = 2.0 * self.cross[samples, predictions] - self.predictions[samples, predictions]
        return float(gained.sum()) / self.samples
