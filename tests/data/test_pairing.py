"""Rows are paired by name or by position, and the data say which."""

import numpy as np
import pandas as pd
import pytest

from deepjive import AJIVE, Modalities
from deepjive.data import Pairing, read_labels
from deepjive.evaluation import diagnose
from deepjive.evaluation.row_matching import WRONG_ROWS, wrongly_paired
from deepjive.validation import named_labels

A = np.arange(12.0).reshape(4, 3)


def frame(names, values=A):
    return pd.DataFrame(values[: len(names)], index=names, columns=["x", "y", "z"])


def test_the_data_say_how_they_were_paired_and_what_was_left_out():
    data = Modalities({"a": frame(["p", "q", "r", "s"]), "b": frame(["s", "r", "t"])}, unmatched="drop")
    assert data.pairing == Pairing("name", {"a": 4, "b": 3}, {"a": ("p", "q"), "b": ("t",)})
    said = "paired by name; left out 2 of 4 samples of a ('p', 'q') and 1 of 3 samples of b ('t')"
    assert repr(data) == f"Modalities(2 samples: a (3,), b (3,); {said})"
    assert data.summary() == f"2 samples; features: a 3, b 3; {said}"
    assert data[[0]].pairing == data.select(["a"]).pairing == Modalities(data).pairing == data.pairing


def test_names_that_differ_in_spaces_or_in_the_way_of_writing_numbers_are_matched_if_all_are():
    for second, ignored in ((["2 ", " 1"], "spaces around names"), (["02", "1.0"], "the way numbers are written")):
        data = Modalities({"a": frame(["1", "2"]), "b": frame(second)})
        assert data.samples.tolist() == ["1", "2"]
        assert data.pairing.ignoring == ignored
        np.testing.assert_array_equal(data["b"], A[[1, 0]])
        with pytest.raises(ValueError, match=rf"equal except for {ignored}, but .* only in 'a' \('3'\)"):
            Modalities({"a": frame(["1", "2", "3"]), "b": frame(second)}, unmatched="drop")


def test_names_that_only_differ_in_zeros_stay_different_samples():
    data = Modalities({"a": frame(["1", "01"]), "b": frame(["01", "1"])})
    assert data.samples.tolist() == ["1", "01"]
    with pytest.raises(ValueError, match="do not hold the same samples"):
        Modalities({"a": frame(["1", "01"]), "b": frame(["001", "1"])})


@pytest.mark.parametrize("missing", [None, np.nan, pd.NaT, "", " "])
def test_a_sample_without_a_name_is_refused(missing):
    with pytest.raises(ValueError, match=r"'b' does not name the sample in row 1"):
        Modalities({"a": frame(["p", "q"]), "b": frame(["p", missing])})


def test_levels_of_an_index_are_joined():
    index = pd.MultiIndex.from_tuples([("p", 1), ("p", 2)])
    data = Modalities({"a": frame(["p_2", "p_1"]), "b": frame(index)})
    np.testing.assert_array_equal(data["b"], A[[1, 0]])
    columns = pd.DataFrame(A, columns=pd.MultiIndex.from_product([["c"], [1, 2, 3]]))
    assert Modalities({"a": columns}).features["a"].tolist() == ["c_1", "c_2", "c_3"]


def test_names_of_rows_that_have_none_pair_them_by_name():
    data = Modalities({"a": frame(["p", "q"]), "b": A[:2]}, samples=["q", "p"])
    np.testing.assert_array_equal(data["b"], A[[1, 0]])
    with pytest.raises(ValueError, match="Every modality names its samples"):
        Modalities({"a": frame(["p", "q"])}, samples=["p", "q"])


def test_several_features_of_one_name_are_told_in_one_line():
    twice = pd.DataFrame(A, columns=["x", "x", "y"])
    with pytest.warns(UserWarning, match=r"same name in 'a' .1 names, such as 'x'. and 'b'") as caught:
        data = Modalities({"a": twice, "b": twice})
    assert len(caught) == 1
    np.testing.assert_array_equal(data["a"], A)


@pytest.mark.parametrize("name", ["NA", "nan", "None", "null", "1e5"])
def test_names_that_look_like_missing_values_stay_names(tmp_path, name):
    (tmp_path / "x.csv").write_text(f"id,g\n{name},1\nb,2\n")
    assert Modalities({"a": tmp_path / "x.csv"}).samples.tolist() == [name, "b"]


def test_none_is_a_label_beside_text_and_missing_beside_numbers(tmp_path):
    (tmp_path / "x.csv").write_text("id,drug,dose\na,None,None\nb,NA,2\nc,Aspirin,3\n")
    assert read_labels(f"{tmp_path}/x.csv:drug", ["a", "b", "c"], 3).tolist() == ["None", "", "Aspirin"]
    np.testing.assert_array_equal(read_labels(f"{tmp_path}/x.csv:dose", ["a", "b", "c"], 3), [np.nan, 2, 3])


@pytest.fixture(scope="module")
def related():
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(60, 2))
    return [joint @ rng.normal(size=(2, p)) + 0.5 * rng.normal(size=(60, p)) for p in (12, 9)]


def test_rows_in_another_order_are_recognised(related):
    a, b = related
    assert wrongly_paired(Modalities({"a": a, "b": b})) is None
    reverse = wrongly_paired(Modalities({"a": a, "b": b[::-1]}))
    assert "with the rows of 'b' in reversed order" in reverse.seen
    as_text = np.argsort([str(i) for i in range(1, 61)], kind="stable")
    assert "sorted as text" in wrongly_paired(Modalities({"a": a, "b": b[as_text]})).seen
    names = np.random.default_rng(1).permutation([f"s{i}" for i in range(60)])
    by_name = wrongly_paired(Modalities({"a": a, "b": b[np.argsort(names)]}, samples=names))
    assert "sorted sample names" in by_name.seen


def test_rows_of_unrelated_modalities_are_not_suspected():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        assert wrongly_paired(Modalities({"a": rng.normal(size=(40, 8)), "b": rng.normal(size=(40, 6))})) is None


def test_the_diagnosis_names_rows_that_do_not_belong_together(related):
    data = Modalities({"a": related[0], "b": related[1][::-1]})
    model = AJIVE(joint_rank=0, individual_ranks=2, random_state=0).fit(data)
    assert diagnose(model, data)[0].name == WRONG_ROWS


def test_a_series_is_matched_by_the_names_of_its_index() -> None:
    """Participants and labels of a shuffled Series belong to the named samples, not to the rows."""
    names = [f"s{i}" for i in range(12)]
    values = np.random.default_rng(0).normal(size=(12, 3))
    series = pd.Series([f"p{i // 2}" for i in range(12)], index=names)
    data = Modalities({"a": values, "b": values}, samples=names, groups=series[::-1])
    assert data.groups is not None
    assert data.groups.tolist() == series.tolist()
    by_position = Modalities({"a": values, "b": values}, samples=names, groups=series.reset_index(drop=True))
    assert by_position.groups is not None
    assert by_position.groups.tolist() == series.tolist()
    with pytest.raises(ValueError, match=r"The index of groups must name every sample once, .* 's11'"):
        Modalities({"a": values, "b": values}, samples=names, groups=series.rename({"s11": "t11"}))
    labels = pd.Series(np.arange(12.0), index=names)
    assert named_labels(labels[::-1], 12, data.samples)["label"].tolist() == labels.tolist()
