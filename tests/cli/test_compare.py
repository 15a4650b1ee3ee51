"""`deepjive compare`: runs side by side."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest

from deepjive.cli.compare import read_run
from deepjive.report.compare import Run, common_samples, write_comparison

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture
def two(fit):
    for out, rank in (("one", 1), ("two", 2)):
        assert fit("--joint-rank", rank, out=out).exit_code == 0


def test_a_page_shows_what_differs_and_whether_the_same_was_found(invoke, files, two):
    page = files / "pages" / "compare.html"
    result = invoke("compare", files / "one", files / "two", "--labels", f"{files}/labels.csv:group", "--out", page)
    assert result.exit_code == 0, result.stderr
    assert f"Comparison: {page}" in result.stdout
    text = page.read_text(encoding="utf-8")
    settings = text[text.index("<caption>Settings") :]
    settings = settings[: settings.index("</table>")]
    assert re.findall(r'<th scope="row">(\w+)</th>', settings) == ["joint_rank"]
    for words in (
        "their 80 common samples",
        "one, coloured by group",
        "1 and 2",
        "°",
        "expression",
        "deepjive compare",
    ):
        assert words in text


def test_confounds_scale_and_transformation_are_named_among_what_differs(fit, invoke, files, two):
    patients = pd.read_csv(files / "labels.csv")
    patients["age"] = np.arange(len(patients))
    patients.to_csv(files / "patients.csv", index=False)
    options = (
        "--scale",
        "features",
        "--transformation",
        "methylation:arcsinh",
        "--confounds",
        f"{files}/patients.csv:age",
    )
    assert fit("--joint-rank", 1, *options, out="other").exit_code == 0
    page = files / "compare.html"
    assert invoke("compare", files / "one", files / "other", "--out", page).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "The settings of the fits differ in confounds, transformation and scale (see below)." in text
    assert "patients.csv:age" in text[text.index("<caption>Settings") :]


def test_a_run_is_read_as_it_was_written(files, two):
    run = read_run(files / "one", "one")
    assert run.samples[:4].tolist() == ["=1+1", "-p", "sample 2", "患者"]
    table = pd.read_csv(files / "one" / "joint_scores.csv", index_col=0)
    np.testing.assert_array_equal(run.joint_scores, table.to_numpy())
    assert sum(run.variance_explained["methylation"].values()) == pytest.approx(1)


def test_one_run_alone_and_a_folder_without_scores_are_refused(invoke, files, two):
    assert "Name two or more runs" in invoke("compare", files / "one").stderr
    (files / "two" / "joint_scores.csv").unlink()
    result = invoke("compare", files / "one", files / "two")
    assert result.exit_code == 2
    assert "joint_scores.csv" in result.stderr


def test_samples_are_matched_by_name(tmp_path):
    rng = np.random.default_rng(0)
    scores, names = rng.normal(size=(50, 2)), np.array([f"s{i}" for i in range(50)])
    order = rng.permutation(50)[:40]
    runs = [Run("a", {}, names, scores), Run("b", {}, names[order], scores[order] @ [[1, 2], [0, 1]])]
    assert common_samples(runs).tolist() == names[np.sort(order)].tolist()
    text = write_comparison(tmp_path / "c.html", runs).read_text(encoding="utf-8")
    assert "their 40 common samples" in text
    assert text.count("0.0°") == 2
    with pytest.raises(ValueError, match="no sample in common"):
        common_samples([runs[0], Run("c", {}, np.array(["t"]), scores[:1])])


def test_the_page_opens_with_what_differs_and_turns_scores_to_the_first_run(tmp_path):
    rng = np.random.default_rng(0)
    scores, names = rng.normal(size=(50, 2)), np.array([f"s{i}" for i in range(50)])
    explained = [{"rna": {"joint": share, "individual": 0.1, "residual": 0.9 - share}} for share in (0.5, 0.3)]
    other = np.column_stack([scores[:, 1], -scores[:, 0], rng.normal(size=50)])
    runs = [Run("a", {}, names, scores, explained[0]), Run("b", {}, names, other, explained[1])]
    text = write_comparison(tmp_path / "c.html", runs).read_text(encoding="utf-8")
    opening = text[text.index("<h2>What differs") :].split("<h2>")[1]
    assert "The joint ranks differ: 2 in a and 3 in b." in opening
    assert "scores 1 and 2 return in b" in opening
    assert "The joint part of rna differs most: it explains 50.0% in a and 30.0% in b." in opening
    assert re.findall(r"<td>b</td><td>([^<]*)</td><td>([^<]*)</td>", opening) == [("2 (turned)", "1.00"), ("1", "1.00")]
    assert "They do not have the same modalities" not in text
    fewer = [
        runs[0],
        Run("c", {}, names, np.column_stack([scores[:, 0], rng.normal(size=50)]), {"dna": explained[0]["rna"]}),
    ]
    text = write_comparison(tmp_path / "d.html", fewer).read_text(encoding="utf-8")
    assert "They do not have the same modalities: a has rna; c has dna." in text
    assert "score 1 returns in c with a correlation of 0.7 or more; the other does not, which may be a rotation" in text
    text = (tmp_path / "c.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    shown = np.frombuffer(base64.b64decode(data["parts"][1]["scores"]), "<f4").reshape(50, 3)
    np.testing.assert_allclose(shown, other * [1, -1, 1], rtol=1e-6)
