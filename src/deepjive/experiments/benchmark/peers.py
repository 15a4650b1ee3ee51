"""Methods of other packages for several views, behind the interface of `deepjive.experiments.benchmark.methods`.

- GCCA          linear canonical correlation analysis of several views (cca_zoo), of principal components
- DGCCA         deep canonical correlation analysis of several views (cca_zoo; Benton et al. 2019): encoders whose
                scores agree, without decoders. As its authors advise, GCCA of the encodings gives the scores.
- VCCA-private  deep variational CCA with private scores (cca_zoo; Wang et al. 2016, arXiv 1610.03454): decoders of
                shared and private scores. The shared scores come from the first view alone, so views are drawn from the
                first view.
- MOFA          factor analysis (mofapy2), of principal components

They have the encoders and decoders of DeepJIVE, its batches and as many epochs as all its phases together.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.modalities import Modalities
from deepjive.experiments.benchmark.methods import Arrays, components, flat
from deepjive.experiments.omics.methods import MethodScores

PACKAGES = {
    "GCCA": ("cca_zoo",),
    "DGCCA": ("cca_zoo", "lightning"),
    "VCCA-private": ("cca_zoo", "lightning"),
    "MOFA": ("mofapy2",),
}
PEERS = tuple(PACKAGES)
SHRINKAGE = 0.1
LEAST = 1e-10  # of the largest variance of a component: pixels that never vary have components without any


def is_installed(method: str) -> bool:
    """Return whether the packages of a method can be imported."""
    return all(importlib.util.find_spec(package) is not None for package in PACKAGES[method])


def fit_peer(method: str, data: Modalities, joint_rank: int, rank: int, seed: int, settings: Mapping[str, Any]) -> Any:
    """Fit one of `PEERS` to training samples.

    Parameters
    ----------
    method : str
        The method.
    data : Modalities
        Training samples.
    joint_rank, rank : int
        Number of joint scores, and of individual scores of each view.
    seed : int
        Seed of the method.
    settings : mapping
        "networks" (factories of encoder and decoder), "epochs", "batch_size", "learning_rate" and, for VCCA-private,
        "noise": the standard deviation of its normal likelihood, relative to that of a view.

    Returns
    -------
    FittedViews
    """
    if method == "GCCA":
        return _Canonical(_Components(data), data, joint_rank)
    if method == "MOFA":
        return _Mofa(data, joint_rank + rank * len(data.names), seed)
    import torch

    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        if method == "DGCCA":
            return _Canonical(_DeepEncodings(data, joint_rank, settings), data, joint_rank)
        return _VariationalPrivate(data, joint_rank, rank, settings)


class _Canonical:
    """GCCA of what an encoder of each view returns; joint scores are the mean over the views that are given."""

    def __init__(self, encode: Any, data: Modalities, rank: int) -> None:
        from cca_zoo.linear import GCCA

        self.encode, self.names = encode, list(data.names)
        encoded = [encode(name, data[name]) for name in self.names]
        self.model = GCCA(n_components=rank, shrinkage=SHRINKAGE).fit(encoded)

    def scores(self, data: Modalities) -> MethodScores:
        views = []
        for name in data.names:
            number = self.names.index(name)
            encoded = self.encode(name, data[name]) - self.model.means_[number]
            views.append(encoded @ self.model.weights_[number])
        return MethodScores(np.mean(views, axis=0))

    def reconstructed(self, data: Modalities) -> None:
        return None

    def drawn(self, given: Modalities, name: str, seed: int) -> None:
        return None

    def sampled(self, n: int, seed: int) -> None:
        return None


class _Components:
    """Whitened principal components of each view."""

    def __init__(self, data: Modalities) -> None:
        self.components = {name: components(data[name]) for name in data.names}

    def __call__(self, name: str, view: Any) -> NDArray:
        fitted = self.components[name]
        variance = fitted.explained_variance_
        return np.asarray(fitted.transform(flat(view)) / np.sqrt(np.maximum(variance, LEAST * variance[0])))


class _Scaled:
    """Views as tensors: less the mean of each pixel, divided by one number for each view."""

    def __init__(self, data: Modalities, noise: float = 1.0) -> None:
        self.mean = {name: np.asarray(data[name]).mean(axis=0) for name in data.names}
        self.scale = {name: noise * float((np.asarray(data[name]) - self.mean[name]).std()) for name in data.names}

    def tensor(self, name: str, view: Any) -> Any:
        import torch

        return torch.as_tensor((np.asarray(view) - self.mean[name]) / self.scale[name], dtype=torch.float32)

    def view(self, name: str, tensor: Any) -> NDArray:
        return np.asarray(tensor.numpy() * self.scale[name] + self.mean[name])


class _DeepEncodings:
    """Encodings of each view by DGCCA."""

    def __init__(self, data: Modalities, rank: int, settings: Mapping[str, Any]) -> None:
        from cca_zoo.deep import DGCCA

        encoder, _ = settings["networks"]
        self.scaled, self.names = _Scaled(data), list(data.names)
        encoders = [encoder(data.shapes[name], rank) for name in self.names]
        self.model = DGCCA(rank, encoders, learning_rate=settings["learning_rate"], reg_covar=1e-3)
        _train(self.model, [self.scaled.tensor(name, data[name]) for name in self.names], settings)

    def __call__(self, name: str, view: Any) -> NDArray:
        import torch

        with torch.no_grad():
            encoded = self.model.encoders[self.names.index(name)](self.scaled.tensor(name, view))
        return np.asarray(encoded.numpy(), dtype=np.float64)


class _VariationalPrivate:
    """Deep variational CCA with private scores: the first view gives the shared scores."""

    def __init__(self, data: Modalities, joint_rank: int, rank: int, settings: Mapping[str, Any]) -> None:
        from cca_zoo.deep import DVCCAPrivate

        make_encoder, make_decoder = settings["networks"]
        self.names, self.joint_rank, self.rank = list(data.names), joint_rank, rank
        self.shapes = data.shapes
        self.scaled = _Scaled(data, settings["noise"])
        self.model = DVCCAPrivate(
            joint_rank,
            _Flattened(make_encoder(self.shapes[self.names[0]], 2 * joint_rank), self.shapes[self.names[0]]),
            [_Flattened(make_encoder(self.shapes[name], 2 * rank), self.shapes[name]) for name in self.names],
            [_Flattening(make_decoder(self.shapes[name], joint_rank + rank)) for name in self.names],
            rank,
            learning_rate=settings["learning_rate"],
        )
        _train(self.model, self._views(data), settings)

    def scores(self, data: Modalities) -> MethodScores | None:
        if self.names[0] not in data.names:
            return None
        joint = self._joint(data)
        if set(data.names) != set(self.names):
            return MethodScores(joint)
        return MethodScores(joint, dict(zip(self.names, self._private(data), strict=True)))

    def reconstructed(self, data: Modalities) -> Arrays:
        joint = self._joint(data)
        return {
            name: self._decoded(name, joint, private)
            for name, private in zip(self.names, self._private(data), strict=True)
        }

    def drawn(self, given: Modalities, name: str, seed: int) -> NDArray | None:
        if self.names[0] not in given.names:
            return None
        rng = np.random.default_rng(seed)
        return self._decoded(name, self._joint(given), rng.standard_normal((len(given), self.rank)))

    def sampled(self, n: int, seed: int) -> Arrays:
        rng = np.random.default_rng(seed)
        joint = rng.standard_normal((n, self.joint_rank))
        return {name: self._decoded(name, joint, rng.standard_normal((n, self.rank))) for name in self.names}

    def _views(self, data: Modalities) -> list[Any]:
        return [self.scaled.tensor(name, data[name]).flatten(1) for name in self.names]

    def _joint(self, data: Modalities) -> NDArray:
        import torch

        with torch.no_grad():
            (mean,) = self.model([self.scaled.tensor(self.names[0], data[self.names[0]]).flatten(1)])
        return np.asarray(mean.numpy())

    def _private(self, data: Modalities) -> list[NDArray]:
        import torch

        with torch.no_grad():
            return [np.asarray(mean.numpy()) for mean in self.model.private_means(self._views(data))]

    def _decoded(self, name: str, joint: NDArray, private: NDArray) -> NDArray:
        import torch

        scores = torch.as_tensor(np.hstack([joint, private]), dtype=torch.float32)
        with torch.no_grad():
            pixels = self.model.decoders[self.names.index(name)](scores)
        return self.scaled.view(name, pixels.unflatten(1, self.shapes[name]))


def _Flattened(network: Any, shape: tuple[int, ...]) -> Any:  # noqa: N802
    """Return an encoder of vectors, which gives `network` images."""
    from torch import nn

    return nn.Sequential(nn.Unflatten(1, shape), network)


def _Flattening(network: Any) -> Any:  # noqa: N802
    """Return a decoder of vectors from a decoder of images."""
    from torch import nn

    return nn.Sequential(network, nn.Flatten())


def _train(model: Any, views: list[Any], settings: Mapping[str, Any]) -> None:
    """Train a model of cca_zoo with its own trainer, and leave it ready for use."""
    import lightning.pytorch as lightning
    from cca_zoo.deep import MultiviewDataset
    from torch.utils.data import DataLoader

    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        max_epochs=settings["epochs"],
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    batches = DataLoader(MultiviewDataset(views), settings["batch_size"], shuffle=True, drop_last=True)
    trainer.fit(model, batches)
    model.eval()


class _Mofa:
    """MOFA of the principal components of each view."""

    def __init__(self, data: Modalities, n_factors: int, seed: int) -> None:
        from deepjive.experiments.omics.mofa import fit_mofa

        self.components = {name: components(data[name]) for name in data.names}
        self.shapes, self.seed = data.shapes, seed
        self.model = fit_mofa(self._arrays(data), seed, n_factors)

    def scores(self, data: Modalities) -> MethodScores:
        arrays, joint = self._arrays(data), self.model.joint
        individual = {name: self.model.factors({name: array})[:, ~joint] for name, array in arrays.items()}
        return MethodScores(self.model.factors(arrays)[:, joint], individual)

    def reconstructed(self, data: Modalities) -> Arrays:
        factors = self.model.factors(self._arrays(data))
        return {name: self._view(name, factors) for name in data.names}

    def drawn(self, given: Modalities, name: str, seed: int) -> NDArray:
        return self._view(name, self.model.factors(self._arrays(given)))

    def sampled(self, n: int, seed: int) -> Arrays:
        factors = np.random.default_rng(seed).standard_normal((n, len(self.model.joint)))
        return {name: self._view(name, factors) for name in self.shapes}

    def _arrays(self, data: Modalities) -> Arrays:
        return {name: self.components[name].transform(flat(data[name])) for name in data.names}

    def _view(self, name: str, factors: NDArray) -> NDArray:
        pixels = self.components[name].inverse_transform(factors @ self.model.weights[name].T)
        return np.asarray(pixels).reshape(-1, *self.shapes[name])
