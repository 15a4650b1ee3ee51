import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.cli.main import app
from deepjive.deep.export import export

RNG = np.random.default_rng(0)
JOINT = RNG.normal(size=(40, 1))
DATA = Modalities(
    {
        "mri": (100 + 3 * (JOINT @ RNG.normal(size=(1, 48)) + RNG.normal(size=(40, 48)))).reshape(40, 6, 8),
        "pet": JOINT @ RNG.normal(size=(1, 9)) + RNG.normal(size=(40, 9)),
    }
)
DATA = Modalities({name: array.astype(np.float32) for name, array in DATA.items()})
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::DeprecationWarning:torch", "ignore::FutureWarning:torch"
)


@pytest.mark.slow
def test_a_program_without_deepjive_gives_the_models_scores_for_any_number_of_samples(tmp_path):
    model = DeepJIVE(2, {"mri": 1, "pet": 0}, identity="explicit", max_epochs=1, random_state=0).fit(DATA)
    model.save(tmp_path / "run")
    result = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--out", str(tmp_path / "encoders.pt2")])
    assert result.exit_code == 0, result.stderr
    np.savez(tmp_path / "x.npz", **dict(DATA.items()))
    code = f"""
import sys, warnings; warnings.simplefilter("ignore")
import numpy as np, torch
program = torch.export.load({str(tmp_path / "encoders.pt2")!r}).module()
scores = program({{name: torch.from_numpy(x) for name, x in np.load({str(tmp_path / "x.npz")!r}).items()}})
np.savez({str(tmp_path / "scores.npz")!r}, joint=scores["joint"], mri=scores["individual"]["mri"])
assert "deepjive" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    parts = model.decompose(DATA)
    with np.load(tmp_path / "scores.npz") as scores:
        # torch may sum in another order in the exported program
        np.testing.assert_allclose(scores["joint"], parts.joint_scores, atol=1e-5)
        np.testing.assert_allclose(scores["mri"], parts.individual_scores["mri"], atol=1e-5)


def test_what_has_no_encoders_or_no_suffix_is_refused(tmp_path):
    linear = AJIVE(2, joint_rank=1, n_wedin=0, n_random=0).fit(DATA)
    with pytest.raises(TypeError, match="Only a fitted DeepJIVE has encoders to export, but a AJIVE was given"):
        export(linear, tmp_path / "encoders.pt2")
    linear.network_ = torch.nn.Identity()
    with pytest.raises(ValueError, match=r"ends in \.pt2, but the path is .*encoders\.onnx"):
        export(linear, tmp_path / "encoders.onnx")
