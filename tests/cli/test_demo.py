import sys
from types import SimpleNamespace

from deepjive.cli.demo import demo


def test_demo_prints_what_the_demonstration_says(monkeypatch, tmp_path, capsys):
    asked = []
    fake = SimpleNamespace(run=lambda out: asked.append(out) or "Accuracy of the digit")
    monkeypatch.setitem(sys.modules, "deepjive.evaluation.demo", fake)
    demo(tmp_path / "demo")
    assert asked == [tmp_path / "demo"]
    assert capsys.readouterr().out == "Accuracy of the digit\n"
