"""`deepjive centiloid`: Centiloids of amyloid PET in MNI space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from deepjive.cli import show


def centiloid(
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES",
            help="PET images in MNI space (uptake or SUVR), or one table of paths with a column pet.",
            show_default=False,
        ),
    ],
    regions: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Folder with the Centiloid project's standard regions voi_ctx_*.nii and voi_WhlCbl_*.nii.",
            show_default=False,
        ),
    ],
    tracer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="PiB, florbetapir, florbetaben or flutemetamol.",
            show_default="from trc- in the file names",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Table to write.")] = Path("centiloids.csv"),
) -> None:
    """Measure Centiloids of amyloid PET with the standard regions and the published conversion of the tracer.

    Example: deepjive centiloid derivatives/deepjive/sub-*/pet/*_pet.nii.gz --regions Centiloid_Std_VOI
    """
    from deepjive.imaging.centiloid import centiloid_table, read_centiloid_regions
    from deepjive.persistence import write_atomically
    from deepjive.report.tables import frame_text

    table, problems = centiloid_table(_paths(images), read_centiloid_regions(regions), tracer)
    for problem in problems:
        show.line(f"Left out: {problem}")
    if not len(table):
        raise ValueError(f"None of the {len(problems)} images could be measured. Correct them for the reasons above.")
    names = [name or Path(path).name for name, path in zip(_names(table), table["path"], strict=True)]
    shown = zip(names, table["tracer"], table["suvr"], table["centiloid"], strict=True)
    rows = [(name, used, f"{suvr:.3f}", f"{value:.1f}") for name, used, suvr, value in shown]
    show.table("Centiloids", ("image", "tracer", "SUVR", "Centiloids"), rows)
    write_atomically(out, frame_text(table).encode())
    show.line(f"Table: {out}")


def _names(table: Any) -> list[str]:
    pairs = zip(table["participant_id"], table["session_id"], strict=True)
    return ["_".join(filter(None, pair)) for pair in pairs]


def _paths(images: list[Path]) -> list[Path]:
    """The images; those of a column of a table if one table is named."""
    from deepjive.data.readers.volumes import is_image
    from deepjive.imaging.cohort import read_cohort_table

    if len(images) > 1 or is_image(images[0].name):
        return images
    cohort = read_cohort_table(images[0])
    if "pet" not in cohort.names:
        raise ValueError(f"{images[0]} has no column 'pet' with paths; its columns of paths are {list(cohort.names)}.")
    return [Path(path) for path in cohort.table["pet"] if isinstance(path, (str, Path))]
