"""The three orthogonality constraints."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from deepjive.deep.constraints.orthogonality import Adversary, ClosedForm, Regression


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_closed_form_detects_linear_dependence() -> None:
    joint = torch.randn(256, 2)
    dependent = joint @ torch.randn(2, 3)
    assert ClosedForm().penalty([dependent], joint) > 0.95  # 1 without the ridge and the bound on scores


def test_closed_form_detects_curved_dependence() -> None:
    joint = torch.randn(256, 1)
    assert ClosedForm().penalty([joint.square()], joint) > 0.8  # 1 for unlimited random features


def test_closed_form_is_near_zero_for_independent_latents() -> None:
    # 64 random features on 256 samples explain a quarter by chance alone; a ridge and centring keep it near that.
    assert ClosedForm().penalty([torch.randn(256, 2)], torch.randn(256, 2)) < 0.3


def test_closed_form_does_not_depend_on_the_scale_of_the_latents() -> None:
    joint, z = torch.randn(128, 1), torch.randn(128, 1)
    state = torch.get_rng_state()
    small = ClosedForm().penalty([z], joint)
    torch.set_rng_state(state)
    # the constants that keep denominators above zero are at most 1e-6 of a deviation
    torch.testing.assert_close(ClosedForm().penalty([100 * z], joint), small, rtol=1e-3, atol=1e-4)


def test_closed_form_compares_the_modalities_with_each_other() -> None:
    joint, z = torch.randn(256, 1), torch.randn(256, 1)
    alike = ClosedForm().penalty([z, z + 0.1 * torch.randn(256, 1)], joint)
    assert alike > 0.8  # noise leaves 1 / 1.01 of the variance, the random features somewhat less


def test_closed_form_is_the_mean_fraction_that_a_ridge_regression_on_all_other_scores_explains() -> None:
    joint, individual = torch.randn(64, 1), [torch.randn(64, 2), torch.randn(64, 1)]
    individual[0][:, 1] = 100 * (joint[:, 0] + individual[1][:, 0])
    closed_form = ClosedForm(features=0, cosines=0)
    shares = []
    for z, other in (individual, individual[::-1]):
        phi = torch.cat([joint, other], dim=1)
        phi = (phi - phi.mean(0)) / phi.std(0, unbiased=False)
        for s in z.T:
            s = s - s.sort().values[32]
            s = torch.tanh(s / (1.4826 * s.abs().sort().values[32]) / 1.5)
            s = s - s.mean()
            b = torch.linalg.solve(phi.T @ phi + closed_form.ridge * 64 * torch.eye(phi.shape[1]), phi.T @ s)
            shares.append(1 - (s - phi @ b).square().sum() / s.square().sum())
    expected = torch.stack([torch.stack(shares[:2]).mean(), shares[2]]).mean()
    # rounding in single precision
    torch.testing.assert_close(closed_form.penalty(individual, joint), expected, rtol=1e-4, atol=1e-5)


def test_a_few_huge_scores_do_not_lower_the_closed_form_penalty() -> None:
    joint = torch.randn(256, 1)
    z = joint.clone()
    z[:4] = 1000.0 * torch.randn(4, 1)
    assert 1 - torch.corrcoef(torch.cat([z, joint], dim=1).T)[0, 1].square() > 0.95, (
        "most variance belongs to these four"
    )
    assert ClosedForm().penalty([z], joint) > 0.8  # as for the other scores, which equal the joint score


def test_closed_form_detects_by_cosines_a_spread_that_depends_on_the_joint_scores() -> None:
    joint = torch.randn(512, 1)
    z = torch.randn(512, 1) * joint.exp()
    penalties = {cosines: float(ClosedForm(features=16, cosines=cosines).penalty([z], joint)) for cosines in (0, 64)}
    assert penalties[64] > 0.05 > penalties[0]  # 17 regressors explain 17 / 512 = 0.03 by chance


def test_closed_form_gradient_reduces_dependence_and_leaves_the_joint_scores_alone() -> None:
    joint = torch.randn(256, 1, requires_grad=True)
    z = (joint.detach() + 0.5 * torch.randn(256, 1)).requires_grad_()
    closed_form = ClosedForm()
    before = closed_form.penalty([z], joint)
    before.backward()
    assert joint.grad is None
    assert closed_form.penalty([z.detach() - 50.0 * z.grad], joint) < before


@pytest.mark.parametrize(("n_joint", "least"), [(9, 0.6), (40, 0.28)])
def test_closed_form_tells_dependence_from_chance_where_there_are_more_scores_than_samples(
    n_joint: int, least: float
) -> None:
    joint, others = torch.randn(64, n_joint), torch.randn(64, 64)
    latents = [torch.randn(64, 16), joint @ torch.randn(n_joint, 16)]
    independent, dependent = (
        sum(float(ClosedForm().explained(z, torch.cat([joint, others], dim=1), n_joint)) for _ in range(20)) / 20
        for z in latents
    )
    # 16 regressors explain 16 / 64 by chance, all of them nearly everything. Of 40 joint scores 16 mixtures are used.
    assert independent < 0.27 < least < dependent


def test_ranks_of_zero_give_no_penalty() -> None:
    assert ClosedForm().penalty([torch.zeros(8, 0)], torch.randn(8, 1)) == 0.0
    assert Regression(1, [0]).penalty([torch.zeros(8, 0)], torch.randn(8, 1)) == 0.0
    for adversary, latents in ((Adversary(1, [0]), torch.zeros(8, 0)), (Adversary(0, [2]), torch.randn(8, 2))):
        joint = torch.randn(8, len(latents.T) == 0)
        assert adversary.penalty([latents], joint) == adversary.fit_term([latents], joint) == 0.0
        assert adversary.decoded(0, latents, joint) is latents


def test_regression_network_learns_dependence_and_its_residual_is_free_of_it() -> None:
    joint = torch.randn(256, 1)
    z = torch.sin(2 * joint) + 0.2 * torch.randn(256, 1)
    regression = Regression(1, [1])
    optimizer = torch.optim.Adam(regression.parameters(), 1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        regression.fit_term([z], joint).backward()
        optimizer.step()
    assert regression.penalty([z], joint) > 0.8  # noise is 0.04 / 0.54 = 0.07 of the variance
    # a quarter is explained by chance, as in the test of independent latents
    assert ClosedForm().penalty([regression.decoded(0, z, joint).detach()], joint) < 0.35


def test_regression_penalty_moves_the_latents_not_the_network() -> None:
    joint, z = torch.randn(64, 1), torch.randn(64, 1, requires_grad=True)
    regression = Regression(1, [1])
    regression.penalty([z + joint], joint).backward()
    assert z.grad is not None
    assert all(weight.grad is None for weight in regression.parameters())


def test_regression_fit_term_moves_the_network_not_the_latents() -> None:
    joint, z = torch.randn(64, 1), torch.randn(64, 1, requires_grad=True)
    regression = Regression(1, [1])
    regression.fit_term([z], joint).backward()
    assert z.grad is None
    assert all(weight.grad is not None for weight in regression.parameters())


def trained(adversary: Adversary, individual: list[torch.Tensor], joint: torch.Tensor) -> Adversary:
    optimizer = torch.optim.Adam(adversary.parameters(), 1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        adversary.fit_term(individual, joint).backward()
        optimizer.step()
    return adversary.eval()


def test_adversary_detects_dependence_that_a_batch_is_too_small_to_show() -> None:
    """The joint score is the product of three signs: no sum of functions of single scores predicts it."""
    corners = torch.randint(0, 2, (8192, 3)) * 2.0 - 1.0
    z, joint = corners + 0.1 * torch.randn(8192, 3), corners.prod(1, keepdim=True)
    batch = slice(0, 64)
    assert (
        trained(Adversary(1, [3]), [z[2048:]], joint[2048:]).penalty([z[batch]], joint[batch]) > 0.8
    )  # 1 for a perfect prediction
    permuted = z[batch][torch.randperm(64)]
    by_chance = ClosedForm().penalty([permuted], joint[batch])
    # two draws of random features differ by some hundredths
    assert ClosedForm().penalty([z[batch]], joint[batch]) < by_chance + 0.1


def test_adversary_predicts_the_other_modalities_individual_latents_too() -> None:
    z = torch.randn(512, 1)
    alike, joint = [z, z + 0.1 * torch.randn(512, 1)], torch.zeros(512, 0)
    # a perfect prediction has 1 / 1.01 of the variance
    assert trained(Adversary(0, [1, 1]), alike, joint).penalty(alike, joint) > 0.8


def test_adversary_penalty_moves_the_latents_and_its_fit_term_the_network() -> None:
    joint, z = torch.randn(64, 1, requires_grad=True), torch.randn(64, 1, requires_grad=True)
    adversary = Adversary(1, [1])
    adversary.penalty([z + joint.detach()], joint).backward()
    assert z.grad is not None
    assert z.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in adversary.parameters())
    z.grad = None
    adversary.fit_term([z], joint).backward()
    assert z.grad is None
    assert all(weight.grad is not None for weight in adversary.parameters())
    assert joint.grad is None


def test_adversary_adds_noise_in_proportion_to_each_score_and_only_in_training() -> None:
    adversary, z = Adversary(1, [2], noise=0.3), torch.randn(4096, 2) * torch.tensor([1.0, 1e-3])
    noise = adversary.decoded(0, z, z[:, :1]) - z
    # the standard error of a deviation from 4096 samples is 0.01 of it
    torch.testing.assert_close(noise.std(0), 0.3 * z.std(0), rtol=0.05, atol=0)
    assert adversary.eval().decoded(0, z, z[:, :1]) is z


def test_gradients_of_the_adversary_are_finite_for_a_latent_that_does_not_vary() -> None:
    z = torch.zeros(32, 2, requires_grad=True)
    adversary, joint = Adversary(1, [2]), torch.randn(32, 1)
    (adversary.penalty([z], joint) + adversary.decoded(0, z, joint).sum()).backward()
    assert torch.isfinite(z.grad).all()  # type: ignore[arg-type]
