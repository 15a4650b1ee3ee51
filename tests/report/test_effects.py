"""What each score does, at a glance."""

from __future__ import annotations

import numpy as np

from deepjive.report.effects import effect_pictures, effect_tables, feature_spread


def test_the_features_that_change_most_are_named(make_decomposition):
    parts = make_decomposition({"image": (6, 6), "table": (30,)})
    parts.data.features["table"] = np.array([f"gene {i}" for i in range(30)])
    (table,) = effect_tables(parts)
    assert [row[0] for row in table.rows] == [
        f"{word} {k}" for word in ("joint", "individual") for k in (1, 2) for _ in range(8)
    ]
    low, high = np.percentile(parts.joint_scores[:, 0], [5, 95])
    ends = np.array([[low, 0.0], [high, 0.0]])
    values = parts.render("joint", "table", ends, np.zeros((2, 2)))
    change = (values[1] - values[0]) / feature_spread(parts.data["table"])
    top = int(np.abs(change).argmax())
    assert table.rows[0][1] == f"gene {top}"
    assert abs(float(table.rows[0][2].replace("−", "-")) - change[top]) < 0.006  # noqa: RUF001


def test_images_have_a_picture_for_each_part_that_has_scores(make_decomposition):
    parts = make_decomposition({"image": (6, 6), "table": (30,)}, individual_ranks=0)
    assert [picture.heading for picture in effect_pictures(parts)] == ["image, joint scores"]
