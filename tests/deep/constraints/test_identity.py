"""The three identity constraints."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from deepjive.deep.constraints.identity import IDENTITIES, Exchange, Explicit, Identity, Merged, Whitening
from deepjive.deep.constraints.presence import Presence


def constraints(rank: int = 2) -> list[Identity]:
    return [Explicit(3, rank), Exchange(3, rank), Merged(3, rank)]


@pytest.mark.parametrize("identity", constraints(), ids=lambda i: type(i).__name__)
def test_scores_without_a_modality_do_not_depend_on_it(identity: Identity) -> None:
    width = identity.latent_width
    latents = [torch.randn(16, width) for _ in range(3)]
    changed = [latents[0], latents[1] + 5.0, latents[2]]
    before = identity.without(identity.prepared(latents), 1)
    after = identity.without(identity.prepared(changed), 1)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)
    with_it = (
        identity.joint(identity.prepared(latents)),
        identity.joint(identity.prepared([latents[0], latents[1] ** 3, latents[2]])),
    )
    assert not torch.allclose(*with_it)


def test_explicit_term_is_zero_for_equal_latents_and_cannot_be_shrunk_away() -> None:
    identity = Explicit(2, 2)
    z, other = torch.randn(64, 2), torch.randn(64, 2)
    assert identity.term(identity.prepared([z, z])) < 1e-6  # zero up to rounding in single precision
    large = identity.term(identity.prepared([z, other]))
    shrunk = identity.term(identity.prepared([z * 1e-3, other * 1e-3]))
    # the ridge is relative to the covariance, but for a constant of 1e-12 beside variances of 1e-6
    torch.testing.assert_close(shrunk, large, rtol=0.01, atol=0.01)


def test_the_explicit_term_cannot_be_lowered_by_one_direction_that_dominates_the_latents() -> None:
    identity, rank = Explicit(2, 3), 3
    z, other = torch.randn(256, rank), torch.randn(256, rank)
    mixing = torch.randn(rank, rank)
    dominated = torch.diag(torch.tensor([1.0, 1e-2, 1e-2])) @ mixing
    even, uneven = (identity.term(identity.prepared([z @ turn, other @ turn])) for turn in (mixing, dominated))
    assert uneven > 0.9 * even  # with a ridge of 1e-3 less than half is left


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_explicit_term_is_twice_the_mean_square_from_the_mean_and_follows_from_pairs(count: int) -> None:
    identity, z = Explicit(count, 2, whiten=False), [torch.randn(16, 2) for _ in range(count)]
    joint = identity.joint(z)
    from_mean = 2 * torch.stack([(z_k - joint).square().mean() for z_k in z]).mean()
    pairs = torch.stack([(a - b).square().mean() for a, b in itertools.combinations(z, 2)])
    all_present = Presence(torch.ones(16, count, dtype=torch.bool))
    for term in (identity.term(z), identity.term(z, all_present)):
        torch.testing.assert_close(term, from_mean)
        torch.testing.assert_close(term, (count - 1) / count * pairs.mean())


def test_without_whitening_the_term_shrinks_with_the_latents() -> None:
    identity = Explicit(2, 2, whiten=False)
    z, other = torch.randn(64, 2), torch.randn(64, 2)
    shrunk, large = (identity.term(identity.prepared([z * scale, other * scale])) for scale in (0.1, 1.0))
    assert shrunk < 0.02 * large  # 0.01 is expected, the square of 0.1


def test_exchange_predicts_a_modality_from_each_other_modality() -> None:
    assert len(Exchange(3, 2).without([torch.randn(4, 2) for _ in range(3)], 0)) == 2


def test_modalities_that_were_not_given_are_left_out_of_the_mean() -> None:
    z = torch.randn(5, 2)
    torch.testing.assert_close(Exchange(3, 2).joint([None, z, None]), z)


def test_whitened_scores_are_uncorrelated_with_variance_one() -> None:
    mixing = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.5, 0.0, 1.0]])
    z = torch.randn(500, 3) @ mixing + 4.0
    white = Whitening(3)(z)
    np.testing.assert_allclose(np.cov(white.detach().numpy().T), np.eye(3), atol=2e-4)


def test_a_covariance_that_is_singular_has_a_whitening() -> None:
    """Of fewer samples than scores, and of scores that repeat each other."""
    few, repeated = torch.randn(48, 64), torch.randn(500, 2) @ torch.randn(2, 64)
    for z in (few, repeated, 1e4 + 1e-3 * repeated):
        whitening = Whitening(64, momentum=0.5)
        for _ in range(50):
            assert whitening(z).isfinite().all()
        assert whitening.eval()(z).isfinite().all()


def test_whitening_uses_running_moments_after_training() -> None:
    whitening = Whitening(2, momentum=1.0)
    z = torch.randn(400, 2) * 3.0 + 1.0
    trained = whitening(z)
    whitening.eval()
    torch.testing.assert_close(whitening(z[:1]), trained[:1])


def test_capabilities_are_those_of_the_three_constraints() -> None:
    assert {name: kind.needs_all_modalities for name, kind in IDENTITIES.items()} == {
        "explicit": False,
        "exchange": False,
        "merged": True,
    }
    assert [name for name, kind in IDENTITIES.items() if kind.has_term] == ["explicit"]
    assert [name for name, kind in IDENTITIES.items() if kind.decodes_each_latent] == ["exchange"]
