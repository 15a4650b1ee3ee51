"""Export of encoders: a fitted DeepJIVE as a program that needs only torch.

    program = torch.export.load("encoders.pt2").module()
    scores = program({"mri": x, "pet": y})  # float32 tensors (n, ...), in data units, any n of at least 2
    scores["joint"], scores["individual"]["pet"]  # float64 tensors (n, rank), as `decompose` gives

The program includes scaling and the standard form of the scores. It needs all modalities of every sample.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

NOT_DEEP = "Only a fitted DeepJIVE has encoders to export, but a {kind} was given; linear models are their loadings."
OF_SUBSETS = (
    "A model with scores of subsets of modalities has a network for each subset, which cannot be exported as one "
    "program. Fit without `subsets` to export encoders."
)
SUFFIX = "An exported program is a file that ends in .pt2, but the path is {path}."
NOT_EQUAL = (
    "The scores of the exported encoders differ from those of the model by {difference:.2g}, so nothing was written. "
    "Custom networks may use operations that torch.export cannot represent."
)
TOLERANCE = 1e-4  # of scores of variance 1, in single precision


class Encoders(nn.Module):
    """Module from samples to scores: scaling, encoders, and the standard form of the scores.

    Parameters
    ----------
    model : DeepJIVE
        The fitted model.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.names = list(model.shapes_)
        self.network, self.standardizers = (copy.deepcopy(part) for part in (model.network_, model.standardizers_))
        for k, name in enumerate(self.names):
            self.register_buffer(f"mean_{k}", torch.as_tensor(np.asarray(model.mean_[name], dtype=np.float64)))
            self.register_buffer(f"scale_{k}", torch.tensor(float(model.scale_[name]), dtype=torch.float64))

    def forward(self, data: dict[str, Tensor]) -> dict[str, Any]:
        """Return joint scores, and individual scores by modality, each (n, rank), of samples (n, ...)."""
        x = [
            ((data[name].double() - getattr(self, f"mean_{k}")) / getattr(self, f"scale_{k}")).float()
            for k, name in enumerate(self.names)
        ]
        joint = self.network.joint_scores(x)
        individual = self.network.individual_scores(x, joint)
        standard = [self.standardizers[1 + k](z.double()) for k, z in enumerate(individual)]
        return {
            "joint": self.standardizers[0](joint.double()),
            "individual": dict(zip(self.names, standard, strict=True)),
        }


def export(model: Any, path: str | Path) -> None:
    """Write the encoders of a fitted DeepJIVE as a torch.export program, after comparing it with the model.

    Parameters
    ----------
    model : DeepJIVE
        The fitted model.
    path : path
        Path of the file, which must end in ``.pt2``.

    Raises
    ------
    TypeError, ValueError
        For another kind of model, another suffix, or if the scores of the program differ from the scores of the model.
    """
    if hasattr(model, "cascade_"):
        raise ValueError(OF_SUBSETS)
    if not hasattr(model, "network_"):
        raise TypeError(NOT_DEEP.format(kind=type(model).__name__))
    if Path(path).suffix != ".pt2":
        raise ValueError(SUFFIX.format(path=path))
    rng = np.random.default_rng(0)
    samples = {
        name: (model.mean_[name] + model.scale_[name] * rng.normal(size=(5, *shape))).astype(np.float32)
        for name, shape in model.shapes_.items()
    }
    given = {name: torch.from_numpy(array) for name, array in samples.items()}
    n = torch.export.Dim("n", min=2)
    program = torch.export.export(
        Encoders(model).eval().requires_grad_(False),
        (given,),
        dynamic_shapes=({name: {0: n} for name in samples},),
        strict=True,
    )
    difference = float(np.abs(program.module()(given)["joint"].numpy() - model.transform(samples)).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise ValueError(NOT_EQUAL.format(difference=difference))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.export.save(program, path)
