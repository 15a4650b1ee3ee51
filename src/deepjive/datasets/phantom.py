"""A phantom cohort of MRI and PET with known truth, simulated on the MNI152 templates.

Every participant has factors, which are uniform or standard normal unless stated otherwise. `N` and `A` are logistic
curves of the disease stage s; amyloid precedes atrophy. `x` runs from -1 (left) to 1 (right). `G`, `W`, `C` are the
templates' grey matter, white matter and fluid. `P_atrophy` and `P_amyloid` are the patterns of the disease
(`deepjive.datasets.anatomy`):

    grey    G' = G [1 - clip(N(s) P_atrophy (1 + .5 a x), 0, .8)]
    MRI     smooth_8mm( warp(G' (1 - .06 age) (1 + .03 size) (1 + bias)) ) + noise        a grey-matter map
    PET     (1 + .06 scale) (1 + .05 b(x)) PSF_5-9mm( G' (1.01 + 3.08 A(s) P_amyloid (1 + .5 a x))
                                                      + W (1.43 + .25 w) + .37 C ) + noise    SUVR

- joint        stage s (Beta(1.3, 5.5) in CN, Beta(6, 2.2) in AD) and asymmetry a (Frings et al. 2015 found asymmetric
               amyloid and asymmetric neuronal damage in the same patients)
- MRI alone    age (grey-matter loss and wide ventricles), head size, folding (a smooth random warp), and the remains of
               a bias field in the segmentation
- PET alone    uptake of white matter w, scale, resolution of the scanner, low-frequency noise b

The uptake in healthy cortex, white matter and fluid is chosen so that the composite SUVR against cerebellar grey matter
is near 1.1 in healthy participants without amyloid, and near 1.8 in AD (florbetapir: Clark et al. 2011; PiB: Klunk et
al. 2004, with an AD mean of 2.07). PET is computed from G', which does not depend on age and size. Otherwise the
partial volume effect would make age and size joint. All volumes are computed on a grid of 3 mm and then sampled, so
ratios do not depend on the resolution.

With ``tau=True`` there is a third modality, the uptake of a tau tracer; `T` is a curve of the stage between `A` and
`N`:

    tau     (1 + .06 scale_t) (1 + .05 b(x)) PSF_5-9mm( G' (1.0 + 4.4 T(s) P_tau (1 + .5 a x))
                                                     + .95 W + .6 C + (.35 + .15 o) P_putamen ) + noise

Stage and asymmetry are then joint in three modalities. Tau and atrophy also share, without amyloid, where they are: the
factor `spread` p moves both patterns between the hippocampal-sparing and the limbic-predominant one (Ossenkoppele et
al. 2016: tau follows the atrophy of the variants of the disease, and amyloid does not),

    P' = clip(P + p (P_limbic - P_sparing) / 2, 0, 1).

Tau alone has off-target binding o in the putamen, scale and resolution. Healthy and impaired participants lie on either
side of the published limits of temporal uptake over inferior cerebellar grey matter, 1.27 and 1.34 (Ossenkoppele et al.
2018).

Real cohorts are harder: sites, subtypes, a second disease, amyloid or atrophy alone, age that goes with the diagnosis,
missing, displaced and exchanged scans, several visits. Each is a switch (`deepjive.datasets.Difficulties`), and all are
off by default.

The truth is counterfactual. The joint part is the volume if the individual factors and the spread have their reference
values. The individual part is the volume without disease. The part of MRI and tau is what the spread adds to the joint
part.

References
----------
Jack et al. 2013, Lancet Neurol 12:207.
Frings et al. 2015, Brain 138:3366.
Clark et al. 2011, JAMA 305:275.
Klunk et al. 2004, Ann Neurol 55:306.
Ossenkoppele et al. 2016, Brain 139:1551; 2018, JAMA 320:1151.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, shift
from sklearn.utils import check_random_state

from deepjive.data.modalities import Modalities
from deepjive.datasets.anatomy import composite_region, off_target, pattern
from deepjive.datasets.difficulties import FIRST, NONE, SITES, Difficulties, with_difficulties, with_visits
from deepjive.imaging.grid import Grid, mni_grid, sd_of, template
from deepjive.imaging.regions import reference_region

FINEST = 3.0
AMYLOID_MIDDLE, AMYLOID_WIDTH = 0.45, 0.08
ATROPHY_MIDDLE, ATROPHY_WIDTH = 0.60, 0.12
TAU_MIDDLE, TAU_WIDTH = 0.52, 0.10
ASYMMETRY = 0.5
CORTEX, AMYLOID, WHITE, FLUID = 1.01, 3.08, 1.43, 0.37
TAU_CORTEX, TAU, TAU_WHITE, TAU_FLUID, TAU_PUTAMEN, TAU_OFF_TARGET = 1.0, 4.4, 0.95, 0.6, 0.35, 0.15
MRI_FWHM = 8.0
FOLDING_MM, FOLDING_FWHM = 1.5, 35.0
MRI_NOISE, PET_NOISE = 0.01, 0.03
NOISE = {"mri": MRI_NOISE, "pet": PET_NOISE, "tau": PET_NOISE}
FACTORS = {
    "joint": ("stage", "asymmetry"),
    "mri+tau": ("spread",),
    "mri": ("age", "size", "folding", "bias"),
    "pet": ("white", "scale", "resolution", "background"),
    "tau": ("off_target", "tau_scale", "tau_resolution", "background"),
}
REFERENCE = {
    **dict.fromkeys(("stage", "asymmetry", "spread", "age", "size", "white", "scale", "off_target", "tau_scale"), 0.0),
    **dict.fromkeys(("resolution", "tau_resolution"), 7.0),
}
CONSTANT = {
    "joint": tuple(factor for part, factors in FACTORS.items() if part != "joint" for factor in factors),
    "individual": (*FACTORS["joint"], *FACTORS["mri+tau"]),
    "both": (),
}
SHARED, TAU_FACTORS = "mri+tau", 7

NO_PART = "The part is {given!r}, but must be one of {known}."


@dataclass(frozen=True)
class Phantom:
    """A simulated cohort with its known truth.

    Attributes
    ----------
    data : Modalities
        "mri" (grey-matter maps) and "pet" (SUVR of amyloid), and "tau" (SUVR) if it was asked for, each (n, x, y, z) in
        half precision, zero outside the brain. With several visits `data.groups` has the participants.
    subjects : DataFrame, n rows
        `participant_id`, `diagnosis` ("CN" or "AD"), and the factors that are numbers: stage, asymmetry, age, size,
        white, scale, resolution; with tau also spread, off_target, tau_scale and tau_resolution. With several visits a
        row for each visit, with `session_id` and `months`.
    grid : Grid
        Positions of the voxels.
    mask : array of bool, shape (x, y, z)
        The brain mask.
    difficulties : Difficulties
        The difficulties that were added. Their factors are further columns of `subjects`.
    """

    data: Modalities
    subjects: pd.DataFrame
    grid: Grid
    mask: NDArray[np.bool_]
    difficulties: Difficulties = NONE

    def truth(self, part: str, name: str, rows: Any = slice(None)) -> NDArray[np.float32]:
        """Compute the noise-free volumes of some participants if only one part varied.

        Parameters
        ----------
        part : {"joint", "individual", "both", "mri+tau"}
            The part that varies; "mri+tau" is what the spread adds to the joint part.
        name : {"mri", "pet", "tau"}
            The modality.
        rows : slice or array of int, default=slice(None)
            The participants; all by default.

        Returns
        -------
        array, shape (n_rows, x, y, z)
        """
        known = (*CONSTANT, *([SHARED] if "tau" in self.data.names else []))
        if part not in known:
            raise ValueError(NO_PART.format(given=part, known=known))
        factors_of_rows = self.subjects.iloc[rows].to_dict(orient="records")
        return np.stack([self._on_grid(_draw(name, factors, part)) for factors in factors_of_rows])

    def where(self, rows: Any) -> Phantom:
        """Return some of the participants.

        Parameters
        ----------
        rows : slice or array of int
            The participants.

        Returns
        -------
        Phantom
        """
        subjects = self.subjects.iloc[rows].reset_index(drop=True)
        return Phantom(self.data[rows], subjects, self.grid, self.mask, self.difficulties)

    @property
    def samples(self) -> list[str]:
        """Participant and session of each row, as readers name the files that `write_caps` writes."""
        sessions = self.subjects["session_id"] if "session_id" in self.subjects else [FIRST] * len(self.subjects)
        return [f"{name}_{session}" for name, session in zip(self.subjects["participant_id"], sessions, strict=True)]

    def _on_grid(self, volume: NDArray) -> NDArray[np.float32]:
        return _sampled(volume, self.grid) * self.mask


def make_phantom(
    n_subjects: int = 300,
    voxel: float = 6.0,
    *,
    tau: bool = False,
    difficulties: Difficulties = NONE,
    folder: str | Path | None = None,
    random_state: int | np.random.RandomState | None = 0,
) -> Phantom:
    """Simulate a phantom cohort: one half cognitively normal (CN), one half with Alzheimer's disease (AD).

    Parameters
    ----------
    n_subjects : int, default=300
        Number of participants, at least 4.
    voxel : float, default=6.0
        Edge of a voxel in mm.
    tau : bool, default=False
        Whether there is a third modality, "tau". MRI then also has the spread that it shares with tau; amyloid does not
        change.
    difficulties : Difficulties, default=Difficulties()
        Difficulties of real cohorts; none by default. ``deepjive.datasets.HARD`` has them all, except several visits.
    folder : path, default=None
        Folder for the volumes, one memory-mapped array per modality. By default the volumes are kept in memory.
    random_state : int, RandomState or None, default=0
        Seed. The same seed gives the same participants at every resolution.

    Returns
    -------
    Phantom

    Raises
    ------
    ValueError
        If there are fewer than 4 participants, or if `voxel` is outside 1 to 12 mm.
    deepjive.data.readers.guard.MissingExtraError
        Without nilearn, which brings the templates (extra ``imaging``).
    """
    if n_subjects < 4:
        raise ValueError(f"n_subjects is {n_subjects}, but at least 4 are needed: half CN, half AD.")
    grid = mni_grid(voxel)
    mask = template("brain", voxel) > 0
    rng = check_random_state(random_state)
    subjects = with_difficulties(_subjects(n_subjects, rng), difficulties, rng)
    subjects = with_visits(with_tau(subjects) if tau else subjects, difficulties.visits)
    records = subjects.to_dict(orient="records")
    by_scan = {_scan(factors): factors for factors in records}
    names = ("mri", "pet", "tau")[: 3 if tau else 2]
    present = np.ones((len(records), len(names)), dtype=bool)
    arrays = {name: _empty(folder, name, (len(records), *grid.shape)) for name in names}
    for row, own in enumerate(records):
        for column, name in enumerate(names):
            if name != "mri" and not own.get("has_pet", True):
                present[row, column], arrays[name][row] = False, 0.0
                continue
            factors = by_scan[_scan(own, own["pet_of"])] if name == "pet" and "pet_of" in own else own
            rng = np.random.default_rng([int(factors["seed"]), len(name) + ord(name[0]), *_visit(factors)])
            volume = _sampled(_displaced(_draw(name, factors, "both"), own if name == "pet" else {}), grid)
            arrays[name][row] = (volume + NOISE[name] * rng.standard_normal(grid.shape)) * mask
    groups = subjects["participant_id"].tolist() if difficulties.visits > 1 else None
    samples = subjects["participant_id"].tolist() if groups is None else list(map("_".join, by_scan))
    data = Modalities(arrays, samples=samples, present=present, groups=groups)
    return Phantom(data, subjects, grid, mask, difficulties)


def with_tau(subjects: pd.DataFrame) -> pd.DataFrame:
    """Add the factors of tau to those of the participants; their random numbers depend on the seed of each alone."""
    rngs = [np.random.default_rng([int(seed), TAU_FACTORS]) for seed in subjects["seed"]]
    return subjects.assign(
        spread=[rng.uniform(-1.0, 1.0) for rng in rngs],
        off_target=[rng.normal() for rng in rngs],
        tau_scale=[rng.normal() for rng in rngs],
        tau_resolution=[rng.uniform(5.0, 9.0) for rng in rngs],
    )


def composite_suvr(pet: NDArray, voxel: float) -> NDArray:
    """Return the composite SUVR: mean uptake of composite cortex divided by mean uptake of cerebellar grey matter.

    Parameters
    ----------
    pet : array, shape (n, x, y, z)
        PET volumes on the standard grid.
    voxel : float
        Edge of a voxel in mm.

    Returns
    -------
    array, shape (n,)
    """
    pet = np.asarray(pet, dtype=np.float32)
    return pet[:, composite_region(voxel)].mean(axis=1) / pet[:, reference_region("cerebellar-grey", voxel)].mean(
        axis=1
    )


def amyloid_curve(stage: Any) -> Any:
    """Return the amount of amyloid at a disease stage; both are between 0 and 1."""
    return _logistic(stage, AMYLOID_MIDDLE, AMYLOID_WIDTH)


def tau_curve(stage: Any) -> Any:
    """Return the amount of tau at a disease stage; both are between 0 and 1."""
    return _logistic(stage, TAU_MIDDLE, TAU_WIDTH)


def atrophy_curve(stage: Any) -> Any:
    """Return the amount of atrophy at a disease stage; both are between 0 and 1."""
    return _logistic(stage, ATROPHY_MIDDLE, ATROPHY_WIDTH)


def _logistic(stage: Any, middle: float, width: float) -> Any:
    """Return a logistic curve that is scaled to 0 at stage 0 and to 1 at stage 1."""
    value, lowest, highest = (1.0 / (1.0 + np.exp(-(np.asarray(s) - middle) / width)) for s in (stage, 0.0, 1.0))
    return (value - lowest) / (highest - lowest)


def _subjects(n: int, rng: np.random.RandomState) -> pd.DataFrame:
    """Draw the factors of every participant; diagnoses alternate, so any first participants have both diagnoses."""
    impaired = np.arange(n) % 2 == 1
    stage = np.where(impaired, rng.beta(6.0, 2.2, n), rng.beta(1.3, 5.5, n))
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{number:04d}" for number in range(1, n + 1)],
            "diagnosis": np.where(impaired, "AD", "CN"),
            "stage": stage,
            "asymmetry": rng.uniform(-1.0, 1.0, n),
            "age": rng.uniform(-1.0, 1.0, n),
            "size": rng.normal(size=n).clip(-2.5, 2.5),
            "white": rng.uniform(-1.0, 1.0, n),
            "scale": rng.normal(size=n).clip(-2.5, 2.5),
            "resolution": rng.uniform(5.0, 9.0, n),
            "seed": rng.randint(2**31 - 1, size=n),
        }
    )


def _scan(factors: dict[Any, Any], participant: str = "") -> tuple[str, str]:
    """Participant and session of a scan."""
    return participant or factors["participant_id"], factors.get("session_id", "")


def _visit(factors: dict[Any, Any]) -> list[int]:
    """Seeds that differ between the visits of a participant; none for the first visit."""
    months = int(factors.get("months", 0))
    return [months] if months else []


def _draw(name: str, factors: dict[Any, Any], part: str) -> NDArray[np.float32]:
    """Compute one modality of one participant at 3 mm; factors of the part that does not vary have reference values."""
    if part == SHARED:
        without = {**factors, **{factor: REFERENCE[factor] for factor in FACTORS[SHARED]}}
        return _joint(name, factors) - _joint(name, without)
    factors = factors | {factor: REFERENCE[factor] for factor in CONSTANT[part] if factor in REFERENCE}
    if part == "joint":
        return _joint(name, factors)
    if part == "individual":
        factors = factors | {"site": "A"}
    rng = np.random.default_rng(int(factors["seed"]))
    return IMAGES[name](factors, rng)


def _joint(name: str, factors: dict[Any, Any]) -> NDArray[np.float32]:
    """Compute one modality without individual factors, as the first site would see it."""
    constant = [factor for part in ("mri", "pet", "tau") for factor in FACTORS[part]]
    factors = factors | {factor: REFERENCE[factor] for factor in constant if factor in REFERENCE}
    factors = factors | dict.fromkeys(("copathology", "amyloid_alone", "atrophy_alone"), 0.0) | {"site": "A"}
    return IMAGES[name](factors, None)


def _of_visit(rng: np.random.Generator, factors: dict[Any, Any]) -> np.random.Generator:
    """Random numbers of what differs between the scans of a participant."""
    visit = _visit(factors)
    return np.random.default_rng([int(factors["seed"]), *visit]) if visit else rng


def _mri(factors: dict[Any, Any], rng: np.random.Generator | None) -> NDArray[np.float32]:
    grey = _grey(factors, max(factors["stage"], factors.get("atrophy_alone", 0.0)), factors.get("spread", 0.0))
    if factors.get("copathology", 0.0):
        grey = grey * (1.0 - 0.7 * np.float32(factors["copathology"]) * pattern("copathology", FINEST))
    grey = grey * (1.0 - 0.06 * factors["age"]) * (1.0 + 0.03 * factors["size"])
    coordinates = _voxel_indices() + _ventricles() * np.float32(factors["age"])
    if rng is not None:
        coordinates = coordinates + np.stack([_smooth_noise(rng, FOLDING_FWHM) for _ in range(3)]) * FOLDING_MM / FINEST
        grey = grey * (1.0 + 0.03 * _smooth_noise(_of_visit(rng, factors), 80.0))
    warped = map_coordinates(grey, coordinates, order=1, output=np.float32)
    return _at_site(warped, MRI_FWHM, factors.get("site", "A"), "mri")


def _pet(factors: dict[Any, Any], rng: np.random.Generator | None) -> NDArray[np.float32]:
    stage = max(factors["stage"], factors.get("amyloid_alone", 0.0))
    amyloid = amyloid_curve(stage) * pattern("amyloid", FINEST) * _asymmetric(factors)
    grey, white = _grey(factors, factors["stage"]), _white() * (WHITE + 0.25 * factors["white"])
    uptake = grey * (CORTEX + AMYLOID * amyloid) + white + FLUID * _fluid()
    blurred = _at_site(uptake, factors["resolution"], factors.get("site", "A"), "pet")
    blurred = blurred * (1.0 + 0.06 * factors["scale"])
    return blurred if rng is None else blurred * (1.0 + 0.05 * _smooth_noise(_of_visit(rng, factors), 60.0))


def _tau(factors: dict[Any, Any], rng: np.random.Generator | None) -> NDArray[np.float32]:
    tau = tau_curve(factors["stage"]) * _spread_pattern("tau", factors, factors["spread"]) * _asymmetric(factors)
    uptake = _grey(factors, factors["stage"], factors["spread"]) * (TAU_CORTEX + TAU * tau)
    uptake = uptake + TAU_WHITE * _white() + TAU_FLUID * _fluid()
    uptake = uptake + (TAU_PUTAMEN + TAU_OFF_TARGET * factors["off_target"]) * off_target(FINEST)
    blurred = _at_site(uptake, factors["tau_resolution"], factors.get("site", "A"), "pet")
    blurred = blurred * (1.0 + 0.06 * factors["tau_scale"])
    if rng is None:
        return blurred
    own = np.random.default_rng([int(factors["seed"]), TAU_FACTORS, 1, *_visit(factors)])
    return blurred * (1.0 + 0.05 * _smooth_noise(own, 60.0))


IMAGES = {"mri": _mri, "pet": _pet, "tau": _tau}


def _at_site(volume: NDArray, fwhm: float, name: str, modality: str) -> NDArray[np.float32]:
    """Smooth a volume, and scale and shift it as the scanner of a site does; site A only smooths."""
    site = SITES[name]
    scale, more, wider = (getattr(site, f"{modality}_{effect}") for effect in ("scale", "shift", "fwhm"))
    smooth = gaussian_filter(volume, sd_of(np.hypot(fwhm, wider) if wider else fwhm, FINEST))
    return smooth if name == "A" else smooth * scale + more * _site_shift(name)


@lru_cache(maxsize=4)
def _site_shift(name: str) -> NDArray[np.float32]:
    """Return where the scanner of a site reads more or less than the others, with variance 1."""
    return _smooth_noise(np.random.default_rng([7, ord(name)]), 60.0)


def _displaced(volume: NDArray, factors: dict[Any, Any]) -> NDArray[np.float32]:
    """Move a volume by the shift of a scan that is not registered well."""
    move = np.array([factors.get(f"shift_{axis}", 0.0) for axis in "xyz"]) / FINEST
    return shift(volume, move, order=1, output=np.float32) if move.any() else volume


def _grey(factors: dict[Any, Any], stage: float, spread: float = 0.0) -> NDArray[np.float32]:
    lost = atrophy_curve(stage) * _spread_pattern("atrophy", factors, spread) * _asymmetric(factors)
    return (template("grey", FINEST) * (1.0 - np.clip(lost, 0.0, 0.8))).astype(np.float32)


def _spread_pattern(kind: str, factors: dict[Any, Any], spread: float) -> NDArray[np.float32]:
    """Return the pattern of the participant's subtype, moved by the spread between the two subtypes."""
    subtype = factors.get("subtype", "typical")
    own = pattern(kind if subtype == "typical" else f"{subtype} {kind}", FINEST)
    if not spread:
        return own
    difference = pattern(f"limbic {kind}", FINEST) - pattern(f"sparing {kind}", FINEST)
    return np.clip(own + np.float32(0.5 * spread) * difference, 0.0, 1.0)


def _white() -> NDArray[np.float32]:
    return template("white", FINEST)


@lru_cache(maxsize=1)
def _fluid() -> NDArray[np.float32]:
    fluid = template("brain", FINEST) - template("grey", FINEST) - template("white", FINEST)
    return np.clip(fluid, 0.0, 1.0)


def _asymmetric(factors: dict[Any, Any]) -> NDArray[np.float32]:
    return 1.0 + ASYMMETRY * np.float32(factors["asymmetry"]) * _side()


@lru_cache(maxsize=1)
def _side() -> NDArray[np.float32]:
    """Return the side of each voxel, from -1 on the left to 1 on the right, smooth at the midline."""
    return np.tanh(mni_grid(FINEST).points()[0] / 20.0)


@lru_cache(maxsize=1)
def _voxel_indices() -> NDArray[np.float32]:
    return np.indices(mni_grid(FINEST).shape, dtype=np.float32)


@lru_cache(maxsize=1)
def _ventricles() -> NDArray[np.float32]:
    """Return the displacement, in voxels, that widens the lateral ventricles by one unit of age."""
    offsets = mni_grid(FINEST).points() - np.array([0.0, -18.0, 14.0], dtype=np.float32).reshape(3, 1, 1, 1)
    distance = np.sqrt(np.square(offsets).sum(axis=0)) + 1e-3
    return -offsets / distance * (2.0 / FINEST) * np.exp(-0.5 * np.square(distance / 25.0)) * np.tanh(distance / 8.0)


def _smooth_noise(rng: np.random.Generator, fwhm: float) -> NDArray[np.float32]:
    """Draw smooth noise of variance 1 on a coarse grid, and interpolate it."""
    shape = mni_grid(FINEST).shape
    step = max(int(fwhm / FINEST / 4), 1)
    coarse = tuple(-(-length // step) + 1 for length in shape)
    sd = sd_of(fwhm, FINEST * step)
    padded = tuple(length + 2 * int(np.ceil(2 * sd)) for length in coarse)
    noise = gaussian_filter(rng.standard_normal(padded), sd, mode="wrap")
    noise = noise / noise.std()
    unpadded = tuple(slice(int(np.ceil(2 * sd)), int(np.ceil(2 * sd)) + length) for length in coarse)
    fine = _interpolated(noise[unpadded], step)
    return fine[: shape[0], : shape[1], : shape[2]].astype(np.float32)


def _interpolated(coarse: NDArray, step: int) -> NDArray:
    """Interpolate linearly to `step` times as many points along each axis, with the first and last points in place.

    ``scipy.ndimage.zoom(coarse, step, order=1)`` returns the same, and takes much longer than one product an axis.
    """
    for axis, length in enumerate(coarse.shape):
        weights = _hats(length, step * length)
        coarse = np.moveaxis(np.tensordot(weights, coarse, axes=(1, axis)), 0, axis)
    return coarse


@lru_cache(maxsize=32)
def _hats(coarse: int, fine: int) -> NDArray:
    """Return the weights of linear interpolation from `coarse` to `fine` points, one row for each fine point."""
    positions = np.linspace(0.0, coarse - 1.0, fine)
    return np.maximum(0.0, 1.0 - np.abs(positions[:, None] - np.arange(coarse)))


def _sampled(volume: NDArray, grid: Grid) -> NDArray[np.float32]:
    """Sample a volume of 3 mm on another grid, without averaging because the volume is smooth."""
    step = grid.voxel / FINEST
    if abs(step - round(step)) < 1e-6:
        stride = slice(None, None, round(step))
        return np.ascontiguousarray(volume[stride, stride, stride])
    coordinates = np.indices(grid.shape, dtype=np.float32) * step
    return map_coordinates(volume, coordinates, order=1, output=np.float32)


def _empty(folder: str | Path | None, name: str, shape: tuple[int, ...]) -> Any:
    if folder is None:
        return np.empty(shape, dtype=np.float16)
    Path(folder).mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(Path(folder) / f"{name}.npy", mode="w+", dtype=np.float16, shape=shape)
