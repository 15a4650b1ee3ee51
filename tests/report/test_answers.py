from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepjive import Modalities
from deepjive.evaluation.label_association import score_association
from deepjive.evaluation.sample_quality import PairFit, sample_fit
from deepjive.report.answers import (
    end_tables,
    first_score_label,
    label_answers,
    label_tables,
    odd_samples,
    sample_tables,
)


@pytest.fixture
def parts(make_decomposition):
    return make_decomposition({"rna": (8,), "protein": (6,)}, samples=[f"s{i}" for i in range(60)])


def test_labels_are_shown_with_the_numbers_of_the_library(parts):
    labels = {"age": parts.joint_scores[:, 0] + np.random.default_rng(0).normal(size=60)}
    answers = label_answers(parts, labels)
    (table,) = label_tables(answers)
    first = score_association(parts, labels).rows[0]
    assert table.rows[0] == (
        "age",
        "joint 1",
        f"+{first.effect:.2f}",
        f"+{first.lower:.2f} to +{first.upper:.2f}".replace(" ", "\N{NO-BREAK SPACE}"),
        "< 0.001",
        "",
    )
    adjusted = label_answers(parts, labels, {"batch": np.arange(60) % 2})
    assert "adjusted for batch" in label_tables(adjusted)[0].sentence
    assert label_tables(label_answers(parts, {})) == []


def test_the_label_of_joint_score_1_is_named_with_its_interval(parts):
    rng = np.random.default_rng(0)
    kind = np.array(["a", "b", "c"])[np.digitize(parts.joint_scores[:, 0], [-0.5, 0.5])]
    labels = {"age": rng.normal(size=60), "kind": kind}
    sentence = first_score_label(label_answers(parts, labels))
    (row,) = [row for row in score_association(parts, {"kind": kind}).rows if (row.part, row.score) == ("joint", 1)]
    numbers = f"(ratio {row.effect:.2f}, 95% interval {row.lower:.2f} to {row.upper:.2f}, q < 0.001)"
    assert (
        sentence.replace("\N{NO-BREAK SPACE}", " ")
        == f"Of the labels age and kind, kind goes most with joint score 1 {numbers}. "
        "The score is highest for c and lowest for a."
    )
    assert "none of the labels age" in first_score_label(label_answers(parts, {"age": labels["age"]}))
    assert first_score_label(label_answers(parts, {})) is None


def test_a_label_that_is_a_confound_is_not_shown(parts):
    age = np.random.default_rng(0).normal(size=60)
    assert label_tables(label_answers(parts, {"age": age}, {"age": age})) == []


def test_a_label_that_varies_within_participants_is_named_with_the_reason(parts):
    grouped = replace(parts, data=Modalities(parts.data, groups=np.arange(60) // 2))
    visit = np.tile(["first", "second"], 30)
    (table,) = label_tables(label_answers(grouped, {"visit": visit, "age": np.arange(60.0)}))
    assert {row[0] for row in table.rows} == {"age"}
    assert "Label 'visit' has several values within 30 participants" in table.sentence


def test_ends_of_scores_name_samples(parts):
    (table,) = end_tables(parts)
    order = np.argsort(parts.joint_scores[:, 0])
    assert table.rows[0] == ("joint 1", *(", ".join(f"s{i}" for i in rows) for rows in (order[:3], order[::-1][:3])))


def test_outliers_and_pairs_are_listed(parts):
    fit = sample_fit(parts)
    fit.outlyingness[4, 1] = 9.0
    pair = PairFit("rna", ["s1", "s2"], np.array([0.4, 0.0]), np.array([2.0, 0.1]), ["s3", "s2"], np.array([0.8]))
    residuals, pairs = sample_tables(fit, {"rna": pair})
    assert ("s4", "protein", "9.0") in [row[:3] for row in residuals.rows]
    assert pairs.rows == [("s1", "rna", "40.0%", "s3")]
    assert "rna and of the other modalities correlate 0.80" in pairs.sentence
    assert sample_tables(None, {}) == []
    far, misfit = odd_samples(fit, {"rna": replace(pair, others_closer=np.append([0.4], np.zeros(40)))})
    assert "sample s4 (protein, 9.0)" in far
    assert misfit.startswith("The rna of sample s1 fits the other modalities of this sample less than that of 40%")
    assert odd_samples(None, None) == odd_samples(None, {"rna": pair}) == []  # pairs of few scores fit by chance
