"""Tidy tables of a result, for R, Julia and spreadsheets: one row for each value, and the same columns in every run.

    scores      sample, part, modality, score, value
    loadings    modality, part, score, feature, effect, standard_error, p_value, q_value, loading, match
    variance    modality, part, fraction

The modality of joint scores is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepjive.data.readers.guard import optional
from deepjive.decomposition import Decomposition
from deepjive.persistence import write_atomically
from deepjive.report.tables import frame_text

if TYPE_CHECKING:
    import pandas as pd

    from deepjive.evaluation.feature_ranking import FeatureEffects

TableFormat = Literal["csv", "parquet"]
LOADING_COLUMNS = ("effect", "standard_error", "p_value", "q_value", "loading", "match")
UNKNOWN_FORMAT = "The format is {given!r}, but must be 'csv' or 'parquet'."


def tidy(
    parts: Decomposition, effects: Mapping[str, FeatureEffects | pd.DataFrame] | None = None
) -> dict[str, pd.DataFrame]:
    """Return the tidy tables of a decomposition.

    Parameters
    ----------
    parts : Decomposition
        The decomposition.
    effects : mapping of str to FeatureEffects or DataFrame, default=None
        Feature effects by modality, for the table of loadings, which is empty without them.

    Returns
    -------
    dict of str to pandas.DataFrame
        "scores", "loadings" and "variance".

    See Also
    --------
    deepjive.evaluation.feature_effects : The effects, with standard errors and p-values.
    write_tidy : The tables as files.
    """
    samples = np.arange(len(parts.data)).astype(str) if parts.data.samples is None else parts.data.samples
    scores = score_table(samples, parts.joint_scores, parts.individual_scores)
    return {
        "scores": scores,
        "loadings": loading_table(effects or {}),
        "variance": variance_table(parts.variance_explained),
    }


def score_table(samples: ArrayLike, joint: NDArray, individual: Mapping[str, NDArray]) -> pd.DataFrame:
    """Return scores with a row for each sample and score; missing scores of a sample are NaN."""
    import pandas as pd

    names = np.asarray(samples, dtype=str)
    frames = []
    for part, modality, scores in [("joint", "", joint), *(("individual", *item) for item in individual.items())]:
        n, rank = scores.shape
        frames.append(
            pd.DataFrame(
                {
                    "sample": np.tile(names, rank),
                    "part": part,
                    "modality": modality,
                    "score": np.repeat(np.arange(1, rank + 1), n),
                    "value": np.asarray(scores, dtype=np.float64).T.reshape(-1),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def loading_table(effects: Mapping[str, FeatureEffects | pd.DataFrame]) -> pd.DataFrame:
    """Return feature effects with a row for each modality, score and feature."""
    import pandas as pd

    frames = []
    for name, effect in effects.items():
        frame = effect if isinstance(effect, pd.DataFrame) else effect.to_frame()
        frames.append(frame.assign(modality=name)[["modality", "part", "score", "feature", *LOADING_COLUMNS]])
    columns = ["modality", "part", "score", "feature", *LOADING_COLUMNS]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def variance_table(explained: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return the fractions of variance with a row for each modality and part."""
    import pandas as pd

    rows = [(name, part, fraction) for name, of in explained.items() for part, fraction in of.items()]
    return pd.DataFrame(rows, columns=["modality", "part", "fraction"])


def write_tidy(tables: Mapping[str, pd.DataFrame], folder: str | Path, table_format: TableFormat = "csv") -> list[Path]:
    """Write tables as files of a folder, named after the tables.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        The tables.
    folder : path
        The folder, which is made if it does not exist.
    table_format : {"csv", "parquet"}, default="csv"
        Format of the files. In CSV files, text that a spreadsheet would run as a formula begins with an apostrophe.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If the format is unknown.
    deepjive.data.readers.guard.MissingExtraError
        For Parquet without pyarrow (extra ``tables``).
    """
    if table_format not in ("csv", "parquet"):
        raise ValueError(UNKNOWN_FORMAT.format(given=table_format))
    if table_format == "parquet":
        optional("pyarrow", "Writing Parquet files")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, frame in tables.items():
        paths.append(folder / f"{name}.{table_format}")
        content = frame_text(frame).encode() if table_format == "csv" else frame.to_parquet(None, index=False)
        write_atomically(paths[-1], content)
    return paths
