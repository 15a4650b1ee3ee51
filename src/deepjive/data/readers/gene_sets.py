"""Gene sets from `.gmt` files, as the Molecular Signatures Database and Enrichr give them.

A line has the name of a set, a description or an address, and the genes of the set, with tabs between them.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from deepjive.data.readers.guard import UnreadableError, reading

FORMAT = "A line must hold the name of a set, a description, and genes, with tabs between them"
NO_SETS = "{path} holds no gene set. " + FORMAT + "."
NO_GENES = "{path}: line {line} ({start!r}) names no gene. " + FORMAT + "."
SET_REPEATED = "{path}: lines {first} and {second} both name the set {name!r}. Rename or remove one of them."
START = 40


def read_gene_sets(path: str | Path) -> dict[str, list[str]]:
    """Read gene sets from a `.gmt` file.

    Parameters
    ----------
    path : path
        The file; it may be compressed (``.gmt.gz``).

    Returns
    -------
    dict of str to list of str
        The genes of each set, in the order of the file. A gene that a line repeats counts once.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    UnreadableError
        If the file holds no set, a line names no gene, or two sets have the same name.

    See Also
    --------
    deepjive.evaluation.feature_set_enrichment : Test the sets for each score.
    """
    path = Path(path)
    opened = gzip.open if path.suffix == ".gz" else open
    with reading(path), opened(path, "rt", encoding="utf-8-sig") as file:
        lines = file.read().splitlines()
    sets: dict[str, list[str]] = {}
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *rest = (cell.strip() for cell in line.split("\t"))
        genes = list(dict.fromkeys(gene for gene in rest[1:] if gene))
        if not (name and genes):
            raise UnreadableError(NO_GENES.format(path=path, line=number, start=line.strip()[:START]))
        if name in sets:
            raise UnreadableError(SET_REPEATED.format(path=path, first=line_of[name], second=number, name=name))
        sets[name], line_of[name] = genes, number
    if not sets:
        raise UnreadableError(NO_SETS.format(path=path))
    return sets
