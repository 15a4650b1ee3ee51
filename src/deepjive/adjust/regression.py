"""Confounds of one modality: their effects are learned from some samples, and taken out of these and of others.

    x_i = a + B' c_i + l_s + f_s e_i          adjusted:  a + e_i

``c_i`` holds the continuous confounds and the indicators of categories, both measured from their mean over the fitted
samples, so that adjusted values are those of a sample with mean confounds. ``l_s`` and ``f_s`` are shift and scale of
the sample's site; without a site they are 0 and 1. ``B`` is a least-squares estimate together with the means of the
sites.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.adjust.sites import shrunken
from deepjive.algebra import thin_svd
from deepjive.data.chunks import row_batches
from deepjive.data.confounds import Confounds
from deepjive.data.readers.lazy import read_rows

FEWEST_AT_SITE = 2
ROUNDING = 1e-12  # of effects, from least squares with confounds that may be nearly collinear
ROUNDING_OF_VALUES = 8 * float(np.finfo(np.float64).eps)

CONSTANT = (
    "The confound {name!r} is {value} in all {n} fitted samples, so that it has no effect to learn. Leave it out."
)
TOO_MANY = (
    "The confounds {names} have {given} columns together with their categories, but only {n} samples were fitted. "
    "Leave out confounds, or merge categories, until there are clearly more samples than columns."
)
TOO_FEW_AT_SITE = (
    "The site {site!r} of confound {name!r} has {count} sample{s} in modality {modality!r}, but a site's shift and "
    "scale need at least 2. Leave out its samples, merge it with another site, or set site=None (--site none) for a "
    "shift alone."
)
UNKNOWN_CATEGORY = (
    "The confound {name!r} is {value!r} in {count} samples (the first is sample {sample}), but the model was fitted to "
    "{known}: the effect of {value!r} is not known. Fit again with samples of {value!r}, or leave out these samples."
)
OTHER_CONFOUNDS = (
    "The model was fitted with the confounds {fitted}, but the data have {given}. Give the same confounds."
)
SHOWN = 10


@dataclass(frozen=True)
class Coding:
    """Columns of numbers for confounds, as learned from the fitted samples.

    Attributes
    ----------
    levels : dict of str to list of str
        The categories of each confound; an empty list for a continuous confound.
    center, size : array, shape (n_columns,)
        Mean and standard deviation of each column over the fitted samples.
    site : str or None
        The confound that is the site. It has no column.
    """

    levels: dict[str, list[str]]
    center: NDArray
    size: NDArray
    site: str | None

    @classmethod
    def of(cls, confounds: Confounds) -> Coding:
        """Learn the coding.

        Raises
        ------
        ValueError
            If a confound is constant, or if there are nearly as many columns as samples.
        """
        n, levels = len(confounds), {}
        for name, values in confounds.columns.items():
            unique = np.unique(values)
            if len(unique) < 2:
                raise ValueError(CONSTANT.format(name=name, value=repr(unique[0].item()) if n else "missing", n=n))
            levels[name] = unique.tolist() if values.dtype.kind == "U" else []
        raw = _columns(confounds, levels, confounds.site)
        n_sites = len(levels[confounds.site]) if confounds.site else 1
        if raw.shape[1] + n_sites > n - 2:
            given = raw.shape[1] + n_sites - 1
            raise ValueError(TOO_MANY.format(names=list(confounds.columns), given=given, n=n))
        size = raw.std(axis=0)
        return cls(levels, raw.mean(axis=0), np.where(size > 0, size, 1.0), confounds.site)

    def columns(self, confounds: Confounds) -> NDArray:
        """Columns of other samples, shape (n_samples, n_columns)."""
        return (_columns(confounds, self.levels, self.site) - self.center) / self.size

    def sites(self, confounds: Confounds) -> NDArray[np.intp]:
        """Number of each sample's site, shape (n_samples,); 0 without sites."""
        if self.site is None:
            return np.zeros(len(confounds), dtype=np.intp)
        return np.searchsorted(self.levels[self.site], confounds.columns[self.site]).astype(np.intp)

    @property
    def n_sites(self) -> int:
        """Number of sites, at least 1."""
        return 1 if self.site is None else len(self.levels[self.site])

    def check(self, confounds: Confounds | None) -> None:
        """Raise ValueError if other samples lack a confound, or have a category that was not fitted."""
        given = [] if confounds is None else list(confounds.columns)
        if confounds is None or set(given) != set(self.levels):
            raise ValueError(OTHER_CONFOUNDS.format(fitted=list(self.levels), given=given or "none"))
        for name, levels in self.levels.items():
            values = confounds.columns[name]
            if bool(levels) != (values.dtype.kind == "U"):
                kinds = ["categories" if levels else "numbers", "numbers" if levels else "categories"]
                raise ValueError(f"The confound {name!r} had {kinds[0]} in `fit`, but has {kinds[1]} now.")
            unknown = np.flatnonzero(~np.isin(values, levels)) if levels else np.zeros(0, dtype=np.intp)
            if len(unknown):
                value = str(values[unknown[0]])
                shown = ", ".join(map(repr, levels[:SHOWN])) + (", ..." if len(levels) > SHOWN else "")
                count = int((values == value).sum())
                sample = int(unknown[0])
                raise ValueError(
                    UNKNOWN_CATEGORY.format(name=name, value=value, count=count, sample=sample, known=shown)
                )

    def state(self) -> dict[str, Any]:
        """The coding as dicts, lists and arrays."""
        return {"levels": self.levels, "center": self.center, "size": self.size, "site": self.site or ""}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Coding:
        """The coding from its state."""
        levels = {name: list(values) for name, values in state["levels"].items()}
        return cls(levels, np.asarray(state["center"]), np.asarray(state["size"]), state["site"] or None)


def _columns(confounds: Confounds, levels: Mapping[str, list[str]], site: str | None) -> NDArray:
    """Continuous confounds, and indicators of all categories but the first, shape (n_samples, n_columns)."""
    columns = []
    for name, known in levels.items():
        values = confounds.columns[name]
        if name != site:
            columns += [values == level for level in known[1:]] if known else [values]
    stacked = np.stack(columns, axis=1) if columns else np.zeros((len(confounds), 0))
    return stacked.astype(np.float64)


@dataclass(frozen=True)
class Effects:
    """Effects of confounds on the features of one modality.

    Attributes
    ----------
    reference : array, shape (n_features,)
        Values of a sample with mean confounds, ``a``.
    slopes : array, shape (n_columns, n_features)
        Effect of each column of the coding, ``B``.
    shifts, scales : array, shape (n_sites, n_features)
        Shift and scale of each site, ``l_s`` and ``f_s``.
    magnitude : array, shape (n_features,), or None
        Size of the numbers from which the values were computed; None if it is that of the values, as in older models.
    """

    reference: NDArray
    slopes: NDArray
    shifts: NDArray
    scales: NDArray
    magnitude: NDArray | None = None

    def remove(self, values: NDArray, columns: NDArray, sites: NDArray[np.intp]) -> NDArray:
        """Take the effects out of values (n_samples, n_features); what is left of them by rounding becomes 0."""
        deviation = values - self.reference - columns @ self.slopes - self.shifts[sites]
        deviation[np.abs(deviation) <= _rounding(self.reference, self.slopes, self.shifts, self.magnitude)] = 0.0
        return deviation / self.scales[sites] + self.reference

    def restore(self, values: NDArray, columns: NDArray, sites: NDArray[np.intp]) -> NDArray:
        """Put the effects back into adjusted values (n_samples, n_features)."""
        return (
            (values - self.reference) * self.scales[sites]
            + self.reference
            + columns @ self.slopes
            + (self.shifts[sites])
        )

    def state(self) -> dict[str, NDArray]:
        """The effects as arrays by name."""
        arrays = {"reference": self.reference, "slopes": self.slopes, "shifts": self.shifts, "scales": self.scales}
        return arrays if self.magnitude is None else {**arrays, "magnitude": self.magnitude}

    def size_before(self) -> NDArray:
        """Magnitude of the values from which the effects are taken, shape (n_features,)."""
        effects = np.abs(self.slopes).sum(axis=0) + np.abs(self.shifts).max(axis=0)
        size = np.maximum(np.abs(self.reference), effects)
        return size if self.magnitude is None else np.maximum(size, self.magnitude)


def learn(
    name: str,
    array: Any,
    rows: NDArray[np.intp],
    confounds: Confounds,
    coding: Coding,
    magnitude: NDArray | None = None,
) -> Effects:
    """Learn the effects of confounds on one modality; the modality is read twice.

    Parameters
    ----------
    name : str
        The modality.
    array : array-like, shape (n_samples, ...)
        Its values; NaN are missing values.
    rows : array of int
        Samples that have the modality.
    confounds : Confounds
        Confounds of all samples.
    coding : Coding
        Their coding.
    magnitude : array, shape (n_features,), optional
        Size of the numbers from which the values were computed.

    Returns
    -------
    Effects

    Raises
    ------
    ValueError
        If a site has fewer than two samples.
    """
    columns, sites = coding.columns(confounds), coding.sites(confounds)
    counts = np.bincount(sites[rows], minlength=coding.n_sites)
    if coding.site is not None and counts.min() < FEWEST_AT_SITE:
        few = int(counts.argmin())
        raise ValueError(
            TOO_FEW_AT_SITE.format(
                site=coding.levels[coding.site][few],
                name=coding.site,
                count=int(counts[few]),
                s="" if counts[few] == 1 else "s",
                modality=name,
            )
        )
    design = np.concatenate([np.eye(coding.n_sites)[sites], columns], axis=1)
    origin, largest, solution = least_squares(array, rows, design)
    means, slopes = solution[: coding.n_sites], solution[coding.n_sites :]
    mean = (counts / counts.sum()) @ means
    reference, shifts, scales = origin + mean, np.zeros_like(means), np.ones_like(means)
    if coding.site is not None:
        shifts, scales = _site_effects(
            array, rows, (columns, sites), (reference, means - mean, slopes), largest, magnitude
        )
    return Effects(reference, slopes, shifts, scales, magnitude)


def _rounding(reference: NDArray, slopes: NDArray, shifts: NDArray, magnitude: NDArray | None) -> NDArray:
    """Largest rounding error of values from which effects were taken, shape (n_features,)."""
    effects = np.abs(slopes).sum(axis=0) + np.abs(shifts).max(axis=0)
    size = np.abs(reference) if magnitude is None else np.maximum(np.abs(reference), magnitude)
    return np.asarray(ROUNDING * effects + ROUNDING_OF_VALUES * size)


def _blocks(array: Any, rows: NDArray[np.intp]) -> Any:
    for batch in row_batches(rows, tuple(array.shape[1:])):
        yield batch, np.asarray(read_rows(array, batch), dtype=np.float64).reshape(len(batch), -1)


def least_squares(array: Any, rows: NDArray[np.intp], design: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """One value of each feature, the largest difference from it, and coefficients (n_columns, n_features) of the rest.

    The differences are exactly 0 in constant features.
    """
    basis, coefficients_of = _orthonormal(design, rows)
    width, n_columns = int(np.prod(array.shape[1:])), basis.shape[1]
    products, lost = np.zeros((n_columns, width)), None
    origin, largest = np.full(width, np.nan), np.zeros(width)
    for batch, values in _blocks(array, rows):
        d, missing = basis[batch], np.isnan(values)
        first = values[(~missing).argmax(axis=0), np.arange(width)]
        origin = np.where(np.isnan(origin), first, origin)
        values = values - origin
        if missing.any():
            lost = np.zeros((width, n_columns, n_columns)) if lost is None else lost
            lost += np.einsum("nf,ni,nj->fij", missing, d, d, optimize=True)
            values = np.where(missing, 0.0, values)
        products += d.T @ values
        largest = np.maximum(largest, np.abs(values).max(axis=0))
    if lost is not None:
        products = np.einsum("fij,jf->if", np.linalg.pinv(np.eye(n_columns) - lost, hermitian=True), products)
    return np.nan_to_num(origin), largest, coefficients_of @ products


def _orthonormal(design: NDArray, rows: NDArray[np.intp]) -> tuple[NDArray, NDArray]:
    """An orthonormal basis of the columns over `rows`, and the matrix from its coefficients to those of the columns.

    Products of the columns themselves would have the square of their condition number. Rows outside `rows` are 0.
    """
    left, values, right = thin_svd(design[rows])
    kept = values > values.max(initial=0.0) * max(left.shape) * np.finfo(np.float64).eps
    basis = np.zeros((len(design), int(kept.sum())))
    basis[rows] = left[:, kept]
    return basis, right[kept].T / values[kept]


def _site_effects(
    array: Any,
    rows: NDArray[np.intp],
    coded: tuple[NDArray, NDArray[np.intp]],
    fitted: tuple[NDArray, NDArray, NDArray],
    largest: NDArray,
    magnitude: NDArray | None,
) -> tuple[NDArray, NDArray]:
    """Shifts and scales (n_sites, n_features) of the sites, from reference, means of sites about it, and slopes."""
    (columns, sites), (reference, means, slopes) = coded, fitted
    shape, rounding = means.shape, _rounding(reference, slopes, means, magnitude)
    unit = np.where(largest > 0.0, largest, 1.0)  # squares neither overflow nor vanish
    count, total, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for batch, values in _blocks(array, rows):
        within = values - reference - columns[batch] @ slopes - means[sites[batch]]
        measured = ~np.isnan(within)
        within = np.where(measured & (np.abs(within) > rounding), within / unit, 0.0)
        members = np.eye(shape[0])[sites[batch]]
        count += members.T @ measured
        total += members.T @ within
        squares += members.T @ np.square(within)
    sigma = np.sqrt(squares.sum(axis=0) / np.maximum(count.sum(axis=0), 1.0))
    varies = (sigma > 0.0) & (count.min(axis=0) >= FEWEST_AT_SITE)
    sigma = np.where(varies, sigma, 1.0)
    averages = (means / unit + total / np.maximum(count, 1.0)) / sigma
    about_averages = np.maximum(squares - np.square(total) / np.maximum(count, 1.0), 0.0) / sigma**2
    shifts, scales = np.zeros(shape), np.ones(shape)
    for site in range(shape[0]):
        shift, variance = shrunken(count[site], averages[site], about_averages[site], varies)
        shifts[site], scales[site] = np.where(varies, unit * sigma * shift, means[site]), np.sqrt(variance)
    return shifts, scales
