import numpy as np

from deepjive.plot.samples import choose, kind_of, line, most_varying, picture


def test_channels_do_not_count_as_an_axis_of_space():
    assert kind_of((3, 28, 28)) == kind_of((28, 28, 3)) == "image"
    assert kind_of((2, 20, 24, 20)) == "volume"
    assert kind_of((4, 500)) == "line"
    assert kind_of((4, 4)) == "image"


def test_volume_is_shown_by_its_middle_slices_with_up_on_top():
    volume = np.zeros((5, 7, 9))
    volume[2, 3, 8] = 1.0  # the top end of the middle
    shown = picture(volume)
    assert shown.shape == (9 + 1 + 9 + 1 + 7, 7)
    rows = np.argwhere(shown == 1.0)[:, 0]
    np.testing.assert_array_equal(rows, [0, 10])


def test_channels_are_averaged():
    assert picture(np.stack([np.zeros((8, 8)), np.ones((8, 8))])).mean() == 0.5
    assert line(np.stack([np.zeros(20), np.ones(20)])).shape == (20,)


def test_samples_run_from_lowest_to_highest_first_joint_score(make_decomposition):
    decomposition = make_decomposition({"a": (30,), "b": (20,)})
    first = decomposition.joint_scores[choose(decomposition, 5), 0]
    assert len(first) == 5
    assert (np.diff(first) > 0).all()
    assert first[0] == decomposition.joint_scores[:, 0].min()
    assert first[-1] == decomposition.joint_scores[:, 0].max()


def test_more_samples_than_there_are_gives_all(make_decomposition):
    decomposition = make_decomposition({"a": (30,), "b": (20,)})
    assert sorted(choose(decomposition, 1000)) == list(range(60))


def test_most_varying_features_keep_their_order():
    lines = np.random.default_rng(0).normal(size=(50, 10)) * np.array([1, 1, 9, 1, 8, 1, 1, 1, 1, 7])
    assert most_varying(lines, limit=3).tolist() == [2, 4, 9]
    assert most_varying(lines, limit=10).tolist() == list(range(10))
