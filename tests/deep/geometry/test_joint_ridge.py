"""The joint ridge regression: against direct solutions, and held-out prediction at every rank from one fit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from deepjive.deep.geometry.joint_ridge import (
    GAIN_PENALTY,
    LARGEST_GAIN,
    PENALTIES,
    HeldOut,
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


def contributions(xs: list[NDArray], row: int, rank: int, seed: int) -> list[tuple[NDArray, NDArray, list[NDArray]]]:
    """For each fold its rows, what is held out of the first modality, and what each score predicts of it."""
    parts = []
    for train, test in folds(len(xs[0]), seed):
        means = [x[train].mean(axis=0) for x in xs]
        sizes = [np.sqrt(np.square(x[train] - m).sum() / len(train)) for x, m in zip(xs, means, strict=True)]
        seen = [(x[train] - m) / s for x, m, s in zip(xs, means, sizes, strict=True)]
        unseen = [(x[test] - m) / s for x, m, s in zip(xs, means, sizes, strict=True)]
        spectra, penalty = [Spectrum.of(x) for x in seen], PENALTIES[row] * len(train)
        scores = target_scores(seen, spectra, rank)
        target = encoder_targets(spectra, scores, penalty)
        latents = [new @ x.T @ s.dual(target, penalty) for new, x, s in zip(unseen, seen, spectra, strict=True)]
        z, decoder = sum(latents[1:]) / (len(xs) - 1), scores.T @ seen[0] / len(train)
        parts.append((test, unseen[0], [np.outer(z[:, r], decoder[r]) for r in range(rank)]))
    return parts


def regression_gains(parts: list[tuple[NDArray, NDArray, list[NDArray]]]) -> NDArray:
    design = np.stack([np.concatenate([p[r].ravel() for *_, p in parts]) for r in range(len(parts[0][2]))], axis=1)
    target = np.concatenate([held_out.ravel() for _, held_out, _ in parts])
    total = design.sum(axis=1)
    common = np.clip(total @ target / (total @ total), 0.5, 2.0)
    sizes = GAIN_PENALTY * np.square(design).sum(axis=0)
    gains = np.linalg.solve(design.T @ design + np.diag(sizes), design.T @ target + sizes * common)
    return np.clip(gains, 0.0, LARGEST_GAIN)


def test_held_out_errors_are_those_of_a_fit_to_the_other_folds_with_the_gains_of_the_other_folds() -> None:
    held_out, parts = cross_validate(xs := modalities(n=60), 3, seed=1), contributions(modalities(n=60), 2, 3, seed=1)
    np.testing.assert_allclose(held_out.gains(2, 3)[0], regression_gains(parts), rtol=1e-6)
    first = HeldOut(
        held_out.variance[:1],
        held_out.scores[:, :1],
        held_out.products[:1],
        held_out.decoder_products[:, :1],
        held_out.fold,
    )
    for number, (test, x, predicted) in enumerate(parts):
        others = [part for other, part in enumerate(parts) if other != number]
        for rank in (1, 3):
            gains = regression_gains([(rows, held, predictions[:rank]) for rows, held, predictions in others])
            rest = x - sum(gain * one for gain, one in zip(gains, predicted[:rank], strict=True))
            errors = np.square(rest).sum(axis=1) / held_out.variance[0].mean()
            np.testing.assert_allclose(first.errors([2, 2, 2])[rank - 1, test], errors, rtol=1e-6)
    assert len(xs) == len(held_out.variance) == 3
    np.testing.assert_allclose(held_out.mean_errors[2], held_out.errors([2, 2, 2]).mean(axis=1), rtol=1e-9)


def test_scores_that_predict_differently_well_have_gains_of_their_own() -> None:
    """The second score hardly predicts new samples of few; the first one does."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(80, 2)) * [3.0, 0.4]
    xs = [z @ rng.normal(size=(2, 60)) + rng.normal(size=(80, 60)) for _ in range(2)]
    gains = cross_validate(xs, 6, seed=0).gains(2, 6)
    assert (gains[:, 0] > 0.85).all()
    assert (gains[:, 2:].mean(axis=1) < 0.5 * gains[:, 0]).all()


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
