"""Variation between participants and within them, as two decompositions of the same data."""

import numpy as np
import pytest

from deepjive import AJIVE, Modalities
from deepjive.evaluation import canonical_correlations, joint_structure_test


def visits(seed, counts, between=True, within=True, n_features=(30, 25)):
    """Modalities of participants with several visits, and the joint scores of participants and of visits."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(counts)), counts)
    of_participant, of_visit = rng.normal(size=(len(counts), 1)), rng.normal(size=(len(groups), 1))
    own = rng.normal(size=(len(counts), 2))
    arrays = {}
    for k, (name, p) in enumerate(zip("xy", n_features, strict=True)):
        shared = 3.0 * between * of_participant[groups] @ rng.normal(size=(1, p))
        shared += 1.5 * within * of_visit @ rng.normal(size=(1, p))
        individual = 2.0 * own[groups][:, [k]] @ rng.normal(size=(1, p))
        arrays[name] = shared + individual + rng.normal(size=(len(groups), p))
    return Modalities(arrays, groups=groups), of_participant, of_visit


def test_between_and_within_recover_different_joint_scores():
    data, of_participant, of_visit = visits(0, np.full(150, 2))
    between = AJIVE(joint_rank=1, individual_ranks=1, random_state=0).fit(data.between())
    within = AJIVE(joint_rank=1, individual_ranks=0, random_state=0).fit(data.within())
    means = of_participant
    changes = of_visit[1::2] - of_visit[::2]
    assert canonical_correlations(between.joint_scores_, means).min() > 0.9
    assert canonical_correlations(within.joint_scores_, changes).min() > 0.95
    assert canonical_correlations(within.joint_scores_, means).max() < 0.2


@pytest.mark.filterwarnings("ignore:The joint rank is 0, and no component")
@pytest.mark.parametrize("counts", [np.full(80, 2), np.arange(80) % 3 + 2], ids=["two", "two to four"])
def test_a_level_without_joint_structure_has_joint_rank_0(counts):
    ranks, p_values = [], []
    for seed in range(8):
        data = visits(seed, counts, within=False)[0].within()
        model = AJIVE(n_wedin=30, n_random=30, random_state=0).fit(data)
        ranks.append(model.joint_rank_)
        halves = np.isin(data.groups if data.groups is not None else np.arange(len(data)), np.arange(40))
        fitted = AJIVE(joint_rank=1, individual_ranks=1).fit(data[~halves].without_confounds())
        p_values.append(joint_structure_test(fitted, data[halves], 99).p_value)
    assert sum(rank > 0 for rank in ranks) <= 1
    assert sum(p <= 0.05 for p in p_values) <= 2  # binomial, 8 draws at level .05: more than 2 with probability .006


def test_contrasts_are_orthonormal_and_do_not_contain_the_mean():
    counts = np.array([1, 2, 4])
    data = Modalities({"x": np.eye(7)}, groups=np.repeat(["p", "q", "r"], counts))
    within = data.within()
    np.testing.assert_allclose(within["x"] @ within["x"].T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(within["x"] @ data.between()["x"].T, 0.0, atol=1e-12)
    assert within.samples.tolist() == ["q:1", "r:1", "r:2", "r:3"]
    assert within.groups.tolist() == ["q", "r", "r", "r"]
    assert data.between().samples.tolist() == ["p", "q", "r"]
    assert data.between().groups is None
    assert "4 samples (within participants)" in within.summary()


def test_labels_and_confounds_of_participants_are_combined():
    groups, x = ["p", "p", "q", "q"], np.arange(8.0).reshape(4, 2)
    confounds = {"age": [60.0, 61.0, 50.0, 51.0], "sex": ["f", "f", "m", "m"], "height": [1.7, 1.7, 1.8, 1.8]}
    data = Modalities({"x": x, "y": x}, groups=groups, confounds=confounds)
    assert data.between().confounds.columns["age"].tolist() == [60.5, 50.5]
    assert data.between().confounds.columns["sex"].tolist() == ["f", "m"]
    assert list(data.within().confounds.columns) == ["age"]
    level = data.between().level
    assert level.labels(np.array([1, 3, 5, 5])).tolist() == [2.0, 5.0]
    assert level.labels(np.array(["a", "b", "c", "c"])).tolist() == ["", "c"]
    changed = Modalities(data, confounds={"scanner": ["A", "B", "A", "A"]})
    for combine in (changed.between, changed.within):
        with pytest.raises(ValueError, match="'scanner' differs between the samples of participant 'p'"):
            combine()


def test_arrays_on_disk_and_missing_modalities_are_combined(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 2, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    present = np.array([[True, True]] * 5 + [[True, False]])
    data = Modalities({"x": tmp_path / "x.npy", "y": x}, groups=[1, 1, 2, 2, 3, 3], present=present)
    np.testing.assert_allclose(data.within()["x"][:], (x[1::2] - x[::2]) / np.sqrt(2), atol=1e-6)
    assert data.between()["y"].dtype == np.float32
    assert data.within().present.tolist() == [[True, True], [True, True], [True, False]]


def test_levels_need_participants_with_several_samples():
    data = Modalities({"x": np.ones((3, 2))})
    with pytest.raises(ValueError, match="Variation within participants needs the participant of each sample"):
        data.within()
    with pytest.raises(ValueError, match="each of the 3 participants has one sample"):
        Modalities(data, groups=[1, 2, 3]).within()
