"""Modalities and estimators among scikit-learn's own tools."""

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from deepjive import AJIVE, HeteroJIVE, Modalities

N = 40


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], N // 2)
    joint = (2.0 * y - 1)[:, None] + 0.3 * rng.normal(size=(N, 1))
    return {
        name: joint @ rng.normal(size=(1, width)) + 0.5 * rng.normal(size=(N, width))
        for name, width in {"a": 8, "b": 15}.items()
    }, y


def ajive(joint_rank=1):
    return AJIVE(signal_ranks=2, joint_rank=joint_rank, n_wedin=0, n_random=0)


def test_columns_of_a_data_frame_say_which_model_and_score_they_are(labelled):
    union = FeatureUnion([("ajive", ajive(2)), ("weighted", HeteroJIVE(signal_ranks=2, joint_rank=1))])
    frame = union.set_output(transform="pandas").fit_transform(Modalities(labelled[0]))
    assert list(frame.columns) == ["ajive__joint_1", "ajive__joint_2", "weighted__joint_1"]
    scaled = make_pipeline(ajive(2), StandardScaler()).set_output(transform="pandas")
    assert list(scaled.fit_transform(Modalities(labelled[0])).columns) == ["joint_1", "joint_2"]


def test_polars_frames_can_be_asked_for(labelled):
    pytest.importorskip("polars")
    frame = ajive().set_output(transform="polars").fit_transform(Modalities(labelled[0]))
    assert frame.columns == ["joint_1"]


@pytest.mark.filterwarnings("ignore:This process.*multi-threaded, use of fork:DeprecationWarning")
def test_a_grid_search_in_several_processes_reads_stores_in_each(labelled, tmp_path):
    h5py = pytest.importorskip("h5py")
    arrays, y = labelled
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    stored = Modalities({name: f"{tmp_path}/x.h5:{name}" for name in arrays})
    stored.rows("a", [0])  # opens the file here, which must not be used in the processes forked from this one

    def searched(data, jobs):
        search = GridSearchCV(make_pipeline(ajive(), SVC()), {"ajive__joint_rank": [1, 2]}, cv=3, n_jobs=jobs)
        return search.set_params(error_score="raise").fit(data, y)

    with parallel_config(backend="multiprocessing"):
        searches = [searched(stored, 2), searched(Modalities(arrays), 1)]
    results = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*results)
    assert searches[0].best_score_ > 0.95
