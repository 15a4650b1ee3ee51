"""Names and labels of any type: bytes of HDF5, days, several levels, and values that stand for missing ones."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from deepjive import Modalities
from deepjive.evaluation import task_of
from deepjive.validation import named_labels, plain_labels, without_infinite

N = 12
X, Y = np.random.default_rng(0).normal(size=(2, N, 3))
ORDER = np.random.default_rng(1).permutation(N)
NAMES = [f"s{i}" for i in range(N)]


def paired(first, second):
    data = Modalities({"a": pd.DataFrame(X, index=first), "b": pd.DataFrame(Y[ORDER], index=second[ORDER])})
    np.testing.assert_array_equal(data["a"], X)
    np.testing.assert_array_equal(data["b"], Y)
    return data.samples.tolist()


def test_names_that_are_bytes_are_their_text():
    assert paired(pd.Index([name.encode() for name in NAMES]), pd.Index(NAMES)) == NAMES
    bytes_of_names = np.array([name.encode() for name in NAMES], dtype=object)
    assert Modalities({"a": X, "b": Y}, samples=bytes_of_names).samples.tolist() == NAMES
    accents = [f"ä{i}".encode() for i in range(N)]
    assert Modalities({"a": X, "b": Y}, samples=np.array(accents)).samples[0] == "ä0"


def test_days_are_paired_with_the_days_that_pandas_writes_into_files(tmp_path):
    days = pd.date_range("2020-01-01", periods=N)
    frame = pd.DataFrame(Y[ORDER], index=days[ORDER], columns=list("xyz"))
    frame.to_csv(tmp_path / "b.csv", index_label="id")
    data = Modalities({"a": pd.DataFrame(X, index=days), "b": tmp_path / "b.csv"})
    np.testing.assert_allclose(data["b"], Y)
    assert data.samples[0] == "2020-01-01"
    hours = pd.date_range("2020-01-01", periods=N, freq="h")
    assert paired(hours, hours)[1] == "2020-01-01 01:00:00"


def test_labels_are_matched_by_an_index_of_several_levels_or_days():
    for index in (pd.MultiIndex.from_arrays([NAMES, ["v1"] * N]), pd.date_range("2020-01-01", periods=N)):
        data = Modalities({"a": pd.DataFrame(X, index=index), "b": pd.DataFrame(Y, index=index)})
        labels = named_labels(pd.Series(X[ORDER, 0], index=index[ORDER]), N, data.samples)
        np.testing.assert_array_equal(labels["label"], X[:, 0])


def test_a_first_column_of_categories_that_are_numbers_does_not_name_the_samples():
    frame = pd.DataFrame({"grade": pd.Categorical([1.5, 2.5] * (N // 2)), "x": X[:, 0]})
    with pytest.raises(TypeError, match=r"column 'grade' holds .* Convert the column"):
        Modalities({"a": frame, "b": Y})
    data = Modalities({"a": frame.assign(grade=frame["grade"].astype(float)), "b": Y})
    np.testing.assert_array_equal(data["a"], np.stack([[1.5, 2.5] * (N // 2), X[:, 0]], axis=1))


def test_columns_of_a_frame_are_labels_by_name():
    frame = pd.DataFrame({"x": X[ORDER, 0], "sex": np.where(X[ORDER, 1] > 0, "f", "m")}, index=np.array(NAMES)[ORDER])
    labels = named_labels(frame, N, np.array(NAMES))
    np.testing.assert_array_equal(labels["x"], X[:, 0])
    assert labels["sex"].tolist() == np.where(X[:, 1] > 0, "f", "m").tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_tensors_are_labels(dtype):
    tensor = torch.tensor(X[:, 0], dtype=dtype, requires_grad=True)
    np.testing.assert_array_equal(plain_labels(tensor), tensor.detach().float().numpy())


def test_bytes_are_text_and_durations_are_refused():
    assert plain_labels(np.array([b"f", b"m"])).tolist() == ["f", "m"]
    assert plain_labels([b"f", None]).tolist() == ["f", ""]
    with pytest.raises(TypeError, match=r"timedelta.*expected"):
        task_of(pd.to_timedelta(np.arange(N), unit="D").values)


@pytest.mark.parametrize("as_type", [np.array, list, lambda texts: pd.Series(texts, dtype="string")])
def test_blanks_around_labels_make_no_class(as_type):
    assert plain_labels(as_type(["f", "f ", " ", "m", ""])).tolist() == ["f", "f", "", "m", ""]


@pytest.mark.parametrize("text", ["nan", "<NA>", "NaT"])
def test_missing_labels_that_became_text_are_missing_and_said(text):
    with pytest.warns(UserWarning, match=rf"hold the text {text!r} \(sample 1; 1 samples"):
        assert without_infinite(np.array(["f", text, "m"])).tolist() == ["f", "", "m"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert without_infinite(np.array(["None", "mild", "severe"])).tolist() == ["None", "mild", "severe"]
