"""Balance between diagnoses: how well a confound alone, without any scan, classifies the diagnosis.

A classifier of scans that contain the age of the participants can be as good as age alone without having seen any
disease. Scores are therefore worth what they classify beyond the confounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepjive.experiments.brain.diagnosis import Estimate, nested_classification

ALL = "all of these"
SHOWN = 3


class Balance(NamedTuple):
    """One confound in both diagnoses.

    Attributes
    ----------
    name : str
        The confound.
    positive, other : str
        Mean and standard deviation, or the most frequent categories, in the positive and in the other diagnosis.
    accuracy, auc : Estimate
        Classification from the confound alone, in nested cross-validation by participant.
    """

    name: str
    positive: str
    other: str
    accuracy: Estimate
    auc: Estimate


def balance(table: pd.DataFrame, names: Sequence[str], positive: str, *, random_state: int = 0) -> list[Balance]:
    """Classify the diagnosis from each confound alone, and from all of them.

    Parameters
    ----------
    table : DataFrame
        `participant_id`, `diagnosis` with two values, and the confounds without missing values.
    names : sequence of str
        The confounds.
    positive : str
        The positive diagnosis.
    random_state : int, default=0
        Seed of the folds.

    Returns
    -------
    list of Balance
        The last one is of all confounds if there are several.
    """
    labels, groups = table["diagnosis"].to_numpy(dtype=str), table["participant_id"].to_numpy(dtype=str)
    other, rows = str(next(label for label in labels if label != positive)), []
    for name, columns in [(name, [name]) for name in names] + ([(ALL, [*names])] if len(names) > 1 else []):
        numbers = np.hstack([_numbers(table[column]) for column in columns])
        measures = nested_classification(numbers, labels, groups, positive, random_state=random_state)
        described = ["", ""] if name == ALL else [_words(table[name][labels == label]) for label in (positive, other)]
        rows.append(Balance(name, described[0], described[1], measures["accuracy"], measures["AUC"]))
    return rows


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    """A column of numbers, or a column of 0 and 1 for each category."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64)[:, None]
    return pd.get_dummies(column.astype(str), dtype=float).to_numpy()


def _words(column: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(column):
        return f"{column.mean():.2f} ± {column.std():.2f}"
    shares = column.astype(str).value_counts(normalize=True)
    shown = ", ".join(f"{name} {share:.0%}" for name, share in shares.head(SHOWN).items())
    return shown + (", ..." if len(shares) > SHOWN else "")
