"""Every number on the page of a run is the one that the Python functions return, for a linear and for a deep run."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from deepjive import Modalities
from deepjive.cli.options import read_named_labels
from deepjive.evaluation import feature_effects, pair_fit, sample_fit, score_association
from deepjive.persistence import load
from deepjive.rounding import significant

NAMES = ("expression", "methylation")
ENTRY = re.compile(r"(.*)\u00a0([+\u2212][\d.]+)(?:\u00a0±\u00a0([\d.]+))?")  # feature, effect, standard error
DEEP = ("--method", "deepjive", "--max-epochs", 1, "--set", "networks=dense", "--quiet")


class Tables(HTMLParser):
    """The tables of a page, as rows of texts by caption, and the page's other text."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.text, self._place, self._rows = {}, "", "", []
        self.facts = re.findall(r"<dd>([\d,]+)</dd>", text)
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._place = tag if tag in ("caption", "th", "td", "script", "style") else self._place
        if tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th") and self._rows:
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        if tag in ("caption", "th", "td", "script", "style"):
            self._place = ""

    def handle_data(self, data):
        if self._place == "caption":
            self._rows = self.tables.setdefault(data, [])
        elif self._place in ("th", "td") and self._rows:
            self._rows[-1][-1] += data
        elif self._place == "":
            self.text += data


def shown(text):
    """A number as it is written on the page, and half a unit of its last digit."""
    text = text.replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ").replace(",", "").strip()
    digits = re.fullmatch(r"(?:< )?([+-]?\d+)(?:\.(\d+))?(%?)(?: \(ratio\))?", text)
    assert digits, text
    scale = 0.01 if digits[3] else 1.0
    value = float(text.removeprefix("< ").removesuffix(" (ratio)").removesuffix("%")) * scale
    return value, 0.5 * scale * 10.0 ** -len(digits[2] or "")


def assert_shows(text, expected):
    value, half = shown(text)
    if text.startswith("<"):
        assert expected < value
    else:
        assert abs(value - expected) <= half * (1 + 1e-6) + 1e-12, (text, expected)


@pytest.fixture(params=["linear", "deep"])
def page(request, fit, files):
    more = () if request.param == "linear" else DEEP
    done = fit("--labels", f"{files}/labels.csv:group", *more)
    assert done.exit_code == 0, done.stderr
    model = load(files / "run")
    data = Modalities({name: files / f"{name}.csv" for name in NAMES})
    return Tables((files / "run" / "report.html").read_text(encoding="utf-8")), model, data, files


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_number_on_the_page_is_what_the_python_functions_return(page, files):
    page, model, data, files = page
    parts = model.decompose(data)
    script = re.search(r'id="data">(.*?)</script>', (files / "run" / "report.html").read_text(encoding="utf-8"))[1]
    _shares(page, parts)
    _scores(json.loads(script), parts)
    _features(page, model, data)
    _labels(page, parts, read_named_labels([f"{files}/labels.csv:group"], data))
    _samples(page, model, parts, data)
    _answer(page, model, parts, data, read_named_labels([f"{files}/labels.csv:group"], data))


def _answer(page, model, parts, data, labels):
    """The sentences at the top of the page: features and label of joint score 1, and odd samples."""
    said = page.text.replace("\N{NO-BREAK SPACE}", " ")
    listed = re.search(r"these features change most \(in standard deviations\): (.*?)\.\s*(?:Labels|Samples)\.", said)[
        1
    ]
    effects = feature_effects(model, data, test=False)
    for part, name in zip(listed.split("; "), NAMES, strict=True):
        effect = effects[name].effect[0]
        entries = re.findall(r"feature (\d+) ([+\u2212][\d.]+)", part)
        assert part.endswith(f"({name})")
        assert [int(feature) for feature, _ in entries] == np.argsort(-np.abs(effect), kind="stable")[:3].tolist()
        for feature, value in entries:
            assert_shows(value, significant(effect[int(feature)]))
    (row,) = [row for row in score_association(parts, labels).rows if (row.part, row.score) == ("joint", 1)]
    words = r"The label group goes with joint score 1 \(correlation (\S+), 95% interval (\S+) to (\S+), q (.*?)\)"
    found = re.search(words, said)
    assert (found is not None) == (row.q_value <= 0.05)
    for text, value in zip(found.groups()[:3] if found else (), (row.effect, row.lower, row.upper), strict=False):
        assert_shows(text, value)
    fit = sample_fit(parts, model)
    far = np.sum(np.nan_to_num(fit.outlyingness) > 3.5)
    count = re.search(r"(\d+|One|No) samples? ha(?:s|ve) an? (?:unusual )?residual", said)[1]
    assert {"One": 1, "No": 0}.get(count, count) in (far, str(far))


def _shares(page, parts):
    for name, fractions in parts.variance_explained.items():
        words = rf"Of the variation in {name}, (\S+) is joint, (\S+) is individual, and (\S+) is"
        for text, fraction in zip(re.search(words, page.text).groups(), fractions.values(), strict=True):
            assert_shows(text, fraction)
    ranks = [scores.shape[1] for scores in (parts.joint_scores, *parts.individual_scores.values())]
    assert page.facts == [str(len(parts.data)), *map(str, ranks)]


def _scores(data, parts):
    expected = [parts.joint_scores, *parts.individual_scores.values()]
    for part, scores in zip(data["parts"], expected, strict=True):
        drawn = np.frombuffer(base64.b64decode(part["scores"]), "<f4").reshape(len(scores), -1)
        np.testing.assert_allclose(drawn, scores, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(part["ranges"], np.percentile(scores, [0, 5, 95, 100], axis=0).T, atol=1e-6)


def _features(page, model, data):
    effects = feature_effects(model, data, test=not model.is_stochastic)
    for name, effect in effects.items():
        rows = page.tables[f"{name}: features of each score"][1:]
        assert len(rows) == len(effect.scores)
        for row, (words, rise, fall, *tested) in enumerate(rows):
            assert words == " ".join(map(str, effect.scores[row]))
            for cell, sign in ((rise, 1), (fall, -1)):
                listed = [ENTRY.fullmatch(entry).groups() for entry in filter(None, cell.split(", "))]
                order = np.argsort(-sign * effect.effect[row], kind="stable")
                order = [i for i in order if sign * effect.effect[row, i] > 0][:5]
                assert len(listed) == len(order)
                for (feature, value, error), i in zip(listed, order, strict=True):
                    assert feature.replace("\N{NO-BREAK SPACE}", " ").removeprefix("feature ") == effect.features[i]
                    assert_shows(value, significant(effect.effect[row, i]))  # as `to_frame` gives it
                    if error:
                        assert_shows(error, significant(effect.standard_error[row, i]))
            if tested:
                found, _, of = tested[0].replace("\N{NO-BREAK SPACE}", " ").partition(" of ")
                assert int(found) == int((effect.q_value[row] < 0.05).sum())
                assert int(of) == int(np.isfinite(effect.q_value[row]).sum())
                assert_shows(tested[1], effect.match[row])


def _labels(page, parts, labels):
    rows = page.tables["Scores associated with labels"][1:]
    associations = [row for row in score_association(parts, labels).rows if np.isfinite(row.p_value)]
    assert len(rows) == min(len(associations), 8)
    for (label, score, effect, interval, q, ends), expected in zip(rows, associations, strict=False):
        assert ends == (f"{expected.highest}, {expected.lowest}" if expected.highest else "")
        assert (label, score) == (expected.label, f"{expected.part} {expected.score}")
        assert_shows(effect, expected.effect)
        low, high = interval.replace("\N{NO-BREAK SPACE}", " ").split(" to ")
        assert_shows(low, expected.lower)
        assert_shows(high, expected.upper)
        assert_shows(q, expected.q_value)


def _samples(page, model, parts, data):
    fit = sample_fit(parts, model)
    for sample, name, deviations, joint, individual, residual, farther in page.tables.get(
        "Samples with the largest residuals", []
    )[1:]:
        i, k = fit.samples.index(sample), fit.modalities.index(name)
        for text, array in (
            (deviations, fit.outlyingness),
            (joint, fit.joint),
            (individual, fit.individual),
            (residual, fit.residual),
            (farther, fit.farther),
        ):
            assert_shows(text, array[i, k])
    for sample, name, share, closest in page.tables.get("Pairs that fit together least", [])[1:]:
        pair = pair_fit(model, data, name)
        i = pair.samples.index(sample)
        assert closest == pair.closest[i]
        assert_shows(share, pair.others_closer[i])
