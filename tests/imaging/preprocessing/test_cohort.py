import json
import multiprocessing

import pytest

from deepjive.imaging import PreprocessingSettings, Subject, preprocess_cohort
from tests.imaging.preprocessing.tiny_engine import CRASHES, FAILS, VOXEL, TinyEngine, write_bids

pytest.importorskip("nilearn")
SETTINGS = PreprocessingSettings(voxel=VOXEL)


@pytest.fixture
def cohort(tmp_path, write_nifti):
    def make(**brightest):
        names = {f"sub-{name}": value for name, value in brightest.items()}
        bids = write_bids(tmp_path / "bids", write_nifti, names)
        return [
            Subject(name, "ses-M00", *(next((bids / name).rglob(f"*_{kind}.nii.gz")) for kind in ("T1w", "pet")))
            for name in names
        ]

    return make


def test_a_participant_that_fails_or_crashes_does_not_stop_the_others(cohort, tmp_path):
    subjects = cohort(a=1000.0, b=FAILS, c=CRASHES, d=900.0)
    seen = []
    outcomes = preprocess_cohort(
        [*subjects, subjects[0]], TinyEngine(), SETTINGS, tmp_path / "out", jobs=2, on_subject=seen.append
    )
    assert [outcome.subject.name for outcome in outcomes] == [f"sub-{name}_ses-M00" for name in "abcd"]
    assert [outcome.done for outcome in outcomes] == [["anat", "pet"], [], [], ["anat", "pet"]]
    reasons = [" ".join(problem.reason for problem in outcome.problems) for outcome in outcomes]
    assert reasons[0] == "it is given more than once; the first is used"
    assert reasons[1] == "step 'segment' failed: the registration diverged"
    assert reasons[2].startswith("its process ended with signal SIGKILL")
    assert reasons[3] == ""
    assert outcomes[2].problems[0].file == str(subjects[2].t1)
    words = [now.message for now in seen if now.subject.name == "sub-d_ses-M00" and now.outcome is None]
    assert words[:2] == ["check T1", "segment"]
    again = preprocess_cohort(subjects, TinyEngine(), SETTINGS, tmp_path / "out")
    assert [outcome.skipped for outcome in again] == [["anat", "pet"], [], [], ["anat", "pet"]]


def test_an_interrupt_ends_all_processes_and_keeps_finished_results(cohort, tmp_path):
    subjects = cohort(a=1000.0, b=900.0, c=800.0)

    def interrupt(now):
        if now.outcome is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        preprocess_cohort(subjects, TinyEngine(), SETTINGS, tmp_path / "out", jobs=2, on_subject=interrupt)
    assert not multiprocessing.active_children()
    sidecars = list((tmp_path / "out").rglob("*modulated_probseg.json"))
    assert all(json.loads(path.read_text())["Key"] for path in sidecars)
    done = preprocess_cohort(subjects, TinyEngine(), SETTINGS, tmp_path / "out", jobs=2)
    assert not any(outcome.problems for outcome in done)
    assert sum(bool(outcome.skipped) for outcome in done) >= 1


def test_zero_processes_or_a_missing_engine_is_an_error(cohort, tmp_path):
    with pytest.raises(ValueError, match="jobs is 0"):
        preprocess_cohort([], TinyEngine(), SETTINGS, tmp_path, jobs=0)

    class Absent(TinyEngine):
        def versions(self):
            raise ImportError("it is not installed")

    with pytest.raises(ImportError, match="it is not installed"):
        preprocess_cohort(cohort(a=1000.0), Absent(), SETTINGS, tmp_path)
    assert not (tmp_path / "sub-a").exists()
