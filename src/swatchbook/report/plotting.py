"""What figures of tables share: chosen rows, rows under headings, marks with intervals, heat maps, notes."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure as Drawing
from matplotlib.figure import SubFigure
from matplotlib.patches import Rectangle

from swatchbook.report.figure import FAINT, INK, SMALL, SOFT, Style
from swatchbook.report.wording import SWATCHES, capital, words
from swatchbook.schema import Attribute

ROW = 0.25  # inches a row
GAP = 0.35  # rows between groups
DARK = 0.21  # luminance below which white letters stand out more than INK
DIAMOND = {
    "marker": "D", "linestyle": "", "color": INK, "markerfacecolor": "white", "markersize": 4,
    "markeredgewidth": 0.9,
}  # fmt: skip
KNOWN = {
    "marker": "x", "linestyle": "", "color": "#b3262e", "markersize": 6.5, "markeredgewidth": 1.7,
}  # fmt: skip
NUMBERS = ("value", "low", "high", "n", "published")

# ---- rows of a table, and words about them -------------------------------------------------------------


def select(table: pd.DataFrame, columns: Sequence[str], **keys: object) -> pd.DataFrame:
    """Rows with the given keys (a list allows several values); columns that are missing are all NaN."""
    kept = np.ones(len(table), bool)
    for column, wanted in keys.items():
        kept &= table[column].isin(wanted if isinstance(wanted, list | tuple) else [wanted]).to_numpy()
    rows = table.loc[kept].reindex(columns=list(columns)).reset_index(drop=True)
    return rows.astype({column: float for column in NUMBERS if column in rows})


def first_row(rows: pd.DataFrame, **keys: object) -> pd.Series | None:
    """The first row with the given keys, or None."""
    kept = np.ones(len(rows), bool)
    for column, wanted in keys.items():
        kept &= (rows[column] == wanted).to_numpy()
    return rows.iloc[int(kept.argmax())] if kept.any() else None


def models_in(table: pd.DataFrame, leave_out: Sequence[str] = ()) -> list[str]:
    """The models of a table in order, without baselines and such."""
    return [model for model in table["model"].unique() if model not in leave_out]


def interval_note(rows: pd.DataFrame, what: str = "Lines") -> str:
    """A sentence that says how the drawn intervals were made; of notes, those that all of one kind have."""
    notes: dict[str, list[str]] = {}
    for interval in rows.loc[rows["low"].notna(), "interval"].dropna().unique():
        way, *more = re.sub(r", which deviate by [0-9.]+", "", interval).split("; ")
        notes[way] = [note for note in notes.get(way, more) if note in more]
    ways = ["; ".join([way, *more]) for way, more in notes.items() if way]
    ways = [way for way in ways if not any(way != other and way in other for other in ways)]
    return f"{what} are intervals: {'; '.join(ways)}." if ways else ""


def count_note(n: pd.Series, what: str = "n") -> str:
    """``n = 3,487–3,760``."""
    n = n.dropna()
    if n.empty:
        return ""
    low, high = int(n.min()), int(n.max())
    return f"{what} = {low:,}" + (f"–{high:,}" if high > low else "")


def positive_or_one(x: float) -> float:
    """A number to divide by or to end an axis with: itself where it is positive and finite, else 1."""
    return float(x) if np.isfinite(x) and x > 0 else 1.0


def axis_start(values: pd.Series, step: float = 0.1) -> float:
    """A round start of the axis a little below the least value; 0 where there is none."""
    least = values.min()
    return 0.0 if np.isnan(least) else max(0.0, step * np.floor(least / step - 0.2))


def panels_of(drawing: Drawing | SubFigure, count: int, across: int, *, sharey: bool = True) -> list[Axes]:
    """So many panels in rows, with one vertical axis for all unless not; what a row has left stays blank."""
    panels = np.ravel(drawing.subplots(-(-count // across), across, sharey=sharey, squeeze=False)).tolist()
    for spare in panels[count:]:
        spare.set_axis_off()
    return panels[:count]


# ---- rows under headings: a line a class, a model or a pair --------------------------------------------


@dataclass(frozen=True)
class Group:
    """A heading and the rows under it.

    Attributes:
        name: What the heading is called in `Heights.headings`.
        title: The heading's words; empty for none.
        rows: Key and label of each row.
        swatches: Whether labels that name a colour get a patch of it.
    """

    name: str
    title: str
    rows: Sequence[tuple[Hashable, str]]
    swatches: bool = False


@dataclass(frozen=True)
class Heights:
    """Where rows and headings lie, in the axes' own units, growing downwards."""

    rows: dict[Hashable, float]
    headings: dict[str, float]


def row_count(groups: Sequence[Group]) -> float:
    """How many rows groups take, headings and gaps included."""
    return sum(len(g.rows) + bool(g.title) for g in groups) + GAP * (len(groups) - 1)


def max_rows(columns: Sequence[Sequence[Group]]) -> float:
    """Rows of the longest column."""
    return max(map(row_count, columns))


def set_rows(axes: Axes, groups: Sequence[Group], height: float | None = None) -> Heights:
    """Label the y axis with groups of rows.

    Args:
        axes: Where.
        groups: From top to bottom.
        height: Rows that the axes have room for, so that neighbours keep one scale; their own by default.
    """
    heights, ticks, patches, y = Heights({}, {}), [], [], 0.0
    for group in groups:
        if group.title:
            heights.headings[group.name] = y
            ticks.append((y, group.title, True))
            y += 1
        for key, label in group.rows:
            heights.rows[key] = y
            ticks.append((y, label, False))
            if group.swatches and label in SWATCHES:
                patches.append((y, SWATCHES[label]))
            y += 1
        y += GAP
    axes.set_ylim((height or row_count(groups)) - 0.5, -0.6)
    axes.set_yticks([tick[0] for tick in ticks], [tick[1] for tick in ticks])
    for label, (_, _, heading) in zip(axes.get_yticklabels(), ticks, strict=True):
        label.set_weight("bold" if heading else "normal")
    if patches:
        ys, colours = zip(*patches, strict=True)
        squares = {"marker": "s", "s": 72, "c": colours, "edgecolors": SOFT, "linewidths": 0.6}
        axes.scatter([-0.022] * len(ys), ys, transform=axes.get_yaxis_transform(), clip_on=False, **squares)
    axes.tick_params(axis="y", pad=14 if any(g.swatches for g in groups) else 5)
    axes.grid(axis="x")
    return heights


def class_group(
    attribute: Attribute, classes: Sequence[str] | None = None, title: str | None = None
) -> Group:
    """The classes of an attribute under its name; keys are (attribute, class)."""
    rows = [((attribute.name, label), words(label)) for label in (classes or attribute.classes)]
    coloured = all(label in SWATCHES for label in attribute.classes)
    return Group(attribute.name, capital(words(attribute.name)) if title is None else title, rows, coloured)


def two_columns(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups side by side in two columns of about the same height, order kept; one group stays one."""
    if len(groups) < 2:
        return [list(groups)]
    cut = min(range(1, len(groups)), key=lambda k: max(row_count(groups[:k]), row_count(groups[k:])))
    return [list(groups[:cut]), list(groups[cut:])]


# ---- marks ---------------------------------------------------------------------------------------------


def intervals(
    axes: Axes, rows: pd.DataFrame, y: Sequence[float], style: Style, *, hollow: bool = False, size: float = 7
) -> None:
    """Values as marks on the lines of their intervals; what is not estimable is left out.

    Args:
        axes: Where.
        rows: With ``value, low, high``, a mark each.
        y: Their heights.
        style: Colour and marker.
        hollow: Whether the marks are open.
        size: Of the marks, in points.
    """
    y, known = np.asarray(y, float), rows["value"].notna().to_numpy()
    axes.hlines(y, rows["low"], rows["high"], color=style.colour, linewidth=1.6)
    if not known.any():
        return  # marks that lie nowhere would count as lying in the corner of the sheet
    axes.plot(
        rows["value"][known],
        y[known],
        style.marker,
        color=style.colour,
        markerfacecolor="white" if hollow else style.colour,
        markersize=size,
        markeredgewidth=1.8 if style.marker in "|x" else 1.2,
        clip_on=False,
        zorder=3,
    )


def published_marks(axes: Axes, values: pd.Series, y: Sequence[float]) -> None:
    """Small open diamonds on the marks: the values as they were published."""
    axes.plot(values, y, **DIAMOND, zorder=4)


def known_marks(axes: Axes, values: pd.Series, y: Sequence[float]) -> None:
    """Crosses: the truth, where it is known."""
    axes.plot(values, y, **KNOWN, zorder=5)


def label_right(axes: Axes, y: float, text: str, **options: object) -> None:
    """Words to the right of the axes, level with y."""
    options = {"size": SMALL, "va": "center_baseline", "ha": "left", "color": INK} | options
    axes.text(1.015, y, text, transform=axes.get_yaxis_transform(), **options)


def colour_map(name: str) -> Colormap:
    """One of seaborn's perceptually uniform colour maps; seaborn is loaded only here, as it takes a while."""
    import seaborn as sns

    return sns.color_palette(name, as_cmap=True)


def heat_map(
    axes: Axes,
    values: np.ndarray,
    colours: Colormap,
    scale: Normalize,
    cell: Callable[[int, int], Sequence[tuple[str, dict]]],
    blank: Callable[[int, int], bool] = lambda i, j: False,
) -> None:
    """A heat map with words in its cells, first row on top; NaN cells stay pale.

    Args:
        axes: Where.
        values: Shape (rows, columns).
        colours: Colour map.
        scale: Values → 0…1.
        cell: Row and column → lines of text with their font options, top to bottom.
        blank: Row and column → whether there is no cell at all.
    """
    rows, columns = values.shape
    squares, grounds = [], []
    for i, j in np.ndindex(rows, columns):
        if blank(i, j):
            continue
        ground = mpl.colors.to_rgba(FAINT) if np.isnan(values[i, j]) else colours(scale(values[i, j]))
        squares.append(Rectangle((j, i), 1, 1))
        grounds.append(ground)
        lines = list(cell(i, j))
        common = {
            "ha": "center",
            "va": "center",
            "size": SMALL,
            "color": "white" if _is_dark(ground) else INK,
        }
        for k, (text, options) in enumerate(lines):
            y = i + 0.5 + (k - (len(lines) - 1) / 2) * min(0.42, 0.9 / len(lines))
            axes.text(j + 0.5, y, text, **common | options)
    axes.add_collection(PatchCollection(squares, facecolors=grounds, edgecolors="white", linewidths=1.2))
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=np.arange(columns) + 0.5, yticks=np.arange(rows) + 0.5)
    axes.tick_params(length=0, colors=INK, labelsize=SMALL)
    axes.spines[:].set_visible(False)


def _is_dark(rgba: Sequence[float]) -> bool:
    """Whether a colour's relative luminance, as WCAG defines it, asks for white letters."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgba[:3]]
    return bool(np.dot(channels, [0.2126, 0.7152, 0.0722]) < DARK)
