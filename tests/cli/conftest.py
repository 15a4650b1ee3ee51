from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from deepjive.cli import runs
from deepjive.cli.main import app

N = 80


@pytest.fixture(scope="session")
def program():
    """All commands, which take a tenth of a second to build."""
    return get_command(app)


@pytest.fixture
def invoke(program, monkeypatch):
    """Run a command line in this process; gives exit_code, stdout, stderr."""
    monkeypatch.setattr("typer.testing._get_command", lambda _: program)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def drawn():
    """Asked for by tests in which the pictures of pages are drawn."""


@pytest.fixture
def no_report(request, monkeypatch):
    """Write no page and no model card, except in tests of `drawn`."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(runs, "write_report_of", lambda path, *args, **options: Path(path))


@pytest.fixture(autouse=True)
def _undrawn(request, monkeypatch):
    """Make the figures of pages, but draw none: that takes most of the time of a command."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("deepjive.report.pieces.to_svg", lambda figure, label: f'<svg aria-label="{label}"></svg>')


@pytest.fixture
def files(tmp_path):
    """Two modalities as CSV files and their labels, with awkward sample names, and an image modality."""
    rng = np.random.default_rng(0)
    samples = ["=1+1", "-p", "sample 2", "患者", *(f"s{i}" for i in range(4, N))]
    joint = rng.normal(size=(N, 1))
    arrays = {}
    for name, width in (("expression", 12), ("methylation", 9), ("image", 30)):
        own = np.hstack([joint, rng.normal(size=(N, 1))])
        arrays[name] = own @ rng.normal(size=(2, width)) + 0.1 * rng.normal(size=(N, width))
    for name in ("expression", "methylation"):
        pd.DataFrame(arrays[name], index=pd.Index(samples, name="sample")).to_csv(tmp_path / f"{name}.csv")
    np.save(tmp_path / "image.npy", arrays["image"].reshape(N, 5, 6))
    labels = pd.DataFrame({"sample": samples, "group": np.where(joint[:, 0] > 0, "case", "control")})
    labels.sample(frac=1, random_state=0).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


@pytest.fixture
def fit(invoke, files):
    """Fit AJIVE to the two CSV files with ranks 1 and 1."""

    def _fit(*more, out="run"):
        modalities = [f"expression={files}/expression.csv", f"methylation={files}/methylation.csv"]
        words = [word for modality in modalities for word in ("-m", modality)]
        ranks = ("--method", "ajive", "--joint-rank", 1, "--individual-rank", 1, "--seed", 3)
        return invoke("fit", *words, *ranks, "--out", files / out, *more)

    return _fit
