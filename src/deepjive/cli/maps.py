"""`deepjive maps`: figures for print and tables of peaks of maps in MNI space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepjive.cli import show

NOT_ONE_GRID = "{where} has the shape {given}, but {path} has {expected}. Both must be on one grid."
NO_VOXELS = "{path}: no voxel has a value; nothing was drawn."
UNKNOWN_FORMAT = "The format {given!r} is unknown. The formats are {known}."
FORMATS = ("svg", "pdf", "png")
WITHOUT_WHERE = "--below says which values of --where count. Give --where MAP as well."


def maps(
    images: Annotated[
        list[Path], typer.Argument(metavar="MAPS", help="Maps in MNI space (NIfTI).", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write.")] = Path("figures"),
    where: Annotated[
        Path | None,
        typer.Option(
            metavar="MAP", help="Map of p or q of one map: voxels beyond --below are left out.", show_default=False
        ),
    ] = None,
    below: Annotated[float | None, typer.Option(min=0, help="Limit of --where.", show_default="0.05")] = None,
    atlas: Annotated[
        Path | None,
        typer.Option(help="Parcellation in MNI space that names the peaks, with a table of names beside it."),
    ] = None,
    format: Annotated[str, typer.Option(help="Formats of the figures, separated by commas.")] = "pdf,png",  # noqa: A002
) -> None:
    """Draw maps as a glass brain and slices at print quality (300 dpi), and list their peaks with MNI coordinates.

    Example: deepjive maps runs/adni/maps/mri_effect.nii.gz --where runs/adni/maps/mri_cluster_p.nii.gz
    """
    import numpy as np

    from deepjive.data.readers.volumes import image_values
    from deepjive.experiments.brain.regions import CENTRES
    from deepjive.imaging.grid import Grid
    from deepjive.imaging.peaks import peaks
    from deepjive.imaging.volumes import volume_of
    from deepjive.persistence import write_atomically
    from deepjive.plot.glass import brain_maps
    from deepjive.report.tables import frame_text

    if where is None and below is not None:
        raise typer.BadParameter(WITHOUT_WHERE)
    if where is not None and len(images) > 1:
        raise typer.BadParameter("--where is the map of p or q of one map. Give one map with it.")
    endings = [word.strip().lower().lstrip(".") for word in format.split(",") if word.strip()]
    for ending in endings:
        if ending not in FORMATS:
            raise typer.BadParameter(UNKNOWN_FORMAT.format(given=ending, known=", ".join(FORMATS)))
    out.mkdir(parents=True, exist_ok=True)
    for path in images:
        image = volume_of(path)
        values = np.nan_to_num(np.asarray(image_values(path, image), dtype=np.float64).reshape(image.shape[:3]))
        counts = values != 0
        if where is not None:
            limits = volume_of(where)
            if limits.shape[:3] != image.shape[:3] or not np.allclose(limits.affine, image.affine):
                words = {"where": where, "given": limits.shape, "path": path, "expected": image.shape}
                raise ValueError(NOT_ONE_GRID.format(**words))
            limit = 0.05 if below is None else below
            counts &= np.asarray(image_values(where, limits)).reshape(values.shape) < limit
        if not counts.any():
            show.line(NO_VOXELS.format(path=path))
            continue
        grid = Grid(values.shape, np.asarray(image.affine, dtype=float))
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        unit = bytes(image.header["descrip"]).rstrip(b"\0").decode("ascii", "replace").rpartition(", ")[2]
        figure = brain_maps({name: np.where(counts, values, 0.0)}, grid, {name: unit})
        for ending in endings:
            figure.savefig(out / f"{name}.{ending}", dpi=300)
        table = peaks(values, counts, grid, atlas=atlas, centres=CENTRES)
        write_atomically(out / f"{name}_peaks.csv", frame_text(table).encode())
        listed = table.head(20).to_dict(orient="records")
        rows = [
            (
                row["cluster"],
                f"{row['mm3'] / 1000:.1f}",
                *(f"{row[axis]:.0f}" for axis in "xyz"),
                f"{row['value']:.3g}",
                row["region"],
            )
            for row in listed
        ]
        show.table(name, ("cluster", "ml", "x", "y", "z", "value", "region"), rows)
    show.line(f"Figures and tables: {out}")
