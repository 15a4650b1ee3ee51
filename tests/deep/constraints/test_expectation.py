"""What joint scores say of an individual part, and that refinement gives it back to the joint part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from deepjive import DeepJIVE
from deepjive.datasets.synthetic import make_synthetic
from deepjive.deep.constraints.expectation import Expectation, expected_of
from deepjive.deep.training import objective
from deepjive.deep.training.batches import Batches, Scaling
from deepjive.deep.training.objective import JointPhase, RefinementPhase


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def samples(n: int, told: float) -> tuple[Tensor, Tensor]:
    """Scores, and parts of three features of which a curve of the first score is `told` of the variance."""
    scores = torch.randn(n, 2)
    curve = (scores[:, :1].square() - 1) / 2**0.5
    return scores, told**0.5 * curve + (1 - told) ** 0.5 * torch.randn(n, 3)


def learned(*pieces: Tensor) -> Expectation:
    """An expectation learned from scores and parts, checked on others."""
    expectation = Expectation()
    expectation.learn(*pieces)
    return expectation


def within(expectation: Expectation, scores: Tensor, part: Tensor, here: Tensor | None = None) -> Tensor:
    """The expectation of a modality's parts."""
    (found,) = expected_of([expectation], [scores], [part], [here])
    return found


def test_a_curve_is_expected_in_the_size_it_has() -> None:
    expectation = learned(*samples(512, 0.8), *samples(256, 0.8))
    assert expectation.explained == pytest.approx(0.8, abs=0.1)
    scores, part = samples(256, 0.8)
    assert (part - within(expectation, scores, part)).square().mean() < 0.3


def test_of_unrelated_scores_nothing_is_expected() -> None:
    expectation = learned(*samples(512, 0.0), *samples(256, 0.0))
    scores, part = samples(256, 0.0)
    assert within(expectation, scores, part).square().mean() < 0.02 * part.square().mean()


def test_of_few_unrelated_samples_nothing_is_expected_and_of_few_related_ones_most() -> None:
    def share(told: float) -> float:
        found = [learned(*samples(100, told), *samples(50, told)).share.item() for _ in range(20)]
        return sum(found) / len(found)

    assert share(0.0) < 0.05
    assert share(0.8) > 0.65


def test_what_holds_of_the_training_samples_alone_is_not_expected() -> None:
    (scores, part), held_out = samples(512, 0.8), samples(256, 0.0)
    assert within(learned(scores, part, *held_out), scores, part).square().mean() < 0.02
    assert learned(scores, part, scores[:256], part[:256]).explained > 0.7


def test_an_expectation_has_the_size_that_held_out_samples_have() -> None:
    scores, held_out_scores = torch.randn(512, 1), torch.randn(512, 1)
    expectation = learned(scores, scores, held_out_scores, 0.25 * held_out_scores)
    slope = (within(expectation, scores, scores) * scores).mean() / scores.square().mean()
    assert slope.item() == pytest.approx(0.25, abs=0.05)


def test_an_expectation_from_before_counts_as_far_as_parts_still_have_it() -> None:
    expectation = learned(*samples(512, 0.8), *samples(256, 0.8))
    scores, part = samples(256, 0.8)
    whole = within(expectation, scores, part)
    quarter = within(expectation, scores, 0.25 * whole / expectation.share + expectation.mean)
    torch.testing.assert_close(quarter, 0.25 * whole, rtol=1e-3, atol=1e-4)
    assert not within(expectation, scores, -part).any()


def test_samples_that_lack_what_it_takes_change_nothing_of_the_others_and_get_nothing() -> None:
    expectation = learned(*samples(512, 0.8), *samples(256, 0.8))
    scores, part = samples(256, 0.8)
    alone = within(expectation, scores, part)
    here = torch.arange(512) < 256
    padded = within(expectation, torch.cat([scores, scores]), torch.cat([part, torch.zeros_like(part)]), here)
    torch.testing.assert_close(padded[:256], alone)
    assert not padded[256:].any()


def test_few_samples_tell_nothing_and_parts_keep_their_shape() -> None:
    scores = torch.randn(10, 1)
    image = scores.view(10, 1, 1).expand(10, 2, 3)
    assert not within(learned(scores, image, scores, image), scores, image).any()
    scores = torch.randn(100, 1)
    image = scores.view(100, 1, 1).expand(100, 2, 3)
    found = within(learned(scores, image, scores, image), scores, image)
    torch.testing.assert_close(found, image - image.mean(0), rtol=0.05, atol=0.05)


def test_numbers_that_are_not_finite_are_left_to_the_loss_to_report() -> None:
    scores, part = samples(100, 0.8)
    broken = learned(scores, torch.full_like(part, torch.nan), scores, part)
    assert broken.share == 0.0


def test_refinement_gives_back_what_joint_scores_say_of_individual_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_synthetic(600, (20, 12), noise=0.1, random_state=0)
    scaling, device = Scaling.of(made.data), torch.device("cpu")
    model = DeepJIVE(joint_rank=1, individual_ranks=1, networks="dense", random_state=0)
    model._set_up(made.data.shapes, scaling, 1, dict.fromkeys(made.data.names, 1))
    network = model.network_
    batches = Batches(made.data, scaling, device)
    x, _ = sample = batches.sample(torch.arange(600))
    JointPhase(network, 1.0).start(sample, sample)  # linear, so that the individual encoders can be given its scores
    for k in range(2):
        network.individual_encoders[k].linear.load_state_dict(network.joint_encoders[k].linear.state_dict())
        decoder = network.joint_decoders[k].linear.state_dict()
        network.individual_decoders[k].linear.load_state_dict({name: value / 2 for name, value in decoder.items()})

    seen = []

    def joint_terms(network, latents, joint, targets, presence):
        seen.append(targets)
        return original(network, latents, joint, targets, presence)

    original = objective.joint_terms
    monkeypatch.setattr(objective, "joint_terms", joint_terms)
    phase = RefinementPhase(network, 1.0, 0.0).eval()
    phase(x)
    phase.renew([(x, None)], [([one[300:] for one in x], None)])
    phase(x)
    plain, given_back = seen
    parts, _ = network.individual_parts(x, network.joint_scores(x))
    for k in range(2):
        total = parts[k].detach()
        torch.testing.assert_close(plain[k], x[k] - total)
        returned = given_back[k] - plain[k]
        scores = network.identity.mean_without(network.latents(x), k).detach()
        said = scores * (total * scores).mean(0) / scores.square().mean()  # by a straight line
        assert (returned - said).square().mean() < 0.02 * said.square().mean()
