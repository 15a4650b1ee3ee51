"""Checks of the input of estimators. Errors name the modality, the value, the expectation and the remedy."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.data.chunks import row_batches
from deepjive.data.modalities import Modalities, as_modalities
from deepjive.data.pairing import check_names_differ, in_order_of_samples
from deepjive.data.readers.arrays import tensor_values
from deepjive.data.readers.lazy import forget
from deepjive.data.readers.words import as_texts, text_of
from deepjive.rounding import exceeds_rounding

MissingFeatures = Literal["error", "mean"]
LARGEST, LEAST_SPREAD = 1e302, 1e-302
Visit = Callable[[str, NDArray[np.intp], NDArray], None]

ONE_MODALITY = (
    "Joint variation needs at least two modalities, but only {name!r} was given. "
    "Pass every modality in one dict; scikit-learn splits deepjive.Modalities by sample, but a list by modality."
)
NOT_FINITE = (
    "Modality {name!r} contains {count} values that are NaN or infinite, the first in sample {sample}. "
    "Impute or drop them first (e.g. sklearn.impute.SimpleImputer), or fit a linear model with missing='impute' "
    "(--method ajive --missing impute). If a sample lacks the whole modality, mark it in `present`, or leave its row "
    "out of the table and use unmatched='keep' (--unmatched keep)."
)
INFINITE = (
    "Modality {name!r} contains {count} infinite values, the first in sample {sample}. Find out where they come from, "
    "or replace them by NaN, which stands for a missing value."
)
BEYOND_RANGE = (
    "Modality {name!r} contains the value {value:.3g} in sample {sample}, but magnitudes of at most {limit:.0e} are "
    "expected, because sums of larger values overflow. Use larger units, such as the values divided by 1e10."
)
BELOW_RANGE = (
    "The values of modality {name!r} differ by at most {spread:.3g}, but differences of at least {limit:.0e} are "
    "expected, because smaller ones are lost in rounding. Use smaller units, such as the values multiplied by 1e10."
)
CONSTANT = (
    "Modality {name!r} is constant: every sample is the same up to rounding, so it has no variation to "
    "explain. Drop it, or check how it was loaded and, if confounds were given, whether they explain all of it."
)
WRONG_SHAPE = (
    "Modality {name!r} has samples of shape {given}, but the model was fitted to samples of shape {fitted}. "
    "Use the same features, in the same order, as in `fit`."
)
OTHER_FEATURES = (
    "Modality {name!r} has other features than the model was fitted to: it lacks {lacking} of them{first_lacking} and "
    "has {new} that are new{first_new}. Use the features of `fit`, which model.features_ names."
)
MISSING_FEATURES = (
    "Modality {name!r} lacks {lacking} of the {fitted} features that the model was fitted to{first_lacking}. Add them, "
    "or fill them with the means of the fitted samples: missing_features='mean' (--missing-features mean)."
)
NO_MEANS = (
    "Modality {name!r} lacks {lacking} of the {fitted} features that the model was fitted to{first_lacking}. They "
    "cannot be filled in, because its transformation computes a value from all features of a sample. Add them."
)
NO_FEATURES = (
    "Modality {name!r} has none of the {fitted} features that the model was fitted to: its first is {given!r}, the "
    "model's {first!r}. Use the names of `fit`, which model.features_ holds; a table whose columns are the samples is "
    "read with features_in_rows= (--features-in-rows)."
)
REPEATED_FEATURE = (
    "Modality {name!r} has its features in another order than in `fit`, but several are called {feature!r}, so that "
    "they cannot be told apart. Use the order of `fit`, or different names."
)
LEFT_OUT = "Features that the model was not fitted to were left out: {modalities}. Check their names if this is wrong."
OTHER_ORDER = (
    "Modality {name!r} has the features that the model was fitted to in another order: feature {number} is {given!r}, "
    "but was {fitted!r} in `fit`. Use the order of `fit`; for a data frame: frame[model.features_[{name!r}]]."
)
MISSING_SAMPLES = (
    "Modality {name!r} is missing in {count} of {n} samples, and {estimator} needs every modality of every sample "
    "to fit. Fit to the complete samples: data[data.present.all(axis=1)], --unmatched drop; linear models "
    "also take missing='impute' (--method ajive --missing impute), and DeepJIVE takes them as they are."
)
TOO_FEW_MEASURED = (
    "Modality {name!r} was measured in {count} of {n} samples, but at least {needed} are needed. Drop the modality, or "
    "add samples that have it."
)
NO_OVERLAP = (
    "Modality {name!r} was measured together with another in {count} samples, but joint variation is learned from at "
    "least {needed} such samples. Drop the modality, or add samples that have two modalities."
)
INFINITE_LABELS = (
    "{name} hold {value} (sample {row}; {count} samples in all), which counts as a missing label. Leave unknown labels "
    "empty, or give finite numbers."
)
TEXTS_OF_MISSING = ("nan", "NaN", "<NA>", "NaT")  # as NumPy and pandas turn missing values into text
TEXT_OF_MISSING = (
    "{name} hold the text {value!r} (sample {row}; {count} samples in all), which counts as a missing label. Leave "
    "unknown labels empty, or rename the category."
)
MIXED_LABELS = (
    "The {name} hold {shown}, but text, truth values or numbers of one kind are expected. Convert all to text or all "
    "to numbers; None or NaN marks a sample without a label."
)
RANK_NOT_INT = "{name} must be an integer of at least 0{alternative}, but is {given!r}."
RANK_TOO_LARGE = (
    "{name} is {given}, but the data allow at most {limit}: the smaller of the samples ({n}) and the features ({p}) "
    "of modality {modality!r}. Choose a smaller rank."
)


def check_for_fit(
    X: Any,
    estimator: str,
    min_samples: int = 2,
    allow_missing: bool = False,
    allow_nan: bool = False,
    visit: Visit | None = None,
) -> Modalities:
    """Check the data for a fit.

    Parameters
    ----------
    X : Modalities, mapping or sequence
        The data.
    estimator : str
        Name of the estimator, for error messages.
    min_samples : int, default=2
        Smallest number of samples.
    allow_missing : bool, default=False
        Whether samples may lack modalities.
    allow_nan : bool, default=False
        Whether single values may be NaN.
    visit : callable, default=None
        Called as ``visit(name, rows, values)`` with each block of rows that was read and checked, so that the caller
        need not read the data again.

    Returns
    -------
    Modalities

    Raises
    ------
    ValueError
        If there is only one modality, no sample, a value that is not finite, a constant modality, or a missing
        modality of a sample.
    """
    data = as_modalities(X)
    if len(data.names) < 2:
        raise ValueError(ONE_MODALITY.format(name=data.names[0]))
    for name, array in data.items():
        _check_size(name, tuple(array.shape), min_samples)
        _check_presence(data, name, estimator, min_samples, allow_missing)
    without_data = np.flatnonzero(~data.present.any(axis=1))
    if len(without_data):
        raise ValueError(
            f"{len(without_data)} samples lack every modality, the first is sample {without_data[0]}. Drop them: "
            "data[data.present.any(axis=1)]."
        )
    check_values(data, varying=True, allow_nan=allow_nan, visit=visit)
    return data


def _check_size(name: str, shape: tuple[int, ...], min_samples: int) -> None:
    """Raise if a modality has too few samples, or no features."""
    if shape[0] == 0:
        raise ValueError(
            f"There are no samples to fit to: modality {name!r} has shape {shape}. Check how the data were selected."
        )
    if shape[0] < min_samples:
        raise ValueError(
            f"Fitting needs at least {min_samples} samples, but modality {name!r} has n_samples={shape[0]}."
        )
    if 0 in shape[1:]:
        raise ValueError(
            f"Modality {name!r} has samples of shape {shape[1:]}, so it has no features. Drop the modality."
        )


def _check_presence(data: Modalities, name: str, estimator: str, min_samples: int, allow_missing: bool) -> None:
    """Raise if a modality is missing in some samples although this is not allowed, or is missing in too many."""
    n = len(data)
    missing = int((~data.present[:, data.names.index(name)]).sum())
    if missing and not allow_missing:
        raise ValueError(MISSING_SAMPLES.format(name=name, count=missing, n=n, estimator=estimator))
    if n - missing < min_samples:
        raise ValueError(TOO_FEW_MEASURED.format(name=name, count=n - missing, n=n, needed=min_samples))


def check_overlap(data: Modalities, needed: int) -> None:
    """Raise if fewer than `needed` samples have a modality together with another modality.

    Raises
    ------
    ValueError
        For the first such modality.
    """
    several = data.present.sum(axis=1) > 1
    for column, name in enumerate(data.names):
        count = int((data.present[:, column] & several).sum())
        if count < needed:
            raise ValueError(NO_OVERLAP.format(name=name, count=count, needed=needed))


def check_known(
    data: Modalities,
    shapes: Mapping[str, tuple[int, ...]],
    features: Mapping[str, Sequence[str] | None] | None = None,
    missing_features: MissingFeatures = "error",
    means: Mapping[str, NDArray] | None = None,
) -> Modalities:
    """Check that modalities are some or all of the fitted modalities, with the same features; values are not read.

    Parameters
    ----------
    data : Modalities
        The data.
    shapes : mapping of str to tuple
        Names of the fitted modalities and shapes of one sample.
    features : mapping of str to sequence of str or None, optional
        Names of the fitted features. Features of data that have names too are put in this order, and features that
        were not fitted are left out.
    missing_features : {"error", "mean"}, default="error"
        Treatment of fitted features that the data lack.
    means : mapping of str to array, optional
        Means of the fitted features, which "mean" fills in; a modality that is not in it cannot be filled in.

    Returns
    -------
    Modalities
        The modalities in the order of the model, with the features of the model.

    Raises
    ------
    ValueError
        If names, features or shapes differ from those of the fit.

    Warns
    -----
    UserWarning
        If features are left out.
    """
    unknown = [name for name in data.names if name not in shapes]
    if unknown:
        raise ValueError(
            f"The model was fitted to the modalities {list(shapes)}, but was given {list(data.names)}; {unknown} are "
            "unknown. Use the names of `fit`."
        )
    if missing_features not in get_args(MissingFeatures):
        raise ValueError(
            f"missing_features is {missing_features!r}, but must be one of {list(get_args(MissingFeatures))}."
        )
    left_out = []
    for name in data.names:
        fitted = (features or {}).get(name)
        if not _differ(data.features[name], fitted):
            continue
        mean = np.zeros(shapes[name]) if means is None else means.get(name)
        data, extra = _with_fitted_features(data, name, np.ravel(fitted or []).tolist(), missing_features, mean)
        left_out += [f"{len(extra)} of {name!r}{_first_of(dict.fromkeys(extra))}"] if extra else []
    if left_out:
        warnings.warn(LEFT_OUT.format(modalities=", ".join(left_out)), UserWarning, stacklevel=5)
    for name, shape in data.shapes.items():
        if shape != tuple(shapes[name]):
            raise ValueError(WRONG_SHAPE.format(name=name, given=shape, fitted=tuple(shapes[name])))
    return data.select([name for name in shapes if name in data])


def check_features(name: str, given: Sequence[str] | NDArray[np.str_] | None, fitted: Sequence[str] | None) -> None:
    """Compare the feature names of a modality with the names at the fit; the names 0, 1, 2, ... are ignored.

    Raises
    ------
    ValueError
        If the names, or their order, differ.
    """
    if not _differ(given, fitted):
        return
    names, fitted_names = np.ravel(cast(Any, given)).tolist(), np.ravel(cast(Any, fitted)).tolist()
    lacking, new = Counter(fitted_names) - Counter(names), Counter(names) - Counter(fitted_names)
    if not (lacking or new):
        number = next(i for i, (a, b) in enumerate(zip(names, fitted_names, strict=True)) if a != b)
        raise ValueError(OTHER_ORDER.format(name=name, number=number, given=names[number], fitted=fitted_names[number]))
    counts = {"lacking": lacking.total(), "first_lacking": _first_of(lacking)}
    raise ValueError(OTHER_FEATURES.format(name=name, **counts, new=new.total(), first_new=_first_of(new)))


def _differ(given: Sequence[str] | NDArray[np.str_] | None, fitted: Sequence[str] | None) -> bool:
    """Whether both sides name their features, and differ; the names 0, 1, 2, ... are ignored."""
    if given is None or fitted is None:
        return False
    names, fitted_names = np.ravel(given).tolist(), np.ravel(fitted).tolist()
    return not (names == fitted_names or _are_numbers(names) or _are_numbers(fitted_names))


def _with_fitted_features(
    data: Modalities, name: str, fitted: list[str], missing_features: MissingFeatures, mean: NDArray | None
) -> tuple[Modalities, list[str]]:
    """Put the features of one modality in the fitted order; also returns the names of those that were left out."""
    given = np.ravel(cast(Any, data.features[name])).tolist()
    if len(data.shapes[name]) != 1 or (mean is not None and mean.ndim != 1):  # features of images are not moved
        check_features(name, given, fitted)
        return data, []
    repeated = [feature for feature, count in (Counter(fitted) + Counter(given)).items() if count > 2]
    repeated += [feature for names in (fitted, given) for feature, count in Counter(names).items() if count > 1]
    if any(feature in fitted and feature in given for feature in repeated):
        first = next(feature for feature in repeated if feature in fitted and feature in given)
        raise ValueError(REPEATED_FEATURE.format(name=name, feature=first))
    place = {feature: i for i, feature in enumerate(given)}
    columns = np.array([place.get(feature, -1) for feature in fitted], dtype=np.intp)
    if (columns < 0).all():
        raise ValueError(NO_FEATURES.format(name=name, fitted=len(fitted), given=given[0], first=fitted[0]))
    coded = {feature.rpartition("=")[0] for feature in given if "=" in feature}
    is_other_category = np.array(["=" in feature and feature.rpartition("=")[0] in coded for feature in fitted])
    lacking = [fitted[i] for i in np.flatnonzero((columns < 0) & ~is_other_category)]
    if lacking and (missing_features == "error" or mean is None):
        first_lacking = _first_of(dict.fromkeys(lacking))
        message = MISSING_FEATURES if missing_features == "error" else NO_MEANS
        counts = {"lacking": len(lacking), "fitted": len(fitted)}
        raise ValueError(message.format(name=name, first_lacking=first_lacking, **counts))
    fill = np.zeros(len(fitted)) if mean is None else np.where(is_other_category, 0.0, mean)
    extra = [feature for feature in given if feature not in set(fitted)]
    return data.with_features(name, fitted, columns, fill), extra


def check_values(data: Modalities, varying: bool, allow_nan: bool = False, visit: Visit | None = None) -> None:
    """Raise ValueError for values that are not finite or too large and, if `varying`, without enough variation.

    `visit` is called with each block that was checked, as by `check_for_fit`.
    """
    message, is_bad = (INFINITE, np.isinf) if allow_nan else (NOT_FINITE, _is_not_finite)
    for column, name in enumerate(data.names):
        rows = np.flatnonzero(data.present[:, column])
        first, extremes, varies, spread = None, None, False, 0.0
        for batch in row_batches(rows, data.shapes[name]):
            block = data.rows(name, _as_slice(batch))
            if not _is_finite(block) and is_bad(block).any():
                raise ValueError(message.format(name=name, **_count(data, name, rows, is_bad)))
            first = block[:1] if first is None else first
            if varying and not varies:
                extremes = _extremes(block, extremes)
                varies = _differ_clearly(*extremes, data.magnitudes.get(name, 0.0))
            if block.dtype.kind == "f" and block.dtype.itemsize >= 8:
                _check_range(data, name, batch, block)
                spread = spread if spread >= LEAST_SPREAD else max(spread, _largest(block - first))
            else:
                spread = np.inf
            if visit is not None:
                visit(name, batch, block)
            forget(data[name])
        if varying and not varies:
            raise ValueError(CONSTANT.format(name=name))
        if varying and spread < LEAST_SPREAD:
            raise ValueError(BELOW_RANGE.format(name=name, spread=spread, limit=LEAST_SPREAD))


def _extremes(block: NDArray, earlier: tuple[NDArray, NDArray] | None) -> tuple[NDArray, NDArray]:
    """Smallest and largest value of each feature in a block and in earlier blocks; NaN only if all values are NaN."""
    low, high = np.fmin.reduce(block, axis=0), np.fmax.reduce(block, axis=0)
    return (low, high) if earlier is None else (np.fmin(low, earlier[0]), np.fmax(high, earlier[1]))


def _differ_clearly(low: NDArray, high: NDArray, magnitude: ArrayLike) -> bool:
    """Whether any feature varies by more than rounding, of its values or of those from which they were computed."""
    if low.dtype.kind != "f":
        return bool((low != high).any())
    with np.errstate(over="ignore"):
        size = np.maximum(np.maximum(np.abs(low), np.abs(high)), magnitude)
        return bool(exceeds_rounding(high - low, size).any())


def _check_range(data: Modalities, name: str, rows: NDArray[np.intp], block: NDArray) -> None:
    """Raise an error if a value is so large that sums overflow."""
    if _largest(block) > LARGEST:
        of_samples = np.nanmax(np.abs(block.reshape(len(block), -1)), axis=1)
        place = int(np.nanargmax(of_samples))
        shown = {"value": float(of_samples[place]), "sample": _sample(data, int(rows[place])), "limit": LARGEST}
        raise ValueError(BEYOND_RANGE.format(name=name, **shown))


def _largest(block: NDArray) -> float:
    """Return the largest magnitude of the values that are not NaN; 0 if there are none."""
    if not block.size:
        return 0.0
    extremes = block.min(), block.max()
    if np.isnan(extremes).any():
        return float(np.nanmax(np.abs(block), initial=0.0))
    return float(max(-extremes[0], extremes[1]))


def _are_numbers(names: Sequence[str]) -> bool:
    return all(name == str(i) for i, name in enumerate(names))


def _first_of(names: Mapping[str, Any]) -> str:
    return f" ({next(iter(names))!r} first)" if names else ""


def _as_slice(rows: NDArray[np.intp]) -> NDArray[np.intp] | slice:
    """Convert consecutive row numbers to a slice, which copies nothing of an array in memory."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _is_not_finite(block: NDArray) -> NDArray[np.bool_]:
    return ~np.isfinite(block)


def _count(
    data: Modalities, name: str, rows: NDArray[np.intp], is_bad: Callable[[NDArray], NDArray[np.bool_]]
) -> dict[str, int | str]:
    """Count bad values, and find the first sample that has a bad value, with its name."""
    count, sample = 0, -1
    for batch in row_batches(rows, data.shapes[name]):
        bad = is_bad(data.rows(name, _as_slice(batch))).reshape(len(batch), -1)
        count += int(bad.sum())
        sample = int(batch[bad.any(axis=1).argmax()]) if sample < 0 and bad.any() else sample
    return {"count": count, "sample": _sample(data, sample)}


def _sample(data: Modalities, row: int) -> int | str:
    """Return the number of a sample, with its name if it has one."""
    return row if data.samples is None else f"{row} ({data.samples[row]!s})"


def _is_finite(block: NDArray) -> bool:
    """Return whether all values are finite; a finite sum proves it without a second look at the values."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(block.sum())) or bool(np.isfinite(block).all())


def check_ranks(
    data: Modalities, joint_rank: Any, individual_ranks: Any, auto: str | None = "auto"
) -> tuple[int | None, dict[str, int] | None]:
    """Check joint and individual ranks.

    Parameters
    ----------
    data : Modalities
        The data to be fitted.
    joint_rank : int or "auto"
        Number of joint components.
    individual_ranks : int, mapping of str to int, or "auto"
        Number of individual components, for all modalities or for each.
    auto : str or None, default="auto"
        The word for a rank that is chosen from the data, or None if ranks must be given.

    Returns
    -------
    joint_rank : int or None
        None for ``auto``.
    individual_ranks : dict of str to int, or None
        None for ``auto``.

    Raises
    ------
    TypeError, ValueError
        If a rank is not an integer of at least 0, is larger than the data allow, or belongs to an unknown modality.
    """
    joint = None if auto is not None and _is(joint_rank, auto) else _check_rank("joint_rank", joint_rank, auto)
    if joint is not None:
        for name in data.names:
            _check_limit("joint_rank", joint, data, name)
    return joint, check_modality_ranks("individual_ranks", data, individual_ranks, auto)


def check_modality_ranks(label: str, data: Modalities, ranks: Any, auto: str | None = "auto") -> dict[str, int] | None:
    """Check the ranks of the modalities.

    Parameters
    ----------
    label : str
        Name of the parameter, for error messages.
    data : Modalities
        The data to be fitted.
    ranks : int, mapping of str to int, or "auto"
        Number of components, for all modalities or for each.
    auto : str or None, default="auto"
        The word for a rank that is chosen from the data, or None if ranks must be given.

    Returns
    -------
    dict of str to int, or None
        None for ``auto``.

    Raises
    ------
    TypeError, ValueError
        As `check_ranks`.
    """
    if auto is not None and _is(ranks, auto):
        return None
    if not isinstance(ranks, Mapping):
        ranks = dict.fromkeys(data.names, ranks)
    if set(ranks) != set(data.names):
        raise ValueError(
            f"{label} names {list(ranks)}, but the modalities are {list(data.names)}. Give one rank for each, or one "
            "int."
        )
    checked = {}
    for name in data.names:
        checked[name] = _check_rank(f"{label}[{name!r}]", ranks[name], auto)
        _check_limit(f"{label}[{name!r}]", checked[name], data, name)
    return checked


def named_labels(
    labels: ArrayLike | Mapping[str, ArrayLike] | None, n: int, samples: NDArray[np.str_] | None = None
) -> dict[str, NDArray]:
    """Return labels of `n` samples by name; a single array gets the name "label", and None gives no labels.

    A pandas Series whose index names the `samples` is matched by name.

    Raises
    ------
    ValueError
        If there is not one label for each sample, if labels are of several kinds, or if two have the same name.

    Warns
    -----
    UserWarning
        If labels are infinite.
    """
    if labels is None:
        return {}
    by_name, named = _by_name(labels), {}
    check_names_differ("labels", by_name)
    for key, values in by_name.items():
        what = f"labels {str(key)!r}"
        named[str(key)] = without_infinite(plain_labels(in_order_of_samples(values, samples, what), what), what)
    for name, values in named.items():
        if values.shape != (n,):
            raise ValueError(
                f"There are {n} samples, but the labels {name!r} have shape {values.shape}. Give one label for each "
                "sample."
            )
    return named


def _by_name(labels: Any) -> Mapping[Any, Any]:
    """Labels by name: those of a mapping, the columns of a pandas or polars frame, or one array called "label"."""
    if isinstance(labels, Mapping):
        return labels
    if hasattr(labels, "iloc") and hasattr(labels, "columns"):
        check_names_differ("labels", labels.columns)
        return {name: labels.iloc[:, place] for place, name in enumerate(labels.columns)}
    return labels.to_dict() if hasattr(labels, "get_columns") else {"label": labels}


def without_infinite(labels: NDArray, name: str = "labels") -> NDArray:
    """Return labels without infinite numbers and without the text "nan", which count as missing, and warn of them."""
    if labels.dtype.kind == "U" and (rows := np.flatnonzero(np.isin(labels, TEXTS_OF_MISSING))).size:
        first = {"value": str(labels[rows[0]]), "row": rows[0], "count": len(rows)}
        warnings.warn(TEXT_OF_MISSING.format(name=name, **first), stacklevel=3)
        return np.where(np.isin(labels, TEXTS_OF_MISSING), "", labels)
    rows = np.flatnonzero(np.isinf(labels)) if labels.dtype.kind == "f" else np.zeros(0, dtype=int)
    if not len(rows):
        return labels
    first = {"value": labels[rows[0]], "row": rows[0], "count": len(rows)}
    warnings.warn(INFINITE_LABELS.format(name=name, **first), stacklevel=3)
    return np.where(np.isinf(labels), np.nan, labels)


def plain_labels(labels: ArrayLike, name: str = "labels") -> NDArray:
    """Return labels of any type, pandas' own types included, as text, truth values or numbers.

    Parameters
    ----------
    labels : array, shape (n_samples,)
        Text, truth values or numbers of one kind. None, NaN and pandas' NA are samples without a label.
    name : str, default="labels"
        What the labels are called in errors.

    Returns
    -------
    array, shape (n_samples,)
        Text, where a missing label is empty; truth values or whole numbers if none is missing; otherwise floats, where
        a missing label is NaN and truth values are 0 and 1.

    Raises
    ------
    TypeError
        If labels are of several kinds, or are neither text, truth values nor numbers.
    """
    values = np.asarray(tensor_values(labels) if hasattr(labels, "detach") else labels)
    if values.dtype.kind in "iufb":
        return values
    if values.dtype.kind in "UTS":
        return np.char.strip(as_texts(values))
    items = values.ravel().tolist() if values.dtype.kind == "O" else list(values.ravel())
    kinds = [_kind_of_label(item) for item in items]
    first = {kind: row for row, kind in reversed(list(enumerate(kinds))) if kind}
    if len(first) > 1 or "other" in first:
        shown = " and ".join(f"{items[row]!r} (sample {row})" for row in sorted(first.values())[:2])
        raise TypeError(MIXED_LABELS.format(name=name, shown=shown))
    if "text" in first or not first:
        texts = [text_of(item).strip() if kind else "" for item, kind in zip(items, kinds, strict=True)]
        return np.array(texts, str).reshape(values.shape)
    dtype = {"truth": bool, "number": None}[next(iter(first))] if all(kinds) else float
    present = [item if kind else np.nan for item, kind in zip(items, kinds, strict=True)]
    return np.array(present if dtype is not float else [float(item) for item in present], dtype).reshape(values.shape)


def _kind_of_label(item: Any) -> str:
    """Return "text", "truth", "number" or "other"; empty for a missing label."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(item, (str, bytes)):
        return "text" if item.strip() else ""
    if isinstance(item, (bool, np.bool_)):
        return "truth"
    if isinstance(item, (int, float, np.integer, np.floating)) and not isinstance(item, np.timedelta64):
        return "number" if item == item else ""
    return "other"


def _is(value: Any, word: str) -> bool:
    return isinstance(value, str) and value == word


def _check_rank(name: str, rank: Any, auto: str | None) -> int:
    alternative = f" or {auto!r}" if auto is not None else ""
    if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)):
        raise TypeError(RANK_NOT_INT.format(name=name, alternative=alternative, given=rank))
    if rank < 0:
        raise ValueError(RANK_NOT_INT.format(name=name, alternative=alternative, given=rank))
    return int(rank)


def _check_limit(label: str, rank: int, data: Modalities, name: str) -> None:
    n, p = len(data), int(np.prod(data.shapes[name]))
    if rank > min(n, p):
        raise ValueError(RANK_TOO_LARGE.format(name=label, given=rank, limit=min(n, p), n=n, p=p, modality=name))
