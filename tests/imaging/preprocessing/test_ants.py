import json
from pathlib import Path

import numpy as np
import pytest

from deepjive.data.readers.guard import MissingExtraError
from deepjive.imaging import PreprocessingSettings, Subject, mni_grid, preprocess_subject, template
from deepjive.imaging.preprocessing.ants import AntsEngine, jacobian
from deepjive.imaging.preprocessing.derivative import sidecar_of
from deepjive.imaging.preprocessing.protocol import run_protocol
from tests.imaging.preprocessing.tiny_engine import write_bids

from . import fake_ants

pytest.importorskip("nilearn")


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_the_jacobian_of_a_stretch_is_its_change_of_volume(flip):
    affine = np.diag([flip * 2.0, 3.0, 1.5, 1.0])
    places = np.einsum("ij,jxyz->ixyz", affine[:3, :3], np.indices((8, 9, 10)).astype(float))
    stretch = np.array([[1.2, 0.1, 0.0], [0.0, 0.9, 0.05], [0.0, 0.0, 1.1]])
    field = np.einsum("ij,jxyz->xyzi", stretch - np.eye(3), places)
    np.testing.assert_allclose(jacobian(field, affine), np.linalg.det(stretch), rtol=1e-5)


def test_modulation_keeps_the_volume_of_a_smooth_warp():
    grid = mni_grid(3)
    x, y, z = grid.points()
    field = np.stack([4 * np.sin(x / 25), 5 * np.cos(z / 30), 3 * np.sin(z / 20)], axis=-1)
    # A blob in the subject, seen through the warp: where a place x of MNI space comes from x + u(x)
    sx, sy, sz = (place + field[..., axis] for axis, place in enumerate((x, y, z)))
    warped = np.exp(-(sx**2 + (sy + 15) ** 2 + (sz - 5) ** 2) / (2 * 15**2))
    volume = float((warped * jacobian(field, grid.affine)).sum()) * 27
    assert volume == pytest.approx((2 * np.pi * 15**2) ** 1.5, rel=1e-3)
    assert abs(float(warped.sum()) * 27 / volume - 1) > 0.05  # unmodulated it is another


def test_a_fold_counts_as_no_volume():
    field = np.zeros((6, 6, 6, 3))
    field[..., 0] = -2.0 * np.arange(6)[:, None, None]
    assert (jacobian(field, np.eye(4)) == 0).all()


def test_the_error_without_antspyx_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ants", None)
    with pytest.raises(MissingExtraError, match=r"\[ants\]"):
        AntsEngine().versions()


def test_a_rotated_and_shifted_head_is_registered_to_mni_space(write_nifti, tmp_path):
    pytest.importorskip("ants", reason="needs antspyx, of the extra 'ants'")
    from deepjive.datasets.phantom_files import _head, _moved, _scanned
    from deepjive.imaging.preprocessing.maps import grey_onto_grid
    from deepjive.imaging.preprocessing.scans import load_scan

    factors = {"stage": 0.1, "asymmetry": 0.0}
    t1, pet = _head(factors)
    rng = np.random.default_rng(3)
    scans = {
        f"{name}_scan": write_nifti(tmp_path / f"{name}.nii", *_scanned(values, _moved(rng), (3.0, 3.0, 3.0)))
        for name, values in (("t1", t1), ("pet", pet))
    }
    engine = AntsEngine()
    done = run_protocol([*engine.t1_steps(3.0, 0), grey_onto_grid(3.0)], scans, tmp_path / "work", "k")
    grey = load_scan(done.files["unmodulated"])[0]
    inside = template("brain", 3) > 0
    assert np.corrcoef(grey[inside], template("grey", 3)[inside])[0, 1] > 0.8
    assert done.facts["modulated_ml"] == pytest.approx(done.facts["grey_native_ml"], rel=0.02)
    again = run_protocol(engine.t1_steps(3.0, 0), scans, tmp_path / "again", "k")
    assert again.files["modulated_mni"].read_bytes() == done.files["modulated_mni"].read_bytes()


def test_ants_is_called_with_the_settings_of_the_protocol(write_nifti, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ants", fake_ants)
    monkeypatch.setattr(fake_ants, "ASKED", [])
    monkeypatch.delenv(fake_ants.THREADS, raising=False)
    np.random.seed(5)  # noqa: NPY002
    numbers = np.random.RandomState(5)
    folder = write_bids(tmp_path / "bids", write_nifti, {"sub-1": 1000.0})
    t1, pet = (next(folder.rglob(f"*_{kind}.nii.gz")) for kind in ("T1w", "pet"))
    subject = Subject("sub-1", "", t1, pet)
    outcome = preprocess_subject(
        subject, AntsEngine(), PreprocessingSettings("pons", 6.0, seed=7), tmp_path / "out", versions={"antspyx": "0"}
    )
    assert not outcome.problems
    asked = fake_ants.ASKED
    steps = ["n4", "registration", "n4", "registration", "atropos", "registration"]
    assert [word for word, _ in asked if word != "apply"] == steps
    registrations = [settings for word, settings in asked if word == "registration"]
    assert [settings["type_of_transform"] for settings in registrations] == ["SyN", "SyN", "Rigid"]
    assert {settings["seed"] for settings in registrations} == {8}  # 0 would be the clock
    assert fake_ants.SEED == [None]
    assert next(settings["r"] for word, settings in asked if word == "atropos") == 0  # a constant seed too
    assert np.random.random() == numbers.random()  # noqa: NPY002 - the global generator is where it was
    assert {settings["threads"] for settings in registrations} == {"1"}
    assert registrations[1]["initial_transform"].endswith("head_to_mni.mat")
    applied = [settings for word, settings in asked if word == "apply"]
    assert all(all(settings["there"]) for settings in applied)
    assert applied[0]["invert"] == [True, False]  # the template's brain, back in the head
    assert applied[-1]["transforms"] == ["t1_to_mni.nii.gz", "t1_to_mni.mat", "pet_to_t1.mat"]
    names = sorted(path.name for path in (tmp_path / "out").rglob("*_xfm*"))
    assert names == [
        "sub-1_from-T1w_to-MNI152NLin2009aSym_mode-image_desc-affine_xfm.mat",
        "sub-1_from-T1w_to-MNI152NLin2009aSym_mode-image_desc-warp_xfm.nii.gz",
        "sub-1_trc-18FAV45_from-PET_to-T1w_mode-image_xfm.mat",
    ]
    assert outcome.quality["volume_kept"] == pytest.approx(1.0, abs=0.02)
    steps = json.loads(sidecar_of(Path(outcome.maps["anat"])).read_text())["Steps"]
    named = {step["name"]: step["parameters"] for step in steps}
    assert named["estimate partial volume"] == {"parts": 5, "around_mm": 4.0, "sure": 0.9}
    assert list(named).index("estimate partial volume") == list(named).index("segment tissues") + 1
