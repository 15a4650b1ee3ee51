"""Files with one value for each brain region of one participant.

| program | file | content |
|---|---|---|
| FreeSurfer | ``stats/aseg.stats``, ``stats/lh.aparc.stats`` | lines of words; ``# ColHeaders`` names the columns |
| Clinica | ``*_statistics.tsv`` | columns ``label_name`` and ``mean_scalar`` |
| Clinica | ``*_segmentationVolumes.tsv``, ``*_parcellation-*_*.tsv`` | one row, a column for each region |
| CAT12 | ``catROI_*.xml``, ``catROIs_*.xml`` | ``<atlas><names>`` and ``<atlas><data><measure>`` |
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deepjive.data.readers.guard import reading

LARGEST_FILE = 2**24
APARC = {"thickness": "ThickAvg", "area": "SurfArea", "volume": "GrayVol", "meancurv": "MeanCurv"}
ASEG = {"volume": "Volume_mm3", "mean": "normMean"}

TOO_LONG = "it has {size} bytes; a table of regions has far fewer"
NO_COLUMN = "it has no column {column!r}; its columns are {columns}"
NO_HEADERS = "it has no line '# ColHeaders', so it is no table of FreeSurfer's statistics"
NO_ATLAS = "it has no atlas {atlas!r}; its atlases are {known}"
NO_MEASURE = "its atlas {atlas!r} has no measure {measure!r}; it has {known}"
UNEQUAL = "it has {names} names of regions, but {values} values"
WITH_ENTITIES = "it declares entities, which CAT12 does not write"


def freesurfer_stats(path: Path, column: str) -> dict[str, float]:
    """Read one column of a table of FreeSurfer's statistics.

    Parameters
    ----------
    path : Path
        A ``.stats`` file.
    column : str
        Name of the column, such as ``"ThickAvg"``.

    Returns
    -------
    dict of str to float
        Values by region (``StructName``).

    Raises
    ------
    UnreadableError
        If the file is damaged, or has no such column.
    """
    with reading(path):
        lines = _text(path).splitlines()
        headers = [line.split()[2:] for line in lines if line.startswith("# ColHeaders")]
        if not headers:
            raise ValueError(NO_HEADERS)
        if column not in headers[0] or "StructName" not in headers[0]:
            raise ValueError(NO_COLUMN.format(column=column, columns=headers[0]))
        name, value = headers[0].index("StructName"), headers[0].index(column)
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        return _unique((row[name], float(row[value])) for row in rows)


def statistics_table(path: Path) -> dict[str, float]:
    """Read the mean of each region from a ``*_statistics.tsv`` file of Clinica; the background has no value."""
    with reading(path):
        header, *rows = [line.split("\t") for line in _text(path).splitlines() if line.strip()]
        for column in ("label_name", "mean_scalar"):
            if column not in header:
                raise ValueError(NO_COLUMN.format(column=column, columns=header))
        name, value = header.index("label_name"), header.index("mean_scalar")
        pairs = ((row[name].strip(), float(row[value])) for row in rows)
        return _unique((region, mean) for region, mean in pairs if region.lower() != "background")


def wide_table(path: Path) -> dict[str, float]:
    """Read the only row of a table with a column for each region, as FreeSurfer's tools write it."""
    with reading(path):
        header, *rows = [line.split("\t") for line in _text(path).splitlines() if line.strip()]
        if len(rows) != 1:
            raise ValueError(f"it has {len(rows)} rows, but one of a participant is expected")
        return _unique(zip(header[1:], map(float, rows[0][1:]), strict=True))


def cat12_regions(path: Path, atlas: str, measure: str) -> dict[str, float]:
    """Read one measure of the regions of one atlas from a file of CAT12.

    Parameters
    ----------
    path : Path
        ``catROI_*.xml`` (volumes: ``Vgm``, ``Vwm``, ``Vcsf``) or ``catROIs_*.xml`` (surfaces: ``thickness``).
    atlas, measure : str
        Name of the atlas and of the measure.

    Returns
    -------
    dict of str to float
        Values by region.

    Raises
    ------
    UnreadableError
        If the file is damaged, or has no such atlas or measure.
    """
    from xml.etree import ElementTree

    with reading(path):
        text = _text(path)
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError(WITH_ENTITIES)
        root = ElementTree.fromstring(text)  # noqa: S314 -- of limited size, without entities
        found = root.find(atlas)
        if found is None:
            raise ValueError(NO_ATLAS.format(atlas=atlas, known=[child.tag for child in root if len(child)]))
        names = [str(item.text or "").strip() for item in found.findall("names/item")]
        values = found.find(f"data/{measure}")
        if values is None:
            known = [child.tag for data in found.findall("data") for child in data]
            raise ValueError(NO_MEASURE.format(atlas=atlas, measure=measure, known=known))
        numbers = [float(number) for number in str(values.text).strip().strip("[]").replace(";", " ").split()]
        if len(numbers) != len(names):
            raise ValueError(UNEQUAL.format(names=len(names), values=len(numbers)))
        return _unique(zip(names, numbers, strict=True))


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ValueError(TOO_LONG.format(size=size))
    return path.read_text(encoding="utf-8-sig")


def _unique(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"it names the region {name!r} more than once")
        values[name] = float(value)
    if not values:
        raise ValueError("it has no regions")
    return values
