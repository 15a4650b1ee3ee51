"""Effects of the scores: pictures from low to high scores, and tables of the features that change most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from deepjive.decomposition import Decomposition
from deepjive.evaluation.feature_ranking import effects_of
from deepjive.plot.samples import kind_of
from deepjive.report.figures import traversals
from deepjive.report.pieces import Picture, Table, picture

if TYPE_CHECKING:
    import pandas as pd

TOP, NAMED, LOOKED_AT = 5, 3, 400
SIGNIFICANT = 0.05

READ_PICTURES = (
    "How to read it: each row is one {word} score, from low on the left to high on the right (in standard deviations). "
    "All other scores are at their average. The changes along a row show the effect of the score."
)
READ_TABLE = (
    "How to read it: each row has the {top} features that rise most and the {top} that fall most when the score rises "
    "by one standard deviation, with all other scores at their average. The number is the change in standard "
    "deviations of the feature{error}. {tested}"
)
TESTED = (
    "The fourth column counts features with a false discovery rate below {level:.0%}. Features are tested with scores "
    "that a refit computed without them: joint scores of other samples from the other modalities, and individual "
    "scores from the other half of the features. The last column is the correlation of these scores with the scores "
    "of the model. If it is small, other samples or features give another score. The files loadings_*.csv list all "
    "features."
)
UNTESTED = "The features were not tested. The command `deepjive features {run}` tests them."
FIRST_SCORE = (
    "With one standard deviation of joint score 1, these features change most (in standard deviations): {changes}."
)
WITH_ERROR = ", with its standard error"
HEADER = ("score", "rise with the score", "fall with the score")
HEADER_TESTED = ("score", "rise with the score", "fall with the score", "q < 0.05", "refit")


def effect_pictures(decomposition: Decomposition) -> list[Picture]:
    """Return pictures of the effects of all scores, for each modality of images or volumes."""
    pictures = []
    for name, shape in decomposition.data.shapes.items():
        for word, scores in decomposition.scores_of(name).items():
            if scores.shape[1] and kind_of(shape) != "line":
                reading = READ_PICTURES.format(word=word)
                pictures.append(picture(f"{name}, {word} scores", traversals(decomposition, name, word), reading))
    return pictures


def effect_frames(
    decomposition: Decomposition, features: Mapping[str, pd.DataFrame] | None = None
) -> dict[str, pd.DataFrame]:
    """Return the feature effects of each modality of features.

    Parameters
    ----------
    decomposition : Decomposition
        The decomposition.
    features : mapping of str to DataFrame, default=None
        Feature effects by modality, as `FeatureEffects.to_frame` gives them. Effects of other modalities are computed
        from the decomposition, without a test.

    Returns
    -------
    dict of str to DataFrame
        Without modalities of images, of fewer than two samples, and without scores.
    """
    frames = {}
    for name, shape in decomposition.data.shapes.items():
        column = decomposition.data.present[:, decomposition.data.names.index(name)]
        if kind_of(shape) != "line" or column.sum() < 2:
            continue
        frame = (features or {}).get(name)
        frame = effects_of(decomposition, name, LOOKED_AT).to_frame() if frame is None else frame
        if len(frame):
            frames[name] = frame
    return frames


def effect_tables(frames: Mapping[str, pd.DataFrame], run: str | None = None) -> list[Table]:
    """Return a table for each modality of `effect_frames`: the features that change most with each score.

    Lines of the page do not break within the name of a feature.
    """
    tables = []
    for name, frame in frames.items():
        table = feature_table(name, frame, run)
        rows = [(score, _unbroken(rise), _unbroken(fall), *rest) for score, rise, fall, *rest in table.rows]
        tables.append(table._replace(rows=rows))
    return tables


def first_score(frames: Mapping[str, pd.DataFrame]) -> str | None:
    """Return a sentence on the features that change most with joint score 1; None if there is no joint score."""
    changes = []
    for name, frame in frames.items():
        first = frame[(frame["part"] == "joint") & (frame["score"] == 1)].head(NAMED)
        pairs = zip(first["feature"], first["effect"], strict=True)
        if len(first):
            changes.append(f"{', '.join(f'{named(feature)} {signed(effect)}' for feature, effect in pairs)} ({name})")
    return FIRST_SCORE.format(changes="; ".join(changes)) if changes else None


def feature_table(name: str, frame: pd.DataFrame, run: str | None = None) -> Table:
    """Return a row for each score: the features that rise and fall most with the score.

    Parameters
    ----------
    name : str
        The modality.
    frame : DataFrame
        As `FeatureEffects.to_frame` gives it.
    run : str or None, default=None
        Folder of the run as a word of a command line.
    """
    tested = bool(frame["q_value"].notna().any())
    rows: list[tuple[str, ...]] = []
    for (part, number), score in frame.groupby(["part", "score"], sort=False):
        rise, fall = (_listed(score[score["effect"] * sign > 0], tested) for sign in (1, -1))
        if not tested:
            rows.append((f"{part} {number}", rise, fall))
            continue
        count = f"{int((score['q_value'] < SIGNIFICANT).sum()):,} of {int(score['q_value'].notna().sum()):,}"
        count = count.replace(" ", "\N{NO-BREAK SPACE}")
        rows.append((f"{part} {number}", rise, fall, count, f"{score['match'].iloc[0]:.2f}"))
    reading = READ_TABLE.format(
        top=TOP,
        error=WITH_ERROR if tested else "",
        tested=TESTED.format(level=SIGNIFICANT) if tested else UNTESTED.format(run=run or "RUN"),
    )
    return Table(f"{name}: features of each score", HEADER_TESTED if tested else HEADER, rows, reading)


def _listed(rows: pd.DataFrame, tested: bool) -> str:
    """Return the first features with their effects as text."""
    listed = []
    for feature, effect, error in rows[["feature", "effect", "standard_error"]].head(TOP).itertuples(index=False):
        text = f"{named(feature)} {signed(effect)}"
        text = f"{text} ± {error:.2f}" if tested and np.isfinite(error) else text
        listed.append(text.replace(" ", "\N{NO-BREAK SPACE}"))
    return ", ".join(listed)


def _unbroken(listed: str) -> Markup:
    return Markup(", ").join(Markup('<span class="unbroken">{}</span>').format(item) for item in listed.split(", "))


def named(feature: str) -> str:
    """Return the name of a feature; a number alone would be read as a value.

    Examples
    --------
    >>> named("TP53"), named("17")
    ('TP53', 'feature 17')
    """
    return f"feature {feature}" if feature.isdigit() else feature


def signed(value: float) -> str:
    """Return a number with its sign and two decimals, with a typographic minus sign.

    Examples
    --------
    >>> signed(0.5), signed(-0.25)
    ('+0.50', '−0.25')
    """
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")
