import numpy as np
import pandas as pd
import pytest

pytest.importorskip("nibabel")
pytest.importorskip("nilearn")

from deepjive import AJIVE
from deepjive.datasets.adni import Cohort
from deepjive.datasets.synthetic import make_synthetic
from deepjive.evaluation import brain_study as module

N = 60


class ReachedError(Exception):
    """The last of what is recorded was called."""


def run(groups):
    table = pd.DataFrame({"participant_id": groups, "diagnosis": np.where(np.arange(N) < N // 2, "AD", "CN")})
    data = make_synthetic(N, (20, 16), random_state=0).data
    return module.brain_study(Cohort(table, data.names), data, 12.0)


def linear_models(data, *_):
    model = AJIVE(2, 1, 1, n_wedin=0, n_random=0).fit(data)
    return dict.fromkeys(("DeepJIVE", "AJIVE", "shuffled"), model) | dict.fromkeys(module.BASELINES, model.transform)


def test_participants_are_permuted_and_dealt_labels_with_all_their_sessions(monkeypatch):
    seen = []

    def pairs(*_, **settings):
        seen.append(settings.get("groups"))

    def maps(*_, **settings):
        seen.append(settings["groups"])
        raise ReachedError

    monkeypatch.setattr(module, "_fitted", linear_models)
    monkeypatch.setattr(module, "nested_classification", lambda *_: {})
    monkeypatch.setattr(
        module, "classification_of_shuffled", lambda scores, labels, groups, *_, **__: seen.append(groups)
    )
    monkeypatch.setattr(module, "joint_structure_test", pairs)
    monkeypatch.setattr(module, "covariation", maps)
    with pytest.raises(ReachedError):
        run((np.arange(N) // 2).astype(str))
    dealt, paired, shuffled, mapped = seen
    assert shuffled is None  # there single sessions were shuffled
    assert len(set(dealt)) == len(dealt) / 2
    np.testing.assert_array_equal(paired, dealt)
    np.testing.assert_array_equal(mapped, dealt)


def test_too_few_participants_are_told_before_anything_is_fitted(monkeypatch):
    monkeypatch.setattr(module, "_fitted", lambda *_: pytest.fail("fitted"))
    with pytest.raises(ValueError, match="but at least 120 are needed"):
        run((np.arange(N) // 5).astype(str))
