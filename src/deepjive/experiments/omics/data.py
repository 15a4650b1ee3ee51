"""Data sets of the experiment with omics: tables of several modalities of the same samples, with labels.

`NAMES` are data sets in a folder, which `DEEPJIVE_DATA` names by default. `own_tables` reads the user's own tables.
Features of different units (`STANDARDIZED`) are divided by their standard deviations in the training fold. Features
of the other data sets keep their variances. Metabolite levels are ratios and enter as logarithms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepjive.data.files import read_array
from deepjive.data.groups import folds_of
from deepjive.data.modalities import Modalities
from deepjive.experiments.digits.data.folders import VARIABLE

N_FOLDS = 5
SMALLEST_CLASS = 10  # with five folds, each class then has samples in every fold as a rule
STANDARDIZED = ("covid_su", "uci_mfeat")
NO_LABEL = ""

NOT_THERE = (
    "The data set {name!r} is not in {folder}: there is no file {file}. Give --data FOLDER, set the environment "
    "variable " + VARIABLE + " to the folder that contains the folder {name!r}, or give your own tables with -m."
)
NO_TABLES = "The experiment needs at least two modalities, but {given} was given. Give -m NAME=FILE for each modality."
NOT_FINITE = (
    "Modality {name!r} has {count} missing or infinite values. The methods of this experiment need complete tables: "
    "fill the values or leave these samples out."
)
TWO_CLASSES = (
    "The labels {source} must have at least two classes of at least {least} samples, but have {given}. Numbers that "
    "are not classes cannot be used here."
)


@dataclass(frozen=True)
class Tables:
    """A data set of the experiment.

    Attributes
    ----------
    name : str
        Name of the data set.
    data : Modalities
        The modalities as arrays of shape (n_samples, n_features), with the participant of each sample as `groups` if
        some participants have several samples.
    labels : array of str, shape (n_samples,), or None
        The class of each sample; the empty text for a sample without a class, or of a class with few samples.
    standardize : bool
        Whether each feature is divided by its standard deviation in the training fold.
    """

    name: str
    data: Modalities
    labels: NDArray[np.str_] | None
    standardize: bool


@dataclass(frozen=True)
class Fold:
    """Training and held-out samples, centred and scaled by the training samples.

    Attributes
    ----------
    train, test : Modalities
        The samples.
    train_labels, test_labels : array of str, or None
        Their classes.
    """

    train: Modalities
    test: Modalities
    train_labels: NDArray[np.str_] | None
    test_labels: NDArray[np.str_] | None


def data_sets(folder: str | Path | None = None) -> Path:
    """Return the folder of the data sets: the given folder, or the one that `DEEPJIVE_DATA` names."""
    return Path(folder) if folder is not None else Path(os.environ.get(VARIABLE, "data"))


def read_data_set(name: str, folder: str | Path | None = None) -> Tables:
    """Read a data set.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    folder : path, optional
        The folder that contains a folder of this name; by default the one that `DEEPJIVE_DATA` names.

    Returns
    -------
    Tables

    Raises
    ------
    FileNotFoundError
        If a file of the data set is not there.
    """
    path = check_data_set(name, folder)
    data, labels = _SOURCES[name].read(path)
    return checked(Tables(name, data, labels, name in STANDARDIZED))


def read_data_sets(names: Sequence[str], folder: str | Path | None = None) -> dict[str, Tables]:
    """Read several data sets; raise FileNotFoundError before the first one is read if a file is not there."""
    for name in names:
        check_data_set(name, folder)
    return {name: read_data_set(name, folder) for name in names}


def check_data_set(name: str, folder: str | Path | None = None) -> Path:
    """Return the folder of a data set; raise FileNotFoundError if one of its files is not there."""
    path = data_sets(folder) / name
    for file in _SOURCES[name].files:
        if not (path / file).is_file():
            raise FileNotFoundError(NOT_THERE.format(name=name, folder=data_sets(folder), file=path / file))
    return path


def own_tables(data: Modalities, labels: NDArray | None, *, name: str = "tables", standardize: bool = False) -> Tables:
    """Return the user's own tables as a data set.

    Parameters
    ----------
    data : Modalities
        At least two modalities. Samples that lack a modality are left out.
    labels : array, shape (n_samples,), or None
        Classes; the empty text or NaN for none.
    name : str, default="tables"
        Name of the data set.
    standardize : bool, default=False
        Whether each feature is divided by its standard deviation in the training fold.

    Returns
    -------
    Tables

    Raises
    ------
    ValueError
        If there are fewer than two modalities, values are missing, or labels are not classes.
    """
    rows = np.flatnonzero(data.present.all(axis=1))
    texts = None if labels is None else np.array([_text(label) for label in labels])[rows]
    return checked(Tables(name, data[rows], texts, standardize))


def checked(tables: Tables) -> Tables:
    """Flatten the samples to one dimension, check the values, and clear labels of classes with few samples."""
    data = tables.data
    if len(data.names) < 2:
        raise ValueError(NO_TABLES.format(given=len(data.names)))
    arrays = {name: _flat(data.rows(name, slice(None))) for name in data.names}
    for name, array in arrays.items():
        if count := int((~np.isfinite(array)).sum()):
            raise ValueError(NOT_FINITE.format(name=name, count=count))
    flat = Modalities(arrays, samples=data.samples, groups=data.groups)
    return replace(tables, data=flat, labels=None if tables.labels is None else _large_classes(tables))


def fold_of(tables: Tables, number: int, n_folds: int = N_FOLDS) -> Fold:
    """Return one outer fold; all samples of a participant are on the same side.

    The folds are those of `deepjive.data.groups.folds_of` with seed 0, so that all methods have the same folds.

    Parameters
    ----------
    tables : Tables
        The data set.
    number : int
        Number of the fold, from 0.
    n_folds : int, default=5
        Number of folds.

    Returns
    -------
    Fold
        Each feature has mean 0 in the training samples and, if `tables.standardize`, standard deviation 1. Features
        that do not vary in the training samples are 0 there.
    """
    data = tables.data
    train, test = folds_of(len(data), data.groups, n_folds, 0)[number]
    scaled: dict[str, NDArray] = {}
    for name, array in data.items():
        mean, deviation = array[train].mean(axis=0), array[train].std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0) if tables.standardize else 1.0
        scaled[name] = (array - mean) / scale
    whole = Modalities(scaled, samples=data.samples, groups=data.groups)
    labels = (None, None) if tables.labels is None else (tables.labels[train], tables.labels[test])
    return Fold(whole[train], whole[test], *labels)


def _flat(array: Any) -> NDArray:
    values = np.asarray(array, dtype=np.float64)
    return values.reshape(len(values), -1)


def _text(label: Any) -> str:
    return NO_LABEL if label is None or label != label else str(label).strip()


def _large_classes(tables: Tables) -> NDArray[np.str_]:
    labels = np.asarray(tables.labels).astype(str)
    classes, counts = np.unique(labels[labels != NO_LABEL], return_counts=True)
    large = classes[counts >= SMALLEST_CLASS]
    if len(large) < 2:
        given = dict(zip(classes[:5].tolist(), counts[:5].tolist(), strict=True))
        raise ValueError(TWO_CLASSES.format(source=f"of {tables.name!r}", least=SMALLEST_CLASS, given=given))
    return np.where(np.isin(labels, large), labels, NO_LABEL)


Read = tuple[Modalities, NDArray[np.str_]]


@dataclass(frozen=True)
class _Source:
    files: Sequence[str]
    read: Callable[[Path], Read]


def _rosmap(folder: Path) -> Read:
    names = ("mrna", "methylation", "mirna")
    with np.load(folder / "rosmap.npz", allow_pickle=False) as file:
        arrays = {name: np.concatenate([file[f"{name}_tr"], file[f"{name}_te"]]) for name in names}
        return Modalities(arrays), np.concatenate([file["label_tr"], file["label_te"]]).astype(str)


def _covid(folder: Path) -> Read:
    """Tables with features in rows; two samples of each patient, `COVID_n_T1` and `COVID_n_T2`.

    The classes are mild, moderate and severe: 1 and 2, 3 and 4, and 5 to 7 on the WHO ordinal scale.
    """
    frames = {
        name: read_array(folder / f"{name}.csv", features_in_rows=True)
        for name in ("metabolomics", "proteomics", "surface_protein")
    }
    frames["metabolomics"] = np.log2(frames["metabolomics"])
    samples = [str(sample) for sample in frames["metabolomics"].index]
    patients = [sample.split("_")[1] for sample in samples]
    return Modalities(frames, groups=patients), _severity(folder / "patients_meta.csv", samples)


def _severity(file: Path, samples: Sequence[str]) -> NDArray[np.str_]:
    import pandas as pd

    scale = pd.read_csv(file, dtype=str).drop_duplicates("Sample ID").set_index("Sample ID")["Who Ordinal Scale"]
    named = {"1": "mild", "2": "mild", "3": "moderate", "4": "moderate", "5": "severe", "6": "severe", "7": "severe"}
    severity = {f"INCOV{int(n):03d}-{visit}": "" for n, visit in (_visit_of(sample) for sample in samples)}
    severity |= {key: named.get(str(value).strip()[:1], NO_LABEL) for key, value in scale.items() if key in severity}
    return np.array([severity[f"INCOV{int(n):03d}-{visit}"] for n, visit in map(_visit_of, samples)])


def _visit_of(sample: str) -> tuple[str, str]:
    _, number, visit = sample.split("_")
    return number, visit.removeprefix("T")


def _bmmc(folder: Path) -> Read:
    from deepjive.data.readers.guard import optional

    anndata = optional("anndata", "Reading bmmc_cite")
    data = Modalities({"rna": folder / "rna.h5ad", "protein": folder / "adt.h5ad"})
    obs = anndata.read_h5ad(folder / "rna.h5ad").obs
    return data, obs["cell_type"].astype(str).loc[data.samples].to_numpy(str)


def _tcga_brca(folder: Path) -> Read:
    with np.load(folder / "tcga_brca.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in ("expression", "methylation", "mirna")}
        return Modalities(arrays, samples=file["sample"]), file["label_cluster"].astype(str)


def _tcga_breast(folder: Path) -> Read:
    with np.load(folder / "tcga_breast.npz", allow_pickle=False) as file:
        arrays = {name: file[f"{name}_train"] for name in ("mrna", "mirna", "protein")}
        return Modalities(arrays, samples=file["sample_train"]), file["label_train"]


def _mfeat(folder: Path) -> Read:
    with np.load(folder / "uci_mfeat.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in ("fac", "fou", "kar", "mor", "pix", "zer")}
        return Modalities(arrays), file["label"].astype(str)


_SOURCES: dict[str, _Source] = {
    "tcga_breast": _Source(("tcga_breast.npz",), _tcga_breast),
    "rosmap": _Source(("rosmap.npz",), _rosmap),
    "covid_su": _Source(
        ("metabolomics.csv", "proteomics.csv", "surface_protein.csv", "patients_meta.csv"),
        _covid,
    ),
    "tcga_brca": _Source(("tcga_brca.npz",), _tcga_brca),
    "bmmc_cite": _Source(("rna.h5ad", "adt.h5ad"), _bmmc),
    "uci_mfeat": _Source(("uci_mfeat.npz",), _mfeat),
}
NAMES = tuple(_SOURCES)
QUICK_NAMES = ("tcga_breast", "rosmap")
