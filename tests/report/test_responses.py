"""What scores do, as arrays for the page."""

from __future__ import annotations

import numpy as np
import pytest

from deepjive import AJIVE, Decomposition, Modalities
from deepjive.report.explorer import honesty, label_data, page_data
from deepjive.report.responses import respond

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(200, 2))


def test_a_linear_function_is_kept_exactly_also_far_outside():
    loadings = RNG.normal(size=(2, 30))
    response = respond(lambda z: z @ loadings, SCORES, 30)
    assert response.exact
    assert response.reproduced == 1.0
    far = np.array([[50.0, -70.0]])
    np.testing.assert_allclose(response(far), far @ loadings)


def test_a_curved_function_is_interpolated_and_what_is_lost_is_said():
    mixing = RNG.normal(size=(4, 30))

    def curved(z):
        return np.stack([np.sin(z[:, 0]), np.tanh(z[:, 1]), z[:, 0] * z[:, 1], z[:, 0] ** 2], axis=1) @ mixing

    response = respond(curved, SCORES, 30)
    assert not response.exact
    assert 0.99 < response.reproduced < 1.0
    new = RNG.normal(size=(50, 2)).clip(-2, 2)
    lost = np.square(curved(new) - response(new)).sum() / np.square(curved(new)).sum()
    assert lost < 0.02


def test_a_function_that_cannot_be_interpolated_is_said_to_be_lost():
    noise = respond(lambda z: np.sin(1e4 * z) * np.any(z, axis=1, keepdims=True), SCORES, 2)
    assert noise.reproduced < 0.5


@pytest.mark.parametrize("ranks", [(0, 1), (1, 0), (2, 2)])
def test_every_rank_can_be_explored(make_decomposition, ranks):
    parts = make_decomposition({"a": (6, 6), "b": (30,)}, joint_rank=ranks[0], individual_ranks=ranks[1])
    data = page_data(parts, {"group": np.array(["x", "y"] * 30), "age": np.linspace(1, 2, 60)})
    assert [part["rank"] for part in data["parts"]] == [ranks[0], ranks[1], ranks[1]]
    assert [one["reproduced"] for one in data["modalities"]] == [None, None]  # AJIVE is linear
    assert len(data["modalities"][0]["responses"]) == sum(rank > 0 for rank in ranks)


def test_scores_of_subsets_can_be_explored():
    tables = {name: RNG.normal(size=(60, 8)) for name in "abc"}
    ranks = {"joint_rank": 1, "subsets": {("a", "b"): 2}, "signal_ranks": 4, "individual_ranks": 1}
    parts = AJIVE(**ranks, n_wedin=0, n_random=0, random_state=0).fit(tables).decompose(tables)
    data = page_data(parts, {})
    words = [("joint", "joint", 1), ("subset", "a+b", 2), *(("individual", name, 1) for name in "abc")]
    assert [(part["word"], part["name"], part["rank"]) for part in data["parts"]] == words
    assert data["parts"][1]["members"] == ["a", "b"]
    inputs = [[response["inputs"] for response in one["responses"]] for one in data["modalities"]]
    assert inputs == [["joint", "a+b", "own"], ["joint", "a+b", "own"], ["joint", "own"]]
    assert [one["reproduced"] for one in data["modalities"]] == [None] * 3


def test_numbers_of_a_label_reach_the_page_as_they_are():
    dates = np.arange(20240101, 20240131)
    assert label_data("date", dates)["values"] == dates.tolist()
    assert label_data("age", np.append(np.linspace(0, 1, 29), np.nan))["values"][-2:] == [1.0, None]


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("conditioned", [True, False])
def test_it_is_seen_whether_an_individual_part_depends_on_the_joint_scores(unit, conditioned):
    loadings = unit * RNG.normal(size=(1, 5))

    def render(part, name, joint, own):
        return ((own * joint if conditioned else own) if part == "individual" else joint) @ loadings

    joint, own = RNG.normal(size=(2, 30, 1))
    data = Modalities({name: unit * RNG.normal(size=(30, 5)) for name in "ab"})
    parts = Decomposition(data, joint, dict.fromkeys("ab", own), dict.fromkeys("ab", np.zeros(5)), render)
    (_, individual), _ = [one["responses"] for one in page_data(parts, {})["modalities"]]
    assert individual["inputs"] == ("both" if conditioned else "own")


def test_it_is_said_where_the_page_is_exact_and_how_close_it_is_elsewhere():
    curved = [{"name": name, "reproduced": share, "places": 400} for name, share in (("a", 0.98), ("b", 0.912))]
    said = honesty({"modalities": [*curved, {"name": "c", "reproduced": None, "places": 0}]})
    assert said.startswith("The model of c is linear")
    assert "400 combinations" in said
    assert "reproduces 98.0% in a and 91.2% in b of the output" in said
    assert honesty({"modalities": []}) == ""
