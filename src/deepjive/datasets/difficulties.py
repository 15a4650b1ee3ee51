"""Difficulties of real cohorts, each a switch of the phantom.

| switch | what it adds | columns of `Phantom.subjects` | part |
|---|---|---|---|
| `sites` | shift, scale and smoothness of each scanner, in both modalities | site | neither |
| `subtypes` | limbic-predominant and hippocampal-sparing atrophy | subtype | joint |
| `copathology` | atrophy of the medial temporal lobe without amyloid, at any stage | copathology | MRI |
| `discordant` | controls with amyloid; atrophy without amyloid | amyloid_alone, atrophy_alone | PET, MRI |
| `age_shift` | patients are older | (age) | MRI |
| `missing_pet` | participants without PET | has_pet | |
| `misregistered` | PET scans that are displaced | shift_x, shift_y, shift_z (mm) | |
| `mispaired` | PET scans of another participant | pet_of | |
| `visits` | visits a year apart; some participants do not return | session_id, months, examination_date | all |

With several visits the table has a row for each visit. The stage grows by ``4 r s (1 - s)`` a year, where the rate r is
the participant's (mean 0.06, so that the steepest decade takes the stage from 0.2 to 0.8, as the rates of Villemagne et
al.). Age grows, too. Bias field, background and noise are those of the scan, and folding and head size those of the
participant. Displaced and exchanged scans are of the first visit alone. The diagnosis is that of the first visit.

Sites are no part of the truth: the true parts are those of site A. The stage of PET is ``max(stage, amyloid_alone)``,
and the stage of grey matter in MRI is ``max(stage, atrophy_alone)``.

References
----------
Fortin et al. 2018, NeuroImage 167:104 (shift and scale of scanners).
Joshi et al. 2009, NeuroImage 46:154 (resolution and scale of PET scanners).
Murray et al. 2011, Lancet Neurol 10:785; Ferreira et al. 2020, Neurology 94:436 (subtypes: 21% limbic-predominant, 17%
hippocampal-sparing).
Nelson et al. 2019, Brain 142:1503 (TDP-43 in the medial temporal lobe).
Jansen et al. 2015, JAMA 313:1924 (controls with amyloid).
Villemagne et al. 2013, Lancet Neurol 12:357 (rates of progression).
Jack et al. 2012, Ann Neurol 71:765; Crary et al. 2014, Acta Neuropathol 128:755 (atrophy without amyloid).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

SUBTYPES = {"typical": 0.62, "limbic": 0.21, "sparing": 0.17}
WITH_COPATHOLOGY = 0.35
AMYLOID_IN_CONTROLS, ATROPHY_IN_CONTROLS, ATROPHY_IN_PATIENTS = 0.2, 0.15, 0.15
SMALLEST_SHIFT, LARGEST_SHIFT = 8.0, 14.0
RATE, RATE_SD, YEARS_OF_AGE, RETURNING, VISITS_SEED = 0.06, 0.02, 15.0, 0.85, 11
FIRST = "ses-M00"

NOT_A_SHARE = "{name} is {given}, but must be a share of the participants, from 0 to below 1."
NOT_SITES = "sites is {given}, but must be 1, 2 or 3."
NOT_VISITS = "visits is {given}, but must be a whole number from 1 to 8."


class Site(NamedTuple):
    """Effects of a scanner: factors of both modalities, amplitude of the shift, and additional smoothing in mm."""

    mri_scale: float
    pet_scale: float
    mri_shift: float
    pet_shift: float
    mri_fwhm: float
    pet_fwhm: float


SITES = {
    "A": Site(1.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    "B": Site(1.06, 1.05, 0.02, 0.05, 4.0, 3.0),
    "C": Site(0.95, 0.95, 0.02, 0.05, 6.0, 5.0),
}


@dataclass(frozen=True)
class Difficulties:
    """Switches of the phantom; by default all are off.

    Attributes
    ----------
    sites : {1, 2, 3}, default=1
        Number of sites.
    subtypes, copathology, discordant : bool, default=False
        Subtypes of the disease, a second disease in MRI alone, and amyloid or atrophy alone.
    age_shift : float, default=0.0
        Half of the mean difference in age between diagnoses, in units of the factor age (-1 to 1 without shift). With
        0.4, age alone classifies 70%.
    missing_pet, misregistered, mispaired : float, default=0.0
        Shares of the participants.
    visits : int, default=1
        Largest number of visits of a participant, from 1 to 8.
    """

    sites: int = 1
    subtypes: bool = False
    copathology: bool = False
    discordant: bool = False
    age_shift: float = 0.0
    missing_pet: float = 0.0
    misregistered: float = 0.0
    mispaired: float = 0.0
    visits: int = 1

    def __post_init__(self) -> None:
        if self.sites not in (1, 2, 3):
            raise ValueError(NOT_SITES.format(given=self.sites))
        if isinstance(self.visits, bool) or self.visits not in range(1, 9):
            raise ValueError(NOT_VISITS.format(given=self.visits))
        for name in ("missing_pet", "misregistered", "mispaired"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(NOT_A_SHARE.format(name=name, given=getattr(self, name)))

    @property
    def names(self) -> list[str]:
        """The switches that are on."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


NONE = Difficulties()
HARD = Difficulties(
    sites=3,
    subtypes=True,
    copathology=True,
    discordant=True,
    age_shift=0.4,
    missing_pet=1 / 3,
    misregistered=0.05,
    mispaired=0.05,
)


def with_difficulties(subjects: pd.DataFrame, difficulties: Difficulties, rng: np.random.RandomState) -> pd.DataFrame:
    """Add the factors of the difficulties to those of the participants.

    Each switch has random numbers of its own, so that it changes nothing of the others.

    Parameters
    ----------
    subjects : DataFrame
        Factors of the participants.
    difficulties : Difficulties
        The switches.
    rng : RandomState
        Random numbers; unused if all switches are off.

    Returns
    -------
    DataFrame
        `subjects` itself if all switches are off.
    """
    if not difficulties.names:
        return subjects
    seed, subjects = int(rng.randint(2**31 - 1)), subjects.copy()
    adders: dict[str, Any] = {
        "sites": _add_sites,
        "subtypes": _add_subtypes,
        "copathology": _add_copathology,
        "discordant": _add_discordant,
        "age_shift": _shift_age,
        "missing_pet": _leave_out_pet,
        "misregistered": _displace_pet,
        "mispaired": _exchange_pet,
    }
    for number, (name, add) in enumerate(adders.items()):
        if name in difficulties.names:
            add(subjects, getattr(difficulties, name), np.random.default_rng([seed, number]))
    return subjects


def with_visits(subjects: pd.DataFrame, visits: int) -> pd.DataFrame:
    """Add later visits of the participants, as rows after each; their random numbers depend on its seed alone.

    Parameters
    ----------
    subjects : DataFrame
        Factors of the participants at their first visit.
    visits : int
        Largest number of visits of a participant.

    Returns
    -------
    DataFrame
        `subjects` itself for one visit.
    """
    if visits == 1:
        return subjects
    rows = [row for factors in subjects.to_dict(orient="records") for row in _visits_of(factors, visits)]
    return pd.DataFrame(rows)


def _visits_of(factors: dict[Any, Any], visits: int) -> list[dict[Any, Any]]:
    """The factors of a participant at each visit, until the participant does not return."""
    rng = np.random.default_rng([int(factors["seed"]), VISITS_SEED])
    rate, start = max(rng.normal(RATE, RATE_SD), 0.0), pd.Timestamp("2008-01-07") + pd.Timedelta(days=rng.integers(900))
    rows = []
    for year in range(visits):
        days = 365 * year + int(rng.integers(-20, 21)) * (year > 0)
        date = (start + pd.Timedelta(days=days)).date().isoformat()
        when = {"session_id": f"ses-M{12 * year:02d}", "months": 12 * year, "examination_date": date}
        rows.append({**factors, **when})
        factors = _a_year_later(factors, rate, rng)
        if rng.random() > RETURNING:
            break
    return rows


def _a_year_later(factors: dict[Any, Any], rate: float, rng: np.random.Generator) -> dict[Any, Any]:
    later = {**factors, "age": factors["age"] + 1.0 / YEARS_OF_AGE}
    for name in ("stage", "amyloid_alone", "atrophy_alone"):
        if name in factors:
            later[name] = _grown(factors[name], rate)
    for name in ("scale", "tau_scale"):
        if name in factors:
            later[name] = float(np.clip(0.7 * factors[name] + 0.7 * rng.normal(), -2.5, 2.5))
    right = {"shift_x": 0.0, "shift_y": 0.0, "shift_z": 0.0, "pet_of": factors["participant_id"]}
    return later | {name: value for name, value in right.items() if name in factors}


def _grown(stage: float, rate: float, steps: int = 12) -> float:
    """The stage a year later."""
    for _ in range(steps):
        stage += 4.0 * rate * stage * (1.0 - stage) / steps
    return stage


def true_factors(subjects: pd.DataFrame) -> pd.DataFrame:
    """Return the true factors that bear on the diagnosis, as numbers: the ceiling of every classification of scores.

    Parameters
    ----------
    subjects : DataFrame
        `Phantom.subjects`.

    Returns
    -------
    DataFrame
        `stage`, and with the switch `discordant` also `amyloid_alone` and `atrophy_alone`.
    """
    columns = ["stage", *(name for name in ("amyloid_alone", "atrophy_alone") if name in subjects)]
    return subjects[columns].astype(float)


def _add_sites(subjects: pd.DataFrame, sites: int, rng: np.random.Generator) -> None:
    subjects["site"] = rng.choice(list(SITES)[:sites], len(subjects))


def _add_subtypes(subjects: pd.DataFrame, _: bool, rng: np.random.Generator) -> None:
    subjects["subtype"] = rng.choice(list(SUBTYPES), len(subjects), p=list(SUBTYPES.values()))


def _add_copathology(subjects: pd.DataFrame, _: bool, rng: np.random.Generator) -> None:
    n = len(subjects)
    subjects["copathology"] = np.where(rng.random(n) < WITH_COPATHOLOGY, rng.beta(3.0, 2.0, n), 0.0)


def _add_discordant(subjects: pd.DataFrame, _: bool, rng: np.random.Generator) -> None:
    """Controls with amyloid, controls with atrophy, and patients whose disease is without amyloid."""
    n, impaired = len(subjects), (subjects["diagnosis"] == "AD").to_numpy()
    draw, stage = rng.random(n), subjects["stage"].to_numpy()
    amyloid, atrophy, low = rng.uniform(0.5, 0.85, n), rng.uniform(0.5, 0.8, n), rng.beta(1.3, 5.5, n)
    with_amyloid = ~impaired & (draw < AMYLOID_IN_CONTROLS)
    with_atrophy = ~impaired & (draw > 1.0 - ATROPHY_IN_CONTROLS)
    without_amyloid = impaired & (draw < ATROPHY_IN_PATIENTS)
    subjects["amyloid_alone"] = np.where(with_amyloid, amyloid, 0.0)
    subjects["atrophy_alone"] = np.where(with_atrophy, atrophy, np.where(without_amyloid, stage, 0.0))
    subjects["stage"] = np.where(without_amyloid, np.minimum(low, stage), stage)


def _shift_age(subjects: pd.DataFrame, shift: float, _: np.random.Generator) -> None:
    subjects["age"] += shift * np.where(subjects["diagnosis"] == "AD", 1.0, -1.0)


def _leave_out_pet(subjects: pd.DataFrame, share: float, rng: np.random.Generator) -> None:
    subjects["has_pet"] = ~_some(len(subjects), share, rng)


def _displace_pet(subjects: pd.DataFrame, share: float, rng: np.random.Generator) -> None:
    n = len(subjects)
    directions = rng.normal(size=(n, 3))
    lengths = rng.uniform(SMALLEST_SHIFT, LARGEST_SHIFT, n) * _some(n, share, rng)
    moves = directions / np.linalg.norm(directions, axis=1, keepdims=True) * lengths[:, None]
    for axis, move in zip("xyz", moves.T, strict=True):
        subjects[f"shift_{axis}"] = move


def _exchange_pet(subjects: pd.DataFrame, share: float, rng: np.random.Generator) -> None:
    """Give each of some participants the PET of the next of them."""
    rows = np.flatnonzero(_some(len(subjects), share, rng, fewest=2))
    names = subjects["participant_id"].to_numpy(dtype=object).copy()
    order = rng.permutation(rows)
    names[order] = names[np.roll(order, 1)]
    subjects["pet_of"] = names


def _some(n: int, share: float, rng: np.random.Generator, fewest: int = 1) -> Any:
    """Draw a share of the rows, at least a few of them."""
    chosen = np.zeros(n, dtype=bool)
    chosen[rng.permutation(n)[: max(round(share * n), fewest)]] = True
    return chosen
