import numpy as np
import pytest

from deepjive.linear.ranks import SignalRank, marchenko_pastur_median, numerical_rank, omega
from deepjive.linear.streaming import Pieces
from deepjive.linear.svd import reduce, signal_svd


def noisy(n, d, rank, strength, seed):
    rng = np.random.default_rng(seed)
    return strength * rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) + rng.normal(size=(n, d))


def rank_of(x, rule):
    pieces = Pieces(x)
    return signal_svd(pieces, SignalRank(pieces, rule, seed=0))[1].vectors.shape[1]


def test_omega_matches_the_published_values():
    # Gavish and Donoho 2014, Table IV; for 1.0 the exact value 4 / sqrt(3) / 0.8079455 is 2.85836, not 2.8582
    for beta, expected in {0.05: 1.5194, 0.5: 2.1711, 1.0: 2.8582}.items():
        assert omega(beta) == pytest.approx(expected, abs=2e-4)


def test_marchenko_pastur_median_is_the_median_of_white_noise():
    values = np.linalg.svd(np.random.default_rng(0).normal(size=(400, 1000)), compute_uv=False)
    # fluctuations of the bulk's median are of order 1/n
    assert np.median(values**2 / 1000) == pytest.approx(marchenko_pastur_median(0.4), rel=0.01)


@pytest.mark.parametrize("rule", ["gavish_donoho", "parallel"])
@pytest.mark.parametrize("shape", [(60, 300), (300, 40), (80, 80)])
def test_rank_of_a_clear_signal_is_found(rule, shape):
    assert [rank_of(noisy(*shape, rank, 1.0, rank), rule) for rank in (1, 4)] == [1, 4]


@pytest.mark.parametrize("rule", ["gavish_donoho", "parallel"])
def test_white_noise_has_no_signal(rule):
    # parallel analysis lets chance through in about 5% of data sets, the hard threshold in hardly any
    found = [rank_of(noisy(50, 120, 0, 0.0, seed), rule) for seed in range(10)]
    assert sum(rank > 0 for rank in found) <= 2


@pytest.mark.parametrize("rule", ["gavish_donoho", "parallel"])
@pytest.mark.parametrize("shape", [(40, 200), (200, 40)])
def test_rank_of_noise_free_data_is_their_rank(rule, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(shape[0], 5)) @ rng.normal(size=(5, shape[1]))
    assert rank_of(x, rule) <= 5
    if rule == "gavish_donoho":
        assert rank_of(x, rule) == 5


def test_duplicated_columns_do_not_raise_the_rank():
    x = np.repeat(noisy(50, 30, 2, 2.0, 0), 10, axis=1)
    assert numerical_rank(reduce(Pieces(x), exact=True), reduce(Pieces(x), exact=True).svd()) == 30
    assert rank_of(x, "parallel") >= 2


def test_unknown_rule_is_named():
    with pytest.raises(ValueError, match="rank_rule must be one of"):
        SignalRank(Pieces(np.eye(3)), "elbow")
