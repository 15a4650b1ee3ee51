"""What preprocessing writes: a BIDS derivative, in which every map says in a JSON beside it what it was made from.

    dataset_description.json  participants.tsv
    sub-01/ses-M00/anat/sub-01_ses-M00_space-MNI152NLin2009aSym_res-3_label-GM_desc-modulated_probseg.nii.gz, .json
                        ..._label-GM_desc-unmodulated_probseg.nii.gz  ..._desc-brain_T1w.nii.gz  ..._from-T1w_to-..._xfm
    sub-01/ses-M00/pet/sub-01_ses-M00_trc-18FAV45_space-..._res-3_suvr-cerebellum_pet.nii.gz, .json  ..._xfm

Every file appears whole or not at all, and the JSON of the main map last: where it is there with the right key, and the
files it names have the checksums it names, nothing is done again.
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
from deepjive.persistence import write_atomically

Stage = Literal["anat", "pet"]
MAPS = {
    "modulated": "label-GM_desc-modulated_probseg",
    "unmodulated": "label-GM_desc-unmodulated_probseg",
    "t1_map": "desc-brain_T1w",
}
MEANINGS = {
    "modulated": "Probability of grey matter times the volume each voxel had in the subject",
    "unmodulated": "Probability of grey matter",
    "t1_map": "T1, corrected for bias, within the brain",
    "suvr": "Uptake over the mean uptake of the reference region",
}
MAIN = {"anat": "modulated", "pet": "suvr"}


@dataclass(frozen=True)
class Names:
    """Names of a subject's files.

    Attributes
    ----------
    root : Path
        The derivative.
    participant, session : str
        ``sub-..`` and ``ses-..`` (or nothing).
    space : str
        Name of the space of the engine.
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
        """Participant and session."""
        return "_".join(filter(None, (self.participant, self.session)))

    def folder(self, stage: Stage) -> Path:
        """Where the maps of a modality are."""
        return self.root / self.participant / self.session / stage

    def map(self, name: str) -> Path:
        """Path of a map."""
        middle = f"space-{self.space}_res-{f'{self.voxel:g}'.replace('.', 'p')}"
        if name == "suvr":
            tracer = f"trc-{self.tracer}_" if self.tracer else ""
            return self.folder("pet") / f"{self.sample}_{tracer}{middle}_suvr-{self.reference}_pet.nii.gz"
        return self.folder("anat") / f"{self.sample}_{middle}_{MAPS[name]}.nii.gz"

    def transform(self, name: str, source: Path) -> Path:
        """Path of a transform, with the suffix that its program gave it."""
        suffix = "".join(source.suffixes)
        if name in ("rigid", "pet_move"):
            tracer = f"trc-{self.tracer}_" if self.tracer else ""
            return self.folder("pet") / f"{self.sample}_{tracer}from-PET_to-T1w_mode-image_xfm{suffix}"
        return self.folder("anat") / f"{self.sample}_from-T1w_to-{self.space}_mode-image_desc-{_word(name)}_xfm{suffix}"


def tracer_of(path: str | Path | None) -> str:
    """The entity `trc` of a PET's name."""
    return entities(path).get("trc", "") if path is not None else ""


def finished(names: Names, stage: Stage, key: str) -> dict[str, Any] | None:
    """What is known of maps that were made before from the same scans in the same way; None if they were not."""
    try:
        sidecar = json.loads(sidecar_of(names.map(MAIN[stage])).read_text())
        whole = sidecar["Key"] == key and all(
            checksum(names.root / path) == value for path, value in sidecar["Outputs"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return sidecar if whole else None


def publish(
    names: Names,
    stage: Stage,
    key: str,
    done: Done,
    transforms: Mapping[str, Path],
    quality: Mapping[str, float],
    made_with: Mapping[str, Any],
) -> dict[str, Any]:
    """Move a modality's maps and transforms to their places, each with its sidecar.

    Parameters
    ----------
    names : Names
        Where they belong.
    stage : {"anat", "pet"}
        The modality.
    key : str
        Digest of all that they depend on.
    done : Done
        What the protocol did.
    transforms : mapping of str to Path
        Transforms to keep.
    quality : mapping of str to float
        Figures of quality.
    made_with : mapping
        Engine, versions, sources and their checksums.

    Returns
    -------
    dict
        The main map's sidecar.
    """
    names.folder(stage).mkdir(parents=True, exist_ok=True)
    maps = {name: names.map(name) for name in (MAPS if stage == "anat" else ("suvr",))}
    kept = {name: names.transform(name, path) for name, path in transforms.items()}
    for name, path in {**maps, **kept}.items():
        place(done.files[name] if name in maps else transforms[name], path)
    outputs = {str(path.relative_to(names.root)): checksum(path) for path in (*maps.values(), *kept.values())}
    common = {
        "SpatialReference": names.space,
        "Resolution": f"{names.voxel:g} mm isotropic",
        "SkullStripped": True,
        **made_with,
        "Steps": done.steps,
        "Measured": done.facts,
        "Quality": {name: round(float(value), 4) for name, value in quality.items()},
        "Transforms": [str(path.relative_to(names.root)) for path in kept.values()],
        "Outputs": outputs,
        "Key": key,
    }
    last = MAIN[stage]
    sidecars = {name: {"Description": MEANINGS[name], **common} for name in sorted(maps, key=lambda name: name == last)}
    for name, content in sidecars.items():
        write_json(sidecar_of(maps[name]), content)
    return sidecars[last]


def describe(root: Path, engine: str, versions: Mapping[str, str], space: str) -> None:
    """Write ``dataset_description.json``, and what no BIDS validator needs to look at."""
    root.mkdir(parents=True, exist_ok=True)
    made = [{"Name": "deepjive preprocess", "Version": __version__, "Description": f"engine {engine}"}]
    made += [{"Name": name, "Version": version} for name, version in versions.items()]
    content = {
        "Name": "Grey matter and amyloid in MNI space",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": made,
        "SpatialReference": space,
    }
    write_json(root / "dataset_description.json", content)
    write_atomically(root / ".bidsignore", b"work/\nquality.*\nproblems.csv\nmaps.csv\n*_xfm*\n*suvr-*\n")


def place(source: Path, path: Path) -> None:
    """Copy a file to where it appears whole or not at all."""
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    shutil.copyfile(source, partial)
    os.replace(partial, path)


def sidecar_of(path: Path) -> Path:
    """The JSON beside a map."""
    return path.with_name(path.name.removesuffix(".nii.gz") + ".json")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _word(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
