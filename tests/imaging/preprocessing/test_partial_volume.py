import numpy as np
import pytest

from deepjive.imaging.preprocessing.partial_volume import (
    expected_fractions,
    partial_volume,
    proportions_around,
    pure_tissues,
)
from deepjive.imaging.preprocessing.protocol import PreprocessingError, run_protocol
from deepjive.imaging.preprocessing.scans import load_scan, save_scan

MEANS, NOISE = np.array([200.0, 650.0, 1000.0]), 20.0


@pytest.fixture(scope="module")
def balls():
    """White matter in grey in fluid, borders 4 voxels wide: true fractions, intensity, a segmentation, the brain."""
    distance = np.linalg.norm(np.indices((44, 44, 44)) - 21.5, axis=0)
    inner, outer = (np.clip((radius - distance) / 4 + 0.5, 0, 1) for radius in (9.0, 16.0))
    true = np.stack([1 - outer, outer - inner, inner])
    intensity = np.tensordot(MEANS, true, 1) + NOISE * np.random.default_rng(0).standard_normal(distance.shape)
    apart = np.square(intensity - MEANS[:, None, None, None]) / (2 * 60.0**2)
    likely = np.exp(-(apart - apart.min(axis=0)))
    return true, intensity, likely / likely.sum(axis=0), distance < 21


def test_fractions_of_mixtures_are_nearer_the_truth_than_segmentation_probabilities(balls):
    true, intensity, segmented, brain = balls
    means, deviations = pure_tissues(intensity, segmented, brain)
    np.testing.assert_allclose(means, MEANS, rtol=0.03)  # a few mixed voxels are taken for pure ones
    np.testing.assert_allclose(deviations, NOISE, atol=NOISE)  # the same, above all in the thin shell
    around = proportions_around(segmented, brain, [1.0, 1.0, 1.0])
    found = expected_fractions(intensity[brain], around, means, deviations)
    error, before = (np.square(values - true[:, brain]).mean() for values in (found, segmented[:, brain]))
    assert error < before / 4
    volume, truth = found[1].sum(), true[1][brain].sum()
    assert volume == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("lost", [0.25, 0.5, 0.75])
def test_lost_grey_matter_lowers_the_fraction_of_grey_matter(lost):
    intensity = MEANS[1] * (1 - lost) + MEANS[0] * lost + NOISE * np.random.default_rng(1).standard_normal(400)
    frequent = np.tile([[0.25], [0.74], [0.01]], 400)
    found = expected_fractions(intensity, frequent, MEANS, [NOISE] * 3)
    # Half a part of five
    assert found[1].mean() == pytest.approx(1 - lost, abs=0.1)


def test_fractions_are_from_0_to_1_and_sum_to_1_whatever_the_intensity():
    intensity = np.array([-1e6, 0.0, 200.0, 425.0, 1000.0, 1e6])
    found = expected_fractions(intensity, np.full((3, 6), 1 / 3), MEANS, [NOISE] * 3)
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(found.sum(axis=0), 1.0, rtol=1e-5)
    assert found[0, 0] > 0.9
    assert found[2, -1] > 0.9


def test_fractions_without_contrast_are_the_proportions_around_the_voxel():
    around = np.array([[0.2, 0.1], [0.5, 0.2], [0.3, 0.7]])
    found = expected_fractions(np.full(2, 500.0), around, [500.0] * 3, [NOISE] * 3)
    # Parts that are mixed vary less, which alone is evidence for a mixture here
    np.testing.assert_allclose(found, around, atol=0.05)


def test_proportions_ignore_voxels_outside_the_brain():
    probabilities = np.zeros((3, 9, 9, 9))
    probabilities[1], probabilities[0] = 1.0, 0.0
    probabilities[:, 5:] = np.array([1.0, 0.0, 0.0])[:, None, None, None]
    brain = np.zeros((9, 9, 9), bool)
    brain[:5] = True
    assert proportions_around(probabilities, brain, [2.0] * 3)[1].min() > 0.98


def test_an_error_names_a_tissue_without_voxels(balls):
    _, intensity, segmented, brain = balls
    none = segmented.copy()
    none[2] = 0.0
    with pytest.raises(PreprocessingError, match="no voxel of the brain is white, so the intensity"):
        pure_tissues(intensity, none, brain)


def test_the_step_runs_again_only_for_other_parameters_and_is_reproducible(balls, tmp_path):
    _, intensity, segmented, brain = balls
    affine = np.diag([2.0, 2.0, 2.5, 1.0])
    names = ("fluid", "grey", "white")
    files = {
        f"{name}_probability": save_scan(tmp_path / f"{name}.nii", segmented[k], affine) for k, name in enumerate(names)
    }
    files["t1_brain"] = save_scan(tmp_path / "t1.nii", intensity * brain, affine)
    files["brain"] = save_scan(tmp_path / "brain.nii", brain, affine)
    step = partial_volume()
    done = run_protocol([step], files, tmp_path / "work", "k")
    grey = load_scan(done.files["grey"])[0]
    assert grey.min() >= 0
    assert grey.max() <= 1
    assert (grey[~brain] == 0).all()
    assert done.facts["grey_native_ml"] == pytest.approx(grey.sum() * 0.01, rel=1e-3)
    assert done.steps[0]["parameters"] == {"parts": 5, "around_mm": 4.0, "sure": 0.9}
    once = done.files["grey"].read_bytes()
    assert run_protocol([step], files, tmp_path / "work", "k").steps[0]["before"]
    other = type(step)(step.name, step.action, {**step.parameters, "parts": 3})
    again = run_protocol([other], files, tmp_path / "work", "k")
    assert not again.steps[0]["before"]
    assert again.files["grey"].read_bytes() != once
    assert run_protocol([step], files, tmp_path / "other", "k").files["grey"].read_bytes() == once
