"""DeepJIVE: joint and individual variation by parallel autoencoders.

`fit` follows the method: scale the data, build the networks, minimize the objective phase by phase, and standardize
the scores. Source: DeepJIVE (arXiv 2507.19682), as summarised publicly. docs/decisions.md records the decisions that
the summary leaves open.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from deepjive.adjust.units import Scale, Transformations, has_equal_weights
from deepjive.base import JointIndividualModel, Scores
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.deep.cascade import Cascade, histories
from deepjive.deep.choices import IdentityName, IndividualDecoderName, ObjectiveName, OrthogonalityName
from deepjive.deep.constraints.identity import NEEDS_ALL, NEEDS_ALL_TO_FIT, make_identity
from deepjive.deep.constraints.orthogonality import make_orthogonality
from deepjive.deep.diagnostics import findings_of_history, training_in_words
from deepjive.deep.geometry.nonlinearity import NonlinearGain
from deepjive.deep.geometry.rank_selection import RankSelection, select_ranks
from deepjive.deep.geometry.start import Start
from deepjive.deep.geometry.subset_ranks import linear_parts, select_subset_ranks
from deepjive.deep.model import Network
from deepjive.deep.networks import NetworkChoice, automatic_kind, network_builders
from deepjive.deep.parameters import check_parameters, weight_of
from deepjive.deep.runtime.distributed import is_first, of_first, processes
from deepjive.deep.runtime.launch import launched
from deepjive.deep.runtime.randomness import own_random_numbers, same_every_time
from deepjive.deep.runtime.settings import Runtime, checked_runtime
from deepjive.deep.runtime.threads import threads_for
from deepjive.deep.standardize import Standardizer, score_samples, standardize
from deepjive.deep.training.batches import Batches, Scaling, fits_in_memory, rows_at_once, tensors_of
from deepjive.deep.training.checkpoint import Checkpoint, CheckpointError
from deepjive.deep.training.coordinates import narrow, widen
from deepjive.deep.training.first_pass import FirstPass
from deepjive.deep.training.gain import gain_of_network
from deepjive.deep.training.objective import Phase, phases_of
from deepjive.deep.training.phases import train_in_turn
from deepjive.deep.training.plan import Plan
from deepjive.deep.training.settings import Job, TrainingSettings
from deepjive.deep.training.split import held_out_of, split
from deepjive.packing import is_custom, packed_parameter
from deepjive.persistence import check_learned, count_numbers
from deepjive.progress import progress_bar
from deepjive.results import Finding
from deepjive.subsets import Subset, checked_subsets, warn_of_empty
from deepjive.threads import one_thread_if_small
from deepjive.validation import check_for_fit, check_overlap, check_ranks

MIN_SAMPLES = 8
CLEARLY = 2.0  # standard errors by which trained networks must improve on their linear start
CHUNK = 512
ROWS = 4096  # samples of a model of subsets that are scored at once
MOST_RESIDUAL, LEAST_JOINT = 2.0, -1.0  # fractions of variance; the mean alone has 1 and 0

BATCH_TOO_LARGE = (
    "batch_size is {given}, but only {n} samples are left for training after {held_out} were held out for validation. "
    "Use batch_size='auto' or at most {n}."
)
NOT_DIVISIBLE = (
    "batch_size is {given}, which {count} processes cannot share equally. Use batch_size='auto' or a multiple of "
    "{count}; batch_size counts the samples of one step in all processes together."
)
TOO_FEW_COMPLETE = (
    "Choosing ranks needs at least {needed} samples that have every modality, counting one sample of each participant, "
    "but only {count} of the {n} samples are of that kind. Give joint_rank and individual_ranks."
)
OTHER_COORDINATES = (
    "The checkpoint is of a training in which the modalities {saved} were in coordinates, but now {given} would be. "
    "The choice depends on memory_limit of Runtime: use the memory_limit that training began with, or name another "
    "folder to train anew."
)
USELESS_PARTS = (
    "The parts do not describe the fitted samples: of a modality's variance, {shown}. Look for samples with extreme "
    "values, which dominate the training (deepjive.evaluation.sample_fit), or raise max_epochs (--max-epochs)."
)
NOTHING_TO_FIT = (
    "joint_rank and all individual_ranks are 0, so there is nothing to fit. Set at least one above 0. {reason}"
)


class DeepJIVE(JointIndividualModel):
    """Joint and individual variation explained by parallel autoencoders.

    Each modality `x_k` is split into a joint part, an individual part and a residual. The joint part is decoded from
    scores that all modalities share. The individual part is decoded from scores of that modality alone. The networks
    see centred data (mean of each feature) scaled by one factor per modality, after `transformation` and `scale`.

    Parameters
    ----------
    joint_rank : int or "auto", default="auto"
        Number of joint scores. 0 leaves the joint part out. "auto" chooses the number from the data: see
        `deepjive.deep.geometry.rank_selection`.
    individual_ranks : int, dict of str to int, or "auto", default="auto"
        Number of individual scores, for all modalities or for each. 0 leaves an individual part out.
    subsets : None, "auto", list of tuple of str, or dict of tuple of str to int, default=None
        Subsets of three or more modalities that have variation of their own. "auto" tries all subsets of at most five
        modalities, and a dict gives ranks. One model is trained for each subset with scores, on data in memory: see
        ``deepjive.deep.cascade``.
    identity : {"exchange", "explicit", "merged"}, default="exchange"
        How the joint scores of all modalities are made equal: see `deepjive.deep.constraints.identity`. "merged" needs
        all modalities of every sample.
    orthogonality : {"closed_form", "regression", "adversary", None}, default="closed_form"
        How individual scores are kept unpredictable from the joint scores: see
        `deepjive.deep.constraints.orthogonality`.
    objective : {"joint_first", "published"}, default="joint_first"
        The loss that is minimized: see `deepjive.deep.training.objective`.
    individual_decoder : {"additive", "conditioned"}, default="additive"
        Input of the individual decoders: the individual scores only, or the joint scores as well ("style given
        class").
    identity_weight : float, default=1.0
        Weight of the identity term. Only "explicit" has an identity term.
    orthogonality_weight : float or "auto", default="auto"
        Weight of the orthogonality penalty, which lies between 0 and 1. "auto" is 0.1 for "closed_form" and
        "regression", and 5.0 for "adversary".
    transformation : str, dict of str to str, or None, default=None
        As in `deepjive.AJIVE`.
    scale : {"modality", "features", "robust"}, dict of str to these, or None, default="modality"
        Scale of the data; see `deepjive.adjust.units`. "features" divides each feature by its standard deviation, and
        "robust" by its interquartile range. Modalities have the same weight, unless `scale` is None.
    networks : {"auto", "linear", "dense", "conv"}, pair of callables, or dict of str to these, default="auto"
        Architecture of the networks, for all modalities or for each. "auto" is "dense" for vectors and for fewer than
        1000 volumes in memory, and "conv" for other volumes, images and signals with channels. A custom pair of
        factories (encoder, decoder) is called with (shape, rank).
    dropout : float, default=0.0
        Fraction of hidden units that are dropped in training.
    weight_decay : float, default=0.1
        Decoupled weight decay of Adam on the nonlinear corrections. It pulls the networks towards their linear parts.
    max_epochs : int, default=500
        Largest number of epochs of each phase. Training stops earlier if the validation error no longer falls.
    batch_size : int or "auto", default="auto"
        Samples of one step, in all processes together. "auto" is an eighth of the training samples, at least 32 and at
        most 256.
    learning_rate : float, default=0.003
        Learning rate of Adam at the start. Linear maps with more than 1000 inputs have a proportionally smaller rate.
    validation_fraction : float, default=0.1
        Fraction of the samples that are held out for validation. They decide when training stops, and how much
        variation the refinement phase gives back to the joint part. Participants with several samples
        (`Modalities.groups`) are held out as a whole.
    device : str, default="cpu"
        Kind of device for training: "cpu", "cuda", "mps", "auto", or a single device such as "cuda:1". The fitted model
        is on the CPU.
    runtime : Runtime or None, default=None
        Settings of the machine: number of devices and machines, precision, memory limit, TensorBoard log. None takes
        the defaults of `deepjive.Runtime`.
    random_state : int, RandomState or None, default=None
        Seed. Equal seeds on equal devices give the same model.
    verbose : int, default=0
        1 shows progress, 0 does not.

    Attributes
    ----------
    joint_rank_, individual_ranks_ : int, dict of str to int
        Numbers of scores.
    joint_scores_ : array, shape (n_samples, joint_rank)
        Joint scores of the fitted samples, as `transform` gives them up to rounding.
    individual_scores_ : dict of str to array, shape (n_samples, individual_rank)
        Individual scores of the fitted samples; NaN where a sample lacks the modality.
    subset_ranks_ : dict of tuple of str to int
        With `subsets`: number of scores of each subset, that of all modalities among them.
    variance_explained_ : dict of str to dict
        For each modality the fractions "joint", "individual" and "residual" of the variance of the fitted samples: see
        `deepjive.Decomposition`.
    rank_table_, rank_reason_ : dict of str to list, str
        For automatic ranks: the R2 of each number of scores that was tried, and the choice in words.
    orthogonality_weight_ : float
        Weight of the orthogonality penalty that was used.
    mean_, scale_ : dict of str to array, dict of str to float
        Mean of each feature and scale of each modality, in the units of `adjust`.
    nonlinear_gain_ : NonlinearGain or None
        Held-out variance that nonlinear networks add to linear joint scores, with its standard error. If the networks
        were trained (`trained`), it is measured on the validation samples; otherwise it is that of a kernel regression,
        which was too small for training to pay, and the networks stayed linear. None without joint scores, for fewer
        than 150 samples, and for convolutions before they are trained.
    history_ : dict of str to list
        For each epoch its phase, its loss terms on training and validation data (mean squares of scaled data: 1 is
        the error of predicting the mean), whether its validation error is the lowest so far, learning rate and seconds.
    interrupted_ : bool
        Whether Ctrl-C ended training. The model then has the best weights until that moment.
    network_ : deepjive.deep.model.Network
        The trained network.
    networks_ : dict of str to {"linear", "dense", "conv", "custom"}
        Kind of the networks of each modality; for "auto", what was chosen.
    n_parameters_ : int
        Number of trained weights.

    See Also
    --------
    deepjive.AJIVE : The linear counterpart.
    deepjive.SeparateAutoencoders : The baseline without a joint part.
    deepjive.Runtime : Settings of the machine.

    References
    ----------
    DeepJIVE: arXiv 2507.19682 (2025).

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

    network_: Network
    standardizers_: torch.nn.ModuleList

    def __init__(
        self,
        *,
        joint_rank: int | Literal["auto"] = "auto",
        individual_ranks: int | Mapping[str, int] | Literal["auto"] = "auto",
        subsets: Any = None,
        identity: IdentityName = "exchange",
        orthogonality: OrthogonalityName | None = "closed_form",
        objective: ObjectiveName = "joint_first",
        individual_decoder: IndividualDecoderName = "additive",
        identity_weight: float = 1.0,
        orthogonality_weight: float | Literal["auto"] = "auto",
        transformation: Transformations = None,
        scale: Scale = "modality",
        networks: NetworkChoice | Mapping[str, NetworkChoice] = "auto",
        dropout: float = 0.0,
        weight_decay: float = 0.1,
        max_epochs: int = 500,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: float = 3e-3,
        validation_fraction: float = 0.1,
        device: str = "cpu",
        runtime: Runtime | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.joint_rank = joint_rank
        self.individual_ranks = individual_ranks
        self.subsets = subsets
        self.identity = identity
        self.orthogonality = orthogonality
        self.objective = objective
        self.individual_decoder = individual_decoder
        self.identity_weight = identity_weight
        self.orthogonality_weight = orthogonality_weight
        self.transformation = transformation
        self.scale = scale
        self.networks = networks
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation_fraction = validation_fraction
        self.device = device
        self.runtime = runtime
        self.random_state = random_state
        self.verbose = verbose

    @property
    def needs_all_modalities(self) -> bool:
        """Whether joint scores of a sample can be computed only if the sample has every modality."""
        return self.identity == "merged"

    @property
    def is_stochastic(self) -> bool:
        """True, because two seeds give two different models of the same ranks."""
        return True

    def fit(self, X: Any, y: Any = None, *, resume: str | Path | None = None) -> Self:
        """Fit the model to Modalities.

        Data that are read from disk are read once before the first epoch.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            The data, with at least two modalities.
        y : ignored
            For scikit-learn's pipelines.
        resume : path, default=None
            Folder of a checkpoint. The state of training is written there every minute. If the folder holds a
            checkpoint of the same data and parameters, training continues from it, to the same weights as without the
            interruption. Not used if subsets have scores of their own: their models are trained anew.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If data or parameters are not allowed. The error names the argument and what to do.
        deepjive.deep.training.training.TrainingError
            If the loss stops being finite.
        deepjive.deep.training.checkpoint.CheckpointError
            If the checkpoint is damaged, or belongs to other data or parameters.
        """
        parameters = self.get_params(deep=False)
        check_parameters(parameters)
        runtime = checked_runtime(self.runtime)
        for earlier in {"cascade_", "subset_ranks_"} & set(vars(self)):
            delattr(self, earlier)
        if self.subsets is not None and self._fit_subsets(as_modalities(X)):
            return self
        data = self._learn_adjustment(as_modalities(X))
        first_pass = FirstPass(data, runtime.memory_limit)
        data = self._checked_for_fit(data, first_pass)
        fabric = launched(self.device, runtime)
        held_out_of(len(data), self.validation_fraction)  # so that an error comes before ranks are chosen
        checkpoint = None if resume is None else Checkpoint(resume, parameters, first_pass.data)
        try:
            self._fit(data, first_pass, fabric, checkpoint)
        except Exception as error:
            if checkpoint is not None and not isinstance(error, CheckpointError):
                error.add_note(checkpoint.last())
            raise
        self.network_.cpu()
        self.standardizers_.cpu()
        self._is_fitted = True
        if self.subsets is not None:
            self.subset_ranks_ = dict.fromkeys(checked_subsets(self.subsets, data.names), 0)
            self.subset_ranks_ = {data.names: self.joint_rank_, **self.subset_ranks_}
        return self

    def describe(self) -> str:
        """Return the networks of each modality in words: their layers, and the number of weights."""
        if hasattr(self, "cascade_"):
            return "\n".join(f"[{name}]\n{model.describe()}" for name, model in self.cascade_.models.items())
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

    def report_facts(self) -> dict[str, Any]:
        return {
            "history": self.history_,
            "training": training_in_words(self.history_, self.nonlinear_gain_),
            "rank_table": self.rank_table_ or None,
            "networks": self.describe(),
        }

    def diagnostics(self) -> list[Finding]:
        """Return the known failures that the history of training shows; none of the data is needed.

        Returns
        -------
        list of deepjive.results.Finding
            Divergence of a phase, overfitting, and a gap between training and validation error.

        See Also
        --------
        deepjive.evaluation.diagnose : All diagnostics, including those that need samples.
        """
        check_is_fitted(self)
        return findings_of_history(self.history_)

    def select_ranks(self, X: Any) -> RankSelection:
        """Choose the ranks that are "auto" from data, without fitting the model.

        Parameters
        ----------
        X : Modalities, mapping or sequence
            The data, with at least two modalities.

        Returns
        -------
        deepjive.deep.geometry.rank_selection.RankSelection
            The ranks, the held-out R2 of each number of scores, and the choice in words.

        Raises
        ------
        ValueError
            If too few samples have every modality.
        """
        data = as_modalities(X)
        adjustment = self._new_adjustment(data)
        data = data.adjusted_to({}) if adjustment is None else adjustment.of(data)
        return self._selected_ranks(self._checked_for_fit(data))

    def _checked_for_fit(self, X: Any, first_pass: FirstPass | None = None) -> Modalities:
        visit = None if first_pass is None else first_pass.add
        data = check_for_fit(X, "DeepJIVE", min_samples=MIN_SAMPLES, allow_missing=True, visit=visit)
        n_incomplete = int((~data.present.all(axis=1)).sum())
        if n_incomplete and self.needs_all_modalities:
            raise ValueError(NEEDS_ALL_TO_FIT.format(count=n_incomplete, n=len(data)))
        if n_incomplete and self.joint_rank != 0:
            check_overlap(data, MIN_SAMPLES)
        return data

    def _fit_subsets(self, data: Modalities) -> bool:
        """Fit a model of subsets; whether a subset of some modalities has scores, so that the model is set."""
        subsets = checked_subsets(self.subsets, data.names)
        data = self._checked_for_fit(self._learn_adjustment(data))
        held_out_of(len(data), self.validation_fraction)
        joint_rank, individual_ranks = check_ranks(data, self.joint_rank, self.individual_ranks)
        seed = _seed(self.random_state)
        with progress_bar(bool(self.verbose)) as progress, one_thread_if_small(len(data), data.shapes):
            chosen = select_subset_ranks(
                data,
                subsets,
                joint_rank=joint_rank,
                individual_ranks=individual_ranks,
                seed=seed,
                progress=progress,
            )
        warn_of_empty(self.subsets, chosen.subset_ranks, chosen.nothing_common)
        if not any(chosen.subset_ranks[subset] for subset in subsets):
            return False
        self.shapes_ = data.shapes
        self._keep_names(data)
        present = dict(zip(data.names, data.present.T, strict=True))
        self.mean_ = {name: np.asarray(data[name])[present[name]].mean(axis=0, dtype=np.float64) for name in data.names}
        centred = self._centred(data)

        def make(names: Sequence[str], joint: int, individual: Mapping[str, int] | int) -> DeepJIVE:
            networks = self.networks
            if isinstance(networks, Mapping):
                networks = {name: networks[name] for name in names if name in networks}
            ranks = {"joint_rank": joint, "individual_ranks": individual}
            model: DeepJIVE = clone(self).set_params(subsets=None, networks=networks, random_state=seed, **ranks)
            return model

        linear = linear_parts(centred, chosen.subset_ranks, seed)
        cascade = Cascade().fit(centred, chosen.subset_ranks, chosen.individual_ranks, linear, make)
        self._take(cascade, chosen.subset_ranks, chosen.individual_ranks)
        self.rank_table_, self.rank_reason_ = chosen.selection.table(), chosen.reason()
        fitted = self._scores_by_pattern(data)
        self.joint_scores_, self.individual_scores_ = fitted.joint[:, : self.joint_rank_], fitted.individual
        self.variance_explained_ = self.decompose(data).variance_explained
        return True

    def _take(self, cascade: Cascade, ranks: Mapping[Subset, int], individual_ranks: Mapping[str, int]) -> None:
        """Set the attributes that follow from a fitted model of subsets."""
        models = cascade.models.values()
        self.cascade_, self.subset_ranks_ = cascade, dict(ranks)
        self.joint_rank_, self.individual_ranks_ = ranks[tuple(self.shapes_)], dict(individual_ranks)
        self.orthogonality_weight_ = weight_of(self.orthogonality, self.orthogonality_weight)
        self.history_ = histories(cascade.models)
        self.interrupted_ = any(model.interrupted_ for model in models)
        self.n_parameters_ = sum(model.n_parameters_ for model in models)
        self.nonlinear_gain_ = next((model.nonlinear_gain_ for model in models if model.joint_rank_), None)
        self._is_fitted = True

    def _centred(self, data: Modalities) -> Modalities:
        """Samples in memory without the mean; 0 for modalities that samples lack."""
        arrays = {}
        for column, name in enumerate(data.names):
            arrays[name] = np.asarray(data[name][:], dtype=np.float64) - self.mean_[name]
            arrays[name][~data.present[:, column]] = 0.0
        return data.adjusted_to(arrays)

    def _cascade_scores(self, data: Modalities) -> Scores:
        pieces = [
            self.cascade_.scores(self._centred(data[rows]))
            for rows in np.array_split(np.arange(len(data)), max(1, -(-len(data) // ROWS)))
        ]
        individual = {name: np.concatenate([piece.individual[name] for piece in pieces]) for name in data.names}
        return Scores(np.concatenate([piece.joint for piece in pieces]), individual)

    def _selected_ranks(self, data: Modalities) -> RankSelection:
        joint_rank, individual_ranks = check_ranks(data, self.joint_rank, self.individual_ranks)
        complete = data.present.all(axis=1)
        n_complete = int(complete.sum()) if data.groups is None else len(np.unique(data.groups[complete]))
        if n_complete < MIN_SAMPLES:
            raise ValueError(TOO_FEW_COMPLETE.format(needed=MIN_SAMPLES, n=len(data), count=n_complete))
        with progress_bar(bool(self.verbose)) as progress, one_thread_if_small(len(data), data.shapes):
            return select_ranks(
                data,
                joint_rank=joint_rank,
                individual_ranks=individual_ranks,
                seed=_seed(self.random_state),
                progress=progress,
            )

    def _fit(self, data: Modalities, first_pass: FirstPass, fabric: Any, checkpoint: Checkpoint | None) -> None:
        saved = None if checkpoint is None else checkpoint.read()
        plan = self._plan(first_pass) if saved is None else Plan.from_dict(saved["begun"])
        scaling = Scaling(plan.mean, plan.scale)
        self.rank_table_, self.rank_reason_ = plan.rank_table, plan.rank_reason
        with own_random_numbers(plan.seed, fabric.device), same_every_time(), threads_for(data.shapes):
            self._set_up(data.shapes, scaling, plan.joint_rank, plan.individual_ranks, plan.networks)
            self._keep_names(data)
            memory_limit = checked_runtime(self.runtime).memory_limit
            batches = Batches(data, scaling, fabric.device, memory_limit, first_pass.data)
            first_pass.release()
            train_rows = self._train(batches, fabric, plan, checkpoint, saved)
            self._standardize(batches, train_rows)
            self._warn_of_useless_parts()

    def _plan(self, first_pass: FirstPass) -> Plan:
        """Seed, ranks and scaling, the same in all processes."""
        choices = of_first(lambda: {"seed": _seed(self.random_state), **self._ranks(first_pass.data)})
        if choices["joint_rank"] == 0 and not any(choices["individual_ranks"].values()):
            raise ValueError(NOTHING_TO_FIT.format(reason=" ".join(choices["rank_reason"].split())))
        scaling = first_pass.scaling()
        scaling = scaling if has_equal_weights(self.scale) else scaling.of_common_size()
        data, memory_limit = first_pass.data, checked_runtime(self.runtime).memory_limit
        in_memory = fits_in_memory(data, memory_limit)
        networks = {name: automatic_kind(shape, len(data), in_memory) for name, shape in data.shapes.items()}
        return Plan(**choices, mean=scaling.mean, scale=scaling.scale, networks=networks)

    def _ranks(self, data: Modalities) -> dict[str, Any]:
        joint_rank, individual_ranks = check_ranks(data, self.joint_rank, self.individual_ranks)
        table, reason = {}, "Ranks were given."
        if joint_rank is None or individual_ranks is None:
            selection = self._selected_ranks(data)
            joint_rank, individual_ranks = selection.joint_rank, selection.individual_ranks
            table, reason = selection.table(), selection.reason()
        ranks = {name: int(rank) for name, rank in individual_ranks.items()}
        return {"joint_rank": int(joint_rank), "individual_ranks": ranks, "rank_table": table, "rank_reason": reason}

    def _set_up(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        scaling: Scaling,
        joint_rank: int,
        individual_ranks: Mapping[str, int],
        automatic: Mapping[str, Any] | None = None,
    ) -> None:
        """Set all learned attributes to their state before training; the model does not count as fitted yet."""
        self._is_fitted = False
        self.shapes_ = {name: tuple(shape) for name, shape in shapes.items()}
        self.mean_, self.scale_ = scaling.mean, scaling.scale
        self.joint_rank_ = joint_rank
        self.individual_ranks_ = {name: int(individual_ranks[name]) for name in shapes}
        self.orthogonality_weight_ = weight_of(self.orthogonality, self.orthogonality_weight)
        ranks = list(self.individual_ranks_.values())
        whiten = self.objective == "joint_first"
        builders = network_builders(self.shapes_, self.networks, self.dropout, automatic)
        self.networks_ = {name: builder.kind for name, builder in builders.items()}
        self.network_ = Network(
            list(builders.values()),
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
        self, batches: Batches, fabric: Any, plan: Plan, checkpoint: Checkpoint | None, saved: dict[str, Any] | None
    ) -> Tensor:
        """Minimize the objective; returns the rows that were trained on."""
        data = batches.data
        generator = torch.Generator().manual_seed(plan.seed)
        train_rows, validation_rows = split(data, held_out_of(len(data), self.validation_fraction), generator)
        settings = self._settings(len(train_rows), len(validation_rows))
        coordinates = batches.coordinates(self.network_)
        plan = _with_coordinates(plan, [data.names[k] for k in coordinates])
        narrow(self.network_, coordinates)
        narrowed = batches.in_coordinates(coordinates)
        phases = self._phases()
        job = Job(narrowed, train_rows, validation_rows, fabric, settings, generator, data.names)
        with progress_bar(bool(self.verbose and is_first())) as progress, threads_for(narrowed.shapes):
            untrained = copy.deepcopy(self.network_.state_dict()) if self.network_.may_stay_linear else {}
            outcome = train_in_turn(phases, job, checkpoint, plan.as_dict(), saved, progress=progress)
            self.history_, self.interrupted_, starts = outcome
            self.nonlinear_gain_ = self._nonlinear_gain(job, starts)
            if self._ends_linear(starts):
                self.network_.load_state_dict(untrained)
                self.network_.stays_linear = True
                train_rows = torch.arange(len(data))  # validation samples have served their purpose
                start_only = replace(job, train_rows=train_rows, settings=replace(settings, max_epochs=0))
                train_in_turn(self._phases(), start_only)
        widen(self.network_, list(self.shapes_.values()))
        return train_rows

    def _phases(self) -> list[Phase]:
        return phases_of(self.objective, self.network_, self.identity_weight, self.orthogonality_weight_)

    def _ends_linear(self, starts: Mapping[str, Start]) -> bool:
        """Whether nothing was trained, or training did not clearly improve on its linear start."""
        if self.network_.may_stay_linear and self.max_epochs and not any(self.history_["epoch"]):
            return not self.interrupted_
        gain, start = self.nonlinear_gain_, starts.get("joint", Start())
        return gain is not None and gain.trained and start.is_fallback and gain.value <= CLEARLY * gain.standard_error

    def _nonlinear_gain(self, job: Job, starts: Mapping[str, Start]) -> NonlinearGain | None:
        """What the networks add to linear joint scores: measured on validation samples, or estimated beforehand."""
        if not self.network_.joint_rank:
            return None
        epochs = zip(self.history_["phase"], self.history_["epoch"], strict=True)
        if any(epoch and phase != "individual" for phase, epoch in epochs):
            return gain_of_network(self.network_, job.batches, job.train_rows, job.validation_rows)
        return starts["joint"].gain if "joint" in starts else None

    def _standardize(self, batches: Batches, train_rows: Tensor) -> None:
        """Standardize the scores over the training samples, and score all fitted samples."""
        batch_size = batches.at_once(CHUNK)
        offsets = standardize(self.network_, self.standardizers_, batches, train_rows, batch_size)
        names = batches.data.names
        self.offset_ = {name: offset.cpu().numpy() for name, offset in zip(names, offsets, strict=True)}
        fitted = score_samples(self.network_, self.standardizers_, offsets, batches, batch_size)
        self.joint_scores_ = fitted.joint
        self.individual_scores_ = dict(zip(names, fitted.individual, strict=True))
        self.variance_explained_ = dict(zip(names, fitted.variance_explained, strict=True))
        residual_std = zip(names, fitted.residual_std, strict=True)
        self.feature_residual_std_ = {name: std * self.scale_[name] for name, std in residual_std}

    def _warn_of_useless_parts(self) -> None:
        """Warn if parts of the fitted samples are farther from the data than the mean is by more than its variance."""
        if not is_first():
            return
        worst = {
            name: (part, fractions[part], limit)
            for name, fractions in self.variance_explained_.items()
            for part, limit in (("residual", MOST_RESIDUAL), ("joint", LEAST_JOINT))
            if (fractions[part] - limit) * (1 if part == "residual" else -1) > 0
        }
        if worst:
            shown = ", ".join(f"the {part} of {name!r} is {value:.3g}" for name, (part, value, _) in worst.items())
            warnings.warn(USELESS_PARTS.format(shown=shown), ConvergenceWarning, stacklevel=3)

    def _settings(self, n: int, held_out: int) -> TrainingSettings:
        batch_size = min(n, max(32, min(256, n // 8))) if self.batch_size == "auto" else int(self.batch_size)
        if batch_size > n:
            raise ValueError(BATCH_TOO_LARGE.format(given=batch_size, n=n, held_out=held_out))
        if self.batch_size == "auto":
            batch_size -= batch_size % processes()
        elif batch_size % processes():
            raise ValueError(NOT_DIVISIBLE.format(given=batch_size, count=processes()))
        half = checked_runtime(self.runtime).precision.startswith("16")
        return TrainingSettings(self.max_epochs, batch_size, self.learning_rate, self.weight_decay, half_precision=half)

    def _joint_scores(self, data: Modalities) -> NDArray:
        if hasattr(self, "cascade_"):
            return self._cascade_scores(data).joint
        return np.concatenate([joint for joint, _ in self._scored(data, with_individual=False)])

    def _scores(self, data: Modalities) -> Scores:
        if hasattr(self, "cascade_"):
            return self._cascade_scores(data)
        pieces = self._scored(data, with_individual=True)
        individual = {name: np.concatenate([scores[name] for _, scores in pieces]) for name in data.names}
        return Scores(np.concatenate([joint for joint, _ in pieces]), individual)

    @torch.no_grad()
    def _scored(self, data: Modalities, with_individual: bool) -> list[tuple[NDArray, dict[str, NDArray]]]:
        """Joint and individual scores of some samples at a time."""
        missing = [name for name in self.shapes_ if name not in data]
        if missing and self.needs_all_modalities:
            raise ValueError(NEEDS_ALL.format(missing=missing))
        if not len(data):
            none = {name: np.zeros((0, self.individual_ranks_[name])) for name in data}
            return [(np.zeros((0, self.joint_rank_)), none)]
        step = rows_at_once(self.shapes_, CHUNK)
        pieces = [slice(start, start + step) for start in range(0, len(data), step)]
        return [self._scores_of_rows(data, rows, with_individual) for rows in pieces]

    def _scores_of_rows(
        self, data: Modalities, rows: slice, with_individual: bool
    ) -> tuple[NDArray, dict[str, NDArray]]:
        x = tensors_of(data, Scaling(self.mean_, self.scale_), rows, self.shapes_)
        joint = self.network_.joint_scores(x)
        individual = self.network_.individual_scores(x, joint) if with_individual else [None] * len(x)
        scores = {
            name: self._standardizer(1 + k)(z.double()).numpy()
            for k, (name, z) in enumerate(zip(self.shapes_, individual, strict=True))
            if z is not None
        }
        return self._standardizer(0)(joint.double()).numpy(), scores

    @torch.no_grad()
    def _render(
        self,
        part: Literal["joint", "individual"] | Subset,
        name: str,
        joint_scores: NDArray,
        individual_scores: NDArray,
    ) -> NDArray:
        if hasattr(self, "cascade_"):
            if part == "individual":
                return self.cascade_.individual_part(name, np.asarray(individual_scores))
            subset = tuple(self.shapes_) if part == "joint" else part
            shared = self.cascade_.part(subset, name, np.asarray(joint_scores))
            return shared + self.mean_[name] if part == "joint" else shared
        k = list(self.shapes_).index(name)
        joint = self._standardizer(0).inverse(_tensor(joint_scores)).float()
        offset = torch.from_numpy(self.offset_[name])
        if part == "joint":
            scaled = (self.network_.joint_part(k, joint) + offset).numpy()
            return np.multiply(scaled, self.scale_[name], dtype=np.float64) + self.mean_[name]
        individual = self._standardizer(1 + k).inverse(_tensor(individual_scores)).float()
        scaled = (self.network_.individual_part(k, individual, joint) - offset).numpy()
        return np.multiply(scaled, self.scale_[name], dtype=np.float64)  # which holds data of any units

    def _standardizer(self, number: int) -> Standardizer:
        """The standardizer of the joint scores (0), or of the individual scores of modality k (1 + k)."""
        return cast(Standardizer, self.standardizers_[number])

    def _learned(self) -> dict[str, Any]:
        learned = super()._learned()
        if hasattr(self, "cascade_"):
            for key in ("cascade_", "nonlinear_gain_", "history_", "network_", "standardizers_"):
                learned.pop(key, None)
            learned["levels_"] = {subset: model._learned() for subset, model in self.cascade_.levels.items()}
            own = self.cascade_.individual
            learned["individual_model_"] = {} if own is None else own._learned()
            return {**learned, "axes_": self.cascade_.axes, "slopes_": self.cascade_.slopes}
        learned["nonlinear_gain_"] = {} if self.nonlinear_gain_ is None else asdict(self.nonlinear_gain_)
        for key in ("network_", "standardizers_"):
            learned[key] = {name: tensor.numpy() for name, tensor in learned[key].state_dict().items()}
        return learned

    def _restore(self, learned: dict[str, Any]) -> None:
        learned = dict(learned)
        if "levels_" in learned:
            self._restore_subsets(learned)
            return
        gain = learned.pop("nonlinear_gain_")
        learned["nonlinear_gain_"] = NonlinearGain(**gain) if gain else None
        states = {key: learned.pop(key) for key in ("network_", "standardizers_")}
        scaling = Scaling(learned["mean_"], learned["scale_"])
        is_own = is_custom(packed_parameter(self.networks, "networks", {}))
        # Weights take no memory until the file turns out to hold them, because a config may claim networks of any size.
        with torch.random.fork_rng(devices=[]), torch.device("cpu" if is_own else "meta"):
            ranks = learned["joint_rank_"], learned["individual_ranks_"]
            self._set_up(learned["shapes_"], scaling, *ranks, learned.get("networks_"))
        for key, state in states.items():
            module = getattr(self, key)
            types = {name: tensor.dtype for name, tensor in module.state_dict().items()}
            tensors = {name: torch.from_numpy(array.copy()).to(types.get(name)) for name, array in state.items()}
            module.load_state_dict(tensors, assign=not is_own)
            module.eval()
        super()._restore(learned)
        self._is_fitted = True

    def _restore_subsets(self, learned: dict[str, Any]) -> None:
        levels, own, axes, slopes = (learned.pop(key) for key in ("levels_", "individual_model_", "axes_", "slopes_"))

        def restored(names: Sequence[str], state: dict[str, Any]) -> DeepJIVE:
            check_learned(DeepJIVE, state, None if is_custom(packed) else count_numbers(state))
            networks = self.networks
            if isinstance(networks, Mapping):
                networks = {name: networks[name] for name in names if name in networks}
            model: DeepJIVE = clone(self).set_params(subsets=None, networks=networks)
            model._restore(state)
            return model

        packed = packed_parameter(self.networks, "networks", {})
        cascade = Cascade(
            {subset: restored(subset, state) for subset, state in levels.items()}, axes=axes, slopes=slopes
        )
        cascade.individual = restored(tuple(learned["shapes_"]), own) if own else None
        super()._restore(learned)
        self._take(cascade, self.subset_ranks_, self.individual_ranks_)

    def __sklearn_is_fitted__(self) -> bool:
        return getattr(self, "_is_fitted", False)


def _with_coordinates(plan: Plan, names: list[str]) -> Plan:
    """The plan with the names of the modalities in coordinates, which must be those of the checkpoint."""
    if plan.coordinates is not None and plan.coordinates != names:
        raise CheckpointError(OTHER_COORDINATES.format(saved=plan.coordinates, given=names))
    return replace(plan, coordinates=names)


def _tensor(scores: NDArray) -> Tensor:
    """A copy of scores, because torch accepts neither arrays with negative strides nor read-only arrays."""
    return torch.from_numpy(np.array(scores, dtype=np.float64, order="C"))


def _seed(random_state: Any) -> int:
    return int(check_random_state(random_state).randint(2**31 - 1))
