"""Confounds are taken out of every modality inside `fit`, and put back into parts and predictions."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities, SeparateAutoencoders, bootstrap, load
from deepjive.adjust.adjustment import Adjustment
from deepjive.adjust.regression import Coding, learn
from deepjive.data.confounds import Confounds
from deepjive.evaluation import (
    diagnose,
    evidence,
    feature_effects,
    joint_structure_test,
    r2,
    rotate,
    sample_fit,
    shuffled,
)
from deepjive.evaluation.feature_ranking import effects_of
from deepjive.evaluation.probes import probe
from deepjive.report import words, write_report

SITES = np.array(["A", "B", "C"])


def at_sites(seed, n=300, n_new=200):
    """Modalities with two joint scores, the same at three sites of another shift and scale, and the joint part."""
    rng = np.random.default_rng(seed)
    total = n + n_new
    z, site = rng.normal(size=(total, 2)), rng.integers(3, size=total)
    clean, measured, joint = {}, {}, {}
    for name, p in {"x": 60, "y": 40}.items():
        joint[name] = z @ rng.normal(size=(2, p))
        own = rng.normal(size=(total, 2)) @ rng.normal(size=(2, p))
        clean[name] = joint[name] + own + rng.normal(size=(total, p))
        scale = np.exp(0.3 * rng.normal(size=(3, 1)) + 0.1 * rng.normal(size=(3, p)))
        scale /= np.sqrt((scale**2).mean(axis=0))
        shift = rng.normal(size=(3, p)) * 1.5 + rng.normal(size=(3, 1))
        measured[name] = clean[name] * scale[site] + (shift - shift.mean(axis=0))[site]
    return clean, measured, joint, SITES[site], slice(0, n), slice(n, total)


def fitted(estimator, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(data)


@pytest.mark.parametrize(
    "estimator",
    [
        AJIVE(joint_rank=2, individual_ranks=2),
        DeepJIVE(joint_rank=2, individual_ranks=2, networks="linear", max_epochs=2, random_state=0),
    ],
    ids=["AJIVE", "DeepJIVE"],
)
def test_sites_are_at_chance_in_joint_scores_and_the_joint_part_is_recovered_as_without_sites(estimator):
    clean, measured, joint, site, old, new = at_sites(0)
    data = Modalities(measured, confounds={"site": site})
    without, model = fitted(clone(estimator), Modalities(clean)[old]), fitted(clone(estimator), data[old])
    for rows in (old, new):
        recovered, possible = model.decompose(data[rows]).adjusted, without.decompose(Modalities(clean)[rows])
        for name in joint:
            truth = joint[name][rows]
            assert r2(truth, recovered.joint[name]) > r2(truth, possible.joint[name]) - 0.02
    accuracy = probe(model.transform(data[old]), site[old], model.transform(data[new]), site[new], n_permutations=9)
    two_standard_errors = 2 * np.sqrt(1 / 3 * 2 / 3 / 200)
    assert max(accuracy.linear, accuracy.network) < 1 / 3 + two_standard_errors
    confounded = fitted(clone(estimator), Modalities(measured)[old])
    before = [confounded.transform(Modalities(measured)[rows]) for rows in (old, new)]
    assert probe(before[0], site[old], before[1], site[new], n_permutations=9).network > 0.42


# Computed with neuroCombat 0.2.12 (categorical sex and continuous age as covariates) from the data of the test below.
BY_NEUROCOMBAT = [
    [3.568324, 4.419251, 7.343121, 4.89351, 6.624344],
    [5.331785, 2.089836, 4.763342, 3.43893, 6.982489],
    [2.031444, 4.204707, 4.801421, 6.519451, 6.479342],
]


def sites_age_and_sex():
    rng = np.random.default_rng(3)
    site = np.repeat([0, 1, 2], [7, 9, 8])
    age, sex = np.round(rng.normal(60, 9, 24), 1), np.array(list("fmmfmf" * 4))
    effects = site[:, None] * np.arange(5) * 0.5 + 0.05 * age[:, None] + (sex == "m")[:, None] * 0.8
    x = np.round(rng.normal(size=(24, 5)) * (1 + 0.5 * site[:, None]) + effects, 3)
    return x, Confounds({"site": site.astype(str), "age": age, "sex": sex}, "site")


def test_shift_and_scale_of_sites_are_those_of_neurocombat():
    x, confounds = sites_age_and_sex()
    coding = Coding.of(confounds)
    columns, sites = coding.columns(confounds), coding.sites(confounds)
    effects = learn("x", x, np.arange(24), confounds, coding)
    adjusted = effects.remove(x, columns, sites)
    with_covariates = adjusted + columns @ effects.slopes  # neuroCombat keeps age and sex
    # neuroCombat ends its iterations at a change of 1e-4, and the numbers have six decimals
    np.testing.assert_allclose(with_covariates[[0, 7, 16]], BY_NEUROCOMBAT, atol=5e-6)
    np.testing.assert_allclose(effects.restore(adjusted, columns, sites), x, atol=1e-12)


def test_continuous_and_categorical_confounds_leave_the_residual_of_a_regression_at_their_mean():
    x, confounds = sites_age_and_sex()
    confounds = Confounds(dict(confounds.columns), None)
    coding = Coding.of(confounds)
    effects = learn("x", x, np.arange(24), confounds, coding)
    adjusted = effects.remove(x, coding.columns(confounds), coding.sites(confounds))
    site, sex = confounds.columns["site"], confounds.columns["sex"]
    design = np.column_stack([np.ones(24), site == "1", site == "2", confounds.columns["age"], sex == "m"])
    residual = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
    np.testing.assert_allclose(adjusted, residual + x.mean(axis=0), atol=1e-10)


def test_missing_values_have_no_part_in_the_effects():
    x, confounds = sites_age_and_sex()
    coding = Coding.of(confounds)
    gaps = x.copy()
    gaps[3, 1] = gaps[10, 4] = np.nan
    effects = learn("x", gaps, np.arange(24), Confounds(confounds.columns, None), coding)
    others = np.arange(24) != 3
    alone = learn("x", x[others][:, [1]], np.arange(23), confounds[others], coding)
    np.testing.assert_allclose(effects.slopes[:, 1], alone.slopes[:, 0], atol=1e-8)
    adjusted = effects.remove(gaps, coding.columns(confounds), coding.sites(confounds))
    np.testing.assert_array_equal(np.isnan(adjusted), np.isnan(gaps))


ESTIMATORS = [
    AJIVE(joint_rank=1, individual_ranks=1),
    HeteroJIVE(joint_rank=1, individual_ranks=1),
    JIVE(joint_rank=1, individual_ranks=1, tol=1e-4),
    AJIVE(joint_rank=1, individual_ranks=1, missing="impute"),
    DeepJIVE(joint_rank=1, individual_ranks=1, networks="linear", max_epochs=1, random_state=0),
]


@pytest.fixture(scope="module")
def confounded():
    rng = np.random.default_rng(0)
    n, z = 60, rng.normal(size=(60, 1))
    age, site = rng.normal(50, 10, n), SITES[rng.integers(3, size=n)]
    arrays = {
        name: z @ rng.normal(size=(1, p)) + rng.normal(size=(n, p)) + 0.3 * age[:, None] + 4.0 * (site == "B")[:, None]
        for name, p in {"x": 6, "y": 5}.items()
    }
    return Modalities(arrays, confounds={"age": age, "site": site})


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: f"{type(e).__name__}-{getattr(e, 'missing', '')}")
def test_every_estimator_adjusts_stores_and_restores(estimator, confounded, tmp_path):
    model = fitted(clone(estimator), confounded[:50])
    new = confounded[50:]
    parts = model.decompose(new)
    for name in new:
        total = parts.joint[name] + parts.individual[name] + parts.residual[name]
        np.testing.assert_allclose(total, new[name], atol=1e-5)
        assert np.corrcoef(parts.joint[name].mean(axis=1), new[name].mean(axis=1))[0, 1] > 0.9  # age and site are in it
        adjusted = parts.adjusted
        assert not np.allclose(adjusted.joint[name], parts.joint[name])
        np.testing.assert_allclose(adjusted.data[name], model.adjust(new)[name], atol=1e-6)
    predicted = model.impute(new, "y")
    assert np.corrcoef(predicted.mean(axis=1), new["y"].mean(axis=1))[0, 1] > 0.8
    np.testing.assert_allclose(model.transform(model.adjust(new)), model.transform(new), atol=1e-6)
    assert model.score(new) < 0.9
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_allclose(again.transform(new), model.transform(new), atol=1e-6)
    np.testing.assert_allclose(again.impute(new, "x"), model.impute(new, "x"), atol=1e-5)


def test_what_is_learned_depends_on_the_fitted_samples_alone(confounded):
    changed = {name: np.where(np.arange(60)[:, None] < 50, array, 1e6) for name, array in confounded.items()}
    other = Modalities(changed, confounds=confounded.confounds)
    first, second = (AJIVE(joint_rank=1, individual_ranks=1).fit(data[:50]) for data in (confounded, other))
    np.testing.assert_array_equal(first.joint_scores_, second.joint_scores_)


def test_arrays_on_disk_and_samples_that_lack_a_modality_are_adjusted(confounded, tmp_path):
    paths = {}
    for name, array in confounded.items():
        np.save(tmp_path / f"{name}.npy", array)
        paths[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    on_disk = Modalities(paths, confounds=confounded.confounds)
    model, same = (AJIVE(joint_rank=1, individual_ranks=1).fit(data) for data in (confounded, on_disk))
    np.testing.assert_allclose(same.joint_scores_, model.joint_scores_, atol=1e-10)
    present = np.ones((60, 2), dtype=bool)
    present[:4, 1] = False
    lacking = Modalities({**dict(confounded.items())}, present=present, confounds=confounded.confounds)
    filled = AJIVE(joint_rank=1, individual_ranks=1, missing="impute").fit(lacking)
    assert filled.adjustment_
    assert np.isfinite(filled.decompose(lacking).joint["x"]).all()
    assert np.isnan(filled.decompose(lacking).residual["y"][:4]).all()


def test_a_confound_that_cannot_be_used_is_one_clear_error(confounded):
    x = {name: np.asarray(array) for name, array in confounded.items()}
    model = AJIVE(joint_rank=1, individual_ranks=1)

    def refuse(confounds, message, error=ValueError, **arguments):
        with pytest.raises(error, match=message):
            model.fit(Modalities(x, confounds=confounds, **arguments))

    age, site = np.arange(60.0), np.repeat(["A", "B", "C"], 20)
    refuse({"age": np.ones(60)}, r"The confound 'age' is 1\.0 in all 60 fitted samples")
    refuse(
        {"age": np.where(age == 3, np.nan, age)},
        r"'age' is missing in 1 of 60 samples, the first in row 4, ",
    )
    refuse({"sex": ["f", None] * 30}, r"'sex' is missing in 30 of 60 samples")
    refuse({"id": np.arange(60).astype(str)}, r"have 59 columns together with their categories, but only 60 samples")
    once = np.where(age == 5, "D", site)
    refuse({"site": once}, r"The site 'D' of confound 'site' has 1 sample in modality 'x', but .* need at least 2")
    refuse({"age": age[:5]}, r"There are 60 samples, but the confound 'age' has 5 values")
    refuse({"site": site, "scanner": site}, r"\['site', 'scanner'\] may all be the site")
    refuse({"site": site}, "There is no confound 'place'", site="place")
    refuse(np.ones((60, 2)), "must be a data frame, or a dict", TypeError)
    refuse(pd.DataFrame({"age": age}, index=[f"p{i}" for i in range(60)]), "the 60 samples have no names")
    assert model.fit(Modalities(x, confounds={"site": once}, site=None)).adjustment_["coding"]["site"] == ""


def test_new_samples_need_the_confounds_and_the_sites_of_the_fit(confounded):
    model = AJIVE(joint_rank=1, individual_ranks=1).fit(confounded)
    with pytest.raises(
        ValueError, match=r"fitted with the confounds \['age', 'site'\], .* but these samples have none"
    ):
        model.transform(confounded.without_confounds())
    other = Modalities(confounded, confounds={"age": np.ones(60), "site": ["A"] * 58 + ["D"] * 2})
    with pytest.raises(
        ValueError, match=r"'site' is 'D' in 2 samples \(the first is sample 58\), but .* 'A', 'B', 'C'"
    ):
        model.transform(other)
    with pytest.raises(ValueError, match=r"fitted with the confounds \['age', 'site'\], but the data have \['age'\]"):
        model.impute(Modalities(confounded, confounds={"age": np.ones(60)}), "x")
    plain = AJIVE(joint_rank=1, individual_ranks=1).fit(confounded.without_confounds())
    with pytest.raises(ValueError, match=r"fitted without confounds, but these samples have the confounds"):
        plain.transform(confounded)
    one = Modalities({name: array[:1] for name, array in confounded.items()}, confounds=confounded.confounds[:1])
    assert model.transform(one).shape == (1, 1)


def test_rows_of_a_frame_of_confounds_are_matched_by_name():
    names = [f"p{i}" for i in range(6)]
    x = pd.DataFrame(np.eye(6), index=names)
    frame = pd.DataFrame({"id": names, "age": np.arange(6.0), "group": list("aabbcc"), "batch": [1, 1, 1, 2, 2, 2]})
    data = Modalities({"x": x, "y": x}, confounds=frame.iloc[::-1].reset_index(drop=True))
    np.testing.assert_array_equal(data.confounds.columns["age"], np.arange(6.0))
    assert data.confounds.columns["batch"].tolist() == ["1", "1", "1", "2", "2", "2"]
    assert "confounds: age, group (3 categories), batch (2 sites)" in repr(data)
    assert data[[4, 0]].confounds.columns["group"].tolist() == ["c", "a"]
    with pytest.raises(ValueError, match=r"no row for 1 of 6 samples \('p5' first"):
        Modalities({"x": x, "y": x}, confounds=frame[:5])
    with pytest.raises(ValueError, match="names sample 'p0' more than once"):
        Modalities({"x": x, "y": x}, confounds=pd.concat([frame, frame], ignore_index=True))


def test_evidence_is_measured_without_confounds_and_predicts_them_before_and_after(confounded):
    rng = np.random.default_rng(1)
    n = 200
    site = SITES[rng.integers(3, size=n)]
    shift = 3.0 * (site == "B")[:, None]
    x = {name: rng.normal(size=(n, p)) + shift * rng.normal(size=p) for name, p in {"x": 8, "y": 6}.items()}
    data = Modalities(x, confounds={"site": site})
    model = AJIVE(joint_rank=1, individual_ranks=1).fit(data)
    found = evidence(model, data, n_permutations=199, n_fits=0)
    assert found.joint_structure.p_value > 0.05  # the modalities share the site and nothing else
    probes = found.probes["confound site"]
    assert probes["AJIVE"]["joint"].linear < 0.5 < probes["AJIVE, confounds left in"]["joint"].linear
    without = data.without_confounds()
    plain = AJIVE(joint_rank=1, individual_ranks=1).fit(without[:140])
    assert joint_structure_test(plain, without[140:], 199).p_value < 0.05
    assert diagnose(model, data) is not None
    with pytest.raises(ValueError, match="cannot be shuffled against each other"):
        shuffled(data)
    assert bootstrap(model, data, n_draws=2).level


def test_separate_autoencoders_take_confounds_out(confounded):
    model = SeparateAutoencoders(ranks=1, networks="linear", max_epochs=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = model.fit(confounded).transform(confounded)
    assert abs(np.corrcoef(scores[:, 0], confounded.confounds.columns["age"])[0, 1]) < 0.1


def test_the_report_is_of_the_data_without_confounds(confounded, tmp_path):
    images = Modalities({"x": confounded["x"].reshape(60, 2, 3), "y": confounded["y"]}, confounds=confounded.confounds)
    parts = AJIVE(joint_rank=1, individual_ranks=1).fit(images).decompose(images)
    with_note, without = (
        write_report(tmp_path / "page.html", decomposition, title="t", settings={}).read_text(encoding="utf-8")
        for decomposition in (parts, parts.adjusted)
    )
    note = words.CONFOUNDS.format(confounds="age, site (3 sites)")
    assert note in with_note
    pictures = [re.findall("[A-Za-z0-9+/]{200,}", page) for page in (with_note, without)]
    assert pictures[0]
    assert pictures[0] == pictures[1]


def test_effects_of_features_rotations_and_fits_of_samples_are_of_the_data_without_confounds(confounded):
    model = AJIVE(joint_rank=1, individual_ranks=1).fit(confounded)
    parts = model.decompose(confounded)
    for name, effect in feature_effects(model, confounded, parts=parts, test=False).items():
        np.testing.assert_allclose(effect.effect, effects_of(parts.adjusted, name).effect)
    rotated = rotate(model, confounded)
    np.testing.assert_allclose(rotated.decompose(confounded).joint["x"], parts.joint["x"], atol=1e-8)
    np.testing.assert_array_equal(sample_fit(parts).residual, sample_fit(parts.adjusted).residual)


def test_a_first_column_of_categories_is_a_confound_and_no_column_of_names() -> None:
    frame = pd.DataFrame({"sex": ["f", "m"] * 5, "age": np.arange(10.0)})
    data = Modalities({"a": np.eye(10), "b": np.eye(10)}, confounds=frame)
    assert data.confounds is not None
    assert list(data.confounds.columns) == ["sex", "age"]


def sharing_confounds_alone(seed, n, new, k):
    rng = np.random.default_rng(seed)
    confounds, site = rng.normal(size=(n + new, k)), rng.integers(3, size=n + new)
    arrays = {}
    for name, p in {"x": 20, "y": 15}.items():
        own = rng.normal(size=(n + new, 2)) @ rng.normal(size=(2, p)) + rng.normal(size=(n + new, p))
        arrays[name] = own + 2 * confounds @ rng.normal(size=(k, p)) + 3 * rng.normal(size=(3, p))[site]
    columns = {f"c{i}": confounds[:, i] for i in range(k)} | {"site": SITES[site]}
    data = Modalities(arrays, confounds=columns)
    return AJIVE(joint_rank=1, individual_ranks=1).fit(data[:n]), data[n:]


def test_what_few_fitted_samples_leave_of_confounds_is_no_joint_structure():
    p_values, left = [], []
    for seed in range(30):
        model, held_out = sharing_confounds_alone(seed, n=40, new=300, k=6)
        p_values.append(joint_structure_test(model, held_out, 99).p_value)
        left.append(joint_structure_test(model, model.adjust(held_out), 99).p_value)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.075
    assert np.mean(np.array(left) <= 0.05) > 0.1  # what the test would find otherwise
    confounds = held_out.confounds
    cleaned = Adjustment.from_state(model.adjustment_).cleaned(model.adjust(held_out), confounds)
    for values in cleaned.values():
        centred = np.asarray(values) - np.mean(values, axis=0)
        for column in (confounds.columns["c0"], confounds.columns["site"] == "A"):
            np.testing.assert_allclose((column - column.mean()) @ centred, 0.0, atol=1e-8)


def test_confounds_are_never_paired_by_a_mixture_of_names_and_order():
    names = [f"p{i}" for i in range(6)]
    x = pd.DataFrame(np.eye(6), index=names)
    frame = pd.DataFrame({"age": np.arange(6.0), "code": names})[::-1]

    def age(confounds):
        return Modalities({"x": x, "y": x}, confounds=confounds).confounds.columns["age"].tolist()

    in_order = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert age(frame) == age(frame.reset_index(drop=True)) == in_order  # by the column that names all samples
    assert age({"age": frame.set_index("code")["age"]}) == in_order
    assert age({"age": in_order}) == in_order
    with pytest.raises(
        ValueError, match=r"name their samples \('p0' first\), but the rows of `confounds` have no names"
    ):
        age(frame[["age"]].reset_index(drop=True))
    unnamed = Modalities([np.eye(6), np.eye(6)], confounds=frame[["age"]].reset_index(drop=True))
    assert unnamed.confounds.columns["age"].tolist() == in_order[::-1]


def test_confounds_may_leave_fewer_dimensions_than_the_joint_rank_of_a_deep_model():
    rng = np.random.default_rng(0)
    age = rng.normal(size=30)
    explained = age[:, None] * rng.normal(size=(1, 4))
    arrays = {name: np.concatenate([explained, rng.normal(size=(30, 1))], axis=1) for name in "ab"}
    data = Modalities(arrays, confounds={"age": age})
    model = DeepJIVE(joint_rank=3, individual_ranks=0, networks="linear", max_epochs=1, random_state=0)
    assert np.isfinite(fitted(model, data).transform(data)).all()


@pytest.mark.parametrize("has_gaps", [False, True])
def test_nearly_collinear_confounds_leave_nothing_of_themselves(has_gaps):
    """The square of their condition number would leave a part of 1e-4 of the effect of their difference."""
    rng = np.random.default_rng(0)
    age, difference = rng.normal(size=80), rng.normal(size=80)
    columns = {"age": age, "years of life": age + 1e-6 * difference}
    x = np.outer(difference, rng.normal(size=4)) + 0.1 * rng.normal(size=(80, 4))
    if has_gaps:
        x[:5, 0] = np.nan
    confounds = Confounds(columns)
    coding = Coding.of(confounds)
    effects = learn("x", x, np.arange(80), confounds, coding)
    adjusted = effects.remove(x, coding.columns(confounds), coding.sites(confounds))
    known = ~np.isnan(adjusted)
    for j in range(4):
        here = known[:, j]
        deviation = adjusted[here, j] - adjusted[here, j].mean()
        assert abs(np.corrcoef(deviation, difference[here])[0, 1]) < 1e-6
