"""A cohort of region tables, from the folders of FreeSurfer and Clinica to a report, in one command."""

import numpy as np
import pytest

from tests.data.readers.trees import write_aparc, write_statistics

N = 24


@pytest.fixture
def cohort(tmp_path):
    """Cortical thickness and PET of the same sessions, which share one factor; diagnoses of the participants."""
    rng = np.random.default_rng(0)
    stage = rng.normal(size=N)
    lines, volumes = ["participant_id\tdiagnosis\tage"], ["Measure:volume\tEstimatedTotalIntraCranialVol"]
    for i in range(N):
        name, session = f"sub-{i:02d}", "ses-M000"
        for side in ("lh", "rh"):
            thickness = {f"region{j}": 2.5 - 0.1 * stage[i] + 0.02 * rng.normal() for j in range(6)}
            write_aparc(tmp_path / "freesurfer" / f"{name}_{session}", side, thickness)
        folder = tmp_path / "caps" / "subjects" / name / session / "pet" / "preprocessing" / "group-AD"
        file = f"{name}_{session}_trc-18FAV45_pet_space-AAL2_suvr-cerebellumPons_statistics.tsv"
        uptake = {f"Area_{j}": 1.2 + 0.1 * stage[i] + 0.02 * rng.normal() for j in range(8)}
        write_statistics(folder / "atlas_statistics" / file, uptake)
        volumes.append(f"{name}_{session}\t{1.5e6 + 1e5 * rng.normal():.1f}")  # as asegstats2table writes it
        lines.append(f"{name}\t{'AD' if stage[i] > 0 else 'CN'}\t{70 + i % 5}")
    (tmp_path / "participants.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "aseg.tsv").write_text("\n".join(volumes) + "\n")
    return tmp_path


def test_one_command_leads_from_folders_of_region_tables_to_a_report(invoke, cohort):
    done = invoke(
        *("fit", "-m", f"thickness={cohort}/freesurfer:aparc:thickness", "-m", f"pet={cohort}/caps:AAL2:pet"),
        *("--labels", f"{cohort}/participants.tsv:diagnosis", "--confounds", f"{cohort}/participants.tsv:age"),
        *("--confounds", f"{cohort}/aseg.tsv:EstimatedTotalIntraCranialVol"),
        *("--method", "ajive", "--joint-rank", 1, "--individual-rank", 1, "--out", cohort / "run"),
    )
    assert done.exit_code == 0, done.output
    assert "confounds: age, EstimatedTotalIntraCranialVol" in done.stderr
    loadings = (cohort / "run" / "loadings_thickness.csv").read_text()
    assert "lh_region0" in loadings
    page = (cohort / "run" / "report.html").read_text()
    assert "diagnosis" in page
    assert "Area_3" in page
