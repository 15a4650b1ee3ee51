"""Why the ranks were chosen, in words, a figure and a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepjive.report import words, write_report
from deepjive.report.rank_curves import rank_pictures, rank_rows

from .test_page import FOREIGN, Page

TABLE = {
    "part": ["joint"] * 5 + [FOREIGN] * 2,
    "coordinates": ["linear"] * 3 + ["unrolled"] * 2 + ["linear"] * 2,
    "rank": [0, 1, 2, 0, 1, 0, 1],
    "r2": [0.0, 0.2, 0.4, 0.0, 0.41, 0.0, 0.2],
    "standard_error": [0.0, 0.02, 0.02, 0.0, 0.02, 0.0, 0.01],
    "chosen": [False, False, False, False, True, False, True],
    "ajive_rank": [2, 2, 2, 2, 2, None, None],
    "dimension": [1, 1, 1, 1, 1, None, None],
}


def test_each_part_has_a_figure_and_each_number_of_scores_a_row():
    assert [picture.heading for picture in rank_pictures(TABLE)] == ["Joint rank", f"Individual rank of {FOREIGN}"]
    table = rank_rows(TABLE)
    assert table.rows[4] == ("joint", "unrolled", 1, "41.0%", "2.0%", "chosen")
    assert rank_pictures({}) == []


def test_the_page_shows_them(tmp_path, make_decomposition):
    parts = make_decomposition({"a": (6,), "b": (5,)})
    settings = {"joint_rank": "auto", "individual_ranks": 2}
    path = write_report(tmp_path / "r.html", parts, title="T", settings=settings, rank_table=TABLE)
    page = Page(path.read_text(encoding="utf-8"))
    reasons = ("The joint rank was chosen from the data", "individual ranks were set by the user")
    for said in ("Choice of ranks", FOREIGN, *reasons):
        assert said in page.text


@pytest.mark.parametrize(
    ("settings", "table", "bounds", "said"),
    [
        ({}, None, False, "The model has 2 joint scores, 2 individual scores in a and 2 individual scores in b."),
        (
            {"joint_rank": 2, "individual_ranks": {"a": 2}},
            None,
            False,
            "joint rank and individual ranks were set by the user",
        ),
        ({"joint_rank": "auto"}, None, True, "agree more than by chance"),
        ({"joint_rank": "auto"}, None, False, "by the rule"),
        (
            {"joint_rank": "auto", "individual_ranks": "auto"},
            TABLE,
            False,
            "predicts held-out samples about as well as the best number",
        ),
    ],
)
def test_it_is_said_where_ranks_come_from(make_decomposition, settings, table, bounds, said):
    parts = make_decomposition({"a": (6,), "b": (5,)})
    assert said in " ".join(words.ranks(parts, settings, table, bounds))
    assert np.isfinite(parts.joint_scores).all()


def test_ranks_of_subsets_that_ajive_chose_are_said_to_be_so(make_decomposition):
    parts = replace(make_decomposition({"a": (6,), "b": (5,)}), subset_scores={("a", "b"): np.zeros((30, 1))})
    settings = {"joint_rank": "auto", "individual_ranks": "auto"}
    own = {key: values[-1:] for key, values in TABLE.items()}
    assert own["part"] != ["joint"]
    assert "are those of AJIVE with subsets" in " ".join(words.ranks(parts, settings, own, False))
    assert "are those of AJIVE" not in " ".join(words.ranks(parts, settings, TABLE, False))
    nothing = {key: [] for key in TABLE}
    assert "are those of AJIVE with subsets" in " ".join(words.ranks(parts, settings, nothing, False))
    named = settings | {"subsets": {("a", "b"): 1}}
    assert "joint rank is that of AJIVE with these subsets" in " ".join(words.ranks(parts, named, own, False))
    by_user = " ".join(words.ranks(parts, settings | {"joint_rank": 1}, own, False))
    assert "The joint rank was set by the user" in by_user
    assert "AJIVE" not in by_user
