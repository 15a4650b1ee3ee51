"""The output of preprocessing: a BIDS derivative in which a JSON sidecar describes how each map was made.

    dataset_description.json  participants.tsv
    sub-01/ses-M00/anat/sub-01_ses-M00_space-MNI152NLin2009aSym_res-3_label-GM_desc-modulated_probseg.nii.gz, .json
                        ..._label-GM_desc-unmodulated_probseg.nii.gz  ..._desc-brain_T1w.nii.gz  ..._from-T1w_to-..._xfm
    sub-01/ses-M00/pet/sub-01_ses-M00_trc-18FAV45_space-..._res-3_suvr-cerebellum_pet.nii.gz, .json  ..._xfm

Every file appears whole or not at all, and the sidecar of the main map is written last. Maps are not made again if this
sidecar exists with the right key and the files have the checksums in the sidecar.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deepjive._version import __version__
from deepjive.imaging.bids import entities
from deepjive.imaging.preprocessing.protocol import Done, checksum
from deepjive.imaging.tracers import tracer_of as tracer_by_label
from deepjive.persistence import write_atomically

Stage = Literal["anat", "pet"]
MAPS = {
    "modulated": "label-GM_desc-modulated_probseg",
    "unmodulated": "label-GM_desc-unmodulated_probseg",
    "t1_map": "desc-brain_T1w",
}
MEANINGS = {
    "modulated": "Probability of grey matter, multiplied by the relative volume of each voxel in native space",
    "unmodulated": "Probability of grey matter",
    "t1_map": "Bias-corrected T1 within the brain",
    "suvr": "Uptake divided by the mean uptake of the reference region",
}
MAIN = {"anat": "modulated", "pet": "suvr"}


@dataclass(frozen=True)
class Names:
    """Names of the files of one participant in one session.

    Attributes
    ----------
    root : Path
        Folder of the derivative.
    participant, session : str
        ``sub-..`` and ``ses-..``; the session may be empty.
    space : str
        BIDS name of the engine's MNI space.
    voxel : float
        Edge of a voxel in mm.
    reference : str
        Label of the reference region.
    tracer : str
        Label of the tracer; may be empty.
    """

    root: Path
    participant: str
    session: str
    space: str
    voxel: float
    reference: str
    tracer: str = ""

    @property
    def sample(self) -> str:
        """Name of the participant and the session."""
        return "_".join(filter(None, (self.participant, self.session)))

    def folder(self, stage: Stage) -> Path:
        """Return the folder of the maps of a modality."""
        return self.root / self.participant / self.session / stage

    def map(self, name: str) -> Path:
        """Return the path of a map."""
        middle = f"space-{self.space}_res-{f'{self.voxel:g}'.replace('.', 'p')}"
        if name == "suvr":
            tracer = f"trc-{self.tracer}_" if self.tracer else ""
            return self.folder("pet") / f"{self.sample}_{tracer}{middle}_suvr-{self.reference}_pet.nii.gz"
        return self.folder("anat") / f"{self.sample}_{middle}_{MAPS[name]}.nii.gz"

    def transform(self, name: str, source: Path) -> Path:
        """Return the path of a transform, with the suffix of the file that the engine wrote."""
        suffix = "".join(source.suffixes)
        if name in ("rigid", "pet_move"):
            tracer = f"trc-{self.tracer}_" if self.tracer else ""
            return self.folder("pet") / f"{self.sample}_{tracer}from-PET_to-T1w_mode-image_xfm{suffix}"
        return self.folder("anat") / f"{self.sample}_from-T1w_to-{self.space}_mode-image_desc-{_word(name)}_xfm{suffix}"


def tracer_of(path: str | Path | None) -> str:
    """Return the tracer that the file name of a PET has as `trc`, or as `acq` in older data sets; else nothing."""
    known = entities(path) if path is not None else {}
    acquired = known.get("acq", "")
    return known.get("trc") or (acquired if tracer_by_label([acquired]) else "")


def finished(names: Names, stage: Stage, key: str) -> dict[str, Any] | None:
    """Return the sidecar of maps that were made before from the same scans and settings, or None.

    Parameters
    ----------
    names : Names
        Names of the files.
    stage : {"anat", "pet"}
        The modality.
    key : str
        Digest of everything that the maps depend on.

    Returns
    -------
    dict or None
        None if there are no such maps, or a file has changed since.
    """
    try:
        sidecar = json.loads(sidecar_of(names.map(MAIN[stage])).read_text())
        is_complete = sidecar["Key"] == key and all(
            checksum(names.root / path) == value for path, value in sidecar["Outputs"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sidecar if is_complete else None


def publish(
    names: Names,
    stage: Stage,
    key: str,
    done: Done,
    transforms: Mapping[str, Path],
    quality: Mapping[str, float],
    made_with: Mapping[str, Any],
) -> dict[str, Any]:
    """Copy the maps and transforms of a modality to the derivative, and write the sidecars of the maps.

    Parameters
    ----------
    names : Names
        Names of the files.
    stage : {"anat", "pet"}
        The modality.
    key : str
        Digest of everything that the maps depend on.
    done : Done
        Result of the protocol.
    transforms : mapping of str to Path
        Transforms to publish.
    quality : mapping of str to float
        Quality measures.
    made_with : mapping
        Engine, versions, sources and their checksums.

    Returns
    -------
    dict
        Sidecar of the main map.
    """
    names.folder(stage).mkdir(parents=True, exist_ok=True)
    maps = {name: names.map(name) for name in (MAPS if stage == "anat" else ("suvr",))}
    published_transforms = {name: names.transform(name, path) for name, path in transforms.items()}
    for name, path in maps.items():
        place(done.files[name], path)
    for name, path in published_transforms.items():
        place(transforms[name], path)
    outputs = [*maps.values(), *published_transforms.values()]
    common = {
        "SpatialReference": names.space,
        "Resolution": f"{names.voxel:g} mm isotropic",
        "SkullStripped": True,
        **made_with,
        "Steps": done.steps,
        "Measured": done.facts,
        "Quality": {name: round(float(value), 4) for name, value in quality.items()},
        "Transforms": [str(path.relative_to(names.root)) for path in published_transforms.values()],
        "Outputs": {str(path.relative_to(names.root)): checksum(path) for path in outputs},
        "Key": key,
    }
    main = MAIN[stage]
    for name in sorted(maps, key=lambda name: name == main):  # the main map last
        write_json(sidecar_of(maps[name]), {"Description": MEANINGS[name], **common})
    return {"Description": MEANINGS[main], **common}


def describe(root: Path, engine: str, versions: Mapping[str, str], space: str) -> None:
    """Write ``dataset_description.json``, and ``.bidsignore`` for files that are not part of BIDS."""
    root.mkdir(parents=True, exist_ok=True)
    generated_by = [{"Name": "deepjive preprocess", "Version": __version__, "Description": f"engine {engine}"}]
    generated_by += [{"Name": name, "Version": version} for name, version in versions.items()]
    content = {
        "Name": "Grey matter and uptake ratios in MNI space",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": generated_by,
        "SpatialReference": space,
    }
    write_json(root / "dataset_description.json", content)
    write_atomically(root / ".bidsignore", b"work/\nquality.*\nproblems.csv\nmaps.csv\n*_xfm*\n*suvr-*\n")


def place(source: Path, path: Path) -> None:
    """Copy a file to a path, where it appears whole or not at all."""
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    shutil.copyfile(source, partial)
    os.replace(partial, path)


def sidecar_of(path: Path) -> Path:
    """Return the path of the JSON sidecar of a map."""
    return path.with_name(path.name.removesuffix(".nii.gz") + ".json")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, which appears whole or not at all."""
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _word(name: str) -> str:
    """Return a name in camel case, as labels of BIDS have no underscores."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
