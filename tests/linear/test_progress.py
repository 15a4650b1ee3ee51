"""Long functions report every step, and reporting changes no result."""

import numpy as np
import pytest

from deepjive import AJIVE, Modalities, bootstrap, fill_missing, jackstraw, permutation_test
from deepjive.linear.alternation import alternate
from deepjive.linear.factor import make_factor
from deepjive.linear.gaps import fit_with_gaps
from deepjive.linear.jive_ranks import FixedRanks, bic_search, permutation_search
from deepjive.linear.streaming import Pieces


def simulated(names="ab"):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 1))
    return {name: z @ rng.normal(size=(1, 20)) + rng.normal(size=(40, 20)) for name in names}


def with_missing_values():
    rng = np.random.default_rng(1)
    return {name: np.where(rng.random(x.shape) < 0.1, np.nan, x) for name, x in simulated().items()}


def fitted(data):
    return AJIVE(joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0).fit(data)


def estimate(matrices):
    return lambda joint_rank, individual_ranks: alternate(matrices, joint_rank, individual_ranks, tol=1e-3)


def factors():
    return [make_factor(name, Pieces(x)) for name, x in simulated().items()]


def searched_by_permutations(progress):
    modalities, rng = factors(), np.random.default_rng(0)
    step = estimate([factor.matrix for factor in modalities])
    return permutation_search(modalities, step, FixedRanks(None, None), 20, 0.05, rng, progress=progress).history


def searched_by_bic(progress):
    modalities = factors()
    step = estimate([factor.matrix for factor in modalities])
    return bic_search(modalities, step, FixedRanks(None, None), progress=progress).history


def filled_and_fitted(progress):
    model = AJIVE(joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0, missing="impute")
    return fit_with_gaps(model, Modalities(with_missing_values()), progress=progress).joint_scores_


def permuted(names):
    return lambda progress: (
        permutation_test(fitted(simulated(names)), 3, n_components=2, random_state=0, progress=progress).permuted
    )


def jackstrawed(progress):
    data = simulated()
    return jackstraw(fitted(data), data, "a", n_repeats=4, random_state=0, progress=progress).p_values


def bootstrapped(progress):
    data = simulated()
    return bootstrap(fitted(data), data, n_draws=3, random_state=0, progress=progress).joint_loadings["a"]


def filled(progress):
    return fill_missing(with_missing_values(), 2, progress=progress)["b"][:]


# the function, and its number of steps: permutations of each component (and each of three modalities), repeats, draws
# and modalities; None where the data decide when the function ends
FUNCTIONS = {
    "permutation_test of two": (permuted("ab"), 6),
    "permutation_test of three": (permuted("abc"), 18),
    "jackstraw": (jackstrawed, 4),
    "bootstrap": (bootstrapped, 5),
    "fill_missing": (filled, None),
    "fit_with_gaps": (filled_and_fitted, None),
    "permutation_search": (searched_by_permutations, None),
    "bic_search": (searched_by_bic, None),
}


@pytest.mark.parametrize(("function", "n_steps"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_every_step_is_reported_and_changes_no_result(function, n_steps):
    reports = []
    reported = function(lambda done, total, message: reports.append((done, total, message)))
    np.testing.assert_array_equal(reported, function(lambda done, total, message: None))
    assert reports
    assert all(total is None or 0 < done <= total for done, total, _ in reports)
    assert all(isinstance(message, str) and message for _, _, message in reports)
    if n_steps is not None:
        assert [done for done, _, _ in reports] == list(range(1, n_steps + 1))
        assert {total for _, total, _ in reports} == {n_steps}


def test_filling_in_reports_the_modality_and_its_iteration():
    reports = []
    fill_missing(with_missing_values(), 2, progress=lambda done, total, message: reports.append((done, message)))
    for name in "ab":
        steps = [done for done, message in reports if repr(name) in message]
        assert steps == list(range(1, len(steps) + 1))
