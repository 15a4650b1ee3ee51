import numpy as np
import pandas as pd
import pytest

pytest.importorskip("nibabel")
pytest.importorskip("nilearn")

from deepjive import AJIVE, Modalities
from deepjive.datasets import make_synthetic
from deepjive.experiments.brain import study as module
from deepjive.imaging import Cohort

N = 60


class ReachedError(Exception):
    """The last of what is recorded was called."""


def run(groups):
    table = pd.DataFrame({"participant_id": groups, "diagnosis": np.where(np.arange(N) < N // 2, "AD", "CN")})
    data = make_synthetic(N, (20, 16), random_state=0).data
    return module.brain_study(Cohort(table, data.names), data, 12.0)


def linear_models(data, *_, **__):
    model = AJIVE(signal_ranks=2, joint_rank=1, individual_ranks=1, n_wedin=0, n_random=0).fit(data)
    return dict.fromkeys(("DeepJIVE", "AJIVE", "shuffled"), model) | dict.fromkeys(module.BASELINES, model.transform)


def test_participants_are_permuted_and_dealt_labels_with_all_their_sessions(monkeypatch):
    seen, tested = [], []

    def pairs(model, data, *_, **settings):
        seen.append(data.groups)
        tested.append(data)

    def maps(model, data, *_, **settings):
        seen.append(data.groups)
        raise ReachedError

    monkeypatch.setattr(module, "fit_models", linear_models)
    monkeypatch.setattr(module, "nested_classification", lambda *_: {})
    monkeypatch.setattr(
        module, "classification_of_shuffled", lambda scores, labels, groups, *_, **__: seen.append(groups)
    )
    monkeypatch.setattr(module, "joint_structure_test", pairs)
    monkeypatch.setattr(module, "covariation", maps)
    with pytest.raises(ReachedError):
        run((np.arange(N) // 2).astype(str))
    dealt, paired, shuffled, mapped = seen
    assert len(set(dealt)) == len(dealt) / 2
    np.testing.assert_array_equal(paired, dealt)
    np.testing.assert_array_equal(shuffled, dealt)
    held_out, apart = ([list(map(tuple, np.asarray(some[name]))) for name in some.names] for some in tested)
    orders = [[rows.index(row) for row in mixed] for rows, mixed in zip(held_out, apart, strict=True)]
    assert orders[0] != orders[1]
    assert all(paired[order[i]] == paired[order[i + 1]] for order in orders for i in range(0, len(dealt), 2))
    np.testing.assert_array_equal(mapped, dealt)


def test_models_of_shuffled_modalities_are_fitted_to_whole_participants(monkeypatch):
    fitted = []

    class Fitted:
        def __init__(self, *_, **__):
            pass

        def fit(self, data):
            fitted.append(data)
            return self

        transform = None

    # The baseline first: importing it while DeepJIVE is replaced would leave the replacement in it.
    for name in ("deep.baseline.SeparateAutoencoders", "deep.estimator.DeepJIVE", "linear.ajive.AJIVE"):
        monkeypatch.setattr(f"deepjive.{name}", Fitted)
    monkeypatch.setattr(module, "_principal", lambda *_: None)
    who = np.repeat(np.arange(20), 3)
    rows = Modalities({"a": np.arange(N)[:, None], "b": -np.arange(N)[:, None]}, groups=who)
    module.fit_models(rows, module.QUICK, "exchange", 0, {}, {})
    orders = [np.abs(fitted[-1][name][:, 0]) for name in "ab"]
    assert (orders[0] != orders[1]).any()
    for order in orders:
        assert (np.ptp(who[order].reshape(20, 3), axis=1) == 0).all()


def test_too_few_participants_are_told_before_anything_is_fitted(monkeypatch):
    monkeypatch.setattr(module, "fit_models", lambda *_, **__: pytest.fail("fitted"))
    with pytest.raises(ValueError, match="but at least 120 orders are needed"):
        run((np.arange(N) // 5).astype(str))
