import numpy as np
import pytest
from scipy import stats

from deepjive.linear.bounds import (
    cutoff,
    generator,
    perturbation_samples,
    raised_norms,
    random_direction_samples,
    residual_norm_samples,
    wedin_samples,
)

DRAWS = 1500
# p-value of a Kolmogorov-Smirnov test on seeded draws of one distribution; about 30 such tests are made
LEAST_P = 1e-3


def directions(basis, r, rng):
    """Random orthonormal directions in the span of a basis, drawn literally."""
    return np.linalg.qr(basis @ rng.normal(size=(basis.shape[1], r)))[0]


@pytest.fixture(scope="module", params=[(12, 30, 3), (25, 9, 2), (10, 10, 2), (8, 9, 5)])
def literal(request):
    """Shape, singular values, and literal draws of |X Q| and |X' Q'|."""
    n, d, r = request.param
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d))
    u, s, vt = np.linalg.svd(x)
    right = [np.linalg.norm(x @ directions(vt[r:].T, min(r, d - r), rng), 2) for _ in range(DRAWS)]
    left = [np.linalg.norm(x.T @ directions(u[:, r:], min(r, n - r), rng), 2) for _ in range(DRAWS)]
    return (n, d, r), s, np.array(right), np.array(left)


def test_norms_are_distributed_as_literal_draws(literal):
    (n, d, r), s, right, left = literal
    m = min(n, d)
    for drawn, null in ((right, d - m), (left, n - m)):
        ours = residual_norm_samples(s[r:], r, null, DRAWS, generator(0))
        # where the directions fill the space, the norm is the top singular value up to rounding in float32
        assert stats.ks_2samp(drawn.round(4), ours.round(4)).pvalue > LEAST_P


def test_norms_finished_only_where_they_win_have_the_same_distribution(literal):
    (n, d, r), s, right, left = literal
    wide = right if d >= n else left
    for norms in (np.zeros(DRAWS), np.random.default_rng(1).permutation(left if d >= n else right)):
        ours = raised_norms(norms, s[r:], r, abs(d - n), generator(1))
        assert stats.ks_2samp(np.maximum(norms, wide).round(4), ours.round(4)).pvalue > LEAST_P


def test_draws_are_finished_from_the_products_that_bounded_them():
    # with equal singular values the norm is that of the products alone, so that half of the draws exceed its median
    residual, draws = np.ones(20), 4000
    median = np.median(residual_norm_samples(residual, 2, 60, draws, generator(0)))
    raised = raised_norms(np.full(draws, median), residual, 2, 60, generator(1))
    # four standard errors of a proportion of two samples
    assert np.mean(raised > median) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 * 2 / draws))


def test_perturbations_are_distributed_as_literal_draws(literal):
    (n, d, r), s, right, left = literal
    drawn = np.minimum(np.maximum(right, left) / s[r - 1], 1.0)
    ours = perturbation_samples(s, r, n, d, DRAWS, generator(2))
    assert stats.ks_2samp(drawn.round(4), ours.round(4)).pvalue > LEAST_P


@pytest.mark.parametrize(("ranks", "n"), [((2, 3), 20), ((3, 4, 5), 9), ((1, 1), 50)])
@pytest.mark.parametrize("weights", [None, [1.5, 0.5, 1.0]])
def test_random_directions_are_distributed_as_literal_draws(ranks, n, weights):
    weights = None if weights is None else np.array(weights[: len(ranks)])
    factors = np.ones(len(ranks)) if weights is None else np.sqrt(weights)
    rng = np.random.default_rng(0)
    drawn = [
        np.linalg.norm(np.hstack([f * directions(np.eye(n), r, rng) for f, r in zip(factors, ranks, strict=True)]), 2)
        for _ in range(DRAWS)
    ]
    ours = random_direction_samples(ranks, n, DRAWS, generator(0), weights)
    assert stats.ks_2samp(np.square(drawn), ours).pvalue > LEAST_P


def test_no_signal_and_no_residual():
    values = np.array([2.0, 1.0])
    assert (perturbation_samples(values, 0, 5, 2, 3, generator(0)) == 1.0).all()
    assert (perturbation_samples(values, 2, 5, 2, 3, generator(0)) == 0.0).all()
    assert (random_direction_samples([0, 0], 5, 3, generator(0)) == 0.0).all()
    assert np.isnan(cutoff(random_direction_samples([1, 1], 5, 0, generator(0)), 5.0))


def test_wedin_samples_are_the_sum_of_squared_cosines():
    sines = [np.array([0.0, 0.6]), np.array([1.0, 0.8])]
    np.testing.assert_allclose(wedin_samples(sines), [1.0, 1.0])
    np.testing.assert_allclose(wedin_samples(sines, np.array([1.5, 0.5])), [1.5, 1.5 * 0.64 + 0.5 * 0.36])


def test_generator_takes_every_kind_of_random_state():
    same = [generator(state).random() for state in (0, 0)]
    assert same[0] == same[1]
    legacy = [generator(np.random.RandomState(0)).random() for _ in range(2)]
    assert legacy[0] == legacy[1]
    rng = np.random.default_rng(0)
    assert generator(rng) is rng
