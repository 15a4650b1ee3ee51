"""AnnData and MuData: reading modalities and writing results.

Samples are observations, and features are variables. A MuData holds the union of its modalities' observations, so that
a sample may lack modalities. An object that exists already is read without importing either library.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepjive.data.readers.guard import UnreadableError, optional, reading
from deepjive.data.readers.lazy import LabelledRows, SparseRows, SpreadRows, StoredSparseRows, in_memory, select_rows
from deepjive.data.readers.stores import check_hdf5

if TYPE_CHECKING:
    import pandas as pd

NOT_MUDATA = (
    "A MuData, or a dict of names to AnnData, is expected, but a {kind} was given. "
    "Write Modalities.from_mudata({{'rna': adata_1, 'protein': adata_2}}) for AnnData."
)
OTHER_AXIS = (
    "This MuData shares its variables (axis={axis}), not its observations: its modalities hold different samples of "
    "the same features. Joint and individual variation needs the same samples; give a MuData with axis=0."
)
REPEATED = "Observation {sample!r} is named more than once in modality {name!r}; call obs_names_make_unique() first."
NO_MATRIX = "Modality {name!r} has no X. Choose one of its layers {layers} by layer=, or of obsm {obsm} by use_rep=."
SAMPLES_GONE = (
    "The decomposition has no sample {sample!r} of the data. Decompose the same object: "
    "model.decompose(Modalities.from_mudata(mdata))."
)
NOT_A_TABLE = "{names} have images or volumes, which a MuData cannot hold. Export scores with deepjive tables instead."
RESULTS = "jive"
SHOWN_COLUMNS = 20


class Collected(NamedTuple):
    """Contents of Modalities: arrays, names of the samples, presence, and names of the features."""

    arrays: dict[str, Any]
    samples: NDArray
    present: NDArray[np.bool_]
    features: dict[str, NDArray | None]


def collect(mdata: Any, modalities: Sequence[str] | None, layer: Any, use_rep: Any) -> Collected:
    """Read the modalities of a MuData, or of a dict of AnnData, in the order of its observations.

    Parameters
    ----------
    mdata : mudata.MuData or mapping of str to anndata.AnnData
        The data. Matrices stay sparse or on disk until their rows are read.
    modalities : sequence of str or None
        Names of the modalities to read; None reads all.
    layer, use_rep : str, mapping of str to str, or None
        Layer, or entry of `obsm`, to read in the place of `X`.

    Returns
    -------
    Collected

    Raises
    ------
    TypeError
        If the data are neither a MuData nor a mapping of AnnData.
    ValueError
        If a modality, layer or entry does not exist, if names of observations repeat, or if the MuData shares its
        variables.
    """
    annotated, names = _annotated(mdata), None if modalities is None else list(modalities)
    for name in names or []:
        if name not in annotated:
            raise ValueError(f"There is no modality {name!r} in the data; there are {list(annotated)}.")
    annotated = {name: annotated[name] for name in names or annotated}
    for name, adata in annotated.items():
        if not adata.obs_names.is_unique:
            sample = adata.obs_names[adata.obs_names.duplicated()][0]
            raise ValueError(REPEATED.format(sample=str(sample), name=name))
    samples = _samples(mdata, annotated)
    places = {name: adata.obs_names.get_indexer(samples) for name, adata in annotated.items()}
    chosen = {
        name: _chosen(name, adata, _choice_for(layer, name), _choice_for(use_rep, name))
        for name, adata in annotated.items()
    }
    return Collected(
        arrays={name: _placed(array, places[name]) for name, (array, _) in chosen.items()},
        samples=np.asarray(samples).astype(str),
        present=np.stack([place >= 0 for place in places.values()], axis=1),
        features={name: features for name, (_, features) in chosen.items()},
    )


def labelled_matrix(name: str, adata: Any) -> LabelledRows:
    """Return the matrix `X` of an AnnData with the names of its observations and variables."""
    matrix, features = _chosen(name, adata, None, None)
    return LabelledRows(matrix, adata.obs_names, features)


def write_results(
    mdata: Any, parts: Any, model: Any, key: str = RESULTS, imputed: Mapping[str, NDArray] | None = None
) -> None:
    """Write scores, loadings, ranks and variance explained into a MuData, or a dict of AnnData.

    Parameters
    ----------
    mdata : mudata.MuData or mapping of str to anndata.AnnData
        The data that were decomposed; changed in place. ``obsm["X_jive_joint"]`` is written into the MuData and into
        each modality, ``uns["jive"]`` into the MuData (in a dict, into each AnnData). ``obsm["X_jive_individual"]`` is
        written into each modality, and for linear models also ``varm["jive_joint_loadings"]`` and
        ``varm["jive_individual_loadings"]``.
    parts : Decomposition
        The decomposition of all observations of `mdata`.
    model : estimator
        The model that computed `parts`.
    key : str, default="jive"
        The word in the names of the results.
    imputed : mapping of str to array, shape (n_samples, n_features), optional
        Predicted modalities, which are written to ``obsm["X_jive_imputed_NAME"]`` of the MuData (in a dict, of each
        AnnData).

    Raises
    ------
    ValueError
        If the decomposition lacks an observation of the data.
    """
    annotated = _annotated(mdata)
    row_of_sample = {str(sample): i for i, sample in enumerate(parts.data.samples)}
    for holder in [mdata] if hasattr(mdata, "mod") else [annotated[name] for name in parts.data.names]:
        rows = _rows(row_of_sample, holder.obs_names)
        holder.uns[key] = _summary(parts, model)
        for name, values in (imputed or {}).items():
            holder.obsm[f"X_{key}_imputed_{name}"] = values[rows].reshape(len(rows), -1)
    if hasattr(mdata, "mod"):
        mdata.obsm[f"X_{key}_joint"] = parts.joint_scores[_rows(row_of_sample, mdata.obs_names)]
    for name in parts.data.names:
        adata = annotated[name]
        rows = _rows(row_of_sample, adata.obs_names)
        adata.obsm[f"X_{key}_joint"] = parts.joint_scores[rows]
        adata.obsm[f"X_{key}_individual"] = parts.individual_scores[name][rows]
        if np.array_equal(parts.data.features[name], np.asarray(adata.var_names, dtype=str)):
            _write_loadings(adata, model, name, key)


def mudata_of(parts: Any, model: Any, labels: Mapping[str, Any] | None = None, key: str = RESULTS) -> Any:
    """Return a MuData of the decomposed data, with the results where `write_results` writes them.

    Parameters
    ----------
    parts : Decomposition
        The decomposition. Samples without names are called "0", "1", ...
    model : estimator
        The model that computed `parts`.
    labels : mapping of str to array, shape (n_samples,), default=None
        Labels of the samples, written to ``obs``.
    key : str, default="jive"
        The word in the names of the results.

    Returns
    -------
    mudata.MuData
        A modality holds the samples that have it. Features without names are called "0", "1", ...

    Raises
    ------
    MissingExtraError
        Without anndata and mudata (extra ``omics``).
    ValueError
        If a modality is not a table.
    """
    import pandas as pd

    anndata, mudata = optional("anndata", "Writing .h5mu files"), optional("mudata", "Writing .h5mu files")
    data = parts.data
    if pictures := [name for name, shape in data.shapes.items() if len(shape) != 1]:
        raise ValueError(NOT_A_TABLE.format(names=pictures))
    samples = np.arange(len(data)).astype(str) if data.samples is None else np.asarray(data.samples, dtype=str)
    modalities = {}
    for column, name in enumerate(data.names):
        rows = np.flatnonzero(data.present[:, column])
        features = data.features[name]
        width = data.shapes[name][0]
        names = np.arange(width).astype(str) if features is None else np.asarray(features, dtype=str)
        modalities[name] = anndata.AnnData(
            np.asarray(data.rows(name, rows)), obs=pd.DataFrame(index=samples[rows]), var=pd.DataFrame(index=names)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mudata, on later versions of pandas
        mdata = mudata.MuData(modalities)
    order = pd.Series(np.arange(len(samples)), index=samples)[mdata.obs_names].to_numpy()
    for label, values in (labels or {}).items():
        mdata.obs[str(label)] = np.asarray(values)[order]
    named = {name: np.asarray(mdata[name].var_names, dtype=str) for name in data.names}
    write_results(mdata, replace(parts, data=type(data)(data, samples=samples, features=named)), model, key)
    return mdata


def _write_loadings(adata: Any, model: Any, name: str, key: str) -> None:
    """Write a linear model's loadings of one modality, whose features are the variables; other models have none."""
    for part in ("joint", "individual"):
        loadings = getattr(model, f"{part}_loadings_", {}).get(name)
        if loadings is not None:
            adata.varm[f"{key}_{part}_loadings"] = np.ascontiguousarray(loadings.T)


def read_h5ad(path: Path) -> LabelledRows:
    """Read the matrix `X` of an AnnData file, with the names of its observations and variables."""
    anndata = optional("anndata", f"Reading {path.name}")
    check_hdf5(path)
    with reading(path):
        adata = anndata.read_h5ad(path)
        if adata.X is None:
            raise UnreadableError(
                f"{path} has no matrix X. Read it with anndata, and choose a layer of {list(adata.layers)} or an entry "
                f"of obsm {list(adata.obsm)} with Modalities.from_mudata({{...}}, layer=..., use_rep=...)."
            )
        return labelled_matrix(path.stem, adata)


def read_obs(path: Path, column: str, modality: str | None = None) -> pd.Series:
    """Read a column of the observations of an `.h5ad` or `.h5mu` file.

    Parameters
    ----------
    path : Path
        The file.
    column : str
        Name of the column of `obs`.
    modality : str, optional
        Modality of an `.h5mu` file. By default the column is looked for in the `obs` of the file, then in those of its
        modalities.

    Returns
    -------
    pandas.Series
        Its index holds the names of the observations.

    Raises
    ------
    UnreadableError
        If the file has no such column, or if several modalities have it.
    """
    if path.suffix.lower() == ".h5mu":
        mdata = read_h5mu(path)
        tables = {"": mdata.obs, **{name: adata.obs for name, adata in mdata.mod.items()}}
    else:
        anndata = optional("anndata", f"Reading {path.name}")
        check_hdf5(path)
        with reading(path):
            tables = {"": anndata.read_h5ad(path).obs}
    if modality is not None and modality not in tables:
        raise UnreadableError(f"{path} has no modality {modality!r}; it holds {[name for name in tables if name]}.")
    tables = tables if modality is None else {modality: tables[modality]}
    holders = [name for name, obs in tables.items() if column in obs]
    if not holders:
        columns = list(dict.fromkeys(str(name) for obs in tables.values() for name in obs))
        raise UnreadableError(f"{path} has no column {column!r} in obs; it has {columns[:SHOWN_COLUMNS]}.")
    if len(holders) > 1 and holders[0]:
        raise UnreadableError(
            f"{path} has the column {column!r} in the obs of {holders}; say which with "
            f"'{path}:{holders[0]}:obs:{column}'."
        )
    return tables[holders[0]][column]


def read_h5mu(path: Path) -> Any:
    """Read a MuData file."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    mudata = optional("mudata", f"Reading {path.name}")
    check_hdf5(path)
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mudata and pandas warn of changes in their next versions
        return mudata.read_h5mu(path)


def _annotated(mdata: Any) -> dict[str, Any]:
    """The AnnData of each modality."""
    modalities = getattr(mdata, "mod", mdata)
    if not isinstance(modalities, Mapping) or not all(hasattr(adata, "obs_names") for adata in modalities.values()):
        raise TypeError(NOT_MUDATA.format(kind=type(mdata).__name__))
    if getattr(mdata, "axis", 0) != 0:
        raise ValueError(OTHER_AXIS.format(axis=mdata.axis))
    return dict(modalities)


def _samples(mdata: Any, annotated: dict[str, Any]) -> Any:
    """Names of the observations that have at least one modality, in the order of the MuData if there is one."""
    first, *others = (adata.obs_names for adata in annotated.values())
    union = first
    for names in others:
        union = union.append(names[~names.isin(union)])
    all_names = getattr(mdata, "obs_names", union)
    return all_names[all_names.isin(union)]


def _chosen(name: str, adata: Any, layer: str | None, use_rep: str | None) -> tuple[Any, NDArray | None]:
    """The matrix that is read from an AnnData, and the names of its features."""
    if layer is not None and use_rep is not None:
        raise ValueError(f"Give layer or use_rep for modality {name!r}, not both.")
    if layer is None and use_rep is None:
        if adata.X is None:
            raise ValueError(NO_MATRIX.format(name=name, layers=list(adata.layers), obsm=list(adata.obsm)))
        return _rows_array(adata.X), np.asarray(adata.var_names).astype(str)
    kind, key, where = ("layer", layer, adata.layers) if use_rep is None else ("obsm", use_rep, adata.obsm)
    if key not in where:
        raise ValueError(f"Modality {name!r} has no {kind} {key!r}; it has {list(where.keys())}.")
    array = where[key]
    if hasattr(array, "columns"):  # obsm may hold a data frame
        return array.to_numpy(), np.asarray(array.columns).astype(str)
    return _rows_array(array), np.asarray(adata.var_names).astype(str) if use_rep is None else None


def _rows_array(matrix: Any) -> Any:
    """A matrix of which rows can be read as dense arrays."""
    if getattr(matrix, "format", None) == "csr" and hasattr(matrix, "group"):
        return StoredSparseRows(matrix.group, matrix.shape)
    matrix = matrix.to_memory() if hasattr(matrix, "to_memory") else matrix
    if hasattr(matrix, "toarray"):  # the dense matrix of a view of AnnData has it too
        return np.asarray(matrix) if isinstance(matrix, np.ndarray) else SparseRows(matrix)
    return matrix


def _placed(array: Any, places: NDArray[np.intp]) -> Any:
    """Rows in the order of the samples; the array itself if it has this order already."""
    if len(places) == array.shape[0] and np.array_equal(places, np.arange(len(places))):
        return array
    if (places >= 0).all():
        return select_rows(array, places)
    return np.asarray(SpreadRows(array, places)) if in_memory(array) else SpreadRows(array, places)


def _choice_for(choice: Any, name: str) -> str | None:
    """The layer or entry for a modality, from one for all or from a mapping."""
    return choice.get(name) if isinstance(choice, Mapping) else choice


def _rows(row_of_sample: dict[str, int], names: Any) -> NDArray[np.intp]:
    lacking = [str(name) for name in names if str(name) not in row_of_sample]
    if lacking:
        raise ValueError(SAMPLES_GONE.format(sample=lacking[0]))
    return np.array([row_of_sample[str(name)] for name in names], dtype=np.intp)


def _summary(parts: Any, model: Any) -> dict[str, Any]:
    """Ranks and fractions as plain numbers, which every version of h5mu can store."""
    return {
        "method": type(model).__name__,
        "joint_rank": int(parts.joint_scores.shape[1]),
        "individual_ranks": {name: int(scores.shape[1]) for name, scores in parts.individual_scores.items()},
        "variance_explained": {name: dict(fractions) for name, fractions in parts.variance_explained.items()},
    }
