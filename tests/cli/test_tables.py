import csv
import io

import numpy as np
import pytest

from deepjive.report.tables import csv_text, file_names, history_text, scores_text

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd", "@sum", "\tx", "\r=x", "\uff1d1+1"])
def test_text_that_would_run_as_a_formula_is_quoted(text):
    rows = list(csv.reader(io.StringIO(csv_text([text], [[text]]), newline="")))
    expected = "'" + text.replace("\r", " ")
    assert rows == [[expected], [expected]]


def test_numbers_stay_numbers():
    assert (
        csv_text(["x"], [[-1.5], [np.float32(0.1)], ["-2e-3"], [float("nan")], [3]]) == 'x\n-1.5\n0.1\n-2e-3\n""\n3\n'
    )


def test_scores_keep_full_precision():
    scores = np.random.default_rng(0).normal(size=(5, 2))
    rows = list(csv.DictReader(io.StringIO(scores_text(scores, None, "joint"))))
    np.testing.assert_array_equal([[float(row["joint_1"]), float(row["joint_2"])] for row in rows], scores)
    assert [row["sample"] for row in rows] == ["0", "1", "2", "3", "4"]


def test_names_with_commas_quotes_and_newlines_come_back():
    names = np.array(['a,"b"', "c\nd", "e"])
    rows = list(csv.reader(io.StringIO(scores_text(np.ones((3, 1)), names, "joint"), newline="")))
    assert [row[0] for row in rows[1:]] == names.tolist()


def test_scores_of_rank_0_are_names_alone():
    assert scores_text(np.empty((2, 0)), None, "joint") == "sample\n0\n1\n"


def test_history_has_a_row_for_each_epoch():
    assert history_text({"phase": ["a", "b"], "loss": [1.0, float("nan")]}) == "phase,loss\na,1.0\nb,\n"


def test_file_names_are_harmless_and_differ():
    names = ["../../etc/passwd", "a/b", "a:b", "A_B", "", "...", "患者", "x" * 300]
    chosen = file_names(names)
    assert len({name.casefold() for name in chosen.values()}) == len(names)
    assert all(name and "/" not in name and "." not in name and len(name) <= 70 for name in chosen.values())
    assert chosen["患者"] == "患者"
