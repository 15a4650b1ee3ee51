"""All figures of a run as files for a paper: at a journal's width, with embedded fonts.

PDF files hold TrueType fonts (type 42), so that text can be selected and edited. SVG files hold letters as paths, so
that they look the same without the font. PNG files have 600 dots per inch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepjive.decomposition import Decomposition
from deepjive.plot import features, fits, pictures, ranks, scatter, variance
from deepjive.plot.palette import groups_of, percent
from deepjive.plot.samples import choose, kind_of
from deepjive.progress import Progress, silent
from deepjive.report.tables import file_names
from deepjive.subsets import word_of

if TYPE_CHECKING:
    import pandas as pd

    from deepjive.evaluation.evidence_study import Evidence

Format = Literal["svg", "pdf", "png"]
Width = Literal["single", "double"]
FORMATS: tuple[Format, ...] = ("svg", "pdf", "png")
INCHES: dict[Width, float] = {"single": 3.5, "double": 7.2}  # 89 and 183 mm: one and two columns
MOST_SCORES = 3
MOST_LABELS_ROWS = 10
UNKNOWN_FORMAT = "The format {given!r} is unknown. The formats are {formats}."
NO_FORMAT = "No format was given. The formats are {formats}."
STYLE: Any = {
    "font.size": 7.0,
    "axes.labelsize": 7.0,
    "axes.titlesize": 7.0,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#c9c9c9",
    "lines.linewidth": 1.0,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "deepjive",
    "savefig.dpi": 600,
}
METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}

Draw = Callable[[Figure], Any]


@dataclass(frozen=True, eq=False)
class RunFigures:
    """What the figures of a run are drawn from.

    Attributes
    ----------
    decomposition : Decomposition
        The decomposition.
    labels : mapping of str to array, default={}
        Labels of the samples.
    loadings : mapping of str to DataFrame, default={}
        Feature effects by modality, as ``FeatureEffects.to_frame`` gives them.
    evidence : Evidence or None, default=None
        Evidence of the run.
    history, rank_table, diagnostics : mapping, default=None
        As for ``deepjive.report.write_report``.
    """

    decomposition: Decomposition
    labels: Mapping[str, NDArray] = field(default_factory=dict)
    loadings: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    evidence: Evidence | None = None
    history: Mapping[str, Sequence[Any]] | None = None
    rank_table: Mapping[str, Sequence[Any]] | None = None
    diagnostics: Mapping[str, Any] | None = None

    def write(
        self,
        folder: str | Path,
        formats: Sequence[str] = ("svg", "pdf", "png"),
        width: Width = "single",
        progress: Progress = silent,
    ) -> list[Path]:
        """Write every figure in every format.

        Parameters
        ----------
        folder : path
            The folder, which is made if it does not exist.
        formats : sequence of {"svg", "pdf", "png"}
            The formats; all by default.
        width : {"single", "double"}, default="single"
            Width of one column (89 mm) or of two columns (183 mm).
        progress : callable, default=silent
            Called as ``progress(done, total, message)`` for each figure.

        Returns
        -------
        list of Path
            The files.

        Raises
        ------
        ValueError
            If a format is unknown, or if there is none.
        """
        if not formats:
            raise ValueError(NO_FORMAT.format(formats=", ".join(FORMATS)))
        for given in formats:
            if given not in FORMATS:
                raise ValueError(UNKNOWN_FORMAT.format(given=given, formats=", ".join(FORMATS)))
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        drawn = list(self._figures(INCHES[width]))
        paths = []
        for done, (name, height, draw) in enumerate(drawn):
            progress(done, len(drawn), f"Drawing {name}")
            paths += save(draw, folder / name, formats, (INCHES[width], height))
        return paths

    def _figures(self, width: float) -> Iterator[tuple[str, float, Draw]]:
        """Names of the files without ending, heights in inches, and how each figure is drawn."""
        parts = self.decomposition
        files = file_names(parts.data.names)
        yield "variance_explained", 0.2 + 0.5 * len(files), _on(variance.variance_explained, parts)
        yield from self._scores(width, files)
        for name, file in files.items():
            is_line = kind_of(parts.data.shapes[name]) == "line"
            if not is_line:
                rows = choose(parts, pictures.N_SAMPLES)
                height = width * pictures.examples_size(parts, name, len(rows))
                yield f"examples_{file}", height, _on(pictures.examples, parts, name, rows)
            yield from self._features(name, file, is_line, width)
            if is_line and any(self._ranks(name).values()):
                yield f"heatmap_{file}", 0.45 * width + 0.4, _heatmaps(parts, name)
        yield from self._fits(width, files)

    def _scores(self, width: float, files: Mapping[str, str]) -> Iterator[tuple[str, float, Draw]]:
        parts = self.decomposition
        label_files = file_names(self.labels)
        for label, values in self.labels.items() or [("", None)]:
            ending = f"_by_{label_files[label]}" if label else ""
            for file, which in self._score_files(files).items():
                _, scores = scatter.scores_of(parts, **which)
                if scores.shape[1]:
                    height = 0.8 * width if scores.shape[1] > 1 else _strip_height(values)
                    yield f"{file}{ending}", height, _on(scatter.scores, parts, values, **which)

    def _score_files(self, files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Names of the files of scores, with the arguments that choose the scores."""
        subsets = file_names(map(word_of, self.decomposition.subset_scores))
        named: dict[str, dict[str, Any]] = {"joint_scores": {"modality": None}}
        named |= {f"subset_scores_{file}": {"modality": None, "part": part} for part, file in subsets.items()}
        return named | {f"individual_scores_{file}": {"modality": name} for name, file in files.items()}

    def _features(self, name: str, file: str, is_line: bool, width: float) -> Iterator[tuple[str, float, Draw]]:
        part_files = file_names(self._ranks(name))
        for part, rank in self._ranks(name).items():
            for score in range(1, min(rank, MOST_SCORES) + 1):
                if is_line and name in self.loadings:
                    draw = _on(features.loadings, self.loadings[name], score, part=part)
                    yield f"loadings_{file}_{part_files[part]}_{score}", 3.2, draw
                height = 0.6 * width if is_line else 0.26 * width
                draw = _on(features.effects, self.decomposition, name, score, part=part)
                yield f"effects_{file}_{part_files[part]}_{score}", height, draw

    def _fits(self, width: float, files: Mapping[str, str]) -> Iterator[tuple[str, float, Draw]]:
        for part in dict.fromkeys((self.rank_table or {}).get("part", [])):
            file = "joint" if part == "joint" else f"individual_{files.get(part, 'modality')}"
            draw = _on(ranks.prediction_by_rank, self.rank_table, part=part)
            yield f"prediction_by_rank_{file}", 0.6 * width, draw
        if self.diagnostics is not None:
            joint_rank = self.decomposition.joint_scores.shape[1]
            yield "ajive_bounds", 0.8 * width, _bounds(self.diagnostics, joint_rank)
        for term, file in file_names(fits.terms_of(self.history or {})).items():
            yield f"training_{file}", 0.6 * width, _on(fits.training, self.history, term)
        if self.evidence is not None:
            rows = self.evidence.stability.get(self.evidence.method, [])
            for part in dict.fromkeys(row.part for row in rows if len(row.matched)):
                modality = part.removeprefix("individual ")
                word = files[modality] if part != modality else file_names([part])[part]
                yield f"stability_{word}", 0.6 * width, _on(fits.stability, self.evidence, part=part)

    def _ranks(self, name: str) -> dict[str, int]:
        return {part: scores.shape[1] for part, scores in self.decomposition.scores_of(name).items()}


def save(draw: Draw, path: Path, formats: Sequence[str], size: tuple[float, float]) -> list[Path]:
    """Draw one figure in the style of a journal and write it in each format, with the ending of the format.

    Parameters
    ----------
    draw : callable
        Draws on a figure.
    path : Path
        The file, without ending.
    formats : sequence of {"svg", "pdf", "png"}
        The formats.
    size : tuple of float
        Width and height in inches.
    """
    paths = [path.with_name(f"{path.name}.{kind}") for kind in dict.fromkeys(formats)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        for file in paths:
            kind = file.suffix[1:]
            figure.savefig(file, format=kind, metadata=METADATA[kind])
    return paths


def _on(function: Callable[..., Any], *arguments: Any, **named: Any) -> Draw:
    """Draw on the only axes of a figure."""
    return lambda figure: function(*arguments, ax=figure.subplots(), **named)


def _bounds(diagnostics: Mapping[str, Any], joint_rank: int) -> Draw:
    return lambda figure: ranks.draw_bounds(figure.subplots(), joint_rank=joint_rank, **diagnostics)


def _heatmaps(parts: Decomposition, name: str) -> Draw:
    """Draw the data and its parts side by side, with the share of each part."""

    def draw(figure: Figure) -> None:
        drawn = ["data", *parts.scores_of(name), "residual"]
        for axes, part in zip(figure.subplots(1, len(drawn), sharey=True), drawn, strict=True):
            features.heatmap(parts, name, part=part, ax=axes)
            axes.set_xticks([])
            if part != "data":
                axes.set_ylabel("")
                axes.set_title(f"{part} {percent(parts.variance_explained[name][part])}")
            text = axes.get_xlabel()
            axes.set_xlabel("")
        figure.supxlabel(text, fontsize=STYLE["axes.labelsize"])

    return draw


def _strip_height(labels: NDArray | None) -> float:
    groups = None if labels is None else groups_of(labels)
    return 1.6 if groups is None else 0.55 + 0.2 * min(len(groups), MOST_LABELS_ROWS + 2)
