"""Permutation tests of joint structure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.datasets import make_synthetic
from deepjive.evaluation import explained_by, joint_structure_test, null, r2, refit_test, shuffled
from deepjive.evaluation.null import JOINT_PART, p_value_of

from .fitting import fitted


def fit_ajive(data: Any) -> AJIVE:
    return AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0, random_state=0).fit(data)


def p_without_joint(seed: int) -> float:
    data = make_synthetic(90, (8, 6), joint_rank=0, random_state=seed).data
    return joint_structure_test(fit_ajive(data[:60]), data[60:], 19, random_state=seed).p_value


@pytest.mark.parametrize("count", [80, pytest.param(400, marks=pytest.mark.slow)])
def test_p_values_without_joint_signal_are_uniform(count: int) -> None:
    p = np.array([p_without_joint(seed) for seed in range(count)])
    assert np.mean(p > 0.05) > 0.95 - 4 * np.sqrt(0.05 * 0.95 / count)  # four standard errors
    assert abs(np.mean(p <= 0.5) - 0.5) < 4 * 0.5 / np.sqrt(count)


def test_joint_signal_has_the_smallest_possible_p_value(ajive: AJIVE, test: Modalities) -> None:
    found = joint_structure_test(ajive, test, 199, random_state=0)
    assert found.p_value == pytest.approx(1 / 200)
    for name in test.names:
        assert found.explained[name] == pytest.approx(r2(test[name], ajive.impute(test, name)))
        assert found.explained[name] > 0.3 > 0.1 > found.chance[name]


def test_permuted_values_are_those_of_permuted_samples(ajive: AJIVE, test: Modalities) -> None:
    found = joint_structure_test(ajive, test, 1, random_state=3)
    order = np.random.RandomState(3).permutation(len(test))
    permuted = Modalities({"modality_1": test["modality_1"][order], "modality_2": test["modality_2"]})
    assert found.chance == pytest.approx(explained_by(ajive, permuted))


def test_merged_is_tested_by_its_joint_part(train: Modalities, test: Modalities) -> None:
    found = joint_structure_test(fitted(train, identity="merged"), test, 59, random_state=0)
    assert (found.measure, found.p_value) == (JOINT_PART, pytest.approx(1 / 60))


def test_a_modality_without_shared_variation_makes_the_test_insignificant() -> None:
    data = make_synthetic(240, (12, 10), noise=0.3, random_state=0).data
    alone = np.random.default_rng(0).normal(size=(240, 8))
    three = Modalities({**dict(data.items()), "alone": alone})
    found = joint_structure_test(fit_ajive(three[:160]), three[160:], 199, random_state=0)
    assert max(found.p_values["modality_1"], found.p_values["modality_2"]) < 0.05 < found.p_values["alone"]
    assert found.p_value == found.p_values["alone"]


def with_gaps(data: Modalities, share: float, seed: int = 0) -> Modalities:
    """Some values are missing, and no sample is without gaps where these are many."""
    rng = np.random.default_rng(seed)
    return Modalities({name: np.where(rng.uniform(size=x.shape) < share, np.nan, x) for name, x in data.items()})


def filling(data: Modalities) -> AJIVE:
    return AJIVE(
        signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0, missing="impute", random_state=0
    ).fit(data)


def test_a_missing_value_does_not_hide_joint_structure(train: Modalities, test: Modalities) -> None:
    one = Modalities({name: test[name].copy() for name in test.names})
    one["modality_1"][5, 3] = np.nan
    model, whole = filling(train), joint_structure_test(filling(train), test, 99, random_state=0)
    for gapped in (one, with_gaps(test, 0.15)):
        found = joint_structure_test(model, gapped, 99, random_state=0)
        assert found.p_value == whole.p_value == 0.01
        assert found.explained == pytest.approx(whole.explained, abs=0.1)
    assert refit_test(model, train, one, 19, random_state=0).p_value == pytest.approx(0.05)


def test_permuted_values_are_those_of_permuted_samples_with_missing_values(train: Modalities, test: Modalities) -> None:
    model, gapped = filling(train), with_gaps(test, 0.15)
    found = joint_structure_test(model, gapped, 1, random_state=3)
    order = np.random.RandomState(3).permutation(len(test))
    permuted = Modalities({"modality_1": gapped["modality_1"][order], "modality_2": gapped["modality_2"]})
    assert found.chance == pytest.approx(explained_by(model, permuted))
    measured = ~np.isnan(gapped["modality_1"])
    predicted = model.impute(gapped, "modality_1")
    predicted = predicted - predicted.mean(axis=0)
    x = gapped["modality_1"] - np.nanmean(gapped["modality_1"], axis=0)
    expected = 1 - np.square(x - predicted)[measured].sum() / np.square(x)[measured].sum()
    assert found.explained["modality_1"] == pytest.approx(expected)


def test_p_values_of_samples_with_gaps_are_uniform_without_joint_signal() -> None:
    p = []
    for seed in range(100):
        data = make_synthetic(90, (8, 6), joint_rank=0, random_state=seed).data
        model = filling(data[:60])
        p.append(joint_structure_test(model, with_gaps(data[60:], 0.15, seed), 19, random_state=seed).p_value)
    assert np.mean(np.array(p) <= 0.1) < 0.1 + 0.09  # three standard errors of 100 draws
    assert abs(np.mean(np.array(p) <= 0.5) - 0.5) < 0.16


def test_joint_rank_0_is_no_joint_structure(train: Modalities, test: Modalities) -> None:
    model = AJIVE(signal_ranks=1, joint_rank=0, individual_ranks=1, n_wedin=0, n_random=0).fit(train)
    assert joint_structure_test(model, test, 99).p_value == 1.0


def test_refits_distinguish_signal_from_no_signal(ajive: AJIVE, train: Modalities, test: Modalities) -> None:
    found = refit_test(ajive, train, test, 19, random_state=0)
    assert (found.p_value, found.refits, found.n_permutations) == (pytest.approx(0.05), True, 19)
    rng = np.random.RandomState(1)
    assert refit_test(ajive, shuffled(train, rng), shuffled(test, rng), 19, random_state=0).p_value > 0.05


def test_refits_shuffle_one_of_three_modalities_while_the_others_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Modalities({name: np.arange(30.0)[:, None] for name in "abc"})
    apart: list[list[str]] = []

    def recorded(model: Any, data: Modalities) -> dict[str, float]:
        for some in (model, data):
            apart.append([name for name in "abc" if not np.array_equal(some[name], rows[name])])
        return dict.fromkeys("abc", 0.0)

    monkeypatch.setattr(null, "refitted", lambda model, data, **_: data)
    monkeypatch.setattr(null, "explained_by", recorded)
    refit_test(SimpleNamespace(needs_all_modalities=False), rows, rows, 2, random_state=0)
    assert apart == [[], [], *[["a"]] * 4, *[["b"]] * 4, *[["c"]] * 4]


def test_refits_detect_what_three_modalities_share_with_equal_numbers_of_fits() -> None:
    made = make_synthetic(240, (12, 10, 8), noise=0.3, random_state=0).data
    model, reports = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0).fit(made[:160]), []
    found = refit_test(
        model, made[:160], made[160:], 19, random_state=0, progress=lambda *report: reports.append(report[:2])
    )
    assert found.p_values == pytest.approx(dict.fromkeys(made.names, 0.05))
    assert (found.p_value, found.n_permutations) == (pytest.approx(0.05), 19)
    assert reports == [(done, 58) for done in range(1, 59)]


def test_shuffling_keeps_every_modality_and_loses_the_pairs(test: Modalities) -> None:
    mixed = shuffled(test, np.random.RandomState(0))
    for name in test.names:
        np.testing.assert_array_equal(np.sort(mixed[name], axis=0), np.sort(test[name], axis=0))
    orders = [[int(np.flatnonzero((test[name] == row).all(axis=1))[0]) for row in mixed[name]] for name in test.names]
    assert orders[0] != orders[1]


def test_the_observed_value_counts_among_the_permuted() -> None:
    assert p_value_of(1.0, np.array([0.0, 1.0, 2.0])) == 0.75
    assert p_value_of(3.0, np.array([0.0, 1.0, 2.0])) == 0.25


def test_too_few_samples_are_named(ajive: AJIVE, test: Modalities) -> None:
    with pytest.raises(ValueError, match="at least 5 held-out samples"):
        joint_structure_test(ajive, test[:4])


@pytest.mark.parametrize("unit", [2.0**-700, 2.0**700])
@pytest.mark.parametrize("has_gaps", [False, True])
def test_units_of_modalities_do_not_change_the_test(
    train: Modalities, test: Modalities, unit: float, has_gaps: bool
) -> None:
    def measured(unit: float) -> Any:
        fitted_to, held_out = (Modalities({name: data[name] * unit for name in data.names}) for data in (train, test))
        model = AJIVE(joint_rank=1, individual_ranks=1, missing="impute", random_state=0).fit(fitted_to)
        held_out = with_gaps(held_out, 0.1) if has_gaps else held_out
        return joint_structure_test(model, held_out, 19), explained_by(model, held_out)

    (result, explained), (expected, all_expected) = measured(unit), measured(1.0)
    assert result.p_value == expected.p_value == 0.05
    assert result.explained == pytest.approx(expected.explained, abs=1e-6)
    assert explained == pytest.approx(all_expected, abs=1e-6)
