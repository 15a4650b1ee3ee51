import numpy as np
import pytest
from scipy import stats

from deepjive import AJIVE, Modalities
from deepjive.evaluation.label_association import _partial, extreme_samples, score_association


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    score = rng.normal(size=(90, 1))
    data = Modalities({name: score + rng.normal(size=(90, 8)) for name in "ab"}, samples=[f"s{i}" for i in range(90)])
    return AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0, random_state=0).fit(data).decompose(data)


def row_of(result, label, part="joint", score=1):
    (row,) = [row for row in result.rows if (row.label, row.part, row.score) == (label, part, score)]
    return row


def test_each_kind_of_label_has_the_p_value_of_its_textbook_test(parts):
    rng = np.random.default_rng(1)
    score = parts.joint_scores[:, 0]
    age = 50 + 3 * score + 5 * rng.normal(size=90)
    group = np.array(["a", "b", "c"])[np.digitize(score + rng.normal(size=90), [-0.5, 0.5])]
    sex = np.where(score + 2 * rng.normal(size=90) > 0, "m", "f")
    result = score_association(parts, {"age": age, "group": group, "sex": sex})
    pearson = stats.pearsonr(score, age)
    numeric = row_of(result, "age")
    assert numeric.p_value == pytest.approx(pearson.pvalue)
    limits = pearson.confidence_interval(0.95)
    assert (numeric.effect, numeric.lower, numeric.upper) == pytest.approx((pearson.statistic, *limits), abs=1e-9)
    categories = row_of(result, "group")
    assert categories.p_value == pytest.approx(stats.f_oneway(*(score[group == g] for g in "abc")).pvalue)
    assert categories.lower < categories.effect < categories.upper
    assert (categories.highest, categories.lowest, numeric.highest) == ("c", "a", "")
    two = row_of(result, "sex")
    assert two.p_value == pytest.approx(stats.ttest_ind(score[sex == "m"], score[sex == "f"]).pvalue)
    assert np.sign(two.effect) == np.sign(score[sex == "m"].mean() - score[sex == "f"].mean())
    ordinal = row_of(score_association(parts, {"age": age}, kinds={"age": "ordinal"}), "age")
    assert ordinal.effect == pytest.approx(stats.spearmanr(score, age).statistic)


@pytest.mark.parametrize("strength", [0.0, 0.5, 3.0, 60.0])
def test_the_ratio_of_many_categories_lies_within_its_interval(strength):
    """The ratio of the samples themselves is above the interval by chance, and the far tail of scipy is NaN."""
    rng = np.random.default_rng(3)
    kind = rng.integers(41, size=600)
    score = strength * rng.normal(size=41)[kind] + rng.normal(size=600)
    codes = (kind[:, None] == np.arange(1, 41)).astype(float)
    effect, lower, upper, _ = _partial(score, codes, np.ones((600, 1)))
    true = strength / np.sqrt(1 + strength**2)
    assert 0 <= lower <= effect <= upper <= 1
    assert lower - 0.1 <= true <= upper + 0.1


def test_a_confound_explains_the_association_away(parts):
    rng = np.random.default_rng(2)
    batch = parts.joint_scores[:, 0] + 0.5 * rng.normal(size=90)
    age = batch + rng.normal(size=90)
    assert row_of(score_association(parts, {"age": age}), "age").p_value < 1e-6
    adjusted = score_association(parts, {"age": age}, adjust={"batch": batch})
    assert row_of(adjusted, "age").p_value > 0.01
    assert adjusted.adjusted_for == ["batch"]


def test_p_values_and_intervals_are_calibrated_where_nothing_is(parts):
    rng = np.random.default_rng(6)
    labels = {f"number {i}": rng.normal(size=90) for i in range(100)}
    labels |= {f"words {i}": rng.permutation(np.repeat(["a", "b", "c"], 30)) for i in range(40)}
    rows = [row for row in score_association(parts, labels).rows if row.part == "joint"]
    for measure in ("correlation", "correlation ratio"):
        assert stats.kstest([row.p_value for row in rows if row.measure == measure], "uniform").pvalue > 0.01
    outside = np.mean([row.lower > 0 or row.upper < 0 for row in rows if row.measure == "correlation"])
    assert outside < 0.1


def test_participants_count_once_and_need_one_category(parts):
    doubled = Modalities(
        {name: np.repeat(parts.data[name], 2, axis=0) for name in "ab"}, groups=np.repeat(np.arange(90), 2)
    )
    model = AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0, random_state=0).fit(doubled)
    label = np.random.default_rng(4).normal(size=90)
    row = row_of(score_association(model.decompose(doubled), {"x": np.repeat(label, 2)}), "x")
    assert row.n == 90
    assert row.p_value == pytest.approx(row_of(score_association(parts, {"x": label}), "x").p_value, rel=1e-6)
    with pytest.raises(ValueError, match="several values within 90 participants"):
        score_association(model.decompose(doubled), {"visit": np.tile(["first", "second"], 90)})


def test_samples_without_a_label_are_left_out_and_wrong_kinds_are_refused(parts):
    words = np.where(parts.joint_scores[:, 0] > 0, "high", "low").astype(object)
    words[:10] = None
    assert row_of(score_association(parts, {"w": words}), "w").n == 80
    with pytest.raises(ValueError, match="its values are text"):
        score_association(parts, {"w": words}, kinds={"w": "ordinal"})
    with pytest.raises(ValueError, match="kinds names 'v'"):
        score_association(parts, {"w": words}, kinds={"v": "ordinal"})


@pytest.mark.filterwarnings("ignore:Starting with pandas")  # lifelines calls pandas in the older way
@pytest.mark.filterwarnings("ignore::DeprecationWarning:lifelines")  # on Python 3.14
def test_survival_is_measured_by_a_hazard_ratio(parts):
    pytest.importorskip("lifelines")
    rng = np.random.default_rng(5)
    score = parts.joint_scores[:, 0]
    time = rng.exponential(np.exp(-score))
    row = row_of(score_association(parts, survival={"death": (time, np.ones(90))}), "death")
    assert row.lower > 1.0
    assert row.p_value < 0.001


def test_extreme_samples_are_at_both_ends_of_each_score(parts):
    frame = extreme_samples(parts, 3)
    joint = frame[frame["part"] == "joint"]
    order = np.argsort(parts.joint_scores[:, 0])
    assert joint["sample"].tolist() == [f"s{i}" for i in (*order[:3], *order[::-1][:3])]
    assert joint["end"].tolist() == ["low"] * 3 + ["high"] * 3


@pytest.mark.parametrize("unit", [1e-290, 1e-12, 1e290])
def test_the_units_of_labels_and_confounds_do_not_matter(parts, unit):
    rng = np.random.default_rng(1)
    label, confound = parts.joint_scores[:, 0] + rng.normal(size=(2, 90))
    first, other = (
        row_of(score_association(parts, {"x": label * size}, adjust={"c": confound * size}), "x")
        for size in (1.0, unit)
    )
    assert abs(first.effect) > 0.3
    assert (other.effect, other.p_value) == pytest.approx((first.effect, first.p_value))


def test_values_that_differ_by_rounding_alone_are_one_category(parts):
    rng = np.random.default_rng(3)
    dose = np.where(rng.random(90) < 0.5, 0.3, 1.0)
    rounded = np.where((dose == 0.3) & (rng.random(90) < 0.5), 0.1 + 0.2, dose)
    expected = row_of(score_association(parts, {"dose": dose}), "dose")
    assert row_of(score_association(parts, {"dose": rounded}), "dose") == expected
    constant = np.where(rng.random(90) < 0.5, 0.3, 0.1 + 0.2)
    assert np.isnan(row_of(score_association(parts, {"dose": constant}), "dose").p_value)


def test_infinite_labels_are_warned_of_and_left_out(parts):
    age = np.arange(90.0)
    age[[4, 7]] = np.inf, -np.inf
    with pytest.warns(UserWarning, match=r"labels 'age' hold inf \(sample 4; 2 samples in all\).*missing") as caught:
        row = row_of(score_association(parts, {"age": age}), "age")
    assert row.n == 88
    assert len(caught) == 1
