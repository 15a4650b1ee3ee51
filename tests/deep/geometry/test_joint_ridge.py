"""The joint ridge regression: against direct solutions, and held-out prediction at every rank from one fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from deepjive.deep.geometry.joint_ridge import (
    PENALTIES,
    Spectrum,
    cross_validate,
    encoder_targets,
    fit_joint_ridge,
    folds,
    reduced,
    target_scores,
)


def modalities(n: int = 120, widths: tuple[int, ...] = (15, 9, 12), rank: int = 2, seed: int = 0) -> list[NDArray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, rank))
    return [z @ rng.normal(size=(rank, p)) + rng.normal(size=(n, p)) for p in widths]


def scaled(xs: list[NDArray]) -> list[NDArray]:
    centred = [x - x.mean(axis=0) for x in xs]
    return [x / np.sqrt(np.square(x).sum() / len(x)) for x in centred]


def test_encoders_minimize_the_penalized_distance_of_the_others_mean_from_the_targets() -> None:
    xs = scaled(modalities())
    spectra, penalty = [Spectrum.of(x) for x in xs], 5.0
    scores = target_scores(xs, spectra, 3)
    target = encoder_targets(spectra, scores, penalty)
    encoders = [x.T @ spectrum.dual(target, penalty) for x, spectrum in zip(xs, spectra, strict=True)]
    count = len(xs)
    rows, right = [], []
    for k in range(count):  # the same least squares problem, stacked and solved at once
        rows.append(np.hstack([np.zeros_like(x) if j == k else x / (count - 1) for j, x in enumerate(xs)]))
        right.append(scores)
    stacked, wanted = np.vstack(rows), np.vstack(right)
    ridge = penalty / (count - 1) ** 2 * np.eye(stacked.shape[1])
    direct = np.linalg.solve(stacked.T @ stacked + ridge, stacked.T @ wanted)
    np.testing.assert_allclose(np.vstack(encoders), direct, atol=1e-6 * np.abs(direct).max())  # conjugate gradients


def test_two_modalities_have_a_ridge_regression_each() -> None:
    x, y = scaled(modalities(widths=(15, 9)))
    spectra = [Spectrum.of(x), Spectrum.of(y)]
    scores = target_scores([x, y], spectra, 2)
    np.testing.assert_array_equal(encoder_targets(spectra, scores, 3.0), scores)
    direct = np.linalg.solve(x.T @ x + 3.0 * np.eye(15), x.T @ scores)
    np.testing.assert_allclose(x.T @ spectra[0].dual(scores, 3.0), direct, atol=1e-10)  # rounding


def test_coordinates_of_wide_samples_keep_their_inner_products() -> None:
    x = np.random.default_rng(0).normal(size=(20, 300))
    assert reduced(x).shape == (20, 20)
    np.testing.assert_allclose(reduced(x) @ reduced(x).T, x @ x.T, atol=1e-9)  # rounding


def test_held_out_errors_are_those_of_a_fit_to_the_other_folds() -> None:
    xs = modalities(n=60)
    held_out = cross_validate(xs, 3, seed=1)
    train, test = next(iter(folds(60, 1)))
    means = [x[train].mean(axis=0) for x in xs]
    sizes = [np.sqrt(np.square(x[train] - m).sum() / len(train)) for x, m in zip(xs, means, strict=True)]
    seen = [(x[train] - m) / s for x, m, s in zip(xs, means, sizes, strict=True)]
    unseen = [(x[test] - m) / s for x, m, s in zip(xs, means, sizes, strict=True)]
    spectra, penalty = [Spectrum.of(x) for x in seen], PENALTIES[2] * len(train)
    scores = target_scores(seen, spectra, 3)
    target = encoder_targets(spectra, scores, penalty)
    latents = [new @ x.T @ s.dual(target, penalty) for new, x, s in zip(unseen, seen, spectra, strict=True)]
    predicted = (latents[1] + latents[2])[:, :2] / 2 @ (scores[:, :2].T @ seen[0] / len(train))
    np.testing.assert_allclose(held_out.squares[2, 0, 1, test], np.square(predicted).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(held_out.products[2, 0, 1, test], (predicted * unseen[0]).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 3])
def test_scores_beyond_those_that_predict_are_known(rank: int) -> None:
    counts = [fit_joint_ridge(scaled(modalities(400, rank=rank, seed=seed)), 8, seed).predicted for seed in range(5)]
    assert min(counts) >= rank
    assert np.median(counts) == rank


def test_encoders_give_the_latents_whatever_the_units_of_the_modalities() -> None:
    xs = [1000.0 * (x - x.mean(axis=0)) if k == 1 else x - x.mean(axis=0) for k, x in enumerate(modalities())]
    ridge = fit_joint_ridge(xs, 2, 0)
    for x, weights, latents in zip(xs, ridge.encoders, ridge.latents, strict=True):
        np.testing.assert_allclose(x @ (x.T @ weights), latents, atol=1e-8)  # rounding


def test_folds_never_split_a_participant_and_do_not_depend_on_names() -> None:
    groups = np.array(["b", "a", "b", "c", "a", "d", "e", "c", "f", "f"])
    for train, test in folds(10, 0, groups):
        assert not set(groups[train]) & set(groups[test])
        assert sorted([*train, *test]) == list(range(10))
    named = list(folds(6, 0, np.array(list("fbdace"))))
    for (train, test), (plain_train, plain_test) in zip(named, folds(6, 0), strict=True):
        np.testing.assert_array_equal(train, plain_train)
        np.testing.assert_array_equal(test, plain_test)
