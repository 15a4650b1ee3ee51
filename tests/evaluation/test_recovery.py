"""Recovery of a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive.evaluation import canonical_correlations, matched, principal_angles, r2


def test_an_exactly_recovered_part_has_r2_1_whatever_its_mean() -> None:
    truth = np.random.default_rng(0).normal(size=(30, 4))
    assert r2(truth, truth + 7.0) == pytest.approx(1.0)
    assert r2(truth, np.zeros_like(truth)) == 0.0


def test_angles_are_those_of_the_spaces_not_of_the_axes() -> None:
    rng = np.random.default_rng(0)
    truth = np.linalg.qr(rng.normal(size=(400, 3)) - rng.normal(size=3))[0]
    truth = np.linalg.qr(truth - truth.mean(axis=0))[0]
    turned = np.cos(np.radians(30)) * truth[:, 0] + np.sin(np.radians(30)) * truth[:, 2]
    found = np.c_[truth[:, 1] - 2 * turned, turned]
    np.testing.assert_allclose(principal_angles(truth[:, :2], found), [0.0, 30.0], atol=1e-5)
    np.testing.assert_allclose(canonical_correlations(truth[:, :2], found), [1.0, np.cos(np.radians(30))])


def test_rank_0_has_no_angles() -> None:
    assert principal_angles(np.ones((5, 0)), np.ones((5, 2))).shape == (0,)


def test_scores_are_matched_in_order_and_sign() -> None:
    truth = np.random.default_rng(1).normal(size=(200, 3))
    scores, correlations = matched(truth, np.c_[-truth[:, 2], truth[:, 0], -2 * truth[:, 1]])
    np.testing.assert_allclose(correlations, 1.0)
    np.testing.assert_allclose(scores, truth * [1, 2, 1])


def test_a_true_score_without_a_partner_has_correlation_0() -> None:
    truth = np.random.default_rng(1).normal(size=(200, 3))
    scores, correlations = matched(truth, truth[:, [1]])
    np.testing.assert_allclose(correlations, [0.0, 1.0, 0.0])
    assert not scores[:, [0, 2]].any()


def test_scores_of_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(5, 2\) and the second \(6, 2\)"):
        matched(np.ones((5, 2)), np.ones((6, 2)))
