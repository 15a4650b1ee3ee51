"""The tables that `deepjive preprocess` keeps beside the maps; rows of earlier calls for other subjects stay."""

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
    """A BIDS label: letters and digits only, as the names of files and folders are made of it.

    Examples
    --------
    >>> label("sub", "002_S_0295"), label("ses", None)
    ('sub-002S0295', '')
    """
    text = str(value).removeprefix(f"{key}-") if isinstance(value, str) else ""
    kept = "".join(letter for letter in text if letter.isascii() and letter.isalnum())
    return f"{key}-{kept}" if kept else ""


def write_clinical(cohort: Cohort, subjects: Sequence[Subject], out: Path) -> None:
    """What is known of participants, as BIDS has it.

    Parameters
    ----------
    cohort : Cohort
        What was found.
    subjects : sequence of Subject
        Those to preprocess.
    out : Path
        The derivative. There is written ``participants.tsv``, and what differs between a participant's sessions to
        ``sub-*/sub-*_sessions.tsv``.
    """
    known = _clinical(cohort)
    wanted = {subject.participant for subject in subjects}
    columns = [column for column in known if column not in KEYS]
    counts = known.groupby("participant_id")[columns].nunique(dropna=False)
    differ = [column for column in columns if (counts[column] > 1).any()]
    people = known.drop(columns=["session_id", *differ]).drop_duplicates("participant_id")
    _write(out / "participants.tsv", people, ["participant_id"])
    if differ:
        for participant, rows in known[known["participant_id"].isin(wanted)].groupby("participant_id"):
            path = out / str(participant) / f"{participant}_sessions.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, rows[["session_id", *differ]], ["session_id"])


def write_maps(outcomes: Sequence[Outcome], cohort: Cohort, out: Path) -> None:
    """A table of the maps, for `deepjive reproduce adni --table` and for other programs."""
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
    """Rows after those that a table has of other subjects.

    Parameters
    ----------
    path : Path
        The table, which may not be there yet; the first column names subjects.
    header : sequence of str
        Its columns; a table with others is not gone on with.
    rows : sequence of sequence
        The new rows.
    replaced : set of str
        Subjects whose earlier rows do not count any more.
    """
    earlier = _read(path)
    if earlier is None or list(earlier) != list(header):
        return list(rows)
    return [*earlier[~earlier.iloc[:, 0].isin(replaced)].values.tolist(), *rows]


def _clinical(cohort: Cohort) -> pd.DataFrame:
    table = cohort.table.drop(columns=list(cohort.names)).copy()
    for column, key in zip(KEYS, ("sub", "ses"), strict=True):
        table[column] = [label(key, value) for value in table[column]]
    return table[table["participant_id"] != ""].drop_duplicates(KEYS)


def _write(path: Path, table: pd.DataFrame, keys: list[str]) -> None:
    import pandas as pd

    table, earlier = table.astype(object).where(table.notna(), "n/a"), _read(path)
    if earlier is not None and set(keys) <= set(earlier):
        old, new = (pd.MultiIndex.from_frame(one[keys].astype(str)) for one in (earlier, table))
        table = pd.concat([earlier[~old.isin(new)], table], ignore_index=True)
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
