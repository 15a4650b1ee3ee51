"""DeepJIVE: joint and individual variation by parallel autoencoders.

`fit` reads as the method: scale the data, build the networks, minimize the objective phase by phase, and give the
scores their standard form. Source: DeepJIVE (arXiv 2507.19682), as summarised publicly; what the summary leaves open
is decided in docs/decisions.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor

from deepjive.base import JointIndividualModel, Scores
from deepjive.data.modalities import Modalities
from deepjive.deep.constraints.identity import NEEDS_ALL, NEEDS_ALL_TO_FIT, IdentityName, make_identity
from deepjive.deep.constraints.orthogonality import OrthogonalityName, make_orthogonality
from deepjive.deep.geometry.rank_selection import RankSelection, candidates, select_ranks
from deepjive.deep.model import Network
from deepjive.deep.networks import network_builders
from deepjive.deep.parameters import check_parameters
from deepjive.deep.runtime.distributed import is_first, of_first, processes
from deepjive.deep.runtime.launch import launched
from deepjive.deep.runtime.randomness import own_random_numbers, same_every_time
from deepjive.deep.runtime.threads import threads_for
from deepjive.deep.standardize import Standardizer, standardize
from deepjive.deep.training.batches import Batches, Scaling, rows_at_once, tensors_of
from deepjive.deep.training.checkpoint import Checkpoint, CheckpointError
from deepjive.deep.training.coordinates import narrow, widen
from deepjive.deep.training.objective import ObjectiveName, phases_of
from deepjive.deep.training.phases import train_in_turn
from deepjive.deep.training.progress import progress_of
from deepjive.deep.training.settings import Job, TrainingSettings
from deepjive.deep.training.split import held_out_of, split
from deepjive.packing import is_custom, packed_parameter
from deepjive.progress import progress_bar
from deepjive.validation import check_for_fit, check_overlap, check_ranks

MIN_SAMPLES = 8
CHUNK = 512

BATCH_TOO_LARGE = (
    "batch_size is {given}, but only {n} samples are left for training after {held_out} were held out for validation. "
    "Use batch_size='auto' or at most {n}."
)
NOT_SHARED = (
    "batch_size is {given}, of which {count} processes cannot have equal shares. Use batch_size='auto' or a multiple "
    "of {count}; it is the number of samples in a step of all processes together."
)
TOO_FEW_COMPLETE = (
    "Ranks are found from samples that have every modality, one of each participant, at least {needed}; of {n} samples "
    "only {count} are. Give joint_rank and individual_ranks."
)
OTHER_COORDINATES = (
    "The checkpoint is of a training in which the modalities {kept} were in coordinates, but now {given} would be. "
    "That depends on memory_limit: give the one that training began with, or name another folder to train anew."
)
NOTHING_TO_FIT = (
    "joint_rank and all individual_ranks are 0, so there is nothing to fit. Set at least one above 0. {reason}"
)


class DeepJIVE(JointIndividualModel):
    """Joint and individual variation explained by parallel autoencoders.

    Each modality `x_k` is split into a joint part decoded from scores that all modalities have in common, an
    individual part decoded from scores of its own, and a residual. Data are centred (mean of each feature) and scaled
    (one factor a modality) on the way in; both are undone on the way out, so all parts are in data units.

    Parameters
    ----------
    joint_rank : int or "auto"
        Number of joint scores. 0 leaves the joint part out; "auto" finds it from the data: see
        `deepjive.deep.geometry.rank_selection`.
    individual_ranks : int, dict of str to int, or "auto"
        Number of individual scores, for all modalities or for each. 0 leaves an individual part out.
    identity : {"exchange", "explicit", "merged"}
        How joint scores are made the same in all modalities: see `deepjive.deep.constraints.identity`. "merged" needs
        all modalities of every sample.
    orthogonality : {"closed_form", "regression", "adversary", None}
        How individual scores are kept unpredictable from the joint ones: see `deepjive.deep.constraints.orthogonality`.
    objective : {"joint_first", "published"}
        What is minimized: see `deepjive.deep.training.objective`.
    individual_decoder : {"additive", "conditioned"}
        Whether individual decoders see the individual scores only, or the joint scores too ("style given class").
    identity_weight : float
        Weight of the identity term; only "explicit" has one.
    orthogonality_weight : float
        Weight of the orthogonality penalty, which lies between 0 and 1.
    networks : {"auto", "linear", "dense", "conv"}, pair of callables, or dict of modality names to these
        Networks; a pair (encoder, decoder) of factories of your own is called with (shape, rank).
    dropout : float
        Fraction of hidden units dropped in training.
    weight_decay : float
        Decoupled weight decay of Adam on the nonlinear corrections: it pulls the networks to their linear parts.
    max_epochs : int
        Most passes over the data in each phase; training stops earlier when validation data say so.
    batch_size : int or "auto"
        Samples a step, of all processes together; "auto" takes an eighth of the samples, between 32 and 256.
    learning_rate : float
        Adam's learning rate at the start; linear maps of more than 1000 inputs take proportionally smaller steps.
    validation_fraction : float
        Fraction of the samples held out to stop by, and to size what refinement gives back to the joint part; of whole
        participants where some have several samples (`Modalities.groups`).
    accelerator, devices, num_nodes, strategy
        As of Lightning Fabric: e.g. "cpu", "cuda", "auto"; 1; 1; "auto", "ddp".
    precision : {"32-true", "bf16-mixed", "16-mixed"}
        As of Lightning Fabric: what steps of training compute in. Weights are in single precision always.
    memory_limit : float
        GiB up to which the data are kept on the device; larger data are read from where they are, batch by batch.
        Vectors of at least 2000 features, twice as many as samples, are trained on in coordinates of what the samples
        span if they are kept: see `deepjive.deep.training.coordinates`.
    log : str or None
        Folder where the history is also written for TensorBoard, while training goes on.
    random_state : int, RandomState or None
        Same seed and same device give the same model.
    verbose : int
        1 shows progress, 0 does not.

    Attributes
    ----------
    joint_rank_, individual_ranks_ : int, dict of str to int
        Numbers of scores.
    rank_table_, rank_reason_ : dict of str to list, str
        With "auto": R2 of every number of scores tried, and the choice in words.
    mean_, scale_ : dict of str to array, dict of str to float
        How the data were centred and scaled.
    history_ : dict of str to list
        For each epoch its phase, its loss terms on training and validation data (mean squares of scaled data: 1 is
        the error of predicting the mean), learning rate and seconds.
    interrupted_ : bool
        Whether training was interrupted (Ctrl-C), so that the model is the best until then.
    network_ : deepjive.deep.model.Network
        The trained network.
    n_parameters_ : int
        Number of trained weights.

    Examples
    --------
    >>> import numpy as np
    >>> from deepjive import DeepJIVE, Modalities
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(200, 1))
    >>> data = Modalities({k: z @ rng.normal(size=(1, 20)) + rng.normal(size=(200, 20)) for k in ("a", "b")})
    >>> model = DeepJIVE(joint_rank=1, individual_ranks=0, random_state=0).fit(data)
    >>> bool(abs(np.corrcoef(model.transform(data)[:, 0], z[:, 0])[0, 1]) > 0.9)
    True
    """

    def __init__(
        self,
        joint_rank: int | Literal["auto"] = "auto",
        individual_ranks: int | Mapping[str, int] | Literal["auto"] = "auto",
        *,
        identity: IdentityName = "exchange",
        orthogonality: OrthogonalityName | None = "closed_form",
        objective: ObjectiveName = "joint_first",
        individual_decoder: Literal["additive", "conditioned"] = "additive",
        identity_weight: float = 1.0,
        orthogonality_weight: float = 0.1,
        networks: Any = "auto",
        dropout: float = 0.0,
        weight_decay: float = 0.1,
        max_epochs: int = 500,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 3e-3,
        validation_fraction: float = 0.1,
        accelerator: str = "cpu",
        devices: int | str = 1,
        num_nodes: int = 1,
        strategy: str = "auto",
        precision: str = "32-true",
        memory_limit: float = 4.0,
        log: str | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.joint_rank = joint_rank
        self.individual_ranks = individual_ranks
        self.identity = identity
        self.orthogonality = orthogonality
        self.objective = objective
        self.individual_decoder = individual_decoder
        self.identity_weight = identity_weight
        self.orthogonality_weight = orthogonality_weight
        self.networks = networks
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.accelerator = accelerator
        self.devices = devices
        self.num_nodes = num_nodes
        self.strategy = strategy
        self.precision = precision
        self.memory_limit = memory_limit
        self.log = log
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, *, resume: str | Path | None = None) -> Self:
        """Fit to Modalities.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            The data, at least two modalities.
        y : ignored
            For scikit-learn's pipelines.
        resume : path, optional
            Folder of a checkpoint. What was kept there, of the same data and parameters, is gone on from, to the same
            weights as if training had never been cut off; and the state of training is kept there, every minute.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For data or parameters that make no sense; the error says which and what to do.
        deepjive.deep.training.training.TrainingError
            If the loss stops being finite.
        deepjive.deep.training.checkpoint.CheckpointError
            If the checkpoint is damaged, or of other data or parameters.
        """
        parameters = self.get_params(deep=False)
        check_parameters(parameters)
        data = self._checked_for_fit(X)
        fabric = launched(self.accelerator, self.devices, self.num_nodes, self.strategy, self.precision, self.log)
        held_out_of(len(data), self.validation_fraction)  # so that an error comes before ranks are searched
        checkpoint = None if resume is None else Checkpoint(resume, parameters, data)
        try:
            self._fit(data, fabric, checkpoint)
        except Exception as error:
            if checkpoint is not None and not isinstance(error, CheckpointError):
                error.add_note(checkpoint.last())
            raise
        self.network_.cpu()
        self.standardizers_.cpu()
        return self

    def describe(self) -> str:
        """The networks of each modality, in words: layers, and numbers of weights."""
        lines = [f"{self.identity} identity, {self.n_parameters_:,} weights"]
        for name, joint, individual in zip(
            self.shapes_, self.network_.joint_encoders, self.network_.individual_encoders, strict=True
        ):
            lines += [
                f"{name} {self.shapes_[name]}",
                f"  joint encoder: {joint}",
                f"  individual encoder: {individual}",
            ]
        return "\n".join(lines)

    def select_ranks(self, X: Any) -> RankSelection:
        """Choose those of `joint_rank` and `individual_ranks` that are "auto", without fitting the model itself.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            The data, at least two modalities.

        Returns
        -------
        deepjive.deep.geometry.rank_selection.RankSelection
            The ranks, what every number of scores predicted of held-out samples, and the choice in words.
        """
        data = self._checked_for_fit(X)
        joint_rank, individual_ranks = check_ranks(data, self.joint_rank, self.individual_ranks)
        found = len(candidates(data, np.random.default_rng(0)))
        if found < MIN_SAMPLES:
            raise ValueError(TOO_FEW_COMPLETE.format(needed=MIN_SAMPLES, n=len(data), count=found))
        with progress_bar(bool(self.verbose)) as progress:
            return select_ranks(
                data,
                joint_rank=joint_rank,
                individual_ranks=individual_ranks,
                seed=_seed(self.random_state),
                progress=progress,
            )

    def _checked_for_fit(self, X: Any) -> Modalities:
        data = check_for_fit(X, "DeepJIVE", min_samples=MIN_SAMPLES, allow_missing=True)
        lacking = int((~data.present.all(axis=1)).sum())
        if lacking and self.identity == "merged":
            raise ValueError(NEEDS_ALL_TO_FIT.format(count=lacking, n=len(data)))
        if lacking and self.joint_rank != 0:
            check_overlap(data, MIN_SAMPLES)
        return data

    def _fit(self, data: Modalities, fabric: Any, checkpoint: Checkpoint | None) -> None:
        saved = None if checkpoint is None else checkpoint.read()
        begun = self._begun(data) if saved is None else saved["begun"]
        self.rank_table_, self.rank_reason_ = begun["rank_table"], begun["rank_reason"]
        scaling = Scaling(begun["mean"], begun["scale"])
        with own_random_numbers(begun["seed"], fabric.device), same_every_time(), threads_for(data.shapes):
            self._set_up(data.shapes, scaling, begun["joint_rank"], begun["individual_ranks"])
            self._keep_names(data)
            self._train(data, scaling, fabric, begun, checkpoint, saved)
        self.joint_rank_ = begun["joint_rank"]

    def _begun(self, data: Modalities) -> dict[str, Any]:
        """What is settled before training: seed, ranks, scaling; the same in all processes."""
        begun = of_first(lambda: {"seed": _seed(self.random_state), **self._ranks(data)})
        if begun["joint_rank"] == 0 and not any(begun["individual_ranks"].values()):
            raise ValueError(NOTHING_TO_FIT.format(reason=begun["rank_reason"]))
        scaling = Scaling.of(data)
        return {**begun, "mean": scaling.mean, "scale": scaling.scale}

    def _ranks(self, data: Modalities) -> dict[str, Any]:
        joint_rank, individual_ranks = check_ranks(data, self.joint_rank, self.individual_ranks)
        table, reason = {}, "Ranks were given."
        if joint_rank is None or individual_ranks is None:
            chosen = self.select_ranks(data)
            joint_rank, individual_ranks = chosen.joint_rank, chosen.individual_ranks
            table, reason = chosen.table(), chosen.reason()
        ranks = {name: int(rank) for name, rank in individual_ranks.items()}
        return {"joint_rank": int(joint_rank), "individual_ranks": ranks, "rank_table": table, "rank_reason": reason}

    def _set_up(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        scaling: Scaling,
        joint_rank: int,
        individual_ranks: Mapping[str, int],
    ) -> None:
        """Everything learned, in its state before training; without `joint_rank_`, which says that there is a model."""
        self.__dict__.pop("joint_rank_", None)
        self.shapes_ = {name: tuple(shape) for name, shape in shapes.items()}
        self.mean_, self.scale_ = scaling.mean, scaling.scale
        self.individual_ranks_ = {name: int(individual_ranks[name]) for name in shapes}
        ranks = list(self.individual_ranks_.values())
        whiten = self.objective == "joint_first"
        self.network_ = Network(
            list(network_builders(self.shapes_, self.networks, self.dropout).values()),
            joint_rank,
            ranks,
            make_identity(self.identity, len(shapes), joint_rank, whiten),
            make_orthogonality(self.orthogonality, joint_rank, ranks),
            self.individual_decoder == "conditioned",
        )
        self.standardizers_ = torch.nn.ModuleList(Standardizer(rank) for rank in (joint_rank, *ranks)).double()
        self.offset_ = {name: np.zeros(shape, dtype=np.float32) for name, shape in self.shapes_.items()}
        self.n_parameters_ = sum(weight.numel() for weight in self.network_.parameters() if weight.requires_grad)

    def _train(
        self,
        data: Modalities,
        scaling: Scaling,
        fabric: Any,
        begun: dict[str, Any],
        checkpoint: Checkpoint | None,
        saved: dict[str, Any] | None,
    ) -> None:
        generator = torch.Generator().manual_seed(begun["seed"])
        batches = Batches(data, scaling, fabric.device, self.memory_limit)
        held_out = held_out_of(len(data), self.validation_fraction)
        train_rows, validation_rows = split(data, held_out, generator)
        settings = self._settings(len(train_rows), len(validation_rows))
        coordinates = batches.coordinates(self.network_)
        if begun.setdefault("coordinates", names := [data.names[k] for k in coordinates]) != names:
            raise CheckpointError(OTHER_COORDINATES.format(kept=begun["coordinates"], given=names))
        narrow(self.network_, coordinates)
        narrowed = batches.in_coordinates(coordinates)
        phases = phases_of(self.objective, self.network_, self.identity_weight, self.orthogonality_weight)
        job = Job(narrowed, train_rows, validation_rows, fabric, settings, generator, data.names)
        names = [phase.name for phase in phases]
        with progress_of(self.verbose * is_first(), names, self.max_epochs) as on_epoch, threads_for(narrowed.shapes):
            self.history_, self.interrupted_ = train_in_turn(phases, job, on_epoch, checkpoint, begun, saved)
        widen(self.network_)
        offsets = standardize(self.network_, self.standardizers_, batches, train_rows, batches.at_once(CHUNK))
        self.offset_ = {name: offset.cpu().numpy() for name, offset in zip(data.names, offsets, strict=True)}

    def _settings(self, n: int, held_out: int) -> TrainingSettings:
        batch_size = min(n, max(32, min(256, n // 8))) if self.batch_size == "auto" else int(self.batch_size)
        if batch_size > n:
            raise ValueError(BATCH_TOO_LARGE.format(given=batch_size, n=n, held_out=held_out))
        if self.batch_size == "auto":
            batch_size -= batch_size % processes()
        elif batch_size % processes():
            raise ValueError(NOT_SHARED.format(given=batch_size, count=processes()))
        half = self.precision.startswith("16")
        return TrainingSettings(self.max_epochs, batch_size, self.learning_rate, self.weight_decay, half_precision=half)

    @torch.no_grad()
    def _scores(self, data: Modalities) -> Scores:
        missing = [name for name in self.shapes_ if name not in data]
        if self.identity == "merged" and missing:
            raise ValueError(NEEDS_ALL.format(missing=missing))
        step = rows_at_once(self.shapes_, CHUNK)
        pieces = [self._scores_of_rows(data, slice(start, start + step)) for start in range(0, len(data), step)]
        if not pieces:
            pieces = [(np.zeros((0, self.joint_rank_)), {n: np.zeros((0, self.individual_ranks_[n])) for n in data})]
        joint = np.concatenate([piece[0] for piece in pieces])
        return Scores(joint, {name: np.concatenate([piece[1][name] for piece in pieces]) for name in data.names})

    def _scores_of_rows(self, data: Modalities, rows: slice) -> tuple[NDArray, dict[str, NDArray]]:
        x = tensors_of(data, Scaling(self.mean_, self.scale_), rows, self.shapes_)
        joint = self.network_.joint_scores(x)
        individual = self.network_.individual_scores(x, joint)
        scores = {
            name: self._standardizer(1 + k)(z.double()).numpy()
            for k, (name, z) in enumerate(zip(self.shapes_, individual, strict=True))
            if z is not None
        }
        return self._standardizer(0)(joint.double()).numpy(), scores

    @torch.no_grad()
    def _render(
        self, part: Literal["joint", "individual"], name: str, joint_scores: NDArray, individual_scores: NDArray
    ) -> NDArray:
        k = list(self.shapes_).index(name)
        joint = self._standardizer(0).inverse(_tensor(joint_scores)).float()
        offset = torch.from_numpy(self.offset_[name])
        if part == "joint":
            scaled = self.network_.joint_part(k, joint) + offset
            return scaled.numpy() * self.scale_[name] + self.mean_[name]
        individual = self._standardizer(1 + k).inverse(_tensor(individual_scores)).float()
        return (self.network_.individual_part(k, individual, joint) - offset).numpy() * self.scale_[name]

    def _standardizer(self, number: int) -> Standardizer:
        """Of the joint scores (0), or of modality k's individual scores (1 + k)."""
        return cast(Standardizer, self.standardizers_[number])

    def _learned(self) -> dict[str, Any]:
        learned = super()._learned()
        for key in ("network_", "standardizers_"):
            learned[key] = {name: tensor.numpy() for name, tensor in learned[key].state_dict().items()}
        return learned

    def _restore(self, learned: dict[str, Any]) -> None:
        learned = dict(learned)
        states = {key: learned.pop(key) for key in ("network_", "standardizers_")}
        scaling = Scaling(learned["mean_"], learned["scale_"])
        own = is_custom(packed_parameter(self.networks, "networks", {}))
        # Without memory for weights until the file turns out to hold them: a config may claim networks of any size.
        with torch.random.fork_rng(devices=[]), torch.device("cpu" if own else "meta"):
            self._set_up(learned["shapes_"], scaling, learned["joint_rank_"], learned["individual_ranks_"])
        for key, state in states.items():
            module = getattr(self, key)
            types = {name: tensor.dtype for name, tensor in module.state_dict().items()}
            tensors = {name: torch.from_numpy(array.copy()).to(types.get(name)) for name, array in state.items()}
            module.load_state_dict(tensors, assign=not own)
            module.eval()
        super()._restore(learned)


def _tensor(scores: NDArray) -> Tensor:
    """A copy of scores, as torch takes neither arrays that run backwards nor those that cannot be written to."""
    return torch.from_numpy(np.array(scores, dtype=np.float64, order="C"))


def _seed(random_state: Any) -> int:
    return int(check_random_state(random_state).randint(2**31 - 1))
