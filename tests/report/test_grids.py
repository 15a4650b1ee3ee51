from __future__ import annotations

import numpy as np
import pytest

from deepjive import AJIVE
from deepjive.decomposition import Decomposition
from deepjive.plot.samples import one_of_each
from deepjive.report.figures import grid, traversals


@pytest.fixture(scope="module")
def parts() -> Decomposition:
    rng = np.random.default_rng(0)
    joint = rng.normal(size=(40, 2))
    data = {
        name: (joint @ rng.normal(size=(2, side * side)) + 0.1 * rng.normal(size=(40, side * side))).reshape(
            40, side, side
        )
        for name, side in (("a", 6), ("b", 8))
    }
    return AJIVE(signal_ranks=3, joint_rank=2, individual_ranks=1).fit(data).decompose(data)


def test_a_traversal_has_a_row_for_each_score_and_a_column_for_each_step(parts: Decomposition) -> None:
    for part, rows in (("joint", 2), ("individual", 1)):
        images = traversals(parts, "a", part).axes[0].images
        assert len(images) == 5 * rows
        first, middle, last = (np.asarray(images[column].get_array()) for column in (0, 2, 4))
        np.testing.assert_allclose(middle, parts.mean["a"], atol=1e-6)
        np.testing.assert_allclose(first + last, 2 * middle, atol=1e-6)


def test_rows_of_images_may_have_different_sizes() -> None:
    drawn = grid([np.zeros((3, 8, 8)), np.ones((3, 5, 7))], ["small $", "wide"], ["a", "b", "c"]).axes[0]
    assert [image.get_array().shape for image in drawn.images] == [(8, 8)] * 3 + [(5, 7)] * 3


@pytest.mark.parametrize("columns", [3, 10])
def test_labels_of_rows_lie_within_the_figure(columns: int) -> None:
    figure = grid([np.zeros((columns, 8, 8))] * 2, ["pagoda from others", "0"])
    figure.canvas.draw()
    assert all(text.get_window_extent().x0 >= 0 for text in figure.axes[0].texts)


def test_one_sample_of_each_label_is_chosen() -> None:
    np.testing.assert_array_equal(one_of_each(["b", "a", "b"]), [1, 0])
