import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.cli.main import app
from deepjive.deep import export, export_onnx

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


def test_the_exported_program_gives_the_models_scores_for_another_number_of_samples(tmp_path):
    model = DeepJIVE(
        joint_rank=2, individual_ranks={"mri": 1, "pet": 0}, identity="explicit", max_epochs=1, random_state=0
    ).fit(DATA)
    model.save(tmp_path / "run")
    result = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--out", str(tmp_path / "encoders.pt2")])
    assert result.exit_code == 0, result.stderr
    program = torch.export.load(tmp_path / "encoders.pt2").module()
    scores = program({name: torch.from_numpy(array) for name, array in DATA.items()})
    parts = model.decompose(DATA)
    # torch may sum in another order in the exported program
    np.testing.assert_allclose(scores["joint"], parts.joint_scores, atol=1e-5)
    np.testing.assert_allclose(scores["individual"]["mri"], parts.individual_scores["mri"], atol=1e-5)


@pytest.mark.parametrize("identity", ["explicit", "exchange"])
def test_an_onnx_model_gives_scores_and_predictions_of_another_number_of_samples(tmp_path, identity):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    settings = {"networks": "dense", "max_epochs": 1, "random_state": 0}
    model = DeepJIVE(joint_rank=2, individual_ranks={"mri": 1, "pet": 0}, identity=identity, **settings).fit(DATA)
    model.save(tmp_path / "run")
    result = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--out", str(tmp_path / "model.onnx")])
    assert result.exit_code == 0, result.stderr
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    outputs = dict(
        zip([output.name for output in session.get_outputs()], session.run(None, dict(DATA.items())), strict=True)
    )
    parts = model.decompose(DATA)
    assert list(outputs) == ["joint", "individual/mri", "imputed/mri", "imputed/pet"]
    np.testing.assert_allclose(outputs["joint"], parts.joint_scores, atol=1e-4)
    np.testing.assert_allclose(outputs["individual/mri"], parts.individual_scores["mri"], atol=1e-4)
    for name, other in (("mri", "pet"), ("pet", "mri")):
        predicted = model.impute(Modalities({other: DATA[other]}), name)
        np.testing.assert_allclose(outputs[f"imputed/{name}"], predicted, rtol=1e-4, atol=1e-3)


def test_what_has_no_encoders_or_no_suffix_is_refused(tmp_path):
    linear = AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0).fit(DATA)
    with pytest.raises(TypeError, match="Only a fitted DeepJIVE has encoders to export, but AJIVE was given"):
        export(linear, tmp_path / "encoders.pt2")
    linear.network_ = torch.nn.Identity()
    with pytest.raises(ValueError, match=r"must end in \.pt2, but is .*encoders\.onnx"):
        export(linear, tmp_path / "encoders.onnx")
    with pytest.raises(ValueError, match=r"must end in \.onnx, but is .*encoders\.pt2"):
        export_onnx(linear, tmp_path / "encoders.pt2")


def test_a_model_that_took_out_confounds_is_not_exported(tmp_path):
    linear = AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0).fit(DATA)
    linear.network_, linear.adjustment_ = torch.nn.Identity(), {"effects": {"mri": {}}}
    with pytest.raises(ValueError, match="The model takes confounds out, which exported encoders cannot do"):
        export(linear, tmp_path / "encoders.pt2")


def test_without_onnx_the_error_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    linear = AJIVE(signal_ranks=2, joint_rank=1, n_wedin=0, n_random=0).fit(DATA)
    linear.network_ = torch.nn.Identity()
    with pytest.raises(ImportError, match=r"pip install .*\[onnx\]'"):
        export_onnx(linear, tmp_path / "encoders.onnx")
