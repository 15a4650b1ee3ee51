"""Small folders as FreeSurfer, Clinica and CAT12 write them, after their documentation."""

from __future__ import annotations

from pathlib import Path

ASEG = """# Title Segmentation Statistics
# subjectname {name}
# Measure EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume, 1500000.0, mm^3
# NRows {n}
# ColHeaders  Index SegId NVoxels Volume_mm3 StructName normMean normStdDev normMin normMax normRange
"""
APARC = """# Table of FreeSurfer cortical parcellation anatomical statistics
# subjectname {name}
# hemi {side}
# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg ThickStd MeanCurv GausCurv FoldInd CurvInd
"""


def write_aseg(subject: Path, volumes: dict[str, float]) -> None:
    rows = (
        f"{i:3d} {i + 3:3d} {volume:8.0f} {volume:9.1f} {region} 70.1 9.2 20.0 90.0 70.0\n"
        for i, (region, volume) in enumerate(volumes.items(), start=1)
    )
    _write(subject / "stats" / "aseg.stats", ASEG.format(name=subject.name, n=len(volumes)) + "".join(rows))


def write_aparc(subject: Path, side: str, thickness: dict[str, float], atlas: str = "aparc") -> None:
    rows = (
        f"{region:30s} 1000 {100 * value:6.0f} {300 * value:6.0f} {value:.3f} 0.5 0.1 0.02 10 1.1\n"
        for region, value in thickness.items()
    )
    _write(subject / "stats" / f"{side}.{atlas}.stats", APARC.format(name=subject.name, side=side) + "".join(rows))


def write_statistics(path: Path, means: dict[str, float]) -> None:
    """A table of Clinica: `atlas_statistics` of the volume pipelines."""
    rows = ["index\tlabel_name\tmean_scalar", "0.0\tBackground\t0.001"]
    rows += [f"{i}.0\t{region}\t{mean}" for i, (region, mean) in enumerate(means.items(), start=1)]
    _write(path, "\n".join(rows) + "\n")


def write_wide(path: Path, first: str, values: dict[str, float]) -> None:
    """A table of Clinica: FreeSurfer's `regional_measures`."""
    header, row = "\t".join((first, *values)), "\t".join(("/path/to/freesurfer", *map(str, values.values())))
    _write(path, f"{header}\n{row}\n")


def write_cat12(path: Path, atlas: str, measures: dict[str, list[float]], names: list[str]) -> None:
    items = "".join(f"<item>{name}</item>" for name in names)
    ids = ";".join(str(i) for i in range(len(names)))
    data = "".join(f"<{key}>[{';'.join(map(str, values))}]</{key}>" for key, values in measures.items())
    _write(
        path,
        f"<?xml version='1.0' encoding='utf-8'?><S><{atlas}><names>{items}</names><ids>[{ids}]</ids>"
        f"<data>{data}</data></{atlas}></S>",
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
