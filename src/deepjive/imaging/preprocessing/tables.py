"""Tables of `deepjive preprocess` beside the maps. Rows that earlier calls wrote for other participants are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepjive.persistence import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from deepjive.imaging.cohort import Cohort
    from deepjive.imaging.preprocessing.subject import Outcome, Subject

KEYS = ["participant_id", "session_id"]


def label(key: str, value: Any) -> str:
    """Return a BIDS label. It has letters and digits only, so it is safe in the names of files and folders.

    Examples
    --------
    >>> label("sub", "002_S_0295"), label("ses", None)
    ('sub-002S0295', '')
    """
    text = str(value).removeprefix(f"{key}-") if isinstance(value, str) else ""
    allowed = "".join(letter for letter in text if letter.isascii() and letter.isalnum())
    return f"{key}-{allowed}" if allowed else ""


def write_clinical(cohort: Cohort, subjects: Sequence[Subject], out: Path) -> None:
    """Write the clinical data of the participants as BIDS tables.

    Columns that are constant within every participant are written to ``participants.tsv``. The other columns are
    written to ``sub-*/sub-*_sessions.tsv`` of the preprocessed participants.

    Parameters
    ----------
    cohort : Cohort
        The cohort.
    subjects : sequence of Subject
        The participants to preprocess.
    out : Path
        Folder of the derivative.
    """
    clinical = _clinical(cohort)
    columns = [column for column in clinical if column not in KEYS]
    counts = clinical.groupby("participant_id")[columns].nunique(dropna=False)
    by_session = [column for column in columns if (counts[column] > 1).any()]
    participants = clinical.drop(columns=["session_id", *by_session]).drop_duplicates("participant_id")
    _write(out / "participants.tsv", participants, ["participant_id"])
    if not by_session:
        return
    preprocessed = clinical["participant_id"].isin({subject.participant for subject in subjects})
    for participant, rows in clinical[preprocessed].groupby("participant_id"):
        path = out / str(participant) / f"{participant}_sessions.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, rows[["session_id", *by_session]], ["session_id"])


def write_maps(outcomes: Sequence[Outcome], cohort: Cohort, out: Path) -> None:
    """Write the table of the maps, for `deepjive reproduce adni --table` and for other programs."""
    import pandas as pd

    rows = [
        {
            "participant_id": outcome.subject.participant,
            "session_id": outcome.subject.session,
            **{
                name: str(Path(outcome.maps[stage]).relative_to(out)) if stage in outcome.maps else None
                for name, stage in (("mri", "anat"), ("pet", "pet"))
            },
        }
        for outcome in outcomes
    ]
    _write(out / "maps.csv", pd.DataFrame(rows).merge(_clinical(cohort), on=KEYS, how="left"), KEYS)


def with_earlier(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], replaced: set[str]) -> list[Any]:
    """Return the rows of an earlier table, followed by new rows.

    Parameters
    ----------
    path : Path
        The earlier table, which need not exist. Its first column names the participants.
    header : sequence of str
        Columns of the new table. An earlier table with other columns is ignored.
    rows : sequence of sequence
        The new rows.
    replaced : set of str
        Participants whose earlier rows are dropped.

    Returns
    -------
    list
    """
    earlier = _read(path)
    if earlier is None or list(earlier) != list(header):
        return list(rows)
    return [*earlier[~earlier.iloc[:, 0].isin(replaced)].values.tolist(), *rows]


def _clinical(cohort: Cohort) -> pd.DataFrame:
    """Return the clinical columns of a cohort, one row for each participant and session, with BIDS labels."""
    table = cohort.table.drop(columns=list(cohort.names)).copy()
    for column, key in zip(KEYS, ("sub", "ses"), strict=True):
        table[column] = [label(key, value) for value in table[column]]
    return table[table["participant_id"] != ""].drop_duplicates(KEYS)


def _write(path: Path, table: pd.DataFrame, keys: list[str]) -> None:
    """Write a table after the earlier rows that have other keys."""
    import pandas as pd

    table, earlier = table.astype(object).where(table.notna(), "n/a"), _read(path)
    if earlier is not None and set(keys) <= set(earlier):
        old_keys, new_keys = (pd.MultiIndex.from_frame(rows[keys].astype(str)) for rows in (earlier, table))
        table = pd.concat([earlier[~old_keys.isin(new_keys)], table], ignore_index=True)
    separator = "\t" if path.suffix == ".tsv" else ","
    write_atomically(path, table.to_csv(sep=separator, index=False, na_rep="n/a").encode())


def _read(path: Path) -> pd.DataFrame | None:
    import pandas as pd

    from deepjive.data.readers.guard import reading

    if not path.is_file():
        return None
    with reading(path):
        separator = "\t" if path.suffix == ".tsv" else ","
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
