"""Tracers of PET: what they bind to, the usual reference region, and the conversion of SUVR to Centiloids.

The Centiloid scale is 0 in young controls and 100 in typical mild Alzheimer's disease. SUVR of the standard cortical
region over the whole cerebellum (`deepjive.imaging.centiloid`) is converted by a line,

    CL = slope * SUVR + intercept

The line of PiB follows from its two anchors, CL = 100 (SUVR - 1.009) / 1.067. The lines of other tracers come from
scans of the same participants with PiB, by the standard regions:

    florbetapir     CL = 175.17 SUVR - 182.24     usually quoted rounded, as 175 SUVR - 182
    florbetaben     CL = 153.4 SUVR - 154.9
    flutemetamol    CL = 121.42 SUVR - 121.16

The line of florbetaben is that of the paper's abstract. For florbetapir, other sources quote the line of Navitsky et
al. for the standard regions rounded, as 175 SUVR - 182. The decimals used here were not confirmed in a primary source;
they change the result by at most 0.3 Centiloids between SUVR 0.8 and 3. Navitsky et al. also give CL = 183.07 SUVR -
177.26. That line is for SUVR over other cortical regions (of Avid's method), and must not be used with the standard
regions. A repetition with the project's public scans and SPM12 found 179.64 SUVR - 186.95 (Chinese Preclinical
Alzheimer's Disease Study, 2024), up to 9 Centiloids away between SUVR 0.8 and 3: the line depends on the processing.

References
----------
Klunk et al. 2015, Alzheimers Dement 11:1 (the scale; PiB).
Navitsky et al. 2018, Alzheimers Dement 14:1565 (florbetapir).
Rowe et al. 2017, Eur J Nucl Med Mol Imaging 44:2053 (florbetaben).
Battle et al. 2018, EJNMMI Res 8:107 (flutemetamol).
Baker et al. 2017, Data Brief 15:648 (flortaucipir over inferior cerebellar grey matter).
Pascoal et al. 2018, Alzheimers Res Ther 10:74 (MK-6240 over cerebellar grey matter).
Jagust et al. 2010, Alzheimers Dement 6:221 (FDG over pons).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

YOUNG, TYPICAL = 1.009, 2.076
TARGETS = {"amyloid": "amyloid", "tau": "tau", "glucose": "glucose metabolism"}

UNKNOWN_TRACER = "tracer is {given!r}, but must be one of {known}, or a label of a file name such as 18FAV45."
UNKNOWN_TARGET = "tracer is {given!r}, but must be one of {targets}, a tracer ({known}), or a label such as 18FAV45."
NO_CENTILOIDS = "{name} binds to {target}, but the Centiloid scale is of amyloid. Tracers with a conversion: {known}."


class Tracer(NamedTuple):
    """A tracer.

    Attributes
    ----------
    target : {"amyloid", "tau", "glucose metabolism"}
        What the tracer shows.
    labels : tuple of str
        Values of the entity ``trc`` in file names.
    reference : str
        The usual reference region, a name of ``deepjive.imaging.REFERENCES``.
    slope, intercept : float
        The conversion to Centiloids; NaN if the tracer has none.
    """

    target: str
    labels: tuple[str, ...]
    reference: str
    slope: float = float("nan")
    intercept: float = float("nan")


TRACERS = {
    "PiB": Tracer("amyloid", ("11CPIB",), "cerebellum", 100.0 / (TYPICAL - YOUNG), -100.0 * YOUNG / (TYPICAL - YOUNG)),
    "florbetapir": Tracer("amyloid", ("18FAV45", "18FFBP", "AV45", "FBP"), "cerebellum", 175.17, -182.24),
    "florbetaben": Tracer("amyloid", ("18FFBB", "FBB"), "cerebellum", 153.4, -154.9),
    "flutemetamol": Tracer("amyloid", ("18FFMM", "FMM"), "cerebellum", 121.42, -121.16),
    "flortaucipir": Tracer("tau", ("18FAV1451", "18FFTP", "AV1451", "FTP"), "inferior-cerebellar-grey"),
    "MK-6240": Tracer("tau", ("18FMK6240", "MK6240"), "inferior-cerebellar-grey"),
    "FDG": Tracer("glucose metabolism", ("18FFDG",), "pons"),
}


def tracer_name(given: str) -> str:
    """Return the name of a tracer in `TRACERS`, from its name or from a label of file names.

    Parameters
    ----------
    given : str
        A name or label; upper and lower case, hyphens and brackets make no difference.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the tracer is not known.

    Examples
    --------
    >>> tracer_name("18FAV45"), tracer_name("pib")
    ('florbetapir', 'PiB')
    """
    wanted = _plain(given)
    for name, tracer in TRACERS.items():
        if wanted in map(_plain, (name, *tracer.labels)):
            return name
    raise ValueError(UNKNOWN_TRACER.format(given=given, known=", ".join(TRACERS)))


def tracers_of(wanted: str) -> set[str]:
    """Return the names of the tracers that show something, or the name of one tracer.

    Parameters
    ----------
    wanted : str
        "amyloid", "tau" or "glucose", or a tracer; see `tracer_name`.

    Returns
    -------
    set of str

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> sorted(tracers_of("tau"))
    ['MK-6240', 'flortaucipir']
    """
    if wanted in TARGETS:
        return {name for name, tracer in TRACERS.items() if tracer.target == TARGETS[wanted]}
    try:
        return {tracer_name(wanted)}
    except ValueError as error:
        given = {"given": wanted, "targets": ", ".join(TARGETS), "known": ", ".join(TRACERS)}
        raise ValueError(UNKNOWN_TARGET.format(**given)) from error


def usual_reference(wanted: str | None) -> str:
    """Return the usual reference region of a tracer, or of what PET shows; the cerebellum without either.

    Examples
    --------
    >>> usual_reference("tau"), usual_reference("FDG"), usual_reference(None)
    ('inferior-cerebellar-grey', 'pons', 'cerebellum')
    """
    return "cerebellum" if wanted is None else TRACERS[min(tracers_of(wanted))].reference


def tracer_of(labels: Iterable[str]) -> str | None:
    """Return the tracer that one of some labels of a file name names; None if no tracer is known by them."""
    for label in labels:
        try:
            return tracer_name(label)
        except ValueError:
            continue
    return None


def centiloids(suvr: ArrayLike, tracer: str) -> NDArray[np.float64]:
    """Convert SUVR of the standard cortical region over the whole cerebellum to Centiloids.

    Parameters
    ----------
    suvr : array-like
        SUVR by the standard method. The published lines do not hold for other regions.
    tracer : str
        Name or label of an amyloid tracer; see `tracer_name`.

    Returns
    -------
    array, shape of `suvr`

    Raises
    ------
    ValueError
        If the tracer is not known, or has no conversion.

    See Also
    --------
    deepjive.imaging.read_centiloid_regions : Measures this SUVR in images.

    Examples
    --------
    >>> centiloids([1.009, 2.076], "PiB").round(6).tolist()
    [0.0, 100.0]
    """
    name = tracer_name(tracer)
    known = TRACERS[name]
    if not np.isfinite(known.slope):
        amyloid = ", ".join(other for other, properties in TRACERS.items() if np.isfinite(properties.slope))
        raise ValueError(NO_CENTILOIDS.format(name=name, target=known.target, known=amyloid))
    values: Any = np.asarray(suvr, dtype=np.float64)
    return np.asarray(known.slope * values + known.intercept)


def _plain(name: str) -> str:
    return "".join(letter for letter in str(name).upper() if letter.isalnum())
