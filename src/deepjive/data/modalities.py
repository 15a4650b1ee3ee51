"""Modalities: the arrays of all modalities of the same samples.

Modalities are a mapping from names to arrays. Their length is the number of *samples*, so that scikit-learn splits them
by sample. A selection of samples of an array on disk is read from disk when its values are needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive._html import html_table
from deepjive.data.alignment import as_array, feature_names, named_sources
from deepjive.data.confounds import Confounds, confounds_of
from deepjive.data.groups import named_groups
from deepjive.data.levels import Level, LevelName
from deepjive.data.orientation import lengths_advice, turned
from deepjive.data.pairing import Pairing, in_order_of_samples, pair
from deepjive.data.readers.lazy import LazyRows, SelectedFeatures, in_memory, read_rows, row_numbers, select_rows
from deepjive.data.readers.volumes import rows_with_image

__all__ = ["NO_MODALITY", "LazyRows", "Modalities", "as_modalities"]

UnmatchedName = Literal["error", "drop", "keep"]
UNEQUAL_SAMPLES = (
    "All modalities must be measured on the same samples, but the numbers of samples differ: {lengths}. "
    "Give every modality the same samples in the same order; a sample that lacks a modality keeps its row there, "
    "filled with anything, and is marked in `present`."
)
NO_MODALITY = "There is no modality {name!r}; the modalities are {names}."
WRONG_FEATURES = "`features` names {given} features of modality {name!r}, whose samples have shape {shape}."
REPEATED_FEATURES = (
    "Several features have the same name in {modalities}. They are kept as different features in the order in which "
    "they stand."
)
WRONG_PRESENT = (
    "`present` must be a boolean array of shape (n_samples, n_modalities) = {expected}, but has shape {shape}."
)


class Modalities:
    """Arrays of several modalities measured on the same samples.

    Parameters
    ----------
    data : mapping of str to array, sequence of arrays, or Modalities
        For each modality an array of shape ``(n_samples, ...)``: a NumPy array or memmap, a torch tensor, a pandas
        or polars data frame, a sparse matrix (its rows become dense when they are read), anything with ``shape``,
        ``dtype`` and indexing by rows (zarr, HDF5, dask), the path of a file (see `deepjive.data.files.read_array`),
        or a list or Series of images, one for each sample: paths, nibabel images, or None for a sample without this
        modality. A sequence names its modalities ``"modality_1"``, ``"modality_2"``, ... See also `from_mudata` and
        `from_dataset`.
    samples : sequence of str, optional
        Names of the rows of all arrays and tables that do not name their rows. Data frames, tables and AnnData name
        them by their index.
    present : array of bool, shape (n_samples, n_modalities), optional
        False if a sample lacks a modality; its row of that array is ignored. By default all are present.
    features : mapping of str to sequence of str, optional
        Names of the features of some modalities. By default the columns of data frames.
    groups : array, shape (n_samples,), optional
        The participant of each sample, if some participants have several samples, such as visits. All samples of a
        participant are held out, drawn and permuted together.
    confounds : data frame or mapping of str to array, optional
        What is known of each sample and shall not be found again, such as age, sex and scanner. Estimators take it out
        of every modality; see `deepjive.adjust.regression`. Numbers are continuous, and text has categories. Rows of a
        frame whose index names the samples are matched by name.
    site : str or None, default="auto"
        The confound that is the site, whose effect is a shift and a scale of each feature. "auto" is the confound that
        is called site, scanner, batch, center or centre; None means that none is.
    unmatched : {"error", "drop", "keep"}, default="error"
        Treatment of samples that some data frames or tables lack: raise an error, drop them, or keep them with missing
        modalities in `present`.
    features_in_rows : bool or sequence of str, optional
        Whether the rows of tables and frames are features and their columns are samples: True or False for all, or the
        names of the modalities of which this is true. By default rows are samples, and tables whose names say
        otherwise are refused.

    Raises
    ------
    TypeError
        If `data` is not a collection of arrays, or an array does not hold numbers.
    ValueError
        If the modalities have different numbers of samples, data frames have different samples, some modalities name
        their rows and others do not, `groups` has another length, or a sample has no participant or lacks a confound.

    Warns
    -----
    UserWarning
        If a modality names several features alike.

    Notes
    -----
    Rows are paired by name if every modality names its rows, and by position if none does. `pairing` and ``repr`` say
    which, and which samples were left out.

    Examples
    --------
    >>> import numpy as np
    >>> from deepjive import Modalities
    >>> data = Modalities({"mri": np.zeros((5, 4, 4)), "pet": np.ones((5, 3))})
    >>> data.shape, data.names
    ((5, 2), ('mri', 'pet'))
    >>> data[[0, 2]]["pet"].shape
    (2, 3)
    """

    def __init__(
        self,
        data: Any,
        *,
        samples: Sequence[str] | NDArray | None = None,
        present: ArrayLike | None = None,
        features: Mapping[str, Any] | None = None,
        groups: ArrayLike | None = None,
        confounds: Any = None,
        site: str | None = "auto",
        unmatched: UnmatchedName = "error",
        features_in_rows: bool | Sequence[str] | None = None,
    ) -> None:
        if isinstance(data, Modalities):
            samples = data.samples if samples is None else samples
            groups = data.groups if groups is None else groups
            confounds = data.confounds if confounds is None else confounds
            present = data.present if present is None else present
            arrays, known, pairing = dict(data.items()), dict(data.features), data.pairing
        else:
            sources = named_sources(data, features_in_rows)
            said = [name for name, is_turned in turned(features_in_rows, [*sources]).items() if is_turned is not None]
            paired = pair(sources, unmatched, samples, said)
            present = paired.present if present is None else present
            samples, pairing = paired.samples, paired.pairing
            known = {name: feature_names(source) for name, source in paired.sources.items()}
            arrays = {name: as_array(name, source) for name, source in paired.sources.items()}
        self._arrays: dict[str, Any] = arrays
        self._features: dict[str, NDArray[np.str_] | None] = known
        self._pairing: Pairing = pairing
        self._check_lengths()
        self._features.update(self._checked_features(features or {}))
        if not isinstance(data, Modalities):
            self._warn_of_repeated_features()
        self._samples = self._checked_samples(samples)
        self._present = self._checked_present(present)
        self._groups = (
            None if groups is None else named_groups(len(self), in_order_of_samples(groups, self._samples, "groups"))
        )
        self._confounds = confounds_of(confounds, self._samples, len(self), site)
        self._is_adjusted = isinstance(data, Modalities) and data.is_adjusted
        self._is_transformed = isinstance(data, Modalities) and data.is_transformed
        self._level = data.level if isinstance(data, Modalities) else None
        self._visits: Modalities | None = data.visits if isinstance(data, Modalities) else None
        self._magnitudes: dict[str, NDArray] = data.magnitudes if isinstance(data, Modalities) else {}

    @classmethod
    def from_mudata(
        cls,
        mdata: Any,
        *,
        modalities: Sequence[str] | None = None,
        layer: str | Mapping[str, str] | None = None,
        use_rep: str | Mapping[str, str] | None = None,
    ) -> Modalities:
        """Create Modalities from a MuData.

        Parameters
        ----------
        mdata : mudata.MuData or mapping of str to anndata.AnnData
            Its observations become the samples, its variables the features. An observation that a modality lacks is
            missing there in `present`. Sparse matrices stay sparse, and backed matrices stay on disk, until rows are
            read.
        modalities : sequence of str, optional
            Names of the modalities to take; all by default.
        layer : str or mapping of str to str, optional
            Layer to take instead of ``X``, of all modalities or of some.
        use_rep : str or mapping of str to str, optional
            Entry of ``obsm`` to take instead of ``X``, such as ``{"rna": "X_pca"}``.

        Returns
        -------
        Modalities

        Raises
        ------
        TypeError, ValueError
            If `mdata` holds no AnnData, names an observation twice, or lacks the requested entry of ``layers`` or
            ``obsm``.
        """
        from deepjive.data.readers.annotated import collect

        source = collect(mdata, modalities, layer, use_rep)
        data = cls(source.arrays, samples=source.samples, present=source.present, features=source.features)
        rows = {name: int(count) for name, count in zip(data.names, source.present.sum(axis=0), strict=True)}
        data._pairing = Pairing("name", rows)
        return data

    @classmethod
    def from_dataset(cls, dataset: Any, names: Sequence[str | None] | None = None) -> Modalities:
        """Create Modalities from a map-style torch ``Dataset``, whose items are the samples and are read when needed.

        Parameters
        ----------
        dataset : torch.utils.data.Dataset
            Its items are dicts of names to arrays or tensors, or tuples of them.
        names : sequence of str or None, optional
            For dicts, the modalities to take. For tuples, a name for each entry, or None for an entry that is not a
            modality, such as a label.

        Returns
        -------
        Modalities

        Raises
        ------
        TypeError, ValueError
            If the dataset is not map-style, is empty, or its items are not what `names` says.
        """
        from deepjive.data.readers.items import rows_of_dataset

        return cls(rows_of_dataset(dataset, names))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self._arrays)

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_samples, n_modalities)``."""
        return len(self), len(self._arrays)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one sample in each modality."""
        return {name: tuple(array.shape[1:]) for name, array in self._arrays.items()}

    @property
    def samples(self) -> NDArray[np.str_] | None:
        """Names of the samples, shape (n_samples,), or None if they have no names."""
        return self._samples

    @property
    def features(self) -> dict[str, NDArray[np.str_] | None]:
        """Names of each modality's features, shape (n_features,), or None if they have no names."""
        return self._features

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which sample has which modality, shape (n_samples, n_modalities)."""
        return self._present

    @property
    def groups(self) -> NDArray | None:
        """The participant of each sample, shape (n_samples,), or None if each participant has one sample."""
        return self._groups

    @property
    def confounds(self) -> Confounds | None:
        """Confounds of the samples, or None if there are none."""
        return self._confounds

    @property
    def is_adjusted(self) -> bool:
        """Whether the values are those that a model made for itself (`adjust`), without confounds and in its units."""
        return self._is_adjusted

    @property
    def is_transformed(self) -> bool:
        """Whether a model has transformed the values, as in the data of its parts; then it does not do so again."""
        return self._is_transformed

    @property
    def magnitudes(self) -> dict[str, NDArray]:
        """Sizes of the values before an offset or confounds were taken out, of the modalities of which this is known.

        They have the shape of one sample, in the units of the present values. Differences of large values are exact
        only up to the rounding errors of these values, so that what remains is judged against their size.
        """
        return dict(self._magnitudes)

    @property
    def pairing(self) -> Pairing:
        """How the rows of the modalities were paired, and which samples were left out."""
        return self._pairing

    @property
    def n_participants(self) -> int:
        """Number of participants."""
        return len(self) if self._groups is None else len(np.unique(self._groups))

    def rows(self, name: str, indices: Any) -> NDArray:
        """Read some samples of one modality into memory.

        Parameters
        ----------
        name : str
            The modality.
        indices : slice or array of int or bool
            The samples.

        Returns
        -------
        array, shape (n_selected, ...)
        """
        self._check_name(name)
        return read_rows(self._arrays[name], indices)

    def select(self, names: Sequence[str]) -> Modalities:
        """Return some modalities, in the order of `names`."""
        names = list(dict.fromkeys(names))
        for name in names:
            self._check_name(name)
        columns = [self.names.index(name) for name in names]
        arrays = {name: self._arrays[name] for name in names}
        new = self._like(arrays, self._samples, self._present[:, columns], self._groups, self._confounds)
        new._visits = None if self._visits is None else self._visits.select(names)
        return new

    def with_features(self, name: str, features: Sequence[str], columns: NDArray[np.intp], fill: NDArray) -> Modalities:
        """Return the modalities with other features in one of them.

        Parameters
        ----------
        name : str
            A modality whose samples are vectors.
        features : sequence of str
            Names of the features.
        columns : array of int, shape (n_features,)
            The present column of each feature; -1 for a feature that is filled in.
        fill : array, shape (n_features,)
            Values of the features that are filled in.
        """
        array: Any = SelectedFeatures(self._arrays[name], columns, fill)
        arrays = {**self._arrays, name: np.asarray(array) if in_memory(self._arrays[name]) else array}
        new = self._like(arrays, self._samples, self._present, self._groups, self._confounds)
        new._features[name] = np.asarray(features).astype(str)
        if name in self._magnitudes:
            size = np.where(columns < 0, 0.0, self._magnitudes[name][columns])
            new._magnitudes = {**new._magnitudes, name: size}
        if self._visits is not None:
            new._visits = self._visits.with_features(name, features, columns, fill)
        return new

    def with_arrays(self, arrays: Mapping[str, Any], present: NDArray[np.bool_] | None = None) -> Modalities:
        """Return the modalities with other values, of the same shapes, for some or all of them."""
        present = self._present if present is None else present
        new = self._like({**self._arrays, **arrays}, self._samples, present, self._groups, self._confounds)
        new._visits = None
        return new

    def adjusted_to(self, arrays: Mapping[str, Any], magnitudes: Mapping[str, NDArray] | None = None) -> Modalities:
        """Return the modalities with adjusted values, without confounds; `magnitudes` replace those of the data."""
        new = self._like({**self._arrays, **arrays}, self._samples, self._present, self._groups, None)
        new._magnitudes = self._magnitudes if magnitudes is None else dict(magnitudes)
        new._is_adjusted = new._is_transformed = True
        new._visits = None
        return new

    def transformed_to(self, arrays: Mapping[str, Any], magnitudes: Mapping[str, NDArray] | None = None) -> Modalities:
        """Return the modalities with values that a model transformed; `magnitudes` replace those of the data."""
        new = self.with_arrays(arrays)
        new._magnitudes = self._magnitudes if magnitudes is None else dict(magnitudes)
        new._is_transformed = True
        return new

    def without_confounds(self) -> Modalities:
        """Return the same modalities without their confounds, which are then not taken out."""
        return self._like(self._arrays, self._samples, self._present, self._groups, None)

    def between(self) -> Modalities:
        """Return one sample for each participant: the mean of the participant's samples.

        Decomposing it describes variation between participants. The mean still contains the variation within
        participants, divided by the number of samples. Confounds are averaged as well.

        Raises
        ------
        ValueError
            If `groups` is not known, or a categorical confound differs between the samples of a participant.

        See Also
        --------
        within : Variation within participants.

        Examples
        --------
        >>> import numpy as np
        >>> from deepjive import Modalities
        >>> data = Modalities({"x": np.array([[1.0], [3.0], [5.0], [5.0]])}, groups=["p", "p", "q", "q"])
        >>> data.between()["x"].tolist(), data.within()["x"].round(2).tolist()
        ([[2.0], [5.0]], [[1.41], [0.0]])
        """
        return self._at_level("between")

    def within(self) -> Modalities:
        """Return the changes between the samples of each participant, such as visits, in the order of their rows.

        A participant with m samples has m - 1 changes: each sample minus the mean of the samples before it, scaled so
        that independent noise keeps its variance; of two samples, the second minus the first over ``sqrt(2)``.
        Decomposing them describes variation within participants. Participants with one sample have no change. Confounds
        that do not change have no part in changes.

        Raises
        ------
        ValueError
            If `groups` is not known, no participant has two samples, or a categorical confound changes.

        See Also
        --------
        between : Variation between participants.
        """
        return self._at_level("within")

    @property
    def level(self) -> Level | None:
        """How samples of participants were combined by `between` or `within`; None if they were not."""
        return self._level

    @property
    def visits(self) -> Modalities | None:
        """The samples that `between` or `within` combined; None without a level, or after values were changed."""
        return self._visits

    def _at_level(self, name: LevelName) -> Modalities:
        level = Level.of(name, self._samples, self._groups, len(self))
        combined = {key: level.rows(array) for key, array in self._arrays.items()}
        arrays = {key: rows[:] if in_memory(self._arrays[key]) else rows for key, rows in combined.items()}
        confounds = level.confounds(self._confounds)
        new = self._like(arrays, level.names, level.present(self._present), level.groups(), confounds)
        new._level, new._visits = level, self
        if name == "within":
            columns = zip(self._arrays.items(), self._present.T, strict=True)
            new._magnitudes = {key: level.magnitude(array, present) for (key, array), present in columns}
        return new

    def keys(self) -> tuple[str, ...]:
        """Names of the modalities, as for a dict."""
        return self.names

    def values(self) -> list[Any]:
        """Arrays of the modalities, as for a dict."""
        return list(self._arrays.values())

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and array, as for a dict."""
        return list(self._arrays.items())

    def __len__(self) -> int:
        return int(next(iter(self._arrays.values())).shape[0])

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __getitem__(self, key: Any) -> Any:
        """Return an array for a name, or the Modalities of some samples for an index, a slice or an array."""
        if isinstance(key, str):
            self._check_name(key)
            return self._arrays[key]
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:  # scikit-learn writes X[indices, ...]
            key = key[0]
        indices = row_numbers(key, len(self))
        arrays = {name: select_rows(array, indices) for name, array in self._arrays.items()}
        samples, groups = (None if of_all is None else of_all[indices] for of_all in (self._samples, self._groups))
        confounds = None if self._confounds is None else self._confounds[indices]
        new = self._like(arrays, samples, self._present[indices], groups, confounds)
        new._level = None if self._level is None else self._level[indices]
        return new

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        missing = int((~self._present).sum())
        pairing = f"; {self._pairing}" if len(self._arrays) > 1 else ""
        lacking = f"; {missing} missing" if missing else ""
        return f"Modalities({len(self)} samples: {shapes}{lacking}{self._confounds_in_words()}{pairing})"

    def _repr_html_(self) -> str:
        """Show the modalities in a notebook."""
        rows = [
            [name, " x ".join(map(str, shape)), f"{int(self._present[:, i].sum()):,}", str(getattr(array, "dtype", ""))]
            for i, ((name, shape), array) in enumerate(zip(self.shapes.items(), self._arrays.values(), strict=True))
        ]
        header = ["modality", "features", "samples", "type"]
        return html_table(f"Modalities of {len(self):,} samples", header, rows, self.summary())

    def summary(self) -> str:
        """Describe the data in a sentence: samples, participants, features, how rows were paired, what was left out."""
        widths = ", ".join(f"{name} {' x '.join(map(str, shape))}" for name, shape in self.shapes.items())
        participants = f" of {self.n_participants} participants" if self._groups is not None else ""
        missing = int((~self._present).sum())
        lacking = f"; {missing} missing entries of a sample and a modality" if missing else ""
        pairing = f"; {self._pairing}" if len(self._arrays) > 1 else ""
        level = "" if self._level is None else f" ({self._level.name} participants)"
        features = f"features: {widths}{lacking}{self._confounds_in_words()}{pairing}"
        return f"{len(self)} samples{level}{participants}; {features}"

    def _confounds_in_words(self) -> str:
        return "" if self._confounds is None else f"; confounds: {self._confounds}"

    def _like(
        self,
        arrays: dict[str, Any],
        samples: NDArray | None,
        present: NDArray[np.bool_],
        groups: NDArray | None,
        confounds: Confounds | None,
    ) -> Modalities:
        new = object.__new__(Modalities)
        new._confounds, new._level, new._visits = confounds, self._level, self._visits
        new._is_adjusted, new._is_transformed = self._is_adjusted, self._is_transformed
        new._arrays, new._samples, new._present, new._groups = arrays, samples, present, groups
        new._features = {name: self._features[name] for name in arrays}
        new._pairing = self._pairing
        new._magnitudes = {name: size for name, size in self._magnitudes.items() if name in arrays}
        return new

    def _warn_of_repeated_features(self) -> None:
        texts = []
        for name, names in self._features.items():
            unique, counts = np.unique(np.ravel(names if names is not None else []), return_counts=True)
            repeated = unique[counts > 1]
            if len(repeated):
                texts.append(f"{name!r} ({len(repeated)} names, such as {str(repeated[0])!r})")
        if texts:
            warnings.warn(REPEATED_FEATURES.format(modalities=" and ".join(texts)), UserWarning, stacklevel=3)

    def _check_name(self, name: object) -> None:
        if name not in self._arrays:
            raise KeyError(NO_MODALITY.format(name=name, names=list(self.names)))

    def _check_lengths(self) -> None:
        lengths = {name: int(array.shape[0]) for name, array in self._arrays.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(UNEQUAL_SAMPLES.format(lengths=lengths) + lengths_advice(self._arrays))

    def _checked_samples(self, samples: Sequence[str] | NDArray | None) -> NDArray[np.str_] | None:
        if samples is None:
            return None
        names = np.asarray(samples).astype(str)
        if names.shape != (len(self),):
            raise ValueError(f"`samples` must name all {len(self)} samples, but has shape {names.shape}.")
        return names

    def _checked_features(self, features: Mapping[str, Any]) -> dict[str, NDArray[np.str_] | None]:
        checked = {}
        for name, given in features.items():
            self._check_name(name)
            names = None if given is None else np.asarray(given).astype(str)
            if names is not None and names.shape != self.shapes[name]:
                raise ValueError(WRONG_FEATURES.format(given=names.size, name=name, shape=self.shapes[name]))
            checked[name] = names
        return checked

    def _checked_present(self, present: ArrayLike | None) -> NDArray[np.bool_]:
        present = np.ones(self.shape, dtype=bool) if present is None else present
        mask = np.array(present, dtype=bool)  # a copy: what the caller does with the mask later stays there
        if mask.shape != self.shape:
            raise ValueError(WRONG_PRESENT.format(expected=self.shape, shape=mask.shape))
        for column, array in enumerate(self._arrays.values()):
            has_image = rows_with_image(array)
            if has_image is not None:
                mask[:, column] &= has_image
        return mask


def as_modalities(data: Any) -> Modalities:
    """Return `data` as Modalities, unchanged if it already is."""
    return data if isinstance(data, Modalities) else Modalities(data)
