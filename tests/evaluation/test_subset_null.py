"""Permutation tests of subsets of modalities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.evaluation import Evidence, evidence, subset_structure_test
from deepjive.report.evidence import tables_of

pytestmark = pytest.mark.filterwarnings("ignore:.*still improving when max_epochs")

NAMES = ("a", "b", "c")
PAIR = ("a", "b")
DEEP = {"networks": "dense", "max_epochs": 3, "random_state": 0, "individual_ranks": 1}


def simulate(seed: int, pair: float, joint: float = 1.0, n: int = 200, width: int = 12) -> Modalities:
    """Two joint scores, one individual score of each modality, and a score of a and b of strength `pair`.

    Loadings are the same for all seeds.
    """
    rng, loading = np.random.default_rng(seed), np.random.default_rng(99)
    everyone, shared = joint * rng.normal(size=(n, 2)), pair * rng.normal(size=(n, 1))
    data = {}
    for name in NAMES:
        x = everyone @ loading.normal(size=(2, width)) + rng.normal(size=(n, 1)) @ loading.normal(size=(1, width))
        x = x + (name in PAIR) * shared @ loading.normal(size=(1, width))
        data[name] = x + rng.normal(size=(n, width))
    return Modalities(data)


def linear(data: Modalities, joint_rank: int = 2) -> AJIVE:
    ranks = {"joint_rank": joint_rank, "individual_ranks": 1, "signal_ranks": joint_rank + 2}
    return AJIVE(subsets={PAIR: 1}, **ranks, n_wedin=0, n_random=0, random_state=0).fit(data)


def p_values(model, pair: float, joint: float, count: int) -> np.ndarray:
    """The p-values of a and b in many sets of held-out samples, shape (count, 2)."""
    tests = [
        subset_structure_test(model, simulate(1000 + i, pair, joint, 60), 19, random_state=i) for i in range(count)
    ]
    assert all(test.p_values["a+b"] == max(test.of_members["a+b"].values()) for test in tests)
    return np.array([list(test.of_members["a+b"].values()) for test in tests])


def check_uniform(p: np.ndarray) -> None:
    """At most so many small p-values as chance gives, within three standard errors of the members' average."""
    error = 3 / np.sqrt(p.size)
    assert np.mean(p <= 0.05) < 0.05 + 0.22 * error
    assert abs(np.mean(p <= 0.5) - 0.5) < 0.5 * error


@pytest.mark.parametrize("count", [12, pytest.param(40, marks=pytest.mark.slow)])
def test_p_values_of_members_without_a_joint_part_are_uniform(count: int) -> None:
    p = np.concatenate([p_values(linear(simulate(seed, 0.0, 0.0), 0), 0.0, 0.0, 3) for seed in range(count)])
    check_uniform(p)


@pytest.mark.parametrize("count", [20, pytest.param(60, marks=pytest.mark.slow)])
def test_what_all_modalities_share_does_not_count_as_shared_by_two(count: int) -> None:
    p = np.array([p_values(linear(simulate(seed, 0.0)), 0.0, 1.0, 1)[0] for seed in range(count)])
    assert np.mean(p.max(axis=1) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / count)  # three standard errors


def test_what_two_modalities_share_has_the_smallest_p_value() -> None:
    found = subset_structure_test(linear(simulate(0, 1.0)), simulate(1, 1.0), 199)
    assert found.p_values == {"a+b": pytest.approx(1 / 200)}
    assert min(found.explained["a+b"].values()) > 0.05
    assert list(found.to_frame()["modality"]) == ["a", "b"]
    assert "a+b p=0.005" in repr(found)


@pytest.fixture(scope="module")
def deep_of_nothing() -> DeepJIVE:
    """A deep model with a score of a and b, which share nothing beyond the joint part."""
    return DeepJIVE(subsets={PAIR: 1}, joint_rank=2, **DEEP).fit(simulate(0, 0.0, n=160))


@pytest.mark.parametrize("count", [20, pytest.param(60, marks=pytest.mark.slow)])
def test_a_deep_model_of_noise_is_not_significant(deep_of_nothing: DeepJIVE, count: int) -> None:
    p = p_values(deep_of_nothing, 0.0, 1.0, count)
    assert np.mean(p.max(axis=1) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / count)  # three standard errors


def test_a_deep_model_finds_what_two_modalities_share() -> None:
    model = DeepJIVE(subsets={PAIR: 1}, joint_rank=2, **DEEP).fit(simulate(0, 1.0, n=160))
    assert subset_structure_test(model, simulate(1, 1.0), 99).p_values["a+b"] == pytest.approx(0.01)


def test_participants_are_permuted_as_a_whole() -> None:
    """Visits of a participant are equal, so that permuted visits would make chance look like structure."""
    p = []
    for seed in range(30):
        data = simulate(seed, 0.0, 0.0, 130)
        visits = np.concatenate([np.repeat(np.arange(30), 3)])
        held_out = Modalities(dict(data[:30][visits].items()), groups=visits)
        p.append(subset_structure_test(linear(data[30:], 0), held_out, 19, random_state=seed).of_members["a+b"]["a"])
    assert np.mean(np.array(p) <= 0.1) < 0.1 + 0.165  # three standard errors of 30 draws


def test_missing_values_are_left_out() -> None:
    model, data = linear(simulate(0, 1.0)), simulate(1, 1.0)
    model.set_params(missing="impute")
    gapped = Modalities(
        {name: np.where(np.random.default_rng(0).uniform(size=x.shape) < 0.1, np.nan, x) for name, x in data.items()}
    )
    found, whole = subset_structure_test(model, gapped, 99), subset_structure_test(model, data, 99)
    assert found.p_values == whole.p_values
    assert found.explained["a+b"] == pytest.approx(whole.explained["a+b"], abs=0.1)


def test_models_that_cannot_be_tested_are_refused() -> None:
    data = simulate(0, 1.0)
    with pytest.raises(ValueError, match="no subset of some modalities with scores"):
        subset_structure_test(AJIVE(joint_rank=2, n_wedin=0, n_random=0).fit(data), data)
    with pytest.raises(ValueError, match=r"needs at least 8 held-out samples .* 2 other shared scores of 'a'"):
        subset_structure_test(linear(data), simulate(1, 1.0, n=6))


def test_evidence_has_the_test_of_subsets(tmp_path: Path) -> None:
    data = simulate(0, 1.0)
    found = evidence(linear(data), data, n_permutations=19, n_fits=0)
    assert found.subset_structure is not None
    assert found.subset_structure.p_values == {"a+b": 0.05}
    rows = found.to_frame()
    assert list(rows.loc[rows["measure"] == "structure of a subset", "target"]) == ["a in a+b", "b in a+b"]
    found.save(tmp_path / "evidence.json")
    assert Evidence.load(tmp_path / "evidence.json").subset_structure == found.subset_structure
    captions = {caption: rows for caption, _, rows, _ in tables_of(found)}
    assert captions["Test of what subsets of modalities share"][-1] == ("a+b", "all together", "", "0.050")
    assert len(captions["Variance explained in held-out samples"][0]) == 5  # with a column for a+b
