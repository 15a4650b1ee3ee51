"""Stress test of the estimators: random ranks, options and data of any small shape.

    python -m tests.stress.fits --fits 20000

Each fit draws an estimator, two to four modalities of few samples and features, their kind (noise, exact low rank,
constant features, repeated samples, whole numbers, extreme units, missing values, confounds, several samples of a
participant) and any ranks, units and options. The outcome is *right* (see `faults_of`), *refused* (an error of deepjive
in one line), or a failure: an impossible number, an error or a warning of a library. Each fit depends on the seed and
its number only.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from deepjive import AJIVE, JIVE, DeepJIVE, HeteroJIVE, Modalities, SeparateAutoencoders, load

DEEP_SHARE = 0.04
OUR_WARNINGS = ("UserWarning", "NoSignalWarning", "UnitsWarning", "ConvergenceWarning")
EXACT = 1e-6  # scores have variance 1; ill-conditioned regressions lose half of the digits
HALF = 1.5e-8  # half of the digits of joint scores: their part is taken out before a weak component is scored
ITERATED = 1e-2  # JIVE ends its iterations, and missing values are filled in, up to a tolerance
SINGLE = 2e-3  # networks compute in single precision
SAID = (  # warnings that scores, or parts, cannot be trusted
    "did not converge",
    "still changed",
    (OTHERS := "differ from those of the fit"),
    "do not describe the fitted samples",
)
KINDS = (
    *("noise", "low rank", "constant features", "repeated samples", "whole numbers", "offset", "units", "outlier"),
    *("offset low rank", "rounded constants", "confounds alone"),
)


def values_of(kind: str, n: int, p: int, joint: Any, confounds: Any, rng: np.random.Generator) -> Any:
    """Values of one modality, shape (n, p)."""
    x = joint @ rng.normal(size=(joint.shape[1], p)) * rng.choice([0.0, 1.0]) + rng.normal(size=(n, p))
    if kind == "low rank":
        rank = int(rng.integers(1, 3))
        x = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, p))
    elif kind == "constant features":
        x[:, rng.random(p) < 0.5] = float(rng.choice([0.0, 1.0, 1e9]))
    elif kind == "repeated samples":
        x = x[rng.integers(0, max(n // 2, 1), size=n)]
    elif kind == "whole numbers":
        x = np.round(2 * x).astype(rng.choice(["i1", "i4", "i8", "f4"]))
    elif kind == "offset":
        x = x + 10.0 ** rng.integers(2, 8)
    elif kind == "units":
        x = x * 10.0 ** float(rng.choice([-300, -150, -40, -12, 12, 40, 150, 300]))
    elif kind == "offset low rank":
        x = rng.normal(size=(n, 1)) @ rng.normal(size=(1, p)) + 10.0 ** rng.integers(0, 10)
    elif kind == "rounded constants":
        x[:, rng.random(p) < 0.7] = np.where(rng.random(n) < 0.5, 0.3, 0.1 + 0.2)[:, None]
    elif kind == "confounds alone":
        of_age, of_site = rng.normal(size=p), rng.normal(size=3)[np.unique(confounds["site"], return_inverse=True)[1]]
        effects = np.outer(confounds["age"], of_age) + of_site[:, None] * rng.choice([0.0, 1.0])
        x = np.where(rng.random(p) < 0.6, effects + float(rng.choice([0.0, 1e6])), x)
    elif kind == "outlier":
        x[int(rng.integers(n))] *= 1e6
    return x


def data_of(rng: np.random.Generator, smallest: int) -> tuple[Modalities, str]:
    """Random modalities, and what they are in words."""
    n = int(rng.integers(smallest, 30))
    joint = rng.normal(size=(n, int(rng.integers(1, 3))))
    confounds = {"age": rng.normal(size=n), "sex": rng.choice(["f", "m"], n), "site": rng.choice(["A", "B", "C"], n)}
    arrays, words = {}, []
    for name in "abcd"[: int(rng.choice([2, 2, 2, 3, 4]))]:
        p = int(rng.choice([1, 2, 3, 5, 8, 12, 40]))
        kind = "noise" if rng.random() < 0.6 else str(rng.choice(KINDS))
        shape = (2, p // 2) if p % 2 == 0 and rng.random() < 0.2 else (p,)
        arrays[name] = values_of(kind, n, p, joint, confounds, rng).reshape(n, *shape)
        words += [f"{name}: {kind} {shape}"]
    present = None
    if rng.random() < 0.1:
        present = rng.random((n, len(arrays))) > 0.2
        words += ["missing modalities"]
    if rng.random() < 0.1:
        name = str(rng.choice(list(arrays)))
        arrays[name] = arrays[name].astype(float)
        arrays[name][rng.random(arrays[name].shape) < 0.1] = np.nan
        words += [f"NaN in {name}"]
    chosen = [name for name in confounds if rng.random() < 0.6] if rng.random() < 0.15 else []
    words += [f"confounds {chosen}"] if chosen else []
    taken_out = {name: confounds[name] for name in chosen} or None
    groups = np.sort(rng.integers(0, max(n // 3, 1), n)) if rng.random() < 0.1 else None
    data = Modalities(arrays, present=present, confounds=taken_out, groups=groups)
    if groups is not None:
        level = str(rng.choice(["between", "within", "participants"]))
        words += [level]
        data = getattr(data, level)() if level != "participants" else data
    return data, f"n {n}, {', '.join(words)}"


def units_of(rng: np.random.Generator, data: Modalities) -> dict[str, Any]:
    """Random units: scale of features, and transformations of some modalities."""
    options: dict[str, Any] = {}
    if rng.random() < 0.2:
        options["scale"] = str(rng.choice(["features", "robust"]))
    if rng.random() < 0.1:
        kinds = [None, "log1p", "log_cpm", "clr", "arcsinh", "logit", "rank_normal"]
        options["transformation"] = {name: kinds[int(rng.integers(len(kinds)))] for name in data.names}
    return options


def rank_of(rng: np.random.Generator, word: str, largest: int) -> Any:
    """A rank: a word, or a number that the data may be too small for."""
    if rng.random() < 0.1:
        return int(rng.integers(0, largest + 3))
    return word if rng.random() < 0.3 else int(rng.integers(0, min(largest, 4) + 1))


def ranks_of(rng: np.random.Generator, word: str, data: Modalities, largest: int) -> Any:
    """Ranks of the modalities: a word, a number, or a number for each."""
    if rng.random() < 0.5:
        return rank_of(rng, word, min(largest, *(int(np.prod(shape)) for shape in data.shapes.values())))
    limits = {name: min(largest, int(np.prod(shape))) for name, shape in data.shapes.items()}
    most = 3 if rng.random() < 0.8 else 99
    return {name: int(rng.integers(0, min(limit, most) + 1)) for name, limit in limits.items()}


def linear_model(rng: np.random.Generator, data: Modalities, has_gaps: bool) -> Any:
    """A linear estimator with random ranks and options."""
    n, kind = len(data), rng.choice([AJIVE, HeteroJIVE, JIVE])
    smallest = min(n, *(int(np.prod(shape)) for shape in data.shapes.values()))
    options: dict[str, Any] = {"center": bool(rng.random() < 0.9), "random_state": int(rng.integers(100))}
    options["missing"] = "impute" if has_gaps and rng.random() < 0.9 else "error"
    if rng.random() < 0.1:
        options["mask"] = {name: rng.random(shape) < 0.7 for name, shape in data.shapes.items() if rng.random() < 0.7}
    if kind is JIVE:
        word = str(rng.choice(["bic", "permutation", "auto"]))
        options |= {"orthogonal_individual": bool(rng.random() < 0.6)}
        options |= {"n_permutations": 10, "max_iter": 200 if word != "bic" else 50}
    else:
        word = "auto"
        options |= {"n_wedin": 20, "n_random": 20}
        options["rank_rule"] = "bicrossvalidation" if rng.random() < 0.1 else "gavish_donoho"
        if rng.random() < 0.4:
            options["signal_ranks"] = ranks_of(rng, word, data, n)
        if rng.random() < 0.1:
            options["subsets"] = "auto"
    options |= units_of(rng, data)
    if "scale" not in options and rng.random() < 0.2:
        options["scale"] = None
    ranks = {"joint_rank": rank_of(rng, word, smallest), "individual_ranks": ranks_of(rng, word, data, n)}
    return kind(**ranks, **options)


def deep_model(rng: np.random.Generator, data: Modalities) -> Any:
    """A deep estimator with random ranks and options, and few epochs."""
    n = len(data)
    smallest = min(n, *(int(np.prod(shape)) for shape in data.shapes.values()))
    options: dict[str, Any] = {"max_epochs": int(rng.integers(1, 4)), "random_state": int(rng.integers(100))}
    options |= units_of(rng, data)
    options["networks"] = str(rng.choice(["auto", "dense", "linear"]))
    if rng.random() < 0.2:
        return SeparateAutoencoders(ranks=ranks_of(rng, "1", data, 4), **options)
    options["identity"] = str(rng.choice(["exchange", "explicit", "merged"]))
    options["orthogonality"] = [None, "closed_form", "regression", "adversary"][int(rng.integers(4))]
    options["objective"] = str(rng.choice(["joint_first", "joint_first", "published"]))
    options["individual_decoder"] = str(rng.choice(["additive", "additive", "conditioned"]))
    ranks = {"joint_rank": rank_of(rng, "auto", smallest), "individual_ranks": ranks_of(rng, "auto", data, 4)}
    return DeepJIVE(**ranks, **options)


def faults_of(model: Any, data: Modalities, folder: Path, said: list[str]) -> list[str]:
    """What is wrong with a fitted model; empty if all is right.

    Fits that said that they did not converge may score otherwise. Parts of the fitted samples may increase errors, like
    parts of new samples, only if the fit said that their scores differ.
    """
    converged, is_reproduced = not said, not any(OTHERS in message for message in said)
    is_deep = isinstance(model, (DeepJIVE, SeparateAutoencoders))
    is_filled = getattr(model, "missing", "error") == "impute"
    is_iterated = isinstance(model, JIVE) or is_filled
    weakest = 1.0 if is_deep else _weakest(model)
    exact = EXACT if is_deep else max(EXACT, 1e-14 / weakest, HALF / np.sqrt(weakest), _rounding(model, data))
    tolerance = _single(data) if is_deep else 5 * ITERATED if is_iterated else exact
    parts = model.decompose(data)
    faults = _not_finite(model, parts)
    if faults:
        return faults
    if converged or not is_deep:
        faults += _impossible_fractions("fit", model.variance_explained_, is_deep or is_filled)
        faults += _impossible_fractions(
            "decompose", parts.variance_explained, is_deep or is_filled or not is_reproduced
        )
    faults += _other_scores(model, parts, data, tolerance, converged)
    scores = model.transform(data)
    fitted = parts.joint_scores if not isinstance(model, SeparateAutoencoders) else scores
    if not np.array_equal(scores, fitted, equal_nan=True):
        faults.append(f"transform differs from decompose by {np.abs(scores - fitted).max():.1e}")
    faults += _parts_not_adding_up(parts, data)
    faults += _changed_by_saving(model, data, scores, folder)
    return faults + _faults_of_new_samples(model, data)


def _single(data: Modalities) -> float:
    """Errors of scores in single precision, which are larger beside an outlier."""
    sizes = [np.abs(np.asarray(data[name], dtype=float)) for name in data.names]
    ratios = [np.nanmax(size) / (np.nanmedian(size) or np.nanmax(size) or 1.0) for size in sizes]
    return max(SINGLE, float(np.finfo(np.float32).eps * max(ratios)))


def _weakest(model: Any) -> float:
    """The smallest share of a modality's variance that a component of the fit has."""
    shares = np.concatenate([share for of_parts in model.component_variance_.values() for share in of_parts.values()])
    return float(shares[shares > 0.0].min(initial=1.0))


def _rounding(model: Any, data: Modalities) -> float:
    """Errors of scores from rounding of the data, as of a large offset, in units of the weakest signal component."""
    errors = [0.0]
    for name, rank in getattr(model, "signal_ranks_", {}).items():
        x = np.asarray(data[name], dtype=float).reshape(len(data), -1)
        known = x[~np.isnan(x).any(axis=1)] / np.nanmax(np.abs(x))
        values, spread = model.singular_values_[name], known.std(axis=0).max() if len(known) else 0.0
        if name in (sizes := model.adjustment_.get("sizes", {})):  # features are scaled, so each counts
            spread = min(spread, float(np.min(sizes[name]) / np.nanmax(np.abs(x))))
        if rank and spread > 0.0:
            errors += [4 * np.finfo(float).eps / spread * values[0] / values[min(rank, len(values)) - 1]]
    return float(max(errors))


def _not_finite(model: Any, parts: Any) -> list[str]:
    faults = []
    inner = getattr(model, "model_", model)
    for key, value in vars(inner).items():
        if key in ("individual_scores_", "nonlinear_gain_", "network_", "standardizers_", "history_", "thresholds_"):
            continue
        for array in value.values() if isinstance(value, dict) else [value]:
            is_float = isinstance(array, (np.ndarray, float)) and np.asarray(array).dtype.kind == "f"
            if is_float and not np.isfinite(array).all():
                faults.append(f"{key} is not finite")
    present = parts.data.present
    for column, (name, scores) in enumerate(parts.individual_scores.items()):
        for kind, of_kind in (("decompose", scores), ("fit", inner.individual_scores_[name])):
            if not np.isfinite(of_kind[present[:, column]]).all():
                faults.append(f"individual scores of {kind} are not finite")
    if not np.isfinite(parts.joint_scores).all():
        faults.append("joint scores of decompose are not finite")
    return faults


def _impossible_fractions(what: str, explained: dict[str, dict[str, float]], may_lose: bool) -> list[str]:
    """Fractions must add up to 1 with a residual of at least 0; parts of a least-squares fit do not increase errors."""
    faults = []
    for name, fractions in explained.items():
        values = np.array([*fractions.values()])  # the residual is last
        lowest = np.array([-2.0 if may_lose else -1e-6] * (len(values) - 1) + [-1e-6])
        if not np.isfinite(values).all() or abs(values.sum() - 1.0) > 1e-6:
            faults.append(f"fractions of {what} of {name} do not add up: {values}")
        elif (values < lowest).any() or (values > 1.0 + (2.0 if may_lose else 1e-6)).any():
            faults.append(f"impossible fractions of {what} of {name}: {values}")
    return faults


def _other_scores(model: Any, parts: Any, data: Modalities, tolerance: float, converged: bool) -> list[str]:
    """Fitted samples must get the scores of the fit; scores of samples that lack modalities are shrunk."""
    inner, faults = getattr(model, "model_", model), []
    complete = data.present.all(axis=1)
    if not converged:
        return []
    difference = np.abs(parts.joint_scores - inner.joint_scores_)[complete].max(initial=0.0)
    if difference > tolerance:
        faults.append(f"joint scores of fitted samples differ by {difference:.1e}")
    for name in data.names:
        pair = parts.individual_scores[name][complete], inner.individual_scores_[name][complete]
        difference = np.abs(pair[0] - pair[1]).max(initial=0.0)
        if difference > tolerance:
            faults.append(f"individual scores of fitted samples of {name} differ by {difference:.1e}")
        for part in inner.variance_explained_[name]:
            fit, after = inner.variance_explained_[name][part], parts.variance_explained[name][part]
            if abs(fit - after) > tolerance and complete.all():
                faults.append(f"{part} fraction of {name}: fit {fit:.4f}, decompose {after:.4f}")
    return faults


def _parts_not_adding_up(parts: Any, data: Modalities) -> list[str]:
    faults = []
    for column, name in enumerate(data.names):
        here = data.present[:, column]
        x = np.asarray(parts.data.rows(name, here), dtype=float)  # transformed if the model transforms it
        is_input = parts.units.get(name) is None or not parts.units[name].startswith("after")
        given = np.asarray(data.rows(name, here), dtype=float)
        if is_input and not np.array_equal(x[~np.isnan(given)], given[~np.isnan(given)]):  # NaN outside a mask is 0
            faults.append(f"the data of the parts of {name} are not the input")
        known = ~np.isnan(x)
        pieces = [parts.joint, parts.individual, parts.residual]
        pieces += [parts.subset[subset] for subset in parts.subset_scores if name in subset]
        total = sum(part.rows(name, np.flatnonzero(here)) for part in pieces)
        mask_size = np.abs(x[known]).max(initial=0.0)
        if not np.allclose(total[known] / (mask_size or 1.0), x[known] / (mask_size or 1.0), rtol=0, atol=1e-5):
            faults.append(f"the parts of {name} do not add up to the data")
    return faults


def _changed_by_saving(model: Any, data: Modalities, scores: Any, folder: Path) -> list[str]:
    model.save(folder / "model")
    loaded = load(folder / "model")
    if not np.array_equal(loaded.transform(data), scores, equal_nan=True):
        return ["a loaded model gives other scores"]
    return [] if str(loaded.get_params()) == str(model.get_params()) else ["a loaded model has other parameters"]


def _faults_of_new_samples(model: Any, data: Modalities) -> list[str]:
    """Predictions of a single fitted sample and from fewer modalities must be finite."""
    faults = []
    complete = data[np.flatnonzero(data.present.all(axis=1))[:1]]
    for what, samples in (("one sample", complete), ("no sample", complete[:0])):
        if not np.isfinite(model.transform(samples)).all() or len(model.transform(samples)) != len(samples):
            faults.append(f"scores of {what} are not finite")
    if isinstance(model, SeparateAutoencoders) or model.needs_all_modalities:
        return faults
    if not np.isfinite(model.impute(data.select(data.names[1:]), data.names[0])[data.present[:, 1:].any(axis=1)]).all():
        faults.append("imputed values are not finite")
    score = model.score(data)
    if not score <= 1.0 + 1e-9:
        faults.append(f"score {score}")
    return faults


def is_useful(message: str, data: Modalities) -> bool:
    """Whether a message is in sentences of one line."""
    return len(message) > 40 and "\n" not in message and message.rstrip().endswith((".", "'"))


def outcome(number: int, seed: int, folder: Path) -> tuple[str, str]:
    """The outcome of one fit, and what was tried."""
    rng = np.random.default_rng([seed, number])
    is_deep = rng.random() < DEEP_SHARE
    try:
        data, words = data_of(rng, 6 if is_deep else 2)
    except ValueError as error:
        return f"refused: data: {error}", ""
    has_gaps = not data.present.all() or "NaN" in words
    model = deep_model(rng, data) if is_deep else linear_model(rng, data, has_gaps)
    described = f"{re.sub(chr(10) + ' *', ' ', str(model))[:400]} on {words}"
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(data)
            texts = [str(warning.message) for warning in caught]
            faults = faults_of(model, data, folder, [text for text in texts if any(word in text for word in SAID)])
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = [frame for frame in frames if "deepjive" in frame.filename][-1]
        is_ours = isinstance(error, (ValueError, TypeError)) and frames[-1].filename == place.filename
        if is_ours and is_useful(str(error), data):
            return f"refused: {error}", described
        where = f"{Path(place.filename).name}:{place.lineno}"
        return f"foreign: {type(error).__name__}: {str(error)[:200]} ({where})", described
    texts = [f"{warning.category.__name__}: {warning.message}" for warning in caught]
    foreign = [text for text in texts if not text.startswith(OUR_WARNINGS)]
    repeated = [text for text, count in Counter(texts).items() if count > 1]
    if faults:
        return f"impossible: {'; '.join(faults)[:300]}", described
    if foreign:
        return f"foreign warning: {foreign[0][:200]}", described
    if repeated:
        return f"repeated warning: {repeated[0][:200]}", described
    return "right", described


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=10, help="number of failures of each kind to print")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.first, options.first + options.fits):
            result, described = outcome(number, options.seed, Path(folder))
            word, _, text = result.partition(": ")
            counts[word] += 1
            if word == "refused":
                reasons[re.sub(r"'[^']*'|[0-9.]+", "_", text)[:110]] += 1
            elif word != "right" and counts[word] <= options.show:
                print(f"fit {number}: {described}: {result}", flush=True)
            if (number + 1) % 100 == 0:
                print(f"{number + 1} fits, {time.perf_counter() - start:.0f} s: {dict(counts)}", flush=True)
    for reason, count in reasons.most_common():
        print(f"{count:6} refused: {reason}")
    print(", ".join(f"{count} {word}" for word, count in counts.most_common()))
    print(f"{options.fits} fits in {time.perf_counter() - start:.0f} s")
    raise SystemExit(sum(count for word, count in counts.items() if word not in ("right", "refused")) > 0)


if __name__ == "__main__":
    main()
