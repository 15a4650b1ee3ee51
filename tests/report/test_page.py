import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from deepjive.report import Table, write_report
from deepjive.report.words import NO_EVIDENCE, NO_JOINT, READ_IMAGES, READ_ORDER, SOME_FEATURES

VOID = {"meta", "link", "br", "img", "hr", "input"}
FOREIGN = "<script>alert('x')</script> 患者 $\\alpha"


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails where elements are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.text, self.open = [], [], "", []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def scripts_of(text):
    """Contents of the page's script elements."""
    return re.findall(r"<script[^>]*>(.*?)</script>", text, flags=re.DOTALL)


@pytest.fixture
def write(tmp_path, make_decomposition):
    def _write(shapes, *, ranks=(2, 2), samples=None, **options):
        decomposition = make_decomposition(shapes, joint_rank=ranks[0], individual_ranks=ranks[1], samples=samples)
        options = {"title": "A title", "settings": {"method": "AJIVE"}, **options}
        path = write_report(tmp_path / "new" / "report.html", decomposition, **options)
        return Page(path.read_text(encoding="utf-8")), path

    return _write


@pytest.fixture(scope="module")
def plain(tmp_path_factory, make_decomposition):
    """A page of one image modality and one table: its elements, and its text."""
    decomposition = make_decomposition({"a": (6, 6), "b": (30,)})
    path = write_report(
        tmp_path_factory.mktemp("page") / "report.html", decomposition, title="A title", settings={"method": "AJIVE"}
    )
    text = path.read_text(encoding="utf-8")
    return Page(text), text


def test_page_is_whole_and_says_what_was_found(write):
    page, _ = write({"mri": (6, 6), "expression": (30,)}, settings={"method": "AJIVE", "joint_rank": 2})
    assert "60 samples were measured in 2 modalities: mri and expression." in page.text
    assert re.search(r"Of the variation in mri, \d+% is joint", page.text)
    assert READ_IMAGES in page.text
    assert NO_EVIDENCE.format(run="RUN").replace("`", "") in page.text
    assert (
        page.elements.count("svg") == 8
    )  # variance, two examples, joint and two individual scores, what two parts of an image do
    assert "joint_rank" in page.text


def test_every_picture_has_words_for_those_who_cannot_see_it(plain):
    page, _ = plain
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert all(labels)
    assert len(labels) >= page.elements.count("svg")


def test_nothing_is_fetched_and_nothing_is_run_but_the_pages_own_script(plain):
    page, text = plain
    sources = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(source.startswith(("#", "data:")) for source in sources)
    data, script = scripts_of(text)
    json.loads(data)
    assert "default-src 'none'" in text
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in text
    assert not re.search(r"url\((?!#)", text)


def test_hostile_and_foreign_names_show_as_text(write):
    page, _ = write(
        {FOREIGN: (6, 6), "b" * 300: (30,)},
        title=FOREIGN,
        settings={FOREIGN: FOREIGN},
        labels={FOREIGN: np.array([FOREIGN, "b"] * 30)},
        evidence=[Table(FOREIGN, [FOREIGN], [[FOREIGN]], FOREIGN)],
        networks=FOREIGN,
        command=FOREIGN,
        samples=[f"{FOREIGN}{i}" for i in range(60)],
    )
    assert page.elements.count("script") == 2  # its data and its own script
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.text.count(FOREIGN) >= 9


def test_ids_are_not_repeated(plain):
    page, _ = plain
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_labels_training_evidence_and_diagnostics_are_shown(write):
    rng = np.random.default_rng(0)
    page, _ = write(
        {"a": (6, 6), "b": (30,)},
        labels={"group": np.array(["case", "control"] * 30), "age": np.linspace(20, 80, 60)},
        history={"phase": ["joint"] * 3, "train_reconstruction": [3.0, 2.0, 1.0]},
        evidence=[("Accuracy", ["scores", "deepjive", "chance"], [["joint", 0.9, 0.5]], "It beats chance.")],
        diagnostics={
            "squared_singular_values": [1.9, 1.0],
            "wedin_samples": rng.normal(1.5, 0.1, 50),
            "random_samples": rng.normal(1.2, 0.1, 50),
        },
        networks="30 -> 2",
        command="deepjive fit",
    )
    for words in ("coloured by group", "coloured by age", "reconstruction", "It beats chance.", "30 -> 2", "bounds"):
        assert words in page.text
    assert NO_EVIDENCE not in page.text


def test_rank_0_is_said_in_words(write):
    page, _ = write({"a": (6, 6), "b": (30,)}, ranks=(0, 1))
    assert NO_JOINT in page.text
    assert READ_ORDER not in page.text
    page, _ = write({"a": (6, 6), "b": (3, 3, 3, 5)}, ranks=(1, 0))
    assert READ_ORDER in page.text
    assert SOME_FEATURES in page.text
    assert "The individual rank of a is 0" in page.text


def test_a_part_that_harms_is_warned_of(tmp_path, make_decomposition):
    decomposition = make_decomposition({"a": (6, 6), "b": (30,)})
    harmed = {"joint": -0.2, "individual": 0.2, "residual": 1.0}
    decomposition.__dict__["variance_explained"] = {"a": harmed, "b": harmed}
    page = Page(write_report(tmp_path / "r.html", decomposition, title="t", settings={}).read_text())
    assert "In a the joint part explains less than nothing (\N{MINUS SIGN}20%)" in page.text


def test_wrong_number_of_labels_is_named(write):
    with pytest.raises(ValueError, match=r"There are 60 samples, but the labels 'age' have shape \(59,\)"):
        write({"a": (6, 6), "b": (30,)}, labels={"age": np.ones(59)})


def test_samples_that_lack_a_modality_are_not_shown_as_examples(tmp_path, make_decomposition):
    decomposition = make_decomposition({"a": (6, 6), "b": (30,)})
    decomposition.data.present[:55, 0] = False
    decomposition.data.present[55:, 1] = False
    page = Page(write_report(tmp_path / "r.html", decomposition, title="t", settings={}).read_text())
    assert "Examples of the parts" not in page.text
