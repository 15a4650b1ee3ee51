"""The engine `spm` against a stand-in for SPM12 that records its batches."""

import re

import numpy as np
import pytest

from deepjive.imaging import PreprocessingSettings, Subject, preprocess_subject, template
from deepjive.imaging.preprocessing.protocol import PreprocessingError, run_protocol
from deepjive.imaging.preprocessing.spm import SpmEngine
from tests.imaging.preprocessing.tiny_engine import VOXEL, write_bids

from . import fake_spm

pytest.importorskip("nilearn")
pytest.importorskip("nipype", reason="needs nipype, of the extra 'spm'", exc_type=ImportError)

SEGMENT = """
channel(1).vols = {... '{work}/02-segment-and-normalize/t1.nii,1';... };
channel(1).biasreg = 0.001;
channel(1).biasfwhm = 60.0;
channel(1).write(1) = 0;
channel(1).write(2) = 1;
tissue(1).tpm = {... '{home}/spm12/tpm/TPM.nii,1';... };
tissue(1).ngaus = 1;
tissue(1).native(1) = 1;
tissue(1).native(2) = 0;
tissue(1).warped(1) = 1;
tissue(1).warped(2) = 1;
tissue(2).tpm = {... '{home}/spm12/tpm/TPM.nii,2';... };
tissue(2).ngaus = 1;
tissue(2).native(1) = 1;
tissue(2).native(2) = 0;
tissue(2).warped(1) = 0;
tissue(2).warped(2) = 0;
"""
WARP = """
warp.affreg = 'mni';
warp.reg(1) = 0.0;
warp.reg(2) = 0.001;
warp.reg(3) = 0.5;
warp.reg(4) = 0.05;
warp.reg(5) = 0.2;
warp.samp = 3.0;
warp.write(1) = 0;
warp.write(2) = 1;
"""
COREGISTER = """
ref = {... ['{work}/02-segment-and-normalize/mt1.nii'];... };
source = {... ['{work}/06-align-pet-with-t1/pet.nii'];... };
eoptions.cost_fun = 'nmi';
eoptions.sep(1) = 4.0;
eoptions.sep(2) = 2.0;
roptions.prefix = 'r';
"""
NORMALISE = """
subj.def = {... '{work}/02-segment-and-normalize/y_t1.nii';... };
subj.resample = {... '{work}/07-warp-pet/pet.nii,1';... };
woptions.bb(1,1) = -75.0;
woptions.bb(1,2) = -111.0;
woptions.bb(1,3) = -72.0;
woptions.bb(2,1) = 75.0;
woptions.bb(2,2) = 81.0;
woptions.bb(2,3) = 84.0;
woptions.vox(1) = 3.0;
woptions.vox(2) = 3.0;
woptions.vox(3) = 3.0;
woptions.interp = 1;
woptions.prefix = 'w';
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No MATLAB, Octave or FSL of the machine, and no question kept from another test."""
    from nipype.interfaces.spm.base import Info

    for name in ("FORCE_SPMMCR", "SPMMCRCMD", "MATLABCMD", "FSLDIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(Info, "_command", None)


@pytest.fixture
def spm(tmp_path, write_nifti):
    """Installs the stand-in in some mood; gives an engine."""

    def install(mood="good", tpm=True, folder="spm"):
        command = fake_spm.install(tmp_path / folder, mood)
        if tpm:
            write_nifti(tmp_path / folder / "spm12" / "tpm" / "TPM.nii", template("grey", 12.0))
        return SpmEngine(command)

    return install


@pytest.fixture
def scans(tmp_path, write_nifti):
    folder = write_bids(tmp_path / "bids", write_nifti, {"sub-1": 1000.0})
    return {f"{kind}_scan": next(folder.rglob(f"*_{name}.nii.gz")) for kind, name in (("t1", "T1w"), ("pet", "pet"))}


def batch(path, job, tmp_path):
    """The lines of a job, without its name, and with the folders' names as words."""
    text = path.read_text().replace(str(tmp_path / "work"), "{work}").replace(str(tmp_path / "spm"), "{home}")
    text = re.sub(r"\{\.\.\.\n(.*?)\n\};", lambda match: "{... " + match[1].strip() + " };", text, flags=re.DOTALL)
    start = f"jobs{{1}}.spm.spatial.{job}."
    return [line.strip().removeprefix(start) for line in text.splitlines() if line.strip().startswith(start)]


def lines(text):
    return text.strip().splitlines()


def test_the_batches_are_the_protocol_to_the_letter(spm, scans, tmp_path):
    engine = spm()
    steps = [*engine.t1_steps(3.0, 0), *engine.pet_steps(3.0, 0)]
    done = run_protocol(steps, scans, tmp_path / "work", "k")
    written = sorted((tmp_path / "spm" / "batches").iterdir())
    assert [path.name.split("-pyscript_")[1] for path in written] == [
        "newsegment.m",
        "normalize12.m",
        "coregister.m",
        "normalize12.m",
    ]
    segmented = batch(written[0], "preproc", tmp_path)
    assert segmented[: len(lines(SEGMENT))] == lines(SEGMENT)
    assert segmented[-len(lines(WARP)) :] == lines(WARP)
    assert [line for line in segmented if "ngaus" in line] == [
        f"tissue({number}).ngaus = {count};" for number, count in enumerate((1, 1, 2, 3, 4, 2), start=1)
    ]
    assert batch(written[2], "coreg.estimate", tmp_path) == lines(COREGISTER)
    assert batch(written[3], "normalise.write", tmp_path) == lines(NORMALISE)
    for path in written:
        assert "spm_jobman('run', jobs);" in path.read_text()
    names = {name: done.files[name].name for name in ("grey", "grey_mni", "modulated_mni", "deformation", "pet_mni")}
    assert names == {
        "grey": "c1t1.nii",
        "grey_mni": "wc1t1.nii",
        "modulated_mni": "mwc1t1.nii",
        "deformation": "y_t1.nii",
        "pet_mni": "wpet.nii",
    }
    assert done.facts["brain_by"] == "tissues"
    np.testing.assert_allclose(done.facts["pet_to_t1_affine"], np.eye(4), atol=1e-6)


def test_a_subject_goes_from_scans_to_maps(spm, scans, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subject = Subject("sub-1", "ses-M00", scans["t1_scan"], scans["pet_scan"])
    outcome = preprocess_subject(subject, spm(), PreprocessingSettings(voxel=VOXEL), "out")
    assert not outcome.problems
    assert outcome.done == ["anat", "pet"]
    names = {path.name for path in (tmp_path / "out" / "sub-1" / "ses-M00").rglob("*.nii*")}
    assert "sub-1_ses-M00_space-Ixi549Space_res-6_label-GM_desc-modulated_probseg.nii.gz" in names
    assert "sub-1_ses-M00_from-T1w_to-Ixi549Space_mode-image_desc-deformation_xfm.nii" in names
    assert "sub-1_ses-M00_trc-18FAV45_from-PET_to-T1w_mode-image_xfm.nii" in names


@pytest.mark.parametrize(
    ("mood", "message"),
    [
        ("throws", r"SPM failed: Out of memory\. \(see the whole output: .*error\.log\)"),
        ("skips", r"SPM ended without an error, but did not write its results \(.*02-segment-and-normalize/.*t1"),
    ],
)
def test_the_error_of_spm_is_the_reason_of_the_failure(spm, scans, tmp_path, mood, message):
    engine = spm(mood)
    with pytest.raises(PreprocessingError, match=message):
        run_protocol(engine.t1_steps(VOXEL, 0), scans, tmp_path / "work", "k")
    assert (tmp_path / "work" / "02-segment-and-normalize" / "error.log").read_text()
    engine = spm("good")
    run_protocol(engine.t1_steps(VOXEL, 0), scans, tmp_path / "work", "k")


def test_versions_are_those_that_spm_reports(spm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "bin")
    found = spm().versions()
    assert (found["SPM"], found["FSL"]) == ("SPM12 7771", "none")
    assert not list((tmp_path / "bin").iterdir())  # nipype's script does not stay in the current folder


def test_missing_wrong_and_incomplete_spm_give_different_errors(spm, scans, tmp_path):
    with pytest.raises(PreprocessingError, match="there is no MATLAB or Octave on the PATH"):
        SpmEngine().versions()
    with pytest.raises(PreprocessingError, match=r"names the program '/gone/run_spm12\.sh', which does not exist"):
        SpmEngine("/gone/run_spm12.sh mcr script").versions()
    with pytest.raises(PreprocessingError, match=r"SPM12 did not answer to the command '.*true script'"):
        SpmEngine("true script").versions()
    with pytest.raises(PreprocessingError, match="runs SPM8, but SPM12 is needed"):
        spm("spm8", folder="old").versions()
    with pytest.raises(PreprocessingError, match=r"tissue probability maps are not at .*TPM\.nii; give the folder"):
        run_protocol(spm(tpm=False).t1_steps(VOXEL, 0), scans, tmp_path / "work", "k")


def test_the_standalone_program_of_nipypes_environment_variables_is_used(spm, monkeypatch):
    command = spm().command
    monkeypatch.setenv("FORCE_SPMMCR", "1")
    monkeypatch.setenv("SPMMCRCMD", command)
    assert SpmEngine().versions()["SPM"] == "SPM12 7771"


def test_octave_is_called_with_options_of_octave(tmp_path):
    said = tmp_path / "said.txt"
    octave = tmp_path / "bin" / "octave"
    octave.write_text(f'#!/bin/sh\necho "$@" >> {said}\necho "NIPYPE path:/spm12|name:SPM12|release:7771"\n')
    octave.chmod(0o755)
    assert SpmEngine(folder=str(tmp_path)).versions()["SPM"] == "SPM12 7771"
    words = said.read_text()
    assert words.startswith("--no-gui --quiet --eval ")
    assert "nodesktop" not in words
    assert f"addpath('{tmp_path}')" in words


def test_the_brain_mask_is_from_fsl_if_fsl_is_installed(spm, scans, tmp_path):
    bet = tmp_path / "bin" / "bet"
    bet.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked.txt\ncp "$1" brain_mask.nii\ncp "$1" brain.nii\n')
    bet.chmod(0o755)
    done = run_protocol(spm().t1_steps(VOXEL, 0), scans, tmp_path / "work", "k")
    assert done.facts["brain_by"] == "FSL bet"
    scan, brain, *options = (tmp_path / "asked.txt").read_text().split()
    assert (scan.split("/")[-1], brain.split("/")[-1]) == ("mt1.nii", "brain.nii")
    assert options == ["-f", "0.50", "-m", "-R"]


def test_a_folder_whose_name_has_an_apostrophe_is_refused(spm, scans, tmp_path):
    with pytest.raises(PreprocessingError, match=r"SPM cannot work in .*O'Brien.* has an apostrophe"):
        run_protocol(spm().t1_steps(VOXEL, 0), scans, tmp_path / "O'Brien", "k")
