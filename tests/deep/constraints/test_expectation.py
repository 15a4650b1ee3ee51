"""The expectation of an individual part given joint scores, and its use in the refinement phase."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from deepjive import DeepJIVE
from deepjive.datasets import make_synthetic
from deepjive.deep.constraints.expectation import Expectation, expected_of
from deepjive.deep.training import objective
from deepjive.deep.training.batches import Batches, Scaling
from deepjive.deep.training.objective import JointPhase, RefinementPhase


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def samples(n: int, explained: float) -> tuple[Tensor, Tensor]:
    """Two scores, and parts of three features; a parabola in the first score has this fraction of their variance."""
    scores = torch.randn(n, 2)
    curve = (scores[:, :1].square() - 1) / 2**0.5
    return scores, explained**0.5 * curve + (1 - explained) ** 0.5 * torch.randn(n, 3)


def learned(*pieces: Tensor) -> Expectation:
    """An expectation estimated from scores and parts, and from those of held-out samples."""
    expectation = Expectation()
    expectation.learn(*pieces)
    return expectation


def within(expectation: Expectation, scores: Tensor, part: Tensor, here: Tensor | None = None) -> Tensor:
    """The expectation of a modality's parts."""
    (expected,) = expected_of([expectation], [scores], [part], [here])
    return expected


def test_a_curve_is_expected_in_its_true_size() -> None:
    expectation = learned(*samples(512, 0.8), *samples(256, 0.8))
    assert expectation.explained == pytest.approx(0.8, abs=0.1)  # 64 random features of 512 samples lose some of it
    scores, part = samples(256, 0.8)
    assert (part - within(expectation, scores, part)).square().mean() < 0.3  # 0.2 is noise


def test_the_expectation_is_zero_for_unrelated_scores() -> None:
    expectation = learned(*samples(512, 0.0), *samples(256, 0.0))
    scores, part = samples(256, 0.0)
    assert within(expectation, scores, part).square().mean() < 0.02 * part.square().mean()  # zero but for chance


def test_with_few_samples_unrelated_parts_are_not_expected_and_related_parts_mostly_are() -> None:
    def mean_share(explained: float) -> float:
        shares = [learned(*samples(100, explained), *samples(50, explained)).share.item() for _ in range(20)]
        return sum(shares) / len(shares)

    assert mean_share(0.0) < 0.05  # 0 but for chance
    assert mean_share(0.8) > 0.65  # below 1: uncertainty shrinks it


def test_a_relation_that_held_out_samples_lack_is_not_expected() -> None:
    (scores, part), held_out = samples(512, 0.8), samples(256, 0.0)
    assert within(learned(scores, part, *held_out), scores, part).square().mean() < 0.02  # zero but for chance
    assert learned(scores, part, scores[:256], part[:256]).explained > 0.7  # of 0.8


def test_an_expectation_has_the_size_of_the_relation_in_held_out_samples() -> None:
    scores, held_out_scores = torch.randn(512, 1), torch.randn(512, 1)
    expectation = learned(scores, scores, held_out_scores, 0.25 * held_out_scores)
    slope = (within(expectation, scores, scores) * scores).mean() / scores.square().mean()
    assert slope.item() == pytest.approx(0.25, abs=0.05)  # sampling error of 512 samples, and the ridge


def test_an_outdated_expectation_is_reduced_to_what_the_parts_still_contain() -> None:
    expectation = learned(*samples(512, 0.8), *samples(256, 0.8))
    scores, part = samples(256, 0.8)
    whole = within(expectation, scores, part)
    quarter = within(expectation, scores, 0.25 * whole / expectation.share + expectation.mean)
    # rounding in single precision
    torch.testing.assert_close(quarter, 0.25 * whole, rtol=1e-3, atol=1e-4)
    assert not within(expectation, scores, -part).any()


def test_samples_that_lack_a_modality_have_no_expectation_and_do_not_change_that_of_others() -> None:
    expectation = learned(*samples(512, 0.8), *samples(256, 0.8))
    scores, part = samples(256, 0.8)
    alone = within(expectation, scores, part)
    here = torch.arange(512) < 256
    padded = within(expectation, torch.cat([scores, scores]), torch.cat([part, torch.zeros_like(part)]), here)
    torch.testing.assert_close(padded[:256], alone)
    assert not padded[256:].any()


def test_too_few_samples_give_no_expectation_and_parts_keep_their_shape() -> None:
    scores = torch.randn(10, 1)
    image = scores.view(10, 1, 1).expand(10, 2, 3)
    assert not within(learned(scores, image, scores, image), scores, image).any()
    scores = torch.randn(100, 1)
    image = scores.view(100, 1, 1).expand(100, 2, 3)
    expected = within(learned(scores, image, scores, image), scores, image)
    # the ridge shrinks scores by some hundredths
    torch.testing.assert_close(expected, image - image.mean(0), rtol=0.05, atol=0.05)


def test_parts_that_are_not_finite_give_no_expectation_and_no_error() -> None:
    scores, part = samples(100, 0.8)
    broken = learned(scores, torch.full_like(part, torch.nan), scores, part)
    assert broken.share == 0.0


def test_refinement_gives_the_expectation_of_individual_parts_back_to_the_joint_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = make_synthetic(600, (20, 12), noise=0.1, random_state=0)
    scaling, device = Scaling.of(made.data), torch.device("cpu")
    model = DeepJIVE(joint_rank=1, individual_ranks=1, networks="dense", random_state=0)
    model._set_up(made.data.shapes, scaling, 1, dict.fromkeys(made.data.names, 1))
    network = model.network_
    batches = Batches(made.data, scaling, device)
    x, _ = sample = batches.sample(torch.arange(600))
    JointPhase(network, 1.0).start(sample)  # linear: individual encoders can copy its weights
    for k in range(2):
        network.individual_encoders[k].linear.load_state_dict(network.joint_encoders[k].linear.state_dict())
        decoder = network.joint_decoders[k].linear.state_dict()
        network.individual_decoders[k].linear.load_state_dict({name: value / 2 for name, value in decoder.items()})

    targets_of_calls = []

    def joint_terms(network, latents, joint, targets, presence):
        targets_of_calls.append(targets)
        return original(network, latents, joint, targets, presence)

    original = objective.joint_terms
    monkeypatch.setattr(objective, "joint_terms", joint_terms)
    phase = RefinementPhase(network, 1.0, 0.0).eval()
    phase(x)
    phase.renew([(x, None)], [([x_k[300:] for x_k in x], None)])
    phase(x)
    plain, given_back = targets_of_calls
    parts, _ = network.individual_parts(x, network.joint_scores(x))
    for k in range(2):
        total = parts[k].detach()
        torch.testing.assert_close(plain[k], x[k] - total)
        returned = given_back[k] - plain[k]
        scores = network.identity.mean_without(network.latents(x), k).detach()
        predicted = scores * (total * scores).mean(0) / scores.square().mean()  # by a straight line
        # the ridge and the random features bend the line a little
        assert (returned - predicted).square().mean() < 0.02 * predicted.square().mean()
