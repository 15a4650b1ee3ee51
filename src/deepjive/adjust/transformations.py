"""Transformations of the values of a modality, for what tables hold: counts, proportions, intensities.

- `log1p`: ``log(1 + x)``, for intensities, and for counts of equal depth.
- `log_cpm`: ``log2(1e6 (x + 2 t / m) / (t + 4 t / m))``, for counts; ``t`` is the total of the sample, and ``m`` the
  mean total of the fitted samples.
- `clr`: ``log x_j - mean_j log x_j``, for compositions. Values below half of the smallest positive value of the fitted
  samples, such as 0, are raised to it.
- `arcsinh`: ``arcsinh(x / 5)``, for cytometry.
- `logit`: ``log(x / (1 - x))``, for proportions such as methylation; x is kept between .001 and .999.
- `rank_normal`: the normal quantile of ``(r - 3/8) / (n + 1/4)``, for any feature; ``r`` is the rank of the value among
  the n fitted samples, and ties have their mean rank.

What a map needs to know (mean total, smallest value, ranks) is learned from the fitted samples. Totals and means of a
sample are those of its measured features. The inverse of `log_cpm` and of `clr` is a sample of the mean total, or of
the mean logarithm, of the fitted samples.

Sources:

- Robinson, McCarthy and Smyth 2010, edgeR, Bioinformatics 26: `log_cpm` is edgeR's ``cpm(log = TRUE)``, prior count 2.
- Aitchison 1986, The statistical analysis of compositional data: `clr`.
- Blom 1958, Statistical estimates and transformed beta variables: the constants of `rank_normal`.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from deepjive.data.chunks import row_batches
from deepjive.data.readers.lazy import read_rows

TransformationName = Literal["log1p", "log_cpm", "clr", "arcsinh", "logit", "rank_normal"]

COFACTOR = 5.0
SMALLEST_PROPORTION = 1e-3
PRIOR_COUNT = 2.0
PER_MILLION = 1e6
MOST_RANKED, MOST_QUANTILES = 10_000, 1_000

OUT_OF_RANGE = (
    "Modality {name!r} has {count} values {which}, the first in sample {sample}, feature {feature!r}, but {kind!r} is "
    "for values {allowed}. {remedy}"
)
OTHER_KIND = "Check the values, or use another transformation, such as 'arcsinh' or 'rank_normal'."
OF_CHANGES = "The samples are differences between visits: transform the values before within()."


@dataclass(frozen=True)
class Transformation(ABC):
    """A map of the values of one modality, as learned from the fitted samples; NaN stay NaN."""

    low = -np.inf
    high = np.inf
    by_sample = False  # whether a value depends on the other features of its sample

    @classmethod
    def learn(cls, array: Any, rows: NDArray[np.intp]) -> Self:
        """Learn the map from the samples in `rows` of an array (n_samples, ...)."""
        return cls()

    @abstractmethod
    def forward(self, values: NDArray) -> NDArray:
        """Transform values (n_samples, n_features)."""

    @abstractmethod
    def inverse(self, values: NDArray) -> NDArray:
        """Undo the map for transformed values (n_samples, n_features)."""

    def state(self) -> dict[str, Any]:
        """What was learned, as numbers and arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Log1p(Transformation):
    """Logarithm of 1 + x."""

    low = 0.0

    def forward(self, values: NDArray) -> NDArray:
        return np.log1p(values)

    def inverse(self, values: NDArray) -> NDArray:
        return np.expm1(values)


@dataclass(frozen=True)
class Arcsinh(Transformation):
    """Inverse hyperbolic sine of x / 5."""

    def forward(self, values: NDArray) -> NDArray:
        return np.arcsinh(values / COFACTOR)

    def inverse(self, values: NDArray) -> NDArray:
        return COFACTOR * np.sinh(values)


@dataclass(frozen=True)
class Logit(Transformation):
    """Logarithm of the odds of a proportion."""

    low, high = 0.0, 1.0

    def forward(self, values: NDArray) -> NDArray:
        return np.asarray(special.logit(np.clip(values, SMALLEST_PROPORTION, 1.0 - SMALLEST_PROPORTION)))

    def inverse(self, values: NDArray) -> NDArray:
        return np.asarray(special.expit(values))


@dataclass(frozen=True)
class LogCPM(Transformation):
    """Logarithm of counts per million."""

    mean_total: float = 1.0
    low = 0.0
    by_sample = True

    @classmethod
    def learn(cls, array: Any, rows: NDArray[np.intp]) -> Self:
        totals = np.concatenate([np.nansum(values, axis=1) for values in blocks(array, rows)])
        return cls(float(totals.mean()) or 1.0)

    def forward(self, values: NDArray) -> NDArray:
        totals = np.nansum(values, axis=1, keepdims=True)
        fractions = values / np.where(totals > 0.0, totals, 1.0)
        prior = PRIOR_COUNT / self.mean_total
        return np.log2(PER_MILLION * (fractions + prior) / (1.0 + 2.0 * prior))

    def inverse(self, values: NDArray) -> NDArray:
        prior = PRIOR_COUNT / self.mean_total
        fractions = np.exp2(values) / PER_MILLION * (1.0 + 2.0 * prior) - prior
        return np.maximum(fractions, 0.0) * self.mean_total


@dataclass(frozen=True)
class CenteredLogRatio(Transformation):
    """Logarithm minus its mean over the features of the sample."""

    smallest: float = 1.0
    mean_log: float = 0.0
    low = 0.0
    by_sample = True

    @classmethod
    def learn(cls, array: Any, rows: NDArray[np.intp]) -> Self:
        smallest = min(float(values[values > 0].min(initial=np.inf)) for values in blocks(array, rows))
        first = cls(smallest / 2.0 if np.isfinite(smallest) else 1.0)
        centers = np.concatenate([first._centers(first._logs(values)) for values in blocks(array, rows)])
        return cls(first.smallest, float(centers.mean()))

    def _logs(self, values: NDArray) -> NDArray:
        return np.log(np.maximum(values, self.smallest))

    def _centers(self, logs: NDArray) -> NDArray:
        measured = ~np.isnan(logs)
        return np.where(measured, logs, 0.0).sum(axis=1) / np.maximum(measured.sum(axis=1), 1)

    def forward(self, values: NDArray) -> NDArray:
        logs = self._logs(values)
        return logs - self._centers(logs)[:, None]

    def inverse(self, values: NDArray) -> NDArray:
        return np.exp(values + self.mean_log)


@dataclass(frozen=True)
class RankNormal(Transformation):
    """Normal quantile of the rank among the fitted samples."""

    counts: NDArray
    quantiles: NDArray

    @classmethod
    def learn(cls, array: Any, rows: NDArray[np.intp]) -> Self:
        values = np.concatenate([*blocks(array, some_of(rows))])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="All-NaN slice")
            quantiles = np.nanquantile(values, np.linspace(0.0, 1.0, min(len(values), MOST_QUANTILES)), axis=0)
        return cls((~np.isnan(values)).sum(axis=0).astype(np.float64), quantiles)

    def forward(self, values: NDArray) -> NDArray:
        fractions, known = np.full(values.shape, np.nan), np.linspace(0.0, 1.0, len(self.quantiles))
        for column, (x, quantiles) in enumerate(zip(values.T, self.quantiles.T, strict=True)):
            # the last and the first of equal quantiles, so that ties are in the middle
            last, first = np.interp(x, quantiles, known), -np.interp(-x, -quantiles[::-1], -known[::-1])
            fractions[:, column] = (last + first) / 2.0
        ranks = 1.0 + fractions * (self.counts - 1.0)
        return np.asarray(special.ndtri((ranks - 0.375) / (self.counts + 0.25)))

    def inverse(self, values: NDArray) -> NDArray:
        ranks, known = special.ndtr(values) * (self.counts + 0.25) + 0.375, np.linspace(0.0, 1.0, len(self.quantiles))
        fractions = (ranks - 1.0) / np.maximum(self.counts - 1.0, 1.0)
        columns = zip(fractions.T, self.quantiles.T, strict=True)
        inverse = [np.interp(fraction, known, quantiles) for fraction, quantiles in columns]
        return np.stack(inverse, axis=1).reshape(values.shape)


TRANSFORMATIONS: dict[str, type[Transformation]] = {
    "log1p": Log1p,
    "log_cpm": LogCPM,
    "clr": CenteredLogRatio,
    "arcsinh": Arcsinh,
    "logit": Logit,
    "rank_normal": RankNormal,
}


def name_of(transformation: Transformation) -> str:
    """Return the name of a transformation."""
    return next(name for name, kind in TRANSFORMATIONS.items() if type(transformation) is kind)


def from_state(state: Mapping[str, Any]) -> Transformation:
    """Return the transformation from its name and its state."""
    learned = {key: np.asarray(value) if np.ndim(value) else float(value) for key, value in state["learned"].items()}
    return TRANSFORMATIONS[state["name"]](**learned)


def blocks(array: Any, rows: NDArray[np.intp]) -> Iterator[NDArray]:
    """Yield the values of some samples, a few samples at a time, each of shape (n, n_features)."""
    for batch in row_batches(rows, tuple(array.shape[1:])):
        yield np.asarray(read_rows(array, batch), dtype=np.float64).reshape(len(batch), -1)


def some_of(rows: NDArray[np.intp], most: int = MOST_RANKED) -> NDArray[np.intp]:
    """Return at most `most` of the rows, evenly spaced."""
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, most).astype(np.intp)])


def check_range(name: str, kind: str, values: NDArray, rows: NDArray[np.intp], words: RangeWords) -> None:
    """Raise if values (n, n_features) are out of the range of a transformation.

    Raises
    ------
    ValueError
        The error names modality, sample, feature and remedy.
    """
    low, high = TRANSFORMATIONS[kind].low, TRANSFORMATIONS[kind].high
    is_out = (values < low) | (values > high)
    if not is_out.any():
        return
    row, column = np.argwhere(is_out)[0]
    raise ValueError(
        OUT_OF_RANGE.format(
            name=name,
            count=int(is_out.sum()),
            which=f"below {low:g}" if np.isinf(high) else f"outside {low:g} to {high:g}",
            sample=words.sample(int(rows[row])),
            feature=words.feature(int(column)),
            kind=kind,
            allowed=f"of at least {low:g}" if np.isinf(high) else f"from {low:g} to {high:g}",
            remedy=OF_CHANGES if words.is_change else OTHER_KIND,
        )
    )


@dataclass(frozen=True)
class RangeWords:
    """Names of samples and features for errors.

    Attributes
    ----------
    samples, features : array of str or None
        Their names.
    is_change : bool
        Whether samples are differences between visits.
    """

    samples: NDArray | None
    features: NDArray | None
    is_change: bool = False

    def sample(self, row: int) -> str:
        """The number of a sample, and its name."""
        return str(row) if self.samples is None else f"{row} ({str(self.samples[row])!r})"

    def feature(self, column: int) -> Any:
        """The name of a feature, or its number."""
        return column if self.features is None else str(np.ravel(self.features)[column])
