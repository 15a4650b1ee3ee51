"""The answer in words agrees with the evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from deepjive.evaluation.evidence_study import Evidence
from deepjive.evaluation.null import JointStructureTest
from deepjive.evaluation.refit_stability import Stability
from deepjive.evaluation.ridge import RIDGE
from deepjive.evaluation.score_prediction import CrossPrediction
from deepjive.report.summary import summary

MEASURE = "prediction from the other modalities"


@pytest.fixture
def parts(make_decomposition):
    return make_decomposition({"rna": (8,), "protein": (6,)})


@pytest.fixture
def measured():
    explained = {"rna": 0.3, "protein": 0.2}
    test = JointStructureTest(0.001, explained, explained, explained, MEASURE, 50, 999)
    cross = CrossPrediction("individual rna", "joint", -0.014, 0.1, 0.002, 50, 999)
    return Evidence(
        method="AJIVE",
        n_fitted=100,
        n_held_out=50,
        joint_rank=2,
        individual_ranks={"rna": 2, "protein": 2},
        joint_structure=test,
        predicted={"AJIVE": explained, RIDGE: {"rna": 0.31, "protein": 0.4}},
        explained={},
        agreement={},
        cross={"AJIVE": [cross]},
        stability={"AJIVE": [Stability("joint", "samples", 3, [0.95, 0.2], [0.99, 0.7])]},
    )


def test_real_joint_variation_is_compared_with_ridge_regression(parts, measured):
    text = summary(parts, measured, None, "runs/a").text
    assert "There is joint variation: a permutation test of 50 held-out samples gives p = 0.001" in text
    assert "predicts 30.0% of rna and 20.0% of protein" in text
    assert "ridge regression predicts 31.0% of rna and 40.0% of protein" in text
    assert "clearly more of protein:" in text
    assert "joint score 1 returns (correlation of 0.7 or more)" in text
    assert "No part predicts 5% or more" in text  # p = .002 for a share below 0 is no leak
    assert text.endswith("below.")


def test_without_joint_variation_nothing_is_to_be_interpreted(parts, measured):
    nothing = replace(measured, joint_structure=replace(measured.joint_structure, p_value=0.4))
    text = summary(parts, nothing, None, "runs/a").text
    assert "does not show joint variation (p = 0.400)" in text
    assert "There is joint variation" not in text
    assert "Ridge regression predicts clearly" not in text
    answer = summary(parts, nothing, None, "runs/a", "deepjive fit --joint-rank 1", [("Labels", "Of the labels, age.")])
    assert answer.commands == ["deepjive fit --config runs/a --joint-rank 0 --out runs/a-2"]  # not that of the findings
    assert "age" not in answer.text


def test_without_evidence_the_command_names_the_run_and_tested_features_are_counted(parts):
    q_values = [0.01, 0.2, np.nan]
    frame = pd.DataFrame({"part": "joint", "score": 1, "feature": list("abc"), "q_value": q_values})
    answer = summary(parts, None, {"rna": frame}, "'my run'")
    assert "1 of 2 features of rna vary with joint score 1" in " ".join(answer.sentences)
    assert answer.commands == ["deepjive report 'my run' --evidence"]
    assert "features" not in " ".join(summary(parts, None, None, None).sentences)


def test_the_command_of_findings_is_the_next_step_and_further_sentences_come_before(parts, measured):
    refit = "deepjive fit --config runs/a --joint-rank 1"
    answer = summary(parts, measured, None, "runs/a", refit, [("Samples", "Odd: s1.")])
    assert answer.commands == [refit]
    assert "Odd: s1. Some scores or ranks are doubtful" in answer.text


def test_joint_rank_0_is_said(make_decomposition):
    parts = make_decomposition({"rna": (8,), "protein": (6,)}, joint_rank=0)
    assert summary(parts, None, None, None).sentences == ["The joint rank is 0: the model has no joint part."]
