"""Sentences for the methods and results sections of a paper, from the config of a saved run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepjive.adjust.units import IN_WORDS
from deepjive.report.evidence import p, percent
from deepjive.report.words import enumeration

if TYPE_CHECKING:
    from deepjive.evaluation.evidence_study import Evidence

SOURCES = {
    "AJIVE": "Feng, Jiang, Hannig and Marron, Journal of Multivariate Analysis 166, 241-265, 2018",
    "JIVE": "Lock, Hoadley, Marron and Nobel, Annals of Applied Statistics 7, 523-542, 2013",
    "HeteroJIVE": "arXiv 2512.02866",
    "DeepJIVE": "arXiv 2507.19682",
}
DATA = "{n:,} samples were measured in {k} modalities: {modalities}."
LEFT_OUT = "Samples that lack a modality were left out."
PAIRS = "The {n:,} samples came from {participants:,} participants."
MODEL = (
    "We split each modality into joint variation, individual variation and a residual with {method} ({source}), as "
    "implemented in deepjive {version}."
)
SEPARATE = "We fitted a separate autoencoder to each modality with deepjive {version}."
CONFOUNDS = "Confounds ({names}) were removed from every modality before the decomposition."
UNITS = "Before the decomposition, values were in these units: {units}."
CENTRED = "Features were centred{scaled}."
WHOLE = "Features were centred, and each modality was then divided by its root mean square."
SCALED = ", and each modality was divided by its Frobenius norm"
IMPUTED = "Missing values were imputed by the model."
ANGLES = (
    "Components were called joint if they exceeded the Wedin bound and the random-direction bound ({wedin:,} and "
    "{random:,} draws)."
)
IDENTITY = {
    "exchange": "every modality was reconstructed from the joint scores of the other modalities",
    "explicit": "the distance between the whitened joint scores of the modalities was penalized",
    "merged": "one encoder computed the joint scores from all modalities",
}
ORTHOGONALITY = {
    "closed_form": "by a penalty on the variance that a ridge regression on the joint scores and their random Fourier "
    "features explains",
    "regression": "by a regression network that is trained against them",
    "adversary": "by an adversarial network",
}
TRAINED = (
    "Joint scores were made equal as follows: {identity}. {kept}{networks} were trained with "
    "Adam (learning rate {rate:g}, weight decay {decay:g}; maximum number of epochs in each phase: {epochs:,}), with "
    "early stopping on {share:.0%} of the samples."
)
KEPT = "Individual scores were kept unpredictable from joint scores {how} (weight {weight:g}). "
UNTRAINED = "No nonlinear networks were trained, so that the model is linear."
LINEAR = (
    "Nonlinear networks predicted held-out samples no better than linear ones (gain in R2 {value:.3f}, standard error "
    "{error:.3f}), so that the model is linear."
)
RANKS = "The joint rank was {joint} ({how_joint}), and the individual ranks were {individual} ({how_individual})."
INDIVIDUAL = "The individual ranks were {individual} ({how})."
AUTO, GIVEN = "chosen from the data", "given"
SEED = "The random seed was {seed}."
NO_SEED = "The random seed was not fixed."
SUBSETS = "Of the subsets of modalities, {ranks} had variation that no other modality shares ({how})."
EMPTY_SUBSETS = "The subsets of modalities {empty} were named, but no variation of their own was found ({how})."
NO_SUBSETS = "No subset of some modalities had variation that the other modalities do not share ({how})."
ALL_SHARED = " and variation of subsets together"
EXPLAINED = "In the fitted samples, {shared} explained {joint}, and individual variation {individual}."
TESTED = "A permutation test on {n:,} held-out samples {verb} joint variation (p = {p}; R2 of the {measure}: {shares})."
NOT_TESTED = "[Joint variation was not tested on held-out samples. `deepjive report {run} --evidence` does so.]"
KNOWN_RULES = {"gavish_donoho": "the threshold of Gavish and Donoho (2014)", "bicrossvalidation": "bi-cross-validation"}
SIGNAL = "Signal ranks ({ranks}) were {how}."


def methods_text(
    config: Mapping[str, Any],
    n_samples: int,
    evidence: Evidence | None = None,
    run: str = "RUN",
    counts: Mapping[str, int] | None = None,
) -> str:
    """Return two paragraphs, on methods and on results.

    Parameters
    ----------
    config : mapping
        Config of a saved model, as `deepjive.persistence.read_config` gives it.
    n_samples : int
        Number of fitted samples.
    evidence : Evidence, default=None
        Results on held-out samples.
    run : str, default="RUN"
        Folder of the run, for the command that measures evidence.
    counts : mapping of str to int, optional
        Number of samples that have a modality, of modalities that some samples lack.

    Returns
    -------
    str
        Plain text. Sentences in square brackets are for the author.
    """
    learned, parameters = config["learned"], config["parameters"]
    methods = [
        _data(learned, n_samples, counts or {}),
        *([LEFT_OUT] if config.get("run", {}).get("unmatched") == "drop" else []),
        *_model(config),
        *_confounds(learned),
        *_units(learned),
        *_preparation(parameters),
        *_ranks(config["class"], learned, parameters),
        *_training(learned, parameters),
        _seed(parameters),
    ]
    results = [_explained(learned), *_evidence(evidence, run)]
    return "\n\n".join(" ".join(paragraph) for paragraph in (methods, results))


def _data(learned: Mapping[str, Any], n_samples: int, counts: Mapping[str, int]) -> str:
    shapes = {name: _plain(shape) for name, shape in learned["shapes_"].items()}
    modalities = [
        f"{name} ({_shape(shape)}{f'; {counts[name]:,} samples' if name in counts else ''})"
        for name, shape in shapes.items()
    ]
    text = DATA.format(n=n_samples, k=len(shapes), modalities=enumeration(modalities))
    participants = learned.get("n_participants_", n_samples)
    if participants < n_samples:
        text += " " + PAIRS.format(n=n_samples, participants=participants)
    return text


def _shape(shape: list[int]) -> str:
    if len(shape) == 1:
        return f"{shape[0]:,} features"
    return f"arrays of {' x '.join(map(str, shape))}, {math.prod(shape):,} values"


def _plain(shape: Any) -> list[int]:
    return list(shape["$tuple"] if isinstance(shape, Mapping) else shape)


def _model(config: Mapping[str, Any]) -> list[str]:
    method, version = config["class"], config["deepjive"]
    if method not in SOURCES:
        return [SEPARATE.format(version=version)]
    return [MODEL.format(method=method, source=SOURCES[method], version=version)]


def _confounds(learned: Mapping[str, Any]) -> list[str]:
    coding = (learned.get("adjustment_") or {}).get("coding")
    if not coding:  # also a model that only transforms or scales has an adjustment
        return []
    names = [f"{name} (site, by shift and scale)" if name == coding["site"] else name for name in coding["levels"]]
    return [CONFOUNDS.format(names=enumeration(names))]


def _units(learned: Mapping[str, Any]) -> list[str]:
    adjustment = learned.get("adjustment_") or {}
    transformations, scales = adjustment.get("transformations", {}), adjustment.get("scales", {})
    units = []
    for name in learned["shapes_"]:
        words = [f"after {transformations[name]['name']}"] if name in transformations else []
        words += [IN_WORDS[scales[name]]] if name in adjustment.get("sizes", {}) else []
        units += [f"{name} {', '.join(words)}"] if words else []
    return [UNITS.format(units="; ".join(units))] if units else []


def _subset_ranks(learned: Mapping[str, Any]) -> dict[tuple[str, ...], int]:
    """Ranks of all subsets, the whole set included; empty for a model without subsets."""
    items = (learned.get("subset_ranks_") or {}).get("$items", [])
    return {tuple(subset["$tuple"]): rank for subset, rank in items}


def _preparation(parameters: Mapping[str, Any]) -> list[str]:
    sentences = [WHOLE] if "learning_rate" in parameters else []
    if parameters.get("center"):
        sentences.append(CENTRED.format(scaled=SCALED if parameters.get("scale") is True else ""))
    if parameters.get("missing") == "impute":
        sentences.append(IMPUTED)
    return sentences


def _ranks(method: str, learned: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    sentences = []
    if signal := learned.get("signal_ranks_"):
        rule = parameters.get("rank_rule")
        chosen = f"{AUTO} by {KNOWN_RULES.get(str(rule), rule)}" if parameters["signal_ranks"] == "auto" else GIVEN
        sentences.append(SIGNAL.format(ranks=_of_each(signal), how=chosen))
        if parameters["joint_rank"] == "auto":
            sentences.append(ANGLES.format(wedin=parameters["n_wedin"], random=parameters["n_random"]))
    individual = parameters.get("individual_ranks", parameters.get("ranks"))
    how = (GIVEN, AUTO)
    subsets = _subset_ranks(learned)
    text = RANKS.format(
        # the saved joint rank of a model with subsets counts the components of all subsets
        joint=subsets.get(tuple(learned["shapes_"]), learned["joint_rank_"]),
        how_joint=how[parameters.get("joint_rank", 0) in ("auto", None)],
        individual=_of_each(learned["individual_ranks_"]),
        how_individual=how[individual in ("auto", None)],
    )
    if method not in SOURCES:
        text = INDIVIDUAL.format(
            individual=_of_each(learned["individual_ranks_"]), how=how[individual in ("auto", None)]
        )
    if subsets:
        some = {subset: rank for subset, rank in subsets.items() if rank and len(subset) < len(learned["shapes_"])}
        shared = [f"{enumeration(subset)} ({rank})" for subset, rank in some.items()]
        how_many = f"ranks {GIVEN if isinstance(parameters['subsets'], Mapping) else AUTO}"
        named = isinstance(parameters["subsets"], list)
        if shared or not named:
            text += " " + (SUBSETS if shared else NO_SUBSETS).format(ranks="; ".join(shared), how=how_many)
        empty = [
            enumeration(subset) for subset in subsets if subset not in some and len(subset) < len(learned["shapes_"])
        ]
        if named and empty:
            text += " " + EMPTY_SUBSETS.format(empty="; ".join(empty), how=how_many)
    return [*sentences, text]


def _of_each(ranks: Mapping[str, int]) -> str:
    return enumeration([f"{rank} in {name}" for name, rank in ranks.items()])


def _training(learned: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    if "identity" not in parameters:
        return []
    gain = learned.get("nonlinear_gain_") or {}
    if gain and not gain.get("trained", True):
        return [LINEAR.format(value=_number(gain["value"]), error=_number(gain["standard_error"]))]
    if parameters["max_epochs"] and not any(learned["history_"].get("epoch", [1])):
        return [UNTRAINED]
    how = ORTHOGONALITY.get(parameters["orthogonality"] or "")
    return [
        TRAINED.format(
            identity=IDENTITY[parameters["identity"]],
            kept=KEPT.format(how=how, weight=learned["orthogonality_weight_"]) if how else "",
            networks=_kinds(learned, parameters),
            rate=parameters["learning_rate"],
            decay=parameters["weight_decay"],
            epochs=parameters["max_epochs"],
            share=parameters["validation_fraction"],
        )
    ]


def _kinds(learned: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """The networks that were trained, also where "auto" chose them."""
    if not isinstance(parameters["networks"], str):
        return "Networks of our own"
    kinds = dict.fromkeys(map(str, (learned.get("networks_") or {"": parameters["networks"]}).values()))
    return f"Networks of the kind {enumeration([repr(kind) for kind in kinds])}"


def _number(value: Any) -> float:
    return float(value["$float"] if isinstance(value, Mapping) else value)


def _seed(parameters: Mapping[str, Any]) -> str:
    seed = parameters.get("random_state")
    return NO_SEED if seed is None else SEED.format(seed=seed)


def _explained(learned: Mapping[str, Any]) -> str:
    shares = {
        part: enumeration(
            [
                f"{percent(_number(of[part]))} of the variance of {name}"
                for name, of in learned["variance_explained_"].items()
            ]
        )
        for part in ("joint", "individual")
    }
    some = any(rank for subset, rank in _subset_ranks(learned).items() if len(subset) < len(learned["shapes_"]))
    return EXPLAINED.format(shared=f"joint variation{ALL_SHARED if some else ''}", **shares)


def _evidence(evidence: Evidence | None, run: str) -> list[str]:
    if evidence is None:
        return [NOT_TESTED.format(run=run)]
    test = evidence.joint_structure
    shares = enumeration([f"{value:.2f} in {name}" for name, value in test.explained.items()])
    verb = "showed" if test.p_value <= 0.05 else "did not show"
    return [TESTED.format(n=test.n_samples, verb=verb, p=p(test.p_value), measure=test.measure, shares=shares)]
