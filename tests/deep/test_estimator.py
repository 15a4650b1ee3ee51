"""DeepJIVE: what a user meets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from torch import nn

import deepjive as dj
from deepjive import DeepJIVE, Runtime
from deepjive.datasets import Synthetic, make_synthetic
from deepjive.evaluation import r2

from .fitting import fitted

IDENTITIES = ["explicit", "exchange", "merged"]


@pytest.mark.parametrize("identity", IDENTITIES)
def test_known_linear_parts_are_recovered(identity: str) -> None:
    made = make_synthetic(400, (40, 40), random_state=1)
    parts = fitted(made.data, identity=identity, max_epochs=4).decompose(made.data)
    for name in made.joint:
        # 400 samples of 40 features with noise of half the signal's size: AJIVE itself reaches .98
        assert r2(made.joint[name], parts.joint[name]) > 0.95
        assert r2(made.individual[name], parts.individual[name]) > 0.95


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("objective", ["joint_first", "published"])
@pytest.mark.parametrize("orthogonality", ["closed_form", "regression", "adversary", None])
def test_every_combination_decomposes(
    small: Synthetic, identity: str, objective: str, orthogonality: str | None
) -> None:
    model = fitted(small.data, 2, 1, identity=identity, objective=objective, orthogonality=orthogonality, max_epochs=1)
    parts = model.decompose(small.data)
    for name in small.data:
        whole = parts.joint[name] + parts.individual[name] + parts.residual[name]
        np.testing.assert_allclose(whole, small.data[name], atol=1e-5)


def test_scores_are_standardized_and_uncorrelated_on_the_fitted_samples(small: Synthetic) -> None:
    scores = fitted(small.data, 2, 2).decompose(small.data)
    for block in (scores.joint_scores, *scores.individual_scores.values()):
        # a tenth of the samples were held out for validation, hence not exact
        np.testing.assert_allclose(block.mean(0), 0, atol=0.15)
        np.testing.assert_allclose(np.cov(block.T), np.eye(2), atol=0.25)


def test_individual_parts_have_mean_zero_and_the_joint_part_the_mean(small: Synthetic) -> None:
    shifted = dj.Modalities({name: array + 7.0 for name, array in small.data.items()})
    parts = fitted(shifted, max_epochs=3).decompose(shifted)
    for name in shifted:
        assert abs(parts.individual[name].mean()) < 0.1
        np.testing.assert_allclose(parts.joint[name].mean(0), shifted[name].mean(0), atol=0.6)


@pytest.mark.filterwarnings("error:The given NumPy array is not writable")
def test_parts_are_rendered_from_scores_however_they_lie_in_memory(model: DeepJIVE, small: Synthetic) -> None:
    parts = model.decompose(small.data)
    backwards = model.inverse_transform(parts.joint_scores[::-1])["modality_1"]
    np.testing.assert_allclose(backwards[::-1], parts.joint["modality_1"], atol=1e-5)
    rows = parts.individual.rows("modality_1", slice(None, None, -1))
    np.testing.assert_allclose(rows[::-1], parts.individual["modality_1"], atol=1e-5)
    locked = parts.joint_scores.copy()
    locked.flags.writeable = False
    np.testing.assert_array_equal(model.inverse_transform(locked)["modality_1"][::-1], backwards)


def test_scores_draw_the_joint_part_and_the_individual_part_asked_for(model: DeepJIVE, small: Synthetic) -> None:
    parts = model.decompose(small.data)
    drawn = model.inverse_transform(parts.joint_scores, {"modality_1": parts.individual_scores["modality_1"]})
    whole = parts.joint["modality_1"] + parts.individual["modality_1"]
    np.testing.assert_allclose(drawn["modality_1"], whole, atol=1e-5)
    np.testing.assert_allclose(drawn["modality_2"], parts.joint["modality_2"], atol=1e-5)
    wrong = {"modality_1": parts.individual_scores["modality_1"][:3]}
    with pytest.raises(ValueError, match=r"Individual scores of 'modality_1' must have shape \(n_samples, \d\)"):
        model.inverse_transform(parts.joint_scores, wrong)
    with pytest.raises(ValueError, match="There is no modality 'pet'"):
        model.inverse_transform(parts.joint_scores, {"pet": parts.joint_scores})


def test_parts_are_in_the_units_of_the_data(small: Synthetic) -> None:
    scaled = dj.Modalities({name: array * 1000.0 for name, array in small.data.items()})
    a, b = (fitted(data, max_epochs=3).decompose(data) for data in (small.data, scaled))
    for name in scaled:
        np.testing.assert_allclose(b.joint[name], a.joint[name] * 1000.0, rtol=1e-3, atol=5.0)


@pytest.mark.parametrize(("joint_rank", "individual_ranks"), [(0, 2), (2, 0), (1, {"modality_1": 0, "modality_2": 2})])
def test_rank_zero_gives_a_part_without_variation(
    small: Synthetic, joint_rank: int, individual_ranks: int | dict[str, int]
) -> None:
    model = fitted(small.data, joint_rank, individual_ranks, max_epochs=3)
    parts = model.decompose(small.data)
    assert parts.joint_scores.shape[1] == joint_rank
    for name, rank in model.individual_ranks_.items():
        assert parts.individual_scores[name].shape[1] == rank
        if rank == 0:
            assert not parts.individual[name].any()
            assert parts.variance_explained[name]["individual"] == 0.0
        if joint_rank == 0:
            assert np.ptp(parts.joint[name], axis=0).max() == 0.0


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("objective", ["joint_first", "published"])
@pytest.mark.parametrize("individual_ranks", [1, {"modality_1": 0, "modality_2": 1}])
def test_every_identity_and_objective_does_without_a_joint_part(
    small: Synthetic, identity: str, objective: str, individual_ranks: int | dict[str, int]
) -> None:
    model = fitted(small.data, 0, individual_ranks, identity=identity, objective=objective, max_epochs=2)
    assert model.transform(small.data).shape == (240, 0)
    assert np.isfinite(model.decompose(small.data).individual_scores["modality_2"]).all()
    assert "train_identity" not in model.history_


@pytest.mark.parametrize("identity", ["explicit", "exchange"])
def test_joint_scores_from_one_modality_alone_agree_with_those_from_both(small: Synthetic, identity: str) -> None:
    model = fitted(small.data, identity=identity, max_epochs=4)
    both = model.transform(small.data)
    for name in small.data:
        alone = model.transform(small.data.select([name]))
        assert np.corrcoef(alone[:, 0], both[:, 0])[0, 1] > 0.9


def test_merged_says_why_it_needs_every_modality(small: Synthetic) -> None:
    model = fitted(small.data, identity="merged", max_epochs=2)
    with pytest.raises(ValueError, match=r"identity='merged'.*\['modality_2'\].*'explicit' or 'exchange'"):
        model.transform(small.data.select(["modality_1"]))


def test_a_missing_modality_is_predicted_better_than_by_its_mean() -> None:
    made = make_synthetic(400, (30, 30), joint_rank=1, individual_rank=0, noise=0.5, random_state=0)
    model = fitted(made.data[:300], 1, 0, max_epochs=8)
    new = made[300:]
    guess = model.impute(new.data, "modality_2")
    assert r2(new.joint["modality_2"], guess) > 0.8
    np.testing.assert_array_equal(guess, model.impute(new.data.select(["modality_1"]), "modality_2"))


def test_samples_that_lack_a_modality_are_scored_by_the_others(small: Synthetic, model: DeepJIVE) -> None:
    present = np.ones(small.data.shape, dtype=bool)
    present[:5, 0] = False
    some = dj.Modalities(small.data, present=present)
    parts = model.decompose(some)
    np.testing.assert_allclose(parts.joint_scores[5:], model.transform(small.data)[5:], atol=1e-5)
    np.testing.assert_allclose(
        parts.joint_scores[:5], model.transform(small.data[:5].select(["modality_2"])), atol=1e-5
    )
    assert np.isnan(parts.individual_scores["modality_1"][:5]).all()


@pytest.mark.parametrize(
    "settings", [{}, {"identity": "explicit"}, {"identity": "merged", "orthogonality": "regression"}]
)
def test_a_saved_model_transforms_bit_by_bit_the_same(
    small: Synthetic, tmp_path: Path, settings: dict[str, str]
) -> None:
    model = fitted(small.data, 2, {"modality_1": 1, "modality_2": 0}, max_epochs=2, **settings)
    model.save(tmp_path / "model")
    again = dj.load(tmp_path / "model")
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(again.transform(small.data), model.transform(small.data))
    a, b = model.decompose(small.data), again.decompose(small.data)
    np.testing.assert_array_equal(a.individual["modality_1"], b.individual["modality_1"])
    np.testing.assert_equal(again.history_, model.history_)


class Small(nn.Module):
    """A network of one's own."""

    def __init__(self, shape: tuple[int, ...], rank: int) -> None:
        super().__init__()
        self.layer = nn.Linear(shape[0], rank)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def small_decoder(shape: tuple[int, ...], rank: int) -> nn.Module:
    return nn.Linear(rank, shape[0])


def test_networks_of_ones_own_are_trained_saved_and_asked_for_again(small: Synthetic, tmp_path: Path) -> None:
    networks = {"modality_1": (Small, small_decoder), "modality_2": "linear"}
    model = fitted(small.data, networks=networks, max_epochs=2)
    assert isinstance(model.network_.joint_encoders[0], Small)
    model.save(tmp_path)
    with pytest.raises(ValueError, match="networks of your own"):
        dj.load(tmp_path)
    again = dj.load(tmp_path, networks=networks)
    np.testing.assert_array_equal(again.transform(small.data), model.transform(small.data))


def frozen_encoder(shape: tuple[int, ...], rank: int) -> nn.Module:
    pretrained = nn.Linear(shape[0], 8)
    with torch.no_grad():
        pretrained.weight.copy_(torch.linspace(-0.2, 0.2, 8 * shape[0]).view(8, -1))
    return nn.Sequential(pretrained.requires_grad_(False), nn.GELU(), nn.Linear(8, rank))


def test_weights_that_came_frozen_are_not_trained(small: Synthetic) -> None:
    model = fitted(small.data, 1, 1, networks=(frozen_encoder, small_decoder), max_epochs=2)
    for name, encoders in (
        ("joint", model.network_.joint_encoders),
        ("individual", model.network_.individual_encoders),
    ):
        for encoder, (width,) in zip(encoders, model.shapes_.values(), strict=True):
            before = frozen_encoder((width,), 1)
            assert torch.equal(encoder[0].weight, before[0].weight), name
    trained = sum(8 + 1 + 2 * width for (width,) in model.shapes_.values())
    assert model.n_parameters_ == 2 * trained


def test_images_and_vectors_go_in_as_they_are() -> None:
    rng = np.random.default_rng(0)
    data = {"image": rng.normal(size=(64, 12, 10)), "vector": rng.normal(size=(64, 7))}
    parts = fitted(data, 1, 1, max_epochs=2).decompose(data)
    assert parts.joint["image"].shape == (64, 12, 10)


def test_three_modalities_work() -> None:
    made = make_synthetic(150, (10, 8, 6), random_state=0)
    for identity in IDENTITIES:
        assert fitted(made.data, identity=identity, max_epochs=2).transform(made.data).shape == (150, 1)


def test_the_estimator_works_in_scikit_learn(small: Synthetic) -> None:
    label = small.joint_scores[:, 0] > 0
    estimator = DeepJIVE(joint_rank=1, individual_ranks=1, networks="dense", max_epochs=3, random_state=0)
    assert clone(estimator).get_params() == estimator.get_params()
    with pytest.warns(UserWarning, match="max_epochs"):
        scores = cross_val_score(make_pipeline(estimator, LogisticRegression()), small.data, label, cv=2)
    assert scores.mean() > 0.9
    with pytest.warns(UserWarning, match="max_epochs"):
        frame = clone(estimator).set_params(max_epochs=2).set_output(transform="pandas").fit_transform(small.data)
    assert list(frame.columns) == ["joint_1"]


def test_the_networks_are_described(model: DeepJIVE) -> None:
    text = model.describe()
    assert "modality_1 (20,)" in text
    assert f"{model.n_parameters_:,} weights" in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"identity": "equal"}, r"identity is 'equal'.*'explicit', 'exchange', 'merged'"),
        ({"orthogonality": "qr"}, r"orthogonality is 'qr'.*closed_form"),
        ({"objective": "mine"}, r"objective is 'mine'"),
        ({"joint_rank": 0, "individual_ranks": 0}, "nothing to fit"),
        ({"joint_rank": -1}, r"joint_rank must be an integer of at least 0.*-1"),
        ({"joint_rank": 13}, r"joint_rank is 13.*at most 12.*modality_2"),
        ({"individual_ranks": {"a": 1}}, r"names \['a'\]"),
        ({"batch_size": 400}, r"batch_size is 400, but only 216"),
        ({"batch_size": 1}, r"batch_size is 1, but must be 'auto' or an integer of at least 2"),
        ({"validation_fraction": 1.0}, r"validation_fraction is 1.0"),
        ({"learning_rate": -1.0}, r"learning_rate is -1.0"),
        ({"max_epochs": 0}, r"max_epochs is 0"),
        (
            {"validation_fraction": 0.999, "joint_rank": "auto"},
            r"validation_fraction is 0.999, which holds 240 of 240 samples out.* leaves 0 .*at least 2",
        ),
        ({"orthogonality_weight": "much"}, r"orthogonality_weight is 'much', but must be 'auto' or a number"),
        ({"orthogonality_weight": -1.0}, r"orthogonality_weight is -1.0"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(small: Synthetic, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeepJIVE(**{"joint_rank": 1, "individual_ranks": 1, **settings}).fit(small.data)  # type: ignore[arg-type]


def test_fewer_samples_than_can_be_fitted_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 8 samples, but modality 'a' has n_samples=4"):
        DeepJIVE(joint_rank=1, individual_ranks=1).fit({"a": np.eye(4), "b": np.eye(4)})


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_precisions_of_the_processor_train(small: Synthetic, precision: str) -> None:
    parts = fitted(small.data, runtime=Runtime(precision=precision), max_epochs=3).decompose(small.data)
    assert parts.variance_explained["modality_1"]["residual"] < 0.5


def test_two_samples_to_learn_from_are_enough(small: Synthetic) -> None:
    few = small.data[:10]
    assert np.isfinite(fitted(few, validation_fraction=0.8, max_epochs=2).transform(few)).all()
    with pytest.raises(ValueError, match="leaves 1 to learn from"):
        fitted(few, validation_fraction=0.9)


def test_unfitted_use_is_refused(small: Synthetic) -> None:
    with pytest.raises(ValueError, match="not fitted yet"):
        DeepJIVE(joint_rank=1, individual_ranks=1).transform(small.data)


def test_a_fit_that_fails_leaves_no_model(small: Synthetic) -> None:
    model = fitted(small.data, max_epochs=1)
    for unfinished in (model, DeepJIVE(joint_rank=1, individual_ranks=1, networks="linear")):
        with pytest.raises(ValueError, match="batch_size is 1000"):
            unfinished.set_params(batch_size=1000).fit(small.data)
        with pytest.raises(NotFittedError):
            unfinished.transform(small.data)


@pytest.mark.parametrize("has_gaps", [False, True])
@pytest.mark.parametrize("settings", [{}, {"identity": "explicit", "orthogonality": "regression"}])
def test_scores_and_variance_of_the_fitted_samples_are_kept(
    small: Synthetic, has_gaps: bool, settings: dict[str, str]
) -> None:
    present = np.ones(small.data.shape, dtype=bool)
    present[:30, 0] = present[30:50, 1] = not has_gaps
    data = dj.Modalities(small.data, present=present)
    model = fitted(data, 2, {"modality_1": 1, "modality_2": 0}, max_epochs=3, **settings)
    parts = model.decompose(data)
    # what training computes with is in single precision, and averages over modalities in another order
    np.testing.assert_allclose(model.joint_scores_, parts.joint_scores, atol=1e-5)
    for name in data:
        np.testing.assert_allclose(model.individual_scores_[name], parts.individual_scores[name], atol=1e-5)
        for part, fraction in parts.variance_explained[name].items():
            assert model.variance_explained_[name][part] == pytest.approx(fraction, abs=1e-5)
    assert model.variance_explained_["modality_2"]["individual"] == pytest.approx(0.0, abs=1e-12)


def test_scores_of_the_fitted_samples_are_the_same_from_disk(small: Synthetic) -> None:
    in_memory, from_disk = (fitted(small.data, max_epochs=1, runtime=Runtime(memory_limit=m)) for m in (4, 0))
    np.testing.assert_array_equal(in_memory.joint_scores_, from_disk.joint_scores_)
    assert in_memory.variance_explained_ == from_disk.variance_explained_


def test_joint_scores_run_the_joint_encoders_alone(small: Synthetic, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(small.data, max_epochs=1)
    scores, imputed = model.transform(small.data), model.impute(small.data, "modality_2")

    def refuse(*args: object) -> None:
        raise AssertionError("an individual encoder ran")

    monkeypatch.setattr(type(model.network_), "individual_scores", refuse)
    np.testing.assert_array_equal(model.transform(small.data), scores)
    np.testing.assert_array_equal(model.impute(small.data, "modality_2"), imputed)


@pytest.mark.parametrize(
    ("orthogonality", "weight"), [("closed_form", 0.1), ("regression", 0.1), ("adversary", 5.0), (None, 0.0)]
)
def test_the_automatic_weight_of_the_penalty_depends_on_the_mechanism(
    small: Synthetic, orthogonality: str | None, weight: float
) -> None:
    automatic = fitted(small.data, max_epochs=2, orthogonality=orthogonality)
    stated = fitted(small.data, max_epochs=2, orthogonality=orthogonality, orthogonality_weight=weight)
    assert automatic.orthogonality_weight_ == stated.orthogonality_weight_ == weight
    np.testing.assert_array_equal(automatic.joint_scores_, stated.joint_scores_)
    assert automatic.get_params()["orthogonality_weight"] == "auto"


def test_ranks_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        DeepJIVE(2, 1)  # type: ignore[misc]


@pytest.mark.parametrize("identity", IDENTITIES)
def test_a_model_says_what_it_can_do(identity: str) -> None:
    model = DeepJIVE(identity=identity)  # type: ignore[arg-type]
    assert (model.needs_all_modalities, model.is_stochastic) == (identity == "merged", True)
    with pytest.raises(NotFittedError):
        model.diagnostics()


def test_the_front_door_has_every_public_name() -> None:
    import deepjive.deep as door

    assert set(door.__all__) <= set(dir(door))
    for name in door.__all__:
        assert getattr(door, name).__name__ == name
    with pytest.raises(AttributeError, match=r"deepjive\.deep' has no attribute 'Deep'"):
        door.Deep  # noqa: B018


def test_a_linear_network_agrees_with_ajive() -> None:
    from scipy.linalg import subspace_angles

    made = make_synthetic(500, (30, 40), joint_rank=2, individual_rank=1, noise=0.3, random_state=0)
    deep = fitted(made.data, 2, 1, networks="linear", max_epochs=10, identity="explicit")
    linear = dj.AJIVE(signal_ranks=3, joint_rank=2, random_state=0).fit(made.data)
    angles = subspace_angles(deep.transform(made.data), linear.transform(made.data))
    assert np.rad2deg(angles).max() < 5.0
