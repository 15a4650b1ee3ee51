import numpy as np
import pytest

from deepjive import AJIVE, DeepJIVE, Modalities
from deepjive.data.groups import members_of
from deepjive.evaluation import bootstrap_draws, bootstrap_maps, effect_along, effect_maps, matched_component, shuffled
from deepjive.evaluation.refit import quietly

SLOPES = np.r_[np.linspace(-1.0, 1.0, 20), np.zeros(20)]


def cohort(seed, n=120):
    """Two joint scores about as strong, so that refits turn them; the second half of the features follows neither."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 2))
    slopes = np.stack([SLOPES, np.r_[SLOPES[:20][::-1] ** 2, np.zeros(20)]])
    arrays = {name: scores @ slopes + 0.5 * rng.normal(size=(n, 40)) for name in ("mri", "pet")}
    return Modalities(arrays, samples=[f"sub-{i}" for i in range(n)]), scores, slopes


def fit(data):
    return AJIVE(signal_ranks=2, joint_rank=2, individual_ranks=0, n_wedin=0, n_random=0, random_state=0).fit(data)


def test_rotated_and_reflected_scores_are_matched():
    data, _, _ = cohort(0)
    model = fit(data)
    scores = model.transform(data)
    angle = np.array([[0.6, 0.8], [0.8, -0.6]])
    _, direction, match = matched_component(scores @ angle, scores[:, 1])
    assert match == pytest.approx(1.0)
    turned = effect_along(model, scores, angle @ direction)  # back in the model's own coordinates
    for name, effect in effect_maps(model, scores, 1).items():
        np.testing.assert_allclose(turned[name], effect, atol=1e-3)  # scores of samples are uncorrelated to 1e-3


@pytest.mark.parametrize("count", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_intervals_cover_the_true_slopes_as_often_as_they_say(count):
    covered = []
    for seed in range(count):
        data, _, slopes = cohort(seed)
        model = fit(data)
        found = bootstrap_maps(model, data, 0, 40, random_state=seed)
        unseen, others, _ = cohort(seed + 100, 4000)
        own = model.transform(unseen)
        truth = (np.linalg.pinv(own - own.mean(axis=0)) @ (others @ slopes))[0]
        covered += [(maps.lower <= truth) & (truth <= maps.upper) for maps in map(found.of, data.names)]
        assert found.match.min() > 0.9
    assert 0.84 < np.mean(covered) < 0.95  # of 80 intervals of 90% for each cohort, by 40 draws


def test_only_features_that_depend_on_the_score_are_significant():
    data, _, _ = cohort(0)
    found = bootstrap_maps(fit(data), data, 0, 40)
    for maps in map(found.of, data.names):
        strong = np.abs(maps.effect) > 0.4
        assert strong.sum() > 8
        assert (maps.q_value[strong] < 0.05).all()
        assert (maps.q_value[20:] < 0.05).sum() <= 1
        np.testing.assert_allclose(maps.ratio, maps.effect / maps.standard_error)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_modalities_have_no_significant_features(seed):
    data = shuffled(cohort(seed)[0], np.random.RandomState(seed))
    found = bootstrap_maps(fit(data), data, 0, 40)
    assert sum((found.of(name).q_value < 0.05).sum() for name in data.names) == 0
    assert max(np.abs(found.of(name).ratio).max() for name in data.names) > 5  # of a direction in one modality alone


def test_an_interrupted_run_continues_to_the_same_maps(tmp_path, monkeypatch):
    data, _, _ = cohort(0, 40)
    model = fit(data)

    def cut_off(done, total, message):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bootstrap_maps(model, data, 0, 4, folder=tmp_path, progress=cut_off)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 2
    kept[1].write_bytes(kept[1].read_bytes()[:-9])  # as a disk may leave it: made again

    fits = []
    refit = bootstrap_draws.refitted
    monkeypatch.setattr(bootstrap_draws, "refitted", lambda *a, **k: fits.append(1) or refit(*a, **k))
    again = bootstrap_maps(model, data, 0, 4, folder=tmp_path)
    assert len(fits) == 3
    whole = bootstrap_maps(model, data, 0, 4)
    for name in data.names:
        np.testing.assert_array_equal(again.draws[name], whole.draws[name])
        np.testing.assert_array_equal(again.unseen[name], whole.unseen[name])
    bootstrap_maps(model, data, 0, 4, folder=tmp_path, random_state=1)
    bootstrap_maps(fit(data[:30]), data[:30], 0, 4, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 12  # draws of another seed or of other data are not taken for these


def test_participants_are_drawn_with_all_their_sessions(monkeypatch):
    data, _, _ = cohort(0, 60)
    participants = np.repeat(np.arange(20), 3)
    drawn = []
    refit = bootstrap_draws.refitted
    monkeypatch.setattr(bootstrap_draws, "refitted", lambda m, d, **k: drawn.append(d["mri"][:, 0]) or refit(m, d, **k))
    bootstrap_maps(fit(data), data, 0, 5, groups=participants)
    for values in drawn:
        times = [np.sum(values == value) for value in data["mri"][:, 0]]
        assert all(len(set(times[start : start + 3])) == 1 for start in range(0, 60, 3))
        assert 0 in times
        assert max(times) > 1


def test_copies_of_a_sample_count_as_one_participant(monkeypatch):
    data, _, _ = cohort(0, 20)
    drawn, again = [], bootstrap_draws.refitted

    def recorded(model, data, **known):
        drawn.append((data.groups, data.samples))
        return again(model, data, **known)

    monkeypatch.setattr(bootstrap_draws, "refitted", recorded)
    bootstrap_maps(fit(data), data, 0, 2)
    for groups, samples in drawn:
        assert len(set(samples)) < len(samples)
        assert [f"sub-{one}" for one in groups] == samples.tolist()


def test_a_network_is_fitted_again_with_its_own_settings():
    data, _, _ = cohort(0, 60)
    model = DeepJIVE(joint_rank=2, individual_ranks=1, max_epochs=2, batch_size=16, random_state=0, verbose=0)
    with quietly():
        model.fit(data)
    found = bootstrap_maps(model, data, 1, 3)
    assert found.match.min() > 0.5
    assert len(np.unique(found.draws["mri"][:, 0])) == 3
    turned = found.turned()
    np.testing.assert_array_equal(turned.of("mri").lower, -found.of("mri").upper)
    assert turned.within("mri", SLOPES > 0)[0] == -found.within("mri", SLOPES > 0)[0]


def test_an_interrupted_training_does_not_count_as_a_draw(monkeypatch, tmp_path):
    data, _, _ = cohort(0, 40)
    model = fit(data)
    stopped = fit(data)
    stopped.interrupted_ = True
    monkeypatch.setattr(bootstrap_draws, "refitted", lambda *a, **k: stopped)
    with pytest.raises(KeyboardInterrupt):
        bootstrap_maps(model, data, 0, 2, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_invalid_arguments_are_refused(monkeypatch):
    data, _, _ = cohort(0, 40)
    model = fit(data)
    with pytest.raises(ValueError, match="n_draws must be at least 2"):
        bootstrap_maps(model, data, 0, 1)
    with pytest.raises(ValueError, match="component is 2, but the model has joint scores 0 to 1"):
        bootstrap_maps(model, data, 2, 2)
    with pytest.raises(ValueError, match="groups has 3 entries, but there are 40 samples"):
        bootstrap_maps(model, data, 0, 2, groups=["a", "b", "c"])
    with pytest.raises(ValueError, match="there are 4 of them; at least 8"):
        bootstrap_maps(model, data, 0, 2, groups=np.arange(40) // 10)
    with monkeypatch.context() as patch:
        patch.setattr(type(model), "needs_all_modalities", True)
        with pytest.raises(ValueError, match="identity='merged' computes scores"):
            bootstrap_maps(model, data, 0, 2)
    assert [rows.tolist() for rows in members_of(3, ["b", "a", "b"])] == [[1], [0, 2]]
