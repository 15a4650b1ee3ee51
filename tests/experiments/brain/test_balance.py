import numpy as np
import pandas as pd
import pytest

pytest.importorskip("nibabel")
pytest.importorskip("nilearn")

from deepjive import Modalities
from deepjive.adjust.adjustment import adjusted
from deepjive.cli.reproduce_adni import _lead, _with_confounds
from deepjive.evaluation.covariation_maps import Covariation
from deepjive.experiments.brain import study as module
from deepjive.experiments.brain.balance import balance
from deepjive.experiments.brain.diagnosis import MEASURES, Estimate
from deepjive.experiments.brain.page import _balance_table, _before_and_after, _save_maps
from deepjive.imaging import Cohort, mni_grid, template
from tests.experiments.brain.test_study import ReachedError, linear_models

N = 90


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    impaired = np.arange(N) % 2 == 1
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i}" for i in range(N)],
            "session_id": "",
            "diagnosis": np.where(impaired, "AD", "CN"),
            "age": 70.0 + 8.0 * impaired + rng.normal(size=N),
            "sex": rng.choice(["F", "M"], N),
            "site": rng.choice(["A", "B"], N),
        }
    )


def test_a_confound_that_differs_between_diagnoses_classifies_them_and_a_balanced_one_does_not(table):
    age, sex, both = balance(table, ["age", "sex"], "AD")
    assert age.accuracy.value > 0.95
    assert sex.accuracy.value < 0.7  # 90 participants: chance is below .64 in 99 of 100 tables
    assert (age.positive[:2], age.other[:2]) == ("78", "70")
    assert sex.positive.startswith(("F ", "M "))
    assert both.name == "all of these"
    assert both.accuracy.value > 0.95


def test_a_site_of_numbers_has_categories(table, monkeypatch):
    codes = np.where(table["site"] == "A", 2, 128)
    cohort, described = Cohort(table.assign(site=codes), ("mri", "pet")), []

    def stop(table, names, *_, **__):
        described.extend(balance(table, names, "AD"))
        raise ReachedError

    monkeypatch.setattr(module, "balance", stop)
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(N, 5)) for name in cohort.names}
    with pytest.raises(ReachedError):
        module.brain_study(cohort, Modalities(arrays), 12.0, confounds=("site",))
    assert "%" in described[0].positive
    assert "128 " in described[0].positive


def test_the_page_says_that_the_phantom_has_no_age_in_years_and_how_many_samples_were_left_out(table):
    rows = balance(table, ["age"], "AD")
    assert "not in years" not in _balance_table(module.BrainStudy(balance=rows)).sentence
    assert "not in years" in _balance_table(module.BrainStudy(balance=rows, probes=[("joint", {})])).sentence
    assert "left out" not in _lead(N, N, 6.0, 0, module.QUICK)
    assert f"8 of {N} samples were left out" in _lead(N - 8, N, 6.0, 0, module.QUICK)


def test_confounds_are_learned_from_the_fitted_participants_and_scores_are_shown_with_and_without(table, monkeypatch):
    rng = np.random.default_rng(1)
    shift = (table["site"] == "B").to_numpy()[:, None] * 3.0
    arrays = {name: rng.normal(size=(N, width)) + shift for name, width in (("mri", 12), ("pet", 9))}
    cohort, tested, named = Cohort(table, ("mri", "pet")), [], []

    def classify(scores, *_, **__):
        named.append(scores)
        return dict.fromkeys(MEASURES, Estimate(0.5, 0.0, 1.0))

    def stop(model, data, *_, **__):
        tested.append(data)
        raise ReachedError

    monkeypatch.setattr(module, "fit_models", linear_models)
    monkeypatch.setattr(module, "nested_classification", classify)
    monkeypatch.setattr(module, "classification_of_shuffled", lambda *_, **__: {})
    monkeypatch.setattr(module, "accuracy_of_few", lambda *_, **__: Estimate(0.5, 0.0, 1.0))
    monkeypatch.setattr(module, "joint_structure_test", stop)
    with pytest.raises(ReachedError):
        module.brain_study(cohort, Modalities(arrays), 12.0, confounds=("site", "age"))
    train, test = next(iter(cohort.folds(3, random_state=0)))
    data = Modalities(arrays, confounds={name: table[name].to_numpy() for name in ("age", "site")})
    expected = adjusted(data[train], data[test])[1]
    for name in arrays:
        np.testing.assert_allclose(np.asarray(tested[0][name]), np.asarray(expected[name]))
    site = (table["site"] == "B").to_numpy()[test]
    by_site = [abs(float(np.corrcoef(scores[:, 0], site)[0, 1])) for scores in named if scores.shape[1] == 1]
    taken_out, left_in = by_site[0], by_site[-1]
    assert left_in > 0.9
    assert taken_out < 0.6  # 30 held-out participants: |r| is below .46 in 99 of 100 without a site effect


def test_maps_are_made_with_and_without_confounds_and_compared_on_the_page(table, monkeypatch, tmp_path):
    grid, rng, mapped = mni_grid(12.0), np.random.default_rng(2), []
    inside = template("brain", 12.0) > 0
    shift = (table["site"] == "B").to_numpy()[:, None, None, None] * 3.0 * inside
    arrays = {name: (rng.normal(size=(N, *grid.shape)) + shift) * inside for name in ("mri", "pet")}
    cohort, q_values = Cohort(table, ("mri", "pet")), {True: 0.01, False: 0.9}

    def map_of(model, data, *_, **__):
        mapped.append(data)
        flat, is_first = np.ones(grid.shape), len(mapped) == 1
        effect = rng.normal(size=grid.shape)
        one = Covariation(effect, effect, flat, flat * q_values[is_first], len(data), 120, flat, flat)
        return dict.fromkeys(data.names, one)

    monkeypatch.setattr(module, "fit_models", linear_models)
    monkeypatch.setattr(module, "covariation", map_of)
    monkeypatch.setattr(module, "_classify", lambda *_: None)
    monkeypatch.setattr(module, "_test_pairing", lambda *_: None)
    study, _ = module.brain_study(cohort, Modalities(arrays), 12.0, confounds=("site",))
    in_b = (table["site"] == "B").to_numpy()[next(iter(cohort.folds(3, random_state=0)))[1]]
    apart = [float(np.asarray(data["mri"])[in_b].mean() - np.asarray(data["mri"])[~in_b].mean()) for data in mapped]
    assert abs(apart[0]) < 0.1 * apart[1]  # the first maps are of volumes without the effect of the site
    compared = _before_and_after(study, inside)
    assert compared.header[1:4] == ("taken out", "left in", "both")
    assert compared.rows[0][1:4] == ("100.0%", "0.0%", "0.0%")
    _save_maps(tmp_path, study, grid, confounded=True)
    assert (tmp_path / "mri_confounded_q.nii.gz").is_file()


def test_participants_without_a_confound_are_left_out_and_an_unknown_column_is_an_error(table):
    table.loc[3, "age"] = np.nan
    cohort = _with_confounds(Cohort(table, ("mri", "pet")), ["age", "site"])
    assert len(cohort) == N - 1
    assert [str(problem) for problem in cohort.problems] == ["sub-3: it has no value of the confound age"]
    with pytest.raises(ValueError, match="no column 'weight' for confounds"):
        _with_confounds(cohort, ["weight"])
