"""Export of encoders: a fitted DeepJIVE as a program that needs only torch.

    program = torch.export.load("encoders.pt2").module()
    scores = program({"mri": x, "pet": y})  # float32 tensors (n, ...), in data units, any n of at least 2
    scores["joint"], scores["individual"]["pet"]  # float64 tensors (n, rank), as `decompose` gives

The program includes scaling and the standard form of the scores. It needs all modalities of every sample.

`export_onnx` writes the same program for ONNX runtimes, which need neither torch nor Python, with the prediction of
each modality from the other modalities:

    session = onnxruntime.InferenceSession("model.onnx")
    outputs = session.run(None, {"mri": x, "pet": y})  # float32 arrays (n, ...), in data units
"""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepjive.data.readers.guard import optional
from deepjive.deep.constraints.identity import Whitening
from deepjive.persistence import write_atomically

NOT_DEEP = "Only a fitted DeepJIVE has encoders to export, but {kind} was given; linear models are their loadings."
OF_SUBSETS = (
    "A model with scores of subsets of modalities has a network for each subset, which cannot be exported as one "
    "program. Fit without `subsets` to export encoders."
)
SUFFIX = "The path of an exported program must end in .pt2, but is {path}."
ADJUSTED = (
    "The model {what}, which exported encoders cannot do. Fit it to data that you prepare in this way beforehand."
)
NOT_EQUAL = (
    "The scores of the exported encoders differ from those of the model by {difference:.2g}, so nothing was written. "
    "Custom networks may use operations that torch.export cannot represent."
)
ONNX_SUFFIX = "The path of an exported ONNX model must end in .onnx, but is {path}."
ONNX_NOT_EQUAL = (
    "The output {output!r} of the ONNX model differs from the model by {difference:.2g}, so nothing was written. "
    "Custom networks may use operations that ONNX cannot represent; export to a .pt2 file instead."
)
SINGLE = 1e-3  # of large values: single precision keeps seven digits
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
            sizes = _sizes(model, name)
            self.register_buffer(f"mean_{k}", torch.as_tensor(np.asarray(model.mean_[name] * sizes, dtype=np.float64)))
            self.register_buffer(f"scale_{k}", torch.as_tensor(float(model.scale_[name]) * sizes, dtype=torch.float64))

    def scaled(self, data: dict[str, Tensor]) -> list[Tensor]:
        """Return the samples of each modality without the mean and in the unit of the networks."""
        return [
            ((data[name].double() - getattr(self, f"mean_{k}")) / getattr(self, f"scale_{k}")).float()
            for k, name in enumerate(self.names)
        ]

    def forward(self, data: dict[str, Tensor]) -> dict[str, Any]:
        """Return joint scores, and individual scores by modality, each (n, rank), of samples (n, ...)."""
        x = self.scaled(data)
        joint = self.network.joint_scores(x)
        individual = self.network.individual_scores(x, joint)
        standard = [self.standardizers[1 + k](z.double()) for k, z in enumerate(individual)]
        return {
            "joint": self.standardizers[0](joint.double()),
            "individual": dict(zip(self.names, standard, strict=True)),
        }


def _sizes(model: Any, name: str) -> NDArray:
    """Numbers by which the features of a modality are divided before they are centred, shape of a sample or ()."""
    sizes = model.adjustment_.get("sizes", {}).get(name)
    return np.ones(()) if sizes is None else np.asarray(sizes).reshape(model.shapes_[name])


class FixedWhitening(nn.Module):
    """The whitening of a trained model as one matrix product; ONNX has no Cholesky factor.

    Parameters
    ----------
    whitening : Whitening
        A whitening with its running moments.
    """

    matrix: Tensor
    constant: Tensor

    def __init__(self, whitening: Whitening) -> None:
        super().__init__()
        zero = torch.zeros(1, whitening.rank)
        with torch.no_grad():
            at_zero = whitening(zero)
            self.register_buffer("matrix", whitening(torch.eye(whitening.rank)) - at_zero)
            self.register_buffer("constant", at_zero)

    def forward(self, z: Tensor, present: Tensor | None = None) -> Tensor:
        """Return whitened scores (batch, rank)."""
        return z.float() @ self.matrix + self.constant


def _fix_whitening(module: nn.Module) -> None:
    """Replace every whitening within a module."""
    for name, child in module.named_children():
        if isinstance(child, Whitening) and child.rank:
            module._modules[name] = FixedWhitening(child.eval())
        else:
            _fix_whitening(child)


class Outputs(nn.Module):
    """Module from samples to a flat tuple: joint scores, individual scores, and predicted modalities.

    Parameters
    ----------
    model : DeepJIVE
        The fitted model.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoders = Encoders(model)
        _fix_whitening(self.encoders.network)
        self.with_individual = [name for name in model.shapes_ if model.individual_ranks_[name]]
        several = len(model.shapes_) > 1 and model.joint_rank_ > 0 and not model.needs_all_modalities
        self.predicted = list(model.shapes_) if several else []
        for k, name in enumerate(model.shapes_):
            self.register_buffer(f"offset_{k}", torch.as_tensor(np.asarray(model.offset_[name])))

    def names(self) -> list[str]:
        """Names of the outputs."""
        individual = [f"individual/{name}" for name in self.with_individual]
        return ["joint", *individual, *(f"imputed/{name}" for name in self.predicted)]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs, in single precision, of the samples (n, ...) of each modality."""
        encoders = self.encoders
        scores = encoders(dict(zip(encoders.names, tensors, strict=True)))
        outputs = [scores["joint"], *(scores["individual"][name] for name in self.with_individual)]
        x = encoders.scaled(dict(zip(encoders.names, tensors, strict=True)))
        for name in self.predicted:
            k = encoders.names.index(name)
            joint = encoders.network.joint_scores([None if i == k else x_i for i, x_i in enumerate(x)])
            part = encoders.network.joint_part(k, joint) + getattr(self, f"offset_{k}")
            outputs.append(part * getattr(encoders, f"scale_{k}") + getattr(encoders, f"mean_{k}"))
        return tuple(output.float() for output in outputs)


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
        For another kind of model, another suffix, a model with a transformation or confounds, or if the scores of the
        program differ from the scores of the model.
    """
    if hasattr(model, "cascade_"):
        raise ValueError(OF_SUBSETS)
    _check(model)
    if Path(path).suffix != ".pt2":
        raise ValueError(SUFFIX.format(path=path))
    samples = _random_samples(model)
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


def export_onnx(model: Any, path: str | Path) -> None:
    """Write a fitted DeepJIVE as an ONNX model, after comparing it with the model in ONNX Runtime.

    The inputs are the modalities by name, as float32 arrays (n, ...) in data units. The outputs are float32 arrays:
    ``joint``, ``individual/NAME`` for each modality with individual scores, and ``imputed/NAME``, the prediction of
    each modality from the other modalities (not if the model needs all modalities). Every sample needs all modalities.

    Parameters
    ----------
    model : DeepJIVE
        The fitted model.
    path : path
        Path of the file, which must end in ``.onnx``.

    Raises
    ------
    TypeError, ValueError
        For another kind of model, another suffix, a model with confounds, or if an output differs from the model's.
    deepjive.data.readers.guard.MissingExtraError
        Without onnx, onnxscript and onnxruntime (extra ``onnx``).

    See Also
    --------
    export : A program for torch, with the same scores.
    """
    _check(model)
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(ONNX_SUFFIX.format(path=path))
    for library in ("onnx", "onnxscript"):
        optional(library, "Export to ONNX")
    runtime = optional("onnxruntime", "Export to ONNX")
    samples = _random_samples(model)
    program = Outputs(model).eval().requires_grad_(False)
    n = torch.export.Dim("n", min=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, on its own conversion
        exported = torch.export.export(
            program,
            tuple(torch.from_numpy(array) for array in samples.values()),
            dynamic_shapes=(tuple({0: n} for _ in samples),),
            strict=True,
        )
        converted = torch.onnx.export(
            exported, input_names=list(samples), output_names=program.names(), dynamo=True, verbose=False
        )
    content = converted.model_proto.SerializeToString()  # type: ignore[union-attr]
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for output, values in zip(program.names(), session.run(None, samples), strict=True):
        expected, unit = _expected(model, samples, output)
        difference = float(np.abs(values - expected).max(initial=0.0)) / unit
        if not difference <= TOLERANCE:
            raise ValueError(ONNX_NOT_EQUAL.format(output=output, difference=difference))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def _expected(model: Any, samples: dict[str, np.ndarray], output: str) -> tuple[np.ndarray, float]:
    """Return what the model gives for an output, and the unit of its differences."""
    kind, _, name = output.partition("/")
    if kind == "imputed":
        others = {other: array for other, array in samples.items() if other != name}
        values = model.impute(others, name)
        return values, float(model.scale_[name]) + float(np.abs(values).max(initial=0.0)) * SINGLE
    parts = model.decompose(samples)
    return (parts.joint_scores if kind == "joint" else parts.individual_scores[name]), 1.0


def _check(model: Any) -> None:
    if not hasattr(model, "network_"):
        raise TypeError(NOT_DEEP.format(kind=type(model).__name__))
    for key, what in (("transformations", "transforms modalities"), ("effects", "takes confounds out")):
        if model.adjustment_.get(key):
            raise ValueError(ADJUSTED.format(what=what))


def _random_samples(model: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: (sizes * (model.mean_[name] + model.scale_[name] * rng.normal(size=(5, *shape)))).astype(np.float32)
        for name, shape in model.shapes_.items()
        for sizes in [_sizes(model, name)]
    }
