"""Evidence: everything measured at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepjive import AJIVE, HeteroJIVE, Modalities
from deepjive.data.groups import TooFewOrdersError
from deepjive.datasets import Synthetic
from deepjive.evaluation import Evidence, evidence, evidence_steps, joint_structure_test
from deepjive.evaluation.evidence_steps import SHUFFLED

from .conftest import N_FITTED
from .fitting import fitted


@pytest.fixture(scope="module")
def deep(made: Synthetic) -> Evidence:
    labels = {"group": np.where(made.joint_scores[:, 0] > 0, "case", "control"), "age": made.joint_scores[:, 0]}
    model = fitted(made.data[:N_FITTED])
    held_out = np.arange(N_FITTED, 240)
    return evidence(model, made.data, labels, held_out=held_out, refit=False, n_permutations=99, n_refits=1, n_fits=1)


def test_joint_signal_is_detected_and_compared_with_baselines(deep: Evidence) -> None:
    assert deep.joint_structure.p_value == pytest.approx(0.01)
    assert list(deep.predicted) == ["DeepJIVE", "AJIVE", SHUFFLED]
    assert list(deep.explained) == ["DeepJIVE", "AJIVE", "SeparateAutoencoders"]
    for name in ("modality_1", "modality_2"):
        assert deep.predicted["DeepJIVE"][name] > 0.3 > 0.05 > deep.predicted[SHUFFLED][name]
    assert deep.refit_structure is not None
    assert deep.refit_structure.refits
    assert deep.findings == []


def test_labels_are_predicted_from_joint_scores_and_not_from_individual_scores(deep: Evidence) -> None:
    group = deep.probes["group"]
    assert group["DeepJIVE"]["joint"].linear > 0.9 > 0.65 > group["DeepJIVE"]["individual modality_1"].linear
    assert list(group["SeparateAutoencoders"]) == ["all scores"]
    assert deep.probes["age"]["AJIVE"]["joint"].linear > 0.9


def test_saved_evidence_is_read_back_unchanged(deep: Evidence, tmp_path: Path) -> None:
    deep.save(tmp_path / "evidence.json")
    assert Evidence.load(tmp_path / "evidence.json") == deep


def test_samples_are_split_and_fitted_without_those_held_out(ajive: AJIVE, made: Synthetic) -> None:
    steps: list[tuple[int, int, str]] = []
    found = evidence(
        ajive, made.data, n_permutations=49, n_fits=1, random_state=1, progress=lambda *step: steps.append(step)
    )
    assert (found.n_fitted, found.n_held_out) == (168, 72)
    assert sorted({done for done, _, _ in steps}) == list(range(steps[-1][1] + 1))
    assert steps[-1][0] == steps[-1][1]
    assert any("other samples, 1 of 1" in message for _, _, message in steps)
    order = np.random.RandomState(1).permutation(240)
    model = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0).fit(
        made.data[np.sort(order[72:])]
    )
    expected = joint_structure_test(model, made.data[np.sort(order[:72])], 9, random_state=1).explained
    assert found.joint_structure.explained == pytest.approx(expected)


def test_samples_that_lack_a_modality_are_left_out(ajive: AJIVE, made: Synthetic) -> None:
    present = np.ones((240, 2), dtype=bool)
    present[:30, 1] = False
    found = evidence(ajive, Modalities(made.data, present=present), n_permutations=9, n_fits=0)
    assert (found.n_fitted, found.n_held_out) == (147, 63)


def test_baselines_impute_missing_values_if_the_model_does(made: Synthetic) -> None:
    arrays = {name: np.array(made.data[name]) for name in made.data.names}
    for x in arrays.values():
        x[::40, 2] = np.nan
    model = HeteroJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, missing="impute", random_state=0).fit(arrays)
    found = evidence(model, arrays, n_permutations=49, n_fits=0)
    assert found.joint_structure.p_value == 0.02
    assert all(np.isfinite(list(shares.values())).all() for shares in found.predicted.values())
    assert min(found.predicted["AJIVE"].values()) > 0.2


def test_labels_that_cannot_be_tested_are_named_with_the_reason(ajive: AJIVE, made: Synthetic, tmp_path: Path) -> None:
    rare = np.where(np.arange(240) == 3, "rare", "common")
    labels = {"site": np.zeros(240), "rare": rare, "none": [None] * 240, "sex": np.arange(240) % 2}
    found = evidence(ajive, made.data, labels, n_permutations=9, n_fits=0)
    assert list(found.probes) == ["sex"]
    assert found.untested["site"].endswith("samples to train on all have the label 0.0.")
    assert "all have the label 'common'; the other labels are 'rare' of 1." in found.untested["rare"]
    assert found.untested["none"] == "no sample to train on has a label."
    assert "label 'site' was not tested: the 1" in repr(found)
    found.save(tmp_path / "evidence.json")
    assert Evidence.load(tmp_path / "evidence.json").untested == found.untested


VISITS = np.repeat(np.arange(60), 4)


def test_every_step_uses_the_participants(ajive: AJIVE, made: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def recorded(name: str) -> Any:
        step = getattr(evidence_steps, name)

        def record(*args: Any, **known: Any) -> Any:
            told = (getattr(one, "data", one) for one in args)  # a decomposition has its samples in it
            groups = [one.groups for one in told if isinstance(one, Modalities)]
            seen.setdefault(name, []).append(groups or [known["groups"]])
            return step(*args, **known)

        return record

    steps = ("joint_structure_test", "shuffled", "cross_predictions", "probe", "refit_test", "stability", "diagnose")
    for name in steps:
        monkeypatch.setattr(evidence_steps, name, recorded(name))
    mixed = np.random.default_rng(0).permutation(VISITS)
    labels = made.joint_scores[:, 0]
    found = evidence(ajive, made.data, labels, n_permutations=9, n_refits=1, n_fits=1, groups=mixed, random_state=1)
    assert (found.n_fitted, found.n_held_out) == (168, 72)
    held_out_ones = np.random.RandomState(1).permutation(60)[:18]
    held_out = mixed[np.isin(mixed, held_out_ones)]
    fitted_to = mixed[~np.isin(mixed, held_out_ones)]
    assert set(seen) == set(steps)
    np.testing.assert_array_equal(seen["shuffled"][0][0], fitted_to)
    np.testing.assert_array_equal(seen["shuffled"][1][0], held_out)
    for name in ("stability", "refit_test"):
        np.testing.assert_array_equal(seen[name][0][0], fitted_to)
        np.testing.assert_array_equal(seen[name][0][1], held_out)
    for name in ("joint_structure_test", "cross_predictions", "probe", "diagnose"):
        for known in seen[name]:
            np.testing.assert_array_equal(known[0], held_out)


def test_the_error_for_participants_that_cannot_be_permuted_comes_before_any_fit(
    ajive: AJIVE, made: Synthetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_steps, "refitted", lambda *_, **__: pytest.fail("fitted"))
    with pytest.raises(
        ValueError, match=r"Among the samples held out: .* Of 4 participants, 4 can be permuted, in 24 orders"
    ):
        evidence(ajive, made.data, groups=np.arange(240) // 20)
    with pytest.raises(ValueError, match=r"Among the samples that are fitted: .* Of 4 participants"):
        evidence(ajive, made.data, held_out=np.arange(40, 240), groups=np.minimum(np.arange(240) // 10, 4 + VISITS))
    known = np.where(np.arange(240) < 190, made.joint_scores[:, 0], np.nan)
    known[180:190] += 1.0
    with pytest.raises(ValueError, match=r"held out that have a label 'age': .* Of 3 participants"):
        evidence(ajive, made.data, {"age": known}, held_out=np.arange(180, 240), groups=VISITS)
    with pytest.raises(ValueError, match=r"Participants \['25'\] have samples both among those fitted and"):
        evidence(ajive, made.data, held_out=np.arange(102, 240), groups=VISITS)
    with pytest.raises(ValueError, match="groups has 5 entries, but there are 240 samples"):
        evidence(ajive, made.data, groups=VISITS[:5])


def test_gaps_that_make_participants_uneven_discard_no_measured_sample(
    ajive: AJIVE, made: Synthetic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def uneven(*_: Any, **__: Any) -> None:
        raise TooFewOrdersError("without the samples that have gaps")

    monkeypatch.setattr(evidence_steps, "diagnose", uneven)
    found = evidence(ajive, made.data, n_permutations=9, n_fits=0)
    assert found.findings == []
    assert found.joint_structure.n_permutations == 9


def test_errors_name_what_is_wrong(ajive: AJIVE, made: Synthetic, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labels 'sex' have shape \(3,\)"):
        evidence(ajive, made.data, {"sex": [0, 1, 0]})
    with pytest.raises(ValueError, match="at least 40 samples"):
        evidence(ajive, made.data[:39])
    (tmp_path / "other.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="does not hold evidence"):
        Evidence.load(tmp_path / "other.json")
