"""Samples that lack modalities: in training, and in what comes after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepjive import DeepJIVE, Modalities, Runtime, SeparateAutoencoders, load
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.deep.constraints.identity import Exchange, Explicit, Identity, Whitening
from deepjive.deep.constraints.orthogonality import Adversary, ClosedForm, Learned, Regression
from deepjive.deep.constraints.presence import Presence
from deepjive.deep.geometry.filling import filled
from deepjive.deep.training.batches import Batches, Scaling
from deepjive.deep.training.objective import joint_terms
from deepjive.evaluation import r2

from .fitting import fitted

LINEAR = {"networks": "linear", "max_epochs": 5}


def gaps(n: int, n_modalities: int, share: float, seed: int = 0) -> NDArray[np.bool_]:
    """Which modalities are there, each sample having at least one."""
    rng = np.random.default_rng(seed)
    present = rng.random((n, n_modalities)) >= share
    present[np.flatnonzero(~present.any(axis=1)), 0] = True
    return present


def lacking(data: Modalities, present: NDArray[np.bool_], filler: float = np.nan) -> Modalities:
    arrays = {
        name: np.where(here[:, None], array, filler)
        for (name, array), here in zip(data.items(), present.T, strict=True)
    }
    return Modalities(arrays, present=present)


def scores_r2(model: Any, made: Synthetic) -> float:
    """How well joint scores tell the true one, which standard scores are but for the sign."""
    return float(np.corrcoef(model.transform(made.data)[:, 0], made.joint_scores[:, 0])[0, 1] ** 2)


@pytest.fixture(scope="module")
def made() -> Synthetic:
    return make_synthetic(500, (40, 30, 20), noise=0.7, random_state=0)


@pytest.fixture(scope="module")
def some(made: Synthetic) -> Modalities:
    return lacking(made.data[:300], gaps(300, 3, 0.3))


@pytest.fixture(scope="module")
def model(some: Modalities) -> DeepJIVE:
    return fitted(some, **LINEAR)


@pytest.mark.parametrize(
    "settings", [{}, {"identity": "explicit"}, {"orthogonality": "regression"}, {"orthogonality": "adversary"}]
)
def test_truth_is_recovered_where_three_in_ten_entries_are_missing(
    made: Synthetic, some: Modalities, settings: dict[str, str]
) -> None:
    model, new = fitted(some, **LINEAR, **settings), made[300:]
    parts = model.decompose(new.data)
    assert scores_r2(model, new) > 0.98
    for name in made.joint:
        assert r2(new.joint[name], parts.joint[name]) > 0.95
        assert r2(new.individual[name], parts.individual[name]) > 0.9


def test_curved_truth_is_recovered_from_samples_that_lack_a_modality() -> None:
    """Unrolled from samples made whole; with the mean in the gaps .75 of it was found, by straight scores .4."""
    made = make_synthetic(250, (30, 30, 30), noise=0.2, nonlinear=True, random_state=0)
    model = fitted(lacking(made.data, gaps(250, 3, 0.4)), networks="dense", max_epochs=1)
    parts = model.decompose(made.data)
    assert min(r2(made.joint[name], parts.joint[name]) for name in made.joint) > 0.82


def test_samples_that_lack_a_modality_are_learnt_from() -> None:
    """Thirty complete samples and 270 that lack one or two, against the thirty alone, on samples never seen."""
    gains = []
    for seed in range(3):
        made = make_synthetic(500, (40, 30, 20), noise=2.0, random_state=seed)
        present = gaps(300, 3, 0.5, seed)
        present[:30], present[30:] = True, present[30:] & (np.arange(270) % 3)[:, None] != np.arange(3)
        present[np.flatnonzero(~present.any(axis=1)), 0] = True
        some = lacking(made.data[:300], present)
        alone, all_of_them = (fitted(data, **LINEAR) for data in (some[:30], some))
        gains.append(scores_r2(all_of_them, made[300:]) - scores_r2(alone, made[300:]))
    assert min(gains) > 0.02


def test_few_complete_samples_or_none_are_enough(made: Synthetic) -> None:
    present = np.ones((300, 3), dtype=bool)
    present[np.arange(300), np.arange(300) % 3] = False
    assert scores_r2(fitted(lacking(made.data[:300], present), **LINEAR), made[300:]) > 0.97
    with pytest.raises(
        ValueError, match=r"at least 8 samples that have every modality.* only 0 of the 300 samples .*Give joint_rank"
    ):
        fitted(lacking(made.data[:300], present), joint_rank="auto")


def test_a_sample_may_have_one_modality_alone_but_not_none(some: Modalities) -> None:
    assert (some.present.sum(axis=1) == 1).any()
    present = some.present.copy()
    present[7] = False
    with pytest.raises(ValueError, match=r"1 samples lack every modality, the first is sample 7\. Drop them"):
        fitted(Modalities(some, present=present))


def test_what_stands_where_nothing_was_measured_does_not_matter(made: Synthetic, some: Modalities) -> None:
    other = lacking(made.data[:300], some.present, 1e30)
    one, two = (fitted(data, networks="linear", max_epochs=2) for data in (some, other))
    np.testing.assert_array_equal(one.transform(made.data), two.transform(made.data))


def test_a_missing_value_inside_a_modality_stays_an_error(made: Synthetic, some: Modalities) -> None:
    arrays = {name: array.copy() for name, array in some.items()}
    row = int(np.flatnonzero(some.present[:, 1])[3])
    arrays["modality_2"][row, 2] = np.nan
    with pytest.raises(ValueError, match=rf"'modality_2' contains 1 values that are NaN.*sample {row}"):
        fitted(Modalities(arrays, present=some.present))


def test_merged_says_why_it_cannot_learn_from_gaps(some: Modalities) -> None:
    count = int((~some.present.all(axis=1)).sum())
    with pytest.raises(
        ValueError,
        match=rf"merged' computes joint scores by one network.*and {count} of 300 samples do.*complete samples",
    ):
        fitted(some, identity="merged")


def test_modalities_that_were_never_measured_together_are_refused(made: Synthetic) -> None:
    present = np.zeros((300, 3), dtype=bool)
    present[:150, 0], present[150:, 1:] = True, True
    with pytest.raises(ValueError, match="'modality_1' was measured together with another in 0 samples"):
        fitted(lacking(made.data[:300], present))
    present[:] = True
    present[5:, 2] = False
    with pytest.raises(ValueError, match="'modality_3' was measured in 5 of 300 samples, but at least 8"):
        fitted(lacking(made.data[:300], present))


def test_samples_with_gaps_are_scored_decomposed_and_made_whole(
    made: Synthetic, model: DeepJIVE, tmp_path: Path
) -> None:
    new, present = made[300:], gaps(200, 3, 0.4, seed=1)
    some = lacking(new.data, present)
    parts = model.decompose(some)
    assert np.corrcoef(parts.joint_scores[:, 0], new.joint_scores[:, 0])[0, 1] ** 2 > 0.9
    for name, here in zip(some.names, present.T, strict=True):
        assert (np.isnan(parts.individual_scores[name]).any(axis=1) == ~here).all()
    lacks = ~present[:, 2] & present[:, :2].all(axis=1)
    assert r2(new.joint["modality_3"][lacks], model.impute(some[lacks], "modality_3")) > 0.8
    model.save(tmp_path)
    np.testing.assert_array_equal(load(tmp_path).transform(some), parts.joint_scores)


def test_individual_scores_have_variance_one_over_the_samples_that_have_them(model: DeepJIVE, some: Modalities) -> None:
    parts = model.decompose(some)
    for name, here in zip(some.names, some.present.T, strict=True):
        np.testing.assert_allclose(parts.individual_scores[name][here].std(axis=0), 1, atol=0.1)


def test_data_read_in_batches_give_the_same_weights(some: Modalities, tmp_path: Path) -> None:
    for name, array in some.items():
        np.save(tmp_path / f"{name}.npy", array)
    lazy = Modalities({name: tmp_path / f"{name}.npy" for name in some.names}, present=some.present)
    kept, read = fitted(some, max_epochs=2), fitted(lazy, max_epochs=2, runtime=Runtime(memory_limit=0))
    for key, weight in kept.network_.state_dict().items():
        assert torch.equal(weight, read.network_.state_dict()[key]), key


def test_autoencoders_without_a_joint_part_take_gaps_too(made: Synthetic, some: Modalities) -> None:
    present = np.eye(3, dtype=bool)[np.arange(300) % 3]  # never two together: there is nothing in common to learn
    model = SeparateAutoencoders(ranks=2, networks="linear", max_epochs=300, random_state=0)
    parts = model.fit(lacking(made.data[:300], present)).decompose(made.data[300:])
    for name in made.joint:
        truth = made.joint[name][300:] + made.individual[name][300:]
        assert r2(truth, parts.individual[name] + parts.joint[name]) > 0.8


def test_scaled_batches_are_zero_where_nothing_was_measured(some: Modalities) -> None:
    batches = Batches(some, Scaling.of(some), torch.device("cpu"))
    x, present = next(batches(torch.arange(50), 50))
    assert present is not None
    np.testing.assert_array_equal(present.numpy(), some.present[:50])
    for k, one in enumerate(x):
        assert torch.isfinite(one).all()
        assert (one[~present[:, k]] == 0).all()


class Decoding:
    """Stands for a network whose decoders are all the same."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    def joint_part(self, k: int, joint: torch.Tensor) -> torch.Tensor:
        return joint.square() @ torch.arange(10.0).reshape(2, 5)


@pytest.mark.parametrize("identity", [Explicit(3, 2, whiten=False), Exchange(3, 2)], ids=lambda i: type(i).__name__)
def test_terms_are_means_over_the_samples_that_have_what_they_need(identity: Identity) -> None:
    """Samples 0-9 have all modalities, 10-19 the first two, 20-29 the first alone; computed one by one here."""
    torch.manual_seed(0)
    z, targets = [torch.randn(30, 2) for _ in range(3)], [torch.randn(30, 5) for _ in range(3)]
    present = torch.ones(30, 3, dtype=torch.bool)
    present[10:, 2], present[20:, 1] = False, False
    presence, network = Presence(present), Decoding(identity)
    terms, _ = joint_terms(network, z, identity.joint(z, presence), targets, presence)
    expected: dict[str, list[torch.Tensor]] = {"prediction": [], "decoding": [], "agreement": []}
    for k, (paired, measured) in enumerate([(20, 30), (20, 20), (10, 10)]):
        found: dict[str, list[torch.Tensor]] = {name: [] for name in expected}
        for i in range(measured):
            there = [one[i] for one, here in zip(z, present[i], strict=True) if here]
            own = network.joint_part(k, torch.stack(there).mean(0))
            found["decoding"].append((own - targets[k][i]).square().mean())
            if i < paired:
                others = [z[other][i] for other in range(3) if present[i, other] and other != k]
                others = [torch.stack(others).mean(0)] if isinstance(identity, Explicit) else others
                parts = torch.stack([network.joint_part(k, one) for one in others])
                found["prediction"].append((parts - targets[k][i]).square().mean())
                found["agreement"].append((own - parts.mean(0)).square().mean())
        for name, values in found.items():
            expected[name].append(torch.stack(values).mean())
    for name, values in expected.items():
        torch.testing.assert_close(terms[name], torch.stack(values).mean())
    distances = [2 * torch.stack([one[i] for one in z[: 3 - i // 10]]).var(0, correction=0).mean() for i in range(20)]
    torch.testing.assert_close(identity.term(z, presence), torch.stack(distances).mean())


def test_moments_to_whiten_by_are_those_of_the_samples_that_have_the_modality() -> None:
    torch.manual_seed(0)
    z, here = torch.randn(60, 2), torch.arange(60) < 40
    one, other = Whitening(2, momentum=1.0), Whitening(2, momentum=1.0)
    torch.testing.assert_close(one(torch.where(here[:, None], z, 9.0), here.float())[:40], other(z[:40]))
    torch.testing.assert_close(one.covariance, other.covariance)
    one(z, torch.zeros(60))  # too few to measure by
    torch.testing.assert_close(one.covariance, other.covariance)


@pytest.mark.parametrize(
    "kind",
    [ClosedForm(features=0, cosines=0), Regression(1, [1, 0]), Adversary(1, [1, 0], noise=0.0)],
    ids=lambda o: type(o).__name__,
)
def test_orthogonality_is_measured_over_the_samples_that_have_the_modality(kind: Any) -> None:
    torch.manual_seed(0)
    joint, z, other = torch.randn(100, 1), torch.randn(100, 1), torch.randn(100, 0)
    present = torch.ones(100, 2, dtype=torch.bool)
    present[60:, 0] = False
    z[60:] = 1e3 * joint[60:]
    for measure in (kind.penalty, *([kind.fit_term] if isinstance(kind, Learned) else [])):
        torch.testing.assert_close(measure([z, other], joint, present), measure([z[:60], other[:60]], joint[:60]))
        assert torch.isfinite(measure([z, other], joint, torch.zeros_like(present)))


def test_another_modality_that_is_not_there_explains_nothing() -> None:
    """Half of the samples have the second modality, whose scores are the first one's: half of these is explained."""
    torch.manual_seed(0)
    z, present = torch.randn(2000, 1), torch.ones(2000, 2, dtype=torch.bool)
    present[1000:, 1] = False
    garbage = torch.where(present[:, [1]], z, -z)
    kind, joint = ClosedForm(features=0, ridge=0.0, cosines=0), torch.zeros(2000, 0)
    explained = kind.penalty([z, garbage], joint, present)
    whole = kind.explained(z, z)
    torch.testing.assert_close(explained, 0.75 * whole, atol=0.02, rtol=0)  # (1/2 of the first + all of the other)/2


def test_normal_signals_are_made_whole_as_their_regression_says() -> None:
    """Two signals of one score each, correlated by .8: what is missing is expected .8 times the other."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4000, 1, generator=generator)
    b = 0.8 * a + 0.6 * torch.randn(4000, 1, generator=generator)
    present = torch.ones(4000, 2, dtype=torch.bool)
    present[:1000, 0], present[1000:2000, 1] = False, False
    a, b = a - a[1000:].mean(), b - b[present[:, 1]].mean()  # what is missing is then expected to be 0 at first
    first, second = filled([a[present[:, 0]], b[present[:, 1]]], present)
    torch.testing.assert_close(first[:1000], 0.8 * b[:1000].double(), atol=0.15, rtol=0)
    torch.testing.assert_close(second[1000:2000], 0.8 * a[1000:2000].double(), atol=0.15, rtol=0)
    torch.testing.assert_close(first[1000:], a[1000:].double())


def test_the_start_takes_the_samples_that_lack_least(some: Modalities) -> None:
    batches = Batches(some, Scaling.of(some), torch.device("cpu"))
    _, present = batches.sample(torch.arange(300), most=150)
    assert present is not None
    assert present.all(dim=1).sum() == some.present.all(axis=1).sum()
    assert batches.sample(torch.arange(300), most=50)[1] is None


def test_a_sample_has_all_patterns_of_what_is_missing_though_they_come_in_blocks() -> None:
    present = np.repeat([[False, True, True], [True, False, True], [True, True, False]], 100, axis=0)
    data = Modalities({name: np.random.default_rng(0).normal(size=(300, 4)) for name in "abc"}, present=present)
    _, sampled = Batches(data, Scaling.of(data), torch.device("cpu")).sample(torch.arange(300), most=60)
    assert sampled is not None
    assert sampled.sum(0).min() > 30
