import numpy as np
import pytest

from deepjive import AJIVE, JIVE, HeteroJIVE
from deepjive.linear import streaming
from deepjive.linear.signal_ranks import (
    SignalRank,
    _feature_halves,
    _quarter_errors,
    marchenko_pastur_median,
    numerical_rank,
    omega,
)
from deepjive.linear.streaming import Pieces
from deepjive.linear.svd import reduce, signal_svd
from tests.linear.tolerances import TWO_ROUTES


def noisy(n, d, rank, strength, seed):
    rng = np.random.default_rng(seed)
    return strength * rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) + rng.normal(size=(n, d))


def rank_of(x, rule):
    pieces = Pieces(x)
    return signal_svd(pieces, SignalRank(pieces, rule, seed=0))[1].vectors.shape[1]


def test_omega_matches_the_published_values():
    # Gavish and Donoho 2014, Table IV, has four decimals; for 1.0 the exact value 4 / sqrt(3) / 0.8079455 is 2.85836
    for beta, expected in {0.05: 1.5194, 0.5: 2.1711, 1.0: 2.8582}.items():
        assert omega(beta) == pytest.approx(expected, abs=2e-4)


def test_marchenko_pastur_median_is_the_median_of_white_noise():
    values = np.linalg.svd(np.random.default_rng(0).normal(size=(400, 1000)), compute_uv=False)
    # fluctuations of the bulk's median are of order 1/n
    assert np.median(values**2 / 1000) == pytest.approx(marchenko_pastur_median(0.4), rel=0.01)


@pytest.mark.parametrize("rule", ["gavish_donoho", "bicrossvalidation"])
@pytest.mark.parametrize("shape", [(60, 300), (300, 40), (80, 80)])
def test_rank_of_a_clear_signal_is_found(rule, shape):
    assert [rank_of(noisy(*shape, rank, 1.0, rank), rule) for rank in (1, 4)] == [1, 4]


@pytest.mark.parametrize("rule", ["gavish_donoho", "bicrossvalidation"])
def test_white_noise_has_no_signal(rule):
    # parallel analysis lets chance through in about 5% of data sets, the hard threshold in hardly any
    ranks = [rank_of(noisy(50, 120, 0, 0.0, seed), rule) for seed in range(10)]
    assert sum(rank > 0 for rank in ranks) <= 2


@pytest.mark.parametrize("rule", ["gavish_donoho", "bicrossvalidation"])
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
    assert rank_of(x, "bicrossvalidation") >= 2


def test_unknown_rule_is_named():
    with pytest.raises(ValueError, match="rank_rule must be one of"):
        SignalRank(Pieces(np.eye(3)), "elbow")


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("shape", [(200, 40), (30, 80)])
def test_width_is_the_number_of_varying_features_in_memory_and_on_disk(monkeypatch, shape, exact, center):
    monkeypatch.setattr(streaming, "PIECE_NUMBERS", 600)
    x = with_constants(noisy(*shape, 2, 1.0, 0))
    x[-1, 1] = x[0, 1]  # varies all the same
    reduced = reduce(Pieces(x, center=center), exact=exact)
    assert reduced.n_features == x.shape[1]
    assert reduced.n_varying == shape[1] + (not center)  # constants that stay span one dimension together
    mask = np.arange(x.shape[1]) != 0
    assert reduce(Pieces(x, mask, center), exact=exact).n_varying == reduced.n_varying - 1
    blank = np.zeros((shape[0], 300))
    assert reduce(Pieces(blank, center=center), exact=exact).n_varying == 0


def with_constants(x, count=60):
    """The matrix, and behind it features that do not vary: more than half of all, some of them 0."""
    return np.hstack([x, np.tile(np.repeat([3.0, 0.0], count // 2), (len(x), 1))])


@pytest.mark.parametrize(
    ("rule", "center"), [("gavish_donoho", True), ("gavish_donoho", False), ("bicrossvalidation", True)]
)
@pytest.mark.parametrize("shape", [(200, 40), (60, 20)])
def test_constant_features_do_not_change_the_rank(shape, rule, center):
    x = noisy(*shape, 1, 1.0, 0)
    both = [Pieces(x), Pieces(with_constants(x), center=center)]
    ranks = [signal_svd(pieces, SignalRank(pieces, rule, seed=0))[1].vectors.shape[1] for pieces in both]
    assert ranks == [1, 1 if center else 2]


@pytest.mark.filterwarnings("ignore:.* are constant:deepjive.adjust.inspection.UnitsWarning")
@pytest.mark.parametrize("model", [AJIVE, HeteroJIVE])
def test_constant_features_do_not_change_a_fit(tmp_path, monkeypatch, model):
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(200, 1))
    data = {name: joint @ rng.normal(size=(1, 40)) + rng.normal(size=(200, 40)) for name in "ab"}
    alone = model(random_state=0).fit(data)
    padded = {name: with_constants(x) for name, x in data.items()}
    stored = {name: np.memmap(tmp_path / name, dtype=float, mode="w+", shape=x.shape) for name, x in padded.items()}
    for name, x in padded.items():
        stored[name][:] = x
    monkeypatch.setattr(streaming, "PIECE_NUMBERS", 600)
    for source in (padded, stored):
        fitted = model(random_state=0).fit(source)
        assert (fitted.joint_rank_, fitted.signal_ranks_, fitted.individual_ranks_) == (
            1,
            {"a": 1, "b": 1},
            alone.individual_ranks_,
        )
        np.testing.assert_allclose(fitted.wedin_samples_, alone.wedin_samples_, rtol=TWO_ROUTES)
        np.testing.assert_allclose(fitted.weights_, alone.weights_, rtol=TWO_ROUTES)
        np.testing.assert_allclose(fitted.joint_scores_, alone.joint_scores_, rtol=0, atol=TWO_ROUTES)


@pytest.mark.filterwarnings("ignore:.* are constant:deepjive.adjust.inspection.UnitsWarning")
def test_constant_features_do_not_change_the_rank_by_bic():
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(60, 1))
    data = {name: 0.5 * joint @ rng.normal(size=(1, 20)) + rng.normal(size=(60, 20)) for name in "ab"}
    padded = {name: with_constants(x, 300) for name, x in data.items()}
    ranks = [
        JIVE(joint_rank="bic", individual_ranks="bic", tol=1e-3).fit(given).rank_history_ for given in (data, padded)
    ]
    np.testing.assert_array_equal(*ranks)


def test_noise_that_differs_between_features_is_no_signal_for_bicrossvalidation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 200)) * np.exp(rng.normal(size=200))
    assert rank_of(x, "bicrossvalidation") == 0
    assert rank_of(x, "gavish_donoho") > 5


@pytest.mark.parametrize("shape", [(40, 100), (60, 30), (50, 70)])
def test_quarters_are_predicted_as_the_definition_says(shape):
    x = noisy(*shape, 4, 2.0, 0)
    predicted, predictors = _feature_halves(Pieces(x), np.random.default_rng(1))
    of_predicted, of_predictors = np.array_split(np.random.default_rng(1).permutation(shape[1]), 2)
    held_out, others = np.array_split(np.arange(shape[0]), 2)
    centred = x - x.mean(axis=0)
    blocks = [
        centred[np.ix_(rows, columns)] for rows in (held_out, others) for columns in (of_predicted, of_predictors)
    ]
    u, s, vt = np.linalg.svd(blocks[3], full_matrices=False)
    errors = _quarter_errors(predicted, predictors, held_out, others)
    for rank in (0, 1, 5):
        prediction = (blocks[1] @ vt[:rank].T / s[:rank]) @ (u[:, :rank].T @ blocks[2])
        assert errors[rank] == pytest.approx(np.sum((blocks[0] - prediction) ** 2), rel=TWO_ROUTES)


def test_a_modality_too_small_to_split_is_refused():
    with pytest.raises(ValueError, match="at least 4 samples and 2 features, but a modality has 9 samples and 1 "):
        AJIVE(rank_rule="bicrossvalidation").fit({"a": np.eye(9)[:, :1], "b": np.eye(9)})
