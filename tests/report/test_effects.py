"""What each score does, at a glance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from deepjive.evaluation.feature_ranking import effects_of
from deepjive.report.effects import effect_frames, effect_pictures, effect_tables, feature_table, first_score, signed


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_features_that_change_most_are_named_with_their_signs(make_decomposition):
    parts = make_decomposition({"image": (6, 6), "table": (30,)})
    parts.data.features["table"] = np.array([f"gene {i}" for i in range(30)])
    (table,) = effect_tables(effect_frames(parts))
    assert [row[0] for row in table.rows] == ["joint 1", "joint 2", "individual 1", "individual 2"]
    effect = effects_of(parts, "table").effect[0]
    top, bottom = int(effect.argmax()), int(effect.argmin())
    rise, fall = (plain(cell.striptags()) for cell in table.rows[0][1:3])
    assert rise.startswith(f"gene {top} +{effect[top]:.2f}, ")
    assert fall.startswith(f"gene {bottom} \N{MINUS SIGN}{-effect[bottom]:.2f}, ")
    assert "were not tested" in table.sentence
    sentence = first_score(effect_frames(parts))
    strongest = int(np.abs(effect).argmax())
    assert f"gene {strongest} {signed(effect[strongest])}, gene" in sentence
    assert sentence.count("gene") == 3


def test_tested_features_have_standard_errors_and_are_counted():
    columns = ["part", "score", "feature", "effect", "standard_error", "p_value", "q_value", "loading", "match"]
    rows = [("joint", 1, "TP53", -0.5, 0.1, 0.001, 0.003, -1.0, 0.9), ("joint", 1, "MYC", 0.2, 0.1, 0.1, 0.1, 1.0, 0.9)]
    rows.append(("joint", 1, "constant", 0.0, 0.0, np.nan, np.nan, 0.0, 0.9))
    table = feature_table("rna", pd.DataFrame(rows, columns=columns))
    (row,) = table.rows
    assert tuple(map(plain, row)) == ("joint 1", "MYC +0.20 ± 0.10", "TP53 \N{MINUS SIGN}0.50 ± 0.10", "1 of 2", "0.90")


def test_images_have_a_picture_for_each_part_that_has_scores(make_decomposition):
    parts = make_decomposition({"image": (6, 6), "table": (30,)}, individual_ranks=0)
    assert [picture.heading for picture in effect_pictures(parts)] == ["image, joint scores"]
