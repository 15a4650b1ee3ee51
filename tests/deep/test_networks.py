"""Encoders and decoders for samples of any shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepjive import DeepJIVE, load
from deepjive.deep.networks import Decoder, Encoder, automatic_kind, layout_of, network_builders


@pytest.mark.parametrize("kind", ["linear", "dense", "conv"])
@pytest.mark.parametrize(
    "shape", [(30,), (1, 50), (2, 33), (8, 8), (28, 28), (3, 17, 21), (20, 18, 4), (9, 11, 13), (2, 12, 10, 8)]
)
def test_networks_map_samples_to_scores_and_back(kind: str, shape: tuple[int, ...]) -> None:
    x = torch.randn(5, *shape)
    z = Encoder(kind, shape, 3)(x)
    assert z.shape == (5, 3)
    assert Decoder(kind, shape, 3)(z).shape == x.shape


@pytest.mark.parametrize("shape", [(30,), (12, 12), (9, 9, 9)])
def test_networks_start_linear(shape: tuple[int, ...]) -> None:
    kind = "dense" if len(shape) == 1 else "conv"
    x = torch.randn(4, *shape)
    encoder, decoder = Encoder(kind, shape, 2), Decoder(kind, shape, 2)
    torch.testing.assert_close(encoder(x), encoder.linear(x.flatten(1)))
    z = torch.randn(4, 2)
    torch.testing.assert_close(decoder(z), decoder.linear(z).reshape(4, *shape))


def test_nonlinear_weights_receive_gradients() -> None:
    encoder = Encoder("conv", (12, 12), 2)
    optimizer = torch.optim.SGD(encoder.parameters(), 0.1)
    for _ in range(2):  # the last layer starts at zero, so the layers before it learn from the second step on
        optimizer.zero_grad()
        encoder(torch.randn(8, 12, 12)).square().sum().backward()
        optimizer.step()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in encoder.parameters())


def test_channels_are_found_at_either_end() -> None:
    x = torch.randn(2, 16, 16, 3)
    layout = layout_of((16, 16, 3))
    assert layout.channels_first(x).shape == (2, 3, 16, 16)
    torch.testing.assert_close(layout.restored(layout.channels_first(x)), x)


def test_rank_zero_has_no_weights_and_decodes_to_zero() -> None:
    builder = network_builders({"a": (6,)}, "auto", 0.0)["a"]
    encoder, decoder = builder.encoder(0), builder.decoder(0)
    assert encoder(torch.randn(3, 6)).shape == (3, 0)
    assert decoder(torch.zeros(3, 0)).abs().sum() == 0
    assert not [*encoder.parameters(), *decoder.parameters()]


def test_architecture_follows_from_the_shape() -> None:
    builders = network_builders({"vector": (40,), "image": (16, 16)}, "auto", 0.0)
    assert (builders["vector"].kind, builders["image"].kind) == ("dense", "conv")


@pytest.mark.parametrize(
    ("shape", "n_samples", "in_memory", "kind"),
    [
        ((20, 20, 20), 999, True, "dense"),
        ((20, 20, 20), 1000, True, "conv"),
        ((20, 20, 20), 100, False, "conv"),
        ((100, 100, 100), 100, True, "conv"),
        ((20, 20, 20, 2), 100, True, "dense"),
        ((200, 200), 100, True, "conv"),
        ((5, 5, 5, 5, 5), 100, True, "conv"),
    ],
)
def test_perceptrons_are_chosen_for_few_volumes_in_memory(
    shape: tuple[int, ...], n_samples: int, in_memory: bool, kind: str
) -> None:
    assert automatic_kind(shape, n_samples, in_memory) == kind


def test_a_model_remembers_what_was_chosen_for_auto(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 1))
    data = {name: (z @ rng.normal(size=(1, 216))).reshape(40, 6, 6, 6) for name in ("mri", "pet")}
    model = DeepJIVE(joint_rank=1, individual_ranks=0, max_epochs=1, random_state=0).fit(data)
    assert model.networks_ == {"mri": "dense", "pet": "dense"}
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.networks_ == model.networks_
    np.testing.assert_array_equal(loaded.transform(data), model.transform(data))


def test_unknown_networks_are_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'transformer'.*'auto', 'linear', 'dense', 'conv'"):
        network_builders({"a": (4,)}, "transformer", 0.0)


def test_networks_must_name_every_modality() -> None:
    with pytest.raises(ValueError, match=r"names \['a'\], but the modalities are \['a', 'b'\]"):
        network_builders({"a": (4,), "b": (4,)}, {"a": "dense"}, 0.0)


def test_own_networks_of_the_wrong_shape_are_named() -> None:
    def wrong(shape: tuple[int, ...], rank: int) -> nn.Module:
        return nn.Linear(int(np.prod(shape)), rank + 1)

    with pytest.raises(ValueError, match=r"encoder made for modality 'a'.*\(2, 4\).*\(2, 3\) is expected"):
        network_builders({"a": (4,)}, (wrong, wrong), 0.0)["a"].encoder(3)


def test_five_spatial_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 3 axes.*Use networks='dense'"):
        network_builders({"a": (5, 5, 5, 5, 5)}, "conv", 0.0)


def test_a_network_in_the_place_of_a_function_that_makes_networks_is_refused() -> None:
    with pytest.raises(TypeError, match=r"networks holds a Linear, .* but a pair of functions that make networks"):
        network_builders({"mri": (4,)}, (nn.Linear(4, 1), nn.Linear(1, 4)), 0.0)
    forgetful = (lambda _shape, _rank: None, lambda _shape, _rank: None)
    with pytest.raises(TypeError, match="for the encoder of modality 'mri' returned a NoneType, but a torch module"):
        network_builders({"mri": (4,)}, forgetful, 0.0)["mri"].encoder(1)


class TooWide(nn.Module):
    def __init__(self, shape: tuple[int, ...], rank: int) -> None:
        super().__init__()
        self.layer = nn.Linear(99, rank)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def test_an_own_encoder_of_the_wrong_input_size_is_named_with_its_modality() -> None:
    builder = network_builders({"mri": (6,)}, (TooWide, TooWide), 0.0)["mri"]
    with pytest.raises(ValueError, match=r"encoder made for modality 'mri' cannot be called with .*\(2, 6\)"):
        builder.encoder(1)


def test_an_own_encoder_that_returns_no_tensor_is_named_with_its_modality() -> None:
    class Pair(TooWide):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
            return x, x

    builder = network_builders({"mri": (6,)}, (Pair, Pair), 0.0)["mri"]
    with pytest.raises(TypeError, match=r"encoder made for modality 'mri' returns a tuple"):
        builder.encoder(1)
